"""The uncertainty that the sample of people adds: weights, resampled respondents, and the bias of a distance.

A distance to a human distribution is a distance to an *estimate* of it, from ``n_respondents`` people. Chance makes
that estimate differ from the population, and distances only grow by it: they are biased upwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import (
    FloatArray,
    callable_of,
    finite_array,
    generator_of,
    probability_array,
    unit_interval,
    whole_number,
)
from pytest_pluralism.core.records import Estimate, IntervalKind, IntervalMethod

__all__ = [
    "Distance",
    "HumanSampling",
    "effective_sample_size",
    "kish_design_effect",
    "resample_human_distributions",
    "sampling_error_of_distance",
    "widen_for_respondents",
]

#: A distance over the last axis: two arrays of distributions in, one array of distances out.
Distance = Callable[[FloatArray, FloatArray], npt.ArrayLike]

#: How many resampled probabilities are held in memory at once.
_BLOCK = 2_000_000

#: More people than there are: such a number is a mistake, and would not be counted exactly.
_MOST_RESPONDENTS = 1e12


def kish_design_effect(sampling_weights: npt.ArrayLike, /) -> float:
    r"""Return Kish's design effect of unequal sampling weights.

    .. math:: \frac{n \sum_i w_i^2}{(\sum_i w_i)^2}

    Parameters
    ----------
    sampling_weights : array_like of float, shape (n_respondents,)
        Non-negative weights, not all 0.

    Returns
    -------
    float
        In [1, n]; 1 for equal weights. The variance of a weighted mean is about this many times that of a plain one.

    Raises
    ------
    InvalidParameterError
        If the weights are empty, not finite, negative, all 0 or have more than one axis.

    References
    ----------
    L. Kish, "Survey Sampling", 1965, section 11.7.

    Examples
    --------
    >>> kish_design_effect([1.0, 1.0, 2.0])
    1.125
    """
    masses = _sampling_weights(sampling_weights, "kish_design_effect")
    return float(len(masses) * np.sum(masses**2) / np.sum(masses) ** 2)


def effective_sample_size(sampling_weights: npt.ArrayLike, /) -> float:
    r"""Return how many equally weighted respondents carry as much information: n over Kish's design effect.

    .. math:: \frac{(\sum_i w_i)^2}{\sum_i w_i^2}

    Parameters
    ----------
    sampling_weights : array_like of float, shape (n_respondents,)
        Non-negative weights, not all 0.

    Returns
    -------
    float
        In [1, n]; n for equal weights.

    Raises
    ------
    InvalidParameterError
        If the weights are empty, not finite, negative, all 0 or have more than one axis.

    References
    ----------
    L. Kish, "Survey Sampling", 1965, section 11.7.

    Examples
    --------
    >>> round(effective_sample_size([1.0, 1.0, 2.0]), 4)
    2.6667
    """
    masses = _sampling_weights(sampling_weights, "effective_sample_size")
    return float(np.sum(masses) ** 2 / np.sum(masses**2))


def resample_human_distributions(
    probabilities: npt.ArrayLike,
    n_respondents: npt.ArrayLike,
    /,
    *,
    n_resamples: int = 999,
    rng: np.random.Generator | int = 0,
) -> FloatArray:
    """Ask as many people again, drawn from the human distributions themselves (a multinomial bootstrap).

    Parameters
    ----------
    probabilities : array_like of float, shape (n_questions, n_options)
        The human distributions.
    n_respondents : array_like of float, shape (n_questions,) or scalar
        How many were asked, at least 1; effective sizes are rounded to whole people.
    n_resamples : int
        How many times.
    rng : numpy.random.Generator or int
        The generator, or the seed of one.

    Returns
    -------
    numpy.ndarray of float, shape (n_resamples, n_questions, n_options)
        Distributions as they might have come out.

    Raises
    ------
    InvalidParameterError
        If the probabilities are not distributions, or there are fewer than 1 respondents or resamples.

    Examples
    --------
    >>> resample_human_distributions([[0.5, 0.5], [0.9, 0.1]], 1000, n_resamples=3).shape
    (3, 2, 2)
    """
    function = "resample_human_distributions"
    human = probability_array(probabilities, name="probabilities", function=function)
    if human.ndim != 2:
        raise invalid_parameter("probabilities", function, "an array with two axes", f"shape {human.shape}")
    asked = _respondents(n_respondents, len(human), function)
    _n_resamples(n_resamples, function)
    return _resample(human, asked, n_resamples, generator_of(rng, function=function))


@dataclass(frozen=True)
class HumanSampling:
    """The effect of the sampling of respondents on the distances of several questions.

    Attributes
    ----------
    values : tuple of float
        The distance of each question, as measured.
    biases : tuple of float
        By how much each is expected to be too high because only so many people were asked.
    standard_errors : tuple of float
        The standard error of each that comes from the respondents.
    sampling_floors : tuple of float
        The distance that the people themselves would score, asked a second time in the same number: no model that
        matches the population exactly is expected to come below it by much.
    n_resamples : int
        How many resamples these come from.
    """

    values: tuple[float, ...]
    biases: tuple[float, ...]
    standard_errors: tuple[float, ...]
    sampling_floors: tuple[float, ...]
    n_resamples: int

    @property
    def value(self) -> float:
        """The mean distance over questions."""
        return math.fsum(self.values) / len(self.values)

    @property
    def bias(self) -> float:
        """The upward bias of the mean distance."""
        return math.fsum(self.biases) / len(self.biases)

    @property
    def sampling_floor(self) -> float:
        """The mean over questions of the people's distance to themselves."""
        return math.fsum(self.sampling_floors) / len(self.sampling_floors)

    @property
    def standard_error(self) -> float:
        """The standard error of the mean distance when other people answered each question."""
        return math.sqrt(math.fsum(error**2 for error in self.standard_errors)) / len(self.standard_errors)

    @property
    def shared_standard_error(self) -> float:
        """The greatest standard error that it can have when the same people answered all questions."""
        return math.fsum(self.standard_errors) / len(self.standard_errors)


def sampling_error_of_distance(
    model_probabilities: npt.ArrayLike,
    reference_probabilities: npt.ArrayLike,
    n_respondents: npt.ArrayLike,
    /,
    *,
    distance: Distance | None = None,
    n_resamples: int = 999,
    rng: np.random.Generator | int = 0,
) -> HumanSampling:
    r"""Measure what asking only ``n_respondents`` people does to distances between a model and them.

    With :math:`\hat p` the human distribution, :math:`p^*` a multinomial resample of it and q the model's:

    .. math:: \text{bias} = E\,d(q, p^*) - d(q, \hat p), \qquad \text{floor} = E\,d(\hat p, p^*)

    Parameters
    ----------
    model_probabilities, reference_probabilities : array_like of float, shape (n_questions, n_options)
        The model's and the people's answers.
    n_respondents : array_like of float, shape (n_questions,) or scalar
        How many people were asked, at least 1.
    distance : callable, optional
        A distance over the last axis; by default the Jensen-Shannon distance with base 2.
    n_resamples : int
        How many times the people are resampled, at least 2.
    rng : numpy.random.Generator or int
        The generator, or the seed of one.

    Returns
    -------
    HumanSampling
        By question: value, bias, standard error and sampling floor.

    Raises
    ------
    InvalidParameterError
        If the two are not distributions of the same shape, or there are too few respondents or resamples.

    Notes
    -----
    Degenerate cases: where all people gave one answer, every resample is the same: bias, standard error and floor of
    that question are 0, although another answer may exist that nobody happened to give. The bootstrap underestimates
    the bias where the model is closer to the population than sampling noise.

    References
    ----------
    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 10 (bootstrap estimates of bias).

    Examples
    --------
    >>> sampling = sampling_error_of_distance([[0.5, 0.5]], [[0.6, 0.4]], 100)
    >>> sampling.bias > 0, sampling.sampling_floor > 0
    (True, True)
    """
    function = "sampling_error_of_distance"
    model = probability_array(model_probabilities, name="model_probabilities", function=function)
    human = probability_array(reference_probabilities, name="reference_probabilities", function=function)
    if human.ndim != 2:
        raise invalid_parameter("reference_probabilities", function, "an array with two axes", f"shape {human.shape}")
    if model.shape != human.shape:
        raise invalid_parameter("model_probabilities", function, f"of shape {human.shape}", f"shape {model.shape}")
    asked = _respondents(n_respondents, len(human), function)
    n_resamples = whole_number(n_resamples, name="n_resamples", function=function, least=2)
    measure = _jensen_shannon if distance is None else callable_of(distance, name="distance", function=function)
    generator = generator_of(rng, function=function)
    values = np.asarray(measure(model, human), dtype=np.float64)
    totals, squares, floors = np.zeros(len(human)), np.zeros(len(human)), np.zeros(len(human))
    block, left = max(1, _BLOCK // human.size), n_resamples
    while left > 0:
        size = min(block, left)
        again = _resample(human, asked, size, generator)
        # Deviations from the measured distance, so that the variance is not the difference of two large numbers.
        deviations = np.asarray(measure(np.broadcast_to(model, again.shape), again), dtype=np.float64) - values
        totals += deviations.sum(axis=0)
        squares += (deviations**2).sum(axis=0)
        floors += np.asarray(measure(np.broadcast_to(human, again.shape), again), dtype=np.float64).sum(axis=0)
        left -= size
    biases = totals / n_resamples
    variances = np.maximum(0.0, squares - n_resamples * biases**2) / (n_resamples - 1)
    return HumanSampling(
        values=tuple(values.tolist()),
        biases=tuple(biases.tolist()),
        standard_errors=tuple(np.sqrt(variances).tolist()),
        sampling_floors=tuple((floors / n_resamples).tolist()),
        n_resamples=n_resamples,
    )


def widen_for_respondents(
    estimate: Estimate,
    sampling: HumanSampling,
    /,
    *,
    confidence_level: float = 0.95,
    shared_respondents: bool = False,
) -> Estimate:
    """Carry the respondents' sampling error into the interval of a mean distance.

    For a whole set of questions (``estimate.confidence_level`` is None) the respondents are the only source of error,
    and the interval is made of theirs. For questions that stand for more questions the spread between them holds the
    respondents' independent errors already, so these are not added a second time; what can be missing is the error that
    all questions share because the same people answered them, and ``shared_respondents=True`` adds the greatest that it
    can be. Either way the lower end moves down by the bias, because a measured distance is too high by it.

    Parameters
    ----------
    estimate : Estimate
        The mean distance over the questions of ``sampling``.
    sampling : HumanSampling
        The result of :func:`sampling_error_of_distance` for them.
    confidence_level : float in (0, 1)
        The level for a whole set; otherwise the estimate's own level is kept.
    shared_respondents : bool
        Whether the same people answered all questions.

    Returns
    -------
    Estimate
        The same value with an interval at least as wide, without its units (their paired differences cancel the
        respondents, so they are taken from the estimate as it was).

    Raises
    ------
    InvalidParameterError
        If the two are not about the same number of units, or the level is not in (0, 1).

    Examples
    --------
    >>> sampling = sampling_error_of_distance([[0.5, 0.5], [0.2, 0.8]], [[0.6, 0.4], [0.3, 0.7]], 400)
    >>> whole = Estimate(sampling.value, sampling.value, sampling.value, 0.0, 2, 2, confidence_level=None)
    >>> widened = widen_for_respondents(whole, sampling)
    >>> widened.low < sampling.value < widened.high
    True
    """
    function = "widen_for_respondents"
    if estimate.n != len(sampling.values):
        raise invalid_parameter(
            "sampling", function, f"about the {estimate.n} units of the estimate", f"{len(sampling.values)} units"
        )
    if estimate.confidence_level is None:
        level = unit_interval(confidence_level, name="confidence_level", function=function)
        error = sampling.shared_standard_error if shared_respondents else sampling.standard_error
        below = above = float(special.ndtri(0.5 + level / 2)) * error
        how = IntervalMethod(kind=IntervalKind.WHOLE_SET)
        freedom: float | None = math.inf
    else:
        level = estimate.confidence_level
        own = estimate.standard_error
        extra = sampling.shared_standard_error if shared_respondents else 0.0
        error = max(math.hypot(own, extra), sampling.standard_error)
        freedom = estimate.degrees_of_freedom
        quantile = float(
            special.stdtrit(max(1.0, estimate.n_clusters - 1.0 if freedom is None else freedom), 0.5 + level / 2)
        )
        below, above = estimate.value - estimate.low, estimate.high - estimate.value
        # Each side grows by what the added error grows by, so that an asymmetric interval keeps its shape.
        added = quantile * math.sqrt(max(0.0, error**2 - own**2))
        below, above = math.hypot(below, added), math.hypot(above, added)
        how = estimate.how
    return replace(
        estimate,
        low=estimate.value - below - max(0.0, sampling.bias),
        high=estimate.value + above,
        standard_error=error,
        confidence_level=level,
        how=replace(how, respondents=True),
        unit_ids=(),
        values=(),
        clusters=(),
        degrees_of_freedom=freedom,
    )


def _jensen_shannon(model: FloatArray, human: FloatArray) -> FloatArray:
    # Imported late: most statistics need no measure.
    from pytest_pluralism.core.metrics import jensen_shannon_distance

    return np.asarray(jensen_shannon_distance(model, human), dtype=np.float64)


def _resample(
    human: FloatArray, asked: npt.NDArray[np.int64], n_resamples: int, generator: np.random.Generator
) -> FloatArray:
    drawn = generator.multinomial(asked, human, size=(n_resamples, len(human)))
    again: FloatArray = drawn / asked[:, None]
    return again


def _respondents(n_respondents: npt.ArrayLike, n_questions: int, function: str) -> npt.NDArray[np.int64]:
    asked = finite_array(n_respondents, name="n_respondents", function=function, moderate=True, minimum_ndim=0)
    if asked.ndim > 1 or (asked.ndim == 1 and len(asked) != n_questions):
        raise invalid_parameter(
            "n_respondents", function, f"a number, or one a question ({n_questions})", f"shape {asked.shape}"
        )
    if (asked < 1).any():
        raise invalid_parameter("n_respondents", function, "at least 1", float(asked.min()))
    if (asked > _MOST_RESPONDENTS).any():
        raise invalid_parameter("n_respondents", function, f"at most {_MOST_RESPONDENTS:g}", float(asked.max()))
    return np.broadcast_to(np.rint(asked).astype(np.int64), (n_questions,))


def _n_resamples(n_resamples: int, function: str) -> None:
    whole_number(n_resamples, name="n_resamples", function=function)


def _sampling_weights(sampling_weights: npt.ArrayLike, function: str) -> FloatArray:
    masses = finite_array(sampling_weights, name="sampling_weights", function=function, moderate=True)
    if masses.ndim != 1:
        raise invalid_parameter("sampling_weights", function, "an array with one axis", f"shape {masses.shape}")
    if (masses < 0).any() or not (masses > 0).any():
        raise invalid_parameter(
            "sampling_weights", function, "non-negative and not all 0", f"a least weight of {float(masses.min()):g}"
        )
    # Only ratios of weights matter, and the squares of tiny ones are 0.
    relative: FloatArray = masses / masses.max()
    return relative
