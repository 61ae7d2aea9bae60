"""Out and back: a suite is exported, answered elsewhere and read again, with the verdicts of a live run."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import re

import pytest

from pytest_pluralism.cli import main
from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import EntailmentScores, Response
from pytest_pluralism.models.recorded.batches import BatchForm, batch_line
from pytest_pluralism.models.recorded.exported import answered_rows, request_of

SUITE = """
import pytest

@pytest.mark.js_distance("town.jsonl", population=["North", "South"], at_most=0.6)
def test_letters(): ...

@pytest.mark.js_distance("town.jsonl", population="North", better_than="uniform", protocol="sorensen2024")
def test_published(): ...

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9, scoring="pmi")
def test_whole_answers(): ...

@pytest.mark.answer_entropy("town.jsonl", population="North", max_decrease=0.1)
def test_entropy(): ...
"""

WINDOWS = """
import pytest

@pytest.mark.overton_coverage("towns.jsonl", at_least=0.3, n_draws=2, confidence_level=None)
def test_window(): ...

@pytest.mark.overton_coverage("towns.jsonl", at_least=0.3, n_draws=1, confidence_level=None, controls=False)
def test_one_draw(): ...
"""


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path, rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def verdicts(project, spec, *options):
    found = project.runpytest(f"--pluralism-model={spec}", "--pluralism-report=r.json", *options)
    told = json.loads((project.path / "r.json").read_text(encoding="utf-8"))["verdicts"]
    assert found.ret in (0, 1)
    return {
        (one["nodeid"].partition("[")[0], one["key"]): (
            one["outcome"],
            one["reason"],
            one["estimate"],
            [unit["value"] for unit in one["units"]],
        )
        for one in told
    }


@pytest.fixture
def elsewhere(project, monkeypatch):
    """The model of the project, as another machine has it."""
    monkeypatch.chdir(project.path)
    spec = importlib.util.spec_from_file_location("elsewhere", project.path / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TableModel("table:mine*2")


@pytest.mark.slow
def test_the_round_trip_gives_the_verdicts_of_a_live_run(project, elsewhere, capsys):
    project.makepyfile(test_town=SUITE)
    stored = ("--pluralism-baseline=base", "--pluralism-update-baseline")
    project.runpytest("--pluralism-model=table:mine*1.9", *stored)
    assert main(["export", "-o", "prompts.jsonl"]) == 0
    rows = read(project.path / "prompts.jsonl")
    assert f"{len(rows)} requests to the language_model" in capsys.readouterr().out
    ids = [row["prompt_id"] for row in rows]
    assert len(set(ids)) == len(ids)
    assert {row["work"] for row in rows} == {"answers", "full_answers"}
    assert {row["question_id"] for row in rows} == {f"q{n}" for n in range(12)}
    header = {"model": {"name": "mine", "dtype": "float32", "device": "cpu"}}
    write(project.path / "answers.jsonl", [header, *answered_rows(elsewhere, rows)])
    back = verdicts(project, "responses:answers.jsonl", "--pluralism-baseline=base")
    live = verdicts(project, "table:mine*2", "--pluralism-baseline=base")
    assert set(back) == set(live)
    assert len(back) == 5
    for key, (outcome, reason, estimate, values) in live.items():
        assert back[key][:2] == (outcome, reason), key
        assert back[key][3] == pytest.approx(values, abs=1e-12)
        assert back[key][2]["value"] == pytest.approx(estimate["value"], abs=1e-12)
    # All is answered, so that nothing is left to export.
    assert main(["export", "-o", "left.jsonl", "--answers=answers.jsonl"]) == 0
    assert read(project.path / "left.jsonl") == []


@pytest.mark.whole
def test_a_batch_of_chats_comes_back_by_custom_id(project, monkeypatch, in_this_process):
    monkeypatch.chdir(project.path)
    project.makepyfile(
        test_town="""
        import pytest

        @pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
        def test_letters(): ...
        """
    )
    assert main(["export", "test_town.py", "-o", "b.jsonl", "--format=openai"]) == 2
    assert main(["export", "test_town.py", "-o", "b.jsonl", "--format=openai", "--model=m", "--samples=40"]) == 0
    batch = read(project.path / "b.jsonl")
    assert all(row["url"] == "/v1/chat/completions" and row["body"]["n"] == 40 for row in batch)
    results = []
    for row in batch:
        start = int(hashlib.sha256(row["custom_id"].encode()).hexdigest(), 16) % 7
        texts = ["A", "B.", "C", "Perhaps not", "A"]
        choices = [
            {"index": n, "message": {"content": texts[(start + n) % 5]}, "finish_reason": "stop"} for n in range(40)
        ]
        body = {"object": "chat.completion", "model": "m", "choices": choices}
        response = {"status_code": 200, "request_id": "r", "body": body}
        results.append({"id": "x", "custom_id": row["custom_id"], "response": response, "error": None})
    write(project.path / "out.jsonl", results)
    project.runpytest("--pluralism-model=responses:out.jsonl#m", "--pluralism-report=r.json").assert_outcomes(passed=1)
    (verdict,) = json.loads((project.path / "r.json").read_text())["verdicts"]
    assert any("sampled answers: 192 draws" in text for text in verdict["warnings"])
    results[3] = {**results[3], "response": None, "error": {"code": "rate", "message": "slow down"}}
    write(project.path / "out.jsonl", results)
    refused = project.runpytest("--pluralism-model=responses:out.jsonl#m")
    refused.assert_outcomes(errors=1)
    refused.stdout.fnmatch_lines(["*line 4*holds no answer*slow down*"])


@pytest.mark.slow
def test_rounds_that_depend_on_answers_come_as_rounds(project, monkeypatch, in_this_process, capsys):
    monkeypatch.chdir(project.path)
    project.makepyfile(test_window=WINDOWS)
    write(
        project.path / "towns.jsonl",
        [
            {
                "query_id": f"town-{n}",
                "query": f"What of town {n}?",
                "reasonable": [f"Fact {letter} holds for town {n}." for letter in "abc"],
            }
            for n in range(4)
        ],
    )

    class Writer:
        def generate(self, prompts, settings, *, n_draws):
            said = [re.search(r"town (\d+)", prompt.question)[1] for prompt in prompts]
            return [
                tuple(Response(f"Fact {'ab'[draw]} holds for town {n}.", 5, "eos", draw) for draw in range(n_draws))
                for n in said
            ]

    class Judge:
        def entail(self, pairs):
            return [EntailmentScores(float(one.hypothesis == one.premise), 0.0, 0.0) for one in pairs]

    assert main(["export", "-o", "first.jsonl"]) == 0
    first = read(project.path / "first.jsonl")
    # Two tests want one draw and two draws of the same prompts.
    assert [(row["work"], row["n_draws"], row["round"]) for row in first] == [("responses", 2, 1)] * 4
    write(project.path / "texts.jsonl", answered_rows(Writer(), first))
    capsys.readouterr()
    assert main(["export", "-o", "second.jsonl", "--answers=texts.jsonl", "--role=entailment_model"]) == 0
    second = read(project.path / "second.jsonl")
    assert {row["round"] for row in second} == {2}
    assert {row["work"] for row in second} == {"entailment"}
    write(project.path / "judged.jsonl", answered_rows(Judge(), second))
    answers = ["--answers=texts.jsonl", "--answers=entailment_model=judged.jsonl"]
    assert main(["export", "-o", "third.jsonl", "--role=entailment_model", *answers]) == 0
    assert read(project.path / "third.jsonl") == []
    found = verdicts(
        project, "responses:texts.jsonl#writer", "--pluralism-entailment-model=responses:judged.jsonl#judge"
    )
    assert [outcome for outcome, *_ in found.values()] == ["passed", "passed"]
    assert {round(estimate["value"], 4) for _, _, estimate, _ in found.values()} == {0.3333}


def test_requests_that_a_batch_cannot_hold_are_told(project, monkeypatch, in_this_process, capsys):
    monkeypatch.chdir(project.path)
    project.makepyfile(test_town=SUITE)
    assert main(["export", "-o", "b.jsonl", "--format=vllm", "--model=m", "--form=raw"]) == 1
    told = capsys.readouterr()
    assert "60 requests cannot be asked in a batch of vllm" in told.err
    batch = read(project.path / "b.jsonl")
    assert {row["url"] for row in batch} == {"/v1/completions"}
    assert all(row["body"]["logprobs"] == 20 for row in batch)


@pytest.mark.slow
def test_wrong_suites_are_told_and_leave_no_file(project, monkeypatch, in_this_process, capsys):
    monkeypatch.chdir(project.path)
    project.makepyfile(
        test_town='import pytest\n\n@pytest.mark.js_distance("town.jsonl", at_mots=0.4)\ndef test(): ...\n'
    )
    assert main(["export", "-o", "p.jsonl"]) == 1
    assert "at_mots" in capsys.readouterr().err
    assert main(["export", "-o", "nowhere/p.jsonl"]) == 2
    project.makepyfile(test_broken="import nothing_of_this_name\n")
    assert main(["export", "-o", "p.jsonl"]) == 1
    assert not [path for path in project.path.iterdir() if path.name.startswith(".p.jsonl")]


@pytest.mark.whole
def test_an_export_that_is_killed_leaves_the_file_of_the_last_one(project, monkeypatch, capsys):
    monkeypatch.chdir(project.path)
    project.makepyfile(test_town=SUITE)
    earlier = '{"prompt_id": "a-earlier"}\n'
    (project.path / "p.jsonl").write_text(earlier)
    conftest = project.path / "conftest.py"
    whole = conftest.read_text()
    # In the middle of the rows.
    killed = """
import os, signal
import pytest_pluralism.models.recorded.exported as exported
made, row = [], exported.exported_row
def exported_row(*arguments, **named):
    made.append(1)
    if len(made) > 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return row(*arguments, **named)
exported.exported_row = exported_row
"""
    conftest.write_text(whole + killed)
    assert main(["export", "-o", "p.jsonl"]) == 2
    assert "could not collect the tests (exit code -9)" in capsys.readouterr().err
    assert (project.path / "p.jsonl").read_text() == earlier
    conftest.write_text(whole)
    assert main(["export", "-o", "p.jsonl"]) == 0
    assert len(read(project.path / "p.jsonl")) > 20
    assert not [path for path in project.path.iterdir() if path.name.startswith(".p.jsonl")]


def test_a_changed_row_is_not_answered(project, elsewhere, in_this_process):
    project.makepyfile(test_town=SUITE)
    assert main(["export", "-o", "prompts.jsonl"]) == 0
    row = read(project.path / "prompts.jsonl")[0]
    asked, settings, n_draws = request_of(row)
    assert (settings, n_draws) == (None, 1)
    assert asked.labels == ("A", "B", "C")
    row["request"]["question"] += " Really?"
    with pytest.raises(ModelError, match="is not the one that it was written with"):
        list(answered_rows(elsewhere, [row]))
    with pytest.raises(ModelError, match="Export the suite again"):
        request_of({"prompt_id": "a-1"})


def test_the_body_of_a_text_has_its_settings():
    row = {
        "prompt_id": "r-1",
        "work": "responses",
        "messages": [{"role": "user", "content": "Hm?"}],
        "settings": {"max_new_tokens": 9, "temperature": 0.5, "seed": 4, "top_k": 7, "stop": ["."]},
        "n_draws": 3,
    }
    body = batch_line(row, BatchForm("vllm", "m"))["body"]
    assert (body["max_tokens"], body["temperature"], body["n"], body["seed"]) == (9, 0.5, 3, 4)
    assert (body["top_k"], body["stop"]) == (7, ["."])
    assert "top_k" not in batch_line(row, BatchForm("openai", "m"))["body"]
    assert math.isclose(body["temperature"], 0.5)
