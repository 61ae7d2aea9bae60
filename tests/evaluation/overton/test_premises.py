"""Premises are slices of a response that together lose no word of it."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_pluralism.core.errors import InvalidParameterError, MissingExtraError
from pytest_pluralism.evaluation.overton.premises import PREMISE_FORMS, premises, sentences

pytest.importorskip("sentencex", reason="sentencex is not installed", exc_type=ImportError)

RESPONSE = """Dr. Roe said taxes are "too high." She lives in the U.S. and has 3.5 jobs. See e.g. Doe et al. 2016!

1. First point: voting matters.
2. Second point; nobody agrees
- bullet one
  - bullet two. And more
(b) a letter

On the one hand... on the other hand?! Yes.
**In short**
Text that goes
on here
### A heading
The end 👍
"""
SENTENCES = (
    'Dr. Roe said taxes are "too high."',
    "She lives in the U.S. and has 3.5 jobs.",
    "See e.g. Doe et al. 2016!",
    "First point: voting matters.",
    "Second point; nobody agrees",
    "bullet one",
    "bullet two.",
    "And more",
    "a letter",
    "On the one hand... on the other hand?!",
    "Yes.",
    "**In short**",
    "Text that goes\non here",
    "A heading",
    "The end 👍",
)

texts = st.text(st.sampled_from(" .!?\n\tabcXÄß中。-1)(*#\"'\u2028\U0001f44d\r_:"), max_size=80) | st.text(max_size=60)


def test_a_response_as_models_write_them() -> None:
    assert sentences(RESPONSE) == SENTENCES
    assert premises(RESPONSE, form="sentences") == SENTENCES
    assert premises(RESPONSE) == (RESPONSE.strip(),)


def test_windows_move_one_sentence_at_a_time() -> None:
    assert premises("One. Two.  Three.\nFour.", form="windows", n_sentences=3) == (
        "One. Two.  Three.",
        "Two.  Three.\nFour.",
    )
    assert premises("One. Two.", form="windows", n_sentences=3) == ("One. Two.",)
    assert premises(RESPONSE, form="windows", n_sentences=1) == SENTENCES


@pytest.mark.parametrize("form", PREMISE_FORMS)
@pytest.mark.parametrize("response", ["", " \n\t", "...", "--- 👍 !?", "**"])
def test_a_response_without_words_has_no_premise(form: str, response: str) -> None:
    assert premises(response, form=form) == ()


@given(texts)
def test_no_word_is_lost_and_nothing_is_added(text: str) -> None:
    at = 0
    for sentence in sentences(text):
        assert sentence == sentence.strip()
        assert re.search(r"\w", sentence)
        # In their order, and each where it stands.
        at = text.index(sentence, at) + len(sentence)
    # The marks before entries of lists (numbers, letters) belong to none of the sentences.
    bare = re.sub(r"(?m)^[ \t]*(\d{1,3}[.)]|[a-zA-Z][)]|\(\w{1,3}\))[ \t]+", "", text)
    if bare == text:
        assert re.findall(r"\w", "".join(sentences(text))) == re.findall(r"\w", text)


@given(texts, st.integers(1, 4))
@example("1) ", 1)
def test_every_premise_is_a_slice_of_the_response(text: str, n_sentences: int) -> None:
    single = premises(text, form="sentences")
    windows = premises(text, form="windows", n_sentences=n_sentences)
    assert len(windows) == (0 if not single else max(1, len(single) - n_sentences + 1))
    for form in (premises(text), single, windows):
        assert all(premise in text and premise == premise.strip() and premise for premise in form)
    for number, window in enumerate(windows):
        inside = single[number : number + n_sentences]
        assert window.startswith(inside[0])
        assert window.endswith(inside[-1])


@pytest.mark.parametrize(
    ("name", "value"), [("form", "words"), ("form", None), ("n_sentences", 0), ("n_sentences", True)]
)
def test_wrong_parameters_are_named(name: str, value: object) -> None:
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter of premises"):
        premises("One. Two.", **{name: value})  # type: ignore[arg-type]


def test_without_the_splitter_the_whole_response_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencex", None)
    assert premises("One. Two.") == ("One. Two.",)
    with pytest.raises(MissingExtraError, match="pip install sentencex"):
        premises("One. Two.", form="sentences")
