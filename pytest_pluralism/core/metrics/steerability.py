"""Measures of how far steering moves a model: along a direction of a profile, and in a space of goals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import (
    FloatArray,
    finite_array,
    float_or_array,
    real_number,
)

__all__ = [
    "GoalSpaceSteering",
    "goal_space_steering",
    "prompt_steerability_index",
]


def prompt_steerability_index(
    baseline: npt.ArrayLike,
    steered: npt.ArrayLike,
    /,
    *,
    n_statements: float | None = None,
    prior: float = 0.5,
) -> FloatArray | float:
    r"""Compute how far steering moves a model's profile towards the extreme of a direction.

    The movement is a share of the way between the extremes.

    A profile is the Beta distribution of the tendency to answer in the direction, after the counted answers:
    :math:`P = \mathrm{Beta}(c + n_+, c + n_-)`. With the extremes :math:`P^+, P^-` of a model that answers all
    statements in, or all against, the direction, and W the 1-Wasserstein distance:

    .. math:: \frac{W(P_{base}, P^+) - W(P_{steered}, P^+)}{W(P^-, P^+)}

    Parameters
    ----------
    baseline, steered : array_like of shape (..., 2)
        Number of statements that the model answers in the direction and against it, unsteered and steered.
        Sums of weights may stand for counts.
    n_statements : float, optional
        Number of statements put to the model. Default: the sum of the counts, which must then be the same in
        ``baseline`` and ``steered``. Give it when some answers could not be read.
    prior : float in (0, inf), default 0.5
        The c above; 0.5 is Jeffreys' prior.

    Returns
    -------
    float or ndarray of shape (...)
        In [-1, 1]; 0 means no effect; higher is better. It cannot reach 1 from a baseline that leans to the direction
        already: read it beside the baseline.
        When all answers are read it is the change in the share of answers in the direction, whatever the prior.

    Raises
    ------
    InvalidParameterError
        If counts are empty, not finite, negative or not two in the last axis.
    InvalidParameterError
        If the shapes of ``baseline`` and ``steered`` do not broadcast.
    InvalidParameterError
        If there are no statements, fewer than counted, or different sums without ``n_statements``.
    InvalidParameterError
        If ``prior`` is not positive.

    Notes
    -----
    Miehling et al. 2024, "Evaluating the Prompt Steerability of Large Language Models" (arXiv 2411.12405).
    The definition follows their public code, except that W is the distance between the Beta distributions themselves;
    their code passes values of the cumulative distribution functions to a function that expects samples, so published
    numbers differ. Between such profiles, one of which always dominates the other, W is the difference of the means.

    Examples
    --------
    >>> round(prompt_steerability_index([6, 4], [9, 1]), 6)
    0.3
    """
    function = "prompt_steerability_index"
    before = finite_array(baseline, name="baseline", function=function)
    after = finite_array(steered, name="steered", function=function)
    for name, counts in (("baseline", before), ("steered", after)):
        if counts.shape[-1] != 2:
            must = "two counts in the last axis: in the direction, and against it"
            raise invalid_parameter(name, function, must, f"shape {counts.shape}")
        if (counts < 0).any():
            raise invalid_parameter(name, function, "non-negative", f"{counts.min()}")
    try:
        before, after = np.broadcast_arrays(before, after)
    except ValueError as error:
        must = f"of a shape that fits {before.shape}"
        raise invalid_parameter("steered", function, must, f"shape {after.shape}") from error
    c = real_number(prior, name="prior", function=function)
    if c <= 0:
        raise invalid_parameter("prior", function, "a float in (0, inf)", prior)
    answered = np.stack([before.sum(axis=-1), after.sum(axis=-1)])
    if n_statements is None:
        # Sums of weights may differ in their last digits; counts do not.
        if not np.allclose(answered[0], answered[1], rtol=1e-9, atol=0.0):
            must = "given when 'baseline' and 'steered' count different numbers of answers"
            raise invalid_parameter("n_statements", function, must, None)
        n = answered.max(axis=0)
    else:
        total = real_number(n_statements, name="n_statements", function=function)
        if (answered > total).any():
            must = f"at least the number of answers counted ({answered.max():g})"
            raise invalid_parameter("n_statements", function, must, n_statements)
        n = np.full(answered.shape[1:], total)
    if (n <= 0).any():
        raise invalid_parameter("baseline", function, "of at least one statement", "none")
    mean_before = (c + before[..., 0]) / (2 * c + answered[0])
    mean_after = (c + after[..., 0]) / (2 * c + answered[1])
    return float_or_array(np.asarray((mean_after - mean_before) * (n + 2 * c) / n))


@dataclass(frozen=True, eq=False)
class GoalSpaceSteering:
    """The movement in a space of goals, along a request and off it.

    Attributes
    ----------
    progress : float or ndarray of shape (...)
        The share of the requested way that was gone along the request: 1 is exact, 0 nothing, below 0 backwards.
    overshoot, undershoot : float or ndarray of shape (...)
        ``max(progress - 1, 0)`` and ``max(1 - progress, 0)``; in [0, inf), the best value is 0.
    miscalibration : float or ndarray of shape (...)
        Their sum, ``|progress - 1|``.
    side_effect_share : float or ndarray of shape (...)
        The part of the movement that is at a right angle to the request, over the whole movement; in [0, 1], the best
        value is 0. It is 0 for an output that did not move at all.
    steering_error : float or ndarray of shape (...)
        Euclidean distance of the output from the goal; the best value is 0.
    """

    progress: FloatArray | float
    overshoot: FloatArray | float
    undershoot: FloatArray | float
    miscalibration: FloatArray | float
    side_effect_share: FloatArray | float
    steering_error: FloatArray | float


#: Above this, the difference of two numbers may exceed float64.
HUGE = 2.0**1000


def _exponent(sizes: FloatArray, /) -> npt.NDArray[np.intc]:
    """Return the e with ``2**(e - 1) <= size < 2**e``, and 0 for size 0."""
    exponents: npt.NDArray[np.intc] = np.frexp(sizes)[1]
    return exponents


def goal_space_steering(source: npt.ArrayLike, output: npt.ArrayLike, goal: npt.ArrayLike, /) -> GoalSpaceSteering:
    r"""Compute how far an output went towards a goal, how far too far or short, and how much it moved to the side.

    With the movement :math:`m = \hat z - z_0`, the request :math:`r = z^* - z_0`, progress
    :math:`\rho = m \cdot r / \|r\|^2`: miscalibration is :math:`|\rho - 1|`, the share of side effects
    :math:`\|m - \rho r\| / \|m\|`.

    Parameters
    ----------
    source, output, goal : array_like of shape (..., n_goals)
        Where the text was, where the model brought it and where it should have gone, each measured on the same goals,
        such as formality and length.

    Returns
    -------
    GoalSpaceSteering
        Each a float or ndarray of shape (...).

    Raises
    ------
    InvalidParameterError
        If an array is empty or not finite.
    InvalidParameterError
        If the arrays have different shapes.
    InvalidParameterError
        If a goal equals its source: nothing is requested, so no direction exists.

    Notes
    -----
    Chang et al. 2025, "A Course Correction in Steerability Evaluation" (arXiv 2505.23816): miscalibration and
    orthogonality. The definitions are our reading of the public code, without its epsilons and its binning; the split
    of miscalibration into over- and undershoot is ours.

    Examples
    --------
    >>> moved = goal_space_steering([0.0, 0.0], [1.5, 2.0], [1.0, 0.0])
    >>> moved.overshoot, moved.undershoot, moved.side_effect_share
    (0.5, 0.0, 0.8)
    """
    function = "goal_space_steering"
    start = finite_array(source, name="source", function=function)
    end = finite_array(output, name="output", function=function)
    target = finite_array(goal, name="goal", function=function)
    for name, array in (("output", end), ("goal", target)):
        if array.shape != start.shape:
            raise invalid_parameter(name, function, f"of the shape of 'source' {start.shape}", f"shape {array.shape}")
    # Squares of huge or tiny movements would overflow or underflow. Powers of two scale without rounding.
    sizes = np.stack([np.abs(start), np.abs(end), np.abs(target)]).max(axis=(0, -1))
    step = np.where(sizes > HUGE, 2, 0)
    start, end, target = (np.ldexp(array, -step[..., None]) for array in (start, end, target))
    request, movement, error = target - start, end - start, end - target
    asked = _exponent(np.abs(request).max(axis=-1))
    moved = _exponent(np.abs(movement).max(axis=-1))
    missed = _exponent(np.abs(error).max(axis=-1))
    request = np.ldexp(request, -asked[..., None])
    movement = np.ldexp(movement, -moved[..., None])
    length = np.linalg.norm(request, axis=-1)
    if (length == 0).any():
        where = tuple(int(i) for i in np.argwhere(length == 0)[0])
        raise invalid_parameter("goal", function, "different from 'source'", f"the same at index {where}")
    direction = request / length[..., None]
    along = (movement * direction).sum(axis=-1)
    aside = np.linalg.norm(movement - along[..., None] * direction, axis=-1)
    way = np.linalg.norm(movement, axis=-1)
    share = np.zeros(way.shape)
    np.divide(aside, way, out=share, where=way > 0)
    # Beyond the largest float64 the results are inf.
    with np.errstate(over="ignore"):
        progress = np.asarray(np.ldexp(along / length, moved - asked))
        steering_error = np.ldexp(np.linalg.norm(np.ldexp(error, -missed[..., None]), axis=-1), missed + step)
    return GoalSpaceSteering(
        progress=float_or_array(progress),
        overshoot=float_or_array(np.asarray(np.maximum(progress - 1, 0.0))),
        undershoot=float_or_array(np.asarray(np.maximum(1 - progress, 0.0))),
        miscalibration=float_or_array(np.asarray(np.abs(progress - 1))),
        side_effect_share=float_or_array(np.minimum(share, 1.0)),
        steering_error=float_or_array(np.asarray(steering_error)),
    )
