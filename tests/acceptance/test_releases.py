"""The three releases of the demonstration: what is shipped of them, and the story that they tell."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_pluralism

ROOT = Path(__file__).parents[2]
STORY = ROOT / "examples" / "releases"
ADAPTERS = sorted((ROOT / "fixtures" / "models").glob("smollm2-harmless-*"))


@pytest.mark.parametrize("folder", ADAPTERS, ids=lambda path: path.name)
def test_an_adapter_is_small_and_holds_neither_pickles_nor_paths(folder: Path) -> None:
    files = list(folder.iterdir())
    assert sum(path.stat().st_size for path in files) < 8_000_000
    assert {path.name for path in files} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "training.json",
    }
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == "embedded:smollm2-135m-instruct"
    texts = [path.read_text(encoding="utf-8") for path in files if path.suffix in {".json", ".md"}]
    assert not [text for text in texts if '"/' in text or "/home" in text or "/tmp" in text]


def test_the_story_finds_its_judge_of_texts_beside_an_installed_package(tmp_path: Path) -> None:
    """The package is copied elsewhere, as pip does, and the story is told in another folder than the repository."""
    ignored = shutil.ignore_patterns("datasets", "report", "__pycache__")
    shutil.copytree(Path(pytest_pluralism.__file__).parent, tmp_path / "pytest_pluralism", ignore=ignored)
    code = "import tell, os; os.environ.update(tell.environment()); "
    code += "from pytest_pluralism.models.embedded import find_embedded_entailment as find; print(find('nli-minilm'))"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{STORY}"}
    environment.pop("PLURALISM_NLI_MINILM", None)
    found = subprocess.run(
        (sys.executable, "-c", code), check=True, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert Path(found.stdout.strip()) == ROOT / "fixtures" / "models" / "nli-minilm"


@pytest.mark.slow
@pytest.mark.model
def test_the_story_goes_as_it_is_told(tmp_path: Path) -> None:
    result = subprocess.run(
        (sys.executable, str(STORY / "tell.py"), str(tmp_path / "story")), check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "v2 is refused" in result.stdout
    assert (tmp_path / "story" / "history.svg").stat().st_size > 1000


ANSWER = """
import json, sys
from pytest_pluralism.models import load_model
from pytest_pluralism.models.recorded.exported import answered_rows

rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
scored = [row for row in rows if row["work"] == "full_answers"][:5]
json.dump(list(answered_rows(load_model(sys.argv[2], device="cpu", dtype="float32"), scored)), sys.stdout)
"""


def row_of(rows: list[dict[str, object]]) -> dict[object, object]:
    return {row["prompt_id"]: row["log_likelihoods"] for row in rows if "log_likelihoods" in row}


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("folder", ADAPTERS, ids=lambda path: path.name)
def test_a_recording_holds_what_its_adapter_answers(folder: Path, tmp_path: Path) -> None:
    """Five questions are scored anew, in another process than the tests' own."""
    pytest.importorskip("peft")
    prompts = tmp_path / "prompts.jsonl"
    export = (sys.executable, "-m", "pytest_pluralism.cli", "export", str(STORY), "-o", str(prompts))
    subprocess.run(export, check=True, capture_output=True)
    command = (sys.executable, "-W", "ignore", "-c", ANSWER, str(prompts), str(folder))
    anew = row_of(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    recording = STORY / "answers" / f"{folder.name.rpartition('-')[2]}.jsonl.gz"
    lines = gzip.decompress(recording.read_bytes()).decode("utf-8").splitlines()
    recorded = row_of([json.loads(line) for line in lines])
    assert len(anew) == 5
    for prompt_id, values in anew.items():
        assert values == pytest.approx(recorded[prompt_id], abs=1e-3)
