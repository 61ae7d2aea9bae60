"""A measurement beside a stored one: what is stored of it, whether the two may be compared, and the paired change.

=========================== ==================================================================================
must agree                  the measure; name and content of the data set; the prompts of the first round; every
                            setting that decides what is asked and how it is read, the seed and other models
                            among them; the number format; the units, their content and their clusters
may differ, wider margin    the device, the versions of torch, transformers and of our engine
may differ                  the model's weights, tokenizer and template, and the file of its recorded responses (they
                            are what is tested), other versions
=========================== ==================================================================================
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_pluralism.baselines.schema import Content, Entry, variance_of
from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.errors import BaselineError
from pytest_pluralism.core.estimation.at_level import with_extra_variance
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.estimation.crossed import compare_crossed
from pytest_pluralism.core.estimation.left_open import with_bounds
from pytest_pluralism.core.estimation.lengths import ByLength, change_by_length
from pytest_pluralism.core.estimation.trust import trusted_p_value
from pytest_pluralism.core.estimation.unknown import without_interval
from pytest_pluralism.core.finite import finite_or_none, is_number
from pytest_pluralism.core.records import Estimate, Gate, Provenance, Scores, UnitScore
from pytest_pluralism.core.verdict import ROUNDING

__all__ = [
    "NUMERIC_NOISE_FLOOR",
    "compare_with_baseline",
    "differences",
    "entry_of",
    "floors_beside",
    "is_shown_better",
    "known_floors",
    "length_of_change",
    "moved_surroundings",
    "paired_change",
    "prompts_hash",
    "unit_hash",
    "usual_noise_floor",
]

#: The largest move of the numbers of an unchanged model between runs, by dtype: batches of another shape round
#: differently. For models of which it cannot be measured, for measures of texts, and for baselines from another device
#: or other versions; see docs/explanation/engine.md.
NUMERIC_NOISE_FLOOR = {"float64": 1e-5, "float32": 1e-5, "bfloat16": 0.02, "float16": 0.02}

#: The settings that a file of version 1 holds: those that change what is asked.
ASKING = (
    *("protocol", "template", "option_order", "repetitions", "examples", "seed", "refusals"),
    *("rule", "by", "jury", "jurors"),
)

#: The measure of an entry that does not name one.
FIRST_DEFINITION = 1

#: The versions that change how numbers are rounded.
ROUNDING_VERSIONS = ("torch", "transformers", "engine", "xllamacpp")

#: The number format of a GGUF file that runs in llama.cpp.
_QUANTISED = "gguf"

#: The bias of sampled answers is inverse to the number of draws; by this share the numbers may differ.
SAME_DRAWS = 0.1

#: The settings that name a file of what the model under test said.
RECORDED = ("responses",)

#: The device of a model beside the tested one does not change what it says.
_PLACES = ("device",)


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
) -> Content:
    """Return the entry that stores one measurement.

    Parameters
    ----------
    scores, estimate, provenance, population
        The measurement and its source.
    direction : {"lower", "higher"}
        Which values are better.
    gate : Gate, optional
        The promise, for people who read the file.
    prompts_sha256 : str, optional
        The result of :func:`prompts_hash` for the first round.
    noise_floor : float, optional
        How much an unchanged model may seem to move.
    origins : mapping, optional
        Where the settings that are not the defaults come from.
    """
    model = dict(provenance.model)
    spec, _, revision = str(model.get("spec", "")).rpartition("@")
    if spec.startswith("hf:"):
        model["revision"] = revision
    units = _units_of(scores)
    return {
        "metric": scores.metric,
        "direction": direction,
        "population": population,
        "estimate": {
            "value": estimate.value,
            # An interval that is not known has no ends.
            **{name: finite_or_none(getattr(estimate, name)) for name in ("low", "high", "standard_error")},
            "n": estimate.n,
            "n_clusters": estimate.n_clusters,
            "confidence_level": estimate.confidence_level,
            "method": estimate.method,
        },
        "variance": variance_of(units["units"]),
        "noise_floor": noise_floor,
        "gate": gate.as_json() if gate is not None else {},
        "model": model,
        "dataset": dict(provenance.dataset),
        "prompts_sha256": prompts_sha256,
        "settings": _json(dict(provenance.settings)),
        "origins": dict(origins or {}),
        "versions": dict(provenance.versions),
        **({"groups": dict(scores.details["by_group"])} if scores.details.get("by_group") else {}),
        **units,
    }


def _named(value: object) -> str:
    """Return a value that JSON cannot hold as text; a function by its name, because its address changes every run."""
    return str(getattr(value, "__qualname__", type(value).__qualname__)) if callable(value) else str(value)


def _fields_or_name(value: object) -> object:
    """Return the fields of a record, not copied as ``dataclasses.asdict`` does; the name of anything else."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return _named(value)


def prompts_hash(requests: Sequence[object], /) -> str:
    """Return the SHA-256 of what is asked, field by field."""
    digest, encoder = hashlib.sha256(), json.JSONEncoder(sort_keys=True, default=_fields_or_name)
    for request in requests:
        digest.update(encoder.encode(request).encode("utf-8", "backslashreplace"))
        digest.update(b"\n")
    return digest.hexdigest()


def compare_with_baseline(
    scores: Scores,
    provenance: Provenance,
    entry: Entry | None,
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
    now = {
        "metric": scores.metric,
        "model": dict(provenance.model),
        "dataset": dict(provenance.dataset),
        "prompts_sha256": prompts_sha256,
        "settings": _json(dict(provenance.settings)),
        "versions": dict(provenance.versions),
        **_units_of(scores),
    }
    found = [*differences(now, entry), *_unknown(now, entry)]
    if found:
        raise BaselineError(f"baseline not comparable: {'; '.join(found)}. To store a new one: {update}")
    return paired_change(now, entry, confidence_level=confidence_level)


def _unknown(now: Entry, then: Entry) -> Iterator[str]:
    """Yield what a stored entry does not say and must: only version 1, with its own message, did not know it."""
    if then.get("from_version") == 1:
        return
    if now["prompts_sha256"] is not None and then.get("prompts_sha256") is None:
        yield "it does not say what was asked (prompts_sha256)"
    if any(unit["sha256"] is None for unit in then["units"]):
        yield "it does not say what its units are (sha256s)"


def paired_change(now: Entry, then: Entry, /, *, confidence_level: float | None) -> Estimate:
    """Return the paired difference, now minus then, of two entries that may be compared."""
    stored = {unit["id"]: unit["value"] for unit in then["units"]}
    units = now["units"]
    ours, theirs = [unit["value"] for unit in units], [stored[unit["id"]] for unit in units]
    ids = [unit["id"] for unit in units]
    # A unit that did not change is the same text, of which jurors who are estimated think the same.
    moved = sum(abs(one - other) > ROUNDING for one, other in zip(ours, theirs, strict=True)) / max(len(units), 1)
    unseen = [side.get("extra_variance") or 0.0 for side in (now, then)]
    # Where the same units leave more unseen than before, something moved that they do not show.
    beside = (1.0 if abs(unseen[0] - unseen[1]) > ROUNDING else moved) * sum(unseen)
    if now.get("crossed") and confidence_level is not None:
        others = {unit["id"]: unit["value"] for unit in then["crossed"]}
        change = compare_crossed(
            ours,
            theirs,
            [unit["value"] for unit in now["crossed"]],
            [others[unit["id"]] for unit in now["crossed"]],
            extra_variance=beside,
            confidence_level=confidence_level,
            unit_ids=ids,
            crossed_ids=[unit["id"] for unit in now["crossed"]],
        )
        return _unless_doubted(change, now, then)
    clusters = [unit.get("cluster", unit["id"]) for unit in units]
    change = compare_paired(ours, theirs, clusters=clusters, confidence_level=confidence_level, unit_ids=ids)
    # The same judge read both sides: its errors shrink or stretch the change as a whole.
    beside += (now.get("relative_variance") or 0.0) * change.value**2
    change = with_bounds(with_extra_variance(change, beside), _open_differences(units, then["units"], change))
    once = {unit["id"] for unit in (*units, *then["units"]) if unit.get("drawn", math.inf) <= 1.0}
    if once:
        # The distances of single draws differ from those of the answers that they are drawn from.
        told = f"unknown: one draw says nothing about how a model answers a question ({_some(once)})"
        return without_interval(change, told)
    return change if confidence_level is None else _unless_doubted(change, now, then)


def _unless_doubted(change: Estimate, now: Entry, then: Entry) -> Estimate:
    """Return a change without its interval where too few jurors stand behind one of its sides."""
    doubt = now.get("doubt") or then.get("doubt")
    if not doubt:
        return change
    # Too few jurors for an interval of the level are too few for one of its change, as in a gain over a model.
    return without_interval(change, f"unknown: {doubt}")


def _open_differences(units: Sequence[Entry], stored: Sequence[Entry], change: Estimate) -> list[tuple[float, float]]:
    """Return the bounds of the differences that a change keeps; nothing where both sides are known."""
    sides = [{unit["id"]: unit.get("bounds") or (unit["value"],) * 2 for unit in side} for side in (units, stored)]
    if not any(unit.get("bounds") for side in (units, stored) for unit in side):
        return []
    return [(sides[0][one][0] - sides[1][one][1], sides[0][one][1] - sides[1][one][0]) for one in change.unit_ids]


def length_of_change(scores: Scores, then: Entry, /, *, confidence_level: float | None) -> ByLength | None:
    """Return a change told apart from length; ``None`` where one side does not hold its responses by length."""
    now = _units_of(scores)
    curves = [
        {unit["id"]: unit["by_length"] for unit in side["units"] if unit.get("by_length")} for side in (now, then)
    ]
    if not curves[0] or curves[0].keys() != curves[1].keys():
        return None
    return change_by_length(
        *curves,
        clusters={unit["id"]: unit.get("cluster", unit["id"]) for unit in now["units"]},
        confidence_level=confidence_level,
        relative_variance=scores.relative_variance,
    )


def is_shown_better(now: Entry, then: Entry, /, *, looks: float = 1.0) -> bool:
    """Return whether an entry is shown to be better than another one; what cannot be compared never is.

    Without this, the better of many equal results would be kept, and the next equal one would look like a loss.

    Parameters
    ----------
    now, then : mapping
        Entries of one test, as :func:`entry_of` makes them.
    looks : float
        The number by which the p-value of the change is multiplied.
    """
    level = (now.get("gate") or {}).get("confidence_level", now["estimate"].get("confidence_level"))
    if next(differences(now, then), None) is not None:
        return False
    floor, _ = floors_beside(now, then)
    is_lower = now.get("direction") == "lower"
    change = paired_change(now, then, confidence_level=level)
    if math.isnan(change.low):
        return False
    if level is None:
        return compare(change.value, -floor) < 0 if is_lower else compare(change.value, floor) > 0
    bound, alternative = (-floor, "less") if is_lower else (floor, "greater")
    p_value = trusted_p_value(change, bound, alternative=alternative, confidence_level=level)
    return bool(p_value * looks < (1.0 - level) / 2.0)


def differences(now: Entry, then: Entry, /) -> Iterator[str]:
    """Yield in words what keeps two measurements from being compared; both in the form of :func:`entry_of`."""
    if then["metric"] != now["metric"]:
        yield f"it holds {then['metric']!r}, not {now['metric']!r}"
    was, is_ = (side["settings"].get("definition", FIRST_DEFINITION) for side in (then, now))
    if was != is_:
        # Other differences may come from that one, and are settled with it.
        yield (
            f"measured by definition {was} of {now['metric']}, which is now measured by definition {is_}; store it "
            "anew with --pluralism-update-baseline=NODEID"
        )
        return
    for part, label in (("name", "data"), ("sha256", "content of the data")):
        was, is_ = then["dataset"].get(part), now["dataset"].get(part)
        if was != is_:
            yield f"{label} was {str(was)[:16]!r}, is {str(is_)[:16]!r}"
    yield from _other_settings(now, then)
    was, is_ = then["model"].get("dtype"), now["model"].get("dtype")
    if was != is_ and _QUANTISED in (was, is_):
        # The same file, dequantised or as it is: two models.
        ways = ["llama.cpp" if one == _QUANTISED else f"transformers ({one})" for one in (was, is_)]
        other = "transformers" if is_ == _QUANTISED else "llamacpp"
        yield f"it was computed in {ways[0]}, and is computed in {ways[1]}; ask with --pluralism-gguf={other}"
    elif was != is_:
        yield f"dtype was {was!r}, is {is_!r}"
    same = True
    for kind, ours, theirs in (
        ("units", now["units"], then["units"]),
        ("units of the second dimension", now.get("crossed", []), then.get("crossed", [])),
    ):
        odd = {unit["id"] for unit in ours} ^ {unit["id"] for unit in theirs}
        if odd:
            same = False
            yield f"{len(odd)} {kind} are on one side only ({_some(odd)})"
    if same:
        yield from _other_content(now["units"], {unit["id"]: unit for unit in then["units"]})
        yield from _other_draws(now["units"], then["units"])
    was, is_ = then.get("prompts_sha256"), now.get("prompts_sha256")
    if was is not None and is_ is not None and was != is_:
        yield f"the prompts were {was[:16]!r}, are {is_[:16]!r}"


def moved_surroundings(now: Entry, then: Entry, /) -> list[str]:
    """Return in words what differs around two measurements that may be compared, but round differently.

    Parameters
    ----------
    now, then : mapping
        Each with its ``model`` and its ``versions``.
    """
    found = []
    for name in _PLACES:
        was, is_ = then["model"].get(name), now["model"].get(name)
        if was != is_:
            found.append(f"{name} was {was!r}, is {is_!r}")
    old, new = then.get("versions") or {}, now.get("versions") or {}
    for name in ROUNDING_VERSIONS:
        was, is_ = old.get(name), new.get(name)
        # Version 1 says nothing about the engine.
        if was != is_ and not (was is None and then.get("from_version") == 1):
            found.append(f"{name} was {was!r}, is {is_!r}")
    return found


def usual_noise_floor(model: Entry, /) -> float:
    """Return the noise floor of a model's number format, for want of a measured one; of several, the largest."""
    largest = max(NUMERIC_NOISE_FLOOR.values())
    return max(NUMERIC_NOISE_FLOOR.get(one, largest) for one in str(model.get("dtype")).split("+"))


def known_floors(entry: Entry, /) -> tuple[float, float]:
    """Return how much an unchanged model may seem to move as a file says: in the mean over units, and in a single unit.

    A baseline has the first beside the estimate, a report has both with the model. A file that anybody may edit cannot
    say more than rounding is known to do.
    """
    measured = entry["model"].get("noise_floor")
    measured = measured if isinstance(measured, Mapping) else {}
    usual = usual_noise_floor(entry["model"])
    said = (entry.get("noise_floor") or measured.get("value"), measured.get("distribution"))
    mean, unit = (min(max(float(one), 0.0), usual) if is_number(one) else 0.0 for one in said)
    return mean, max(mean, unit)


def floors_beside(now: Entry, then: Entry, /) -> tuple[float, float]:
    """Return the noise floors of a comparison of two entries, as :func:`known_floors` does of one."""
    floors = [known_floors(now), known_floors(then)]
    if moved_surroundings(now, then):
        # Elsewhere, or with other versions, sums are rounded in another way.
        floors.append((usual_noise_floor(now["model"]),) * 2)
    return max(mean for mean, _ in floors), max(unit for _, unit in floors)


def _other_settings(now: Entry, then: Entry) -> Iterator[str]:
    is_all, was_all = now["settings"], then["settings"]
    of_version_1 = 1 in (now.get("from_version"), then.get("from_version"))
    names = ASKING if of_version_1 else sorted({*was_all, *is_all}, key=_asking_first)
    for name in names:
        was, is_ = _without_places(was_all.get(name)), _without_places(is_all.get(name))
        if name in RECORDED and was and is_:
            # Recorded responses are what is tested, like the weights of a model.
            continue
        if was != is_ and name != "definition":
            yield f"{name} was {_shown(was)}, is {_shown(is_)}"


def _other_content(units: Sequence[Entry], stored: Mapping[str, Entry]) -> Iterator[str]:
    # Version 1 has no hashes of its units, and an unknown hash is not a difference.
    hashes = [(unit["id"], unit.get("sha256"), stored[unit["id"]].get("sha256")) for unit in units]
    changed = {unit_id for unit_id, now, then in hashes if now and then and now != then}
    if changed:
        yield f"{len(changed)} units have another content ({_some(changed)})"
    pairs = {(unit.get("cluster", unit["id"]), stored[unit["id"]].get("cluster", unit["id"])) for unit in units}
    if not len(pairs) == len({now for now, _ in pairs}) == len({then for _, then in pairs}):
        yield "the units are clustered in another way"


def _other_draws(units: Sequence[Entry], stored: Sequence[Entry]) -> Iterator[str]:
    """Yield why two values that drawing biases differ by more than the models do."""
    was, is_ = (sum(unit.get("biased_draws", 0) for unit in side) / max(len(side), 1) for side in (stored, units))
    if abs(was - is_) > SAME_DRAWS * max(was, is_):
        told = [f"{many:.3g} draws a unit" if many else "probabilities" for many in (was, is_)]
        yield f"the answers were {told[0]}, are {told[1]}, and what drawing adds to the value is not taken out"


def _units_of(scores: Scores) -> Content:
    drawn = scores.drawn
    biased = {"biased_draws": round(drawn.mean, 6)} if drawn is not None and not drawn.corrected else {}
    units = [
        {"id": unit.unit_id, "cluster": unit.cluster, "value": unit.value, "sha256": unit_hash(unit)}
        | ({"bounds": list(unit.bounds)} if unit.bounds else {})
        | ({"drawn": unit.details["n_draws"]} if drawn is not None and "n_draws" in unit.details else {})
        | biased
        | ({"by_length": unit.details["by_length"]} if "by_length" in unit.details else {})
        for unit in scores.units
    ]
    names = ("extra_variance", "relative_variance")
    beside = {name: value for name in names if (value := getattr(scores, name))}
    doubt = {"doubt": scores.change_doubt} if scores.change_doubt else {}
    if scores.crossed is None:
        return {"units": units, **doubt, **beside}
    crossed = [{"id": unit.unit_id, "value": unit.value} for unit in scores.crossed.units]
    return {"units": units, "crossed": crossed, **doubt, **beside}


def unit_hash(unit: UnitScore, /) -> str:
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


def _without_places(value: object) -> object:
    if isinstance(value, dict):
        return {name: part for name, part in value.items() if name not in _PLACES}
    return value


def _json(value: object) -> object:
    """Return what JSON makes of a value, so that both sides have come the same way."""
    return json.loads(json.dumps(value, default=str))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _some(names: Iterable[str]) -> str:
    odd = sorted(names)
    return f"{', '.join(odd[:3])}{', ...' if len(odd) > 3 else ''}"
