"""Coverage of responses that were written earlier."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.records import EntailmentPair, EntailmentScores, Scores
from pytest_pluralism.evaluation.asking.rounds import Round, drive
from pytest_pluralism.evaluation.overton.coverage import OvertonEvaluation
from pytest_pluralism.evaluation.overton.false_balance import FalseBalanceEvaluation

__all__ = ["score_responses"]


def score_responses(
    evaluation: OvertonEvaluation | FalseBalanceEvaluation,
    entail: Callable[[Sequence[EntailmentPair]], Sequence[EntailmentScores]],
    /,
) -> Scores:
    """Score recorded responses with any judge of entailment: for a notebook, or a judge of one's own.

    Parameters
    ----------
    evaluation : OvertonEvaluation or FalseBalanceEvaluation
        With ``responses``; no model writes any here.
    entail : callable
        Gives one :class:`~pytest_pluralism.core.records.EntailmentScores` for each pair, in their order, such as the
        method ``entail`` of an entailment model.

    Returns
    -------
    Scores
        As in a test run.

    Raises
    ------
    InvalidParameterError
        The evaluation has no recorded responses, or ``entail`` does not give one score a pair.
    """
    if evaluation.responses is None:
        must = "an evaluation with recorded responses"
        raise invalid_parameter("evaluation", "score_responses", must, f"{type(evaluation).__name__} without them")

    def answered(asked: Round) -> list[EntailmentScores]:
        results = list(entail(asked.requests_as(EntailmentPair)))
        if len(results) != len(asked.requests):
            must = f"a callable that gives one score a pair ({len(asked.requests)})"
            raise invalid_parameter("entail", "score_responses", must, f"{len(results)} scores")
        return results

    return drive(evaluation.rounds(), answered)
