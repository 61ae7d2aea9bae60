"""Power from the units themselves, drawn again: against the formula, another implementation, and fresh draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import compare_paired, estimate_mean, power_of_gate
from pytest_pluralism.core.estimation.redrawn import RedrawnEnds, redraw_ends

SYMMETRIC = np.random.default_rng(1).normal(0.4, 0.1, 60)

SKEWED = np.random.default_rng(2).exponential(0.1, 60)


def test_the_ends_are_those_of_plain_t_intervals() -> None:
    """Another implementation: scipy's t interval of the same draws."""
    estimate = estimate_mean(SYMMETRIC[:12], method="t")
    ends = redraw_ends(estimate, method="t", n_draws=50, rng=3)
    generator = np.random.default_rng(3)
    centred = SYMMETRIC[:12] - SYMMETRIC[:12].mean()
    expected = []
    for _ in range(50):
        drawn = centred[generator.integers(12, size=12)]
        expected.append(stats.t.interval(0.95, 11, drawn.mean(), stats.sem(drawn)))
    lows, highs = zip(*expected, strict=True)
    assert ends.lows == pytest.approx(np.sort(lows))
    assert ends.highs == pytest.approx(np.sort(highs))


@pytest.mark.whole
def test_symmetric_scores_have_the_power_of_the_formula() -> None:
    estimate = estimate_mean(SYMMETRIC, method="t")
    ends = redraw_ends(estimate, method="t", n_draws=4000)
    for rises in (True, False):
        shown = ends.detectable(0.8, rises=rises)
        assert power_of_gate(estimate, difference=shown) == pytest.approx(0.8, abs=0.03)
        assert ends.clears(shown, rises=rises) == pytest.approx(0.8, abs=0.03)


@pytest.mark.whole
@pytest.mark.parametrize("rises", [True, False])
@pytest.mark.parametrize("level", [0.95, 1 - 0.05 / 9])
def test_skewed_scores_fail_as_often_as_it_says(rises: bool, level: float) -> None:
    """Fresh draws around a truth of the planned size, judged by the interval at the level."""
    estimate = estimate_mean(SKEWED)
    shown = redraw_ends(estimate, confidence_level=level, method="outer", n_draws=600).detectable(0.8, rises=rises)
    generator = np.random.default_rng(5)
    failed = 0
    for _ in range(400):
        drawn = estimate_mean(generator.choice(SKEWED - SKEWED.mean(), 60), confidence_level=level, method="outer")
        failed += drawn.low + shown > 0 if rises else drawn.high - shown < 0
    # Two standard errors of 400 runs are 0.04, those of the plan 0.03.
    assert failed / 400 == pytest.approx(0.8, abs=0.07)


@pytest.mark.whole
def test_whole_clusters_are_drawn_and_more_of_them_show_more() -> None:
    clusters = [number // 4 for number in range(60)]
    values = SYMMETRIC + np.repeat(np.random.default_rng(6).normal(0, 0.2, 15), 4)
    alone, together = estimate_mean(values), estimate_mean(values, clusters=clusters)
    narrow, wide = (redraw_ends(one).detectable(0.8, rises=True) for one in (alone, together))
    assert wide > 1.4 * narrow
    many = redraw_ends(together, n=240).detectable(0.8, rises=True)
    assert many == pytest.approx(wide / 2, rel=0.2)


def test_differences_are_no_shares() -> None:
    before, after = np.zeros(40), np.array([0.0, 1.0] * 20)
    change = compare_paired(after, before)
    ends = redraw_ends(change, is_change=True)
    assert math.isfinite(ends.detectable(0.8, rises=True))
    assert ends.detectable(0.8, rises=True) < 0.5


def test_what_shows_no_spread_decides_nothing() -> None:
    ends = redraw_ends(estimate_mean([0.5] * 20, method="t"))
    assert ends.detectable(0.5, rises=True) == math.inf
    assert ends.clears(10.0, rises=True) == 0.0


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=30),
    st.floats(0.01, 0.99),
    st.booleans(),
)
def test_so_far_beyond_the_bound_the_wanted_share_clears_it(ends: list[float], power: float, rises: bool) -> None:
    values = np.sort(np.array(ends))
    shown = RedrawnEnds(values, values).detectable(power, rises=rises)
    cleared = np.mean(values >= -shown) if rises else np.mean(values <= shown)
    assert cleared >= power - 1e-9


def test_nothing_is_changed_and_the_same_is_drawn_again() -> None:
    values = SKEWED.copy()
    values.flags.writeable = False
    estimate = estimate_mean(values)
    first, second = redraw_ends(estimate, rng=1), redraw_ends(estimate, rng=1)
    assert first.lows.tolist() == second.lows.tolist()
    assert estimate == estimate_mean(values)
    assert redraw_ends(estimate, rng=2).lows.tolist() != first.lows.tolist()


@pytest.mark.parametrize(
    "words",
    [{"n_draws": 0}, {"n": 0}, {"confidence_level": 1.0}, {"rng": None}, {"n_draws": 1.5}],
    ids=str,
)
def test_numbers_out_of_range(words: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterError, match=next(iter(words))):
        redraw_ends(estimate_mean(SKEWED), **words)


def test_an_estimate_without_its_units() -> None:
    with pytest.raises(InvalidParameterError, match="keeps its units"):
        redraw_ends(estimate_mean(SKEWED, clusters=["one"] * 60))
    with pytest.raises(InvalidParameterError, match="power"):
        redraw_ends(estimate_mean(SKEWED), n_draws=2).detectable(1.0, rises=True)
