"""Properties of a test case in a JUnit file."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_pluralism.core.untrusted import harmless, printable
from pytest_pluralism.report.cells import Entry, outcome_of, promise_cell

__all__ = ["properties"]

#: Longer warnings are cut in a property; the report has all of them.
MOST_CHARACTERS = 1000


def properties(entries: Iterable[Entry], /) -> list[tuple[str, str]]:
    """Return the properties of each verdict, one value each: outcome, promise, numbers, warnings."""
    result = []
    for entry in entries:
        estimate = entry["estimate"] or {}
        found = {
            "outcome": outcome_of(entry),
            "promise": promise_cell(entry["gate"]),
            **{name: f"{estimate[name]:.6f}" for name in ("value", "low", "high") if estimate.get(name) is not None},
            "warnings": printable("; ".join(map(str, entry.get("warnings", ()))), most=MOST_CHARACTERS),
        }
        key = f"pluralism {harmless(entry['key'])}"
        # Plain strings: these cross from a worker of pytest-xdist to the controller.
        result += [(f"{key} {name}", str(words)) for name, words in found.items() if words]
    return result
