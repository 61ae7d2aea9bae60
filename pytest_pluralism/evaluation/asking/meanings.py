"""The meaning of requests: which question each puts, which option each label stands for, and how people answer."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pytest_pluralism.core.records import RequestName

__all__ = ["Meaning", "Meanings", "Means", "Named", "NamedRequests", "introduce"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """Say what the labels of one request stand for.

    Attributes
    ----------
    key : str
        The name of the question, the same for all its repetitions.
    order : tuple of int
        Label ``i`` stands for option ``order[i]`` of the question.
    people : tuple of float
        The shares of people over the options; empty where nobody answered the question.
    scoring : str
        The reading of the answer: ``"letters"``, or that of whole answers.
    least_liked : int or None
        The option that serves one group of jurors worst, where jurors judged the options.
    """

    key: str
    order: tuple[int, ...]
    people: tuple[float, ...] = ()
    scoring: str = "letters"
    least_liked: int | None = None


#: By request: a ``Prompt``, or a ``FullAnswerPrompt``.
Meanings = Mapping[Hashable, Meaning]


@runtime_checkable
class Means(Protocol):
    """An evaluation that says what the labels of its requests stand for.

    Requests without a meaning are read otherwise than by the shares of their labels, as published protocols do.
    """

    def meanings(self) -> Meanings:
        """Return the meaning of each request."""
        ...


#: Pairs of a request and the name that people use for it.
NamedRequests = Iterator[tuple[Hashable, RequestName]]


@runtime_checkable
class Named(Protocol):
    """An evaluation whose first requests have names that people use, by which recorded answers are found."""

    def names(self) -> NamedRequests:
        """Yield the requests with their names."""
        ...


def introduce(evaluation: object, model: object, /) -> None:
    """Tell a model whose answers were recorded by name how the requests of an evaluation are called."""
    # Looked up at the class: a model that is loaded when it is first used has every attribute.
    take = getattr(type(model), "take_names", None)
    if take is not None and isinstance(evaluation, Named):
        take(model, evaluation.names())
