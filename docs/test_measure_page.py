"""The page that adds a measure: its files run in a copy of the package, and in a project of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import pytest_pluralism

PAGE = Path(__file__).parent / "how-to" / "add-a-measure.md"

#: A snippet with the name of its file.
SNIPPET = re.compile(
    r"^<!-- snippet: (?P<name>\S+) -->\n(?:<!-- skip: next -->\n)?\n(?P<fence>`{3,})\w+\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)

FILES = {found["name"]: found["text"] for found in SNIPPET.finditer(PAGE.read_text(encoding="utf-8"))}

#: The failure that the page shows.
SHOWN = textwrap.dedent(
    PAGE.read_text(encoding="utf-8").partition("have the words of `MEASURE`:\n\n")[2].partition("\n\n")[0]
)

CORE = "pytest_pluralism/core/metrics/minority.py"
PLANNER = "pytest_pluralism/evaluation/surveys/minority.py"

EVEN = """
import math

from pytest_pluralism.core.records import Answer
from pytest_pluralism.models.protocol import ModelIdentity


class Even:
    identity = ModelIdentity(spec="even", name="even", sha256="0" * 64, dtype="float32", device="cpu")

    def answer(self, prompts, /, *, progress=None):
        return [Answer((-math.log(len(p.labels)),) * len(p.labels), 1.0, "A", 1 / len(p.labels)) for p in prompts]

    def close(self): ...


def pytest_pluralism_load_model(spec, settings):
    return Even()
"""


def written(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def project(folder: Path, conftest: str) -> None:
    """Write the tests of the page, a survey and a model that answers evenly."""
    rows = [
        {
            "question_id": f"q{number}",
            "question": f"Should the town do thing number {number}?",
            "options": ["Yes", "Perhaps", "No"],
            "distributions": [{"population": "North", "probabilities": shares, "n_respondents": 500}],
        }
        # Every third question has no answer of a majority.
        for number in range(12)
        for shares in [[0.4, 0.3, 0.3] if number % 3 == 0 else [0.5, 0.2, 0.3]]
    ]
    survey = "".join(json.dumps(row) + "\n" for row in rows)
    written(
        folder, {"conftest.py": EVEN + conftest, "test_minority.py": FILES["test_minority.py"], "town.jsonl": survey}
    )


def run(folder: Path, *options: str, package: Path | None = None) -> str:
    command = [sys.executable, "-m", "pytest", "-pno:cacheprovider", "-pno:hypothesispytest", "--strict-markers"]
    path = os.pathsep.join([*([str(package)] if package else []), os.environ.get("PYTHONPATH", "")])
    # The model answers evenly, so that a health check rightly says that even answers keep its promise.
    ours = {"PLURALISM_ANSWERS": "off", "PLURALISM_MODEL": "even", "PLURALISM_HEALTH": "warn"}
    environment = {**os.environ, "PYTHONPATH": path, **ours}
    done = subprocess.run(
        [*command, *options], cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120
    )
    return done.stdout + done.stderr


def check_reports(folder: Path, printed: str) -> None:
    """Check that every form of report has both verdicts, in the words of the measure."""
    assert "1 failed, 1 passed" in printed, printed
    assert SHOWN in printed
    report = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    assert [(one["outcome"], one["metric"], one["measure"]["title"]) for one in report["verdicts"]] == [
        ("passed", "minority_mass", "minority mass"),
        ("failed", "minority_mass", "minority mass"),
    ]
    assert report["verdicts"][0]["estimate"]["value"] == pytest.approx(7 / 9)
    assert report["verdicts"][0]["measure"]["definition"] == 1
    markdown = (folder / "out.md").read_text(encoding="utf-8")
    assert "✓ passed" in markdown
    assert "✗ failed" in markdown
    assert markdown.count("minority\\_mass") >= 2
    page = (folder / "out.html").read_text(encoding="utf-8")
    assert "Minority mass, people" in page
    assert page.count("Minority mass to North (town.jsonl)") >= 2


REPORTS = tuple(f"--pluralism-report=out.{ending}" for ending in ("json", "md", "html"))


def test_a_measure_is_three_files_and_a_line(tmp_path: Path) -> None:
    package = tmp_path / "copy"
    source = Path(pytest_pluralism.__file__).parent
    shutil.copytree(source, package / "pytest_pluralism", ignore=shutil.ignore_patterns("__pycache__"))
    new = {name: text for name, text in FILES.items() if name in (CORE, PLANNER) or name.startswith("docs/reference/")}
    assert len(new) == 3
    assert not any((package / name).exists() for name in new)
    written(package, new)
    registry = package / "pytest_pluralism" / "evaluation" / "measures" / "registry.py"
    before = registry.read_text(encoding="utf-8")
    line = FILES["registry"]
    assert line.count("\n") == 1
    registry.write_text(re.sub(r"(?<=^PLANNERS: dict\[str, str\] = \{\n)", line, before, flags=re.MULTILINE), "utf-8")
    assert registry.read_text(encoding="utf-8") != before
    folder = tmp_path / "project"
    project(folder, "")
    check_reports(folder, run(folder, *REPORTS, package=package))
    listed = run(folder, "--markers", package=package)
    assert "minority_mass(dataset, *, population=None, at_least=None, max_decrease=None, " in listed


def test_a_project_brings_a_measure_of_its_own(tmp_path: Path) -> None:
    project(tmp_path, FILES["conftest.py"])
    planner = FILES[PLANNER].replace("from pytest_pluralism.core.metrics.minority import", "from minority import")
    assert planner != FILES[PLANNER]
    written(tmp_path, {"minority.py": FILES[CORE], "minority_mass.py": planner})
    check_reports(tmp_path, run(tmp_path, *REPORTS))
