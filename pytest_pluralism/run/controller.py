"""The ends of a run: workers report their work, and the controller writes and shows the results."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_pluralism.core.untrusted import harmless, printable
from pytest_pluralism.run.ending import EarlyExit, Termination
from pytest_pluralism.run.items import PLANS, forms_in_ids
from pytest_pluralism.run.planned import CHANNEL, Planned
from pytest_pluralism.run.session import OWNERS, PluralismSession
from pytest_pluralism.run.workers import has_owners, make_scheduler

if TYPE_CHECKING:
    from pytest_pluralism.run.workers import WorkerNode

__all__ = ["Controller", "Worker"]


class Worker:
    """Sends the work of one worker of pytest-xdist to the controller."""

    def __init__(self, session: PluralismSession) -> None:
        self.session = session

    # Before pytest-xdist tells that the tests are collected, so that no test begins before its promises are known.
    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Send the promises of all tests: a worker that dies later can send nothing."""
        channel = session.config.workerinput.get(CHANNEL)  # type: ignore[attr-defined]
        if channel is not None:
            channel.send(json.dumps(Planned.of(session.items)))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send the counts and notes of this worker."""
        session.config.workeroutput["pluralism"] = self.session.worker_output()  # type: ignore[attr-defined]


class Controller:
    """Collects the verdicts of all workers, writes and shows them; one process of a run has it."""

    def __init__(self, session: PluralismSession) -> None:
        self.session = session
        self._planned: list[str] = []
        self._shard: list[str] = []
        self._tested: list[str] = []
        self._damaged: list[str] = []
        self._alarmed = False
        self._wrong = False
        self._not_collected = False
        self._workers_down: set[str] = set()
        self._termination = Termination()
        self._early_exit = EarlyExit(session.config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Watch for a module that ends the run while tests are collected."""
        if self.session.holds_something:
            self._early_exit.watch()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Keep a module from replacing this process by another program."""
        if self.session.holds_something:
            self._early_exit.keep()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take in the promises of all tests, where this process runs them."""
        self.session.planned.add(Planned.of(session.items))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """See whether a file could not be collected: its tests are missing, whatever the exit status says."""
        self._not_collected |= report.failed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in the verdicts of a test."""
        self.session.planned.saw(report)
        # Of a test that a worker died in, a later run may tell more.
        if report.failed and report.when in ("setup", "call", "teardown"):
            self.session.failed_tests[report.nodeid] = None
        entries = getattr(report, "pluralism_entries", ())
        self.session.collect(entries)
        if entries:
            self.session.keep()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Leave a report that says that nothing was judged yet, should this process be killed."""
        self.session.keep()

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> None:
        """Make the promises of a test that a worker of pytest-xdist died in errors."""
        worker = printable(report.node.gateway.id)
        reason = f"not judged: the worker {worker} died while it ran this test (it was killed, or ended by itself)"
        report.pluralism_entries = self.session.planned.crash(crashitem, reason)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerNode, error: object) -> None:
        """Take in what a worker of pytest-xdist told at its end, or say that it told nothing."""
        name = str(node.gateway.id)
        if name in self._workers_down:
            return
        self._workers_down.add(name)
        output = getattr(node, "workeroutput", {}).get("pluralism")
        if output is not None:
            self.session.take_over(output)
        elif error is not None:
            self.session.notes.append(f"the worker {name} died; the answers that it computed are not counted")

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerNode) -> None:
        """Tell a worker of pytest-xdist whether it gets all tests of its models."""
        node.workerinput[OWNERS] = has_owners(self.session.config, self._names())
        channel = node.gateway.newchannel()
        # Called in the thread that reads what this worker sends, before it reads that the tests are collected.
        channel.setcallback(lambda text: self.session.planned.add(json.loads(text)))
        node.workerinput[CHANNEL] = channel

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: object) -> object:
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
        if self.session.settings["shard"] is not None:
            from pytest_pluralism.run.shards import ShardRun

            self._shard, self._alarmed = ShardRun(self.session).run(session.items)
            return True
        if self.session.settings["aa"] is not None and not self.session.settings["plan"]:
            from pytest_pluralism.run.self_test import SelfTest

            tested = SelfTest(self.session)
            self._tested, self._alarmed = tested.run(session.items)
            return True
        if not self.session.settings["plan"]:
            if self.session.holds_something:
                self._termination.heed()
                self._early_exit.watch()
                self._early_exit.keep()
            self.session.keep()
            return None
        self._planned = self.session.forecast(session.items)
        self._wrong = any(item.stash.get(PLANS, ([], []))[1] for item in session.items)
        return True

    # Innermost, so that all workers are down by then and the terminal has yet to write its summary.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, object, object]:
        """Write reports and baselines, whatever other plugins raise; baselines only of a run that came to its end."""
        try:
            return (yield)
        finally:
            self._finish(session, exitstatus)

    def pytest_keyboard_interrupt(self) -> None:
        """Leave a report before workers are awaited: who ends a process may not wait for them."""
        self.session.keep(now=True)

    def pytest_unconfigure(self) -> None:
        """Leave this process as it was, also where the run did not begin: it may run pytest once more."""
        self._termination.ignore()
        self._early_exit.ignore()

    def _finish(self, session: pytest.Session, exitstatus: int) -> None:
        self._termination.ignore()
        self._early_exit.ignore()
        ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        stopped = bool(session.shouldstop or session.shouldfail)
        # Somebody who stops a run knows that it is not whole; else what is missing is an error.
        on_purpose = stopped or (exitstatus == pytest.ExitCode.INTERRUPTED and not self._termination.came)
        self.session.finish(ended=ended and not stopped and not self._not_collected, on_purpose=on_purpose)
        if self._wrong and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        # With pytest.exit(returncode=0) the exit status says nothing about tests that failed before.
        failed = self.session.entries and session.testsfailed
        if exitstatus == pytest.ExitCode.OK and (
            self.session.could_not_write or self.session.lacks or self._alarmed or failed
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the table of verdicts, and what was written where."""
        if self._shard:
            terminalreporter.section("pluralism shard")
            for line in [*self._shard, *(harmless(note) for note in dict.fromkeys(self.session.notes))]:
                terminalreporter.write_line(line)
        elif self._planned:
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
