"""``pluralism label``: labels of people become a file of judges."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_pluralism.cli import main
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation.labelled import Label, calibrate_from_labels
from pytest_pluralism.models.calibration import judges_of, read_judges

GOLDEN = Path(__file__).parents[1] / "golden" / "report.json"


def report(tmp_path: Path, scores: list[list[float]], **settings: Any) -> Path:
    """Write a report: one query a row, one answer a score."""
    units = [
        {
            "id": f"q{number}",
            "cluster": f"q{number}",
            "value": 0.5,
            "text": f"Query {number}?",
            "responses": [f"response {number}"],
            "answers": [
                {"id": str(at), "text": f"answer {number} {at}", "entailment_by_draw": [score]}
                for at, score in enumerate(row)
            ],
        }
        for number, row in enumerate(scores)
    ]
    content = json.loads(GOLDEN.read_text(encoding="utf-8"))
    kept = next(one for one in content["verdicts"] if one["metric"] == "overton_coverage")
    chosen = {"protocol": "sound", "threshold": 0.5, "entailment_judge": "both", **settings}
    chosen["entailment_model"] = {"sha256": "ab" * 32}
    content["verdicts"] = [{**kept, "nodeid": "test_a.py::test_a", "settings": chosen, "units": units}]
    file = tmp_path / "run.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def label(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: str, *options: str) -> int:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    return main(["label", "run.json", *options])


def test_labels_are_kept_gone_on_with_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report(tmp_path, [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    assert label(monkeypatch, tmp_path, "x\ny\nu\nn\nq\n", "--n=6") in (0, 1)
    said = capsys.readouterr().out
    assert "1/6" in said
    assert "response: response" in said
    assert "u: undo" in said
    assert [json.loads(line)["held"] for line in (tmp_path / "labels.jsonl").read_text().splitlines()] == [True, False]
    # The second run begins behind what is labelled, and the last word about a pair counts.
    assert label(monkeypatch, tmp_path, "y\ns\ny\nn\ny\n", "--n=6") == 0
    said = capsys.readouterr().out
    assert "1/6" not in said
    assert "2/6" in said
    assert "5 labels: 3 held, 2 not" in said
    found = read_judges(tmp_path / "judges.json")
    assert found is not None
    assert found.default == "both"
    assert found.judges["both"].n_entailing == 3
    assert found.judges["both"].model_sha256 == "ab" * 32


def test_one_kind_of_label_is_not_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report(tmp_path, [[0.9, 0.1]])
    assert label(monkeypatch, tmp_path, "y\ny\n", "--n=2") == 1
    assert "None of the 2 labels says that an answer is not held" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--n=1"], "--n must be at least 2"),
        (["--output=x.txt"], "--output must end with .json"),
        (["--nodeid=other"], "no Overton coverage to label of other"),
    ],
)
def test_a_wrong_command_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: str,
) -> None:
    report(tmp_path, [[0.9, 0.1]])
    assert label(monkeypatch, tmp_path, "q\n", *options) == 2
    assert words in capsys.readouterr().err


def test_weights_of_another_file_are_not_taken_for_those_that_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report(tmp_path, [[0.9, 0.1]], entailment_judge="combined", judge_sha256="ab" * 32)
    assert label(monkeypatch, tmp_path, "y\nn\n", "--n=2") == 2
    assert "did not judge this report. Name the file of judges that did" in capsys.readouterr().err
    assert not (tmp_path / "judges.json").exists()


@pytest.mark.parametrize("name", ["nli-minilm", "nli-mpnet"])
def test_the_file_that_judged_is_found_among_those_of_the_embedded_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    judged = judges_of(f"embedded:{name}")
    assert judged is not None
    report(tmp_path, [[0.9, 0.1]], entailment_judge="combined", judge_sha256=judged.sha256)
    label(monkeypatch, tmp_path, "q\n", "--n=2")
    said = capsys.readouterr()
    assert "did not judge" not in said.err
    assert "Does the response present this view" in said.out


def test_damaged_labels_and_reports_without_scores_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report(tmp_path, [[0.9, 0.1]])
    (tmp_path / "labels.jsonl").write_text('{"key": "a", "held": "perhaps"}\n', encoding="utf-8")
    assert label(monkeypatch, tmp_path, "q\n") == 2
    assert "line 1: is not a label" in capsys.readouterr().err
    report(tmp_path, [[]])
    assert label(monkeypatch, tmp_path, "q\n") == 2
    assert "does not hold what the judge said" in capsys.readouterr().err


@pytest.mark.slow
def test_a_weighted_sample_finds_the_errors_of_the_judge() -> None:
    """Half of the labels are drawn from what is held, which is a fifth of all: weights undo that."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(200):
        held = rng.random(3000) < 0.25
        score = np.where(held, rng.random(3000) < 0.75, rng.random(3000) < 0.05).astype(float)
        labels = []
        for value in (0.0, 1.0):
            stratum = np.flatnonzero(score == value)
            weight, drawn = len(stratum) / 100, rng.choice(stratum, size=100, replace=False)
            labels += [Label(value, bool(held[at]), weight, f"q{at % 60}") for at in drawn]
        one = calibrate_from_labels(labels, threshold=0.5, data="ours", data_sha256="ab")
        found.append((one.sensitivity, one.specificity, one.sensitivity_error, one.specificity_error))
    means, spread = np.mean(found, axis=0), np.std(found, axis=0)
    np.testing.assert_allclose(means[:2], [0.75, 0.95], atol=0.02)
    # The standard errors are those that the estimates show.
    np.testing.assert_allclose(means[2:], spread[:2], rtol=0.3)


def test_labels_of_one_kind_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="is held"):
        calibrate_from_labels([Label(0.1, False, 1.0, "a")], threshold=0.5, data="ours", data_sha256="ab")


def close(file: Path, *places: tuple[int, int]) -> None:
    """List pairs of a report as too close to call, by query and answer."""
    content = json.loads(file.read_text(encoding="utf-8"))
    content["verdicts"][0]["details"] = {
        "close_pairs": [{"query_id": f"q{query}", "draw": 0, "answer": str(at)} for query, at in places]
    }
    file.write_text(json.dumps(content), encoding="utf-8")


def test_pairs_that_are_too_close_to_call_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # By the numbers alone, (0, 0) and (1, 1) would not be near the threshold.
    close(report(tmp_path, [[0.9, 0.1, 0.52], [0.8, 0.2, 0.51], [0.7, 0.3, 0.5]]), (0, 0), (1, 1), (7, 7))
    assert label(monkeypatch, tmp_path, "n\ny\nq\n", "--n=9") == 0
    said = capsys.readouterr().out
    first, second, *_ = (line for line in said.splitlines() if line.startswith("view:"))
    assert {first.split("answer ")[1], second.split("answer ")[1]} == {"0 0", "1 1"}
    # The two labels say nothing about the other scores, so they are not written as the errors of the judge.
    assert "nothing is written to" in said
    assert not (tmp_path / "judges.json").exists()
    assert label(monkeypatch, tmp_path, "y\nn\n" * 4, "--n=9") in (0, 1)
    assert "3/9" in capsys.readouterr().out


def test_labels_stand_for_their_group_however_many_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge is wrong about both close pairs of 12; 8 are drawn, 1 is skipped, and the 7 stand for all."""
    rows = [[0.9, 0.1, 0.95, 0.05]] * 3
    close(report(tmp_path, rows), (0, 0), (1, 1))
    monkeypatch.setattr("pytest_pluralism.cli.label._typed", lambda: next(typed))
    asked: list[str] = []
    monkeypatch.setattr("pytest_pluralism.cli.label.say", lambda *lines: asked.extend(lines))

    def answers() -> Any:
        """Say the contrary of the judge about the close pairs, skip a pair far above, and agree about the others."""
        skipped = False
        while True:
            query, at = next(line for line in reversed(asked) if line.startswith("view:")).split()[-2:]
            held = at in "02"
            if (query, at) in {("0", "0"), ("1", "1")}:
                yield "n" if held else "y"
            elif at == "2" and not skipped:
                skipped = True
                yield "s"
            else:
                yield "y" if held else "n"

    typed = answers()
    assert label(monkeypatch, tmp_path, "", "--n=8") == 0
    found = read_judges(tmp_path / "judges.json")
    assert found is not None
    judge = found.judges["both"]
    # 5 right of the 6 pairs that are held, 5 of the 6 that are not.
    assert (judge.sensitivity, judge.specificity) == pytest.approx((5 / 6, 5 / 6))
    assert judge.n_entailing + judge.n_other == 7
