"""Measure the time that the plugin adds to the start of pytest: with and without it, in turn, in fresh processes.

``--version`` is what the goal names, but pytest answers it before it loads any plugin; ``--collect-only`` on an empty
folder loads them all.

Run: ``python benchmarks/startup.py [REPEATS]``. Prints the medians in milliseconds, and the difference, as JSON.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time


def once(*options: str) -> float:
    started = time.perf_counter()
    # 5: pytest found no test to collect, as it should.
    done = subprocess.run([sys.executable, "-m", "pytest", *options], check=False, capture_output=True)
    if done.returncode not in (0, 5):
        raise SystemExit(done.stderr.decode())
    return 1000 * (time.perf_counter() - started)


def compare(repeats: int, *options: str) -> dict[str, float]:
    with_plugin, without = [], []
    once(*options)
    for _ in range(repeats):
        with_plugin.append(once(*options))
        without.append(once("-p", "no:pluralism", *options))
    differences = [ours - theirs for ours, theirs in zip(with_plugin, without, strict=True)]
    return {
        "pytest_ms": round(statistics.median(without), 1),
        "with_plugin_ms": round(statistics.median(with_plugin), 1),
        "added_ms": round(statistics.median(differences), 1),
    }


def main(repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        result = {
            "benchmark": "startup",
            "repeats": repeats,
            "--version": compare(repeats, "--version"),
            "--collect-only": compare(repeats, "--collect-only", "-q", "-p", "no:cacheprovider", folder),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
