"""The meaning of a closed question's labels: which option each stands for, and how people answer the question."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

__all__ = ["Meaning", "Meanings", "Means"]


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
