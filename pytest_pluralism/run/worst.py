"""The promise about the group that fares worst, beside what a baseline holds of every group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_pluralism.core.records.plain import JsonObject
from pytest_pluralism.run.decided import STORED, gate_while_stored, is_own_anchor
from pytest_pluralism.run.items import Json
from pytest_pluralism.run.measured import Measured

if TYPE_CHECKING:
    from pytest_pluralism.core.estimation.worst import Paired
    from pytest_pluralism.core.records import Estimate, Verdict
    from pytest_pluralism.evaluation.measures.worst import WorstEvaluation

__all__ = ["changes_of_parts", "entries_of", "is_worst", "verdict_beside", "verdict_of_stored"]

#: The stored entry of each group.
Stored = Mapping[str, JsonObject]


def is_worst(measured: Measured) -> bool:
    """Return whether a promise is about the group that fares worst."""
    from pytest_pluralism.evaluation.measures.worst import WorstEvaluation

    return isinstance(measured.plan.evaluation, WorstEvaluation)


def entries_of(parts: Mapping[str, Measured]) -> dict[str, Json]:
    """Return the measurement of each group in the form of a stored entry."""
    from pytest_pluralism.baselines.comparison import entry_of

    return {
        name: entry_of(
            part.scores, part.estimate, part.provenance, part.plan.population, prompts_sha256=part.prompts_sha256
        )
        for name, part in parts.items()
    }


def verdict_beside(
    measured: Measured, parts: Mapping[str, Measured], stored: Stored, about: Json, *, looks_plan: str | int, move: str
) -> Verdict:
    """Decide a promise about the worst group beside what is stored of every group, and beside its anchor.

    Parameters
    ----------
    measured : Measured
        The measurement of the worst group.
    parts : mapping of str to Measured
        That of each group.
    stored : mapping of str to mapping
        The entry of each group, which may be compared with its measurement.
    about : dict
        The part of the report about the baseline; the changes of the groups are added.
    looks_plan : str or int
        How looks at the baseline are counted.
    move : str
        The command that moves the anchors.
    """
    from pytest_pluralism.baselines.comparison import usual_noise_floor
    from pytest_pluralism.core.estimation import look_factor
    from pytest_pluralism.core.guards import guarded
    from pytest_pluralism.core.verdict import decide

    gate = measured.plan.gate
    assert gate is not None  # noqa: S101 - the types say less than the callers know
    change = _change(measured, parts, stored)
    about["change_by_group"] = {
        name: part.estimate.value - value
        for name, part in parts.items()
        if isinstance(value := stored[name]["estimate"].get("value"), (int, float))
    }
    drift, looks = None, 1.0
    anchors = {name: entry.get("anchor") for name, entry in stored.items()}
    if gate.needs_anchor and any(anchors.values()):
        looks = max(look_factor(entry.get("looks", 0) + 1, plan=looks_plan) for entry in stored.values())
    if gate.needs_anchor and not all(map(is_own_anchor, stored.values())):
        drift = _change(measured, parts, {name: anchors[name] or entry for name, entry in stored.items()}, move)
    elif gate.max_drift is not None:
        # The comparison with the entries is the one with their anchors, at a margin of its own.
        drift = change
    verdict = decide(
        gate,
        measured.estimate,
        change=change,
        advantage=_advantage(measured),
        drift=drift,
        looks=looks,
        noise_floor=usual_noise_floor(measured.provenance.model),
        witness=measured.scores.witness,
    )
    return guarded(verdict, measured.scores.guards)


def verdict_of_stored(
    measured: Measured, parts: Mapping[str, Measured], replaced: Stored, looks_plan: str | int, *, move: str
) -> Verdict:
    """Decide a promise about the worst group whose results are being stored: the value, and the drift from the anchor.

    Parameters
    ----------
    measured, parts, looks_plan, move
        As for :func:`verdict_beside`.
    replaced : mapping of str to mapping
        The entry of each group that is replaced; empty where there is none.
    """
    from pytest_pluralism.baselines.comparison import usual_noise_floor
    from pytest_pluralism.core.errors import BaselineError
    from pytest_pluralism.core.estimation import look_factor
    from pytest_pluralism.core.guards import guarded
    from pytest_pluralism.core.records import Outcome, Verdict
    from pytest_pluralism.core.verdict import decide

    gate, estimate = measured.plan.gate, measured.estimate
    assert gate is not None  # noqa: S101 - the types say less than the callers know
    anchors = {name: entry.get("anchor") or entry for name, entry in replaced.items() if entry}
    drift, looks = None, 1.0
    if gate.needs_anchor and len(anchors) == len(parts) and any(entry.get("anchor") for entry in replaced.values()):
        looks = max(look_factor(entry.get("looks", 0) + 1, plan=looks_plan) for entry in replaced.values())
        try:
            drift = _change(measured, parts, anchors, move)
        except BaselineError as error:
            reason = f"the drift from the anchor is not known: {error}"
            return Verdict(Outcome.INCONCLUSIVE, gate, estimate, reason=reason)
    left = gate_while_stored(gate, has_drift=drift is not None)
    if left is None:
        return Verdict(Outcome.PASSED, gate, estimate, reason=STORED)
    verdict = decide(
        left,
        estimate,
        advantage=_advantage(measured),
        drift=drift,
        looks=looks,
        noise_floor=usual_noise_floor(measured.provenance.model),
        witness=measured.scores.witness,
    )
    verdict = replace(verdict, reason=STORED) if verdict.passed and not gate.bounds_value else verdict
    return guarded(verdict, measured.scores.guards)


def changes_of_parts(
    parts: Mapping[str, Measured], stored: Stored, confidence_level: float | None
) -> tuple[Estimate, ...]:
    """Return the change of each part of a promise against what is stored of it; nothing where that is not whole."""
    from pytest_pluralism.baselines.comparison import paired_change

    if not stored.keys() >= parts.keys():
        return ()
    now = entries_of(parts)
    return tuple(paired_change(now[name], stored[name], confidence_level=confidence_level) for name in parts)


def _advantage(measured: Measured) -> Estimate | None:
    """Return the advantage over the reference that a promise names beside a change; nothing where it names none."""
    from pytest_pluralism.core.estimation.relative import advantage_of

    plan = measured.plan
    assert plan.gate is not None  # noqa: S101 - the types say less than the callers know
    return advantage_of(measured.scores, plan.gate, plan.measure, confidence_level=plan.confidence_level)


def _change(measured: Measured, parts: Mapping[str, Measured], stored: Stored, remedy: str = "") -> Estimate:
    """Return the change of the worst group against what is stored of every group; ``remedy`` stores them anew."""
    from pytest_pluralism.baselines.comparison import compare_with_baseline, paired_change
    from pytest_pluralism.core.estimation import worst_change
    from pytest_pluralism.core.estimation.pareto_gains import stored_scores

    evaluation: WorstEvaluation = measured.plan.evaluation  # type: ignore[assignment]
    before = {name: stored_scores(part.scores, stored[name]) for name, part in parts.items()}

    def paired(name: str) -> Paired:
        part = parts[name]
        compare_with_baseline(
            part.scores,
            part.provenance,
            stored[name],
            confidence_level=None,
            where="",
            update=remedy,
            prompts_sha256=part.prompts_sha256,
        )
        now = entries_of({name: part})[name]
        return lambda level: paired_change(now, stored[name], confidence_level=level)

    return worst_change(
        evaluation.estimates({name: part.scores for name, part in parts.items()}),
        evaluation.estimates(before),
        {name: paired(name) for name in parts},
        direction=evaluation.measure.direction,
    )
