"""The HTML report: one file that needs no network, made from the JSON report alone.

Everything untrusted is escaped by the templates (:mod:`pytest_pluralism.report.templates`); besides, the page forbids
all scripts and styles but its own two, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.core.messages import gained_over, subject
from pytest_pluralism.core.records.measures import Measure
from pytest_pluralism.core.words import in_order
from pytest_pluralism.evaluation.measures.registry import MEASURES, measure_of
from pytest_pluralism.report.cells import interval_cell, promise_cell
from pytest_pluralism.report.gate_parts import Charts, parts_of
from pytest_pluralism.report.json_report import report_content
from pytest_pluralism.report.marks import domain_of, track
from pytest_pluralism.report.templates import SIGNS, UNEXPECTED, check_extra, guarded, left_out, render, resource

__all__ = ["hash_of", "report_html", "verdicts_html"]


def report_html(entries: Iterable[Mapping[str, Any]], run: Mapping[str, Any], /) -> str:
    """Return the page of a report.

    Parameters
    ----------
    entries : iterable of mapping
        The verdicts, as they stand in the JSON report.
    run : mapping
        What it says of the run.

    Returns
    -------
    str
        HTML that loads nothing, and in which no text of a model or a file has an effect.

    Raises
    ------
    MissingExtraError
        If Jinja2 or matplotlib is not installed.
    """
    check_extra()
    content = report_content(entries, run)
    verdicts = content["verdicts"]
    charts = Charts()
    domains = _domains(verdicts)
    order = list(SIGNS)
    gates = [_gate(place, entry, domains, charts, content["run"]) for place, entry in enumerate(verdicts, start=1)]
    # What did not pass comes first; within that, the order of the tests.
    gates.sort(key=lambda gate: order.index(gate.entry["outcome"]))
    outcomes = [entry["outcome"] for entry in verdicts]
    counts = [(name, outcomes.count(name)) for name in SIGNS if name in outcomes]
    css, script = resource("page.css"), resource("page.js")
    policy = (
        f"default-src 'none'; style-src '{hash_of(css)}'; script-src '{hash_of(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    from markupsafe import Markup

    return render(
        "page.html.jinja",
        policy=policy,
        css=Markup(css),  # noqa: S704 - ours, and the same in every page
        script=Markup(script),  # noqa: S704 - likewise
        run=content["run"],
        counts=counts,
        counted=", ".join(f"{count} {name}" for name, count in counts) or "no verdicts",
        models=list(dict.fromkeys(str(entry["model"].get("name", "")) for entry in verdicts)),
        gates=gates,
        any_change=any(gate.change for gate in gates),
        front=guarded("Models by all objectives", lambda: _front(verdicts, charts)),
        provenance=guarded("The run", lambda: _run(content["run"])),
    )


def verdicts_html(entries: Iterable[Mapping[str, Any]], /) -> str:
    """Return the verdicts of one test as a piece of another page: without styles, scripts or charts."""
    gates = []
    for entry in entries:
        sign = -1.0 if entry.get("direction", "lower") == "lower" else 1.0
        units = sorted(
            (unit for unit in entry["units"] if unit["value"] is not None), key=lambda unit: sign * unit["value"]
        )
        known = {name: value for name, value in entry["references"].items() if value is not None}
        references = list(in_order(known, measure_of(entry).references))
        gates.append(
            {
                "entry": entry,
                "title": _title(entry),
                "decided": interval_cell(entry),
                "promise": promise_cell(entry["gate"]),
                "references": references,
                "worst": units[:5],
            }
        )
    return str(render("extras.html.jinja", gates=gates))


@dataclass(frozen=True)
class _Gate:
    """What the page says of one verdict."""

    entry: Mapping[str, Any]
    anchor: str
    title: str
    model: str
    interval: str
    promise: str
    value: float | None
    change: str = ""
    change_value: float | None = None
    track: str = ""
    ends: tuple[str, str] | None = None
    html: str = ""
    rank: int = field(default=0)


def _gate(
    place: int,
    entry: Mapping[str, Any],
    domains: Mapping[str, tuple[float, float]],
    charts: Charts,
    run: Mapping[str, Any],
) -> _Gate:
    try:
        return _whole_gate(place, entry, domains, charts, run)
    except UNEXPECTED as error:
        # One verdict of a stranger's file must not take the others with it.
        title = str(entry.get("key") or entry["nodeid"])
        return _Gate(
            entry, f"promise-{place}", title, str(entry["model"].get("name", "")), "–", "", None,
            html=left_out(title, error), rank=list(SIGNS).index(entry["outcome"]),
        )  # fmt: skip


def _whole_gate(
    place: int,
    entry: Mapping[str, Any],
    domains: Mapping[str, tuple[float, float]],
    charts: Charts,
    run: Mapping[str, Any],
) -> _Gate:
    from markupsafe import Markup

    anchor = f"promise-{place}"
    estimate = entry["estimate"] or {}
    change = entry.get("change")
    title, model = _title(entry), str(entry["model"].get("name", ""))
    picture = guarded("", lambda: Markup(_track(entry, domains)))  # noqa: S704 - made of numbers
    promise = promise_cell(entry["gate"])
    common = {"entry": entry, "anchor": anchor, "title": title, "model": model, "promise": promise}
    # The value and the change have a place of their own here, whichever of them decided.
    interval = interval_cell({name: part for name, part in entry.items() if name != "change"})
    changed = interval_cell({**entry, "gate": {}}) if change else ""
    level = entry["gate"].get("confidence_level")
    parts = Markup("").join(
        guarded(name, part) for name, part in parts_of(entry, anchor, title, domains.get(entry["metric"]), charts)
    )
    html = render(
        "gate.html.jinja",
        **common,
        interval=interval,
        change=changed,
        level=f"{100 * level:g} % interval" if level is not None else "",
        facts=_facts(entry),
        witness=_witness_number(entry),
        parts=parts,
        opened=entry["outcome"] != "passed",
        origins=list(_origins(entry)),
        repeat=f"{run.get('command', 'pytest')} {shlex.quote(str(entry['nodeid']))}",
    )
    ends = domains.get(_scale_of(entry))
    return _Gate(
        **common,
        interval=interval,
        value=estimate.get("value"),
        change=changed,
        change_value=change["value"] if change else None,
        track=picture,
        ends=(f"{ends[0]:g}", f"{ends[1]:g}") if picture and ends is not None else None,
        html=html,
        rank=list(SIGNS).index(entry["outcome"]),
    )


def _title(entry: Mapping[str, Any]) -> str:
    """Return what was measured, of whom."""
    name = str(entry["metric"])
    dataset = entry.get("dataset")
    if not dataset:
        # What a test requires of its own estimates has no words but the test's.
        test = str(entry["nodeid"]).rpartition("::")[2].partition("[")[0]
        return f"{test}: {entry.get('key', '')}"
    measure = MEASURES.get(name, Measure(name, entry.get("direction", "higher"), name.replace("_", " ")))
    over = gained_over(entry.get("settings") or {})
    title = subject(measure, entry.get("population"), str(dataset.get("name", "")), over=over)
    return title[:1].upper() + title[1:]


def _facts(entry: Mapping[str, Any]) -> str:
    estimate = entry["estimate"]
    if estimate is None:
        return ""
    words = [f"{estimate['n']:,} units in {estimate['n_clusters']:,} clusters"]
    if estimate.get("standard_error") is not None:
        words.append(f"standard error {estimate['standard_error']:.3f}")
    if estimate.get("method"):
        words.append(f"interval: {estimate['method']}")
    masses = [unit["option_mass"] for unit in entry["units"] if unit.get("option_mass") is not None]
    if masses:
        words.append(f"option mass {sum(masses) / len(masses):.2f} (lowest {min(masses):.2f})")
    return "; ".join(words)


def _witness_number(entry: Mapping[str, Any]) -> str:
    """Return the number of the witness: its value, or its change where that is what broke the promise."""
    witness = entry["witness"] or {}
    value = witness.get("value")
    if value is None:
        return "without a value"
    unit = next((one for one in entry["units"] if one["id"] == witness["id"]), {})
    return f"changed by {value:+.3f}" if unit.get("change") == value else f"{value:.3f}"


def _origins(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for kind in ("model", "dataset", "settings", "baseline"):
        for name, value in (entry.get(kind) or {}).items():
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"{kind}: {name}", shown


# ------------------------------------------------------------------------------------------------------------ scales


def _scale_of(entry: Mapping[str, Any]) -> str:
    """Return the name of the scale on which a verdict is drawn: that of its measure, or of its changes."""
    is_change = "change" in entry and not {"at_most", "at_least"} & set(entry["gate"])
    return f"change of {entry['metric']}" if is_change else str(entry["metric"])


def _domains(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Return a scale for each measure on which all that is drawn of it has its place."""
    found: dict[str, list[float]] = {}
    for entry in verdicts:
        gate, metric = entry["gate"], str(entry["metric"])
        mine = found.setdefault(metric, [])
        for estimate in (entry["estimate"], (entry.get("baseline") or {}).get("estimate")):
            if isinstance(estimate, Mapping):
                mine += _finite(estimate.get(name) for name in ("value", "low", "high"))
        mine += _finite(gate.get(name) for name in ("at_least", "at_most"))
        for name in ("references", "other_populations"):
            mine += _finite((entry.get(name) or {}).values())
        if change := entry.get("change"):
            changes = found.setdefault(f"change of {metric}", [0.0])
            changes += _finite(change.get(name) for name in ("value", "low", "high"))
            changes += _finite([gate.get("max_increase"), -gate.get("max_decrease", math.nan)])
    result = {}
    for name, values in found.items():
        measure = MEASURES.get(name)
        low, high = (measure.lowest, measure.highest) if measure is not None else (-math.inf, math.inf)
        # Rewards are in the units of their model.
        if not all(low <= value <= high for value in values):
            low, high = -math.inf, math.inf
        result[name] = domain_of(values, lowest=low, highest=high)
    return result


def _finite(values: Iterable[Any]) -> list[float]:
    return [float(value) for value in values if isinstance(value, (int, float)) and math.isfinite(value)]


def _track(entry: Mapping[str, Any], domains: Mapping[str, tuple[float, float]]) -> str:
    """Return the picture of what decided: the value and its promise, or the change and how large it may be."""
    scale, gate = _scale_of(entry), entry["gate"]
    is_change = scale != entry["metric"]
    estimate = entry["change"] if is_change else entry["estimate"]
    if estimate is None or estimate["value"] is None:
        return ""
    worse, better = gate.get("max_increase"), gate.get("max_decrease")
    stored = (entry.get("baseline") or {}).get("estimate") or {}
    return track(
        domains[scale],
        value=estimate["value"],
        low=estimate["low"],
        high=estimate["high"],
        at_least=(-better if better is not None else None) if is_change else gate.get("at_least"),
        at_most=worse if is_change else gate.get("at_most"),
        baseline=0.0 if is_change else stored.get("value"),
    )


# ------------------------------------------------------------------------------------------------- about several


def _front(verdicts: Sequence[Mapping[str, Any]], charts: Charts) -> str:
    """Return the models by all objectives that they share; nothing of a single model."""
    from pytest_pluralism.core.metrics.multi_objective import pareto_front
    from pytest_pluralism.report.leaderboard import leaderboard_of
    from pytest_pluralism.report.plots import front_chart

    if len({str(entry["model"].get("name")) for entry in verdicts if entry["outcome"] != "error"}) < 2:
        return ""
    try:
        board = leaderboard_of(("the report", entry) for entry in verdicts)
    except DatasetError:
        # The models share nothing that can be put side by side.
        return ""
    if len(board.objectives) < 2:
        return ""
    signs = [1.0 if direction == "higher" else -1.0 for direction in board.directions]
    points = [[sign * value for sign, value in zip(signs, row, strict=True)] for row in board.values]
    front = [bool(one) for one in pareto_front(points)]
    svg = charts.draw(
        lambda prefix: front_chart(
            {model: (row[0], row[1]) for model, row in zip(board.models, board.values, strict=True)},
            [bool(one) for one in pareto_front([point[:2] for point in points])],
            (board.objectives[0], board.objectives[1]),
            title=f"Models by {board.objectives[0]} and {board.objectives[1]}",
            prefix=prefix,
        )
    )
    better = [{"higher": "more", "lower": "less"}[direction] for direction in board.directions[:2]]
    caption = (
        f"The first two objectives; {better[0]} of the first and {better[1]} of the second is better. "
        "Filled models are on the front of these two."
    )
    return render("front.html.jinja", board=board, front=front, svg=svg, caption=caption)


def _run(run: Mapping[str, Any]) -> str:
    settings = [
        (name, (setting["value"] if isinstance(setting["value"], str) else json.dumps(setting["value"]),
                setting["origin"]))
        for name, setting in run.get("settings", {}).items()
    ]  # fmt: skip
    # What somebody chose comes first.
    settings.sort(key=lambda one: one[1][1] == "default")
    return render("run.html.jinja", run=run, settings=settings)


def hash_of(text: str, /) -> str:
    """Return the hash by which a page allows its own script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
