"""Adjusted p-values: published examples, definitions, scipy and properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import adjust_p_values, benjamini_hochberg, bonferroni, holm

#: Benjamini and Hochberg 1995, section 4.1: fifteen p-values of a trial of rt-PA in myocardial infarction.
TRIAL = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0,
]  # fmt: skip

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=25)


def test_benjamini_and_hochberg_1995_section_4_1():
    # At 0.05 Bonferroni's method rejects the three smallest and the procedure of the paper four.
    assert (bonferroni(TRIAL) <= 0.05).sum() == 3
    assert (holm(TRIAL) <= 0.05).sum() == 3
    assert (benjamini_hochberg(TRIAL) <= 0.05).sum() == 4


def test_holm_by_hand():
    # Four tests: 0.005 x 4, 0.01 x 3, 0.03 x 2, then 0.04 x 1 raised to its predecessor.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], rel=1e-12)


def test_benjamini_hochberg_is_scipys():
    generator = np.random.default_rng(0)
    for _ in range(20):
        values = generator.random(12) ** 3
        assert benjamini_hochberg(values) == pytest.approx(stats.false_discovery_control(values), rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(p_values, st.floats(0.001, 0.5))
def test_holm_rejects_as_in_holm_1979(values, level):
    # As in Holm's paper: go up the ordered p-values and reject until the first above level / (m - i + 1).
    rejected = set()
    order = sorted(range(len(values)), key=lambda i: values[i])
    for step, i in enumerate(order):
        if values[i] * (len(values) - step) > level:
            break
        rejected.add(i)
    adjusted = holm(values)
    assert {i for i in range(len(values)) if adjusted[i] <= level} == rejected


@settings(max_examples=100, deadline=None)
@given(p_values, st.randoms(use_true_random=False))
def test_properties(values, random):
    array = np.array(values)
    array.flags.writeable = False
    by_holm, by_bonferroni, by_rate = holm(array), bonferroni(array), benjamini_hochberg(array)
    assert (array.tolist()) == values
    assert (by_holm >= array).all()
    assert (by_rate >= array).all()
    assert (by_rate <= by_holm + 1e-15).all()
    assert (by_holm <= by_bonferroni).all()
    assert (by_bonferroni <= 1).all()
    order = np.argsort(array, kind="stable")
    assert (np.diff(by_holm[order]) >= 0).all()
    assert (np.diff(by_rate[order]) >= 0).all()
    places = list(range(len(values)))
    random.shuffle(places)
    assert (holm(array[places]) == by_holm[places]).all()
    assert (benjamini_hochberg(array[places]) == by_rate[places]).all()


def test_by_name():
    for method, function in (("holm", holm), ("bonferroni", bonferroni), ("benjamini_hochberg", benjamini_hochberg)):
        assert (adjust_p_values(TRIAL, method=method) == function(TRIAL)).all()
    assert adjust_p_values(TRIAL, method="none").tolist() == TRIAL


def test_errors():
    with pytest.raises(
        InvalidParameterError, match=r"'p_values' parameter of holm must be in \[0, 1\]. Got 1.5 at index 1"
    ):
        holm([0.1, 1.5])
    with pytest.raises(InvalidParameterError, match="non-empty"):
        holm([])
    with pytest.raises(InvalidParameterError, match="finite"):
        benjamini_hochberg([float("nan")])
    with pytest.raises(InvalidParameterError, match="one axis"):
        bonferroni([[0.1]])
    with pytest.raises(InvalidParameterError, match="'method' parameter of adjust_p_values must be one of 'holm'"):
        adjust_p_values([0.1], method="sidak")
