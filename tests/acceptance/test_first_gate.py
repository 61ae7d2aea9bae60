"""The quickest real run: a packaged model answers two questions of a survey file."""

from __future__ import annotations

import json

import jsonschema
import pytest

from pytest_pluralism.report import json_report


@pytest.mark.slow
@pytest.mark.model
def test_a_real_model_answers_a_small_survey(pytester: pytest.Pytester) -> None:
    rows = [
        {
            "question_id": f"q{number}",
            "question": text,
            "options": ["Yes", "No"],
            "distributions": [{"population": "Members", "probabilities": [share, 1 - share], "n_respondents": 200}],
        }
        for number, (text, share) in enumerate(
            [("Should shops open on Sundays?", 0.625), ("Should the library open earlier?", 0.75)]
        )
    ]
    (pytester.path / "members.json").write_text(json.dumps(rows))
    pytester.makepyfile(
        """
import pytest

@pytest.mark.js_distance("members.json", at_most=0.9, confidence_level=None)
def test_members(pluralism):
    assert pluralism.verdict.passed
"""
    )
    result = pytester.runpytest_subprocess(
        "--pluralism-model=embedded:smollm2-135m-instruct", "--pluralism-report=out.json", "-W", "error"
    )
    result.assert_outcomes(passed=1)
    content = json.loads((pytester.path / "out.json").read_text())
    schema = json.loads((pytester.path.__class__(json_report.__file__).parent / "report.schema.json").read_text())
    jsonschema.validate(content, schema)
    (verdict,) = content["verdicts"]
    assert verdict["model"]["name"] == "smollm2-135m-instruct"
    assert verdict["model"]["architecture"] == "LlamaForCausalLM"
    for unit in verdict["units"]:
        assert 0.3 < unit["option_mass"] <= 1.0
        assert abs(sum(unit["model_probabilities"]) - 1) < 1e-9
