"""Win rates of one model over another, by judges that can be replaced."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.records import Answer, EntailmentScores, Response, Scores, Window, WindowAnswer, WindowSet
from pytest_pluralism.evaluation.asking.rounds import Round
from pytest_pluralism.evaluation.overton.pairwise import Comparison, CoverageJudge, ModelJudge, PairwiseEvaluation
from pytest_pluralism.evaluation.overton.settings import OvertonSettings

WINDOWS = WindowSet(
    "test",
    tuple(
        Window(
            f"q{n}",
            f"Query {n}?",
            (WindowAnswer("a", f"Alpha holds in {n}."), WindowAnswer("b", f"Beta holds in {n}.")),
        )
        for n in range(3)
    ),
    "0",
)
WIDE = {f"q{n}": [f"Alpha holds in {n}. Beta holds in {n}."] for n in range(3)}
NARROW = {f"q{n}": [f"Alpha holds in {n}."] for n in range(3)}
MIXED = {"q0": WIDE["q0"], "q1": NARROW["q1"], "q2": ["Nothing."]}


def drive(
    evaluation: PairwiseEvaluation, prefers: Any = None, written: Mapping[str | None, str] | None = None
) -> Scores:
    running = evaluation.rounds()
    results: list[Any] | None = None
    while True:
        try:
            asked: Round = running.send(results)
        except StopIteration as stop:
            scores: Scores = stop.value
            return scores
        if asked.work == "entailment":
            results = [EntailmentScores(float(pair.hypothesis in pair.premise)) for pair in asked.requests]
        elif asked.work == "answers":
            assert asked.role == "judge_model"
            shares = [prefers(prompt.question) for prompt in asked.requests]
            results = [Answer((math.log(one), math.log(1 - one)), 1.0, "A", one) for one in shares]
        else:
            assert written is not None
            results = [(Response(written[asked.role], 3, "eos"),) * asked.n_draws for _ in asked.requests]


def values(scores: Scores) -> list[float]:
    return [unit.value for unit in scores.units]


def evaluation(
    judge: Any, mine: Mapping[str, Sequence[str]], theirs: Mapping[str, Sequence[str]]
) -> PairwiseEvaluation:
    return PairwiseEvaluation(WINDOWS, judge, OvertonSettings(), mine, theirs)


def test_the_wider_response_wins() -> None:
    found = drive(evaluation(CoverageJudge(), MIXED, NARROW))
    assert values(found) == [1.0, 0.5, 0.0]
    assert found.references["share_of_ties"] == pytest.approx(1 / 3)
    assert not found.doubt
    # The two win rates of a comparison add up to one.
    assert values(drive(evaluation(CoverageJudge(), NARROW, MIXED))) == [0.0, 0.5, 1.0]
    assert values(drive(evaluation(CoverageJudge(margin=0.6), MIXED, NARROW))) == [0.5, 0.5, 0.5]


def test_a_judge_of_coverage_that_sees_no_difference_says_nothing() -> None:
    """Every pair is a tie at a rate of .5, whatever the two models wrote."""
    nothing = {name: ["Something else."] for name in NARROW}
    refused = {name: ["I cannot say."] for name in NARROW}
    found = drive(evaluation(CoverageJudge(), nothing, refused))
    assert values(found) == [0.5, 0.5, 0.5]
    assert "preferred neither side in any of 3 pairs of different responses, as one does that sees no" in found.doubt
    assert drive(evaluation(CoverageJudge(margin=2.0), WIDE, NARROW)).doubt
    # Equal responses are ties by right.
    assert not drive(evaluation(CoverageJudge(), refused, refused)).doubt


def test_a_model_judges_in_both_orders() -> None:
    asked: list[str] = []

    def longest(question: str) -> float:
        asked.append(question)
        first, second = question.partition("Answer A: ")[2].split("\n\nAnswer B: ")
        # A liking for the letter A that is weaker than the liking for length.
        return 0.9 if len(first) >= len(second.partition("\n\n")[0]) else 0.3

    assert values(drive(evaluation(ModelJudge(), MIXED, NARROW), longest)) == [1.0, 0.5, 0.0]
    assert len(asked) == 6
    # A judge that always says A likes nobody more.
    assert values(drive(evaluation(ModelJudge(), WIDE, NARROW), lambda question: 0.95)) == [0.5, 0.5, 0.5]


def test_what_stands_in_a_response_is_no_place() -> None:
    comparison = Comparison(WINDOWS.windows[0], "A {second} of {query}", "B")
    (asked,) = [ModelJudge().judge([comparison])]
    prompts = next(asked).requests
    assert "Answer A: A {second} of {query}\n\nAnswer B: B" in prompts[0].question
    assert "Answer A: B\n\nAnswer B: A {second} of {query}" in prompts[1].question


def test_both_models_can_be_asked() -> None:
    settings = OvertonSettings(n_draws=2)
    running = PairwiseEvaluation(WINDOWS, CoverageJudge(), settings)
    said: dict[str | None, str] = {"language_model": "Alpha holds in 1.", "reference_language_model": "No."}
    found = drive(running, written=said)
    assert values(found) == [0.5, 1.0, 0.5]
    assert found.units[1].details["outcomes"] == [1, 1]


def test_bad_input() -> None:
    with pytest.raises(DatasetError, match="'q0' has 2 responses of one model and 1 of the other"):
        drive(evaluation(CoverageJudge(), {**WIDE, "q0": ["x", "y"]}, NARROW))
    with pytest.raises(DatasetError, match="lack 1 of 3 queries: 'q1'"):
        drive(evaluation(CoverageJudge(), {"q0": ["x"], "q2": ["x"]}, NARROW))
    with pytest.raises(InvalidParameterError, match="'margin' parameter of CoverageJudge"):
        CoverageJudge(margin=-1)
    with pytest.raises(InvalidParameterError, match="'margin' parameter of ModelJudge"):
        ModelJudge(margin=0.5)
    with pytest.raises(InvalidParameterError, match=r"a text with \{first\} in it"):
        ModelJudge(question="{query}")


# ----------------------------------------------------------------------------------------------- equal is equal


CLAIMS = tuple(Window(f"q{n}", f"Query {n}?", tuple(WindowAnswer(str(k), f"Claim {n}{k}.") for k in range(5)))
               for n in range(3))  # fmt: skip


def holding(*counts: int) -> dict[str, list[str]]:
    return {f"q{n}": [" ".join(f"Claim {n}{k}." for k in range(held)) or "No."] for n, held in enumerate(counts)}


def rated(judge: Any, mine: Mapping[str, Sequence[str]], theirs: Mapping[str, Sequence[str]], prefers: Any = None):
    windows = WindowSet("claims", CLAIMS, "0")
    return values(drive(PairwiseEvaluation(windows, judge, OvertonSettings(), mine, theirs), prefers))


COUNTS = st.tuples(*[st.integers(0, 5)] * 3)


@settings(max_examples=40, deadline=None)
@given(COUNTS, COUNTS, st.integers(0, 5))
def test_the_win_rates_of_two_sides_add_up_to_one(mine: Any, theirs: Any, steps: int) -> None:
    judge = CoverageJudge(margin=steps / 5)
    won = rated(judge, holding(*mine), holding(*theirs))
    # A difference of as many answers as the margin says is a tie, in both directions.
    assert won == [0.5 if abs(a - b) <= steps else float(a > b) for a, b in zip(mine, theirs, strict=True)]
    assert [a + b for a, b in zip(won, rated(judge, holding(*theirs), holding(*mine)), strict=True)] == [1.0] * 3
    assert rated(judge, holding(*mine), holding(*mine)) == [0.5] * 3


@settings(max_examples=100, deadline=None)
@given(COUNTS, COUNTS, st.one_of(st.integers(1, 99).map(lambda k: k / 100), st.floats(0.001, 0.999)))
def test_a_judge_that_always_says_the_same_prefers_nothing(mine: Any, theirs: Any, share: float) -> None:
    assert rated(ModelJudge(), holding(*mine), holding(*theirs), lambda question: share) == [0.5] * 3
    windows = WindowSet("claims", CLAIMS, "0")
    found = drive(PairwiseEvaluation(windows, ModelJudge(), OvertonSettings(), holding(*mine), holding(*theirs)),
                  lambda question: share)  # fmt: skip
    # Equal responses are ties by right; of others a judge that sees no difference says nothing.
    assert bool(found.doubt) == (mine != theirs)


@settings(max_examples=40, deadline=None)
@given(COUNTS, COUNTS, st.integers(1, 9), st.integers(1, 9))
def test_a_model_that_judges_gives_rates_that_add_up_to_one(mine: Any, theirs: Any, first: int, second: int) -> None:
    def prefers(question: str) -> float:
        one, two = question.partition("Answer A: ")[2].split("\n\nAnswer B: ")
        return (first if len(one) > len(two.partition("\n\n")[0]) else second) / 10

    for margin in (0.0, 0.1, 0.2):
        judge = ModelJudge(margin=margin)
        there = rated(judge, holding(*mine), holding(*theirs), prefers)
        back = rated(judge, holding(*theirs), holding(*mine), prefers)
        assert [a + b for a, b in zip(there, back, strict=True)] == [1.0] * 3
