"""Scores of predicted labels: accuracy, balanced accuracy and macro-F1, with unread answers counted."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import (
    FloatArray,
    float_or_array,
)

__all__ = [
    "ClassificationScores",
    "classification_scores",
]


@dataclass(frozen=True, eq=False)
class ClassificationScores:
    """Scores of predicted answers against the actual ones.

    Attributes
    ----------
    labels : tuple
        The classes, in the order of the last axis of the arrays.
    accuracy, balanced_accuracy, macro_f1 : float or ndarray of shape (...)
        In [0, 1]; the best value is 1.
    precision, recall, f1 : ndarray of shape (..., n_labels)
        By class; NaN where undefined (never predicted, never actual, neither).
    support : ndarray of int of shape (..., n_labels)
        Number of rows with each class as the actual one.
    confusion : ndarray of int of shape (..., n_labels, n_labels + 1)
        Entry [actual, predicted]; the last column counts the unparsed answers.
    n, n_dropped, n_unparsed : int or ndarray of int of shape (...)
        Number of rows that count, that were dropped, and that count but could not be read.
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
    values: object, labels: tuple[Hashable, ...], extra: tuple[Hashable, ...], /, *, name: str, function: str
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


def _int(values: npt.ArrayLike) -> npt.NDArray[np.intp] | int:
    array = np.asarray(values, dtype=np.intp)
    return int(array) if array.ndim == 0 else array


def _ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> FloatArray:
    """Return the quotient, NaN for 0/0."""
    below = np.asarray(denominator, dtype=np.float64)
    result = np.full(below.shape, np.nan)
    np.divide(numerator, below, out=result, where=below > 0)
    return result


def _mean_where(values: FloatArray, keep: npt.NDArray[np.bool_]) -> FloatArray:
    return _ratio(np.where(keep, values, 0.0).sum(axis=-1), keep.sum(axis=-1))


def _classes(
    labels: Sequence[Hashable], drop: Hashable | None, unparsed: Hashable | None, /, *, function: str
) -> tuple[Hashable, ...]:
    """Return the labels that are classes."""
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
        raise invalid_parameter("unparsed", function, "different from the labels and from 'drop'", repr(unparsed))
    return listed


def classification_scores(
    predicted: npt.ArrayLike,
    actual: npt.ArrayLike,
    /,
    *,
    labels: Sequence[Hashable],
    drop: Hashable | None = None,
    unparsed: Hashable | None = None,
) -> ClassificationScores:
    """Compute accuracy, balanced accuracy and macro-F1 of predicted answers, for two classes or more.

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
        drops ``"either"``. The label is then not a class. A model that answers ``drop`` where it is unsure leaves its
        hard rows out, so read ``n_dropped`` too.
    unparsed : label, optional
        The label of an answer that could not be read. It is wrong wherever it occurs and is not a class.

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
    listed = _classes(labels, drop, unparsed, function=function)
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
