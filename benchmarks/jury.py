"""Measure the cost of the welfare of large panels: time and memory of the sweep over aversions with its intervals.

`python benchmarks/jury.py` prints one JSON line a panel, each measured in a process of its own, since a peak never
comes down again: a sparse panel of 10,000 jurors by 10,000 queries with a million votes, as votes in memory and as a
file that is read first, and with `--polis FOLDER` a Polis conversation from its files.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

N_JURORS = N_QUERIES = 10_000
N_VOTES = 1_000_000


def votes(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a million different cells of the table, with a vote each."""
    rng = np.random.default_rng(seed)
    cells = np.unique(rng.integers(N_JURORS * N_QUERIES, size=N_VOTES + N_VOTES // 50))
    cells = np.sort(rng.permutation(cells)[:N_VOTES])
    mood = rng.normal(0.6, 0.1, N_JURORS)
    worth = rng.normal(0.0, 0.1, N_QUERIES)
    who, what = cells % N_JURORS, cells // N_JURORS
    return who, what, np.clip(mood[who] + worth[what] + rng.normal(0.0, 0.15, N_VOTES), 0.05, 1.0)


def in_memory() -> dict[str, object]:
    """Measure the sweep on votes that are there."""
    from pytest_pluralism.core.estimation.welfare_bands import welfare_band
    from pytest_pluralism.core.metrics.sparse_welfare import JuryTable
    from pytest_pluralism.evaluation.jury.views import SWEEP

    who, what, utility = votes()
    table = JuryTable(
        juror=who.astype(np.intp),
        response=what.astype(np.intp),
        utility=utility,
        response_query=np.arange(N_QUERIES),
        share=np.ones(N_QUERIES),
        weights=np.ones(N_JURORS),
        group=np.arange(N_JURORS) % 5,
        group_names=tuple("abcde"),
        n_queries=N_QUERIES,
    )
    started, busy = time.perf_counter(), time.process_time()
    band = welfare_band(table, alphas=SWEEP)
    return {
        "panel": "a million votes in memory",
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(time.process_time() - busy, 2),
        "values": [round(value, 4) for value in band.values],
    }


def whole(path: str) -> dict[str, object]:
    """Measure reading a panel, and all that a gate computes of recorded responses, views included."""
    from pytest_pluralism.core.estimation import estimate_scores
    from pytest_pluralism.datasets import load_panel
    from pytest_pluralism.evaluation.jury.evaluations import JurySettings, policy_scores

    started, busy = time.perf_counter(), time.process_time()
    panel = load_panel(path)
    read, busy_reading = time.perf_counter() - started, time.process_time() - busy
    share = np.concatenate([np.full(len(q.responses), 1.0 / len(q.responses)) for q in panel.queries])
    started, busy = time.perf_counter(), time.process_time()
    scores = policy_scores(panel, share, settings=JurySettings())
    estimate = estimate_scores(scores)
    return {
        "panel": Path(path.partition(":")[2] or path).name,
        "jurors": len(panel.jurors),
        "queries": len(panel.queries),
        "responses": len(panel.responses),
        "votes": panel.n_votes,
        "seconds_reading": round(read, 2),
        "cpu_seconds_reading": round(busy_reading, 2),
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(time.process_time() - busy, 2),
        "welfare_at_alpha_1": [round(number, 4) for number in (estimate.value, estimate.low, estimate.high)],
    }


def peak_mib() -> float:
    """Return the highest resident memory of this process so far."""
    import resource

    # Kilobytes on Linux, bytes on a Mac.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--polis", help="a folder with the export of a conversation")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        found = in_memory() if arguments.one == "memory" else whole(arguments.one)
        print(json.dumps({"benchmark": "jury", **found, "peak_mib": round(peak_mib())}), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sparse.csv"
        who, what, utility = votes()
        with path.open("w", encoding="utf-8") as file:
            file.write("juror,query,utility,group\n")
            file.writelines(f"j{j},q{q},{u:.4f},{'abcde'[j % 5]}\n" for j, q, u in zip(who, what, utility, strict=True))
        panels = ["memory", str(path)]
        if arguments.polis:
            panels.append(f"polis:{arguments.polis}")
        print(json.dumps({"load": os.getloadavg()[0], "cpus": os.cpu_count()}))
        for one in panels:
            subprocess.run([sys.executable, __file__, "--one", one], check=True)


if __name__ == "__main__":
    main()
