"""Labels of groups, clusters, stances and attributes as integer codes: equal labels, and only they, share a code."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Set
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import invalid_parameter

__all__ = ["code_labels", "is_missing", "label_array"]

#: Kinds of arrays of which every value is a label that numpy orders: booleans, integers and texts.
ORDERED_KINDS = "biuUS"


def is_missing(label: object, /) -> bool:
    """Say whether a label stands for no label: None, NaN, infinity, NaT or the NA of pandas."""
    if label is None or isinstance(label, str):
        return label is None
    try:
        return bool(label != label) or label in (np.inf, -np.inf)
    except (TypeError, ValueError, ArithmeticError):
        # The comparison with a missing value is itself missing, and has no truth value.
        return True


def label_array(labels: tuple[Hashable, ...], /) -> npt.NDArray[np.generic]:
    """Return labels as an array of one axis: of texts or numbers where they all are, else of objects."""
    kinds = {type(label) for label in labels}
    if len(kinds) == 1 and kinds <= {str, int, float, bool}:
        return np.array(labels)
    return np.fromiter(labels, dtype=object, count=len(labels))


def code_labels(
    labels: object, shape: tuple[int, ...], /, *, name: str, function: str, unit: str, ordered: bool = False
) -> tuple[tuple[Hashable, ...], npt.NDArray[np.intp]]:
    """Return the different labels, and for each unit the place of its label among them.

    Labels are in order of first appearance; with ``ordered`` they are sorted where all are texts or all are numbers.
    The last axis must fit ``shape`` exactly, the others broadcast to it.
    """
    array = _array_of_labels(labels, shape)
    if array.ndim == 0 or array.shape[-1] != shape[-1]:
        must = f"one label {unit} ({shape[-1]})" if len(shape) == 1 else f"one label {unit}, shape {shape}"
        raise invalid_parameter(name, function, must, f"shape {array.shape}")
    try:
        np.broadcast_to(array, shape)
    except ValueError as error:
        raise invalid_parameter(name, function, f"of shape {shape}", f"shape {array.shape}") from error
    if array.dtype.kind in ORDERED_KINDS:
        values, first, found = np.unique(array.reshape(-1), return_index=True, return_inverse=True)
        known = tuple(values.tolist())
        codes = found.reshape(-1).astype(np.intp, copy=False)
        order = np.arange(first.size) if ordered else np.argsort(first)
    else:
        places: dict[object, int] = {}
        flat = array.reshape(-1).tolist()
        try:
            codes = np.fromiter((places.setdefault(one, len(places)) for one in flat), dtype=np.intp, count=len(flat))
        except TypeError as error:
            raise invalid_parameter(name, function, "hashable labels", repr(labels)[:80]) from error
        known = tuple(one.item() if isinstance(one, np.generic) else one for one in places)
        for place, label in enumerate(known):
            if is_missing(label):
                where = tuple(int(i) for i in np.unravel_index(int((codes == place).argmax()), array.shape))
                at = where[0] if len(where) == 1 else where
                raise invalid_parameter(name, function, "labels that are not missing", f"{label!r} at index {at}")
            # Arrays and tensors of no axes are hashed by their identity, so that equal ones would differ.
            if hasattr(label, "__array__"):
                raise invalid_parameter(name, function, "hashable labels", repr(labels)[:80])
        order = np.arange(len(known))
        if ordered and (all(isinstance(one, str) for one in known) or all(isinstance(one, Real) for one in known)):
            sortable: Any = known
            order = np.array(sorted(range(len(known)), key=sortable.__getitem__), dtype=np.intp)
    rank = np.empty(order.size, dtype=np.intp)
    rank[order] = np.arange(order.size)
    return tuple(known[place] for place in order.tolist()), np.broadcast_to(rank[codes].reshape(array.shape), shape)


def _array_of_labels(labels: Any, shape: tuple[int, ...], /) -> npt.NDArray[np.generic]:
    """Return labels as an array, an array of objects where numpy would change them or take a label for an axis."""
    if isinstance(labels, np.ma.MaskedArray) and np.ma.is_masked(labels):
        masked: Any = labels
        unmasked = np.array(masked.data, dtype=object)
        unmasked[np.ma.getmaskarray(masked)] = None
        return unmasked
    if isinstance(labels, (str, bytes, Set, Mapping)) or hasattr(labels, "__array__"):
        return np.asarray(labels)
    if not isinstance(labels, Iterable):
        return np.asarray(labels)
    levels = [list(labels)]
    sizes = [len(levels[0])]
    least = 1
    while len(sizes) < len(shape) and levels[-1]:
        rows = levels[-1]
        if not all(
            isinstance(row, (list, tuple, np.ndarray)) and not (isinstance(row, np.ndarray) and row.ndim == 0)
            for row in rows
        ):
            break
        if len({len(row) for row in rows}) != 1:
            break
        if not all(isinstance(row, tuple) for row in rows):
            least = len(sizes) + 1
        sizes.append(len(rows[0]))
        levels.append([label for row in rows for label in row])
    # A tuple may be a row or a label: it is a row where rows fit.
    depths = range(len(sizes), least - 1, -1)
    depth = next((n for n in depths if _fits(tuple(sizes[:n]), shape)), len(sizes))
    flat = levels[depth - 1]
    return np.fromiter(flat, dtype=object, count=len(flat)).reshape(sizes[:depth])


def _fits(own: tuple[int, ...], shape: tuple[int, ...], /) -> bool:
    if own[-1] != shape[-1]:
        return False
    return all(size in (1, wanted) for size, wanted in zip(own[::-1], shape[::-1], strict=False))
