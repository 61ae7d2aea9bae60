"""The distance of a model's answers to a survey from those of a population.

``requests`` says what a model must be asked; ``scores`` says what its answers mean.
Between the two stands the engine, which knows nothing about surveys.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.core.metrics.distributional import entropy
from pytest_pluralism.core.records import (
    Answer,
    AnswerDistribution,
    FullAnswerPrompt,
    Question,
    RequestName,
    Scores,
    Survey,
    UnitScore,
)
from pytest_pluralism.datasets.surveys.answer_keys import AnswerKey, read_answer_key
from pytest_pluralism.evaluation.asking.meanings import Meaning, Meanings, NamedRequests
from pytest_pluralism.evaluation.asking.rounds import Round, Rounds
from pytest_pluralism.evaluation.surveys.answered import (
    LOW_OPTION_MASS,
    ModelDistribution,
    drawn_of,
    entropy_of,
    kept_options,
    model_distributions,
    over_kept,
    people_of,
)
from pytest_pluralism.evaluation.surveys.asking import (
    EXAMPLES,
    FREE_TEXT,
    AskSettings,
    Requests,
    meanings_of,
    names_of,
    requests,
)
from pytest_pluralism.evaluation.surveys.beside_letters import (
    ValueOf,
    as_read,
    beside_letters,
    distance_to_people,
    entropy_of_shares,
    reading_variance,
    with_reading,
)
from pytest_pluralism.evaluation.surveys.free_text import FreeTextAnswers, FreeTextSurvey
from pytest_pluralism.evaluation.surveys.left_open import distance_bounds, of_kept, open_words, radius
from pytest_pluralism.evaluation.surveys.published import base_of, quirk_rows
from pytest_pluralism.evaluation.surveys.references import mean_references, other_populations, with_references
from pytest_pluralism.evaluation.surveys.respondents import Comparison, asked_of
from pytest_pluralism.evaluation.surveys.whole_answers import distributions, whole_answer_requests

__all__ = ["DistributionalEvaluation", "drawn_once", "scores"]


def scores(
    asked: Requests,
    answers: Sequence[Answer],
    /,
    *,
    population: str | None,
) -> Scores:
    """Score the answers against one population (units: questions), or each population (units: populations).

    Parameters
    ----------
    asked : Requests
        The questions that were asked.
    answers : sequence of Answer
        One a prompt, in the order of the prompts.
    population : str or None
        The population to compare with. ``None`` makes every population of a one-question survey a unit.

    Returns
    -------
    Scores
        Distances in [0, 1], best 0, with references on the same scale.
    """
    return _scores(asked.survey, asked.settings, model_distributions(asked, answers), population)


def _scores(
    survey: Survey, settings: AskSettings, model: Mapping[str, ModelDistribution], population: str | None
) -> Scores:
    questions = {question.question_id: question for question in survey.questions}
    rows = [row for row in survey.distributions if population is None or row.population == population]
    if not rows:
        raise DatasetError(f"Survey {survey.name} has no answers of {population!r}.")
    by_population = population is None
    how = Comparison(base_of(settings.protocol), corrected=settings.protocol == "sound")
    units = [_unit(questions[row.question_id], row, model[row.question_id], by_population) for row in rows]
    people = [unit.reference_probabilities for unit in units]
    draws = [unit.details.get("n_draws", math.inf) for unit in units]
    models = [unit.model_probabilities for unit in units]
    found = how.distances(models, people, asked_of(survey, rows), of_model=draws)
    drawn = drawn_of(model[row.question_id] for row in rows)
    if drawn is not None:
        # Populations that stand beside one answer share its draws.
        together = float(found.model_errors.mean()) ** 2 if by_population else found.drawn_variance
        # Where nothing is corrected, nobody works out how much drawing moves a distance.
        drawn = replace(drawn, variance=together if how.corrected else None, corrected=how.corrected)
    units = [
        replace(unit, value=value, details={**unit.details, "uncorrected": raw})
        for unit, value, raw in zip(units, found.values.tolist(), found.uncorrected.tolist(), strict=True)
    ]
    units = with_references(units, survey, rows, how=how, seed=settings.seed)
    counts = asked_of(survey, rows)
    units = [
        _left_open(unit, count, how) if "share_bounds" in unit.details else unit
        for unit, count in zip(units, counts, strict=True)
    ]
    low = [unit for unit in units if unit.option_mass is not None and unit.option_mass < LOW_OPTION_MASS]
    # Answers in free text say themselves why they are open.
    warnings = [] if settings.scoring == FREE_TEXT else open_words(units)
    if low:
        worst = min(low, key=lambda unit: unit.option_mass or 0.0)
        warnings.append(
            f"option mass under {LOW_OPTION_MASS} on {len(low)} of {len(units)} units (lowest {worst.option_mass:.2f} "
            f"on {worst.unit_id}, where the likeliest token was {worst.details['top_token']!r})"
        )
    if not by_population and len(rows) < len(questions):
        asked = f"{len(rows)} of {len(questions)} questions of this survey"
        warnings.append(f"{population} was asked {asked}: the number says nothing about the others")
    warnings += found.warnings(of="populations" if by_population else "questions")
    return Scores(
        metric="js_distance",
        units=tuple(units),
        references={**mean_references(units), **found.references()},
        other_populations=other_populations(survey, rows, units, by_population=by_population, how=how),
        warnings=tuple(warnings),
        # Each population was asked by itself.
        people_variance=0.0 if by_population else found.shared_variance,
        shared=_moves_together(len(rows)) if by_population else "",
        drawn=drawn,
        doubt=drawn_once(units),
    )


def _left_open(unit: UnitScore, count: float | None, how: Comparison) -> UnitScore:
    """Return a unit with the bounds of its distance, and of that of its shuffled answers."""
    shares = unit.details["share_bounds"]
    low, high = distance_bounds(unit, shares, count, how)
    # The correction for the sample of people may stretch a distance: never by more than it does the unit's own.
    away = max(high - low, radius(np.asarray(unit.model_probabilities), shares))
    shuffled = unit.references["shuffle"]
    return replace(unit, bounds=(low, high), reference_bounds={"shuffle": (shuffled - away, shuffled + away)})


def drawn_once(units: Sequence[UnitScore], /) -> str:
    """Return why sampled answers of one draw each show too little; nothing where there are more."""
    once = [unit.unit_id for unit in units if unit.details.get("n_draws", math.inf) <= 1.0]
    if not once:
        return ""
    return (
        f"one draw says nothing about how a model answers a question: {len(once)} of {len(units)} units have no more "
        f"({once[0]}). Draw at least 2 answers to each question, better 20"
    )


def _moves_together(n_populations: int) -> str:
    """Return why the populations of one question give no interval, with the remedies."""
    return (
        f"one question: {n_populations} populations move together, so that they show nothing about other wordings, "
        "orders and examples. Ask it in several ways (wordings=[...], seeds=10), or use confidence_level=None, which "
        "decides on the value alone"
    )


@dataclass(frozen=True)
class DistributionalEvaluation:
    """The comparison of a model with one population of a survey, or (``None``) with each: one round of answers."""

    survey: Survey
    settings: AskSettings
    population: str | None = None
    #: The texts by which answers in free text are read.
    key: AnswerKey | None = None
    #: Answers that leave probabilities open are carried into the values.
    carries_bounds: ClassVar[bool] = True

    def rounds(self) -> Rounds:
        """Ask everything at once, and score it; under a published protocol the sound number stands beside."""
        if self.settings.scoring == FREE_TEXT:
            return (yield from self._in_words())
        if self.settings.protocol == "sound":
            return (yield from self.alone())
        asked = requests(self.survey, self.settings)
        sound = requests(self.survey, AskSettings(seed=self.settings.seed))
        prompts = (*asked.prompts, *sound.prompts)
        answers = yield Round("answers", prompts, prompts_each=self.settings.repetitions)
        published, beside = answers[: len(asked.items)], answers[len(asked.items) :]
        result = scores(asked, published, population=self.population)
        details = {
            "protocol": self.settings.protocol,
            "sound": float(np.mean([unit.value for unit in scores(sound, beside, population=self.population).units])),
            "quirks": self._quirks(asked, published),
        }
        return replace(result, details={**result.details, **details})

    def alone(self) -> Rounds:
        """Ask as the settings say and score it, with nothing beside."""
        if self.settings.scoring == FREE_TEXT:
            return (yield from self._read_from_words(distance_to_people))
        if self.settings.scoring != "letters":
            return (yield from self._whole_answers())
        asked = requests(self.survey, self.settings)
        answers = yield Round("answers", asked.prompts, prompts_each=self.settings.repetitions)
        return scores(asked, answers, population=self.population)

    def bare(self) -> Rounds:
        """Ask as :meth:`alone` does, and return bare units for another measure of the same answers.

        They have no references and no other populations, which are distances, and nothing of the sample of people, on
        which only a distance depends.
        """
        if self.settings.scoring == FREE_TEXT:
            found = yield from self._read_from_words(entropy_of_shares)
        else:
            found = yield from self.alone()
        units = tuple(replace(unit, references={}, reference_bounds={}) for unit in found.units)
        return replace(found, units=units, references={}, other_populations={}, people_variance=0.0)

    @property
    def free_text(self) -> FreeTextSurvey:
        """The questions, asked for answers in free text."""
        how = self.settings
        key = read_answer_key() if self.key is None else self.key
        return FreeTextSurvey(self.survey, key, how.n_draws, how.max_new_tokens, how.template, how.seed)

    def _in_words(self) -> Rounds:
        """Ask for answers in free text, and for letters beside them."""
        read = yield from self.free_text.answers()
        found = self._scores_of_words(read, distance_to_people)
        raw = as_read(found, self._asked, self.survey, read)
        found = replace(found, references={**found.references, **raw})
        how = self.settings.by_letter()
        asked = requests(self.survey, how)
        answers: Sequence[Answer] | None = yield Round(
            "answers", asked.prompts, optional=True, prompts_each=how.repetitions
        )
        if answers is None:
            told = "the recording holds no answers by letter, so that nothing stands beside those in free text"
            return replace(found, warnings=(*found.warnings, told))
        return beside_letters(found, scores(asked, answers, population=self.population))

    def _read_from_words(self, value_of: ValueOf) -> Rounds:
        return self._scores_of_words((yield from self.free_text.answers()), value_of)

    def _scores_of_words(self, read: FreeTextAnswers, value_of: ValueOf) -> Scores:
        """Return the scores of answers in free text, with what is not known of their reading in a value of units."""
        found = _scores(self.survey, self.settings, read.model, self.population)
        variance = reading_variance(found.units, self._asked, self.survey, read, value_of)
        return with_reading(found, self._asked, read, variance)

    @property
    def _asked(self) -> list[str]:
        """The question of each unit."""
        rows = self.survey.distributions
        return [row.question_id for row in rows if self.population in (None, row.population)]

    def later(self) -> dict[str, int]:
        """Return how many comparisons of texts may come after answers in free text."""
        return self.free_text.later() if self.settings.scoring == FREE_TEXT else {}

    def _whole_answers(self) -> Rounds:
        how, asked = self.settings, self._whole_requests()
        found = iter((yield Round("full_answers", tuple(one for question in asked for one in question))))
        model = {}
        for question, repetitions in zip(self.survey.questions, asked, strict=True):
            shares = distributions([next(found) for _ in repetitions], how.scoring)
            model[question.question_id] = ModelDistribution(
                question.question_id, tuple(map(float, shares)), option_mass=None, top_token="", position_bias=None
            )
        return _scores(self.survey, how, model, self.population)

    def _whole_requests(self) -> tuple[tuple[FullAnswerPrompt, ...], ...]:
        how = self.settings
        return whole_answer_requests(
            self.survey,
            EXAMPLES[: how.examples],
            repetitions=how.repetitions,
            template=how.template,
            seed=how.seed,
        )

    def meanings(self) -> Meanings:
        """Return what the labels of each request stand for, and how the population answers."""
        people = people_of(self.survey, self.population)
        if self.settings.scoring == FREE_TEXT:
            return {}
        if self.settings.scoring == "letters":
            asked = requests(self.survey, self.settings)
            return meanings_of(asked, asked.prompts, people)
        pairs = zip(self.survey.questions, self._whole_requests(), strict=True)
        return {
            request: Meaning(
                question.question_id,
                tuple(range(len(question.options))),
                people.get(question.question_id, ()),
                self.settings.scoring,
            )
            for question, repetitions in pairs
            for request in repetitions
        }

    def names(self) -> NamedRequests:
        """Yield what is asked with the names of its questions; beside a published protocol the sound prompts too."""
        if self.settings.scoring == FREE_TEXT:
            yield from self.free_text.names()
            asked = requests(self.survey, self.settings.by_letter())
            yield from names_of(asked, asked.prompts)
            return
        if self.settings.scoring == "letters":
            asked = requests(self.survey, self.settings)
            yield from names_of(asked, asked.prompts)
            if self.settings.protocol != "sound":
                sound = requests(self.survey, AskSettings(seed=self.settings.seed))
                yield from names_of(sound, sound.prompts)
            return
        for question, repetitions in zip(self.survey.questions, self._whole_requests(), strict=True):
            order = tuple(range(len(question.options)))
            for request in repetitions:
                yield request, RequestName(question.question_id, question.options, order, text=question.text)

    def _quirks(self, asked: Requests, answers: Sequence[Answer]) -> list[dict[str, object]]:
        """Return what each quirk moves; nothing where refusals are kept apart, of which the protocols know nothing."""
        if any(question.refusals for question in self.survey.questions):
            return []
        given: dict[str, list[Answer]] = {}
        for item, answer in zip(asked.items, answers, strict=True):
            given.setdefault(item.question_id, []).append(answer)
        people: dict[str, dict[str, Sequence[float]]] = {}
        for row in self.survey.distributions:
            if self.population is None or row.population == self.population:
                people.setdefault(row.question_id, {})[row.population] = row.probabilities
        questions = [question for question in self.survey.questions if question.question_id in people]
        return quirk_rows(questions, given, people, self.settings.protocol, seed=self.settings.seed)


def _unit(question: Question, row: AnswerDistribution, model: ModelDistribution, by_population: bool) -> UnitScore:
    kept = kept_options(question)
    ours, our_refusals = over_kept(question, model.probabilities, kept, "the model")
    theirs, their_refusals = over_kept(question, row.probabilities, kept)
    n_draws = model.n_draws * (1.0 - our_refusals)
    details: dict[str, object] = {
        **({"top_token": model.top_token} if model.top_token else {}),
        **({"n_draws": round(n_draws, 6)} if n_draws < math.inf else {}),
        "model_entropy": entropy_of(ours, n_draws),
        "reference_entropy": float(entropy(theirs)),
    }
    if model.bounds:
        details["share_bounds"] = of_kept(model.bounds, kept)
    if model.position_bias is not None:
        details["position_bias"] = model.position_bias
    if question.refusals:
        details |= {"model_refusals": our_refusals, "reference_refusals": their_refusals}
    return UnitScore(
        unit_id=row.population if by_population else question.question_id,
        # The populations of one question get the same answers of the model, and move together.
        cluster=question.cluster or question.question_id,
        value=math.nan,
        population=row.population,
        text=question.text,
        options=tuple(question.options[index] for index in kept),
        model_probabilities=tuple(float(p) for p in ours),
        reference_probabilities=tuple(float(p) for p in theirs),
        option_mass=model.option_mass,
        n_respondents=row.n_respondents,
        details=details,
    )
