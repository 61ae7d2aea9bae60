"""Files for maintainers and code hosts: they can be read, and agree with the package."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest
import yaml

import pytest_pluralism

ROOT = Path(__file__).parent.parent


def loaded(name: str) -> dict[str, object]:
    content = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_the_citation_names_this_version() -> None:
    citation = loaded("CITATION.cff")
    assert citation["version"] == pytest_pluralism.__version__
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


@pytest.mark.parametrize("path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.stem)
def test_a_workflow_gets_no_more_rights_than_it_states(path: Path) -> None:
    workflow = loaded(str(path.relative_to(ROOT)))
    assert workflow["permissions"] == {"contents": "read"}
    jobs = workflow["jobs"]
    assert isinstance(jobs, dict)
    for job in jobs.values():
        for step in job["steps"]:
            assert set(step) & {"uses", "run"}
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda path: path.stem
)
def test_an_issue_form_has_what_a_form_needs(path: Path) -> None:
    form = loaded(str(path.relative_to(ROOT)))
    assert {"name", "description", "body"} <= set(form)
    body = form["body"]
    assert isinstance(body, list)
    names = [part["id"] for part in body]
    assert len(set(names)) == len(names)
    assert all(part["attributes"]["label"] for part in body)


GATES = [
    *sorted((ROOT / "examples").rglob("pytest.ini")),
    *sorted((ROOT / "pytest_pluralism/suites").rglob("pytest.ini")),
]


@pytest.mark.parametrize("path", GATES, ids=lambda path: path.parent.name)
def test_a_gate_that_others_copy_stops_without_the_plugin_and_at_an_unknown_marker(path: Path) -> None:
    ini = configparser.ConfigParser()
    ini.read(path, encoding="utf-8")
    assert "pytest-pluralism" in ini["pytest"]["required_plugins"]
    assert "--strict-markers" in ini["pytest"]["addopts"]


def test_the_page_on_continuous_integration_audits_and_lists_what_is_installed() -> None:
    page = (ROOT / "docs/how-to/ci.md").read_text(encoding="utf-8")
    assert "pip-audit" in page
    assert "cyclonedx" in page.lower()
