"""Coverage as it would be without the errors of the entailment model, beside the coverage that it found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from pytest_pluralism.core.estimation.judged import correct_for_judge
from pytest_pluralism.core.records import Estimate, Scores
from pytest_pluralism.core.records.calibration import JudgeCalibration

__all__ = ["beside_judge"]


def beside_judge(
    scores: Scores,
    estimate: Estimate,
    settings: Mapping[str, Any],
    calibration: JudgeCalibration | None,
    model_sha256: str,
    /,
) -> Scores:
    """Return scores of coverage with the corrected value among their references, details and warnings.

    Parameters
    ----------
    scores, estimate
        The coverage that was found.
    settings : mapping
        The settings of the promise, as plain JSON values.
    calibration : JudgeCalibration or None
        The errors of the judge; without them the scores stay as they are.
    model_sha256 : str
        The hash of the model that judged.
    """
    shares = {"score": "coverage", "draws": "single", "method": "entailment"}
    if calibration is None or scores.metric != "overton_coverage":
        return scores
    if any(settings.get(name, value) != value for name, value in shares.items()):
        return scores
    pairs = calibration.n_entailing + calibration.n_other
    about = (
        f"sensitivity {calibration.sensitivity:.2f} and specificity {calibration.specificity:.2f} on {pairs} pairs of "
        f"{calibration.data}"
    )
    why = ""
    if calibration.model_sha256 and calibration.model_sha256 != model_sha256:
        why = "they are those of other weights"
    elif settings.get("threshold") != calibration.threshold:
        why = f"they hold at the threshold {calibration.threshold:g}, not at {settings.get('threshold')}"
    if why:
        told = f"the errors of the judge ({about}) are not corrected: {why}"
        return replace(scores, warnings=(*scores.warnings, told))
    found = correct_for_judge(estimate, calibration)
    told = f"without the errors of the judge ({about}) the coverage is {found}"
    numbers = {name: getattr(found, name) for name in ("value", "low", "high", "standard_error")}
    corrected = {name: number if math.isfinite(number) else None for name, number in numbers.items()}
    return replace(
        scores,
        references={**scores.references, "corrected_for_judge": found.value},
        details={**scores.details, "judge": {**asdict(calibration), "corrected": corrected}},
        warnings=(*scores.warnings, told),
    )
