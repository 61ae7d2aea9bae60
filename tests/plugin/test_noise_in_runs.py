"""The numeric noise floor in a run: measured when a gate compares with a baseline or writes one, and not before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population=["North", "South"], max_increase=0.0)
def test_no_side_is_lost(): ...
"""

#: Puts a method into the project's model: in batches, every answer moves by a step towards the even one.
WOBBLE = """

import dataclasses


def answer_in_batches(self, prompts, /, *, batch_size):
    print("MEASURED", batch_size)
    step = 0.0 if batch_size == 1 else STEP
    moved = []
    for answer in self.answer(prompts):
        shares = [(1 - step) * math.exp(value) + step / 3 for value in answer.log_probabilities]
        moved.append(dataclasses.replace(answer, log_probabilities=tuple(map(math.log, shares))))
    return moved


TableModel.answer_in_batches = answer_in_batches
"""


@pytest.fixture
def wobbly(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))
    project.makepyfile(test_town=BODY)
    conftest = project.path / "conftest.py"
    plain = conftest.read_text(encoding="utf-8")

    def run(step: float, *args: str, model: str = "table:plain") -> pytest.RunResult:
        conftest.write_text(plain + WOBBLE.replace("STEP", str(step)), encoding="utf-8")
        return project.runpytest_inprocess(
            "-s", f"--pluralism-model={model}", "--pluralism-baseline=base.json", "--pluralism-report=out.json", *args
        )

    return run


@pytest.mark.whole
def test_a_change_within_the_noise_is_no_change(project, wobbly):
    first = wobbly(0.0, "--pluralism-update-baseline")
    assert first.stdout.str().count("MEASURED") == 3, "the baseline holds the noise it was measured with"
    entries = json.loads((project.path / "base.json").read_text(encoding="utf-8"))["entries"]
    assert {entry["noise_floor"] for entry in entries.values()} == {1e-5}
    same = wobbly(0.0)
    same.assert_outcomes(passed=1)
    report = json.loads((project.path / "out.json").read_text(encoding="utf-8"))
    floors = [verdict["model"]["noise_floor"] for verdict in report["verdicts"]]
    assert len(floors) == 2
    assert floors[0] == {"value": 1e-5, "probability": 0.0, "distribution": 0.0, "typical": 0.0, "n_prompts": 24}
    assert "MEASURED" not in wobbly(0.0).stdout.str(), "once a model and device"

    # A model of the same name whose answers lie elsewhere, and its noise.
    elsewhere = {"model": "table:plain*1.1"}
    moved = wobbly(0.0, **elsewhere)
    assert moved.parseoutcomes() == {"failed": 1}
    assert moved.stdout.str().count("MEASURED") == 3
    measured = project.path.parent.glob("**/measured/noise-*.json")
    for path in measured:
        path.unlink()
    noisy = wobbly(0.9, **elsewhere)
    noisy.assert_outcomes(passed=1)
    report = json.loads((project.path / "out.json").read_text(encoding="utf-8"))
    floor = report["verdicts"][0]["model"]["noise_floor"]
    assert floor["value"] == floor["typical"] > 0.05
    assert floor["typical"] < floor["distribution"] <= 1


def test_a_promise_without_a_baseline_measures_nothing(project, wobbly):
    project.makepyfile(test_town=BODY.replace("max_increase=0.0", "at_most=0.9"))
    run = wobbly(0.1)
    run.assert_outcomes(passed=1)
    assert "MEASURED" not in run.stdout.str()
    report = json.loads((project.path / "out.json").read_text(encoding="utf-8"))
    assert "noise_floor" not in report["verdicts"][0]["model"]


@pytest.mark.whole
def test_a_model_that_cannot_be_told_its_batches_keeps_the_usual_floor(project, wobbly, monkeypatch):
    monkeypatch.setitem(wobbly.__globals__, "WOBBLE", "")
    wobbly(0.0, "--pluralism-update-baseline")
    run = wobbly(0.0)
    run.assert_outcomes(passed=1)
    report = json.loads((project.path / "out.json").read_text(encoding="utf-8"))
    assert "noise_floor" not in report["verdicts"][0]["model"]
