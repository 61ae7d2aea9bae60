"""From a planned gate to its estimate: the one function that gates and notebooks measure with. No pytest here."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from pytest_pluralism.core.estimation.of_scores import estimate_scores
from pytest_pluralism.core.records import Estimate, Scores
from pytest_pluralism.evaluation.asking.engine import Engine
from pytest_pluralism.evaluation.asking.rounds import ModelOf, Role
from pytest_pluralism.evaluation.measures.planning import PlannedGate

__all__ = ["estimated", "measure"]


def measure(
    plan: PlannedGate, engine: Engine, model_of: ModelOf, /, *, judge: str | None = None, key: Hashable = None
) -> tuple[Scores, Estimate, frozenset[Role]]:
    """Ask what has not been asked yet, score it, and return scores, estimate and the roles of the needed models.

    Parameters
    ----------
    plan : PlannedGate
        The measurement.
    engine : Engine
        Asks the models.
    model_of : callable
        Returns the model of a role.
    judge : str or None
        The spec of the entailment model that the run loaded; a model of another origin has no known errors.
    key : hashable
        That under which the engine may have gathered the scores.
    """
    found, roles = engine.measure(plan.evaluation, model_of, key=key)
    return *estimated(plan, found, roles, model_of, judge=judge), roles


def estimated(
    plan: PlannedGate, scores: Scores, roles: frozenset[Role], model_of: ModelOf, /, *, judge: str | None = None
) -> tuple[Scores, Estimate]:
    """Return the scores as the measure of a plan takes them, and their estimate, which lies in its range."""
    if plan.measure.kind == "difference":
        scores = replace(scores, differences=True)
    if scores.drawn is not None:
        scores = replace(scores, warnings=(*scores.warnings, scores.drawn.words()))
    estimate = estimate_scores(scores, confidence_level=plan.confidence_level)
    if "entailment_model" in roles:
        scores = _beside_judge(plan, scores, estimate, model_of, judge)
    # No value lies beyond the ends of the measure, so that no interval has to.
    low = max(estimate.low, plan.measure.lowest)
    high = min(estimate.high, plan.measure.highest)
    return scores, replace(estimate, low=low, high=high)


def _beside_judge(
    plan: PlannedGate, scores: Scores, estimate: Estimate, model_of: ModelOf, judge: str | None
) -> Scores:
    """Return scores with the value as it would be without the judge's errors, where these are known."""
    from pytest_pluralism.evaluation.overton.judged import beside_judge
    from pytest_pluralism.models.calibration import calibration_of

    identity = model_of("entailment_model").identity
    if identity.spec != judge:
        # A model of the project's own, whose folder nobody knows.
        return scores
    return beside_judge(scores, estimate, plan.settings, calibration_of(identity.spec), identity.sha256)
