"""The number of answers to draw for a promise, where a model gives texts and no probabilities."""

from __future__ import annotations

import math

from scipy import special

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.records import Gate

__all__ = ["FEWEST_DRAWS", "MOST_DRAWS", "draws_planned"]

#: The fewest draws of a question over all its prompts: what drawing adds to a distance is then taken out well.
FEWEST_DRAWS = 20

#: The most draws of one prompt. More draws cost more than more questions, and say less.
MOST_DRAWS = 100

#: One draw moves a value by half of its range at most (Popoviciu's inequality), as a standard deviation.
OF_RANGE = 0.5

#: The spread of the values of questions that is presumed, as a part of their range.
PRESUMED_SPREAD = 0.15

#: Drawing may add so much to the spread of the questions, and take so much of a margin.
SHARE = 1.0 / 3.0

#: By so much of the range a value that is decided without an interval shall be known, at two standard errors.
RESOLUTION = 0.02


def draws_planned(gate: Gate | None, /, *, n_questions: int, prompts_each: int = 1, width: float = 1.0) -> int:
    r"""Return how many answers to draw to each prompt, so that a promise is decided by the questions.

    Of n questions with m draws each, drawing moves the mean by a standard error of at most
    :math:`\sigma / \sqrt{n m}` with :math:`\sigma` half of the range. Three rules, the largest m counts:

    - an interval of a level: :math:`\sigma / \sqrt m` is at most a third of the presumed spread of the questions, so
      that the interval is 5 % wider than it would be without drawing;
    - a change within a margin :math:`\delta`, both sides drawn: :math:`z \sigma \sqrt{2 / (n m)} \le \delta / 3`;
    - a value without an interval: :math:`2 \sigma / \sqrt{n m}` is at most 2 % of the range.

    Parameters
    ----------
    gate : Gate or None
        The promise; ``None`` where only the estimate is wanted.
    n_questions : int
        The number of questions, at least 1.
    prompts_each : int
        The prompts in which each question is put, at least 1.
    width : float
        The range of the value; what is not finite counts as 1, and the margin with it.

    Returns
    -------
    int
        In [1, :data:`MOST_DRAWS`]; at least :data:`FEWEST_DRAWS` a question over all its prompts.

    Examples
    --------
    >>> draws_planned(Gate(at_most=0.4), n_questions=25, prompts_each=5)
    20
    >>> draws_planned(Gate(max_increase=0.02), n_questions=400, prompts_each=5)
    22
    >>> draws_planned(Gate(max_increase=0.02), n_questions=25, prompts_each=5)
    100
    """
    for name, value in (("n_questions", n_questions), ("prompts_each", prompts_each)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise invalid_parameter(name, "draws_planned", "a whole number from 1", repr(value))
    whole = width if math.isfinite(width) and width > 0.0 else 1.0
    sigma, wanted = OF_RANGE * whole, [float(FEWEST_DRAWS)]
    level = 0.95 if gate is None else gate.confidence_level
    if level is None:
        wanted.append((2.0 * sigma / (RESOLUTION * whole)) ** 2 / n_questions)
    elif gate is None or gate.bounds_value:
        wanted.append((sigma / (SHARE * PRESUMED_SPREAD * whole)) ** 2)
    margins = [] if gate is None else [gate.max_increase, gate.max_decrease, gate.max_change, gate.max_drift]
    known = [margin for margin in margins if margin is not None]
    if known:
        z = float(special.ndtri(0.5 + level / 2.0)) if level is not None else 1.0
        least = min(known)
        many = math.inf if least <= 0.0 else 2.0 * (z * sigma / (SHARE * least)) ** 2 / n_questions
        wanted.append(many)
    each = max(wanted) / prompts_each
    return MOST_DRAWS if each >= MOST_DRAWS else max(1, math.ceil(each - 1e-9))
