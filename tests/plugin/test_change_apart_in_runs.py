"""A release that turned one question round keeps no promise about a change unless somebody accepts it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pluralism.cli import main

CONFTEST = '''
import hashlib
import math

from pytest_pluralism.core.records import Answer
from pytest_pluralism.models.protocol import ModelIdentity


class Town:
    """Says Yes with about .6; ``town:turned`` changes its mind on question 7, and ``town:moved`` moves all a little."""

    def __init__(self, spec):
        self.identity = ModelIdentity(
            spec=spec, name="town", sha256=hashlib.sha256(spec.encode()).hexdigest(), dtype="float32", device="cpu"
        )

    def answer(self, prompts, *, progress=None):
        result = []
        for prompt in prompts:
            number = int(prompt.question.splitlines()[0].split()[-1].rstrip("?"))
            moved = 0.0 if self.identity.spec == "town:before" else 0.001 * (number % 9 - 4)
            yes = 0.62 + 0.002 * (number * 7 % 11) + moved
            if number == 7 and self.identity.spec == "town:turned":
                yes = 0.80
            options = [line[3:] for line in prompt.question.splitlines() if line[1:3] == ". "]
            shares = [yes if option == "Yes" else 1.0 - yes for option in options]
            result.append(Answer(tuple(map(math.log, shares)), 1.0, "A", 0.9))
        return result

    def close(self):
        pass


def pytest_pluralism_load_model(spec, settings):
    return Town(spec)
'''

TESTS = """
import pytest

@pytest.mark.js_distance("s.jsonl", population="North", max_increase=0.1)
def test_stays(): ...

@pytest.mark.js_distance("s.jsonl", population="worst", max_increase=0.1)
def test_worst(): ...

@pytest.mark.pareto_improvement("objectives.json", against="baseline", at_least=-0.1)
def test_no_objective_loses(): ...
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    monkeypatch.setenv("PLURALISM_ANSWERS", "off")
    monkeypatch.delenv("PLURALISM_HEALTH")
    monkeypatch.chdir(pytester.path)
    people = [
        {"population": name, "probabilities": [yes, 1.0 - yes], "n_respondents": 900}
        for name, yes in (("North", 0.6), ("South", 0.58))
    ]
    about = {"options": ["Yes", "No"], "distributions": people}
    rows = [{"question_id": f"q{n}", "question": f"Do you like number {n}?", **about} for n in range(40)]
    objectives = [
        {"name": name, "measure": "js_distance", "dataset": "s.jsonl", "population": name}
        for name in ("North", "South")
    ]
    Path("objectives.json").write_text(json.dumps({"objectives": objectives}), encoding="utf-8")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_suite=TESTS)
    pytester.path.joinpath("s.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    def run(model: str, *options: str) -> pytest.RunResult:
        names = (f"--pluralism-model=town:{model}", "--pluralism-suppress-health-check=seed_unset", "-p", "no:randomly")
        return pytester.runpytest_inprocess(*names, *options)

    run("before", "--pluralism-update-baseline").assert_outcomes(passed=3)
    return run


@pytest.mark.whole
def test_a_single_turned_question_leaves_promises_about_a_change_undecided(
    suite: Callable[..., pytest.RunResult], capsys: pytest.CaptureFixture[str]
) -> None:
    suite("moved").assert_outcomes(passed=3)
    undecided = suite("turned", "--pluralism-report=turned.json")
    undecided.assert_outcomes(failed=3)
    verdicts = json.loads(Path("turned.json").read_text(encoding="utf-8"))["verdicts"]
    assert [one["outcome"] for one in verdicts] == ["inconclusive"] * 3
    for verdict in verdicts:
        assert re.match(r"health change_apart: (question|unit) q7 rose by 0\.", verdict["reason"])
        assert "--pluralism-suppress-health-check=change_apart)" in verdict["reason"]
    suite("turned", "--pluralism-suppress-health-check=change_apart").assert_outcomes(passed=3)
    warned = suite("turned", "--pluralism-health=warn")
    warned.assert_outcomes(passed=3)
    assert "health change_apart" in warned.stdout.str()
    # Two files beside each other say what the run said, and in the words of the measure.
    capsys.readouterr()
    main(["compare", "pluralism-baselines", "turned.json"])
    said = capsys.readouterr().out
    assert "inconclusive" in said
    assert "question q7" not in said.split("promise")[0]
    assert "question q7 rose by 0." in said
