"""The adapter of this repository that judges entailment: its files, what it can do, and what its card says."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.core.errors import MissingExtraError
from pytest_pluralism.core.records import EntailmentPair
from pytest_pluralism.models import load_entailment_model
from pytest_pluralism.models.calibration import judges_of
from pytest_pluralism.models.embedded import ENTAILMENT_MODELS

FOLDER = Path(__file__).parents[3] / "fixtures" / "models" / "nli-mpnet"
LABELS = ("entailment", "neutral", "contradiction")

pytestmark = pytest.mark.skipif(
    not (FOLDER / "adapter_model.safetensors").is_file(), reason="the adapter nli-mpnet is not in this checkout"
)


def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "evaluation.json").read_text(encoding="utf-8"))
    return found


def test_the_folder_is_small_and_plain() -> None:
    files = {path.name for path in FOLDER.iterdir()}
    assert {"adapter_config.json", "config.json", "README.md", "evaluation.json", "training.json"} <= files
    assert not [name for name in files if name.endswith((".py", ".bin", ".pt", ".pkl"))]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 6_000_000
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    assert list(config["id2label"].values()) == list(LABELS)
    assert 0.5 < config["pluralism_temperature"] < 3
    settings = json.loads((FOLDER / "adapter_config.json").read_text(encoding="utf-8"))
    assert settings["base_model_name_or_path"] == "sentence-transformers/all-mpnet-base-v2"


def test_the_figures_are_those_of_this_adapter() -> None:
    weights = hashlib.sha256((FOLDER / "adapter_model.safetensors").read_bytes()).hexdigest()
    assert facts()["weights_sha256"] == weights == ENTAILMENT_MODELS["nli-mpnet"].sha256
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"**{100 * facts()['mnli_matched_dev']['accuracy']:.1f} %**" in card
    training = json.loads((FOLDER / "training.json").read_text(encoding="utf-8"))
    assert training["steps"] == training["planned_steps"]


def test_its_judge_has_a_calibration_of_its_own() -> None:
    file = judges_of("embedded:nli-mpnet")
    assert file is not None
    assert file.default == "combined"
    judge = file.judges["combined"]
    assert 0.0 < judge.threshold < 1.0
    assert judge.sensitivity + judge.specificity > 1.5


@pytest.fixture(scope="module")
def model() -> Iterator[Any]:
    try:
        loaded = load_entailment_model("embedded:nli-mpnet", device="cpu")
        loaded.entail([EntailmentPair("It rains.", "It is wet.")])
    except MissingExtraError as error:
        pytest.skip(str(error))
    yield loaded
    loaded.close()


@pytest.mark.slow
def test_the_accuracy_of_the_card_is_met_again(model: Any, shared_data: Path) -> None:
    with gzip.open(shared_data / "nli" / "test_mnli_matched_dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][::20]
    scores = model.entail([EntailmentPair(row["premise"], row["hypothesis"]) for row in rows])
    found = [max(LABELS, key=lambda name: getattr(score, name)) for score in scores]
    right = [one == row["label"] for one, row in zip(found, rows, strict=True)]
    assert sum(right) / len(right) == pytest.approx(facts()["mnli_matched_dev"]["accuracy"], abs=0.05)
