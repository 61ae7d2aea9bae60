"""The pure core: measures, statistics and verdicts on arrays and records.

It needs numpy, scipy, moocore and the standard library; no torch, no pytest, no files, no clock, no environment.
Names load when they are first used, so that importing the records costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_pluralism.core.records import Estimate, Gate, Outcome, Verdict, Witness
    from pytest_pluralism.core.verdict import decide

__all__ = ["Estimate", "Gate", "Outcome", "Verdict", "Witness", "decide"]

_HOME = {
    "Estimate": "records",
    "Gate": "records",
    "Outcome": "records",
    "Verdict": "records",
    "Witness": "records",
    "decide": "verdict",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        import importlib

        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
