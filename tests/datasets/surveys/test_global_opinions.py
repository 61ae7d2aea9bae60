"""GlobalOpinionQA: parsing without running anything, and fetching nothing that was not asked for."""

from __future__ import annotations

import ast
import json
import sys
import types
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pluralism.core.errors import DatasetError, MissingExtraError
from pytest_pluralism.datasets import load_survey
from pytest_pluralism.datasets.surveys.global_opinions import HUB_NAME, parse_options, parse_selections, read_rows


def selections(**shares: list[float]) -> str:
    return f"defaultdict(<class 'list'>, {shares!r})"


ROWS: list[dict[str, Any]] = [
    {
        "question": "Do you agree?",
        "selections": selections(Japan=[0.5, 0.25, 0.25], Peru=[0.1, 0.9, 0.0]),
        "options": "['Yes', 'No', 'DK/Refused']",
        "source": "GAS",
    },
    {
        "question": 'How "much", on a scale?',
        "selections": selections(Japan=[0.5, 0.5]),
        "options": "['Don\\'t like it', 10.0]",
        "source": "WVS",
    },
]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A stand-in for the ``datasets`` library; the calls to it are recorded."""
    calls: list[tuple[Any, ...]] = []

    def load_dataset(name: str, *, split: str, revision: str | None) -> list[dict[str, Any]]:
        calls.append((name, split, revision))
        return ROWS

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    return calls


def test_load(hub: list[tuple[Any, ...]]) -> None:
    survey = load_survey(f"hf:{HUB_NAME}", refusals="drop")
    assert hub == [(HUB_NAME, "train", None)]
    assert survey.name == f"hf:{HUB_NAME}"
    first, second = survey.questions
    assert first.options == ("Yes", "No")
    assert second.options == ("Don't like it", "10")
    assert second.text == 'How "much", on a scale?'
    japan = survey.distributions[0]
    assert (japan.population, japan.n_respondents) == ("Japan", None)
    assert japan.probabilities == pytest.approx((2 / 3, 1 / 3))
    assert "CC BY-NC-SA 4.0" in survey.source
    assert survey.default_population is None


def test_revision(hub: list[tuple[Any, ...]]) -> None:
    load_survey(f"hf:{HUB_NAME}@cb28804")
    assert hub == [(HUB_NAME, "train", "cb28804")]


def test_other_repositories_are_unknown(hub: list[tuple[Any, ...]]) -> None:
    with pytest.raises(DatasetError, match=r"unknown survey on the hub 'Anthropic/llm_global_opinion' \(there are 1\)"):
        load_survey("hf:Anthropic/llm_global_opinion")
    assert hub == []


def test_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r'pip install "pytest-pluralism\[hub\]"'):
        load_survey(f"hf:{HUB_NAME}")


def test_error_of_the_library_becomes_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach the hub.\nA long story.")

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(DatasetError, match=r"cannot be had: Couldn't reach the hub\. Check the network") as caught:
        load_survey(f"hf:{HUB_NAME}")
    assert "A long story" not in str(caught.value)


def test_rows_with_the_same_question_share_a_cluster() -> None:
    questions, _ = read_rows([*ROWS, ROWS[0] | {"selections": selections(Japan=[0.4, 0.6, 0.0])}])
    assert len({question.question_id for question in questions}) == 3
    assert questions[0].cluster == questions[2].cluster != questions[1].cluster


def test_what_cannot_be_used_is_left_out_and_counted() -> None:
    rows = ROWS * 20 + [
        {"question": None, "selections": selections(Japan=[1.0]), "options": "['Yes']", "source": ""},
        {"question": "So?", "selections": selections(Japan=[0.5, 0.4], Peru=[0.5, 0.5]), "options": "['Yes', 'No']"},
        {"question": "So then?", "selections": selections(Japan=[0.5, 0.5, 0.0]), "options": "['Yes', 'No']"},
        {"question": "Twice?", "selections": selections(Japan=[0.5, 0.5]), "options": "['Yes', 'Yes']"},
        {"question": "Broken?", "selections": "defaultdict(<class 'list'>, {", "options": "['Yes', 'No']"},
    ]
    questions, source = read_rows(rows)
    assert [row.population for q in questions if q.text == "So?" for row in q.distributions] == ["Peru"]
    assert not [q for q in questions if q.text in ("So then?", "Twice?", "Broken?")]
    assert "left out: 3 row(s) without a question, an answer or distinct options" in source
    assert "left out: 1 row(s) that cannot be parsed" in source
    assert "left out: 2 distribution(s) of the wrong length or sum" in source


def test_another_format_is_an_error() -> None:
    with pytest.raises(DatasetError, match="row 0: lacks column 'selections'"):
        read_rows([{"question": "So?", "options": "['Yes', 'No']"}])
    with pytest.raises(DatasetError, match="is not in the format known here: 1 of 3 rows cannot be parsed"):
        read_rows([*ROWS, {"question": "So?", "selections": "?", "options": "['Yes', 'No']"}])
    with pytest.raises(DatasetError, match="holds no rows"):
        read_rows([])


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('false')",
        "defaultdict(<class 'list'>, __import__('os').environ)",
        "defaultdict(<class 'list'>, {'Japan': [__import__('os').getpid(), 0.5]})",
        "defaultdict(<class 'list'>, {'Japan': [0.5, 0.5]}) or exit()",
        "{'Japan': [x for x in (0.5, 0.5)]}",
        "{'Japan': (lambda: 0.5)()}",
        "{1: [0.5, 0.5]}",
        "{'Japan': 0.5}",
        "{'Japan': ['0.5', '0.5']}",
        "{'Japan': [True, False]}",
        "{'Japan': [nan, 0.5]}",
        "['Japan']",
        "",
        "{" * 5000,
        None,
        3,
    ],
)
def test_nothing_but_shares_is_parsed(text: Any) -> None:
    with pytest.raises(DatasetError, match="selections"):
        parse_selections(text)


@pytest.mark.parametrize(
    "text", ["open('x')", "{'Yes': 1}", "['Yes', None]", "['Yes', ['No']]", "[True]", "", 4, "(" * 9999]
)
def test_nothing_but_options_is_parsed(text: Any) -> None:
    with pytest.raises(DatasetError, match="option"):
        parse_options(text)


def test_long_texts_are_refused() -> None:
    with pytest.raises(DatasetError, match="characters long; at most 200000 are parsed"):
        parse_selections("[" + "0," * 200_000 + "]")


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.text(min_size=1).map(str.strip).filter(bool), st.lists(st.floats(0, 1), max_size=5), max_size=4)
)
def test_what_python_wrote_is_read_again(shares: dict[str, list[float]]) -> None:
    text = f"defaultdict(<class 'list'>, {shares!r})"
    assert parse_selections(text) == shares
    assert parse_selections(json.dumps(shares)) == shares if all(map(str.isascii, shares)) else True
    options = list(shares) or ["x"]
    assert parse_options(repr(options)) == options
    assert ast.literal_eval(repr(shares)) == shares
