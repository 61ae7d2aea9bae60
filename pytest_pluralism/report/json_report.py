"""The JSON report: the one form that every other report is made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from pytest_pluralism.baselines.schema import Content
from pytest_pluralism.core.finite import finite_or_none
from pytest_pluralism.core.records import Estimate, ReportEntry, Scores, UnitScore, Verdict
from pytest_pluralism.report.cells import Entry

__all__ = ["SCHEMA", "entry_json", "error_json", "estimate_json", "report_content", "report_json", "required_json"]

SCHEMA = "pytest-pluralism/report/1"

#: Parts of an entry that travel inside a run but do not belong in the report.
_INSIDE = ("test",)


def entry_json(entry: ReportEntry, /) -> Content:
    """Return a verdict as plain JSON values; numbers that JSON does not have become ``null``."""
    result: Content = {
        **_named(entry.nodeid, entry.test, entry.key, entry.measure.name),
        "direction": entry.measure.direction,
        "measure": entry.measure.as_json(),
        "model": dict(entry.provenance.model),
        "dataset": dict(entry.provenance.dataset),
        "settings": dict(entry.provenance.settings),
        "other_populations": {},
        **_judged(entry.verdict),
    }
    if entry.population is not None:
        result["population"] = entry.population
    if entry.baseline is not None:
        result["baseline"] = dict(entry.baseline)
    if entry.scores is not None:
        result["references"] = {name: finite_or_none(value) for name, value in entry.scores.references.items()}
        result["other_populations"] = {
            name: finite_or_none(value) for name, value in entry.scores.other_populations.items()
        }
        change = entry.verdict.change
        changes = dict(zip(change.unit_ids, change.values, strict=True)) if change else {}
        result["units"] = [_unit(unit, changes.get(unit.unit_id)) for unit in entry.scores.units]
        result["warnings"] = list(entry.scores.warnings)
        result["comparison"] = _comparison(entry.scores)
        known = _skill(entry)
        if known is not None:
            result["skill"] = known
        if entry.scores.details:
            result["details"] = dict(entry.scores.details)
    return {name: _plain(value) for name, value in result.items()}


def _comparison(scores: Scores) -> Content:
    """Return what a change against another run takes into account besides the values of the units."""
    names = ("extra_variance", "relative_variance")
    result: Content = {name: value for name in names if (value := getattr(scores, name))}
    if scores.crossed is not None:
        result["crossed"] = [{"id": unit.unit_id, "value": unit.value} for unit in scores.crossed.units]
    if scores.change_doubt:
        result["doubt"] = scores.change_doubt
    if scores.drawn is not None:
        result["drawn"] = {"mean": scores.drawn.mean, "corrected": scores.drawn.corrected}
    return result


def _skill(entry: ReportEntry) -> float | None:
    """Return how far a distance is from even answers to the human sampling floor; nothing where one is unknown."""
    from pytest_pluralism.core.estimation.relative import skill

    references = entry.scores.references if entry.scores is not None else {}
    estimate = entry.verdict.estimate
    if entry.measure.direction != "lower" or estimate is None or not {"uniform", "sampling_floor"} <= set(references):
        return None
    return finite_or_none(skill(estimate.value, uniform=references["uniform"], floor=references["sampling_floor"]))


def error_json(
    nodeid: str, test: str, key: str, metric: str, reason: str, /, *, model: Entry, dataset: Entry | None
) -> Content:
    """Return the entry of a promise that could not be judged; of the model its spec and its name are known."""
    return {
        **_named(nodeid, test, key, metric),
        "model": {**model, "sha256": None, "dtype": None, "device": None},
        "dataset": dataset,
        "outcome": "error",
        "reason": reason,
        "estimate": None,
        "gate": {"confidence_level": None},
        "units_needed": None,
    }


def required_json(nodeid: str, test: str, key: str, verdict: Verdict, model: Entry, /) -> Content:
    """Return the verdict of ``pluralism.require`` as plain JSON values."""
    return {**_named(nodeid, test, key, "require"), "model": dict(model), "dataset": None, **_judged(verdict)}


def estimate_json(estimate: Estimate, /) -> Content:
    """Return an estimate as plain JSON values."""
    return {
        "value": finite_or_none(estimate.value),
        "low": finite_or_none(estimate.low),
        "high": finite_or_none(estimate.high),
        "standard_error": finite_or_none(estimate.standard_error),
        "n": estimate.n,
        "n_clusters": estimate.n_clusters,
        "confidence_level": estimate.confidence_level,
        "method": estimate.method,
        "how": estimate.how.as_json(),
    }


def report_content(entries: Iterable[Entry], run: Entry, /) -> Content:
    """Return a report as JSON values: what every form of it is made from."""
    verdicts = []
    for entry in entries:
        shown = {name: value for name, value in entry.items() if name not in _INSIDE}
        if "baseline" in shown:
            # A result that is about to be stored stands in the baseline file, not a second time here.
            left_out = ("new", "parts")
            shown["baseline"] = {name: value for name, value in shown["baseline"].items() if name not in left_out}
            if set(shown["baseline"]) <= {"key"}:
                del shown["baseline"]
        verdicts.append(shown)
    return {"schema": SCHEMA, "run": dict(run), "verdicts": verdicts}


def report_json(entries: Iterable[Entry], run: Entry, /) -> str:
    """Return the text of a report."""
    return json.dumps(report_content(entries, run), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _named(nodeid: str, test: str, key: str, metric: str) -> Content:
    """Return what every entry has, without what only a measurement has."""
    name = {"nodeid": nodeid, "test": test, "key": key, "metric": metric}
    return {**name, "references": {}, "witness": None, "units": [], "warnings": []}


def _judged(verdict: Verdict) -> Content:
    result: Content = {
        "outcome": verdict.outcome.value,
        "reason": verdict.reason,
        **({"unseen": verdict.unseen} if verdict.unseen else {}),
        "estimate": estimate_json(verdict.estimate) if verdict.estimate is not None else None,
        "gate": verdict.gate.as_json(),
        "units_needed": verdict.units_needed,
    }
    if verdict.change is not None:
        result["change"] = estimate_json(verdict.change)
    if verdict.drift is not None:
        result["drift"] = estimate_json(verdict.drift)
    if verdict.looks > 1.0:
        result["looks"] = verdict.looks
    if verdict.advantage is not None:
        result["advantage"] = estimate_json(verdict.advantage)
    if verdict.witness is not None:
        result["witness"] = {
            "id": verdict.witness.unit_id,
            "value": finite_or_none(verdict.witness.value),
            "text": verdict.witness.text,
        }
    return result


def _unit(unit: UnitScore, change: float | None) -> Content:
    result: Content = {"id": unit.unit_id, "cluster": unit.cluster, "value": finite_or_none(unit.value)}
    if change is not None:
        result["change"] = finite_or_none(change)
    parts = {
        "population": unit.population,
        "text": unit.text or None,
        "options": list(unit.options) or None,
        "model_probabilities": list(unit.model_probabilities) or None,
        "reference_probabilities": list(unit.reference_probabilities) or None,
        "option_mass": unit.option_mass,
        "n_respondents": unit.n_respondents,
        "bounds": list(unit.bounds) or None,
    }
    result |= {name: part for name, part in parts.items() if part is not None}
    return {**result, **unit.details}


def _plain(value: object) -> object:
    """Return JSON values without the numbers that JSON does not have, however deep they stand."""
    if isinstance(value, float):
        return finite_or_none(value)
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value
