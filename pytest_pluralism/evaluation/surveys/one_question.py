"""A survey of one question: its populations move together, so that wordings and seeds carry the interval."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from pytest_pluralism.core.records import Drawn, Scores, Survey, UnitScore
from pytest_pluralism.evaluation.asking.rounds import Round, Rounds
from pytest_pluralism.evaluation.surveys.asking import AskSettings, Requests, requests
from pytest_pluralism.evaluation.surveys.distance import scores

__all__ = ["OneQuestionEvaluation"]


@dataclass(frozen=True)
class OneQuestionEvaluation:
    r"""The distances of a model to every population of one question, asked in several wordings and under several seeds.

    .. math:: \bar d = \frac{1}{W S P} \sum_w \sum_s \sum_p d_{wsp}

    A unit is a population under one wording and one seed. All populations of one asking share its answers, so that the
    askings are the clusters: the wordings where there are several, else the seeds.

    Attributes
    ----------
    survey : Survey
        One question, and the populations that answered it.
    settings : AskSettings
        How it is asked; its seed is the first one.
    seeds : int
        How many consecutive seeds, in [1, inf).
    wordings : tuple of str
        Other texts of the question, beside that of the survey.
    """

    survey: Survey
    settings: AskSettings
    seeds: int = 1
    wordings: tuple[str, ...] = ()
    #: Answers that leave probabilities open are carried into the values.
    carries_bounds: ClassVar[bool] = True

    def rounds(self) -> Rounds:
        """Ask in all ways at once, and score each."""
        ways = self._ways()
        asked = [one for _, one in ways]
        prompts = tuple(prompt for one in asked for prompt in one.prompts)
        answers = iter((yield Round("answers", prompts, prompts_each=self.settings.repetitions)))
        found = [
            (cluster, scores(one, list(itertools.islice(answers, len(one.items))), population=None))
            for cluster, one in ways
        ]
        return self._joined(found)

    def _ways(self) -> list[tuple[tuple[int, int], Requests]]:
        """Return the wording and the seed of each asking, counted from 1, and what it asks."""
        (question,) = self.survey.questions
        return [
            (
                (wording, number + 1),
                requests(
                    replace(self.survey, questions=(replace(question, text=text),)),
                    replace(self.settings, seed=self.settings.seed + number),
                ),
            )
            for wording, text in enumerate((question.text, *self.wordings), start=1)
            for number in range(self.seeds)
        ]

    def _joined(self, found: Sequence[tuple[tuple[int, int], Scores]]) -> Scores:
        units = tuple(
            _unit_of_way(unit, wording, seed, many=bool(self.wordings))
            for (wording, seed), scored in found
            for unit in scored.units
        )
        first = found[0][1]
        warnings = tuple(dict.fromkeys(warning for _, scored in found for warning in scored.warnings))
        if not self.wordings:
            warnings += ("one wording: the interval carries seeds and orders, and nothing of other wordings",)
        return replace(
            first,
            units=units,
            references=_means([scored.references for _, scored in found]),
            warnings=warnings,
            shared="",
            drawn=_drawn([scored.drawn for _, scored in found if scored.drawn is not None]),
            doubt=next((scored.doubt for _, scored in found if scored.doubt), ""),
        )


def _drawn(ways: Sequence[Drawn]) -> Drawn | None:
    """Return the draws of all askings, which are drawn one by one."""
    if not ways:
        return None
    variance = sum(one.variance or 0.0 for one in ways) / len(ways) ** 2
    mean = sum(one.mean for one in ways) / len(ways)
    return replace(ways[0], fewest=min(one.fewest for one in ways), mean=mean, variance=variance)


def _unit_of_way(unit: UnitScore, wording: int, seed: int, *, many: bool) -> UnitScore:
    way = f"wording {wording}, seed {seed}" if many else f"seed {seed}"
    cluster = f"wording {wording}" if many else f"seed {seed}"
    return replace(unit, unit_id=f"{unit.unit_id} ({way})", cluster=cluster)


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
