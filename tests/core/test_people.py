"""Distances to a population of which a sample was asked: corrected, and how sure that is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_pluralism.core import Gate, Outcome, decide
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import compare_paired, estimate_mean, estimate_scores, interval_at
from pytest_pluralism.core.estimation.people import correct_for_respondents
from pytest_pluralism.core.metrics import jensen_shannon_distance
from pytest_pluralism.core.records import Estimate, Scores, UnitScore


def drawn(rng: np.random.Generator, n: int, n_options: int, spread: float, even: float = 2.0) -> list[np.ndarray]:
    """Return populations, and models that are a few spreads away from them."""
    people = rng.dirichlet(np.full(n_options, even), n)
    model = np.exp(np.log(people + 1e-4) + rng.normal(0.0, spread, people.shape))
    return [people, model / model.sum(axis=1, keepdims=True)]


def mean_of_samples(rng: np.random.Generator, people: np.ndarray, model: np.ndarray, asked: int, runs: int) -> float:
    found = [correct_for_respondents(model, rng.multinomial(asked, people) / asked, asked) for _ in range(runs)]
    return float(np.mean([one.values.mean() for one in found]))


@pytest.mark.whole
@pytest.mark.parametrize("even", [2.0, 0.4], ids=["all options are common", "some are rare"])
@pytest.mark.parametrize("n_options", [2, 4, 7])
def test_a_hundred_people_tell_a_true_distance_from_06_on(n_options: int, even: float) -> None:
    rng = np.random.default_rng(5)
    truths, means = [], []
    for spread in (0.4, 0.8, 1.3, 2.5, 5.0):
        people, model = drawn(rng, 300, n_options, spread, even)
        truths.append(float(np.mean(jensen_shannon_distance(model, people))))
        means.append(mean_of_samples(rng, people, model, 100, 40))
    told = [(truth, mean) for truth, mean in zip(truths, means, strict=True) if truth >= 0.06]
    assert len(told) >= 3
    assert max(abs(mean - truth) for truth, mean in told) < 0.008
    # A distance between two true ones has a corrected one between theirs too, and not more than a tenth less of it.
    steps = np.diff(np.array(told), axis=0)
    assert (steps[:, 1] / steps[:, 0]).min() > 0.9


def test_a_model_that_answers_as_the_population_does_is_expected_at_the_floor() -> None:
    rng = np.random.default_rng(3)
    people, _ = drawn(rng, 400, 4, 0.0)
    sample = rng.multinomial(200, people) / 200
    found = correct_for_respondents(people, sample, 200)
    # Some of the options are rare, of which the theory of the floor knows nothing.
    assert found.values.mean() == pytest.approx(found.floors.mean(), rel=0.35)
    assert found.values.mean() < 0.5 * found.uncorrected.mean()
    assert ((found.values >= 0.0) & (found.values <= 1.0)).all()


@pytest.mark.whole
def test_the_standard_error_is_what_other_people_would_make_of_it() -> None:
    rng = np.random.default_rng(4)
    for spread in (0.3, 1.0):
        people, model = drawn(rng, 60, 4, spread)
        found = [correct_for_respondents(model, rng.multinomial(150, people) / 150, 150) for _ in range(200)]
        spreads = np.std([one.values for one in found], axis=0).mean()
        assert np.mean([one.standard_errors.mean() for one in found]) == pytest.approx(spreads, rel=0.15)


def test_two_samples_are_corrected_for_both() -> None:
    rng = np.random.default_rng(7)
    one, other = drawn(rng, 300, 4, 0.8)
    truth = np.mean(jensen_shannon_distance(one, other))
    left, right = (rng.multinomial(asked, people) / asked for asked, people in ((150, one), (100, other)))
    both = correct_for_respondents(left, right, 100, n_of_model=150)
    alone = correct_for_respondents(left, right, 100)
    assert both.values.mean() == pytest.approx(truth, abs=0.01)
    assert both.values.mean() < alone.values.mean() < both.uncorrected.mean()


def test_agreement_of_all_is_not_corrected() -> None:
    found = correct_for_respondents([[1.0, 0.0, 0.0]], [[1.0, 0.0, 0.0]], 50)
    assert found.values.tolist() == found.standard_errors.tolist() == found.floors.tolist() == [0.0]


def test_many_people_leave_the_distance_as_it_is() -> None:
    people, model = drawn(np.random.default_rng(1), 30, 5, 0.6)
    found = correct_for_respondents(model, people, 1e9)
    np.testing.assert_allclose(found.values, found.uncorrected, atol=1e-5)
    assert found.shared_variance < 1e-8
    np.testing.assert_allclose(found.uncorrected, jensen_shannon_distance(model, people), rtol=1e-12)


def test_other_bases_scale_everything() -> None:
    people, model = drawn(np.random.default_rng(1), 20, 3, 0.4)
    bits, nats = (correct_for_respondents(model, people, 80, base=base) for base in (2.0, math.e))
    for name in ("values", "uncorrected", "standard_errors", "floors"):
        np.testing.assert_allclose(getattr(nats, name), getattr(bits, name) * math.sqrt(math.log(2.0)), rtol=1e-9)


@pytest.mark.parametrize(
    ("asked", "words"), [(1, "more than 1"), ([5.0, 5.0], "one a question"), (math.nan, "n_respondents")]
)
def test_too_few_or_unknown_people_are_refused(asked: object, words: str) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        correct_for_respondents([[0.5, 0.5]], [[0.6, 0.4]], asked)  # type: ignore[arg-type]
    with pytest.raises(InvalidParameterError, match="of shape"):
        correct_for_respondents([[0.5, 0.5]], [[0.6, 0.3, 0.1]], 10)


# ------------------------------------------------------------------------------------------------- the same people


def shared(rng: np.random.Generator, n_questions: int, asked: int) -> tuple[float, Scores]:
    """Return the true distance and the scores where the same people answer all questions, from one trait of each."""
    loads, cuts = rng.uniform(0.5, 1.5, n_questions), np.sort(rng.normal(0.0, 1.0, (n_questions, 3)), axis=1)
    latent = rng.normal(size=(asked, 1)) * loads + rng.normal(size=(asked, n_questions))
    answers = (latent[:, :, None] > cuts).sum(axis=2)
    sample = np.stack([(answers == option).mean(axis=0) for option in range(4)], axis=1)
    spread = np.sqrt(1.0 + loads**2)[:, None]

    def shares(at: np.ndarray) -> np.ndarray:
        from scipy.special import ndtr

        ends = np.concatenate([np.zeros((n_questions, 1)), ndtr(at / spread), np.ones((n_questions, 1))], axis=1)
        return np.diff(ends, axis=1)

    people, model = shares(cuts), shares(cuts - 0.7 * loads[:, None])
    found = correct_for_respondents(model, sample, asked)
    units = tuple(UnitScore(f"q{i}", f"q{i}", value) for i, value in enumerate(found.values.tolist()))
    truth = float(np.mean(jensen_shannon_distance(model, people)))
    return truth, Scores("js_distance", units, people_variance=found.shared_variance)


@pytest.mark.parametrize("asked", [200, 1000])
def test_people_who_answer_every_question_are_one_sample(asked: int) -> None:
    rng = np.random.default_rng(2)
    held = 0
    drawn_scores = [shared(rng, 60, asked) for _ in range(100)]
    truth = float(np.mean([one for one, _ in drawn_scores]))
    for _, scores in drawn_scores:
        estimate = estimate_scores(scores)
        held += estimate.low <= truth <= estimate.high
    assert held >= 90


def test_the_people_are_told_where_they_decide() -> None:
    rng = np.random.default_rng(2)
    _, scores = shared(rng, 60, 100)
    estimate = estimate_scores(scores)
    verdict = decide(Gate(at_most=estimate.value + 0.02), estimate)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "too few people were asked" in verdict.reason
    assert verdict.units_needed is None
    # Beyond what many people leave open more questions would decide, and more of them than without the people.
    units = tuple(UnitScore(str(i), str(i), float(value)) for i, value in enumerate(rng.beta(4, 8, 20)))
    scores = Scores("js_distance", units, people_variance=1e-4)
    estimate, alone = estimate_scores(scores), estimate_mean([unit.value for unit in scores.units])
    gate = Gate(at_most=estimate.value + 0.7 * (alone.high - alone.value))
    more, fewer = (decide(gate, one).units_needed for one in (estimate, alone))
    assert more is not None
    assert fewer is not None
    assert more > fewer


def test_the_part_of_the_people_stays_when_the_level_changes() -> None:
    from pytest_pluralism.core.estimation import interval_at

    _, scores = shared(np.random.default_rng(2), 30, 100)
    wide, narrow = (estimate_scores(scores, confidence_level=level) for level in (0.99, 0.9))
    again = interval_at(narrow, 0.99)
    assert (again.low, again.high) == pytest.approx((wide.low, wide.high))
    assert again.how.people_variance == pytest.approx(scores.people_variance)
    assert type(again.how).from_json(again.how.as_json()) == again.how
    assert isinstance(again, Estimate)


def of_people(values: np.ndarray, people: str, shares: tuple[float, float]) -> Estimate:
    """Return the level of a model beside people whose sample leaves it open."""
    units = tuple(
        UnitScore(f"q{place}", f"q{place}", float(value), population=people, reference_probabilities=shares)
        for place, value in enumerate(values)
    )
    return estimate_scores(Scores("js_distance", units, people_variance=0.01**2))


def test_people_who_stand_beside_both_models_are_no_part_of_their_difference() -> None:
    rng = np.random.default_rng(0)
    one = rng.uniform(0.2, 0.4, 60)
    other = one + rng.normal(0.0, 0.004, 60)
    same = of_people(other, "North", (0.6, 0.4)) - of_people(one, "North", (0.6, 0.4))
    bare = compare_paired(other, one)
    assert (same.low, same.high) == pytest.approx((bare.low, bare.high))
    apart = of_people(other, "North", (0.6, 0.4)) - of_people(one, "South", (0.5, 0.5))
    assert apart.high - apart.low > 10 * (same.high - same.low)
    assert apart.extra_variance == pytest.approx(2 * 0.01**2)
    # The level keeps it, also at another confidence level.
    at_90 = [interval_at(of_people(values, "North", (0.6, 0.4)), 0.9) for values in (other, one)]
    assert at_90[0].extra_variance == pytest.approx(0.01**2)
    assert (at_90[0] - at_90[1]).extra_variance == 0.0
