"""Closed questions as prompts: settings, examples, orders and labels."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from pytest_pluralism.core.errors import DatasetError, invalid_parameter
from pytest_pluralism.core.parameters import one_of, whole_number
from pytest_pluralism.core.records import Prompt, RequestName, Survey, Turn
from pytest_pluralism.evaluation.asking.meanings import Meaning, NamedRequests
from pytest_pluralism.evaluation.surveys.published import FIXED, protocol_prompts
from pytest_pluralism.evaluation.surveys.whole_answers import SCORINGS

__all__ = ["AskSettings", "Request", "Requests", "meanings_of", "names_of", "requests"]


#: The labels that options are given; more options than these cannot be asked.
LABELS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")

#: The scoring of answers in a model's own words, and the settings that it alone has.
FREE_TEXT = "free_text"
OF_FREE_TEXT = ("n_draws", "max_new_tokens")

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
    """Settings of asking a model the questions of a survey.

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
    scoring : {"letters", "sum", "per_byte", "pmi", "free_text"}
        Whether the options are listed with letters and the letters read, or the text of each option is scored as a
        whole answer, and by which likelihood
        (:func:`~pytest_pluralism.evaluation.surveys.whole_answers.distributions`), or the model answers in its own
        words and its texts are read (:mod:`~pytest_pluralism.evaluation.surveys.free_text`).
        Only letters are listed, so that the others have no order.
    n_draws, max_new_tokens : int
        How many texts each question gets, at least 2, and how long each may be; for ``"free_text"`` alone.
    """

    examples: int = 3
    repetitions: int = 5
    option_order: str = "cyclic"
    template: str = "auto"
    seed: int = 0
    protocol: str = "sound"
    scoring: str = "letters"
    n_draws: int = 40
    max_new_tokens: int = 48

    def __post_init__(self) -> None:
        one_of(self.protocol, ("sound", *FIXED), name="protocol", function="AskSettings")
        for name, value in FIXED.get(self.protocol, {}).items():
            object.__setattr__(self, name, value)
        limits = {"examples": (0, len(EXAMPLES)), "repetitions": (1, 10_000)}
        for name, (low, high) in (limits | {"n_draws": (2, 10_000), "max_new_tokens": (1, 10_000)}).items():
            whole_number(getattr(self, name), name=name, function="AskSettings", least=low, most=high)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise invalid_parameter("seed", "AskSettings", "an int in [0, inf)", repr(self.seed))
        if self.scoring != "letters":
            if self.protocol != "sound":
                raise invalid_parameter("scoring", "AskSettings", f"'letters' under {self.protocol!r}", self.scoring)
            object.__setattr__(self, "option_order", "none")
        for name, choices in (
            ("option_order", ("cyclic", "none")),
            ("template", ("auto", "chat", "raw")),
            ("scoring", (*SCORINGS, FREE_TEXT)),
        ):
            one_of(getattr(self, name), choices, name=name, function="AskSettings")

    def as_json(self) -> dict[str, object]:
        """Return the settings as plain JSON values; letters are left unsaid, as before there was another scoring."""
        unsaid = () if self.scoring == FREE_TEXT else OF_FREE_TEXT
        told = {name: value for name, value in asdict(self).items() if name not in unsaid}
        return {name: value for name, value in told.items() if (name, value) != ("scoring", "letters")}

    def by_letter(self) -> AskSettings:
        """Return the settings with which the same questions are asked for letters."""
        return replace(self, scoring="letters", option_order="cyclic")


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


def meanings_of(
    asked: Requests,
    prompts: Sequence[Prompt],
    people: Mapping[str, Sequence[float]] | None = None,
    least_liked: Mapping[str, int] | None = None,
    /,
) -> dict[Hashable, Meaning]:
    """Return the meaning of each prompt; nothing under a published protocol, which reads more than shares of labels.

    Parameters
    ----------
    asked : Requests
        The plain requests.
    prompts : sequence of Prompt
        The prompts that are sent for them, in the same order.
    people : mapping of str to sequence of float, optional
        For each question the shares of people over its options.
    least_liked : mapping of str to int, optional
        For each question the option that serves one group of jurors worst.
    """
    if asked.settings.protocol != "sound":
        return {}
    known, least = people or {}, least_liked or {}
    return {
        prompt: Meaning(
            item.question_id,
            item.order,
            tuple(known.get(item.question_id, ())),
            least_liked=least.get(item.question_id),
        )
        for item, prompt in zip(asked.items, prompts, strict=True)
    }


def names_of(asked: Requests, prompts: Sequence[Prompt], /, *, steering: str = "", context: str = "") -> NamedRequests:
    """Yield the prompts that are sent for plain requests, each with the name of its question.

    Parameters
    ----------
    asked : Requests
        The plain requests.
    prompts : sequence of Prompt
        The prompts that are sent for them, in the same order.
    steering, context : str
        The attribute that they steer to, and the name of the template.
    """
    questions = {question.question_id: question for question in asked.survey.questions}
    for item, prompt in zip(asked.items, prompts, strict=True):
        question = questions[item.question_id]
        yield prompt, RequestName(item.question_id, question.options, item.order, steering, context, question.text)


# ------------------------------------------------------------------------------------------------------ in detail


def _published(survey: Survey, settings: AskSettings) -> Iterator[Request]:
    for question in survey.questions:
        order = tuple(range(len(question.options)))
        for repetition, prompt in enumerate(protocol_prompts(question, settings.protocol, settings.seed)):
            yield Request(question.question_id, repetition, order, prompt)


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
