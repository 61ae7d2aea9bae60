"""The cluster bootstrap: against scipy.stats.bootstrap and published figures."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import (
    bootstrap_interval,
    bootstrap_means,
    compare_paired,
    estimate_mean,
    interval_at,
)
from pytest_pluralism.core.estimation.resampling import FEW_CLUSTERS

#: Efron and Tibshirani 1993, table 2.1, treatment group of the mouse data.
MICE = [94, 197, 16, 38, 99, 141, 23]


@pytest.mark.parametrize(("method", "theirs"), [("bca", "BCa"), ("percentile", "percentile")])
def test_against_scipy(method, theirs):
    values = np.random.default_rng(1).beta(1, 5, size=40)
    ours = bootstrap_interval(values, method=method, n_resamples=40_000, rng=2)
    # Called random_state before scipy 1.15.
    seeded = "rng" if "rng" in inspect.signature(stats.bootstrap).parameters else "random_state"
    drawn = {seeded: np.random.default_rng(3)}
    expected = stats.bootstrap((values,), np.mean, n_resamples=40_000, method=theirs, **drawn)
    width = values.std() / math.sqrt(40)
    # Two runs of 40,000 resamples agree to about a thirtieth of a standard error at the 2.5 % points.
    assert ours == pytest.approx(tuple(expected.confidence_interval), abs=0.06 * width)


def test_efron_and_tibshirani_table_2_2():
    # Table 2.2: with more resamples the bootstrap standard error of the mean of the treated mice goes to 23.36.
    means = bootstrap_means(MICE, n_resamples=200_000, rng=0)
    assert means.std() == pytest.approx(23.36, abs=0.15)
    assert means.mean() == pytest.approx(np.mean(MICE), abs=0.2)


def test_whole_clusters_are_drawn():
    # Two clusters of different sizes: the only possible means are those of {a, a}, {a, b} and {b, b}.
    means = bootstrap_means([1.0, 1.0, 1.0, 4.0], clusters=["a", "a", "a", "b"], n_resamples=500, rng=1)
    assert set(np.round(means, 12)) == {1.0, 1.75, 4.0}
    assert (means == 1.75).mean() == pytest.approx(0.5, abs=0.1)


def test_bootstrap_t_against_a_loop():
    values = np.random.default_rng(5).beta(1, 5, size=12)
    clusters = np.array([0, 0, 1, 1, 1, 2, 3, 3, 4, 5, 5, 5])
    generator = np.random.default_rng(9)
    mean, statistics = values.mean(), []
    for _ in range(4000):
        drawn = generator.integers(0, 6, size=6)
        parts = [values[clusters == g] for g in drawn]
        again = np.concatenate(parts)
        totals = [np.sum(part - again.mean()) for part in parts]
        error = math.sqrt(6 / 5 * np.sum(np.square(totals))) / len(again)
        difference = again.mean() - mean
        statistics.append(difference / error if error > 1e-9 else math.copysign(math.inf, difference))
    error = estimate_mean(values, clusters=clusters).standard_error
    expected = mean - error * np.quantile(statistics, [0.9, 0.1], method="inverted_cdf")
    ours = bootstrap_interval(
        values, clusters=clusters, method="bootstrap_t", confidence_level=0.8, n_resamples=40_000, rng=4
    )
    assert ours == pytest.approx(tuple(expected), abs=0.15 * error)


def test_few_clusters():
    # From two clusters half of all resamples draw one of them twice: nothing is known about the tails.
    assert np.isnan(bootstrap_interval([0.1, 0.2], method="bootstrap_t", n_resamples=200)).all()
    assert np.isfinite(bootstrap_interval(list(range(9)), method="bootstrap_t", n_resamples=200)).all()
    for n in (2, 3, 9, 10):
        values = np.random.default_rng(n).beta(1, 5, size=n)
        of_t = estimate_mean(values, method="t")
        for method in ("bca", "percentile"):
            low, high = bootstrap_interval(values, method=method, n_resamples=500)
            assert (low <= of_t.low and high >= of_t.high) == (n < FEW_CLUSTERS)


def test_a_bootstrapped_difference_is_never_made_anew_as_a_share():
    change = compare_paired([1.0] * 7 + [0.0] * 5, [0.0] * 12, method="bca", n_resamples=99)
    assert interval_at(change, 0.9).low == compare_paired([1.0] * 7 + [0.0] * 5, [0.0] * 12, confidence_level=0.9).low


def test_estimates_take_the_bootstraps():
    estimate = estimate_mean(MICE, method="bca", n_resamples=999, rng=7)
    assert (estimate.low, estimate.high) == bootstrap_interval(MICE, n_resamples=999, rng=7)
    assert estimate.method == "bca, 999 resamples"


def test_seeds_and_generators():
    assert (bootstrap_means(MICE, n_resamples=50, rng=1) == bootstrap_means(MICE, n_resamples=50, rng=1)).all()
    generator = np.random.default_rng(1)
    assert (bootstrap_means(MICE, n_resamples=50, rng=generator) == bootstrap_means(MICE, n_resamples=50, rng=1)).all()
    assert (bootstrap_means(MICE, n_resamples=50, rng=generator) != bootstrap_means(MICE, n_resamples=50, rng=1)).any()


def test_no_global_random_state():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    bootstrap_interval(MICE, n_resamples=50)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(-8, 8), min_size=3, max_size=12),
    st.sampled_from(["bca", "percentile", "bootstrap_t"]),
    st.sampled_from([0.5, 2.0]),
    st.integers(-3, 3),
)
def test_shift_and_scale(values, method, scale, shift):
    values = np.array(values, dtype=float)
    plain = bootstrap_interval(values, method=method, n_resamples=200, rng=1)
    moved = bootstrap_interval(scale * values + shift, method=method, n_resamples=200, rng=1)
    assert moved == pytest.approx([scale * end + shift for end in plain], abs=1e-8, nan_ok=True)


def test_degenerate_and_unchanged():
    assert bootstrap_interval([0.3, 0.3, 0.3]) == pytest.approx((0.3, 0.3))
    assert all(map(math.isnan, bootstrap_interval([0.3, 0.4], clusters=[1, 1])))
    values = np.array(MICE, dtype=float)
    values.flags.writeable = False
    bootstrap_interval(values, n_resamples=50)
    assert values.tolist() == MICE


def test_errors():
    with pytest.raises(InvalidParameterError, match="'method' parameter of bootstrap_interval must be one of 'bca'"):
        bootstrap_interval(MICE, method="basic")
    with pytest.raises(InvalidParameterError, match="'n_resamples' parameter of bootstrap_means"):
        bootstrap_means(MICE, n_resamples=0)
    with pytest.raises(InvalidParameterError, match="'confidence_level' parameter of bootstrap_interval"):
        bootstrap_interval(MICE, confidence_level=1.0)
    with pytest.raises(InvalidParameterError, match="one axis"):
        bootstrap_means([[1.0, 2.0]])
