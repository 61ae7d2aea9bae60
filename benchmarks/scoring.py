"""Ways to score closed questions, side by side in one process: `python benchmarks/scoring.py [--json PATH]`.

A  the published loop: `generate(max_new_tokens=3)`, one prompt at a time
B  one forward a prompt, logits of the last position only
D  batches of prompts of about equal length
E  shared beginnings computed once (what `answer` does)

The ways take turns, so that a busy machine slows all of them alike; the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

TOPICS = (
    "the way democracy is working in this country", "the influence of religion on public life",
    "how much most people can be trusted", "the pay of those who run large companies",
    "people who come from abroad to work",
    "the future of the young", "the honesty of elected officials", "the military alliances of this country",
    "the protection of rivers and forests", "the news on television", "the role of women at work", "the price of food",
    "the courts and the police", "the schools in the area", "the use of machines that decide",
    "trade with other countries", "the state of the economy", "the right to say what one thinks",
    "the care of the old", "the treatment of minorities",
)  # fmt: skip
OPTIONS = ("Very satisfied", "Somewhat satisfied", "Not too satisfied", "Not at all satisfied", "Don't know or refused")
EXAMPLES = (
    ("Did you vote in the last national election, or did something keep you from voting?", OPTIONS[:3]),
    ("Which social class would you say that you belong to, as far as you can tell?", OPTIONS[:4]),
    ("Who cleans the house where you live, most of the time, on an ordinary day?", OPTIONS),
)


def posed(question: str, options: tuple[str, ...]) -> str:
    lines = " ".join(f"{letter}. {option}" for letter, option in zip("ABCDE", options, strict=False))
    return f"{question} {lines} \n Answer Choice:"


def make_prompts(n_questions: int, n_prefixes: int) -> list[Any]:
    """Return questions x in-context prefixes, the prefixes differing in the letters of their examples."""
    from pytest_pluralism.core.records import Prompt

    draw = random.Random(0)
    prefixes = [
        " ".join(
            posed(question, options) + draw.choice("ABCDE"[: len(options)]) + ".\n\n" for question, options in EXAMPLES
        )
        for _ in range(n_prefixes)
    ]
    stem = "Thinking of {}, and of all that you have heard and seen of it in the last twelve months, how do you feel?"
    return [
        Prompt(question := posed(stem.format(topic), OPTIONS), tuple("ABCDE"), verbatim=f"{prefix} {question}")
        for topic in TOPICS[:n_questions]
        for prefix in prefixes
    ]


def ways(model: Any, prompts: list[Any], n_slow: int) -> dict[str, tuple[int, Callable[[], list[list[float]]]]]:
    """Return for each way how many prompts it gets, and what runs it."""
    import torch

    from pytest_pluralism.models.scoring import Scorer, ScoreRequest

    network = model._scorer.model
    labels = model._reader.label_tokens(tuple("ABCDE"))
    rows = [model.token_ids(prompt) for prompt in prompts]

    def read(logits: Any) -> list[float]:
        total = torch.logsumexp(logits.float(), dim=-1)
        return [float((torch.logsumexp(logits.float()[list(ids)], 0) - total).exp()) for ids in labels]

    def published() -> list[list[float]]:
        found = []
        for row in rows[:n_slow]:
            out = network.generate(
                torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.long), max_new_tokens=3,
                min_new_tokens=3, do_sample=False, output_scores=True, return_dict_in_generate=True, pad_token_id=0,
            )  # fmt: skip
            found.append(read(out.scores[0][0]))
        return found

    def single() -> list[list[float]]:
        return [read(network(torch.tensor([row]), logits_to_keep=1).logits[0, -1]) for row in rows[:n_slow]]

    def scorer(share: bool) -> Callable[[], list[list[float]]]:
        engine = Scorer(network, share_prefixes=share)

        def run() -> list[list[float]]:
            scores = engine.score([ScoreRequest(row, labels) for row in rows])
            return [[2.718281828459045**value for value in score.log_probabilities] for score in scores]

        return run

    return {
        "A generate(3), batch 1": (n_slow, published),
        "B one forward, batch 1": (n_slow, single),
        "D sorted batches": (len(rows), scorer(share=False)),
        "E shared beginnings": (len(rows), scorer(share=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded:gemma-3-270m")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--prefixes", type=int, default=5)
    parser.add_argument("--slow-prompts", type=int, default=10, help="prompts for the ways that take them one by one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    import torch
    import transformers

    from pytest_pluralism.models import load_model

    model = load_model(options.model, dtype=options.dtype)
    prompts = make_prompts(options.questions, options.prefixes)
    lengths = [len(model.token_ids(prompt)) for prompt in prompts]
    seconds: dict[str, list[float]] = {}
    answers: dict[str, list[list[float]]] = {}
    with torch.inference_mode():
        runs = ways(model, prompts, min(options.slow_prompts, len(prompts)))
        for number in range(options.rounds + 1):
            for name, (count, run) in runs.items():
                start = time.perf_counter()
                answers[name] = run()
                # The first round warms up.
                if number:
                    seconds.setdefault(name, []).append((time.perf_counter() - start) / count)
                    print(f"round {number}: {name} {1000 * seconds[name][-1]:.0f} ms", file=sys.stderr, flush=True)
    exact = answers["B one forward, batch 1"]
    table = {}
    for name, values in seconds.items():
        difference = max(
            abs(a - b)
            for left, right in zip(answers[name], exact, strict=False)
            for a, b in zip(left, right, strict=True)
        )
        table[name] = {
            "ms_per_prompt": 1000 * statistics.median(values),
            "all_ms": [1000 * value for value in values],
            "times_A": statistics.median(seconds["A generate(3), batch 1"]) / statistics.median(values),
            "largest_difference_from_B": difference,
        }
    report = {
        "model": model.identity.name,
        "dtype": model.identity.dtype,
        "device": model.identity.device,
        "prompts": len(prompts),
        "mean_tokens": statistics.mean(lengths),
        "ways": table,
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }
    print(f"{report['model']} {report['dtype']} {report['device']}, {len(prompts)} prompts of "
          f"{report['mean_tokens']:.0f} tokens, "
          f"{report['threads']} threads, load average {report['load_average']:.1f}")  # fmt: skip
    for name, row in table.items():
        print(f"  {name:24} {row['ms_per_prompt']:8.1f} ms a prompt   {row['times_A']:5.1f} x A   "
              f"difference {row['largest_difference_from_B']:.1e}")  # fmt: skip
    if options.json:
        with open(options.json, "w", encoding="utf-8") as stream:  # noqa: PTH123
            json.dump(report, stream, indent=1)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
