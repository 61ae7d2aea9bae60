"""The ends of a run: workers report their work, and the controller writes and shows the results."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_pluralism.core.untrusted import harmless
from pytest_pluralism.run.items import PLANS, forms_in_ids
from pytest_pluralism.run.session import OWNERS, PluralismSession
from pytest_pluralism.run.workers import has_owners, make_scheduler

__all__ = ["Controller", "Worker"]


class Worker:
    """Sends the work of one worker of pytest-xdist to the controller."""

    def __init__(self, session: PluralismSession) -> None:
        self.session = session

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send the counts and notes of this worker."""
        session.config.workeroutput["pluralism"] = self.session.worker_output()  # type: ignore[attr-defined]


class Controller:
    """Collects the verdicts of all workers, writes and shows them; one process of a run has it."""

    def __init__(self, session: PluralismSession) -> None:
        self.session = session
        self._planned: list[str] = []
        self._tested: list[str] = []
        self._damaged: list[str] = []
        self._alarmed = False
        self._wrong = False
        self._not_collected = False

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """See whether a file could not be collected: its tests are missing, whatever the exit status says."""
        self._not_collected |= report.failed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in the verdicts of a test."""
        self.session.collect(getattr(report, "pluralism_entries", ()))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take in what a worker of pytest-xdist told at its end."""
        output = getattr(node, "workeroutput", {}).get("pluralism")
        if output is not None:
            self.session.take_over(output)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of pytest-xdist whether it gets all tests of its models."""
        node.workerinput[OWNERS] = has_owners(self.session.config, self._names())

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Give all tests of a model to one worker."""
        return make_scheduler(config, log, self._names()) if has_owners(config, self._names()) else None

    def _names(self) -> list[str]:
        return [form for spec in self.session.settings["model"] for form in forms_in_ids(spec)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Show the plan, or compare the suite with itself, instead of running the tests, where that was asked for."""
        if session.testsfailed or session.config.getoption("collectonly"):
            return None
        if self.session.settings["mutants"] is not None:
            from pytest_pluralism.run.mutants import Mutants

            self._damaged, self._alarmed = Mutants(self.session).run(session.items)
            self._wrong = any(item.stash.get(PLANS, ([], []))[1] for item in session.items)
            return True
        if self.session.settings["aa"] is not None and not self.session.settings["plan"]:
            from pytest_pluralism.run.self_test import SelfTest

            tested = SelfTest(self.session)
            self._tested, self._alarmed = tested.run(session.items)
            return True
        if not self.session.settings["plan"]:
            return None
        self._planned = self.session.forecast(session.items)
        self._wrong = any(item.stash.get(PLANS, ([], []))[1] for item in session.items)
        return True

    # Last, so that all workers are down by then.
    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write reports and baselines; a baseline only from a run that came to its end."""
        ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        stopped = session.shouldstop or session.shouldfail
        self.session.finish(complete=ended and not stopped and not self._not_collected)
        if self._wrong and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        if (self.session.could_not_write or self._alarmed) and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the table of verdicts, and what was written where."""
        if self._planned:
            terminalreporter.section("pluralism plan: nothing was computed")
            for line in self._planned:
                terminalreporter.write_line(harmless(line))
        elif self._tested or self._damaged:
            what = "a/a: the suite against itself" if self._tested else "mutants: the suite against damaged answers"
            terminalreporter.section(f"pluralism {what}")
            for line in [*self._tested, *self._damaged, *self.session.notes]:
                terminalreporter.write_line(harmless(line))
        elif self.session.entries or self.session.notes:
            from pytest_pluralism.report.terminal import summary_lines

            terminalreporter.section("pluralism")
            writer = terminalreporter._tw
            for line in summary_lines(
                self.session.entries.values(), self.session.notes, width=writer.fullwidth, color=writer.hasmarkup
            ):
                terminalreporter.write_line(line)
            for key, text in self.session.models.prompts.items() if self.session.settings["show_prompt"] else ():
                terminalreporter.section(harmless(f"pluralism prompt of {key}"), sep="-")
                for line in harmless(text).split("\n"):
                    terminalreporter.write_line(line)
