"""The shared checks of arrays: what they take, and what float64 would silently lose."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.metrics import bridging_intercepts, pairwise_preferences, welfare
from pytest_pluralism.core.parameters import finite_array, number_array, probability_array


def finite(values):
    return finite_array(values, name="x", function="f")


@pytest.mark.parametrize(
    "values",
    [
        [1, 2],
        (1.0, 2.0),
        [np.float32(1), np.float32(2)],
        np.array([1, 2], dtype=np.float16),
        np.array([1, 2], dtype=np.float32),
        np.array([1, 2], dtype=np.uint8),
        np.array([1.0, 2.0], dtype=object),
        np.ma.array([1.0, 2.0], mask=[False, False]),
        [True, 2],
    ],
)
def test_numbers_of_all_kinds_are_taken(values):
    array = finite(values)
    assert array.dtype == np.float64
    assert array.tolist() == [1.0, 2.0]


def test_series_of_pandas_are_taken():
    pandas = pytest.importorskip("pandas")
    for dtype in ("int64", "float32", "Int64", "Float64"):
        assert finite(pandas.Series([1, 2], dtype=dtype)).tolist() == [1.0, 2.0]
    with pytest.raises(InvalidParameterError, match="The 'x' parameter of f must be"):
        finite(pandas.Series([1, None], dtype="Float64"))


def test_float64_is_not_copied():
    array = np.array([1.0, 2.0])
    array.flags.writeable = False
    assert np.shares_memory(finite(array), array)


@pytest.mark.parametrize(
    "values",
    [
        ["1", "2"],
        ["1", 2],
        [[1.0], ["2"]],
        [b"1"],
        np.array(["1", "2"]),
        np.array(["1", 2.0], dtype=object),
        [1 + 2j, 0.5],
        np.array([1 + 0j]),
        np.array([1 + 2j], dtype=object),
        np.array(["2024-01-01"], dtype="datetime64[D]"),
        np.array([1], dtype="timedelta64[s]"),
        [[1, 2], [3]],
    ],
)
def test_what_is_no_number_is_refused(values):
    with pytest.raises(InvalidParameterError, match=r"^The 'x' parameter of f must be an array of numbers\. Got .* in"):
        finite(values)


@pytest.mark.parametrize(
    "values",
    [
        np.ma.array([0.2, 0.8], mask=[False, True]),
        [np.ma.array([0.2, 0.8], mask=[False, True]), np.ma.array([0.2, 0.8])],
    ],
)
def test_masks_are_refused_with_the_remedy(values):
    for check in (finite_array, number_array, probability_array):
        with pytest.raises(InvalidParameterError, match=r"'x' parameter of f must be without a mask .*\.filled"):
            check(values, name="x", function="f")


def test_measures_that_take_nan_refuse_the_same():
    masked = np.ma.array([[1.0, 2.0]], mask=[[False, True]])
    for values in (masked, [["1", "0.5"]], [[1j, 0.5]]):
        with pytest.raises(InvalidParameterError, match="'utilities' parameter of welfare must be"):
            welfare(values, alpha=1, missing="omit")
        with pytest.raises(InvalidParameterError, match="'ratings' parameter of bridging_intercepts must be"):
            bridging_intercepts(values)
        with pytest.raises(InvalidParameterError, match="'rankings' parameter of pairwise_preferences must be"):
            pairwise_preferences(values, missing="omit")
