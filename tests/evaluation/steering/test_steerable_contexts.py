"""Contexts become fields of prompts, and a group's answers are shown without leaking the one that is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.records import AnswerDistribution, Prompt, Question, Turn
from pytest_pluralism.datasets.steering.file import steering_of_survey
from pytest_pluralism.datasets.steering.templates import TEMPLATES, Attribute
from pytest_pluralism.datasets.surveys.loading import load_survey
from pytest_pluralism.evaluation.steering.contexts import GroupExamples, steer_prompt
from pytest_pluralism.models.prompts import render_prompt

ASKED = Prompt("Is it?\nA. Yes\nB. No", ("A", "B"), examples=(Turn("Before?\nA. x\nB. y", "A"),))
DEMOCRAT = Attribute(name="Democrat", who="a Democrat", category="political party", label="Democrat")
REPUBLICAN = Attribute(name="Republican", who="a Republican", category="political party", label="Republican")


def rendered(name, attribute):
    turns = (Turn("Other?\nA. m\nB. n", "B"),)
    prompt = steer_prompt(ASKED, TEMPLATES[name], attribute, family=(DEMOCRAT, REPUBLICAN), examples=turns)
    return prompt, render_prompt(prompt, chat=None)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_the_question_and_its_labels_stay(name):
    prompt, text = rendered(name, DEMOCRAT)
    assert prompt.labels == ASKED.labels
    assert ASKED.question in text
    assert "Before?" in text
    assert text.endswith("Answer:")
    if TEMPLATES[name].place not in ("examples", "model"):
        assert text != rendered(name, REPUBLICAN)[1]


def test_each_place():
    assert rendered("system", DEMOCRAT)[0].system == "From now on you are a Democrat. Give the answers that are yours."
    assert rendered("portrait", DEMOCRAT)[0].question.startswith("Put yourself in this place: you are a Democrat.")
    assert rendered("instruction", DEMOCRAT)[0].question.endswith("\n\nAnswer as a Democrat would.")
    exchange = rendered("question_answer", REPUBLICAN)[0].examples[-1]
    assert exchange.question.endswith("A. Democrat\nB. Republican")
    assert exchange.answer == "B"
    assert rendered("examples", DEMOCRAT)[0].examples[-1] == Turn("Other?\nA. m\nB. n", "B")


def test_behind_the_question_attributes_share_it_and_before_it_questions_share_the_attribute():
    def common(first, second):
        return next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), 0)

    whole = ASKED.question
    after = [rendered("instruction", one)[1] for one in (DEMOCRAT, REPUBLICAN)]
    assert common(*after) > after[0].index(whole) + len(whole)
    other = Prompt("Was it?\nA. Yes\nB. No", ("A", "B"), examples=ASKED.examples)
    system = [render_prompt(steer_prompt(one, TEMPLATES["system"], DEMOCRAT), chat=None) for one in (ASKED, other)]
    assert common(*system) > system[0].index("Democrat")


def test_fixed_prompts_take_words_in_front_only():
    fixed = Prompt("q", ("A", "B"), verbatim="Question: q\nOptions: A. Yes B. No\nAnswer:")
    assert steer_prompt(fixed, TEMPLATES["modular_pluralism"], DEMOCRAT).verbatim == (
        "In terms of political party, you are Democrat. Question: q\nOptions: A. Yes B. No\nAnswer:"
    )
    for name in ("instruction", "question_answer", "examples"):
        with pytest.raises(InvalidParameterError, match="published protocol"):
            steer_prompt(fixed, TEMPLATES[name], DEMOCRAT, examples=(Turn("a", "b"),))


def test_examples_must_be_there():
    with pytest.raises(InvalidParameterError, match="shows answers of 'Democrat'"):
        steer_prompt(ASKED, TEMPLATES["examples"], DEMOCRAT)


def test_no_question_sees_its_own_answers_and_halves_share_their_examples():
    survey = load_survey("gss")
    steering = steering_of_survey(survey)
    rows = steering.rows(steering.attribute("Democrat"))
    shown = GroupExamples(survey.questions, rows, n_examples=5, seed=0)
    seen = {}
    for question in survey.questions:
        turns = shown.for_question(question, 0)
        assert len(turns) == 5
        assert all(question.text not in turn.question for turn in turns)
        seen.setdefault(turns, []).append(question)
    assert len(seen) == 2
    assert shown.for_question(survey.questions[0], 0) != shown.for_question(survey.questions[0], 1)


def test_the_groups_show_the_same_questions_with_answers_of_their_own():
    survey = load_survey("gss")
    steering = steering_of_survey(survey)
    found = {}
    for name in ("Democrat", "Republican"):
        rows = steering.rows(steering.attribute(name))
        shown = GroupExamples(survey.questions, rows, n_examples=5, seed=0)
        found[name] = [turn for r in range(20) for turn in shown.for_question(survey.questions[0], r)]
    questions = {name: [turn.question for turn in turns] for name, turns in found.items()}
    assert questions["Democrat"] == questions["Republican"]
    answers = {name: [turn.answer for turn in turns] for name, turns in found.items()}
    assert answers["Democrat"] != answers["Republican"]


def test_answers_are_drawn_as_often_as_people_give_them():
    questions = [Question(f"q{i}", f"q{i}?", ("Yes", "No")) for i in range(8)]
    rows = [AnswerDistribution(q.question_id, "all of them", (0.8, 0.2)) for q in questions]
    shown = GroupExamples(questions, rows, n_examples=4, seed=3)
    answers = [turn.answer for r in range(400) for turn in shown.for_question(questions[0], r)]
    assert 0.76 < answers.count("A") / len(answers) < 0.84


def test_questions_of_one_cluster_have_nothing_to_show():
    questions = [Question(f"q{i}", f"q{i}?", ("Yes", "No"), "one") for i in range(3)]
    rows = [AnswerDistribution(q.question_id, "g", (0.5, 0.5)) for q in questions]
    with pytest.raises(DatasetError, match="at least two clusters"):
        GroupExamples(questions, rows, n_examples=2, seed=0).for_question(questions[0], 0)


@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=12), st.integers(1, 6), st.integers(0, 99))
def test_clusters_are_never_split(clusters, n_examples, seed):
    questions = [Question(f"q{i}", f"text {i}?", ("Yes", "No"), cluster) for i, cluster in enumerate(clusters)]
    rows = [AnswerDistribution(q.question_id, "g", (0.5, 0.5)) for q in questions]
    shown = GroupExamples(questions, rows, n_examples=n_examples, seed=seed)
    for question in questions:
        if len(set(clusters)) < 2:
            continue
        for turn in shown.for_question(question, seed):
            (source,) = [q for q in questions if turn.question.startswith(q.text)]
            assert source.cluster != question.cluster
