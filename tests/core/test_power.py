"""Power: against the formulas of textbooks and Miller 2024, against simulation, and inverse to itself."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_pluralism.core import Gate, decide
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import (
    estimate_mean,
    power_of_gate,
    smallest_detectable_difference,
    units_needed,
    units_range,
)
from pytest_pluralism.core.records import Estimate
from pytest_pluralism.core.verdict import CLUSTERS_NEEDED_WITHOUT_VARIANCE


def run(deviation, n=100, n_clusters=None):
    clusters = n if n_clusters is None else n_clusters
    return Estimate(0.3, 0.2, 0.4, deviation / math.sqrt(clusters), n=n, n_clusters=clusters)


def test_the_normal_formula_of_miller_2024():
    # arXiv:2411.00640, section 5: n = (z_{alpha/2} + z_beta)^2 * variance / difference^2. With a variance of 1/9, a
    # difference of 3 %, 5 % and 80 %, that is 969; Student's t in place of the normal asks for about z^2 / 2 = 2 more.
    normal = math.ceil((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) ** 2 / 9 / 0.03**2)
    assert normal == 969
    assert normal < units_needed(run(1 / 3), difference=0.03) <= normal + 3


def test_a_textbook_row_of_cohen():
    # Cohen 1988, the one-sample t test: d = 0.5, two-sided 5 %, power 80 % needs n = 34 (G*Power 3.1: 34).
    assert units_needed(run(1.0), difference=0.5) == 34
    assert power_of_gate(run(1.0, n=34), difference=0.5) == pytest.approx(0.8078, abs=5e-4)


@pytest.mark.parametrize(("difference", "n"), [(0.05, 100), (0.2, 12), (0.4, 5)])
def test_power_is_the_noncentral_t(difference, n):
    expected = stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, difference / 0.3 * math.sqrt(n))
    assert power_of_gate(run(0.3), difference=difference, n=n) == pytest.approx(expected, rel=1e-6)


def test_power_against_simulation():
    generator = np.random.default_rng(0)
    samples = generator.normal(0.1, 0.3, size=(20_000, 40))
    lower = samples.mean(axis=1) - stats.t.ppf(0.975, 39) * stats.sem(samples, axis=1)
    assert power_of_gate(run(0.3), difference=0.1, n=40) == pytest.approx((lower > 0).mean(), abs=0.015)


def test_clusters_count():
    # The same error from a fifth of the clusters: as many clusters are needed as there would be units, five units each.
    alone, grouped = run(0.3, n=100), run(0.3, n=500, n_clusters=100)
    assert units_needed(grouped, difference=0.05) == 5 * units_needed(alone, difference=0.05)
    assert power_of_gate(grouped, difference=0.05, n=250) == power_of_gate(alone, difference=0.05, n=50)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 1), st.floats(0.02, 0.5), st.floats(0.5, 0.95), st.floats(0.8, 0.99))
def test_units_needed_is_the_smallest_and_inverts_the_difference(deviation, difference, power, level):
    estimate = run(deviation)
    n = units_needed(estimate, difference=difference, power=power, confidence_level=level)
    assert power_of_gate(estimate, difference=difference, n=n, confidence_level=level) >= power
    if n > 2:
        assert power_of_gate(estimate, difference=difference, n=n - 1, confidence_level=level) < power
    smallest = smallest_detectable_difference(estimate, n=n, power=power, confidence_level=level)
    assert smallest <= difference * (1 + 1e-9)
    assert power_of_gate(estimate, difference=smallest, n=n, confidence_level=level) == pytest.approx(power, abs=1e-6)


def test_from_a_stored_run():
    values = np.random.default_rng(0).beta(2, 5, size=60)
    estimate = estimate_mean(values, clusters=np.arange(60) // 3)
    assert smallest_detectable_difference(estimate) == pytest.approx(
        smallest_detectable_difference(replace(estimate, values=())), rel=1e-12
    )
    assert units_needed(estimate, difference=0.05) == units_needed(estimate, difference=-0.05)


def test_no_variance():
    # As many as a gate wants to see before it believes that nothing varies.
    constant = estimate_mean([0.3] * 5, method="t")
    assert units_needed(constant, difference=0.1) == CLUSTERS_NEEDED_WITHOUT_VARIANCE
    assert smallest_detectable_difference(constant) == math.inf
    assert power_of_gate(constant, difference=0.1) == 0.0
    for n, outcome in (
        (CLUSTERS_NEEDED_WITHOUT_VARIANCE, "passed"),
        (CLUSTERS_NEEDED_WITHOUT_VARIANCE - 1, "inconclusive"),
    ):
        enough = n == CLUSTERS_NEEDED_WITHOUT_VARIANCE
        assert decide(Gate(at_most=0.4), estimate_mean([0.3] * n)).outcome == outcome
        assert power_of_gate(constant, difference=0.1, n=n) == float(enough)
        assert smallest_detectable_difference(constant, n=n) == (0.0 if enough else math.inf)
        assert power_of_gate(constant, difference=0.0, n=n) == 0.0
    pairs = estimate_mean([0.3] * 10, clusters=np.arange(10) // 2)
    assert units_needed(pairs, difference=0.1) == 2 * CLUSTERS_NEEDED_WITHOUT_VARIANCE


@pytest.mark.parametrize("function", [units_needed, power_of_gate, smallest_detectable_difference])
def test_what_cannot_be_planned_from(function):
    keywords = {} if function is smallest_detectable_difference else {"difference": 0.1}
    whole = estimate_mean([0.3, 0.4, 0.5], confidence_level=None)
    for estimate, message in (
        (whole, "about a whole set there is nothing to infer"),
        (replace(run(0.3), standard_error=-0.1), r"a standard error in \[0, inf\). Got -0.1"),
        (replace(run(0.3), standard_error=math.inf), r"a standard error in \[0, inf\). Got inf"),
    ):
        with pytest.raises(InvalidParameterError, match=f"'estimate' parameter of {function.__name__} .*{message}"):
            function(estimate, **keywords)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: units_needed(run(0.3), difference=0.0), "'difference' parameter of units_needed must be other than 0"),
        (lambda: units_needed(run(0.3), difference=1e-9), "must be one that 100,000,000 clusters show"),
        (lambda: units_needed(run(0.3), difference=0.1, power=1.0), "'power' parameter of units_needed"),
        (lambda: units_needed(estimate_mean([0.1]), difference=0.1), "'estimate' parameter of units_needed"),
        (lambda: power_of_gate(run(0.3), difference=0.1, n=0), "'n' parameter of power_of_gate"),
        (lambda: power_of_gate(run(0.3), difference=0.1, n=2.5), "'n' parameter of power_of_gate"),
        (lambda: smallest_detectable_difference(run(0.3), n=1), "'n' parameter of smallest_detectable_difference"),
        (lambda: power_of_gate(run(0.3), difference=0.1, confidence_level=2), "'confidence_level' parameter"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InvalidParameterError, match=message):
        call()


def test_a_pilot_is_planned_on_its_outer_end():
    generator = np.random.default_rng(11)
    for n in (25, 100):
        pilot = estimate_mean(generator.beta(1, 9, n))
        low, high = units_range(pilot, difference=0.02)
        assert low < high == units_needed(pilot, difference=0.02)
        # A pilot that keeps no units is taken at its word.
        bare = replace(pilot, values=(), unit_ids=())
        assert units_range(bare, difference=0.02) == (low, low)
    small, large = (estimate_mean(generator.beta(2, 5, n)) for n in (25, 400))
    ratios = [high / low for low, high in (units_range(one, difference=0.03) for one in (small, large))]
    assert ratios[0] > ratios[1] > 1


def test_a_share_is_planned_as_measured():
    pilot = estimate_mean([1.0] * 18 + [0.0] * 2)
    assert units_range(pilot, difference=0.1) == (units_needed(pilot, difference=0.1),) * 2
