"""An Overton gate from nothing, and again from its answers: `python benchmarks/overton.py [--windows 9 36]`.

The windows are the first of `contested`, each with three draws of 128 new tokens of SmolLM2, judged by the embedded
entailment model with all controls. Every run is a pytest of its own, with an empty folder of answers and then with the
full one; its peak memory is what the system says of that process when it has ended.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

GATE = """
import pytest

@pytest.mark.overton_coverage("windows.jsonl", at_least=0.0, confidence_level=None, n_draws=3, max_new_tokens=128)
def test_gate(): ...
"""

COMMAND = (
    *("-m", "pytest", "-q", "-p", "no:cacheprovider", "--pluralism-model=embedded:smollm2-135m-instruct"),
    *("--pluralism-entailment-model=embedded:nli-minilm", "--pluralism-answers=answers", "test_gate.py"),
)


def windows_file(path: Path, n_windows: int) -> None:
    from pytest_pluralism.datasets.windows.loading import load_windows

    rows = []
    for window in load_windows("contested").windows[:n_windows]:
        content = dataclasses.asdict(window)
        rows.append(
            {
                "query_id": content["query_id"],
                "query": content["query"],
                "kind": content["kind"],
                "reasonable": [answer_row(answer) for answer in content["reasonable"]],
                "unreasonable": [answer_row(answer) for answer in content["unreasonable"]],
            }
        )
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def answer_row(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in answer.items()
        if value not in ("", (), None)
    }


def timed(folder: Path) -> dict[str, float]:
    """Run the gate in a process of its own; return seconds and peak memory in bytes."""
    started = time.perf_counter()
    child = os.posix_spawn(sys.executable, [sys.executable, *COMMAND], os.environ)
    _, status, used = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"pytest ended with {os.waitstatus_to_exitcode(status)} in {folder}")
    return {"seconds": time.perf_counter() - started, "peak_bytes": used.ru_maxrss * 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", nargs="+", type=int, default=[9, 36])
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows = []
    for n_windows in options.windows:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            windows_file(folder / "windows.jsonl", n_windows)
            (folder / "test_gate.py").write_text(GATE, encoding="utf-8")
            here = Path.cwd()
            os.chdir(folder)
            try:
                cold, warm = timed(folder), timed(folder)
            finally:
                os.chdir(here)
        rows.append({"windows": n_windows, "cold": cold, "warm": warm})
        print(
            f"{n_windows} windows x 3 draws: cold {cold['seconds']:.0f} s, {cold['peak_bytes'] / 2**30:.2f} GiB; "
            f"again {warm['seconds']:.1f} s, {warm['peak_bytes'] / 2**30:.2f} GiB",
            flush=True,
        )
    print(f"{os.cpu_count()} processors, load average {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    if options.json:
        Path(options.json).write_text(
            json.dumps({"rows": rows, "load": load, "machine": platform.machine()}, indent=1), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
