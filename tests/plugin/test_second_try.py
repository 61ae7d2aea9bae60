"""A result of a second try is told, and there is no third try."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

CONFTEST = """
import dataclasses, hashlib, math
from pytest_pluralism.core.records import Answer
from pytest_pluralism.models.protocol import ModelIdentity

class Flaky:
    def __init__(self, name):
        digest = hashlib.sha256(name.encode()).hexdigest()
        self.identity = ModelIdentity(f"ours:{name}", name, digest, "float32", "cpu")
        self.calls = 0

    def answer(self, prompts, *, progress=None):
        self.calls += 1
        print("CALL", self.calls)
        kind = self.identity.name
        if kind == "always" or (kind == "once" and self.calls == 1):
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        found = [Answer(tuple(math.log(0.45) for _ in one.labels), 0.9, "A", 0.45) for one in prompts]
        if kind == "nan" and self.calls == 1:
            found[3] = dataclasses.replace(found[3], log_probabilities=(math.nan,) * len(prompts[3].labels))
        return found

    def close(self):
        pass

def pytest_pluralism_load_model(spec, settings):
    if spec.startswith("ours:"):
        return Flaky(spec.removeprefix("ours:"))
"""

TESTS = """
import pytest

@pytest.mark.js_distance("s.jsonl", population="North", at_most=0.9)
def test_one(): ...

@pytest.mark.js_distance("s.jsonl", population="North", at_most=0.8)
def test_two(): ...

@pytest.mark.js_distance("s.jsonl", population="North", at_most=0.7)
def test_three(): ...
"""


@pytest.fixture
def suite(yes_no_suite: Callable[[str, str], pytest.Pytester]) -> pytest.Pytester:
    return yes_no_suite(CONFTEST, TESTS)


@pytest.mark.parametrize("kind", ["once", "nan"])
def test_a_second_try_is_told(suite: pytest.Pytester, kind: str) -> None:
    result = suite.runpytest(f"--pluralism-model=ours:{kind}", "--pluralism-report=out.json", "--pluralism-answers=off")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines([f"*{kind} failed once while it was asked, and gave results when it was asked again*"])
    verdicts = json.loads(Path(suite.path / "out.json").read_text(encoding="utf-8"))["verdicts"]
    assert len(verdicts) == 3
    for verdict in verdicts:
        assert "failed once while it was asked" in json.dumps(verdict["warnings"])


@pytest.mark.whole
def test_there_is_no_third_try(suite: pytest.Pytester) -> None:
    result = suite.runpytest("--pluralism-model=ours:always", "--pluralism-answers=off", "-s")
    result.assert_outcomes(failed=3)
    calls = [line for line in result.outlines if "CALL " in line and "print" not in line]
    assert len(calls) == 2


@pytest.mark.whole
def test_a_model_that_never_fails_has_no_such_warning(suite: pytest.Pytester) -> None:
    result = suite.runpytest("--pluralism-model=ours:well", "--pluralism-report=out.json", "--pluralism-answers=off")
    result.assert_outcomes(passed=3)
    assert "failed once" not in result.stdout.str()
    assert "failed once" not in Path(suite.path / "out.json").read_text(encoding="utf-8")
