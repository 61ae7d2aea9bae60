"""A release that turned one question round keeps no promise about a change unless somebody accepts it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

CONFTEST = '''
import hashlib
import math

from pytest_pluralism.core.records import Answer
from pytest_pluralism.models.protocol import ModelIdentity


class Town:
    """Says Yes with about .6; ``town:turned`` says No to question 7, and ``town:moved`` moves all a little."""

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
                yes = 0.05
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

@pytest.mark.js_distance("s.jsonl", population="North", max_increase=0.3)
def test_stays():
    pass
"""


def test_a_single_turned_question_leaves_a_promise_about_a_change_undecided(
    yes_no_suite: Callable[[str, str], pytest.Pytester], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = yes_no_suite(CONFTEST, TESTS)
    monkeypatch.setenv("PLURALISM_ANSWERS", "off")
    monkeypatch.delenv("PLURALISM_HEALTH")

    def run(model: str, *options: str) -> pytest.RunResult:
        return suite.runpytest_inprocess(
            f"--pluralism-model=town:{model}",
            "--pluralism-suppress-health-check=seed_unset",
            "-p",
            "no:randomly",
            *options,
        )

    run("before", "--pluralism-update-baseline").assert_outcomes(passed=1)
    run("moved").assert_outcomes(passed=1)
    undecided = run("turned")
    undecided.assert_outcomes(failed=1)
    text = " ".join(undecided.stdout.str().split())
    assert "INCONCLUSIVE" in text
    assert "health change_apart: question q7 changed by +" in text
    assert "--pluralism-suppress-health-check=change_apart)" in text
    run("turned", "--pluralism-suppress-health-check=change_apart").assert_outcomes(passed=1)
    warned = run("turned", "--pluralism-health=warn")
    warned.assert_outcomes(passed=1)
    assert "health change_apart" in warned.stdout.str()
