"""The commit, the CI job and the person of a run, for its report."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pytest_pluralism.core.errors import BaselineError

__all__ = ["source_of"]

#: The variables of each CI service that hold the commit and the person; its job is put together by a function below.
VARIABLES = {
    "GITHUB_ACTIONS": ("GITHUB_SHA", "GITHUB_ACTOR"),
    "GITLAB_CI": ("CI_COMMIT_SHA", "GITLAB_USER_LOGIN"),
    "BUILDKITE": ("BUILDKITE_COMMIT", "BUILDKITE_BUILD_CREATOR"),
    "JENKINS_URL": ("GIT_COMMIT", "BUILD_USER_ID"),
}

#: An address without a user, a password or a query, which could hold a secret.
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/%+-]*)?")

#: Git must answer within this time, in seconds.
GIT_SECONDS = 5


def source_of(folder: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str | bool]:
    """Return the commit of a folder, and the job and the person that a CI service names.

    Parameters
    ----------
    folder : Path
        The root of the project.
    environment : mapping of str to str
        The environment of the process.

    Returns
    -------
    dict
        ``commit``, ``dirty`` (only where True), ``job`` (an address) and ``actor``, those that are known. Addresses
        that hold a user, a password or a query are left out.
    """
    service = next((name for name in VARIABLES if environment.get(name)), None)
    commit, actor = (environment.get(name, "") for name in VARIABLES[service]) if service else ("", "")
    job = _job(service, environment)
    found: dict[str, str | bool] = {}
    if commit := commit or _git(folder, "rev-parse", "HEAD"):
        found["commit"] = commit
    if not service and commit and _git(folder, "status", "--porcelain", "--untracked-files=no"):
        found["dirty"] = True
    if _ADDRESS.fullmatch(job):
        found["job"] = job
    if actor:
        found["actor"] = actor
    return found


def _job(service: str | None, environment: Mapping[str, str]) -> str:
    if service == "GITHUB_ACTIONS":
        names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
        server, repository, run = (environment.get(name, "") for name in names)
        return f"{server}/{repository}/actions/runs/{run}" if all((server, repository, run)) else ""
    variable = {"GITLAB_CI": "CI_JOB_URL", "BUILDKITE": "BUILDKITE_BUILD_URL", "JENKINS_URL": "BUILD_URL"}
    return environment.get(variable.get(service or "", ""), "")


def _git(folder: Path, *words: str) -> str:
    """Return the output of a git command in a folder; an empty text where git fails or is not installed."""
    from pytest_pluralism.baselines.git import git_output

    try:
        return git_output(folder, *words, seconds=GIT_SECONDS).strip()
    except BaselineError:
        return ""
