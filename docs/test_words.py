"""The checker of words finds what the style guide asks to rewrite, and lets idiomatic sentences stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKER = Path(__file__).parent.parent / "tools/check_words.py"


def checked(page: Path, text: str) -> subprocess.CompletedProcess[str]:
    page.write_text(text, encoding="utf-8")
    return subprocess.run([sys.executable, CHECKER, page], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "text",
    [
        "What the model wrote.",
        "It is stored. Whoever reads it sees it.",
        "- Who agrees, by default.",
        "Names of models are no paths.",
        "| at most so many answers | 3 |",
        "A threshold out of the blue.",
        "The model has nothing of them.",
        "One vote says nothing of the others.",
        "The language is told by its script.",
    ],
)
def test_a_sentence_to_rewrite_is_found(tmp_path: Path, text: str) -> None:
    result = checked(tmp_path / "page.md", f"# A page\n\n{text}\n")
    assert result.returncode == 1
    assert "page.md:3:" in result.stdout


@pytest.mark.parametrize(
    "text",
    [
        "What is measured?",
        "The model is told to weigh both.",
        "They are told apart.",
        "There are no responses.",
        "It is no longer there.",
        "```text\nWhat a block shows.\n```",
    ],
)
def test_an_idiomatic_sentence_stands(tmp_path: Path, text: str) -> None:
    assert checked(tmp_path / "page.md", text).returncode == 0


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('def f():\n    """How a file is read."""\n', True),
        ('def f():\n    """Return the rows of a file."""\n', False),
        ("x = 1  # What the model wrote.\n", True),
        ('x = "What the model wrote."\n', False),
    ],
)
def test_docstrings_and_comments_are_read_and_strings_are_not(tmp_path: Path, source: str, found: bool) -> None:
    assert checked(tmp_path / "module.py", source).returncode == found
