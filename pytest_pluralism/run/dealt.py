"""The names by which the shards of a run and the merged run know its suite and its models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

import pytest

from pytest_pluralism.evaluation.asking.rounds import JudgeModel, Role, SteeredModel
from pytest_pluralism.models.protocol import ModelIdentity
from pytest_pluralism.run.items import PLANS, Json, skipped_because, test_of

__all__ = ["as_identity", "role_key", "suite_hash"]


def suite_hash(items: Iterable[pytest.Item], /) -> str:
    """Return the SHA-256 of the promises of a suite that run here: tests, models, measures, data, settings, bounds.

    A mark may skip a test on one machine alone, so that what one shard computed would not be judged.
    """
    lines = set()
    for item in items:
        if skipped_because(item) is not None:
            continue
        callspec = getattr(item, "callspec", None)
        spec = None if callspec is None else callspec.params.get("language_model")
        for plan in item.stash.get(PLANS, ([], []))[0]:
            gate = plan.gate.as_json() if plan.gate is not None else {}
            content = [f"{test_of(item)} {plan.key}", spec, gate, dict(plan.source), dict(plan.settings)]
            lines.add(json.dumps(content, sort_keys=True, default=str))
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "backslashreplace")).hexdigest()


def role_key(role: Role, spec: str, /) -> str:
    """Return the name of a model of a run in its shards."""
    if isinstance(role, SteeredModel):
        return f"steered {role.attribute} {role.spec} {spec}"
    if isinstance(role, JudgeModel):
        return f"judge {role.spec}"
    return f"model {spec}" if role == "language_model" else role


def as_identity(content: Json, /) -> ModelIdentity:
    """Return the identity of a model that JSON holds."""
    return ModelIdentity(**{**content, "notes": tuple(content.get("notes", ()))})
