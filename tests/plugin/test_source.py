"""The commit, the CI job and the person of a run: known in its report, without secrets."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_pluralism.run.source import source_of

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SHA": "c" * 40,
    "GITHUB_ACTOR": "ann",
    "GITHUB_SERVER_URL": "https://code.example",
    "GITHUB_REPOSITORY": "lab/model",
    "GITHUB_RUN_ID": "7",
}


def services(service: str, commit: str, actor: str, job: str) -> dict[str, str]:
    return {service: "true", commit: "c" * 40, actor: "ann", job: "https://ci.example/-/jobs/1"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git = shutil.which("git") or pytest.skip("no git here")
    who = {f"GIT_{role}_{part}": "x@y.z" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    (tmp_path / "file").write_text("one", encoding="utf-8")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "first")):
        subprocess.run([git, "-C", str(tmp_path), *words], check=True, env={**os.environ, **who})
    return tmp_path


def test_a_run_by_hand_has_the_commit_of_its_folder(repository: Path) -> None:
    found = source_of(repository, {})
    assert len(str(found["commit"])) == 40
    assert set(found) == {"commit"}
    (repository / "file").write_text("two", encoding="utf-8")
    assert source_of(repository, {})["dirty"] is True


def test_a_folder_without_git_has_no_source(tmp_path: Path) -> None:
    assert source_of(tmp_path, {}) == {}


@pytest.mark.parametrize(
    ("environment", "job"),
    [
        (GITHUB, "https://code.example/lab/model/actions/runs/7"),
        (services("GITLAB_CI", "CI_COMMIT_SHA", "GITLAB_USER_LOGIN", "CI_JOB_URL"), "https://ci.example/-/jobs/1"),
        (
            services("BUILDKITE", "BUILDKITE_COMMIT", "BUILDKITE_BUILD_CREATOR", "BUILDKITE_BUILD_URL"),
            "https://ci.example/-/jobs/1",
        ),
        (services("JENKINS_URL", "GIT_COMMIT", "BUILD_USER_ID", "BUILD_URL"), "https://ci.example/-/jobs/1"),
    ],
    ids=["github", "gitlab", "buildkite", "jenkins"],
)
def test_a_ci_service_names_commit_job_and_person(tmp_path: Path, environment: dict[str, str], job: str) -> None:
    assert source_of(tmp_path, environment) == {"commit": "c" * 40, "job": job, "actor": "ann"}


@pytest.mark.parametrize(
    "address", ["https://ann:secret@g.example/1", "https://g.example/1?token=secret", "file:///etc/passwd"]
)
def test_an_address_that_could_hold_a_secret_is_left_out(tmp_path: Path, address: str) -> None:
    found = source_of(tmp_path, {"GITLAB_CI": "true", "CI_COMMIT_SHA": "c" * 40, "CI_JOB_URL": address})
    assert found == {"commit": "c" * 40}
