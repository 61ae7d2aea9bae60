"""The notebook's way: the numbers of a gate without pytest, and frames of scores and reports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pytest_pluralism as pp
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.records import Response

pl = pytest.importorskip("polars", reason="polars is not installed")
pd = pytest.importorskip("pandas", reason="pandas is not installed")

RUN = ("-p", "no:cacheprovider", "--pluralism-model=table:plain*2", "--pluralism-report=out.json")

OFF = {"answers": "off"}

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="South", at_most=0.99, seed=4)
@pytest.mark.answer_entropy("town.jsonl", population="North", at_least=0.01)
def test_town(): ...

@pytest.mark.steering_faithfulness("town.jsonl", attribute="North", context="system", at_least=-1.0)
def test_steered(): ...
"""


@pytest.fixture
def model(project: pytest.Pytester) -> Any:
    """Return the model of the project, as its ``conftest.py`` makes it."""
    names: dict[str, Any] = {}
    exec(compile((project.path / "conftest.py").read_text(), "conftest.py", "exec"), names)  # noqa: S102
    return names["TableModel"]("table:plain*2")


@pytest.mark.whole
def test_the_estimate_is_that_of_the_gate(
    project: pytest.Pytester, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makepyfile(test_town=BODY)
    project.runpytest_inprocess(*RUN).assert_outcomes(passed=2)
    report = json.loads((project.path / "out.json").read_text())
    by_gates = {entry["metric"]: entry["estimate"] for entry in report["verdicts"]}
    monkeypatch.chdir(project.path)
    survey = pp.load_survey("town.jsonl")
    ours = {
        "js_distance": pp.evaluate(model, "js_distance", survey, population="South", seed=4, settings=OFF),
        "answer_entropy": pp.evaluate(model, "answer_entropy", "town.jsonl", population="North", settings=OFF),
        "steering_faithfulness": pp.evaluate(
            model, "steering_faithfulness", "town.jsonl", attribute="North", context="system", settings=OFF
        ),
    }
    assert by_gates.keys() == ours.keys()
    for name, estimate in ours.items():
        for part in ("value", "low", "high", "standard_error", "n", "n_clusters"):
            assert getattr(estimate, part) == by_gates[name][part], (name, part)


def test_a_frame_of_a_survey_gives_the_estimate_of_its_file(
    project: pytest.Pytester, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.path)
    survey = pp.load_survey("town.jsonl")
    rows = [
        {
            "question_id": row.question_id,
            "question": question.text,
            "option": option,
            "population": row.population,
            "probability": share,
            "n_respondents": row.n_respondents,
        }
        for question in survey.questions
        for row in survey.distributions
        if row.question_id == question.question_id
        for option, share in zip(question.options, row.probabilities, strict=True)
    ]
    for frame in (pd.DataFrame(rows), pl.DataFrame(rows)):
        read = pp.load_survey(frame)
        assert read.sha256 == survey.sha256
        found = pp.evaluate(model, "js_distance", read, population="North", settings=OFF)
        assert found == pp.evaluate(model, "js_distance", survey, population="North", settings=OFF)
    lines = [json.loads(line) for line in Path("town.jsonl").read_text().splitlines()]
    assert pp.load_survey(lines).sha256 == survey.sha256


@pytest.mark.whole
def test_frames_of_scores_and_of_a_report(
    project: pytest.Pytester, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makepyfile(test_town=BODY)
    project.runpytest_inprocess(*RUN)
    monkeypatch.chdir(project.path)
    found = pp.measure(model, "js_distance", "town.jsonl", population="South", settings=OFF)
    frame = pp.to_frame(found)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["unit_id"]) == [f"q{number}" for number in range(12)]
    assert frame["value"].mean() == pytest.approx(found.estimate.value, rel=1e-12)
    assert {"reference:uniform", "model_probabilities", "option_mass"} <= set(frame.columns)
    other = pp.to_frame(found.scores, backend="polars")
    assert isinstance(other, pl.DataFrame)
    assert other["value"].to_list() == frame["value"].tolist()
    assert pp.to_frame(found.estimate)["value"].tolist() == frame["value"].tolist()
    verdicts = pp.to_frame("out.json", backend="polars")
    assert verdicts.height == 3
    assert set(verdicts["metric"]) == {"js_distance", "answer_entropy", "steering_faithfulness"}
    assert verdicts.equals(pp.to_frame(json.loads(Path("out.json").read_text()), backend="polars"))


@pytest.mark.parametrize(
    ("dataset", "keywords", "says"),
    [
        ("town.jsonl", {"population": "North", "at_most": 0.4}, "at_most= is a promise"),
        ("town.jsonl", {"population": "Nort"}, "Nearest: 'North'"),
        ("town.jsonl", {"population": "all"}, "one population at a time, not 2"),
        ("town.jsonl", {"populatoin": "North"}, "Did you mean 'population'"),
        ("town.jsonl", {"settings": {"divice": "cpu"}}, "Nearest: 'device'"),
        ("town.jsonl", {"settings": {"report": "x.json"}}, "unknown setting 'report'"),
        (5, {}, "'dataset' parameter of evaluate"),
    ],
)
def test_wrong_words(
    project: pytest.Pytester, model: Any, monkeypatch: pytest.MonkeyPatch, dataset: Any, keywords: Any, says: str
) -> None:
    monkeypatch.chdir(project.path)
    with pytest.raises(InvalidParameterError, match=says):
        pp.evaluate(model, "js_distance", dataset, **keywords)


def test_a_measure_that_needs_a_judge_says_so(model: Any) -> None:
    model.generate = lambda prompts, _, **__: [[Response("It is so.", 3, "eos")] for _ in prompts]
    with pytest.raises(InvalidParameterError, match="name it with entailment_model=SPEC"):
        pp.evaluate(model, "overton_coverage", "contested", n_draws=1, settings=OFF)


def test_refusals_of_a_loaded_survey_are_chosen_when_it_is_loaded(model: Any, project: pytest.Pytester) -> None:
    survey = pp.load_survey(project.path / "town.jsonl")
    with pytest.raises(InvalidParameterError, match="give it to load_survey"):
        pp.evaluate(model, "js_distance", survey, population="North", refusals="drop", settings=OFF)


@pytest.mark.parametrize("what", [5, {"verdicts": 3}, [1]])
def test_to_frame_of_something_else(what: Any) -> None:
    with pytest.raises(InvalidParameterError, match="'what' parameter of to_frame"):
        pp.to_frame(what)


def test_to_frame_of_another_library(model: Any, project: pytest.Pytester) -> None:
    found = pp.measure(model, "js_distance", str(project.path / "town.jsonl"), population="North", settings=OFF)
    with pytest.raises(InvalidParameterError, match="'pandas' or 'polars'"):
        pp.to_frame(found, backend="dask")


def test_importing_the_package_loads_nothing_heavy_and_measuring_no_pytest(project: pytest.Pytester) -> None:
    code = (
        "import sys, pytest_pluralism as pp; "
        "heavy = {'numpy', 'pandas', 'polars', 'torch', 'scipy', 'narwhals', 'pytest'} & set(sys.modules); "
        "assert not heavy, heavy; "
        f"pp.load_survey({str(project.path / 'town.jsonl')!r}); pp.evaluate; pp.to_frame; "
        "assert not {'pytest', 'torch', 'pandas'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
