"""The output that the pages show is that of real runs, on the recorded answers of the packaged models.

``PLURALISM_WRITE_GOLDEN=1 pytest docs/test_outputs.py`` writes the blocks of the pages anew, for review.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCS = Path(__file__).parent

#: The recorded answers that stand for the models of the pages: only the names on the command line differ.
SMOLLM, GEMMA = "responses:smollm2-135m-instruct", "responses:gemma-3-270m"

BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """One run of a page: its options, the blocks of output that it gives, counted from 0, and how many tests it has."""

    options: Sequence[str]
    blocks: Sequence[int]
    snippets: int = 99


NEXT = f"--pluralism-model={GEMMA}", "--pluralism-baseline-model=smollm2-135m-instruct"

PAGES = {
    "../README.md": [
        Shown([f"--pluralism-model={SMOLLM}", "--pluralism-update-baseline"], []),
        Shown([f"--pluralism-model={SMOLLM}"], [0]),
    ],
    "tutorial/first-gate.md": [
        Shown([f"--pluralism-model={SMOLLM}", "--pluralism-update-baseline"], [], 1),
        Shown([f"--pluralism-model={SMOLLM}"], [0], 1),
        Shown([f"--pluralism-model={SMOLLM}"], [1]),
    ],
    "how-to/compare-with-a-baseline.md": [
        Shown([f"--pluralism-model={SMOLLM}", "--pluralism-update-baseline"], [0]),
        Shown(NEXT, [1]),
    ],
}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_a_run_prints(page: str, tmp_path: Path) -> None:
    path = DOCS / page
    found = BLOCK.findall(path.read_text(encoding="utf-8"))
    snippets = [text for kind, text in found if kind == "python"]
    (tmp_path / "pytest.ini").write_text("[pytest]\npluralism_seed = 0\n", encoding="utf-8")
    blocks = [text for kind, text in found if kind == "text"]
    shown: list[int] = []
    for run in PAGES[page]:
        (tmp_path / "test_release.py").write_text("\n\n".join(snippets[: run.snippets]), encoding="utf-8")
        printed = output(tmp_path, run.options)
        for number in run.blocks:
            shown.append(number)
            if os.environ.get("PLURALISM_WRITE_GOLDEN") == "1":
                blocks[number] = rewrite(path, blocks[number], printed)
            assert blocks[number] in printed, printed
    # Every block of output on the page is one of a run.
    assert shown == list(range(len(blocks)))


def output(folder: Path, options: Sequence[str]) -> str:
    """Return what a run prints in a terminal of 80 columns, without the numbers that differ from run to run."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", "PLURALISM_CI": "off", "PLURALISM_HEALTH": "fail"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
    )
    return re.sub(r" in \d+\.\d+s", "", done.stdout) + done.stderr


def rewrite(path: Path, old: str, printed: str) -> str:
    """Put what a run prints in the place of a block: from a line that begins alike to one that ends alike."""
    lines = old.splitlines()
    start = lines[0].split("  ")[0]
    begun = printed.splitlines()
    first = next(place for place, line in enumerate(begun) if line.startswith(start) and line.strip())
    new = "\n".join(begun[first : first + len(lines)]) + "\n"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return new
