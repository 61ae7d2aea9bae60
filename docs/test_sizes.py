"""The checker of sizes finds long modules, long functions and types that nobody says; the page names every room."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHECKER = ROOT / "tools/check_sizes.py"

#: A function of ``n`` lines of code, with lines that do not count.
BODY = 'def f():\n    """Return\n\n    nothing.\n    """\n' + "\n    # A comment.\n" * 40


def checked(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "module.py").write_text(text, encoding="utf-8")
    return subprocess.run([sys.executable, CHECKER, folder], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n" * 601, "601 lines, more than 600"),
        (BODY + "    x = 1\n" * 60, "module.py:1: f has 61 lines of code, more than 60"),
        ("from typing import Any\nx: Any = 1\n" + "def f(x: Any, y: Any) -> Any: ...\n" * 83, "`Any` stands 250 times"),
    ],
    ids=["module", "function", "any"],
)
def test_what_has_grown_too_long_is_found(tmp_path: Path, text: str, words: str) -> None:
    result = checked(tmp_path, text)
    assert result.returncode == 1
    assert words in result.stdout


def test_docstrings_comments_and_imports_do_not_count(tmp_path: Path) -> None:
    assert checked(tmp_path, "from typing import Any\n" * 300 + BODY + "    x = 1\n" * 59).returncode == 0


def test_the_page_on_architecture_names_every_room() -> None:
    page = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    rooms = (path for path in (ROOT / "pytest_pluralism").rglob("*") if (path / "__init__.py").is_file())
    names = [f"{path.name}/" for path in rooms] + [
        path.stem for path in (ROOT / "pytest_pluralism").glob("*.py") if path.stem != "__init__"
    ]
    missing = [name for name in names if f"`{name}" not in page and f"/{name}" not in page]
    assert not missing, f"in no paragraph of architecture.md: {', '.join(missing)}"


def test_the_picture_names_the_rooms_of_the_middle_ring() -> None:
    picture = (ROOT / "docs/explanation/architecture.svg").read_text(encoding="utf-8")
    for outer in ("datasets", "models", "evaluation"):
        for path in (ROOT / "pytest_pluralism" / outer).iterdir():
            if (path / "__init__.py").is_file():
                assert path.name in picture, f"{outer}/{path.name} is not in architecture.svg"
