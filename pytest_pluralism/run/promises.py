"""The promises of a suite as JSON, for ``pluralism promises``, which imports no pytest and runs it in a child process.

.. code-block:: console

    $ python -m pytest --collect-only --pluralism-list-promises=FILE
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_pluralism.run.items import PLANS, Json, skipped_because, test_of

__all__ = ["OPTION", "PromiseList"]

OPTION = "--pluralism-list-promises"

SCHEMA = "pytest-pluralism/listed-promises/1"


class PromiseList:
    """Writes the promises of all collected tests, once.

    Parameters
    ----------
    path : Path
        The JSON file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._skipped: dict[str, str] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember the files that skip themselves: their promises are not dropped."""
        if report.skipped:
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self._skipped[report.nodeid] = why

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write the file."""
        promises: dict[str, Json] = {}
        problems = []
        for item in session.items:
            plans, wrong = item.stash.get(PLANS, ([], []))
            problems += [f"{test_of(item)}: {problem}" for problem in wrong]
            for plan in plans:
                key = f"{test_of(item)} {plan.key}"
                promises[key] = {
                    "key": key,
                    "test": test_of(item),
                    "metric": plan.measure.name,
                    "direction": plan.measure.direction,
                    "dataset": plan.dataset,
                    "population": plan.population,
                    "gate": plan.gate.as_json() if plan.gate is not None else {},
                    "parts": [f"{test_of(item)} {part}" for part in plan.part_keys.values()],
                    "skipped": skipped_because(item),
                }
        content = {
            "schema": SCHEMA,
            "promises": list(promises.values()),
            "problems": problems,
            "skipped_files": self._skipped,
        }
        self._path.write_text(json.dumps(content), encoding="utf-8")
