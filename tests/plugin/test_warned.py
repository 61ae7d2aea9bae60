"""A verdict with warnings is marked wherever somebody decides by it, and a pass says what it could not show."""

from __future__ import annotations

import json
import re

import pytest

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
def test_level(): ...

@pytest.mark.js_distance("town.jsonl", population="South", max_increase=0.02)
def test_change(): ...
"""

WARNING = "health uniform_would_pass: "
UNSEEN = "% of the units may not show"


@pytest.fixture
def gated(project: pytest.Pytester) -> pytest.Pytester:
    project.makepyfile(test_gate=BODY)
    project.runpytest_inprocess("--pluralism-model=table:m", "--pluralism-update-baseline").assert_outcomes(passed=2)
    return project


def test_a_pass_with_warnings_is_marked_everywhere(gated: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(gated.path / "summary.md"))
    reports = [f"--pluralism-report=out.{ending}" for ending in ("json", "md", "html")]
    result = gated.runpytest_inprocess("--pluralism-model=table:m", "--junit-xml=junit.xml", *reports)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "*PASSED (!) * ≤ 0.9 *",
            "*PASSED  * rise ≤ 0.02 *",
            f"warning: *North: {WARNING}*--pluralism-suppress-health-check=uniform_would_pass)",
            f"unseen: *South: *{UNSEEN}*",
        ]
    )
    verdicts = json.loads((gated.path / "out.json").read_text())["verdicts"]
    unseen = verdicts[1]["unseen"]
    assert UNSEEN in unseen
    for name in ("out.md", "summary.md"):
        text = (gated.path / name).read_text()
        level, change = (line for line in text.splitlines() if line.startswith("| m |"))
        assert re.search(r"passed, \d warnings? \|", level)
        assert "warning" not in change
        assert "## Warnings" in text
        assert "uniform_would_pass" in text.replace("\\", "")
        assert "confined to fewer than" in text.partition("## Not shown by a pass")[2]
    page = (gated.path / "out.html").read_text()
    rows = re.findall(r'<tr class="passed">.*?</tr>', page, flags=re.DOTALL)
    assert len(rows) == 2
    assert re.search(r"\d warnings?</a>", rows[0])
    assert "warning" not in rows[1]
    assert "This pass does not show everything: a rise confined to fewer than" in page
    junit = (gated.path / "junit.xml").read_text()
    assert re.search(r'North warnings" value="health uniform_would_pass', junit)


def test_an_annotation_says_that_its_verdict_has_warnings(
    gated: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("CI_PROJECT_DIR", str(gated.path))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(gated.path))
    gated.makepyfile(test_gate=BODY.replace("at_most=0.9", "at_most=0.001"))
    result = gated.runpytest_inprocess("--pluralism-model=table:m", "-k", "level")
    (command,) = (line for line in result.outlines if line.startswith("::"))
    assert ". Warned: health " in command
    (issue,) = json.loads((gated.path / "pluralism-code-quality.json").read_text())
    assert "Warned: " in issue["description"]


def test_a_health_problem_that_decides_is_told_once(gated: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLURALISM_HEALTH", "fail")
    result = gated.runpytest_inprocess("--pluralism-model=table:m", "-k", "level", "--pluralism-report=out.html")
    result.assert_outcomes(failed=1, deselected=1)
    message = result.stdout.str().partition("= FAILURES =")[2].partition("= pluralism =")[0]
    assert message.count("health uniform_would_pass") == 1
    details = (gated.path / "out.html").read_text().partition('id="promise-1"')[2]
    assert details.count("even answers would score") == 1
