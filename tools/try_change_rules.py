"""Try other rules for a promise about a change where few questions are turned round.

    python tools/try_change_rules.py --runs 20000

prints, for each rule, how often ``max_increase`` passes: at the true mean where the release got worse, so that a pass
is false, and at .02 where it did not; and how many samples hold nothing of what is turned round.
docs/explanation/statistics.md has the table, and the reasons for the one that is used.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_pluralism.core.estimation.apart import APART
from pytest_pluralism.core.estimation.skewness import (
    ALLOWANCE_OF_CHANGES,
    HEAVIEST_TAILS,
    TAILS_OF_CHANGES,
    unsure_skewness,
)

sys.path.append(str(Path(__file__).parent))
import simulate_verdicts

FloatArray = npt.NDArray[np.float64]
Rule = Callable[[FloatArray, float], npt.NDArray[np.bool_]]

#: The largest rise that a mixture bound allows a question that is not in the sample: half of the scale.
LARGEST_RISE = 0.5

#: Samples: (change, units).
SAMPLES = (
    ("3 % of answers turned round", 100),
    ("3 % of answers turned round", 80),
    ("3 % rise by .5", 100),
    ("unchanged but for noise, sd .05", 80),
    ("skewed noise, sd .02", 25),
    ("skewed noise, sd .02", 80),
    ("noise of unequal sizes, sd .02", 80),
)


def upper_end(
    changes: FloatArray, *, level: float = 0.95, tails: float = TAILS_OF_CHANGES, most: float = HEAVIEST_TAILS
) -> FloatArray:
    """Return the upper ends of the product's interval of a change, one for each row, with its constants given."""
    n = changes.shape[1]
    root, mean = math.sqrt(n), changes.mean(axis=1)
    z, quantile = float(special.ndtri(0.5 + level / 2)), float(special.stdtrit(n - 1, 0.5 + level / 2))
    deviations = changes - mean[:, None]
    standardised = deviations / np.sqrt(np.mean(deviations**2, axis=1))[:, None]
    skewness, kurtosis = np.mean(standardised**3, axis=1), np.mean(standardised**4, axis=1) - 3.0
    corrected = 3.0 / skewness * (np.cbrt(1.0 + skewness * (-quantile / root - skewness / (6 * n))) - 1.0)
    side = np.maximum(ALLOWANCE_OF_CHANGES * unsure_skewness(z, n) - root * corrected, quantile)
    weight = np.minimum(np.sqrt(np.maximum(kurtosis - math.sqrt(24.0 / n), 0.0)), most)
    end: FloatArray = mean + changes.std(axis=1, ddof=1) / root * side * (1.0 + tails * weight)
    return end


def mixture_end(
    changes: FloatArray, *, beyond: float, quantile: float, apart: float = 0.0, always: bool = False
) -> FloatArray:
    """Return the outer one of today's end and a mixture bound: so many outlying rises, each of ``LARGEST_RISE``.

    A rise is outlying that lies ``beyond`` so many robust standard deviations above the median; these are read off the
    quantile. The share of such questions has its exact upper bound at 97.5 %, or 95 % where the bound is ``always``
    taken and not only where a tenth of the rises or fewer are outlying, and the least of these is at least ``apart``
    times as far above the median as the largest of the others.
    """
    n, end = changes.shape[1], upper_end(changes)
    middle = np.median(changes, axis=1)[:, None]
    above = (np.quantile(changes, quantile, axis=1)[:, None] - middle) / float(special.ndtri(quantile))
    around = 1.4826 * np.median(np.abs(changes - middle), axis=1)[:, None]
    distance = changes - middle
    outlying = distance > beyond * np.maximum(above, around)
    count = outlying.sum(axis=1)
    share = special.betaincinv(count + 1, n - count, 0.95 if always else 0.975)
    rest = np.where(outlying, 0.0, changes).sum(axis=1) / (n - count)
    error = np.sqrt(np.where(outlying, 0.0, (changes - rest[:, None]) ** 2).sum(axis=1) / (n - count) / n)
    bound = rest * (1.0 - share) + 1.96 * error + share * LARGEST_RISE
    nearest, others = np.where(outlying, distance, np.inf).min(axis=1), np.where(outlying, 0.0, distance).max(axis=1)
    is_apart = (count > 0) & (count <= 0.1 * n) & (nearest >= apart * others)
    applies = np.full(len(count), True) if always else is_apart
    return np.where(applies, np.maximum(end, bound), end)


def stands_apart(changes: FloatArray, times: Mapping[int, float], *, either: bool) -> npt.NDArray[np.bool_]:
    """Return whether the largest rises stand apart from the rises next to them, or, for ``either``, the largest falls.

    The gap between the largest and the second, the second and the third, and so on have the expectations 1, 1/2, 1/3,
    ... under an exponential tail. So each is weighed by its place, and the first j stand apart where the gap after them
    is more than ``times[j]`` times the mean of the seven after it. No spread and no shape of the noise enters it.
    """
    largest = -np.sort(-changes, axis=1)[:, : max(times) + 8]
    gaps = (largest[:, :-1] - largest[:, 1:]) * np.arange(1, largest.shape[1])
    found = np.zeros(len(changes), dtype=bool)
    for place, least in times.items():
        found |= gaps[:, place - 1] > least * gaps[:, place : place + 7].mean(axis=1)
    return found | stands_apart(-changes, times, either=False) if either else found


def worse_questions_seen(changes: FloatArray) -> npt.NDArray[np.bool_]:
    """Return whether any question rose by more than a tenth of the scale: a rule that needs to know what noise is."""
    return np.asarray((changes > 0.1).any(axis=1))


def betting_keeps(changes: FloatArray, margin: float) -> npt.NDArray[np.bool_]:
    """Return whether a betting test of changes in [-1, 1] shows a mean below the margin (one-sided 2.5 %)."""
    scores, at, n = (changes + 1.0) / 2.0, (margin + 1.0) / 2.0, changes.shape[1]
    total, squares = np.full(len(changes), 0.5), np.full(len(changes), 0.001)
    variance, capital, best = squares.copy(), np.zeros(len(changes)), np.zeros(len(changes))
    for i in range(n):
        bet = np.minimum(np.sqrt(2.0 * math.log(1.0 / 0.025) / (n * variance)), 0.9 / (1.0 - at))
        capital = capital + np.log1p(-bet * (scores[:, i] - at))
        best = np.maximum(best, capital)
        total = total + scores[:, i]
        squares = squares + (scores[:, i] - total / (i + 2)) ** 2
        variance = squares / (i + 2)
    return np.asarray(best >= math.log(1.0 / 0.025))


RULES: dict[str, Rule] = {
    "the interval as it is": lambda x, m: upper_end(x) <= m,
    "heavy tails counted .5 instead of .3": lambda x, m: upper_end(x, tails=0.5) <= m,
    "heavy tails counted 1, up to a root of 10": lambda x, m: upper_end(x, tails=1.0, most=10.0) <= m,
    "a level of 99 %": lambda x, m: upper_end(x, level=0.99) <= m,
    "a level of 99.5 %": lambda x, m: upper_end(x, level=0.995) <= m,
    "mixture where a rise is 4 sd out": lambda x, m: mixture_end(x, beyond=4.0, quantile=0.95) <= m,
    "mixture where a rise is 3.5 sd out": lambda x, m: mixture_end(x, beyond=3.5, quantile=0.95) <= m,
    "mixture where it is 3.5 sd out and 1.3 times the next": lambda x, m: (
        mixture_end(x, beyond=3.5, quantile=0.95, apart=1.3) <= m
    ),
    "mixture where it is 3 sd out and 1.6 times the next": lambda x, m: (
        mixture_end(x, beyond=3.0, quantile=0.95, apart=1.6) <= m
    ),
    "undecided where the largest rise stands 3 times apart": lambda x, m: (
        (upper_end(x) <= m) & ~stands_apart(x, {1: 3.0}, either=False)
    ),
    "undecided where it or the largest fall does, 3 times": lambda x, m: (
        (upper_end(x) <= m) & ~stands_apart(x, {1: 3.0}, either=True)
    ),
    "undecided where it or the largest fall does, 3.5 times": lambda x, m: (
        (upper_end(x) <= m) & ~stands_apart(x, {1: 3.5}, either=True)
    ),
    "the same 3 times, or where 2 to 5 do 12 times: the check `change_apart`": lambda x, m: (
        (upper_end(x) <= m) & ~stands_apart(x, APART, either=True)
    ),
    "undecided where any rise is above .1": lambda x, m: (upper_end(x) <= m) & ~worse_questions_seen(x),
    "mixture always, at 95 %": lambda x, m: mixture_end(x, beyond=4.0, quantile=0.95, always=True) <= m,
    "betting, for changes in [-1, 1]": betting_keeps,
}


def drawn_from(kind: str) -> tuple[FloatArray, float, np.random.Generator]:
    """Return a population of changes, the margin at which they are judged, and the generator that goes on from it."""
    generator = np.random.default_rng([simulate_verdicts.SEED, 2, list(simulate_verdicts.CHANGES).index(kind)])
    population = simulate_verdicts.changed(generator, kind, simulate_verdicts.POPULATION)
    return population, float(population.mean()) if simulate_verdicts.CHANGES[kind] else 0.02, generator


def print_floor() -> None:
    """Print how many samples of 100 hold nothing that a rule could see: they pass by every rule that looks for it."""
    population = drawn_from("3 % of answers turned round")[0]
    again = np.random.default_rng([simulate_verdicts.SEED, 2, 2])
    again.dirichlet(np.full(4, 1.5), len(population))
    again.standard_normal((2, len(population), 4))
    turned = again.random(len(population)) < 0.03
    for what, shown in (
        ("turned round", turned),
        ("turned round and worse", turned & (population > 0)),
        ("turned round and worse by more than .1", turned & (population > 0.1)),
    ):
        share = float(shown.mean())
        print(f"{what}: {share:.2%} of the questions, none of them in {(1.0 - share) ** 100:.2%} of samples")


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000, help="samples behind each number")
    runs = parser.parse_args(arguments).runs
    drawn = []
    for kind, n in SAMPLES:
        population, margin, generator = drawn_from(kind)
        drawn.append((population[generator.integers(0, len(population), (runs, n))], margin))
    print("| rule | " + " | ".join(f"{kind}, {n} units" for kind, n in SAMPLES) + " |")
    print("|---" * (len(SAMPLES) + 1) + "|")
    for name, rule in RULES.items():
        shares = [100.0 * float(np.mean(rule(changes, margin))) for changes, margin in drawn]
        print(f"| {name} | " + " | ".join(f"{share:.1f}" for share in shares) + " |", flush=True)
    print_floor()
    return 0


if __name__ == "__main__":
    sys.exit(main())
