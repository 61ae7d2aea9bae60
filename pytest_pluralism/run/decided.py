"""The decision on one measurement beside one baseline, with the unit that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_pluralism.core.health import is_decisive
from pytest_pluralism.core.records.plain import JsonObject
from pytest_pluralism.run.measured import Beside, Measured, NoiseFloors

if TYPE_CHECKING:
    from pytest_pluralism.core.records import Estimate, Gate, Scores, Verdict, Witness

__all__ = ["STORED", "decided", "gate_while_stored", "health_texts", "is_own_anchor", "undecided_by"]

#: Why a promise about a change is kept in the run that stores its result.
STORED = "stored as the baseline"


def gate_while_stored(gate: Gate, /, *, has_drift: bool) -> Gate | None:
    """Return the promise about a result that is being stored; ``None`` where nothing of it can be judged.

    Such a result is not compared with itself, but with the anchor, which stays.
    """
    if has_drift:
        return replace(gate, max_unit_increase=None, max_unit_decrease=None)
    return gate.of_value() if gate.bounds_value else None


def is_own_anchor(entry: JsonObject) -> bool:
    """Return whether an entry is what its later results are compared with for drift."""
    anchor = entry.get("anchor")
    return anchor is None or bool(anchor["units"] == entry["units"] and anchor["settings"] == entry["settings"])


def decided(measured: Measured, gate: Gate, beside: Beside, floors: NoiseFloors, /) -> Verdict:
    """Return the verdict on a measurement beside one baseline.

    Parameters
    ----------
    measured : Measured
        The measurement.
    gate : Gate
        The part of the promise that is judged beside this baseline.
    beside : Beside
        The baseline, and the changes against it.
    floors : NoiseFloors
        How much an unchanged model may seem to move.
    """
    from pytest_pluralism.core.estimation.relative import advantage_of
    from pytest_pluralism.core.guards import guarded
    from pytest_pluralism.core.records import Outcome, Verdict
    from pytest_pluralism.core.verdict import decide

    estimate = measured.estimate
    if beside.problem:
        return Verdict(Outcome.ERROR, gate, estimate, reason=beside.problem)
    if beside.is_stored:
        left = gate_while_stored(gate, has_drift=beside.drift is not None)
        if left is None:
            return Verdict(Outcome.PASSED, gate, estimate, reason=STORED)
        gate = left
    verdict = decide(
        gate,
        estimate,
        change=beside.change,
        advantage=advantage_of(
            measured.scores, gate, measured.plan.measure, confidence_level=measured.plan.confidence_level
        ),
        drift=beside.drift,
        looks=beside.looks,
        noise_floor=floors.mean,
        unit_noise_floor=floors.unit,
    )
    if verdict.outcome is Outcome.ERROR and estimate.n == 0 and measured.scores.doubt:
        # Nothing is wrong: what decides is still to come.
        verdict = replace(verdict, outcome=Outcome.INCONCLUSIVE, reason=measured.scores.doubt)
    if verdict.outcome is Outcome.INCONCLUSIVE and estimate.n_clusters == 1 and measured.scores.shared:
        verdict = replace(verdict, reason=measured.scores.shared)
    if verdict.passed and beside.is_stored and not gate.bounds_value:
        verdict = replace(verdict, reason=STORED)
    if verdict.passed:
        unseen = (verdict.unseen, _of_judge(measured.scores, gate), _of_people(estimate, gate, beside, floors))
        verdict = replace(verdict, unseen="; ".join(filter(None, unseen)))
    witness = _witness(measured, verdict, floors, beside.groups)
    return guarded(replace(verdict, witness=witness), measured.scores.guards)


def health_texts(found: Iterable[tuple[str, str]], /) -> list[tuple[str, str]]:
    """Return the names of checks with what they find, and the option that accepts it."""
    accept = "to accept: --pluralism-suppress-health-check="
    return [(name, f"health {name}: {text} ({accept}{name})") for name, text in found]


def undecided_by(texts: Sequence[tuple[str, str]], verdict: Verdict, gate: Gate, /, *, fails: bool) -> Verdict:
    """Return a verdict that does not pass while a health check says that it must not.

    ``fails`` says whether all checks do so, or only those that decide whatever the run makes of the others.
    """
    from pytest_pluralism.core.records import Outcome

    kept = [text for name, text in texts if name != "seed_unset" and (fails or is_decisive(name, gate))]
    if kept and verdict.passed:
        return replace(verdict, outcome=Outcome.INCONCLUSIVE, reason="; ".join(kept), unseen="")
    return verdict


def _of_judge(scores: Scores, gate: Gate) -> str:
    """Return how a judge whose errors were measured elsewhere may hide a fall, or hold a value below a bound."""
    judge = scores.details.get("judge")
    if not isinstance(judge, dict) or (gate.at_most, gate.max_decrease, gate.max_change) == (None, None, None):
        return ""
    return (
        f"the judge's errors are those on {judge['data']}; where it finds less than {judge['sensitivity']:.2f} of what "
        "these responses hold, values and falls are larger than shown (measure it with pluralism label)"
    )


def _of_people(estimate: Estimate, gate: Gate, beside: Beside, floors: NoiseFloors) -> str:
    """Return what the people who were asked may hide of a change: a sample of them leaves both values open.

    Two models on one side of the people share this error. A model that goes over to their other side has it twice, and
    the interval of its change does not hold it: nobody who has only the shares can tell the two apart.
    """
    from pytest_pluralism.core.bounds import is_unchanged
    from pytest_pluralism.core.estimation.at_level import half_of_people

    half = half_of_people(estimate)
    if not half or (gate.max_increase, gate.max_change, gate.max_drift) == (None, None, None):
        return ""
    changes = [one for one in (beside.change, beside.drift) if one is not None]
    if all(is_unchanged(one, gate, floors.mean) for one in changes):
        return ""
    return (
        f"the people who were asked are a sample, which leaves each value open by {half:.3f}; where the model went "
        f"over to another side of them, a loss of up to about {2.0 * half:.3f} may not show"
    )


def _witness(measured: Measured, verdict: Verdict, floors: NoiseFloors, groups: Mapping[str, float]) -> Witness | None:
    """Return the unit that did worst, or for a change the unit, or the group of jurors, that got most worse."""
    from pytest_pluralism.core.records import Witness

    scores, change, gate = measured.scores, verdict.change, verdict.gate
    pick: Callable[..., Any] = max if measured.plan.measure.direction == "lower" else min
    texts = {unit.unit_id: unit.text for unit in scores.units}
    if change is not None and change.values:
        pairs: Sequence[tuple[str, float]] = list(zip(change.unit_ids, change.values, strict=True))
        unit_id, value = pick(pairs, key=lambda pair: pair[1])
        guards = [bound for bound in (gate.max_unit_increase, gate.max_unit_decrease) if bound is not None]
        broken = any(abs(value) > max(bound, floors.unit) for bound in guards)
        if broken or (gate.at_most is None and gate.at_least is None and scores.witness is None):
            return Witness(unit_id, value, texts.get(unit_id, ""))
        if groups and not gate.bounds_value:
            name, fall = pick(groups.items(), key=lambda pair: pair[1])
            return Witness(f"group {name}", fall, "the group that falls most")
    if scores.witness is not None:
        return scores.witness
    worst = pick(scores.units, key=lambda unit: unit.value)
    return Witness(worst.unit_id, worst.value, texts.get(worst.unit_id, ""))
