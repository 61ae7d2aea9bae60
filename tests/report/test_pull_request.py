"""The Markdown report as a comment on a pull request: decision, table, folded details, and no more than fits."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from pytest_pluralism.report.markdown import report_markdown

#: GitHub takes no longer comment.
MOST = 65_536


def test_it_says_decision_worst_question_table_and_folded_details(recorded: dict[str, Any]) -> None:
    text = report_markdown(recorded["verdicts"], recorded["run"])
    decision, table, details = (text.index(words) for words in ("Do not release", "| model | measure", "<details>"))
    assert decision < table < details
    # The worst question of a broken promise, with what the model and the people answered.
    assert re.search(r"worst on “[^”]+” \(model \d+ % “Yes”, Democrat \d+ %\)", text.replace("\\", ""))
    head = next(line for line in text.splitlines() if line.startswith("| model | measure"))
    assert head.endswith("| change |")
    assert "+0.000 [" in text[table:details]
    assert text.count("<details>") == text.count("</details>") == 1
    assert "## Warnings" in text[details:]
    assert len(text) < MOST


def test_a_report_without_details_folds_nothing(recorded: dict[str, Any]) -> None:
    plain = {**recorded["verdicts"][0], "warnings": [], "unseen": ""}
    text = report_markdown([plain], {**recorded["run"], "mutants": []})
    assert "| js\\_distance gss |" in text
    assert "details>" not in text


@pytest.mark.whole
def test_a_report_that_would_be_too_long_keeps_what_is_not_kept(survey: Callable[..., dict[str, Any]]) -> None:
    content = survey(n_questions=2, n_groups=400)
    verdicts = content["verdicts"]
    verdicts[300]["outcome"] = "failed"
    text = report_markdown(verdicts, content["run"])
    assert len(text) < MOST
    assert "Group 300" in text
    assert "Group 299" not in text
    assert "Promises that are kept, and all details, are left out here" in text
    assert "2 of 400 promises are broken" in text
    # Where even these are too many, what is left out is counted.
    for one in verdicts:
        one["outcome"] = "failed"
    text = report_markdown(verdicts, content["run"])
    assert len(text) < MOST
    assert re.search(r"\d+ lines more are left out here\.$", text.strip())


@pytest.mark.whole
def test_a_model_that_may_not_be_released_is_not_cut_off(survey: Callable[..., dict[str, Any]]) -> None:
    content = survey(n_questions=2, n_groups=700)
    for number, one in enumerate(content["verdicts"]):
        one["model"] = {**one["model"], "name": f"model {number} {'y' * 60}"}
        one["outcome"] = "passed"
    content["verdicts"][-1]["outcome"] = "failed"
    text = report_markdown(content["verdicts"], content["run"])
    assert len(text) < MOST
    assert "lines more are left out here" in text
    decided = [line for line in text.splitlines() if line.startswith("**")]
    assert "Do not release" in decided[0]
    assert "model 699" in decided[0]
