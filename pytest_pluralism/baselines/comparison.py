"""A measurement beside a stored one: what is stored of it, whether the two may be compared, and the paired change.

=========================== ==================================================================================
must agree                  the measure; name and content of the data set; the prompts of the first round; every
                            setting that decides what is asked and how it is read, the seed and other models
                            among them; the number format; the units, their content and their clusters
may differ, wider margin    the device, the versions of torch, transformers and of our engine
may differ                  the model's weights, tokenizer and template (they are what is tested), other versions
=========================== ==================================================================================
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_pluralism.baselines.schema import variance_of
from pytest_pluralism.core.errors import BaselineError
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.estimation.crossed import compare_crossed
from pytest_pluralism.core.records import Estimate, Gate, Provenance, Scores, UnitScore

__all__ = ["compare_with_baseline", "differences", "entry_of", "moved_surroundings", "prompts_hash"]

#: The settings that a file of version 1 holds: those that change what is asked.
ASKING = (
    *("protocol", "template", "option_order", "repetitions", "examples", "seed", "refusals"),
    *("rule", "by", "jury", "jurors"),
)

#: The versions that change how numbers are rounded.
ROUNDING_VERSIONS = ("torch", "transformers", "engine")

#: Where a model beside the tested one runs is no part of what it says.
_PLACES = ("device",)

_BOUNDS = ("at_least", "at_most", "max_increase", "max_decrease", "max_unit_increase", "max_unit_decrease")


def entry_of(
    scores: Scores,
    estimate: Estimate,
    provenance: Provenance,
    population: str | None,
    /,
    *,
    direction: str = "",
    gate: Gate | None = None,
    prompts_sha256: str | None = None,
    noise_floor: float | None = None,
    origins: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the entry that stores one measurement.

    Parameters
    ----------
    scores, estimate, provenance, population
        What was measured, and where it comes from.
    direction : {"lower", "higher"}
        Which values are better.
    gate : Gate, optional
        The promise, for people who read the file.
    prompts_sha256 : str, optional
        What :func:`prompts_hash` says of the first round.
    noise_floor : float, optional
        How much an unchanged model may seem to move.
    origins : mapping, optional
        Where the settings that are not the defaults come from.
    """
    units = [
        {"id": unit.unit_id, "cluster": unit.cluster, "value": unit.value, "sha256": _unit_hash(unit)}
        for unit in scores.units
    ]
    model = dict(provenance.model)
    spec, _, revision = str(model.get("spec", "")).rpartition("@")
    if spec and revision:
        model["revision"] = revision
    entry: dict[str, Any] = {
        "metric": scores.metric,
        "direction": direction,
        "population": population,
        "estimate": {
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "standard_error": estimate.standard_error,
            "n": estimate.n,
            "n_clusters": estimate.n_clusters,
            "confidence_level": estimate.confidence_level,
            "method": estimate.method,
        },
        "variance": variance_of(units),
        "noise_floor": noise_floor,
        "gate": gate_json(gate) if gate is not None else {},
        "model": model,
        "dataset": dict(provenance.dataset),
        "prompts_sha256": prompts_sha256,
        "settings": _json(dict(provenance.settings)),
        "origins": dict(origins or {}),
        "versions": dict(provenance.versions),
        "units": units,
    }
    if scores.details.get("by_group"):
        entry["groups"] = dict(scores.details["by_group"])
    if scores.crossed is not None:
        entry["crossed"] = [{"id": unit.unit_id, "value": unit.value} for unit in scores.crossed.units]
    return entry


def gate_json(gate: Gate, /) -> dict[str, Any]:
    """Return a promise as plain JSON values."""
    bounds = {name: getattr(gate, name) for name in _BOUNDS if getattr(gate, name, None) is not None}
    return {**bounds, "confidence_level": gate.confidence_level}


def prompts_hash(requests: Sequence[Any], /) -> str:
    """Return the SHA-256 of what is asked, field by field."""
    digest = hashlib.sha256()
    for request in requests:
        content = dataclasses.asdict(request) if dataclasses.is_dataclass(request) else request
        digest.update(json.dumps(content, sort_keys=True, default=str).encode("utf-8", "backslashreplace"))
        digest.update(b"\n")
    return digest.hexdigest()


def compare_with_baseline(
    scores: Scores,
    provenance: Provenance,
    entry: Mapping[str, Any] | None,
    /,
    *,
    confidence_level: float | None,
    where: str,
    update: str,
    prompts_sha256: str | None = None,
) -> Estimate:
    """Return the paired change, candidate minus baseline, by unit.

    Raises
    ------
    BaselineError
        There is no entry, or it was measured on another survey, in another way or on other units.
    """
    if entry is None:
        raise BaselineError(f"no baseline: {where}. To store one: {update}")
    found = list(differences(scores, provenance, entry, prompts_sha256=prompts_sha256))
    if found:
        raise BaselineError(f"baseline not comparable: {'; '.join(found)}. To store a new one: {update}")
    stored = {unit["id"]: unit["value"] for unit in entry["units"]}
    if scores.crossed is not None and confidence_level is not None:
        others = {unit["id"]: unit["value"] for unit in entry["crossed"]}
        return compare_crossed(
            [unit.value for unit in scores.units],
            [stored[unit.unit_id] for unit in scores.units],
            [unit.value for unit in scores.crossed.units],
            [others[unit.unit_id] for unit in scores.crossed.units],
            confidence_level=confidence_level,
            unit_ids=[unit.unit_id for unit in scores.units],
            crossed_ids=[unit.unit_id for unit in scores.crossed.units],
        )
    return compare_paired(
        [unit.value for unit in scores.units],
        [stored[unit.unit_id] for unit in scores.units],
        clusters=[unit.cluster for unit in scores.units],
        confidence_level=confidence_level,
        unit_ids=[unit.unit_id for unit in scores.units],
    )


def differences(
    scores: Scores, provenance: Provenance, entry: Mapping[str, Any], /, *, prompts_sha256: str | None = None
) -> Iterator[str]:
    """Yield in words what keeps a measurement and a stored one from being compared."""
    if entry["metric"] != scores.metric:
        yield f"it holds {entry['metric']!r}, not {scores.metric!r}"
    for part, label in (("name", "survey"), ("sha256", "survey content")):
        then, now = entry["dataset"].get(part), provenance.dataset.get(part)
        if then != now:
            yield f"{label} was {str(then)[:16]!r}, is {str(now)[:16]!r}"
    yield from _other_settings(entry, provenance)
    then, now = entry["model"].get("dtype"), provenance.model.get("dtype")
    if then != now:
        yield f"dtype was {then!r}, is {now!r}"
    crossed = scores.crossed.units if scores.crossed is not None else ()
    same = True
    for kind, now_units, then_units in (
        ("units", scores.units, entry["units"]),
        ("units of the second dimension", crossed, entry.get("crossed", [])),
    ):
        ours = {unit.unit_id for unit in now_units}
        theirs = {unit["id"] for unit in then_units}
        if ours != theirs:
            same = False
            yield f"{len(ours ^ theirs)} {kind} are on one side only ({_some(ours ^ theirs)})"
    if same:
        yield from _other_content(scores.units, {unit["id"]: unit for unit in entry["units"]})
    then = entry.get("prompts_sha256")
    if then is not None and prompts_sha256 is not None and then != prompts_sha256:
        yield f"the prompts were {then[:16]!r}, are {prompts_sha256[:16]!r}"


def moved_surroundings(provenance: Provenance, entry: Mapping[str, Any], /) -> list[str]:
    """Return in words what differs around two measurements that may be compared, but round differently."""
    found = []
    for name in _PLACES:
        then, now = entry["model"].get(name), provenance.model.get(name)
        if then != now:
            found.append(f"{name} was {then!r}, is {now!r}")
    versions = entry.get("versions") or {}
    for name in ROUNDING_VERSIONS:
        then, now = versions.get(name), provenance.versions.get(name)
        # Version 1 says nothing of the engine.
        if then != now and not (then is None and entry.get("from_version") == 1):
            found.append(f"{name} was {then!r}, is {now!r}")
    return found


def _other_settings(entry: Mapping[str, Any], provenance: Provenance) -> Iterator[str]:
    then_all, now_all = entry["settings"], _json(dict(provenance.settings))
    names = ASKING if entry.get("from_version") == 1 else sorted({*then_all, *now_all}, key=_asking_first)
    for name in names:
        then, now = _without_places(then_all.get(name)), _without_places(now_all.get(name))
        if then != now:
            yield f"{name} was {_shown(then)}, is {_shown(now)}"


def _other_content(units: Sequence[UnitScore], stored: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    # Version 1 has no hashes of its units, and what is unknown is no difference.
    changed = [
        unit.unit_id
        for unit in units
        if stored[unit.unit_id].get("sha256") and stored[unit.unit_id]["sha256"] != _unit_hash(unit)
    ]
    if changed:
        yield f"{len(changed)} units have another content ({_some(changed)})"
    pairs = {(unit.cluster, stored[unit.unit_id].get("cluster", unit.unit_id)) for unit in units}
    if not len(pairs) == len({now for now, _ in pairs}) == len({then for _, then in pairs}):
        yield "the units are clustered in another way"


def _unit_hash(unit: UnitScore) -> str:
    """Return the start of a SHA-256 over what a unit asks and what it is compared with, not over the model's part."""
    content = [
        unit.text,
        list(unit.options),
        [round(share, 12) for share in unit.reference_probabilities],
        unit.population,
    ]
    return hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()[:16]


def _asking_first(name: str) -> tuple[int, str]:
    return (ASKING.index(name) if name in ASKING else len(ASKING), name)


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: part for name, part in value.items() if name not in _PLACES}
    return value


def _json(value: Any) -> Any:
    """Return what JSON makes of a value, so that both sides have come the same way."""
    return json.loads(json.dumps(value, default=str))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _some(names: Any) -> str:
    odd = sorted(names)
    return f"{', '.join(odd[:3])}{', ...' if len(odd) > 3 else ''}"
