"""Runs of ready suites in a process of their own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_pluralism.suites import Suite

__all__ = ["JUDGED", "suite_command", "suite_folder"]

#: The exit codes of pytest that say that all promises were judged: kept, or not.
JUDGED = (0, 1)


def suite_folder(suite: Suite, /) -> Path:
    """Return the folder with the tests of a ready suite."""
    return Path(__file__).parents[1] / "suites" / suite.name


def suite_command(suite: Suite, words: Sequence[str], /) -> list[str]:
    """Return the command that runs a ready suite with options of pytest.

    The suite has a configuration of its own, so that its result does not depend on the folder in which it is run.
    """
    folder = suite_folder(suite)
    command = [sys.executable, "-m", "pytest", "-c", str(folder / "pytest.ini"), "--rootdir", str(folder)]
    return [*command, *words, "--", str(folder)]
