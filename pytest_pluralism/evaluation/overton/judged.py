"""Coverage as it would be without the errors of the judge, with what is not known of these."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from pytest_pluralism.core.estimation.judged import change_variance, corrected_shares, is_hardly_better, level_variance
from pytest_pluralism.core.records import Scores, UnitScore
from pytest_pluralism.core.records.calibration import JudgeCalibration
from pytest_pluralism.core.records.plain import JsonObject
from pytest_pluralism.evaluation.overton.judges import EntailmentJudge
from pytest_pluralism.evaluation.overton.settings import OvertonSettings

__all__ = ["corrects", "without_errors"]

#: The references that are shares of answers that some text holds; those of first words have a number in their name.
SHARES = ("chance", "refusal", "coverage", "empty")


def corrects(settings: OvertonSettings, judge: EntailmentJudge, /) -> bool:
    """Return whether the errors of the judge are corrected: known, and the value a mean share of answers."""
    is_share = settings.score == "coverage" and settings.draws == "single" and settings.method == "entailment"
    return judge.calibration is not None and is_share


def without_errors(scores: Scores, settings: OvertonSettings, judge: EntailmentJudge, /) -> Scores:
    """Return the scores of coverage as they would be without the errors of the judge.

    Parameters
    ----------
    scores : Scores
        The scores that the judge found.
    settings : OvertonSettings
        The settings of the measurement.
    judge : EntailmentJudge
        The judge.

    Returns
    -------
    Scores
        With the corrected value of each unit and reference, the raw one in its details (``raw``) and among the
        references (``as_judged``), and with the uncertainty of the errors. Where the errors are not known, or the
        value is not a mean share of answers, the values are raw, and a warning says it.
    """
    told = [judge.note] if judge.note else []
    scores = replace(scores, doubt=judge.doubt, warnings=(*scores.warnings, *told))
    calibration = judge.calibration
    if calibration is None:
        return scores
    about = {"judge": {"name": judge.name, **asdict(calibration)}}
    if not corrects(settings, judge):
        why = "the errors of the judge are not corrected: they are known for the mean share of answers alone"
        return replace(scores, details={**scores.details, **about}, warnings=(*scores.warnings, why))
    raw, sizes = [unit.value for unit in scores.units], [_size(unit) for unit in scores.units]
    values = _corrected(raw, sizes, calibration)
    blind = _references(scores.units, calibration)
    units = tuple(
        replace(unit, value=value, references=references, details=_details(unit, calibration))
        for unit, value, references in zip(scores.units, values, blind, strict=True)
    )
    references = {
        name: _corrected([value], [0], calibration)[0] if name in SHARES or name.startswith("first_") else value
        for name, value in scores.references.items()
    }
    level, found = float(np.mean(values)), float(np.mean(raw))
    # The calibration does not explain values beyond the scale.
    beyond = float(np.mean(corrected_shares(raw, sizes, calibration))) - level
    doubt, misfit = scores.doubt, _misfit(found, calibration)
    if is_hardly_better(calibration):
        pairs = calibration.n_entailing + calibration.n_other
        doubt = doubt or f"the judge is hardly better than chance on {pairs} pairs of {calibration.data}"
    return replace(
        scores,
        units=units,
        references={"as_judged": found, **references, "empty": 0.0, **_false_credit(calibration)},
        details={**scores.details, **about},
        warnings=(*scores.warnings, misfit) if misfit else scores.warnings,
        extra_variance=scores.extra_variance + beyond**2,
        judge_variance=level_variance(level, calibration),
        relative_variance=change_variance(1.0, calibration),
        doubt=doubt,
    )


def _false_credit(calibration: JudgeCalibration) -> dict[str, float]:
    """Return the shares of answers that the judge is known to find where none is held; nothing where nobody did."""
    known = {"opposing_credit": calibration.opposing_credit, "other_credit": calibration.other_credit}
    return {name: value for name, value in known.items() if value is not None}


def _misfit(found: float, calibration: JudgeCalibration) -> str:
    """Return a remark where a judge found more than its calibration lets it find; empty where it did not."""
    if found <= calibration.sensitivity:
        return ""
    return (
        f"the judge found {found:.2f} of the answers, more than the {calibration.sensitivity:.2f} that it finds where "
        "all are held: its calibration does not fit these responses; measure its errors on them (pluralism label)"
    )


def _corrected(values: Sequence[float], sizes: Sequence[int], calibration: JudgeCalibration) -> list[float]:
    """Return shares without the errors of the judge; their mean is in [0, 1], which a single one need not be."""
    found = corrected_shares(values, sizes, calibration)
    mean = float(found.mean())
    corrected: list[float] = (found + min(max(mean, 0.0), 1.0) - mean).tolist()
    return corrected


def _size(unit: UnitScore) -> int:
    """Return how many judgements the value of a unit is a mean of: one for each answer and draw."""
    answers, draws = unit.details.get("answers"), unit.details.get("n_draws")
    return len(answers) * draws if isinstance(answers, list) and isinstance(draws, int) else 0


def _details(unit: UnitScore, calibration: JudgeCalibration) -> JsonObject:
    """Return the details of a unit with its raw value, and the corrected value of the beginnings of its responses."""
    found = {**unit.details, "raw": unit.value}
    if "by_length" in found:
        n = len(found.get("answers", []))
        found["by_length"] = [_curve(one, n, calibration) for one in found["by_length"]]
    return found


def _curve(curve: Sequence[Sequence[float]], n: int, calibration: JudgeCalibration) -> list[list[float]]:
    """Return the corrected values of the beginnings of one response, beside their numbers of words."""
    values = corrected_shares([value for _, value in curve], [n] * len(curve), calibration)
    return [[words, float(value)] for (words, _), value in zip(curve, values, strict=True)]


def _references(units: Sequence[UnitScore], calibration: JudgeCalibration) -> list[JsonObject]:
    """Return the corrected references of each unit."""
    found: list[dict[str, object]] = [{} for _ in units]
    for name in dict.fromkeys(name for unit in units for name in unit.references):
        places = [at for at, unit in enumerate(units) if not math.isnan(unit.references.get(name, math.nan))]
        sizes = [_size(units[at]) for at in places]
        values = _corrected([units[at].references[name] for at in places], sizes, calibration) if places else []
        for at, value in zip(places, values, strict=True):
            found[at][name] = value
    return list(found)
