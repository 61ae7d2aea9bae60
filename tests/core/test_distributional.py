"""The measures on distributions: against independent implementations, worked examples, and their properties."""

from __future__ import annotations

import doctest
import importlib
import itertools
import math
import pkgutil
import subprocess
import sys
import time

import hypothesis.extra.numpy as npst
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from scipy import optimize
from scipy.spatial import distance
from sklearn.metrics import accuracy_score, brier_score_loss

from pytest_pluralism.core import metrics
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.metrics import chance, distributional
from pytest_pluralism.core.metrics.calibration import brier_decomposition, brier_score, calibration_error
from pytest_pluralism.core.metrics.chance import option_order_bias, sampling_floor, shuffle_control
from pytest_pluralism.core.metrics.distributional import (
    entropy,
    entropy_ratio,
    jensen_shannon_distance,
    jensen_shannon_divergence,
    kullback_leibler_divergence,
    mode_agreement,
    opinion_alignment,
    total_variation_distance,
    wasserstein_distance,
)
from pytest_pluralism.core.metrics.fidelity import population_fidelity_score
from pytest_pluralism.core.metrics.tetrachoric import tetrachoric_correlation

PAIRS = [
    jensen_shannon_distance,
    jensen_shannon_divergence,
    kullback_leibler_divergence,
    total_variation_distance,
    wasserstein_distance,
    opinion_alignment,
    mode_agreement,
    entropy_ratio,
    brier_score,
]
PROMPT = settings(max_examples=80, deadline=None)


@st.composite
def distributions(draw: st.DrawFn, n: int = 2, n_options: int | None = None) -> list[np.ndarray]:
    """n distributions over the same options, with zero cells, near-equal pairs and tiny probabilities among them."""
    k = n_options or draw(st.integers(2, 6))
    cell = st.one_of(st.just(0.0), st.floats(0.0, 1.0), st.sampled_from([1e-300, 1e-12, 1e-6, 0.25, 1.0]))
    rows = []
    for _ in range(n):
        row = np.array(draw(st.lists(cell, min_size=k, max_size=k)))
        if row.sum() < 1e-250:
            row[draw(st.integers(0, k - 1))] = 1.0
        rows.append(row / row.sum())
    if draw(st.booleans()):
        near = rows[0] * (1.0 + 1e-9 * np.arange(k))
        rows[-1] = near / near.sum()
    return rows


# ------------------------------------------------------------------------------------------------------ Jensen-Shannon


class TestJensenShannon:
    @PROMPT
    @given(distributions())
    def test_agrees_with_scipy(self, rows):
        p, q = rows
        # SciPy halves the smallest positive number to 0, finds p > 0 = m, and returns infinity.
        normal = [np.where(row < 1e-305, 0.0, row) for row in rows]
        with np.errstate(invalid="ignore"):
            theirs = distance.jensenshannon(*normal, base=2.0)
        # SciPy's own rounding error is about 1e-16 in the divergence, so 1e-8 in its root.
        assert jensen_shannon_divergence(p, q) == pytest.approx(0.0 if math.isnan(theirs) else theirs**2, abs=1e-14)

    def test_near_equal_pairs_are_accurate_where_the_textbook_sum_is_noise(self):
        rng = np.random.default_rng(0)
        p = rng.dirichlet(np.ones(5), size=200)
        step = 1e-9 * rng.standard_normal(p.shape)
        step -= step.mean(axis=1, keepdims=True)
        q = p + step
        # To second order, the divergence is sum(step^2 / p) / 8 nats; p and q are both rescaled, so exact sums matter.
        p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
        expected = np.sqrt(((q - p) ** 2 / p).sum(axis=1) / 8.0 / math.log(2.0))
        np.testing.assert_allclose(jensen_shannon_distance(p, q), expected, rtol=1e-4)
        with np.errstate(invalid="ignore"):
            assert np.isnan(distance.jensenshannon(p, q, axis=1)).any()

    def test_renormalised_identical_pairs_never_vanish(self):
        # SciPy gives NaN for some percent of these; a perfect match then drops out of a nanmean.
        rng = np.random.default_rng(1)
        p = rng.dirichlet(np.ones(5), size=20_000)
        again = p * 3.7
        again /= again.sum(axis=1, keepdims=True)
        ours = jensen_shannon_distance(p, again)
        assert np.isfinite(ours).all()
        assert ours.max() < 1e-15

    @PROMPT
    @given(distributions(n=1))
    def test_equal_input_is_exactly_zero(self, rows):
        assert jensen_shannon_distance(rows[0], rows[0].copy()) == 0.0

    @PROMPT
    @given(distributions())
    def test_symmetric_and_within_range(self, rows):
        p, q = rows
        value = jensen_shannon_distance(p, q)
        assert isinstance(value, float)
        assert 0.0 <= value <= 1.0
        assert value == jensen_shannon_distance(q, p)
        assert jensen_shannon_distance(p, q, base=math.e) <= math.sqrt(math.log(2.0))

    @PROMPT
    @given(distributions(n=3))
    def test_triangle_inequality(self, rows):
        p, q, r = rows
        through = jensen_shannon_distance(p, r) + jensen_shannon_distance(r, q)
        assert jensen_shannon_distance(p, q) <= through + 1e-12

    @PROMPT
    @given(distributions(), st.randoms(use_true_random=False))
    def test_the_order_of_options_does_not_matter(self, rows, random):
        p, q = rows
        order = list(range(len(p)))
        random.shuffle(order)
        assert jensen_shannon_distance(p[order], q[order]) == pytest.approx(jensen_shannon_distance(p, q), abs=1e-12)

    @PROMPT
    @given(distributions(n_options=5))
    def test_merging_options_never_moves_apart(self, rows):
        p, q = (np.array([row[0] + row[1], *row[2:]]) for row in rows)
        for measure in (jensen_shannon_distance, kullback_leibler_divergence, total_variation_distance):
            assert measure(p, q) <= measure(*rows) + 1e-12

    def test_worked_example_of_a_certain_and_an_even_answer(self):
        # By hand: m = (3/4, 1/4); half of log2(4/3), plus half of (1/2 log2(2/3) + 1/2 log2(2)).
        by_hand = 0.5 * math.log2(4 / 3) + 0.5 * (0.5 * math.log2(2 / 3) + 0.5)
        assert jensen_shannon_divergence([1.0, 0.0], [0.5, 0.5]) == pytest.approx(by_hand, abs=1e-15)
        # SciPy's documentation gives this pair in nats.
        nats = jensen_shannon_distance([1.0, 0.0], [0.5, 0.5], base=math.e)
        assert nats == pytest.approx(0.46450140402245893, abs=1e-15)

    def test_maximum_in_base_e_is_the_square_root_of_ln_2(self):
        assert jensen_shannon_distance([1, 0], [0, 1], base=math.e) == pytest.approx(0.8325546, abs=1e-7)

    def test_a_thousand_pairs_equal_a_loop(self):
        rng = np.random.default_rng(2)
        p, q = rng.dirichlet(np.ones(4), size=(2, 30))
        loop = [jensen_shannon_distance(a, b) for a, b in zip(p, q, strict=True)]
        np.testing.assert_allclose(jensen_shannon_distance(p, q), loop, rtol=0, atol=1e-15)

    @pytest.mark.slow
    def test_a_million_pairs_take_less_than_a_second(self):
        rng = np.random.default_rng(3)
        p, q = rng.dirichlet(np.ones(5), size=(2, 1_000_000))
        times = []
        for _ in range(3):
            start = time.perf_counter()
            jensen_shannon_distance(p, q)
            times.append(time.perf_counter() - start)
        assert min(times) < 1.0


# ------------------------------------------------------------------------------------------------ the other distances


class TestOtherDistances:
    @PROMPT
    @given(distributions())
    def test_kullback_leibler_agrees_with_scipy(self, rows):
        p, q = rows
        ours = kullback_leibler_divergence(p, q)
        theirs = scipy.stats.entropy(p, q, base=2)
        assert ours >= 0.0
        assert ours == theirs or ours == pytest.approx(theirs, abs=1e-13, rel=1e-12)

    def test_kullback_leibler_is_infinite_where_q_never_answers(self):
        np.testing.assert_array_equal(
            kullback_leibler_divergence([[0.5, 0.5], [1.0, 0.0]], [1.0, 0.0]), np.array([np.inf, 0.0])
        )

    def test_kullback_leibler_worked_example(self):
        # Cover and Thomas, Elements of Information Theory (2nd ed.), Example 2.3.1 with r = 1/2, s = 1/4.
        p, q = [1 / 2, 1 / 2], [3 / 4, 1 / 4]
        assert kullback_leibler_divergence(p, q) == pytest.approx(0.2075, abs=5e-5)
        assert kullback_leibler_divergence(q, p) == pytest.approx(0.1887, abs=5e-5)

    @PROMPT
    @given(distributions())
    def test_total_variation_is_the_largest_difference_of_any_event(self, rows):
        p, q = rows
        events = itertools.product([False, True], repeat=len(p))
        largest = max(abs(p[list(event)].sum() - q[list(event)].sum()) for event in events)
        assert total_variation_distance(p, q) == pytest.approx(largest, abs=1e-12)

    @pytest.mark.whole
    @PROMPT
    @given(distributions(n_options=4), st.lists(st.floats(-10, 10), min_size=4, max_size=4))
    def test_wasserstein_agrees_with_scipy(self, rows, positions):
        p, q = rows
        theirs = scipy.stats.wasserstein_distance(positions, positions, p, q)
        assert wasserstein_distance(p, q, positions=positions) == pytest.approx(theirs, abs=1e-9)

    @settings(max_examples=20, deadline=None)
    @given(distributions(n_options=4))
    def test_wasserstein_is_the_cheapest_transport(self, rows):
        p, q = rows
        cost = np.abs(np.subtract.outer(np.arange(4), np.arange(4))).reshape(-1)
        leaves = np.kron(np.eye(4), np.ones(4))
        arrives = np.kron(np.ones(4), np.eye(4))
        plan = optimize.linprog(cost, A_eq=np.vstack([leaves, arrives]), b_eq=np.concatenate([p, q]))
        if plan.success:  # The two sums differ by rounding, which can make the programme infeasible.
            assert wasserstein_distance(p, q) == pytest.approx(plan.fun, abs=1e-6)

    def test_alignment_generalises_one_minus_wasserstein_over_n_minus_one(self):
        # OpinionQA (arXiv:2303.17548), section 3: 1 - WD / (N - 1) with options at 1..N.
        p, q = [0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]
        expected = 1 - scipy.stats.wasserstein_distance(range(1, 5), range(1, 5), p, q) / 3
        assert opinion_alignment(p, q) == pytest.approx(expected)
        assert opinion_alignment(p, q, positions=[10, 20, 30, 40]) == pytest.approx(expected)
        assert opinion_alignment([1, 0, 0], [0, 0, 1], positions=[-1, 5, 3]) == pytest.approx(1 - 4 / 6)

    def test_alignment_needs_a_scale(self):
        with pytest.raises(InvalidParameterError, match="'positions' parameter of opinion_alignment must be at least"):
            opinion_alignment([1, 0], [0, 1], positions=[2, 2])

    def test_mode_agreement_of_clear_modes_is_accuracy(self):
        rng = np.random.default_rng(4)
        p, q = rng.dirichlet(np.ones(4), size=(2, 200))
        expected = accuracy_score(q.argmax(axis=1), p.argmax(axis=1))
        for rule in ("share", "first", "any", "all"):
            assert np.mean(mode_agreement(p, q, ties=rule)) == pytest.approx(expected)

    def test_ties_follow_the_rule_that_is_named(self):
        p, q = [0.4, 0.4, 0.2], [0.2, 0.4, 0.4]
        values = {rule: mode_agreement(p, q, ties=rule) for rule in ("share", "first", "any", "all")}
        assert values == {"share": 0.25, "first": 0.0, "any": 1.0, "all": 0.0}
        with pytest.raises(InvalidParameterError, match="'ties' parameter of mode_agreement"):
            mode_agreement(p, q, ties="last")

    @pytest.mark.parametrize("measure", PAIRS, ids=lambda measure: measure.__name__)
    def test_leading_axes_broadcast_and_one_unit_is_a_float(self, measure):
        rng = np.random.default_rng(5)
        p, q = rng.dirichlet(np.ones(3), size=(6, 1)), rng.dirichlet(np.ones(3), size=4)
        values = measure(p, q)
        assert values.shape == (6, 4)
        assert values[5, 2] == pytest.approx(measure(p[5, 0], q[2]), abs=1e-15)
        assert isinstance(measure(p[0, 0], q[0]), float)

    @pytest.mark.parametrize("measure", PAIRS, ids=lambda measure: measure.__name__)
    def test_inputs_are_not_changed(self, measure):
        p, q = np.array([[0.2, 0.3, 0.5], [0.0, 0.0, 1.0]]), np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
        copies = p.copy(), q.copy()
        p.flags.writeable = q.flags.writeable = False
        measure(p, q)
        np.testing.assert_array_equal((p, q), copies)

    @pytest.mark.parametrize("measure", PAIRS, ids=lambda measure: measure.__name__)
    @pytest.mark.parametrize(
        ("p", "q", "says"),
        [
            ([0.5, 0.6], [0.5, 0.5], "sum to 1"),
            ([1.5, -0.5], [0.5, 0.5], "non-negative"),
            ([math.nan, 1.0], [0.5, 0.5], "finite everywhere"),
            ([1.0], [1.0], "at least two options"),
            ([], [], "non-empty"),
            ([0.5, 0.5], [0.2, 0.3, 0.5], "over as many options as 'p'"),
            ([[0.5, 0.5]] * 2, [[0.5, 0.5]] * 3, "broadcastable"),
        ],
    )
    def test_refuses_what_is_not_two_distributions(self, measure, p, q, says):
        with pytest.raises(InvalidParameterError, match=says) as caught:
            measure(p, q)
        assert f"of {measure.__name__} must be" in str(caught.value)

    @pytest.mark.parametrize("base", [1.0, 0.5, 0.0, -2.0, math.nan, math.inf, "2", True, None])
    def test_refuses_a_base_that_gives_no_logarithm(self, base):
        for measure in (jensen_shannon_distance, kullback_leibler_divergence):
            with pytest.raises(InvalidParameterError, match="'base' parameter of"):
                measure([0.5, 0.5], [0.5, 0.5], base=base)


# ------------------------------------------------------------------------------------------------------------ entropy


class TestEntropy:
    @PROMPT
    @given(distributions(n=1))
    def test_agrees_with_scipy_and_stays_in_range(self, rows):
        (p,) = rows
        value = entropy(p, base=math.e)
        assert value == pytest.approx(scipy.stats.entropy(p), abs=1e-14)
        assert 0.0 <= value <= math.log(len(p)) + 1e-12
        assert math.copysign(1.0, value) == 1.0

    def test_zero_cells_add_nothing(self):
        # Cover and Thomas (2nd ed.), Example 1.1.2: the entropy of eight horses is 2 bits.
        # Two more that never win change nothing.
        horses = [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 64, 1 / 64, 1 / 64, 1 / 64, 0, 0]
        assert entropy(horses) == 2.0

    def test_ratio_does_not_hide_zero_over_zero(self):
        certain, even = [1.0, 0.0], [0.5, 0.5]
        assert math.isnan(entropy_ratio(certain, [0.0, 1.0]))
        assert entropy_ratio(even, certain) == math.inf
        assert entropy_ratio(certain, even) == 0.0


# --------------------------------------------------------------------------------------- chance, sampling, and order


class TestReferences:
    def test_exact_shuffle_is_the_mean_over_permutations(self):
        p, q = np.array([0.6, 0.3, 0.1, 0.0]), np.array([0.1, 0.2, 0.3, 0.4])
        each = [distance.jensenshannon(p[list(order)], q, base=2) for order in itertools.permutations(range(4))]
        assert shuffle_control(p, q) == pytest.approx(np.mean(each), abs=1e-14)
        assert shuffle_control(p, q, measure=mode_agreement) == pytest.approx(0.25)

    def test_shuffle_of_seven_options_in_chunks_equals_one_piece(self, monkeypatch):
        rng = np.random.default_rng(6)
        p, q = rng.dirichlet(np.ones(6), size=(2, 3))
        whole = shuffle_control(p, q)
        monkeypatch.setattr(chance, "CHUNK", 100)
        np.testing.assert_allclose(shuffle_control(p, q), whole, rtol=1e-12)

    def test_drawn_permutations_come_near_the_exact_value_and_are_repeatable(self):
        rng = np.random.default_rng(7)
        p, q = rng.dirichlet(np.ones(5), size=(2, 4))
        exact = shuffle_control(p, q, method="exact")
        drawn = shuffle_control(p, q, method="monte_carlo", n_draws=4000, rng=np.random.default_rng(8))
        again = shuffle_control(p, q, method="monte_carlo", n_draws=4000, rng=np.random.default_rng(8))
        np.testing.assert_array_equal(drawn, again)
        np.testing.assert_allclose(drawn, exact, atol=4 * 0.5 / math.sqrt(4000))
        assert (drawn != exact).all()

    def test_many_options_are_drawn(self):
        p = np.eye(12)[0]
        # A certain answer meets the certain answer of the reference once in twelve.
        found = shuffle_control(p, p, n_draws=6000, rng=np.random.default_rng(9))
        assert found == pytest.approx(11 / 12, abs=4 * math.sqrt(11) / 12 / math.sqrt(6000))
        with pytest.raises(InvalidParameterError, match="'method' parameter of shuffle_control"):
            shuffle_control(p, p, method="exact")

    def test_shuffling_keeps_nothing_of_an_even_answer(self):
        q = [0.7, 0.2, 0.1]
        for how in ({}, {"method": "monte_carlo", "n_draws": 7, "rng": np.random.default_rng(0)}):
            found = shuffle_control([1 / 3] * 3, q, **how)
            assert found == pytest.approx(jensen_shannon_distance([1 / 3] * 3, q), abs=1e-15)

    @pytest.mark.parametrize("n", [200, 1000])
    @pytest.mark.parametrize("p", [[0.2] * 5, [0.4, 0.3, 0.2, 0.1, 0.0], [0.5, 0.5]])
    def test_floors_agree_with_simulated_surveys(self, p, n):
        simulated = sampling_floor(
            p, n_respondents=n, method="resampling", n_resamples=4000, rng=np.random.default_rng(10)
        )
        mean = sampling_floor(p, n_respondents=n, method="mean")
        assert simulated == pytest.approx(mean, rel=0.05)
        rng = np.random.default_rng(11)
        shares = rng.multinomial(n, p, size=4000) / n
        root_mean_square = math.sqrt(np.mean(jensen_shannon_divergence(shares, p)))
        assert sampling_floor(p, n_respondents=n) == pytest.approx(root_mean_square, rel=0.05)

    def test_floor_counts_only_options_that_are_answered(self):
        assert sampling_floor([0.5, 0.5, 0, 0, 0], n_respondents=100) == sampling_floor([0.5, 0.5], n_respondents=100)
        assert sampling_floor([1.0, 0.0], n_respondents=100) == 0.0
        assert sampling_floor([1.0, 0.0], n_respondents=100, method="mean") == 0.0

    def test_floor_is_the_stated_formula_in_any_base(self):
        for base in (2.0, math.e, 10.0):
            expected = math.sqrt(4 / (8 * 1000 * math.log(base)))
            assert sampling_floor([0.2] * 5, n_respondents=1000, base=base) == pytest.approx(expected)
        floors = sampling_floor([[0.2] * 5, [0.4, 0.3, 0.2, 0.1, 0.0]], n_respondents=[200, 1e9])
        assert floors.shape == (2,)
        assert floors[1] < 1e-4
        assert sampling_floor([0.5, 0.5], n_respondents=1e-9) == 1.0

    def test_resampling_needs_a_generator(self):
        with pytest.raises(InvalidParameterError, match="'rng' parameter of sampling_floor"):
            sampling_floor([0.5, 0.5], n_respondents=10, method="resampling")
        with pytest.raises(InvalidParameterError, match="'n_respondents' parameter of sampling_floor"):
            sampling_floor([0.5, 0.5], n_respondents=0)
        with pytest.raises(InvalidParameterError, match="'n_respondents' parameter of sampling_floor"):
            sampling_floor([[0.5, 0.5]] * 2, n_respondents=[1, 2, 3])
        with pytest.raises(InvalidParameterError, match="'rng' parameter of shuffle_control"):
            shuffle_control([0.5, 0.5], [0.5, 0.5], method="monte_carlo", rng="0")

    def test_order_bias_of_always_the_first_place_is_the_maximum(self):
        # Under cyclic orders of K options, the first place holds each option once.
        assert option_order_bias(np.eye(4)) == pytest.approx(1 - 1 / 4)
        assert option_order_bias(np.tile([0.1, 0.9], (3, 4, 1))).tolist() == [0.0, 0.0, 0.0]
        with pytest.raises(InvalidParameterError, match="at least two orders"):
            option_order_bias([[0.5, 0.5]])

    @PROMPT
    @given(distributions(n=4))
    def test_order_bias_is_a_mean_of_total_variations(self, rows):
        mean = np.mean(rows, axis=0)
        expected = np.mean([0.5 * np.abs(row - mean).sum() for row in rows])
        value = option_order_bias(np.array(rows))
        assert value == pytest.approx(expected, abs=1e-12)
        assert 0.0 <= value <= 1 - 1 / 4 + 1e-12


# -------------------------------------------------------------------------------------------------- Brier, calibration


class TestBrier:
    def test_agrees_with_scikit_learn_on_single_answers(self):
        rng = np.random.default_rng(12)
        p = rng.dirichlet(np.ones(4), size=300)
        answers = rng.integers(4, size=300)
        theirs = brier_score_loss(answers, p, labels=[0, 1, 2, 3], scale_by_half=False)
        assert np.mean(brier_score(p, np.eye(4)[answers])) == pytest.approx(theirs, abs=1e-12)

    @PROMPT
    @given(distributions())
    def test_soft_targets_are_expected_answers_and_the_parts_add_up(self, rows):
        p, q = rows
        expected = sum(q[i] * ((p - np.eye(len(p))[i]) ** 2).sum() for i in range(len(p)))
        parts = brier_decomposition(p, q)
        assert brier_score(p, q) == pytest.approx(expected, abs=1e-12)
        assert parts.score == pytest.approx(parts.excess + parts.irreducible, abs=1e-15)
        assert parts.score == brier_score(p, q)
        # Proper: nothing beats the truth.
        assert parts.score >= brier_score(q, q) - 1e-12

    def test_worked_example_of_rain(self):
        # Brier (1950), section 2: two classes, certain and wrong every time scores 2, certain and right scores 0.
        assert brier_score([1.0, 0.0], [0.0, 1.0]) == 2.0
        assert brier_score([1.0, 0.0], [1.0, 0.0]) == 0.0

    def test_calibration_error_equals_a_loop_over_bins(self):
        rng = np.random.default_rng(13)
        p, q = rng.dirichlet(np.ones(3), size=(2, 100))
        stated, actual = p.ravel(), q.ravel()
        expected = 0.0
        for low in range(10):
            inside = (stated >= low / 10) & (stated < (low + 1) / 10)
            if inside.any():
                expected += inside.mean() * abs(stated[inside].mean() - actual[inside].mean())
        assert calibration_error(p, q) == pytest.approx(expected, abs=1e-12)
        assert calibration_error(p, p) == 0.0
        assert calibration_error([[1.0, 0.0]], [[0.0, 1.0]]) == 1.0
        with pytest.raises(InvalidParameterError, match="'n_bins' parameter of calibration_error"):
            calibration_error(p, q, n_bins=0)


# -------------------------------------------------------------------------------------------------------- tetrachoric


def log_likelihood(parameters: np.ndarray, table: np.ndarray) -> float:
    """The likelihood of a table under the latent normal model, through SciPy's own bivariate normal."""
    h, k, rho = parameters
    cov, exact = [[1, rho], [rho, 1]], {"maxpts": 2_000_000, "abseps": 1e-12, "releps": 1e-12}
    both = scipy.stats.multivariate_normal.cdf([h, k], cov=cov, **exact)
    row, column = scipy.stats.norm.cdf([h, k])
    cells = np.array([[both, row - both], [column - both, 1 - row - column + both]])
    return float((table * np.log(cells)).sum())


class TestTetrachoric:
    def test_median_dichotomies_have_a_closed_form(self):
        # Sheppard (1899): with both thresholds at the median, the share of (below, below) is 1/4 + asin(rho) / (2 pi).
        for rho in (-0.9, -0.3, 0.0, 0.5, 0.99):
            share = 0.25 + math.asin(rho) / (2 * math.pi)
            found = tetrachoric_correlation([[share, 0.5 - share], [0.5 - share, share]])
            assert found.correlation == pytest.approx(rho, abs=1e-9)
            assert found.row_threshold == pytest.approx(0.0, abs=1e-12)

    @pytest.mark.parametrize("table", [[[40, 10], [20, 30]], [[5, 20], [30, 8]], [[100, 3], [15, 12]]])
    def test_is_the_maximum_of_the_likelihood_with_its_curvature(self, table):
        table = np.array(table, dtype=float)
        found = tetrachoric_correlation(table)
        best = np.array([found.row_threshold, found.column_threshold, found.correlation])
        step = 1e-3
        hessian = np.empty((3, 3))
        eye = np.eye(3) * step
        for i, j in itertools.product(range(3), repeat=2):
            corners = [
                sign * other * log_likelihood(best + sign * eye[i] + other * eye[j], table)
                for sign in (1, -1)
                for other in (1, -1)
            ]
            hessian[i, j] = sum(corners) / (4 * step**2)
        top = log_likelihood(best, table)
        for direction in (*eye, *-eye):
            assert log_likelihood(best + direction, table) < top
        assert found.standard_error == pytest.approx(math.sqrt(np.linalg.inv(-hessian)[2, 2]), rel=1e-3)

    def test_recovers_the_correlation_of_latent_normals(self):
        rng = np.random.default_rng(14)
        latent = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=40_000)
        above = latent > [0.3, -0.8]
        table = [[np.sum((above[:, 0] == a) & (above[:, 1] == b)) for b in (False, True)] for a in (False, True)]
        found = tetrachoric_correlation(table)
        assert abs(found.correlation - 0.6) < 4 * found.standard_error
        assert found.standard_error < 0.02

    @settings(max_examples=50, deadline=None)
    @given(npst.arrays(np.int64, (2, 2), elements=st.integers(1, 500)))
    def test_swapping_answers_changes_the_sign_and_transposing_nothing(self, table):
        found = tetrachoric_correlation(table)
        swapped, turned = tetrachoric_correlation(table[:, ::-1]), tetrachoric_correlation(table.T)
        assert -1.0 <= found.correlation <= 1.0
        assert swapped.correlation == pytest.approx(-found.correlation, abs=1e-7)
        assert turned.correlation == pytest.approx(found.correlation, abs=1e-7)
        if not found.degenerate:
            assert swapped.standard_error == pytest.approx(found.standard_error, rel=1e-4)
            assert np.sign(found.correlation) == np.sign(table[0, 0] * table[1, 1] - table[0, 1] * table[1, 0]) or (
                abs(found.correlation) < 1e-8
            )

    @pytest.mark.parametrize(
        ("table", "correlation", "why"),
        [
            ([[10, 0], [0, 10]], 1.0, "boundary"),
            ([[10, 0], [5, 10]], 1.0, "boundary"),
            ([[0, 10], [10, 0]], -1.0, "boundary"),
            ([[0, 10], [10, 3]], -1.0, "boundary"),
            ([[10, 5], [0, 0]], math.nan, "constant"),
            ([[10, 0], [5, 0]], math.nan, "constant"),
            ([[10, 0], [0, 0]], math.nan, "constant"),
        ],
    )
    def test_degenerate_tables_follow_the_rules(self, table, correlation, why):
        found = tetrachoric_correlation(table)
        assert found.correlation == pytest.approx(correlation, nan_ok=True)
        assert math.isnan(found.standard_error)
        assert found.degenerate == why

    @pytest.mark.parametrize(
        "table", [[[1, 2, 3], [4, 5, 6]], [[-1, 2], [3, 4]], [[0, 0], [0, 0]], [[math.nan, 1], [1, 1]]]
    )
    def test_refuses_what_is_no_table(self, table):
        with pytest.raises(InvalidParameterError, match="'table' parameter of tetrachoric_correlation"):
            tetrachoric_correlation(table)


# -------------------------------------------------------------------------------------------------- population fidelity


class TestPopulationFidelity:
    @staticmethod
    def by_hand(model, survey):
        """The three parts with SciPy alone, one pair at a time."""

        def away(p, q):
            return scipy.stats.wasserstein_distance(range(len(p)), range(len(p)), p, q) / (len(p) - 1)

        groups = range(len(survey[0]))
        accuracy = 1 - np.mean([away(m[g], s[g]) for m, s in zip(model, survey, strict=True) for g in groups])
        pairs = list(itertools.combinations(groups, 2))
        between = [[np.mean([away(x[a], x[b]) for x in source]) for a, b in pairs] for source in (model, survey)]
        ratio = np.median(between[0]) / np.median(between[1])
        structure = max(0.0, scipy.stats.spearmanr(*between).statistic)
        return accuracy, min(ratio, 1 / ratio), structure

    def test_agrees_with_one_pair_at_a_time_on_ragged_questions(self):
        rng = np.random.default_rng(15)
        survey = [rng.dirichlet(np.ones(k), size=6) for k in (2, 5, 4, 3, 5)]
        model = [0.6 * one + 0.4 * rng.dirichlet(np.ones(one.shape[1]), size=6) for one in survey]
        found = population_fidelity_score(model, survey)
        parts = self.by_hand(model, survey)
        assert (found.accuracy, found.adaptability, found.structure) == pytest.approx(parts, abs=1e-12)
        assert found.score == pytest.approx(scipy.stats.gmean(parts))
        assert (found.n_groups, found.n_questions) == (6, 5)

    def test_the_survey_itself_is_perfect(self):
        survey = np.random.default_rng(16).dirichlet(np.ones(4), size=(7, 5))
        assert population_fidelity_score(survey, survey).score == pytest.approx(1.0)

    def test_a_model_that_answers_alike_for_all_groups_cannot_pass(self):
        survey = np.random.default_rng(17).dirichlet(np.ones(4), size=(7, 5))
        alike = np.broadcast_to(survey.mean(axis=1, keepdims=True), survey.shape)
        found = population_fidelity_score(alike, survey)
        assert found.adaptability == pytest.approx(0.0, abs=1e-12)
        assert not found.score > 1e-4

    def test_reversed_structure_scores_zero(self):
        survey = [[[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]]
        model = [[[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]]]
        found = population_fidelity_score(model, survey)
        assert found.structure == 0.0
        assert found.score == 0.0

    def test_no_differences_at_all_is_undefined(self):
        same = [[[0.5, 0.5]] * 3]
        assert math.isnan(population_fidelity_score(same, same).score)

    def test_refuses_two_groups_and_unlike_questions(self):
        with pytest.raises(InvalidParameterError, match="at least three groups"):
            population_fidelity_score([np.eye(2)], [np.eye(2)])
        with pytest.raises(InvalidParameterError, match="'model' parameter of population_fidelity_score"):
            population_fidelity_score([np.eye(3)], [np.eye(3), np.eye(3)])
        with pytest.raises(InvalidParameterError, match="of the survey's shape"):
            population_fidelity_score([np.eye(4)], [np.eye(3)])


# ----------------------------------------------------------------------------------------------------------- the house


def test_examples_of_the_documentation_are_true():
    homes = [
        importlib.import_module(f"{metrics.__name__}.{one.name}") for one in pkgutil.iter_modules(metrics.__path__)
    ]
    found = [doctest.testmod(home) for home in homes]
    assert sum(one.attempted for one in found) > 80
    assert sum(one.failed for one in found) == 0


def test_every_name_of_the_contract_is_importable_from_one_place():
    contract = {
        "jensen_shannon_distance",
        "kullback_leibler_divergence",
        "total_variation_distance",
        "wasserstein_distance",
        "entropy",
        "mode_agreement",
        "tetrachoric_correlation",
        "coverage",
        "window_precision_recall_f1",
        "overton_score",
        "welfare",
        "satisfied_share",
        "maximal_lottery",
        "pareto_front",
        "is_pareto_improvement",
        "hypervolume",
        "trade_off_regret",
        "classification_scores",
    }
    assert contract <= set(metrics.__all__)
    for name in metrics.__all__:
        assert getattr(metrics, name).__module__.startswith("pytest_pluralism.core.metrics."), name
    with pytest.raises(AttributeError, match="attribute jensen_distance"):
        _ = metrics.jensen_distance


def test_the_roof_lists_every_public_name_of_its_files():
    homes = [module.name for module in pkgutil.iter_modules(metrics.__path__)]
    assert {"distributional", "jury", "multi_objective", "overton", "steerable"} <= set(homes)
    public = [name for home in homes for name in importlib.import_module(f"{metrics.__name__}.{home}").__all__]
    assert sorted(public) == sorted(metrics.__all__)


@pytest.mark.whole
def test_one_measure_does_not_import_the_others():
    code = (
        "import sys; from pytest_pluralism.core.metrics import entropy; "
        "print(*(name for name in sys.modules if name.startswith('pytest_pluralism.core.metrics.')))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["pytest_pluralism.core.metrics.distributional"]


# -------------------------------------------------------------------------- what only a fault would show: small corners


def test_draws_in_chunks_equal_draws_in_one_piece(monkeypatch):
    rng = np.random.default_rng(31)
    p, q = rng.dirichlet(np.ones(5), size=2)

    def drawn():
        shuffled = shuffle_control(p, q, method="monte_carlo", n_draws=50, rng=np.random.default_rng(1))
        sampled = sampling_floor(
            [p, q], n_respondents=20, method="resampling", n_resamples=50, rng=np.random.default_rng(2)
        )
        return np.array([shuffled, *sampled])

    whole = drawn()
    monkeypatch.setattr(chance, "CHUNK", 33)
    np.testing.assert_allclose(drawn(), whole, rtol=1e-12)


@pytest.mark.parametrize("n_draws", [True, np.True_, 2.5, 0, -1, "9"])
def test_a_number_of_draws_is_a_positive_integer(n_draws):
    with pytest.raises(InvalidParameterError, match="'n_draws' parameter of shuffle_control"):
        shuffle_control([0.5, 0.5], [0.2, 0.8], method="monte_carlo", n_draws=n_draws, rng=np.random.default_rng(0))


def test_order_bias_of_many_questions_is_that_of_each():
    by_order = np.random.default_rng(32).dirichlet(np.ones(5), size=(4, 3))
    alone = [option_order_bias(question) for question in by_order]
    np.testing.assert_allclose(option_order_bias(by_order), alone, rtol=1e-12)


def test_calibration_error_with_bins_that_nobody_states():
    # 0.2 and 0.3 and 0.5 fall into the lower six of ten bins.
    assert calibration_error([0.2, 0.3, 0.5], [0.4, 0.3, 0.3]) == pytest.approx((0.2 + 0.0 + 0.2) / 3)


def test_a_tetrachoric_correlation_carries_its_thresholds_and_its_size():
    found = tetrachoric_correlation([[20, 10], [15, 5]])
    assert found.row_threshold == pytest.approx(scipy.stats.norm.ppf(30 / 50))
    assert found.column_threshold == pytest.approx(scipy.stats.norm.ppf(35 / 50))
    assert (found.n, found.degenerate) == (50, "")
    constant = tetrachoric_correlation([[0, 0], [3, 7]])
    assert (constant.row_threshold, constant.n, constant.degenerate) == (-math.inf, 10, "constant")
    assert constant.column_threshold == pytest.approx(scipy.stats.norm.ppf(0.3))
    empty = tetrachoric_correlation([[4, 0], [1, 5]])
    assert (empty.correlation, empty.n, empty.degenerate) == (1.0, 10, "boundary")
    assert empty.row_threshold == pytest.approx(scipy.stats.norm.ppf(0.4))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_tetrachoric_correlation_beside_the_boundary(sign):
    # For equal margins rho = -cos(2 pi a), so that a share of 1e-11 beside the diagonal is a correlation of 1 - 2e-21.
    share = 1e-11
    table = np.array([[0.5 - share, share], [share, 0.5 - share]])[:, :: int(sign)]
    found = tetrachoric_correlation(table)
    assert (found.correlation, found.degenerate) == (sign, "boundary")
    assert math.isnan(found.standard_error)
    assert (found.row_threshold, found.column_threshold) == (pytest.approx(0.0), pytest.approx(0.0))
    assert found.n == pytest.approx(1.0)


def test_blocks_broadcast_as_one_piece_does(monkeypatch):
    rng = np.random.default_rng(33)
    one, many = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(4), size=(7, 3))
    whole = jensen_shannon_distance(one, many)
    monkeypatch.setattr(distributional, "BLOCK", 8)
    np.testing.assert_allclose(jensen_shannon_distance(one, many), whole, rtol=1e-12)
    np.testing.assert_allclose(jensen_shannon_distance(many, one), whole, rtol=1e-12)


def test_population_fidelity_does_not_depend_on_where_the_scale_begins():
    rng = np.random.default_rng(34)
    model, survey = rng.dirichlet(np.ones(4), size=(2, 3, 5))
    scores = [
        population_fidelity_score(list(model), list(survey), positions=[[s, s + 1, s + 2, s + 3]] * 3)
        for s in (0, 1, -9)
    ]
    for other in scores[1:]:
        assert (other.accuracy, other.score) == pytest.approx((scores[0].accuracy, scores[0].score))


def test_population_fidelity_takes_the_places_of_options():
    model = [[[0.9, 0.1, 0.0], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6]]]
    survey = [[[0.5, 0.5, 0.0], [0.1, 0.3, 0.6], [0.2, 0.2, 0.6]]]
    even = population_fidelity_score(model, survey)
    same = population_fidelity_score(model, survey, positions=[[1.0, 2.0, 3.0]])
    near = population_fidelity_score(model, survey, positions=[[0.0, 0.1, 1.0]])
    assert same.accuracy == pytest.approx(even.accuracy)
    # Hand-made: .4 of a step of half the scale, and .2 of the same; then of a tenth, and of nine tenths.
    assert even.accuracy == pytest.approx(1 - (0.4 * 0.5 + 0.2 * 0.5 + 0.0) / 3)
    assert near.accuracy == pytest.approx(1 - (0.4 * 0.1 + 0.2 * 0.9 + 0.0) / 3)
