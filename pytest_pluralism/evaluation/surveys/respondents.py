"""Distances of answers to those of people of whom only a sample was asked, and what that makes of the references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_pluralism.core.estimation.people import CorrectedDistances, correct_for_respondents
from pytest_pluralism.core.metrics import jensen_shannon_distance, sampling_floor
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import AnswerDistribution, Survey
from pytest_pluralism.evaluation.surveys.answered import kept_options, over_kept

__all__ = ["Comparison", "Distances", "asked_of"]

#: As many respondents as this stand for everybody, whose answers are known exactly.
EVERYBODY = 1e9

#: One question's answers.
Answers = Sequence[float] | FloatArray


def asked_of(survey: Survey, rows: Sequence[AnswerDistribution], /) -> list[float | None]:
    """Return how many people each row stands for: the effective number where it is known, without those who refused.

    ``None`` stands for a row that does not say it.
    """
    questions = {question.question_id: question for question in survey.questions}
    found: list[float | None] = []
    for row in rows:
        question = questions[row.question_id]
        asked = row.n_effective or row.n_respondents
        refused = over_kept(question, row.probabilities, kept_options(question))[1]
        found.append(asked * (1.0 - refused) if asked else None)
    return found


@dataclass(frozen=True, eq=False)
class Distances:
    """Distances of several questions, less what the people's sampling adds where that is known.

    Attributes
    ----------
    values, uncorrected, standard_errors, floors : numpy.ndarray, shape (n_questions,)
        As in :class:`~pytest_pluralism.core.estimation.people.CorrectedDistances`; an unknown error is 0, and an
        unknown floor NaN.
    n_unknown : int
        The number of questions that are not corrected, because nobody knows how many people answered.
    model_errors : numpy.ndarray, shape (n_questions,)
        The part of ``standard_errors`` that sampled answers of the model make.
    """

    values: FloatArray
    uncorrected: FloatArray
    standard_errors: FloatArray
    floors: FloatArray
    n_unknown: int
    model_errors: FloatArray

    @property
    def _corrected(self) -> CorrectedDistances:
        return CorrectedDistances(self.values, self.uncorrected, self.standard_errors, self.floors, self.model_errors)

    @property
    def shared_variance(self) -> float:
        """The variance of the mean that the same people may add by answering all questions."""
        return self._corrected.shared_variance

    @property
    def drawn_variance(self) -> float:
        """The variance of the mean that comes from drawing the answers of the model."""
        return self._corrected.drawn_variance

    def references(self) -> dict[str, float]:
        """Return the distance before the correction, and what a model that answers as the population does would get."""
        found = {"uncorrected": float(self.uncorrected.mean())} if (self.values != self.uncorrected).any() else {}
        return found if np.isnan(self.floors).any() else {**found, "sampling_floor": float(self.floors.mean())}

    def warnings(self, *, of: str) -> list[str]:
        """Return what is to be said of questions, or populations, whose sample of people is of unknown size."""
        if not self.n_unknown:
            return []
        told = f"{self.n_unknown} of {len(self.values)} {of} do not say how many people answered (n_respondents)"
        return [f"{told}: their distances are not corrected for the sample, and the interval does not hold its error"]


@dataclass(frozen=True)
class Comparison:
    """The comparison of answers with those of people.

    Attributes
    ----------
    base : float
        Of the logarithm.
    corrected : bool
        Whether distances are corrected for the number of people who answered; the published protocols do not.
    """

    base: float = 2.0
    corrected: bool = True

    def distances(
        self,
        model: Sequence[Answers],
        people: Sequence[Answers],
        asked: Sequence[float | None],
        /,
        *,
        of_model: Sequence[float | None] | None = None,
    ) -> Distances:
        """Return the distance of each question.

        Parameters
        ----------
        model, people : sequence of sequences of float
            The answers of both sides to each question.
        asked : sequence of float or None
            How many people answered each question; ``None``: nobody knows.
        of_model : sequence of float or None, optional
            The same of the other side, where that is people too, or a model whose answers were sampled; infinite where
            its probabilities are known.
        """
        n = len(model)
        values, errors, floors = np.zeros(n), np.zeros(n), np.full(n, np.nan)
        raw, drawn = np.zeros(n), np.zeros(n)
        others = [np.inf] * n if of_model is None else of_model
        pairs = list(zip(asked, others, strict=True))
        unknown = [ours is None or theirs is None or min(ours, theirs) <= 1.0 for ours, theirs in pairs]
        # The bias of sampled answers is taken out although nobody says how many people answered.
        known = [
            self.corrected and (not missing or (ours is None and theirs is not None and 1.0 < theirs < np.inf))
            for missing, (ours, theirs) in zip(unknown, pairs, strict=True)
        ]
        # One array for all questions with as many options.
        groups: dict[tuple[int, bool, bool], list[int]] = {}
        for place, answers in enumerate(people):
            exact = others[place] == np.inf
            groups.setdefault((len(answers), known[place], exact), []).append(place)
        for (_, is_known, exact), places in groups.items():
            left = np.array([model[place] for place in places], dtype=np.float64)
            right = np.array([people[place] for place in places], dtype=np.float64)
            if not is_known:
                raw[places] = values[places] = np.asarray(jensen_shannon_distance(left, right, base=self.base))
                for place in places:
                    if asked[place] and not self.corrected:
                        n_people = float(asked[place] or 0.0)
                        floors[place] = sampling_floor(
                            people[place], n_respondents=n_people, base=self.base, method="mean"
                        )
                continue
            found = correct_for_respondents(
                left,
                right,
                [float(EVERYBODY if asked[place] is None else asked[place] or 0.0) for place in places],
                n_of_model=np.inf if exact else [float(others[place] or 0.0) for place in places],
                base=self.base,
            )
            raw[places], values[places] = found.uncorrected, found.values
            errors[places] = found.standard_errors
            floors[places] = np.where([asked[place] is None for place in places], np.nan, found.floors)
            drawn[places] = found.model_errors
        missing = sum(ours is None or ours <= 1.0 for ours in asked) if self.corrected else 0
        return Distances(values, raw, errors, floors, missing, drawn)
