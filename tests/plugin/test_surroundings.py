"""Code hosts and pytest-html are told what a run found, where the environment names them."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

BODY = """
import pytest


@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
def test_kept(): ...


@pytest.mark.js_distance("town.jsonl", population="South", at_most=0.001)
def test_broken(): ...
"""


@pytest.fixture
def gate(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE", "GITLAB_CI", "CI_PROJECT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("PLURALISM_CI", raising=False)
    project.makepyfile(test_town=BODY)
    return project


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest("--pluralism-model=table:plain", *arguments)


def test_without_a_code_host_nothing_is_written(gate: pytest.Pytester) -> None:
    before = set(gate.path.iterdir())
    result = run(gate)
    result.assert_outcomes(passed=1, failed=1)
    assert "::error" not in result.stdout.str()
    assert {path.name for path in set(gate.path.iterdir()) - before} <= {"__pycache__"}


def test_github_gets_annotations_and_a_summary(gate: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = gate.path / "summary.md"
    summary.write_text("from another step\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    # The repository is a folder further up, as where the tests of a part are run.
    monkeypatch.setenv("GITHUB_WORKSPACE", str(gate.path.parent))
    result = run(gate)
    commands = [line for line in result.outlines if line.startswith("::")]
    assert len(commands) == 1
    place = f"file={gate.path.name}/test_town.py,line=8,"
    assert commands[0].startswith(f"::error {place}title=Pluralism%3A failed%2C js_distance town.jsonl South::0.")
    assert ", promised ≤ 0.001. Worst: q" in commands[0]
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("from another step\n# Pluralism report\n")
    assert "1 passed, 1 failed" in text
    result.stdout.fnmatch_lines([f"written: {summary}"])


@pytest.mark.whole
@pytest.mark.parametrize(("inconclusive", "level"), [("fail", "error"), ("warn", "warning"), ("skip", "warning")])
def test_what_is_undecided_is_as_loud_as_its_test(
    gate: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, inconclusive: str, level: str
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    value = json.loads((_report(gate)).read_text(encoding="utf-8"))["verdicts"][0]["estimate"]["value"]
    gate.makepyfile(test_town=BODY.replace("0.9", str(value)).replace("0.001", "1.0"))
    result = run(gate, f"--pluralism-inconclusive={inconclusive}")
    assert [line.split()[0] for line in result.outlines if line.startswith("::")] == [f"::{level}"]


def _report(gate: pytest.Pytester) -> Path:
    path = gate.path / "out.json"
    run(gate, f"--pluralism-report={path}", "--pluralism-ci=off")
    return path


@pytest.mark.whole
def test_gitlab_gets_a_code_quality_file(gate: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("CI_PROJECT_DIR", str(gate.path))
    run(gate)
    path = gate.path / "pluralism-code-quality.json"
    (issue,) = json.loads(path.read_text(encoding="utf-8"))
    assert issue["location"] == {"path": "test_town.py", "lines": {"begin": 8}}
    assert issue["severity"] == "major"
    assert issue["check_name"] == "pluralism.js_distance"
    assert re.fullmatch("[0-9a-f]{64}", issue["fingerprint"])
    run(gate)
    assert json.loads(path.read_text(encoding="utf-8"))[0]["fingerprint"] == issue["fingerprint"]
    gate.makepyfile(test_town=BODY.replace("0.001", "1.0"))
    run(gate)
    assert json.loads(path.read_text(encoding="utf-8")) == []


def test_it_can_be_switched_off(gate: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITLAB_CI", "true")
    result = run(gate, "--pluralism-ci=off")
    assert "::error" not in result.stdout.str()
    assert not (gate.path / "pluralism-code-quality.json").exists()


def test_a_summary_that_cannot_be_written_is_told_and_changes_nothing_else(
    gate: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(gate.path))
    result = run(gate)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*could not be written: Is a directory"])


@pytest.mark.parametrize("workers", [(), pytest.param(("-n", "2"), marks=pytest.mark.whole)], ids=["alone", "workers"])
def test_pytest_html_shows_the_verdicts_of_each_test(gate: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytest.importorskip("pytest_html")
    survey = (gate.path / "town.jsonl").read_text(encoding="utf-8")
    hostile = survey.replace("thing number 0?", "<script>alert(1)</script>?")
    assert hostile != survey
    (gate.path / "town.jsonl").write_text(hostile, encoding="utf-8")
    result = gate.runpytest_inprocess("--pluralism-model=table:plain", "--html=all.html", *workers)
    result.assert_outcomes(passed=1, failed=1)
    text = (gate.path / "all.html").read_text(encoding="utf-8")
    (blob,) = re.findall(r'data-jsonblob="([^"]*)"', text)
    tests: dict[str, Any] = json.loads(unescape(blob))["tests"]
    for name, outcome in (("test_kept", "passed"), ("test_broken", "failed")):
        (shown,) = [one["content"] for test, rows in tests.items() if name in test for one in rows[0]["extras"]]
        assert f"{outcome}</td>" in shown
        assert "human sampling floor" in shown
        assert "the 5 worst of 12" in shown
        assert "<script" not in shown
    assert "&lt;script&gt;alert(1)" in "".join(one["content"] for rows in tests.values() for one in rows[0]["extras"])


def test_without_its_page_pytest_html_costs_nothing(gate: pytest.Pytester) -> None:
    pytest.importorskip("pytest_html")
    result = gate.runpytest_inprocess("--pluralism-model=table:plain", "--trace-config", "-k", "kept")
    assert "pluralism-pytest-html" not in result.stdout.str()
