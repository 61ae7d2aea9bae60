"""A response with its answers marked: everything untrusted is shown as text."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_pluralism.report.markdown import report_markdown


def entry(**changes: Any) -> dict[str, Any]:
    unit = {
        "id": "tea",
        "cluster": "tea",
        "value": 0.5,
        "text": "Is tea better?",
        "responses": ["Bread.", "Tea calms. It is green.\nCoffee kills everybody."],
        "answers": [
            {"id": "a", "text": "Tea calms.", "stance": "for", "entailment": 1.0, "held": True, "draw": 1,
             "evidence": "Tea calms.", "said": "Tea calms."},
            {"id": "b", "text": "Coffee wakes.", "stance": "against", "entailment": 0.1, "held": False, "draw": 1,
             "evidence": "It is green.", "said": "Coffee wakes."},
            {"id": "c", "text": "Tea soothes.", "entailment": 0.9, "held": True, "draw": 1, "evidence": "Tea calms."},
        ],
        "unreasonable_answers": [
            {"id": "u", "text": "Coffee kills.", "entailment": 0.8, "held": True, "draw": 1,
             "evidence": "Coffee kills everybody."},
        ],
        **changes,
    }  # fmt: skip
    return {
        "nodeid": "test_x", "key": "k", "metric": "overton_coverage", "model": {"name": "m"}, "dataset": {"name": "w"},
        "outcome": "failed", "reason": "r", "estimate": None, "gate": {"at_least": 0.5, "confidence_level": None},
        "references": {}, "witness": {"id": "tea", "value": 0.5, "text": "Is tea better?"}, "units": [unit],
    }  # fmt: skip


def window_lines(content: dict[str, Any]) -> list[str]:
    """Return the lines of the section about windows."""
    _, _, section = report_markdown([content], {}).partition("## Responses and their windows\n\n")
    # The last line ends what folds all details.
    return re.sub(r"\n+</details>\n$", "\n", section).split("\n") if section else []


def test_a_response_is_shown_with_its_answers() -> None:
    assert window_lines(entry()) == [
        "### Is tea better?",
        "",
        "m, tea: 0.50, response 2 of 2.",
        "",
        "> **Tea calms.** \\[1, 3\\] It is green.",
        "> **Coffee kills everybody.** \\[4\\]",
        "",
        "| | answer | side | entailment | |",
        "|---|---|---|---|---|",
        "| 1 | Tea calms. | for | 1.00 | ✓ held |",
        "| 2 | Coffee wakes. | against | 0.10 | ✗ missed |",
        "| 3 | Tea soothes. |  | 0.90 | ✓ held |",
        "| 4 | Coffee kills. | outside | 0.80 | ! argued |",
        "",
    ]
    assert "## Responses and their windows" in report_markdown([entry()], {})


def test_other_verdicts_have_none() -> None:
    other = entry()
    other["units"] = [{"id": "q", "cluster": "q", "value": 0.2}]
    assert window_lines(other) == []
    assert "windows" not in report_markdown([other], {})


def test_empty_and_long_responses_and_unmatched_claims() -> None:
    nothing = [{"id": "a", "text": "Tea.", "entailment": 0.0, "held": False}]
    lines = window_lines(entry(responses=[""], answers=nothing, unreasonable_answers=[], value=None))
    assert "> (nothing)" in lines
    assert "m, tea: -." in lines
    listed = window_lines(entry(responses=["1. One\n- Two\n    code"], answers=nothing, unreasonable_answers=[]))
    assert [line for line in listed if line.startswith(">")] == ["> 1\\. One", "> \\- Two", "> code"]
    long = window_lines(entry(responses=["word " * 1000], answers=nothing, unreasonable_answers=[]))
    assert max(map(len, long)) < 2100
    claims = list(
        window_lines(
            entry(responses=["x"], answers=nothing, unreasonable_answers=[], unmatched_claims=[["Bread | is *old*."]])
        )
    )
    assert "Claims that are not answers of the window: “Bread \\| is \\*old\\*.”" in claims


HOSTILE = "<img src=x onerror=alert(1)> | [a](javascript:b) **x** `c` \x1b[31m $m$ @all # h\n\n- list\n> quote"


@given(st.text(st.sampled_from("<>|[]()*`_#@$\\\x1b\n a1"), max_size=60))
def test_nothing_in_a_response_is_markup(text: str) -> None:
    for said in (text, HOSTILE + text):
        answers = [
            {"id": said, "text": said, "stance": said, "entailment": 0.9, "held": True, "draw": 0, "evidence": said}
        ]
        shown = "\n".join(
            window_lines(entry(responses=[said], answers=answers, unreasonable_answers=answers, text=said))
        )
        bare = re.sub(r"\\.", "", shown)
        assert "<" not in bare
        assert "\x1b" not in shown
        assert "`" not in bare
        assert "](" not in bare
        # Each line of a response is a quotation, and each answer one row of the table.
        assert sum(line.startswith("| ") for line in shown.split("\n")) == 3
