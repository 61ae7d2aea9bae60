"""Entailment pairs, batched against one at a time: `python benchmarks/entailment.py [--json PATH]`.

T  transformers' own tokenizer and network, one pair at a time
O  this package, one pair at a time
B  this package, all pairs in one call

The pairs are those of a coverage gate: premises are the sentences and windows of responses of several lengths,
hypotheses are short answers. No pair is repeated, so nothing is gained by leaving out copies.
The ways take turns, so that a busy machine slows all of them alike; the median of the rounds counts.
It also reports the largest difference of a probability between the ways.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
from pathlib import Path
from typing import Any

SUBJECTS = ("compulsory voting", "a tax on meat", "free public transport", "school uniforms", "nuclear power", "zoos")
REASONS = (
    "it treats everybody alike, whatever they earn or where they live",
    "people should decide for themselves how they spend their money",
    "the costs fall on those who can bear them least",
    "most countries that tried it kept it",
    "it would take a generation before anybody felt the difference",
    "there are cheaper ways to reach the same end",
    "it is a matter of dignity and not of money",
    "nobody has asked the people who would have to carry it out",
)
ANSWERS = (
    "It is fair.",
    "It restricts freedom too much.",
    "It costs the poor more than the rich, who hardly notice it.",
    "It works elsewhere.",
    "It protects future generations from the mistakes of this one.",
)


def make_pairs(n: int, seed: int) -> list[tuple[str, str]]:
    """Return different pairs with premises of one to eight sentences."""
    draw = random.Random(seed)
    pairs: dict[tuple[str, str], None] = {}
    while len(pairs) < n:
        sentences = [
            f"On {draw.choice(SUBJECTS)}, {draw.choice(('some', 'many', 'critics', 'supporters'))} say that "
            f"{draw.choice(REASONS)}."
            for _ in range(draw.choice((1, 1, 1, 2, 3, 3, 8)))
        ]
        pairs[" ".join(sentences), draw.choice(ANSWERS)] = None
    return list(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded:nli-minilm")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    import torch
    import transformers

    from pytest_pluralism.core.records import EntailmentPair
    from pytest_pluralism.models.local.entailment import load_entailment_model

    model = load_entailment_model(options.model, dtype=options.dtype, device=options.device)
    network, tokenizer, device = model.network, model.tokenizer, model.device
    pairs = [EntailmentPair(*pair) for pair in make_pairs(options.pairs, 1)]
    lengths = [len(tokenizer(pair.premise, pair.hypothesis)["input_ids"]) for pair in pairs]

    def transformers_alone() -> list[float]:
        found = []
        with torch.inference_mode():
            for pair in pairs:
                inputs = tokenizer(pair.premise, pair.hypothesis, truncation=True, return_tensors="pt").to(device)
                logits = network(**inputs).logits[0].float() / model.temperature
                found.append(float(logits.softmax(-1)[model.labels.entailment]))
        return found

    def one_at_a_time() -> list[float]:
        return [model.entail([pair])[0].entailment for pair in pairs]

    def batched() -> list[float]:
        return [scores.entailment for scores in model.entail(pairs)]

    ways = {"T": transformers_alone, "O": one_at_a_time, "B": batched}
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    values: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            values[name] = way()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    figures: dict[str, Any] = {
        "benchmark": "entailment",
        "model": model.identity.name,
        "dtype": model.identity.dtype,
        "device": model.identity.device,
        "pairs": len(pairs),
        "tokens": {"median": statistics.median(lengths), "longest": max(lengths)},
        "milliseconds_a_pair": {name: round(1000 * median / len(pairs), 3) for name, median in medians.items()},
        "rounds": {name: [round(one, 3) for one in times] for name, times in seconds.items()},
        "times_faster": {f"B than {name}": round(medians[name] / medians["B"], 2) for name in ("T", "O")},
        "largest_difference": max(
            abs(one - other) for name in ("T", "O") for one, other in zip(values[name], values["B"], strict=True)
        ),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }
    print(json.dumps(figures, indent=1))
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
