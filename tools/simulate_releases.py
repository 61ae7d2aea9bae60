"""Measure what a gate over many releases promises: false failures over many looks, and drifts that are caught.

Run ``python tools/simulate_releases.py --runs 240``: a line of JSON for each cell of the tables on the page of the
statistics; about ten minutes on one core.

A model answers ``n`` questions of four options with a fixed error of its own; each run adds noise to the logits, so
that an unchanged model seems to move. Each run is compared with the baseline, and updates it in one of three ways.
The noise is normal and independent, or of one of the other ``SHAPES``.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core import Gate, Outcome, decide
from pytest_pluralism.core.estimation import compare_paired, look_factor
from pytest_pluralism.core.metrics import jensen_shannon_distance
from pytest_pluralism.core.records import Estimate
from pytest_pluralism.core.verdict import failure_p_value

__all__ = ["drifts", "false_failures"]

FloatArray = npt.NDArray[np.float64]

SEED = 20260312

SIZES, NOISES, NIGHTS, RELEASES = (25, 100), (0.05, 0.1), 20, 10

#: The noise of runs, all of the same standard deviation: the last three were not looked at when the factor was chosen.
SHAPES = ("normal", "skewed", "runs alike", "questions alike")

#: How an unchanged model is run: the way to update, and the setting ``--pluralism-looks``.
WAYS: tuple[tuple[str, int | str], ...] = (
    ("the lowest kept", "each"),
    ("better", "counted"),
    ("every run stored", "counted"),
    ("none stored", "each"),
    ("none stored", "counted"),
    ("none stored", NIGHTS),
)


def _answers(logits: FloatArray) -> FloatArray:
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: FloatArray = shares / shares.sum(axis=-1, keepdims=True)
    return result


class _Model:
    """A model that is asked the same questions again and again."""

    def __init__(self, n: int, noise: float, generator: np.random.Generator, shape: str = "normal") -> None:
        self._people = generator.dirichlet(np.full(4, 1.5), n)
        self._logits = np.log(self._people + 1e-3) + generator.normal(0.0, 0.6, (n, 4))
        self._noise, self._generator, self._shape = noise, generator, shape
        self._before = generator.normal(0.0, 1.0, self._logits.shape)

    def run(self) -> FloatArray:
        """Return the distances of one run, by question."""
        moved = self._logits + self._noise * self._moves()
        return np.asarray(jensen_shannon_distance(_answers(moved), self._people), dtype=np.float64)

    def _moves(self) -> FloatArray:
        """Return the noise of one run by question and option, of standard deviation 1."""
        own: FloatArray = self._generator.normal(0.0, 1.0, self._logits.shape)
        if self._shape == "skewed":
            # Few questions move much, and then away from the people.
            away = np.sign(self._logits - np.log(self._people + 1e-3))
            return np.asarray(away * (self._generator.exponential(1.0, (len(own), 1)) - 1.0), dtype=np.float64)
        if self._shape == "runs alike":
            # Most of the noise that a run adds stays in the next one.
            self._before = 0.9 * self._before + (1.0 - 0.81) ** 0.5 * own
            return self._before
        if self._shape == "questions alike":
            # Half of the variance is a liking for places of the list, the same for all questions.
            return np.asarray(0.5**0.5 * (own + self._generator.normal(0.0, 1.0, (1, 4))), dtype=np.float64)
        return own


def _beside(now: FloatArray, then: FloatArray) -> Estimate:
    return compare_paired(now, then)


def _as_value(distances: FloatArray) -> Estimate:
    value = float(distances.mean())
    return Estimate(value, value, value, 0.0, len(distances), len(distances), None)


def _fails(margin: float, now: FloatArray, last: FloatArray, anchor: FloatArray, looks: float) -> bool:
    drift = None if anchor is last else _beside(now, anchor)
    verdict = decide(Gate(max_increase=margin), _as_value(now), change=_beside(now, last), drift=drift, looks=looks)
    return verdict.outcome is Outcome.FAILED


def _is_better(now: FloatArray, last: FloatArray, looks: float) -> bool:
    """Return whether a gain is shown, as ``--pluralism-update-baseline=better`` asks."""
    change = _beside(now, last)
    gained = Gate(max_decrease=0.0)
    return bool(failure_p_value(gained, _as_value(now), change=change, looks=looks) < 0.025)


def false_failures(n_runs: int, shape: str = "normal") -> Iterator[dict[str, Any]]:
    """Count in how many series of twenty runs an unchanged model fails at least once, by the way to update."""
    # The factor was chosen after a look at normal noise; this puts it to the other shapes.
    ways = WAYS if shape == "normal" else [one for one in WAYS if one[0] == "none stored" and one[1] != "each"]
    for n, noise, (way, plan) in itertools.product(SIZES, NOISES, ways):
        generator = np.random.default_rng([SEED, n, round(1000 * noise), SHAPES.index(shape)])
        failed = sum(_series_fails(_Model(n, noise, generator, shape), way, plan) for _ in range(n_runs))
        yield {
            "shape": shape,
            "n": n,
            "noise": noise,
            "way": way,
            "looks": plan,
            "n_runs": n_runs,
            "failed": failed / n_runs,
        }


def _series_fails(model: _Model, way: str, plan: int | str) -> bool:
    anchor = last = model.run()
    looks, failed = 0, False
    for _ in range(NIGHTS):
        now = model.run()
        factor = look_factor(looks + 1, plan=plan)
        failed |= _fails(0.0, now, last, anchor, factor)
        if way == "the lowest kept":
            # The rule of the first release: no anchor, and the better of the two values is kept.
            last = anchor = now if now.mean() < last.mean() else last
        elif way == "better":
            last = now if _is_better(now, last, factor) else last
            looks += 1
        elif way == "every run stored":
            last = now
            looks += 1
    return failed


def drifts(n_runs: int) -> Iterator[dict[str, Any]]:
    """Count how often ten releases that each lose .01 fail, pass every time, and are caught by which release.

    A release that does not fail becomes the baseline, under ``max_increase=.02``.
    """
    for n in SIZES:
        for noise in NOISES:
            for anchored in (False, True):
                generator = np.random.default_rng([SEED, 1, n, round(1000 * noise)])
                found = [_caught_by(_Model(n, noise, generator), anchored=anchored) for _ in range(n_runs)]
                caught = [release for release in found if release]
                yield {
                    "n": n,
                    "noise": noise,
                    "anchor": anchored,
                    "n_runs": n_runs,
                    "caught": len(caught) / n_runs,
                    "by_release": float(np.median(caught)) if caught else None,
                }


def _caught_by(model: _Model, *, anchored: bool, loss: float = 0.01, margin: float = 0.02) -> int | None:
    anchor = last = model.run()
    for release in range(1, RELEASES + 1):
        now = model.run() + loss * release
        factor = look_factor(release) if anchored else 1.0
        if _fails(margin, now, last, anchor if anchored else last, factor):
            return release
        last = now
    return None


def main() -> None:
    """Print the cells that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=240, help="series a cell")
    parser.add_argument("--only", choices=("drifts", *SHAPES), action="append", help="this part alone")
    options = parser.parse_args()
    for part in ("drifts", *SHAPES):
        if part in (options.only or ("drifts", *SHAPES)):
            for row in drifts(options.runs) if part == "drifts" else false_failures(options.runs, part):
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
