"""The tutorials, run line by line as a reader would: files are written, commands typed, and their output compared.

``PLURALISM_WRITE_GOLDEN=1 pytest docs/test_tutorials.py`` writes the blocks of output anew, for review: each keeps the
first line that it has, and as many lines as the run prints before the next blank one.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCS = Path(__file__).parent
PAGES = ("fine-tune", "spreadsheet", "raters", "served")

#: A block of a page, with the comments above it: ``file: NAME`` writes it, ``data: NAMES`` copies files first.
BLOCK = re.compile(
    r"(?P<comments>(?:^<!-- [^\n]* -->\n+)*)^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)

#: The commands of a reader that this test needs no more: it has an environment with everything in it.
INSTALLS = ("pip ", "python3 -m venv")


@pytest.mark.parametrize("page", PAGES)
def test_a_tutorial_works_as_it_is_written(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\npluralism_seed = 0\n", encoding="utf-8")
    path = DOCS / "tutorial" / f"{page}.md"
    written = path.read_text(encoding="utf-8")
    printed, n_commands, n_shown = "", 0, 0
    with contextlib.ExitStack() as stack:
        port = ""
        for found in BLOCK.finditer(written):
            comments = dict(re.findall(r"<!-- (\w+): ([^\n]*) -->", found["comments"]))
            for name in comments.get("data", "").split():
                shutil.copy(DOCS / "tutorial" / "data" / name, tmp_path)
            if "server" in comments:
                port = comments["server"], stack.enter_context(served())  # type: ignore[assignment]
            if "file" in comments:
                (tmp_path / comments["file"]).write_text(found["text"], encoding="utf-8")
            elif found["kind"] == "console":
                for line in found["text"].splitlines():
                    command = line.removeprefix("$ ")
                    assert command != line, f"{line!r} is no command"
                    if not command.startswith(INSTALLS):
                        printed, n_commands = typed(command.replace(*port) if port else command), n_commands + 1
            elif found["kind"] == "text":
                n_shown += 1
                if os.environ.get("PLURALISM_WRITE_GOLDEN") == "1":
                    old = found["text"]
                    written = written.replace(f"```text\n{old}```", f"```text\n{anew(old, printed)}```")
                    path.write_text(written, encoding="utf-8")
                else:
                    assert found["text"] in printed, printed
    assert n_commands >= 2
    assert n_shown >= 2


def typed(command: str) -> str:
    """Return what a command prints, in a terminal of 80 columns."""
    python = Path(sys.executable)
    done = subprocess.run(
        ["/bin/bash", "-c", command],
        env={
            **os.environ,
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "80",
            "PLURALISM_CI": "off",
            "PLURALISM_HEALTH": "fail",
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout + done.stderr


def anew(block: str, printed: str) -> str:
    """Return the lines that a run prints, from one that begins as the block does to the next blank one."""
    lines, start = printed.splitlines(), block.splitlines()[0].strip().split("  ")[0]
    first = next(place for place, line in enumerate(lines) if line.strip().startswith(start))
    ends = (place for place in range(first, len(lines)) if not lines[place].strip() or lines[place].startswith("==="))
    last = next(ends, len(lines))
    # A line of a message stands alone.
    return "\n".join(lines[first : first + 1 if block.startswith("  ") else min(last, first + 12)]) + "\n"


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Yield the URL of a small server of the OpenAI protocol, which the tests of this project have."""
    path = DOCS.parent / "tests" / "models" / "endpoint" / "conftest.py"
    spec = importlib.util.spec_from_file_location("small_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["small_server"] = module
    spec.loader.exec_module(module)
    with module.Served(model="town", letters=6.0) as server:
        yield server.url
