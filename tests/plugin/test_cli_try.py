"""``pluralism try`` and the ready suites: any model can be tried without a test of one's own."""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path

import pytest

import pytest_pluralism
from pytest_pluralism.cli import main
from pytest_pluralism.suites import SUITES

#: A model that answers each question of the survey as a population did, or evenly.
MODEL = """
import hashlib
import math

from pytest_pluralism.core.records import Answer
from pytest_pluralism.datasets import load_survey
from pytest_pluralism.models.protocol import ModelIdentity


class People:
    def __init__(self, spec):
        population = spec.removeprefix("people:")
        digest = hashlib.sha256(spec.encode()).hexdigest()
        self.identity = ModelIdentity(spec=spec, name=population, sha256=digest, dtype="float32", device="cpu")
        self.shares = {}
        survey = load_survey("gss")
        asked = {question.question_id: question for question in survey.questions}
        for row in survey.distributions:
            if row.population == population:
                question = asked[row.question_id]
                self.shares[question.text] = dict(zip(question.options, row.probabilities))

    def answer(self, prompts, *, progress=None):
        answers = []
        for prompt in prompts:
            lines = prompt.question.splitlines()
            options = [line[3:] for line in lines[-len(prompt.labels):]]
            shares = self.shares.get("\\n".join(lines[:-len(prompt.labels)]).strip(), {})
            raw = [shares.get(option, 0.0) + 1e-6 for option in options]
            logs = tuple(math.log(one / sum(raw)) for one in raw)
            answers.append(Answer(logs, 1.0, "A", 0.9))
        return answers

    def close(self):
        pass


def pytest_pluralism_load_model(spec, settings):
    if spec.startswith("people:"):
        return People(spec)
"""


def tried(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    words: str = "-p people_plugin --pluralism-answers=off",
) -> int:
    (folder / "people_plugin.py").write_text(MODEL, encoding="utf-8")
    monkeypatch.chdir(folder)
    # The run has the package of this process, installed or not.
    source = Path(pytest_pluralism.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{source}")
    monkeypatch.delenv("PLURALISM_HEALTH", raising=False)
    return main(["try", model, "-o", "card", f"--pytest={words}"])


@pytest.mark.whole
def test_a_model_of_the_people_gets_a_card_with_kept_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tried(tmp_path, monkeypatch, "people:US adults") == 0
    assert "written: card/quick.md" in capsys.readouterr().out
    card = (tmp_path / "card/quick.md").read_text(encoding="utf-8")
    assert "**US adults**: 4 passed, by the suite `quick`, version 1" in card
    assert card.count("✓ passed") == 4
    assert "pluralism try 'people:US adults' --suite=quick" in card
    report = json.loads((tmp_path / "card/quick.json").read_text(encoding="utf-8"))
    assert {verdict["nodeid"].partition("::")[0] for verdict in report["verdicts"]} == {"test_quick.py"}
    page = (tmp_path / "card/quick.html").read_text(encoding="utf-8")
    assert "May be released" in page
    # Tests of a ready suite are named by nobody, so the page repeats what was typed.
    typed = "pluralism try 'people:US adults' --suite=quick '--pytest=-p people_plugin --pluralism-answers=off'"
    assert report["run"]["command"] == typed
    repeated = re.findall(r"Repeat it: <code>(.*?)</code>", page)
    assert len(repeated) == 4
    assert {html.unescape(one) for one in repeated} == {typed}
    assert not (tmp_path / "pluralism-baselines").exists()


@pytest.mark.whole
def test_even_answers_keep_no_promise_of_the_quick_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tried(tmp_path, monkeypatch, "people:nobody") == 1
    card = (tmp_path / "card/quick.md").read_text(encoding="utf-8")
    assert "✓ passed" not in card


def test_an_old_card_is_not_taken_for_that_of_a_run_that_failed(
    tmp_path: Path, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "card").mkdir()
    (tmp_path / "card/quick.json").write_text("{}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["try", "./nothing-here", "-o", "card"]) == 1
    assert (tmp_path / "card/quick.json").read_text(encoding="utf-8") != "{}"
    assert not (tmp_path / "card/quick.md").exists()


def test_a_run_that_cannot_start_leaves_no_empty_folder(
    tmp_path: Path, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    for folder, is_there in (("card", False), ("mine", True)):
        assert main(["try", "responses:nothing-here.jsonl", "-o", folder]) != 0
        assert (tmp_path / folder).exists() == is_there


@pytest.mark.parametrize("name", SUITES)
def test_each_suite_can_be_collected_by_its_package(name: str, pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess(
        "--pyargs", f"pytest_pluralism.suites.{name}", "--collect-only", "-q", "-W", "error"
    )
    assert result.ret == 0
    assert f"test_{name}.py::test_" in result.stdout.str()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (
            ["embedded:smollm2-135m-instruct", "--suite=everything"],
            "--suite must be one of quick, parties, surveys, overton, case_study or all",
        ),
        (["embedded:smollm2-135m-instruct", "--suite=overton"], "--entailment-model=SPEC is missing"),
        (["embedded:smollm2-135m-instruct", "--suite=all"], "--entailment-model=SPEC is missing"),
        (["embedded:smollm2-135m-instruct", "--suite=case_study"], "--before=SPEC is missing"),
        (["embedded:smollm2-135m-instruct", "--before=embedded:gemma-3-270m"], "--before is for the suite case_study"),
        (["a", "--suite=case_study", "--before=b", "--nation=Japan"], "Add --nations=FILE"),
        (["a", "--suite=case_study", "--before=b", "--nations=none.jsonl"], "--nations: "),
    ],
)
def test_a_wrong_choice_is_refused_before_anything_runs(
    words: list[str], part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["try", *words]) == 2
    assert part in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.whole
def test_a_part_of_a_suite_is_no_card_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "-p people_plugin --pluralism-answers=off -k country"
    assert tried(tmp_path, monkeypatch, "people:US adults", words) == 1
    assert "test_closer_to_each_party_than_even_answers made no verdict" in capsys.readouterr().err
    card = (tmp_path / "card/quick.md").read_text(encoding="utf-8")
    assert "**Not judged**: `test_closer_to_each_party_than_even_answers`" in card


def test_a_model_is_not_compared_with_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model").mkdir()
    for before in ("model", "./model", str(tmp_path / "model")):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            assert main(["try", "model", "--suite=case_study", f"--before={before}"]) == 2
        assert "--before must be another model" in capsys.readouterr().err


@pytest.mark.whole
def test_a_card_of_an_earlier_model_is_gone_where_the_next_one_cannot_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "card").mkdir()
    old = [tmp_path / "card" / f"quick{ending}" for ending in (".html", ".json", ".md")]
    for path in old:
        path.write_text("May be released", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(pytest_pluralism.__file__).parents[1]))
    assert main(["try", "model", "-o", "card", "--pytest=--no-such-option"]) == 1
    assert not any(path.exists() for path in old)
