"""The strategies draw what they say, and the metamorphic checks catch a model that breaks the relation."""

from __future__ import annotations

import dataclasses
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from pytest_pluralism.core.errors import InvalidParameterError, MissingExtraError
from pytest_pluralism.core.metrics.distributional import jensen_shannon_distance
from pytest_pluralism.core.records import Answer, AnswerDistribution, Prompt, Question, Scores, Survey, Turn, UnitScore
from pytest_pluralism.datasets.surveys.assembly import survey_sha256
from pytest_pluralism.evaluation.surveys.asking import AskSettings, requests
from pytest_pluralism.evaluation.surveys.distance import scores
from pytest_pluralism.strategies import (
    PromptParaphrase,
    answer_distributions,
    assert_same_scores,
    option_orders,
    panels,
    paraphrases,
    reorder_options,
    reordered_surveys,
    surveys,
)

quick = settings(max_examples=50, deadline=None)

SURVEY = Survey(
    name="shops",
    questions=(
        Question("sunday", "Should shops open on Sundays?", ("Yes", "No", "It depends", "Refused"), refusals=(3,)),
        Question("hours", "How late?", ("18", "20", "22"), positions=(0.0, 1.0, 2.0)),
    ),
    distributions=(
        AnswerDistribution("sunday", "Members", (0.5, 0.25, 0.125, 0.125), 800.0),
        AnswerDistribution("hours", "Members", (0.25, 0.25, 0.5), 800.0),
    ),
    sha256="",
    default_population="Members",
)


class Reader:
    """Answers by what the options say, so that their order makes no difference."""

    #: How much each label's place is worth, added to the logit of the option.
    bias = 0.0

    def answer(self, prompts):
        answers = []
        for prompt in prompts:
            lines = dict(line.split(". ", 1) for line in prompt.question.splitlines() if line[1:2] == ".")
            logits = np.array([len(lines[label]) / 4 - self.bias * place for place, label in enumerate(prompt.labels)])
            logs = logits - np.logaddexp.reduce(logits)
            answers.append(Answer(tuple(logs.tolist()), 1.0, prompt.labels[0], float(np.exp(logs.max()))))
        return answers


class FirstLabelLover(Reader):
    bias = 1.0


def distances(model, survey):
    asked = requests(survey, AskSettings(examples=0, repetitions=1, option_order="none"))
    return scores(asked, model.answer(asked.prompts), population="Members")


# -------------------------------------------------------------------------------------------------- strategies


@quick
@given(answer_distributions(min_options=3, max_options=5))
def test_distributions_are_distributions(p):
    assert 3 <= p.size <= 5
    assert p.dtype == np.float64
    assert (p >= 0).all()
    assert p.sum() == pytest.approx(1, abs=1e-12)


@quick
@given(answer_distributions(zeros=False))
def test_distributions_without_zeros(p):
    assert (p > 0).all()


def test_distributions_reach_their_corners():
    find(answer_distributions(), lambda p: (p == 0).any())
    find(answer_distributions(), lambda p: (p == p[0]).all())
    find(answer_distributions(), lambda p: p.max() == 1 and p.size == 8)


@pytest.mark.whole
@quick
@given(surveys(populations=["Left", "Right"], ordinal=True))
def test_the_truth_of_a_survey_is_a_count_over_its_respondents(survey):
    assert survey.populations == ("Left", "Right")
    assert survey.default_population is None
    assert survey.sha256 == survey_sha256(survey.questions, survey.distributions)
    options = {question.question_id: question.options for question in survey.questions}
    assert len(options) == len(survey.questions)
    assert len(survey.distributions) == 2 * len(survey.questions)
    for row in survey.distributions:
        assert len(row.probabilities) == len(options[row.question_id])
        counts = np.array(row.probabilities) * row.n_respondents
        np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
        assert counts.sum() == pytest.approx(row.n_respondents)
        assert all(isinstance(p, float) for p in row.probabilities)
    assert all(len(q.positions) == len(q.options) for q in survey.questions)


@pytest.mark.whole
@quick
@given(surveys())
def test_surveys_can_be_asked_and_scored(survey):
    asked = requests(survey, AskSettings(examples=0, repetitions=1))
    result = scores(asked, Reader().answer(asked.prompts), population="Everyone")
    assert [unit.unit_id for unit in result.units] == [question.question_id for question in survey.questions]
    assert all(0 <= unit.value <= 1 for unit in result.units)


@quick
@given(panels(min_jurors=2, max_jurors=3, max_responses=2, low=-1, high=2))
def test_panels_hold_utilities_in_their_range(utilities):
    assert utilities.shape[0] in {2, 3}
    assert utilities.shape[1] in {1, 2}
    assert (utilities >= -1).all()
    assert (utilities <= 2).all()


def test_panels_reach_agreement_and_both_ends():
    find(panels(min_jurors=3), lambda u: (u == u[0]).all())
    find(panels(), lambda u: u.min() == 0 and u.max() == 1)


@quick
@given(st.integers(1, 6).flatmap(option_orders))
def test_orders_hold_every_option_once(order):
    assert sorted(order) == list(range(len(order)))
    assert isinstance(order, tuple)


def test_orders_reach_every_order_and_shrink_to_the_first():
    assert find(option_orders(4), lambda order: True) == (0, 1, 2, 3)
    assert find(option_orders(3), lambda order: order == (2, 1, 0)) == (2, 1, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: answer_distributions(min_options=1), r"'min_options' parameter of answer_distributions .* \[2, inf\)"),
        (lambda: answer_distributions(min_options=4, max_options=3), r"no less than min_options \(4\)"),
        (lambda: answer_distributions(max_options=2.5), "'max_options' .* an int. Got 2.5"),
        (lambda: surveys(min_questions=0), "'min_questions'"),
        (lambda: surveys(populations=[]), "'populations'"),
        (lambda: surveys(populations="Everyone"), "'populations'"),
        (lambda: surveys(populations=["a", "a"]), "'populations'"),
        (lambda: panels(min_jurors=0), "'min_jurors'"),
        (lambda: panels(low=1, high=1), "'high' .* greater than low"),
        (lambda: panels(high=math.inf), "'high'"),
        (lambda: option_orders(0), "'n_options'"),
        (lambda: option_orders(True), "'n_options'"),
        (lambda: paraphrases(leads=[]), "'leads'"),
        (lambda: paraphrases(cues="Answer:"), "'cues'"),
    ],
)
def test_strategies_refuse_at_once(call, message):
    with pytest.raises(InvalidParameterError, match=message):
        call()


# --------------------------------------------------------------------------------------------------- reordering


@quick
@given(reordered_surveys(SURVEY))
def test_everything_goes_with_its_option(other):
    for question, moved, row, moved_row in zip(
        SURVEY.questions, other.questions, SURVEY.distributions, other.distributions, strict=True
    ):
        before = dict(zip(question.options, row.probabilities, strict=True))
        assert dict(zip(moved.options, moved_row.probabilities, strict=True)) == before
        assert {moved.options[i] for i in moved.refusals} == {question.options[i] for i in question.refusals}
        if question.positions is not None:
            place = dict(zip(question.options, question.positions, strict=True))
            assert dict(zip(moved.options, moved.positions, strict=True)) == place
    assert other.sha256 == survey_sha256(other.questions, other.distributions)
    assert SURVEY.questions[0].options == ("Yes", "No", "It depends", "Refused")


def test_reordering_back_gives_the_survey_back():
    order, inverse = (2, 0, 3, 1), (1, 3, 0, 2)
    there = reorder_options(SURVEY, {"sunday": order})
    assert there.questions[0].options == ("It depends", "Yes", "Refused", "No")
    back = reorder_options(there, {"sunday": inverse})
    assert back == dataclasses.replace(SURVEY, sha256=back.sha256)


def test_reordering_refuses():
    with pytest.raises(InvalidParameterError, match=r"about questions of the survey. Got 'monday'"):
        reorder_options(SURVEY, {"monday": (0, 1)})
    with pytest.raises(InvalidParameterError, match=r"an order of the 3 options of 'hours'. Got \(0, 0, 1\)"):
        reorder_options(SURVEY, {"hours": (0, 0, 1)})


@quick
@given(st.data())
def test_the_distance_itself_does_not_depend_on_the_order(data):
    p = data.draw(answer_distributions())
    q = data.draw(answer_distributions(min_options=p.size, max_options=p.size))
    order = list(data.draw(option_orders(p.size)))
    assert jensen_shannon_distance(p[order], q[order]) == pytest.approx(jensen_shannon_distance(p, q), abs=1e-7)


@pytest.mark.whole
@quick
@given(reordered_surveys(SURVEY))
def test_a_model_that_reads_passes(other):
    assert_same_scores(distances(Reader(), SURVEY), distances(Reader(), other), tolerance=1e-9)


@pytest.mark.whole
def test_a_model_that_loves_the_first_label_is_caught_and_shown():
    @settings(max_examples=50, deadline=None, database=None, derandomize=True)
    @given(reordered_surveys(SURVEY))
    def order_does_not_matter(other):
        assert_same_scores(distances(FirstLabelLover(), SURVEY), distances(FirstLabelLover(), other), tolerance=0.05)

    with pytest.raises(AssertionError, match=r"^0\.\d{3}, must be at most 0\.050: change in js_distance on ") as caught:
        order_does_not_matter()
    assert "\n  before  " in str(caught.value)
    assert "\n  after   " in str(caught.value)


@pytest.mark.whole
def test_the_page_holds_tests_that_pass_and_fail_where_they_should():
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "metamorphic-tests.md").read_text(encoding="utf-8")
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(block, names)  # noqa: S102
    names["test_the_wording_around_the_question_does_not_matter"](Reader())
    names["test_the_order_of_the_options_does_not_matter"](Reader())
    with pytest.raises(AssertionError) as caught:
        # Hypothesis does not repeat itself among six orders, so at least one of five examples is a wrong one.
        names["test_the_order_of_the_options_does_not_matter"](FirstLabelLover())
    shape = re.sub(r"\d\.\d+|Yes|No|It depends", "x", str(caught.value)).splitlines()
    shown = re.search(r"AssertionError: (.*?)```", page, flags=re.DOTALL).group(1)
    assert shape == re.sub(r"\d\.\d+|Yes|No|It depends", "x", shown).splitlines()[: len(shape)]


# -------------------------------------------------------------------------------------------------- paraphrases


@quick
@given(paraphrases())
def test_a_paraphrase_keeps_question_labels_and_answers(paraphrase):
    prompt = Prompt("Is it?\nA. Yes\nB. No", ("A", "B"), examples=(Turn("Was it?", "B"),), system="Be brief.")
    other = paraphrase(prompt)
    assert other.question.endswith(prompt.question)
    assert (other.labels, other.system) == (prompt.labels, prompt.system)
    lead = other.question.removesuffix(prompt.question)
    assert other.examples == (Turn(lead + "Was it?", "B"),)


def test_paraphrases_shrink_to_none_at_all():
    prompt = Prompt("Is it?", ("A", "B"), cue="So:")
    assert find(paraphrases(), lambda paraphrase: True)(prompt) == prompt
    assert PromptParaphrase(lead="", cue="Well:")(prompt).cue == "Well:"


def test_a_published_prompt_is_not_paraphrased():
    with pytest.raises(InvalidParameterError, match="without verbatim text"):
        PromptParaphrase(lead="Question: ")(Prompt("Is it?", ("A", "B"), verbatim="Is it? A. B."))


# --------------------------------------------------------------------------------------------------- same scores


def of(*values, metric="js_distance"):
    return Scores(metric, tuple(UnitScore(f"q{i}", f"q{i}", value) for i, value in enumerate(values)))


def test_the_worst_unit_is_named_and_the_others_are_counted():
    with pytest.raises(AssertionError) as caught:
        assert_same_scores(of(0.1, 0.2, 0.3), of(0.2, 0.5, 0.3), tolerance=0.05)
    assert str(caught.value) == (
        "0.300, must be at most 0.050: change in js_distance on q1, from 0.200 to 0.500 (2 of 3 units changed by more)"
    )


def test_the_tolerance_itself_passes_and_nan_never_does():
    assert_same_scores(of(0.5), of(0.75), tolerance=0.25)
    for before, after in ((math.nan, 0.1), (0.1, math.nan), (math.nan, math.nan)):
        with pytest.raises(AssertionError, match=r"nan, must be at most 9.000"):
            assert_same_scores(of(before, 0.2), of(after, 0.2), tolerance=9)


@pytest.mark.parametrize(
    ("before", "after", "tolerance", "message"),
    [
        (of(0.1), of(0.1), -1, r"a float in \[0, inf\)"),
        (of(0.1), of(0.1), math.nan, "'tolerance'"),
        (of(0.1), of(0.1, 0.2), 0.1, "about the same units"),
        (of(), of(), 0.1, "about the same units"),
        (of(0.1), of(0.1, metric="coverage"), 0.1, "scores of js_distance. Got coverage"),
    ],
)
def test_scores_that_cannot_be_compared_are_refused(before, after, tolerance, message):
    with pytest.raises(InvalidParameterError, match=message):
        assert_same_scores(before, after, tolerance=tolerance)


def test_without_hypothesis_the_error_says_what_to_install():
    code = "import sys; sys.modules['hypothesis'] = None; import pytest_pluralism.strategies"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "MissingExtraError: pytest_pluralism.strategies needs packages" in done.stderr
    assert done.stderr.rstrip().endswith("Install them with: pip install hypothesis")
    assert issubclass(MissingExtraError, ImportError)


def test_a_unit_that_occurs_twice_cannot_hide_a_change():
    once, twice = (
        Scores("js_distance", tuple(UnitScore("q", "q", value) for value in values)) for values in ((0.2,), (0.9, 0.2))
    )
    for before, after, name in ((twice, once, "before"), (once, twice, "after"), (twice, twice, "before")):
        with pytest.raises(InvalidParameterError, match=f"'{name}' parameter .* occurs once. Got 2 times 'q' instead"):
            assert_same_scores(before, after, tolerance=0.01)
    populations = Scores("js_distance", tuple(UnitScore("q", "q", 0.2, population=name) for name in "ab"))
    assert_same_scores(populations, populations, tolerance=0.0)
