"""Written texts, batched against one at a time: `python benchmarks/generation.py [--json PATH]`.

T  transformers' own `generate`, one prompt and draw at a time
O  this package, one prompt and draw at a time
B  this package, all prompts and draws in one call

The ways take turns, so that a busy machine slows all of them alike; the median of the rounds counts.
Every text has the same number of tokens: nothing ends it early.
It also counts how many draws (and greedy texts) differ between O and B, which only rounding can cause.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from typing import Any

QUESTIONS = (
    "Should voting be compulsory?",
    "Is it right to tax meat?",
    "What do people disagree about when they speak of work?",
    "Should schools teach religion?",
    "How should a city decide where to build homes?",
    "Why do some people fear trade?",
    "Is it better to save or to spend?",
    "What would you change about the courts, if it were yours to decide?",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded:smollm2-135m-instruct")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    import torch
    import transformers

    from pytest_pluralism.core.records import GenerationSettings, Prompt
    from pytest_pluralism.models import load_model
    from pytest_pluralism.models.local.generation import GenerationRequest, Generator, draw_key

    model = load_model(options.model, dtype=options.dtype, device=options.device)
    network = model.scorer.model
    # No token ends a text, so that all ways write equally much.
    generator = Generator(model.scorer, ends=frozenset(), decode=str)
    settings = GenerationSettings(options.tokens, temperature=1.0, top_p=0.95)
    prompts = [Prompt(question, ()) for question in QUESTIONS]
    requests = [
        GenerationRequest(model.token_ids(prompt), draw_key(prompt, 0, draw))
        for prompt in prompts
        for draw in range(options.draws)
    ]

    def by_transformers() -> list[Any]:
        config = transformers.GenerationConfig(
            max_new_tokens=options.tokens, do_sample=True, temperature=1.0, top_p=0.95, top_k=0, pad_token_id=0
        )
        network.generation_config.eos_token_id = None
        found = []
        for request in requests:
            ids = torch.tensor([request.token_ids], device=network.device)
            with torch.inference_mode():
                out = network.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
            found.append(out[0, ids.shape[1] :].tolist())
        return found

    def one_at_a_time(how: GenerationSettings = settings) -> list[Any]:
        return [generator.generate([request], how)[0].token_ids for request in requests]

    def batched(how: GenerationSettings = settings) -> list[Any]:
        return [tokens.token_ids for tokens in generator.generate(requests, how)]

    ways = {"T transformers, one at a time": by_transformers, "O one at a time": one_at_a_time, "B batched": batched}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    texts: dict[str, list[Any]] = {}
    for number in range(options.rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            texts[name] = run()
            seconds[name].append(time.perf_counter() - start)
            print(f"round {number + 1}: {name} {seconds[name][-1]:.1f} s", file=sys.stderr, flush=True)
            assert all(len(text) == options.tokens for text in texts[name])
    greedy = GenerationSettings(options.tokens, temperature=0)
    differing = {
        "sampled": sum(a != b for a, b in zip(texts["O one at a time"], texts["B batched"], strict=True)),
        "greedy": sum(a != b for a, b in zip(one_at_a_time(greedy), batched(greedy), strict=True)),
    }
    n_tokens = len(requests) * options.tokens
    slow = statistics.median(seconds["O one at a time"])
    report = {
        "model": model.identity.name,
        "dtype": model.identity.dtype,
        "device": model.identity.device,
        "prompts": len(prompts),
        "draws": options.draws,
        "tokens": options.tokens,
        "ways": {
            name: {
                "seconds": statistics.median(values),
                "all_seconds": values,
                "tokens_per_second": n_tokens / statistics.median(values),
                "times_one_at_a_time": slow / statistics.median(values),
            }
            for name, values in seconds.items()
        },
        "texts": len(requests),
        "texts_that_differ_between_batches": differing,
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }
    print(f"{report['model']} {report['dtype']} {report['device']}, {len(prompts)} prompts x {options.draws} draws x "
          f"{options.tokens} tokens, {report['threads']} threads, load {report['load_average']:.1f}")  # fmt: skip
    for name, row in report["ways"].items():
        print(f"  {name:30} {row['seconds']:7.1f} s   {row['tokens_per_second']:7.1f} tokens a second   "
              f"{row['times_one_at_a_time']:5.2f} x O")  # fmt: skip
    print(f"  of {len(requests)} texts differ between O and B: {differing}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as stream:  # noqa: PTH123
            json.dump(report, stream, indent=1)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
