"""The promises that the tests of a run make, so that none of which nothing is said is lost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import pytest

from pytest_pluralism.run.items import PLANS, Json, error_entries, skipped_because

__all__ = ["CHANNEL", "NOT_JUDGED", "Planned"]

#: The key under which a worker of pytest-xdist finds the channel by which it tells its promises to the controller.
CHANNEL = "pluralism_planned"

#: The reason of a promise that was not judged, in the report of a run that ended before its test.
NOT_JUDGED = "not judged: the run ended before this test did"


class Planned:
    """The promises of the collected tests, each as the error that it is until its test says something."""

    def __init__(self) -> None:
        self._entries: dict[str, list[Json]] = {}
        self._skipped: set[str] = set()
        #: The tests that a worker died in, and that did not run again.
        self.crashed: set[str] = set()

    @staticmethod
    def of(items: Iterable[pytest.Item]) -> dict[str, list[Json]]:
        """Return the promises of the tests that will run, by node id, as plain JSON values."""
        marked = (item for item in items if PLANS in item.stash and skipped_because(item) is None)
        return {item.nodeid: error_entries(item, NOT_JUDGED) for item in marked}

    def add(self, entries: Mapping[str, list[Json]]) -> None:
        """Add the promises of this process, or of a worker; all workers collect the same."""
        self._entries.update(entries)

    def saw(self, report: pytest.TestReport) -> None:
        """Take note of what became of a test: one that skips itself owes no verdict."""
        # A test that skips one of its subtests has not skipped itself, and one whose process died in it has said
        # nothing: pytest-forked calls it skipped where an expected failure stands above it.
        told = report.when in ("setup", "call", "teardown") and getattr(report, "context", None) is None
        if report.skipped and told:
            self._skipped.add(report.nodeid)
        if report.when == "call":
            self.crashed.discard(report.nodeid)

    def crash(self, nodeid: str, reason: str) -> list[Json]:
        """Return the errors of a test whose worker died in it."""
        self.crashed.add(nodeid)
        return [{**entry, "reason": reason} for entry in self._entries.get(nodeid, ())]

    def missing(self, judged: Collection[tuple[str, str]]) -> list[Json]:
        """Return the errors of the promises of which nothing was said: not among the node ids and keys given."""
        return [
            entry
            for nodeid, entries in self._entries.items()
            for entry in entries
            if nodeid not in self._skipped and (nodeid, entry["key"]) not in judged
        ]
