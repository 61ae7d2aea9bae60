"""The utilities of a jury, checked: jurors along the last axis, their weights, and which units can be computed."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import BoolArray, FloatArray, finite_array, number_array, one_of, real_number

__all__: list[str] = []


#: From here on products and sums of float64 may overflow; and how often such numbers are halved before they are summed.
HUGE = 2.0**500

#: The treatment of missing ratings: an error, a NaN for the unit, or the jury of those who rated.
Missing = Literal["refuse", "propagate", "omit"]


def jurors_last(values: FloatArray, /, *, axis: int, name: str, function: str) -> FloatArray:
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)) or not -values.ndim <= axis < values.ndim:
        must = f"an axis of '{name}', an integer in [{-values.ndim}, {values.ndim - 1}]"
        raise invalid_parameter("axis", function, must, repr(axis))
    return np.moveaxis(values, axis, -1)


def utility_array(
    values: npt.ArrayLike, /, *, name: str, function: str, missing: str, policies: tuple[str, ...], non_negative: bool
) -> FloatArray:
    """Return utilities as float64 with NaN only where the policy allows it, refusing what the measure cannot take."""
    one_of(missing, policies, name="missing", function=function)
    array = number_array(values, name=name, function=function)
    absent = np.isnan(array)
    if missing == "refuse" and absent.any():
        where = tuple(int(i) for i in np.argwhere(absent)[0])
        remedies = " or ".join(f"missing={policy!r}" for policy in policies if policy != "refuse")
        remedy = f"; pass {remedies} to allow it" if remedies else ""
        must = f"complete (a NaN is a missing rating, never 0{remedy})"
        raise invalid_parameter(name, function, must, f"nan at index {where}")
    # The shared check sees a 0 for each NaN, so that it still refuses infinities, emptiness and missing axes.
    finite_array(np.where(absent, 0.0, array) if absent.any() else array, name=name, function=function)
    if non_negative and (array < 0.0).any():
        where = tuple(int(i) for i in np.argwhere(array < 0.0)[0])
        must = "non-negative (map the utilities to (0, 1] first, for example (u - lowest + 1) / (highest - lowest + 1))"
        raise invalid_parameter(name, function, must, f"{array[where]} at index {where}")
    return array


def jury_panel(
    utilities: npt.ArrayLike,
    weights: npt.ArrayLike | None,
    /,
    *,
    axis: int,
    missing: str,
    function: str,
    non_negative: bool,
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Return utilities with jurors last, their weights, and which units can be computed.

    A juror with weight 0, or without a rating under ``"omit"``, has weight 0 and must not touch the result.
    Units that cannot be computed hold harmless numbers; :func:`with_unknown` turns their result into NaN.
    """
    policies = ("refuse", "propagate", "omit")
    array = utility_array(
        utilities, name="utilities", function=function, missing=missing, policies=policies, non_negative=non_negative
    )
    values = jurors_last(array, axis=axis, name="utilities", function=function)
    if weights is None:
        juror_weights: FloatArray = np.ones(values.shape)
    else:
        given = finite_array(weights, name="weights", function=function)
        if (given < 0.0).any():
            raise invalid_parameter("weights", function, "non-negative", f"{given.min()}")
        if given.max() > HUGE or 0.0 < given.max() < 1.0 / HUGE:
            # Weights are relative; neither may their sum exceed float64, nor their products lose digits.
            given = np.ldexp(given, -int(np.frexp(given.max())[1]))
        if given.ndim == 1 and given.size == values.shape[-1]:
            juror_weights = np.broadcast_to(given, values.shape)
        elif given.shape == array.shape:
            juror_weights = np.moveaxis(given, axis, -1)
        else:
            must = f"one weight a juror ({values.shape[-1]}), or of the shape of 'utilities' {array.shape}"
            raise invalid_parameter("weights", function, must, f"shape {given.shape}")
        if (juror_weights.sum(axis=-1) <= 0.0).any():
            raise invalid_parameter("weights", function, "positive for at least one juror of each unit", "only zeros")
    absent = np.isnan(values)
    known: BoolArray = np.ones(values.shape[:-1], dtype=np.bool_)
    if absent.any():
        if missing == "omit":
            juror_weights = np.where(absent, 0.0, juror_weights)
            known = np.asarray(juror_weights.sum(axis=-1) > 0.0)
        else:
            known = np.asarray(~absent.any(axis=-1))
        values = np.where(absent, 0.0, values)
        juror_weights = np.where(known[..., None], juror_weights, 1.0)
    return values, juror_weights, known


def with_unknown(result: FloatArray, known: BoolArray, /) -> FloatArray:
    return np.where(known, result, np.nan)


def inequality_aversion(value: float, /, *, name: str, function: str) -> float:
    alpha = real_number(value, name=name, function=function, allow_infinite=True)
    if alpha < 0.0:
        raise invalid_parameter(name, function, "a float in [0, inf]", value)
    return alpha
