"""The history in git of the baselines that verdicts were compared with, put beside the verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pluralism.baselines.schema import Content
from pytest_pluralism.core.errors import BaselineError

if TYPE_CHECKING:
    from pytest_pluralism.baselines.history import Revision

from pytest_pluralism.report.cells import Entry

__all__ = ["with_history"]

#: Older commits are a matter for ``pluralism history``.
MOST_REVISIONS = 20


def with_history(entries: Iterable[Entry], /) -> list[Entry]:
    """Return the verdicts, those with a baseline in a git repository with a ``history`` of their measure.

    A baseline that git does not know, or that is not on this machine, adds nothing.
    """
    read: dict[str, Sequence[Revision]] = {}
    result: list[Entry] = []
    for entry in entries:
        baseline = entry.get("baseline") or {}
        file, key = baseline.get("file"), baseline.get("key")
        if file and key and "://" not in file:
            if file not in read:
                read[file] = _revisions(file)
            history = [_point(one, key) for one in read[file] if key in one.entries]
            if history:
                entry = {**entry, "history": history}
        result.append(entry)
    return result


def _revisions(file: str) -> Sequence[Revision]:
    from pytest_pluralism.baselines.history import history_of
    from pytest_pluralism.baselines.places import LocalFile

    try:
        found = history_of(LocalFile(Path(file)), most=MOST_REVISIONS)
    except (BaselineError, ValueError, TypeError, ArithmeticError, OSError):
        # The report of this run is written even if an old file cannot be read.
        return ()
    # Without a commit it is the file as it is, which is not a release.
    return [one for one in found if one.commit]


def _point(revision: Revision, key: str) -> Content:
    estimate = revision.entries[key]["estimate"]
    return {
        "commit": revision.commit,
        "date": revision.date,
        "tags": list(revision.tags),
        **{name: estimate.get(name) for name in ("value", "low", "high")},
    }
