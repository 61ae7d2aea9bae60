"""``--pluralism-shard=I/N``: a part of the promises of a suite, computed and not judged.

Promises are dealt by the test and the measure that they name, so that the same suite always splits alike. A shard asks
what its promises need, and writes the results; ``pluralism merge`` judges all shards together, as one run would.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_pluralism.core.errors import PluralismError
from pytest_pluralism.evaluation.asking.rounds import ModelOf, Role
from pytest_pluralism.evaluation.measures.planning import PlannedGate
from pytest_pluralism.files import inside, write_atomically
from pytest_pluralism.models.noise import noise_floor
from pytest_pluralism.models.recorded.merged import result_row
from pytest_pluralism.run.dealt import role_key, suite_hash
from pytest_pluralism.run.items import PLANS, Json, by_suite, model_id, plans_of, test_of
from pytest_pluralism.run.provenance import versions
from pytest_pluralism.run.session import PluralismSession
from pytest_pluralism.run.suite_models import SuiteModels

if TYPE_CHECKING:
    from pytest_pluralism.evaluation.asking.rounds import Evaluation, Identified

__all__ = ["SCHEMA", "ShardRun", "refuse_misuse"]

SCHEMA = "pytest-pluralism/shard/1"

#: The settings that only a whole run can follow.
REFUSED = ("update_baseline", "move_anchor", "prune_baseline", "aa", "mutants", "plan")


def refuse_misuse(session: PluralismSession, /) -> None:
    """Refuse a shard that has no place to write to, or that should do what only a whole run can.

    Raises
    ------
    pytest.UsageError
        The settings contradict one another.
    """
    settings = session.settings
    odd = next((name for name in REFUSED if settings[name]), None)
    if odd is not None:
        option = f"--pluralism-{odd.replace('_', '-')}"
        raise pytest.UsageError(
            f"{option} needs the whole suite, and --pluralism-shard runs a part. Give it to the merge."
        )
    places = [path for path in settings["report"] if str(path).endswith(".json")]
    if len(settings["report"]) != 1 or len(places) != 1:
        raise pytest.UsageError(
            "--pluralism-shard writes one file for `pluralism merge`. Name it: --pluralism-report=shard-1.json."
        )


class ShardRun:
    """Computes the promises of one shard.

    Parameters
    ----------
    session : PluralismSession
        The run.
    """

    def __init__(self, session: PluralismSession) -> None:
        self._session = session
        self._number, self._of = session.settings["shard"]
        self._models = SuiteModels(session, "--pluralism-shard")
        self._identities: dict[str, Json] = {}
        self._noise: dict[str, Json] = {}
        self._dealt: list[str] = []
        self._errors: list[str] = []

    def run(self, items: Sequence[pytest.Item]) -> tuple[list[str], bool]:
        """Return what to show, and whether something could not be computed."""
        from pytest_pluralism.core.untrusted import harmless

        self._errors += [f"{test_of(item)}: {one}" for item in items for one in item.stash.get(PLANS, ([], []))[1]]
        for spec in self._session.settings["model"]:
            for suite in by_suite(items, spec):
                self._session.models.enter(suite[0])
                try:
                    self._compute(spec, suite)
                except PluralismError as error:
                    self._errors.append(f"{model_id(spec)}: {error}")
                finally:
                    self._models.close()
        if not self._session.settings["model"]:
            self._errors.append("no model: name one with --pluralism-model=SPEC")
        place = self._session.settings["report"][0]
        with inside(self._session.config.invocation_params.dir):
            write_atomically(Path(place), json.dumps(self._content(items), ensure_ascii=True) + "\n")
        computed = f"shard {self._number} of {self._of}: {len(self._dealt)} promises computed, none judged"
        lines = [computed, f"written: {place}", *(f"ERROR {one}" for one in self._errors)]
        return [harmless(line) for line in lines], bool(self._errors)

    def _compute(self, spec: str, suite: Sequence[pytest.Item]) -> None:
        promises = [
            (f"{test_of(item)} {plan.key}", plan)
            for item in suite
            for plan in plans_of(item, spec)
            if self._is_mine(item, plan)
        ]
        if not promises:
            return
        model_of = self._remembered(self._models.of(spec), spec)
        engine = self._session.models.engine
        engine.gather(dict(self._both(promises)), model_of, promises={key: plan.promised for key, plan in promises})
        for key, plan in promises:
            try:
                engine.measure(plan.evaluation, model_of, key=key, promised=plan.promised)
                self._measure_noise(plan, model_of("language_model"))
                self._dealt.append(key)
            except PluralismError as error:
                self._errors.append(f"{key}: {error}")

    def _both(self, promises: Sequence[tuple[str, PlannedGate]]) -> Iterable[tuple[str, Evaluation]]:
        for key, plan in promises:
            yield key, plan.evaluation
            yield from ((f"{key} / {name}", part.evaluation) for name, part in plan.parts.items())

    def _is_mine(self, item: pytest.Item, plan: PlannedGate) -> bool:
        """Return whether a promise is dealt to this shard; the populations of one marker stay together."""
        name = f"{test_of(item)} {plan.measure.name} {plan.dataset}"
        digest = hashlib.sha256(name.encode("utf-8", "backslashreplace")).digest()
        return bool(int.from_bytes(digest[:8], "big") % self._of == self._number - 1)

    def _remembered(self, model_of: ModelOf, spec: str) -> ModelOf:
        """Return the models of a run, whose identities are written down."""

        def found(role: Role) -> Identified:
            model = model_of(role)
            name = self._session.settings["reference_model"] if role == "reference_language_model" else spec
            key = role_key("language_model" if role == "reference_language_model" else role, str(name))
            self._identities[key] = model.identity.as_json()
            return model

        return found

    def _measure_noise(self, plan: PlannedGate, model: Identified) -> None:
        first = next(plan.evaluation.rounds(), None)
        needed = plan.gate is not None and plan.gate.needs_baseline
        if not needed or first is None or first.work != "answers" or model.identity.sha256 in self._noise:
            return
        found = noise_floor(model, first.requests)  # type: ignore[arg-type]
        if found is not None:
            self._noise[model.identity.sha256] = found.as_json()

    def _content(self, items: Sequence[pytest.Item]) -> Json:
        results = []
        for sha256, work, cell, value in self._session.models.engine.known():
            row = result_row(work, cell, value)
            if row is None:
                self._errors.append(f"a result of the work {work!r} cannot be written to a shard")
                continue
            results.append({"model": sha256, **row})
        return {
            "schema": SCHEMA,
            "shard": [self._number, self._of],
            "suite": suite_hash(items),
            "options": self._session.commands.options(),
            "tests": [str(one) for one in self._session.config.args],
            "complete": not self._errors,
            "errors": self._errors,
            "promises": self._dealt,
            "models": self._identities,
            "noise": self._noise,
            "versions": versions(),
            "results": results,
        }
