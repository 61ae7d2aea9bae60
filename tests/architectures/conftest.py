"""The table of all architectures that were compared, printed at the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROWS = pytest.StashKey[list]()


@pytest.fixture
def row(request):
    """Return what is told of one architecture in the table."""
    found = {"architecture": request.node.callspec.params["name"]}
    yield found
    request.config.stash.setdefault(ROWS, []).append(found)


def pytest_terminal_summary(terminalreporter, config):
    rows = sorted(config.stash.get(ROWS, []), key=lambda one: one["architecture"])
    compared = [one for one in rows if "answers" in one]
    if not compared:
        return
    lines = ["| architecture | answers | whole answers | texts | way |", "|---|---|---|---|---|"]
    for one in compared:
        cells = (one[name] if isinstance(one.get(name), str) else f"{one[name]:.1e}" for name in ("answers", "whole"))
        lines.append(f"| {one['architecture']} | {' | '.join(cells)} | {one['texts']} | {one['way']} |")
    terminalreporter.section("architectures")
    for line in lines:
        terminalreporter.line(line)
    left = ", ".join(f"{one['architecture']} ({one.get('left', 'failed')})" for one in rows if "answers" not in one)
    terminalreporter.line(f"{len(compared)} compared; not compared: {left or 'none'}")
    place = os.environ.get("PLURALISM_ARCHITECTURES_TABLE")
    if place:
        Path(place).write_text("\n".join(lines) + "\n", encoding="utf-8")
    if len(rows) > 100 and len(compared) < 100:
        terminalreporter.line(f"fewer than 100 architectures were compared: {len(compared)}", red=True)
        # The hook comes before the exit code is returned.
        config.pluginmanager.get_plugin("session").exitstatus = pytest.ExitCode.TESTS_FAILED
