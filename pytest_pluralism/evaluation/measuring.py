"""From a planned gate to its estimate: the one function that gates and notebooks measure with. No pytest here."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from pytest_pluralism.core.estimation.of_scores import estimate_scores
from pytest_pluralism.core.health import unread_words
from pytest_pluralism.core.records import Estimate, Scores
from pytest_pluralism.evaluation.asking.engine import Engine
from pytest_pluralism.evaluation.asking.rounds import JudgeModel, ModelOf, Role
from pytest_pluralism.evaluation.measures.planning import PlannedGate

__all__ = ["estimated", "measure"]


def measure(
    plan: PlannedGate, engine: Engine, model_of: ModelOf, /, *, key: Hashable = None
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
    key : hashable
        That under which the engine may have gathered the scores.
    """
    found, roles = engine.measure(plan.evaluation, model_of, key=key, promised=plan.promised)
    return *estimated(plan, found, roles, model_of), roles


def estimated(
    plan: PlannedGate, scores: Scores, roles: frozenset[Role], model_of: ModelOf, /
) -> tuple[Scores, Estimate]:
    """Return the scores as the measure of a plan takes them, and their estimate, which lies in its range."""
    if plan.measure.kind == "difference":
        scores = replace(scores, differences=True)
    if scores.drawn is not None:
        scores = replace(scores, warnings=(*scores.warnings, scores.drawn.words()))
    if scores.unread_choices[0]:
        scores = replace(scores, warnings=(*scores.warnings, unread_words(scores)))
    scores = _checked_judge(scores, roles, model_of)
    estimate = estimate_scores(scores, confidence_level=plan.confidence_level)
    # No value lies beyond the ends of the measure, so that no interval has to.
    low = max(estimate.low, plan.measure.lowest)
    high = min(estimate.high, plan.measure.highest)
    return scores, replace(estimate, low=low, high=high)


def _checked_judge(scores: Scores, roles: frozenset[Role], model_of: ModelOf) -> Scores:
    """Return scores that say nothing where the errors of the judge were measured on other weights."""
    judge = scores.details.get("judge") or {}
    own: Role | None = next((role for role in roles if isinstance(role, JudgeModel)), None)
    role = own or ("entailment_model" if "entailment_model" in roles else None)
    if not judge or role is None:
        return scores
    if not judge["model_sha256"]:
        told = f"the file of the judge {judge['name']!r} does not say on which weights its errors were measured"
        return replace(scores, warnings=(*scores.warnings, f"{told}; add 'model_sha256' (pluralism label writes it)"))
    identity = model_of(role).identity
    if judge["model_sha256"] in (identity.sha256, identity.parts.get("weights")):
        return scores
    told = (
        f"the errors of the judge {judge['name']!r} were measured on other weights than those of {identity.name}; "
        "measure them again, or set threshold= by hand"
    )
    return replace(scores, doubt=scores.doubt or told)
