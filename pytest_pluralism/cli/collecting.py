"""Lets pytest collect a suite in a process of its own, for commands that need its promises or requests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_pluralism.baselines.schema import Content
from pytest_pluralism.cli.showing import UsageError

__all__ = ["collect"]

#: The exit codes of pytest that say that all files were read: all is well, and no tests were collected.
_COLLECTED = (0, 5)


def collect(words: Sequence[str], tests: Sequence[str], file: Path, /) -> tuple[Content, str]:
    """Collect the tests, and return the JSON that the collecting run wrote, and a sentence on what is wrong with it.

    Raises
    ------
    UsageError
        The run wrote nothing.
    """
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *words, "--", *tests]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    last = said[-1].strip() if said else "nothing was said"
    if not file.is_file():
        raise UsageError(f"pytest could not collect the tests (exit code {done.returncode}): {last}")
    content: Content = json.loads(file.read_text(encoding="utf-8"))
    return content, "" if done.returncode in _COLLECTED else f"pytest could not collect all tests: {last}"
