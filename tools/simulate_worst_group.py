"""Simulate the interval of the group that fares worst: how often it holds the truth, and how often a promise errs.

    python tools/simulate_worst_group.py            # some minutes; prints two tables

Groups have true means, units are scores in [0, 1] or right and wrong answers, and each run measures all groups before
and after a change. Counted are: the truth inside the interval of the worst; the truth inside that of its change; a
kept promise called FAILED, and a broken one called PASSED, where the truth is exactly at the bound.
The second table is about promises that compare the worst group with a reference, whose scores are those before, and
about a change either way.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pytest_pluralism.core import decide
from pytest_pluralism.core.estimation import (
    compare_paired,
    estimate_mean,
    estimate_worst,
    worst_advantage,
    worst_change,
)
from pytest_pluralism.core.records import Estimate, Gate, Outcome


@dataclass(frozen=True)
class Case:
    """Groups with their true means before and after, the size of each, and the kind of the scores."""

    name: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    sizes: tuple[int, ...]
    is_share: bool = False


CASES = (
    Case("3 groups alike", (0.6,) * 3, (0.6,) * 3, (60,) * 3),
    Case("10 groups alike", (0.6,) * 10, (0.6,) * 10, (60,) * 10),
    Case("10 groups alike, all lose .05", (0.6,) * 10, (0.55,) * 10, (60,) * 10),
    Case("one of 5 far behind", (0.4, 0.7, 0.7, 0.7, 0.7), (0.4, 0.7, 0.7, 0.7, 0.7), (30, 200, 200, 200, 200)),
    Case("another group becomes the worst", (0.5, 0.7, 0.7), (0.55, 0.45, 0.7), (60, 60, 60)),
    Case("another group becomes the worst, as far", (0.5, 0.7, 0.7), (0.7, 0.5, 0.7), (60, 60, 60)),
    Case("the worst of 3 gains .05", (0.5, 0.7, 0.7), (0.55, 0.7, 0.7), (60, 60, 60)),
    Case("right or wrong, 5 groups alike", (0.7,) * 5, (0.7,) * 5, (80,) * 5, is_share=True),
    Case("right or wrong, sizes 25 to 200", (0.7,) * 4, (0.65,) * 4, (25, 50, 100, 200), is_share=True),
)


def drawn(rng: np.random.Generator, case: Case) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the scores of each group before and after; a unit keeps most of its luck."""
    both: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for old, new, n in zip(case.before, case.after, case.sizes, strict=True):
        if case.is_share:
            luck, fresh, keeps = rng.random(n), rng.random(n), rng.random(n) < 0.8
            sides = [luck < old, np.where(keeps, luck, fresh) < new]
        else:
            luck = rng.normal(0.0, 0.12, n)
            sides = [old + luck, new + luck + rng.normal(0.0, 0.03, n)]
        for kept, side in zip(both, sides, strict=True):
            kept.append(side.astype(float))
    return both


def paired(ours: np.ndarray, theirs: np.ndarray) -> Callable[[float | None], Estimate]:
    """Return the function that gives the paired change of one group at a level."""
    return lambda level: compare_paired(ours, theirs, confidence_level=level)


def count(found: Counter[str], promise: str, outcome: Outcome) -> None:
    """Count what a promise came to."""
    found[f"{promise} failed"] += outcome is Outcome.FAILED
    found[f"{promise} passed"] += outcome is Outcome.PASSED


def run(case: Case, n_runs: int, seed: int) -> Counter[str]:
    """Return how often each thing happened."""
    rng, found = np.random.default_rng(seed), Counter[str]()
    truth, change_truth = min(case.after), min(case.after) - min(case.before)
    names = [str(place) for place in range(len(case.sizes))]
    for _ in range(n_runs):
        before, after = drawn(rng, case)
        then, now = ({name: estimate_mean(s) for name, s in zip(names, side, strict=True)} for side in (before, after))

        worst = estimate_worst(now)[1]
        pairs = {name: paired(after[place], before[place]) for place, name in enumerate(names)}
        change, advantage = worst_change(now, then, pairs), worst_advantage(now, pairs)
        found["worst held"] += worst.low <= truth <= worst.high
        found["change held"] += change.low <= change_truth <= change.high
        # At the bound a promise is kept: FAILED is a false alarm. Just below it, PASSED would be a false green.
        kept = decide(Gate(at_least=truth), worst).outcome
        found["level failed"] += kept is Outcome.FAILED
        found["level passed"] += kept is Outcome.PASSED
        found["advantage held"] += advantage.low <= change_truth <= advantage.high
        count(found, "change", decide(Gate(max_decrease=max(0.0, -change_truth)), worst, change=change).outcome)
        count(found, "either way", decide(Gate(max_change=abs(change_truth)), worst, change=change).outcome)
        count(found, "better", decide(Gate(better_than="before"), worst, advantage=advantage).outcome)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    first = ("worst held", "change held", "level failed", "level passed", "change failed", "change passed")
    second = ("advantage held", "better failed", "better passed", "either way failed", "either way passed")
    rows: tuple[list[str], list[str]] = ([], [])
    for case in CASES:
        found = run(case, given.runs, given.seed)
        change = min(case.after) - min(case.before)
        # Of a promise whose bound the truth is not at, nothing is known.
        away = {"change": change > 0, "better": change != 0, "either way": change == 0}
        for row, names in zip(rows, (first, second), strict=True):
            shown = [not away.get(name.rpartition(" ")[0], False) or name.endswith("held") for name in names]
            cells = [
                f"{100 * found[name] / given.runs:.1f} %" if is_at else ""
                for name, is_at in zip(names, shown, strict=True)
            ]
            row.append(f"| {case.name} | {' | '.join(cells)} |")
        print(case.name, file=sys.stderr, flush=True)
    print("| groups | worst held | change held | level: FAILED | PASSED | change: FAILED | PASSED |")
    print("|---|---|---|---|---|---|---|", *rows[0], sep="\n")
    print("\n| groups | advantage held | better_than: FAILED | PASSED | max_change: FAILED | PASSED |")
    print("|---|---|---|---|---|---|", *rows[1], sep="\n")


if __name__ == "__main__":
    main()
