"""A main model that does not say which community fits: a comment is drawn, the draw is counted, nothing passes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import pytest_pluralism as pp
from pytest_pluralism.core.records import Answer, GenerationSettings, Prompt, Response
from pytest_pluralism.models.answers.kinds import ANSWERS, RESPONSES, decode, encode
from pytest_pluralism.models.composed.choosing import choice_of
from pytest_pluralism.models.composed.modular import LETTERS
from pytest_pluralism.models.protocol import ModelIdentity

SAID = ("Clean air.", "More roads.", "It depends.")


def prompt(number: int) -> Prompt:
    return Prompt(f"Ban car {number}?", ())


def picked(shares: list[float], *, said: tuple[str, ...] = SAID, scale: float = 1.0) -> list[tuple[int, bool]]:
    """Return the choices for a hundred prompts of a model that gives the letters these probabilities."""
    logs = tuple(math.log(one * scale) if one > 0 else -math.inf for one in shares)
    answer = Answer(logs, scale * math.fsum(shares), "Sure", 1.0)
    found = [choice_of(answer, prompt(number), said) for number in range(100)]
    return [(one.place, one.unread) for one in found]


def test_the_likeliest_letter_is_chosen() -> None:
    assert set(picked([0.2, 0.5, 0.3])) == {(1, False)}


def test_two_that_are_equally_likely_are_drawn_from() -> None:
    # The text decided nothing between the two, whatever it says of the third.
    assert set(picked([0.45, 0.45, 0.1])) == {(0, True), (1, True)}
    # Rounding does not prefer the first.
    assert set(picked([0.1 + 0.2, 0.3, 0.0])) == {(0, True), (1, True)}
    # Two that say the same are one comment.
    assert set(picked([0.45, 0.45, 0.1], said=("Yes.", "Yes.", "No."))) == {(0, False), (1, False)}


@pytest.mark.parametrize("scale", [1.0, 0.49])
def test_an_even_choice_and_one_without_letters_are_drawn_among_all_and_say_so(scale: float) -> None:
    shares = [1 / 3] * 3 if scale == 1.0 else [0.8, 0.1, 0.1]
    found = picked(shares, scale=scale)
    assert {unread for _, unread in found} == {True}
    assert all(15 < sum(place == one for place, _ in found) < 55 for one in range(3))
    assert found == picked(shares, scale=scale)


def test_no_letter_at_all_is_no_choice() -> None:
    assert {unread for _, unread in picked([0.0, 0.0, 0.0])} == {True}
    nan = Answer((math.nan, math.log(0.5), math.log(0.4)), 0.9, "A", 0.5)
    assert choice_of(nan, prompt(0), SAID).unread


def test_between_comments_that_say_the_same_there_is_nothing_to_choose() -> None:
    assert {unread for _, unread in picked([1 / 3] * 3, said=("Yes.", "Yes. ", "Yes."))} == {False}


def test_letters_whose_probabilities_are_left_open_are_told_apart_only_beyond_that() -> None:
    def choices(*bounds: tuple[float, float]) -> set[tuple[int, bool]]:
        logs = tuple(math.log((low + high) / 2) for low, high in bounds)
        answer = Answer(logs, 0.9, "A", 0.5, bounds=bounds)
        found = [choice_of(answer, prompt(number), SAID) for number in range(100)]
        return {(one.place, one.unread) for one in found}

    assert choices((0.6, 0.6), (0.2, 0.3), (0.0, 0.1)) == {(0, False)}
    assert choices((0.45, 0.45), (0.40, 0.50), (0.0, 0.1)) == {(0, True), (1, True)}


class Main:
    """A main model that names the fitting letter or gives the letters little probability."""

    def __init__(self, mass: float) -> None:
        self.mass = mass
        self.identity = ModelIdentity(f"main {mass}", "main", f"main {mass}", "float32", "cpu")

    def answer(self, prompts: list[Prompt], /, *, progress: object = None) -> list[Answer]:
        found = []
        for one in prompts:
            mass = self.mass if "fits this best" in one.question else 1.0
            shares = [0.7, *[0.3 / (len(one.labels) - 1)] * (len(one.labels) - 1)]
            found.append(Answer(tuple(math.log(mass * share) for share in shares), mass, one.labels[0], 0.7 * mass))
        return found

    def generate(
        self, prompts: list[Prompt], settings: GenerationSettings, /, *, n_draws: int = 1
    ) -> list[tuple[Response, ...]]:
        return [tuple(Response("A text.", 3, "eos", draw) for draw in range(n_draws)) for _ in prompts]

    def close(self) -> None:
        pass


def community(words: str) -> pp.FunctionModel:
    return pp.FunctionModel(lambda _: words, name=words, version="1")


@pytest.mark.parametrize(("mass", "unread"), [(0.9, False), (0.3, True)])
def test_answers_and_texts_carry_that_their_choice_was_not_read(mass: float, unread: bool) -> None:
    made = pp.modular(Main(mass), [community("Yes."), community("No.")], mode="steerable")
    question = Prompt("Ban cars?\nA. Yes\nB. No", ("A", "B"))
    (answer,) = made.answer([question])
    settings = GenerationSettings(max_new_tokens=9)
    ((text,),) = made.generate([prompt(1)], settings)
    assert (answer.unread_choice, text.unread_choice) == (unread, unread)
    # A mixture that has such a part hands it on, and the store keeps it.
    (mixed,) = pp.mixture([made, pp.FunctionModel(lambda one: [1.0, 0.0], version="1")]).answer([question])
    assert mixed.unread_choice == unread
    stored = encode(ANSWERS, question, answer)
    assert stored is not None
    assert decode(ANSWERS, stored, question) == answer
    assert (b"unread_choice" in stored) == unread
    draw = (prompt(1), settings, 0)
    written = encode(RESPONSES, draw, text)
    assert written is not None
    assert decode(RESPONSES, written, draw) == text
    assert (b"unread_choice" in written) == unread


CONFTEST = """
import math

import pytest_pluralism as pp


def main(prompt):
    if not prompt.labels:
        return "A text."
    if "fits this best" in prompt.question:
        # Which passage fits is said of some questions alone.
        read = any(f"thing {number} " in prompt.question for number in range(READ))
        return [0.8, 0.1, 0.05][: len(prompt.labels)] if read else SHARES
    return [0.6, 0.4]


def pytest_pluralism_load_model(spec, settings):
    if spec == "system":
        words = ("Yes.", "No.", "Perhaps.")[: len(SHARES)]
        parts = [pp.FunctionModel(lambda _, word=word: word, name=word, version="1") for word in words]
        return pp.modular(pp.FunctionModel(main, name="main", version="1"), parts, mode="steerable", name="system")
"""


#: No letter is read; or two of three letters are equally likely, and the third is not.
UNREAD, TIED = "[0.2, 0.1]", "[0.4, 0.4, 0.1]"


@pytest.mark.parametrize(
    ("n_read", "shares", "outcome"),
    [(12, UNREAD, "passed"), (11, UNREAD, "passed"), (10, UNREAD, "inconclusive"), (10, TIED, "inconclusive")],
)
def test_a_promise_is_not_kept_by_choices_that_nobody_read(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, n_read: int, shares: str, outcome: str
) -> None:
    monkeypatch.setenv("PLURALISM_HEALTH", "warn")
    pytester.makeconftest(CONFTEST.replace("READ", str(n_read)).replace("SHARES", shares))
    pytester.makeini("[pytest]\npluralism_seed = 0\n")
    pytester.makepyfile(
        test_it="import pytest\n\n@pytest.mark.js_distance('town.jsonl', at_most=0.4, option_order='none', examples=0)"
        "\ndef test_it(): ...\n"
    )
    rows = [
        {
            "question_id": f"q{number}",
            "question": f"Is this thing {number} good?",
            "options": ["Yes", "No"],
            "distributions": [
                {"population": "Town", "probabilities": [0.4 + number / 50, 0.6 - number / 50], "n_respondents": 900}
            ],
        }
        for number in range(12)
    ]
    Path("town.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = []
    # The second run takes the answers from the store.
    for _ in range(2):
        pytester.runpytest_inprocess("--pluralism-model=system", "--pluralism-report=out.json")
        (verdict,) = json.loads(Path("out.json").read_text(encoding="utf-8"))["verdicts"]
        found.append(verdict)
    assert {verdict["outcome"] for verdict in found} == {outcome}
    for verdict in found:
        said = [text for text in verdict["warnings"] if "which community fits could not be read" in text]
        assert bool(said) == (n_read < 12)
        assert ("unread_choice" in (verdict.get("reason") or "")) == (outcome == "inconclusive")


def test_letters_are_enough_for_all_communities() -> None:
    assert len(LETTERS) == 26


OWN_PARTS = """
import pytest_pluralism as pp


def pytest_pluralism_load_model(spec, settings):
    if spec.startswith("ours:"):
        share = float(spec.removeprefix("ours:"))
        return pp.FunctionModel(lambda prompt: [share, 1 - share], name=spec, version="1")
    if spec == "broken:x":
        return object()
"""


def test_parts_of_a_file_come_from_hooks_of_the_project(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLURALISM_HEALTH", "warn")
    pytester.makeconftest(OWN_PARTS)
    pytester.makeini("[pytest]\npluralism_seed = 0\npluralism_answers = off\n")
    pytester.makepyfile(
        test_it="import pytest\n\n@pytest.mark.js_distance('town.jsonl', at_most=0.01, option_order='none', examples=0,"
        " confidence_level=None)\ndef test_it(): ...\n"
    )
    row = {
        "question_id": "q",
        "question": "Is this good?",
        "options": ["Yes", "No"],
        "distributions": [{"population": "Town", "probabilities": [0.4, 0.6], "n_respondents": 900}],
    }
    Path("town.jsonl").write_text(json.dumps(row), encoding="utf-8")
    Path("blend.toml").write_text(
        '[[part]]\nmodel = "ours:0.2"\nweight = 1\n[[part]]\nmodel = "ours:0.5"\nweight = 2\n', encoding="utf-8"
    )
    for name, part in (("broken", "broken:x"), ("unknown", "theirs:x")):
        Path(f"{name}.toml").write_text(f'[[part]]\nmodel = "{part}"\n', encoding="utf-8")
    pytester.runpytest_inprocess("--pluralism-model=mixture:blend.toml").assert_outcomes(passed=1)
    said = pytester.runpytest_inprocess("--pluralism-model=mixture:broken.toml").stdout.str()
    assert "gave a object for 'broken:x', which has no 'identity'" in said
    said = pytester.runpytest_inprocess("--pluralism-model=mixture:unknown.toml").stdout.str()
    assert "unknown.toml: 1: theirs:x: The model 'theirs:x' is of an unknown kind 'theirs:'" in said
    # Outside a run nobody asks the hooks.
    with pytest.raises(pp.core.errors.ModelError, match="unknown kind 'ours:'"):
        pp.load_model("mixture:blend.toml")
