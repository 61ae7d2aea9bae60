"""Upkeep of the store: its models listed, and its rows checked."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StoreCheck", "StoredModel"]


@dataclass(frozen=True, slots=True)
class StoredModel:
    """What a store holds of one model: how much of each kind, the bytes of all, when the first came and the last use.

    ``answers`` are those to closed questions; ``full_answers`` are prompts whose whole answers were scored;
    ``entailments`` are pairs of texts, and ``rewards`` are of one response for one attribute.
    """

    name: str
    sha256: str
    dtype: str
    device: str
    answers: int
    bytes: int
    created: float
    used: float
    responses: int = 0
    full_answers: int = 0
    entailments: int = 0
    rewards: int = 0


@dataclass(frozen=True, slots=True)
class StoreCheck:
    """What a check of every row found: how many of each kind there are, and of all kinds together how many are no use.

    ``damaged`` rows do not fit their checksums; ``unreadable`` ones are whole but of another version of the package.
    Neither is ever used.
    """

    answers: int
    damaged: int
    unreadable: int
    problems: tuple[str, ...] = ()
    responses: int = 0
    full_answers: int = 0
    entailments: int = 0
    rewards: int = 0
