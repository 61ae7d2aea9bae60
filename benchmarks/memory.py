"""Measure the memory of the packaged models: alone, one after the other, and under workers of pytest-xdist.

`python benchmarks/memory.py` prints JSON. Each measurement runs in a process of its own, since a peak never comes down
again; `python benchmarks/memory.py workers` measures the workers alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODELS = ("embedded:smollm2-135m-instruct", "embedded:gemma-3-270m")


def peak_mib() -> float:
    """Return the highest resident memory of this process so far."""
    import resource

    # Kilobytes on Linux, bytes on a Mac.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


def now_mib() -> float:
    """Return the resident memory of this process."""
    import psutil

    return psutil.Process().memory_info().rss / (1 << 20)


def one_process(specs: list[str]) -> dict[str, object]:
    """Load, ask and close models in turn."""
    from pytest_pluralism.core.records import Prompt
    from pytest_pluralism.models import load_model

    prompts = [
        Prompt(f"Question {number}: what do you think?\nA. Yes\nB. No", ("A", "B"), system="You answer a survey. " * 20)
        for number in range(8)
    ]
    stages = []
    for spec in specs:
        model = load_model(spec)
        loaded = now_mib()
        model.answer(prompts)
        asked = now_mib()
        model.close()
        del model
        stages.append({"model": spec, "loaded": loaded, "asked": asked, "closed": now_mib()})
    return {"peak": peak_mib(), "stages": stages}


def measure(specs: list[str]) -> dict[str, object]:
    """Run :func:`one_process` in a new process."""
    done = subprocess.run([sys.executable, __file__, *specs], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


#: Eight files of three tests that one model answers, as a suite has them.
WORKER_TEST = """
import pytest

@pytest.mark.js_distance("wvs_immigration", at_most=1.0, seed={number}, repetitions=1)
def test_one(): ...

@pytest.mark.js_distance("wvs_immigration", population="Japan", at_most=1.0, confidence_level=None, seed={number})
def test_two(): ...

def test_other(): ...
"""


def of_the_tree(pid: int) -> int:
    """Return the memory that a process and all its children have for themselves (USS), in bytes."""
    import psutil

    total = 0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            try:
                total += process.memory_full_info().uss
            except psutil.Error:
                continue
    except psutil.Error:
        pass
    return total


def under_workers(n: int, model: str = MODELS[0]) -> dict[str, float]:
    """Run a suite with so many workers, and look at their memory ten times a second."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(8):
            Path(folder, f"test_{number}.py").write_text(WORKER_TEST.format(number=number))
        options = (
            "-q",
            "-n",
            str(n),
            f"--pluralism-model={model}",
            "--pluralism-answers=off",
            "-p",
            "no:cacheprovider",
        )
        started = time.perf_counter()
        command = [sys.executable, "-m", "pytest", *options, folder]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=os.environ) as run:
            peak = 0
            while run.poll() is None:
                peak = max(peak, of_the_tree(run.pid))
                time.sleep(0.1)
            said = run.stdout.read() if run.stdout else ""
        if run.returncode:
            sys.exit(said)
    return {"workers": n, "peak": peak / (1 << 20), "seconds": round(time.perf_counter() - started, 1)}


def workers() -> dict[str, object]:
    """Measure one worker against four."""
    one, four = under_workers(1), under_workers(4)
    return {"unit": "MiB for themselves (USS)", "runs": [one, four], "ratio": four["peak"] / one["peak"]}


def main() -> None:
    alone = {spec: measure([spec]) for spec in MODELS}
    in_turn = measure(list(MODELS))
    larger = max(float(result["peak"]) for result in alone.values())
    ratio = float(in_turn["peak"]) / larger
    print(
        json.dumps(
            {
                "unit": "MiB resident",
                "alone": alone,
                "in_turn": in_turn,
                "ratio": ratio,
                "limit": 1.3,
                "workers": workers(),
            },
            indent=1,
        )
    )
    if ratio >= 1.3:
        sys.exit("two models in turn cost more than 1.3 times the larger one")


if __name__ == "__main__":
    if sys.argv[1:] == ["workers"]:
        print(json.dumps(workers(), indent=1))
    elif len(sys.argv) > 1:
        print(json.dumps(one_process(sys.argv[1:])))
    else:
        main()
