"""Measure what is promised of samples: juries with few votes, people who were asked, judges that err.

    python tools/simulate_samples.py --docs docs/explanation            # minutes on one core
    python tools/simulate_samples.py --runs 20                          # a rough round, to the terminal
    python tools/simulate_samples.py --only seed-pairs --docs docs/explanation    # asks the packaged models
    python tools/simulate_samples.py --only juries --alpha 5 --docs docs/explanation    # these rows alone

With ``--docs`` it writes ``samples.json`` and the tables of ``statistics.md`` between ``<!-- sampled: NAME -->`` and
``<!-- end -->``. Everything is drawn from one seed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_pluralism.core import Gate, Outcome, decide
from pytest_pluralism.core.estimation import compare_paired, estimate_mean, estimate_scores
from pytest_pluralism.core.estimation.at_level import half_of_people, with_extra_variance
from pytest_pluralism.core.estimation.crossed import estimate_crossed
from pytest_pluralism.core.estimation.judged import change_variance, corrected_shares, level_variance
from pytest_pluralism.core.estimation.people import correct_for_respondents
from pytest_pluralism.core.metrics import jensen_shannon_distance
from pytest_pluralism.core.metrics.sparse_welfare import JuryTable, WelfareRule, query_welfare
from pytest_pluralism.core.metrics.welfare_carriers import trust_of
from pytest_pluralism.core.records import Estimate, Scores, UnitScore
from pytest_pluralism.core.records.calibration import JudgeCalibration

# Found beside this file, also when a test loads it by its path.
sys.path.append(str(Path(__file__).parent))
from simulate_rare import rare_failures, rare_scores

FloatArray = npt.NDArray[np.float64]
Row = dict[str, Any]

SEED = 20261129

# ----------------------------------------------------------------------------------------------------------- juries


def _latent(rng: np.random.Generator, jurors: int, queries: int) -> tuple[FloatArray, FloatArray]:
    """Return how jurors, queries and cells differ, and the part of the jurors."""
    own = rng.normal(0.0, 0.6, (jurors, 1))
    return own + rng.normal(0.0, 0.6, (1, queries)) + rng.normal(0.0, 0.8, (jurors, queries)), own


def _by_juror(rng: np.random.Generator, jurors: int, queries: int) -> FloatArray:
    own, cells = rng.normal(0.0, 1.2, (jurors, 1)), rng.normal(0.0, 0.3, (jurors, queries))
    return np.clip(0.6 + 0.2 * (own + 0.2 * rng.normal(0.0, 0.6, (1, queries)) + cells), 0.1, 1.0)


#: Utilities of jurors for queries: the more they lie near the worst value, the harder.
POPULATIONS: dict[str, Callable[[np.random.Generator, int, int], FloatArray]] = {
    "three levels from 1/3": lambda rng, j, q: np.array([1 / 3, 2 / 3, 1.0])[
        np.digitize(_latent(rng, j, q)[0], [-0.6, 0.3])
    ],
    "five levels from .2": lambda rng, j, q: np.clip(np.round((_latent(rng, j, q)[0] + 1.6) / 0.8), 0, 4) / 5 + 0.2,
    "a line from .01, 5 % at its end": lambda rng, j, q: np.clip(0.5 + 0.25 * _latent(rng, j, q)[0], 0.01, 1.0),
    "from .1, mostly a matter of the juror": _by_juror,
}

#: The panels of the simulation: name -> (jurors, queries).
VOTES = {
    "everybody votes": (30, 40),
    "by activity and popularity": (40, 40),
    "3.5 votes a query": (100, 40),
    "a few jurors cast most votes": (60, 40),
}


def _votes(rng: np.random.Generator, kind: str, alone: float) -> npt.NDArray[np.bool_]:
    """Return who votes on what; on a share of the queries one juror alone does."""
    jurors, queries = VOTES[kind]
    chance = np.ones((jurors, queries))
    if kind == "by activity and popularity":
        chance = rng.beta(1.5, 2.0, (jurors, 1)) * rng.uniform(0.3, 1.0, (1, queries))
    elif kind == "3.5 votes a query":
        chance *= 3.5 / jurors
    elif kind == "a few jurors cast most votes":
        chance = np.clip(rng.pareto(1.2, (jurors, 1)) * 0.15, 0.02, 0.95) * np.ones((1, queries))
    votes = rng.random((jurors, queries)) < chance
    likely = chance.mean(axis=1) / chance.mean(axis=1).sum()
    for query in range(round(alone * queries)):
        votes[:, query] = False
        votes[rng.choice(jurors, p=likely), query] = True
    return votes


def _truth(name: str, alpha: float) -> float:
    """Return the mean over queries of the welfare of all jurors of a population."""
    utilities = POPULATIONS[name](np.random.default_rng(SEED), 4000, 600)
    powers = np.log(utilities) if alpha == 1.0 else utilities ** (1.0 - alpha)
    mean = powers.mean(axis=0)
    return float(np.mean(np.exp(mean) if alpha == 1.0 else mean ** (1.0 / (1.0 - alpha))))


#: The aversions of the table of juries.
ALPHAS = (0.0, 1.0, 2.0, 5.0)


def juries(
    n_runs: int, populations: Sequence[str] = tuple(POPULATIONS), alphas: Sequence[float] = ALPHAS
) -> Iterator[Row]:
    """Count how often intervals of welfare hold that of all jurors, by the share of queries with a single vote."""
    for name in populations:
        for alpha in alphas:
            truth = _truth(name, alpha)
            for kind in VOTES:
                row: Row = {"population": name, "votes": kind, "alpha": alpha, "n_runs": n_runs}
                for alone in (0.0, 0.25, 0.5):
                    row[f"alone {alone:g}"] = _held(name, kind, alone, WelfareRule(alpha=alpha), truth, n_runs)
                yield row


def _welfare(
    utilities: FloatArray,
    votes: npt.NDArray[np.bool_],
    rule: WelfareRule,
    weights: FloatArray | None = None,
    groups: npt.NDArray[np.intp] | None = None,
) -> tuple[Estimate, str]:
    """Return the welfare of one response a query with its interval, and why that would not hold."""
    response, juror = np.nonzero(votes.T)
    n = votes.shape[1]
    weights = np.ones(len(votes)) if weights is None else weights
    names = () if groups is None else tuple(map(str, range(int(groups.max()) + 1)))
    utility = utilities.T[response, juror]
    table = JuryTable(juror, response, utility, np.arange(n), np.ones(n), weights, groups, names, n)
    found = query_welfare(table, rule)
    trust = trust_of(table, rule, found)
    estimate = estimate_crossed(
        found.values,
        found.pseudo_values[np.isfinite(found.pseudo_values)],
        cell_variance=found.cell_variance,
        cell_third=found.cell_third,
        bias=found.biases,
        carriers=trust.carriers,
        below=trust.below,
        above=trust.above,
        scale=(0.0, 1.0),
    )
    return estimate, trust.doubt


def small_panels(n_runs: int) -> Iterator[Row]:
    """Count intervals of a mean welfare that are wrong where one juror in twenty, or in five, finds all responses bad.

    In the second population the other jurors are much alike.
    """
    for bad, spread in ((0.05, 0.1), (0.2, 0.03)):
        truth = (1.0 - bad) * 0.7 + bad * 0.05
        for jurors in (2, 3, 5, 10, 20, 30, 45, 60):
            rng = np.random.default_rng([SEED, jurors] if bad == 0.05 else [SEED, jurors, 2])
            low = high = 0
            for _ in range(n_runs):
                angry = rng.random((jurors, 1)) < bad
                utilities = np.where(angry, 0.05, np.clip(0.7 + spread * _latent(rng, jurors, 20)[0], 0.4, 1.0))
                estimate, _doubt = _welfare(utilities, np.ones(utilities.shape, dtype=np.bool_), WelfareRule(alpha=0.0))
                low += estimate.low > truth
                high += estimate.high < truth
            yield {
                "bad": bad,
                "jurors": jurors,
                "passed": low / n_runs,
                "failed": high / n_runs,
                "none": (1.0 - bad) ** jurors,
            }


def unequal_jurors(n_runs: int) -> Iterator[Row]:
    """Count intervals that hold the welfare of all jurors where few have most of the weight."""
    name = "five levels from .2"
    for alpha in (0.0, 1.0, 2.0):
        truth = _truth(name, alpha)
        for shape in (0.6, 1.0, 2.0):
            rng = np.random.default_rng([SEED, round(10 * alpha), round(10 * shape)])
            kept: list[Estimate] = []
            carried, doubts = [], 0
            for _ in range(n_runs):
                utilities = POPULATIONS[name](rng, 40, 40)
                votes = np.ones(utilities.shape, dtype=np.bool_)
                weights = 1.0 + rng.pareto(shape, 40)
                carried.append(float(weights.sum() ** 2 / np.sum(weights**2)))
                estimate, doubt = _welfare(utilities, votes, WelfareRule(alpha=alpha), weights)
                doubts += bool(doubt)
                kept += [] if doubt else [estimate]
            yield {
                "alpha": alpha,
                "jurors": float(np.median(carried)),
                "unknown": doubts / n_runs,
                "too_high": sum(one.low > truth for one in kept) / max(len(kept), 1),
                "too_low": sum(one.high < truth for one in kept) / max(len(kept), 1),
            }


def small_groups(n_runs: int) -> Iterator[Row]:
    """Count intervals of welfare between three groups that are wrong, by how many jurors the smallest group has."""
    rule = WelfareRule(alpha=1.0, between_alpha=1.0)
    centres = np.array([0.7, 0.55, 0.4])
    many = np.random.default_rng([SEED, 7])

    def drawn(rng: np.random.Generator, groups: npt.NDArray[np.intp], queries: int) -> FloatArray:
        return np.clip(centres[groups][:, None] + 0.1 * _latent(rng, len(groups), queries)[0], 0.05, 1.0)

    everybody = np.repeat(np.arange(3), 2000)
    logs = np.log(drawn(many, everybody, 400))
    truth = float(np.exp(np.mean([logs[everybody == code].mean(axis=0) for code in range(3)], axis=0)).mean())
    for smallest in (1, 2, 3, 5, 10):
        rng = np.random.default_rng([SEED, 8, smallest])
        groups = np.repeat(np.arange(3), (15, 10, smallest))
        low = high = doubts = held = 0
        for _ in range(n_runs):
            utilities = drawn(rng, groups, 40)
            votes = np.ones(utilities.shape, dtype=np.bool_)
            estimate, doubt = _welfare(utilities, votes, rule, groups=groups)
            doubts += bool(doubt)
            low += not doubt and estimate.low > truth
            high += not doubt and estimate.high < truth
            held += estimate.low <= truth <= estimate.high
        yield {
            "smallest": smallest,
            "held": held / n_runs,
            "unknown": doubts / n_runs,
            "too_high": low / n_runs,
            "too_low": high / n_runs,
        }


def _held(name: str, kind: str, alone: float, rule: WelfareRule, truth: float, n_runs: int) -> Row:
    rng = np.random.default_rng([SEED, round(100 * alone), len(kind), round(10 * rule.alpha)])
    low = high = unknown = 0
    for _ in range(n_runs):
        votes = _votes(rng, kind, alone)
        utilities = POPULATIONS[name](rng, *votes.shape)
        votes = votes[:, kept] if (kept := votes.sum(axis=0) >= (2 if rule.alpha else 1)).any() else votes
        utilities = utilities[:, kept]
        estimate, doubt = _welfare(utilities, votes, rule)
        if doubt or math.isnan(estimate.low):
            unknown += 1
            continue
        low += estimate.low > truth
        high += estimate.high < truth
    known = n_runs - unknown
    return {
        "held": (known - low - high) / known if known else math.nan,
        "unknown": unknown / n_runs,
        "too_high": low / n_runs,
        "too_low": high / n_runs,
    }


# ----------------------------------------------------------------------------------------------------------- people


def _answers(
    rng: np.random.Generator, n: int, options: int, spread: float, even: float
) -> tuple[FloatArray, FloatArray]:
    people = rng.dirichlet(np.full(options, even), n)
    model = np.exp(np.log(people + 1e-4) + rng.normal(0.0, spread, people.shape))
    return people, model / model.sum(axis=1, keepdims=True)


def people(n_runs: int) -> Iterator[Row]:
    """Compare distances to samples of people with those to the population, and steps of both."""
    for even, shape in ((2.0, "all options are common"), (0.4, "some options are rare")):
        for options in (2, 4, 7):
            for asked in (50, 100, 400):
                rng = np.random.default_rng([SEED, options, asked, round(10 * even)])
                found = []
                for spread in (0.2, 0.4, 0.7, 1.2, 2.5):
                    answers, model = _answers(rng, 200, options, spread, even)
                    again = [
                        correct_for_respondents(model, rng.multinomial(asked, answers) / asked, asked)
                        for _ in range(max(n_runs // 10, 5))
                    ]
                    truth = float(np.mean(jensen_shannon_distance(model, answers)))
                    raw, value = (np.mean([getattr(one, name) for one in again]) for name in ("uncorrected", "values"))
                    found.append((truth, float(raw), float(value)))
                told = np.array([one for one in found if one[0] >= 0.06])
                steps = np.diff(told, axis=0)
                yield {
                    "shape": shape,
                    "options": options,
                    "asked": asked,
                    "nearest": float(told[0, 0]),
                    "bias_raw": float(np.abs(told[:, 1] - told[:, 0]).max()),
                    "bias": float(np.abs(told[:, 2] - told[:, 0]).max()),
                    "step_raw": float((steps[:, 1] / steps[:, 0]).min()),
                    "step": float((steps[:, 2] / steps[:, 0]).min()),
                }


def _shared(rng: np.random.Generator, questions: int, asked: int, one_way: bool, shift: float) -> tuple[float, Scores]:
    """Return the true distance, and the scores where one trait of each person speaks in every answer."""
    loads, cuts = rng.uniform(0.5, 1.5, questions), np.sort(rng.normal(0.0, 1.0, (questions, 3)), axis=1)
    latent = rng.normal(size=(asked, 1)) * loads + rng.normal(size=(asked, questions))
    answers = (latent[:, :, None] > cuts).sum(axis=2)
    sample = np.stack([(answers == option).mean(axis=0) for option in range(4)], axis=1)
    spread = np.sqrt(1.0 + loads**2)[:, None]
    sign = 1.0 if one_way else rng.choice([-1.0, 1.0], questions)

    def shares(at: FloatArray) -> FloatArray:
        ends = [np.zeros((questions, 1)), special.ndtr(at / spread), np.ones((questions, 1))]
        return np.diff(np.concatenate(ends, axis=1), axis=1)

    population, model = shares(cuts), shares(cuts - (shift * loads * sign)[:, None])
    found = correct_for_respondents(model, sample, asked)
    units = tuple(UnitScore(f"q{i}", f"q{i}", value) for i, value in enumerate(found.values.tolist()))
    truth = float(np.mean(jensen_shannon_distance(population, model)))
    return truth, Scores("js_distance", units, people_variance=found.shared_variance)


def shared_people(n_runs: int) -> Iterator[Row]:
    """Count how often the interval holds the mean true distance where the same people answer all questions."""
    for questions, asked, one_way in ((60, 200, True), (60, 200, False), (60, 1000, True), (25, 100, True)):
        rng = np.random.default_rng([SEED, questions, asked, one_way])
        drawn = [_shared(rng, questions, asked, one_way, 0.7) for _ in range(n_runs)]
        truth = float(np.mean([one for one, _ in drawn]))
        with_people = [estimate_scores(scores) for _, scores in drawn]
        alone = [estimate_mean([unit.value for unit in scores.units]) for _, scores in drawn]
        bound = Gate(at_most=truth)
        yield {
            "questions": questions,
            "asked": asked,
            "displaced": "one way" if one_way else "both ways",
            "held": float(np.mean([one.low <= truth <= one.high for one in with_people])),
            "alone": float(np.mean([one.low <= truth <= one.high for one in alone])),
            "failed": float(np.mean([decide(bound, one).outcome is Outcome.FAILED for one in with_people])),
            "passed": float(np.mean([decide(bound, one).outcome is Outcome.PASSED for one in with_people])),
        }


def shared_changes(n_runs: int) -> Iterator[Row]:
    """Count how often the interval of a change holds it where the same people answer all 60 questions."""
    for asked, before, after in ((200, 0.7, 0.75), (200, 0.7, -0.7), (1000, 0.7, -0.7), (200, 0.7, math.nan)):
        rng = np.random.default_rng([SEED, 9, asked, round(100 * before)])
        drawn = [_moved(rng, asked, before, after) for _ in range(n_runs)]
        truth = float(np.mean([one[0] for one in drawn]))
        yield {
            "asked": asked,
            "before": before,
            "after": after,
            "truth": truth,
            "held": float(np.mean([change.low <= truth <= change.high for _, change, _ in drawn])),
            "told": float(np.mean([one.low - 2 * half <= truth <= one.high + 2 * half for _, one, half in drawn])),
            "open": float(np.mean([half for _, _, half in drawn])),
        }


def _moved(rng: np.random.Generator, asked: int, before: float, after: float) -> tuple[float, Estimate, float]:
    """Return the true change of a model, or that to even answers, its estimate, and what the people leave open."""
    questions = 60
    loads, cuts = rng.uniform(0.5, 1.5, questions), np.sort(rng.normal(0.0, 1.0, (questions, 3)), axis=1)
    latent = rng.normal(size=(asked, 1)) * loads + rng.normal(size=(asked, questions))
    answers = (latent[:, :, None] > cuts).sum(axis=2)
    sample = np.stack([(answers == option).mean(axis=0) for option in range(4)], axis=1)

    def shares(at: FloatArray) -> FloatArray:
        reached = special.ndtr(at / np.sqrt(1.0 + loads**2)[:, None])
        return np.diff(np.concatenate([np.zeros((questions, 1)), reached, np.ones((questions, 1))], axis=1), axis=1)

    models = [np.full((questions, 4), 0.25) if math.isnan(one) else shares(cuts - (one * loads)[:, None])
              for one in (before, after)]  # fmt: skip
    then, now = (correct_for_respondents(model, sample, asked) for model in models)
    truth = [float(np.mean(jensen_shannon_distance(model, shares(cuts)))) for model in models]
    people = now.shared_variance
    level = with_extra_variance(estimate_mean(now.values), people, of_people=people)
    return truth[1] - truth[0], compare_paired(now.values, then.values), half_of_people(level)


def false_failures(n_runs: int) -> Iterator[Row]:
    """Count failures of a promise that holds just so: 25 questions, each asked of other people."""
    for asked in (50, 100, 300):
        for spread in (0.2, 0.5, 1.0):
            rng = np.random.default_rng([SEED, asked, round(10 * spread)])
            truth = float(np.mean(jensen_shannon_distance(*_answers(rng, 20_000, 4, spread, 2.0))))
            counts = dict.fromkeys(("raw failed", "failed", "passed"), 0)
            for _ in range(n_runs):
                answers, model = _answers(rng, 25, 4, spread, 2.0)
                found = correct_for_respondents(model, rng.multinomial(asked, answers) / asked, asked)
                gate = Gate(at_most=truth)
                outcome = decide(gate, estimate_mean(found.values)).outcome
                counts["failed"] += outcome is Outcome.FAILED
                counts["passed"] += outcome is Outcome.PASSED
                counts["raw failed"] += decide(gate, estimate_mean(found.uncorrected)).outcome is Outcome.FAILED
            yield {"asked": asked, "truth": truth, **{name: count / n_runs for name, count in counts.items()}}


# ------------------------------------------------------------------------------------------------------------ seeds

#: The models that are asked, and the runs of each: 21 runs are 210 pairs.
MODELS, RUNS_OF_A_MODEL, SEEDS_OF_A_RUN = ("embedded:smollm2-135m-instruct", "embedded:gemma-3-270m"), 21, 10


def seed_pairs(_: int) -> Iterator[Row]:
    """Count the pairs of runs of one model, on a survey of one question, whose change excludes 0.

    The runs differ in nothing but their seeds, of which no two share one.
    """
    import pytest_pluralism

    for spec in MODELS:
        model = pytest_pluralism.load_model(spec)
        runs = [
            pytest_pluralism.measure(
                *(model, "js_distance", "wvs_immigration"),
                seeds=SEEDS_OF_A_RUN,
                repetitions=4,
                settings={"seed": SEEDS_OF_A_RUN * number, "answers": "off"},
            ).scores
            for number in range(RUNS_OF_A_MODEL)
        ]
        model.close()
        n_populations = len(runs[0].units) // SEEDS_OF_A_RUN
        alarms = {"seeds": 0, "seeds_5": 0, "populations": 0}
        pairs = list(itertools.combinations(runs, 2))
        for one, other in pairs:
            now, then = ([unit.value for unit in side.units] for side in (one, other))
            clusters = [unit.cluster for unit in one.units]
            half = len(now) // 2
            changes = {
                "seeds": compare_paired(now, then, clusters=clusters),
                "seeds_5": compare_paired(now[:half], then[:half], clusters=clusters[:half]),
                # One seed, and each population a cluster of its own: what a survey of many questions has.
                "populations": compare_paired(now[:n_populations], then[:n_populations]),
            }
            for name, change in changes.items():
                alarms[name] += not change.low <= 0.0 <= change.high
        yield {
            "model": spec.removeprefix("embedded:"),
            "populations": n_populations,
            "pairs": len(pairs),
            "value": float(np.mean([unit.value for side in runs for unit in side.units])),
            "spread": float(np.std([np.mean([unit.value for unit in side.units]) for side in runs], ddof=1)),
            "excludes_0": {name: count / len(pairs) for name, count in alarms.items()},
        }


# ----------------------------------------------------------------------------------------------------------- judges


def judges(n_runs: int) -> Iterator[Row]:
    """Compare coverage that a judge found, and its fall, with the truth, before and after the correction."""
    for sensitivity, specificity, n_pairs in ((0.9, 0.95, 200), (0.75, 0.9, 200), (0.75, 0.9, 60), (0.6, 0.98, 150)):
        rng = np.random.default_rng([SEED, round(100 * sensitivity), n_pairs])
        rows = []
        for _ in range(n_runs):
            before = rng.random((60, 5)) < rng.beta(2.4, 1.6, (60, 1))
            after = before & (rng.random(before.shape) > 0.2)
            old, new = (
                np.where(rng.random(one.shape) < np.where(one, sensitivity, 1.0 - specificity), 1.0, 0.0).mean(axis=1)
                for one in (before, after)
            )
            calibration = JudgeCalibration(
                float(rng.binomial(n_pairs, sensitivity) / n_pairs),
                float(rng.binomial(n_pairs, specificity) / n_pairs),
                *(0.5, n_pairs, n_pairs, "drawn", ""),
            )
            level, change = estimate_mean(old), compare_paired(new, old)
            was, now = (corrected_shares(one.tolist(), [5] * len(one), calibration) for one in (old, new))
            fixed, moved = estimate_mean(was), compare_paired(now, was)
            fixed = with_extra_variance(fixed, level_variance(fixed.value, calibration))
            moved = with_extra_variance(moved, change_variance(moved.value, calibration))
            rows.append(
                (
                    *(level.value, fixed.value, fixed.low <= 0.6 <= fixed.high),
                    *(change.value, moved.value, moved.low <= -0.12 <= moved.high),
                )
            )
        names = ("level_raw", "level", "level_held", "change_raw", "change", "change_held")
        means = np.nanmean(np.array(rows, dtype=np.float64), axis=0).tolist()
        yield {
            "sensitivity": sensitivity,
            "specificity": specificity,
            "pairs": n_pairs,
            **dict(zip(names, means, strict=True)),
        }


# ----------------------------------------------------------------------------------------------------------- output

PARTS: dict[str, Callable[[int], Iterator[Row]]] = {
    "juries": juries,
    "small-panels": small_panels,
    "unequal-jurors": unequal_jurors,
    "small-groups": small_groups,
    "rare-scores": rare_scores,
    "rare-failures": rare_failures,
    "people": people,
    "shared-people": shared_people,
    "shared-changes": shared_changes,
    "false-failures": false_failures,
    "judges": judges,
    "seed-pairs": seed_pairs,
}

#: Parts that need the packaged models run only where they are named.
BY_NAME = ("seed-pairs",)


def _is_nan(number: float | None) -> bool:
    """Return whether a number is NaN, which a stored row has as null."""
    return number is None or math.isnan(number)


def _percent(share: float) -> str:
    return "" if share is None or math.isnan(share) else f"{100.0 * share:.1f}"


def _jury_cell(cell: Row) -> str:
    if cell["unknown"] >= 1.0:
        return "undecided"
    told = _percent(cell["held"])
    return f"{told} ({100.0 * cell['unknown']:.0f} % undecided)" if cell["unknown"] >= 0.005 else told


def tables(results: dict[str, list[Row]]) -> dict[str, str]:
    """Return the tables of the page by name, in Markdown; that of the packaged models where they were asked."""
    asked = {}
    if "seed-pairs" in results:
        asked["seed-pairs"] = _table(
            ("model", "populations", "pairs of runs", "ten seeds", "five seeds", "one seed, by population"),
            (
                (row["model"], row["populations"], row["pairs"],
                 *(_percent(row["excludes_0"][name]) for name in ("seeds", "seeds_5", "populations")))
                for row in results["seed-pairs"]
            ),
        )  # fmt: skip
    return {
        **asked,
        "juries": _table(
            ("utilities", "alpha", "votes", "no single votes", "25 %", "50 %"),
            (
                (row["population"], f"{row['alpha']:g}", row["votes"],
                 *(_jury_cell(row[f"alone {alone}"]) for alone in ("0", "0.25", "0.5")))
                for row in results["juries"]
            ),
        ),
        "small-panels": _table(
            ("served badly", "jurors", "too high: passed falsely", "too low: failed falsely",
             "panels that hold none of them"),
            ((f"{100 * row['bad']:.0f} %", row["jurors"],
              *(_percent(row[name]) for name in ("passed", "failed", "none")))
             for row in results["small-panels"]),
        ),
        "unequal-jurors": _table(
            ("alpha", "jurors that the weights amount to", "undecided", "too high", "too low"),
            ((f"{row['alpha']:g}", f"{row['jurors']:.0f}",
              *(_percent(row[name]) for name in ("unknown", "too_high", "too_low")))
             for row in results["unequal-jurors"]),
        ),
        "small-groups": _table(
            ("jurors of the smallest group", "held, were all decided", "undecided", "too high: passed falsely",
             "too low: failed falsely"),
            ((row["smallest"], *(_percent(row[name]) for name in ("held", "unknown", "too_high", "too_low")))
             for row in results["small-groups"]),
        ),
        "rare-scores": _table(
            ("scores, and 5 % of 0", "units", "clusters", "passed falsely", "of these the verdict says so",
             "failed falsely", "samples that hold no 0"),
            ((row["scores"], row["units"], row["clusters"],
              *(_percent(row[name]) for name in ("passed", "said", "failed", "none")))
             for row in results["rare-scores"]),
        ),
        "rare-failures": _table(
            ("units", "failed falsely, alone", "among 12 promises", "samples that hold no score near .9"),
            ((row["units"], *(_percent(row[name]) for name in ("failed", "failed among 12", "none")))
             for row in results["rare-failures"]),
        ),
        "people": _table(
            ("options", "number", "people", "nearest distance", "bias", "uncorrected", "least step", "uncorrected"),
            (
                (row["shape"], row["options"], row["asked"], f"{row['nearest']:.3f}", f"{row['bias']:.4f}",
                 f"{row['bias_raw']:.4f}", f"{row['step']:.2f}", f"{row['step_raw']:.2f}")
                for row in results["people"]
            ),
        ),
        "shared-people": _table(
            ("questions", "people", "model displaced", "held", "without the people", "failed", "passed"),
            (
                (row["questions"], row["asked"], row["displaced"],
                 *(_percent(row[name]) for name in ("held", "alone", "failed", "passed")))
                for row in results["shared-people"]
            ),
        ),
        "shared-changes": _table(
            ("people", "displaced before", "after", "true change", "held", "with what a pass tells", "value open by"),
            (
                (row["asked"], row["before"], "even answers" if _is_nan(row["after"]) else row["after"],
                 f"{row['truth']:.3f}", _percent(row["held"]), _percent(row["told"]), f"{row['open']:.3f}")
                for row in results["shared-changes"]
            ),
        ),
        "false-failures": _table(
            ("people", "true distance", "failed", "passed", "failed, uncorrected"),
            (
                (row["asked"], f"{row['truth']:.3f}",
                 *(_percent(row[name]) for name in ("failed", "passed", "raw failed")))
                for row in results["false-failures"]
            ),
        ),
        "judges": _table(
            ("sensitivity", "specificity", "pairs of each kind", "coverage .600 read", "corrected", "held",
             "change -.120 read", "corrected", "held"),
            (
                (row["sensitivity"], row["specificity"], row["pairs"], f"{row['level_raw']:.3f}",
                 f"{row['level']:.3f}", _percent(row["level_held"]), f"{row['change_raw']:.3f}",
                 f"{row['change']:.3f}", _percent(row["change_held"]))
                for row in results["judges"]
            ),
        ),
    }  # fmt: skip


def _table(head: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> str:
    lines = [head, ("---",) * len(head), *(tuple(map(str, row)) for row in rows)]
    return (
        "\n".join("| " + " | ".join(line) + " |" for line in lines)
        .replace("| --- |", "|---|")
        .replace(" --- |", "---|")
    )


def with_tables(page: str, results: dict[str, list[Row]]) -> str:
    """Return the page with what stands between ``<!-- sampled: NAME -->`` and ``<!-- end -->`` made anew."""
    made = tables(results)

    def renewed(match: re.Match[str]) -> str:
        return f"{match[1]}\n\n{made[match[2]]}\n\n<!-- end -->"

    return re.sub(r"(<!-- sampled: ([a-z-]+) -->).*?<!-- end -->", renewed, page, flags=re.DOTALL)


def with_rows_of(stored: Sequence[Row], made: Sequence[Row]) -> list[Row]:
    """Return the stored rows of juries with those that were made anew in their places."""

    def place(row: Row) -> tuple[str, float, str]:
        return row["population"], row["alpha"], row["votes"]

    anew = {place(row): row for row in made}
    return [anew.get(place(row), row) for row in stored]


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=Path, help="the folder of statistics.md")
    parser.add_argument("--runs", type=int, default=400, help="runs behind each row")
    parser.add_argument("--only", choices=sorted(PARTS), action="append", help="this part alone")
    parser.add_argument(
        "--alpha",
        type=float,
        action="append",
        choices=ALPHAS,
        help="of the table of juries, the rows of this aversion alone; with --docs the stored others stay",
    )
    options = parser.parse_args(arguments)
    wanted = options.only or [name for name in PARTS if name not in BY_NAME]
    parts = PARTS | {"juries": partial(juries, alphas=options.alpha or ALPHAS)}
    results = {name: list(part(options.runs)) for name, part in parts.items() if name in wanted}
    if options.docs is not None:
        stored, page = options.docs / "samples.json", options.docs / "statistics.md"
        if stored.exists():
            kept = json.loads(stored.read_text(encoding="utf-8"))["results"]
            if options.alpha and "juries" in results:
                results["juries"] = with_rows_of(kept["juries"], results["juries"])
            results = {**kept, **results}
        content = json.loads(json.dumps({"runs": options.runs, "results": results}).replace("NaN", "null"))
        stored.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        page.write_text(with_tables(page.read_text(encoding="utf-8"), content["results"]), encoding="utf-8")
        return 0
    for name, rows in results.items():
        print(name, *map(json.dumps, rows), sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
