"""A model that hangs ends the wait, and its results until then are kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

CONFTEST = """
import hashlib, math, os, threading
from pytest_pluralism.core.records import Answer
from pytest_pluralism.models.protocol import ModelIdentity

class Slow:
    def __init__(self, name):
        # The same model, whatever it does to us today.
        self.identity = ModelIdentity("ours:x", "slow", hashlib.sha256(b"x").hexdigest(), "float32", "cpu")
        self.kind = name
        self.failed = False

    def answer(self, prompts, *, progress=None, receive=None):
        print("ASKED", len(prompts))
        found = [(one, Answer(tuple(math.log(0.45) for _ in one.labels), 0.9, "A", 0.45)) for one in prompts]
        if self.kind == "once" and not self.failed:
            self.failed = True
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        receive(found[:10])
        progress(10, len(found))
        if self.kind == "hangs":
            threading.Event().wait()
        receive(found[10:])
        return [answer for _, answer in found]

    def close(self):
        if self.kind == "hangs":
            threading.Event().wait()

def pytest_pluralism_load_model(spec, settings):
    if spec.startswith("ours:"):
        return Slow(spec.removeprefix("ours:"))
"""

TESTS = """
import pytest

@pytest.mark.js_distance("s.jsonl", population="North", at_most=0.9)
def test_one(): ...

@pytest.mark.js_distance("s.jsonl", population="North", at_most=0.8)
def test_two(): ...
"""


@pytest.fixture
def suite(yes_no_suite: Callable[[str, str], pytest.Pytester]) -> pytest.Pytester:
    return yes_no_suite(CONFTEST, TESTS)


@pytest.mark.whole
def test_a_model_that_hangs_ends_the_wait_with_what_was_kept(suite: pytest.Pytester) -> None:
    suite.makeini("[pytest]\npluralism_batch_timeout = 0.5\n")
    common = ("--pluralism-answers=answers", "-s")
    started = time.monotonic()
    result = suite.runpytest("--pluralism-model=ours:hangs", *common, "--pluralism-report=out.json")
    # Each test meets the same error; nobody waits again, nor for the model to close.
    assert time.monotonic() - started < 20
    result.assert_outcomes(failed=2)
    said = "slow gave nothing for 0.5 s (--pluralism-batch-timeout): it hangs"
    text = " ".join(result.stdout.str().split())
    assert text.count("ASKED") == 1
    assert said in text
    asked = int(text.partition("ASKED ")[2].split()[0])
    assert f"10 of {asked} results came before and are kept in the answer store" in text
    assert "Traceback" not in text
    verdicts = json.loads(Path(suite.path / "out.json").read_text(encoding="utf-8"))["verdicts"]
    assert [verdict["outcome"] for verdict in verdicts] == ["error", "error"]
    again = suite.runpytest("--pluralism-model=ours:well", *common)
    again.assert_outcomes(passed=2)
    assert f"ASKED {asked - 10}\n" in again.stdout.str()


def test_without_a_store_that_is_said(suite: pytest.Pytester) -> None:
    result = suite.runpytest("--pluralism-model=ours:hangs", "--pluralism-answers=off", "--pluralism-batch-timeout=0.5")
    assert "are known to this run only" in " ".join(result.stdout.str().split())


@pytest.mark.whole
def test_other_errors_are_told_as_without_a_limit(suite: pytest.Pytester) -> None:
    options = ("--pluralism-answers=off", "--pluralism-batch-timeout=30")
    suite.runpytest("--pluralism-model=ours:well", *options).assert_outcomes(passed=2)
    result = suite.runpytest("--pluralism-model=ours:once", *options)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*slow failed once while it was asked, and gave results when it was asked again*"])


@pytest.mark.parametrize("value", ["-1", "soon", "nan", "inf"])
def test_a_limit_is_a_number_of_seconds(suite: pytest.Pytester, value: str) -> None:
    result = suite.runpytest(f"--pluralism-batch-timeout={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"*--pluralism-batch-timeout must be a number of seconds above 0, or off. Got '{value}'*"]
    )
