"""Surveys answered in a model's own words: many draws, each read as an option or as none, and what that reading errs.

The options are not listed. An entailment model and the text encoder compare each text with texts that say an option
(:mod:`pytest_pluralism.datasets.surveys.answer_keys`); texts with a known option show how often that is wrong.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pytest_pluralism.core.estimation.misread import Misreading
from pytest_pluralism.core.option_reader import OptionEvidence, evidence_of, is_open, option_named, option_of
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import (
    EntailmentPair,
    EntailmentScores,
    GenerationSettings,
    Prompt,
    Question,
    RequestName,
    Response,
    Survey,
)
from pytest_pluralism.datasets.surveys.answer_keys import AnswerKey, OptionTexts
from pytest_pluralism.evaluation.asking.meanings import NamedRequests
from pytest_pluralism.evaluation.asking.rounds import Asking, Round
from pytest_pluralism.evaluation.overton.reading import is_refusal
from pytest_pluralism.evaluation.surveys.answered import ModelDistribution

__all__ = ["CONTEXT", "FreeTextAnswers", "FreeTextSurvey", "OptionReader"]

#: The context under which recorded texts are found: rows of the same question without it are answers by letter.
CONTEXT = "free_text"

#: The instruction behind a question.
INSTRUCTION = "Answer in one or two sentences, in your own words."

#: Texts that say no option of any question.
NOTHING = (
    "It depends.",
    "I do not know.",
    "I have no opinion on {it}.",
    "There are arguments on both sides of {it}.",
    "Some people want one thing and others want another.",
    "{It} is a complex and important subject.",
    "I cannot answer that.",
)

#: Number of times that the errors of the reading are drawn, for what is not known of them.
_DRAWN = 200

#: A reader whose power is within so many standard errors of 0 is not believed.
_LEAST_SURE = 3.0

#: A text that is read: the id of its question, and the text.
Job = tuple[str, str]


@dataclass(frozen=True)
class FreeTextAnswers:
    """The answers of a model in free text, read as options.

    Attributes
    ----------
    model : mapping of str to ModelDistribution
        The shares of the options by question, without the errors of the reading; ``option_mass`` is the share of the
        texts that were read as an option.
    drawn : mapping of str to numpy.ndarray
        The same shares by question under other errors of the reading that are as likely, of shape (n_drawn, n_options).
    as_read : mapping of str to tuple
        The shares of the options among the texts that were read as one, with all errors of the reading, and how many
        texts these are; questions without one are left out.
    texts : mapping of str to list
        The texts of each question with the option that each was read as.
    relative_variance : float
        The variance that a change has from the unknown errors of the reading, relative to its square.
    doubt : str
        Why the shares say nothing; empty where they do.
    warnings : tuple of str
        Remarks.
    details : list of dict
        The errors of the reading by key.
    """

    model: Mapping[str, ModelDistribution]
    drawn: Mapping[str, FloatArray]
    as_read: Mapping[str, tuple[tuple[float, ...], float]]
    texts: Mapping[str, list[tuple[str, str | None]]]
    relative_variance: float
    doubt: str
    warnings: tuple[str, ...]
    details: list[dict[str, Any]]


@dataclass
class OptionReader:
    """Reads texts as options of their questions.

    Attributes
    ----------
    questions : mapping of str to Question
        The questions by id.
    key : AnswerKey
        The texts that say each option.
    """

    questions: Mapping[str, Question]
    key: AnswerKey
    _read: dict[Job, int | None] = field(default_factory=dict)
    _known: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)

    def ask(self, jobs: Iterable[Job], /) -> Asking[None]:
        """Ask the models about the texts whose words do not say it."""
        wanted = []
        for job in dict.fromkeys(jobs):
            if job in self._read:
                continue
            known, place = self._by_words(*job)
            if known:
                self._read[job] = place
            else:
                wanted.append(job)
        if not wanted:
            return
        alike = tuple(dict.fromkeys(pair for job in wanted for pair in self._similar(job)))
        similarity = dict(zip(alike, (yield Round("similarities", alike)), strict=True))
        both = tuple(dict.fromkeys(pair for job in wanted for pair in self._entailed(job)))
        entailed = dict(zip(both, (yield Round("entailment", both)), strict=True))
        for job in wanted:
            self._read[job] = self._by_models(job, similarity, entailed)

    def option(self, job: Job, /) -> int | None:
        """Return the option that a text was read as; ``None`` where it says none."""
        return self._read[job]

    def _by_words(self, question_id: str, text: str) -> tuple[bool, int | None]:
        """Return whether the words alone decide, and the option that they say."""
        question = self.questions[question_id]
        if is_open(text, question.text) or is_refusal(text):
            return True, None
        place, several = option_named(text, question.options)
        return several or place is not None, place

    def _texts(self, question_id: str) -> tuple[tuple[str, ...], ...]:
        if question_id not in self._known:
            self._known[question_id] = self.key.of(self.questions[question_id]).texts_of(question_id)
        return self._known[question_id]

    def _nothing(self, question_id: str) -> tuple[str, ...]:
        entry = self.key.of(self.questions[question_id])
        return OptionTexts(entry.options, entry.topics, (NOTHING,)).texts_of(question_id)[0]

    def _similar(self, job: Job) -> Iterator[EntailmentPair]:
        question_id, text = job
        for several in (*self._texts(question_id), self._nothing(question_id)):
            for one in several:
                yield EntailmentPair(text, one)

    def _entailed(self, job: Job) -> Iterator[EntailmentPair]:
        question_id, text = job
        for several in self._texts(question_id):
            for one in several:
                yield EntailmentPair(text, one)
                yield EntailmentPair(one, text)

    def _by_models(
        self,
        job: Job,
        similarity: Mapping[EntailmentPair, float],
        entailed: Mapping[EntailmentPair, EntailmentScores],
    ) -> int | None:
        question_id, text = job

        def evidence(several: Sequence[str]) -> OptionEvidence:
            return evidence_of(
                [entailed[EntailmentPair(text, one)] for one in several],
                [entailed[EntailmentPair(one, text)] for one in several],
                [similarity[EntailmentPair(text, one)] for one in several],
            )

        nothing = max(similarity[EntailmentPair(text, one)] for one in self._nothing(question_id))
        return option_of([evidence(several) for several in self._texts(question_id)], nothing)


@dataclass(frozen=True)
class FreeTextSurvey:
    """The questions of a survey, asked for answers in free text.

    Attributes
    ----------
    survey : Survey
        The questions.
    key : AnswerKey
        The texts that say their options.
    n_draws : int
        How many texts each question gets.
    max_new_tokens : int
        Maximum length of a text, in tokens.
    template : {"auto", "chat", "raw"}
        The model's chat template if it has one, always, or never.
    seed : int
        Of the draws.
    """

    survey: Survey
    key: AnswerKey
    n_draws: int
    max_new_tokens: int
    template: str = "auto"
    seed: int = 0

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts, one for each question."""
        return tuple(
            Prompt(f"{question.text}\n{INSTRUCTION}", (), template=self.template) for question in self.survey.questions
        )

    def names(self) -> NamedRequests:
        """Yield the prompts with the ids of their questions."""
        for question, prompt in zip(self.survey.questions, self.prompts, strict=True):
            yield prompt, RequestName(question.question_id, context=CONTEXT, text=question.text)

    def later(self) -> dict[str, int]:
        """Return how many comparisons of texts may be asked for after the texts."""
        of_model = {question.question_id: self.n_draws for question in self.survey.questions}
        counted = Counter(of_model)
        for entry, questions in self._entries():
            counted.update(check.question or questions[0].question_id for check in entry.checks)
        texts = {one.question_id: self.key.of(one).texts_of(one.question_id) for one in self.survey.questions}
        pairs = {name: sum(map(len, texts[name])) for name in of_model}
        asked = [(n, pairs.get(name, max(pairs.values()))) for name, n in counted.items()]
        return {
            "similarities": sum(n * (many + len(NOTHING)) for n, many in asked),
            "entailment": sum(2 * n * many for n, many in asked),
        }

    def answers(self) -> Asking[FreeTextAnswers]:
        """Ask for texts, read them, and return the shares of the options."""
        questions = self.survey.questions
        settings = GenerationSettings(max_new_tokens=self.max_new_tokens, seed=self.seed)
        written: Sequence[Sequence[Response]] = yield Round("responses", self.prompts, settings, self.n_draws)
        texts = {
            question.question_id: [one.text for one in draws]
            for question, draws in zip(questions, written, strict=True)
        }
        reader = OptionReader({question.question_id: question for question in questions}, self.key)
        checks = {entry.options: self._checks(entry, several) for entry, several in self._entries()}
        jobs = [(name, text) for name, several in texts.items() for text in several]
        jobs += [job for several in checks.values() for job, _ in several]
        yield from reader.ask(jobs)
        return self._read(texts, reader)

    # ------------------------------------------------------------------------------------------------- in detail

    def _entries(self) -> list[tuple[OptionTexts, list[Question]]]:
        """Return the keys that the questions need, each with its questions."""
        found: dict[int, tuple[OptionTexts, list[Question]]] = {}
        for question in self.survey.questions:
            entry = self.key.of(question)
            place = self.key.entries.index(entry) if entry in self.key.entries else -1 - len(found)
            found.setdefault(place, (entry, []))[1].append(question)
        return list(found.values())

    def _checks(self, entry: OptionTexts, questions: Sequence[Question]) -> list[tuple[Job, int | None]]:
        """Return the texts whose option is known, as the answers to a question of the survey."""
        known = {question.question_id for question in questions}
        first = questions[0].question_id
        return [
            ((check.question if check.question in known else first, check.text), check.option) for check in entry.checks
        ]

    def _read(self, texts: Mapping[str, Sequence[str]], reader: OptionReader) -> FreeTextAnswers:
        model: dict[str, ModelDistribution] = {}
        drawn: dict[str, FloatArray] = {}
        as_read: dict[str, tuple[tuple[float, ...], float]] = {}
        details, relative, unmeasured, poor = [], [0.0], [], []
        for entry, questions in self._entries():
            ids = [question.question_id for question in questions]
            n_options = len(entry.options)
            named = np.array([_counted(((name, text) for text in texts[name]), reader, n_options) for name in ids])
            errors = self._errors(entry, questions, reader)
            if errors is None:
                unmeasured += ids
                # A change may be of any size where nobody knows what the reading leaves of it.
                relative.append(1.0)
                totals = named[:, :-1].sum(axis=1, keepdims=True)
                shares = np.where(totals > 0, named[:, :-1] / np.maximum(totals, 1.0), 1.0 / n_options)
                power, likely = 1.0, shares[:, None, :]
            else:
                shares, power = errors.shares(named), max(errors.power, 0.0)
                rates = errors.drawn(_DRAWN, seed=self.seed)
                likely = np.swapaxes(errors.shares(named, rates=rates), 0, 1)
                error = errors.power_error(rates)
                relative.append((error / power) ** 2 if power > 0 else 1.0)
                if power < _LEAST_SURE * error:
                    poor.append(f"{errors.counts.sum():.0f} texts that say {', '.join(map(repr, entry.options[:3]))}")
                details.append(_errors_json(entry, questions, errors, error))
            for place, name in enumerate(ids):
                model[name] = _distribution(name, shares[place], named[place], texts[name], power)
                drawn[name] = likely[place]
                if total := float(named[place, :-1].sum()):
                    as_read[name] = tuple((named[place, :-1] / total).tolist()), total
        doubt = ""
        if unmeasured:
            doubt = (
                f"nobody measured how texts are read as the options of {len(unmeasured)} of {len(texts)} questions "
                f"({unmeasured[0]}); name an answer key with texts to check (answer_key=FILE)"
            )
        elif poor:
            doubt = f"the reading of texts is hardly better than chance on {poor[0]}"
        read = {
            name: [(text, _option(reader.option((name, text)), reader.questions[name])) for text in several]
            for name, several in texts.items()
        }
        return FreeTextAnswers(model, drawn, as_read, read, max(relative), doubt, tuple(_warnings(read)), details)

    def _errors(self, entry: OptionTexts, questions: Sequence[Question], reader: OptionReader) -> Misreading | None:
        """Return what the reader makes of the texts whose options are known; ``None`` where an option has none."""
        n = len(entry.options)
        table = np.zeros((n + 1, n + 1))
        for job, option in self._checks(entry, questions):
            read = reader.option(job)
            table[n if option is None else option, n if read is None else read] += 1
        return Misreading(table) if (table[:n].sum(axis=1) > 0).all() else None


def _counted(jobs: Iterable[Job], reader: OptionReader, n_options: int) -> list[float]:
    counts = [0.0] * (n_options + 1)
    for job in jobs:
        place = reader.option(job)
        counts[n_options if place is None else place] += 1
    return counts


def _option(place: int | None, question: Question) -> str | None:
    return None if place is None else question.options[place]


def _distribution(
    name: str, shares: FloatArray, named: FloatArray, texts: Sequence[str], power: float
) -> ModelDistribution:
    """Return the shares of one question; all are open where too few texts say an option."""
    # Errors that are taken out make the rest more random, as fewer draws would.
    draws = float(named[:-1].sum()) * power**2
    is_known = draws > 1.0
    ((top, _),) = Counter(texts).most_common(1)
    return ModelDistribution(
        question_id=name,
        probabilities=tuple(map(float, shares)),
        option_mass=float(named[:-1].sum() / named.sum()),
        top_token=" ".join(top[:80].split())[:40] or "(nothing)",
        position_bias=None,
        n_draws=draws if is_known else math.inf,
        bounds=() if is_known else ((0.0, 1.0),) * len(shares),
    )


def _errors_json(entry: OptionTexts, questions: Sequence[Question], errors: Misreading, error: float) -> dict[str, Any]:
    n = errors.n_options
    said, silent = errors.counts[:n], errors.counts[n]
    named = said[:, :n].sum()
    return {
        "options": list(entry.options),
        "questions": len(questions),
        "checks": int(errors.counts.sum()),
        "read": float(named / said.sum()),
        "read_rightly": float(np.trace(said[:, :n]) / named) if named else None,
        "read_where_none_is_said": float(silent[:n].sum() / silent.sum()) if silent.sum() else None,
        "power": errors.power,
        "power_error": error,
        "counts": errors.counts.astype(int).tolist(),
    }


def _warnings(read: Mapping[str, Sequence[tuple[str, str | None]]]) -> Iterator[str]:
    total = sum(map(len, read.values()))
    silent = sum(option is None for several in read.values() for _, option in several)
    if silent:
        yield f"{silent} of {total} texts say none of the options, or not clearly ({silent / total:.0%})"
    counts = Counter(text for several in read.values() for text, _ in several)
    refused = sum(n for text, n in counts.items() if is_refusal(text))
    if refused:
        yield f"{refused} of {total} texts refuse to answer"
    mute = [name for name, several in read.items() if sum(option is not None for _, option in several) < 2]
    if mute:
        told = f"{len(mute)} of {len(read)} questions have fewer than two texts that say an option (first: {mute[0]})"
        yield f"{told}; the interval holds every value that they may have"
