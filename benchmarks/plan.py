"""Check ``pluralism plan`` on a report by simulation: does a promise fail as often as the plan says?

The units of each promise are drawn again, cluster by cluster, around a truth of the planned size, and judged: once as
the one failing promise among all that the run judges together (Holm's first step), once alone. For a truth that lies at
the bound the share of failures is that of false alarms. Scores are moved as a whole, so that they keep their spread and
their skewness.

    python -m pytest examples/release_gate --pluralism-model=embedded:smollm2-135m-instruct --pluralism-report=run.json
    python benchmarks/plan.py run.json
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from pytest_pluralism.cli import main as pluralism
from pytest_pluralism.cli.results import read_results
from pytest_pluralism.core.estimation import compare_paired, estimate_mean
from pytest_pluralism.core.records import Estimate, Gate, Outcome, Verdict
from pytest_pluralism.core.verdict import adjust_verdicts, decide

#: A promise that is kept whatever is drawn, for the others of the run.
KEPT = decide(Gate(at_most=1.0), Estimate(0.3, 0.25, 0.35, 0.025, n=100, n_clusters=100))

CHANGES = ("max_increase", "max_decrease")


def planned(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the command says."""
    words = ["plan", arguments.report, "--json", f"--difference={arguments.difference}"]
    words += [f"--model={arguments.model}"] if arguments.model else []
    with contextlib.redirect_stdout(io.StringIO()) as out:
        pluralism(words)
    content: dict[str, Any] = json.loads(out.getvalue())
    return content


class Drawn:
    """The scores of one promise, drawn again around another truth."""

    def __init__(self, row: Mapping[str, Any], entry: Mapping[str, Any]) -> None:
        self.row, self.is_change = row, row["bound"] in CHANGES
        units = entry["units"]
        scores = [unit["change"] if self.is_change else unit["value"] for unit in units]
        self.scores = np.array(scores) - np.mean(scores)
        self.value = entry["estimate"]["value"]
        names, codes = np.unique([unit["cluster"] for unit in units], return_inverse=True)
        self.members = [np.flatnonzero(codes == code) for code in range(len(names))]
        self.gate = Gate(**{row["bound"]: row["margin"]}, confidence_level=row["confidence_level"])
        # A fall of a size is a change below zero.
        self.side = -1.0 if row["bound"] == "max_decrease" else 1.0

    def verdict(self, truth: float, n_units: int, generator: np.random.Generator) -> Verdict:
        """Judge one draw of about so many units."""
        n_clusters = max(2, round(n_units * len(self.members) / len(self.scores)))
        chosen = generator.integers(len(self.members), size=n_clusters)
        places = np.concatenate([self.members[one] for one in chosen])
        clusters = np.repeat(np.arange(n_clusters), [len(self.members[one]) for one in chosen]).tolist()
        scores = self.scores[places] + self.side * truth
        if not self.is_change:
            return decide(self.gate, estimate_mean(scores, clusters=clusters))
        change = compare_paired(scores, np.zeros(len(scores)), clusters=clusters)
        return decide(self.gate, estimate_mean(np.full(len(scores), self.value), clusters=clusters), change=change)

    def shares(self, truth: float, n_units: int, gates: int, draws: int, seed: int) -> tuple[float, float]:
        """Return how often the promise fails among the others, and alone."""
        generator = np.random.default_rng(seed)
        together = alone = 0
        for _ in range(draws):
            verdict = self.verdict(truth, n_units, generator)
            alone += verdict.outcome is Outcome.FAILED
            together += adjust_verdicts([verdict, *[KEPT] * (gates - 1)])[0].outcome is Outcome.FAILED
        return together / draws, alone / draws


def main() -> int:
    """Draw, judge and count."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("report", help="a report of --pluralism-report")
    parser.add_argument("--model", help="the model, where the report has several")
    parser.add_argument("--difference", type=float, default=0.05, help="the wished regression (default: 0.05)")
    parser.add_argument("--draws", type=int, default=1000)
    # Another one than that of the plan, whose draws would be judged by themselves.
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    plan = planned(arguments)
    entries = read_results(arguments.report, arguments.model).entries
    print(f"{plan['gates']} promises together, {arguments.draws} draws; shares of FAILED in %")
    print("planned  alone as planned  at the bound (alone)  with the units for the wish  promise")
    for row in plan["promises"]:
        if row["confidence_level"] is None or row["fails_from"] is None or row["spread"] == "unpaired":
            print(f"not drawn: {row['bound']} {row['promise']:g} {row['key']} ({row['words']})")
            continue
        drawn = Drawn(row, entries[row["key"]])
        often = {"gates": plan["gates"], "draws": arguments.draws, "seed": arguments.seed}
        together, _ = drawn.shares(row["fails_from"], row["n"], **often)
        _, alone = drawn.shares(row["alone"]["fails_from"], row["n"], **often)
        bound_together, bound_alone = drawn.shares(row["margin"], row["n"], **often)
        wish = "-"
        if row["units_needed"] is not None:
            side = -1.0 if row["bound"] == "at_least" else 1.0
            truth = arguments.difference if drawn.is_change else row["margin"] + side * arguments.difference
            wish = f"{100 * drawn.shares(truth, row['units_needed'], **often)[0]:.1f} ({row['units_needed']})"
        at_bound = f"{100 * bound_together:.1f} ({100 * bound_alone:.1f})"
        print(
            f"{100 * together:7.1f}  {100 * alone:16.1f}  {at_bound:>20}  {wish:>27}  "
            f"{row['bound']} {row['promise']:g} {row['key']}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
