"""Answers of a window that a response holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_pluralism.core.parameters import FloatArray

__all__ = ["Held", "Reading", "union_of"]


@dataclass(frozen=True, slots=True)
class Held:
    """The probability that one answer is held, and the place in the response.

    ``evidence`` is the part of the response, ``said`` the text of the answer that it entails; both are ``None`` where
    the response has no part that could entail anything.
    """

    entailment: float
    evidence: str | None = None
    said: str | None = None


@dataclass(frozen=True)
class Reading:
    """The answers of one window that one response, or one set of responses, holds."""

    reasonable: tuple[Held, ...]
    unreasonable: tuple[Held, ...]
    unmatched: tuple[str, ...] = ()

    @property
    def values(self) -> FloatArray:
        """The probability of each reasonable answer."""
        return np.array([held.entailment for held in self.reasonable])


def union_of(read: Sequence[Reading]) -> Reading:
    """Return what a set of responses holds: of each answer as much as the response that holds it most."""

    def most(sides: Iterable[tuple[Held, ...]]) -> tuple[Held, ...]:
        return tuple(max(column, key=lambda held: held.entailment) for column in zip(*sides, strict=True))

    return Reading(
        most(one.reasonable for one in read),
        most(one.unreasonable for one in read),
        tuple(dict.fromkeys(claim for one in read for claim in one.unmatched)),
    )
