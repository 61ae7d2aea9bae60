"""``pluralism compare`` and ``plan`` know every promise about a change: equivalence, and the drift from the anchor."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_pluralism.baselines.store import merge_entries
from pytest_pluralism.cli import main
from pytest_pluralism.core.estimation import compare_paired, estimate_mean

KEY = "test_town.py::test_it js_distance town.jsonl North"

DRAWN = np.random.default_rng(0).normal(0.4, 0.1, 60).clip(0.0, 1.0)


def entry(values: np.ndarray, gate: dict[str, Any]) -> dict[str, Any]:
    estimate = estimate_mean(values)
    names = ("value", "low", "high", "standard_error", "n", "n_clusters", "confidence_level", "method")
    return {
        "metric": "js_distance",
        "direction": "lower",
        "population": "North",
        "estimate": {name: getattr(estimate, name) for name in names},
        "gate": {**gate, "confidence_level": 0.95},
        "noise_floor": 1e-5,
        "model": {"name": "m", "sha256": "ab" * 32, "dtype": "float32", "device": "cpu"},
        "dataset": {"name": "town.jsonl", "sha256": "cd"},
        "prompts_sha256": "ef",
        "settings": {"seed": 0},
        "versions": {},
        "units": [
            {"id": f"q{n}", "cluster": f"q{n}", "value": value, "sha256": None}
            for n, value in enumerate(values.tolist())
        ],
    }


def moved(mean: float, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0.0, 0.005, len(DRAWN))
    return DRAWN + mean + noise - noise.mean()


def compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], gate: dict[str, Any], before: list[np.ndarray], now: np.ndarray
) -> tuple[int, dict[str, Any]]:
    for values in before:
        merge_entries(tmp_path / "a.json", "m", {KEY: entry(values, gate)})
    merge_entries(tmp_path / "b.json", "m", {KEY: entry(now, gate)})
    code = main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--json"])
    (row,) = json.loads(capsys.readouterr().out)["results"]
    return code, row


@pytest.mark.parametrize(
    ("by", "outcome", "code"),
    [(0.0, "passed", 0), (0.05, "failed", 1), (-0.05, "failed", 1), (0.02, "inconclusive", 0)],
)
def test_compare_judges_equivalence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], by: float, outcome: str, code: int
) -> None:
    found = compared(tmp_path, capsys, {"max_change": 0.02}, [DRAWN], moved(by))
    assert (found[0], found[1]["outcome"], found[1]["promise"]) == (code, outcome, {"max_change": 0.02})


@pytest.mark.parametrize(
    ("gate", "outcome"),
    [
        ({"max_increase": 0.02}, "failed"),
        ({"max_increase": 0.02, "max_drift": 0.2}, "passed"),
        ({"max_increase": 0.2, "max_drift": 0.01}, "failed"),
    ],
)
def test_compare_judges_the_drift_from_the_anchor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], gate: dict[str, Any], outcome: str
) -> None:
    """Two steps of .015, of which each alone keeps the promise."""
    last, now = moved(0.015), moved(0.03, seed=2)
    _, row = compared(tmp_path, capsys, gate, [DRAWN, last], now)
    assert row["outcome"] == outcome
    assert row["drift"]["value"] == pytest.approx(compare_paired(now, DRAWN).value)
    assert row["change"]["value"] == pytest.approx(compare_paired(now, last).value)


def planned(tmp_path: Path, capsys: pytest.CaptureFixture[str], gate: dict[str, Any]) -> list[dict[str, Any]]:
    merge_entries(tmp_path / "a.json", "m", {KEY: entry(DRAWN, gate)})
    merge_entries(tmp_path / "b.json", "m", {KEY: entry(moved(0.0), gate)})
    assert main(["plan", str(tmp_path / "b.json"), "--against", str(tmp_path / "a.json"), "--json"]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["promises"]
    return rows


@pytest.mark.whole
def test_plan_knows_equivalence_and_drift(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rise, fall = planned(tmp_path, capsys, {"max_change": 0.02})
    assert {rise["bound"], fall["bound"]} == {"max_change"}
    assert rise["words"].startswith("a rise of 0.02")
    assert fall["words"].startswith("a fall of 0.02")
    # Both are tests, and an unchanged model must keep both.
    assert rise["adjusted_level"] == 0.975
    assert rise["unchanged_passes"] == fall["unchanged_passes"] > 0.95
    alone, drift = planned(tmp_path, capsys, {"max_increase": 0.02, "max_drift": 0.05})
    assert (alone["bound"], drift["bound"]) == ("max_increase", "max_drift")
    assert alone["fails_from"] < 0.03 < drift["fails_from"] < 0.06


@pytest.mark.whole
def test_a_report_that_lacks_results_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = json.loads((Path(__file__).parents[1] / "golden/report.json").read_text(encoding="utf-8"))
    first, second = [one for one in whole["verdicts"] if one["metric"] == "js_distance"][:3:2]
    assert first["model"]["name"] == second["model"]["name"]
    lost = {**second, "outcome": "error", "estimate": None, "units": [], "reason": "the model gave NaN"}
    lost = {name: value for name, value in lost.items() if name not in ("direction", "change", "skill")}
    for name, verdicts, complete in (
        ("a", [first, second], True),
        ("error", [first, lost], True),
        ("cut", [first, second], False),
    ):
        content = {**whole, "run": {**whole["run"], "complete": complete}, "verdicts": verdicts}
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    for after, code, said in (("a", 0, ""), ("error", 1, "the model gave NaN"), ("cut", 1, "did not come to its end")):
        assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / f"{after}.json"), "--json"]) == code
        out, err = capsys.readouterr()
        assert said in err
        assert [said in one for one in json.loads(out)["after"]["problems"]] == [True] * bool(said)
    # The earlier side is only told: what is measured now is whole.
    assert main(["compare", str(tmp_path / "error.json"), str(tmp_path / "a.json")]) == 0
    assert "the model gave NaN" in capsys.readouterr().err


def test_promises_whose_names_look_the_same_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = KEY.replace("North", "N\u043erth")
    gate = {"max_increase": 0.02}
    merge_entries(tmp_path / "a.json", "m", {KEY: entry(DRAWN, gate), other: entry(DRAWN, gate)})
    program = shutil.which("git") or pytest.skip("no git here")
    person = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], [*person, "commit", "-q", "-m", "results"]):
        subprocess.run([program, *words], cwd=tmp_path, check=True)
    for words in (["plan"], ["history"], ["compare", str(tmp_path / "a.json")]):
        assert main([*words, str(tmp_path / "a.json")]) == 0
        out, err = capsys.readouterr()
        assert "names that look the same" in out + err
        assert "U+043E" in out + err
