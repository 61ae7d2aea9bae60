"""Steering is measured as it is: respondents whose answers are known are put through the whole evaluation."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.estimation.of_scores import estimate_scores
from pytest_pluralism.core.metrics import (
    classification_scores,
    entropy,
    jensen_shannon_distance,
    steered_distance_matrix,
    wasserstein_distance,
)
from pytest_pluralism.core.records import Answer, Gate, Outcome
from pytest_pluralism.core.verdict import decide
from pytest_pluralism.datasets.steering.file import load_steering, steering_of_survey
from pytest_pluralism.datasets.steering.words import PLACEBOS, UNRELATED
from pytest_pluralism.datasets.surveys.loading import load_survey
from pytest_pluralism.evaluation.steering.choices import SteerableEvaluation, SteeringSettings
from pytest_pluralism.evaluation.surveys.asking import AskSettings

ASKING = AskSettings(examples=0, repetitions=1, option_order="none")
PARTIES = ("Democrat", "Independent", "Republican")


@pytest.fixture(scope="module")
def gss():
    return steering_of_survey(load_survey("gss"))


def respond(steering, answer_as, /):
    """Return a respondent that is told who is meant and answers with the probabilities that it is given for them.

    ``answer_as(side, question)`` gets the name of the attribute that the prompt names, or "" for none.
    """
    who = {one.who: one.name for one in (*steering.attributes, *PLACEBOS)}
    questions = {question.text: question for question in (*steering.survey.questions, *UNRELATED)}

    def answer(prompt):
        side = next((who[words] for words in sorted(who, key=len, reverse=True) if words in prompt.question), "")
        question = next(question for text, question in questions.items() if text in prompt.question)
        shown = [line[3:] for line in prompt.question.split("\n") if line[1:3] == ". "]
        assert set(shown) == set(question.options)
        by_option = dict(zip(question.options, answer_as(side, question), strict=True))
        logs = tuple(math.log(max(by_option[option], 1e-12)) for option in shown)
        return Answer(logs, 1.0, "A", 0.5)

    return answer


def run(steering, answer_as, attribute=None, asking=ASKING, **settings):
    evaluation = SteerableEvaluation(steering, asking, SteeringSettings(**settings), attribute)
    rounds = evaluation.rounds()
    asked = next(rounds)
    assert asked.work == "answers"
    answer = respond(steering, answer_as)
    with pytest.raises(StopIteration) as stop:
        rounds.send([answer(prompt) for prompt in asked.requests])
    return stop.value.value


def _table(survey, population):
    return {row.question_id: row.probabilities for row in survey.distributions if row.population == population}


def people(steering, population):
    return _table(steering.survey, population)


def even(question):
    return [1 / len(question.options)] * len(question.options)


def perfect(steering, _made={}):  # noqa: B006
    key = steering.sha256
    if key not in _made:
        _made[key] = _perfect(steering)
    return _made[key]


def _perfect(steering):
    tables = {name: people(steering, name) for name in (*steering.names, "US adults")}

    def answer_as(side, question):
        return tables.get(side, tables["US adults"]).get(question.question_id, even(question))

    return answer_as


# -------------------------------------------------------------------------------------------------- what is measured


def test_a_model_that_answers_as_each_group_does_is_perfectly_faithful(gss):
    scores = run(gss, perfect(gss), "Democrat")
    assert [unit.value for unit in scores.units] == pytest.approx([1.0] * 25, abs=1e-6)
    details = scores.details
    assert details["gain"]["value"] > 0
    (table,) = details["confusion"]
    assert table["attributes"] == list(PARTIES)
    assert table["diagonal_dominance"] == 1.0
    (pair,) = details["opposite"]
    assert pair["contrast"] == pytest.approx(1.0, abs=1e-6)
    assert pair["moves"] > 0 > pair["opposite_moves"]
    assert details["movement"]["progress"] == pytest.approx(1.0, abs=1e-6)
    assert details["movement"]["placebo"] == pytest.approx(0.0, abs=1e-6)
    assert details["movement"]["unrelated"] == pytest.approx(0.0, abs=1e-6)
    assert details["flattening"]["ratio"] == pytest.approx(1.0, abs=1e-6)
    assert scores.warnings == ()
    assert scores.references["unsteered"] == pytest.approx(scores.references["whole_population"], abs=1e-6)
    assert scores.other_populations["Republican"] < 1.0


def test_each_score_is_that_of_the_core(gss):
    def answer_as(side, question):
        # Another answer for every question, so that nothing agrees by accident.
        weights = np.arange(1, len(question.options) + 1) + len(question.text) % 5 + len(side) % 3
        return list(weights / weights.sum())

    democrats = people(gss, "Democrat")
    for score in ("js", "wasserstein", "mode", "probability"):
        scores = run(gss, answer_as, "Democrat", score=score)
        for unit in scores.units:
            question = next(q for q in gss.survey.questions if q.question_id == unit.unit_id)
            ours, theirs = np.array(answer_as("Democrat", question)), np.array(democrats[unit.unit_id])
            expected = {
                "js": 1 - jensen_shannon_distance(ours, theirs),
                "wasserstein": 1 - wasserstein_distance(ours, theirs) / (len(ours) - 1),
                "mode": float(ours.argmax() == theirs.argmax()),
                "probability": float(ours @ theirs),
            }[score]
            assert unit.value == pytest.approx(expected, abs=1e-9)
            assert unit.details["steered"] == unit.value


def test_over_the_unsteered_model_units_are_paired_differences(gss):
    plain = run(gss, perfect(gss), "Republican")
    gain = run(gss, perfect(gss), "Republican", over="unsteered")
    for unit, whole in zip(gain.units, plain.units, strict=True):
        assert unit.value == pytest.approx(whole.value - whole.details["unsteered"], abs=1e-12)
    assert gain.references["steered"] == pytest.approx(np.mean([unit.value for unit in plain.units]))
    assert plain.details["gain"]["value"] == pytest.approx(np.mean([unit.value for unit in gain.units]))
    other = run(gss, perfect(gss), "Republican", over="Democrat")
    assert np.mean([unit.value for unit in other.units]) == pytest.approx(1 - plain.other_populations["Democrat"])
    placebo = run(gss, perfect(gss), "Republican", over="placebo")
    assert np.mean([unit.value for unit in placebo.units]) == pytest.approx(plain.details["gain"]["value"], abs=1e-6)


@pytest.mark.whole
def test_without_an_attribute_all_are_measured_and_the_worst_is_the_witness(gss):
    def answer_as(side, question):
        return even(question) if side == "Black" else perfect(gss)(side, question)

    scores = run(gss, answer_as)
    assert len(scores.units) == 13 * 25
    assert len({unit.unit_id for unit in scores.units}) == 13 * 25
    assert {unit.cluster for unit in scores.units} == {q.question_id for q in gss.survey.questions}
    assert scores.witness.unit_id == "Black"
    assert scores.details["attributes"][0]["attribute"] == "Black"
    assert len(scores.details["confusion"]) == 4
    assert run(gss, perfect(gss), checks=()).details["fidelity"]["score"] == pytest.approx(1.0, abs=1e-6)
    assert scores.details["fidelity"]["score"] < 1.0


@pytest.mark.whole
def test_the_confusion_matrix_is_that_of_the_core(gss):
    def answer_as(side, question):
        table = perfect(gss)(side, question)
        return list(0.5 * np.array(table) + 0.5 * np.array(even(question)))

    scores = run(gss, answer_as)
    table = next(one for one in scores.details["confusion"] if one["category"] == "political party")
    spending = [q for q in gss.survey.questions if len(q.options) == 3]
    groups = np.array([[people(gss, name)[q.question_id] for q in spending] for name in PARTIES])
    expected = 1 - steered_distance_matrix(0.5 * groups + 0.5 / 3, groups)
    abortion = [q for q in gss.survey.questions if len(q.options) == 2]
    others = np.array([[people(gss, name)[q.question_id] for q in abortion] for name in PARTIES])
    expected_others = 1 - steered_distance_matrix(0.5 * others + 0.5 / 2, others)
    whole = (expected * len(spending) + expected_others * len(abortion)) / 25
    assert np.array(table["scores"]) == pytest.approx(whole, abs=1e-6)


# ------------------------------------------------------------------------------------------- what is found to be wrong


@pytest.mark.parametrize("context", [("instruction",), ("instruction", "portrait", "biography")])
def test_contexts_make_no_gain_of_rounding(gss, context):
    """The mean of three equal scores may differ from the score in its last digit."""
    for party in PARTIES:
        scores = run(gss, lambda side, q: perfect(gss)("", q), party, contexts=context, over="unsteered")
        assert {unit.value for unit in scores.units} == {0.0}
        assert decide(Gate(at_least=0.0), estimate_scores(scores)).outcome is Outcome.PASSED
        assert decide(Gate(at_least=0.01), estimate_scores(scores)).outcome is Outcome.FAILED
        assert "steering gains nothing over unsteered: the scores are equal in all 25 units" in scores.warnings


def test_a_model_that_ignores_steering_gains_nothing(gss):
    table = people(gss, "US adults")

    def answer_as(side, question):
        return table.get(question.question_id, even(question))

    scores = run(gss, answer_as, "Democrat")
    assert scores.details["gain"]["value"] == 0.0
    assert scores.details["movement"]["steered"] == 0.0
    assert scores.details["opposite"][0]["contrast"] == 0.0
    assert any("does not part the answers" in warning for warning in scores.warnings)


def test_a_group_that_is_flattened_to_its_commonest_answer_is_told(gss):
    def modal(side, question):
        shares = np.array(perfect(gss)(side, question))
        return list((np.arange(len(shares)) == shares.argmax()).astype(float)) if side else list(shares)

    scores = run(gss, modal, "Democrat", score="mode")
    assert {unit.value for unit in scores.units} == {1.0}
    assert any("they are its commonest answer, not its spread" in warning for warning in scores.warnings)
    assert any("a stereotype of both" in warning for warning in scores.warnings)
    assert not any("commonest answer" in warning for warning in run(gss, perfect(gss), "Democrat").warnings)


@pytest.mark.whole
def test_ties_are_no_wins(gss):
    """A model that ignores who is named fits every group as well under each steering, and best under none."""
    for scores in (run(gss, lambda side, q: even(q)), run(gss, lambda side, q: perfect(gss)("", q))):
        table = scores.details["confusion"][0]
        assert (table["diagonal_dominance"], table["best_alone"], table["tied"]) == (1.0, 0.0, 1.0)
    table = run(gss, perfect(gss)).details["confusion"][0]
    assert (table["diagonal_dominance"], table["best_alone"], table["tied"]) == (1.0, 1.0, 0.0)


def test_what_is_right_by_definition_is_no_reference(gss):
    assert run(gss, perfect(gss), "Democrat").references["majority"] < 1.0
    assert "majority" not in run(gss, perfect(gss), "Democrat", score="mode").references


def test_a_model_that_reacts_to_being_addressed_at_all_is_told_apart_by_placebos(gss):
    democrats = people(gss, "Democrat")

    def answer_as(side, question):
        return democrats.get(question.question_id, even(question)) if side else even(question)

    scores = run(gss, answer_as, "Democrat")
    assert scores.details["gain"]["value"] > 0
    assert scores.references["placebo"] == pytest.approx(1.0, abs=1e-6)
    assert any("irrelevant attributes move the answers as far" in warning for warning in scores.warnings)
    gain = run(gss, answer_as, "Democrat", over="placebo")
    assert np.mean([unit.value for unit in gain.units]) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.whole
def test_an_attribute_is_not_compared_with_itself(gss):
    scores = run(gss, perfect(gss), over="Republican")
    assert "Republican" not in {unit.details["attribute"] for unit in scores.units}
    assert len(scores.units) == 25 * (len(gss.names) - 1)
    assert min(unit.value for unit in scores.units) > 0
    # It keeps its row among the groups.
    table = next(one for one in scores.details["confusion"] if one["category"] == "political party")
    assert table["groups"] == list(PARTIES)
    with pytest.raises(InvalidParameterError, match="over='Democrat' is the attribute itself"):
        SteerableEvaluation(gss, ASKING, SteeringSettings(over="Democrat"), "Democrat")


def test_a_loss_that_chance_explains_is_no_warning(gss):
    def almost(side, question):
        # Both parties answer as Democrats do, but for noise: one of them is a hair better by chance.
        answers = np.array(perfect(gss)("Democrat" if side == "Republican" else side, question))
        if side in ("Democrat", "Republican"):
            noise = 0.02 * np.random.default_rng([0, len(side), *question.question_id.encode()]).random()
            answers = (1 - noise) * answers + noise / len(answers)
        return list(answers)

    scores = run(gss, almost, "Democrat")
    (table,) = scores.details["confusion"]
    (ends,), (regret,) = table["regret_interval"], table["regret"]
    assert regret > 0 > ends[0]
    assert not any("another steering" in text for text in scores.warnings)

    def swapped(side, question):
        return perfect(gss)({"Democrat": "Republican", "Republican": "Democrat"}.get(side, side), question)

    scores = run(gss, swapped, "Democrat")
    (table,) = scores.details["confusion"]
    (ends,), (regret,) = table["regret_interval"], table["regret"]
    assert 0 < ends[0] <= regret <= ends[1]
    assert run(gss, perfect(gss), "Democrat").details["confusion"][0]["regret_interval"] == [None]


@pytest.mark.whole
def test_parties_that_are_swapped_lose_the_diagonal(gss):
    swapped = {"Democrat": "Republican", "Republican": "Democrat"}

    def answer_as(side, question):
        return perfect(gss)(swapped.get(side, side), question)

    scores = run(gss, answer_as)
    table = next(one for one in scores.details["confusion"] if one["category"] == "political party")
    assert table["diagonal_dominance"] == pytest.approx(1 / 3)
    assert table["regret"][PARTIES.index("Democrat")] > 0
    party = next(pair for pair in scores.details["opposite"] if pair["attribute"] == "Democrat")
    assert party["contrast"] == pytest.approx(-1.0, abs=1e-6)
    assert any("Democrat (better: Republican)" in warning for warning in scores.warnings)


def test_stereotypes_overshoot_and_flatten(gss):
    whole = people(gss, "US adults")

    def answer_as(side, question):
        if question.question_id not in whole or side not in PARTIES:
            return whole.get(question.question_id, even(question))
        base, group = np.array(whole[question.question_id]), np.array(perfect(gss)(side, question))
        pushed = np.clip(base + 2 * (group - base), 1e-9, None)
        return list(pushed / pushed.sum())

    scores = run(gss, answer_as, "Democrat")
    assert scores.details["movement"]["overshoot"] == pytest.approx(1.0, abs=0.05)
    assert scores.details["movement"]["undershoot"] == 0.0
    assert scores.details["opposite"][0]["contrast"] == pytest.approx(2.0, abs=0.1)

    def one_voice(side, question):
        hard = np.zeros(len(question.options))
        hard[int(np.argmax(perfect(gss)(side, question)))] = 1.0
        return list(hard)

    flat = run(gss, one_voice, "Democrat")
    assert flat.details["flattening"]["ratio"] < 0.01
    assert flat.details["flattening"]["people"] == pytest.approx(
        np.mean([entropy(row) for row in people(gss, "Democrat").values()])
    )


def test_side_effects_on_unrelated_questions_are_seen(gss):
    def answer_as(side, question):
        if question in UNRELATED:
            return [0.98, 0.01, 0.01] if side else [0.01, 0.01, 0.98]
        return perfect(gss)(side, question)

    scores = run(gss, answer_as, "Democrat")
    expected = jensen_shannon_distance([0.98, 0.01, 0.01], [0.01, 0.01, 0.98])
    assert scores.details["movement"]["unrelated"] == pytest.approx(expected)
    assert scores.details["movement"]["steered"] < expected


def test_low_option_mass_is_said(gss):
    evaluation = SteerableEvaluation(gss, ASKING, SteeringSettings(checks=()), "Democrat")
    rounds = evaluation.rounds()
    asked = next(rounds)
    with pytest.raises(StopIteration) as stop:
        rounds.send([Answer((-3.0,) * len(prompt.labels), 0.1, "Sure", 0.9) for prompt in asked.requests])
    assert "option mass under 0.5 on 25 of 25 units" in stop.value.value.warnings[0]


@pytest.mark.parametrize(
    ("settings", "silent"),
    [
        ({"over": "unsteered"}, lambda prompt, who: not any(one in prompt.question for one in who)),
        ({"over": "placebo"}, lambda prompt, who: PLACEBOS[-1].who in prompt.question),
        (
            {"contexts": ("instruction", "portrait"), "across": "best_per_question"},
            lambda prompt, who: "in this place" in prompt.question,
        ),
    ],
)
def test_the_least_option_mass_behind_a_score_counts(gss, settings, silent):
    """Answers that are not read make a gain over them, and one context may be the best by chance."""
    who = [one.who for one in (*gss.attributes, *PLACEBOS)]
    evaluation = SteerableEvaluation(gss, ASKING, SteeringSettings(**settings), "Democrat")
    rounds = evaluation.rounds()
    answers, unread = [], 0
    for prompt in next(rounds).requests:
        is_silent = silent(prompt, who)
        unread += is_silent
        answers.append(Answer((-1.0,) * len(prompt.labels), 0.02 if is_silent else 0.95, "A", 0.9))
    assert 0 < unread < len(answers)
    with pytest.raises(StopIteration) as stop:
        rounds.send(answers)
    assert {unit.option_mass for unit in stop.value.value.units} == {0.02}


# -------------------------------------------------------------------------------------------------- contexts and checks


def test_several_contexts_are_put_together_as_asked(gss):
    contexts = ("instruction", "portrait")
    whole = people(gss, "US adults")

    def run_with(across):
        evaluation = SteerableEvaluation(
            gss, ASKING, SteeringSettings(contexts=contexts, across=across, checks=("unsteered",)), "Democrat"
        )
        rounds = evaluation.rounds()
        asked = next(rounds)
        answers = []
        for prompt in asked.requests:
            question = next(q for q in gss.survey.questions if q.text in prompt.question)
            table = (
                perfect(gss)("Democrat", question)
                if "in this place" in prompt.question
                else whole[question.question_id]
            )
            if "Answer as" in prompt.question and question.question_id.startswith("ab"):
                table = perfect(gss)("Democrat", question)
            elif "in this place" in prompt.question and question.question_id.startswith("ab"):
                table = even(question)
            answers.append(Answer(tuple(math.log(max(p, 1e-12)) for p in table), 1.0, "A", 0.5))
        with pytest.raises(StopIteration) as stop:
            rounds.send(answers)
        return stop.value.value

    mean, each, group = (run_with(across) for across in ("mean", "best_per_question", "best_per_group"))
    value = {
        name: np.mean([unit.value for unit in one.units]) for name, one in zip("meg", (mean, each, group), strict=True)
    }
    assert value["m"] < value["g"] < value["e"]
    assert value["e"] == pytest.approx(1.0, abs=1e-6)
    table = mean.details["contexts_each"]
    assert table["best per question"] == pytest.approx(value["e"])
    assert table["best per group"] == pytest.approx(value["g"]) == max(table["instruction"], table["portrait"])
    assert any("maximum of noisy numbers" in warning for warning in each.warnings)
    assert not any("maximum of noisy numbers" in warning for warning in mean.warnings)


@pytest.mark.parametrize("across", ["best_per_question", "best_per_group"])
def test_the_best_of_several_contexts_is_compared_with_as_many(gss, across):
    several = {"contexts": ("instruction", "portrait"), "across": across}
    with pytest.raises(InvalidParameterError, match="one answer: it would gain where nothing steers"):
        SteerableEvaluation(gss, ASKING, SteeringSettings(**several, over="unsteered"))
    for over in (None, "placebo", "Democrat"):
        SteerableEvaluation(gss, ASKING, SteeringSettings(**several, over=over))
    SteerableEvaluation(gss, ASKING, SteeringSettings(contexts=("portrait",), across=across, over="unsteered"))
    mixed = {"contexts": ("instruction", "model"), "across": across}
    with pytest.raises(InvalidParameterError, match="over='placebo' compares it with has 1 context:"):
        SteerableEvaluation(gss, ASKING, SteeringSettings(**mixed, over="placebo"))


def test_the_examples_of_a_placebo_are_everybodys(tmp_path):
    rows = [{"attribute": name, "category": "part"} for name in ("North", "South", "Hills")]
    rows.append({"attribute": "North Hills", "parts": ["North", "Hills"], "category": "part"})
    for n in range(8):
        shares = {"North": [0.9, 0.1], "South": [0.1, 0.9], "North Hills": [0.5, 0.5]}
        given = [{"population": name, "probabilities": shares[name]} for name in shares]
        rows.append({"question_id": f"q{n}", "question": f"Law {n}?", "options": ["Yes", "No"], "distributions": given})
    path = tmp_path / "parts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    steering = load_steering(str(path))
    evaluation = SteerableEvaluation(steering, ASKING, SteeringSettings(contexts=("examples",)), "North")
    shown = evaluation._shown_rows(PLACEBOS[0])
    assert [row.question_id for row in shown] == [f"q{n}" for n in range(8)]
    assert all(row.probabilities == pytest.approx((0.5, 0.5)) for row in shown)
    # The hills are a mere part, and have no answers that could be shown.
    assert len(next(evaluation.rounds()).requests) > 0
    with pytest.raises(DatasetError, match="nobody says how 'Hills' answers"):
        SteerableEvaluation(steering, ASKING, SteeringSettings(contexts=("examples",), over="Hills"), "North")


def test_the_parts_of_an_intersection_may_be_named_in_any_order(tmp_path):
    rows = [{"attribute": name} for name in ("North", "Hills", "Coast")]
    rows.append({"attribute": "Coast + North", "parts": ["Coast", "North"]})
    rows.append({"attribute": "highlanders", "parts": ["North", "Hills"], "who": "a highlander"})
    shares = {"North": 0.9, "highlanders": 0.5, "Coast + North": 0.2}
    for n in range(4):
        given = [{"population": name, "probabilities": [share, 1 - share]} for name, share in shares.items()]
        rows.append({"question_id": f"q{n}", "question": f"Law {n}?", "options": ["Yes", "No"], "distributions": given})
    path = tmp_path / "parts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    steering = load_steering(str(path))
    assert {steering.attribute(name).who for name in ("North + Hills", "Hills+North")} == {"a highlander"}
    for name in ("North + Coast", "Coast + North"):
        attribute = steering.attribute(name)
        assert (attribute.name, len(steering.rows(attribute))) == ("Coast + North", 4)
    settings = SteeringSettings(checks=("family",))
    for name, size in (("North + Coast", 4), ("Hills + North", 4)):
        rounds = SteerableEvaluation(steering, ASKING, settings, name).rounds()
        asked = next(rounds)
        with pytest.raises(StopIteration) as stop:
            rounds.send([Answer((math.log(0.5), math.log(0.5)), 1.0, "A", 0.5)] * len(asked.requests))
        assert len(stop.value.value.units) == size


def test_every_named_context_asks(gss):
    for name in ("question_answer", "biography", "system", "examples", "opinionqa:qa", "opinionqa:bio"):
        evaluation = SteerableEvaluation(gss, ASKING, SteeringSettings(contexts=(name,)), "Democrat")
        asked = next(evaluation.rounds())
        assert len(set(asked.requests)) > 100


def test_nothing_is_asked_that_nobody_wants(gss):
    n_questions = 25
    for checks, n_sides in (((), 1), (("unsteered",), 2), (("unsteered", "family"), 4), (("placebo",), 3)):
        evaluation = SteerableEvaluation(gss, ASKING, SteeringSettings(checks=checks), "Democrat")
        assert len(next(evaluation.rounds()).requests) == n_sides * n_questions
    whole = next(SteerableEvaluation(gss, ASKING, SteeringSettings()).rounds())
    assert len(whole.requests) == (13 + 1 + 2) * (n_questions + len(UNRELATED))


def test_a_part_of_the_units_is_drawn_with_the_seed(gss):
    def chosen(seed):
        asking = AskSettings(examples=0, repetitions=1, option_order="none", seed=seed)
        units = SteerableEvaluation(gss, asking, SteeringSettings(most_units=40)).units()
        return [(name, row.question_id) for name, rows in units.items() for row in rows]

    assert len(chosen(0)) == 40
    assert chosen(0) == chosen(0) != chosen(1)


def test_the_rounds_are_the_same_whenever_they_start(gss):
    evaluation = SteerableEvaluation(gss, AskSettings(), SteeringSettings(contexts=("examples",)), "Women")
    assert next(evaluation.rounds()) == next(evaluation.rounds())


def test_orders_of_options_are_taken_back(gss):
    rotated = AskSettings(examples=0, repetitions=3)
    scores = run(gss, perfect(gss), "Democrat", asking=rotated)
    assert [unit.value for unit in scores.units] == pytest.approx([1.0] * 25, abs=1e-6)


# ----------------------------------------------------------------------------------------------------------- choices


@pytest.fixture
def choices(tmp_path):
    rows = [
        {"question_id": f"{i}", "question": f"Situation {i}: is it so?", "options": ["Support", "Oppose", "Either"],
         "answers": {"Democrat": ["Support", "Oppose", "Either", "Support"][i], "Republican": "Oppose"}}
        for i in range(4)
    ]  # fmt: skip
    path = tmp_path / "values.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return load_steering(str(path))


def test_choices_are_classified(choices):
    given = {"Democrat": [0, 1, 1, 2], "Republican": [1, 1, 1, 0], "": [0, 0, 0, 0]}

    def answer_as(side, question):
        answer = np.full(3, 0.1)
        answer[given.get(side, given[""])[int(question.question_id)] if question.question_id.isdigit() else 0] = 0.8
        return list(answer)

    scores = run(choices, answer_as, score="mode")
    assert [unit.value for unit in scores.units] == [1, 1, 0, 0, 1, 1, 1, 0]
    found = scores.details["classification"]
    labels = ["Support", "Oppose", "Either"]
    predicted = [labels[code] for code in given["Democrat"] + given["Republican"]]
    actual = ["Support", "Oppose", "Either", "Support", *["Oppose"] * 4]
    expected = classification_scores(predicted, actual, labels=labels)
    assert found["all"]["balanced_accuracy"] == pytest.approx(expected.balanced_accuracy)
    assert found["all"]["macro_f1"] == pytest.approx(expected.macro_f1)
    two = classification_scores(predicted, actual, labels=labels, drop="Either")
    assert found["binary"]["accuracy"] == pytest.approx(two.accuracy)
    assert scores.references["majority"] == pytest.approx(5 / 8)
    assert scores.references["uniform"] == pytest.approx(1 / 3)


# ------------------------------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"score": "jsd"}, "'score'"),
        ({"across": "median"}, "'across'"),
        ({"contexts": ()}, "'context'"),
        ({"contexts": ("portrait", "portrait")}, "without repetitions"),
        ({"checks": ("placebos",)}, "'checks'"),
        ({"checks": 5}, "'checks'"),
        ({"contexts": 5}, "'context'"),
        ({"over": 5}, "'over'"),
        ({"most_units": 1}, "'most_units'"),
        ({"most_units": True}, "'most_units'"),
    ],
)
def test_wrong_settings(settings, says):
    with pytest.raises(InvalidParameterError, match=says):
        SteeringSettings(**settings)


def test_unknown_names_are_found_before_anything_is_asked(gss):
    with pytest.raises(InvalidParameterError, match="Nearest: 'portrait'"):
        SteerableEvaluation(gss, ASKING, SteeringSettings(contexts=("potrait",)))
    with pytest.raises(DatasetError, match="Nearest: 'Republican'"):
        SteerableEvaluation(gss, ASKING, SteeringSettings(over="Republicans"))
    with pytest.raises(DatasetError, match="nobody says how"):
        SteerableEvaluation(gss, ASKING, SteeringSettings(), "Democrat + Women").targets()


def test_a_placebo_is_chosen_among_its_like(gss):
    settings = SteeringSettings(contexts=("question_answer",), checks=("placebo",))
    asked = next(SteerableEvaluation(gss, ASKING, settings, "Democrat").rounds()).requests
    turns = {prompt.examples[-1] for prompt in asked}
    assert {turn.answer for turn in turns} == {"A", "B"}
    assert any(turn.question.endswith("A. Monday\nB. Tuesday\nC. Friday") for turn in turns)
    assert any(turn.question.endswith("A. Democrat\nB. Independent\nC. Republican") for turn in turns)


def test_the_steerability_index_is_the_change_in_the_share_towards_the_attribute(gss):
    scores = run(gss, perfect(gss), "Democrat")
    (pair,) = scores.details["opposite"]
    sides = {name: people(gss, name) for name in ("Democrat", "Republican", "US adults")}
    change = [
        sum(
            d - a
            for d, r, a in zip(*(sides[name][q] for name in ("Democrat", "Republican", "US adults")), strict=True)
            if d > r
        )
        for q in sides["Democrat"]
    ]
    assert pair["steerability_index"] == pytest.approx(np.mean(change), abs=1e-6)
    assert pair["steerability_index"] > 0
