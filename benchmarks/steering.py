"""Measure the cost of steering: a pytest run from a cold start, with nothing in the answer store.

`python benchmarks/steering.py` prints one JSON line a run: `gss` by 12 groups, 25 questions and 2 contexts; and with
`--kaleidoscope FILE` 500 rows of Value Kaleidoscope, under the sound protocol and the published one. The time is that
of the whole process: imports, loading the model, planning, asking and reporting.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODELS = ("embedded:smollm2-135m-instruct", "embedded:gemma-3-270m")

GROUPS = (
    "Democrat", "Independent", "Republican", "Women", "Men", "White", "Black", "Other race", "Less than high school",
    "High school", "Bachelor's degree", "Graduate degree",
)  # fmt: skip

GSS = """
import pytest

@pytest.mark.steering_faithfulness(
    "gss", attribute={groups!r}, context=["instruction", "portrait"], checks={checks!r}, repetitions=1, at_least=0.0
)
def test_steering(): ...
"""

KALEIDOSCOPE = """
import pytest

@pytest.mark.steering_faithfulness({file!r}, most_units=500, protocol={protocol!r}, {more}at_least=0.0)
def test_steering(): ...
"""


def run(name: str, test: str, model: str) -> None:
    """Run one test in a new process, and say what it took."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_steering.py").write_text(test, encoding="utf-8")
        words = ["-q", "-p", "no:cacheprovider", "--pluralism-answers=off", "--pluralism-report=r.json"]
        command = [sys.executable, "-m", "pytest", *words, f"--pluralism-model={model}"]
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=folder, check=False, stdout=subprocess.DEVNULL)
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        report = json.loads((Path(folder) / "r.json").read_text(encoding="utf-8"))
    verdicts = report["verdicts"]
    result = {
        "benchmark": "steering",
        "run": name,
        "model": model.partition(":")[2],
        "seconds": round(seconds, 1),
        # With OMP_NUM_THREADS=1 this says what one free core would take, whatever else the machine does.
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "asked": report["run"]["answers"]["computed"],
        "verdicts": len(verdicts),
        "errors": sum(verdict["outcome"] == "error" for verdict in verdicts),
        "first_value": verdicts[0]["estimate"] and round(verdicts[0]["estimate"]["value"], 4),
        "load_before": round(load, 2),
        "cpus": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
    }
    print(json.dumps(result), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kaleidoscope", type=Path, help="value_kaleidoscope_small.json.gz of Modular Pluralism")
    parser.add_argument("--model", action="append", help="by default both packaged ones")
    parser.add_argument("--checks", action="store_true", help="with placebos, unrelated questions and other groups too")
    parser.add_argument("--only-kaleidoscope", action="store_true", help="leave gss out")
    arguments = parser.parse_args()
    for model in arguments.model or MODELS:
        checks = ["unsteered", "family", "placebo", "unrelated"] if arguments.checks else ["unsteered"]
        if not arguments.only_kaleidoscope:
            run(
                f"gss, 12 groups x 25 questions x 2 contexts, {', '.join(checks)}",
                GSS.format(groups=list(GROUPS), checks=checks),
                model,
            )
        if arguments.kaleidoscope:
            file = str(arguments.kaleidoscope.resolve())
            ways = (
                ("sound", "repetitions=1, "),
                ("sound", "repetitions=1, option_order='none', "),
                ("modular_pluralism", ""),
            )
            for protocol, more in ways:
                test = KALEIDOSCOPE.format(file=file, protocol=protocol, more=more)
                run(f"Value Kaleidoscope, 500 rows, {protocol} {more.strip(', ')}".strip(), test, model)


if __name__ == "__main__":
    main()
