"""``pluralism sweep``: a suite over checkpoints by their steps, and over adapters by their scales."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pytest_pluralism
from pytest_pluralism.cli import main
from pytest_pluralism.cli.showing import UsageError
from pytest_pluralism.cli.sweep import expanded, placed
from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.report.sweep import Place, front_of, sweep_html, sweep_json, sweep_picture

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.45)
@pytest.mark.answer_entropy("town.jsonl", population="North", at_least=0.5)
def test_town(): ...
"""

#: Folders that a hook of the project loads: the sharpness of the model is the number at the end of their names.
LOADS = """

def pytest_pluralism_load_model(spec, settings):
    import pathlib
    if spec.startswith("table:"):
        return TableModel(spec)
    if "checkpoint-" in spec and (pathlib.Path(spec) / "config.json").is_file():
        model = TableModel("table:plain*" + spec.rpartition("-")[2])
        model.identity = dataclasses.replace(model.identity, spec=spec, name=pathlib.Path(spec).name)
        return model
"""


@pytest.fixture
def run(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with the checkpoints of a training run, one of which lacks its files."""
    conftest = (project.path / "conftest.py").read_text(encoding="utf-8")
    conftest = "import dataclasses\n" + conftest.partition("def pytest_pluralism_load_model")[0] + LOADS
    (project.path / "conftest.py").write_text(conftest, encoding="utf-8")
    project.makepyfile(test_town=BODY)
    for step in (10, 2):
        folder = project.path / f"run/checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}", encoding="utf-8")
    monkeypatch.chdir(project.path)
    monkeypatch.setenv("PYTHONPATH", str(Path(pytest_pluralism.__file__).parents[1]))
    monkeypatch.setenv("PLURALISM_HEALTH", "warn")
    return project


@pytest.mark.whole
def test_checkpoints_stand_in_the_order_of_their_steps(
    run: pytest.Pytester, in_this_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.path / "run/checkpoint-3").mkdir()
    front = ["--front", "js_distance*", "answer_entropy*"]
    code = main(["sweep", "run/checkpoint-*", "--tests=test_town.py", *front, "-o", "page.html", "--json"])
    out, err = capsys.readouterr()
    content = json.loads(out)
    assert code == 1
    assert content["axis"] == "step"
    assert [one["label"] for one in content["models"]] == ["2", "3", "10"]
    distance, entropy = content["promises"]
    assert [point["x"] for point in distance["points"] if point["outcome"] != "error"] == [2.0, 10.0]
    values = [point["value"] for point in entropy["points"] if point["value"] is not None]
    assert values == sorted(values, reverse=True)
    # The folder without files is named, and the others are drawn.
    assert "run/checkpoint-3 was not measured" in err
    assert "1 of 3: run/checkpoint-2" in err
    page = (run.path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert "run/checkpoint-3" in page
    # Of the two that have both values the first is better in both.
    assert [one["on_front"] for one in content["front"]["models"]] == [True, False]
    assert [one["direction"] for one in content["front"]["objectives"]] == ["lower", "higher"]
    assert "not on the front, because a value is missing: run/checkpoint-3" in err
    # A reward of the team's own stands in the place of a promise.
    reward = {"run/checkpoint-2": 0.1, "run/checkpoint-10": 0.9}
    board, left_out = front_of(content, distance, reward)
    assert board.directions == ("lower", "higher")
    assert [values[1] for values in board.values] == [0.1, 0.9]
    assert left_out == ["run/checkpoint-3"]
    assert "helpfulness" in sweep_html(content, board)
    with pytest.raises(DatasetError, match="1 of the 3 models"):
        front_of(content, {**distance, "points": distance["points"][:1]}, reward)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["nothing/checkpoint-*"], "no folder matches nothing/checkpoint-*. Name checkpoints: RUN/checkpoint-*"),
        (["a", "a"], "a is named twice"),
        (["x?scale=0.5,,1"], "scale= must be numbers with commas between them"),
        (["run/checkpoint-1", "run/checkpoint-01"], "have the same step, 1"),
        (["run/checkpoint-1", "--suite=quik"], "--suite must be one of quick"),
        (["run/checkpoint-1", "--suite=overton"], "--entailment-model=SPEC is missing"),
        (["run/checkpoint-1", "--suite=case_study"], "--before=SPEC is missing: the suite case_study compares each"),
        (["run/checkpoint-1", "--tests=none.py"], "There is no none.py"),
        (["run/checkpoint-1", "-o", "page.pdf"], "--output must end with .html or .json or .svg"),
        (["run/checkpoint-1", "--front", "a", "b", "-o", "x.svg"], "--front needs a .html page or a .json file"),
        (["run/checkpoint-1", "--front", "a", "none.json"], "none.json cannot be read as JSON"),
        (["run/checkpoint-1", "--front", "a", "odd.json"], "must be a JSON object with a number for each SPEC"),
        (["run/checkpoint-1", "--front", "a", "few.json"], "few.json has no number for run/checkpoint-1"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(
    words: list[str], part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.json").write_text('{"run/checkpoint-1": "good"}', encoding="utf-8")
    (tmp_path / "few.json").write_text('{"run/checkpoint-2": 0.5}', encoding="utf-8")
    assert main(["sweep", *words]) == 2
    said = capsys.readouterr().err
    assert part in said
    assert "1 of" not in said


@pytest.mark.whole
def test_a_promise_that_is_skipped_for_a_model_is_not_kept_in_silence(
    run: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    skips = BODY.replace("def test_town(): ...", "def test_town(language_model):\n    MAYBE")
    maybe = "if language_model.identity.name == 'checkpoint-10':\n        pytest.skip('too sharp')"
    run.makepyfile(test_town=skips.replace("MAYBE", maybe) + "\n\ndef test_other(): ...\n")
    assert main(["sweep", "run/checkpoint-*", "--tests=test_town.py"]) == 1
    said = capsys.readouterr()
    assert "the suite makes no promise" in said.err or "was not judged on run/checkpoint-10" in said.err
    assert "passed" in said.out


def test_a_suite_that_cannot_be_collected_ends_the_sweep_at_its_first_model(
    run: pytest.Pytester, in_this_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run.makepyfile(test_town="import pytest\n\nraise RuntimeError('it is broken')\n")
    assert main(["sweep", "run/checkpoint-*", "--tests=test_town.py"]) == 2
    said = capsys.readouterr().err
    assert "pytest could not run the suite" in said
    assert "it is broken" in said
    assert "2 of 2" not in said


def test_scales_and_runs_have_places_of_their_own() -> None:
    assert expanded(["a?base=b&scale=0,.5,1.0"]) == ["a?base=b&scale=0", "a?base=b&scale=.5", "a?base=b&scale=1.0"]
    axis, places = placed(["a?scale=1.0", "a?scale=0.5", "b?scale=0.5"])
    assert axis == "scale"
    assert [(one.series, one.x, one.label) for one in places] == [("a", 0.5, "0.5"), ("a", 1.0, "1"), ("b", 0.5, "0.5")]
    axis, places = placed(["x/checkpoint-20", "y/checkpoint-20", "x/checkpoint-3"])
    assert axis == "step"
    assert [(one.series, one.x) for one in places] == [("x", 3.0), ("x", 20.0), ("y", 20.0)]
    # Without numbers, the order of the command line stays.
    assert placed(["b", "a"])[0] == "model"
    with pytest.raises(UsageError, match="the same step"):
        placed(["x/a-1", "x/b-1"])


def test_nothing_in_a_name_has_an_effect() -> None:
    odd = "<script>alert(1)</script>\x1b[31m"
    verdict = {
        "nodeid": f"t.py::test[{odd}]", "model": {"name": odd}, "key": odd, "metric": "js_distance",
        "outcome": "failed",
        "population": odd, "dataset": {"name": odd}, "direction": "lower", "gate": {"at_most": 0.4}, "reason": odd,
        "estimate": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 5},
    }  # fmt: skip
    places = [Place(f"{odd}-{x}", float(x), odd, odd, [verdict]) for x in (1, 2)]
    content = sweep_json(places, "step", odd)
    for text in (sweep_html(content), sweep_picture(content)):
        assert "<script>" not in text
        assert "\x1b" not in text
    assert sweep_html(content).count("<svg") == 1


def test_pages_of_one_model_and_of_none_that_has_a_value() -> None:
    lost = {
        "nodeid": "t.py::t",
        "model": {"name": "a"},
        "key": "k",
        "outcome": "error",
        "reason": "why",
        "estimate": None,
    }
    content = sweep_json([Place("a-1", 1.0, "", "1", [lost], "why")], "step", "quick")
    assert "No model has a value." in sweep_html(content)
    assert sweep_picture(content).startswith("<svg")


def test_a_promise_that_is_expected_to_be_broken_is_a_problem(
    run: pytest.Pytester, in_this_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    body = BODY.replace("at_most=0.45", "at_most=0.001").replace("def test", "@pytest.mark.xfail\ndef test")
    (run.path / "test_town.py").write_text(body, encoding="utf-8")
    assert main(["sweep", "run/checkpoint-2", "--tests=test_town.py"]) == 1
    assert "failed" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["sweep", "a", "b", "--suite=quick"], ["try", "a"]])
@pytest.mark.parametrize("name", ["model", "reference-model"])
def test_no_other_model_is_measured_in_the_place_of_one(
    words: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    option = f"--pluralism-{name}=another"
    assert main([*words, f"--pytest=-q {option}"]) == 2
    assert f"--pytest names a model besides the one of the command. Leave {option} out" in capsys.readouterr().err
    monkeypatch.setenv("PYTEST_ADDOPTS", option)
    assert main(words) == 2
    assert "PYTEST_ADDOPTS names a model" in capsys.readouterr().err
