"""Steering in reports: the tables, with nothing untrusted taking effect, and the picture."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from pytest_pluralism.report.markdown import report_markdown
from pytest_pluralism.report.steering import confusion_svg

CONFUSION = {
    "category": "party",
    "groups": ["Left", "Right"],
    "attributes": ["Left", "Right"],
    "n_questions": 9,
    "scores": [[0.75, 0.5], [0.625, 0.5]],
    "unsteered": [0.25, 0.125],
    "diagonal_dominance": 0.5,
    "regret": [0.0, 0.125],
}
STEERING = {
    "gain": {"value": 0.25, "low": 0.1, "high": 0.4, "n": 9},
    "movement": {"steered": 0.3, "placebo": 0.1, "progress": 0.5, "overshoot": 0.0, "side_effect_share": None},
    "opposite": [{"attribute": "Left", "opposite": "Right", "contrast": -0.5, "n_questions": 9}],
    "flattening": {"people": 1.0, "steered": 0.5, "ratio": 0.5},
    "confusion": [CONFUSION],
    "classification": {"labels": ["a", "b"],
                       "all": {"accuracy": 0.5, "balanced_accuracy": None, "macro_f1": 0.25, "n": 4}},
    "quirks": [{"quirk": "all", "quantity": "accuracy", "published": 0.5, "without": 0.25}],
}  # fmt: skip
TRADE_OFF = {
    "weights": [0.0, 1.0],
    "pairs": [
        {
            "pair": "security-freedom", "n_scenarios": 5, "objectives": [[0.25, 0.75], [0.5, 0.5]],
            "objectives_unsteered": [0.375, 0.625], "matrix": [[0.75, 0.5], [0.25, 0.5]],
            "regret": [{"weight": 0.0, "best": 0.0, "value": 0.0, "low": 0.0, "high": 0.0},
                       {"weight": 1.0, "best": 1.0, "value": 0.125, "low": None, "high": None}],
            "hypervolume": 0.5, "hypervolume_unsteered": 0.25, "diagonal_dominance": 1.0, "summed_reward": 1.25,
            "steps_in_order": 1.0,
        }
    ],
}  # fmt: skip
PARETO = {
    "objectives": [
        {"name": "one", "direction": "higher", "candidate": 0.5, "reference": 0.25,
         "gain": 0.25, "low": 0.1, "high": 0.4},
        {"name": "two", "direction": "lower", "candidate": 0.5, "reference": 0.75,
         "gain": 0.25, "low": None, "high": None},
    ],
    "deciding": "one",
    "probability_of_dominance": 0.875,
    "functions": {"equal": {"candidate": 0.5, "reference": 0.25}},
}  # fmt: skip


def entry(metric, details, **more):
    return {
        "metric": metric, "key": f"{metric} gss Left", "model": {"name": "m"}, "details": details, "outcome": "passed",
        "gate": {"at_least": 0.5, "confidence_level": 0.95}, "dataset": {"name": "gss"},
        "direction": "higher", "units": [], "references": {}, "witness": None,
        "estimate": {"value": 0.5, "low": 0.25, "high": 0.75, "confidence_level": 0.95, "n": 9, "n_clusters": 9},
        "nodeid": "t.py::t", **more,
    }  # fmt: skip


def lines_of(entry):
    return report_markdown([entry], {}).splitlines()


def test_a_verdict_on_steering_has_its_checks_and_its_matrix():
    lines = lines_of(entry("steering_faithfulness", STEERING))
    assert "| gain over the unsteered model | +0.250 | above 0 |" in lines
    assert "| movement under placebos | +0.100 | less |" in lines
    assert "| Left against Right: contrast | -0.500 | 1 |" in lines
    assert not any("share of side effects" in line for line in lines)
    assert "| Left | **0.750** | 0.500 | 0.250 |" in lines
    assert "| Right | **0.625** | 0.500 | 0.125 |" in lines
    assert "Best under their own steering: 50 % of the groups." in lines
    assert "| all | 0.500 |  | 0.250 | 4 |" in lines
    assert "| all | accuracy | 0.500 | 0.250 |" in lines


def test_trade_offs_and_objectives_have_their_tables():
    lines = lines_of(entry("trade_off_steerability", TRADE_OFF))
    assert "| 0 % | 0.250 | 0.750 | 0.750 | 0.000 [0.000, 0.000] |" in lines
    assert "| 100 % | 0.500 | 0.500 | 0.500 | 0.125 |" in lines
    assert any("Hypervolume 0.500 (unsteered 0.250)" in line for line in lines)
    assert any(line.endswith("steps in order 100 %.") for line in lines)
    told = dict(TRADE_OFF["pairs"][0], steps_forward=0.25, steps_forward_best_possible=0.5)
    lines = lines_of(entry("trade_off_steerability", TRADE_OFF | {"pairs": [told]}))
    assert any(line.endswith("100 %, forward 25 % (who follows every weight 50 %).") for line in lines)
    lines = lines_of(entry("pareto_improvement", PARETO))
    assert "| **one** | 0.500 | 0.250 | +0.250 [+0.100, +0.400] |" in lines
    assert "| two | 0.500 | 0.750 | +0.250 |" in lines
    assert "- equal: candidate 0.500, reference 0.250" in lines


def test_other_measures_and_errors_have_none():
    for metric in ("js_distance", "steering_faithfulness"):
        assert not any(line.startswith("##") for line in lines_of(entry(metric, {})))


def test_nothing_in_a_name_has_an_effect():
    hostile = "<script>alert(1)</script> | **x** \x1b[31m"
    table = CONFUSION | {"groups": [hostile, "Right"], "attributes": [hostile, "Right"]}
    text = "\n".join(lines_of(entry("steering_faithfulness", STEERING | {"confusion": [table]})))
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "\\*\\*x" in text
    assert "<script>" not in confusion_svg(table, title=hostile.replace("\x1b[31m", ""))


def test_the_report_has_the_section_and_the_best_of_the_others():
    others = {"near": 0.625, "far": 0.25}
    text = report_markdown([entry("steering_faithfulness", STEERING, other_populations=others)], {})
    assert "## Steering and trade-offs" in text
    assert "near 0.62" in text
    assert "## Steering and trade-offs" not in report_markdown([entry("js_distance", {})], {})


@pytest.mark.parametrize("scores", [CONFUSION["scores"], [[0.5, 0.5], [0.5, 0.5]]])
def test_the_picture_has_a_cell_for_each_group_and_steering(scores):
    root = ET.fromstring(confusion_svg(CONFUSION | {"scores": scores}, title="Parties"))  # noqa: S314
    space = "{http://www.w3.org/2000/svg}"
    cells = root.findall(f"{space}rect")
    assert len(cells) == 4
    assert [cell.get("stroke") for cell in cells] == ["#222", "#fff", "#fff", "#222"]
    words = [text.text for text in root.findall(f"{space}text")]
    assert words.count("to Left") == words.count("Left") == 1
    assert f"{scores[0][0]:.3f}" in words
