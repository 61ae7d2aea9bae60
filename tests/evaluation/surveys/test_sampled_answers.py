"""Answers that were drawn and counted: what drawing does is taken out of a distance, and never decides unseen."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from pytest_pluralism.core.damage import refused_answer, with_shares
from pytest_pluralism.core.errors import InvalidParameterError, ModelError
from pytest_pluralism.core.estimation.of_scores import estimate_scores
from pytest_pluralism.core.health import health_problems, is_decisive
from pytest_pluralism.core.metrics import jensen_shannon_distance
from pytest_pluralism.core.records import (
    Answer,
    AnswerDistribution,
    Gate,
    Outcome,
    Question,
    Survey,
    sampled_answer,
)
from pytest_pluralism.core.verdict import decide
from pytest_pluralism.evaluation.asking.engine import Answers
from pytest_pluralism.evaluation.asking.rounds import drive
from pytest_pluralism.evaluation.surveys.answered import entropy_of, model_distributions
from pytest_pluralism.evaluation.surveys.asking import AskSettings, requests
from pytest_pluralism.evaluation.surveys.distance import DistributionalEvaluation
from pytest_pluralism.evaluation.surveys.entropy import AnswerEntropyEvaluation
from pytest_pluralism.models.answers.kinds import ANSWERS, decode, encode

ASKED = AskSettings(examples=0, repetitions=1, option_order="none")


def survey(n_questions: int, people: np.ndarray, n_respondents: float | None = None) -> Survey:
    options = ("Yes", "No", "Unsure", "Never")
    questions = tuple(Question(f"q{i}", f"Is it {i}?", options) for i in range(n_questions))
    rows = tuple(
        AnswerDistribution(f"q{i}", "people", tuple(map(float, people[i])), n_respondents) for i in range(n_questions)
    )
    return Survey("made up", questions, rows, "0" * 64)


def exact(shares: np.ndarray) -> Answer:
    return Answer(tuple(np.log(shares).tolist()), 1.0, "A", float(shares.max()))


def scored(asked: Survey, answers, evaluation=DistributionalEvaluation):
    return drive(evaluation(asked, ASKED, "people").rounds(), lambda one: answers)


def variance_of_errors(found, true) -> float:
    errors = [one.value - other.value for one, other in zip(found.units, true.units, strict=True)]
    return float(np.var(errors)) / len(errors)


def test_counts_are_probabilities_with_a_memory():
    answer = sampled_answer([3, 0, 1], n_drawn=5)
    assert [math.exp(value) for value in answer.log_probabilities] == pytest.approx([0.6, 0.0, 0.2])
    assert (answer.option_mass, answer.is_sampled, answer.n_drawn) == (0.8, True, 5.0)
    encoded = encode(ANSWERS, None, answer)
    assert encoded is not None
    assert decode(ANSWERS, encoded, None) == answer
    assert decode(ANSWERS, encoded.replace(b"[3.0,0.0,1.0]", b"[3.0]"), None) is None


@pytest.mark.parametrize(("counts", "drawn"), [((0, 0), 3), ((-1, 2), 3), ((2, 2), 3), ((math.nan, 1), 3), ((), 3)])
def test_impossible_counts_are_refused(counts, drawn):
    with pytest.raises(InvalidParameterError, match="sampled_answer must be"):
        sampled_answer(counts, n_drawn=drawn)


def test_the_engine_refuses_counts_of_other_labels():
    asked = requests(survey(1, np.full((1, 4), 0.25)), ASKED).prompts
    wrong = dataclasses.replace(sampled_answer([1, 1, 1, 1]), counts=(1.0, 1.0))

    class Model:
        def answer(self, prompts, *, progress=None):
            return [wrong for _ in prompts]

    with pytest.raises(ModelError, match="one for each label"):
        Answers().ask(Model(), asked, None, lambda pairs: None)


def test_draws_of_all_repetitions_count_the_same():
    people = np.full((1, 4), 0.25)
    asked = requests(survey(1, people), AskSettings(examples=0, repetitions=4, option_order="cyclic"))
    # Option 0 stands at the places 0, 3, 2, 1; the last repetition names no option.
    answers = [sampled_answer(one) for one in ([2, 0, 0, 0], [0, 0, 0, 2], [0, 0, 1, 0])]
    silent = Answer((-math.inf,) * 4, 0.0, "I", 1.0, counts=(0.0,) * 4, n_drawn=2.0)
    (found,) = model_distributions(asked, [*answers, silent]).values()
    assert found.probabilities == pytest.approx((1.0, 0.0, 0.0, 0.0))
    assert found.n_draws == 5.0
    with pytest.raises(ModelError, match="None of the draws for question 'q0'"):
        model_distributions(asked, [silent] * 4)
    with pytest.raises(ModelError, match="cannot be averaged"):
        model_distributions(asked, [*answers, exact(people[0])])


@pytest.mark.whole
def test_drawing_is_taken_out_of_the_distance_and_the_entropy():
    rng = np.random.default_rng(1)
    n = 400
    people, model = rng.dirichlet(np.full(4, 2.0), n), rng.dirichlet(np.full(4, 2.0), n)
    asked = survey(n, people)
    drawn = [sampled_answer(rng.multinomial(20, one)) for one in model]
    true = scored(asked, [exact(one) for one in model])
    found = scored(asked, drawn)
    truth, ours = (np.mean([unit.value for unit in one.units]) for one in (true, found))
    plain = np.mean(
        [jensen_shannon_distance(unit.model_probabilities, people[i]) for i, unit in enumerate(found.units)]
    )
    assert plain - truth > 0.015
    assert abs(ours - truth) < 0.006
    assert found.drawn is not None
    assert found.drawn.corrected
    assert found.drawn.variance == pytest.approx(variance_of_errors(found, true), rel=0.4)
    bits_true, bits = (scored(asked, one, AnswerEntropyEvaluation) for one in ([exact(o) for o in model], drawn))
    truth, ours = (np.mean([unit.value for unit in one.units]) for one in (bits_true, bits))
    assert abs(ours - truth) < 0.02
    plain = np.mean([entropy_of(np.array(unit.model_probabilities), math.inf) for unit in bits.units])
    assert truth - plain > 0.05
    assert bits.drawn.variance == pytest.approx(variance_of_errors(bits, bits_true), rel=0.5)


@pytest.mark.whole
def test_the_interval_holds_what_drawing_does():
    """95 % intervals of questions drawn at random, each answered by 12 draws, hold the mean distance of all."""
    rng = np.random.default_rng(7)
    shares, held, runs, n = rng.dirichlet(np.full(4, 3.0), (2000, 2)), 0, 60, 40
    truth = float(np.mean(jensen_shannon_distance(shares[:, 0], shares[:, 1])))
    for _ in range(runs):
        chosen = shares[rng.integers(len(shares), size=n)]
        found = scored(survey(n, chosen[:, 0]), [sampled_answer(rng.multinomial(12, one)) for one in chosen[:, 1]])
        estimate = estimate_scores(found)
        held += estimate.low <= truth <= estimate.high
    assert held >= 52


def test_one_draw_a_question_decides_nothing():
    rng = np.random.default_rng(3)
    people = rng.dirichlet(np.full(4, 2.0), 30)
    found = scored(survey(30, people), [sampled_answer(rng.multinomial(1, one)) for one in people])
    assert "at least 2" in found.doubt
    assert decide(Gate(at_most=0.99), estimate_scores(found)).outcome is not Outcome.PASSED


def test_a_value_alone_is_not_decided_within_the_error_of_drawing():
    rng = np.random.default_rng(4)
    people = rng.dirichlet(np.full(4, 2.0), 30)
    found = scored(survey(30, people), [sampled_answer(rng.multinomial(10, one)) for one in people[::-1]])
    estimate = estimate_scores(found, confidence_level=None)

    def names(**promise):
        return [name for name, _ in health_problems(Gate(**promise), found, estimate)]

    near = estimate.value + 0.5 * math.sqrt(found.drawn.variance)
    assert "sampled_answers" in names(at_most=near, confidence_level=None)
    assert "sampled_answers" not in names(at_most=near)
    assert "sampled_answers" not in names(at_most=0.95, confidence_level=None)
    assert "sampled_answers" in names(max_increase=0.001, confidence_level=None)
    assert is_decisive("sampled_answers", Gate(max_increase=0.001, confidence_level=None))
    unknown = dataclasses.replace(found, drawn=dataclasses.replace(found.drawn, variance=None))
    assert "sampled_answers" in [
        name for name, _ in health_problems(Gate(at_most=0.95, confidence_level=None), unknown, estimate)
    ]


def test_damaged_draws_stay_draws():
    answer = sampled_answer([6, 2], n_drawn=10)
    other = with_shares(answer, [0.5, 0.5])
    assert other.counts == (4.0, 4.0)
    assert [math.exp(one) for one in other.log_probabilities] == pytest.approx([0.4, 0.4])
    refused = refused_answer(answer)
    assert sum(refused.counts) / refused.n_drawn == pytest.approx(refused.option_mass)
