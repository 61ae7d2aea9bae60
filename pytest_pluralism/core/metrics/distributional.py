"""Measures on distributions of answers: how far a model's are from people's, how wide they are, what chance would get.

Arrays in, arrays or floats out: the last axis holds the options of a question, all axes before it are units and
broadcast.
A question on its own (one axis) gives a float.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import integrate, optimize, special, stats

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import (
    FloatArray,
    callable_of,
    finite_array,
    generator_of,
    one_of,
    probability_array,
    real_number,
)

__all__ = [
    "BrierDecomposition",
    "PopulationFidelity",
    "TetrachoricCorrelation",
    "brier_decomposition",
    "brier_score",
    "calibration_error",
    "entropy",
    "entropy_ratio",
    "jensen_shannon_distance",
    "jensen_shannon_divergence",
    "kullback_leibler_divergence",
    "mode_agreement",
    "opinion_alignment",
    "option_order_bias",
    "population_fidelity_score",
    "sampling_floor",
    "shuffle_control",
    "tetrachoric_correlation",
    "total_variation_distance",
    "wasserstein_distance",
]

#: Up to this many options every permutation is visited (5,040 of them); beyond, permutations are drawn.
MOST_PERMUTED_OPTIONS = 7

#: How many numbers an intermediate array may hold: 32 MB at a time, whatever the number of permutations.
CHUNK = 4_000_000

#: How many numbers are worked on at a time where the processor's cache decides the speed (256 kB an array).
BLOCK = 32_768

#: The smallest positive number.
SMALLEST = math.ulp(0.0)


# ----------------------------------------------------------------------------------------- how far two populations are


def jensen_shannon_distance(p: npt.ArrayLike, q: npt.ArrayLike, /, *, base: float = 2.0) -> float | FloatArray:
    r"""Compute the Jensen-Shannon distance, the square root of the divergence.

    .. math:: d(p, q) = \sqrt{\tfrac12 KL(p \Vert m) + \tfrac12 KL(q \Vert m)}, \qquad m = \tfrac12 (p + q)

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions over the same options; the leading axes broadcast.
    base : float, default 2.0
        The base of the logarithm, above 1.

    Returns
    -------
    float or ndarray, shape (...)
        Unitless, in [0, sqrt(log_base(2))], so [0, 1] in base 2; 0 is best and means equal.

    Raises
    ------
    InvalidParameterError
        A distribution is empty, not finite, negative, has fewer than two options or does not sum to 1 within 1e-6.
    InvalidParameterError
        ``p`` and ``q`` have different options, or leading axes that do not broadcast.
    InvalidParameterError
        ``base`` is not a number above 1.

    Notes
    -----
    Exactly 0 for equal input and never NaN: each option adds a term that cannot be negative.
    The textbook sum of two divergences can come out as ``-1e-17`` for near-equal input, and its root as NaN.
    A metric: symmetric, zero only for equal distributions, and the triangle inequality holds [1]_.

    References
    ----------
    .. [1] D. M. Endres and J. E. Schindelin, "A new metric for probability distributions", IEEE Transactions on
       Information Theory 49(7), 2003. doi:10.1109/TIT.2003.813506

    Examples
    --------
    >>> jensen_shannon_distance([1.0, 0.0], [0.0, 1.0])
    1.0
    >>> jensen_shannon_distance([[0.5, 0.5], [1.0, 0.0]], [0.5, 0.5]).round(4)
    array([0.    , 0.5579])
    """
    divergence = _jensen_shannon(p, q, base, "jensen_shannon_distance")
    return _scalar(np.sqrt(divergence))


def jensen_shannon_divergence(p: npt.ArrayLike, q: npt.ArrayLike, /, *, base: float = 2.0) -> float | FloatArray:
    """Compute the Jensen-Shannon divergence, the square of :func:`jensen_shannon_distance`.

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions over the same options; the leading axes broadcast.
    base : float, default 2.0
        The base of the logarithm, above 1.

    Returns
    -------
    float or ndarray, shape (...)
        In the units of ``base`` (bits for 2), in [0, log_base(2)]; 0 is best and means equal.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, the two do not fit together, or ``base`` is not a number above 1.

    References
    ----------
    .. [1] J. Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on Information Theory 37(1),
       1991. doi:10.1109/18.61115

    Examples
    --------
    >>> jensen_shannon_divergence([1.0, 0.0], [0.0, 1.0])
    1.0
    """
    return _scalar(_jensen_shannon(p, q, base, "jensen_shannon_divergence"))


def kullback_leibler_divergence(p: npt.ArrayLike, q: npt.ArrayLike, /, *, base: float = 2.0) -> float | FloatArray:
    r"""Compute the divergence of ``p`` from ``q``, what is lost when ``q`` stands for ``p``.

    .. math:: KL(p \Vert q) = \sum_i p_i \log (p_i / q_i)

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions over the same options; the leading axes broadcast. Not symmetric.
    base : float, default 2.0
        The base of the logarithm, above 1.

    Returns
    -------
    float or ndarray, shape (...)
        In the units of ``base`` (bits for 2), in [0, inf]; 0 is best and means equal.
        Infinite where ``p`` has an option that ``q`` never answers; an option with ``p`` = 0 adds nothing.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, the two do not fit together, or ``base`` is not a number above 1.

    References
    ----------
    .. [1] S. Kullback and R. A. Leibler, "On information and sufficiency", Annals of Mathematical Statistics 22(1),
       1951. doi:10.1214/aoms/1177729694

    Examples
    --------
    >>> kullback_leibler_divergence([1.0, 0.0], [0.25, 0.75])
    2.0
    >>> kullback_leibler_divergence([0.5, 0.5], [1.0, 0.0])
    inf
    """
    log_base = _log_base(base, "kullback_leibler_divergence")
    first, second = _pair(p, q, "kullback_leibler_divergence")
    divergence = special.rel_entr(first, second).sum(axis=-1) / log_base
    # Rounding can leave -1e-17 for near-equal distributions; the exact value is never negative.
    return _scalar(np.maximum(divergence, 0.0))


def total_variation_distance(p: npt.ArrayLike, q: npt.ArrayLike, /) -> float | FloatArray:
    r"""Compute the share of answers that would have to change for ``p`` to become ``q``.

    .. math:: TV(p, q) = \tfrac12 \sum_i |p_i - q_i|

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions over the same options; the leading axes broadcast.

    Returns
    -------
    float or ndarray, shape (...)
        A share, in [0, 1]; 0 is best and means equal, 1 means that no option is shared.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, or the two do not fit together.

    References
    ----------
    .. [1] D. A. Levin, Y. Peres and E. L. Wilmer, "Markov Chains and Mixing Times", 2009, Proposition 4.2.
       doi:10.1090/mbk/058

    Examples
    --------
    >>> total_variation_distance([0.5, 0.5, 0.0], [0.25, 0.5, 0.25])
    0.25
    """
    first, second = _pair(p, q, "total_variation_distance")
    return _scalar(np.clip(np.abs(first - second).sum(axis=-1) / 2.0, 0.0, 1.0))


def wasserstein_distance(
    p: npt.ArrayLike, q: npt.ArrayLike, /, *, positions: npt.ArrayLike | None = None
) -> float | FloatArray:
    r"""Compute how far answers must move along an ordinal scale, the earth mover's distance.

    .. math:: W(p, q) = \sum_k (x_{k+1} - x_k) \, \Bigl| \sum_{i \le k} (p_i - q_i) \Bigr|

    with the options sorted by their positions :math:`x`.

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions over the same options; the leading axes broadcast.
    positions : array_like, shape (n_options,), optional
        The place of each option on the scale, in any order; options may share a place, and moving between them is then
        free. By default 0, 1, ..., n_options - 1.

    Returns
    -------
    float or ndarray, shape (...)
        In the units of ``positions``, in [0, max(positions) - min(positions)]; 0 is best.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, or the two do not fit together.
    InvalidParameterError
        ``positions`` is not one finite number an option.

    References
    ----------
    .. [1] S. S. Vallender, "Calculation of the Wasserstein distance between probability distributions on the line",
       Theory of Probability & Its Applications 18(4), 1974. doi:10.1137/1118101

    Examples
    --------
    >>> wasserstein_distance([1.0, 0.0, 0.0], [0.0, 0.0, 1.0])
    2.0
    >>> wasserstein_distance([1.0, 0.0, 0.0], [0.0, 0.0, 1.0], positions=[-1, 0, 0.5])
    1.5
    """
    first, second = _pair(p, q, "wasserstein_distance")
    return _scalar(_wasserstein(first, second, _places(positions, first.shape[-1], "wasserstein_distance")))


def opinion_alignment(
    p: npt.ArrayLike, q: npt.ArrayLike, /, *, positions: npt.ArrayLike | None = None
) -> float | FloatArray:
    r"""Compute one minus the Wasserstein distance as a share of the scale, the alignment of OpinionQA.

    .. math:: A(p, q) = 1 - \frac{W(p, q)}{\max x - \min x}

    which is :math:`1 - W / (n - 1)` for n options at 0, 1, ..., n - 1.

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions over the same options, those without a place on the scale (refusals) already dropped.
    positions : array_like, shape (n_options,), optional
        The place of each option on the scale; by default 0, 1, ..., n_options - 1.

    Returns
    -------
    float or ndarray, shape (...)
        Unitless, in [0, 1]; 1 is best and means equal.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, or the two do not fit together.
    InvalidParameterError
        ``positions`` is not one finite number an option, or all of them are equal.

    References
    ----------
    .. [1] S. Santurkar et al., "Whose opinions do language models reflect?", ICML 2023, section 3. arXiv:2303.17548

    Examples
    --------
    >>> opinion_alignment([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    0.5
    """
    first, second = _pair(p, q, "opinion_alignment")
    places = _places(positions, first.shape[-1], "opinion_alignment")
    span = places.max() - places.min()
    if span == 0.0:
        raise invalid_parameter("positions", "opinion_alignment", "at least two different places", repr(positions))
    return _scalar(np.clip(1.0 - _wasserstein(first, second, places) / span, 0.0, 1.0))


def mode_agreement(p: npt.ArrayLike, q: npt.ArrayLike, /, *, ties: str = "share") -> float | FloatArray:
    r"""Tell whether the most likely answers agree.

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions over the same options; the leading axes broadcast.
    ties : {"share", "first", "any", "all"}, default "share"
        What several modes mean, with A and B the sets of modes.
        ``"share"``: :math:`|A \cap B| / (|A| |B|)`, the chance that a mode drawn from each is the same option.
        ``"first"``: only the first mode of each counts, so the order of the options decides.
        ``"any"``: one shared mode is enough. ``"all"``: the sets must be equal.

    Returns
    -------
    float or ndarray, shape (...)
        In [0, 1]; 1 is best. The mean over units is the accuracy of the modal answer.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, or the two do not fit together.
    InvalidParameterError
        ``ties`` is none of the four rules.

    References
    ----------
    .. [1] T. Sorensen et al., "A Roadmap to Pluralistic Alignment", ICML 2024, definitions 9-10. arXiv:2402.05070

    Examples
    --------
    >>> mode_agreement([0.7, 0.2, 0.1], [0.5, 0.4, 0.1])
    1.0
    >>> mode_agreement([0.5, 0.5, 0.0], [0.2, 0.7, 0.1])
    0.5
    >>> mode_agreement([0.5, 0.5, 0.0], [0.2, 0.7, 0.1], ties="first")
    0.0
    """
    one_of(ties, ("share", "first", "any", "all"), name="ties", function="mode_agreement")
    first, second = _pair(p, q, "mode_agreement")
    if ties == "first":
        return _scalar((first.argmax(axis=-1) == second.argmax(axis=-1)).astype(np.float64))
    modes = first == first.max(axis=-1, keepdims=True)
    others = second == second.max(axis=-1, keepdims=True)
    shared = (modes & others).sum(axis=-1)
    if ties == "any":
        return _scalar((shared > 0).astype(np.float64))
    if ties == "all":
        return _scalar((modes == others).all(axis=-1).astype(np.float64))
    return _scalar(shared / (modes.sum(axis=-1) * others.sum(axis=-1)))


# ------------------------------------------------------------------------------------------------ how wide answers are


def entropy(p: npt.ArrayLike, /, *, base: float = 2.0) -> float | FloatArray:
    r"""Compute the entropy of answers, with :math:`0 \log 0 = 0`.

    .. math:: H(p) = -\sum_i p_i \log p_i

    Parameters
    ----------
    p : array_like, shape (..., n_options)
        Distributions.
    base : float, default 2.0
        The base of the logarithm, above 1; ``math.e`` gives nats, as in the case study of the roadmap.

    Returns
    -------
    float or ndarray, shape (...)
        In the units of ``base`` (bits for 2), in [0, log_base(n_options)]; neither end is best: 0 means that one option
        is always answered, the maximum that all are answered alike.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, or ``base`` is not a number above 1.

    References
    ----------
    .. [1] C. E. Shannon, "A Mathematical Theory of Communication", Bell System Technical Journal 27(3), 1948.
       doi:10.1002/j.1538-7305.1948.tb01338.x

    Examples
    --------
    >>> entropy([0.5, 0.25, 0.25, 0.0])
    1.5
    """
    log_base = _log_base(base, "entropy")
    return _scalar(_entropy(probability_array(p, name="p", function="entropy")) / log_base)


def entropy_ratio(p: npt.ArrayLike, q: npt.ArrayLike, /) -> float | FloatArray:
    r"""Compute the entropy of ``p`` over that of ``q``: how much of a reference's variety is there.

    .. math:: R(p, q) = H(p) / H(q)

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions (the model's, the reference's); the leading axes broadcast.

    Returns
    -------
    float or ndarray, shape (...)
        Unitless, in [0, inf]; 1 is best, below 1 the answers are narrower than the reference's.
        Infinite where only the reference is certain, NaN where both are (0/0: the ratio says nothing).

    Raises
    ------
    InvalidParameterError
        A distribution is not one, or the two do not fit together.

    References
    ----------
    .. [1] T. Sorensen et al., "A Roadmap to Pluralistic Alignment", ICML 2024, appendix A.1 compares the two
       entropies. arXiv:2402.05070

    Examples
    --------
    >>> entropy_ratio([0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25])
    0.5
    """
    first, second = _pair(p, q, "entropy_ratio")
    with np.errstate(divide="ignore", invalid="ignore"):
        return _scalar(np.divide(_entropy(first), _entropy(second)))


# --------------------------------------------------------------------------------- what chance and sampling would score

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
    r"""Compute what ``p`` would score with its probabilities permuted at random over the options.

    .. math:: S(p, q) = \frac{1}{n!} \sum_\pi d(p_\pi, q)

    The permuted answers are as certain as the model's own and know nothing of the question.

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions (the model's, the reference's); the leading axes broadcast.
    measure : callable, default jensen_shannon_distance
        ``measure(p, q)``, vectorised over leading axes.
    method : {"auto", "exact", "monte_carlo"}, default "auto"
        All permutations, or random ones; ``"auto"`` is exact up to 7 options.
    n_draws : int, default 1000
        How many permutations a unit are drawn by ``"monte_carlo"``; the standard error is at most
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
    first, second = _pair(p, q, function)
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
        return _scalar(total / n_permutations)
    draws = _positive_int(n_draws, "n_draws", function)
    generator = _generator(rng, function)
    done = 0
    while done < draws:
        size = min(draws - done, max(1, CHUNK // first.size))
        shape = (*first.shape[:-1], size, n_options)
        permuted = generator.permuted(np.broadcast_to(first[..., np.newaxis, :], shape), axis=-1)
        total += np.asarray(measure(permuted, second[..., np.newaxis, :])).sum(axis=-1)
        done += size
    return _scalar(total / draws)


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
        How many people answered (or the effective number, under survey weights), positive; broadcasts.
    base : float, default 2.0
        The base of the logarithm, above 1.
    method : {"analytic", "mean", "resampling"}, default "analytic"
        The formula above; the mean instead of the root mean square, to the same order (smaller: by 6 % for K = 5, by
        20 % for K = 2); or the mean over simulated surveys of n respondents.
    n_resamples : int, default 1000
        How many surveys ``"resampling"`` simulates.
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
    log_base = _log_base(base, function)
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
        return _scalar(np.minimum(spread / np.sqrt(8.0 * sizes * log_base), ceiling))
    if rng is None:
        raise invalid_parameter("rng", function, "a numpy.random.Generator when method is 'resampling'", "None")
    generator = _generator(rng, function)
    resamples = _positive_int(n_resamples, "n_resamples", function)
    people = np.maximum(np.rint(np.broadcast_to(sizes, units)), 1.0).astype(np.int64)
    distributions = np.broadcast_to(distributions, (*units, distributions.shape[-1]))
    total = np.zeros(units)
    done = 0
    while done < resamples:
        size = min(resamples - done, max(1, CHUNK // distributions.size))
        counts = generator.multinomial(people, distributions, size=(size, *units))
        shares = counts / people[..., np.newaxis]
        total += np.sqrt(_jensen_shannon_of(shares, distributions) / log_base).sum(axis=0)
        done += size
    return _scalar(total / resamples)


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
    return _scalar(away.mean(axis=-1))


# ------------------------------------------------------------------------------------- predictions of people's answers


@dataclass(frozen=True, slots=True)
class BrierDecomposition:
    """The Brier score of soft targets, and the two parts that it is the sum of.

    Attributes
    ----------
    score : float or ndarray
        The expected Brier score, in [0, 2], lower is better.
    excess : float or ndarray
        What the prediction adds: its squared distance to the reference, in [0, 2], best 0.
    irreducible : float or ndarray
        What people's disagreement costs the best prediction: the Gini impurity of the reference, in [0, 1 - 1/K].
    """

    score: float | FloatArray
    excess: float | FloatArray
    irreducible: float | FloatArray


def brier_score(p: npt.ArrayLike, q: npt.ArrayLike, /) -> float | FloatArray:
    r"""Compute the expected Brier score of predicting ``p`` for one person drawn from ``q``.

    .. math:: B(p, q) = \sum_i q_i \sum_j (p_j - [i = j])^2 = \sum_j (p_j - q_j)^2 + 1 - \sum_j q_j^2

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions (the prediction, the reference); the leading axes broadcast.

    Returns
    -------
    float or ndarray, shape (...)
        Unitless, in [0, 2]; lower is better. The best possible value is ``1 - sum(q**2)``, reached by ``p = q``.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, or the two do not fit together.

    References
    ----------
    .. [1] G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78(1),
       1950. doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2

    Examples
    --------
    >>> brier_score([0.5, 0.5], [1.0, 0.0])
    0.5
    """
    return _brier(p, q, "brier_score").score


def brier_decomposition(p: npt.ArrayLike, q: npt.ArrayLike, /) -> BrierDecomposition:
    r"""Split the expected Brier score into what the prediction adds and what no prediction can avoid.

    .. math:: B(p, q) = \sum_j (p_j - q_j)^2 + \Bigl(1 - \sum_j q_j^2\Bigr)

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions (the prediction, the reference); the leading axes broadcast.

    Returns
    -------
    BrierDecomposition
        ``score = excess + irreducible``; see there for ranges.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, or the two do not fit together.

    References
    ----------
    .. [1] M. H. DeGroot and S. E. Fienberg, "The comparison and evaluation of forecasters", The Statistician 32, 1983.
       doi:10.2307/2987588

    Examples
    --------
    >>> brier_decomposition([0.75, 0.25], [0.5, 0.5])
    BrierDecomposition(score=0.625, excess=0.125, irreducible=0.5)
    """
    return _brier(p, q, "brier_decomposition")


def calibration_error(p: npt.ArrayLike, q: npt.ArrayLike, /, *, n_bins: int = 10) -> float:
    r"""Compute how far stated probabilities are from the shares of people, over bins of the stated probability.

    .. math:: C = \sum_b \frac{n_b}{n} \, |\bar p_b - \bar q_b|

    over all n pairs of a unit and an option, in equal-width bins of the prediction.

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions (the prediction, the reference); the leading axes broadcast. All units are pooled.
    n_bins : int, default 10
        How many bins divide [0, 1]; the last one holds 1. More bins see more and are noisier.

    Returns
    -------
    float
        Unitless, in [0, 1]; 0 is best. Blind to who is wrong about which option: answers whose errors cancel within a
        bin are calibrated.

    Raises
    ------
    InvalidParameterError
        A distribution is not one, or the two do not fit together.
    InvalidParameterError
        ``n_bins`` is not a positive int.

    References
    ----------
    .. [1] M. P. Naeini, G. F. Cooper and M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
       binning", AAAI 2015. doi:10.1609/aaai.v29i1.9602

    Examples
    --------
    >>> calibration_error([[0.9, 0.1], [0.9, 0.1]], [[0.7, 0.3], [0.7, 0.3]])
    0.2
    """
    bins = _positive_int(n_bins, "n_bins", "calibration_error")
    first, second = np.broadcast_arrays(*_pair(p, q, "calibration_error"))
    stated, actual = first.reshape(-1), second.reshape(-1)
    code = np.minimum((stated * bins).astype(np.intp), bins - 1)
    away = np.bincount(code, weights=stated - actual, minlength=bins)
    return float(np.abs(away).sum() / stated.size)


# --------------------------------------------------------------------------------------------- association of answers


@dataclass(frozen=True, slots=True)
class TetrachoricCorrelation:
    """A tetrachoric correlation with its uncertainty.

    Attributes
    ----------
    correlation : float
        The maximum likelihood estimate, in [-1, 1]; NaN where a margin is constant.
    standard_error : float
        Asymptotic; NaN where the correlation is NaN or at the boundary.
    row_threshold, column_threshold : float
        The latent value above which an answer is the second; infinite where a margin is constant.
    n : float
        The sum of the table.
    degenerate : str
        ``""``, ``"constant"`` (an answer was never given) or ``"boundary"`` (a cell is empty).
    """

    correlation: float
    standard_error: float
    row_threshold: float
    column_threshold: float
    n: float
    degenerate: str = ""


def tetrachoric_correlation(table: npt.ArrayLike, /) -> TetrachoricCorrelation:
    r"""Estimate the correlation of two normal variables of which only "below" and "above" were seen.

    With thresholds :math:`h, k` from the margins, the estimate solves :math:`\Phi_2(h, k; \rho) = n_{11} / n`.
    A table of four cells has as many free cells as the model has parameters, so this is maximum likelihood.

    Parameters
    ----------
    table : array_like, shape (2, 2)
        How often each pair of binary answers occurred (rows: one source, columns: the other); weights are allowed.

    Returns
    -------
    TetrachoricCorrelation
        The correlation, in [-1, 1] (1: full agreement; swapping the columns changes its sign), with its standard error.

        An answer that was never given in a row or a column leaves the correlation undefined: NaN, ``"constant"``.
        One empty cell, or two on a diagonal, puts the estimate at the boundary: 1 where the empty cells are off the
        main diagonal, -1 where they are on it, ``"boundary"``, and there is no standard error (NaN).

    Raises
    ------
    InvalidParameterError
        The table is not 2 x 2, not finite, has a negative count, or is empty.

    References
    ----------
    .. [1] K. Pearson, "Mathematical contributions to the theory of evolution. VII", Philosophical Transactions of the
       Royal Society A 195, 1900. doi:10.1098/rsta.1900.0022
    .. [2] G. M. Tallis, "The maximum likelihood estimation of correlation from contingency tables", Biometrics 18(3),
       1962. doi:10.2307/2527476

    Examples
    --------
    >>> found = tetrachoric_correlation([[40, 10], [10, 40]])
    >>> round(found.correlation, 4), round(found.standard_error, 3)
    (0.809, 0.074)
    """
    function = "tetrachoric_correlation"
    counts = finite_array(table, name="table", function=function, minimum_ndim=2)
    if counts.shape != (2, 2):
        raise invalid_parameter("table", function, "a table of shape (2, 2)", f"shape {counts.shape}")
    if (counts < 0).any():
        raise invalid_parameter("table", function, "non-negative", float(counts.min()))
    n = float(counts.sum())
    if n == 0.0:
        raise invalid_parameter("table", function, "a table with at least one count", "only zeros")
    (a, b), (c, d) = counts / n
    row, column = float(a + b), float(a + c)
    h, k = float(special.ndtri(row)), float(special.ndtri(column))
    nan = math.nan
    if 0.0 in (counts.sum(axis=0).min(), counts.sum(axis=1).min()):
        return TetrachoricCorrelation(nan, nan, h, k, n, "constant")
    if 0.0 in (b, c):
        return TetrachoricCorrelation(1.0, nan, h, k, n, "boundary")
    if 0.0 in (a, d):
        return TetrachoricCorrelation(-1.0, nan, h, k, n, "boundary")

    # The angle, not the correlation, is the unknown: its integrand stays bounded up to both ends.
    def density(angle: float) -> float:
        cosine = math.cos(angle)
        return math.exp(-(h * h + k * k - 2.0 * h * k * math.sin(angle)) / (2.0 * cosine * cosine)) / (2.0 * math.pi)

    independent = row * column

    def excess(angle: float) -> float:
        area, _ = integrate.quad(density, 0.0, angle, epsabs=1e-13, epsrel=1e-11, limit=200)
        return independent + float(area) - float(a)

    end = math.pi / 2.0 - 1e-9
    if excess(-end) >= 0.0 or excess(end) <= 0.0:
        # A cell so small that the estimate is 1 to nine digits.
        return TetrachoricCorrelation(-1.0 if excess(-end) >= 0.0 else 1.0, nan, h, k, n, "boundary")
    angle = float(optimize.brentq(excess, -end, end, xtol=1e-13, rtol=1e-13))
    rho, rest = math.sin(angle), math.cos(angle)
    # Delta method on the multinomial shares: how the solution moves with each cell, thresholds included.
    below_row = float(special.ndtr((k - rho * h) / rest))
    below_column = float(special.ndtr((h - rho * k) / rest))
    gradient = np.array([1.0 - below_row - below_column, -below_row, -below_column, 0.0])
    shares = np.array([a, b, c, d])
    variance = float((gradient**2 * shares).sum() - (gradient * shares).sum() ** 2)
    error = math.sqrt(max(variance, 0.0) / n) / (density(angle) / rest)
    return TetrachoricCorrelation(rho, error, h, k, n)


# ------------------------------------------------------------------------------------------------- many groups at once


@dataclass(frozen=True, slots=True)
class PopulationFidelity:
    """How faithfully a model reproduces a set of groups: a score and its three parts, all in [0, 1], best 1.

    Attributes
    ----------
    score : float
        The geometric mean of the parts; NaN when one of them is.
    accuracy : float
        One minus the mean normalised earth mover's distance to each group.
    adaptability : float
        Whether groups differ from each other as much as they do in the survey: min(A, 1/A), with A the ratio of the
        median distances between groups, the model's over the survey's.
    structure : float
        Whether the same groups are far apart: Spearman's correlation of the distances between groups, at least 0.
    n_groups, n_questions : int
        How many groups and questions were compared.
    """

    score: float
    accuracy: float
    adaptability: float
    structure: float
    n_groups: int
    n_questions: int


def population_fidelity_score(
    model: Sequence[npt.ArrayLike] | npt.ArrayLike,
    survey: Sequence[npt.ArrayLike] | npt.ArrayLike,
    /,
    *,
    positions: Sequence[npt.ArrayLike | None] | None = None,
) -> PopulationFidelity:
    r"""Compute the Population Fidelity Score of a model that answers as several groups.

    .. math:: PFS = (\text{accuracy} \cdot \text{adaptability} \cdot \text{structure})^{1/3}

    Distances are earth mover's distances divided by the length of the scale; those between groups are means over
    questions.

    Parameters
    ----------
    model, survey : sequence of array_like, each of shape (n_groups, n_options)
        One array a question (questions may have different numbers of options), with the same groups in the same rows.
    positions : sequence of array_like, optional
        One a question: the places of its options on the scale (``None``: 0, 1, ..., n_options - 1).

    Returns
    -------
    PopulationFidelity
        In [0, 1], best 1, with its parts.
        Adaptability is 0 where only one of the two has no differences between groups, NaN where neither has any (0/0).
        Structure is NaN where all distances of the model, or of the survey, are the same.

    Raises
    ------
    InvalidParameterError
        There is no question, or ``model``, ``survey`` and ``positions`` have different numbers of them.
    InvalidParameterError
        There are fewer than three groups: two groups have one distance, which has no structure.
    InvalidParameterError
        A distribution is not one, or shapes differ.
    InvalidParameterError
        The places of a question are not one finite number an option, or are all equal.

    References
    ----------
    .. [1] Population Fidelity Score. arXiv:2609.36253

    Examples
    --------
    >>> survey = [[[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]]]
    >>> population_fidelity_score(survey, survey).score
    1.0
    >>> milder = [[[0.75, 0.25], [0.5, 0.5], [0.375, 0.625]]]
    >>> population_fidelity_score(milder, survey).adaptability
    0.5
    """
    function = "population_fidelity_score"
    for name, listed in (("model", model), ("survey", survey), ("positions", () if positions is None else positions)):
        if not isinstance(listed, Iterable) or isinstance(listed, (str, bytes)):
            raise invalid_parameter(name, function, "a sequence with one entry a question", repr(listed)[:80])
    ours = [probability_array(one, name="model", function=function) for one in model]  # type: ignore[union-attr]
    theirs = [probability_array(one, name="survey", function=function) for one in survey]  # type: ignore[union-attr]
    scales: list[npt.ArrayLike | None] = [None] * len(theirs) if positions is None else list(positions)
    if not theirs:
        raise invalid_parameter("survey", function, "at least one question", "none")
    for name, found in (("model", ours), ("positions", scales)):
        if len(found) != len(theirs):
            raise invalid_parameter(name, function, f"one entry a question ({len(theirs)})", f"{len(found)} entries")
    n_groups = theirs[0].shape[0]
    for one, other in zip(ours, theirs, strict=True):
        if one.ndim != 2 or one.shape != other.shape or other.shape[0] != n_groups:
            must = f"of the survey's shape, ({n_groups}, n_options), for each question"
            raise invalid_parameter("model", function, must, f"shapes {one.shape} and {other.shape}")
    if n_groups < 3:
        raise invalid_parameter("survey", function, "answers of at least three groups", f"{n_groups}")
    first, second = np.triu_indices(n_groups, k=1)
    away = np.zeros(n_groups)
    between_ours = np.zeros(len(first))
    between_theirs = np.zeros(len(first))
    # Questions are few and ragged; groups and their pairs are what is vectorised.
    for one, other, scale in zip(ours, theirs, scales, strict=True):
        places = _places(scale, one.shape[-1], function)
        span = float(places.max() - places.min())
        if span == 0.0:
            raise invalid_parameter("positions", function, "at least two different places a question", repr(scale))
        away += _wasserstein(one, other, places) / span
        between_ours += _wasserstein(one[first], one[second], places) / span
        between_theirs += _wasserstein(other[first], other[second], places) / span
    n_questions = len(theirs)
    accuracy = min(1.0, max(0.0, 1.0 - float(away.mean()) / n_questions))
    medians = sorted((float(np.median(between_ours)), float(np.median(between_theirs))))
    adaptability = medians[0] / medians[1] if medians[1] > 0.0 else math.nan
    structure = _spearman(between_ours, between_theirs)
    if structure < 0.0:
        structure = 0.0
    score = math.nan
    if not (math.isnan(adaptability) or math.isnan(structure)):
        score = math.cbrt(accuracy * adaptability * structure)
    return PopulationFidelity(score, accuracy, adaptability, structure, n_groups, n_questions)


# ------------------------------------------------------------------------------------------------------ in detail


def _scalar(values: npt.NDArray[np.float64]) -> float | FloatArray:
    """Return a float for one unit, the array for many."""
    return float(values) if np.ndim(values) == 0 else values


def _pair(p: npt.ArrayLike, q: npt.ArrayLike, function: str) -> tuple[FloatArray, FloatArray]:
    """Return two checked arrays of distributions that fit together."""
    first = probability_array(p, name="p", function=function)
    second = probability_array(q, name="q", function=function)
    if first.shape[-1] != second.shape[-1]:
        must = f"over as many options as 'p' ({first.shape[-1]})"
        raise invalid_parameter("q", function, must, f"{second.shape[-1]} options")
    try:
        np.broadcast_shapes(first.shape, second.shape)
    except ValueError:
        must = f"broadcastable against 'p', shape {first.shape}"
        raise invalid_parameter("q", function, must, f"shape {second.shape}") from None
    return first, second


def _log_base(base: float, function: str) -> float:
    number = real_number(base, name="base", function=function)
    if number <= 1.0:
        raise invalid_parameter("base", function, "a float in (1, inf)", base)
    return math.log(number)


def _positive_int(value: object, name: str, function: str) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < 1:
        raise invalid_parameter(name, function, "an int in [1, inf)", repr(value))
    return int(value)


def _generator(rng: object, function: str) -> np.random.Generator:
    if rng is None:
        return np.random.default_rng(0)
    return generator_of(rng, function=function)


def _jensen_shannon(p: npt.ArrayLike, q: npt.ArrayLike, base: float, function: str) -> FloatArray:
    log_base = _log_base(base, function)
    first, second = _pair(p, q, function)
    return _jensen_shannon_of(first, second) / log_base


def _jensen_shannon_of(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the divergence in nats, in [0, ln 2]."""
    shape = np.broadcast_shapes(first.shape, second.shape)
    if math.prod(shape) <= 2 * BLOCK:
        return _jensen_shannon_block(first, second)
    first = np.broadcast_to(first, shape).reshape(-1, shape[-1])
    second = np.broadcast_to(second, shape).reshape(-1, shape[-1])
    step = max(1, BLOCK // shape[-1])
    divergence = np.empty(len(first))
    for start in range(0, len(first), step):
        block = slice(start, start + step)
        divergence[block] = _jensen_shannon_block(first[block], second[block])
    return divergence.reshape(shape[:-1])


def _jensen_shannon_block(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the divergence in nats of arrays that are small enough to stay in the processor's cache.

    With m = (p + q) / 2 and t = (p - q) / (p + q), an option adds m * ((1 + t) log(1 + t) + (1 - t) log(1 - t)) / 2.
    The bracket is about t**2 with an error of about 1e-16 * t, so that what is left when p and q are close is signal,
    where the sum of two divergences is left with 1e-16.
    """
    total = first + second
    tilt = first - second
    np.abs(tilt, out=tilt)
    # An option that nobody answers has 0 / 5e-324 = 0 and adds nothing; no other sum is changed.
    tilt /= np.maximum(total, SMALLEST)
    rest = 1.0 - tilt
    term = np.log1p(tilt)
    term *= 1.0 + tilt
    # Where only one of the two answers an option, rest is 0 and any finite logarithm gives 0 log 0 = 0.
    np.minimum(tilt, 1.0 - 2.0**-53, out=tilt)
    np.negative(tilt, out=tilt)
    np.log1p(tilt, out=tilt)
    rest *= tilt
    term += rest
    divergence: FloatArray = np.einsum("...i,...i->...", term, total) * 0.25
    return np.clip(divergence, 0.0, math.log(2.0))


def _entropy(distributions: FloatArray) -> FloatArray:
    result: FloatArray = special.entr(distributions).sum(axis=-1)
    # Adding 0 turns the -0.0 of a certain answer into 0.0.
    return np.maximum(result, 0.0) + 0.0


def _places(positions: npt.ArrayLike | None, n_options: int, function: str) -> FloatArray:
    if positions is None:
        return np.arange(n_options, dtype=np.float64)
    places = finite_array(positions, name="positions", function=function)
    if places.shape != (n_options,):
        raise invalid_parameter("positions", function, f"one number an option ({n_options})", f"shape {places.shape}")
    return places


def _wasserstein(first: FloatArray, second: FloatArray, places: FloatArray) -> FloatArray:
    order = np.argsort(places, kind="stable")
    gaps = np.diff(places[order])
    carried = np.abs(np.cumsum((first - second)[..., order], axis=-1)[..., :-1])
    # Rounding may carry 1e-17 too much over the last gap.
    result: FloatArray = np.minimum((carried * gaps).sum(axis=-1), gaps.sum())
    return result


def _brier(p: npt.ArrayLike, q: npt.ArrayLike, function: str) -> BrierDecomposition:
    first, second = np.broadcast_arrays(*_pair(p, q, function))
    excess = ((first - second) ** 2).sum(axis=-1)
    irreducible = np.maximum(1.0 - (second**2).sum(axis=-1), 0.0)
    return BrierDecomposition(_scalar(excess + irreducible), _scalar(excess), _scalar(irreducible))


def _spearman(first: FloatArray, second: FloatArray) -> float:
    """Return Spearman's correlation, NaN when one side has no spread."""
    ranks, others = stats.rankdata(first), stats.rankdata(second)
    ranks, others = ranks - ranks.mean(), others - others.mean()
    spread = float((ranks**2).sum() * (others**2).sum())
    if spread == 0.0:
        return math.nan
    return min(1.0, max(-1.0, float((ranks * others).sum()) / math.sqrt(spread)))
