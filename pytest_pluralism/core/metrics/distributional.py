"""Measures on distributions of answers: distances, agreement and entropy.

Arrays in, arrays or floats out: the last axis holds the options of a question, all axes before it are units and
broadcast.
A question on its own (one axis) gives a float.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import (
    FloatArray,
    finite_array,
    float_or_array,
    one_of,
    probability_array,
    real_number,
)

__all__ = [
    "entropy",
    "entropy_ratio",
    "jensen_shannon_distance",
    "jensen_shannon_divergence",
    "kullback_leibler_divergence",
    "mode_agreement",
    "opinion_alignment",
    "total_variation_distance",
    "wasserstein_distance",
]


#: How many numbers are worked on at a time where the processor's cache decides the speed (256 kB an array).
BLOCK = 32_768

#: The smallest positive number.
SMALLEST = math.ulp(0.0)


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
    return float_or_array(np.sqrt(divergence))


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
    return float_or_array(_jensen_shannon(p, q, base, "jensen_shannon_divergence"))


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
    log_base = log_of_base(base, "kullback_leibler_divergence")
    first, second = distribution_pair(p, q, "kullback_leibler_divergence")
    divergence = special.rel_entr(first, second).sum(axis=-1) / log_base
    # Rounding can leave -1e-17 for near-equal distributions; the exact value is never negative.
    return float_or_array(np.maximum(divergence, 0.0))


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
    first, second = distribution_pair(p, q, "total_variation_distance")
    return float_or_array(np.clip(np.abs(first - second).sum(axis=-1) / 2.0, 0.0, 1.0))


def wasserstein_distance(
    p: npt.ArrayLike, q: npt.ArrayLike, /, *, positions: npt.ArrayLike | None = None
) -> float | FloatArray:
    r"""Compute the distance that answers must move along an ordinal scale, the earth mover's distance.

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
    first, second = distribution_pair(p, q, "wasserstein_distance")
    return float_or_array(moved_mass(first, second, option_places(positions, first.shape[-1], "wasserstein_distance")))


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
    first, second = distribution_pair(p, q, "opinion_alignment")
    places = option_places(positions, first.shape[-1], "opinion_alignment")
    span = places.max() - places.min()
    if span == 0.0:
        raise invalid_parameter("positions", "opinion_alignment", "at least two different places", repr(positions))
    return float_or_array(np.clip(1.0 - moved_mass(first, second, places) / span, 0.0, 1.0))


def mode_agreement(p: npt.ArrayLike, q: npt.ArrayLike, /, *, ties: str = "share") -> float | FloatArray:
    r"""Tell whether the most likely answers agree.

    Parameters
    ----------
    p, q : array_like, shape (..., n_options)
        Distributions over the same options; the leading axes broadcast.
    ties : {"share", "first", "any", "all"}, default "share"
        The treatment of several modes, with A and B the sets of modes.
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
    first, second = distribution_pair(p, q, "mode_agreement")
    if ties == "first":
        return float_or_array((first.argmax(axis=-1) == second.argmax(axis=-1)).astype(np.float64))
    modes, others = (np.asarray(compare(side, side.max(axis=-1, keepdims=True))) == 0 for side in (first, second))
    shared = (modes & others).sum(axis=-1)
    if ties == "any":
        return float_or_array((shared > 0).astype(np.float64))
    if ties == "all":
        return float_or_array((modes == others).all(axis=-1).astype(np.float64))
    return float_or_array(shared / (modes.sum(axis=-1) * others.sum(axis=-1)))


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
    log_base = log_of_base(base, "entropy")
    return float_or_array(_entropy(probability_array(p, name="p", function="entropy")) / log_base)


def entropy_ratio(p: npt.ArrayLike, q: npt.ArrayLike, /) -> float | FloatArray:
    r"""Compute the entropy of ``p`` over that of ``q``: the share of the variety of a reference.

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
    first, second = distribution_pair(p, q, "entropy_ratio")
    with np.errstate(divide="ignore", invalid="ignore"):
        return float_or_array(np.divide(_entropy(first), _entropy(second)))


def distribution_pair(p: npt.ArrayLike, q: npt.ArrayLike, function: str) -> tuple[FloatArray, FloatArray]:
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


def log_of_base(base: float, function: str) -> float:
    number = real_number(base, name="base", function=function)
    if number <= 1.0:
        raise invalid_parameter("base", function, "a float in (1, inf)", base)
    return math.log(number)


def _jensen_shannon(p: npt.ArrayLike, q: npt.ArrayLike, base: float, function: str) -> FloatArray:
    log_base = log_of_base(base, function)
    first, second = distribution_pair(p, q, function)
    return jensen_shannon_nats(first, second) / log_base


def jensen_shannon_nats(first: FloatArray, second: FloatArray) -> FloatArray:
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


def option_places(positions: npt.ArrayLike | None, n_options: int, function: str) -> FloatArray:
    if positions is None:
        return np.arange(n_options, dtype=np.float64)
    places = finite_array(positions, name="positions", function=function)
    if places.shape != (n_options,):
        raise invalid_parameter("positions", function, f"one number an option ({n_options})", f"shape {places.shape}")
    return places


def moved_mass(first: FloatArray, second: FloatArray, places: FloatArray) -> FloatArray:
    order = np.argsort(places, kind="stable")
    gaps = np.diff(places[order])
    carried = np.abs(np.cumsum((first - second)[..., order], axis=-1)[..., :-1])
    # Rounding may carry 1e-17 too much over the last gap.
    result: FloatArray = np.minimum((carried * gaps).sum(axis=-1), gaps.sum())
    return result
