"""How far a model's answers to a survey are from those of a population.

``requests`` says what a model must be asked; ``scores`` says what its answers mean.
Between the two stands the engine, which knows nothing of surveys.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError, invalid_parameter
from pytest_pluralism.core.metrics.distributional import (
    entropy,
    jensen_shannon_distance,
    sampling_floor,
    shuffle_control,
)
from pytest_pluralism.core.records import Answer, AnswerDistribution, Prompt, Question, Scores, Survey, Turn, UnitScore
from pytest_pluralism.evaluation.asking.rounds import Round, Rounds
from pytest_pluralism.evaluation.surveys.published import FIXED, base_of, protocol_prompts, quirk_rows, read_answers
from pytest_pluralism.evaluation.surveys.whole_answers import SCORINGS, distributions, whole_answer_requests

__all__ = [
    "AskSettings",
    "DistributionalEvaluation",
    "ModelDistribution",
    "Request",
    "Requests",
    "model_distributions",
    "requests",
    "scores",
]

#: The labels that options are given; more options than these cannot be asked.
LABELS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")

#: Below this probability on all options together, what the model was read as saying is mostly not what it would say.
LOW_OPTION_MASS = 0.5

#: In-context examples: everyday questions with different numbers of options, whose answers are drawn at random.
#: They teach the form of an answer and, averaged over draws, favour no letter.
EXAMPLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("How do you usually travel to the shops?", ("On foot", "By bicycle", "By bus", "By car")),
    ("How warm do you like the room you sleep in?", ("Cool", "Neither cool nor warm", "Warm")),
    (
        "How often do you listen to the radio?",
        ("Every day", "Several times a week", "Once a week", "Less often", "Never"),
    ),
)


@dataclass(frozen=True)
class AskSettings:
    """How a survey is put to a model.

    Attributes
    ----------
    examples : int
        How many in-context examples stand before the question (0: zero-shot; at most 3).
    repetitions : int
        How many times a question is asked, each time with fresh random answers in the examples.
        With ``option_order="cyclic"`` it is rounded up to a multiple of the number of options, so that every option
        stands at every place equally often.
    option_order : {"cyclic", "none"}
        Whether repetition r shows the options rotated by r places, or always in the order of the survey.
    template : {"auto", "chat", "raw"}
        The model's chat template if it has one, always, or never.
    seed : int
        Seeds the random answers of the examples.
    protocol : {"sound", "sorensen2024", "modular_pluralism"}
        A published protocol decides about examples, repetitions, order and template itself.
    scoring : {"letters", "sum", "per_byte", "pmi"}
        Whether the options are listed with letters and the letters read, or the text of each option is scored as a
        whole answer, and by which likelihood
        (:func:`~pytest_pluralism.evaluation.surveys.whole_answers.distributions`).
        Whole answers are not listed, so that they have no order.
    """

    examples: int = 3
    repetitions: int = 5
    option_order: str = "cyclic"
    template: str = "auto"
    seed: int = 0
    protocol: str = "sound"
    scoring: str = "letters"

    def __post_init__(self) -> None:
        if self.protocol not in ("sound", *FIXED):
            must = "one of " + ", ".join(repr(name) for name in ("sound", *FIXED))
            raise invalid_parameter("protocol", "AskSettings", must, repr(self.protocol))
        for name, value in FIXED.get(self.protocol, {}).items():
            object.__setattr__(self, name, value)
        for name, low, high in (("examples", 0, len(EXAMPLES)), ("repetitions", 1, 10_000)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise invalid_parameter(name, "AskSettings", f"an int in [{low}, {high}]", repr(value))
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise invalid_parameter("seed", "AskSettings", "an int in [0, inf)", repr(self.seed))
        if self.scoring != "letters":
            if self.protocol != "sound":
                raise invalid_parameter("scoring", "AskSettings", f"'letters' under {self.protocol!r}", self.scoring)
            object.__setattr__(self, "option_order", "none")
        for name, choices in (
            ("option_order", ("cyclic", "none")),
            ("template", ("auto", "chat", "raw")),
            ("scoring", SCORINGS),
        ):
            if getattr(self, name) not in choices:
                must = "one of " + ", ".join(repr(choice) for choice in choices)
                raise invalid_parameter(name, "AskSettings", must, repr(getattr(self, name)))

    def as_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON values; letters are left unsaid, as before there was another scoring."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("scoring", "letters")}


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt, and how its labels map back: label ``i`` stands for option ``order[i]`` of the question."""

    question_id: str
    repetition: int
    order: tuple[int, ...]
    prompt: Prompt


@dataclass(frozen=True)
class Requests:
    """Everything that one evaluation asks of a model."""

    survey: Survey
    settings: AskSettings
    items: tuple[Request, ...]

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts, in order."""
        return tuple(item.prompt for item in self.items)


@dataclass(frozen=True)
class ModelDistribution:
    """What a model answered to one question, averaged over repetitions and orders.

    ``position_bias`` is the largest distance between the mean share of a label's place and the even share 1/K.
    Whole answers have neither an option mass nor a top token.
    """

    question_id: str
    probabilities: tuple[float, ...]
    option_mass: float | None
    top_token: str
    position_bias: float | None


def requests(survey: Survey, settings: AskSettings, /) -> Requests:
    """Return the prompts that must be answered to compare a model with any population of a survey.

    Parameters
    ----------
    survey : Survey
        The questions.
    settings : AskSettings
        How they are asked.

    Returns
    -------
    Requests
        For each question, its repetitions; repetition r of every question has the same in-context examples with the
        same answers, so that an engine can compute them once.

    Raises
    ------
    DatasetError
        A question has more options than there are letters.
    """
    if settings.protocol != "sound":
        return Requests(survey, settings, tuple(_published(survey, settings)))
    shared = [_examples(settings, repetition) for repetition in range(_most_repetitions(survey, settings))]
    items = []
    for question in survey.questions:
        n_options = len(question.options)
        if n_options > len(LABELS):
            raise DatasetError(
                f"Question {question.question_id!r} of {survey.name} has {n_options} options, but only {len(LABELS)} "
                "letters can label them. Merge options, or leave the question out."
            )
        for repetition in range(_repetitions(n_options, settings)):
            shift = repetition % n_options if settings.option_order == "cyclic" else 0
            order = tuple((place + shift) % n_options for place in range(n_options))
            prompt = Prompt(
                question=_with_options(question.text, [question.options[index] for index in order]),
                labels=LABELS[:n_options],
                examples=shared[repetition],
                template=settings.template,
            )
            items.append(Request(question.question_id, repetition, order, prompt))
    return Requests(survey, settings, tuple(items))


def model_distributions(asked: Requests, answers: Sequence[Answer], /) -> dict[str, ModelDistribution]:
    """Average the answers to each question over its repetitions and orders of options.

    Each repetition counts the same: its label probabilities are normalised to sum to 1 before the average.
    """
    if len(answers) != len(asked.items):
        raise InvalidParameterError(
            f"The 'answers' parameter of model_distributions must be one answer a prompt ({len(asked.items)}). "
            f"Got {len(answers)} instead."
        )
    by_question: dict[str, list[tuple[Request, Answer]]] = {}
    for item, answer in zip(asked.items, answers, strict=True):
        by_question.setdefault(item.question_id, []).append((item, answer))
    questions = {question.question_id: question for question in asked.survey.questions}
    result = {}
    for question_id, pairs in by_question.items():
        if asked.settings.protocol != "sound":
            given = [answer for _, answer in pairs]
            read = read_answers(questions[question_id], given, asked.settings.protocol)
            result[question_id] = _distribution(question_id, read, given, None)
            continue
        by_label = np.array([_normalised(answer.log_probabilities) for _, answer in pairs])
        order = np.array([item.order for item, _ in pairs])
        by_option = np.empty_like(by_label)
        np.put_along_axis(by_option, order, by_label, axis=1)
        probabilities = by_option.mean(axis=0)
        bias = _position_bias(by_label.mean(axis=0)) if asked.settings.option_order == "cyclic" else None
        result[question_id] = _distribution(question_id, probabilities, [answer for _, answer in pairs], bias)
    return result


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
        What was asked.
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
    base = base_of(settings.protocol)
    units = [_unit(questions[row.question_id], row, model[row.question_id], by_population, base) for row in rows]
    low = [unit for unit in units if unit.option_mass is not None and unit.option_mass < LOW_OPTION_MASS]
    warnings = []
    if low:
        worst = min(low, key=lambda unit: unit.option_mass or 0.0)
        warnings.append(
            f"option mass under {LOW_OPTION_MASS} on {len(low)} of {len(units)} units (lowest {worst.option_mass:.2f} "
            f"on {worst.unit_id}, where the likeliest token was {worst.details['top_token']!r})"
        )
    return Scores(
        metric="js_distance",
        units=tuple(units),
        references=_references(units, base, settings.seed),
        other_populations=_other_populations(survey, rows, by_population, base),
        warnings=tuple(warnings),
    )


@dataclass(frozen=True)
class DistributionalEvaluation:
    """The comparison of a model with one population of a survey, or (``None``) with each: one round of answers."""

    survey: Survey
    settings: AskSettings
    population: str | None = None

    def rounds(self) -> Rounds:
        """Ask everything at once, and score it; under a published protocol the sound number stands beside."""
        if self.settings.protocol == "sound":
            return (yield from self.alone())
        asked = requests(self.survey, self.settings)
        sound = requests(self.survey, AskSettings(seed=self.settings.seed))
        answers = yield Round("answers", (*asked.prompts, *sound.prompts))
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
        if self.settings.scoring != "letters":
            return (yield from self._whole_answers())
        asked = requests(self.survey, self.settings)
        answers = yield Round("answers", asked.prompts)
        return scores(asked, answers, population=self.population)

    def _whole_answers(self) -> Rounds:
        how = self.settings
        asked = whole_answer_requests(
            self.survey,
            EXAMPLES[: how.examples],
            repetitions=how.repetitions,
            template=how.template,
            seed=how.seed,
        )
        found = iter((yield Round("full_answers", tuple(one for question in asked for one in question))))
        model = {}
        for question, repetitions in zip(self.survey.questions, asked, strict=True):
            shares = distributions([next(found) for _ in repetitions], how.scoring)
            model[question.question_id] = ModelDistribution(
                question.question_id, tuple(map(float, shares)), option_mass=None, top_token="", position_bias=None
            )
        return _scores(self.survey, how, model, self.population)

    def _quirks(self, asked: Requests, answers: Sequence[Answer]) -> list[dict[str, Any]]:
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


# ------------------------------------------------------------------------------------------------------ in detail


def _published(survey: Survey, settings: AskSettings) -> Iterator[Request]:
    for question in survey.questions:
        order = tuple(range(len(question.options)))
        for repetition, prompt in enumerate(protocol_prompts(question, settings.protocol, settings.seed)):
            yield Request(question.question_id, repetition, order, prompt)


def _distribution(
    question_id: str, probabilities: np.ndarray, answers: Sequence[Answer], position_bias: float | None
) -> ModelDistribution:
    tops = [answer.top_token for answer in answers]
    return ModelDistribution(
        question_id=question_id,
        probabilities=tuple(float(p) for p in probabilities / probabilities.sum()),
        option_mass=float(np.mean([answer.option_mass for answer in answers])),
        # The first of equally frequent ones, so that the report does not depend on the order of a set.
        top_token=max(dict.fromkeys(tops), key=tops.count),
        position_bias=position_bias,
    )


def _repetitions(n_options: int, settings: AskSettings) -> int:
    if settings.option_order == "cyclic":
        return -(-settings.repetitions // n_options) * n_options
    return settings.repetitions


def _most_repetitions(survey: Survey, settings: AskSettings) -> int:
    return max((_repetitions(len(question.options), settings) for question in survey.questions), default=0)


def _examples(settings: AskSettings, repetition: int) -> tuple[Turn, ...]:
    # A string seed is hashed by `random` itself, the same on every platform and Python.
    draw = random.Random(f"{settings.seed}/{repetition}")  # noqa: S311
    turns = []
    for text, options in EXAMPLES[: settings.examples]:
        turns.append(Turn(_with_options(text, options), draw.choice(LABELS[: len(options)])))
    return tuple(turns)


def _with_options(text: str, options: Sequence[str]) -> str:
    return "\n".join([text, *(f"{label}. {option}" for label, option in zip(LABELS, options, strict=False))])


def _normalised(log_probabilities: Sequence[float]) -> np.ndarray:
    values = np.asarray(log_probabilities, dtype=np.float64)
    top = values.max()
    if not np.isfinite(top):
        raise InvalidParameterError(
            "An answer gives no label any probability, so nothing can be compared. Inspect the model's logits."
        )
    weights = np.exp(values - top)
    return np.asarray(weights / weights.sum())


def _position_bias(places: np.ndarray) -> float:
    return float(np.abs(places - 1.0 / len(places)).max())


def _kept(question: Question) -> list[int]:
    """Return the options that are compared: refusals that are kept apart are not."""
    return [index for index in range(len(question.options)) if index not in question.refusals]


def _over_kept(
    question: Question, probabilities: Sequence[float], kept: list[int], who: str = "everybody"
) -> tuple[np.ndarray, float]:
    """Return the distribution over the kept options, and the mass on the others."""
    values = np.asarray(probabilities, dtype=np.float64)
    if len(values) == len(kept):
        return values, 0.0
    inside = values[kept]
    total = float(inside.sum())
    if total <= 0.0:
        raise DatasetError(
            f"Question {question.question_id!r}: {who} refused, so that no answer is left to compare. "
            "Use refusals='keep' to compare the refusals too."
        )
    return inside / total, 1.0 - total


def _unit(
    question: Question, row: AnswerDistribution, model: ModelDistribution, by_population: bool, base: float
) -> UnitScore:
    kept = _kept(question)
    ours, our_refusals = _over_kept(question, model.probabilities, kept, "the model")
    theirs, their_refusals = _over_kept(question, row.probabilities, kept)
    details: dict[str, Any] = {
        **({"top_token": model.top_token} if model.top_token else {}),
        "model_entropy": float(entropy(ours)),
        "reference_entropy": float(entropy(theirs)),
    }
    if model.position_bias is not None:
        details["position_bias"] = model.position_bias
    if question.refusals:
        details |= {"model_refusals": our_refusals, "reference_refusals": their_refusals}
    return UnitScore(
        unit_id=row.population if by_population else question.question_id,
        cluster=row.population if by_population else (question.cluster or question.question_id),
        value=float(jensen_shannon_distance(ours, theirs, base=base)),
        population=row.population,
        text=question.text,
        options=tuple(question.options[index] for index in kept),
        model_probabilities=tuple(float(p) for p in ours),
        reference_probabilities=tuple(float(p) for p in theirs),
        option_mass=model.option_mass,
        n_respondents=row.n_respondents,
        details=details,
    )


def _references(units: Sequence[UnitScore], base: float, seed: int) -> dict[str, float]:
    """Return what shuffled, even and always-the-mode answers would score, and the humans' own sampling noise."""
    rng = np.random.default_rng(seed)
    measure = functools.partial(jensen_shannon_distance, base=base)
    uniform, majority, shuffled, floors = [], [], [], []
    for unit in units:
        theirs = np.asarray(unit.reference_probabilities)
        even = np.full(len(theirs), 1.0 / len(theirs))
        mode = np.zeros(len(theirs))
        mode[int(theirs.argmax())] = 1.0
        uniform.append(float(jensen_shannon_distance(even, theirs, base=base)))
        majority.append(float(jensen_shannon_distance(mode, theirs, base=base)))
        shuffled.append(float(shuffle_control(np.asarray(unit.model_probabilities), theirs, measure=measure, rng=rng)))
        if unit.n_respondents:
            floors.append(float(sampling_floor(theirs, n_respondents=unit.n_respondents, base=base, method="mean")))
    references = {
        "shuffle": float(np.mean(shuffled)),
        "uniform": float(np.mean(uniform)),
        "majority": float(np.mean(majority)),
    }
    if len(floors) == len(units):
        references["sampling_floor"] = float(np.mean(floors))
    return references


def _other_populations(
    survey: Survey, rows: Sequence[AnswerDistribution], by_population: bool, base: float
) -> dict[str, float]:
    """Return the mean distance of every other population that answered all questions from the reference one.

    Where the populations are the units, the one entry is the mean over all pairs.
    """
    questions = {question.question_id: question for question in survey.questions}
    if by_population:
        question = questions[rows[0].question_id]
        kept = _kept(question)
        table = np.array([_over_kept(question, row.probabilities, kept)[0] for row in rows])
        if len(table) < 2:
            return {}
        first, second = np.triu_indices(len(table), k=1)
        return {"another population": float(np.mean(jensen_shannon_distance(table[first], table[second], base=base)))}
    ours: Mapping[str, AnswerDistribution] = {row.question_id: row for row in rows}
    theirs: dict[str, list[AnswerDistribution]] = {}
    for row in survey.distributions:
        reference = ours.get(row.question_id)
        if reference is not None and row.population != reference.population:
            theirs.setdefault(row.question_id, []).append(row)
    distances: dict[str, list[float]] = {}
    for question_id, others in theirs.items():
        question = questions[question_id]
        kept = _kept(question)
        mine, _ = _over_kept(question, ours[question_id].probabilities, kept)
        table = np.array([_over_kept(question, row.probabilities, kept)[0] for row in others])
        for row, distance in zip(others, np.atleast_1d(jensen_shannon_distance(table, mine, base=base)), strict=True):
            distances.setdefault(row.population, []).append(float(distance))
    # A mean over fewer questions would not be on the scale of the number that it stands beside.
    return {name: float(np.mean(values)) for name, values in distances.items() if len(values) == len(rows)}
