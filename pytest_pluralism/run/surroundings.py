"""Where a run's verdicts are shown besides its own reports: the job of a code host, the page of pytest-html."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.run.items import ENTRIES
from pytest_pluralism.run.session import PluralismSession

__all__ = ["register"]

#: The file that a GitLab job names under ``artifacts: reports: codequality``.
CODE_QUALITY_FILE = "pluralism-code-quality.json"


def register(config: pytest.Config, session: PluralismSession, *, environment: Mapping[str, str] = os.environ) -> None:
    """Register what the surroundings of this run ask for; nothing where they ask for nothing."""
    if config.pluginmanager.hasplugin("html") and config.getoption("htmlpath", None):
        config.pluginmanager.register(PytestHtml(), "pluralism-pytest-html")
    if session.settings["ci"] == "off" or hasattr(config, "workerinput"):
        return
    if environment.get("GITHUB_ACTIONS") == "true":
        config.pluginmanager.register(GitHubActions(session, environment), "pluralism-github")
    if environment.get("GITLAB_CI") == "true":
        config.pluginmanager.register(GitLab(session, environment), "pluralism-gitlab")


class _Host:
    """A code host: sees where each test stands, and is told about the verdicts at the end."""

    #: The variable that holds the folder of the repository.
    folder_variable = ""

    def __init__(self, session: PluralismSession, environment: Mapping[str, str]) -> None:
        self.session = session
        self.environment = environment
        self.places: dict[str, tuple[str, int]] = {}
        session.when_written.append(self.tell)

    def tell(self) -> None:
        """Show the verdicts, which are settled now."""
        raise NotImplementedError

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember the file and the line of a test with verdicts."""
        if getattr(report, "pluralism_entries", ()):
            file, line, _ = report.location
            path = Path(os.path.relpath(self.session.config.rootpath / file, self._repository()))
            # pytest counts lines from 0, and people from 1.
            self.places[report.nodeid] = (path.as_posix(), (line or 0) + 1)

    def _repository(self) -> Path:
        return Path(self.environment.get(self.folder_variable) or self.session.config.rootpath)

    def _write(self, path: Path, text: str, *, mode: str) -> None:
        try:
            with path.open(mode, encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                file.write(text)
        except OSError as error:
            self.session.notes.append(f"{path} could not be written: {error.strerror or error}")
        else:
            self.session.notes.append(f"written: {path}")


class GitHubActions(_Host):
    """GitHub Actions: annotations through the log, and the Markdown report as the summary of the job."""

    folder_variable = "GITHUB_WORKSPACE"

    def tell(self) -> None:
        """Add the Markdown report to the summary of the job."""
        summary = self.environment.get("GITHUB_STEP_SUMMARY")
        if not summary or not self.session.entries:
            return
        from pytest_pluralism.report.annotations import shortened_markdown
        from pytest_pluralism.report.markdown import report_markdown

        text = report_markdown(self.session.entries.values(), self.session.run_provenance())
        self._write(Path(summary), shortened_markdown(text) + "\n", mode="a")

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the annotations, which the runner reads from the log."""
        from pytest_pluralism.report.annotations import github_commands

        for line in github_commands(
            self.session.entries.values(), self.places, inconclusive=self.session.settings["inconclusive"]
        ):
            terminalreporter.write_line(line)


class GitLab(_Host):
    """GitLab: a code quality file beside the JUnit file that pytest writes."""

    folder_variable = "CI_PROJECT_DIR"

    def tell(self) -> None:
        """Write the code quality file, also an empty one: it tells GitLab that earlier issues are gone."""
        if not self.session.entries:
            return
        from pytest_pluralism.report.annotations import code_quality_json

        text = code_quality_json(self.session.entries.values(), self.places)
        self._write(self._repository() / CODE_QUALITY_FILE, text, mode="w")


class PytestHtml:
    """pytest-html: the verdicts of each test under its row."""

    # Registered last, so that this is the outermost: the report has its verdicts when it gets here.
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        """Add the verdicts to the extras of the report of a test."""
        report = yield
        entries = getattr(report, "pluralism_entries", None) or ()
        if entries and (ENTRIES in item.stash or call.excinfo is not None):
            from pytest_html import extras

            from pytest_pluralism.report.html import verdicts_html

            report.extras = [*getattr(report, "extras", []), extras.html(verdicts_html(entries))]
        return report
