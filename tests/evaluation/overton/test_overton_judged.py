"""Coverage without the errors of the judge, and the judge of a marker."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_pluralism.baselines.comparison import paired_change
from pytest_pluralism.core.errors import InvalidParameterError, ModelError, PluralismError
from pytest_pluralism.core.estimation import estimate_scores
from pytest_pluralism.core.judges import CombinedJudge
from pytest_pluralism.core.records import (
    EntailmentPair,
    EntailmentScores,
    Estimate,
    Gate,
    Outcome,
    Scores,
    UnitScore,
    Window,
    WindowAnswer,
)
from pytest_pluralism.core.records.calibration import JudgeCalibration
from pytest_pluralism.core.records.measures import Measure
from pytest_pluralism.core.verdict import decide
from pytest_pluralism.evaluation.asking.rounds import JudgeModel, Round, drive
from pytest_pluralism.evaluation.measures.planning import Planning
from pytest_pluralism.evaluation.overton.chosen import chosen_judge
from pytest_pluralism.evaluation.overton.held import Held, Reading
from pytest_pluralism.evaluation.overton.judged import without_errors
from pytest_pluralism.evaluation.overton.judges import EntailmentJudge
from pytest_pluralism.evaluation.overton.scoring import close_pairs
from pytest_pluralism.evaluation.overton.settings import OvertonSettings
from pytest_pluralism.models.calibration import CALIBRATION_FILE, JudgeFile, judges_of, judges_text

CALIBRATION = JudgeCalibration(0.9, 0.95, 0.5, 200, 300, "pairs of town", "ab", "cd")
JUDGE = EntailmentJudge("both", 0.5, CALIBRATION)
SETTINGS = OvertonSettings(entailment_judge="both")
UNITS = tuple(
    UnitScore(f"q{i}", f"q{i}", value, references={"refusal": 0.05, "shuffled": 0.25})
    for i, value in enumerate([0.25, 0.5, 0.75, 0.5, 1.0, 0.5] * 4)
)
SCORES = Scores(
    "overton_coverage", UNITS, references={"chance": 0.25, "refusal": 0.05, "f1": 0.4, "first_25_words": 0.3}
)
WEIGHTS = CombinedJudge(-2.0, {"similarity": 4.0, "entails": 1.0, "lead": 3.0}, least_similarity=0.3)


def test_the_value_is_the_corrected_one_and_the_raw_one_stands_beside_it() -> None:
    found = without_errors(SCORES, SETTINGS, JUDGE)
    raw = np.mean([unit.value for unit in UNITS])
    estimate, plain = estimate_scores(found), estimate_scores(SCORES)
    assert estimate.value == pytest.approx((raw - 0.05) / 0.85)
    assert found.references["as_judged"] == pytest.approx(raw)
    assert [unit.details["raw"] for unit in found.units] == [unit.value for unit in UNITS]
    # The errors of the judge are not known exactly, so that the interval is wider than that of the units alone.
    assert estimate.high - estimate.low > (plain.high - plain.low) / 0.85
    # References are corrected alike: a refusal that got no more than what the judge makes up gets nothing.
    assert found.references["refusal"] == pytest.approx(0.0)
    assert found.references["chance"] == pytest.approx(0.2 / 0.85)
    assert found.references["first_25_words"] == pytest.approx(0.25 / 0.85)
    assert found.references["f1"] == 0.4
    assert found.units[0].references == pytest.approx({"refusal": 0.0, "shuffled": 0.2 / 0.85})


def test_what_the_judge_credits_by_mistake_stands_beside_the_value() -> None:
    known = replace(JUDGE, calibration=replace(CALIBRATION, opposing_credit=0.04, other_credit=0.02))
    found = without_errors(SCORES, SETTINGS, known).references
    assert (found["opposing_credit"], found["other_credit"]) == (0.04, 0.02)
    assert "other_credit" not in without_errors(SCORES, SETTINGS, JUDGE).references
    with pytest.raises(InvalidParameterError, match="opposing_credit"):
        replace(CALIBRATION, opposing_credit=1.5)


def test_pairs_that_are_too_close_to_call_are_listed_nearest_first() -> None:
    held = (Held(0.52, "It may be so.", "Taxes are of use."), Held(0.9, "Work must pay.", "Work must pay."))
    unreasonable = (Held(0.44, "Nobody knows taxes.", "Taxes are unknown."),)
    listed = close_pairs([WINDOW], [[Reading(held, unreasonable), Reading((Held(0.0), Held(0.5)), unreasonable)]], 0.5)
    assert [(one["answer"], one["draw"]) for one in listed] == [("a", 0), ("c", 0), ("c", 1)]
    assert listed[0]["sentence"] == "It may be so."
    many = [Reading(held, unreasonable)] * 200
    assert len(close_pairs([WINDOW], [many], 0.5)) == 50


@pytest.mark.parametrize(("value", "expected"), [(0.0, 0.0), (1.0, 1.0)])
def test_no_mean_lies_outside_the_scale(value: float, expected: float) -> None:
    scores = replace(SCORES, units=tuple(replace(unit, value=value) for unit in UNITS))
    assert estimate_scores(without_errors(scores, SETTINGS, JUDGE)).value == pytest.approx(expected)


def test_what_a_calibration_does_not_explain_widens_the_interval_and_is_told() -> None:
    """A judge that finds half of the answers does not find a third of what is held."""
    misfit = replace(JUDGE, calibration=replace(CALIBRATION, sensitivity=0.3, n_entailing=9000, n_other=9000))
    found = without_errors(SCORES, SETTINGS, misfit)
    estimate = estimate_scores(found)
    assert estimate.value == pytest.approx(1.0)
    assert estimate.low < 0.1
    assert "more than the 0.30 that it finds where all are held" in found.warnings[-1]
    assert not without_errors(SCORES, SETTINGS, JUDGE).warnings
    # The scale cuts off both sides, which hides a loss.
    entries = [
        {
            "units": [{"id": one.unit_id, "cluster": one.cluster, "value": one.value} for one in side.units],
            "extra_variance": side.extra_variance,
        }
        for side in (
            without_errors(
                replace(SCORES, units=tuple(replace(one, value=one.value * share) for one in UNITS)), SETTINGS, misfit
            )
            for share in (0.8, 1.0)
        )
    ]
    change = paired_change(*entries, confidence_level=0.95)
    assert change.value == pytest.approx(0.0)
    assert change.low < -0.4


def test_equal_values_at_the_end_of_the_scale_are_not_an_unchanged_model() -> None:
    misfit = replace(JUDGE, calibration=replace(CALIBRATION, sensitivity=0.3, n_entailing=9000, n_other=9000))

    def entry(raw: float) -> dict[str, Any]:
        scores = replace(SCORES, units=tuple(replace(one, value=raw) for one in UNITS))
        found = without_errors(scores, SETTINGS, misfit)
        units = [{"id": one.unit_id, "cluster": one.cluster, "value": one.value} for one in found.units]
        return {"units": units, "extra_variance": found.extra_variance}

    gate, level = Gate(max_decrease=0.05), Estimate(1.0, 0.9, 1.0, 0.05, len(UNITS), len(UNITS))
    for now, outcome in ((0.5, Outcome.INCONCLUSIVE), (0.75, Outcome.PASSED)):
        change = paired_change(entry(now), entry(0.75), confidence_level=0.95)
        assert decide(gate, level, change=change).outcome is outcome


def test_a_change_carries_the_errors_relative_to_its_size() -> None:
    def entry(scores: Scores) -> dict[str, Any]:
        units = [{"id": unit.unit_id, "cluster": unit.cluster, "value": unit.value} for unit in scores.units]
        return {"units": units, "relative_variance": scores.relative_variance}

    noise = np.random.default_rng(1).normal(0.0, 0.05, len(UNITS))
    less = replace(
        SCORES,
        units=tuple(replace(unit, value=unit.value - 0.17 + more) for unit, more in zip(UNITS, noise, strict=True)),
    )
    now, then = (without_errors(one, SETTINGS, JUDGE) for one in (less, SCORES))
    change = paired_change(entry(now), entry(then), confidence_level=0.95)
    assert change.value == pytest.approx((noise.mean() - 0.17) / 0.85)
    exact = paired_change({**entry(now), "relative_variance": 0.0}, entry(then), confidence_level=0.95)
    assert change.standard_error**2 - exact.standard_error**2 == pytest.approx(
        change.value**2 * sum(CALIBRATION.variances) / 0.85**2
    )


def test_what_is_not_a_share_of_answers_stays_as_it_is_and_says_so() -> None:
    for chosen in ({"score": "soft_coverage"}, {"draws": "union"}, {"method": "extraction"}):
        found = without_errors(SCORES, replace(SETTINGS, **chosen), JUDGE)
        assert found.units == SCORES.units
        assert "are not corrected" in found.warnings[-1]
    untold = without_errors(SCORES, SETTINGS, EntailmentJudge("both"))
    assert untold.units == SCORES.units
    assert not untold.warnings
    assert not untold.doubt


def test_a_judge_of_unknown_errors_decides_no_level() -> None:
    found = without_errors(SCORES, SETTINGS, EntailmentJudge("both", doubt="nobody measured its errors"))
    estimate = estimate_scores(found)
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)
    assert "nobody measured its errors" in estimate.method
    few = JudgeCalibration(0.6, 0.6, 0.5, 12, 12, "pairs", "ab")
    assert (
        "hardly better than chance on 24 pairs"
        in without_errors(SCORES, SETTINGS, replace(JUDGE, calibration=few)).doubt
    )


# ----------------------------------------------------------------------------------------------------------- asking

WINDOW = Window(
    "taxes",
    "Should taxes rise?",
    (WindowAnswer("a", "Taxes are of use.", ("Tax is good.",)), WindowAnswer("b", "Work must pay.")),
    unreasonable=(WindowAnswer("c", "Taxes are unknown."),),
)
PARTS = ("Taxes help.", "It rains.")
JOBS = [(WINDOW, part) for part in PARTS]
ALIKE = {
    "Should taxes rise?": 0.5,
    "Taxes are of use.": 0.8,
    "Tax is good.": 0.7,
    "Work must pay.": 0.4,
    "Taxes are unknown.": 0.6,
}


def answered(asked: Round) -> list[Any]:
    if asked.work == "similarities":
        return [ALIKE[pair.hypothesis] if pair.premise == "Taxes help." else 0.1 for pair in asked.requests]
    sure, unsure = EntailmentScores(0.6, 0.3, 0.1), EntailmentScores(0.2, 0.7, 0.1)
    return [sure if pair == EntailmentPair("Tax is good.", "It rains.") else unsure for pair in asked.requests]


@pytest.mark.parametrize(("name", "expected"), [("forward", 0.2), ("backward", 0.6), ("both", 0.4)])
def test_each_judge_reads_its_own_direction(name: str, expected: float) -> None:
    found = drive(EntailmentJudge(name).asked(JOBS), answered)
    assert found["taxes", "It rains."][0].entailment == pytest.approx(expected)
    if name != "forward":
        assert found["taxes", "It rains."][0].said == "Tax is good."
    assert [one.entailment for one in found["taxes", "Taxes help."]] == pytest.approx([0.2, 0.2, 0.2])


def test_the_combined_judge_asks_the_entailment_model_about_the_most_similar_text_alone() -> None:
    asked: list[Round] = []

    def watched(one: Round) -> list[Any]:
        asked.append(one)
        return answered(one)

    found = drive(EntailmentJudge("combined", combined=WEIGHTS, spec="hf:town/judge").asked(JOBS), watched)
    assert [one.role for one in asked] == ["text_encoder", JudgeModel("hf:town/judge")]
    texts = ("Taxes are of use.", "Work must pay.", "Taxes are unknown.")
    both = [(EntailmentPair("Taxes help.", text), EntailmentPair(text, "Taxes help.")) for text in texts]
    assert asked[1].requests == tuple(pair for two in both for pair in two)
    assert [one.entailment for one in found["taxes", "It rains."]] == [0.0, 0.0, 0.0]
    # The leading answer is held rather than one about the same topic; an unreasonable answer is another answer too.
    logits = [-2.0 + 4.0 * near + 0.2 + 3.0 * lead for near, lead in ((0.8, 0.2), (0.4, -0.4), (0.6, -0.2))]
    expected = [1 / (1 + math.exp(-logit)) for logit in logits]
    assert [one.entailment for one in found["taxes", "Taxes help."]] == pytest.approx(expected)
    assert found["taxes", "Taxes help."][0].said == "Taxes are of use."


def test_a_window_of_one_answer_has_no_lead() -> None:
    alone = Window("one", "Should taxes rise?", (WindowAnswer("a", "Taxes are of use."),))
    found = drive(EntailmentJudge("combined", combined=WEIGHTS).asked([(alone, "Taxes help.")]), answered)
    assert found["one", "Taxes help."][0].entailment == pytest.approx(1 / (1 + math.exp(-(-2.0 + 3.2 + 0.2))))


def test_a_part_about_the_query_alone_holds_no_argument() -> None:
    """Some people think that the claim is true: the claim is not an argument for itself."""
    judge = EntailmentJudge("combined", combined=replace(WEIGHTS, intercept=4.0))

    def named(asked: Round) -> list[Any]:
        found = answered(asked)
        if asked.work != "similarities":
            return found
        pairs = zip(asked.requests, found, strict=True)
        return [0.75 if pair.hypothesis == "Should taxes rise?" else value for pair, value in pairs]

    found = drive(judge.asked(JOBS), named)
    # 0.75 is by more than a tenth above 0.4 and 0.6, and below 0.8.
    assert [one.entailment > 0.5 for one in found["taxes", "Taxes help."]] == [True, False, False]
    assert all(one.entailment > 0.5 for one in drive(judge.asked(JOBS), answered)["taxes", "Taxes help."])


def test_the_combined_judge_says_what_it_lacks() -> None:
    with pytest.raises(ModelError, match="needs the weights"):
        drive(EntailmentJudge("combined").asked(JOBS), answered)

    def two_way(asked: Round) -> list[Any]:
        return [one if isinstance(one, float) else EntailmentScores(one.entailment) for one in answered(asked)]

    with pytest.raises(ModelError, match="knows entailment alone"):
        drive(EntailmentJudge("combined", combined=WEIGHTS).asked(JOBS), two_way)


# --------------------------------------------------------------------------------------------------------- choosing


def planning(tmp_path: Path, model: str | None = None, **keywords: Any) -> Planning:
    return Planning(
        measure=Measure("overton_coverage", "higher", "Overton coverage"),
        dataset="contested",
        keywords=keywords,
        settings={"entailment_model": model},
        gate=None,
        confidence_level=0.95,
        load_survey=lambda *_: None,  # type: ignore[arg-type, return-value]
        find_file=lambda name: tmp_path / name,
    )


def folder_with(tmp_path: Path, judges: JudgeFile) -> str:
    (tmp_path / CALIBRATION_FILE).write_text(judges_text(judges), encoding="utf-8")
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    return str(tmp_path)


JUDGES = JudgeFile("both", {"both": CALIBRATION, "combined": replace(CALIBRATION, threshold=0.4)}, WEIGHTS)


def test_the_file_beside_the_model_decides_the_judge_and_its_threshold(tmp_path: Path) -> None:
    model = folder_with(tmp_path, JUDGES)
    judge, settings, _ = chosen_judge(planning(tmp_path, model), {})
    assert (judge.name, judge.threshold, judge.calibration, judge.doubt) == ("both", 0.5, CALIBRATION, "")
    assert (settings.entailment_judge, settings.threshold) == ("both", 0.5)
    judge, settings, file = chosen_judge(planning(tmp_path, model, entailment_judge="combined"), {})
    assert (judge.name, settings.threshold, judge.combined) == ("combined", 0.4, WEIGHTS)
    assert file is not None
    assert file == judges_of(model)


def test_a_threshold_by_hand_is_kept_and_switches_the_correction_off(tmp_path: Path) -> None:
    judge, settings, _ = chosen_judge(planning(tmp_path, folder_with(tmp_path, JUDGES)), {"threshold": 0.3})
    assert settings.threshold == judge.threshold == 0.3
    assert judge.calibration is None
    assert not judge.doubt
    found = without_errors(SCORES, settings, judge)
    assert found.units == SCORES.units
    assert "given by hand" in found.warnings[-1]


def test_without_a_calibration_a_level_is_in_doubt(tmp_path: Path) -> None:
    for model, keywords in ((None, {}), ("town", {}), (folder_with(tmp_path, JUDGES), {"entailment_judge": "forward"})):
        judge, _, _ = chosen_judge(planning(tmp_path, model, **keywords), {})
        assert judge.name == "forward"
        assert "nobody measured the errors of the judge 'forward'" in judge.doubt


def test_a_file_or_a_model_of_its_own_can_judge(tmp_path: Path) -> None:
    (tmp_path / "ours.json").write_text(judges_text(JUDGES), encoding="utf-8")
    judge, _, _ = chosen_judge(planning(tmp_path, entailment_judge="ours.json"), {})
    assert (judge.name, judge.spec, judge.calibration) == ("both", "", CALIBRATION)
    judge, _, _ = chosen_judge(planning(tmp_path, entailment_judge="hf:town/judge"), {})
    assert (judge.name, judge.spec) == ("forward", "hf:town/judge")
    assert judge.doubt


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"entailment_judge": "mine.json"}, "no such file of judges"),
        ({"entailment_judge": "combined"}, "needs weights that were fitted"),
        ({"entailment_judge": 3}, "'entailment_judge' parameter of overton_coverage"),
        ({"entailment_judge": "forwards"}, "forwards"),
    ],
)
def test_what_names_no_judge_is_refused(tmp_path: Path, keywords: dict[str, Any], words: str) -> None:
    with pytest.raises(PluralismError, match=words):
        chosen_judge(planning(tmp_path, **keywords), {})


def test_the_old_name_of_the_judge_warns_for_one_release(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="is called entailment_judge='backward' now"):
        judge, settings, _ = chosen_judge(planning(tmp_path), {"direction": "answer_entails_response"})
    assert judge.name == settings.entailment_judge == "backward"
    assert "direction" not in settings.as_json()
    with pytest.raises(InvalidParameterError, match="Leave out direction"):
        OvertonSettings(direction="answer_entails_response", entailment_judge="both")
