"""Record what real models answer in examples/roadmap, for the outputs of the page.

    python tools/record_roadmap.py        # about ten minutes of one core

The recordings are ``examples/roadmap/answers/*.jsonl.gz``; ``tools/roadmap_page.py`` reads them. Requests whose answers
the package or the demo holds are not asked again. A run that was stopped goes on where it stopped, from the rows in
the folder ``--kept``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_pluralism.models import load_model
from pytest_pluralism.models.recorded.exported import answered_rows

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "roadmap"
ANSWERS = EXAMPLES / "answers"
MODEL = "embedded:smollm2-135m-instruct"
TUNED = f"{ROOT / 'fixtures' / 'models' / 'smollm2-harmless-v2'}?base={MODEL}"

PACKAGED = ROOT / "pytest_pluralism" / "models" / "recorded" / "packaged"
RELEASES = ROOT / "examples" / "releases" / "answers"


@dataclass(frozen=True)
class Recording:
    """A recording: the model, its name on the page, the tests that ask it, and recordings of the same model."""

    spec: str
    name: str
    tests: tuple[str, ...]
    known: tuple[Path, ...]


RECORDINGS: Mapping[str, Recording] = {
    "smollm2-135m-instruct": Recording(
        MODEL,
        "SmolLM2",
        (
            *("test_moral_choice.py", "test_juries.py", "test_steering.py", "test_overton.py", "test_lake.py"),
            "test_values.py::test_supports_opposes_or_either",
        ),
        (PACKAGED / "smollm2-135m-instruct.jsonl.gz", RELEASES / "v1.jsonl.gz"),
    ),
    "smollm2-harmless-v2": Recording(TUNED, "tuned", ("test_overton.py", "test_lake.py"), (RELEASES / "v2.jsonl.gz",)),
}

#: Requests that are asked at once.
CHUNK = 16

#: What a recording keeps of a row.
KEPT = ("prompt_id", "log_probabilities", "response", "draw", "n_tokens", "stopped_by")


def wanted(tests: Sequence[str]) -> list[Mapping[str, object]]:
    """Return the requests of the tests to a language model, as ``pluralism export`` writes them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prompts.jsonl"
        command = [sys.executable, "-m", "pytest_pluralism.cli", "export", *tests, "-o", str(path)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, cwd=EXAMPLES, env=environment, check=True)
        return read(path)


def read(path: Path) -> list[Mapping[str, object]]:
    """Return the rows of a file; none where it is not there."""
    if not path.exists():
        return []
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.decode("utf-8").splitlines()]


def answered(one: Recording, kept: Path) -> Iterator[Mapping[str, object]]:
    """Yield the answers of a model, of which those that are known are not asked for again."""
    asked = {str(row["prompt_id"]): row for row in wanted(one.tests)}
    done = {
        (str(row["prompt_id"]), row.get("draw")): row
        for path in (*one.known, kept)
        for row in read(path)
        if row.get("prompt_id") in asked
    }
    yield from done.values()
    known = {name for name, _ in done}
    left = [row for name, row in asked.items() if name not in known]
    if not left:
        return
    model = load_model(one.spec, device="cpu", dtype="float32")
    with kept.open("a", encoding="utf-8") as file:
        for start in range(0, len(left), CHUNK):
            found = list(answered_rows(model, left[start : start + CHUNK]))
            file.writelines(json.dumps(row) + "\n" for row in found)
            file.flush()
            print(f"{one.name}: {min(start + CHUNK, len(left))} of {len(left)}", flush=True)
            yield from found


def write(rows: Iterable[Mapping[str, object]], name: str, path: Path, /) -> None:
    """Write answered rows, without what the published protocols read."""
    kept = [{key: rounded(row[key]) for key in KEPT if key in row} for row in rows]
    header = {"model": {"name": name, "dtype": "float32", "device": "cpu"}}
    lines = [json.dumps(header), *sorted(map(json.dumps, kept))]
    path.parent.mkdir(exist_ok=True)
    # Without a time in it, the same answers give the same file.
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode("ascii"), mtime=0))


def rounded(value: object) -> object:
    """Return log-probabilities with five digits, and anything else as it is."""
    return [round(float(one), 5) for one in value] if isinstance(value, list) else value


def main() -> None:
    """Record."""
    parser = argparse.ArgumentParser(description="Record what real models answer in examples/roadmap.")
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "roadmap", help="folder of rows")
    folder = parser.parse_args().kept
    folder.mkdir(parents=True, exist_ok=True)
    for file, one in RECORDINGS.items():
        write(answered(one, folder / f"{file}.jsonl"), one.name, ANSWERS / f"{file}.jsonl.gz")


if __name__ == "__main__":
    main()
