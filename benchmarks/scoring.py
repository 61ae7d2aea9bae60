"""Ways to score closed questions, side by side: `python benchmarks/scoring.py [--part PART ...] [--json PATH]`.

Part `ways`: the questions of `gss` as a gate asks them (five or six repetitions, three examples, options rotated), and
the same number of unrelated questions under five prefixes. ms for each prompt, in one precision after the other:

A  the published loop: `generate(max_new_tokens=3)`, one prompt at a time
B  one forward a prompt, logits of the last position only
C  lm-eval from PyPI, in an environment of its own, its inner loop only (`--lm-eval PYTHON`)
D  batches of prompts of about equal length
E  shared beginnings computed once (what `answer` does)

The ways take turns, so that a busy machine slows all of them alike; the median of the rounds counts.
Beside them stands a plain matrix product of the size of a layer: B and E reach a share of its operations a second of
processor time, which other work on the machine does not change.
The slow ways get some of the prompts, evenly spread.

Part `memory`: the peak of a process that does A, C or E, and nothing else.
Part `growth`: 1, 4 and 16 times the questions; 1, 10 and 100 populations; 1, 4 and 24 orders of the options.
Part `suite`: 40 gates over `gss` in one run of pytest, against its distinct prompts asked directly.
Part `budget`: tokens a second of forwards of growing size, which is what the `auto` batch size measures.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

PARTS = ("ways", "memory", "growth", "suite", "budget", "compile")
PEER = Path(__file__).with_name("lm_eval_peer.py")

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
STEMS = (
    "Thinking of {}, and of all that you have heard and seen of it in the last twelve months, how do you feel?",
    "Some people worry about {} and some do not; taking everything together, where do you stand on it today?",
    "If somebody asked you about {} at a family meal, what would you be most likely to say to them?",
    "Compared with ten years ago, and leaving aside what others may think, how content are you with {} now?",
)
OPTIONS = ("Very satisfied", "Somewhat satisfied", "Not too satisfied", "Not at all satisfied", "Don't know or refused")
EXAMPLES = (
    ("Did you vote in the last national election, or did something keep you from voting?", OPTIONS[:3]),
    ("Which social class would you say that you belong to, as far as you can tell?", OPTIONS[:4]),
    ("Who cleans the house where you live, most of the time, on an ordinary day?", OPTIONS),
)


# ------------------------------------------------------------------------------------------------------------ prompts


def posed(question: str, options: Sequence[str]) -> str:
    lines = " ".join(f"{letter}. {option}" for letter, option in zip("ABCDE", options, strict=False))
    return f"{question} {lines} \n Answer Choice:"


def unrelated(n_questions: int, n_prefixes: int, orders: Sequence[Sequence[str]] = (OPTIONS,)) -> list[Any]:
    """Return questions x prefixes x orders; the questions start differently, the prefixes differ in their letters."""
    from pytest_pluralism.core.records import Prompt

    draw = random.Random(0)
    prefixes = [
        " ".join(
            posed(question, options) + draw.choice("ABCDE"[: len(options)]) + ".\n\n" for question, options in EXAMPLES
        )
        for _ in range(n_prefixes)
    ]
    questions = [stem.format(topic) for stem in STEMS for topic in TOPICS][:n_questions]
    return [
        Prompt(asked := posed(question, order), tuple("ABCDE"[: len(order)]), verbatim=f"{prefix} {asked}")
        for question in questions
        for prefix in prefixes
        for order in orders
    ]


def of_gss() -> list[Any]:
    """Return the prompts that a gate over `gss` asks."""
    from pytest_pluralism.datasets import load_survey
    from pytest_pluralism.evaluation.surveys.asking import AskSettings, requests

    return list(dict.fromkeys(requests(load_survey("gss"), AskSettings()).prompts))


def spread(values: Sequence[Any], n: int) -> list[int]:
    """Return the places of ``n`` of the values, evenly spread."""
    n = min(n, len(values))
    return [place * len(values) // n for place in range(n)]


# --------------------------------------------------------------------------------------------------------------- ways


class LmEval:
    """lm-eval in a process of its own."""

    def __init__(self, python: str, folder: Path, dtype: str, batch_size: int, threads: int) -> None:
        words = [python, str(PEER), str(folder), dtype, str(batch_size), str(threads)]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        self.ready = self._read()

    def _read(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"lm-eval ended with exit status {self.process.wait()}")
        return json.loads(line)

    def score(self, asked: list[tuple[list[int], list[int]]]) -> dict[str, Any]:
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def folder_of(spec: str) -> Path:
    """Return the folder that a model is loaded from."""
    from pytest_pluralism.models.local.files import described_folder
    from pytest_pluralism.models.specification import parse_model_spec

    return described_folder(parse_model_spec(spec), trust_remote_code=False, allow_pickle=False).folder


class Bench:
    """One model with prompts as rows of tokens, and the ways to score them."""

    def __init__(self, model: Any, prompts: Sequence[Any]) -> None:
        self.model = model
        self.network = model.scorer.model
        self.rows = [model.token_ids(prompt) for prompt in prompts]
        self.labels = [model.reader.label_tokens(prompt.labels) for prompt in prompts]

    def read(self, logits: Any, place: int) -> list[float]:
        """Return the probability of each label: the sum over its spellings."""
        import torch

        logits = logits.float()
        total = torch.logsumexp(logits, dim=-1)
        return [float((torch.logsumexp(logits[list(ids)], 0) - total).exp()) for ids in self.labels[place]]

    def published(self, places: Sequence[int]) -> list[list[float]]:
        import torch

        found = []
        for place in places:
            row = self.rows[place]
            out = self.network.generate(
                torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.long), max_new_tokens=3,
                min_new_tokens=3, do_sample=False, output_scores=True, return_dict_in_generate=True, pad_token_id=0,
            )  # fmt: skip
            found.append(self.read(out.scores[0][0], place))
        return found

    def single(self, places: Sequence[int]) -> list[list[float]]:
        import torch

        return [
            self.read(self.network(torch.tensor([self.rows[place]]), logits_to_keep=1).logits[0, -1], place)
            for place in places
        ]

    def engine(self, places: Sequence[int], share: bool) -> list[list[float]]:
        from pytest_pluralism.models.local.scoring import Scorer, ScoreRequest

        scorer = Scorer(self.network, share_prefixes=share)
        scores = scorer.score([ScoreRequest(self.rows[place], self.labels[place]) for place in places])
        self.computed = scorer.computed_tokens
        return [[math.exp(value) for value in score.log_probabilities] for score in scores]

    def spelled(self, place: int) -> list[int]:
        """Return one token for each label, the likeliest spelling by the first answer's kind: with a space."""
        reader = self.model.reader
        spaced = [[token for token in ids if reader.decode(token).startswith(" ")] for ids in self.labels[place]]
        return [ids[0] if ids else self.labels[place][number][0] for number, ids in enumerate(spaced)]


def part_ways(options: argparse.Namespace) -> list[dict[str, Any]]:
    return [
        ways(options, dtype, name, prompts)
        for dtype in options.dtypes
        for name, prompts in (("gss", of_gss()), ("unrelated", unrelated(20, 5)))
        if name in options.prompts
    ]


def ways(options: argparse.Namespace, dtype: str, name: str, prompts: list[Any]) -> dict[str, Any]:
    import torch

    from pytest_pluralism.models import load_model

    model = load_model(options.model, dtype=dtype)
    bench = Bench(model, prompts)
    few, some, every = (spread(prompts, n) for n in (options.slow_prompts, options.batched_prompts, len(prompts)))
    peer = None
    if options.lm_eval:
        peer = LmEval(options.lm_eval, folder_of(options.model), dtype, 8, torch.get_num_threads())
    seconds: dict[str, list[float]] = {}
    answers: dict[str, dict[int, list[float]]] = {}
    spelled = {place: bench.spelled(place) for place in some}
    peaks: list[float] = []
    number = 0

    busy: dict[str, list[float]] = {}

    def timed(way: str, places: Sequence[int], run: Callable[[Sequence[int]], list[list[float]]]) -> None:
        started, of_process = time.perf_counter(), time.process_time()
        found = run(places)
        took, worked = time.perf_counter() - started, time.process_time() - of_process
        if number:
            busy.setdefault(way, []).append(worked / len(places))
        answers[way] = dict(zip(places, found, strict=True))
        keep(way, took / len(places))

    def keep(way: str, value: float) -> None:
        # The first round warms up.
        if number:
            seconds.setdefault(way, []).append(value)
        print(f"{dtype} {name} round {number}: {way} {1000 * value:.0f} ms", file=sys.stderr, flush=True)

    with torch.inference_mode():
        for now in range(options.rounds + 1):
            number = now
            timed("A generate(3), batch 1", few, bench.published)
            timed("B one forward, batch 1", few, bench.single)
            if peer is not None:
                reply = peer.score([(list(bench.rows[place]), spelled[place]) for place in some])
                answers["C lm-eval, batch 8"] = {
                    place: [math.exp(value) for value in values]
                    for place, values in zip(some, reply["log_probabilities"], strict=True)
                }
                keep("C lm-eval, batch 8", reply["seconds"] / len(some))
            timed("D sorted batches", some, lambda places: bench.engine(places, share=False))
            timed("E shared beginnings", every, lambda places: bench.engine(places, share=True))
            peaks.append(peak_of(bench.network))
        # Every prompt by itself, untimed: what the others are held against.
        exact = dict(zip(few, bench.single(few), strict=True))
        one_spelling = {place: _of_tokens(bench, place, spelled[place]) for place in some[:8]}
    table = {}
    for way, values in seconds.items():
        reference = one_spelling if way.startswith("C") else exact
        both = [place for place in reference if place in answers[way]]
        table[way] = {
            "ms_per_prompt": 1000 * statistics.median(values),
            "all_ms": [1000 * value for value in values],
            "prompts": len(answers[way]),
            "mean_tokens": statistics.mean(len(bench.rows[place]) for place in answers[way]),
            "compared": len(both),
            "largest_difference_from_B": max(
                abs(a - b) for place in both for a, b in zip(answers[way][place], reference[place], strict=True)
            ),
        }
    fastest = table["E shared beginnings"]["ms_per_prompt"]
    for way, row in table.items():
        row["times_slower_than_E"] = row["ms_per_prompt"] / fastest
        if way in busy:
            row["cpu_ms_per_prompt"] = 1000 * statistics.median(busy[way])
    tokens_of = {
        "B one forward, batch 1": table["B one forward, batch 1"]["mean_tokens"],
        "E shared beginnings": bench.computed / len(prompts),
    }
    for way, tokens in tokens_of.items():
        # The first round warms up here too.
        seconds_a_prompt = table[way]["cpu_ms_per_prompt"] / 1000
        table[way]["share_of_peak"] = operations(bench.network, tokens) / seconds_a_prompt / max(peaks[1:])
    result = {
        "part": "ways",
        "model": model.identity.name,
        "dtype": dtype,
        "device": model.identity.device,
        "prompts": name,
        "n_prompts": len(prompts),
        "tokens": sum(map(len, bench.rows)),
        "tokens_computed_by_E": bench.computed,
        "gflops_of_a_matrix_product": max(peaks[1:]) / 1e9,
        "ways": table,
        "lm_eval": None if peer is None else peer.ready["versions"],
    }
    if peer is not None:
        peer.close()
    model.close()
    print(f"{result['model']} {dtype} {result['device']}, {len(prompts)} prompts ({name}), {result['tokens']} tokens, "
          f"of which E computes {bench.computed}")  # fmt: skip
    for way, row in table.items():
        share = f"   {100 * row['share_of_peak']:.0f} % of the peak" if "share_of_peak" in row else ""
        cpu = f" ({row['cpu_ms_per_prompt']:.0f} of the processor)" if "cpu_ms_per_prompt" in row else ""
        print(f"  {way:24} {row['ms_per_prompt']:8.1f} ms a prompt{cpu}   {row['times_slower_than_E']:5.1f} x E{share}")
        print(f"  {'':24} difference {row['largest_difference_from_B']:.1e} on {row['compared']} prompts")
    return result


def operations(network: Any, tokens: float) -> float:
    """Return the operations of the matrix products of one prompt, of which so many tokens are computed."""
    import torch

    head = network.get_output_embeddings()
    layers = [one for one in network.modules() if isinstance(one, torch.nn.Linear) and one is not head]
    return 2.0 * (tokens * sum(one.weight.numel() for one in layers) + head.weight.numel())


def peak_of(network: Any) -> float:
    """Return the most operations a second of processor time of a matrix product of the size of a layer.

    It is computed as torch does it by itself, and as the engine does; the better one counts.
    """
    import torch

    from pytest_pluralism.models.local.products import quick_products

    head = network.get_output_embeddings()
    layer = max((one for one in network.modules() if isinstance(one, torch.nn.Linear) and one is not head),
                key=lambda one: one.weight.numel())  # fmt: skip
    rows = torch.randn(512, layer.weight.shape[1], dtype=layer.weight.dtype, device=layer.weight.device)
    times = []
    for number in range(16):
        with quick_products(layer) if number % 2 else contextlib.nullcontext():
            started = time.process_time()
            for _ in range(4):
                layer(rows)
            times.append((time.process_time() - started) / 4)
    return 2.0 * len(rows) * layer.weight.numel() / min(times)


def _of_tokens(bench: Bench, place: int, tokens: Sequence[int]) -> list[float]:
    import torch

    logits = bench.network(torch.tensor([bench.rows[place]]), logits_to_keep=1).logits[0, -1].float()
    return torch.log_softmax(logits, -1)[list(tokens)].exp().tolist()


# ------------------------------------------------------------------------------------------------------------- memory


def peak_mib() -> float:
    """Return the highest resident memory of this process so far."""
    import resource

    # Kilobytes on Linux, bytes on a Mac.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


def one_process(options: argparse.Namespace) -> None:
    """Do one way, and print what it took."""
    import torch

    from pytest_pluralism.models import load_model

    model = load_model(options.model, dtype=options.dtypes[0])
    loaded = peak_mib()
    bench = Bench(model, of_gss())
    with torch.inference_mode():
        if options.alone == "A":
            bench.published(spread(bench.rows, options.slow_prompts))
        else:
            bench.engine(range(len(bench.rows)), share=True)
    print(json.dumps({"loaded_mib": loaded, "peak_mib": peak_mib()}))


def part_memory(options: argparse.Namespace) -> list[dict[str, Any]]:
    import torch

    from pytest_pluralism.models import load_model

    results = []
    for dtype in options.dtypes:
        model = load_model(options.model, dtype=dtype)
        bench = Bench(model, of_gss())
        some = spread(bench.rows, options.batched_prompts)
        asked = [(list(bench.rows[place]), bench.spelled(place)) for place in some]
        model.close()
        peaks: dict[str, dict[str, float]] = {}
        for way in ("A", "E"):
            words = [sys.executable, __file__, "--alone", way, "--model", options.model, "--dtypes", dtype]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            peaks[way] = json.loads(done.stdout.splitlines()[-1])
        if options.lm_eval:
            peer = LmEval(options.lm_eval, folder_of(options.model), dtype, 8, torch.get_num_threads())
            reply = peer.score(asked)
            peaks["C 8"] = {"loaded_mib": peer.ready["resident_mib"], "peak_mib": reply["peak_mib"]}
            peer.close()
        share = peaks["E"]["peak_mib"] / peaks["C 8"]["peak_mib"] if options.lm_eval else None
        above = {way: one["peak_mib"] - one["loaded_mib"] for way, one in peaks.items()}
        results.append({"part": "memory", "dtype": dtype, "peaks": peaks, "above_loaded_mib": above, "E_of_C_8": share})
        print(f"peak memory, {dtype}: " + ", ".join(f"{way} {one['peak_mib']:.0f} MiB (loaded {one['loaded_mib']:.0f})"
                                                    for way, one in peaks.items()))  # fmt: skip
        if share is not None:
            print(f"  E needs {share:.2f} of C at batch 8")
    return results


# ------------------------------------------------------------------------------------------------------------- growth


def part_growth(options: argparse.Namespace) -> list[dict[str, Any]]:
    import torch

    from pytest_pluralism.evaluation.asking.engine import Engine
    from pytest_pluralism.evaluation.surveys.asking import AskSettings
    from pytest_pluralism.evaluation.surveys.distance import DistributionalEvaluation
    from pytest_pluralism.models import load_model
    from pytest_pluralism.models.local.scoring import Scorer, ScoreRequest

    model = load_model(options.model, dtype=options.dtypes[0])
    survey = _many_populations(100)

    def score(prompts: list[Any]) -> tuple[int, int]:
        bench = Bench(model, prompts)
        scorer = Scorer(bench.network)
        scorer.score([ScoreRequest(row, labels) for row, labels in zip(bench.rows, bench.labels, strict=True)])
        return scorer.computed_tokens, len(prompts)

    def evaluate(n_populations: int) -> tuple[int, int]:
        engine = Engine(store=lambda: None, note=print, progress=lambda _: contextlib.nullcontext())
        chosen = survey.populations[:n_populations]
        evaluations = [DistributionalEvaluation(survey, AskSettings(), population=name) for name in chosen]
        before = model.scorer.computed_tokens
        engine.gather(evaluations, lambda _role: model)
        for evaluation in evaluations:
            engine.measure(evaluation, lambda _role: model)
        return model.scorer.computed_tokens - before, engine.asked

    orders = list(itertools.permutations(OPTIONS[:4]))
    cases: dict[str, dict[int, Callable[[], tuple[int, int]]]] = {
        "questions": {n: (lambda n=n: score(unrelated(4 * n, 5))) for n in (1, 4, 16)},
        "populations": {n: (lambda n=n: evaluate(n)) for n in (1, 10, 100)},
        "orders": {n: (lambda n=n: score(unrelated(8, 1, orders[:n]))) for n in (1, 4, 24)},
    }
    results = []
    with torch.inference_mode():
        score(unrelated(2, 2))
        seconds: dict[tuple[str, int], list[float]] = {}
        counts: dict[tuple[str, int], tuple[int, int]] = {}
        for number in range(options.rounds):
            for what, sizes in cases.items():
                for n, run in sizes.items():
                    started = time.perf_counter()
                    counts[what, n] = run()
                    seconds.setdefault((what, n), []).append(time.perf_counter() - started)
                    print(f"round {number + 1}: {n} {what} {seconds[what, n][-1]:.1f} s", file=sys.stderr, flush=True)
    for what, sizes in cases.items():
        rows = {
            str(n): {
                "seconds": statistics.median(seconds[what, n]),
                "all_seconds": seconds[what, n],
                "tokens_computed": counts[what, n][0],
                "prompts": counts[what, n][1],
            }
            for n in sizes
        }
        results.append({"part": "growth", "what": what, "rows": rows, "model": model.identity.name})
        print(f"{what}: " + "; ".join(f"{n} x: {row['prompts']} prompts, {row['tokens_computed']} tokens, "
                                      f"{row['seconds']:.1f} s" for n, row in rows.items()))  # fmt: skip
    model.close()
    return results


def _many_populations(n: int) -> Any:
    """Return the questions of `gss`, as if so many populations had answered them."""
    import dataclasses

    import numpy as np

    from pytest_pluralism.datasets import load_survey

    survey = load_survey("gss")
    draw = np.random.default_rng(0)
    template = survey.distributions[0]
    rows = [
        dataclasses.replace(
            template,
            question_id=question.question_id,
            population=f"group {number}",
            probabilities=tuple(draw.dirichlet(np.ones(len(question.options))).tolist()),
        )
        for number in range(n)
        for question in survey.questions
    ]
    return dataclasses.replace(survey, distributions=tuple(rows), default_population="group 0")


# -------------------------------------------------------------------------------------------------------------- suite

CONFTEST = """
import json
import os
import time

import pytest

from pytest_pluralism.models.local import scoring

record = {"tokens": 0, "model_seconds": 0.0, "calls": 0, "rows": 0}
real = scoring.Scorer.score


def timed(self, requests, **keywords):
    before, started = self.computed_tokens, time.perf_counter()
    try:
        return real(self, requests, **keywords)
    finally:
        record["tokens"] += self.computed_tokens - before
        record["model_seconds"] += time.perf_counter() - started
        record["rows"] += len(requests)
        record["calls"] += 1


scoring.Scorer.score = timed


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session):
    started = time.perf_counter()
    result = yield
    record["run_seconds"] = time.perf_counter() - started
    return result


def pytest_sessionfinish(session, exitstatus):
    record["exit_status"] = int(exitstatus)
    with open(os.environ["BENCH_OUT"], "w", encoding="utf-8") as stream:
        json.dump(record, stream)
"""


def _suite(populations: Sequence[str]) -> Iterator[str]:
    """Yield the text of 40 gates: every population, with the promises and settings that a release gate has."""
    yield "import pytest\n"
    bounds = ("at_most=1.0", "at_most=0.999", "at_most=0.998, confidence_level=0.9")
    for number, (bound, name) in enumerate(itertools.islice(itertools.product(bounds, populations), 40)):
        yield f'@pytest.mark.js_distance("gss", population={name!r}, {bound})\ndef test_{number}(): ...\n'


def part_suite(options: argparse.Namespace) -> list[dict[str, Any]]:
    from pytest_pluralism.datasets import load_survey
    from pytest_pluralism.models import load_model

    populations = load_survey("gss").populations
    runs: list[dict[str, Any]] = []
    direct: list[float] = []
    prompts = of_gss()
    model = load_model(options.model, dtype=options.dtypes[0])
    model.answer(prompts[:4])
    tokens = 0
    for number in range(options.rounds):
        before, started = model.scorer.computed_tokens, time.perf_counter()
        model.answer(prompts)
        direct.append(time.perf_counter() - started)
        tokens = model.scorer.computed_tokens - before
        print(f"round {number + 1}: direct {direct[-1]:.1f} s", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            (place / "conftest.py").write_text(CONFTEST, encoding="utf-8")
            (place / "test_suite.py").write_text("\n".join(_suite(populations)), encoding="utf-8")
            (place / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
            words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(place / "pytest.ini"),
                     f"--rootdir={place}", f"--pluralism-model={options.model}", "--pluralism-answers=off",
                     f"--pluralism-dtype={options.dtypes[0]}", str(place)]  # fmt: skip
            environment = {**os.environ, "BENCH_OUT": str(place / "out.json")}
            started = time.perf_counter()
            done = subprocess.run(words, check=False, capture_output=True, text=True, env=environment, cwd=place)
            whole = time.perf_counter() - started
            if done.returncode != 0:
                raise SystemExit(done.stdout[-3000:])
            runs.append(json.loads((place / "out.json").read_text(encoding="utf-8")) | {"process_seconds": whole})
        print(f"round {number + 1}: suite {runs[-1]}", file=sys.stderr, flush=True)
    model.close()
    medians = {key: statistics.median(run[key] for run in runs)
               for key in ("tokens", "model_seconds", "run_seconds", "process_seconds")}  # fmt: skip
    result = {
        "part": "suite",
        "model": options.model,
        "gates": 40,
        "distinct_prompts": len(prompts),
        "direct": {"tokens": tokens, "seconds": statistics.median(direct), "all_seconds": direct},
        "suite": medians,
        "all": runs,
        "tokens_ratio": medians["tokens"] / tokens,
        "model_seconds_ratio": medians["model_seconds"] / statistics.median(direct),
    }
    print(f"40 gates: {medians['tokens']:.0f} tokens in {medians['model_seconds']:.1f} s of the model "
          f"({medians['run_seconds']:.1f} s with loading and judging); its {len(prompts)} distinct prompts directly: "
          f"{tokens} tokens in {result['direct']['seconds']:.1f} s; "
          f"{result['tokens_ratio']:.2f} x the tokens, {result['model_seconds_ratio']:.2f} x the time")  # fmt: skip
    return [result]


# ------------------------------------------------------------------------------------------------------------- budget


def part_budget(options: argparse.Namespace) -> list[dict[str, Any]]:
    import torch

    from pytest_pluralism.models import load_model
    from pytest_pluralism.models.local.scoring import Scorer

    results = []
    for dtype in options.dtypes:
        model = load_model(options.model, dtype=dtype)
        scorer = Scorer(model.scorer.model)
        row = model.token_ids(of_gss()[0])
        rates: dict[int, list[float]] = {}
        sizes = [64, 128, 256, 512, 1024, 2048, 4096]
        with torch.inference_mode():
            for number in range(options.rounds + 1):
                for size in sizes:
                    batch = [row[-32:]] * (size // 32)
                    started = time.perf_counter()
                    scorer.forwards.last_logits(batch, None, 0)
                    if number:
                        rates.setdefault(size, []).append(size / (time.perf_counter() - started))
        medians = {size: statistics.median(values) for size, values in rates.items()}
        results.append({"part": "budget", "dtype": dtype, "tokens_per_second": medians})
        print(f"rows of 32 tokens, {dtype}: " + ", ".join(f"{n} at once: {rate:.0f} tokens/s"
                                                          for n, rate in medians.items()))  # fmt: skip
        model.close()
    return results


# ------------------------------------------------------------------------------------------------------------ compile


def part_compile(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Ask a model as it is and compiled, in turn; the processor time counts, the wall time is told."""
    from pytest_pluralism.models import load_model

    prompts = of_gss()[:75]
    models = {name: load_model(options.model, compiled=name == "compiled") for name in ("eager", "compiled")}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    answers = {}
    for number in range(options.rounds + 1):
        for name, model in models.items():
            cpu, wall = time.process_time(), time.perf_counter()
            answers[name] = model.answer(prompts)
            seconds = time.process_time() - cpu, time.perf_counter() - wall
            print(f"{name} round {number}: {seconds[0]:.1f} s of processor time, {seconds[1]:.1f} s", flush=True)
            if number:
                taken[name].append(seconds)
    pairs = zip(answers["eager"], answers["compiled"], strict=True)
    difference = max(
        abs(one - other) for a, b in pairs for one, other in zip(a.log_probabilities, b.log_probabilities, strict=True)
    )
    print(f"largest difference of a log-probability: {difference:.1e}")
    return [
        {
            "part": "compile",
            "model": options.model.partition(":")[2],
            "prompts": len(prompts),
            "largest_difference": difference,
            **{f"{name}_seconds": [round(cpu, 2) for cpu, _ in rows] for name, rows in taken.items()},
        }
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be given several times")
    parser.add_argument("--model", default="embedded:gemma-3-270m")
    parser.add_argument("--dtypes", nargs="+", default=["float32"], help="float32 bfloat16")
    parser.add_argument("--prompts", nargs="+", default=["gss", "unrelated"])
    parser.add_argument("--lm-eval", metavar="PYTHON", help="the interpreter of an environment with lm-eval")
    parser.add_argument("--slow-prompts", type=int, default=8, help="prompts for the ways that take them one by one")
    parser.add_argument("--batched-prompts", type=int, default=24, help="prompts for ways C and D")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="write the figures here")
    parser.add_argument("--alone", choices=["A", "E"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        one_process(options)
        return
    import torch
    import transformers

    chosen = options.part or [part for part in PARTS if part not in {"budget", "compile"}]
    report = {
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        "load_average_before": os.getloadavg()[0],
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "results": [result for part in chosen for result in globals()[f"part_{part}"](options)],
    }
    report["load_average_after"] = os.getloadavg()[0]
    print(f"{report['threads']} threads, load average {report['load_average_before']:.1f} before, "
          f"{report['load_average_after']:.1f} after")  # fmt: skip
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1), encoding="utf-8")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
