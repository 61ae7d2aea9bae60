"""The entailment model of this repository: its weights, what it can do, and that its card tells the truth."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import sys
from pathlib import Path

import pytest

from pytest_pluralism.core.records import EntailmentPair
from pytest_pluralism.models import load_entailment_model

FOLDER = Path(__file__).parents[3] / "fixtures" / "models" / "nli-minilm"

pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)
pytest.importorskip("transformers", reason="transformers is not installed", exc_type=ImportError)

pytestmark = pytest.mark.skipif(
    not (FOLDER / "model.safetensors").is_file(), reason="the weights of nli-minilm are not in this checkout"
)

#: A text, what it says in other words, what it denies, and what it does not speak of.
CASES = [
    ("Taxes pay for the schools of the town.", "The town's schools are funded by taxes.",
     "Nobody pays taxes for the schools of the town.", "The town has a famous football club."),
    ("Voting should be compulsory because everybody lives with the result.", "Everyone should have to vote.",
     "People should not be forced to vote.", "Eating meat harms the climate."),
    ("A woman is reading a book in the park.", "A person is reading outside.", "The woman is asleep.",
     "The book is about the history of France."),
    ("Vaccines have saved millions of children.", "Vaccination saves children's lives.",
     "Vaccines have never saved a child.", "Schools should serve free lunches."),
    ("The museum is closed on Mondays and opens at ten on other days.", "You cannot visit the museum on a Monday.",
     "The museum is open on Mondays.", "Tickets cost twelve euros."),
]  # fmt: skip


@pytest.fixture(scope="module")
def model():
    loaded = load_entailment_model(str(FOLDER), device="cpu")
    yield loaded
    loaded.close()


@pytest.mark.whole
@pytest.mark.model
def test_the_name_finds_these_weights() -> None:
    model = load_entailment_model("embedded:nli-minilm", device="cpu")
    assert model.identity.name == "nli-minilm"
    assert model.identity.dtype == "float32"
    assert model.identity.parameters > 20_000_000
    model.close()


@pytest.mark.model
def test_what_follows_scores_above_what_does_not(model) -> None:
    follows = model.entail([EntailmentPair(text, same) for text, same, _, _ in CASES])
    denies = model.entail([EntailmentPair(text, denial) for text, _, denial, _ in CASES])
    other = model.entail([EntailmentPair(text, foreign) for text, _, _, foreign in CASES])
    wins = [a.entailment > max(b.entailment, c.entailment) for a, b, c in zip(follows, denies, other, strict=True)]
    assert sum(wins) >= len(CASES) - 1
    assert sum(b.contradiction > b.entailment for b in denies) >= len(CASES) - 1


def test_the_folder_is_small_and_plain() -> None:
    files = {path.name for path in FOLDER.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "evaluation.json"} <= files
    assert not [name for name in files if name.endswith((".py", ".bin", ".pt", ".pkl"))]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 50_000_000
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    assert set(config["id2label"].values()) == {"entailment", "neutral", "contradiction"}
    assert 0.5 < config["pluralism_temperature"] < 3


def evaluation_tool():
    path = Path(__file__).parents[3] / "tools" / "evaluate_nli.py"
    spec = importlib.util.spec_from_file_location("evaluate_nli", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["evaluate_nli"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.whole
def test_the_card_says_what_was_measured_of_these_weights() -> None:
    tool = evaluation_tool()
    facts = json.loads((FOLDER / "evaluation.json").read_text(encoding="utf-8"))
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    weights = (FOLDER / "model.safetensors").read_bytes()
    assert facts["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    for lines in (tool.figures_table(facts), tool.weak_table(facts)):
        assert "\n".join(lines) in card
    # Every sentence of its prose stands on a line of its own, as in the other pages; nothing was left to fill in.
    assert "@" not in card.replace("@REVISION", "")


@pytest.mark.slow
def test_the_accuracy_of_the_card_is_met_again(model, shared_data: Path) -> None:
    facts = json.loads((FOLDER / "evaluation.json").read_text(encoding="utf-8"))
    with gzip.open(shared_data / "nli" / "test_mnli_matched_dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][::8]
    scores = model.entail([EntailmentPair(row["premise"], row["hypothesis"]) for row in rows])
    names = ("entailment", "neutral", "contradiction")
    right = [
        max(names, key=lambda name: getattr(score, name)) == row["label"]
        for score, row in zip(scores, rows, strict=True)
    ]
    assert sum(right) / len(right) == pytest.approx(facts["mnli_matched_dev"]["accuracy"], abs=0.04)
