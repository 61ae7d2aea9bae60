"""Steerable pluralism: whether a model, steered to an attribute or a group, reflects it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.labels import code_labels, label_array
from pytest_pluralism.core.metrics.distributional import jensen_shannon_distance
from pytest_pluralism.core.parameters import (
    FloatArray,
    finite_array,
    float_or_array,
    one_of,
    probability_array,
)

__all__ = [
    "AttributeFaithfulness",
    "attribute_faithfulness",
    "best_of_contexts",
    "steered_distance",
    "steered_distance_gain",
    "steered_distance_matrix",
    "steering_gain",
]


@dataclass(frozen=True, eq=False)
class AttributeFaithfulness:
    """A score by attribute, its mean, and the attribute that fares worst.

    Attributes
    ----------
    attributes : tuple
        The attributes, in order of first appearance.
    values : ndarray of shape (..., n_attributes)
        The mean score of the units of each attribute.
    n_units : tuple of int
        Number of units of each attribute.
    mean : float or ndarray of shape (...)
        The mean over units.
    attribute_mean : float or ndarray of shape (...)
        The mean over attributes, each counting the same.
    worst : float or ndarray of shape (...)
        The smallest of ``values``.
    worst_attribute : Hashable or ndarray of shape (...)
        The first attribute with that value.
    """

    attributes: tuple[Hashable, ...]
    values: FloatArray
    n_units: tuple[int, ...]
    mean: FloatArray | float
    attribute_mean: FloatArray | float
    worst: FloatArray | float
    worst_attribute: object


def _by_attribute(scores: FloatArray, attributes: npt.ArrayLike, /, *, function: str) -> AttributeFaithfulness:
    listed, position = code_labels(attributes, scores.shape[-1:], name="attributes", function=function, unit="a unit")
    # Sorting the units by attribute makes each attribute one run, which reduceat sums without a loop.
    by_position = np.argsort(position, kind="stable")
    counts = np.bincount(position, minlength=len(listed))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    values = np.add.reduceat(scores[..., by_position], starts, axis=-1) / counts
    worst = values.argmin(axis=-1)
    return AttributeFaithfulness(
        attributes=listed,
        values=values,
        n_units=tuple(int(count) for count in counts),
        mean=float_or_array(np.asarray(scores.mean(axis=-1))),
        attribute_mean=float_or_array(np.asarray(values.mean(axis=-1))),
        worst=float_or_array(np.asarray(values.min(axis=-1))),
        worst_attribute=listed[int(worst)] if worst.ndim == 0 else label_array(listed)[worst],
    )


def attribute_faithfulness(scores: npt.ArrayLike, attributes: npt.ArrayLike, /) -> AttributeFaithfulness:
    """Compute how faithfully a steered model reflects each attribute, and which attribute it reflects worst.

    Parameters
    ----------
    scores : array_like of shape (..., n_units)
        For each answer y | x, a: how faithful it is to its attribute a. 1 or 0 for a judgement, a number for a reward.
    attributes : array_like of shape (n_units,)
        The attribute that each answer was steered to.

    Returns
    -------
    AttributeFaithfulness
        In the range of ``scores``; higher is better.

    Raises
    ------
    InvalidParameterError
        If ``scores`` are empty or not finite.
    InvalidParameterError
        If ``attributes`` are not one label a unit, or one of them is missing or cannot be hashed.

    Notes
    -----
    A model is steerable with respect to a set of attributes when it is faithful to *every one* of them:
    Definitions 6 to 8 of Sorensen et al. 2024 (arXiv 2402.05070). So the worst attribute decides, not the mean.

    Examples
    --------
    >>> faithful = attribute_faithfulness([1, 1, 0, 1, 0, 0], ["left", "left", "left", "right", "right", "right"])
    >>> faithful.mean, faithful.worst_attribute, round(faithful.worst, 3)
    (0.5, 'right', 0.333)
    """
    values = finite_array(scores, name="scores", function="attribute_faithfulness", moderate=True)
    return _by_attribute(values, attributes, function="attribute_faithfulness")


def steering_gain(
    steered: npt.ArrayLike, unsteered: npt.ArrayLike, attributes: npt.ArrayLike, /
) -> AttributeFaithfulness:
    """Compute how much more faithful a model is to each attribute when it is steered to it.

    Parameters
    ----------
    steered, unsteered : array_like of shape (..., n_units)
        Faithfulness to the unit's attribute, with and without steering, paired by unit.
    attributes : array_like of shape (n_units,)
        The attribute of each unit.

    Returns
    -------
    AttributeFaithfulness
        Of the differences: higher is better, 0 means no effect, below 0 steering does harm.

    Raises
    ------
    InvalidParameterError
        If an array of scores is empty or not finite, or the two differ in shape.
    InvalidParameterError
        As :func:`attribute_faithfulness` does of ``attributes``.

    Examples
    --------
    >>> gain = steering_gain([1, 1, 0, 1], [0, 1, 0, 1], ["left", "left", "right", "right"])
    >>> gain.values, gain.worst_attribute
    (array([0.5, 0. ]), 'right')
    """
    function = "steering_gain"
    after = finite_array(steered, name="steered", function=function, moderate=True)
    before = finite_array(unsteered, name="unsteered", function=function, moderate=True)
    if after.shape != before.shape:
        must = f"of the shape of 'steered' {after.shape}"
        raise invalid_parameter("unsteered", function, must, f"shape {before.shape}")
    return _by_attribute(after - before, attributes, function=function)


def _distances(p: FloatArray, q: FloatArray, base: float, /, *, name: str, other: str, function: str) -> FloatArray:
    if p.shape[-1] != q.shape[-1]:
        raise invalid_parameter(other, function, f"over as many options as '{name}' ({p.shape[-1]})", f"{q.shape[-1]}")
    try:
        p, q = np.broadcast_arrays(p, q)
    except ValueError as error:
        raise invalid_parameter(other, function, f"of a shape that fits {p.shape}", f"shape {q.shape}") from error
    return np.asarray(jensen_shannon_distance(p, q, base=base), dtype=np.float64)


def steered_distance(steered: npt.ArrayLike, reference: npt.ArrayLike, /, *, base: float = 2.0) -> FloatArray | float:
    """Compute the Jensen-Shannon distance of the model steered to each group from that group's own answers.

    Distributional and steerable pluralism in one: not whether the steered model gives the group's typical answer, but
    whether it answers as differently as the members of the group do.

    Parameters
    ----------
    steered : array_like of shape (..., n_options)
        The answers of the model steered to a group, such as (n_groups, n_questions, n_options).
    reference : array_like that broadcasts with ``steered``
        The answers of that group's members.
    base : float, default 2
        Base of the logarithm.

    Returns
    -------
    float or ndarray of shape (...)
        In [0, sqrt(log_base 2)], so [0, 1] in base 2; the best value is 0.

    Raises
    ------
    InvalidParameterError
        If an array is empty, not finite, or does not hold distributions over its last axis.
    InvalidParameterError
        If the arrays have different numbers of options or shapes that do not broadcast.

    Notes
    -----
    The combination is named as an open question in Sorensen's talk at the Simons Institute, 14 October 2024.

    Examples
    --------
    >>> steered_distance([[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]])
    array([1., 0.])
    """
    function = "steered_distance"
    p = probability_array(steered, name="steered", function=function)
    q = probability_array(reference, name="reference", function=function)
    return float_or_array(_distances(p, q, base, name="steered", other="reference", function=function))


def steered_distance_gain(
    steered: npt.ArrayLike, unsteered: npt.ArrayLike, reference: npt.ArrayLike, /, *, base: float = 2.0
) -> FloatArray | float:
    """Compute how much closer steering brings the model to each group: the distance before less the distance after.

    Parameters
    ----------
    steered : array_like of shape (..., n_options)
        The answers of the model steered to a group.
    unsteered : array_like that broadcasts with ``steered``
        Its answers without steering: usually the same for all groups, so without their axis.
    reference : array_like that broadcasts with ``steered``
        The answers of the group's members.
    base : float, default 2
        Base of the logarithm.

    Returns
    -------
    float or ndarray of shape (...)
        In [-1, 1] in base 2; higher is better, 0 means no effect, below 0 steering leads away from the group.

    Raises
    ------
    InvalidParameterError
        If an array is empty, not finite, or does not hold distributions over its last axis.
    InvalidParameterError
        If the arrays have different numbers of options or shapes that do not broadcast.

    Examples
    --------
    >>> steered_distance_gain([[1.0, 0.0], [0.0, 1.0]], [0.0, 1.0], [[1.0, 0.0], [0.0, 1.0]])
    array([1., 0.])
    """
    function = "steered_distance_gain"
    after = probability_array(steered, name="steered", function=function)
    before = probability_array(unsteered, name="unsteered", function=function)
    people = probability_array(reference, name="reference", function=function)
    far = _distances(people, before, base, name="reference", other="unsteered", function=function)
    near = _distances(people, after, base, name="reference", other="steered", function=function)
    return float_or_array(np.asarray(far - near))


def steered_distance_matrix(steered: npt.ArrayLike, reference: npt.ArrayLike, /, *, base: float = 2.0) -> FloatArray:
    """Compute the mean distance of every group from the model steered to every group.

    Steering that only moves the answers, rather than to the group that was named, has small entries off the diagonal.

    Parameters
    ----------
    steered : array_like of shape (n_groups, n_questions, n_options)
        The answers of the model steered to each group.
    reference : array_like of the same shape
        The answers of each group's members.
    base : float, default 2
        Base of the logarithm.

    Returns
    -------
    ndarray of shape (n_groups, n_groups)
        Entry [g, g'] is the mean over questions of the Jensen-Shannon distance of group g from the model steered to g'.
        Lower is better on the diagonal. Its negative is a matrix for :func:`trade_off_regret`.

    Raises
    ------
    InvalidParameterError
        If an array is empty, not finite, has other than three axes, or does not hold distributions.
    InvalidParameterError
        If the two arrays differ in shape.

    Examples
    --------
    >>> steered_distance_matrix([[[1.0, 0.0]], [[0.0, 1.0]]], [[[1.0, 0.0]], [[0.0, 1.0]]])
    array([[0., 1.],
           [1., 0.]])
    """
    function = "steered_distance_matrix"
    model = probability_array(steered, name="steered", function=function)
    people = probability_array(reference, name="reference", function=function)
    if model.ndim != 3:
        must = "of shape (n_groups, n_questions, n_options)"
        raise invalid_parameter("steered", function, must, f"shape {model.shape}")
    if people.shape != model.shape:
        must = f"of the shape of 'steered' {model.shape}"
        raise invalid_parameter("reference", function, must, f"shape {people.shape}")
    each = _distances(people[:, None], model[None, :], base, name="reference", other="steered", function=function)
    result: FloatArray = each.mean(axis=-1)
    return result


def best_of_contexts(alignment: npt.ArrayLike, /, *, reading: str = "per_question") -> FloatArray | float:
    r"""Compute the alignment with a group under the best of several steering contexts, in either published reading.

    .. math:: \frac{1}{|Q|} \sum_q \max_c A_{cq}  \quad\text{or}\quad  \max_c \frac{1}{|Q|} \sum_q A_{cq}

    Parameters
    ----------
    alignment : array_like of shape (..., n_contexts, n_questions)
        Alignment (higher is better) with the group on each question under each way of naming the group.
        For a distance, pass its negative.
    reading : {"per_question", "per_group"}, default "per_question"
        The paper picks the best context for each question; its notebook, the one with the best mean for the group.

    Returns
    -------
    float or ndarray of shape (...)
        In the range of ``alignment``; higher is better. ``"per_question"`` is never below ``"per_group"``: it is the
        maximum of noisy numbers, so it rises with the number of contexts even where none of them steers.

    Raises
    ------
    InvalidParameterError
        If ``alignment`` is empty, not finite, or has fewer than two axes.
    InvalidParameterError
        If ``reading`` is not one of the two words.

    Notes
    -----
    Santurkar et al. 2023, "Whose Opinions Do Language Models Reflect?" (arXiv 2303.17548): contexts QA, bio, portray.

    Examples
    --------
    >>> alignment = [[0.75, 0.25], [0.5, 0.75]]
    >>> best_of_contexts(alignment), best_of_contexts(alignment, reading="per_group")
    (0.75, 0.625)
    """
    function = "best_of_contexts"
    array = finite_array(alignment, name="alignment", function=function, minimum_ndim=2)
    if one_of(reading, ("per_question", "per_group"), name="reading", function=function) == "per_question":
        return float_or_array(np.asarray(array.max(axis=-2).mean(axis=-1)))
    return float_or_array(np.asarray(array.mean(axis=-1).max(axis=-1)))
