"""Bounds beside steering faithfulness: the spread of a group, and how far a group and its opposite part.

A model that answers as the commonest member of a group can be faithful by its modes and still flatten the group; one
that parts the groups the wrong way round can be close to both. Each bound is a guard: the promise passes only where it
is shown to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.estimation.at_level import as_difference
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.estimation.left_open import Bounds, around, difference_bounds, with_bounds
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.core.metrics.distributional import entropy
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import AnswerDistribution, Estimate, Gate
from pytest_pluralism.core.records.scores import Guard
from pytest_pluralism.evaluation.steering.board import Board
from pytest_pluralism.evaluation.steering.left_open import LeftOpen

__all__ = ["BOUNDS", "SteeringBounds", "check_bounds", "guards_of"]

#: The keywords of the marker, each with the field of :class:`SteeringBounds` that it sets.
BOUNDS = {
    "least_entropy_ratio": "entropy_ratio",
    "least_spread_ratio": "spread_ratio",
    "least_contrast": "contrast",
}


@dataclass(frozen=True)
class SteeringBounds:
    """Bounds that must hold beside a promise about steering faithfulness.

    Attributes
    ----------
    entropy_ratio : float or None
        The least entropy of the steered answers, as a share of that of the people; above 0.
    spread_ratio : float or None
        The least variance of the steered answers along the options, as a share of that of the people; above 0.
    contrast : float or None
        How far steering to an attribute and to its opposite must at least part the answers, where the people are 1
        apart.
    """

    entropy_ratio: float | None = None
    spread_ratio: float | None = None
    contrast: float | None = None

    def __bool__(self) -> bool:
        return any(bound is not None for bound in (self.entropy_ratio, self.spread_ratio, self.contrast))


def check_bounds(bounds: SteeringBounds, gate: Gate | None, *, kind: str, can_contrast: bool) -> None:
    """Refuse bounds that say nothing, or that the data cannot show.

    Parameters
    ----------
    bounds : SteeringBounds
        The bounds.
    gate : Gate or None
        The promise that they stand beside.
    kind : str
        The kind of the steering set.
    can_contrast : bool
        Whether an attribute with an opposite is asked, and its opposite with it.

    Raises
    ------
    InvalidParameterError
        If one of them is wrong.
    """
    for keyword, field in BOUNDS.items():
        bound = getattr(bounds, field)
        if bound is None:
            continue
        if not is_number(bound) or (field != "contrast" and bound <= 0):
            must = "a finite number" + ("" if field == "contrast" else " above 0")
            raise invalid_parameter(keyword, "steering_faithfulness", must, repr(bound)[:60])
        if field != "contrast" and kind != "distribution":
            raise InvalidParameterError(
                f"{keyword}={bound!r} compares with how people of a group differ, and this set has one right answer "
                "each. Leave it out."
            )
        if gate is not None and not gate.bounds_value:
            raise InvalidParameterError(
                f"{keyword}={bound!r} stands beside a promise about the value. Give at_least or better_than, too."
            )
    if bounds.contrast is not None and not can_contrast:
        raise InvalidParameterError(
            f"least_contrast={bounds.contrast!r} needs an attribute with an 'opposite' that people answer for, and the "
            "check 'family'. Name such an attribute, or leave it out."
        )


def guards_of(board: Board, bounds: SteeringBounds, /) -> tuple[Guard, ...]:
    """Return what must hold beside a promise, each as a number that must not be below 0."""
    return tuple(_guards(board, bounds, LeftOpen(board)))


def _guards(board: Board, bounds: SteeringBounds, left: LeftOpen) -> Iterator[Guard]:
    if bounds.entropy_ratio is not None:
        words = f"the entropy of the steered answers less {bounds.entropy_ratio:g} of the people's (bits)"
        yield _ratio(left, bounds.entropy_ratio, words, lambda row, answer: float(entropy(answer)), left.entropy)
    if bounds.spread_ratio is not None:
        words = f"the variance of the steered answers along the options less {bounds.spread_ratio:g} of the people's"
        yield _ratio(left, bounds.spread_ratio, words, board.spread, left.spread)
    if bounds.contrast is not None:
        yield Guard(f"the contrast to the opposite less {bounds.contrast:g}", _beyond(left, bounds.contrast))


def _ratio(
    left: LeftOpen,
    bound: float,
    words: str,
    of: Callable[[AnswerDistribution, FloatArray], float],
    bounds_of: Callable[[AnswerDistribution, Bounds], tuple[float, float]],
) -> Guard:
    board = left.board
    rows = [(name, row) for name, mine in board.units.items() for row in mine]
    ours = [of(row, board.mean_answer(name, row.question_id)) for name, row in rows]
    theirs = [bound * of(row, board.reference(row)) for _, row in rows]
    ends: list[tuple[float, float]] = []
    if left.is_open:
        each = (bounds_of(row, left.mean_answer(name, row.question_id)) for name, row in rows)
        ends = [around(value, one) for value, one in zip(ours, each, strict=True)]
    found = compare_paired(ours, theirs, clusters=_clusters(board, rows))
    return Guard(words, as_difference(with_bounds(found, difference_bounds(ours, ends, theirs, []))))


def _clusters(board: Board, rows: Sequence[tuple[str, AnswerDistribution]]) -> list[str]:
    return [board.questions[row.question_id].cluster or row.question_id for _, row in rows]


def _beyond(left: LeftOpen, bound: float) -> Estimate:
    r"""Estimate by how much the contrast exceeds a bound.

    .. math:: \frac{\sum_q (m_q \cdot p_q - c\, p_q \cdot p_q)}{\sum_q p_q \cdot p_q}

    with how the answers of the model, m, and of the people, p, part at question q, and the bound c. By question it is
    the residual of a ratio, so that questions on which the people part far do not widen the interval.
    """
    board = left.board
    rows, along, lengths, ends = [], [], [], []
    for name, opposite, mine, theirs in board.parted():
        for row in mine:
            people = board.reference(row) - board.reference(theirs[row.question_id])
            model = board.mean_answer(name, row.question_id) - board.mean_answer(opposite, row.question_id)
            rows.append((name, row))
            along.append(float(model @ people))
            lengths.append(float(people @ people))
            if left.is_open:
                least, most = left.along(name, row.question_id, people)
                lowest, highest = left.along(opposite, row.question_id, people)
                ends.append(around(along[-1], (least - highest, most - lowest)))
    length = float(np.mean(lengths)) if lengths else 0.0
    if length <= 0.0:
        raise InvalidParameterError(
            "least_contrast compares with how far people of an attribute and of its opposite part, and here they do "
            "not. Leave it out."
        )
    asked = [bound * one / length for one in lengths]
    ours = [one / length for one in along]
    open_ = [(low / length, high / length) for low, high in ends]
    found = compare_paired(ours, asked, clusters=_clusters(board, rows))
    return as_difference(with_bounds(found, difference_bounds(ours, open_, asked, [])))
