"""Simulate how often promises err on sampled answers whose number was planned from the promise.

.. code-block:: console

    $ python tools/simulate_draws.py 400
"""

from __future__ import annotations

import math
import sys

import numpy as np

from pytest_pluralism.core import decide
from pytest_pluralism.core.estimation import compare_paired, estimate_mean
from pytest_pluralism.core.estimation.drawing import draws_planned
from pytest_pluralism.core.records import Gate, Outcome
from pytest_pluralism.evaluation.surveys.respondents import Comparison

HOW = Comparison(2.0, corrected=True)
PROMPTS_EACH = 5


def questions(n: int, rng: np.random.Generator, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of people and of a model, which ``shift`` moves away from the people."""
    people = rng.dirichlet(np.full(4, 1.5), n)
    model = 0.7 * people + 0.3 * rng.dirichlet(np.full(4, 0.7), n)
    return people, (1.0 - shift) * model + shift * np.eye(4)[people.argmin(axis=1)]


def distances(model: np.ndarray, people: np.ndarray, draws: float = math.inf) -> np.ndarray:
    """Return the distances, corrected for drawing."""
    found = HOW.distances(list(model), list(people), [None] * len(people), of_model=[draws] * len(people))
    return np.asarray(found.values)


def drawn(model: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return the shares of sampled answers."""
    return rng.multinomial(draws, model) / draws


def true_mean(shift: float) -> float:
    """Return the mean distance over very many questions."""
    people, model = questions(40_000, np.random.default_rng(99), shift)
    return float(distances(model, people).mean())


def main(n_runs: int) -> None:
    """Print the share of wrong verdicts of promises that are just broken, and of unchanged models that fail."""
    rng = np.random.default_rng(1)
    start = true_mean(0.0)
    low, high = 0.0, 0.5
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if true_mean(middle) - start < 0.02 else (low, middle)
    shift = high
    print("| promise | questions | draws a prompt | kept though just broken | failed though unchanged | undecided |")
    print("|---|---|---|---|---|---|")
    for n in (25, 100, 400):
        level, change = Gate(at_most=start), Gate(max_increase=0.02)
        many = [draws_planned(gate, n_questions=n, prompts_each=PROMPTS_EACH) for gate in (level, change)]
        kept = {"level": 0, "change": 0}
        failed = undecided = 0
        for _ in range(n_runs):
            people, model = questions(n, rng, 0.0)
            ours = distances(drawn(model, many[0] * PROMPTS_EACH, rng), people, many[0] * PROMPTS_EACH)
            kept["level"] += decide(level, estimate_mean(ours)).outcome is Outcome.PASSED
            away = (1.0 - shift) * model + shift * np.eye(4)[people.argmin(axis=1)]
            total = many[1] * PROMPTS_EACH
            before, same, worse = (distances(drawn(one, total, rng), people, total) for one in (model, model, away))
            for now in (worse, same):
                verdict = decide(change, estimate_mean(now), change=compare_paired(now, before)).outcome
                if now is worse:
                    kept["change"] += verdict is Outcome.PASSED
                else:
                    failed += verdict is Outcome.FAILED
                    undecided += verdict is Outcome.INCONCLUSIVE
        shares = [100 * count / n_runs for count in (kept["level"], kept["change"], failed, undecided)]
        print(f"| at_most | {n} | {many[0]} | {shares[0]:.1f} % | | |")
        print(f"| max_increase=0.02 | {n} | {many[1]} | {shares[1]:.1f} % | {shares[2]:.1f} % | {shares[3]:.1f} % |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
