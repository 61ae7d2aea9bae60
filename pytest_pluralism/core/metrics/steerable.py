"""Steerable pluralism: whether a model, steered to an attribute, reflects it, and what else the steering moves."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.labels import code_labels, label_array
from pytest_pluralism.core.parameters import (
    FloatArray,
    finite_array,
    float_or_array,
    one_of,
    probability_array,
    real_number,
)

__all__ = [
    "AttributeFaithfulness",
    "ClassificationScores",
    "GoalSpaceSteering",
    "attribute_faithfulness",
    "best_of_contexts",
    "classification_scores",
    "goal_space_steering",
    "prompt_steerability_index",
    "steered_distance",
    "steered_distance_gain",
    "steered_distance_matrix",
    "steering_gain",
]


# ------------------------------------------------------------------------------------------------ faithfulness


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
        How many units each attribute has.
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
    worst_attribute: Any


def _by_attribute(scores: FloatArray, attributes: Any, /, *, function: str) -> AttributeFaithfulness:
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
    """How faithfully a steered model reflects each attribute, and which attribute it reflects worst.

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
    """How much more faithful a model is to each attribute when it is steered to it than when it is not.

    Parameters
    ----------
    steered, unsteered : array_like of shape (..., n_units)
        Faithfulness to the unit's attribute, with and without steering, paired by unit.
    attributes : array_like of shape (n_units,)
        The attribute of each unit.

    Returns
    -------
    AttributeFaithfulness
        Of the differences: higher is better, 0 is no effect, below 0 steering does harm.

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


# ---------------------------------------------------------------------------------------------- classification


@dataclass(frozen=True, eq=False)
class ClassificationScores:
    """How well predicted answers match the actual ones.

    Attributes
    ----------
    labels : tuple
        The classes, in the order of the last axis of the arrays.
    accuracy, balanced_accuracy, macro_f1 : float or ndarray of shape (...)
        In [0, 1]; the best value is 1.
    precision, recall, f1 : ndarray of shape (..., n_labels)
        By class; NaN where undefined (never predicted, never actual, neither).
    support : ndarray of int of shape (..., n_labels)
        How often each class is the actual one.
    confusion : ndarray of int of shape (..., n_labels, n_labels + 1)
        Entry [actual, predicted]; the last column counts the unparsed answers.
    n, n_dropped, n_unparsed : int or ndarray of int of shape (...)
        How many rows count, were dropped, and count but could not be read.
    """

    labels: tuple[Hashable, ...]
    accuracy: FloatArray | float
    balanced_accuracy: FloatArray | float
    macro_f1: FloatArray | float
    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    support: npt.NDArray[np.intp]
    confusion: npt.NDArray[np.intp]
    n: npt.NDArray[np.intp] | int
    n_dropped: npt.NDArray[np.intp] | int
    n_unparsed: npt.NDArray[np.intp] | int


def _label_codes(
    values: Any, labels: tuple[Hashable, ...], extra: tuple[Hashable, ...], /, *, name: str, function: str
) -> npt.NDArray[np.intp]:
    """Return the place of each value among the labels, then the extra ones; every other value is refused."""
    # Of lists, numpy would make one kind: 1 and "1" would become equal.
    array = values if isinstance(values, np.ndarray) else np.asarray(values, dtype=object)
    if array.ndim == 0 or array.size == 0:
        raise invalid_parameter(name, function, "a non-empty array of labels", f"shape {array.shape}")
    if array.dtype.kind == "O":
        place = {label: code for code, label in reversed(tuple(enumerate((*labels, *extra))))}
        try:
            found = [place.get(value, -1) for value in array.reshape(-1).tolist()]
        except TypeError as error:
            raise invalid_parameter(name, function, "an array of hashable labels", repr(values)[:80]) from error
        codes = np.array(found, dtype=np.intp).reshape(array.shape)
    else:
        codes = np.full(array.shape, -1, dtype=np.intp)
        for code, label in enumerate((*labels, *extra)):
            codes[np.asarray(array == label) & (codes < 0)] = code
    unknown = codes < 0
    if unknown.any():
        where = tuple(int(i) for i in np.argwhere(unknown)[0])
        must = "one of the labels " + ", ".join(repr(label) for label in (*labels, *extra))
        raise invalid_parameter(
            name,
            function,
            must,
            f"{array[where].item()!r} at index {where}"
            if isinstance(array[where], np.generic)
            else f"{array[where]!r} at index {where}",
        )
    return codes


def _int(values: Any) -> Any:
    array = np.asarray(values, dtype=np.intp)
    return int(array) if array.ndim == 0 else array


def _ratio(numerator: Any, denominator: Any) -> FloatArray:
    """Divide, with NaN for 0/0."""
    below = np.asarray(denominator, dtype=np.float64)
    result = np.full(below.shape, np.nan)
    np.divide(numerator, below, out=result, where=below > 0)
    return result


def _mean_where(values: FloatArray, keep: npt.NDArray[np.bool_]) -> FloatArray:
    return _ratio(np.where(keep, values, 0.0).sum(axis=-1), keep.sum(axis=-1))


def classification_scores(
    predicted: npt.ArrayLike,
    actual: npt.ArrayLike,
    /,
    *,
    labels: Sequence[Hashable],
    drop: Hashable | None = None,
    unparsed: Hashable | None = None,
) -> ClassificationScores:
    """Accuracy, balanced accuracy and macro-F1 of predicted answers, for two classes or more.

    Parameters
    ----------
    predicted : array_like of shape (..., n_questions)
        The answers of the model.
    actual : array_like of shape (..., n_questions)
        The answers that are right for the attribute it was steered to.
    labels : sequence
        The classes, such as ``("support", "oppose", "either")``. Any other answer is refused.
    drop : label, optional
        Leave out the rows whose actual *or* predicted label this is: the two-way form of the Value Kaleidoscope task
        drops ``"either"``. The label is no class then. A model that answers ``drop`` where it is unsure leaves its hard
        rows out, so read ``n_dropped`` too.
    unparsed : label, optional
        What stands for an answer that could not be read. It is wrong wherever it occurs and is no class.

    Returns
    -------
    ClassificationScores
        ``accuracy``, ``balanced_accuracy`` and ``macro_f1`` in [0, 1], best value 1; NaN where ``drop`` leaves no rows.
        Classes without support: balanced accuracy is the mean recall of the classes that are actual answers; macro-F1
        is the mean F1 of the classes that are actual or predicted answers, so that a class that is predicted but never
        right counts as 0, and a class that never occurs does not count.

    Raises
    ------
    InvalidParameterError
        If ``predicted`` or ``actual`` is empty, or they differ in shape.
    InvalidParameterError
        If there are fewer than two labels, or one is repeated.
    InvalidParameterError
        If an answer is not among the labels (``unparsed`` is allowed among the predicted ones, ``drop`` in both).

    Notes
    -----
    These are scikit-learn's ``accuracy_score``, ``balanced_accuracy_score`` and ``f1_score(average="macro")`` of the
    same rows. To get what ``modular_pluralism`` published, list the unparsed class among ``labels``: it then takes part
    in macro-F1 with 0 as soon as it is predicted once.

    Examples
    --------
    >>> scores = classification_scores(
    ...     ["support", "oppose", "support", "either"],
    ...     ["support", "oppose", "either", "either"],
    ...     labels=["support", "oppose", "either"],
    ... )
    >>> scores.accuracy, round(scores.balanced_accuracy, 3), round(scores.macro_f1, 3)
    (0.75, 0.833, 0.778)
    """
    function = "classification_scores"
    try:
        listed = () if isinstance(labels, str) else tuple(labels)
        hash((listed, drop, unparsed))
    except TypeError as error:
        must = "a sequence of hashable labels, as must 'drop' and 'unparsed' be hashable"
        raise invalid_parameter("labels", function, must, f"{labels!r}, {drop!r} and {unparsed!r}"[:80]) from error
    if len(listed) < 2:
        raise invalid_parameter("labels", function, "a sequence of at least two labels", repr(labels))
    if drop is not None:
        listed = tuple(label for label in listed if label != drop)
        if len(listed) < 2:
            raise invalid_parameter("labels", function, "at least two labels besides the dropped one", repr(labels))
    if len(set(listed)) != len(listed):
        raise invalid_parameter("labels", function, "all different", repr(labels))
    if unparsed is not None and (unparsed in listed or unparsed == drop):
        raise invalid_parameter("unparsed", function, "no label of its own right", repr(unparsed))
    shapes = []
    for name, values in (("predicted", predicted), ("actual", actual)):
        try:
            shapes.append(np.shape(values))
        except ValueError as error:
            raise invalid_parameter(name, function, "an array with rows of one length", repr(values)[:80]) from error
    if shapes[0] != shapes[1]:
        raise invalid_parameter("predicted", function, f"of the shape of 'actual' {shapes[1]}", f"shape {shapes[0]}")
    n_labels = len(listed)
    dropped_labels = () if drop is None else (drop,)
    # Codes: the classes, then unparsed (predicted only), then dropped.
    actual_codes = _label_codes(actual, listed, dropped_labels, name="actual", function=function)
    unparsed_labels = () if unparsed is None else (unparsed,)
    predicted_codes = _label_codes(
        predicted, listed, (*unparsed_labels, *dropped_labels), name="predicted", function=function
    )
    dropped = (actual_codes >= n_labels) | (predicted_codes >= n_labels + len(unparsed_labels))
    leading = actual_codes.shape[:-1]
    n_units = int(np.prod(leading, dtype=np.intp))
    n_cells = n_labels * (n_labels + 1)
    cell = actual_codes * (n_labels + 1) + predicted_codes
    flat = cell.reshape(n_units, -1) + n_cells * np.arange(n_units)[:, None]
    counts = np.bincount(flat[~dropped.reshape(n_units, -1)], minlength=n_units * n_cells)
    confusion = counts.reshape(*leading, n_labels, n_labels + 1)
    hits = np.diagonal(confusion[..., :n_labels], axis1=-2, axis2=-1)
    support = confusion.sum(axis=-1)
    claimed = confusion[..., :n_labels].sum(axis=-2)
    n = support.sum(axis=-1)
    recall = _ratio(hits, support)
    f1 = _ratio(2 * hits, support + claimed)
    return ClassificationScores(
        labels=listed,
        accuracy=float_or_array(_ratio(hits.sum(axis=-1), n)),
        balanced_accuracy=float_or_array(_mean_where(recall, support > 0)),
        macro_f1=float_or_array(_mean_where(f1, support + claimed > 0)),
        precision=_ratio(hits, claimed),
        recall=recall,
        f1=f1,
        support=support,
        confusion=confusion,
        n=_int(n),
        n_dropped=_int(dropped.sum(axis=-1)),
        n_unparsed=_int(confusion[..., n_labels].sum(axis=-1)),
    )


# ----------------------------------------------------------------------------- distributional under steering


def _distances(p: FloatArray, q: FloatArray, base: float, /, *, name: str, other: str, function: str) -> FloatArray:
    # Imported here: the module of the distances may import records of this one.
    from pytest_pluralism.core.metrics.distributional import jensen_shannon_distance

    if p.shape[-1] != q.shape[-1]:
        raise invalid_parameter(other, function, f"over as many options as '{name}' ({p.shape[-1]})", f"{q.shape[-1]}")
    try:
        p, q = np.broadcast_arrays(p, q)
    except ValueError as error:
        raise invalid_parameter(other, function, f"of a shape that fits {p.shape}", f"shape {q.shape}") from error
    return np.asarray(jensen_shannon_distance(p, q, base=base), dtype=np.float64)


def steered_distance(steered: npt.ArrayLike, reference: npt.ArrayLike, /, *, base: float = 2.0) -> FloatArray | float:
    """Jensen-Shannon distance of the model steered to each group from that group's own answers.

    Distributional and steerable pluralism in one: not whether the steered model gives the group's typical answer, but
    whether it answers as differently as the members of the group do.

    Parameters
    ----------
    steered : array_like of shape (..., n_options)
        How the model answers when steered to a group, such as (n_groups, n_questions, n_options).
    reference : array_like that broadcasts with ``steered``
        How the members of that group answer.
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
    """How much closer steering brings the model to each group: the distance before less the distance after.

    Parameters
    ----------
    steered : array_like of shape (..., n_options)
        How the model answers when steered to a group.
    unsteered : array_like that broadcasts with ``steered``
        How it answers without steering: usually the same for all groups, so without their axis.
    reference : array_like that broadcasts with ``steered``
        How the members of the group answer.
    base : float, default 2
        Base of the logarithm.

    Returns
    -------
    float or ndarray of shape (...)
        In [-1, 1] in base 2; higher is better, 0 is no effect, below 0 steering leads away from the group.

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
    """Mean distance of every group from the model steered to every group.

    Steering that only moves the answers, rather than to the group that was named, has small entries off the diagonal.

    Parameters
    ----------
    steered : array_like of shape (n_groups, n_questions, n_options)
        How the model answers when steered to each group.
    reference : array_like of the same shape
        How the members of each group answer.
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
    r"""Alignment with a group under the best of several steering contexts, in either published reading.

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


def prompt_steerability_index(
    baseline: npt.ArrayLike,
    steered: npt.ArrayLike,
    /,
    *,
    n_statements: float | None = None,
    prior: float = 0.5,
) -> FloatArray | float:
    r"""How far steering moves a model's profile towards the extreme of a direction, over the way between the extremes.

    A profile is the Beta distribution of the tendency to answer in the direction, after the counted answers:
    :math:`P = \mathrm{Beta}(c + n_+, c + n_-)`. With the extremes :math:`P^+, P^-` of a model that answers all
    statements in, or all against, the direction, and W the 1-Wasserstein distance:

    .. math:: \frac{W(P_{base}, P^+) - W(P_{steered}, P^+)}{W(P^-, P^+)}

    Parameters
    ----------
    baseline, steered : array_like of shape (..., 2)
        How many statements the model answers in the direction and against it, unsteered and steered.
        Sums of weights may stand for counts.
    n_statements : float, optional
        How many statements were put to the model. Default: the sum of the counts, which must then be the same in
        ``baseline`` and ``steered``. Give it when some answers could not be read.
    prior : float in (0, inf), default 0.5
        The c above; 0.5 is Jeffreys' prior.

    Returns
    -------
    float or ndarray of shape (...)
        In [-1, 1]; 0 is no effect; higher is better. It cannot reach 1 from a baseline that leans to the direction
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
    """What a request to move in a space of goals did, along the request and off it.

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
    r"""How far an output went towards a goal, how far too far or short, and how much it moved to the side.

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
