"""The marker ``answer_entropy``: a sharpened model is caught although its answers may be as near to the people's."""

from __future__ import annotations

import json
import math

import pytest

BODY = """
import pytest

@pytest.mark.answer_entropy("town.jsonl", population="North", {promise})
def test_is_not_sharper(): ...

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.99)
def test_distance(): ...
"""


def run(project: pytest.Pytester, promise: str, *args: str) -> pytest.RunResult:
    project.makepyfile(test_town=BODY.format(promise=promise))
    return project.runpytest_inprocess("--pluralism-report=out.json", "-s", *args)


def verdicts(project: pytest.Pytester) -> list[dict[str, object]]:
    return json.loads((project.path / "out.json").read_text())["verdicts"]


def test_the_entropy_of_the_answers(project: pytest.Pytester) -> None:
    result = run(project, "at_least=1.0", "--pluralism-model=table:plain")
    result.assert_outcomes(passed=2)
    # The distance asks the same, so that each prompt is asked once.
    result.stdout.fnmatch_lines(["*ASKED 72*"])
    entropy, distance = verdicts(project)
    for unit, other in zip(entropy["units"], distance["units"], strict=True):
        shares = unit["model_probabilities"]
        assert unit["value"] == pytest.approx(-sum(p * math.log2(p) for p in shares))
        assert shares == other["model_probabilities"]
    people = [-sum(p * math.log2(p) for p in unit["reference_probabilities"]) for unit in entropy["units"]]
    assert entropy["references"] == pytest.approx({"people": sum(people) / 12, "uniform": math.log2(3)})
    assert entropy["settings"]["people"] == "North"
    assert "population" not in entropy


def test_a_level_is_kept_by_even_answers_and_does_not_pass(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLURALISM_HEALTH", raising=False)
    run(project, "at_least=1.0", "--pluralism-model=table:plain")
    entropy = verdicts(project)[0]
    assert entropy["outcome"] == "inconclusive"
    assert "even answers would score 1.585 and keep this promise" in str(entropy["reason"])
    assert "or a change against a baseline" in str(entropy["reason"])


@pytest.mark.whole
def test_a_sharpened_model_loses_entropy_against_its_baseline(project: pytest.Pytester) -> None:
    reference = ("--pluralism-baseline=reference", "--pluralism-reference-model=table:plain")
    run(project, "max_decrease=0.1", "--pluralism-model=table:plain", *reference).assert_outcomes(passed=2)
    result = run(project, "max_decrease=0.1", "--pluralism-model=table:plain*6", *reference)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*change of answer entropy (town.jsonl)*"])


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ('"town.jsonl", population="North", at_most=1.0', "*at_most*"),
        ('"town.jsonl", population=["North", "South"], at_least=1.0', "*takes one population*gives 2*"),
        ('"town.jsonl", population="East", at_least=1.0', "*East*"),
        ('"town.jsonl", population="North", at_least=1.0, sharpness=2', "*unknown keyword 'sharpness'*"),
    ],
)
def test_a_wrong_marker_is_the_error_of_its_test(project: pytest.Pytester, marker: str, said: str) -> None:
    project.makepyfile(test_town=f"import pytest\n\n@pytest.mark.answer_entropy({marker})\ndef test_it(): ...\n")
    result = project.runpytest_inprocess("--pluralism-model=table:plain")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([said])


def test_options_that_a_marker_names_as_refusals_are_left_out(project: pytest.Pytester) -> None:
    first = json.loads((project.path / "town.jsonl").read_text(encoding="utf-8").splitlines()[0])
    name = first["options"][-1]
    project.makepyfile(
        test_town=f"""
        import pytest

        @pytest.mark.js_distance("town.jsonl", population="North", at_most=0.99, refusals=[{name!r}])
        def test_distance(): ...

        @pytest.mark.js_distance("town.jsonl", population="North", at_most=0.99, refusals=["nowhere"])
        def test_unknown(): ...
        """
    )
    result = project.runpytest_inprocess("--pluralism-report=out.json", "--pluralism-model=table:plain")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*no question has the option 'nowhere'*"])
    (verdict,) = [one for one in verdicts(project) if one["outcome"] == "passed"]
    assert verdict["settings"]["refusals"] == [name]
    assert all(len(unit["model_probabilities"]) == len(first["options"]) - 1 for unit in verdict["units"])
