"""The first screen of a report: whether a model may be released, and why not."""

from __future__ import annotations

import pytest

from pytest_pluralism.report.decisions import Judged, decisions, moved_of, source_words


def judged(
    outcome: str, number: int = 1, *, model: str = "ours", moved: int | None = None, warned: bool = False
) -> Judged:
    return Judged(number, model, outcome, f"promise {number}", "0.3", "≤ 0.1", has_warnings=warned, moved=moved)


def headline(*outcomes: str, complete: bool = True, lets_pass: bool = False) -> str:
    made = [judged(outcome, number) for number, outcome in enumerate(outcomes, 1)]
    (decision,) = decisions(made, complete=complete, lets_pass=lets_pass)
    return decision.headline


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        (["passed", "passed"], "May be released: all 2 promises are kept"),
        (["passed"], "May be released: the only promise is kept"),
        (["passed", "failed", "failed"], "Do not release: 2 of 3 promises are broken"),
        (["inconclusive", "failed"], "Do not release: 1 of 2 promises is broken"),
        (["inconclusive", "passed"], "Do not release: 1 of 2 promises is too close to call"),
        (["failed"], "Do not release: the only promise is broken"),
        (["error", "inconclusive"], "Do not release: 1 of 2 promises is not computed"),
    ],
)
def test_the_worst_outcome_decides(outcomes: list[str], words: str) -> None:
    assert headline(*outcomes) == words


def test_a_run_that_did_not_end_releases_nothing() -> None:
    (decision,) = decisions([judged("passed")], complete=False)
    assert decision.headline.startswith("Do not release: the run did not come to its end")
    assert decision.outcome != "passed"


def test_a_test_that_failed_beside_the_promises_releases_nothing() -> None:
    (decision,) = decisions([judged("passed")], complete=True, failed_tests=1)
    words = "Do not release: another test of the run failed; the only promise is kept"
    assert (decision.headline, decision.outcome) == (words, "failed")
    (decision,) = decisions([judged("failed")], complete=True, failed_tests=2)
    assert decision.headline == "Do not release: the only promise is broken"
    (decision,) = decisions([judged("inconclusive")], complete=True, lets_pass=True, failed_tests=2)
    assert decision.headline.startswith("Do not release: 2 other tests of the run failed; no promise is broken; the")


def test_undecided_promises_that_a_run_lets_pass_are_counted() -> None:
    words = headline("inconclusive", "passed", lets_pass=True)
    assert words == "No promise is broken; 1 of 2 promises is too close to call, which this run lets pass"
    assert headline("failed", lets_pass=True).startswith("Do not release")


def test_each_model_has_its_own_decision() -> None:
    made = decisions([judged("failed", 1, model="a"), judged("passed", 2, model="b")], complete=True)
    assert [(one.model, one.outcome) for one in made] == [("a", "failed"), ("b", "passed")]


def test_the_worst_reasons_come_first_and_the_rest_are_counted() -> None:
    outcomes = ["inconclusive", "inconclusive", "failed", "error", "passed"]
    (decision,) = decisions([judged(outcome, n) for n, outcome in enumerate(outcomes, 1)], complete=True)
    assert [one.number for one in decision.reasons] == [3, 4, 1]
    assert decision.left_out == 1


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        ([], ""),
        ([None], ""),
        ([0, 0], "Since the baseline, no measure has changed beyond its interval."),
        ([-1, 0, 1, 1], "Since the baseline, 1 got worse and 2 got better; 1 did not change beyond its interval."),
    ],
)
def test_changes_since_the_baseline_are_counted(moved: list[int | None], words: str) -> None:
    made = [judged("passed", number, moved=one) for number, one in enumerate(moved or [None], 1)]
    (decision,) = decisions(made, complete=True)
    assert decision.changes == words


def test_warnings_are_counted() -> None:
    (decision,) = decisions([judged("passed", warned=True), judged("passed", 2)], complete=True)
    assert decision.warnings == "1 promise carries a warning."


@pytest.mark.parametrize(
    ("low", "high", "direction", "moved"),
    [
        (0.01, 0.02, "lower", -1),
        (0.01, 0.02, "higher", 1),
        (-0.02, -0.01, "lower", 1),
        (-0.01, 0.02, "lower", 0),
        (None, None, "lower", None),
    ],
)
def test_a_change_is_better_or_worse_by_its_interval(
    low: float | None, high: float | None, direction: str, moved: int | None
) -> None:
    assert moved_of({"change": {"value": 0.0, "low": low, "high": high}, "direction": direction}) == moved


def test_only_web_addresses_become_links() -> None:
    run = {"source": {"commit": "a" * 40, "dirty": True, "job": "javascript:alert(1)", "actor": "ann"}}
    assert list(source_words(run)) == [
        ("commit", "aaaaaaaaaaaa with uncommitted changes", ""),
        ("job", "javascript:alert(1)", ""),
        ("run by", "ann", ""),
    ]
