"""Hypothesis strategies for surveys, distributions and juries, and metamorphic checks of a model.

A metamorphic test needs no right answer: it says how the answer may change when the question does.
The distance of a model from a population, for one, must not depend on the order in which the options are shown.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_pluralism.core.errors import invalid_parameter, needed_for
from pytest_pluralism.core.parameters import FloatArray, real_number
from pytest_pluralism.core.records import AnswerDistribution, Prompt, Question, Scores, Survey, Turn
from pytest_pluralism.datasets.surveys.assembly import survey_sha256

if TYPE_CHECKING:
    from pytest_pluralism.core.records import UnitScore

with needed_for("pytest_pluralism.strategies", "pip install hypothesis"):
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp

__all__ = [
    "PromptParaphrase",
    "answer_distributions",
    "assert_same_scores",
    "option_orders",
    "panels",
    "paraphrases",
    "reorder_options",
    "reordered_surveys",
    "surveys",
]


#: Texts before a question that do not change it. The first is empty, so that failing examples shrink to it.
LEADS = (
    "",
    "Please answer the following question.\n",
    "Here is a question from a survey.\n",
    "Question: ",
)

#: Texts after a question in a raw prompt.
CUES = ("Answer:", "Your answer:", "The answer is:")


def _sizes(low: int, high: int, least: int, /, *, name: str, function: str) -> None:
    for end, value in (("min", low), ("max", high)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise invalid_parameter(f"{end}_{name}", function, "an int", repr(value))
    if low < least:
        raise invalid_parameter(f"min_{name}", function, f"an int in [{least}, inf)", low)
    if high < low:
        raise invalid_parameter(f"max_{name}", function, f"no less than min_{name} ({low})", high)


# ------------------------------------------------------------------------------------------------- strategies


def answer_distributions(
    *, min_options: int = 2, max_options: int = 8, zeros: bool = True
) -> st.SearchStrategy[FloatArray]:
    """Distributions of answers over the options of one question.

    Parameters
    ----------
    min_options, max_options : int
        How many options, from 2 on. Give the same number twice to fix it.
    zeros : bool, default True
        Whether some options may have probability 0.

    Returns
    -------
    SearchStrategy of ndarray of shape (n_options,)
        Each is a vector of whole counts over its sum, and uniform and one-sided distributions
        are frequent.

    Raises
    ------
    InvalidParameterError
        If the numbers of options are not ints from 2 on, in order.

    Examples
    --------
    >>> from hypothesis import given
    >>> from pytest_pluralism.core.metrics import entropy
    >>> @given(answer_distributions(max_options=5))
    ... def test_entropy_is_bounded(p):
    ...     assert 0 <= entropy(p) <= np.log2(p.size) + 1e-9
    >>> test_entropy_is_bounded()
    """
    return _counts(min_options, max_options, zeros, "answer_distributions").map(lambda counts: counts / counts.sum())


def _counts(min_options: int, max_options: int, zeros: bool, function: str) -> st.SearchStrategy[FloatArray]:
    _sizes(min_options, max_options, 2, name="options", function=function)
    n_options = st.integers(min_options, max_options)
    even = n_options.map(np.ones)
    least = 0 if zeros else 1
    mixed = (
        st.lists(st.integers(least, 100), min_size=min_options, max_size=max_options)
        .filter(any)
        .map(lambda counts: np.array(counts, dtype=np.float64))
    )
    if not zeros:
        return st.one_of(even, mixed)
    # Drawn by chance, a distribution on one option alone would hardly ever come.
    alone = n_options.flatmap(lambda n: st.integers(0, n - 1).map(lambda option: np.eye(n)[option]))
    return st.one_of(even, alone, mixed)


@st.composite
def _surveys(
    draw: st.DrawFn,
    min_questions: int,
    max_questions: int,
    populations: Sequence[str],
    min_options: int,
    max_options: int,
    ordinal: bool,
) -> Survey:
    questions, rows = [], []
    for number in range(1, draw(st.integers(min_questions, max_questions)) + 1):
        n_options = draw(st.integers(min_options, max_options))
        question = Question(
            question_id=f"q{number}",
            text=f"Question {number}?",
            options=tuple(f"Option {place}" for place in range(1, n_options + 1)),
            positions=tuple(float(place) for place in range(n_options)) if ordinal else None,
        )
        questions.append(question)
        for population in populations:
            counts = draw(_counts(n_options, n_options, True, "surveys"))
            n_respondents = float(counts.sum())
            probabilities = tuple(float(count / n_respondents) for count in counts)
            rows.append(AnswerDistribution(question.question_id, population, probabilities, n_respondents))
    return Survey(
        name="drawn",
        questions=tuple(questions),
        distributions=tuple(rows),
        sha256=survey_sha256(questions, rows),
        source="drawn by pytest_pluralism.strategies",
        default_population=populations[0] if len(populations) == 1 else None,
    )


def surveys(
    *,
    min_questions: int = 1,
    max_questions: int = 4,
    populations: Sequence[str] = ("Everyone",),
    min_options: int = 2,
    max_options: int = 6,
    ordinal: bool = False,
) -> st.SearchStrategy[Survey]:
    """Surveys whose truth is known: every probability is a count over the number of respondents, without rounding.

    Parameters
    ----------
    min_questions, max_questions : int
        How many questions, from 1 on.
    populations : sequence of str
        The populations that answered each of them.
    min_options, max_options : int
        How many options a question has, from 2 on.
    ordinal : bool, default False
        Whether the options have positions on a scale.

    Returns
    -------
    SearchStrategy of Survey
        Records as :func:`pytest_pluralism.datasets.load_survey` makes them.

    Raises
    ------
    InvalidParameterError
        If a number is not an int, too small, or the largest is less than the smallest.
    InvalidParameterError
        If ``populations`` is empty, repeats a name, or is one string.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(surveys(populations=["Left", "Right"]))
    ... def test_every_population_answers_every_question(survey):
    ...     assert len(survey.distributions) == 2 * len(survey.questions)
    >>> test_every_population_answers_every_question()
    """
    function = "surveys"
    _sizes(min_questions, max_questions, 1, name="questions", function=function)
    _sizes(min_options, max_options, 2, name="options", function=function)
    names = tuple(populations)
    if isinstance(populations, str) or not names or len(set(names)) != len(names):
        raise invalid_parameter("populations", function, "a sequence of different names", repr(populations))
    return _surveys(min_questions, max_questions, names, min_options, max_options, ordinal)


def panels(
    *,
    min_jurors: int = 1,
    max_jurors: int = 12,
    min_responses: int = 1,
    max_responses: int = 4,
    low: float = 0.0,
    high: float = 1.0,
) -> st.SearchStrategy[FloatArray]:
    """Juries: the utility of each response for each juror.

    Parameters
    ----------
    min_jurors, max_jurors : int
        How many jurors, from 1 on.
    min_responses, max_responses : int
        How many responses they judge, from 1 on.
    low, high : float
        The range of the utilities. Utilities on a coarse grid are frequent, so that jurors often agree exactly.

    Returns
    -------
    SearchStrategy of ndarray of shape (n_jurors, n_responses)
        Utilities; higher is better.

    Raises
    ------
    InvalidParameterError
        If a number is not an int, too small, or the largest is less than the smallest.
    InvalidParameterError
        If ``low`` and ``high`` are not finite, or ``high`` is not above ``low``.

    Examples
    --------
    >>> from hypothesis import given
    >>> from pytest_pluralism.core.metrics import welfare
    >>> @given(panels())
    ... def test_nobody_is_worse_off_than_the_worst_off(utilities):
    ...     assert (welfare(utilities, alpha=0, axis=0) >= utilities.min(axis=0) - 1e-9).all()
    >>> test_nobody_is_worse_off_than_the_worst_off()
    """
    function = "panels"
    _sizes(min_jurors, max_jurors, 1, name="jurors", function=function)
    _sizes(min_responses, max_responses, 1, name="responses", function=function)
    bottom = real_number(low, name="low", function=function)
    top = real_number(high, name="high", function=function)
    if top <= bottom:
        raise invalid_parameter("high", function, f"greater than low ({low})", high)
    # The ends exactly, whatever rounding makes of the step between them.
    grid = st.integers(0, 4).map(lambda step: top if step == 4 else bottom + (top - bottom) * step / 4)
    utility = st.one_of(grid, st.floats(bottom, top, allow_subnormal=False))
    shape = st.tuples(st.integers(min_jurors, max_jurors), st.integers(min_responses, max_responses))
    return hnp.arrays(np.float64, shape, elements=utility)


def option_orders(n_options: int, /) -> st.SearchStrategy[tuple[int, ...]]:
    """Orders in which the options of a question can be shown.

    Parameters
    ----------
    n_options : int
        How many options there are.

    Returns
    -------
    SearchStrategy of tuple of int
        Entry i is the option at place i; failing examples shrink to the order of the survey.

    Raises
    ------
    InvalidParameterError
        If ``n_options`` is not an int from 1 on.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(option_orders(3))
    ... def test_every_option_is_shown_once(order):
    ...     assert sorted(order) == [0, 1, 2]
    >>> test_every_option_is_shown_once()
    """
    if isinstance(n_options, bool) or not isinstance(n_options, (int, np.integer)) or n_options < 1:
        raise invalid_parameter("n_options", "option_orders", "an int in [1, inf)", repr(n_options))
    return st.permutations(range(n_options)).map(tuple)


def reordered_surveys(survey: Survey, /) -> st.SearchStrategy[Survey]:
    """Reorderings of a survey: the options of every question in some order.

    Parameters
    ----------
    survey : Survey
        The survey to reorder.

    Returns
    -------
    SearchStrategy of Survey
        Distributions, positions and refusals go with their options; failing examples shrink to the survey itself.

    Examples
    --------
    >>> from hypothesis import given
    >>> question = Question("q", "Is it?", ("Yes", "No"))
    >>> survey = Survey("s", (question,), (AnswerDistribution("q", "Everyone", (0.5, 0.5)),), "")
    >>> @given(reordered_surveys(survey))
    ... def test_options_stay(other):
    ...     assert set(other.questions[0].options) == {"Yes", "No"}
    >>> test_options_stay()
    """
    orders = st.fixed_dictionaries(
        {question.question_id: option_orders(len(question.options)) for question in survey.questions}
    )
    return orders.map(lambda chosen: reorder_options(survey, chosen))


@dataclass(frozen=True)
class PromptParaphrase:
    r"""A change to the form of a prompt that leaves what is asked as it is.

    Call it with a prompt to get the paraphrase; examples in the prompt are rephrased alike.

    Parameters
    ----------
    lead : str
        The text before each question.
    cue : str or None
        The text that the model continues in a raw prompt; ``None`` keeps the cue of the prompt.

    Examples
    --------
    >>> PromptParaphrase(lead="Question: ")(Prompt("Is it?\nA. Yes\nB. No", ("A", "B"))).question
    'Question: Is it?\nA. Yes\nB. No'
    """

    lead: str = ""
    cue: str | None = None

    def __call__(self, prompt: Prompt, /) -> Prompt:
        """Return the paraphrase of a prompt.

        Raises
        ------
        InvalidParameterError
            If the prompt is verbatim: a published text is sent as it is or not at all.
        """
        if prompt.verbatim is not None:
            raise invalid_parameter("prompt", "PromptParaphrase", "without verbatim text", repr(prompt.verbatim)[:80])
        return dataclasses.replace(
            prompt,
            question=self.lead + prompt.question,
            examples=tuple(Turn(self.lead + turn.question, turn.answer) for turn in prompt.examples),
            cue=prompt.cue if self.cue is None else self.cue,
        )


def paraphrases(
    *, leads: Sequence[str] = LEADS, cues: Sequence[str | None] = (None, *CUES)
) -> st.SearchStrategy[PromptParaphrase]:
    """Paraphrases of a prompt: changes to its form that leave what is asked as it is.

    Parameters
    ----------
    leads : sequence of str
        Texts before a question.
    cues : sequence of str or None
        Texts that a model may continue in a raw prompt; ``None`` keeps the cue of the prompt.

    Returns
    -------
    SearchStrategy of PromptParaphrase
        Failing examples shrink to the first lead and the first cue.

    Raises
    ------
    InvalidParameterError
        If ``leads`` or ``cues`` is empty or one string.

    Examples
    --------
    >>> from hypothesis import given
    >>> prompt = Prompt("Is it?", ("A", "B"))
    >>> @given(paraphrases())
    ... def test_the_question_stays(paraphrase):
    ...     assert paraphrase(prompt).question.endswith("Is it?")
    >>> test_the_question_stays()
    """
    for name, choices in (("leads", leads), ("cues", cues)):
        if isinstance(choices, str) or not tuple(choices):
            raise invalid_parameter(name, "paraphrases", "a non-empty sequence of texts", repr(choices))
    return st.builds(PromptParaphrase, lead=st.sampled_from(tuple(leads)), cue=st.sampled_from(tuple(cues)))


# --------------------------------------------------------------------------------------- metamorphic relations


def reorder_options(survey: Survey, orders: Mapping[str, Sequence[int]], /) -> Survey:
    """Return a survey with the options of its questions in other orders.

    Parameters
    ----------
    survey : Survey
        The survey.
    orders : mapping of str to sequence of int
        For each question that changes: entry i is the option that comes to place i.

    Returns
    -------
    Survey
        With the distributions, positions and refusals in the order of their options, and a hash of its own.

    Raises
    ------
    InvalidParameterError
        If ``orders`` names a question that the survey does not have.
    InvalidParameterError
        If an order does not hold every option once.

    Examples
    --------
    >>> question = Question("q", "Is it?", ("Yes", "No", "Refused"), refusals=(2,))
    >>> survey = Survey("s", (question,), (AnswerDistribution("q", "Everyone", (0.5, 0.3, 0.2)),), "")
    >>> other = reorder_options(survey, {"q": (2, 0, 1)})
    >>> other.questions[0].options, other.questions[0].refusals, other.distributions[0].probabilities
    (('Refused', 'Yes', 'No'), (0,), (0.2, 0.5, 0.3))
    """
    known = {question.question_id for question in survey.questions}
    unknown = [question_id for question_id in orders if question_id not in known]
    if unknown:
        raise invalid_parameter("orders", "reorder_options", "about questions of the survey", repr(unknown[0]))
    questions = []
    for question in survey.questions:
        order = tuple(int(option) for option in orders.get(question.question_id, range(len(question.options))))
        if sorted(order) != list(range(len(question.options))):
            must = f"an order of the {len(question.options)} options of {question.question_id!r}"
            raise invalid_parameter("orders", "reorder_options", must, repr(order))
        positions = question.positions
        questions.append(
            dataclasses.replace(
                question,
                options=tuple(question.options[option] for option in order),
                positions=None if positions is None else tuple(positions[option] for option in order),
                refusals=tuple(place for place, option in enumerate(order) if option in question.refusals),
            )
        )
    rows = [
        dataclasses.replace(
            row,
            probabilities=tuple(
                row.probabilities[option] for option in orders.get(row.question_id, range(len(row.probabilities)))
            ),
        )
        for row in survey.distributions
    ]
    return dataclasses.replace(
        survey,
        questions=tuple(questions),
        distributions=tuple(rows),
        sha256=survey_sha256(questions, rows),
    )


def assert_same_scores(before: Scores, after: Scores, /, *, tolerance: float) -> None:
    """Assert that no unit's score changed by more than a tolerance.

    Parameters
    ----------
    before, after : Scores
        The same units, scored before and after a change that should not matter.
    tolerance : float
        The largest change that is accepted, in the units of the score.

    Raises
    ------
    AssertionError
        If a unit changed by more than ``tolerance``, or either of its scores is NaN. The message names the worst unit.
    InvalidParameterError
        If ``tolerance`` is not a finite number from 0 on.
    InvalidParameterError
        If the two are not the same units of the same measure, or one of them holds a unit twice.

    Examples
    --------
    >>> from pytest_pluralism.core.records import UnitScore
    >>> before, after = (Scores("js_distance", (UnitScore("q1", "q1", value),)) for value in (0.20, 0.21))
    >>> assert_same_scores(before, after, tolerance=0.02)
    """
    function = "assert_same_scores"
    limit = real_number(tolerance, name="tolerance", function=function)
    if limit < 0:
        raise invalid_parameter("tolerance", function, "a float in [0, inf)", tolerance)
    if before.metric != after.metric:
        raise invalid_parameter("after", function, f"scores of {before.metric}", after.metric)
    for name, scores in (("before", before), ("after", after)):
        counted = Counter((unit.unit_id, unit.population) for unit in scores.units)
        twice = next((key for key, times in counted.items() if times > 1), None)
        if twice is not None:
            # Compared by name, one of the two would hide the other.
            must = "scores in which each unit of a population occurs once"
            raise invalid_parameter(name, function, must, f"{counted[twice]} times {twice[0]!r}")
    old = {(unit.unit_id, unit.population): unit for unit in before.units}
    new = {(unit.unit_id, unit.population): unit for unit in after.units}
    if not old or old.keys() != new.keys():
        got = f"{len(new)} unit(s), of which {len(old.keys() & new.keys())} of {len(old)} are the same"
        raise invalid_parameter("after", function, "about the same units as 'before'", got)
    changes = {key: abs(new[key].value - unit.value) for key, unit in old.items()}
    # A NaN is the worst of all: it must never pass for no change.
    worst = max(changes, key=lambda key: math.inf if math.isnan(changes[key]) else changes[key])
    if changes[worst] <= limit:
        return
    count = sum(not change <= limit for change in changes.values())
    message = (
        f"{changes[worst]:.3f}, must be at most {limit:.3f}: change in {before.metric} on {worst[0]}, from "
        f"{old[worst].value:.3f} to {new[worst].value:.3f} ({count} of {len(changes)} units changed by more)"
    )
    detail = _detail("before", old[worst]) + _detail("after", new[worst])
    raise AssertionError(message + detail)


def _detail(when: str, unit: UnitScore) -> str:
    """Show what the model answered, where the score keeps it."""
    if not unit.options or len(unit.options) != len(unit.model_probabilities):
        return ""
    shown = ", ".join(
        f"{option} {probability:.2f}"
        for option, probability in zip(unit.options, unit.model_probabilities, strict=True)
    )
    return f"\n  {when:<6}  {shown}"
