"""Steering whose answers are only known within bounds: the least and the most that each score and guard may be."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from pytest_pluralism.core.estimation.left_open import Bounds, around
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import AnswerDistribution, UnitScore
from pytest_pluralism.datasets.steering.words import PLACEBOS
from pytest_pluralism.evaluation.steering.board import Board
from pytest_pluralism.evaluation.steering.settings import PLACEBO, Side
from pytest_pluralism.evaluation.surveys.answered import kept_options
from pytest_pluralism.evaluation.surveys.left_open import (
    MOST_OPTIONS,
    corners,
    entropy_ends,
    farthest,
    inside,
    linear_bounds,
    of_kept,
    radius,
)

__all__ = ["LeftOpen", "left_open_units"]

#: So close to one another two shares are equal when the commonest option is looked for.
EQUAL = 1e-9


class LeftOpen:
    """The bounds of all that a :class:`Board` scores.

    Parameters
    ----------
    board : Board
        The scores at the middles of the bounds.
    """

    def __init__(self, board: Board, /) -> None:
        self.board = board
        self.is_open = any(one.bounds for side in board.found.values() for one in side.values())

    def answer(self, side: Side, context: str, question_id: str) -> Bounds:
        """Return the bounds of the shares of options, without the refusals that are kept apart."""
        found = self.board.found[side, context][question_id]
        question = self.board.questions.get(question_id)
        kept = list(range(len(found.probabilities))) if question is None else kept_options(question)
        return found.share_bounds if len(kept) == len(found.probabilities) else of_kept(found.share_bounds, kept)

    def mean_answer(self, side: Side, question_id: str) -> Bounds:
        """Return the same in the mean over contexts."""
        each = [self.answer(side, context, question_id) for context in self.board.contexts(side)]
        return [(float(low), float(high)) for low, high in np.mean(np.asarray(each), axis=0)]

    # ------------------------------------------------------------------------------------------------------ scores

    def score(self, row: AnswerDistribution, bounds: Bounds) -> tuple[float, float]:
        """Return the least and the most that an answer within bounds may score."""
        board, people = self.board, self.board.reference(row)
        kind = board.settings.score
        if kind == "js":
            return self._similarity(row, bounds)
        if kind == "wasserstein":
            return self._along(row, bounds)
        if kind == "mode":
            least = max(low for low, _ in bounds)
            modes = [place for place, (_, high) in enumerate(bounds) if high >= least - EQUAL]
            scores = [board.score(row, np.eye(len(people))[place]) for place in modes]
            if len(scores) == 1 or not any(scores):
                return scores[0], scores[0]
            return 0.0, 1.0
        return linear_bounds(people, bounds)

    def _similarity(self, row: AnswerDistribution, bounds: Bounds) -> tuple[float, float]:
        """Return the bounds of 1 less the distance, which is quasi-convex in the shares."""
        people = self.board.reference(row)
        most = self.board.score(row, inside(people, bounds))
        if len(bounds) > MOST_OPTIONS:
            # The distance is a metric, and at most the root of the total variation distance.
            widths = np.asarray(bounds)[:, 1] - np.asarray(bounds)[:, 0]
            least = most - float(np.sqrt(min(1.0, widths.sum() / 2.0)))
            return max(0.0, least), most
        return min([most, *(self.board.score(row, one / one.sum()) for one in corners(bounds))]), most

    def _along(self, row: AnswerDistribution, bounds: Bounds) -> tuple[float, float]:
        """Return the bounds of 1 less the distance along the places of options, by those of each cumulative share."""
        people, places = self.board.reference(row), self.board.places(row)
        order = np.argsort(places, kind="stable")
        sorted_bounds = [bounds[place] for place in order.tolist()]
        steps = np.diff(places[order])
        nearest = farthest = 0.0
        for place, step in enumerate(steps.tolist()):
            upto = (np.arange(len(people)) <= place).astype(np.float64)
            low, high = linear_bounds(upto, sorted_bounds)
            theirs = float(people[order][: place + 1].sum())
            nearest += step * max(low - theirs, theirs - high, 0.0)
            farthest += step * max(abs(low - theirs), abs(high - theirs))
        length = float(places.max() - places.min())
        return max(0.0, 1.0 - farthest / length), 1.0 - nearest / length

    def of(self, side: Side, rows: Sequence[AnswerDistribution]) -> FloatArray:
        """Return the bounds of the scores of one side over its contexts, shape (2, n_rows)."""
        contexts = self.board.contexts(side)
        each = np.array(
            [
                [self.score(row, self.answer(side, context, row.question_id)) for row in rows]
                for context in contexts
            ]
        ).transpose(2, 0, 1)  # fmt: skip
        across = self.board.settings.across
        if across == "best_per_question":
            found = each.max(axis=1)
        elif across == "best_per_group":
            # Any context may be the best that could be as good as the one that is surely the best.
            means = each.mean(axis=2)
            may = means[1] >= means[0].max() - EQUAL
            found = np.array([each[0][may].min(axis=0), each[1][may].max(axis=0)])
        else:
            found = each.mean(axis=1)
        middle = self.board.of(side, rows)
        return np.array([np.minimum(found[0], middle), np.maximum(found[1], middle)])

    def of_side(self, side: str, rows: Sequence[AnswerDistribution]) -> FloatArray:
        """Return the same; of ``placebo`` the mean over all placebos."""
        if side == PLACEBO:
            return np.asarray(np.mean([self.of(placebo.name, rows) for placebo in PLACEBOS], axis=0))
        return self.of(side, rows)

    def shuffled(self, side: str, row: AnswerDistribution) -> float:
        """Return by how much the mean score of permuted answers may differ from the one at the middles."""
        if side == PLACEBO:
            return float(np.mean([self.shuffled(placebo.name, row) for placebo in PLACEBOS]))
        bounds = self.mean_answer(side, row.question_id)
        ours = self.board.mean_answer(side, row.question_id)
        kind = self.board.settings.score
        if kind == "js":
            return radius(ours, bounds)
        away = farthest(ours, bounds)
        # Mass that moves, moves along the whole scale at most, or to the likeliest option of the people.
        return min(1.0, away) if kind != "mode" else float(away > 0.0)

    # ------------------------------------------------------------------------------------------------------ guards

    def entropy(self, row: AnswerDistribution, bounds: Bounds) -> tuple[float, float]:
        """Return the bounds of the entropy."""
        del row
        return entropy_ends(bounds)

    def spread(self, row: AnswerDistribution, bounds: Bounds) -> tuple[float, float]:
        """Return the bounds of the variance along the places of options, which is concave in the shares."""
        places = self.board.places(row)
        ends = linear_bounds(places, bounds)
        # A variance is at most the mean square around any place; the best of a few is taken.
        most = min(linear_bounds((places - centre) ** 2, bounds)[1] for centre in np.linspace(*ends, 5).tolist())
        if len(bounds) > MOST_OPTIONS:
            return 0.0, most
        return min([most, *(self.board.spread(row, one / one.sum()) for one in corners(bounds))]), most

    def along(self, side: Side, question_id: str, worth: FloatArray) -> tuple[float, float]:
        """Return the bounds of the mean worth of an answer, whose options have these worths."""
        return linear_bounds(worth, self.mean_answer(side, question_id))


def left_open_units(
    left: LeftOpen,
    name: str,
    rows: Sequence[AnswerDistribution],
    units: Sequence[UnitScore],
    /,
    *,
    over: str | None,
    beside: Sequence[str],
) -> list[UnitScore]:
    """Return the units of an attribute with the bounds of their values, and of the sides that stand beside them.

    Parameters
    ----------
    left : LeftOpen
        The bounds.
    name : str
        The attribute.
    rows : sequence of AnswerDistribution
        The answers that it is compared with, one for each unit.
    units : sequence of UnitScore
        Its units.
    over : str or None
        The side whose scores are subtracted.
    beside : sequence of str
        The sides whose scores are references.
    """
    ends = left.of(name, rows)
    if over is not None:
        ends = ends - left.of_side(over, rows)[::-1]
    sides = {side: left.of_side(side, rows) for side in beside}
    found = []
    for place, (unit, row) in enumerate(zip(units, rows, strict=True)):
        references = {side: (float(one[0, place]), float(one[1, place])) for side, one in sides.items()}
        if "shuffle" in unit.references:
            away = left.shuffled(name, row) + (left.shuffled(over, row) if over is not None else 0.0)
            references["shuffle"] = (unit.references["shuffle"] - away, unit.references["shuffle"] + away)
        bounds = around(unit.value, (float(ends[0, place]), float(ends[1, place])))
        found.append(dataclasses.replace(unit, bounds=bounds, reference_bounds=references))
    return found
