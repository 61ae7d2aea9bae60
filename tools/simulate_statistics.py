"""Measure what the statistics promise: coverage, false alarms, power, and many gates in one run.

    python tools/simulate_statistics.py --out build/statistics            # the full run, a few minutes on one core
    python tools/simulate_statistics.py --out build/statistics --quick    # a rough one, seconds

prints tables, and writes ``statistics.json`` and (with matplotlib) the figures ``coverage.svg`` and ``gate_power.svg``.
Everything is drawn from one seed, so that the same command gives the same numbers.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from pytest_pluralism.core import Gate, Outcome, decide
from pytest_pluralism.core.estimation import (
    compare_paired,
    estimate_mean,
    holm,
    sampling_error_of_distance,
    sign_flip,
    widen_for_respondents,
)
from pytest_pluralism.core.records import Estimate
from pytest_pluralism.core.verdict import failure_p_value

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
SIZES = ((25, 1), (25, 5), (100, 1), (100, 5), (741, 1), (741, 5))

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
    scores: FloatArray = special.betaincinv(*shape, special.ndtr(normal))
    return scores


def cluster_labels(n_units: int, cluster_size: int) -> npt.NDArray[np.intp]:
    """Clusters of the given size; the last one is smaller when the sizes do not divide."""
    return np.arange(n_units, dtype=np.intp) // cluster_size


def coverage(n_runs: int, methods: tuple[str, ...] = ("auto", "t", "unclustered t")) -> Iterator[dict[str, Any]]:
    """Count how often 95 % intervals hold the true mean."""
    for name, shape in SCORES.items():
        truth = shape[0] / (shape[0] + shape[1])
        for n_units, size in SIZES:
            labels = cluster_labels(n_units, size)
            generator = np.random.default_rng([SEED, n_units, size, round(10 * shape[0]), round(10 * shape[1])])
            held = dict.fromkeys(methods, 0)
            width = dict.fromkeys(methods, 0.0)
            for scores in draw_scores(generator, n_runs, labels, shape):
                for method in methods:
                    estimate = estimate_mean(
                        scores,
                        clusters=None if method == "unclustered t" or size == 1 else labels,
                        method="t" if method == "unclustered t" else method,
                    )
                    held[method] += estimate.low <= truth <= estimate.high
                    width[method] += estimate.high - estimate.low
            yield {
                "scores": name,
                "n": n_units,
                "cluster_size": size,
                "n_clusters": int(labels.max()) + 1,
                "n_runs": n_runs,
                "coverage": {method: held[method] / n_runs for method in methods},
                "width": {method: width[method] / n_runs for method in methods},
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
    """Count coverage of Wilson's interval, plain and clustered."""
    for truth in (0.5, 0.9, 0.97):
        for n_units, size in ((25, 1), (100, 1), (100, 5), (741, 5)):
            labels = cluster_labels(n_units, size)
            generator = np.random.default_rng([SEED, 3, n_units, size, round(100 * truth)])
            threshold = float(stats.norm.isf(truth))
            held = 0
            shared = generator.standard_normal((n_runs, int(labels.max()) + 1))[:, labels]
            own = generator.standard_normal((n_runs, n_units))
            normal = own if size == 1 else math.sqrt(LIKENESS) * shared + math.sqrt(1 - LIKENESS) * own
            for scores in (normal > threshold).astype(np.float64):
                estimate = estimate_mean(scores, clusters=None if size == 1 else labels)
                held += estimate.low <= truth <= estimate.high
            yield {
                "share": truth,
                "n": n_units,
                "cluster_size": size,
                "n_runs": n_runs,
                "coverage": {"auto": held / n_runs},
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
    for n_units, size in ((25, 1), (100, 1), (100, 5)):
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


def one_sided(n_runs: int) -> Iterator[dict[str, Any]]:
    """Count false decisions exactly at the bound by the end that errs, for gates on change and on the value.

    ``too_low``: the upper end lies below the truth, so that ``at_most`` or ``max_increase`` passes falsely and
    ``at_least`` or ``max_decrease`` fails falsely; ``too_high`` is the other way round.
    """
    for n_units, size in ((25, 1), (25, 5), (100, 1), (100, 5)):
        labels = cluster_labels(n_units, size)
        for skew, sign in (("right", 1.0), ("left", -1.0)):
            generator = np.random.default_rng([SEED, 9, n_units, size])
            low = high = 0
            for _ in range(n_runs):
                own = generator.gamma(2.0, 1.0, int(labels.max()) + 1)[labels] + generator.gamma(2.0, 1.0, n_units)
                change = compare_paired(0.02 + sign * 0.01 * (own - 4.0), np.zeros(n_units), clusters=labels)
                low += change.high <= 0.02
                high += change.low > 0.02
            yield _one_sided_row("change", f"skewed to the {skew}", n_units, size, n_runs, low, high)
    for name, shape in SCORES.items():
        truth = shape[0] / (shape[0] + shape[1])
        for n_units, size in ((25, 1), (25, 5), (100, 1), (100, 5)):
            labels = cluster_labels(n_units, size)
            generator = np.random.default_rng([SEED, 10, n_units, size, round(10 * shape[0])])
            low = high = 0
            for scores in draw_scores(generator, n_runs, labels, shape):
                estimate = estimate_mean(scores, clusters=labels)
                low += estimate.high <= truth
                high += estimate.low > truth
            yield _one_sided_row("value", name, n_units, size, n_runs, low, high)


def _one_sided_row(what: str, scores: str, n_units: int, size: int, n_runs: int, low: int, high: int) -> dict[str, Any]:
    return {
        "what": what,
        "scores": scores,
        "n": n_units,
        "cluster_size": size,
        "n_runs": n_runs,
        "false_decisions": {"too_low": low / n_runs, "too_high": high / n_runs},
    }


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
        for _ in range(n_runs):
            rare = generator.random(n_units) < 0.05
            scores = np.where(rare, 0.9, 0.0) + 0.1 * generator.random(n_units)
            estimate = estimate_mean(scores)
            held += estimate.low <= 0.05 * 0.95 + 0.95 * 0.05 <= estimate.high
        yield {"case": "5 % near 0.95, the rest below 0.1", "n": n_units, "n_runs": n_runs, "coverage": held / n_runs}


def exact_test(n_runs: int) -> Iterator[dict[str, Any]]:
    """Count false alarms of the sign-flip test of no change, with few clusters."""
    for n_clusters in (6, 10, 16):
        generator = np.random.default_rng([SEED, 7, n_clusters])
        alarms = {"symmetric": 0, "skewed": 0}
        for _ in range(n_runs):
            symmetric = generator.standard_normal(n_clusters)
            skewed = generator.gamma(2.0, 1.0, n_clusters) - 2.0
            alarms["symmetric"] += sign_flip(symmetric, alternative="greater").p_value <= 0.05
            alarms["skewed"] += sign_flip(skewed, alternative="greater").p_value <= 0.05
        yield {
            "n_clusters": n_clusters,
            "n_runs": n_runs,
            "false_alarms_at_5_percent": {name: count / n_runs for name, count in alarms.items()},
        }


def many_gates(n_runs: int, n_gates: int = 20) -> Iterator[dict[str, Any]]:
    """Count runs with any false FAILED among gates whose promises all hold, each just so."""
    for name, shared, sign in (
        ("independent", 0.0, 0.0),
        ("correlated 0.5", 0.5, 0.0),
        ("skewed to the right", 0.0, 1.0),
        ("skewed to the left", 0.0, -1.0),
    ):
        generator = np.random.default_rng([SEED, 8, round(10 * shared)])
        gate = Gate(at_most=0.0)
        plain = adjusted = 0
        for _ in range(n_runs):
            common = generator.standard_normal(25)
            p_values = []
            for _ in range(n_gates):
                scores = math.sqrt(shared) * common + math.sqrt(1 - shared) * generator.standard_normal(25)
                if sign:
                    scores = sign * (generator.gamma(1.0, 1.0, 25) - 1.0)
                p_values.append(failure_p_value(gate, estimate_mean(scores)))
            plain += min(p_values) < 0.025
            adjusted += float(holm(p_values).min()) < 0.025
        yield {
            "gates": n_gates,
            "dependence": name,
            "n_runs": n_runs,
            "runs_with_a_false_failure": {"unadjusted": plain / n_runs, "holm": adjusted / n_runs},
        }


# --------------------------------------------------------------------------------------------------------- output


def simulate(n_runs: int) -> dict[str, list[dict[str, Any]]]:
    """Run everything; ``n_runs`` is for the coverage table, the others take a share of it."""
    tenth = max(20, n_runs // 10)
    half = n_runs // 2
    parts: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "coverage": lambda: coverage(n_runs),
        "unequal_clusters": lambda: unequal_clusters(half),
        "bootstrap_coverage": lambda: bootstrap_coverage(tenth * 2),
        "shares": lambda: shares(half),
        "two_way": lambda: two_way(half),
        "respondents": lambda: respondents(tenth),
        "paired_gate": lambda: paired_gate(half, np.linspace(-0.01, 0.05, 13)),
        "one_sided": lambda: one_sided(n_runs),
        "rare_cases": lambda: rare_cases(n_runs),
        "exact_test": lambda: exact_test(half),
        "many_gates": lambda: many_gates(half),
    }
    results = {}
    for name, part in parts.items():
        started = time.perf_counter()
        results[name] = []
        print(f"\n{name}")
        for row in part():
            results[name].append(row)
            print("  " + "  ".join(_cell(key, value) for key, value in row.items() if key != "width"), flush=True)
        print(f"  ({time.perf_counter() - started:.1f} s)")
    return results


def _cell(key: str, value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{name} {number:.4f}" for name, number in value.items())
    if isinstance(value, float):
        return f"{key} {value:.4f}"
    return str(value) if isinstance(value, str) else f"{key} {value}"


def draw_figures(results: dict[str, list[dict[str, Any]]], folder: Path) -> None:
    """Draw the two figures of the documentation."""
    import matplotlib as mpl

    mpl.use("svg")
    # Without a salt and a date the same numbers give the same bytes.
    mpl.rcParams["svg.hashsalt"] = "pytest-pluralism"
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    rows = results["coverage"]
    places = np.arange(len(SIZES))
    for offset, (method, marker) in zip((-0.15, 0.15), (("t", "o"), ("auto", "s")), strict=True):
        by_size = [
            [row["coverage"][method] for row in rows if (row["n"], row["cluster_size"]) == size] for size in SIZES
        ]
        for place, numbers in zip(places, by_size, strict=True):
            axes.plot(
                np.full(len(numbers), place + offset),
                np.multiply(100, numbers),
                marker,
                color="C0" if method == "auto" else "C1",
                alpha=0.8,
                label=f"method={method!r}" if place == 0 else None,
            )
    axes.axhspan(93.5, 96.5, color="0.9", zorder=0)
    axes.axhline(95, color="0.5", linewidth=0.8)
    axes.set_xticks(places, [f"n = {n}\n{'alone' if size == 1 else f'in {size}s'}" for n, size in SIZES])
    axes.set_ylabel("coverage of 95 % intervals, %")
    axes.legend(frameon=False)
    figure.savefig(folder / "coverage.svg", metadata={"Date": None})
    plt.close(figure)

    figure, panels = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True, layout="constrained")
    for panel, (n_units, size) in zip(panels, ((25, 1), (100, 1), (100, 5)), strict=True):
        chosen = [row for row in results["paired_gate"] if (row["n"], row["cluster_size"]) == (n_units, size)]
        change = [row["true_change"] for row in chosen]
        for outcome, style in (("passed", "C2-"), ("inconclusive", "C7:"), ("failed", "C3--")):
            panel.plot(change, [row["outcomes"][outcome] for row in chosen], style, label=outcome)
        panel.axvline(0.02, color="0.5", linewidth=0.8)
        panel.set_title(f"n = {n_units}, {'alone' if size == 1 else f'in {size}s'}", fontsize="medium")
        panel.set_xlabel("true increase")
    panels[0].set_ylabel("share of runs")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(folder / "gate_power.svg", metadata={"Date": None})
    plt.close(figure)


def main(arguments: list[str] | None = None) -> int:
    """Run the simulation from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/statistics"), help="folder for JSON and figures")
    parser.add_argument("--runs", type=int, default=4000, help="runs a row of the coverage table")
    parser.add_argument("--quick", action="store_true", help="200 runs a row instead")
    options = parser.parse_args(arguments)
    n_runs = 200 if options.quick else options.runs
    results = simulate(n_runs)
    options.out.mkdir(parents=True, exist_ok=True)
    document = {"seed": SEED, "n_runs": n_runs, "numpy": np.__version__, "results": results}
    (options.out / "statistics.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    try:
        draw_figures(results, options.out)
    except ImportError:
        print("no figures: matplotlib is not installed", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
