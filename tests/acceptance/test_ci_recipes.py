"""The recipes for CI run as they stand in the docs: their shell steps, with the environment that the host gives.

The steps of a host (checking out, setting up Python, caching, uploading) are checked by their names and not run.
``pip install`` runs for real without an index, so that it succeeds where what it names is installed already.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import pytest_pluralism

yaml = pytest.importorskip("yaml")

RECIPES = Path(pytest_pluralism.__file__).parent / "cli/recipes"

GATE = """
import pytest


@pytest.mark.js_distance("gss", population="US adults", at_most=0.9)
def test_kept(): ...


@pytest.mark.js_distance("gss", population="US adults", at_most=0.001)
def test_broken(): ...
"""

#: The steps of the workflow that the hosts themselves do, by the names of their actions.
ACTIONS = ["actions/checkout", "actions/setup-python", "actions/cache", "actions/upload-artifact"]


def recipe(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((RECIPES / name).read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of answers for both hosts: what the first has asked, the second recalls, as from a cache."""
    return tmp_path_factory.mktemp("cache")


def run_step(script: str, folder: Path, variables: Mapping[str, str], shell: tuple[str, ...]) -> tuple[int, str]:
    """Run one step in the shell of its host, as in a fresh checkout where everything is installed."""
    first = [variables["PATH_FIRST"]] if "PATH_FIRST" in variables else []
    path = os.pathsep.join([*first, str(Path(sys.executable).parent), os.environ["PATH"]])
    mine = {"PATH": path, "PIP_NO_INDEX": "1"}
    # The bound that is kept here is kept by even answers too.
    mine["PLURALISM_HEALTH"] = "warn"
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "OMP_NUM_THREADS") if name in os.environ}
    done = subprocess.run(
        [*shell, script],
        cwd=folder,
        env={**kept, **mine, "HF_HUB_OFFLINE": "1", **variables},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=1200,
    )
    return done.returncode, done.stdout + done.stderr


def project(folder: Path) -> Path:
    (folder / "gates").mkdir()
    (folder / "gates" / "test_gate.py").write_text(GATE, encoding="utf-8")
    return folder


def stub(folder: Path, name: str) -> Path:
    """Return a program that keeps its arguments, and what it is given, beside it: it stands for one of a host."""
    place = folder / "programs" / name
    place.parent.mkdir()
    place.write_text('#!/bin/sh\necho "$@" > "$0.log"\n[ -t 0 ] || cat >> "$0.log"\n', encoding="utf-8")
    place.chmod(0o755)
    return place


def check_reports(folder: Path) -> None:
    verdicts = json.loads((folder / "pluralism.json").read_text(encoding="utf-8"))["verdicts"]
    assert [verdict["outcome"] for verdict in verdicts] == ["passed", "failed"]
    assert (folder / "pluralism.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    suite = ET.parse(folder / "pluralism-junit.xml").getroot()[0]  # noqa: S314 - pytest wrote it
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    found = [(str(one.get("name")).rpartition(" ")[2], str(one.get("value"))) for one in suite.iter("property")]
    assert [words for name, words in found if name == "outcome"] == ["passed", "failed"]
    numbers = [words for name, words in found if name in {"value", "low", "high"}]
    assert len(numbers) == 6
    assert all(re.fullmatch(r"0\.\d{6}", one) for one in numbers)


@pytest.mark.slow
@pytest.mark.model
def test_the_workflow_of_github(tmp_path: Path, answers: Path) -> None:
    workflow = recipe("github.yml")
    # YAML 1.1 reads the word `on` as true.
    assert set(workflow[True]) == {"pull_request", "push"}
    job = workflow["jobs"]["gate"]
    used = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
    assert used == ACTIONS
    cache = next(step for step in job["steps"] if step.get("uses", "").startswith("actions/cache"))
    assert cache["with"]["path"] == workflow["env"]["PLURALISM_CACHE"]
    folder = project(tmp_path)
    summary = folder / "summary.md"
    variables = workflow["env"] | {
        "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(folder), "GITHUB_STEP_SUMMARY": str(summary), "CI": "true",
        "PLURALISM_CACHE": str(answers),
    }  # fmt: skip
    # The shell that GitHub runs a step with.
    shell = ("bash", "-e", "-c")
    told = stub(folder, "gh")
    variables |= {"PULL_REQUEST": "7", "PATH_FIRST": str(told.parent)}
    codes, outputs = {}, {}
    for step in job["steps"]:
        if "run" not in step:
            continue
        codes[step["name"]], said = run_step(step["run"], folder, variables, shell)
        outputs[step["name"]] = said
        if step["name"] == "Install":
            assert codes["Install"] == 0, said
    assert codes == {"Install": 0, "Gate": 1, "Comment": 0}, said
    arguments = told.with_suffix(".log").read_text(encoding="utf-8").partition("\n")[0]
    assert arguments == "pr comment 7 --edit-last --create-if-none --body-file pluralism.md"
    assert (folder / "pluralism.md").read_text(encoding="utf-8").startswith("# Pluralism report\n\n**✗ Do not release")
    said = outputs["Gate"]
    assert "::error file=gates/test_gate.py,line=9,title=Pluralism%3A failed%2C js_distance gss US adults::0." in said
    assert summary.read_text(encoding="utf-8").startswith("# Pluralism report\n")
    check_reports(folder)
    (upload,) = [step["with"] for step in job["steps"] if step.get("uses", "").startswith("actions/upload-artifact")]
    assert [name for name in upload["path"].split() if not (folder / name).is_file()] == []


@pytest.mark.slow
@pytest.mark.model
def test_the_job_of_gitlab(tmp_path: Path, answers: Path) -> None:
    job = recipe("gitlab.yml")["pluralism"]
    folder = project(tmp_path)
    assert job["cache"]["paths"] == [job["variables"]["PLURALISM_CACHE"]]
    variables = job["variables"] | {
        "GITLAB_CI": "true", "CI_PROJECT_DIR": str(folder), "CI": "true", "PLURALISM_CACHE": str(answers),
    }  # fmt: skip
    # GitLab puts all lines of a job into one script, which ends at the first that fails.
    script = "\n".join([*job["before_script"], *job["script"]])
    code, said = run_step(script, folder, variables, ("bash", "-eo", "pipefail", "-c"))
    assert code == 1, said
    check_reports(folder)
    artifacts = job["artifacts"]
    named = [*artifacts["paths"], *artifacts["reports"].values()]
    assert [name for name in named if not (folder / name).is_file()] == []
    (issue,) = json.loads((folder / artifacts["reports"]["codequality"]).read_text(encoding="utf-8"))
    assert issue["location"] == {"path": "gates/test_gate.py", "lines": {"begin": 9}}


@pytest.mark.slow
@pytest.mark.model
def test_the_pipeline_of_jenkins(tmp_path: Path, answers: Path) -> None:
    text = (RECIPES / "Jenkinsfile").read_text(encoding="utf-8")
    folder = project(tmp_path)
    variables = dict(re.findall(r"^    (\w+) = '([^']*)'$", text, flags=re.MULTILINE))
    assert set(variables) == {"PLURALISM_MODEL", "PLURALISM_CACHE"}
    variables |= {"BUILD_URL": "http://jenkins/job/1/", "PLURALISM_CACHE": str(answers)}
    # Jenkins runs a script with -xe, in which the backslash of Groovy's three quotes is one of the shell.
    scripts = [part.replace("\\\\", "\\") for part in re.findall(r"sh \'\'\'(.*?)\'\'\'", text, flags=re.DOTALL)]
    codes = [run_step(script, folder, variables, ("sh", "-xe", "-c")) for script in scripts]
    assert [code for code, _ in codes] == [0, 1], codes
    check_reports(folder)
    kept = re.findall(r"(?:junit|artifacts:) '([^']*)'", text)
    assert [name for names in kept for name in names.split(",") if not (folder / name).is_file()] == []


@pytest.mark.slow
@pytest.mark.model
def test_the_step_of_buildkite(tmp_path: Path, answers: Path) -> None:
    pipeline = recipe("buildkite.yml")
    (step,) = pipeline["steps"]
    folder = project(tmp_path)
    told = stub(folder, "buildkite-agent")
    variables = pipeline["env"] | {
        "BUILDKITE_BUILD_URL": "http://buildkite/1", "PLURALISM_CACHE": str(answers), "PATH_FIRST": str(told.parent)
    }  # fmt: skip
    # Buildkite puts all commands of a step into one script; its own interpolation makes $$ a $.
    script = "\n".join(step["commands"]).replace("$$", "$")
    code, said = run_step(script, folder, variables, ("bash", "-e", "-c"))
    assert code == 1, said
    check_reports(folder)
    arguments, _, annotation = told.with_suffix(".log").read_text(encoding="utf-8").partition("\n")
    assert arguments == "annotate --context pluralism"
    assert annotation.startswith("# Pluralism report")
    assert [name for name in step["artifact_paths"] if not (folder / name).is_file()] == []


def test_the_page_shows_the_files_that_are_run() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/ci.md").read_text(encoding="utf-8")
    shown = re.findall(r"```\{literalinclude\} \S+/recipes/(\S+)", page)
    assert sorted(shown) == sorted(path.name for path in RECIPES.iterdir()) == [
        "Jenkinsfile", "buildkite.yml", "github.yml", "gitlab.yml"
    ]  # fmt: skip
