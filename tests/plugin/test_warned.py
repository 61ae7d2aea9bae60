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


@pytest.mark.whole
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


@pytest.mark.parametrize(("model", "promise", "is_told"), [
    ("table:m*1.2", "max_increase=0.5", True),
    ("table:m*1.2", "max_change=0.5", True),
    ("table:m*1.2", "max_increase=0.5, confidence_level=None", False),
    ("table:m*1.2", "at_most=0.9", False),
    ("table:m", "max_increase=0.5", False),
])  # fmt: skip
def test_a_kept_change_says_what_a_sample_of_people_may_hide(
    project: pytest.Pytester, model: str, promise: str, is_told: bool
) -> None:
    """A model that goes over to the other side of the people has their error twice, and its interval holds none."""
    project.makepyfile(
        test_gate=f"""
        import pytest

        @pytest.mark.js_distance("town.jsonl", population="South", {promise})
        def test_change(): ...
        """
    )
    project.runpytest_inprocess("--pluralism-model=table:m", "--pluralism-update-baseline").assert_outcomes(passed=1)
    options = (f"--pluralism-model={model}", "--pluralism-baseline-model=m", "--pluralism-report=out.json")
    project.runpytest_inprocess(*options).assert_outcomes(passed=1)
    verdict = json.loads((project.path / "out.json").read_text())["verdicts"][0]
    found = re.search(
        r"each value open by (\S+); .* a loss of up to about (\S+) may not show", verdict.get("unseen", "")
    )
    assert bool(found) is is_told
    if found is not None:
        half, loss = map(float, found.groups())
        # It is a part of the interval of the level.
        assert 0.0 < half < (verdict["estimate"]["high"] - verdict["estimate"]["low"]) / 2
        assert loss == pytest.approx(2 * half, abs=0.002)
