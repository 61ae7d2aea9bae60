"""Shares that an imperfect judge found: what the judge missed is added and what it made up is taken off."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records.calibration import JudgeCalibration

__all__ = [
    "change_variance",
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
