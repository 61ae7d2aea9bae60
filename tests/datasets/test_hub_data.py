"""Data of the hub by name, on local folders in the layout of the hub's cache; no network is used."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pytest_pluralism as pp
from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.datasets.hub import hub_file, parse_hub_name

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")

COMMIT = "0123456789abcdef0123456789abcdef01234567"

SUBPOP = {
    "qkey": "Q1", "attribute": "SEX", "group": "Female", "question": "Is it?", "options": ["Yes", "No", "Refused"],
    "responses": [0.75, 0.25], "refusal_rate": 0.2,
}  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache, which the library uses without a network."""
    constants = importlib.import_module("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def put(cache: Path, repository: str, files: dict[str, str], *, ref: str = "main") -> None:
    """Put files into the cache as the library does: blobs, links to them in a snapshot, and the commit of a branch."""
    folder = cache / f"datasets--{repository.replace('/', '--')}"
    for name, text in files.items():
        blob = folder / "blobs" / f"{abs(hash(name)):x}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_text(text, encoding="utf-8")
        link = folder / "snapshots" / COMMIT / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / ref).write_text(COMMIT)


def test_a_survey_by_commit_and_by_branch(cache: Path) -> None:
    put(cache, "jjssuh/subpop", {"subpop_train.jsonl": json.dumps(SUBPOP) + "\n", "subpop_eval.jsonl": "{}\n",
                                 "README.md": "# words"})  # fmt: skip
    survey = pp.load_survey(f"hf:jjssuh/subpop@{COMMIT}#train")
    assert survey.name == f"hf:jjssuh/subpop@{COMMIT}#train"
    assert survey.populations == ("SEX: Female",)
    assert f"commit {COMMIT}, file subpop_train.jsonl sha256:" in survey.source
    assert pp.load_survey("hf:jjssuh/subpop@main#train").sha256 == survey.sha256
    steering = pp.load_steering("hf:jjssuh/subpop@main#train")
    assert steering.names == ("SEX: Female",)


def test_a_panel_with_its_companion(cache: Path) -> None:
    row = {"utterance_id": "u1", "interaction_id": "i1", "user_id": "p", "user_prompt": "Hi?", "model_response": "Hi.",
           "score": 80, "within_turn_id": 0}  # fmt: skip
    files = {"utterances.jsonl": json.dumps(row) + "\n", "conversations.jsonl": "{}\n",
             "survey.jsonl": json.dumps({"user_id": "p", "age": "30"}) + "\n"}  # fmt: skip
    put(cache, "HannahRoseKirk/prism-alignment", files)
    panel = pp.load_panel("hf:HannahRoseKirk/prism-alignment@main#utterances")
    assert panel.n_votes == 1
    assert panel.jurors[0].attributes == {"age": "30"}
    assert "hf:HannahRoseKirk/prism-alignment@main#utterances, commit" in panel.source


def test_windows_of_a_config(cache: Path) -> None:
    line = json.dumps({"situation": "A", "vrd": "Value", "text": "Truth", "explanation": "It is true."}) + "\n"
    put(cache, "allenai/ValuePrism", {"full/train.jsonl": line, "relevance/train.jsonl": "{}\n"})
    windows = pp.load_windows("hf:allenai/ValuePrism@main#full/train")
    assert windows.windows[0].query == "A"


def test_several_files_are_an_error_that_names_them(cache: Path) -> None:
    put(cache, "org/data", {"a/train.csv": "x", "b/train.csv": "x"})
    with pytest.raises(DatasetError, match="cannot be had"):
        # Offline, the hub cannot say whether there are others.
        pp.load_survey("hf:org/data@main#train")
    assert hub_file("hf:org/data@main#b/train").file == "b/train.csv"


def test_what_is_not_cached_cannot_be_had_offline(cache: Path) -> None:
    with pytest.raises(DatasetError, match="copy the cache"):
        pp.load_survey(f"hf:org/data@{COMMIT}#train")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hf:org/data", "names no revision"),
        ("hf:org/data#train", r"Pin a commit, a tag or a branch: hf:org/data@REVISION#train"),
        ("hf:org", "does not name data of the hub"),
        ("hf:org/data@main#a b", "does not name data of the hub"),
        ("hf:../x@main", "does not name data of the hub|cannot be had"),
    ],
)
def test_wrong_names(cache: Path, name: str, says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        pp.load_survey(name)


def test_the_name_that_was_known_before_is_still_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_pluralism.datasets.surveys import global_opinions

    asked: list[Any] = []
    rows = [{"question": "Is it?", "selections": "{'Japan': [0.5, 0.5]}", "options": "['Yes', 'No']"}]
    monkeypatch.setattr(global_opinions, "fetch_rows", lambda revision: asked.append(revision) or rows)
    assert pp.load_survey("hf:Anthropic/llm_global_opinions").populations == ("Japan",)
    assert pp.load_survey("hf:Anthropic/llm_global_opinions@abc").populations == ("Japan",)
    assert asked == [None, "abc"]


def test_a_name_has_parts() -> None:
    name = parse_hub_name("hf:a/b@v1.0#full/train")
    assert (name.repository, name.revision, name.words) == ("a/b", "v1.0", ("full", "train"))


def test_the_hub_is_imported_for_its_names_alone() -> None:
    code = "import sys, pytest_pluralism.datasets.surveys.loading as _; assert 'huggingface_hub' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
