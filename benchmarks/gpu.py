"""The engine on a GPU, in one prepared script of less than eight minutes: `python benchmarks/gpu.py [--json PATH]`.

A random network of the shape of a 7B model (no file of weights is needed) answers prompts with shared beginnings:

correctness   option log-probabilities in bfloat16 against float32 on the same device, and shared against whole
speed         tokens and prompts a second, and the share of the peak that a plain matrix product reaches in this run
largest       the largest batch of whole rows that fits, found by doubling
memory        a token budget that is far too large is halved until it fits, and no answer is lost
graphs        one forward of a fixed shape, as it is and captured as a CUDA graph

Every part writes one JSON line as soon as it is done, and the script stops before `--seconds` are over.
`--tiny` runs the same parts on a CPU with a network of a few thousand weights, which tests this script and no speed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

PARTS = ("correctness", "speed", "largest", "memory", "graphs")

SHAPES = {
    "7b": {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
           "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096},
    "tiny": {"vocab_size": 128, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096},
}  # fmt: skip


class Bench:
    """The network, its device and what is asked of it."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch

        self.torch = torch
        self.shape = "tiny" if options.tiny else "7b"
        self.device = "cpu" if options.tiny else "cuda"
        self.ends = time.monotonic() + options.seconds
        self.dtype = torch.float32 if options.tiny else torch.bfloat16
        self.network = self.made(self.dtype)
        self.scale = 8 if options.tiny else 1

    def made(self, dtype: Any, n_layers: int | None = None) -> Any:
        """Return a random network; with few layers it fits beside another one."""
        import transformers

        fields = SHAPES[self.shape] | ({"num_hidden_layers": n_layers} if n_layers else {})
        self.torch.manual_seed(0)
        with self.torch.device(self.device):
            network = transformers.AutoModelForCausalLM.from_config(transformers.LlamaConfig(**fields), dtype=dtype)
        return network.eval()

    def scorer(self, network: Any = None, **options: Any) -> Any:
        """Return an engine on the network that begins anew."""
        from pytest_pluralism.models.local.scoring import Scorer

        return Scorer(self.network if network is None else network, **options)

    def rows(self, n_questions: int, n_prefixes: int, prefix: int = 400, question: int = 60) -> list[Any]:
        """Return prompts: each question behind each prefix."""
        from pytest_pluralism.models.local.scoring import ScoreRequest

        draw = random.Random(1)
        size = SHAPES[self.shape]["vocab_size"]

        def tokens(count: int) -> tuple[int, ...]:
            return tuple(draw.randrange(10, size) for _ in range(max(2, count // self.scale)))

        prefixes = [tokens(prefix) for _ in range(n_prefixes)]
        questions = [tokens(draw.randrange(question // 2, question)) for _ in range(n_questions)]
        return [ScoreRequest((1, *one, *other), ((3,), (4,), (5,))) for one in prefixes for other in questions]

    def wait(self) -> None:
        """Wait for the device."""
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def timed(self, run: Any) -> float:
        """Return the seconds of a call, when the device is done."""
        self.wait()
        started = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - started

    def peak(self) -> float:
        """Return the floating-point operations a second of a plain matrix product."""
        size = 256 if self.device == "cpu" else 8192
        one = self.torch.randn(size, size, device=self.device, dtype=self.dtype)
        for _ in range(3):
            one @ one
        return 2 * size**3 * 20 / self.timed(lambda: [one @ one for _ in range(20)])


def largest_difference(found: list[Any], expected: list[Any]) -> float:
    """Return the largest difference of an option's log-probability."""
    return max(
        abs(a - b)
        for one, other in zip(found, expected, strict=True)
        for a, b in zip(one.log_probabilities, other.log_probabilities, strict=True)
    )


def part_correctness(bench: Bench) -> dict[str, Any]:
    """Compare bfloat16 with float32, and shared beginnings with whole rows, on four layers of the shape."""
    requests = bench.rows(8, 3)
    exact = bench.scorer(bench.made(bench.torch.float32, 4), batch_size=1, share_prefixes=False).score(requests)
    result: dict[str, Any] = {}
    for name, dtype in (("float32", bench.torch.float32), ("bfloat16", bench.torch.bfloat16)):
        engine = bench.scorer(bench.made(dtype, 4))
        result[f"{name}_shared"] = largest_difference(engine.score(requests), exact)
        result[f"{name}_notes"] = engine.notes
    return result


def part_speed(bench: Bench) -> dict[str, Any]:
    """Time the engine with shared beginnings and without, beside a plain matrix product in the same run."""
    requests = bench.rows(100, 5)
    n_weights = sum(one.numel() for one in bench.network.model.layers.parameters())
    n_head = bench.network.lm_head.weight.numel()
    result: dict[str, Any] = {"prompts": len(requests), "weights": n_weights}
    for name, share in (("shared", True), ("whole", False)):
        some = requests if share else requests[::5]
        engine = bench.scorer(share_prefixes=share)
        engine.score(some[:8])
        before = engine.computed_tokens
        seconds = bench.timed(lambda engine=engine, some=some: engine.score(some))
        tokens, peak = engine.computed_tokens - before, bench.peak()
        result[name] = {
            "seconds": seconds,
            "prompts_a_second": len(some) / seconds,
            "tokens_a_second": tokens / seconds,
            "budget": engine.token_budget,
            "peak_tflops": peak / 1e12,
            "share_of_peak": 2 * (n_weights * tokens + n_head * len(some)) / seconds / peak,
        }
    return result


def part_largest(bench: Bench) -> dict[str, Any]:
    """Find the largest batch of whole rows that fits into one forward."""
    forwards = bench.scorer().forwards
    row = bench.rows(1, 1)[0].token_ids
    fits, rows = 0, 1
    most = 64 if bench.device == "cpu" else 1 << 16
    with bench.torch.inference_mode():
        while rows <= most and time.monotonic() < bench.ends:
            batch = [row] * rows
            if forwards.attempt(lambda batch=batch: forwards.last_logits(batch, None, 0)) is None:
                break
            fits, rows = rows, rows * 2
    return {"rows": fits, "tokens_a_row": len(row), "stopped_by": "memory" if rows <= most else "the script"}


def part_memory(bench: Bench) -> dict[str, Any]:
    """Begin with a budget that cannot fit, and count the answers."""
    requests = bench.rows(64, 4)
    engine = bench.scorer()
    engine.budget.tokens = begun = 1 << (12 if bench.device == "cpu" else 26)
    scores: list[Any] = []
    seconds = bench.timed(lambda: scores.extend(engine.score(requests)))
    return {"answers": len(scores), "asked": len(requests), "budget": [begun, engine.token_budget], "seconds": seconds}


def part_graphs(bench: Bench) -> dict[str, Any]:
    """Time one forward of a fixed shape as it is, and captured as a CUDA graph."""
    torch = bench.torch
    ids = torch.randint(10, SHAPES[bench.shape]["vocab_size"], (8, max(2, 64 // bench.scale)), device=bench.device)
    mask = torch.ones_like(ids)

    def forward() -> Any:
        return bench.network(input_ids=ids, attention_mask=mask, use_cache=False).logits

    with torch.inference_mode():
        for _ in range(3):
            forward()
        eager = min(bench.timed(forward) for _ in range(5))
        if bench.device == "cpu":
            return {"eager_seconds": eager, "graph_seconds": None}
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = forward()
        replayed = min(bench.timed(graph.replay) for _ in range(5))
        return {
            "eager_seconds": eager,
            "graph_seconds": replayed,
            "difference": float((captured.float() - forward().float()).abs().max()),
        }


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Run the parts and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--seconds", type=float, default=450.0, help="no part begins after so many seconds")
    parser.add_argument("--tiny", action="store_true", help="test the script on a CPU")
    parser.add_argument("--json", help="write the lines here too")
    options = parser.parse_args(arguments)
    import torch

    if not options.tiny and not torch.cuda.is_available():
        sys.exit("torch sees no CUDA device. `--tiny` tests the script on a CPU.")
    bench = Bench(options)
    device = torch.cuda.get_device_name() if bench.device == "cuda" else "cpu"
    lines = [{"part": "machine", "device": device, "torch": torch.__version__, "shape": bench.shape}]
    print(json.dumps(lines[0]), flush=True)
    for name in options.part or PARTS:
        if time.monotonic() > bench.ends:
            found: dict[str, Any] = {"left_out": "no time"}
        else:
            started = time.monotonic()
            try:
                found = globals()[f"part_{name}"](bench)
            except Exception as error:  # noqa: BLE001 - the other parts are worth their figures
                found = {"error": f"{type(error).__name__}: {error}"[:300]}
            found["part_seconds"] = round(time.monotonic() - started, 1)
        lines.append({"part": name, **found})
        print(json.dumps(lines[-1]), flush=True)
        if options.json:
            Path(options.json).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return lines


if __name__ == "__main__":
    main()
