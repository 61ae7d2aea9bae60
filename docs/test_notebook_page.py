"""The notebook of the tutorials: the cells of its page, run by a real kernel where one is installed.

``PLURALISM_WRITE_GOLDEN=1 pytest docs/test_notebook_page.py`` writes the notebook and the outputs of the page anew.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "tutorial"
PAGE, NOTEBOOK = FOLDER / "notebook.md", FOLDER / "data" / "notebook.ipynb"

CELL = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def cells() -> list[tuple[str, str]]:
    """Return the code of the page, each with its output."""
    return [(code, text) for code, text in CELL.findall(PAGE.read_text(encoding="utf-8"))]


def notebook() -> dict[str, Any]:
    """Return the notebook that the page is."""
    written = []
    for part in re.split(r"(^```\w+\n.*?^```$)", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL):
        kind, _, text = part.strip().removesuffix("```").partition("\n")
        if kind == "```python":
            written.append({"cell_type": "code", "source": text.strip(), "outputs": [], "execution_count": None})
        elif kind == "```text":
            written[-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": text}]
        elif part.strip() and kind != "```console":
            plain = re.sub(r"\{download\}`[^`]*`", "", re.sub(r"\]\([^)]*\)", "]", part)).strip()
            written.append({"cell_type": "markdown", "source": plain})
    for number, cell in enumerate(written):
        cell |= {"id": f"cell-{number}", "metadata": {}}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": written}


def test_the_page_prints_what_it_shows() -> None:
    found = cells()
    assert len(found) >= 5
    space: dict[str, Any] = {}
    text = PAGE.read_text(encoding="utf-8")
    for code, shown in found:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, space)  # noqa: S102 - it is ours
        if os.environ.get("PLURALISM_WRITE_GOLDEN") == "1":
            text = text.replace(f"{code}```\n\n```text\n{shown}```", f"{code}```\n\n```text\n{printed.getvalue()}```")
            PAGE.write_text(text, encoding="utf-8")
        else:
            assert printed.getvalue() == shown


def test_the_notebook_is_the_page() -> None:
    if os.environ.get("PLURALISM_WRITE_GOLDEN") == "1":
        NOTEBOOK.write_text(json.dumps(notebook(), indent=1) + "\n", encoding="utf-8")
    assert json.loads(NOTEBOOK.read_text(encoding="utf-8")) == notebook()


def test_a_kernel_runs_the_notebook(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    read = nbformat.read(NOTEBOOK, as_version=4)
    shown = ["".join(one.text for one in cell.get("outputs", ())) for cell in read.cells]
    done = client.NotebookClient(read, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    done.execute()
    printed = [
        "".join(one.text for one in cell.get("outputs", ()) if one.get("name") == "stdout") for cell in read.cells
    ]
    assert printed == shown
