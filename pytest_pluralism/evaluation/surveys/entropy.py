"""The entropy of a model's answers: a sharpened model is sure of one answer where people disagree.

The questions are asked as for the distance to a population, so that a run with both asks them once.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.core.records import Survey, UnitScore
from pytest_pluralism.core.records.measures import Measure, Term
from pytest_pluralism.core.words import ANSWER_FACTS, UNIT_COLUMNS
from pytest_pluralism.datasets.surveys.answer_keys import AnswerKey
from pytest_pluralism.evaluation.asking.meanings import Meanings, NamedRequests
from pytest_pluralism.evaluation.asking.rounds import Rounds
from pytest_pluralism.evaluation.measures.planning import PlannedGate, Planning
from pytest_pluralism.evaluation.surveys.asking import AskSettings
from pytest_pluralism.evaluation.surveys.distance import DistributionalEvaluation
from pytest_pluralism.evaluation.surveys.left_open import entropy_bounds
from pytest_pluralism.evaluation.surveys.planner import ASKING, ENTROPIES, OF_WORDS, asked_survey, key_of, source_of

__all__ = ["DATASET", "EXAMPLE", "KEYWORDS", "MEASURE", "AnswerEntropyEvaluation", "plan"]

MEASURE = Measure(
    "answer_entropy",
    "higher",
    "answer entropy",
    "Shannon entropy, in bits, of the answers of a model to the questions of a survey",
    lowest=0.0,
    references=(Term("people", "people"), Term("uniform", "uniform")),
    beside="people",
    columns=(*ENTROPIES, *UNIT_COLUMNS),
    facts=ANSWER_FACTS,
)

KEYWORDS = ("population", "refusals", *ASKING, *OF_WORDS)

DATASET = "the name or file of a survey"
EXAMPLE = "gss"


@dataclass(frozen=True)
class AnswerEntropyEvaluation:
    r"""The Shannon entropy of the answers to each question, in bits: one round of answers.

    .. math:: H(p) = -\sum_i p_i \log_2 p_i

    in [0, log2 of the number of options]; higher is more spread out. The entropy of the population's answers to the
    same questions stands beside it as ``people``, that of an even answer as ``uniform``.
    """

    survey: Survey
    settings: AskSettings
    population: str
    #: The texts by which answers in free text are read.
    key: AnswerKey | None = None
    #: Answers that leave probabilities open are carried into the values.
    carries_bounds: ClassVar[bool] = True

    @property
    def _distance(self) -> DistributionalEvaluation:
        return DistributionalEvaluation(self.survey, self.settings, self.population, self.key)

    def meanings(self) -> Meanings:
        """Return what the labels of each request stand for."""
        return self._distance.meanings()

    def names(self) -> NamedRequests:
        """Yield what is asked with the names of its questions."""
        return self._distance.names()

    def later(self) -> dict[str, int]:
        """Return how many comparisons of texts may come after answers in free text."""
        return self._distance.later()

    def rounds(self) -> Rounds:
        """Ask as the distance does, and score the entropy."""
        found = yield from self._distance.bare()
        units = tuple(
            dataclasses.replace(
                unit,
                value=unit.details["model_entropy"],
                bounds=entropy_bounds(unit, unit.details["share_bounds"]) if unit.bounds else (),
                references={"uniform": math.log2(len(unit.options))},
            )
            for unit in found.units
        )
        drawn = found.drawn
        if drawn is not None:
            variance = math.fsum(_variance_of_drawing(unit) for unit in units) / len(units) ** 2
            drawn = dataclasses.replace(drawn, variance=variance, corrected=True)
        return dataclasses.replace(
            found,
            metric="answer_entropy",
            units=units,
            references={
                "people": float(np.mean([unit.details["reference_entropy"] for unit in units])),
                "uniform": float(np.mean([math.log2(len(unit.options)) for unit in units])),
            },
            drawn=drawn,
        )


def _variance_of_drawing(unit: UnitScore) -> float:
    r"""Return the variance of an entropy of sampled answers, :math:`(\sum_i p_i \log_2^2 p_i - H^2) / n`."""
    shares = np.array([share for share in unit.model_probabilities if share > 0.0])
    logs = np.log2(shares)
    spread = float(shares @ logs**2) - float(shares @ logs) ** 2
    return max(spread, 0.0) / float(unit.details.get("n_draws", math.inf))


def plan(planning: Planning, /) -> list[PlannedGate]:
    """Return the gate: one, since the entropy of a model's answers does not depend on a population.

    Raises
    ------
    PluralismError
        The survey or the population is wrong, or a question cannot be asked.
    """
    survey, populations, asking, settings = asked_survey(planning)
    if len(populations) != 1 or populations[0] is None:
        raise DatasetError(
            "answer_entropy is about the model alone and takes one population, whose questions are asked: "
            f"{survey.name} gives {len(populations) if populations != [None] else len(survey.populations)}. "
            'Name one with population="...", in a survey of several questions.'
        )
    if asking is None:
        return []
    key = key_of(planning, asking)
    settings |= {} if key is None else {"answer_key_sha256": key.sha256}
    return [
        planning.planned(
            AnswerEntropyEvaluation(survey, asking, populations[0], key),
            source=source_of(survey),
            settings={**settings, "people": populations[0]},
        )
    ]
