"""Effective numbers of respondents against the sums of the textbook, one respondent at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation.design import SampleDesign, design_effective_size
from pytest_pluralism.core.estimation.survey import effective_sample_size


def variance_by_hand(answers, weights, strata, clusters, option):
    """Return the linearised variance of one share, summed over units in plain Python."""
    total = math.fsum(w for a, w in zip(answers, weights, strict=True) if a >= 0)
    share = math.fsum(w for a, w in zip(answers, weights, strict=True) if a == option) / total
    units = {}
    for place, (a, w, stratum) in enumerate(zip(answers, weights, strata, strict=True)):
        unit = place if clusters is None else clusters[place]
        score = 0.0 if a < 0 else w * ((a == option) - share) / total
        units.setdefault(stratum, {}).setdefault(unit, []).append(score)
    variance = 0.0
    for drawn in units.values():
        totals = [math.fsum(scores) for scores in drawn.values()]
        m = len(totals)
        if m == 1:
            variance += totals[0] ** 2
            continue
        mean = math.fsum(totals) / m
        variance += m / (m - 1) * math.fsum((one - mean) ** 2 for one in totals)
    return share, variance


def sample(seed: int, *, clustered: bool):
    rng = np.random.default_rng(seed)
    n = 240
    strata = rng.integers(0, 5, n)
    # Each cluster lies in one stratum; the last stratum has one alone.
    clusters = strata * 10 + np.where(strata == 4, 0, rng.integers(0, 6, n))
    answers = rng.integers(-1, 4, n)
    return answers, rng.gamma(2.0, size=n), strata, clusters if clustered else None


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_design_is_that_of_the_textbook(seed: int, *, clustered: bool) -> None:
    answers, weights, strata, clusters = sample(seed, clustered=clustered)
    numbered = None if clusters is None else np.unique(clusters, return_inverse=True)[1]
    found = design_effective_size(answers, weights, SampleDesign(strata, numbered), n_options=4)
    by_hand = [variance_by_hand(answers, weights, strata, clusters, option) for option in range(4)]
    expected = sum(share * (1 - share) for share, _ in by_hand) / sum(variance for _, variance in by_hand)
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_domain_counts_the_units_that_it_does_not_reach() -> None:
    # Units without a member of the group belong to the design: their scores are 0.
    answers = np.array([0, 1, 0, 1, -1, -1, -1, -1])
    clusters = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    whole = design_effective_size(answers, np.ones(8), SampleDesign(np.zeros(8, dtype=int), clusters), n_options=2)
    # The scores of all clusters are 0, so that the spread of answers is all there is.
    assert whole == pytest.approx(4.0)


def test_equal_weights_of_a_simple_sample() -> None:
    answers = np.array([0, 1] * 50)
    design = SampleDesign(np.zeros(100, dtype=int))
    # m / (m - 1) of the variance between units.
    assert design_effective_size(answers, np.ones(100), design, n_options=2) == pytest.approx(99.0)


def test_one_answer_alone_falls_back_to_kish() -> None:
    design = SampleDesign(np.zeros(3, dtype=int))
    weights = [1.0, 1.0, 2.0]
    assert design_effective_size([1, 1, 1], weights, design, n_options=2) == effective_sample_size(weights)


def test_nobody_answered() -> None:
    with pytest.raises(InvalidParameterError, match="answers with a positive weight"):
        design_effective_size([-1, -1], [1.0, 1.0], SampleDesign(np.zeros(2, dtype=int)), n_options=2)


@pytest.mark.parametrize(
    ("clustered", "in_domain", "expected"),
    [(True, True, 18.912606546006344), (True, False, 34.40744886208455), (False, False, 30.70143878275188)],
)
def test_figures_of_another_package(*, clustered: bool, in_domain: bool, expected: float) -> None:
    """The shares and standard errors of samplics 0.6.1 (TaylorEstimator) on the same 36 respondents."""
    places = range(36)
    strata = np.array([i % 3 for i in places])
    clusters = np.array([i % 3 * 4 + (i // 3) % 4 for i in places]) if clustered else None
    answers = np.array([-1 if in_domain and i * 5 % 7 >= 4 else (i * i + i // 5) % 3 for i in places])
    weights = [1 + (i * 7 % 11) / 4 for i in places]
    found = design_effective_size(answers, weights, SampleDesign(strata, clusters), n_options=3)
    assert found == pytest.approx(expected, rel=1e-12)
