"""Time and memory of a large answer store: opened, and answers looked up in it.

.. code-block:: console

    $ python benchmarks/stored.py 1000000
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

from pytest_pluralism.core.records import Answer, Prompt
from pytest_pluralism.models.answers.kinds import ANSWERS
from pytest_pluralism.models.answers.store import AnswerStore
from pytest_pluralism.models.protocol import ModelIdentity

IDENTITY = ModelIdentity(spec="./m", name="m", sha256="1c5a" * 16, dtype="float32", device="cpu")

#: The number of answers that one call keeps.
CHUNK = 10_000

#: The number of answers that are looked up.
LOOKED_UP = 100_000


def prompt(number: int) -> Prompt:
    return Prompt(f"Is {number} a lot?\nA. Yes\nB. No", ("A", "B"))


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(words: str, started: tuple[float, float]) -> None:
    wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    print(f"{words}: {wall:.2f} s ({cpu:.2f} s of CPU), peak {peak():.0f} MB", flush=True)


def clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def main(n: int) -> None:
    answer = Answer((-0.25, -1.5), 1.0, " A", 0.78)
    with tempfile.TemporaryDirectory() as folder:
        started = clocks()
        # Larger than the default, which holds about 2.5 million answers.
        with AnswerStore(Path(folder), most_bytes=2**33) as store:
            for start in range(0, n, CHUNK):
                store.keep(ANSWERS, IDENTITY, [(prompt(k), answer) for k in range(start, min(n, start + CHUNK))])
            print(f"{n:,} answers, {store.file_bytes() / 1e6:.0f} MB")
        timed("kept", started)
        started = clocks()
        with AnswerStore(Path(folder), most_bytes=2**33) as store:
            timed("opened", started)
            wanted = [prompt(k) for k in range(0, n, max(1, n // LOOKED_UP))]
            started = clocks()
            assert len(store.lookup(ANSWERS, IDENTITY, wanted)) == len(set(wanted))
            timed(f"{len(wanted):,} looked up", started)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
