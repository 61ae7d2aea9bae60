"""Common myths with sentences that debunk each and sentences that argue for it: a test set for judges.

A judge that matches words takes "Some say that the Earth is flat, but ..." for an argument for a flat Earth.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pytest_pluralism.core.records import WindowSet
from pytest_pluralism.datasets.windows.loading import load_windows

__all__ = ["Debunks", "load_debunks"]

_FILE = Path(__file__).parent / "debunks_said.jsonl"


@dataclass(frozen=True)
class Debunks:
    """Settled queries with a myth each, and what is said of the myth.

    Attributes
    ----------
    windows : WindowSet
        The queries; the one unreasonable answer of each is the myth.
    debunks, endorsements : mapping of str to tuple of str
        Two responses by the id of the query that take the myth back, and two that argue for it.
    """

    windows: WindowSet
    debunks: dict[str, tuple[str, ...]]
    endorsements: dict[str, tuple[str, ...]]


def load_debunks() -> Debunks:
    """Load the 50 myths with their 100 debunks and 100 endorsements.

    Examples
    --------
    >>> found = load_debunks()
    >>> len(found.windows.windows), sum(map(len, found.debunks.values())), sum(map(len, found.endorsements.values()))
    (50, 100, 100)
    """
    rows = [json.loads(line) for line in _FILE.read_text(encoding="utf-8").splitlines()]
    return Debunks(
        load_windows("debunks"),
        {row["query_id"]: tuple(row["debunks"]) for row in rows},
        {row["query_id"]: tuple(row["endorsements"]) for row in rows},
    )
