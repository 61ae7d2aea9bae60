"""The table of all architectures that were compared, printed at the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def row(request):
    """Return what the table tells of one architecture; it travels with the report of the test."""
    found = {"architecture": request.node.callspec.params["name"]}
    request.node.user_properties.append(("architecture", found))
    return found


def pytest_terminal_summary(terminalreporter):
    reports = [one for kind in ("passed", "failed", "skipped") for one in terminalreporter.stats.get(kind, ())]
    told = [dict(one.user_properties).get("architecture") for one in reports if getattr(one, "when", "") == "call"]
    rows = sorted((one for one in told if one), key=lambda one: one["architecture"])
    compared = [one for one in rows if "texts" in one]
    if not compared:
        return
    lines = ["| architecture | answers | whole answers | texts | way |", "|---|---|---|---|---|"]
    lines += [
        f"| {one['architecture']} | {one['answers']:.1e} | {one['whole']:.1e} | {one['texts']} | {one['way']} |"
        for one in compared
    ]
    terminalreporter.section("architectures")
    for line in lines:
        terminalreporter.line(line)
    left = ", ".join(f"{one['architecture']} ({one.get('left', 'failed')})" for one in rows if "texts" not in one)
    terminalreporter.line(f"{len(compared)} compared; not compared: {left or 'none'}")
    place = os.environ.get("PLURALISM_ARCHITECTURES_TABLE")
    if place:
        Path(place).write_text("\n".join(lines) + "\n", encoding="utf-8")


def pytest_sessionfinish(session):
    """Fail a whole run in which fewer than 100 architectures were compared."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or session.testscollected < 100:
        return
    n_compared = sum(
        "texts" in (dict(one.user_properties).get("architecture") or {}) for one in reporter.stats.get("passed", ())
    )
    if n_compared < 100 and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
