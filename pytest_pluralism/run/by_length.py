"""A change beside a baseline, told apart from responses that became longer or shorter."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_pluralism.run.measured import Beside, Measured

__all__ = ["drift_at_equal_length", "told_by_length"]


def told_by_length(result: Beside, measured: Measured, stored: Mapping[str, object], update: str, /) -> None:
    """Tell a change apart from the length of responses, and judge the rest where a promise is about that."""
    from pytest_pluralism.baselines.comparison import length_of_change

    plan = measured.plan
    found = length_of_change(measured.scores, stored, confidence_level=plan.confidence_level)
    if found is not None:
        result.about["length"] = found.as_json()
    if not plan.at_equal_length:
        return
    if found is None:
        result.problem = (
            "baseline not comparable: it does not hold the values of shortened responses, which at_equal_length needs. "
            f"To store a new one: {update}"
        )
        return
    result.change = found.at_equal_length


def drift_at_equal_length(result: Beside, measured: Measured, anchor: Mapping[str, object], /) -> bool:
    """Judge the drift at equal length where a promise is about that; return whether the drift is known."""
    from pytest_pluralism.baselines.comparison import length_of_change

    if not measured.plan.at_equal_length:
        return True
    found = length_of_change(measured.scores, anchor, confidence_level=measured.plan.confidence_level)
    if found is None:
        result.drift = None
        result.anchor_problem = "the drift from the anchor at equal length is not known: move the anchor"
        return False
    result.drift = found.at_equal_length
    return True
