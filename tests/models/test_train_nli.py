"""The training script: a run that is stopped and goes on ends with the same weights as one that is not."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)
pytest.importorskip("transformers", reason="transformers is not installed", exc_type=ImportError)

SCRIPT = Path(__file__).parents[2] / "tools" / "train_nli.py"
WORDS = [f"w{number}" for number in range(40)]

pytestmark = pytest.mark.slow


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """Save a tiny encoder with random weights."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=45, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write pairs whose labels can be learned: the hypothesis repeats a word of the premise, or none."""
    draw = random.Random(2)
    rows = []
    for _ in range(600):
        words = draw.sample(WORDS, 6)
        label = draw.choice(("entailment", "neutral", "contradiction"))
        word = {"entailment": words[0], "neutral": words[5], "contradiction": "w0"}[label]
        rows.append({"premise": " ".join(words[:5]), "hypothesis": word, "label": label, "source": "litl_baseline"})
    folder = tmp_path / "data" / "nli"
    folder.mkdir(parents=True)
    with gzip.open(folder / "train.jsonl.gz", "wt", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
    return folder.parent


def command(work: Path, encoder: Path, data: Path, *more: str) -> list[str]:
    return [
        sys.executable, str(SCRIPT), "train", "--work-dir", str(work), "--encoder", str(encoder), "--data", str(data),
        "--batch-pairs", "16", "--held-out-share", "0.2", "--save-minutes", "0", *more,
    ]  # fmt: skip


def run(*arguments: object) -> str:
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=300, check=False, env=os.environ | {"CI": "1"}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_that_is_stopped_goes_on_as_if_nothing_had_been(tmp_path: Path, encoder: Path, data: Path) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    run(straight, encoder, data)
    run(stopped, encoder, data, "--stop-after", "20")
    # A kill at any moment: what is on the disk is a whole checkpoint.
    process = subprocess.Popen(command(stopped, encoder, data), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert b"resumed" in process.stdout.readline()
    time.sleep(0.5)
    process.kill()
    process.wait()
    process.stdout.close()
    output = run(stopped, encoder, data)
    assert '"event": "exported"' in output
    weights = [(folder / "export" / "model.safetensors").read_bytes() for folder in (straight, stopped)]
    assert weights[0] == weights[1]
    facts = json.loads((straight / "export" / "training.json").read_text())
    assert facts["finished"] is True
    assert facts["temperature"] > 0
    # It was trained, the frozen embeddings excepted, and is saved in half precision.
    from safetensors.torch import load_file

    after, before = (load_file(folder / "model.safetensors") for folder in (straight / "export", encoder))
    assert {str(value.dtype) for value in after.values()} == {"torch.float16"}
    frozen = "embeddings.word_embeddings.weight"
    assert after[f"bert.{frozen}"].equal(before[frozen].half())
    layer = "encoder.layer.1.output.dense.weight"
    assert (after[f"bert.{layer}"].float() - before[layer]).abs().max() > 1e-3

    from pytest_pluralism.core.records import EntailmentPair
    from pytest_pluralism.models.local.entailment import load_entailment_model

    model = load_entailment_model(str(straight / "export"))
    assert model.temperature == facts["temperature"]
    assert model.entail([EntailmentPair("w1 w2 w3 w4 w5", "w1")])[0].entailment > 0


def test_a_signal_saves_and_ends_and_another_recipe_is_refused(tmp_path: Path, encoder: Path, data: Path) -> None:
    work = tmp_path / "work"
    process = subprocess.Popen(
        command(work, encoder, data, "--save-minutes", "60"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert b"started" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 0
    assert b'"event": "stopped"' in process.stdout.read()
    process.stdout.close()
    assert (work / "checkpoint.pt").is_file()
    other = subprocess.run(
        command(work, encoder, data, "--peak-rate", "0.1"), capture_output=True, text=True, timeout=120, check=False
    )
    assert other.returncode == 1
    assert "holds a run with another peak_rate" in other.stderr
    # The rest of a run can be made shorter: then it decays to nothing there.
    output = run(work, encoder, data, "--end-in", "10")
    rates = [json.loads(line)["step"] for line in output.splitlines() if '"event": "held_out"' in line]
    facts = json.loads((work / "export" / "training.json").read_text())
    assert facts["steps"] == facts["cut"][0] + 10 == rates[-1]
    assert facts["planned_steps"] > facts["steps"]
