"""The kinds of work: what each asks of a model, what comes back, and how results are checked."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from pytest_pluralism.core.errors import ModelError, NoNumberError
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
)
from pytest_pluralism.evaluation.asking.rounds import Identified, Results, Round
from pytest_pluralism.models.answers.kinds import (
    ANSWERS,
    ENTAILMENTS,
    FULL_ANSWERS,
    RESPONSES,
    REWARDS,
    SIMILARITIES,
    Draw,
    Kind,
)
from pytest_pluralism.models.answers.store import NOTHING_READ, AnswerStore
from pytest_pluralism.models.protocol import ModelIdentity, Progress

__all__ = ["WORKS", "Answers", "AnyWork", "Cell", "Pairs", "Work", "cells_of", "refuse_open"]

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

    def forget(
        self,
        store: AnswerStore,
        identity: ModelIdentity,
        cells: Sequence[AskedT],
        /,
        *,
        readings: Mapping[AskedT, str] = NOTHING_READ,
    ) -> None:
        """Remove results from the store; ``readings`` are those of :class:`Readings`."""
        if self.kind is not None:
            store.forget(self.kind, identity, cells, readings=readings)

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


def refuse_open(results: Iterable[object], name: str) -> None:
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
