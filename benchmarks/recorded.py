"""Time and memory of a large recording: opened, looked up, and opened again.

.. code-block:: console

    $ python benchmarks/recorded.py 1000000
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from pytest_pluralism.models.recorded.index import Recording


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(n: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.jsonl"
        draw = random.Random(0)
        with path.open("w", encoding="utf-8") as file:
            for number in range(n):
                one = round(draw.random() * 0.9, 6)
                row = {"prompt_id": f"a-{number:032x}", "probabilities": {"A": one, "B": round(0.95 - one, 6)}}
                file.write(json.dumps(row) + "\n")
        before = peak()
        print(f"{n:,} rows, {path.stat().st_size / 1e6:.0f} MB; memory before {before:.0f} MB")
        for words in ("opened", "opened again"):
            started, used = time.perf_counter(), time.process_time()
            recording = Recording(path)
            took, busy = time.perf_counter() - started, time.process_time() - used
            print(f"{words}: {took:.2f} s ({busy:.2f} s of CPU), peak {peak():.0f} MB")
        started = time.perf_counter()
        wanted = [draw.randrange(n) for _ in range(min(n, 100_000))]
        assert all(recording.rows(f"id:a-{number:032x}") for number in wanted)
        print(f"{len(wanted):,} looked up: {time.perf_counter() - started:.2f} s, peak {peak():.0f} MB")
        recording.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
