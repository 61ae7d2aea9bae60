"""Distances to a population of which only a sample was asked: less what chance adds, and how sure the rest is.

Chance moves the answers of a sample away from those of the population, so that a distance to the sample is too large.
For the Jensen-Shannon distance this can be undone question by question, down to about what chance alone makes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.metrics import jensen_shannon_distance
from pytest_pluralism.core.parameters import FloatArray, finite_array, probability_array

__all__ = ["CorrectedDistances", "correct_for_respondents"]

#: Below the first of these multiples of the sampling scale the correction is that of near distributions, above the
#: second it is the jackknife's, and in between it goes over from one to the other.
NEAR, FAR = 3.0, 6.0

#: Where the correction of near distributions is known, in sampling scales; in between it is linear.
_PLACES = np.arange(0.0, FAR + 0.01, 0.25)

#: How steep it may be, how much bends count, and how much true distances below the second number count: there no
#: function of the distance that is never negative is unbiased.
_STEEPEST, _BEND, _UNCLEAR, _UNCLEAR_COUNTS = 6.0, 0.03, 0.7, 0.4


@dataclass(frozen=True, eq=False)
class CorrectedDistances:
    """Distances of several questions to what a population would have answered.

    Attributes
    ----------
    values : numpy.ndarray, shape (n_questions,)
        Corrected, in the same range.
    uncorrected : numpy.ndarray, shape (n_questions,)
        To the sample, in [0, 1] with base 2.
    standard_errors : numpy.ndarray, shape (n_questions,)
        Of ``values``, from the samples of both sides.
    floors : numpy.ndarray, shape (n_questions,)
        The expected value for a model that answers exactly as the population does.
    model_errors : numpy.ndarray, shape (n_questions,)
        The part of ``standard_errors`` that the other side's sample makes; 0 where that is known exactly.
    """

    values: FloatArray
    uncorrected: FloatArray
    standard_errors: FloatArray
    floors: FloatArray
    model_errors: FloatArray

    @property
    def drawn_variance(self) -> float:
        """The part of the squared standard error of the mean that the other side's sample makes, drawn one by one."""
        return float((self.model_errors**2).sum()) / len(self.model_errors) ** 2

    @property
    def shared_variance(self) -> float:
        """The most that people who answered all questions can add to the variance of the mean.

        Their errors may go the same way on every question. The part that the spread between questions holds already, as
        if others had been asked each, is taken out.
        """
        n = len(self.standard_errors)
        errors = np.sqrt(np.maximum(self.standard_errors**2 - self.model_errors**2, 0.0))
        together = float(errors.sum()) / n
        return max(0.0, together**2 - float((errors**2).sum()) / n**2)


def correct_for_respondents(
    model_probabilities: npt.ArrayLike,
    reference_probabilities: npt.ArrayLike,
    n_respondents: npt.ArrayLike,
    /,
    *,
    n_of_model: npt.ArrayLike = math.inf,
    base: float = 2.0,
) -> CorrectedDistances:
    r"""Return Jensen-Shannon distances to a population, corrected for asking only ``n_respondents`` of it.

    With d the distance to the sample and :math:`d_{-k}` that to the sample without one person who gave answer k:

    .. math:: d - (n - 1) \sum_k \hat p_k\,(d_{-k} - d)

    where d is large beside the sampling scale :math:`s = (8 n \ln b)^{-1/2}`. Where it is not, d / s is noncentral chi
    distributed with as many degrees of freedom as the jackknife of :math:`d^2` says, or the expected counts of the
    options where these say more, and the corrected distance is the rising function of d / s, never below 0, whose
    expectation comes nearest to the true one by least squares.

    Parameters
    ----------
    model_probabilities, reference_probabilities : array_like of float, shape (n_questions, n_options)
        The answers of the model and of the people who were asked.
    n_respondents : array_like of float, shape (n_questions,) or scalar
        How many were asked, more than 1; effective sizes where people count differently.
    n_of_model : array_like of float, shape (n_questions,) or scalar
        The same of the other side, where that is a sample of people too; by default it is known exactly.
    base : float
        Of the logarithm.

    Returns
    -------
    CorrectedDistances
        In the order of the questions.

    Raises
    ------
    InvalidParameterError
        If the two are not distributions of the same shape, or there are too few respondents.

    Notes
    -----
    Degenerate cases: where all people and the model give one answer, nothing is corrected. A true distance below about
    half a sampling scale cannot be told from 0: the expected value there is ``floors``.

    References
    ----------
    M. H. Quenouille, "Notes on bias in estimation", Biometrika 43, 1956, doi:10.1093/biomet/43.3-4.353 (jackknife).

    Examples
    --------
    >>> found = correct_for_respondents([[0.5, 0.3, 0.2]], [[0.6, 0.3, 0.1]], 200)
    >>> bool(found.values[0] < found.uncorrected[0])
    True
    """
    function = "correct_for_respondents"
    model = probability_array(model_probabilities, name="model_probabilities", function=function)
    people = probability_array(reference_probabilities, name="reference_probabilities", function=function)
    if people.ndim != 2:
        raise invalid_parameter("reference_probabilities", function, "an array with two axes", f"shape {people.shape}")
    if model.shape != people.shape:
        raise invalid_parameter("model_probabilities", function, f"of shape {people.shape}", f"shape {model.shape}")
    asked = _asked(n_respondents, len(people), "n_respondents", function)
    distance = np.asarray(jensen_shannon_distance(model, people, base=base), dtype=np.float64)
    found = _left_out(model, people, asked, distance, base)
    inverse, of_people = 1.0 / asked, found[2]
    if not np.isposinf(np.asarray(n_of_model, dtype=np.float64)).all():
        others = _asked(n_of_model, len(people), "n_of_model", function)
        found = found + _left_out(people, model, others, distance, base)
        inverse = inverse + 1.0 / others
    bias, squared_bias, variance = found
    scale = np.sqrt(inverse / (8.0 * math.log(base)))
    # The jackknife does not see options that nobody in the sample chose.
    jackknife = np.maximum(squared_bias / scale**2, _freedom_of_rare(model, people, 1.0 / inverse))
    freedom = np.clip(jackknife, 0.0, people.shape[1] - 1.0)
    # Over one scale each way, because the correction is flat where nothing can be told apart.
    below, values, above = (_corrected(distance + one, bias, scale, freedom, base) for one in (-scale, 0.0, scale))
    slope = (above - below) / (2.0 * scale)
    errors, others_errors = slope * np.sqrt(variance), slope * np.sqrt(np.maximum(variance - of_people, 0.0))
    floors = scale * _between_orders(freedom, scale, lambda order, at: np.full_like(at, _floor(order)))
    return CorrectedDistances(values, distance, errors, floors, others_errors)


def _left_out(
    fixed: FloatArray, people: FloatArray, asked: FloatArray, distance: FloatArray, base: float
) -> FloatArray:
    """Return the bias of distances and of their squares, and the variance of distances, by a jackknife of people."""
    n_options = people.shape[1]
    rest = asked - 1.0
    changes, squares = np.zeros_like(people), np.zeros_like(people)
    for option, one in enumerate(np.eye(n_options)):
        # An effective person may be more than all who gave this answer.
        left = np.clip(people - (one - people) / rest[:, None], 0.0, None)
        left /= left.sum(axis=1, keepdims=True)
        without = np.asarray(jensen_shannon_distance(fixed, left, base=base), dtype=np.float64)
        changes[:, option] = without - distance
        squares[:, option] = without**2 - distance**2
    mean = (people * changes).sum(axis=1)
    spread = (people * (changes - mean[:, None]) ** 2).sum(axis=1)
    return np.stack([rest * mean, rest * (people * squares).sum(axis=1), rest * spread])


def _freedom_of_rare(model: FloatArray, people: FloatArray, asked: FloatArray) -> FloatArray:
    """Return the degrees of freedom by how often each option is expected between the model and the sample."""
    middle = (model + people) / 2.0
    counts, worth = _worth_of_counts()
    freedom: FloatArray = (np.interp(asked[:, None] * middle, counts, worth) * (1.0 - middle)).sum(axis=1)
    return freedom


@functools.cache
def _worth_of_counts() -> tuple[FloatArray, FloatArray]:
    """Return expected counts, and what such an option adds to d^2 in squared sampling scales where nothing differs.

    The expectation over Poisson counts: 1 for common options, next to nothing for those that are hardly ever chosen.
    """
    expected = np.geomspace(0.01, 100.0, 81)
    seen = np.arange(250.0)[:, None]
    probability = np.exp(seen * np.log(expected) - expected - special.gammaln(seen + 1.0))
    middle = (seen + expected) / 2.0
    divergence = (special.rel_entr(seen, middle) + special.rel_entr(expected, middle)) / 2.0
    worth = 8.0 * (probability * divergence).sum(axis=0)
    return np.concatenate([[0.0], expected]), np.concatenate([[0.0], worth])


def _corrected(
    distance: FloatArray, bias: FloatArray, scale: FloatArray, freedom: FloatArray, base: float
) -> FloatArray:
    """Return distances less their bias: the jackknife's where they are large, else that of near distributions."""
    places = np.maximum(distance, 0.0) / scale
    far = np.clip((places - NEAR) / (FAR - NEAR), 0.0, 1.0)
    near = scale * _between_orders(freedom, places, _near)
    largest = math.sqrt(math.log(2.0) / math.log(base))
    return np.clip((1.0 - far) * near + far * (distance - bias), 0.0, largest)


def _near(order: int, places: FloatArray) -> FloatArray:
    """Return the corrected value of a noncentral chi variable."""
    if order == 0:
        return places
    return np.where(places < FAR, np.interp(places, _PLACES, _heights(order)), _first_order(places, order))


def _first_order(places: FloatArray, order: int) -> FloatArray:
    """Return a noncentral chi variable less its leading bias."""
    return places - (order - 1.0) / (2.0 * np.maximum(places, 1.0))


def _between_orders(
    freedom: FloatArray, places: FloatArray, value: Callable[[int, FloatArray], FloatArray]
) -> FloatArray:
    """Interpolate what is known for whole degrees of freedom."""
    below = np.floor(freedom).astype(int)
    result = np.zeros_like(places)
    for order in sorted({*below.tolist(), *(below + 1).tolist()}):
        weight = np.where(below == order, 1.0 - (freedom - below), np.where(below + 1 == order, freedom - below, 0.0))
        used = weight > 0.0
        if used.any():
            result[used] += weight[used] * value(order, places[used])
    return result


@functools.cache
def _chi(order: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return places, true distances and the probability of each place under each of them: noncentral chi."""
    places = np.linspace(0.01, 14.0, 1400)
    truths = np.concatenate([[1e-3], np.arange(0.05, 8.01, 0.05)])
    bessel = np.maximum(special.ive(order / 2 - 1, places * truths[:, None]), 1e-300)
    powers = order / 2 * np.log(places) + (1 - order / 2) * np.log(truths)[:, None]
    log_density = powers - (places - truths[:, None]) ** 2 / 2 + np.log(bessel)
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    probability: FloatArray = density / density.sum(axis=1, keepdims=True)
    return places, truths, probability


@functools.cache
def _heights(order: int) -> FloatArray:
    """Return the corrected values at the known places."""
    from scipy.optimize import lsq_linear

    places, truths, probability = _chi(order)
    hats = np.stack([np.where(places < FAR, np.interp(places, _PLACES, one), 0.0) for one in np.eye(len(_PLACES))], 1)
    beyond = np.where(places < FAR, 0.0, _first_order(places, order))
    # Heights are sums of rises, so that bounds on these make the function rise from 0.
    n = len(_PLACES)
    sums = np.tril(np.ones((n, n)))
    counts = np.where(truths < _UNCLEAR, _UNCLEAR_COUNTS, 1.0) * np.exp(-truths / 6.0)
    last = _first_order(_PLACES[-1:], order)
    design = [(probability @ hats @ sums) * counts[:, None], 30.0 * sums[-1:], _BEND * np.diff(sums, 2, axis=0)]
    wanted = [(truths - probability @ beyond) * counts, 30.0 * last, np.zeros(n - 2)]
    steepest = np.full(n, _STEEPEST * (_PLACES[1] - _PLACES[0]))
    steepest[0] = 1e-6
    found = lsq_linear(np.vstack(design), np.concatenate(wanted), bounds=(np.zeros(n), steepest))
    return np.asarray(sums @ found.x, dtype=np.float64)


@functools.cache
def _floor(order: int) -> float:
    """Return the expected corrected value where the truth is 0, in sampling scales."""
    places, _, probability = _chi(order)
    return float(probability[0] @ _near(order, places)) if order else 0.0


def _asked(numbers: npt.ArrayLike, n_questions: int, name: str, function: str) -> FloatArray:
    asked = finite_array(numbers, name=name, function=function, moderate=True, minimum_ndim=0)
    if asked.ndim > 1 or (asked.ndim == 1 and len(asked) != n_questions):
        raise invalid_parameter(name, function, f"a number, or one a question ({n_questions})", f"shape {asked.shape}")
    if (asked <= 1.0).any():
        raise invalid_parameter(name, function, "more than 1", float(asked.min()))
    return np.broadcast_to(asked, (n_questions,)).astype(np.float64)
