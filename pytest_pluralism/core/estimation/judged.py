"""Shares that an imperfect judge found: what the judge missed is added and what it made up is taken off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pytest_pluralism.core.estimation.at_level import checked_estimate, with_extra_variance
from pytest_pluralism.core.estimation.unknown import without_interval
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import Estimate, IntervalMethod
from pytest_pluralism.core.records.calibration import JudgeCalibration

__all__ = [
    "change_variance",
    "correct_change_for_judge",
    "correct_for_judge",
    "corrected_shares",
    "is_hardly_better",
    "level_variance",
]

#: A judge is not believed to tell anything where its power is within so many standard errors of 0.
_LEAST_SURE = 3.0


def corrected_shares(found: Sequence[float], n_answers: Sequence[int], calibration: JudgeCalibration, /) -> FloatArray:
    r"""Return the shares of units as they would be without the judge's errors: noisy, but right on average.

    .. math:: l = \frac{q + \text{sp} - 1}{\text{se} + \text{sp} - 1}, \qquad
        p = l - \frac{4 b}{\text{se} + \text{sp} - 1} \left( l (1 - l)
        + \frac{l\,\text{se}(1 - \text{se}) + (1 - l)\,\text{sp}(1 - \text{sp})}
        {n\,(\text{se} + \text{sp} - 1)^2} \right)

    with the bend :math:`b`. The last term makes up for the chance in :math:`l`, which makes its square too large.

    Parameters
    ----------
    found : sequence of float
        The share :math:`q` of each unit that the judge found.
    n_answers : sequence of int
        The number of judgements :math:`n` behind each share; 0 where it is not known, or is large.
    calibration : JudgeCalibration
        The errors of the judge.

    Returns
    -------
    ndarray of shape (n_units,)
        On the scale of shares; single ones may lie outside [0, 1].

    Examples
    --------
    >>> straight = JudgeCalibration(0.8, 1.0, 0.5, 400, 400, "pairs", "ab")
    >>> corrected_shares([0.4, 0.8], [5, 5], straight).tolist()
    [0.5, 1.0]
    >>> bent = JudgeCalibration(0.8, 1.0, 0.5, 400, 400, "pairs", "ab", bend=0.04)
    >>> corrected_shares([0.44, 0.8], [0, 0], bent).round(3).tolist()
    [0.501, 1.0]
    """
    power, bend = calibration.power, calibration.bend or 0.0
    line: FloatArray = (np.asarray(found, dtype=np.float64) - (1.0 - calibration.specificity)) / power
    if not bend:
        return line
    inside = np.clip(line, 0.0, 1.0)
    noise = inside * calibration.sensitivity * (1.0 - calibration.sensitivity)
    noise += (1.0 - inside) * calibration.specificity * (1.0 - calibration.specificity)
    n = np.asarray(n_answers, dtype=np.float64)
    chance = np.where(n > 0, noise / (np.maximum(n, 1.0) * power**2), 0.0)
    corrected: FloatArray = line - 4.0 * bend / power * (line * (1.0 - line) + chance)
    return corrected


def level_variance(share: float, calibration: JudgeCalibration, /) -> float:
    """Return the variance that a corrected share has from what is not known of the judge's errors."""
    of_sensitivity, of_specificity = calibration.variances
    # A share outside [0, 1] is one that the judge's errors explain.
    inside = min(max(share, 0.0), 1.0)
    of_bend = (4.0 * inside * (1.0 - inside) * (calibration.bend_error or 0.0)) ** 2
    slope = calibration.power + 4.0 * (calibration.bend or 0.0) * (1.0 - 2.0 * inside)
    return (inside**2 * of_sensitivity + (1.0 - inside) ** 2 * of_specificity + of_bend) / slope**2


def change_variance(change: float, calibration: JudgeCalibration, /) -> float:
    """Return the variance that a corrected change has from what is not known of the judge's errors.

    That of the bend is the one at the ends of the scale, where it is largest.
    """
    of_bend = (4.0 * (calibration.bend_error or 0.0)) ** 2
    return change**2 * (sum(calibration.variances) + of_bend) / calibration.power**2


def is_hardly_better(calibration: JudgeCalibration, /) -> bool:
    """Return whether the pairs are too few to say that the judge is better than chance."""
    return calibration.power < _LEAST_SURE * math.sqrt(sum(calibration.variances))


def correct_for_judge(estimate: Estimate, calibration: JudgeCalibration, /) -> Estimate:
    r"""Return a share as it would be without the judge's errors, with what is not known of these in its interval.

    .. math:: p = \frac{q + \text{sp} - 1}{\text{se} + \text{sp} - 1}, \qquad
        \widehat{SE}^2 = \frac{\widehat{SE}^2_q + p^2\,\widehat{SE}^2_{\text{se}}
        + (1 - p)^2\,\widehat{SE}^2_{\text{sp}}}{(\text{se} + \text{sp} - 1)^2}

    Parameters
    ----------
    estimate : Estimate
        The share :math:`q` that the judge found, or a mean of such shares over units.
    calibration : JudgeCalibration
        The sensitivity and the specificity of the judge, and the pairs that they come from.

    Returns
    -------
    Estimate
        On the same scale; a little outside [0, 1] where the judge found fewer, or more, than its errors alone make.
        The units are corrected alike. Its ends are NaN where the pairs are too few to say that the judge is better
        than chance.

    Notes
    -----
    The sensitivity and specificity are taken to be those of the calibration whatever the texts are like. Where the
    style of texts changes them, the correction does not see it. The bend of a calibration is taken off at the mean, as
    if all units held about one share; :func:`corrected_shares` does it unit by unit.

    References
    ----------
    W. J. Rogan, B. Gladen, "Estimating prevalence from the results of a screening test", Am. J. Epidemiol. 107, 1978,
    doi:10.1093/oxfordjournals.aje.a112510.

    Examples
    --------
    >>> found = Estimate(0.5, 0.4, 0.6, 0.05, n=100, n_clusters=100)
    >>> print(correct_for_judge(found, JudgeCalibration(0.8, 0.9, 0.5, 10**9, 10**9, "pairs", "ab")))
    0.571 [0.429, 0.714]
    """
    checked_estimate(estimate, name="estimate", function="correct_for_judge")
    share = _share_at(estimate.value, calibration)
    slope = calibration.power + 4.0 * (calibration.bend or 0.0) * (1.0 - 2.0 * min(max(share, 0.0), 1.0))
    return _corrected(estimate, (estimate.value, share, slope), level_variance(share, calibration), calibration)


def correct_change_for_judge(change: Estimate, calibration: JudgeCalibration, /) -> Estimate:
    r"""Return a change of shares as it would be without the judge's errors, which shrink every change.

    .. math:: \Delta p = \frac{\Delta q}{\text{se} + \text{sp} - 1}, \qquad
        \widehat{SE}^2 = \frac{\widehat{SE}^2_{\Delta q} + \Delta p^2\,(\widehat{SE}^2_{\text{se}} +
        \widehat{SE}^2_{\text{sp}})}{(\text{se} + \text{sp} - 1)^2}

    Parameters
    ----------
    change : Estimate
        The paired difference of two shares that the same judge found.
    calibration : JudgeCalibration
        The errors of the judge.

    Returns
    -------
    Estimate
        The change, with the remarks of :func:`correct_for_judge`. Where the calibration has a bend, a change at one
        end of the scale is read as larger than at the other: the interval covers both.

    References
    ----------
    As for :func:`correct_for_judge`.

    Examples
    --------
    >>> found = Estimate(-0.03, -0.05, -0.01, 0.01, n=100, n_clusters=100)
    >>> round(correct_change_for_judge(found, JudgeCalibration(0.8, 0.8, 0.5, 500, 500, "pairs", "ab")).value, 6)
    -0.05
    """
    checked_estimate(change, name="change", function="correct_change_for_judge")
    corrected = change.value / calibration.power
    of_bend = (4.0 * (calibration.bend or 0.0) * corrected / calibration.power) ** 2
    line = (0.0, 0.0, calibration.power)
    return _corrected(change, line, change_variance(corrected, calibration) + of_bend, calibration)


def _share_at(found: float, calibration: JudgeCalibration) -> float:
    """Return the share of which a judge finds so much; beyond the ends along the line that begins there."""
    above, power, bend = found - (1.0 - calibration.specificity), calibration.power, calibration.bend or 0.0
    if not bend:
        return above / power
    if above <= 0.0:
        return above / (power + 4.0 * bend)
    if above >= power:
        return 1.0 + (above - power) / (power - 4.0 * bend)
    whole = power + 4.0 * bend
    return (whole - math.sqrt(whole**2 - 16.0 * bend * above)) / (8.0 * bend)


def _corrected(
    estimate: Estimate, at: tuple[float, float, float], variance: float, calibration: JudgeCalibration
) -> Estimate:
    """Return an estimate along a line: a value that was found, what it becomes, and the slope there."""
    found_at, share, slope = at

    def without_errors(value: float) -> float:
        return share + (value - found_at) / slope

    how = replace(estimate.how, told=f"{estimate.method}, corrected for the judge")
    if estimate.how.is_share:
        # Corrected shares of 0 and 1 are not shares of anything that was counted.
        how = IntervalMethod(told=how.told, difference=True)
    found = replace(
        estimate,
        value=without_errors(estimate.value),
        low=without_errors(estimate.low),
        high=without_errors(estimate.high),
        standard_error=estimate.standard_error / slope,
        extra_variance=estimate.extra_variance / slope**2,
        values=tuple(map(without_errors, estimate.values)),
        how=how,
    )
    found = with_extra_variance(found, variance)
    if is_hardly_better(calibration):
        why = f"the judge is hardly better than chance on {calibration.n_entailing + calibration.n_other} pairs"
        return without_interval(found, f"unknown: {why}")
    return found
