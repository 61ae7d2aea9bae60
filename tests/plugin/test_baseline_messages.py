"""The messages around a baseline: a first result is stored, and results of another name are named."""

from __future__ import annotations

import json

import pytest

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population=["North", "South"], max_increase=0.02)
def test_nobody_is_lost(): ...
"""


def run(project: pytest.Pytester, name: str, *options: str) -> pytest.RunResult:
    return project.runpytest_inprocess(
        f"--pluralism-model=table:{name}", "--pluralism-health=warn", "--pluralism-report=out.md",
        "--pluralism-report=out.json", *options
    )  # fmt: skip


@pytest.fixture
def stored(project: pytest.Pytester) -> pytest.RunResult:
    """Return the run that stores the first results of run-7."""
    project.makepyfile(test_town=BODY)
    return run(project, "run-7", "--pluralism-update-baseline")


@pytest.mark.whole
def test_a_first_result_is_stored_and_not_called_passed(project: pytest.Pytester, stored: pytest.RunResult) -> None:
    stored.assert_outcomes(passed=1)
    stored.stdout.fnmatch_lines(["*test_town.py::test_nobody_is_lost", "* STORED *rise*0.02*js_distance*"])
    stored.stdout.no_fnmatch_line("* PASSED *js_distance*")
    text = (project.path / "out.md").read_text()
    assert "Stored as the baseline: 2 of 2 promises have nothing to be compared with yet" in text
    assert "May be released" not in text
    entries = json.loads((project.path / "out.json").read_text())["verdicts"]
    # The record says it as a fact, and its outcome is one that every reader of reports knows.
    assert {(one["outcome"], one["baseline"]["stored"]) for one in entries} == {("passed", True)}
    assert run(project, "run-7").stdout.fnmatch_lines(["* PASSED *rise*0.02*"]) is None


@pytest.mark.whole
def test_results_under_another_name_are_named_with_the_option(
    project: pytest.Pytester, stored: pytest.RunResult
) -> None:
    result = run(project, "run-8")
    result.assert_outcomes(failed=1)
    option = "--pluralism-baseline-model=run-7"
    result.stdout.fnmatch_lines(
        [f"*run-8.json does not exist. pluralism-baselines holds results of run-7; to compare*, add {option}.*"]
    )
    # As it is said, it works.
    run(project, "run-8", option).assert_outcomes(passed=1)


@pytest.mark.whole
def test_the_nearest_of_many_names_is_proposed(project: pytest.Pytester, stored: pytest.RunResult) -> None:
    for name in ("alpha", "beta", "gamma", "delta", "omega"):
        run(project, name, "--pluralism-update-baseline")
    words = run(project, "run_7").stdout.str()
    assert "holds results of alpha, beta, delta, gamma, omega and 1 more" in words
    assert "add --pluralism-baseline-model=run-7." in words


def test_a_problem_of_many_tests_is_one_line(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_town='import pytest\n\n@pytest.mark.parametrize("n", range(50))\n'
        '@pytest.mark.js_distance("town.jsonl", population="North", at_mots=0.4)\ndef test_it(n): ...\n'
    )
    result = project.runpytest_inprocess("--collect-only", "--pluralism-model=table:plain")
    lines = [line for line in result.outlines if line.startswith("pluralism: ERROR")]
    # Two kinds of problem, each told once.
    assert len(lines) == 2
    assert all("test_town.py::test_it[" in line and " and 49 more: " in line for line in lines)
    assert "'at_mots'" in lines[0]
    assert "no promise" in lines[1]
