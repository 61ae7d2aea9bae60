"""The subcommands that look at results: plan, compare, history, baselines."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import random
import shutil
import statistics
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from pytest_pluralism.baselines.store import merge_entries, read_baseline
from pytest_pluralism.cli import main
from pytest_pluralism.core.estimation import (
    bound_p_value,
    compare_paired,
    estimate_mean,
    redrawn,
    smallest_detectable_difference,
)
from pytest_pluralism.core.records import Estimate, Gate, Outcome
from pytest_pluralism.core.verdict import adjust_verdicts, decide

KEY = "test_town.py::test_it js_distance town.jsonl North"

OTHER = "test_old.py::test_gone js_distance town.jsonl South"


def entry(values: list[float], *, gate: dict[str, Any] | None = None, sha256: str = "ab" * 32, **changes: Any) -> Any:
    estimate = estimate_mean(values)
    names = ("value", "low", "high", "standard_error", "n", "n_clusters", "confidence_level", "method")
    return {
        "metric": "js_distance",
        "direction": "lower",
        "population": "North",
        "estimate": {name: getattr(estimate, name) for name in names},
        "gate": {"max_increase": 0.02, "confidence_level": 0.95} if gate is None else gate,
        "noise_floor": 1e-5,
        "model": {"name": "m", "sha256": sha256, "dtype": "float32", "device": "cpu"},
        "dataset": {"name": "town.jsonl", "sha256": "cd"},
        "prompts_sha256": "ef",
        "settings": {"seed": 0},
        "versions": {"torch": "2.0"},
        "units": [
            {"id": f"q{n}", "cluster": f"q{n}", "value": value, "sha256": None} for n, value in enumerate(values)
        ],
        **changes,
    }


def spread(
    seed: int, *, mean: float = 0.4, n: int = 40, around: list[float] | None = None, noise: float = 0.1
) -> list[float]:
    drawn = random.Random(seed)
    return [(mean if around is None else around[i] + mean) + drawn.uniform(-noise, noise) for i in range(n)]


OLD = spread(1)

#: Each question moved a little, and all together by +0.05.
WORSE = spread(2, mean=0.05, around=OLD, noise=0.02)

SAME = spread(3, mean=0.0, around=OLD, noise=0.01)


@pytest.fixture(scope="module")
def drawn() -> dict[bytes, redrawn.RedrawnEnds]:
    return {}


@pytest.fixture(autouse=True)
def draw_once(drawn: dict[bytes, redrawn.RedrawnEnds], monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the same units in the same way once, as the draws have one seed: to draw them takes long."""
    draw = redrawn.redraw_ends

    def once(estimate: Estimate, **options: Any) -> redrawn.RedrawnEnds:
        key = pickle.dumps((estimate, sorted(options.items())))
        if key not in drawn:
            drawn[key] = draw(estimate, **options)
        return drawn[key]

    monkeypatch.setattr(redrawn, "redraw_ends", once)


#: Joined from runs of the packaged models and of toy models.
RECORDED = Path(__file__).parents[1] / "golden" / "report.json"


@pytest.fixture
def recorded() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return content


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "stored"
    merge_entries(place / "m.json", "m", {KEY: entry(OLD), OTHER: entry(OLD)})
    return place


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    try:
        code = main([str(one) for one in arguments])
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


# ----------------------------------------------------------------------------------------------------------- compare


def test_compare(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    merge_entries(tmp_path / "b.json", "m", {KEY: entry(WORSE, sha256="ef" * 32)})
    code, out, err = command(capsys, "compare", folder, tmp_path / "b.json")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == f"from {folder}/m.json (m) to {tmp_path}/b.json (m)"
    assert "failed" in lines[2]
    assert "+0.05" in lines[2]
    assert lines[-1] == f"only before: {OTHER}"
    code, out, _ = command(capsys, "compare", folder, tmp_path / "b.json", "--json")
    content = json.loads(out)
    assert (code, content["schema"]) == (1, "pytest-pluralism/comparison/1")
    (row,) = content["results"]
    expected = compare_paired(WORSE, OLD)
    assert row["change"]["value"] == pytest.approx(expected.value, abs=1e-12)
    assert (row["change"]["low"], row["change"]["high"]) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert row["worst"]["value"] == pytest.approx(max(b - a for a, b in zip(OLD, WORSE, strict=True)))
    assert row["outcome"] == "failed"


def test_compare_what_is_alike_and_what_cannot_be(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    merge_entries(tmp_path / "b.json", "m", {KEY: entry(SAME)})
    code, out, _ = command(capsys, "compare", folder, tmp_path / "b.json")
    assert code == 0
    assert "passed" in out
    merge_entries(tmp_path / "b.json", "m", {KEY: entry(SAME, settings={"seed": 1})})
    code, out, _ = command(capsys, "compare", folder, tmp_path / "b.json")
    assert code == 1
    assert f"not comparable: {KEY}: seed was 0, is 1" in out
    merge_entries(tmp_path / "c.json", "m", {"other": entry(SAME)})
    code, _, err = command(capsys, "compare", folder, tmp_path / "c.json")
    assert code == 2
    assert "share no result" in err


def test_what_many_promises_explain_is_undecided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in a run: one promise that is narrowly broken fails alone, and not among nine."""
    sigma = statistics.stdev(b - a for a, b in zip(OLD, SAME, strict=True)) / len(OLD) ** 0.5
    moved = [value + 0.02 + 2.4 * sigma for value in SAME]
    mean = sum(b - a for a, b in zip(OLD, moved, strict=True)) / len(OLD)
    moved = [value - mean + 0.02 + 2.4 * sigma for value in moved]
    keys = [KEY, *(f"test_x.py::test_{number} js_distance town.jsonl North" for number in range(8))]
    merge_entries(tmp_path / "a.json", "m", {key: entry(OLD) for key in keys})
    merge_entries(tmp_path / "b.json", "m", {key: entry(moved if key == KEY else OLD) for key in keys})
    merge_entries(tmp_path / "c.json", "m", {KEY: entry(moved)})
    code, out, _ = command(capsys, "compare", tmp_path / "a.json", tmp_path / "c.json", "--json")
    assert (code, json.loads(out)["results"][0]["outcome"]) == (1, "failed")
    code, out, _ = command(capsys, "compare", tmp_path / "a.json", tmp_path / "b.json")
    assert code == 0
    assert "inconclusive" in out
    assert "among 9 promises this may be chance" in out


def test_an_entry_of_version_1_is_compared_and_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((folder / "m.json").read_text(encoding="utf-8"))
    content["entries"][KEY] |= {"from_version": 1, "prompts_sha256": None, "noise_floor": None, "gate": {}}
    old = folder.parent / "old.json"
    old.write_text(json.dumps(content), encoding="utf-8")
    shutil.copy(folder / "m.units.jsonl", folder.parent / "old.units.jsonl")
    code, out, _ = command(capsys, "compare", old, folder)
    assert code == 0
    assert f"{KEY}: neither what was asked nor what the units are is compared: it was stored by version 1" in out


# -------------------------------------------------------------------------------------------------------------- plan


@pytest.mark.whole
def test_plan_of_a_value_and_of_a_change(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gate = {"at_most": 0.5, "max_increase": 0.02, "confidence_level": 0.95}
    merge_entries(tmp_path / "m.json", "m", {KEY: entry(SAME, gate=gate)})
    value, unpaired = plan(capsys, tmp_path / "m.json", "--difference", "0.03")
    assert (value["bound"], unpaired["bound"]) == ("at_most", "max_increase")
    assert value["fails_from"] == pytest.approx(0.5 + value["detectable"])
    assert unpaired["spread"] == "unpaired"
    assert unpaired["standard_error"] == pytest.approx(value["standard_error"] * 2**0.5)
    code, out, _ = command(capsys, "plan", tmp_path / "m.json", "--against", folder, "--difference", "0.03", "--json")
    paired = json.loads(out)["promises"][1]
    assert (code, paired["spread"]) == (0, "paired")
    assert paired["standard_error"] == pytest.approx(compare_paired(SAME, OLD).standard_error)
    assert paired["fails_from"] < unpaired["fails_from"]
    assert paired["units_needed"] < unpaired["units_needed"]
    assert 0.9 < paired["unchanged_passes"] <= 1.0
    code, out, _ = command(capsys, "plan", tmp_path / "m.json")
    assert code == 0
    assert "up to a rise of" in out
    assert "name another run with --against" in out


def plan(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    code, out, err = command(capsys, "plan", *arguments, "--json")
    assert (code, err) == (0, "")
    promises: list[dict[str, Any]] = json.loads(out)["promises"]
    return promises


@pytest.mark.whole
def test_promises_are_planned_as_many_as_a_run_judges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gate = {"at_most": 0.5, "confidence_level": 0.95}
    place = tmp_path / "m.json"
    merge_entries(place, "m", {f"test_x.py::test_{n} js_distance town North": entry(OLD, gate=gate) for n in range(2)})
    row, _ = plan(capsys, place, "--difference", "0.03")
    assert row["adjusted_level"] == pytest.approx(1 - 0.05 / 2)
    alone, _ = plan(capsys, place, "--difference", "0.03", "--gates", "1")
    assert alone["adjusted_level"] == alone["confidence_level"] == 0.95
    assert alone["fails_from"] == row["alone"]["fails_from"] < row["fails_from"]
    assert alone["units_needed"] < row["units_needed"]
    # Two bounds in one gate are two tests, as the verdict has it.
    merge_entries(place, "m", {KEY: entry(OLD, gate={**gate, "max_increase": 0.02})})
    assert {one["adjusted_level"] for one in plan(capsys, place) if one["key"] == KEY} == {1 - 0.05 / 6}
    code, out, _ = command(capsys, "plan", place)
    assert code == 0
    assert "adjusted for 3 promises about the model in one run" in out


@pytest.mark.whole
def test_the_planned_power_is_that_of_the_adjusted_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Among nine promises, of which eight are kept, the ninth fails as often as the plan says."""
    gate = {"max_increase": 0.02, "confidence_level": 0.95}
    merge_entries(tmp_path / "a.json", "m", {KEY: entry(OLD, gate=gate)})
    merge_entries(tmp_path / "b.json", "m", {KEY: entry(SAME, gate=gate)})
    (row,) = plan(capsys, tmp_path / "b.json", "--against", tmp_path / "a.json", "--gates", "9")
    sigma = row["standard_error"] * row["n"] ** 0.5
    generator = np.random.default_rng(9)
    kept = decide(Gate(at_most=0.9), estimate_mean(OLD))
    found = {"adjusted": 0, "alone": 0}
    for _ in range(300):
        change = compare_paired(generator.normal(row["fails_from"], sigma, row["n"]), np.zeros(row["n"]))
        verdict = decide(Gate(max_increase=0.02), estimate_mean(OLD), change=change)
        found["alone"] += verdict.outcome is Outcome.FAILED
        found["adjusted"] += adjust_verdicts([verdict, *[kept] * 8])[0].outcome is Outcome.FAILED
    # Two standard errors of 300 runs are 0.046.
    assert found["adjusted"] / 300 == pytest.approx(0.8, abs=0.07)
    assert found["alone"] > found["adjusted"]


@pytest.mark.whole
def test_skewed_units_are_planned_by_drawing_them_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Most questions are near, and a few are far: other failures than the formula says."""
    scores = [0.01 * (number % 7) for number in range(36)] + [0.7, 0.8, 0.9, 0.95]
    gate = {"at_most": 0.2, "confidence_level": 0.95}
    merge_entries(tmp_path / "m.json", "m", {KEY: entry(scores, gate=gate)})
    (row,) = plan(capsys, tmp_path / "m.json", "--gates", "9", "--difference", "0.2")
    estimate = estimate_mean(scores)
    level = row["adjusted_level"]
    assert row["detectable"] < 0.85 * smallest_detectable_difference(estimate, confidence_level=level)
    generator = np.random.default_rng(4)

    def share(beyond: float, n: int) -> float:
        failed = 0
        for _ in range(200):
            drawn = generator.choice(scores, n) - np.mean(scores) + 0.2 + beyond
            failed += bound_p_value(estimate_mean(drawn), 0.2, alternative="greater") < (1 - level) / 2
        return failed / 200

    # Two standard errors of 200 runs are 0.06.
    assert share(row["detectable"], row["n"]) == pytest.approx(0.8, abs=0.08)
    assert share(0.2, row["units_needed"]) >= 0.72


@pytest.mark.parametrize("words", ["", "crossed t", "wilson", "bca, 9 resamples of differences"])
def test_the_words_of_a_report_steer_no_plan(
    words: str, recorded: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = recorded["verdicts"][0]["model"]["name"]
    (tmp_path / "as_it_was.json").write_text(json.dumps(recorded), encoding="utf-8")
    expected = plan(capsys, tmp_path / "as_it_was.json", "--model", name, "--difference", "0.05")
    for verdict in recorded["verdicts"]:
        for part in (verdict["estimate"], verdict.get("change")):
            if part:
                part["method"] = words
    (tmp_path / "reworded.json").write_text(json.dumps(recorded), encoding="utf-8")
    assert plan(capsys, tmp_path / "reworded.json", "--model", name, "--difference", "0.05") == expected


@pytest.mark.parametrize("words", [7, None])
def test_a_method_that_is_not_words_is_refused(
    words: object, recorded: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded["verdicts"][0]["estimate"]["method"] = words
    (tmp_path / "odd.json").write_text(json.dumps(recorded), encoding="utf-8")
    assert main(["plan", str(tmp_path / "odd.json")]) == 1
    assert "$.verdicts[0].estimate" in capsys.readouterr().err


def test_an_old_report_whose_units_do_not_show_all_is_planned_with_what_it_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mean over jurors and queries, of which a report of version 0.1.0 holds the queries and words."""
    crossed = entry(OLD, gate={"at_most": 0.6})
    crossed["estimate"] |= {"standard_error": 3 * crossed["estimate"]["standard_error"], "method": "crossed t"}
    merge_entries(tmp_path / "m.json", "m", {KEY: crossed})
    (row,) = plan(capsys, tmp_path / "m.json")
    assert row["standard_error"] == crossed["estimate"]["standard_error"]


def test_a_plan_of_a_run_that_did_not_adjust(recorded: dict[str, Any], tmp_path: Path, capsys: Any) -> None:
    found = []
    for number, method in enumerate(("none", "holm")):
        recorded["run"]["settings"]["multiplicity"] = {"value": method, "origin": "command line"}
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(recorded), encoding="utf-8")
        found.append(plan(capsys, path, "--model", recorded["verdicts"][0]["model"]["name"])[0])
    assert found[0]["adjusted_level"] == 0.95 < found[1]["adjusted_level"]


def test_nothing_is_planned_beyond_the_end_of_a_measure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gate = {"at_most": 0.97, "max_increase": 0.55, "confidence_level": 0.95}
    merge_entries(tmp_path / "m.json", "m", {KEY: entry(spread(1, n=12, noise=0.4), gate=gate)})
    rows = plan(capsys, tmp_path / "m.json")
    for row in rows:
        assert row["fails_from"] is row["detectable"] is None
        assert row["beyond_range"] == 1.0
        assert row["words"] == "beyond 1"
    code, out, _ = command(capsys, "plan", tmp_path / "m.json")
    assert code == 0
    assert "beyond 1: at_most 0.97 would need a value past the end of the measure to fail with this power" in out


def test_a_change_is_planned_with_the_margin_that_noise_makes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = {"name": "m", "sha256": "ab" * 32, "dtype": "bfloat16", "device": "cpu"}
    gate = {"max_increase": 0.001, "confidence_level": 0.95}
    merge_entries(tmp_path / "m.json", "m", {KEY: entry(OLD, gate=gate, noise_floor=0.01, model=model)})
    (row,) = plan(capsys, tmp_path / "m.json")
    assert (row["promise"], row["margin"]) == (0.001, 0.01)
    assert row["fails_from"] == pytest.approx(0.01 + row["detectable"])
    # Elsewhere sums are rounded in another way.
    elsewhere = {**model, "device": "cuda:0"}
    merge_entries(tmp_path / "b.json", "m", {KEY: entry(SAME, gate=gate, noise_floor=0.01, model=elsewhere)})
    (row,) = plan(capsys, tmp_path / "b.json", "--against", tmp_path / "m.json")
    assert row["margin"] == 0.02
    _code, out, _ = command(capsys, "plan", tmp_path / "m.json")
    assert "max_increase 0.001 is below the numeric noise of the model: planned with 0.01" in out


def test_a_file_that_says_much_of_its_noise_widens_no_margin(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    merge_entries(tmp_path / "b.json", "m", {KEY: entry(WORSE, noise_floor=0.9)})
    code, out, _ = command(capsys, "compare", folder, tmp_path / "b.json", "--json")
    assert (code, json.loads(out)["results"][0]["outcome"]) == (1, "failed")
    assert plan(capsys, tmp_path / "b.json")[0]["margin"] == 0.02


def test_a_guard_of_each_unit_is_planned(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gate = {"max_unit_increase": 0.015, "confidence_level": 0.95}
    merge_entries(tmp_path / "m.json", "m", {KEY: entry(WORSE, gate=gate)})
    (row,) = plan(capsys, tmp_path / "m.json")
    assert (row["bound"], row["fails_from"], row["unchanged_passes"]) == ("max_unit_increase", 0.015, None)
    assert row["words"] == "one unit's rise of 0.015"
    (row,) = plan(capsys, tmp_path / "m.json", "--against", folder)
    changes = np.array(WORSE) - np.array(OLD)
    beyond = np.abs(changes - changes.mean()) > 0.015
    assert row["largest_change"] == pytest.approx(np.abs(changes).max())
    # Units that move as much, but neither way on the whole: signs are drawn.
    drawn = np.random.default_rng(8).choice([False, True], size=(20_000, len(beyond)))
    resampled = beyond[np.random.default_rng(9).integers(len(beyond), size=drawn.shape)]
    assert row["unchanged_passes"] == pytest.approx((~(resampled & drawn)).all(axis=1).mean(), abs=0.01)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--gates", "0"), "--gates must be a whole number of at least 1"),
        (("--power", "1"), "--power must be in (0, 1)"),
        (("--difference", "0"), "--difference must be a positive number"),
        (("--difference", "nan"), "--difference must be a positive number"),
        (("--model", "n"), "unknown model 'n'"),
    ],
)
def test_a_wrong_plan(folder: Path, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = command(capsys, "plan", folder / "m.json", *words)
    assert (code, out) == (2, "")
    assert says in err


@pytest.mark.slow
def test_the_plan_is_right_in_simulation(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A change that the plan calls detectable fails its promise in 80 of 100 runs whose truth lies there."""
    merge_entries(tmp_path / "m.json", "m", {KEY: entry(SAME)})
    _, out, _ = command(capsys, "plan", tmp_path / "m.json", "--against", folder, "--difference", "0.03", "--json")
    (row,) = json.loads(out)["promises"]
    sigma = row["standard_error"] * row["n"] ** 0.5
    gate = Gate(max_increase=row["promise"])
    generator = np.random.default_rng(8)
    kept = estimate_mean(OLD)

    def share(outcome: Outcome, mean: float, n: int, runs: int = 400) -> float:
        found = 0
        for _ in range(runs):
            change = compare_paired(generator.normal(mean, sigma, n), np.zeros(n))
            estimate = kept if n == len(OLD) else estimate_mean(np.resize(OLD, n))
            found += decide(gate, estimate, change=change).outcome is outcome
        return found / runs

    # Two standard errors of 400 runs are 0.04.
    assert share(Outcome.FAILED, row["fails_from"], row["n"]) == pytest.approx(0.8, abs=0.05)
    assert share(Outcome.PASSED, 0.0, row["n"]) == pytest.approx(row["unchanged_passes"], abs=0.05)
    assert share(Outcome.FAILED, 0.03, row["units_needed"]) == pytest.approx(0.8, abs=0.07)
    # A change that the promise allows is not a regression.
    assert share(Outcome.FAILED, row["promise"], row["n"]) <= 0.05


# ----------------------------------------------------------------------------------------------------------- history


def git(folder: Path, *words: str) -> None:
    who = {f"GIT_{role}_{part}": "x@y.z" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    program = shutil.which("git") or pytest.skip("no git here")
    subprocess.run([program, "-C", str(folder), *words], check=True, capture_output=True, env={**os.environ, **who})


def test_history(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(folder, "init", "--initial-branch=main")
    for number, values in enumerate((OLD, SAME, WORSE)):
        merge_entries(folder / "m.json", "m", {KEY: entry(values, sha256=f"{number}" * 64)})
        git(folder, "add", ".")
        # A subject with any content is one line to git.
        git(folder, "commit", "--message", f"release\u2028{number}\x0b\x85")
        git(folder, "tag", f"v{number}")
    merge_entries(folder / "m.json", "m", {KEY: entry(OLD)})
    code, out, err = command(capsys, "history", folder, "--key", "*North", "--json")
    assert (code, err) == (0, "")
    (measure,) = json.loads(out)["measures"]
    assert measure["key"] == KEY
    assert [one["tags"] for one in measure["revisions"]] == [["v0"], ["v1"], ["v2"], []]
    means = [sum(values) / len(values) for values in (OLD, SAME, WORSE, OLD)]
    assert [one["estimate"]["value"] for one in measure["revisions"]] == pytest.approx(means)
    code, out, _ = command(capsys, "history", folder, "--most", "2")
    lines = out.splitlines()
    assert lines[0] == f"{folder}/m.json: 2 measures, 3 revisions"
    drawn = [line for line in lines if "v2" in line]
    assert all(line.count("o") == 1 and line.endswith("|") for line in drawn)
    assert "now" in out
    code, _, err = command(capsys, "history", folder, "--key", "nothing*")
    assert (code, err) == (
        2,
        f"pluralism: no measure of {folder}/m.json matches 'nothing*'. Leave out --key to see all.\n",
    )


def test_a_history_says_what_it_lacks(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(folder, "init", "--initial-branch=main")
    (folder / "m.json").unlink(missing_ok=True)
    merge_entries(folder / "old.json", "m", {KEY: entry(OLD)})
    git(folder, "add", ".")
    git(folder, "commit", "--message", "first")
    git(folder, "mv", "old.json", "m.json")
    git(folder, "commit", "--message", "another name")
    code, _, err = command(capsys, "history", folder / "m.json")
    assert code == 0
    assert "the file was called old.json before; what it held under that name is not shown" in err
    shallow = tmp_path / "shallow"
    git(folder, "clone", "--quiet", "--depth=1", f"file://{folder}", str(shallow))
    code, _, err = command(capsys, "history", shallow / "m.json")
    assert code == 0
    assert "this clone is shallow, so that older commits are missing" in err


def test_history_shows_the_drift_from_the_anchor(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(folder, "init", "--initial-branch=main")
    for values in (OLD, SAME, WORSE):
        merge_entries(folder / "m.json", "m", {KEY: entry(values)})
        git(folder, "add", ".")
        git(folder, "commit", "--message", "a release")
    code, out, err = command(capsys, "history", folder, "--key", KEY, "--json")
    assert (code, err) == (0, "")
    drifts = [one["drift"] for one in json.loads(out)["measures"][0]["revisions"]]
    # The first result is the anchor.
    assert drifts[0] is None
    change = compare_paired(WORSE, OLD)
    assert [drifts[2][name] for name in ("value", "low", "high")] == pytest.approx(
        [change.value, change.low, change.high]
    )
    assert drifts[1]["value"] == pytest.approx(sum(SAME) / len(SAME) - sum(OLD) / len(OLD))
    _, out, _ = command(capsys, "history", folder, "--key", KEY)
    assert f"drift {change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}]" in out
    # Without the values by unit the rest is shown all the same.
    git(folder, "rm", "--cached", "m.units.jsonl")
    git(folder, "commit", "--amend", "--message", "without the units")
    code, out, _ = command(capsys, "history", folder, "--key", KEY, "--json")
    assert code == 0
    assert json.loads(out)["measures"][0]["revisions"][2]["drift"] is None


@pytest.fixture
def releases(folder: Path) -> Path:
    """A baseline in git, of three releases and one that is not committed; one measure has a name that none has."""
    git(folder, "init", "--initial-branch=main")
    for number, values in enumerate((OLD, SAME, WORSE, OLD)):
        gate = {"at_most": 0.45, "confidence_level": 0.95}
        hostile = {"metric": "<script>alert(1)</script>\x1b\x00", "population": "A & \u202eB", "gate": gate}
        merge_entries(
            folder / "m.json",
            "m",
            {KEY: entry(values, gate=gate), "]]><script>x</script>\x0b": entry(values, **hostile)},
        )
        if number < 3:
            git(folder, "add", ".")
            git(folder, "commit", "--message", f"release {number}")
            git(folder, "tag", f"v{number}")
    return folder


def test_a_history_is_drawn_as_a_picture(releases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history.svg"
    code, out, err = command(capsys, "history", releases, "-o", path)
    assert (code, out, err) == (0, f"history written: {path}\n", "")
    root = ET.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314 - ours
    charts = [one for one in root if one.get("class") == "chart"]
    assert len(charts) == 3
    words = [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
    for tag in ("v0", "v1", "v2", "now", "promise", "JS distance"):
        assert tag in words
    assert any(KEY in word for word in words)
    # A name is text, and nothing else of a page is in the picture.
    assert any("<script>" in word for word in words)
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    assert not {"\x1b", "\x00", "\x0b", "\u202e"} & set("".join(words))
    # Nothing is drawn over anything else: each chart begins below the one before.
    places = [(float(one.get("y", "")), float(one.get("height", ""))) for one in charts]
    assert all(below >= y + size for (y, size), (below, _) in itertools.pairwise(places))
    assert float(root.get("height", "")) >= sum(places[-1]) - 1


def test_a_history_is_drawn_as_a_page(releases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history.html"
    code, out, err = command(capsys, "history", releases, "-o", path, "--json", "--key", "*North*")
    assert (code, err) == (0, "")
    assert json.loads(out)["written"] == str(path)
    command(capsys, "history", releases, "-o", path)
    text = path.read_text(encoding="utf-8")
    assert text.count('class="chart"') == 3
    assert "JS distance to North (town.jsonl)" in text
    assert "<script" not in text
    assert "default-src &#39;none&#39;" in text
    assert not {"\x1b", "\x00", "\x0b", "\u202e"} & set(text)
    for values in (OLD, SAME, WORSE):
        assert f"{sum(values) / len(values):.3f} [" in text


@pytest.mark.parametrize(
    ("name", "says"),
    [("history.png", "--output must end with .svg or .html"), ("no/\0/x.svg", "cannot be written"), (".", "must end")],
)
def test_a_history_that_cannot_be_written(
    releases: Path, tmp_path: Path, name: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no").touch()
    code, out, err = command(capsys, "history", releases, "-o", tmp_path / name.replace("\0", "x"))
    assert (code, out) == (2, "")
    assert says in err


def test_a_baseline_beside_that_cannot_be_read_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "other.json").write_text("{", encoding="utf-8")
    code, out, err = command(capsys, "plan", folder)
    assert code == 0
    assert out
    assert err.startswith("pluralism: corrupt baseline")
    assert "other.json" in err


def test_a_baseline_without_a_value_is_damaged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(folder, "init", "--initial-branch=main")
    content = json.loads((folder / "m.json").read_text(encoding="utf-8"))
    del content["entries"][KEY]["estimate"]["value"]
    (folder / "m.json").write_text(json.dumps(content), encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "--message", "x")
    code, _, err = command(capsys, "history", folder)
    assert code == 1
    assert "its estimate has no value" in err


def test_history_of_a_file_that_was_damaged_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(folder, "init", "--initial-branch=main")
    good = (folder / "m.json").read_text(encoding="utf-8")
    for text in (good, "{", None, good):
        if text is None:
            (folder / "m.json").unlink()
        else:
            (folder / "m.json").write_text(text, encoding="utf-8")
        git(folder, "add", "--all", ".")
        git(folder, "commit", "--message", "x")
    code, out, err = command(capsys, "history", folder, "--json")
    assert code == 1
    assert [len(one["revisions"]) for one in json.loads(out)["measures"]] == [2, 2]
    assert "is not JSON" in err
    assert err.count("pluralism:") == 1


def test_history_outside_of_git(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    code, _, err = command(capsys, "history", folder)
    assert code == 1
    assert "not a git repository" in err
    monkeypatch.setenv("PATH", "")
    code, _, err = command(capsys, "history", folder)
    assert code == 1
    assert "git cannot be run" in err


# --------------------------------------------------------------------------------------------------------- baselines


def test_baselines_list_and_verify(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("list", "verify"):
        code, out, err = command(capsys, "baselines", action, folder)
        assert (code, err) == (0, "")
        assert f"{folder}/m.json: 2 results with 80 units of m" in out
        assert (KEY in out) == (action == "list")
        code, out, _ = command(capsys, "baselines", action, folder, "--json")
        (one,) = json.loads(out)["baselines"]
        assert (code, one["model"], [e["key"] for e in one["entries"]]) == (0, "m", [OTHER, KEY])
    (folder / "n.json").write_text("{}", encoding="utf-8")
    for action in ("list", "verify"):
        code, out, err = command(capsys, "baselines", action, folder)
        assert code == 1
        assert f"{folder}/n.json: not usable" in out
        assert "corrupt baseline" in err


def test_links_that_lead_back_to_themselves(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.json").symlink_to("b.json")
    (folder / "b.json").symlink_to("a.json")
    for action in ("list", "verify", "prune"):
        code, out, err = command(capsys, "baselines", action, folder)
        assert code == 1
        assert f"{folder}/m.json" in out
        assert f"{folder}/a.json is a symbolic link that leads back to itself. Replace it by a file." in err
        assert err.count("pluralism:") == 2


@pytest.mark.parametrize(
    "words",
    [
        ("baselines", "list"),
        ("baselines", "verify"),
        ("baselines", "prune"),
        ("plan",),
        ("history",),
        ("compare", "x.json"),
    ],
    ids=" ".join,
)
def test_a_place_where_nothing_is(words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = command(capsys, *words, tmp_path / "nowhere")
    assert (code, out) == (2, "")
    assert "there is no file or folder" in err
    assert list(tmp_path.iterdir()) == []


def test_baselines_prune(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_town.py").touch()
    before = shutil.copytree(folder, tmp_path / "copy")
    code, out, _ = command(capsys, "baselines", "prune", folder, "--tests", tmp_path / "tests", "--dry-run")
    assert (code, out) == (0, f"{folder}/m.json: would remove 1 results\n  {OTHER}\n")
    assert (folder / "m.json").read_bytes() == (before / "m.json").read_bytes()
    code, out, _ = command(capsys, "baselines", "prune", folder, "--tests", tmp_path / "tests", "--json")
    assert json.loads(out)["baselines"] == [{"file": f"{folder}/m.json", "model": "m", "removed": [OTHER]}]
    assert set(read_baseline(folder / "m.json", "m", update="")) == {KEY}
    code, out, _ = command(capsys, "baselines", "prune", folder, "--key", "*North")
    assert code == 0
    assert read_baseline(folder / "m.json", "m", update="") == {}


def test_several_models_need_a_choice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    merge_entries(folder / "n.json", "n", {KEY: entry(WORSE)})
    code, _, err = command(capsys, "history", folder)
    assert (code, "Choose: --model NAME" in err) == (2, True)
    code, out, _ = command(capsys, "compare", folder, folder, "--model", "n", "--model-before", "m")
    assert code == 1
    assert "(m)" in out
    assert "(n)" in out


# -------------------------------------------------------------------------------------------------------- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab")
    code, out, err = command(capsys, "completion", shell)
    assert (code, err) == (0, "")
    for word in ("baselines", "history", "compare", "verify"):
        assert word in out


def test_completion_works_in_bash(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab")
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    _, script, _ = command(capsys, "completion", "bash")
    ask = "\nCOMP_WORDS=(pluralism baselines v) COMP_CWORD=2\n_shtab_pluralism pluralism v baselines\n"
    ask += "echo ${COMPREPLY[@]}\n"
    done = subprocess.run([bash, "-c", script + ask], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["verify"]
