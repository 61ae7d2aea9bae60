"""The first screen of a report: whether a model may be released, and why not."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pytest_pluralism.report.cells import shortened
from pytest_pluralism.report.decisions import Judged, decisions, moved_of, source_words
from pytest_pluralism.report.html import report_html
from pytest_pluralism.report.markdown import report_markdown
from pytest_pluralism.report.views import MOST_WITNESS


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
        ([1, 1], "Since the baseline, 2 measures got better."),
        (
            [-1, 0, 1, 1],
            "Since the baseline, 1 measure got worse and 2 got better; 1 did not change beyond its interval.",
        ),
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


def test_the_banner_names_the_worst_question_in_a_few_words(recorded: dict[str, Any]) -> None:
    for text in (report_html(recorded["verdicts"], recorded["run"]), report_markdown(recorded["verdicts"], {})):
        named = re.findall(r"worst on (?:<bdi>)?“([^”]+)”", text)
        assert named
        assert all(len(one) <= MOST_WITNESS for one in named)
    # The beginning that all questions on abortion share says nothing about this one.
    assert "worst on <bdi>“… woman&#39;s own health is seriously endangered" in report_html(
        recorded["verdicts"], recorded["run"]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Is it so?", "Is it so?"),
        ("Should shops be open on Sundays?", "Should shops be open on…"),
        ("Should shops in towns, open now?", "Should shops in towns…"),
        ("一" * 40, "一" * 23 + "…"),
    ],
)
def test_a_long_text_is_cut_after_a_whole_word(text: str, words: str) -> None:
    assert shortened(text, most=24) == words


@pytest.mark.parametrize(
    ("started", "words"),
    [
        ("2026-11-21T08:49:40Z", "21 November 2026, 08:49 UTC"),
        ("yesterday <b>", "yesterday &lt;b&gt;"),
        (5, "5"),
    ],
)
def test_the_start_of_a_run_is_told_as_people_write_it(recorded: dict[str, Any], started: object, words: str) -> None:
    recorded["run"]["started"] = started
    assert f'<p class="muted">{words} · 3 s' in report_html(recorded["verdicts"], recorded["run"])


def test_the_table_names_models_where_there_are_several(recorded: dict[str, Any]) -> None:
    cell = '<td data-name="Model">'
    assert cell in report_html(recorded["verdicts"], recorded["run"])
    one = [verdict for verdict in recorded["verdicts"] if verdict["model"]["name"] == "smollm2-135m-instruct"]
    text = report_html(one, recorded["run"])
    assert cell not in text
    assert "test_<wbr>speaks_<wbr>for_<wbr>both_<wbr>parties_<wbr>alike" in text
    assert "≥&nbsp;-0.15, ≤&nbsp;0.15" in text
