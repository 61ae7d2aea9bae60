"""The HTML report of a run, and what stops a run that could not write it."""

from __future__ import annotations

import html
import json
import shlex
import sys
from collections.abc import Callable
from typing import Any

import pytest

BODY = """
import pytest


@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
def test_kept(): ...
"""


@pytest.mark.whole
def test_a_run_writes_its_page_beside_its_json(project: pytest.Pytester) -> None:
    project.makepyfile(BODY)
    paths = [project.path / f"out.{ending}" for ending in ("json", "html", "md")]
    result = project.runpytest_inprocess(
        "--pluralism-model=table:plain", *(f"--pluralism-report={path}" for path in paths)
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"report written: {paths[1]}"])
    page = paths[1].read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "JS distance to North (town.jsonl)" in page
    assert page.count('class="chart"') == 2
    # The page of the JSON is that page.
    command = (sys.executable, "-m", "pytest_pluralism.cli", "report", "out.json", "-o", "again.html")
    assert project.run(*command).ret == 0
    assert (project.path / "again.html").read_text(encoding="utf-8") == page


def test_the_commands_of_a_report_run_in_the_folder_where_the_run_was_started(project: pytest.Pytester) -> None:
    project.mkdir("gates")
    path = project.makepyfile(BODY)
    path = path.rename(project.path / "gates" / path.name)
    (project.path / "gates" / "pytest.ini").write_text("[pytest]\npluralism_seed = 1\n", encoding="utf-8")
    (project.path / "town.jsonl").rename(project.path / "gates" / "town.jsonl")
    conftest = project.path / "conftest.py"
    conftest.rename(project.path / "gates" / "conftest.py")
    project.runpytest_inprocess(
        "gates", "--pluralism-model=table:plain", "--pluralism-report=out.json", "--pluralism-report=out.html"
    ).assert_outcomes(passed=1)
    report = json.loads((project.path / "out.json").read_text(encoding="utf-8"))
    assert report["run"]["command"] == "pytest --pluralism-model=table:plain gates"
    (verdict,) = report["verdicts"]
    assert verdict["nodeid"] == f"{path.name}::test_kept[table:plain]"
    repeat = shlex.split(verdict["repeat"])
    assert repeat == ["pytest", "--pluralism-model=table:plain", f"gates/{path.name}::test_kept[table:plain]"]
    page = (project.path / "out.html").read_text(encoding="utf-8")
    assert f"Repeat it: <code>{verdict['repeat']}</code>" in html.unescape(page)
    assert project.runpytest_inprocess(*repeat[1:]).ret == 0


@pytest.mark.parametrize("name", ["out.html", "out.json", "out.md"])
def test_a_report_that_cannot_be_written_stops_the_run_before_a_model_loads(
    project: pytest.Pytester, name: str
) -> None:
    project.makepyfile(BODY)
    project.path.joinpath("taken").write_text("a file\n", encoding="utf-8")
    result = project.runpytest("--pluralism-model=table:plain", f"--pluralism-report=taken/{name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--pluralism-report cannot be written: *taken*"])
    assert "LOADED" not in result.stdout.str()


@pytest.mark.slow
def test_a_run_shows_the_releases_of_its_baseline(project: pytest.Pytester) -> None:
    project.makepyfile(BODY.replace("at_most=0.9", "at_most=0.9, max_increase=0.5"))

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=A Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")
        assert project.run("git", *identity, *arguments).ret == 0

    git("init", "-q")
    for release, sharpness in (("v1", "1.0"), ("v2", "0.5")):
        model = f"--pluralism-model=table:plain*{sharpness}"
        project.runpytest_inprocess(model, "--pluralism-update-baseline").assert_outcomes(passed=1)
        git("add", "pluralism-baselines")
        git("commit", "-qm", f"Baseline of {release}")
        git("tag", release)
    result = project.runpytest_inprocess(
        "--pluralism-model=table:plain*2.0", "--pluralism-report=out.json", "--pluralism-report=out.html"
    )
    result.assert_outcomes(passed=1)
    (entry,) = json.loads((project.path / "out.json").read_text(encoding="utf-8"))["verdicts"]
    assert [point["tags"] for point in entry["history"]] == [["v1"], ["v2"]]
    first, second = (point["value"] for point in entry["history"])
    assert second == entry["baseline"]["estimate"]["value"]
    assert first != second
    # Each question's own change is on the page, and their mean is the change.
    changes = [unit["change"] for unit in entry["units"]]
    assert sum(changes) / len(changes) == pytest.approx(entry["change"]["value"])
    page = (project.path / "out.html").read_text(encoding="utf-8")
    assert f"{changes[0]:+.3f}" in page
    assert "Over past results" in page
    assert "<td>v1</td>" in page
    assert f"{first:.3f}" in page
    # A report that was read again keeps the schema.
    command = (sys.executable, "-m", "pytest_pluralism.cli", "report", "out.json", "-o", "again.html")
    assert project.run(*command).ret == 0


@pytest.mark.browser
def test_a_sharpened_model_is_caught_and_the_page_shows_by_which_question(
    project: pytest.Pytester, show: Callable[..., Any], check_witness: Callable[..., None]
) -> None:
    project.makepyfile(BODY.replace("at_most=0.9", "max_increase=0.02"))
    project.runpytest_inprocess("--pluralism-model=table:plain", "--pluralism-update-baseline").assert_outcomes(
        passed=1
    )
    result = project.runpytest_inprocess(
        "--pluralism-model=table:plain*40",
        "--pluralism-baseline-model=plain",
        "--pluralism-report=out.html",
        "--pluralism-report=out.json",
    )
    result.assert_outcomes(failed=1)
    (entry,) = json.loads((project.path / "out.json").read_text(encoding="utf-8"))["verdicts"]
    check_witness(show((project.path / "out.html").read_text(encoding="utf-8")), entry)
