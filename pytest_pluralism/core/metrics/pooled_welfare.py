"""Welfare where few votes on each response hide those who are worst off."""

from __future__ import annotations

import math

import numpy as np

from pytest_pluralism.core.metrics.power_mean import Cells
from pytest_pluralism.core.metrics.sparse_welfare import JuryTable, WelfareRule, shares_of_cells

#: It serves evaluations of juries and is not a measure of arrays.
__all__: list[str] = []

#: Aversions above this are those of one juror alone, of whom other responses tell nothing.
MOST_AVERSE = 10.0

#: A response that is given at least so often is the only one to its query.
MOSTLY = 0.99


def pooled_welfare(table: JuryTable, rule: WelfareRule, /) -> float:
    r"""Return the welfare in the population of jurors, with the spread of votes taken to be alike on all responses.

    With :math:`f(u) = u^{1-\alpha}` the mean :math:`m_r` of f over the votes on a response is unbiased, however few
    they are; what is biased is the power of it. So the means are drawn together around their own mean until they vary
    as much as those of whole populations would, and the power is taken then:

    .. math:: \sum_r p_r \bigl(\bar m + c_r (m_r - \bar m)\bigr)^{1/(1-\alpha)}, \qquad
        c_r^2 = \frac{\tau^2}{\tau^2 + \sigma^2 / n_r}

    with :math:`\sigma^2` the variance of f within responses and :math:`\tau^2` that between them beyond it.

    Parameters
    ----------
    table : JuryTable
        The utilities.
    rule : WelfareRule
        How they become one number.

    Returns
    -------
    float
        On the scale of the utilities; NaN for rules other than an aversion in (1, 10], where no response has a second
        vote, and where several responses are given to a query, which are not alike.

    References
    ----------
    T. A. Louis, "Estimating a population of parameter values using Bayes and empirical Bayes methods", J. Am. Stat.
    Assoc. 79, 1984, doi:10.1080/01621459.1984.10478062.
    """
    plain = rule.satisfied_above is None and rule.worst_share is None and rule.between_alpha is None
    own = shares_of_cells(table, Cells(table.response, len(table.share)))
    alike = table.n_draws == 1 and bool((table.share[table.share > 0.0] >= MOSTLY).all())
    counted = (table.share > 0.0)[table.response] & (own > 0.0)
    if not plain or not alike or not 1.0 < rule.alpha <= MOST_AVERSE or not counted.any():
        return math.nan
    own, top = own[counted], float(table.utility[counted].max())
    responses = Cells(table.response[counted], len(table.share))
    if float(table.utility[counted].min()) <= 0.0:
        return math.nan
    order = 1.0 - rule.alpha
    powers = np.power(table.utility[counted] / top, order)
    means = responses.total(own * powers)
    within = responses.total(own * (powers - responses.of_jurors(means)) ** 2)
    there = responses.total(own) > 0.0
    voters = 1.0 / np.where(there, responses.total(own**2), 1.0)
    if float((voters - 1.0).sum()) < 1.0:
        return math.nan
    noise = float((voters * within).sum() / (voters - 1.0).sum())
    part = np.where(there, table.share, 0.0)
    part = part / part.sum()
    mean = float(part @ means)
    spread = float(part @ (means - mean) ** 2) / max(1.0 - float(part @ part), 1e-12)
    between = max(0.0, spread - noise * float((part / voters).sum()))
    drawn = np.sqrt(between / np.where(between + noise > 0.0, between + noise / voters, 1.0))
    moved = np.where(there, mean + drawn * (means - mean), 1.0)
    # A mean of many votes may round to nothing less than 1, which each power is.
    moved = np.maximum(moved, 1.0)
    # The jurors whom all responses share are a sample as well.
    cells = responses.of_jurors(part) * own * (powers - mean)
    sums = Cells(table.juror[counted], len(table.weights)).total(cells)
    shared = max(0.0, float(sums @ sums) - float(cells @ cells))
    power = 1.0 / order
    bent = power * (power - 1.0) * moved ** (power - 2.0)
    return top * float(part @ (moved**power - bent * shared / 2.0))
