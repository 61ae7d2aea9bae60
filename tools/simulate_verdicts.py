"""Measure what a green gate means: near-constant scores, patchy and rare regressions, selection, planning.

``simulate_statistics.py`` runs these parts with its own; each yields rows of JSON values, and :func:`tables` makes the
tables of ``docs/explanation/statistics.md`` from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_pluralism.core import Gate, Outcome, decide
from pytest_pluralism.core.estimation import compare_best, compare_paired, estimate_mean, holm, sign_flip, units_needed
from pytest_pluralism.core.health import problems_of_change
from pytest_pluralism.core.verdict import adjust_verdicts, failure_p_value
from pytest_pluralism.evaluation.measures.registry import MEASURES

FloatArray = npt.NDArray[np.float64]

SEED = 20260211

#: How many differences stand for a population of questions.
POPULATION = 400_000


# ---------------------------------------------------------------------------------------------------- near-constant

#: Scores that hardly vary, but for 4 % of them: name -> (usual, rare, whether high scores are worse).
NEAR_CONSTANT = {
    ".3, and .35": (0.3, 0.35, True),
    ".3, and .95": (0.3, 0.95, True),
    ".99, and .5 (at_least)": (0.99, 0.5, False),
}


def near_constant(n_runs: int) -> Iterator[dict[str, Any]]:
    """Count passes of a promise about a value exactly at the truth, where scores hardly vary but for 4 % of them."""
    for name, (usual, rare, upper) in NEAR_CONSTANT.items():
        truth = 0.96 * usual + 0.04 * rare
        gate = Gate(at_most=truth) if upper else Gate(at_least=truth)
        for n in (10, 25, 60, 74, 75, 100, 200):
            generator = np.random.default_rng([SEED, 1, n, len(name)])
            counts = dict.fromkeys(Outcome, 0)
            for _ in range(n_runs):
                scores = np.where(generator.random(n) < 0.04, rare, usual + 0.001 * generator.standard_normal(n))
                counts[decide(gate, estimate_mean(np.clip(scores, 0.0, 1.0))).outcome] += 1
            yield {
                "scores": name,
                "n": n,
                "n_runs": n_runs,
                "passed": counts[Outcome.PASSED] / n_runs,
                "failed": counts[Outcome.FAILED] / n_runs,
            }


# --------------------------------------------------------------------------------------------- patchy and rare changes


def _softmax(logits: FloatArray) -> FloatArray:
    grown = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=-1, keepdims=True))


def _distance(p: FloatArray, q: FloatArray) -> FloatArray:
    middle = (p + q) / 2
    divergence = (special.rel_entr(p, middle) + special.rel_entr(q, middle)).sum(axis=-1) / 2 / math.log(2)
    return np.asarray(np.sqrt(np.maximum(0.0, divergence)))


def changed(generator: np.random.Generator, kind: str, size: int) -> FloatArray:
    """Draw changes of the distance between a model and people over four options, by how the model's answers change."""
    if kind == "unchanged but for noise, sd .05":
        return 0.05 * generator.standard_normal(size)
    if kind == "noise of unequal sizes, sd .02":
        noise = generator.standard_normal(size) * np.exp(0.7 * generator.standard_normal(size))
        return np.asarray(0.02 * (noise - noise.mean()) / noise.std())
    if kind == "skewed noise, sd .02":
        return np.asarray(0.02 * (generator.gamma(2.0, 1.0, size) - 2.0) / math.sqrt(2.0))
    if kind == "3 % rise by .5":
        return np.where(generator.random(size) < 0.03, 0.5, 0.01 * generator.standard_normal(size))
    people = generator.dirichlet(np.full(4, 1.5), size)
    logits = np.log(people + 1e-3) + 0.8 * generator.standard_normal((size, 4))
    if kind == "every question by its own amount":
        noise = generator.standard_normal((size, 4))
        after = logits + noise * np.exp(-2.0 + 1.2 * generator.standard_normal(size))[:, None]
    elif kind == "80 % of questions unchanged":
        moved = generator.random(size) < 0.2
        after = logits + 0.6 * generator.standard_normal((size, 4)) * moved[:, None]
    else:
        after = logits + 0.1 * generator.standard_normal((size, 4))
        flipped = generator.random(size) < 0.03
        after[flipped] = -3.0 * logits[flipped]
    return _distance(people, _softmax(after)) - _distance(people, _softmax(logits))


#: The changes that releases make: name -> whether the promise is broken, so that a pass is false, or kept.
CHANGES = {
    "every question by its own amount": True,
    "80 % of questions unchanged": True,
    "3 % of answers turned round": True,
    "3 % rise by .5": True,
    "unchanged but for noise, sd .05": False,
    "skewed noise, sd .02": False,
    "noise of unequal sizes, sd .02": False,
}


def patchy(n_runs: int) -> Iterator[dict[str, Any]]:
    """Count outcomes of ``max_increase``: at the true mean where the release got worse, at .02 where it did not.

    Where few questions change by much, 80 and 100 of them have five times as many runs: there the promised rates are
    near those of samples that hold none of these questions.
    """
    measure = MEASURES["js_distance"]
    for place, (kind, is_broken) in enumerate(CHANGES.items()):
        generator = np.random.default_rng([SEED, 2, place])
        population = changed(generator, kind, POPULATION)
        gate = Gate(max_increase=float(population.mean()) if is_broken else 0.02)
        for n in (10, 25, 50, 80, 100, 200):
            counts, unseen, accepted = dict.fromkeys(Outcome, 0), 0, 0
            many = 5 * n_runs if kind.startswith("3 %") and n in (80, 100) else n_runs
            for _ in range(many):
                drawn = population[generator.integers(0, POPULATION, n)]
                change = compare_paired(drawn, np.zeros(n))
                outcome = decide(gate, change, change=change).outcome
                is_open = outcome is Outcome.PASSED and problems_of_change(gate, [change], measure=measure)
                counts[Outcome.INCONCLUSIVE if is_open else outcome] += 1
                accepted += outcome is Outcome.PASSED
                unseen += bool(drawn.max() < 0.1)
            yield {
                "change": kind,
                "is_broken": is_broken,
                "n": n,
                "n_runs": many,
                "margin": gate.max_increase,
                "passed": counts[Outcome.PASSED] / many,
                "failed": counts[Outcome.FAILED] / many,
                "passed_unchecked": accepted / many,
                "no_rise_above_a_tenth": unseen / many,
                "share_above_a_tenth": float(np.mean(population >= 0.1)),
            }


# -------------------------------------------------------------------------------------------------------- selection


def selection(n_runs: int) -> Iterator[dict[str, Any]]:
    """Count how often another one of several that are equal is said to fit better, in any of some groups."""
    for n_compared, n_groups in ((2, 1), (5, 1), (5, 4), (10, 4)):
        generator = np.random.default_rng([SEED, 3, n_compared, n_groups])
        plain = adjusted = 0
        for _ in range(n_runs):
            # Steerings that share the questions, and so their difficulty.
            scores = generator.beta(5.0, 2.0, (1, 1, 25)) + 0.1 * generator.standard_normal((n_groups, n_compared, 25))
            plain += any(compare_best(one, 0, confidence_level=_undone(n_compared))[1].low > 0 for one in scores)
            adjusted += any(compare_best(one, 0, n_looks=n_groups)[1].low > 0 for one in scores)
        yield {
            "compared": n_compared,
            "groups": n_groups,
            "n_runs": n_runs,
            "warned": {"unadjusted": plain / n_runs, "adjusted": adjusted / n_runs},
        }


def _undone(n_compared: int) -> float:
    """Return the level at which a comparison of the best is made as if nothing had been looked for."""
    return 1.0 - 0.05 * (n_compared - 1)


def two_bounds(n_runs: int) -> Iterator[dict[str, Any]]:
    """Count false failures of one gate with two bounds that both hold just so, alone in its run."""
    gate = Gate(at_most=1 / 3, max_increase=0.02)
    for n in (25, 60, 200):
        generator = np.random.default_rng([SEED, 4, n])
        ids = [str(i) for i in range(n)]
        alone = adjusted = 0
        for _ in range(n_runs):
            value = estimate_mean(generator.beta(3.0, 6.0, n), unit_ids=ids)
            change = compare_paired(0.02 + 0.05 * generator.standard_normal(n), np.zeros(n), unit_ids=ids)
            verdict = decide(gate, value, change=change)
            alone += verdict.outcome is Outcome.FAILED
            adjusted += adjust_verdicts([verdict])[0].outcome is Outcome.FAILED
        yield {"n": n, "n_runs": n_runs, "failed": {"each end alone": alone / n_runs, "as two": adjusted / n_runs}}


# --------------------------------------------------------------------------------------------------------- planning

#: Scores that are planned: name -> (parameters of a Beta distribution, distance from the bound).
PLANNED = {
    "mild, Beta(2, 5), skewness 0.6": ((2.0, 5.0), 0.04),
    "strong, Beta(1, 9), skewness 1.5": ((1.0, 9.0), 0.02),
    "extreme, Beta(0.7, 6), skewness 1.7": ((0.7, 6.0), 0.025),
}


def planning(n_runs: int) -> Iterator[dict[str, Any]]:
    """Measure the power that ``units_needed`` plans for 80 %, over pilots: on average, and its tenth percentile.

    The bound lies on the side of the long tail, which is the harder one.
    """
    sizes = np.array([15, 25, 40, 60, 90, 130, 180, 250, 350, 500, 750, 1100])
    for place, (name, (shape, distance)) in enumerate(PLANNED.items()):
        generator = np.random.default_rng([SEED, 5, place])
        bound = shape[0] / (shape[0] + shape[1]) + distance
        power = [
            float(np.mean([estimate_mean(generator.beta(*shape, n)).high <= bound for _ in range(n_runs)]))
            for n in sizes
        ]
        for n_pilot in (25, 100):
            planned = [
                units_needed(estimate_mean(generator.beta(*shape, n_pilot)), difference=distance) for _ in range(n_runs)
            ]
            reached = np.interp(np.log(planned), np.log(sizes), power)
            yield {
                "scores": name,
                "n_pilot": n_pilot,
                "n_runs": n_runs,
                "median_units": float(np.median(planned)),
                "power": {"mean": float(reached.mean()), "tenth_percentile": float(np.quantile(reached, 0.1))},
            }


# -------------------------------------------------------------------------------------------------- many and few


def exact_test(n_runs: int) -> Iterator[dict[str, Any]]:
    """Count false alarms of the sign-flip test of no change, with few clusters."""
    for n_clusters in (6, 10, 16):
        generator = np.random.default_rng([SEED, 7, n_clusters])
        alarms = dict.fromkeys(("symmetric", "skewed", "skewed the other way", "exponential the other way"), 0)
        for _ in range(n_runs):
            symmetric = generator.standard_normal(n_clusters)
            skewed = generator.gamma(2.0, 1.0, n_clusters) - 2.0
            exponential = generator.exponential(1.0, n_clusters) - 1.0
            for name, differences in zip(alarms, (symmetric, skewed, -skewed, -exponential), strict=True):
                alarms[name] += sign_flip(differences, alternative="greater").p_value <= 0.05
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


def alike_shares(n_runs: int) -> Iterator[dict[str, Any]]:
    """Count errors of each end where units of 0 and 1 lie in clusters that are more or less alike."""
    for truth in (0.5, 0.8, 0.9):
        threshold = -float(special.ndtri(truth))
        for n_clusters, size, likeness in ((10, 10, 0.3), (10, 10, 0.9), (20, 10, 0.9), (40, 10, 0.9)):
            generator = np.random.default_rng([SEED, 9, n_clusters, round(10 * likeness), round(10 * truth)])
            labels = np.repeat(np.arange(n_clusters), size)
            at_least, at_most = Gate(at_least=truth), Gate(at_most=truth)
            low = high = least = most = 0
            for _ in range(n_runs):
                shared, own = generator.standard_normal(n_clusters)[labels], generator.standard_normal(len(labels))
                normal = math.sqrt(likeness) * shared + math.sqrt(1.0 - likeness) * own
                estimate = estimate_mean((normal > threshold).astype(np.float64), clusters=labels)
                low += estimate.high < truth
                high += estimate.low > truth
                least += decide(at_least, estimate).passed
                most += decide(at_most, estimate).passed
            yield {
                "share": truth,
                "n_clusters": n_clusters,
                "cluster_size": size,
                "likeness": likeness,
                "n_runs": n_runs,
                "false_decisions": {"too_low": low / n_runs, "too_high": high / n_runs},
                "passed": {"at_least": least / n_runs, "at_most": most / n_runs},
            }


# ----------------------------------------------------------------------------------------------------------- output

Rows = Sequence[Mapping[str, Any]]


def parts_of(n_runs: int) -> dict[str, Callable[[], Iterator[dict[str, Any]]]]:
    """Return what there is to measure here."""
    half = max(20, n_runs // 2)
    return {
        "near_constant": partial(near_constant, half),
        "patchy": partial(patchy, n_runs),
        "selection": partial(selection, half),
        "two_bounds": partial(two_bounds, half),
        "planning": partial(planning, max(20, n_runs // 10)),
        "many_gates": partial(many_gates, half),
        "alike_shares": partial(alike_shares, half),
        "exact_test": partial(exact_test, max(20, n_runs // 10) * 2),
    }


def tables(results: Mapping[str, Rows]) -> dict[str, tuple[tuple[str, ...], list[tuple[Any, ...]]]]:
    """Return heads and rows of the tables by name."""
    return {
        "near-constant": (
            ("scores, and 4 % of them", "units", "passed falsely", "failed falsely"),
            [(row["scores"], row["n"], *_percents(row, "passed", "failed")) for row in results["near_constant"]],
        ),
        "patchy": (
            (
                *("change", "units", "passed falsely", "the same without `change_apart`", "failed falsely"),
                "no rise above .1 among the units",
            ),
            [
                (
                    *(row["change"], row["n"]),
                    *_percents(row, "passed", "passed_unchecked", "failed", "no_rise_above_a_tenth"),
                )
                for row in results["patchy"]
                if row["is_broken"]
            ],
        ),
        "unharmed": (
            ("change", "units", "passed", "the same without `change_apart`", "failed falsely"),
            [
                (row["change"], row["n"], *_percents(row, "passed", "passed_unchecked", "failed"))
                for row in results["patchy"]
                if not row["is_broken"]
            ],
        ),
        "alike-shares": (
            (
                *("true share", "clusters", "units in each", "likeness", "upper end too low", "lower end too high"),
                *("`at_most` passed falsely", "`at_least` passed falsely"),
            ),
            [
                (
                    *(row[name] for name in ("share", "n_clusters", "cluster_size", "likeness")),
                    *_percents(row["false_decisions"], "too_low", "too_high"),
                    *_percents(row["passed"], "at_most", "at_least"),
                )
                for row in results["alike_shares"]
            ],
        ),
        "selection": (
            ("compared", "groups", "as if chosen before", "adjusted"),
            [
                (row["compared"], row["groups"], *_percents(row["warned"], "unadjusted", "adjusted"))
                for row in results["selection"]
            ],
        ),
        "two-bounds": (
            ("units", "each end alone", "as two"),
            [(row["n"], *_percents(row["failed"], "each end alone", "as two")) for row in results["two_bounds"]],
        ),
        "planning": (
            ("scores", "units of the pilot", "units planned (median)", "power, mean", "power, tenth percentile"),
            [
                (
                    *(row["scores"], row["n_pilot"], round(row["median_units"])),
                    *_percents(row["power"], "mean", "tenth_percentile"),
                )
                for row in results["planning"]
            ],
        ),
    }


def _percents(row: Mapping[str, Any], *names: str) -> list[str]:
    return [f"{100 * row[name]:.1f}" for name in names]
