"""Shares that an imperfect judge found: what the judge missed is added and what it made up is taken off."""

from __future__ import annotations

import math
from dataclasses import replace

from pytest_pluralism.core.estimation.at_level import checked_estimate, with_extra_variance
from pytest_pluralism.core.records import Estimate, IntervalMethod
from pytest_pluralism.core.records.calibration import JudgeCalibration

__all__ = ["change_variance", "correct_change_for_judge", "correct_for_judge", "is_hardly_better", "level_variance"]

#: A judge is not believed to tell anything where its power is within so many standard errors of 0.
_LEAST_SURE = 3.0


def level_variance(share: float, calibration: JudgeCalibration, /) -> float:
    """Return the variance that a corrected share has from what is not known of the judge's errors."""
    of_sensitivity, of_specificity = calibration.variances
    # A share outside [0, 1] is one that the judge's errors explain.
    inside = min(max(share, 0.0), 1.0)
    return (inside**2 * of_sensitivity + (1.0 - inside) ** 2 * of_specificity) / calibration.power**2


def change_variance(change: float, calibration: JudgeCalibration, /) -> float:
    """Return the variance that a corrected change has from what is not known of the judge's errors."""
    return change**2 * sum(calibration.variances) / calibration.power**2


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
    style of texts changes them, the correction does not see it.

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
    made_up = 1.0 - calibration.specificity
    variance = level_variance((estimate.value - made_up) / calibration.power, calibration)
    return _corrected(estimate, made_up, variance, calibration)


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
        The change, with the remarks of :func:`correct_for_judge`.

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
    variance = change_variance(change.value / calibration.power, calibration)
    return _corrected(change, 0.0, variance, calibration)


def _corrected(estimate: Estimate, made_up: float, variance: float, calibration: JudgeCalibration) -> Estimate:
    power = calibration.power

    def without_errors(value: float) -> float:
        return (value - made_up) / power

    how = replace(estimate.how, told=f"{estimate.method}, corrected for the judge")
    if estimate.how.is_share:
        # Corrected shares of 0 and 1 are not shares of anything that was counted.
        how = IntervalMethod(told=how.told, difference=True)
    found = replace(
        estimate,
        value=without_errors(estimate.value),
        low=without_errors(estimate.low),
        high=without_errors(estimate.high),
        standard_error=estimate.standard_error / power,
        extra_variance=estimate.extra_variance / power**2,
        values=tuple(map(without_errors, estimate.values)),
        how=how,
    )
    found = with_extra_variance(found, variance)
    if is_hardly_better(calibration):
        why = f"the judge is hardly better than chance on {calibration.n_entailing + calibration.n_other} pairs"
        return replace(found, low=math.nan, high=math.nan, how=IntervalMethod(told=f"unknown: {why}"))
    return found
