"""The first prompt of a promise, as the model reads it, on the terminal and in the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

CONFTEST = """
import hashlib, math
from pytest_pluralism.core.records import Answer
from pytest_pluralism.models.protocol import ModelIdentity

class Table:
    def __init__(self, name):
        digest = hashlib.sha256(name.encode()).hexdigest()
        self.identity = ModelIdentity(f"ours:{name}", name, digest, "float32", "cpu")

    def answer(self, prompts, *, progress=None):
        return [Answer(tuple(math.log(0.45) for _ in one.labels), 0.9, "A", 0.45) for one in prompts]

    def close(self):
        pass

class Reads(Table):
    def prompt_text(self, prompt):
        return "<s>" + prompt.question + chr(27) + "[31m</s>"

def pytest_pluralism_load_model(spec, settings):
    kind, _, name = spec.partition(":")
    if kind in ("ours", "reads"):
        return (Reads if kind == "reads" else Table)(name)
"""

TEST = """
import pytest

@pytest.mark.js_distance("s.jsonl", population="North", at_most=0.99, confidence_level=None)
def test_one(): ...
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    question = {"question": "Do you like it?", "options": ["Yes", "No"]}
    north = {"population": "North", "probabilities": [0.6, 0.4], "n_respondents": 900}
    lines = [json.dumps({"question_id": f"q{n}", **question, "distributions": [north]}) for n in range(3)]
    Path(pytester.path / "s.jsonl").write_text("\n".join(lines), encoding="utf-8")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_suite=TEST)
    return pytester


def test_a_prompt_is_shown_where_that_is_asked_for(suite: pytest.Pytester) -> None:
    options = ("--pluralism-model=ours:well", "--pluralism-answers=off")
    result = suite.runpytest(*options, "--pluralism-show-prompt")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*pluralism prompt of well: js_distance s.jsonl North*", "Do you like it?", "A. *"])
    assert "prompt of" not in suite.runpytest(*options).stdout.str()


def test_the_report_holds_what_the_model_reads(suite: pytest.Pytester) -> None:
    options = ("--pluralism-model=reads:well", "--pluralism-answers=off", "--pluralism-report=out.json")
    result = suite.runpytest(*options, "--pluralism-show-prompt")
    # Nothing in it that a terminal would obey.
    result.stdout.fnmatch_lines(["<s>Do you like it?", "*\\x1b[[]31m</s>"])
    suite.runpytest(*options)
    prompt = json.loads((suite.path / "out.json").read_text(encoding="utf-8"))["run"]["prompt"]
    assert prompt["of"] == "well: js_distance s.jsonl North"
    assert prompt["text"].startswith("<s>Do you like it?")


@pytest.mark.whole
def test_a_report_has_the_prompt_of_each_unit_once(suite: pytest.Pytester) -> None:
    second = TEST.replace("test_one", "test_two").replace("import pytest", "")
    suite.makepyfile(test_suite=TEST + second)
    report = suite.path / "out.json"
    for options in ((), ("-n", "1")):
        suite.runpytest(
            "--pluralism-model=reads:well", "--pluralism-answers=off", f"--pluralism-report={report}", *options
        ).assert_outcomes(passed=2)
        prompts = json.loads(report.read_text(encoding="utf-8"))["run"]["prompts"]
        assert len(prompts["of"]) == 2
        for key, units in prompts["of"].items():
            assert key.endswith(" js_distance s.jsonl North")
            assert set(units) == {"q0", "q1", "q2"}
            assert all(prompts["texts"][name].startswith("<s>Do you like it?") for name in units.values())


def test_the_prompts_of_recorded_answers_are_called_plain(suite: pytest.Pytester) -> None:
    report = suite.path / "out.json"
    suite.runpytest("--pluralism-model=ours:well", "--pluralism-answers=off", f"--pluralism-report={report}")
    (text, *_) = json.loads(report.read_text(encoding="utf-8"))["run"]["prompts"]["texts"].values()
    assert text.startswith("[as a model without a chat template reads it]\n")
    assert "Do you like it?" in text
