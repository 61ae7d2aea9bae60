"""No form of a report shows two different names that look the same without saying so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.cli import main
from pytest_pluralism.report.alike import alike_lines, told_apart
from pytest_pluralism.report.annotations import code_quality_json, github_commands
from pytest_pluralism.report.html import report_html
from pytest_pluralism.report.markdown import report_markdown
from pytest_pluralism.report.terminal import summary_lines

SAID = "looks like 'gpt' and is another one (U+0440)"


def verdict(model: str = "gpt", population: str = "North", **given: Any) -> dict[str, Any]:
    estimate = {"value": 0.2, "low": 0.1, "high": 0.3, "standard_error": 0.05, "n": 2, "n_clusters": 2}
    return {
        "nodeid": f"test_gate.py::test_it[{population.encode('unicode_escape').decode()}]",
        "test": "test_gate.py::test_it",
        "key": f"js_distance town.jsonl {population}",
        "metric": "js_distance",
        "direction": "lower",
        "model": {"name": model, "spec": model, "sha256": "0" * 64, "dtype": "float32", "device": "cpu"},
        "dataset": {"name": "town.jsonl", "sha256": "1" * 64},
        "population": population,
        "outcome": "passed",
        "reason": "",
        "estimate": {**estimate, "confidence_level": 0.95},
        "gate": {"at_most": 0.4, "confidence_level": 0.95},
        "settings": {},
        "references": {"uniform": 0.5},
        "witness": None,
        "warnings": [],
        "units": [{"id": "q1", "cluster": "q1", "value": 0.2, "text": "So?", "options": ["Yes", "No"]}],
        **given,
    }


def forms(entries: list[dict[str, Any]]) -> dict[str, str]:
    return {
        "terminal": "\n".join(summary_lines(entries, [], width=100)),
        "markdown": report_markdown(entries, {}).replace("\\", ""),
        "html": report_html(entries, {}).replace("&#39;", "'"),
        "GitHub": "\n".join(github_commands(entries, {})),
        "GitLab": code_quality_json(entries, {}),
    }


@pytest.mark.parametrize("form", ["terminal", "markdown", "html", "GitHub", "GitLab"])
def test_models_that_look_the_same_are_told_of(form: str) -> None:
    text = forms([verdict(), verdict("g\u0440t")])[form]
    assert SAID in text
    assert "ames that look the same" not in forms([verdict(), verdict("gpt-2")])[form]


def test_each_kind_of_name_is_looked_at() -> None:
    units = [
        {"id": "q1", "options": ["Yes", "Ye\u0455"]},
        {"id": "q1 ", "cluster": "c"},
        {"id": "q2", "cluster": "\u0441"},
    ]
    details = {"groups": {"old": 0.1, "\u043eld": 0.2}, "rows": [{"juror": "ana"}, {"juror": "an\u0430"}]}
    entries = [
        verdict(units=units, details=details, dataset={"name": "a.jsonl"}),
        verdict(
            population="Nor\u200bth", dataset={"name": "\u0430.jsonl"}, other_populations={"South": 1, "\uff33outh": 2}
        ),
    ]
    kinds = {line.partition(" '")[0] for line in alike_lines(entries)}
    assert kinds == {"option", "unit", "cluster", "group", "juror", "data set", "population"}


def test_names_that_are_cut_to_the_same_are_shown_whole() -> None:
    long = "the-same-beginning-of-many-checkpoints"
    shown = told_apart([f"{long}-v1", f"{long}-v2", "x" * 40], most=32)
    assert shown[f"{long}-v1"] == f"{long}-v1"
    assert shown["x" * 40].endswith("…")
    lines = list(summary_lines([verdict(f"{long}-v1"), verdict(f"{long}-v2")], [], width=100))
    assert f"{long}-v1" in lines
    assert f"{long}-v2" in lines


def test_many_pairs_are_counted() -> None:
    entries = [verdict(units=[{"id": f"q{n}{end}"} for n in range(30) for end in ("", " ")])]
    lines = alike_lines(entries)
    assert len(lines) == 11
    assert lines[-1] == "20 more names look like another unit"


def test_commands_tell_of_them_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for name in ("gpt", "g\u0440t"):
        path = tmp_path / f"{len(paths)}.json"
        run = {"complete": True, "started": "2026-01-01T00:00:00Z", "seconds": 1, "command": "pytest"}
        run |= {"settings": {}, "versions": {}}
        content = {"schema": "pytest-pluralism/report/1", "run": run, "verdicts": [verdict(name)]}
        path.write_text(json.dumps(content), encoding="utf-8")
        paths.append(str(path))
    main(["leaderboard", *paths])
    assert SAID in capsys.readouterr().out
    main(["compare", *paths])
    assert SAID in capsys.readouterr().out
