"""The merged run of several shards: their results in the place of models, for ``pluralism merge``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.evaluation.asking.rounds import Role
from pytest_pluralism.models.noise import NoiseFloor
from pytest_pluralism.models.recorded.merged import MergedModel
from pytest_pluralism.run.dealt import as_identity, role_key, suite_hash
from pytest_pluralism.run.items import Json

__all__ = ["Merge"]


class Merge:
    """Gives the models of a run from its shards.

    Parameters
    ----------
    paths : sequence of Path
        The shards, which ``pluralism merge`` has checked against one another.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        shards = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        # Where two answer one request, the first shard counts, in whatever order the files are named.
        shards.sort(key=lambda shard: shard["shard"])
        self._suite = shards[0]["suite"]
        self._versions: Mapping[str, str] = shards[0]["versions"]
        self._identities: dict[str, Json] = {}
        self._rows: dict[str, list[Json]] = {}
        self._noise: dict[str, NoiseFloor] = {}
        for shard in shards:
            self._identities |= shard["models"]
            for row in shard["results"]:
                self._rows.setdefault(row["model"], []).append(row)
            for sha256, content in shard["noise"].items():
                known, found = self._noise.get(sha256), NoiseFloor(**content)
                # An unchanged model may move by as much as any shard saw.
                self._noise[sha256] = found if known is None or found.typical > known.typical else known

    def model(self, role: Role, spec: str, /) -> MergedModel:
        """Return the model of a role.

        Raises
        ------
        ModelError
            No shard asked it.
        """
        content = self._identities.get(role_key(role, spec))
        if content is None:
            raise ModelError(f"no shard asked the model {spec!r}. Merge with the options of the shards.")
        identity = as_identity(content)
        return MergedModel(
            identity,
            self._rows.get(identity.sha256, ()),
            noise=self._noise.get(identity.sha256),
            versions=self._versions,
        )

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Refuse shards of another suite."""
        if suite_hash(session.items) != self._suite:
            raise pytest.UsageError(
                "the shards are of another suite: its tests, models, data, settings or bounds differ from those here, "
                "or other tests are skipped. Merge with the files and options of the shards."
            )
