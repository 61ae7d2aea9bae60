"""`--pluralism-baseline reference`: promises about a change, against the reference model of the same run."""

from __future__ import annotations

import json

import pytest

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", max_increase=0.01)
def test_north(): ...

@pytest.mark.js_distance("town.jsonl", population="South", at_most=0.99)
def test_south(): ...
"""


def run(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    project.makepyfile(test_town=BODY)
    return project.runpytest_inprocess("--pluralism-report=out.json", "-s", *args)


def verdicts(project: pytest.Pytester) -> list[dict[str, object]]:
    return json.loads((project.path / "out.json").read_text())["verdicts"]


REFERENCE = ("--pluralism-baseline=reference", "--pluralism-reference-model=table:plain")


@pytest.mark.whole
def test_a_model_that_is_further_away_than_the_reference_fails(project: pytest.Pytester) -> None:
    same = run(project, "--pluralism-model=table:plain", *REFERENCE)
    same.assert_outcomes(passed=2)
    result = run(project, "--pluralism-model=table:plain*8", *REFERENCE)
    result.assert_outcomes(failed=1, passed=1)
    # Both models are asked once, all at once, and only for what is compared.
    result.stdout.fnmatch_lines(["*ASKED 72*", "*ASKED 72*"])
    north, south = verdicts(project)
    assert north["outcome"] == "failed"
    assert north["baseline"]["name"] == "reference"
    assert north["baseline"]["model"] == "plain"
    change = north["estimate"]["value"] - north["baseline"]["estimate"]["value"]
    assert change > 0.01
    assert "estimate" not in south.get("baseline", {})
    # The other way round nothing is lost.
    back = ("--pluralism-baseline=reference", "--pluralism-reference-model=table:plain*8")
    run(project, "--pluralism-model=table:plain", *back).assert_outcomes(passed=2)


@pytest.mark.whole
def test_beside_a_stored_baseline(project: pytest.Pytester) -> None:
    run(project, "--pluralism-model=table:plain", "--pluralism-update-baseline").assert_outcomes(passed=2)
    last = "--pluralism-baseline=last=pluralism-baselines"
    run(project, "--pluralism-model=table:plain", last, *REFERENCE).assert_outcomes(passed=2)
    keys = {entry["key"]: entry["baseline"].get("name") for entry in verdicts(project)}
    assert keys["js_distance town.jsonl North"] == "last"
    assert keys["js_distance town.jsonl North against reference"] == "reference"


def test_the_plan_counts_what_the_reference_model_is_asked(project: pytest.Pytester) -> None:
    project.makepyfile(test_town=BODY)
    result = project.runpytest_inprocess("--pluralism-model=table:plain*8", *REFERENCE, "--pluralism-plan")
    result.stdout.fnmatch_lines(
        ["*: 2 gates", "  144 prompts asked, 72 *", "table:plain: 1 gate", "  72 prompts asked*"]
    )


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--pluralism-baseline=reference",), "*there is none. Name it with --pluralism-reference-model=SPEC*"),
        ((*REFERENCE, "--pluralism-update-baseline"), "*nothing can be stored in a model. Name a folder first*"),
    ],
)
def test_what_cannot_be(project: pytest.Pytester, args: tuple[str, ...], said: str) -> None:
    project.makepyfile(test_town=BODY)
    result = project.runpytest_inprocess("--pluralism-model=table:plain", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])
