"""Shares that an imperfect judge found, corrected for its errors, on judges whose errors are known."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_pluralism.core.errors import InvalidParameterError, ModelError
from pytest_pluralism.core.estimation import compare_paired, estimate_mean, interval_at
from pytest_pluralism.core.estimation.at_level import with_extra_variance
from pytest_pluralism.core.estimation.judged import change_variance, corrected_shares, is_hardly_better, level_variance
from pytest_pluralism.core.judges import CombinedJudge
from pytest_pluralism.core.records import Estimate
from pytest_pluralism.core.records.calibration import JudgeCalibration
from pytest_pluralism.models.calibration import CALIBRATION_FILE, JudgeFile, judges_text, read_judges


def judged(rng: np.random.Generator, truth: np.ndarray, sensitivity: float, specificity: float) -> np.ndarray:
    """Return what a judge finds in texts that hold an answer or do not."""
    return np.where(rng.random(truth.shape) < np.where(truth, sensitivity, 1.0 - specificity), 1.0, 0.0)


def measured(rng: np.random.Generator, sensitivity: float, specificity: float, n: int) -> JudgeCalibration:
    """Return what a calibration on n pairs of each kind says of such a judge."""
    return JudgeCalibration(
        float(rng.binomial(n, sensitivity) / n), float(rng.binomial(n, specificity) / n), 0.5, n, n, "drawn", "ab"
    )


def corrected_level(found: np.ndarray, n_answers: int, calibration: JudgeCalibration) -> Estimate:
    """Return the level of shares without the errors of the judge, as a measurement has it."""
    estimate = estimate_mean(corrected_shares(found.tolist(), [n_answers] * len(found), calibration))
    return with_extra_variance(estimate, level_variance(estimate.value, calibration))


def corrected_change(now: np.ndarray, before: np.ndarray, n_answers: int, calibration: JudgeCalibration) -> Estimate:
    """Return the change between two shares of each unit without the errors of the judge, as a baseline has it."""
    sides = (corrected_shares(one.tolist(), [n_answers] * len(one), calibration) for one in (now, before))
    change = compare_paired(*sides)
    return with_extra_variance(change, change_variance(change.value, calibration))


def coverages(rng: np.random.Generator, share: float, n_windows: int, n_answers: int) -> np.ndarray:
    """Return which answers the responses hold, with windows that are easier or harder."""
    return rng.random((n_windows, n_answers)) < rng.beta(4 * share, 4 * (1 - share), (n_windows, 1))


@pytest.mark.parametrize(
    ("share", "errors", "n"), [(0.5, (0.8, 0.95), 100), (0.6, (0.7, 0.95), 60), (0.1, (0.9, 0.9), 200)]
)
def test_a_corrected_level_is_unbiased_and_its_interval_holds_the_truth(
    share: float, errors: tuple[float, float], n: int
) -> None:
    rng = np.random.default_rng(3)
    held, raw, values = 0, [], []
    for _ in range(300):
        found = judged(rng, coverages(rng, share, 60, 5), *errors).mean(axis=1)
        corrected = corrected_level(found, 5, measured(rng, *errors, n))
        held += corrected.low <= share <= corrected.high
        raw.append(found.mean())
        values.append(corrected.value)
    assert abs(np.mean(raw) - share) > 0.02
    assert np.mean(values) == pytest.approx(share, abs=0.012)
    assert 0.92 <= held / 300 <= 0.99


def test_a_corrected_change_is_not_shrunk() -> None:
    rng = np.random.default_rng(4)
    held, raw, values = 0, [], []
    for _ in range(300):
        before = coverages(rng, 0.6, 60, 5)
        after = before & (rng.random(before.shape) > 0.2)
        now, then = (judged(rng, one, 0.75, 0.9).mean(axis=1) for one in (after, before))
        corrected = corrected_change(now, then, 5, measured(rng, 0.75, 0.9, 150))
        held += corrected.low <= -0.12 <= corrected.high
        raw.append((now - then).mean())
        values.append(corrected.value)
    assert np.mean(raw) == pytest.approx(-0.12 * 0.65, abs=0.005)
    assert np.mean(values) == pytest.approx(-0.12, abs=0.006)
    assert 0.92 <= held / 300 <= 0.99


#: A judge that takes each answer that is said for one that is not, now and then.
BENT = JudgeCalibration(0.8, 0.99, 0.5, 2000, 4000, "pairs", "ab", bend=0.04, bend_error=0.01)


def bent(rng: np.random.Generator, truth: np.ndarray) -> np.ndarray:
    """Return the shares that such a judge finds: what is not held is found more often where more is said."""
    share = truth.mean(axis=1, keepdims=True)
    made_up = 1.0 - BENT.specificity + 4.0 * BENT.bend * share
    found = rng.random(truth.shape) < np.where(truth, BENT.sensitivity, made_up)
    return found.mean(axis=1)


@pytest.mark.parametrize("n_answers", [2, 5])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0, None])
def test_the_bend_of_a_judge_is_taken_off_at_every_share_and_in_mixtures(n_answers: int, share: float | None) -> None:
    rng = np.random.default_rng(5)
    chances = rng.random(40000) if share is None else np.full(40000, share)
    truth = rng.random((40000, n_answers)) < chances[:, None]
    corrected = corrected_shares(bent(rng, truth).tolist(), [n_answers] * len(truth), BENT)
    # Without the bend, a half would be read as .55.
    assert corrected.mean() == pytest.approx(truth.mean(), abs=0.012)


def test_what_is_not_known_of_the_bend_widens_a_level_and_a_change() -> None:
    straight = replace(BENT, bend=None, bend_error=None)
    assert level_variance(0.5, BENT) > level_variance(0.5, straight)
    assert change_variance(0.1, BENT) > change_variance(0.1, straight)


def test_a_bend_is_checked() -> None:
    for wrong in (0.2, -0.2, math.nan, "x"):
        with pytest.raises(InvalidParameterError, match="'bend' parameter"):
            replace(BENT, bend=wrong)
    with pytest.raises(InvalidParameterError, match="'bend_error' parameter"):
        replace(BENT, bend_error=-1.0)
    found = JudgeFile("both", {"both": BENT})
    assert '"bend": 0.04' in judges_text(found)


def test_a_perfect_judge_of_many_pairs_changes_nothing() -> None:
    perfect = JudgeCalibration(1.0, 1.0, 0.5, 10**9, 10**9, "pairs", "ab")
    shares = np.array([0.2, 0.4, 0.3, 0.5])
    estimate, found = estimate_mean(shares), corrected_level(shares, 5, perfect)
    assert (found.value, found.low, found.high) == pytest.approx((estimate.value, estimate.low, estimate.high))
    assert found.values == pytest.approx(estimate.values)
    again = interval_at(found, 0.9)
    assert (again.low, again.high) == pytest.approx((interval_at(estimate, 0.9).low, interval_at(estimate, 0.9).high))


def test_shares_of_units_are_corrected_and_are_no_shares_of_what_was_counted() -> None:
    found = corrected_level(
        np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0]),
        1,
        JudgeCalibration(0.9, 0.8, 0.5, 400, 400, "pairs", "ab"),
    )
    assert found.value == pytest.approx((0.7 - 0.2) / 0.7)
    assert not found.how.is_share
    assert interval_at(found, 0.99).low < found.low


def test_a_judge_of_few_pairs_is_hardly_better_than_chance() -> None:
    assert is_hardly_better(JudgeCalibration(0.6, 0.6, 0.5, 12, 12, "pairs", "ab"))
    assert not is_hardly_better(JudgeCalibration(0.9, 0.9, 0.5, 12, 12, "pairs", "ab"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sensitivity": 1.2}, "'sensitivity'"),
        ({"specificity": math.nan}, "'specificity'"),
        ({"threshold": 0.0}, "'threshold'"),
        ({"sensitivity": "0.9"}, "'sensitivity'"),
        ({"threshold": [0.5]}, "'threshold'"),
        ({"n_other": 0}, "'n_other'"),
        ({"n_other": 10**400}, "'n_other'"),
        ({"data": 3}, "'data'"),
        ({"sensitivity": 0.3, "specificity": 0.6}, "not better than chance"),
    ],
)
def test_what_is_not_a_calibration_is_refused(changes: dict[str, object], words: str) -> None:
    fields: dict[str, object] = {
        "sensitivity": 0.9,
        "specificity": 0.9,
        "threshold": 0.5,
        "n_entailing": 50,
        "n_other": 50,
        "data": "pairs",
        "data_sha256": "ab",
    }
    with pytest.raises(InvalidParameterError, match=words):
        JudgeCalibration(**{**fields, **changes})  # type: ignore[arg-type]


def test_the_file_beside_a_model_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / CALIBRATION_FILE
    assert read_judges(file) is None
    first = JudgeCalibration(0.91, 0.87, 0.4, 120, 240, "pairs of town", "ab" * 32, "cd" * 32)
    second = replace(first, sensitivity=0.95, sensitivity_error=0.03, specificity_error=0.01)
    weights = CombinedJudge(-2.0, {"similarity": 4.0, "denial": -3.0}, 0.25)
    written = JudgeFile("combined", {"forward": first, "combined": second}, weights)
    file.write_text(judges_text(written), encoding="utf-8")
    found = read_judges(file)
    assert found is not None
    assert replace(found, sha256="") == written
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_file_of_the_first_version_holds_the_forward_judge(tmp_path: Path) -> None:
    fields = {"sensitivity": 0.9, "specificity": 0.8, "threshold": 0.4, "n_entailing": 9, "n_other": 8, "data": "x"}
    content = {"schema": "pytest-pluralism/judge-calibration/1", **fields, "data_sha256": "y"}
    (tmp_path / CALIBRATION_FILE).write_text(json.dumps(content), encoding="utf-8")
    found = read_judges(tmp_path / CALIBRATION_FILE)
    assert found is not None
    assert found.default == "forward"
    assert found.judges == {"forward": JudgeCalibration(0.9, 0.8, 0.4, 9, 8, "x", "y")}


def test_errors_of_pairs_that_belong_together_are_at_least_those_of_single_ones() -> None:
    alone = JudgeCalibration(0.9, 0.9, 0.5, 400, 400, "pairs", "ab")
    together = replace(alone, sensitivity_error=0.05, specificity_error=0.001)
    assert together.variances[0] == pytest.approx(0.0025)
    assert together.variances[1] == alone.variances[1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "'schema' must be"),
        ('{"schema": "pytest-pluralism/judge-calibration/1"}', "lacks 'data', 'data_sha256', 'n_entailing'"),
        ('{"schema": "pytest-pluralism/judge-calibration/2", "judges": {"mine": {}}}', "'judges' must hold"),
        (
            '{"schema": "pytest-pluralism/judge-calibration/2", "judges": {"both": {}}, "default": "x"}',
            "'default' must",
        ),
        (
            '{"schema": "pytest-pluralism/judge-calibration/2", "judges": {"both": {}}, "default": ["both"]}',
            "'default' must",
        ),
        (
            '{"schema": "pytest-pluralism/judge-calibration/2", "judges": {"both": {}}, "default": "both"}',
            "'both': lacks",
        ),
        (
            '{"schema": "pytest-pluralism/judge-calibration/2", "judges": {"combined": {}}, "default": "combined"}',
            "has no weights",
        ),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / CALIBRATION_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=words) as found:
        read_judges(tmp_path / CALIBRATION_FILE)
    assert CALIBRATION_FILE in str(found.value)
    one = JudgeCalibration(0.9, 0.9, 0.5, 9, 9, "x", "y")
    wrong = judges_text(JudgeFile("forward", {"forward": one})).replace("0.9", "7")
    (tmp_path / CALIBRATION_FILE).write_text(wrong, encoding="utf-8")
    with pytest.raises(ModelError, match="'sensitivity'"):
        read_judges(tmp_path / CALIBRATION_FILE)
