"""The suite ``case_study`` and its tables: a model before alignment, and after."""

from __future__ import annotations

import json
import math
import os
import shlex
from pathlib import Path
from typing import Any

import pytest

import pytest_pluralism
import pytest_pluralism as pp
from pytest_pluralism.cli import main
from pytest_pluralism.cli.case_study import Asked, answer_settings, asked_of, sides_of
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import compare_paired
from pytest_pluralism.report.case_study import (
    CaseRow,
    case_study_html,
    case_study_lines,
    case_study_markdown,
    case_study_parts,
)

OFF = {"answers": "off"}


@pytest.fixture
def pair(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Two models of the project: one that is unsure, and a sharper one."""
    monkeypatch.chdir(project.path)
    names: dict[str, Any] = {}
    exec(compile((project.path / "conftest.py").read_text(), "conftest.py", "exec"), names)  # noqa: S102
    return [names["TableModel"](f"table:{name}") for name in ("before*1", "after*8")]


@pytest.mark.whole
def test_the_tables_hold_what_each_protocol_measures(pair: list[Any]) -> None:
    asked = [Asked("town.jsonl", "North"), Asked("town.jsonl", "South")]
    before, after = (sides_of(model, asked, OFF) for model in pair)
    rows = [CaseRow(one.survey, one.population, *both) for one, *both in zip(asked, before, after, strict=True)]
    parts = case_study_parts(rows, "before", "<b>after</b>", "")
    text = "\n".join(case_study_lines(parts))
    sound = [pp.evaluate(model, "js_distance", "town.jsonl", population="North", settings=OFF).value for model in pair]
    published = [
        pp.evaluate(model, "js_distance", "town.jsonl", population="North", protocol="sorensen2024", settings=OFF).value
        for model in pair
    ]
    (line,) = [line for line in text.splitlines() if "town.jsonl (North)" in line][:1]
    cells = line.split()
    assert cells[3:7] == [f"{value:.3f}" for value in (*published, *sound)]
    assert f"{sound[1] - sound[0]:+.3f}" in line
    # The interval is that of a gate: paired by question, beside the same people.
    units = [{unit.unit_id: unit.value for unit in side[0].sound_scores.units} for side in (before, after)]
    paired = compare_paired([units[1][name] for name in units[0]], list(units[0].values()))
    assert f"[{paired.low:+.3f}, {paired.high:+.3f}]" in line
    # The sharper model is surer, in nats.
    assert 0.0 < after[0].entropy < before[0].entropy <= math.log(3.0)
    assert after[0].quirk("model_entropy") < before[0].quirk("model_entropy")
    assert before[0].people_entropy == pytest.approx(1.03, abs=0.05)
    assert {part.title[:7] for part in parts[1:]} == {"Table 1", "Table 4", "Table 5"}
    markdown, page = case_study_markdown(parts), case_study_html(parts)
    assert f"**{min(sound):.3f}**" in markdown
    assert "<b>after</b>" not in page
    assert "&lt;b&gt;after" in page
    assert page.count("<table") == 3


def test_two_families_are_called_so(pair: list[Any]) -> None:
    parts = case_study_parts([], "a", "b", "These are two families of models (x; y): a difference")
    assert "two families" in case_study_markdown(parts)
    assert 'class="warning"' in case_study_html(parts)


def test_a_file_of_nations_and_one_of_personality(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.path)
    asked = asked_of(Path("town.jsonl"), ["North", "South"], Path("town.jsonl"))
    assert asked[:2] == [Asked("town.jsonl", "North"), Asked("town.jsonl", "South")]
    assert asked[-1] == Asked("town.jsonl", "North")
    assert Asked("gss", "US adults") in asked
    assert asked_of(None, [], None)[-1].survey == "big_five"


def test_the_tables_are_asked_where_the_suite_was() -> None:
    assert answer_settings("") == {}
    found = answer_settings(
        "-q --pluralism-device=cuda --pluralism-answers off --pluralism-seed=3 --pluralism-health=warn "
        "--pluralism-gguf=llamacpp"
    )
    assert found == {"device": "cuda", "answers": "off", "seed": 3, "gguf": "llamacpp"}
    with pytest.raises(InvalidParameterError):
        pp.evaluate("embedded:none", "js_distance", "gss", settings={**found, "health": "warn"})


@pytest.mark.slow
def test_the_whole_command_on_two_tiny_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Path(pytest_pluralism.__file__).parents[1]
    code = (
        "import importlib.util, sys; spec = importlib.util.spec_from_file_location('t', sys.argv[1]); "
        "t = importlib.util.module_from_spec(spec); spec.loader.exec_module(t); words = t.make_tokenizer(); "
        "network = t.make_network(len(words), max_position_embeddings=2048); network.save_pretrained(sys.argv[2]); "
        "words.save_pretrained(sys.argv[2])"
    )
    import subprocess
    import sys

    monkeypatch.setenv("PYTHONPATH", f"{source}")
    trainers = Path(__file__).parents[1] / "training" / "trainers.py"
    for name in ("pre", "post"):
        subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(trainers), str(tmp_path / name)], check=True)
    monkeypatch.chdir(tmp_path)
    shares = [{"population": name, "probabilities": [0.6, 0.4], "n_respondents": 900} for name in ("North", "The West")]
    row = {"question_id": "q", "question": "Do you like it?", "options": ["Yes", "No"], "distributions": shares}
    (tmp_path / "town.jsonl").write_text(json.dumps(row), encoding="utf-8")
    data = ["--nations=town.jsonl", "--nation=North", "--nation=The West", "--mpi=town.jsonl"]
    words = ["try", "./post", "--suite=case_study", "--before=./pre", *data, "--pytest=--pluralism-answers=off"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest_pluralism.cli", *words],
        capture_output=True, text=True, check=False, env={**os.environ},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Table 5: distance of shuffled answers" in done.stdout
    assert "two families" not in done.stdout
    assert (tmp_path / "pluralism-card/case_study-tables.md").is_file()
    report = json.loads((tmp_path / "pluralism-card/case_study.json").read_text(encoding="utf-8"))
    assert {verdict["baseline"]["name"] for verdict in report["verdicts"]} == {"reference"}
    # Repeated, the command makes the same tables.
    assert shlex.split(report["run"]["command"]) == ["pluralism", *words]
    assert main(["report", "pluralism-card/case_study.json", "-o", "again.md"]) == 0
    assert capsys.readouterr().out
