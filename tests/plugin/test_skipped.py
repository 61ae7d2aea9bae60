"""Tests that do not run count neither in the adjustment for several promises nor in what is asked of a model."""

from __future__ import annotations

import json

import pytest

OTHERS = """

@pytest.mark.{mark}
@pytest.mark.parametrize("number", range(10))
@pytest.mark.js_distance("town.jsonl", population="South", at_most=0.99, seed=3)
def test_{name}(number): ...
"""

NOT_RUN = {
    "skip": 'skip(reason="not now")',
    "skipif": 'skipif(True, reason="no network")',
    "skipif_words": 'skipif("os.name != \'none\'", reason="none")',
    "xfail": "xfail(run=False)",
    "xfail_condition": 'xfail(condition=True, reason="crashes", run=False)',
}


def outcome(project: pytest.Pytester, bound: float, others: str, *options: str) -> tuple[str, str]:
    body = f'import os\nimport pytest\n\n@pytest.mark.js_distance("town.jsonl", population="North", at_most={bound})\n'
    project.makepyfile(test_gate=body + "def test_just_broken(): ...\n" + others)
    result = project.runpytest_inprocess("--pluralism-model=table:m", "--pluralism-report=out.json", "-s", *options)
    verdicts = json.loads((project.path / "out.json").read_text())["verdicts"]
    return next(one["outcome"] for one in verdicts if "just_broken" in one["nodeid"]), result.stdout.str()


@pytest.fixture
def bound(project: pytest.Pytester) -> float:
    """A bound that one promise breaks alone, and that eleven explain."""
    outcome(project, 0.0001, "")
    (verdict,) = json.loads((project.path / "out.json").read_text())["verdicts"]
    return float(verdict["estimate"]["low"]) * 0.999


@pytest.mark.whole
def test_promises_of_tests_that_do_not_run_do_not_count(project: pytest.Pytester, bound: float) -> None:
    others = "".join(OTHERS.format(mark=mark, name=name) for name, mark in NOT_RUN.items())
    found, printed = outcome(project, bound, others)
    assert found == "failed"
    # Nor is asked what they would have asked, under their seed.
    assert printed.count("ASKED 72") == printed.count("ASKED") == 1


@pytest.mark.whole
@pytest.mark.parametrize("mark", ["xfail", 'xfail(False, run=False, reason="")', "xfail_run"])
def test_promises_of_tests_that_run_count(project: pytest.Pytester, bound: float, mark: str) -> None:
    options = ["--runxfail"] if mark == "xfail_run" else []
    others = OTHERS.format(mark="xfail(run=False)" if options else mark, name="other")
    found, _ = outcome(project, bound, others, *options)
    assert found == "inconclusive"


@pytest.mark.whole
def test_a_condition_that_cannot_be_evaluated_is_the_error_of_its_test(project: pytest.Pytester, bound: float) -> None:
    found, printed = outcome(project, bound, OTHERS.format(mark='skipif("nonexistent", reason="x")', name="other"))
    assert found == "failed"
    assert "10 errors" in printed
    verdicts = json.loads((project.path / "out.json").read_text())["verdicts"]
    assert [one["outcome"] for one in verdicts].count("error") == 10
