"""Time the distances of the core on a million pairs of distributions over five options, one thread.

Run with ``OMP_NUM_THREADS=1 python benchmarks/core_distances.py [n_pairs]``.
SciPy's ``jensenshannon`` on the same arrays stands beside ours; the ways take turns, and medians are shown.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
from scipy.spatial import distance

from pytest_pluralism.core.metrics import distributional

ROUNDS = 5
N_OPTIONS = 5


def main() -> None:
    n_pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(N_OPTIONS), size=(2, n_pairs))
    ways: dict[str, Callable[[], object]] = {
        "jensen_shannon_distance": lambda: distributional.jensen_shannon_distance(p, q),
        "scipy jensenshannon (axis=1, unchecked)": lambda: distance.jensenshannon(p, q, base=2.0, axis=1),
        "kullback_leibler_divergence": lambda: distributional.kullback_leibler_divergence(p, q),
        "total_variation_distance": lambda: distributional.total_variation_distance(p, q),
        "wasserstein_distance": lambda: distributional.wasserstein_distance(p, q),
        "entropy": lambda: distributional.entropy(p),
        "mode_agreement": lambda: distributional.mode_agreement(p, q),
        "brier_score": lambda: distributional.brier_score(p, q),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    print(f"{n_pairs:,} pairs of distributions over {N_OPTIONS} options, numpy {np.__version__}, median of {ROUNDS}")
    for name, times in seconds.items():
        print(f"{name:42s} {statistics.median(times):7.3f} s   (fastest {min(times):.3f}, slowest {max(times):.3f})")


if __name__ == "__main__":
    main()
