"""Record what SmolLM2 answers to the closed questions of examples/roadmap, for the outputs of the page.

    python tools/record_roadmap.py        # some minutes of one core

The recording is ``examples/roadmap/answers/smollm2-135m-instruct.jsonl.gz``; ``tools/roadmap_page.py`` reads it.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_pluralism.models import load_model
from pytest_pluralism.models.recorded.exported import answered_rows

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "roadmap"
RECORDING = EXAMPLES / "answers" / "smollm2-135m-instruct.jsonl.gz"
MODEL = "embedded:smollm2-135m-instruct"

#: The tests whose closed questions are asked.
TESTS = ("test_moral_choice.py", "test_juries.py")


def wanted() -> list[dict[str, object]]:
    """Return the closed questions of the tests, as ``pluralism export`` writes them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prompts.jsonl"
        command = [sys.executable, "-m", "pytest_pluralism.cli", "export", *TESTS, "-o", str(path)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=EXAMPLES, env=environment, check=True)
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["work"] == "answers"]


def write(rows: Iterable[Mapping[str, object]], path: Path = RECORDING, /) -> None:
    """Write the log-probabilities of answered rows, without what the published protocols read."""
    kept = [
        {"prompt_id": row["prompt_id"], "log_probabilities": [round(float(one), 5) for one in row["log_probabilities"]]}
        for row in rows
    ]
    header = {"model": {"name": "SmolLM2", "dtype": "float32", "device": "cpu"}}
    lines = [json.dumps(header), *sorted(map(json.dumps, kept))]
    path.parent.mkdir(exist_ok=True)
    # Without a time in it, the same answers give the same file.
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode("ascii"), mtime=0))


if __name__ == "__main__":
    write(answered_rows(load_model(MODEL, device="cpu", dtype="float32"), wanted()))
