"""The scores of the responses of every side, and the checks that they give together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from pytest_pluralism.core.equal import difference
from pytest_pluralism.core.records import Question, UnitScore
from pytest_pluralism.datasets.steering.file import SteeringSet
from pytest_pluralism.datasets.steering.templates import Attribute
from pytest_pluralism.datasets.steering.words import PLACEBOS
from pytest_pluralism.evaluation.steering.families import Confusion, confusion_table, difference_json
from pytest_pluralism.evaluation.steering.settings import PLACEBO, UNSTEERED

__all__ = ["Asked", "Judged", "TextBoard", "TextUnit", "as_unit_score"]


class Asked(NamedTuple):
    """One question that one side was asked in one context."""

    side: str
    context: str
    question_id: str


class Judged(NamedTuple):
    """One response, judged for an attribute."""

    asked: Asked
    draw: int
    attribute: str


@dataclass(frozen=True)
class TextUnit:
    """One attribute and question: the scores of the steered model, of the unsteered one, and of what is subtracted.

    Attributes
    ----------
    attribute : str
        The attribute.
    question : Question
        The question.
    steered : float
        The mean score of the responses that were steered to the attribute; NaN where nobody labelled them.
    unsteered : float or None
        That of the unsteered responses; ``None`` where none were written.
    over : float or None
        That of what the score must exceed; ``None`` where nothing is named.
    """

    attribute: str
    question: Question
    steered: float
    unsteered: float | None = None
    over: float | None = None

    @property
    def value(self) -> float:
        """The score, or its difference to what it must exceed."""
        return self.steered if self.over is None else float(difference(self.steered, self.over))

    @property
    def cluster(self) -> str:
        """The cluster of the question."""
        return self.question.cluster or self.question.question_id


@dataclass(frozen=True)
class TextBoard:
    """The scores of the responses of every side.

    Attributes
    ----------
    steering : SteeringSet
        Attributes and questions.
    texts : mapping of Asked to tuple of str
        The responses to each question, one for each draw.
    values : mapping of Judged to float
        The score of each response for each attribute.
    statements : mapping of (attribute, question_id) to str
        The judge of a response.
    is_preference : bool
        Whether the score is the chance that the response is preferred to the unsteered one.
    over : str or None
        The reference that the score must exceed.
    """

    steering: SteeringSet
    texts: Mapping[Asked, tuple[str, ...]]
    values: Mapping[Judged, float]
    statements: Mapping[tuple[str, str], str]
    is_preference: bool
    over: str | None

    @cached_property
    def _contexts(self) -> dict[str, dict[str, None]]:
        found: dict[str, dict[str, None]] = {}
        for asked in self.texts:
            found.setdefault(asked.side, {})[asked.context] = None
        return found

    def contexts(self, side: str, /) -> list[str]:
        """Return the contexts in which a side was asked; none where it was not asked."""
        return list(self._contexts.get(side, ()))

    def has(self, side: str, /) -> bool:
        """Return whether a side was asked."""
        return side in self._contexts

    def score(self, side: str, attribute: str, question_id: str, /) -> float:
        """Return the mean score of one side's responses to a question, judged for an attribute."""
        found = [value for context in self.contexts(side) for value in self._of(side, context, attribute, question_id)]
        if not self.is_preference or side == UNSTEERED:
            return float(np.mean(found))
        plain = self._of(UNSTEERED, "", attribute, question_id)
        return float(np.mean([_chance(one - other) for one in found for other in plain]))

    def _of(self, side: str, context: str, attribute: str, question_id: str) -> list[float]:
        asked = Asked(side, context, question_id)
        return [self.values[Judged(asked, draw, attribute)] for draw in range(len(self.texts[asked]))]

    def units(self, targets: Iterable[Attribute], /) -> list[TextUnit]:
        """Return a unit for each attribute and question that something says how to judge."""
        return [
            self._unit(target.name, question)
            for target in targets
            for question in self.steering.survey.questions
            if (target.name, question.question_id) in self.statements
        ]

    def _unit(self, name: str, question: Question) -> TextUnit:
        question_id = question.question_id
        plain = over = None
        if self.has(UNSTEERED):
            # The unsteered model is preferred to itself as often as not.
            plain = 0.5 if self.is_preference else self.score(UNSTEERED, name, question_id)
        if self.over == PLACEBO:
            over = self.placebo(name, question_id)
        elif self.over is not None:
            against_itself = self.is_preference and self.over == UNSTEERED
            over = 0.5 if against_itself else self.score(self.over, name, question_id)
        return TextUnit(name, question, self.score(name, name, question_id), plain, over)

    def placebo(self, attribute: str, question_id: str, /) -> float:
        """Return the mean score of the responses under irrelevant attributes."""
        return float(np.mean([self.score(one.name, attribute, question_id) for one in PLACEBOS]))

    def references(self, unit: TextUnit, /) -> dict[str, float]:
        """Return what other responses to the question of a unit score; of a gain only what placebos gain."""
        found = {} if unit.unsteered is None or self.over is not None else {UNSTEERED: unit.unsteered}
        if self._has_placebos() and self.over in (None, UNSTEERED):
            placebo = self.placebo(unit.attribute, unit.question.question_id)
            found[PLACEBO] = placebo if unit.over is None else float(difference(placebo, unit.over))
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _has_placebos(self) -> bool:
        return all(self.has(placebo.name) for placebo in PLACEBOS)

    # ------------------------------------------------------------------------------------------------- checks

    def placebo_mean(self, units: Sequence[TextUnit], /) -> float | None:
        """Return the mean score of the placebos; ``None`` where they were not asked or nobody labelled them."""
        if not self._has_placebos():
            return None
        values = [self.placebo(unit.attribute, unit.question.question_id) for unit in units]
        return float(np.mean(values)) if math.isfinite(math.fsum(values)) else None

    def opposites(self, targets: Iterable[Attribute], units: Sequence[TextUnit], /) -> list[dict[str, object]]:
        """Return by how much responses reflect an attribute better when steered to it than to its opposite."""
        found: list[dict[str, object]] = []
        for target in targets:
            opposite = target.opposite
            if opposite is None or not self.has(opposite):
                continue
            pairs = []
            for unit in units:
                question_id = unit.question.question_id
                # Without the check, the opposite answers its own questions only.
                everywhere = all(
                    Asked(opposite, context, question_id) in self.texts for context in self.contexts(opposite)
                )
                if unit.attribute == target.name and everywhere:
                    pairs.append((unit.steered, self.score(opposite, target.name, question_id), unit.cluster))
            pairs = [pair for pair in pairs if math.isfinite(pair[0]) and math.isfinite(pair[1])]
            if len({cluster for _, _, cluster in pairs}) < 2:
                continue
            own, other, clusters = zip(*pairs, strict=True)
            found.append({"attribute": target.name, "opposite": opposite, **difference_json(own, other, clusters)})
        return found

    def confusions(self, targets: Sequence[Attribute], /, *, is_alone: bool) -> list[Confusion]:
        """Return for each category how the responses of every steering do for every attribute."""
        tables: list[Confusion] = []
        seen = set()
        for target in targets:
            family = [one for one in self.steering.family(target) if self.has(one.name)]
            if target.category in seen or len(family) < 2:
                continue
            seen.add(target.category)
            groups = [target] if is_alone else family
            asked = [
                question
                for question in self.steering.survey.questions
                if all((one.name, question.question_id) in self.statements for one in family)
                and all(math.isfinite(self.score(s.name, g.name, question.question_id)) for s in family for g in groups)
            ]
            if asked:
                each = np.array(
                    [[[self.score(s.name, g.name, q.question_id) for q in asked] for s in family] for g in groups]
                )
                clusters = [question.cluster or question.question_id for question in asked]
                tables.append(confusion_table(target.category, groups, family, each, clusters))
        return tables


def as_unit_score(
    unit: TextUnit, references: Mapping[str, float], statement: str, response: str, /, *, is_alone: bool
) -> UnitScore:
    """Return the unit as the report and the baseline keep it."""
    question_id = unit.question.question_id
    details = {"attribute": unit.attribute, "statement": statement, "response": response, "steered": unit.steered}
    if unit.unsteered is not None:
        details["unsteered"] = unit.unsteered
    return UnitScore(
        unit_id=question_id if is_alone else f"{unit.attribute}: {question_id}",
        cluster=unit.cluster,
        value=unit.value,
        population=unit.attribute if is_alone else None,
        text=unit.question.text,
        details=details,
        references=references,
    )


def _chance(difference: float) -> float:
    """Return the chance of a preference by its log-odds (Bradley and Terry 1952)."""
    return float(1.0 / (1.0 + np.exp(-np.clip(difference, -700.0, 700.0))))
