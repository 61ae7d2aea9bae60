"""Properties of a test case in a JUnit file."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_pluralism.core.untrusted import harmless, printable
from pytest_pluralism.report.cells import Entry

__all__ = ["properties"]

#: Longer warnings are cut in a property; the report has all of them.
MOST_CHARACTERS = 1000


def properties(entries: Iterable[Entry], /) -> list[tuple[str, str]]:
    """Return one property a verdict: what was measured, its interval and its outcome."""
    result = []
    for entry in entries:
        estimate = entry["estimate"]
        words = entry["outcome"]
        if estimate is not None and None not in (estimate["value"], estimate["low"], estimate["high"]):
            words = f"{estimate['value']:.6f} [{estimate['low']:.6f}, {estimate['high']:.6f}] {words}"
        if warnings := entry.get("warnings", ()):
            words += f", warned: {printable('; '.join(map(str, warnings)), most=MOST_CHARACTERS)}"
        result.append((f"pluralism {harmless(entry['key'])}", words))
    return result
