"""The JSON report keeps its schema, on a real run and on hostile records."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from pytest_pluralism.core.messages import verdict_message
from pytest_pluralism.core.records import (
    Estimate,
    Gate,
    Outcome,
    Provenance,
    ReportEntry,
    Scores,
    UnitScore,
    Verdict,
    Witness,
)
from pytest_pluralism.evaluation.measures.registry import MEASURES
from pytest_pluralism.report.html import report_html
from pytest_pluralism.report.json_report import entry_json, report_json
from pytest_pluralism.report.markdown import report_markdown
from pytest_pluralism.report.terminal import summary_lines

HOSTILE = "\x1b]0;owned\x07<script>alert(1)</script>\u202e" + "x" * 300
MEASURE = MEASURES["js_distance"]


def schema() -> dict[str, Any]:
    text = files("pytest_pluralism.report").joinpath("report.schema.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(content)
    return content


def entry(value: float = 0.4, text: str = "Is it so?") -> ReportEntry:
    units = (
        UnitScore(
            "q1",
            "q1",
            value,
            "Everyone",
            text,
            ("Yes", text),
            (0.75, 0.25),
            (0.5, 0.5),
            0.25,
            100.0,
            {"top_token": text},
        ),
        UnitScore("q2", "q2", 0.25, "Everyone", "And so?", ("Yes", "No"), (0.5, 0.5), (0.5, 0.5), 0.75, 100.0),
    )
    estimate = Estimate(value, 0.25, 0.5, 0.0625, 2, 2)
    return ReportEntry(
        nodeid="test_x.py::test_it[m]",
        test="test_x.py::test_it",
        key="js_distance town Everyone",
        measure=MEASURE,
        dataset="town",
        population="Everyone",
        verdict=Verdict(
            Outcome.FAILED, Gate(at_most=0.125), estimate, witness=Witness("q1", value, text), reason="because"
        ),
        scores=Scores(
            "js_distance",
            units,
            {"uniform": 0.25, "sampling_floor": math.nan},
            {text[:20]: 0.5},
            warnings=(text,),
            details={"matrix": [[value, math.nan]]},
        ),
        provenance=Provenance(
            model={"name": "m", "sha256": "ab" * 32, "dtype": "float32", "device": "cpu", "spec": "m"},
            dataset={"name": "town", "sha256": "cd" * 32},
            settings={"seed": 0},
        ),
    )


RUN = {
    "complete": True,
    "started": "2026-01-01T00:00:00Z",
    "seconds": 1.0,
    "command": "pytest",
    "settings": {},
    "versions": {},
}


@pytest.mark.parametrize("value", [0.4, math.nan, math.inf])
def test_a_report_keeps_its_schema_whatever_the_numbers_are(value: float) -> None:
    text = report_json([entry_json(entry(value, HOSTILE))], RUN)
    assert "NaN" not in text
    assert "Infinity" not in text
    jsonschema.validate(json.loads(text), schema())


@pytest.mark.whole
def test_a_schema_that_refuses_nothing_would_prove_nothing() -> None:
    content = json.loads(report_json([entry_json(entry())], RUN))
    for damage in ({"outcome": "fine"}, {"units": [{"id": 1}]}, {"gate": {}}, {"estimate": {"value": "high"}}):
        broken = {**content, "verdicts": [{**content["verdicts"][0], **damage}]}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema())


def test_the_message_has_the_numbers_first_and_the_command_last() -> None:
    lines = verdict_message(entry()).splitlines()
    assert lines[0] == "0.400 [0.250, 0.500], must be at most 0.125: JS distance to Everyone (town), 95 % interval"
    assert lines[-1] == "  to inspect: pytest --pluralism-report=report.html 'test_x.py::test_it[m]'"
    assert '  worst   q1 "Is it so?" 0.40: model 75 % "Yes", Everyone 50 %' in lines
    assert "  questions 2 in 2 clusters   seed 0   option mass 0.50 (lowest 0.25 on q1)" in lines


def test_nothing_untrusted_reaches_a_terminal_as_it_is() -> None:
    shown = verdict_message(entry(text=HOSTILE)) + "\n".join(
        summary_lines([entry_json(entry(text=HOSTILE))], ["note " + HOSTILE], width=100)
    )
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert max(map(len, shown.splitlines())) < 500


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_table_keeps_to_the_width_of_the_terminal(width: int) -> None:
    lines = list(summary_lines([entry_json(entry())], [], width=width))
    assert max(len(line) for line in lines if "warning" not in line) <= width
    joined = "".join("".join(lines).split())
    assert "FAILED" in joined


def test_two_promises_about_the_same_thing_are_warned_of_once_a_model() -> None:
    one = {**entry_json(entry()), "warnings": ["mind the gap"]}
    two = {**one, "key": one["key"] + " over unsteered", "warnings": ["mind the gap", "and the step"]}
    other = {**two, "model": {**one["model"], "name": "other"}}

    def warnings(*entries):
        return [line for line in summary_lines(entries, [], width=80) if line.startswith("warning")]

    key = one["key"]
    assert warnings(one, two) == [
        f"warning: {key} and 1 more: mind the gap",
        f"warning: {key} over unsteered: and the step",
    ]
    assert warnings(one, other) == [
        f"warning: {one['model']['name']}: {key}: mind the gap",
        f"warning: other: {key} over unsteered: mind the gap",
        f"warning: other: {key} over unsteered: and the step",
    ]


def test_markdown_shows_untrusted_text_as_text() -> None:
    text = report_markdown([entry_json(entry(text="a|b <script> [x](http://y) *z* `w`" + HOSTILE))], RUN)
    assert "<script>" not in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "](http" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    # Every row has as many cells as the heading: nothing in a name opens another one.
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1
    assert "| 0.400 [0.250, 0.500] | ≤ 0.125 | ✗ failed, 1 warning | 0.50 |" in text


def test_a_terminal_gets_colours_for_the_outcomes_and_nothing_else() -> None:
    entries = [entry_json(entry(text=HOSTILE))]
    plain = list(summary_lines(entries, [], width=100))
    coloured = list(summary_lines(entries, [], width=100, color=True))
    escapes = re.findall(r"\x1b\[[\d;]*m", "\n".join(coloured))
    assert "\x1b[1;31m" in escapes
    assert set(escapes) <= {"\x1b[1;31m", "\x1b[1m", "\x1b[0m"}
    assert [re.sub(r"\x1b\[[\d;]*m", "", line).rstrip() for line in coloured] == plain


def test_a_gain_says_what_it_is_over() -> None:
    plain = entry()
    settings = {**plain.provenance.settings, "steering": {"over": "unsteered"}}
    gain = dataclasses.replace(plain, provenance=dataclasses.replace(plain.provenance, settings=settings))
    assert f"{plain.measure.title} over unsteered to" in verdict_message(gain).splitlines()[0]
    assert "over" not in verdict_message(plain).splitlines()[0]
    assert "JS distance over unsteered to" in report_html([entry_json(gain)], RUN)


@pytest.mark.parametrize(
    ("metric", "references", "beside", "told"),
    [
        ("js_distance", {"majority": 0.5, "uniform": 0.25, "shuffle": 0.75}, "uniform 0.25",
         "shuffled 0.75, uniform 0.25, majority 0.50"),
        ("answer_entropy", {"uniform": 1.5, "people": 1.25}, "people 1.25", "people 1.25, uniform 1.50"),
        ("overton_coverage", {"empty": 0.0, "first_50_words": 0.125, "chance": 0.5, "odd_one": 1.0}, "chance 0.50",
         "chance 0.50, first 50 words 0.12, odd one 1.00"),
        ("false_balance", {"coverage": 0.5}, "-", "coverage 0.50"),
    ],
)  # fmt: skip
def test_tables_show_the_references_of_each_measure_in_its_order(
    metric: str, references: dict[str, float], beside: str, told: str
) -> None:
    one = entry()
    assert one.scores is not None
    scores = dataclasses.replace(one.scores, metric=metric, references=references)
    content = [entry_json(dataclasses.replace(one, measure=MEASURES[metric], scores=scores))]
    (row,) = [line for line in summary_lines(content, [], width=200) if "FAILED" in line]
    assert re.split(r"\s{2,}", row.strip())[3] == beside
    (row,) = [
        line
        for line in report_markdown(content, RUN).splitlines()
        if line.startswith(f"| m | {metric}".replace("_", "\\_"))
    ]
    assert row.split(" | ")[7] == told


def test_a_report_without_entries_of_measures_is_read_by_the_registry() -> None:
    content = entry_json(entry())
    del content["measure"]
    assert "uniform 0.25" in report_markdown([content], RUN)
    assert "uniform 0.25" in "".join(summary_lines([content], [], width=200))


def test_who_is_meant_when_nobody_is_named_is_said_by_the_measure() -> None:
    told = {}
    for metric in ("js_distance", "answer_entropy", "jury_welfare"):
        content = entry_json(dataclasses.replace(entry(), measure=MEASURES[metric], population=None))
        (row,) = [line for line in report_markdown([content], RUN).splitlines() if line.startswith("| m |")]
        told[metric] = row.split("|")[3].strip()
        units = {"js_distance": "questions", "answer_entropy": "questions", "jury_welfare": "queries"}[metric]
        assert f"2 {units} in 2 clusters" in report_html([content], RUN)
    assert told == {"js_distance": "every population", "answer_entropy": "", "jury_welfare": ""}


def test_a_promise_about_value_and_change_shows_both_and_names_wrap_between_words() -> None:
    content = entry_json(entry())
    content["gate"] = {"better_than": "uniform", "max_increase": 0.02, "confidence_level": 0.95}
    content["change"] = {**content["estimate"], "value": 0.25, "low": 0.125, "high": 0.375}
    text = "\n".join(summary_lines([content], [], width=80))
    assert "better than uniform,\n" in "\n".join(line.rstrip() for line in text.replace(",  ", ",\n").split("\n"))
    assert "rise ≤ 0.02" in text
    assert "+0.250 [+0.125, +0.375]" in text
    assert "js_distance" in text


def test_a_wide_promise_leaves_the_name_of_its_measure_room() -> None:
    one = {**entry_json(entry()), "outcome": "inconclusive", "gate": {"better_than": "uniform"}, "warnings": ["mind"]}
    one |= {
        "change": {**one["estimate"], "value": -0.0002, "low": -0.0003, "high": 0.1},
        "key": "jury_welfare votes.csv",
    }
    lines = list(summary_lines([{**one, "gate": {**one["gate"], "max_increase": 0.2}}], [], width=80))
    assert max(map(len, lines)) <= 80
    assert any(line.endswith("better than   jury_welfare") for line in lines), lines
    assert any(line.split() == ["+0.000", "[+0.000,", "+0.100]", "uniform,", "votes.csv"] for line in lines), lines
    long = {**one, "key": "trade_off_steerability trade_offs.jsonl"}
    words = [line.split()[-1] for line in summary_lines([long], [], width=80) if line.strip()]
    assert "trade_off_steerability" in words or {"trade_off_", "steerability"} <= set(words)


@pytest.mark.parametrize("width", range(72, 90))
def test_the_name_of_a_measure_breaks_after_an_underscore(width: int) -> None:
    one = {**entry_json(entry()), "outcome": "failed", "gate": {"better_than": "placebo", "at_least": 0.3}}
    one |= {"key": "steering_faithfulness s.jsonl", "warnings": ["mind"]}
    lines = list(summary_lines([one], [], width=width))
    assert max(map(len, lines)) <= width
    table = [line for line in lines if not line.startswith("warning")]
    assert {"steering_faithfulness", "steering_"} & {word for line in table for word in line.split()}, "\n".join(table)
