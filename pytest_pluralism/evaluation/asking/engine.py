"""Drives evaluations: gathers their rounds, and answers each from memory, from the store, or by asking the model.

All requests fall into cells: the part of one request that belongs to one draw. A cell has one result,
whichever evaluation asks for it: it is computed once in a run, and stored as soon as the model passes it on.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import cast

from pytest_pluralism.core.errors import ComputationError, ModelChangedError, ModelError, NotRecordedError
from pytest_pluralism.core.records import Answer, Response, Scores
from pytest_pluralism.evaluation.asking.drawing import Promised, tell_draws
from pytest_pluralism.evaluation.asking.meanings import introduce
from pytest_pluralism.evaluation.asking.rounds import Evaluation, Identified, ModelOf, Results, Role, Round
from pytest_pluralism.evaluation.asking.waiting import Patience
from pytest_pluralism.evaluation.asking.works import WORKS, Answers, AnyWork, Cell, Pairs, Work, cells_of, refuse_open
from pytest_pluralism.models.answers.kinds import (
    READINGS,
    read_by,
    reading_of,
)
from pytest_pluralism.models.answers.store import AnswerStore, AnswerStoreError
from pytest_pluralism.models.protocol import ModelIdentity, Progress

__all__ = ["WORKS", "Answers", "Engine", "Measured", "Readings", "Work", "cells_of"]


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


def _flat(results: Results) -> Iterator[object]:
    """Yield results one by one, the draws of a prompt too."""
    for one in results:
        yield from one if isinstance(one, tuple) else (one,)


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

    def __init__(self, evaluation: Evaluation, promised: Promised | None = None) -> None:
        self.evaluation = evaluation
        self.promised = promised
        self.rounds = evaluation.rounds()
        self.asked: Round | None = None
        self.roles: set[Role] = set()
        self.scores: Scores | None = None
        #: The note about results that a model gave at the second try.
        self.retried: list[str] = []
        #: How many results rest on a choice that could not be read, and how many there are.
        self.unread, self.n_results = 0, 0


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
        self, evaluation: Evaluation, model_of: ModelOf, /, *, key: Hashable = None, promised: Promised | None = None
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
        promised : Promised, optional
            The promise, which says how many answers are drawn where a model gives no probabilities.
        """
        run = self._scored.pop((key, model_of("language_model").identity.sha256), None)
        if run is None or run.evaluation is not evaluation:
            run = _Run(evaluation, promised)
        while run.scores is None:
            if run.asked is not None:
                model = model_of(run.asked.role)
                introduce(run.evaluation, model)
                tell_draws(model, run.evaluation, run.asked, run.promised)
                try:
                    self._fill(model, run.asked.work, cells_of(run.asked))
                except NotRecordedError:
                    if not run.asked.optional:
                        raise
            self._advance(run, model_of)
        scores = run.scores
        if run.retried:
            scores = replace(scores, warnings=(*scores.warnings, *dict.fromkeys(run.retried)))
        if run.unread:
            scores = replace(scores, unread_choices=(run.unread, run.n_results))
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

    def gather(
        self,
        evaluations: Mapping[object, Evaluation],
        model_of: ModelOf,
        /,
        *,
        promises: Mapping[object, Promised] = MappingProxyType({}),
    ) -> None:
        """Ask what several evaluations want: all their first rounds at once, then all their second rounds, and so on.

        The key of each is that of its promise, by which ``promises`` has what is promised. An error in one is left to
        :meth:`measure`, when its turn comes.
        """
        running = [(key, _Run(evaluation, promises.get(key))) for key, evaluation in evaluations.items()]
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
                            tell_draws(model, run.evaluation, run.asked, run.promised)
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
                results = self._results_or_none(model, run.asked)
                if results is not None and not getattr(run.evaluation, "carries_bounds", False):
                    refuse_open(results, model.identity.name)
                marks = [one.unread_choice for one in _flat(results or ()) if isinstance(one, Answer | Response)]
                run.unread, run.n_results = run.unread + sum(marks), run.n_results + len(marks)
                # Only a round that may lack its results is sent none.
                run.asked = run.rounds.send(cast("Results", results))
        except StopIteration as stop:
            run.asked, run.scores = None, stop.value
        else:
            run.roles.add(run.asked.role)

    def _results_or_none(self, model: Identified, asked: Round) -> Results | None:
        """Return the results of a round; ``None`` where a recording lacks some, and may."""
        try:
            return self._results(model, asked)
        except KeyError:
            if not (asked.optional and getattr(type(model), "is_recorded", False)):
                raise
            return None

    def _results(self, model: Identified, asked: Round) -> Results:
        work, sha256 = WORKS[asked.work], model.identity.sha256
        return [work.result(tuple(self._known[sha256, work.name, cell] for cell in row)) for row in work.cells(asked)]

    def _fill(self, model: Identified, name: str, rows: Iterable[tuple[Cell, ...]], *, asks: bool = True) -> None:
        """Make the cells known; without ``asks`` those that the store has."""
        work, identity = WORKS[name], model.identity
        wanted = dict.fromkeys(cell for row in rows for cell in row)
        missing = [cell for cell in wanted if (identity.sha256, name, cell) not in self._known]
        if asks:
            missing += self._begun(
                model, name, {cell: self._known.get((identity.sha256, name, cell)) for cell in wanted}
            )
        # A file of answers is a store itself.
        is_recorded = getattr(type(model), "is_recorded", False)
        if missing:
            readings = {} if is_recorded else self._read(work, model, missing)
            found = {} if is_recorded else self._recall(work, identity, missing, readings)
            begun = self._begun(model, name, found) if asks else {}
            found = {cell: result for cell, result in found.items() if cell not in begun}
            self.recalled += len(found)
            self._learn(work, identity, found.items())
            missing = [cell for cell in missing if cell not in found]
        if missing and asks:
            given: list[Cell] = []

            def keep(pairs: Pairs[Cell, object]) -> None:
                # Known at once: what came before an error need not be asked again.
                self._learn(work, identity, pairs)
                self.asked += len(pairs)
                given.extend(cell for cell, _ in pairs)
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
                    if isinstance(error, ModelChangedError):
                        self._forget(work, identity, given, readings)
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

    @staticmethod
    def _begun(model: Identified, name: str, found: Mapping[Cell, object]) -> dict[Cell, None]:
        """Return the cells of which a model has fewer draws than it needs, and tell it those that there are."""
        begin = getattr(type(model), "begin", None) if name == "answers" else None
        return dict.fromkeys(begin(model, found)) if begin is not None else {}

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

    def _forget(
        self, work: AnyWork, identity: ModelIdentity, cells: Sequence[Cell], readings: Mapping[Cell, str]
    ) -> None:
        """Forget results of which nobody knows whether this model gave them."""
        for cell in cells:
            self._known.pop((identity.sha256, work.name, cell), None)
        try:
            store = self._store()
            if store is not None:
                work.forget(store, identity, cells, readings=readings)
        except AnswerStoreError as error:
            self._note(f"answers that another model may have given are still stored: {error}")
