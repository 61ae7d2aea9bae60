"""The engine on a GPU, in one prepared script of less than eight minutes: `python benchmarks/gpu.py [--json PATH]`.

A random network of the shape of a 7B model (no file of weights is needed) answers prompts with shared beginnings:

correctness   option log-probabilities in bfloat16 against float32 on the same device, and shared against whole
speed         tokens and prompts a second, and the share of the peak that a plain matrix product reaches in this run
largest       the largest batch of whole rows that fits, found by doubling
memory        with 4 GiB beside the weights, a token budget that is too large is halved until it fits; no answer is lost
graphs        one forward of a fixed shape, as it is and captured as a CUDA graph

Every part writes one JSON line as soon as it is done, or has failed. A part that is not done after `--seconds` in all
is ended, and the script ends a minute later whatever hangs.
`--tiny` runs the same parts on a CPU with a network of a few thousand weights, which tests this script and no speed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Bytes beside the weights that the part on memory leaves.
SPARE = 4 << 30

#: Seconds that the search for the largest batch may take.
SEARCH_SECONDS = 90.0

PARTS = ("correctness", "speed", "largest", "memory", "graphs")

SHAPES = {
    "7b": {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
           "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096},
    "tiny": {"vocab_size": 128, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096},
}  # fmt: skip


class Bench:
    """The network, its device and what is asked of it."""

    def __init__(self, options: argparse.Namespace, ends: float) -> None:
        import torch

        self.torch = torch
        self.shape = "tiny" if options.tiny else "7b"
        self.device = "cpu" if options.tiny else "cuda"
        self.ends = ends
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

    @contextlib.contextmanager
    def little_memory(self) -> Iterator[None]:
        """Leave some gigabytes beside what is held, whatever the device has; on a CPU nothing is bounded."""
        cuda = self.torch.cuda
        if self.device == "cpu":
            yield
            return
        cuda.empty_cache()
        total = cuda.get_device_properties(0).total_memory
        cuda.set_per_process_memory_fraction(min(1.0, (cuda.memory_allocated() + SPARE) / total))
        try:
            yield
        finally:
            cuda.set_per_process_memory_fraction(1.0)

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
    network = bench.made(bench.torch.float32, 4)
    exact = bench.scorer(network, batch_size=1, share_prefixes=False).score(requests)
    result: dict[str, Any] = {}
    for name, dtype in (("float32", bench.torch.float32), ("bfloat16", bench.torch.bfloat16)):
        # The same weights, rounded: another random network would differ by more.
        engine = bench.scorer(network.to(dtype))
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
    fits, rows, stopped_by = 0, 1, "the script"
    most = 64 if bench.device == "cpu" else 1 << 16
    ends = min(bench.ends, time.monotonic() + SEARCH_SECONDS)
    with bench.torch.inference_mode():
        while rows <= most:
            if time.monotonic() > ends:
                stopped_by = "time"
                break
            batch = [row] * rows
            if forwards.attempt(lambda batch=batch: forwards.last_logits(batch, None, 0)) is None:
                stopped_by = "memory"
                break
            fits, rows = rows, rows * 2
    return {"rows": fits, "tokens_a_row": len(row), "stopped_by": stopped_by}


def part_memory(bench: Bench) -> dict[str, Any]:
    """Begin with a budget that cannot fit, count the answers, and compare them with those of small batches."""
    requests = bench.rows(64, 4)
    expected = bench.scorer(batch_size=4, share_prefixes=False).score(requests)
    engine = bench.scorer(share_prefixes=False)
    engine.budget.tokens = begun = 1 << (12 if bench.device == "cpu" else 26)
    scores: list[Any] = []
    with bench.little_memory():
        seconds = bench.timed(lambda: scores.extend(engine.score(requests)))
    return {
        "answers": len(scores),
        "asked": len(requests),
        "budget": [begun, engine.token_budget],
        "difference": largest_difference(scores, expected),
        "seconds": seconds,
    }


def part_graphs(bench: Bench) -> dict[str, Any]:
    """Time one forward of a fixed shape as it is, and captured as a CUDA graph."""
    torch = bench.torch
    ids = torch.randint(10, SHAPES[bench.shape]["vocab_size"], (8, max(2, 64 // bench.scale)), device=bench.device)

    def forward() -> Any:
        # A mask would be looked at, which waits for the device and cannot be captured.
        return bench.network(input_ids=ids, attention_mask=None, use_cache=False).logits

    with torch.inference_mode():
        for _ in range(3):
            forward()
        eager = min(bench.timed(forward) for _ in range(5))
        expected = forward().float()
        if bench.device == "cpu":
            return {"eager_seconds": eager, "graph_seconds": None}
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = forward()
        replayed = min(bench.timed(graph.replay) for _ in range(5))
        return {
            "eager_seconds": eager,
            "graph_seconds": replayed,
            "difference": float((captured.float() - expected).abs().max()),
        }


class Ended(BaseException):
    """A part is not done in time; the engine, which asks again after an exception, does not catch it."""


@contextlib.contextmanager
def ended_at(ends: float) -> Iterator[None]:
    """Raise :class:`Ended` in what is still running at a time."""

    def end(*_: object) -> None:
        raise Ended("it was not done in time")

    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, max(0.001, ends - time.monotonic()))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Run the parts and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--seconds", type=float, default=400.0, help="no part runs on after so many seconds")
    parser.add_argument("--tiny", action="store_true", help="test the script on a CPU")
    parser.add_argument("--json", help="write the lines here too")
    options = parser.parse_args(arguments)
    import torch

    if not options.tiny and not torch.cuda.is_available():
        sys.exit("torch sees no CUDA device. `--tiny` tests the script on a CPU.")
    ends = time.monotonic() + options.seconds
    # A kernel that hangs hears no signal.
    watchdog = threading.Timer(max(0.0, options.seconds) + 60.0, os._exit, [3])
    watchdog.daemon = True
    watchdog.start()
    lines: list[dict[str, Any]] = []

    def tell(line: dict[str, Any]) -> None:
        lines.append(line)
        print(json.dumps(line), flush=True)
        if options.json:
            Path(options.json).write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")

    device = "cpu" if options.tiny else torch.cuda.get_device_name()
    tell({"part": "machine", "device": device, "torch": torch.__version__, "shape": "tiny" if options.tiny else "7b"})
    bench: Bench | None = None
    for name in options.part or PARTS:
        started = time.monotonic()
        if started > ends:
            tell({"part": name, "left_out": "no time"})
            continue
        try:
            with ended_at(ends):
                bench = bench or Bench(options, ends)
                found = globals()[f"part_{name}"](bench)
        except (Exception, Ended) as error:  # noqa: BLE001 - the other parts are worth their figures
            found = {"error": f"{type(error).__name__}: {error}"[:300]}
        tell({"part": name, **found, "part_seconds": round(time.monotonic() - started, 1)})
    watchdog.cancel()
    return lines


if __name__ == "__main__":
    main()
