"""Drives evaluations: gathers their rounds, and answers each from memory, from the store, or by asking the model.

All requests fall into cells: the part of one request that belongs to one draw. A cell has one result,
whichever evaluation asks for it: it is computed once in a run, and stored as soon as the model passes it on.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import math
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from pytest_pluralism.core.errors import ComputationError, ModelError, NoNumberError
from pytest_pluralism.core.records import (
    Answer,
    EntailmentPair,
    EntailmentScores,
    FullAnswerPrompt,
    FullAnswerScores,
    GenerationSettings,
    Prompt,
    Response,
    RewardRequest,
    Scores,
)
from pytest_pluralism.evaluation.asking.meanings import introduce
from pytest_pluralism.evaluation.asking.rounds import Evaluation, Identified, ModelOf, Results, Role, Round
from pytest_pluralism.evaluation.asking.waiting import Patience
from pytest_pluralism.models.answers.kinds import (
    ANSWERS,
    ENTAILMENTS,
    FULL_ANSWERS,
    READINGS,
    RESPONSES,
    REWARDS,
    SIMILARITIES,
    Draw,
    Kind,
    read_by,
    reading_of,
)
from pytest_pluralism.models.answers.store import NOTHING_READ, AnswerStore, AnswerStoreError
from pytest_pluralism.models.protocol import ModelIdentity, Progress

__all__ = ["WORKS", "Engine", "Measured", "Readings", "Work", "cells_of"]

#: By so much a probability may exceed 1, as sums of float32 do.
ROUNDED_UP = 1e-3

#: The part of one request that belongs to one draw; its result depends on nothing else but the model.
Cell = Hashable

AskedT = TypeVar("AskedT", bound=Hashable)
ResultT = TypeVar("ResultT")

Pairs = Sequence[tuple[AskedT, ResultT]]


#: So much of the share of a label may be open where a measure has no bounds: less than served numbers repeat to.
MOST_OPEN = 2e-3


class Work(Generic[AskedT, ResultT]):
    """One kind of work: which method of a model does it, and as which kind of result the store keeps it, if at all."""

    name = ""
    method = ""
    does = ""
    results = "answers"
    kind: Kind[AskedT, ResultT] | None = None

    def cells(self, asked: Round) -> list[tuple[Cell, ...]]:
        """Return for each request its cells."""
        return [(request,) for request in asked.requests]

    def result(self, values: tuple[ResultT, ...]) -> object:
        """Put the results of the cells of one request together."""
        return values[0]

    def lookup(
        self,
        store: AnswerStore,
        identity: ModelIdentity,
        cells: Sequence[AskedT],
        /,
        *,
        readings: Mapping[AskedT, str] = NOTHING_READ,
    ) -> Mapping[AskedT, ResultT]:
        """Return the results that the store has, by cell; ``readings`` are those of :class:`Readings`."""
        return {} if self.kind is None else store.lookup(self.kind, identity, cells, readings=readings)

    def keep(
        self,
        store: AnswerStore,
        identity: ModelIdentity,
        pairs: Pairs[AskedT, ResultT],
        /,
        *,
        readings: Mapping[AskedT, str] = NOTHING_READ,
    ) -> None:
        """Keep results in the store; ``readings`` are those of :class:`Readings`."""
        if self.kind is not None:
            store.keep(self.kind, identity, pairs, readings=readings)

    def ask(
        self,
        model: Identified,
        cells: Sequence[AskedT],
        progress: Progress | None,
        keep: Callable[[Pairs[AskedT, ResultT]], None],
    ) -> dict[AskedT, ResultT]:
        """Ask a model for cells that are not known, and pass the results on as they come."""
        method = getattr(model, self.method, None)
        if method is None:
            raise ModelError(
                f"{model.identity.name} cannot be used for this: it does not {self.does} (no method {self.method})."
            )
        found: dict[AskedT, ResultT] = {}

        def receive(pairs: Pairs[AskedT, ResultT]) -> None:
            keep(pairs)
            found.update(pairs)

        results = self._call(method, cells, progress, receive)
        if not len(found) == len(cells) == results:
            raise ModelError(
                f"{model.identity.name} gave {min(len(found), results)} {self.results} to {len(cells)} prompts."
            )
        return found

    def _call(
        self,
        method: Callable[..., Results],
        cells: Sequence[AskedT],
        progress: Progress | None,
        receive: Callable[[Pairs[AskedT, ResultT]], None],
    ) -> int:
        """Ask the method, and return the number of cells with a result."""
        passed_on: set[AskedT] = set()

        def pass_on(pairs: Pairs[AskedT, ResultT]) -> None:
            passed_on.update(cell for cell, _ in pairs)
            receive(pairs)

        arguments = {"receive": pass_on} if "receive" in inspect.signature(method).parameters else {}
        results = method(list(cells), progress=progress, **arguments)
        if not isinstance(results, Sequence):
            raise ModelError(
                f"The method {self.method} of the model gave a {type(results).__name__}. It must give a list, with one "
                "entry for each prompt."
            )
        # A model may take the keyword and pass nothing on, or a part: the list that it returns has everything.
        left = [pair for pair in zip(cells, results, strict=False) if pair[0] not in passed_on]
        if left:
            receive(left)
        return len(results)


class Answers(Work[Prompt, Answer]):
    """Closed questions."""

    name, method, does = "answers", "answer", "answer closed questions"
    kind = ANSWERS

    def _call(
        self,
        method: Callable[..., Results],
        cells: Sequence[Prompt],
        progress: Progress | None,
        receive: Callable[[Pairs[Prompt, Answer]], None],
    ) -> int:
        def checked(pairs: Pairs[Prompt, Answer]) -> None:
            for prompt, answer in pairs:
                _refuse_no_answer(prompt, answer)
            receive(pairs)

        return super()._call(method, cells, progress, checked)


def _refuse_no_answer(prompt: Prompt, answer: object) -> None:
    """Refuse what a model of the project's own may take for an answer, before it is stored or compared."""
    question = repr(prompt.question[:60])
    if not isinstance(answer, Answer):
        raise ModelError(
            f"The model gave a {type(answer).__name__} to the question {question}. Its method answer must give an "
            "Answer for each prompt."
        )
    given, wanted = len(answer.log_probabilities), len(prompt.labels)
    if given != wanted:
        raise ModelError(
            f"The model gave {given} log-probabilities to the question {question}, which has {wanted} labels. "
            "Its method answer must give one for each label."
        )
    if any(math.isnan(value) or value > ROUNDED_UP for value in answer.log_probabilities):
        raise NoNumberError(
            f"The model gave the log-probabilities {answer.log_probabilities} to the question {question}. "
            "They must be natural logarithms of probabilities: at most 0, and no NaN."
        )
    if answer.counts and (len(answer.counts) != wanted or min(answer.counts) < 0 or answer.n_drawn <= 0):
        raise ModelError(
            f"The model gave the counts {answer.counts} of {answer.n_drawn:g} draws to the question {question}, which "
            f"has {wanted} labels. There must be one for each label, at least 0 (sampled_answer makes such an answer)."
        )
    if not 0.0 <= answer.option_mass <= 1.0 + ROUNDED_UP:
        raise ModelError(
            f"The model gave the option mass {answer.option_mass} to the question {question}. "
            "It must be a probability, in [0, 1]."
        )


def _refuse_open(results: Iterable[object], name: str) -> None:
    """Refuse answers that leave probabilities of labels open, where nothing carries the bounds into the value."""
    widths = [answer.open_share for answer in results if isinstance(answer, Answer)]
    if max(widths, default=0.0) > MOST_OPEN:
        raise ModelError(
            f"{name} leaves the share of a label open by up to {max(widths):.3f}, because it is served with too few "
            "likeliest tokens, and this measure has no bounds. Serve it with more of them (vLLM: --max-logprobs), or "
            "with a server that gives the log-probabilities of chosen tokens."
        )


class FullAnswers(Work[FullAnswerPrompt, FullAnswerScores]):
    """Scores of whole answers."""

    name, method, does = "full_answers", "score_answers", "score whole answers"
    kind = FULL_ANSWERS
    results = "scores"


class Responses(Work[Draw, Response]):
    """Texts; a cell is one draw."""

    name, method, does = "responses", "generate", "write texts"
    kind = RESPONSES
    results = "texts"

    def cells(self, asked: Round) -> list[tuple[Cell, ...]]:
        """Return for each request its draws."""
        return [tuple((request, asked.settings, draw) for draw in range(asked.n_draws)) for request in asked.requests]

    def result(self, values: tuple[Response, ...]) -> object:
        """Return the draws of one request."""
        return values

    def _call(
        self,
        method: Callable[..., Results],
        cells: Sequence[Draw],
        progress: Progress | None,
        receive: Callable[[Pairs[Draw, Response]], None],
    ) -> int:
        # A model writes the first draws of a prompt; where only a later one is missing, the earlier ones come again.
        takes = "receive" in inspect.signature(method).parameters
        wanted, passed_on = set(cells), set[Draw]()
        got = 0
        for settings, n_draws, prompts in _by_settings(cells):

            def pass_on(pairs: Pairs[Prompt, Response], settings: GenerationSettings = settings) -> None:
                fresh = [((prompt, settings, response.draw), response) for prompt, response in pairs]
                fresh = [pair for pair in fresh if pair[0] in wanted and pair[0] not in passed_on]
                passed_on.update(cell for cell, _ in fresh)
                if fresh:
                    receive(fresh)

            arguments = {"receive": pass_on} if takes else {}
            written = method(prompts, settings, n_draws=n_draws, progress=progress, **arguments)
            pairs = [(p, one) for p, draws in zip(prompts, written, strict=False) for one in draws]
            pass_on(pairs)
            got += sum((prompt, settings, response.draw) in wanted for prompt, response in pairs)
        return got


class Entailment(Work[EntailmentPair, EntailmentScores]):
    """Entailment of one text by another."""

    name, method, does = "entailment", "entail", "judge entailment"
    kind = ENTAILMENTS
    results = "scores"


class Rewards(Work[RewardRequest, float]):
    """Rewards of responses for an attribute."""

    name, method, does = "rewards", "reward", "give rewards"
    kind = REWARDS
    results = "rewards"


class Similarities(Work[EntailmentPair, float]):
    """Similarities of two texts."""

    name, method, does = "similarities", "similarities", "compare the meanings of texts"
    kind = SIMILARITIES
    results = "similarities"


class Called(Protocol):
    """A function of a project, such as a ``CallableObjective``."""

    @property
    def function(self) -> Callable[[Identified], Mapping[str, float]]:
        """Return what is called with a model."""
        ...

    def __hash__(self) -> int: ...


class Objectives(Work[Called, Mapping[str, float]]):
    """Functions of a project that are called with the model; nobody knows what they depend on, so nothing is kept."""

    name, does = "objectives", "be measured by functions"
    results = "objectives"

    def ask(
        self,
        model: Identified,
        cells: Sequence[Called],
        progress: Progress | None,
        keep: Callable[[Pairs[Called, Mapping[str, float]]], None],
    ) -> dict[Called, Mapping[str, float]]:
        """Call each function with the model."""
        found: dict[Called, Mapping[str, float]] = {}
        for done, cell in enumerate(cells, start=1):
            found[cell] = cell.function(model)
            keep([(cell, found[cell])])
            if progress is not None:
                progress(done, len(cells))
        return found


#: A kind of work, whatever it asks for.
AnyWork = Work[Any, Any]

#: Every kind of work, by the name that a round has for it.
WORKS: Mapping[str, AnyWork] = {
    work.name: work
    for work in (Answers(), FullAnswers(), Responses(), Entailment(), Rewards(), Similarities(), Objectives())
}


def cells_of(asked: Round, /) -> list[tuple[Cell, ...]]:
    """Return for each request of a round its cells."""
    return WORKS[asked.work].cells(asked)


class Readings:
    """The tokens that models read for cells, as hashes, for the keys of the answer store.

    A model that is not loaded is not asked for what the store remembers of it.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, Hashable], str] = {}

    def of(self, model: Identified, cells: Iterable[Cell], store: AnswerStore | None, /) -> dict[Cell, str]:
        """Return what a model reads for each cell; cells that it does not read as tokens are missing.

        Raises
        ------
        ModelError
            The model cannot read a cell.
        """
        identity = model.identity
        reads = {cell: read for cell in cells if (read := read_by(cell)) is not None}
        missing = [read for read in dict.fromkeys(reads.values()) if (identity.sha256, read) not in self._known]
        if missing and store is not None and not getattr(model, "is_loaded", True):
            with contextlib.suppress(AnswerStoreError):
                found = store.lookup(READINGS, identity, missing)
                self._known |= {(identity.sha256, read): reading for read, reading in found.items()}
                missing = [read for read in missing if read not in found]
        fresh = [(read, reading_of(model, read)) for read in missing]
        self._known |= {(identity.sha256, read): reading for read, reading in fresh}
        if store is not None:
            with contextlib.suppress(AnswerStoreError):
                store.keep(READINGS, identity, [(read, reading) for read, reading in fresh if reading])
        return {cell: self._known[identity.sha256, read] for cell, read in reads.items()}


class Failures:
    """The requests that models failed at the first try, so that a second one is never silent, and there is no third.

    Errors about a prompt (too long, no such label) come again whenever it is asked, and are not counted. A NaN, an
    error of a device or of the model's own code may not come again: the results then say so.
    """

    def __init__(self) -> None:
        self._errors: dict[tuple[str, str, Cell], list[Exception]] = {}

    def remember(self, identity: ModelIdentity, work: str, cells: Iterable[Cell], error: Exception, /) -> None:
        """Remember that cells have no results because of an error."""
        if not isinstance(error, ModelError) or isinstance(error, ComputationError):
            for cell in cells:
                self._errors.setdefault((identity.sha256, work, cell), []).append(error)

    def before(self, identity: ModelIdentity, work: str, cells: Sequence[Cell], /) -> str:
        """Return what is said if cells now get results, though they did not before; empty where all are new.

        Raises
        ------
        Exception
            The error of a cell that already failed twice.
        """
        known = [self._errors[key] for cell in cells if (key := (identity.sha256, work, cell)) in self._errors]
        for errors in known:
            if len(errors) > 1:
                raise errors[-1]
        return _said(known[0][0], identity.name) if known else ""

    def told(self, identity: ModelIdentity, work: str, cells: Iterable[Cell], /) -> list[str]:
        """Return what is said of those cells that got results at the second try."""
        errors = [self._errors[key][0] for cell in cells if (key := (identity.sha256, work, cell)) in self._errors]
        return [_said(errors[0], identity.name)] if errors else []


def _said(error: Exception, name: str) -> str:
    words = " ".join(f"{type(error).__name__}: {error}".split())[:160]
    return (
        f"{name} failed once while it was asked, and gave results when it was asked again ({words}). Look into the "
        "error before you rely on them."
    )


@dataclass(frozen=True, slots=True)
class Measured:
    """The time that a model took for cells that were not known."""

    identity: ModelIdentity
    work: str
    cells: tuple[Cell, ...]
    seconds: float


class _Run:
    """The progress of one evaluation."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation
        self.rounds = evaluation.rounds()
        self.asked: Round | None = None
        self.roles: set[Role] = set()
        self.scores: Scores | None = None
        #: The note about results that a model gave at the second try.
        self.retried: list[str] = []


class Engine:
    """The requests of one process of a run to its models, and the results.

    Parameters
    ----------
    store : callable
        Returns the store of answers, or ``None`` where there is none.
    note : callable
        Takes what the run should say about its store.
    progress : callable
        ``progress(text)`` is a context in which a model works; it yields what takes (done, all), or ``None``.
    measured : callable, optional
        Takes how long each call of a model took.
    timeout : float, optional
        Seconds after which a model that gives nothing is not waited for any longer.

    Attributes
    ----------
    patience : Patience
        The models that were waited for too long.
    asked, recalled : int
        How many cells were computed, and how many came from the store.
    """

    def __init__(
        self,
        *,
        store: Callable[[], AnswerStore | None],
        note: Callable[[str], None],
        progress: Callable[[str], AbstractContextManager[Progress | None]],
        measured: Callable[[Identified, Measured], None] | None = None,
        timeout: float | None = None,
    ) -> None:
        self.asked = 0
        self.recalled = 0
        self._store = store
        self._note = note
        self._progress = progress
        self._measured = measured
        self._known: dict[tuple[str, str, Cell], object] = {}
        self.patience = Patience(timeout)
        self._readings = Readings()
        self._failures = Failures()
        self._scored: dict[tuple[Hashable, str], _Run] = {}

    def measure(
        self, evaluation: Evaluation, model_of: ModelOf, /, *, key: Hashable = None
    ) -> tuple[Scores, frozenset[Role]]:
        """Ask what has not been asked yet, round by round, and return the scores, and the roles that were needed.

        Parameters
        ----------
        evaluation : Evaluation
            The evaluations to measure.
        model_of : callable
            Returns the model of a role: ``language_model`` or ``entailment_model``.
        key : hashable, optional
            The key under which :meth:`gather` may have come to the scores.
        """
        run = self._scored.pop((key, model_of("language_model").identity.sha256), None)
        if run is None or run.evaluation is not evaluation:
            run = _Run(evaluation)
        while run.scores is None:
            if run.asked is not None:
                model = model_of(run.asked.role)
                introduce(run.evaluation, model)
                self._fill(model, run.asked.work, cells_of(run.asked))
            self._advance(run, model_of)
        scores = run.scores
        if run.retried:
            scores = replace(scores, warnings=(*scores.warnings, *dict.fromkeys(run.retried)))
        return scores, frozenset(run.roles)

    def answered(self, asked: Round, model: Identified, /) -> Results:
        """Return the results of one round by itself, asking the model what is not known yet."""
        self._fill(model, asked.work, cells_of(asked))
        return self._results(model, asked)

    def recalled_of(self, asked: Round, model: Identified, /) -> Results | None:
        """Return the results of one round without asking a model; ``None`` where some are not known."""
        self._fill(model, asked.work, cells_of(asked), asks=False)
        try:
            return self._results(model, asked)
        except KeyError:
            return None

    def known(self) -> Iterator[tuple[str, str, Cell, object]]:
        """Yield all results: the hash of the model, the kind of work, the cell, and the result."""
        for (sha256, work, cell), result in self._known.items():
            yield sha256, work, cell, result

    def is_scored(self, key: Hashable, model: Identified, /) -> bool:
        """Return whether :meth:`gather` came to the scores of the evaluation of a key, of a language model."""
        return (key, model.identity.sha256) in self._scored

    def gather(self, evaluations: Mapping[object, Evaluation], model_of: ModelOf, /) -> None:
        """Ask what several evaluations want: all their first rounds at once, then all their second rounds, and so on.

        The key of each is that of its promise. An error in one is left to :meth:`measure`, when its turn
        comes.
        """
        running = [(key, _Run(evaluation)) for key, evaluation in evaluations.items()]
        while running:
            wanted: dict[tuple[Role, str], list[tuple[Cell, ...]]] = {}
            for asked in (run.asked for _, run in running if run.asked is not None):
                wanted.setdefault((asked.role, asked.work), []).extend(cells_of(asked))
            for (role, work), rows in wanted.items():
                # A model may raise anything: each test meets the error by itself.
                with contextlib.suppress(Exception):
                    model = model_of(role)
                    for _, run in running:
                        if run.asked is not None and run.asked.role == role:
                            introduce(run.evaluation, model)
                    self._fill(model, work, rows)
            batch, running = running, []
            for key, run in batch:
                with contextlib.suppress(Exception):
                    self._advance(run, model_of)
                    if run.scores is None:
                        running.append((key, run))
                    else:
                        self._scored[key, model_of("language_model").identity.sha256] = run

    def _advance(self, run: _Run, model_of: ModelOf) -> None:
        """Start the next round, or keep the scores."""
        try:
            if run.asked is None:
                run.asked = next(run.rounds)
            else:
                model, cells = model_of(run.asked.role), cells_of(run.asked)
                run.retried += self._failures.told(model.identity, run.asked.work, itertools.chain(*cells))
                results = self._results(model, run.asked)
                if not getattr(run.evaluation, "carries_bounds", False):
                    _refuse_open(results, model.identity.name)
                run.asked = run.rounds.send(results)
        except StopIteration as stop:
            run.asked, run.scores = None, stop.value
        else:
            run.roles.add(run.asked.role)

    def _results(self, model: Identified, asked: Round) -> Results:
        work, sha256 = WORKS[asked.work], model.identity.sha256
        return [work.result(tuple(self._known[sha256, work.name, cell] for cell in row)) for row in work.cells(asked)]

    def _fill(self, model: Identified, name: str, rows: Iterable[tuple[Cell, ...]], *, asks: bool = True) -> None:
        """Make the cells known; without ``asks`` those that the store has."""
        work, identity = WORKS[name], model.identity
        wanted = dict.fromkeys(cell for row in rows for cell in row)
        missing = [cell for cell in wanted if (identity.sha256, name, cell) not in self._known]
        # A file of answers is a store itself.
        is_recorded = getattr(type(model), "is_recorded", False)
        if missing:
            readings = {} if is_recorded else self._read(work, model, missing)
            found = {} if is_recorded else self._recall(work, identity, missing, readings)
            self.recalled += len(found)
            self._learn(work, identity, found.items())
            missing = [cell for cell in missing if cell not in found]
        if missing and asks:

            def keep(pairs: Pairs[Cell, object]) -> None:
                # Known at once: what came before an error need not be asked again.
                self._learn(work, identity, pairs)
                self.asked += len(pairs)
                if not is_recorded:
                    self._keep(work, identity, pairs, readings)

            # Loading is not part of what is measured.
            prepare = getattr(type(model), "prepare", None)
            if prepare is not None:
                with self._progress(f"loading {identity.name}"):
                    prepare(model)
            again = self._failures.before(identity, name, missing)
            with self._progress(f"asking {identity.name}") as progress:
                started = time.perf_counter()
                try:
                    self.patience.ask(
                        model,
                        functools.partial(work.ask, model, missing),
                        progress,
                        keep,
                        wanted=len(missing),
                        is_stored=work.kind is not None and self._store() is not None,
                    )
                except Exception as error:
                    left = [cell for cell in missing if (identity.sha256, name, cell) not in self._known]
                    self._failures.remember(identity, name, left, error)
                    raise
                seconds = time.perf_counter() - started
            if again:
                self._note(again)
            for note in getattr(model, "take_notes", list)():
                self._note(note)
            if self._measured is not None:
                self._measured(model, Measured(identity, name, tuple(missing), seconds))

    def _learn(self, work: AnyWork, identity: ModelIdentity, pairs: Iterable[tuple[Cell, object]]) -> None:
        for cell, value in pairs:
            self._known[identity.sha256, work.name, cell] = value

    def _read(self, work: AnyWork, model: Identified, cells: Sequence[Cell]) -> Mapping[Cell, str]:
        """Return what the model reads for cells whose results the store may have."""
        try:
            store = self._store()
        except AnswerStoreError:
            store = None
        return {} if work.kind is None or store is None else self._readings.of(model, cells, store)

    def _recall(
        self, work: AnyWork, identity: ModelIdentity, cells: Sequence[Cell], readings: Mapping[Cell, str]
    ) -> Mapping[Cell, object]:
        try:
            store = self._store()
            return work.lookup(store, identity, cells, readings=readings) if store is not None else {}
        except AnswerStoreError as error:
            self._note(f"stored answers are not used: {error}")
            return {}

    def _keep(
        self, work: AnyWork, identity: ModelIdentity, pairs: Pairs[Cell, object], readings: Mapping[Cell, str]
    ) -> None:
        try:
            store = self._store()
            if store is not None:
                work.keep(store, identity, pairs, readings=readings)
        except AnswerStoreError as error:
            self._note(f"answers are not kept: {error}")


def _by_settings(cells: Sequence[Draw]) -> Iterator[tuple[GenerationSettings, int, list[Prompt]]]:
    """Yield settings, number of draws and prompts of draws, such that one call of a model gives all of them."""
    draws: dict[tuple[GenerationSettings, Prompt], int] = {}
    for prompt, settings, draw in cells:
        draws[settings, prompt] = max(draws.get((settings, prompt), 0), draw + 1)
    calls: dict[tuple[GenerationSettings, int], list[Prompt]] = {}
    for (settings, prompt), n_draws in draws.items():
        calls.setdefault((settings, n_draws), []).append(prompt)
    for (settings, n_draws), prompts in calls.items():
        yield settings, n_draws, prompts
