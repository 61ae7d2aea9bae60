"""The Markdown report: one table of verdicts with their references, for a job summary or a README."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_pluralism.core.messages import printable
from pytest_pluralism.report.cells import interval_cell, promise_cell
from pytest_pluralism.report.juries import jury_lines
from pytest_pluralism.report.steering import quirk_lines, steering_lines
from pytest_pluralism.report.windows import markdown_text as _text
from pytest_pluralism.report.windows import window_lines

__all__ = ["report_markdown"]

_SIGNS = {"passed": "✓ passed", "failed": "✗ failed", "inconclusive": "? inconclusive", "error": "! error"}

_COLUMNS = (
    "model",
    "measure",
    "population",
    "value [interval]",
    "promise",
    "outcome",
    "option mass",
    "human floor",
    "uniform",
    "shuffled",
    "nearest other population",
)


def report_markdown(entries: Iterable[Mapping[str, Any]], run: Mapping[str, Any], /) -> str:
    """Return the text of a report: a heading, a row a verdict, and what must be said of single rows.

    Whatever stands in names and answers is shown as text: no markup of Markdown or HTML in it has an effect.
    """
    entries = list(entries)
    seed = run.get("settings", {}).get("seed", {}).get("value", "?")
    lines = [
        "# Pluralism report",
        "",
        f"{_count(entries)}. Seed {seed}, {_text(run.get('started', ''))}, `{_code(run.get('command', ''))}`.",
        "",
        "| " + " | ".join(_COLUMNS) + " |",
        "|" + "---|" * len(_COLUMNS),
        *("| " + " | ".join(_row(entry)) + " |" for entry in entries),
        "",
    ]
    notes = list(_notes(entries))
    if notes:
        lines += ["## Not passed", "", *notes, ""]
    published = [line for entry in entries for line in _protocol_lines(entry)]
    if published:
        lines += ["## Published protocols", "", *published]
    windows = [line for entry in entries for line in window_lines(entry)]
    if windows:
        lines += ["## Responses and their windows", "", *windows]
    juries = [line for entry in entries for line in jury_lines(entry)]
    if juries:
        lines += ["## Juries", "", *juries]
    steering = [line for entry in entries for line in steering_lines(entry)]
    if steering:
        lines += ["## Steering and trade-offs", "", *steering]
    return "\n".join(lines)


def _count(entries: list[Mapping[str, Any]]) -> str:
    outcomes = [entry["outcome"] for entry in entries]
    parts = [f"{outcomes.count(name)} {name}" for name in _SIGNS if name in outcomes]
    return ", ".join(parts) or "No verdicts"


def _row(entry: Mapping[str, Any]) -> Iterator[str]:
    references = entry.get("references", {})
    dataset = entry.get("dataset") or {}
    yield _text(entry["model"].get("name", ""))
    yield _text(f"{entry['metric']} {dataset.get('name', '')}".strip())
    yield _text(entry.get("population", "each" if dataset else ""))
    yield interval_cell(entry)
    yield promise_cell(entry["gate"])
    yield _SIGNS[entry["outcome"]]
    masses = [unit["option_mass"] for unit in entry["units"] if "option_mass" in unit]
    yield f"{sum(masses) / len(masses):.2f}" if masses else ""
    for name in ("sampling_floor", "uniform", "shuffle"):
        yield _number(references.get(name))
    others = {name: value for name, value in entry.get("other_populations", {}).items() if value is not None}
    if entry["metric"] == "jury_welfare":
        # Its groups are parts of one jury, of which none is nearest.
        others = {}
    closest = max if entry.get("direction") == "higher" else min
    nearest = closest(others, key=lambda name: others[name]) if others else None
    yield "" if nearest is None else f"{_text(nearest)} {others[nearest]:.2f}"


def _notes(entries: list[Mapping[str, Any]]) -> Iterator[str]:
    for entry in entries:
        if entry["outcome"] == "passed":
            continue
        line = f"- **{_text(entry['nodeid'])}** ({_text(entry['key'])}): {_text(entry.get('reason', ''), most=600)}."
        witness = entry.get("witness")
        if witness:
            line += f" Worst: {_text(witness['id'])} “{_text(witness.get('text', ''), most=120)}”."
        yield line


def _protocol_lines(entry: Mapping[str, Any]) -> Iterator[str]:
    """Say what the sound number is beside a published one, and what each quirk of the protocol moves."""
    details = entry.get("details") or {}
    if "sound" not in details:
        return
    value = (entry.get("estimate") or {}).get("value")
    yield (
        f"**{_text(entry['key'])}** ({_text(entry['model'].get('name', ''))}): {_number(value)} under the protocol "
        f"`{_code(details['protocol'])}`, {_number(details['sound'])} asked in the sound way."
    )
    yield ""
    yield from quirk_lines(details)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _code(value: object) -> str:
    return html.escape(printable(str(value), most=300), quote=False).replace("`", "'").replace("|", "\\|")
