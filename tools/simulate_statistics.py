"""Measure what the statistics promise: coverage, false alarms, power, and many gates in one run.

    python tools/simulate_statistics.py --out build/statistics            # the full run, minutes on two cores
    python tools/simulate_statistics.py --out build/statistics --quick    # a rough one
    python tools/simulate_statistics.py --out build/statistics --docs docs/explanation    # and into the documentation
    python tools/simulate_statistics.py --only patchy --docs docs/explanation    # some tables alone, the others stay

writes ``statistics.json`` and (with matplotlib) the figures ``coverage.svg`` and ``gate_power.svg``; with ``--docs``
the tables of ``statistics.md`` are made from them. Everything is drawn from one seed, so that the same command gives
the same numbers. Parts that are done are kept in ``OUT/parts``: a run that was interrupted goes on where it stopped, as
long as neither the code that is measured nor the drawing here has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

import pytest_pluralism.core
from pytest_pluralism.core import Gate, Outcome, decide
from pytest_pluralism.core.estimation import (
    compare_paired,
    estimate_mean,
    sampling_error_of_distance,
    widen_for_respondents,
)
from pytest_pluralism.core.records import Estimate

# Found beside this file, also when a test loads it by its path.
sys.path.append(str(Path(__file__).parent))
import simulate_verdicts
import statistics_page

FloatArray = npt.NDArray[np.float64]

SEED = 20260211

#: Scores in [0, 1] as skewed as Jensen-Shannon distances are: name -> the two parameters of a Beta distribution.
SCORES = {
    "mild, Beta(2, 5), skewness 0.6": (2.0, 5.0),
    "left, Beta(5, 2), skewness -0.6": (5.0, 2.0),
    "strong, Beta(1, 9), skewness 1.5": (1.0, 9.0),
    "extreme, Beta(0.7, 6), skewness 1.7": (0.7, 6.0),
}

#: (units, units in a cluster)
SIZES = ((25, 1), (25, 5), (50, 1), (100, 1), (100, 5), (125, 5), (741, 1), (741, 5))

#: How alike the units of a cluster are, on the scale of the normal copula.
LIKENESS = 0.3


def draw_scores(
    generator: np.random.Generator, n_runs: int, clusters: npt.NDArray[np.intp], shape: tuple[float, float]
) -> FloatArray:
    """Draw Beta scores, shape (n_runs, n_units), that are alike within clusters (a normal copula)."""
    n_clusters = int(clusters.max()) + 1
    shared = generator.standard_normal((n_runs, n_clusters))[:, clusters]
    own = generator.standard_normal((n_runs, len(clusters)))
    normal = math.sqrt(LIKENESS) * shared + math.sqrt(1 - LIKENESS) * own
    return np.interp(normal, *_beta_table(*shape))


@cache
def _beta_table(a: float, b: float) -> tuple[FloatArray, FloatArray]:
    """Return Beta quantiles at 40,001 places of the normal distribution: drawing from a table is 50 times faster."""
    places = np.linspace(-6.0, 6.0, 40_001)
    return places, special.betaincinv(a, b, special.ndtr(places))


def cluster_labels(n_units: int, cluster_size: int) -> npt.NDArray[np.intp]:
    """Clusters of the given size; the last one is smaller when the sizes do not divide."""
    return np.arange(n_units, dtype=np.intp) // cluster_size


def coverage(
    n_runs: int, methods: tuple[str, ...] = ("auto", "t", "unclustered t"), names: tuple[str, ...] | None = None
) -> Iterator[dict[str, Any]]:
    """Count how often 95 % intervals hold the true mean, and at which end those of ``auto`` miss it."""
    for name in SCORES if names is None else names:
        shape = SCORES[name]
        truth = shape[0] / (shape[0] + shape[1])
        for n_units, size in SIZES:
            labels = cluster_labels(n_units, size)
            generator = np.random.default_rng([SEED, n_units, size, round(10 * shape[0]), round(10 * shape[1])])
            held = dict.fromkeys(methods, 0)
            width = dict.fromkeys(methods, 0.0)
            low = high = 0
            for scores in draw_scores(generator, n_runs, labels, shape):
                for method in methods:
                    estimate = estimate_mean(
                        scores,
                        clusters=None if method == "unclustered t" or size == 1 else labels,
                        method="t" if method == "unclustered t" else method,
                    )
                    held[method] += estimate.low <= truth <= estimate.high
                    width[method] += estimate.high - estimate.low
                    if method == "auto":
                        low += estimate.high <= truth
                        high += estimate.low > truth
            yield {
                "scores": name,
                "n": n_units,
                "cluster_size": size,
                "n_clusters": int(labels.max()) + 1,
                "n_runs": n_runs,
                "coverage": {method: held[method] / n_runs for method in methods},
                "width": {method: width[method] / n_runs for method in methods},
                "false_decisions": {"too_low": low / n_runs, "too_high": high / n_runs},
            }


def unequal_clusters(n_runs: int) -> Iterator[dict[str, Any]]:
    """Count coverage where the clusters differ in size: fourfold, and tenfold with one large cluster in ten."""
    shape = (2.0, 5.0)
    methods = ("auto", "t")
    for name, sizes_of in (
        ("half 2, half 8", lambda places: np.where(places % 2 == 0, 8, 2)),
        ("nine 2, one 20", lambda places: np.where(places % 10 == 0, 20, 2)),
    ):
        for n_clusters in (10, 30, 100):
            labels = np.repeat(np.arange(n_clusters), sizes_of(np.arange(n_clusters)))
            generator = np.random.default_rng([SEED, 1, n_clusters, len(labels)])
            held = dict.fromkeys(methods, 0)
            for scores in draw_scores(generator, n_runs, labels, shape):
                for method in methods:
                    estimate = estimate_mean(scores, clusters=labels, method=method)
                    held[method] += estimate.low <= 2 / 7 <= estimate.high
            yield {
                "sizes": name,
                "n_clusters": n_clusters,
                "n": len(labels),
                "n_runs": n_runs,
                "coverage": {method: held[method] / n_runs for method in methods},
            }


def bootstrap_coverage(n_runs: int) -> Iterator[dict[str, Any]]:
    """Count coverage of the bootstraps at the sizes where they are in doubt."""
    for name in ("mild, Beta(2, 5), skewness 0.6", "strong, Beta(1, 9), skewness 1.5"):
        shape = SCORES[name]
        truth = shape[0] / (shape[0] + shape[1])
        for n_units, size in ((25, 1), (25, 5), (100, 1)):
            labels = cluster_labels(n_units, size)
            generator = np.random.default_rng([SEED, 2, n_units, size])
            held = {"bca": 0, "bootstrap_t": 0}
            for scores in draw_scores(generator, n_runs, labels, shape):
                for method in held:
                    estimate = estimate_mean(scores, clusters=labels, method=method, n_resamples=999, rng=generator)
                    held[method] += estimate.low <= truth <= estimate.high
            yield {
                "scores": name,
                "n": n_units,
                "cluster_size": size,
                "n_runs": n_runs,
                "coverage": {method: count / n_runs for method, count in held.items()},
            }


def shares(n_runs: int) -> Iterator[dict[str, Any]]:
    """Count coverage of shares' intervals, plain and clustered, and how often each end errs."""
    for truth in (0.5, 0.9, 0.97):
        for n_units, size in ((25, 1), (100, 1), (25, 5), (100, 5), (741, 5)):
            labels = cluster_labels(n_units, size)
            generator = np.random.default_rng([SEED, 3, n_units, size, round(100 * truth)])
            threshold = float(stats.norm.isf(truth))
            held = {"auto": 0, "wilson": 0}
            low = {"auto": 0, "wilson": 0}
            high = {"auto": 0, "wilson": 0}
            shared = generator.standard_normal((n_runs, int(labels.max()) + 1))[:, labels]
            own = generator.standard_normal((n_runs, n_units))
            normal = own if size == 1 else math.sqrt(LIKENESS) * shared + math.sqrt(1 - LIKENESS) * own
            for scores in (normal > threshold).astype(np.float64):
                for method in held:
                    estimate = estimate_mean(scores, clusters=None if size == 1 else labels, method=method)
                    held[method] += estimate.low <= truth <= estimate.high
                    low[method] += estimate.high < truth
                    high[method] += estimate.low > truth
            yield {
                "share": truth,
                "n": n_units,
                "cluster_size": size,
                "n_runs": n_runs,
                "coverage": {method: count / n_runs for method, count in held.items()},
                "false_decisions": {
                    method: {"too_low": low[method] / n_runs, "too_high": high[method] / n_runs} for method in held
                },
            }


def share_gates() -> Iterator[dict[str, Any]]:
    """Sum over all outcomes how often ``at_least=t`` fails, and how often it passes, at a true share of exactly t."""
    for n_units in (10, 25, 50, 100):
        for method in ("auto", "wilson"):
            intervals = [
                estimate_mean([1.0] * n_yes + [0.0] * (n_units - n_yes), method=method) for n_yes in range(n_units + 1)
            ]
            for truth in (0.8, 0.9, 0.95, 0.97):
                chance = stats.binom.pmf(np.arange(n_units + 1), n_units, truth)
                yield {
                    "n": n_units,
                    "method": method,
                    "share": truth,
                    "failed": float(sum(chance[k] for k, one in enumerate(intervals) if one.high < truth)),
                    "passed": float(sum(chance[k] for k, one in enumerate(intervals) if one.low >= truth)),
                }


def two_way(n_runs: int) -> Iterator[dict[str, Any]]:
    """Count coverage of the mean over questions x populations, clustered one way and both ways."""
    for n_questions, n_populations in ((20, 20), (40, 10)):
        question = np.repeat(np.arange(n_questions), n_populations)
        population = np.tile(np.arange(n_populations), n_questions)
        generator = np.random.default_rng([SEED, 4, n_questions, n_populations])
        held = {"question": 0, "population": 0, "both": 0}
        for _ in range(n_runs):
            scores = 0.3 + 0.05 * (
                generator.standard_normal(n_questions)[question]
                + generator.standard_normal(n_populations)[population]
                + generator.standard_normal(len(question))
            )
            for name, keywords in (
                ("question", {"clusters": question}),
                ("population", {"clusters": population}),
                ("both", {"clusters": question, "other_clusters": population}),
            ):
                estimate = estimate_mean(scores, method="t", **keywords)
                held[name] += estimate.low <= 0.3 <= estimate.high
        yield {
            "n_questions": n_questions,
            "n_populations": n_populations,
            "n_runs": n_runs,
            "coverage": {name: count / n_runs for name, count in held.items()},
        }


def respondents(n_runs: int) -> Iterator[dict[str, Any]]:
    """Count how often the interval of a whole set of questions holds the distance to the true population."""
    n_questions, n_options = 25, 4
    for n_asked in (50, 200, 1000):
        generator = np.random.default_rng([SEED, 5, n_asked])
        people = generator.dirichlet(np.full(n_options, 1.5), size=n_questions)
        model = generator.dirichlet(np.full(n_options, 1.5), size=n_questions)
        truth = float(jensen_shannon(model, people).mean())
        held = held_without_bias = 0
        excess = reported = 0.0
        for _ in range(n_runs):
            measured = generator.multinomial(n_asked, people) / n_asked
            sampling = sampling_error_of_distance(
                model, measured, n_asked, distance=jensen_shannon, n_resamples=200, rng=generator
            )
            value = sampling.value
            whole = Estimate(value, value, value, 0.0, n_questions, n_questions, confidence_level=None)
            widened = widen_for_respondents(whole, sampling)
            held += widened.low <= truth <= widened.high
            half = float(stats.norm.ppf(0.975)) * sampling.standard_error
            held_without_bias += value - half <= truth <= value + half
            excess += value - truth
            reported += sampling.bias
        yield {
            "n_respondents": n_asked,
            "n_questions": n_questions,
            "true_distance": truth,
            "n_runs": n_runs,
            "coverage": {"with the bias": held / n_runs, "without": held_without_bias / n_runs},
            "true_bias": excess / n_runs,
            "reported_bias": reported / n_runs,
        }


def jensen_shannon(p: FloatArray, q: FloatArray) -> FloatArray:
    """Compute the base-2 Jensen-Shannon distance independently of the package, over the last axis."""
    middle = (p + q) / 2
    divergence = (special.rel_entr(p, middle) + special.rel_entr(q, middle)).sum(axis=-1) / 2 / math.log(2)
    return np.sqrt(np.maximum(0.0, divergence))


def draw_change(
    generator: np.random.Generator, labels: npt.NDArray[np.intp], shift: float
) -> tuple[FloatArray, FloatArray]:
    """Draw a baseline and a candidate whose scores differ by ``shift`` on average, and by skewed noise a unit."""
    baseline = draw_scores(generator, 1, labels, (2.0, 5.0))[0]
    n_clusters = int(labels.max()) + 1
    noise = generator.gamma(2.0, 1.0, n_clusters)[labels] + generator.gamma(2.0, 1.0, len(labels)) - 4.0
    return baseline + shift + 0.01 * noise, baseline


def paired_gate(n_runs: int, shifts: FloatArray, margin: float = 0.02) -> Iterator[dict[str, Any]]:
    """Count the outcomes of ``max_increase`` by the true change: at a change of the margin each one is an error."""
    gate = Gate(max_increase=margin)
    for n_units, size in ((25, 1), (100, 1), (125, 5)):
        labels = cluster_labels(n_units, size)
        for shift in shifts:
            generator = np.random.default_rng([SEED, 6, n_units, size])
            counts = dict.fromkeys(Outcome, 0)
            for _ in range(n_runs):
                candidate, baseline = draw_change(generator, labels, float(shift))
                change = compare_paired(candidate, baseline, clusters=labels)
                counts[decide(gate, change, change=change).outcome] += 1
            yield {
                "n": n_units,
                "cluster_size": size,
                "margin": margin,
                "true_change": float(shift),
                "n_runs": n_runs,
                "outcomes": {outcome.value: count / n_runs for outcome, count in counts.items()},
            }


def draw_differences(
    generator: np.random.Generator, n_runs: int, labels: npt.NDArray[np.intp], kind: str
) -> tuple[FloatArray, float]:
    """Draw paired differences, shape (n_runs, n_units), and return them with their true mean."""
    if kind.startswith("gamma"):
        shared = generator.gamma(2.0, 1.0, (n_runs, int(labels.max()) + 1))[:, labels]
        own = generator.gamma(2.0, 1.0, (n_runs, len(labels)))
        sign = -1.0 if kind.endswith("left") else 1.0
        return sign * 0.01 * (shared + own - 4.0), 0.0
    if kind.startswith("Beta(1, 9) less"):
        left = draw_scores(generator, n_runs, labels, (1.0, 9.0))
        return left - draw_scores(generator, n_runs, labels, (2.0, 5.0)), 0.1 - 2 / 7
    if kind.startswith("Beta(0.7, 6)"):
        return draw_scores(generator, n_runs, labels, (0.7, 6.0)), 0.7 / 6.7
    # An exponential distribution has twice the skewness of what gates see: beyond the rule's measure.
    return generator.exponential(1.0, (n_runs, len(labels))), 1.0


#: The changes of scores: name -> whether it is drawn in clusters too.
DIFFERENCES = {
    "gamma, skewed to the right, skewness 1.0": True,
    "gamma, skewed to the left": True,
    "Beta(1, 9) less Beta(2, 5)": True,
    "Beta(0.7, 6), skewness 1.7": True,
    "exponential, skewness 2": False,
}


def one_sided(n_runs: int, sizes: tuple[tuple[int, int], ...] = SIZES) -> Iterator[dict[str, Any]]:
    """Count false decisions of gates on change exactly at the bound, by the end that errs.

    ``too_low``: the upper end lies below the truth, so that ``max_increase`` passes falsely and ``max_decrease`` fails
    falsely; ``too_high`` is the other way round. ``width`` is that of the interval in multiples of the t interval's.
    """
    for kind, clustered in DIFFERENCES.items():
        for n_units, size in sizes:
            if size > 1 and not clustered:
                continue
            labels = cluster_labels(n_units, size)
            generator = np.random.default_rng([SEED, 9, n_units, size])
            low = high = 0
            width = 0.0
            draws, truth = draw_differences(generator, n_runs, labels, kind)
            zeros = np.zeros(n_units)
            for differences in draws:
                change = compare_paired(differences, zeros, clusters=None if size == 1 else labels)
                low += change.high <= truth
                high += change.low > truth
                half = float(special.stdtrit(change.n_clusters - 1, 0.975)) * change.standard_error
                width += (change.high - change.low) / (2 * half)
            yield {
                "differences": kind,
                "n": n_units,
                "cluster_size": size,
                "n_clusters": int(labels.max()) + 1,
                "n_runs": n_runs,
                "false_decisions": {"too_low": low / n_runs, "too_high": high / n_runs},
                "width": width / n_runs,
            }


def betting_interval(scores: FloatArray, grid: FloatArray, share: float = 0.5) -> tuple[FloatArray, FloatArray]:
    """Return 95 % hedged betting intervals of bounded means (Waudby-Smith and Ramdas 2024), one for each row."""
    n_runs, n = scores.shape
    log_plus, log_minus = np.zeros((n_runs, len(grid))), np.zeros((n_runs, len(grid)))
    inside = np.ones((n_runs, len(grid)), dtype=bool)
    total, mean, variance = np.full(n_runs, 0.5), np.full(n_runs, 0.5), np.full(n_runs, 0.25)
    squares = np.full(n_runs, 0.25)
    for i in range(n):
        bet = np.sqrt(2 * math.log(2 / 0.05) / (n * variance))[:, None]
        distance = scores[:, i, None] - grid
        log_plus += np.log1p(np.minimum(bet, share / grid) * distance)
        log_minus += np.log1p(-np.minimum(bet, share / (1 - grid)) * distance)
        inside &= np.maximum(log_plus, log_minus) + math.log(0.5) < math.log(1 / 0.05)
        total += scores[:, i]
        mean = total / (i + 2)
        squares += (scores[:, i] - mean) ** 2
        variance = squares / (i + 2)
    step = grid[1] - grid[0]
    # An end lies somewhere between the last place inside and the next one.
    low = grid[inside.argmax(axis=1)] - step
    high = grid[inside.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)] + step
    return np.where(inside.any(axis=1), low, 1.0), np.where(inside.any(axis=1), high, 0.0)


def exact_bounds(n_runs: int) -> Iterator[dict[str, Any]]:
    """Compare with intervals that hold for any bounded scores: how wide they are, and what they would protect from."""
    grid = np.linspace(0.0, 1.0, 402)[1:-1]
    for name in ("strong, Beta(1, 9), skewness 1.5", RARE):
        for n_units in (25, 50, 100):
            generator = np.random.default_rng([SEED, 13, n_units, len(name)])
            if name == RARE:
                scores, truth = draw_rare(generator, n_runs, n_units)
            else:
                scores = draw_scores(generator, n_runs, np.arange(n_units, dtype=np.intp), SCORES[name])
                truth = 0.1
            mean, variance = scores.mean(axis=1), scores.var(axis=1, ddof=1)
            # Maurer and Pontil's empirical Bernstein bound, both sides.
            log = math.log(4 / 0.05)
            half = np.sqrt(2 * variance * log / n_units) + 7 * log / (3 * (n_units - 1))
            ends: dict[str, tuple[FloatArray, FloatArray]] = {
                "betting": betting_interval(scores, grid),
                "Bernstein": (mean - half, mean + half),
            }
            for label, method in (("auto", "auto"), ("of a change", "outer"), ("t", "t")):
                made = [estimate_mean(row, method=method) for row in scores]
                ends[label] = (np.array([one.low for one in made]), np.array([one.high for one in made]))
            yield {
                "scores": name,
                "n": n_units,
                "n_runs": n_runs,
                "coverage": {label: float(np.mean((a <= truth) & (truth <= b))) for label, (a, b) in ends.items()},
                "width": {label: float(np.mean(b - a)) for label, (a, b) in ends.items()},
            }


RARE = "5 % near 0.95, the rest below 0.1"


def draw_rare(generator: np.random.Generator, n_runs: int, n_units: int) -> tuple[FloatArray, float]:
    """Draw scores of which few are very high, and return them with their true mean."""
    rare = generator.random((n_runs, n_units)) < 0.05
    return np.where(rare, 0.9, 0.0) + 0.1 * generator.random((n_runs, n_units)), 0.05 * 0.95 + 0.95 * 0.05


def rare_cases(n_runs: int) -> Iterator[dict[str, Any]]:
    """Count passes of ``max_increase=0.02`` where few units worsen a lot, and coverage where few units score high."""
    gate = Gate(max_increase=0.02)
    for n_units in (12, 25, 50, 100):
        generator = np.random.default_rng([SEED, 11, n_units])
        passed = 0
        for _ in range(n_runs):
            change = compare_paired(0.25 * (generator.random(n_units) < 0.08), np.zeros(n_units))
            passed += decide(gate, change, change=change).outcome is Outcome.PASSED
        yield {"case": "8 % worsen by 0.25", "n": n_units, "n_runs": n_runs, "passed": passed / n_runs}
    for n_units in (25, 50, 100, 200, 400):
        generator = np.random.default_rng([SEED, 12, n_units])
        held = 0
        drawn, truth = draw_rare(generator, n_runs, n_units)
        for scores in drawn:
            estimate = estimate_mean(scores)
            held += estimate.low <= truth <= estimate.high
        yield {"case": RARE, "n": n_units, "n_runs": n_runs, "coverage": held / n_runs}


# --------------------------------------------------------------------------------------------------------- output


def parts_of(n_runs: int) -> dict[str, Callable[[], Iterator[dict[str, Any]]]]:
    """Return what there is to measure; ``n_runs`` is for most tables, the others take a share or a multiple of it."""
    tenth = max(20, n_runs // 10)
    half = n_runs // 2
    # One-sided errors of 2.5 % are known to 0.16 % (one standard error) from 2.5 times 4,000 runs.
    many = n_runs * 5 // 2
    return {
        **{f"coverage {i}": partial(coverage, many, names=(name,)) for i, name in enumerate(SCORES)},
        "one_sided": partial(one_sided, many),
        "paired_gate": partial(paired_gate, half, np.linspace(-0.01, 0.05, 13)),
        "rare_cases": partial(rare_cases, n_runs),
        "unequal_clusters": partial(unequal_clusters, half),
        "shares": partial(shares, half),
        "share_gates": share_gates,
        "two_way": partial(two_way, half),
        "exact_bounds": partial(exact_bounds, half),
        "respondents": partial(respondents, tenth),
        "bootstrap_coverage": partial(bootstrap_coverage, tenth),
        **simulate_verdicts.parts_of(n_runs),
    }


def fingerprint() -> str:
    """Return a hash of the code that is measured and that draws: parts that other code made are not reused."""
    core = Path(pytest_pluralism.core.__file__).parent
    measured = [file.read_text(encoding="utf-8") for file in sorted(core.rglob("*.py"))]
    tools = (Path(__file__), Path(simulate_verdicts.__file__))
    drawing = "".join(
        file.read_text(encoding="utf-8").split("# " + "-" * 20 + "-" * 85 + " output")[0] for file in tools
    )
    return hashlib.sha256("".join([*measured, drawing]).encode()).hexdigest()


def run_part(name: str, n_runs: int, folder: Path) -> tuple[list[dict[str, Any]], float]:
    """Return the rows of a part and the seconds that they took, from its file when the same code made it before."""
    file = folder / f"{name.replace(' ', '_')}.json"
    made_by = {"code": fingerprint(), "n_runs": n_runs, "seed": SEED, "numpy": np.__version__}
    if file.is_file():
        stored = json.loads(file.read_text(encoding="utf-8"))
        if stored["made_by"] == made_by:
            return stored["rows"], 0.0
    started = time.perf_counter()
    rows = list(parts_of(n_runs)[name]())
    folder.mkdir(parents=True, exist_ok=True)
    partial_file = file.with_suffix(".tmp")
    partial_file.write_text(json.dumps({"made_by": made_by, "rows": rows}), encoding="utf-8")
    partial_file.replace(file)
    return rows, time.perf_counter() - started


def simulate(n_runs: int, folder: Path, jobs: int = 2, only: Sequence[str] = ()) -> dict[str, list[dict[str, Any]]]:
    """Run everything that is not done yet, or these parts alone."""
    names = [name for name in parts_of(n_runs) if not only or name.split(" ")[0] in only]
    with ProcessPoolExecutor(jobs) as pool:
        futures = {name: pool.submit(run_part, name, n_runs, folder) for name in names}
        results: dict[str, list[dict[str, Any]]] = {}
        for name, future in futures.items():
            rows, seconds = future.result()
            print(f"\n{name} ({seconds:.1f} s)")
            for row in rows:
                print("  " + "  ".join(_cell(key, value) for key, value in row.items() if key != "width"), flush=True)
            results.setdefault(name.split(" ")[0], []).extend(rows)
    return results


def _cell(key: str, value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(_cell(name, number) for name, number in value.items())
    if isinstance(value, float):
        return f"{key} {value:.4f}"
    return str(value) if isinstance(value, str) else f"{key} {value}"


def main(arguments: list[str] | None = None) -> int:
    """Run the simulation from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/statistics"), help="folder for JSON and figures")
    parser.add_argument("--docs", type=Path, help="folder of statistics.md, whose tables and figures are renewed")
    parser.add_argument(
        "--runs", type=int, default=4000, help="runs a row of most tables; the one-sided ones have more"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        choices=sorted({name.split(" ")[0] for name in parts_of(1)}),
        help="this part alone; with --docs the stored numbers of the others stay",
    )
    parser.add_argument("--quick", action="store_true", help="200 runs a row instead")
    options = parser.parse_args(arguments)
    n_runs = 200 if options.quick else options.runs
    results = simulate(n_runs, options.out / "parts", options.jobs, options.only)
    if options.only and options.docs is not None:
        results = json.loads((options.docs / "statistics.json").read_text(encoding="utf-8"))["results"] | results
    options.out.mkdir(parents=True, exist_ok=True)
    document = {"seed": SEED, "n_runs": n_runs, "numpy": np.__version__, "results": results}
    (options.out / "statistics.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    try:
        if not options.only:
            statistics_page.draw_figures(results, options.out, SIZES)
    except ImportError:
        print("no figures: matplotlib is not installed", file=sys.stderr)
    if options.docs is not None:
        page = options.docs / "statistics.md"
        page.write_text(statistics_page.with_tables(page.read_text(encoding="utf-8"), results), encoding="utf-8")
        shutil.copy(options.out / "statistics.json", options.docs / "statistics.json")
        for name in ("coverage.svg", "gate_power.svg"):
            if (options.out / name).is_file():
                shutil.copy(options.out / name, options.docs / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
