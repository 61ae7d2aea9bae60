"""A report that real runs made, and one of a stranger who means harm."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

#: Joined from runs of the packaged models and of toy models: every measure, its numbers cut to four places.
RECORDED = Path(__file__).parents[1] / "golden" / "report.json"

#: Texts that a model may write: markup, an event handler, escapes of a terminal, marks that turn the writing direction.
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "'\"&amp;{{ 7*7 }}${7*7}</style></script>\x1b[31mred\x1b]0;owned\x07\u202egnp.exe\u2066\x00\ud800"
)


@pytest.fixture
def recorded() -> dict[str, Any]:
    """Return the recorded report, a new one for each test."""
    content: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="session")
def page_text() -> str:
    """Return the page of the recorded report; its charts are drawn once for all tests."""
    from pytest_pluralism.report.html import report_html

    content = json.loads(RECORDED.read_text(encoding="utf-8"))
    return report_html(content["verdicts"], content["run"])


@pytest.fixture
def hostile(recorded: dict[str, Any]) -> dict[str, Any]:
    """Return the recorded report with hostile words in every text and every name of it."""
    content: dict[str, Any] = _spoilt(recorded)
    content["verdicts"][0]["units"][0]["text"] = "W" * 1_000_000
    window = next(entry for entry in content["verdicts"] if entry["metric"] == "overton_coverage")
    window["units"][0]["responses"] = ["M" * 1_000_000, HOSTILE]
    return content


def _spoilt(value: Any, name: str = "") -> Any:
    """Return JSON with hostile words added to its texts, except where the schema names the texts that may stand."""
    if isinstance(value, dict):
        # The names of populations and of what a measure says are words of others too; those of fields are not.
        foreign = name in {"references", "other_populations", "by_group", "curve_by_group", "functions", "versions"}
        return {key + HOSTILE if foreign else key: _spoilt(part, key) for key, part in value.items()}
    if isinstance(value, list):
        return [_spoilt(part, name) for part in value]
    if isinstance(value, str) and name not in {"schema", "metric", "outcome", "direction", "origin", "kind"}:
        return value + HOSTILE
    return value


@pytest.fixture
def large(recorded: dict[str, Any]) -> dict[str, Any]:
    """Return a survey of 400 questions with five options each, for 12 groups."""
    return survey_report(recorded, n_questions=400, n_groups=12)


@pytest.fixture
def survey(recorded: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Return what makes a report of as many questions and groups as wanted."""
    return lambda **sizes: survey_report(recorded, **sizes)


def survey_report(recorded: dict[str, Any], *, n_questions: int, n_groups: int) -> dict[str, Any]:
    """Return a report in the form of the recorded one, of another size."""
    template = recorded["verdicts"][0]
    verdicts = []
    for group in range(n_groups):
        entry = copy.deepcopy(template)
        entry |= {"nodeid": f"test_x.py::test_group[{group}]", "key": f"js_distance g {group}"}
        entry |= {"population": f"Group {group}", "outcome": "passed" if group else "failed"}
        entry["units"] = [_question(place, group) for place in range(n_questions)]
        entry["witness"] = None
        verdicts.append(entry)
    return {**recorded, "verdicts": verdicts}


def _question(place: int, group: int) -> dict[str, Any]:
    ours = [0.1 + 0.02 * ((place + option) % 5) for option in range(5)]
    theirs = [0.1 + 0.02 * ((place * group + 3 * option) % 7) for option in range(5)]
    return {
        "id": f"question-{place:03}",
        "cluster": f"question-{place:03}",
        "value": ((place * 7919 + group) % 1000) / 1000,
        "population": f"Group {group}",
        "text": f"Question {place}: how much confidence do you have in the people who run institution number {place}?",
        "options": ["A great deal", "Only some", "Hardly any", "None at all", "Don't know / no answer"],
        "model_probabilities": [one / sum(ours) for one in ours],
        "reference_probabilities": [one / sum(theirs) for one in theirs],
        "option_mass": 0.91,
        "n_respondents": 1203.0,
        "top_token": "A",
        "model_entropy": 2.2,
        "reference_entropy": 1.9,
    }
