"""Promises that a random network, an even answer or a shuffled one would not keep."""

from __future__ import annotations

import json

import pytest

MODELS = '''

class PeopleModel(TableModel):
    """Answers as a population does, with a part of its mass on the options of all questions, or of the first few.

    ``people:North*0.3`` or ``people:North*1e-12@6``.
    """

    def __init__(self, spec):
        import json
        import pathlib

        super().__init__("table:" + spec.partition(":")[2].partition("@")[0])
        name, _, mass = spec.removeprefix("people:").partition("*")
        mass, _, first = mass.partition("@")
        self.mass = float(mass or 1.0)
        rows = [json.loads(line) for line in pathlib.Path("town.jsonl").read_text().splitlines()]
        self.shares = {}
        self.low = {row["question"] for row in rows[: int(first) if first else None]}
        for row in rows:
            known = {one["population"]: one["probabilities"] for one in row["distributions"]}
            shares = known.get(name, [1 / len(row["options"])] * len(row["options"]))
            # A sample of people differs from them a little, and from question to question.
            moved = hashlib.sha256(row["question"].encode()).digest()[0] / 256 * 0.1 if name in known else 0.0
            shares = [shares[0] + moved / 2, shares[1] - moved, shares[2] + moved / 2]
            self.shares[row["question"]] = dict(zip(row["options"], shares))

    def answer(self, prompts, *, progress=None):
        result = []
        for prompt in prompts:
            text, *options = prompt.question.splitlines()
            mass = self.mass if text in self.low else 1.0
            shares = [self.shares[text][line[3:]] * mass for line in options]
            result.append(Answer(tuple(math.log(one) for one in shares), mass, "A", 0.5))
        return result


def pytest_pluralism_load_model(spec, settings):
    if spec.startswith("people:"):
        return PeopleModel(spec)
    if spec.startswith("table:"):
        return TableModel(spec)
'''


@pytest.fixture
def town(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """The project of the other tests, with models that answer as people do, under the default health checks."""
    monkeypatch.delenv("PLURALISM_HEALTH")
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text(encoding="utf-8") + MODELS, encoding="utf-8")
    return project


def outcome(town: pytest.Pytester, promise: str, model: str, *args: str) -> dict[str, object]:
    town.makepyfile(
        test_town=f"import pytest\n\n@pytest.mark.js_distance('town.jsonl', population='North', {promise})\n"
        "def test_north(): ...\n"
    )
    town.runpytest_inprocess(f"--pluralism-model={model}", "--pluralism-report=out.json", *args)
    (verdict,) = json.loads((town.path / "out.json").read_text(encoding="utf-8"))["verdicts"]
    return verdict


@pytest.mark.parametrize(
    ("reference", "model", "expected"),
    [
        ("uniform", "people:North", "passed"),
        # Even answers would keep these three too, so that keeping them shows nothing.
        ("shuffled", "people:North", "inconclusive"),
        ("majority", "people:North", "inconclusive"),
        ("South", "people:North", "inconclusive"),
        ("population:South", "people:South", "inconclusive"),
        ("uniform", "people:South", "failed"),
        ("uniform", "people:nobody", "inconclusive"),
        ("majority", "people:nobody", "inconclusive"),
    ],
)
def test_the_model_must_beat_the_reference(town: pytest.Pytester, reference: str, model: str, expected: str) -> None:
    verdict = outcome(town, f"better_than={reference!r}", model)
    assert verdict["outcome"] == expected
    assert verdict["gate"] == {"better_than": reference, "confidence_level": 0.95}
    advantage = verdict["advantage"]
    assert isinstance(advantage, dict)
    assert (advantage["low"] > 0) or expected != "passed"


@pytest.mark.parametrize("reference", ["shuffled", "majority", "South", "population:South"])
def test_the_model_beats_what_even_answers_beat_too(town: pytest.Pytester, reference: str) -> None:
    verdict = outcome(town, f"better_than={reference!r}", "people:North", "--pluralism-health=warn")
    assert verdict["outcome"] == "passed"
    assert any("uniform_would_pass" in warning for warning in verdict["warnings"])  # type: ignore[attr-defined]


def test_equal_answers_are_no_advantage_on_the_value_either(town: pytest.Pytester) -> None:
    assert outcome(town, "better_than='uniform', confidence_level=None", "people:nobody")["outcome"] != "passed"
    assert outcome(town, "better_than='uniform', confidence_level=None", "people:North")["outcome"] == "passed"


@pytest.mark.whole
def test_even_answers_keep_a_level_and_do_not_pass(town: pytest.Pytester) -> None:
    verdict = outcome(town, "at_most=0.4", "people:North")
    assert verdict["outcome"] == "inconclusive"
    for check in ("uniform_would_pass", "shuffled_would_pass"):
        assert f"health {check}:" in str(verdict["reason"])
        assert f"--pluralism-suppress-health-check={check}" in str(verdict["reason"])
    assert outcome(town, "at_most=0.4, better_than='uniform'", "people:North")["outcome"] == "passed"
    warned = outcome(town, "at_most=0.4", "people:North", "--pluralism-profile=pr")
    assert warned["outcome"] == "passed"
    assert any("uniform_would_pass" in warning for warning in warned["warnings"])  # type: ignore[attr-defined]


def test_a_constant_answer_that_keeps_the_promise_is_named(town: pytest.Pytester) -> None:
    verdict = outcome(town, "at_most=0.9, better_than='population:South'", "people:North")
    assert "constant_would_pass" not in str(verdict["reason"])
    assert "constant_would_pass" in str(outcome(town, "at_most=0.9", "people:North")["reason"])


@pytest.mark.whole
def test_a_network_that_answers_something_else_never_passes_a_level(town: pytest.Pytester) -> None:
    for args in ([], ["--pluralism-health=warn"], ["--pluralism-profile=pr", "--pluralism-inconclusive=fail"]):
        verdict = outcome(town, "at_most=0.4, better_than='uniform'", "people:North*0.3", *args)
        assert verdict["outcome"] == "inconclusive"
        assert "health low_option_mass: the mean option mass is 0.30" in str(verdict["reason"])
    accepted = ["--pluralism-suppress-health-check=low_option_mass"]
    assert outcome(town, "at_most=0.4, better_than='uniform'", "people:North*0.3", *accepted)["outcome"] == "passed"


@pytest.mark.whole
def test_a_few_questions_that_the_model_does_not_answer_are_named(town: pytest.Pytester) -> None:
    """Half of the questions read from nothing leave a mean option mass of .5; the level is undecided all the same."""
    promise = "at_most=0.4, better_than='uniform'"
    for first in (6, 2):
        verdict = outcome(town, promise, f"people:North*1e-12@{first}", "--pluralism-health=warn")
        assert verdict["outcome"] == "inconclusive"
        told = f"health low_option_mass: the option mass is under 0.5 on {first} of 12 units, more than one in ten"
        assert told in str(verdict["reason"])
    # One question of twelve is told, and does not decide.
    verdict = outcome(town, promise, "people:North*1e-12@1")
    assert verdict["outcome"] == "passed"
    assert any("option mass under 0.5 on 1 of 12 units" in warning for warning in verdict["warnings"])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("promise", "words"),
    [
        ("better_than='Sauth'", "*unknown population 'Sauth'*Nearest: 'South'*"),
        ("better_than='North'", "*better_than='North' is the population that is measured*"),
        ("better_than=3", "*better_than*must be the name of a reference, a str*Got 3*"),
        ("better_than=''", "*better_than*must be the name of a reference*"),
    ],
)
def test_a_wrong_reference_is_the_error_of_its_test(town: pytest.Pytester, promise: str, words: str) -> None:
    town.makepyfile(
        test_town=f"import pytest\n\n@pytest.mark.js_distance('town.jsonl', population='North', {promise})\n"
        "def test_north(): ...\n"
    )
    result = town.runpytest_inprocess("--pluralism-model=people:North")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([words])


@pytest.mark.whole
def test_a_population_that_is_called_like_a_reference_is_spelled_out(town: pytest.Pytester) -> None:
    file = town.path / "town.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace('"South"', '"uniform"'), encoding="utf-8")
    people = outcome(town, "better_than='population:uniform'", "people:North", "--pluralism-health=warn")
    even = outcome(town, "better_than='uniform'", "people:North", "--pluralism-health=warn")
    assert (people["outcome"], even["outcome"]) == ("passed", "passed")
    assert people["advantage"] != even["advantage"]
    # A model that answers as the people who are called uniform is no better than they are.
    assert outcome(town, "better_than='population:uniform'", "people:uniform")["outcome"] != "passed"


def test_the_message_says_by_how_much(town: pytest.Pytester) -> None:
    town.makepyfile(
        test_town="import pytest\n\n@pytest.mark.js_distance('town.jsonl', population='North', better_than='uniform')\n"
        "def test_north(): ...\n"
    )
    result = town.runpytest_inprocess("--pluralism-model=people:South")
    result.stdout.fnmatch_lines(
        ["*0.* [[]0.*, 0.*], must be better than uniform: JS distance to North*by -0.* [[]-0.*"]
    )
