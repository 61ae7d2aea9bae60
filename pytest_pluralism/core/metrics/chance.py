"""Reference values of distances: what shuffled answers, a survey of the same people and another order would score."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.metrics.distributional import (
    distribution_pair,
    jensen_shannon_distance,
    jensen_shannon_nats,
    log_of_base,
)
from pytest_pluralism.core.parameters import (
    FloatArray,
    callable_of,
    finite_array,
    float_or_array,
    generator_of,
    one_of,
    probability_array,
    whole_number,
)

__all__ = [
    "option_order_bias",
    "sampling_floor",
    "shuffle_control",
]


#: Up to this many options every permutation is visited (5,040 of them); beyond, permutations are drawn.
MOST_PERMUTED_OPTIONS = 7

#: How many numbers an intermediate array may hold: 32 MB at a time, whatever the number of permutations.
CHUNK = 4_000_000

#: A distance (or agreement) between distributions, vectorised over leading axes.
Measured = Callable[[FloatArray, FloatArray], "float | FloatArray"]


def shuffle_control(
    p: npt.ArrayLike,
    q: npt.ArrayLike,
    /,
    *,
    measure: Measured = jensen_shannon_distance,
    method: str = "auto",
    n_draws: int = 1000,
    rng: np.random.Generator | int | None = None,
) -> float | FloatArray:
    r"""Compute the score of ``p`` with its probabilities permuted at random over the options.

    .. math:: S(p, q) = \frac{1}{n!} \sum_\pi d(p_\pi, q)

    The permuted answers are as certain as the model's own and know nothing about the question.

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions (the model's, the reference's); the leading axes broadcast.
    measure : callable, default jensen_shannon_distance
        ``measure(p, q)``, vectorised over leading axes.
    method : {"auto", "exact", "monte_carlo"}, default "auto"
        All permutations, or random ones; ``"auto"`` is exact up to 7 options.
    n_draws : int, default 1000
        Number of permutations of each unit drawn by ``"monte_carlo"``; the standard error is at most
        ``0.5 * range / sqrt(n_draws)``.
    rng : numpy.random.Generator or int, optional
        Where random permutations come from; used by ``"monte_carlo"`` alone. By default a fresh
        ``numpy.random.default_rng(0)``, so that two calls agree.

    Returns
    -------
    float or ndarray, shape (...)
        In the units and range of ``measure``. A model whose distance is not below it knows no more than chance.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, or the two do not fit together.
    InvalidParameterError
        ``method`` is none of the three, or ``"exact"`` is asked for more than 10 options.
    InvalidParameterError
        ``n_draws`` is not a positive int.
    InvalidParameterError
        ``rng`` is neither a Generator nor a seed, or ``measure`` no function.

    References
    ----------
    .. [1] T. Sorensen et al., "A Roadmap to Pluralistic Alignment", ICML 2024, appendix B, Table 5. arXiv:2402.05070
       The text does not say how often the answers were permuted; the authors' program does it once a question.

    Examples
    --------
    >>> shuffle_control([1.0, 0.0], [1.0, 0.0])
    0.5
    """
    function = "shuffle_control"
    one_of(method, ("auto", "exact", "monte_carlo"), name="method", function=function)
    callable_of(measure, name="measure", function=function)
    first, second = distribution_pair(p, q, function)
    n_options = first.shape[-1]
    exact = method == "exact" or (method == "auto" and n_options <= MOST_PERMUTED_OPTIONS)
    if exact and n_options > 10:
        must = "'monte_carlo' or 'auto' for more than 10 options"
        raise invalid_parameter("method", function, must, f"'exact' for {n_options}")
    first, second = np.broadcast_arrays(first, second)
    total = np.zeros(first.shape[:-1])
    if exact:
        n_permutations = math.factorial(n_options)
        every = itertools.permutations(range(n_options))
        while chunk := list(itertools.islice(every, max(1, CHUNK // first.size))):
            order = np.array(chunk, dtype=np.intp)
            # Axes: (..., n_permutations, n_options).
            total += np.asarray(measure(first[..., order], second[..., np.newaxis, :])).sum(axis=-1)
        return float_or_array(total / n_permutations)
    draws = whole_number(n_draws, name="n_draws", function=function)
    generator = _generator(rng, function)
    done = 0
    while done < draws:
        size = min(draws - done, max(1, CHUNK // first.size))
        shape = (*first.shape[:-1], size, n_options)
        permuted = generator.permuted(np.broadcast_to(first[..., np.newaxis, :], shape), axis=-1)
        total += np.asarray(measure(permuted, second[..., np.newaxis, :])).sum(axis=-1)
        done += size
    return float_or_array(total / draws)


def sampling_floor(
    p: npt.ArrayLike,
    /,
    *,
    n_respondents: npt.ArrayLike,
    base: float = 2.0,
    method: str = "analytic",
    n_resamples: int = 1000,
    rng: np.random.Generator | int | None = None,
) -> float | FloatArray:
    r"""Compute how far a population stands from a survey of its own members, by chance alone.

    .. math:: F = \sqrt{\frac{K - 1}{8 n \ln b}}

    is the root mean square of the Jensen-Shannon distance (base b) between a distribution with K options that are
    answered at all and the shares among n respondents, to first order in 1/n.

    Parameters
    ----------
    p : array_like, shape (..., n_options)
        Distributions of the population. Options with probability 0 are never drawn and do not count in K.
    n_respondents : array_like, shape (...)
        Number of people who answered (or the effective number, under survey weights), positive; broadcasts.
    base : float, default 2.0
        The base of the logarithm, above 1.
    method : {"analytic", "mean", "resampling"}, default "analytic"
        The formula above; the mean instead of the root mean square, to the same order (smaller: by 6 % for K = 5, by
        20 % for K = 2); or the mean over simulated surveys of n respondents.
    n_resamples : int, default 1000
        Number of surveys that ``"resampling"`` simulates.
    rng : numpy.random.Generator or int, optional
        Where simulated surveys come from; ``"resampling"`` needs it.

    Returns
    -------
    float or ndarray, shape (...)
        Unitless, in [0, sqrt(log_base(2))]: no model can be expected to come closer than this to the survey.
        0 for a population that always gives the same answer.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, or ``base`` is not a number above 1.
    InvalidParameterError
        ``n_respondents`` is not positive everywhere, or does not broadcast against the units.
    InvalidParameterError
        ``method`` is none of the three.
    InvalidParameterError
        ``method="resampling"`` without ``rng``, or with ``n_resamples`` that is not a positive int.

    References
    ----------
    .. [1] D. M. Endres and J. E. Schindelin, "A new metric for probability distributions", IEEE Transactions on
       Information Theory 49(7), 2003: the chi-squared limit of the divergence. doi:10.1109/TIT.2003.813506

    Examples
    --------
    >>> round(sampling_floor([0.2] * 5, n_respondents=1000), 4)
    0.0269
    >>> round(sampling_floor([0.2] * 5, n_respondents=1000, method="mean"), 4)
    0.0252
    """
    function = "sampling_floor"
    log_base = log_of_base(base, function)
    one_of(method, ("analytic", "mean", "resampling"), name="method", function=function)
    distributions = probability_array(p, name="p", function=function)
    sizes = finite_array(n_respondents, name="n_respondents", function=function, minimum_ndim=0)
    if (sizes <= 0).any():
        raise invalid_parameter("n_respondents", function, "positive everywhere", float(sizes.min()))
    try:
        units = np.broadcast_shapes(distributions.shape[:-1], sizes.shape)
    except ValueError:
        must = f"broadcastable to the units, shape {distributions.shape[:-1]}"
        raise invalid_parameter("n_respondents", function, must, f"shape {sizes.shape}") from None
    ceiling = math.sqrt(math.log(2.0) / log_base)
    if method != "resampling":
        freedom = (distributions > 0).sum(axis=-1) - 1.0
        if method == "analytic":
            spread = np.sqrt(freedom)
        else:
            # The mean of a chi variable; its value for no degree of freedom is 0, where the gamma function is infinite.
            positive = np.maximum(freedom, 1.0)
            chi = math.sqrt(2.0) * np.exp(special.gammaln((positive + 1.0) / 2.0) - special.gammaln(positive / 2.0))
            spread = np.where(freedom > 0, chi, 0.0)
        return float_or_array(np.minimum(spread / np.sqrt(8.0 * sizes * log_base), ceiling))
    if rng is None:
        raise invalid_parameter("rng", function, "a numpy.random.Generator when method is 'resampling'", "None")
    generator = _generator(rng, function)
    resamples = whole_number(n_resamples, name="n_resamples", function=function)
    people = np.maximum(np.rint(np.broadcast_to(sizes, units)), 1.0).astype(np.int64)
    distributions = np.broadcast_to(distributions, (*units, distributions.shape[-1]))
    total = np.zeros(units)
    done = 0
    while done < resamples:
        size = min(resamples - done, max(1, CHUNK // distributions.size))
        counts = generator.multinomial(people, distributions, size=(size, *units))
        shares = counts / people[..., np.newaxis]
        total += np.sqrt(jensen_shannon_nats(shares, distributions) / log_base).sum(axis=0)
        done += size
    return float_or_array(total / resamples)


def option_order_bias(probabilities: npt.ArrayLike, /) -> float | FloatArray:
    r"""Compute how far answers depend on the order in which the options were shown.

    .. math:: B = \frac1R \sum_r TV(p_r, \bar p), \qquad \bar p = \frac1R \sum_r p_r

    Parameters
    ----------
    probabilities : array_like, shape (..., n_orders, n_options)
        The answers under each order of the options, already mapped back: the last axis is the option, not its place.

    Returns
    -------
    float or ndarray, shape (...)
        The share of answers that moves with the order, in [0, 1 - 1/n_orders]; 0 is best.
        A model that always answers the first place scores the maximum when each option stood there equally often.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, or there are fewer than two orders.

    References
    ----------
    .. [1] P. Pezeshkpour and E. Hruschka, "Large Language Models Sensitivity to The Order of Options in
       Multiple-Choice Questions", 2023. arXiv:2308.11483

    Examples
    --------
    >>> option_order_bias([[1.0, 0.0], [0.0, 1.0]])
    0.5
    >>> option_order_bias([[0.7, 0.3], [0.7, 0.3]])
    0.0
    """
    function = "option_order_bias"
    by_order = probability_array(probabilities, name="probabilities", function=function)
    if by_order.ndim < 2 or by_order.shape[-2] < 2:
        must = "answers under at least two orders, shape (..., n_orders, n_options)"
        raise invalid_parameter("probabilities", function, must, f"shape {by_order.shape}")
    away = np.abs(by_order - by_order.mean(axis=-2, keepdims=True)).sum(axis=-1) / 2.0
    return float_or_array(away.mean(axis=-1))


def _generator(rng: np.random.Generator | int | None, function: str) -> np.random.Generator:
    if rng is None:
        return np.random.default_rng(0)
    return generator_of(rng, function=function)
