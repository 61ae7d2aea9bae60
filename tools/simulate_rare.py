"""Measure what promises say of scores of which few are far from the rest; ``simulate_samples.py`` runs it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from pytest_pluralism.core import Gate, Outcome, decide
from pytest_pluralism.core.estimation import estimate_mean
from pytest_pluralism.core.verdict import failure_p_value

Row = dict[str, Any]

SEED = 20261129

#: Scores of which 5 % are 0: name -> (the mean of the others, their standard deviation).
RARE_SCORES = {".6, little spread": (0.6, 0.05), ".6": (0.6, 0.15), ".9": (0.9, 0.05), ".999": (0.999, 0.0005)}


def rare_scores(n_runs: int) -> Iterator[Row]:
    """Count passes of ``at_least`` at exactly the truth where 5 % of the units, or of the clusters, score 0."""
    for name, (mean, spread) in RARE_SCORES.items():
        bound = Gate(at_least=0.95 * mean)
        for clusters, size in ((25, 1), (50, 1), (80, 1), (10, 8), (25, 4)):
            rng = np.random.default_rng([SEED, clusters, round(1000 * mean)])
            ids = np.repeat(np.arange(clusters), size).tolist()
            passed = failed = said = 0
            for _ in range(5 * n_runs):
                good = np.clip(mean + spread * rng.standard_normal(clusters * size), 0.0, 1.0)
                scores = np.where(np.repeat(rng.random(clusters) < 0.05, size), 0.0, good)
                verdict = decide(bound, estimate_mean(scores, clusters=ids if size > 1 else None))
                passed += verdict.passed
                failed += verdict.outcome is Outcome.FAILED
                said += verdict.passed and "may not show" in verdict.unseen
            yield {
                "scores": name,
                "units": clusters * size,
                "clusters": clusters,
                "passed": passed / (5 * n_runs),
                "said": said / passed if passed else math.nan,
                "failed": failed / (5 * n_runs),
                "none": 0.95**clusters,
            }


def rare_failures(n_runs: int) -> Iterator[Row]:
    """Count failures of ``at_least`` at exactly the truth where 5 % of the scores are .9 and the rest near .1."""
    bound = Gate(at_least=0.05 * 0.9 + 0.95 * 0.1)
    for units in (25, 50, 75, 100, 200):
        rng = np.random.default_rng([SEED, units])
        failed = among = 0
        for _ in range(5 * n_runs):
            scores = np.where(rng.random(units) < 0.05, 0.9, rng.beta(2.0, 18.0, units))
            estimate = estimate_mean(scores)
            failed += decide(bound, estimate).outcome is Outcome.FAILED
            # Holm's first step, where no other promise of the run is near its bound.
            among += failure_p_value(bound, estimate) < 0.025 / 12
        yield {
            "units": units,
            "failed": failed / (5 * n_runs),
            "failed among 12": among / (5 * n_runs),
            "none": 0.95**units,
        }
