"""The anchor of a baseline in runs: drift that every release hides, moving it, looks, and equivalence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., pytest.RunResult]

BODY = """
    import pytest

    @pytest.mark.js_distance("town.jsonl", population="North", {promise})
    def test_north(): ...
"""


@pytest.fixture
def run(project: pytest.Pytester) -> Run:
    project.makepyfile(test_town=BODY.format(promise="max_increase=0.02, confidence_level=None"))

    def run(*args: str, model: str = "table:plain") -> pytest.RunResult:
        options = (f"--pluralism-model={model}", "--pluralism-report=out.json", "--pluralism-baseline=base.json")
        return project.runpytest_inprocess(*options, *args)

    return run


def stored(project: pytest.Pytester) -> dict[str, Any]:
    (found,) = json.loads((project.path / "base.json").read_text(encoding="utf-8"))["entries"].values()
    entry: dict[str, Any] = found
    return entry


def verdict(project: pytest.Pytester) -> dict[str, Any]:
    (found,) = json.loads((project.path / "out.json").read_text(encoding="utf-8"))["verdicts"]
    one: dict[str, Any] = found
    return one


def drifted(project: pytest.Pytester, run: Run, *, most: int = 12) -> tuple[list[str], str]:
    """Release the model a little sharper each time, each release stored when it passed; return what became of them."""
    run("--pluralism-update-baseline").assert_outcomes(passed=1)
    outcomes, sharpness = [], 1.0
    for _ in range(most):
        sharpness *= 1.06
        model = f"table:plain*{sharpness:.3f}"
        passed = run(model=model).parseoutcomes().get("passed", 0)
        outcomes.append("passed" if passed else verdict(project)["outcome"])
        if not passed:
            break
        run("--pluralism-update-baseline", model=model).assert_outcomes(passed=1)
    return outcomes, model


@pytest.mark.whole
def test_a_drift_in_small_steps_fails_against_the_anchor(project: pytest.Pytester, run: Run) -> None:
    outcomes, model = drifted(project, run)
    assert outcomes[-1] == "failed"
    assert len(outcomes) > 2
    found = verdict(project)
    # Against the last release alone it would pass, and the message says which of the two broke.
    assert found["change"]["value"] <= 0.02 < found["drift"]["value"]
    assert found["reason"].startswith("the change from the anchor is")
    assert found["baseline"]["anchor"]["estimate"]["value"] < found["baseline"]["estimate"]["value"]
    result = run(model=model)
    result.stdout.fnmatch_lines(["*change of JS distance to North*; from the anchor +0.0*"])
    result.stdout.fnmatch_lines(["*the change from the anchor is * and must be at most 0.02*"])
    # An update stores the release and does not accept the drift, although health checks are warnings here.
    run("--pluralism-update-baseline", model=model).assert_outcomes(failed=1)
    assert (verdict(project)["outcome"], "change" in verdict(project)) == ("failed", False)
    run(model=model).assert_outcomes(failed=1)
    # A person who wants the drift says so, and why.
    reason = "the survey was asked anew"
    moved = run("--pluralism-move-anchor=all", f"--pluralism-anchor-reason={reason}", model=model)
    moved.assert_outcomes(passed=1)
    moved.stdout.fnmatch_lines(["*anchors moved: 1 of plain*"])
    entry = stored(project)
    assert (entry["anchor"]["moved"]["reason"], entry["looks"]) == (reason, 0)
    assert len(entry["anchor"]["moved"]["date"]) == len("2026-01-01")
    run(model=model).assert_outcomes(passed=1)


@pytest.mark.whole
@pytest.mark.parametrize("health", ["fail", "warn"])
def test_an_update_that_drifts_from_the_anchor_fails(project: pytest.Pytester, run: Run, health: str) -> None:
    """A pipeline that stores every release without comparing sees the drift, whatever it makes of health checks."""
    options = (f"--pluralism-health={health}", "--pluralism-suppress-health-check=low_option_mass")
    run("--pluralism-update-baseline", *options).assert_outcomes(passed=1)
    run("--pluralism-update-baseline", *options).assert_outcomes(passed=1)
    assert verdict(project)["reason"] == "stored as the baseline"
    result = run("--pluralism-update-baseline", *options, model="table:plain*3")
    result.assert_outcomes(failed=1)
    found = verdict(project)
    assert found["outcome"] == "failed"
    assert found["reason"].startswith("the change from the anchor is 0.")
    result.stdout.fnmatch_lines(
        [
            "+0.* from the anchor, may rise by at most 0.020*",
            "*to accept the drift: pytest *--pluralism-move-anchor='test_town.py::test_north*",
        ]
    )
    # It is stored all the same, and moving the anchor accepts it.
    assert stored(project)["estimate"]["value"] == found["estimate"]["value"]
    run("--pluralism-move-anchor=all", *options, model="table:plain*3").assert_outcomes(passed=1)
    run("--pluralism-update-baseline", *options, model="table:plain*3").assert_outcomes(passed=1)


@pytest.mark.whole
def test_an_uncertain_drift_of_an_update_is_inconclusive(project: pytest.Pytester, run: Run) -> None:
    project.makepyfile(test_town=BODY.format(promise="max_increase=0.02, max_unit_increase=0.5, at_most=0.9"))
    run("--pluralism-update-baseline").assert_outcomes(passed=1)
    run("--pluralism-update-baseline", model="table:plain*1.1").assert_outcomes(failed=1)
    assert verdict(project)["outcome"] == "inconclusive"
    assert verdict(project)["reason"].startswith("the change from the anchor is")
    lenient = ("--pluralism-update-baseline", "--pluralism-inconclusive=skip")
    run(*lenient, model="table:plain*1.1").assert_outcomes(skipped=1)
    run(*lenient, model="table:plain*40").assert_outcomes(failed=1)
    assert verdict(project)["outcome"] == "failed"


def test_a_first_look_spends_a_part_of_the_error(project: pytest.Pytester, run: Run) -> None:
    """A run that stores nothing is counted nowhere, so that every one of them is the first look."""
    project.makepyfile(test_town=BODY.format(promise="max_increase=0.0"))
    run("--pluralism-update-baseline").assert_outcomes(passed=1)
    run(model="table:plain*40").assert_outcomes(failed=1)
    assert verdict(project)["looks"] == 5.0


@pytest.mark.whole
def test_a_margin_of_its_own_for_the_drift(project: pytest.Pytester, run: Run) -> None:
    project.makepyfile(test_town=BODY.format(promise="max_increase=0.02, max_drift=0.9, confidence_level=None"))
    assert set(drifted(project, run, most=4)[0]) == {"passed"}
    project.makepyfile(test_town=BODY.format(promise="max_increase=0.9, max_drift=0.001, confidence_level=None"))
    run(model="table:plain*1.9").assert_outcomes(failed=1)
    assert verdict(project)["reason"].startswith("the change from the anchor is")


@pytest.mark.whole
@pytest.mark.parametrize("population", ["North", "worst"])
def test_the_margin_of_the_drift_is_judged_while_the_entry_is_its_own_anchor(
    project: pytest.Pytester, run: Run, population: str
) -> None:
    body = BODY.replace("North", population)
    project.makepyfile(test_town=body.format(promise="max_increase=0.9, max_drift=0.001, confidence_level=None"))
    run("--pluralism-update-baseline").assert_outcomes(passed=1)
    run().assert_outcomes(passed=1)
    run(model="table:plain*40").assert_outcomes(failed=1)
    assert verdict(project)["reason"].startswith("the change from the anchor is")


@pytest.mark.whole
def test_one_comparison_with_an_entry_that_is_its_own_anchor_counts_once(project: pytest.Pytester, run: Run) -> None:
    """Of the worst group as of one: its p-value is not multiplied, and its reason is given once."""
    project.makepyfile(test_town=BODY.replace("North", "worst").format(promise="max_increase=0.02"))
    run("--pluralism-update-baseline").assert_outcomes(passed=1)
    run("--pluralism-looks=each", model="table:plain*40").assert_outcomes(failed=1)
    assert verdict(project)["outcome"] == "failed"
    assert "anchor" not in verdict(project)["reason"]


@pytest.mark.whole
def test_only_the_named_anchor_is_moved(project: pytest.Pytester, run: Run) -> None:
    run("--pluralism-update-baseline").assert_outcomes(passed=1)
    wrong = run("--pluralism-move-anchor=test_town.py::test_nrth")
    assert "--pluralism-move-anchor=test_town.py::test_nrth names no test" in wrong.stderr.str() + wrong.stdout.str()
    wrong = run("--pluralism-move-anchor=better")
    assert "--pluralism-move-anchor must be all or a test" in wrong.stderr.str()
    named = run("--pluralism-move-anchor=test_town.py::test_north", model="table:plain*1.5")
    named.assert_outcomes(passed=1)
    named.stdout.fnmatch_lines(["*anchors moved: 1 of plain; no reason is kept (--pluralism-anchor-reason*"])
    assert stored(project)["anchor"]["moved"]["reason"] is None


@pytest.mark.whole
def test_an_anchor_that_was_asked_otherwise_is_told(project: pytest.Pytester, run: Run) -> None:
    run("--pluralism-update-baseline").assert_outcomes(passed=1)
    run("--pluralism-update-baseline", "--pluralism-seed=1").assert_outcomes(passed=1)
    result = run("--pluralism-seed=1", "--pluralism-health=fail", "--pluralism-suppress-health-check=low_option_mass")
    result.assert_outcomes(failed=1)
    assert verdict(project)["outcome"] == "inconclusive"
    words = verdict(project)["reason"]
    assert "health anchor_differs: the drift from the anchor is not known" in words
    assert "seed was 0, is 1" in words
    assert "--pluralism-move-anchor='test_town.py::test_north" in words
    run("--pluralism-move-anchor=all", "--pluralism-seed=1").assert_outcomes(passed=1)
    run("--pluralism-seed=1", "--pluralism-health=fail").assert_outcomes(passed=1)


@pytest.mark.whole
def test_looks_at_one_baseline_are_counted_and_planned(project: pytest.Pytester, run: Run) -> None:
    project.makepyfile(test_town=BODY.format(promise="max_increase=0.0"))
    run("--pluralism-update-baseline").assert_outcomes(passed=1)
    for number, sharpness in enumerate((0.999, 0.998), start=1):
        run("--pluralism-update-baseline=better", model=f"table:plain*{sharpness}")
        assert stored(project)["looks"] == number
    run(model="table:plain*40")
    assert verdict(project)["looks"] == 9.0
    run("--pluralism-looks=50", model="table:plain*40")
    assert verdict(project)["looks"] == 50.0
    run("--pluralism-looks=each", model="table:plain*40")
    assert "looks" not in verdict(project)
    assert "must be counted, each or a whole number" in run("--pluralism-looks=none").stderr.str()


@pytest.mark.whole
def test_equivalence_is_a_promise_of_its_own(project: pytest.Pytester, run: Run) -> None:
    project.makepyfile(test_town=BODY.format(promise="max_change=0.01, confidence_level=None"))
    run("--pluralism-update-baseline").assert_outcomes(passed=1)
    run().assert_outcomes(passed=1)
    rose = run(model="table:plain*40")
    rose.assert_outcomes(failed=1)
    rose.stdout.fnmatch_lines(["*may change by at most 0.010 either way*"])
    # A better model is another model, too.
    run(model="table:plain*0.3").assert_outcomes(failed=1)
    assert verdict(project)["change"]["value"] < -0.01
    assert verdict(project)["gate"] == {"max_change": 0.01, "confidence_level": None}
