"""Numbers in files: which values count as one."""

import math

import pytest

from pytest_pluralism.core.finite import is_finite, is_number


@pytest.mark.parametrize("value", [0, -3, 0.5, 1e308, 10**300])
def test_numbers_that_a_float_holds(value):
    assert is_number(value)


@pytest.mark.parametrize("value", [True, False, None, "1", [1], math.nan, math.inf, -math.inf, 10**400, -(10**400), 1j])
def test_what_is_no_number(value):
    assert not is_number(value)


def test_a_whole_number_may_be_too_large_to_be_finite():
    assert is_finite(10**300)
    assert not is_finite(10**400)
