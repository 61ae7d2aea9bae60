"""Checks of the snippets of the pages that running them one by one does not make."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"

PAGES = sorted(DOCS.rglob("*.md"))

#: A Python snippet, and what stands on the line above it.
SNIPPET = re.compile(r"(?:^<!-- (?P<comment>[^\n]*) -->\n+)?^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def snippets(page: Path) -> list[tuple[str, str]]:
    return [(match["comment"] or "", match["code"]) for match in SNIPPET.finditer(page.read_text(encoding="utf-8"))]


def block(page: Path, language: str) -> str:
    """Return the first block of a page in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=120)


@pytest.mark.parametrize("page", [*PAGES, README], ids=lambda page: page.stem)
def test_each_snippet_is_python(page: Path) -> None:
    for _, code in snippets(page):
        # A session with its output is checked when it is run.
        if not code.startswith(">>>"):
            compile(code, f"a snippet of {page.name}", "exec")


def test_a_skipped_snippet_is_not_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- skip: next -->\n\n```python\nraise SystemExit\n```\n\n```python\nran = True\n```\n", encoding="utf-8"
    )
    document = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()], patterns=["*.md"]).parse(page)
    for example in document.examples():
        example.evaluate()
    assert document.namespace["ran"] is True


def test_the_measures_run_without_torch_and_pytest(tmp_path: Path) -> None:
    # In this process torch may be imported already.
    code = "".join(code for _, code in snippets(DOCS / "how-to/use-the-measures.md"))
    assert "welfare" in code
    code += "import sys\nassert not {'torch', 'transformers', 'pytest', 'pandas'} & set(sys.modules)\n"
    result = run(tmp_path, sys.executable, "-W", "error", "-c", code)
    assert result.returncode == 0, result.stderr


def test_a_model_brought_as_the_page_says_answers_a_survey(tmp_path: Path) -> None:
    (conftest,) = [code for comment, code in snippets(DOCS / "how-to/bring-your-own-model.md") if "conftest" in comment]
    rows = [
        {
            "question_id": f"q{number}",
            "question": "Should shops open on Sundays?",
            "options": ["Yes", "No"],
            "distributions": [{"population": "Members", "probabilities": [0.5, 0.5]}],
        }
        for number in range(2)
    ]
    (tmp_path / "members.json").write_text(json.dumps(rows), encoding="utf-8")
    (tmp_path / "conftest.py").write_text(conftest, encoding="utf-8")
    (tmp_path / "test_gate.py").write_text(
        "import pytest\n\n"
        '@pytest.mark.js_distance("members.json", at_most=0.01, confidence_level=None)\n'
        "def test_members(pluralism):\n"
        "    assert pluralism.estimate.value < 1e-6\n",
        encoding="utf-8",
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider --strict-markers\n", encoding="utf-8")
    result = run(
        tmp_path,
        *(sys.executable, "-m", "pytest", "-W", "error"),
        *("--pluralism-model", "ours:candidate", "--pluralism-answers", "off"),
        # Six repetitions show each option at each place alike, so that a liking for "A" becomes an even answer.
        *("--pluralism-repetitions", "6"),
        # Even answers are right here, and a health check says that they would keep the promise.
        "--pluralism-health=warn",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout


def test_the_survey_of_the_page_can_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = DOCS / "how-to/test-your-own-survey.md"
    (tmp_path / "members.jsonl").write_text(block(page, "json"), encoding="utf-8")
    (code,) = [code for _, code in snippets(page) if "load_survey" in code]
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    exec(code, namespace)  # noqa: S102 - it is ours
    assert namespace["survey"].populations == ("Members",)
