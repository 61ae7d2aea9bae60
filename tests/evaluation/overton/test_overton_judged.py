"""Coverage beside what it would be without the errors of the entailment model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_pluralism.core.estimation import estimate_scores
from pytest_pluralism.core.records import Scores, UnitScore
from pytest_pluralism.core.records.calibration import JudgeCalibration
from pytest_pluralism.evaluation.overton.judged import beside_judge
from pytest_pluralism.models.calibration import CALIBRATION_FILE, calibration_of, calibration_text

CALIBRATION = JudgeCalibration(0.9, 0.95, 0.5, 200, 300, "pairs of town", "ab", "cd")
SETTINGS = {"score": "coverage", "draws": "single", "method": "entailment", "threshold": 0.5}
UNITS = tuple(UnitScore(f"q{i}", f"q{i}", value) for i, value in enumerate([0.25, 0.5, 0.75, 0.5, 1.0, 0.5] * 4))
SCORES = Scores("overton_coverage", UNITS, references={"chance": 0.1})


def test_the_corrected_coverage_stands_beside_the_raw_one() -> None:
    estimate = estimate_scores(SCORES)
    found = beside_judge(SCORES, estimate, SETTINGS, CALIBRATION, "cd")
    assert [unit.value for unit in found.units] == [unit.value for unit in SCORES.units]
    corrected = found.details["judge"]["corrected"]
    assert corrected["value"] == pytest.approx((estimate.value - 0.05) / 0.85)
    assert corrected["high"] - corrected["low"] > (estimate.high - estimate.low) / 0.85
    assert found.references == {"chance": 0.1, "corrected_for_judge": corrected["value"]}
    assert found.warnings[-1].startswith(
        "without the errors of the judge (sensitivity 0.90 and specificity 0.95 on 500 pairs of pairs of town) the "
        f"coverage is {corrected['value']:.3f}"
    )


@pytest.mark.parametrize(
    ("settings", "model", "words"),
    [({}, "ef", "those of other weights"), ({"threshold": 0.7}, "cd", "at the threshold 0.5, not at 0.7")],
)
def test_errors_of_another_judge_are_told_and_not_corrected(settings: dict[str, float], model: str, words: str) -> None:
    found = beside_judge(SCORES, estimate_scores(SCORES), {**SETTINGS, **settings}, CALIBRATION, model)
    assert found.references == SCORES.references
    assert words in found.warnings[-1]


def test_what_is_not_a_share_of_answers_stays_as_it_is() -> None:
    estimate = estimate_scores(SCORES)
    assert beside_judge(SCORES, estimate, SETTINGS, None, "cd") is SCORES
    for settings in ({"score": "soft_coverage"}, {"draws": "union"}, {"method": "extraction"}):
        assert beside_judge(SCORES, estimate, {**SETTINGS, **settings}, CALIBRATION, "cd") is SCORES
    other = replace(SCORES, metric="overton_win_rate")
    assert beside_judge(other, estimate, SETTINGS, CALIBRATION, "cd") is other


def test_the_calibration_lies_in_the_folder_of_the_model(tmp_path: Path) -> None:
    (tmp_path / CALIBRATION_FILE).write_text(calibration_text(CALIBRATION), encoding="utf-8")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert calibration_of(str(tmp_path)) == CALIBRATION
    assert calibration_of("hf:town/judge") is None
