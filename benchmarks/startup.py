"""What loading the plugin adds to ``pytest --version``: with and without it, in turn, in fresh processes.

Run: ``python benchmarks/startup.py [REPEATS]``. Prints the medians in milliseconds, and the difference, as JSON.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time


def once(*options: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pytest", *options, "--version"], check=True, capture_output=True)
    return 1000 * (time.perf_counter() - started)


def main(repeats: int) -> None:
    with_plugin, without = [], []
    once()
    for _ in range(repeats):
        with_plugin.append(once())
        without.append(once("-p", "no:pluralism"))
    differences = [ours - theirs for ours, theirs in zip(with_plugin, without, strict=True)]
    print(
        json.dumps(
            {
                "benchmark": "startup",
                "repeats": repeats,
                "pytest_ms": round(statistics.median(without), 1),
                "with_plugin_ms": round(statistics.median(with_plugin), 1),
                "added_ms": round(statistics.median(differences), 1),
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
