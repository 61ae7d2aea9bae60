"""Runs of ready suites in a process of their own."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_pluralism.cli.showing import UsageError, shown
from pytest_pluralism.suites import Suite

__all__ = ["JUDGED", "options_of", "suite_command", "suite_folder"]

#: The exit codes of pytest that say that all promises were judged: kept, or not.
JUDGED = (0, 1)

#: The options of pytest that name the models which the commands name themselves.
_MODELS = ("--pluralism-model", "--pluralism-reference-model")


def options_of(text: str, /) -> list[str]:
    """Return the options for pytest that a text holds.

    Raises
    ------
    UsageError
        They, or those of the variable ``PYTEST_ADDOPTS``, name a model: its results would be those of another one.
    """
    words = shlex.split(text)
    for source, given in (("--pytest", words), ("PYTEST_ADDOPTS", shlex.split(os.environ.get("PYTEST_ADDOPTS", "")))):
        named = next((word for word in given if word.partition("=")[0] in _MODELS), None)
        if named is not None:
            raise UsageError(
                f"{source} names a model besides the one of the command. Leave {shown(named)} out, and use --before "
                "for the model that changes are compared with."
            )
    return words


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
