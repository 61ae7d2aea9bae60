"""Checks of parameters, shared by the measures and the statistics: one error grammar for all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sized
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import invalid_parameter

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

#: Numbers beyond this are refused where they are squared or added up: float64 would overflow.
MOST_MAGNITUDE = 1e150

#: How far the sum of a distribution may be from 1 before it is refused.
SUM_TOLERANCE = 1e-6


def float_or_array(values: FloatArray) -> FloatArray | float:
    """Return a float for a single unit and the array for several."""
    return float(values) if values.ndim == 0 else values


def number_array(values: npt.ArrayLike, /, *, name: str, function: str) -> FloatArray:
    """Return ``values`` as a float64 array, refusing what only looks like numbers.

    NaN and infinity are kept; masks, texts, dates and complex numbers are refused, since float64 would lose them.
    """
    must = "an array of numbers"
    # A list that begins with a number has no rows that could be masked.
    parts = values if isinstance(values, (list, tuple)) else (values,)
    if len(parts) and isinstance(parts[0], (int, float)):
        parts = ()
    if any(isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part) for part in parts):
        remedy = "without a mask (leave masked values out with .compressed(), or say what they are with .filled(...))"
        raise invalid_parameter(name, function, remedy, "a masked array")
    array: FloatArray | None = None
    try:
        raw = values if isinstance(values, np.ndarray) else np.asarray(values)
        kind = raw.dtype.kind
        if kind in "biuf":
            array = np.asarray(raw, dtype=np.float64)
        elif kind == "O" and not any(isinstance(one, (str, bytes)) for one in raw.flat):
            # Objects are read from their source: pandas knows better than numpy what its missing values are.
            array = np.asarray(values, dtype=np.float64)
    except OverflowError as error:
        must = f"of a magnitude up to {MOST_MAGNITUDE:g} (rescale it)"
        raise invalid_parameter(name, function, must, "a larger number") from error
    except (TypeError, ValueError) as error:
        raise invalid_parameter(name, function, must, repr(values)[:80]) from error
    if array is None:
        raise invalid_parameter(name, function, must, repr(values)[:80])
    return array


def finite_array(
    values: npt.ArrayLike, /, *, name: str, function: str, minimum_ndim: int = 1, moderate: bool = False
) -> FloatArray:
    """Return ``values`` as a float64 array that is not empty and holds no NaN or infinity.

    With ``moderate`` numbers whose squares overflow are refused, too.
    The input is never changed; the result may share memory with it and must not be written to.
    """
    array = number_array(values, name=name, function=function)
    if array.ndim < minimum_ndim:
        raise invalid_parameter(name, function, f"an array with at least {minimum_ndim} axes", f"{array.ndim} axes")
    if array.size == 0:
        raise invalid_parameter(name, function, "a non-empty array", f"shape {array.shape}")
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise invalid_parameter(name, function, "finite everywhere", f"{array[where]} at index {where}")
    return moderate_array(array, name=name, function=function) if moderate else array


def moderate_array(array: FloatArray, /, *, name: str, function: str) -> FloatArray:
    """Return ``array`` unless it holds finite numbers so large that their squares overflow."""
    large = np.isfinite(array) & (np.abs(array) > MOST_MAGNITUDE)
    if large.any():
        where = tuple(int(i) for i in np.argwhere(large)[0])
        must = f"of a magnitude up to {MOST_MAGNITUDE:g} (rescale it)"
        raise invalid_parameter(name, function, must, f"{array[where]} at index {where}")
    return array


def probability_array(values: npt.ArrayLike, /, *, name: str, function: str) -> FloatArray:
    """Return ``values`` as distributions over the last axis: at least two options, none negative, sums of 1.

    Sums within 1e-6 of 1 are accepted and rescaled to 1 exactly (to rounding).
    """
    array = finite_array(values, name=name, function=function, moderate=True)
    if array.shape[-1] < 2:
        raise invalid_parameter(name, function, "distributions over at least two options", f"shape {array.shape}")
    if (array < 0).any():
        where = tuple(int(i) for i in np.argwhere(array < 0)[0])
        raise invalid_parameter(name, function, "non-negative", f"{array[where]} at index {where}")
    sums = array.sum(axis=-1, keepdims=True)
    off = np.abs(sums - 1.0)
    if (off > SUM_TOLERANCE).any():
        worst = float(sums.reshape(-1)[int(off.argmax())])
        raise invalid_parameter(
            name, function, "distributions that sum to 1 over the last axis", f"a sum of {worst:.9g}"
        )
    result: FloatArray = array / sums
    return result


def one_of(value: object, choices: Iterable[str], /, *, name: str, function: str) -> str:
    """Return ``value`` if it is one of the choices."""
    known = tuple(choices)
    if not isinstance(value, str) or value not in known:
        raise invalid_parameter(name, function, f"one of {', '.join(map(repr, known))}", repr(value)[:80])
    return value


def callable_of(value: object, /, *, name: str, function: str) -> Any:
    """Return ``value`` if it can be called."""
    if not callable(value):
        raise invalid_parameter(name, function, "a function", repr(value)[:80])
    return value


def unit_interval(value: float, /, *, name: str, function: str, open_interval: bool = True) -> float:
    """Return ``value`` if it lies in (0, 1), or in [0, 1] when ``open_interval`` is false."""
    number = real_number(value, name=name, function=function)
    inside = 0.0 < number < 1.0 if open_interval else 0.0 <= number <= 1.0
    if not inside:
        raise invalid_parameter(name, function, f"a float in {'(0, 1)' if open_interval else '[0, 1]'}", value)
    return number


def real_number(value: object, /, *, name: str, function: str, allow_infinite: bool = False) -> float:
    """Return ``value`` as a float, refusing booleans, strings, NaN and (by default) infinities."""
    if isinstance(value, (bool, np.bool_, str)) or value is None:
        raise invalid_parameter(name, function, "a real number", repr(value))
    try:
        number = float(cast("float", value))
    except OverflowError as error:
        must = f"a real number of a magnitude up to {MOST_MAGNITUDE:g}"
        raise invalid_parameter(name, function, must, "a larger one") from error
    except (TypeError, ValueError) as error:
        raise invalid_parameter(name, function, "a real number", repr(value)) from error
    if math.isnan(number) or (math.isinf(number) and not allow_infinite):
        raise invalid_parameter(name, function, "a finite real number", repr(value))
    if abs(number) > MOST_MAGNITUDE and not allow_infinite:
        raise invalid_parameter(name, function, f"a real number of a magnitude up to {MOST_MAGNITUDE:g}", repr(value))
    return number


def whole_number(value: object, /, *, name: str, function: str, least: int = 1, most: int | None = None) -> int:
    """Return ``value`` if it is an integer from ``least`` to ``most`` and not a boolean."""
    is_bool, highest = isinstance(value, (bool, np.bool_)), math.inf if most is None else most
    if is_bool or not isinstance(value, (int, np.integer)) or not least <= value <= highest:
        must = f"an integer in [{least}, inf)" if most is None else f"an int in [{least}, {most}]"
        raise invalid_parameter(name, function, must, repr(value)[:80])
    return int(value)


def at_least_one(values: Sized, what: str, /, *, name: str, function: str) -> None:
    """Refuse an empty collection."""
    if not len(values):
        raise invalid_parameter(name, function, f"at least one {what}", "none")


def generator_of(rng: np.random.Generator | int | None, /, *, function: str, name: str = "rng") -> np.random.Generator:
    """Return the generator that is given, or a new one from a seed."""
    if isinstance(rng, np.random.Generator):
        return rng
    must = "a numpy.random.Generator or an integer in [0, inf)"
    if rng is None or isinstance(rng, (bool, np.bool_)):
        raise invalid_parameter(name, function, must, repr(rng))
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise invalid_parameter(name, function, must, repr(rng)[:80]) from error


def same_length(values: Sized, other: Sized, /, *, name: str, other_name: str, function: str) -> None:
    """Refuse two sequences of different lengths."""
    if len(values) != len(other):
        raise invalid_parameter(name, function, f"as long as '{other_name}' ({len(other)})", f"{len(values)} values")


def cluster_codes(clusters: Any, n: int, /, *, name: str = "clusters", function: str) -> npt.NDArray[np.intp]:
    """Return integer codes 0..n_clusters-1 for cluster labels; ``None`` makes every unit its own cluster.

    A label that is missing (None, NaN) is refused: nobody knows which units such a unit belongs to.
    """
    if clusters is None:
        return np.arange(n, dtype=np.intp)
    try:
        labels = list(clusters)
    except TypeError as error:
        raise invalid_parameter(name, function, f"one label a unit ({n})", repr(clusters)[:80]) from error
    if len(labels) != n:
        raise invalid_parameter(name, function, f"one label a unit ({n})", f"{len(labels)} labels")
    codes: dict[object, int] = {}
    try:
        found = [codes.setdefault(label, len(codes)) for label in labels]
    except TypeError as error:
        place = next(place for place, label in enumerate(labels) if not _hashable(label))
        must = "labels that can be told apart (hashable ones)"
        raise invalid_parameter(name, function, must, f"{labels[place]!r} at position {place}"[:80]) from error
    # Only the different labels are looked at: there may be a million units.
    for label in codes:
        # pandas' own missing values are recognized by the names of their types, so that it need not be installed.
        if (
            label is None
            or (isinstance(label, float | np.floating) and math.isnan(label))
            or type(label).__name__ in ("NAType", "NaTType")
        ):
            place = found.index(codes[label])
            raise invalid_parameter(name, function, "a label for every unit", f"{label!r} at position {place}")
    return np.array(found, dtype=np.intp)


def _hashable(label: object) -> bool:
    try:
        hash(label)
    except TypeError:
        return False
    return True
