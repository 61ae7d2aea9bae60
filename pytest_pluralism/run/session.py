"""The bookkeeping of one run: verdicts are collected here, and handed to the reports and the baselines."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.files import inside
from pytest_pluralism.run.baselines import RunBaselines
from pytest_pluralism.run.items import Json, Suite, by_suite, plans_of, suite_of, test_of
from pytest_pluralism.run.judging import Judge
from pytest_pluralism.run.models import RunModels, reference_of
from pytest_pluralism.run.provenance import Commands, versions
from pytest_pluralism.run.source import source_of
from pytest_pluralism.settings.table import Settings

if TYPE_CHECKING:
    from pytest_pluralism.evaluation.asking.rounds import ModelOf, Role
    from pytest_pluralism.evaluation.measures.planning import PlannedGate

__all__ = ["OWNERS", "SESSION", "PluralismSession"]

#: The key under which the controller tells a worker of pytest-xdist that each model has one owner among the workers.
OWNERS = "pluralism_owners"


class PluralismSession:
    """The state of one process of a run: the controller, or one worker."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.started = time.time()
        self.entries: dict[tuple[str, str], Json] = {}
        self.could_not_write = False
        #: The results of the suite against itself, with ``--pluralism-aa``.
        self.false_alarms: list[Json] = []
        #: The damage that its promises catch, with ``--pluralism-mutants``.
        self.mutants: list[Json] = []
        self.models = RunModels(config, settings)
        self.notes = self.models.notes
        root, start = config.rootpath, config.invocation_params.dir
        self.baselines = RunBaselines(settings, root=root, start=start)
        self.commands = Commands(settings, root=root, start=start)
        self.judge = Judge(self.models, self.baselines, self.commands)
        self._asked_for_all: set[tuple[Suite, str]] = set()

    def ask_for_all(self, spec: str, model_of: ModelOf, items: Iterable[pytest.Item]) -> None:
        """Ask a model what all tests of the run will want of it, so that one plan of batches sees everything.

        Not in a run that stops at a failure, nor in a worker whose tests are chosen one by one.
        """
        one_by_one = hasattr(self.config, "workerinput") and not self.config.workerinput.get(OWNERS)
        key = (self.models.suite, spec)
        if key in self._asked_for_all or one_by_one or self.config.getoption("maxfail"):
            return
        self._asked_for_all.add(key)
        items = [item for item in items if suite_of(item) == self.models.suite]

        def found(role: Role) -> Any:
            try:
                return model_of(role)
            except (pytest.fail.Exception, pytest.skip.Exception) as error:
                raise ModelError(str(error)) from None

        engine = self.models.engine
        promises = [(plan, item.nodeid, test_of(item)) for item in items for plan in plans_of(item, spec)]
        engine.gather({(nodeid, plan.key): plan.evaluation for plan, nodeid, _ in promises}, found)
        compared = [(plan, nodeid) for plan, nodeid, _ in promises if self._is_beside_reference(plan)]
        engine.gather({(nodeid, plan.key): plan.evaluation for plan, nodeid in compared}, reference_of(found))
        if self.judge.adjusts:
            # Before the first test reports, so that each test's own outcome is the adjusted one.
            model = found("language_model")
            scored = [one for one in promises if engine.is_scored((one[1], one[0].key), model)]
            self.judge.judge_all(scored, found)

    def _is_beside_reference(self, plan: PlannedGate) -> bool:
        """Return whether a promise is compared with the reference model of the run."""
        is_named = any(named.is_reference for named in self.baselines.named)
        return is_named and plan.gate is not None and plan.gate.needs_baseline

    def forecast(self, items: Sequence[pytest.Item]) -> list[str]:
        """Return what the run would compute, in lines; no network is loaded, and nothing is asked."""
        from pytest_pluralism.core.untrusted import harmless
        from pytest_pluralism.run.forecast import forecast_lines, forecast_of

        found = []
        for spec in self.settings["model"]:
            for suite in by_suite(items, spec) or [[]]:
                if suite:
                    self.models.enter(suite[0])
                plans = [plan for item in suite for plan in plans_of(item, spec)]
                compared = [plan for plan in plans if self._is_beside_reference(plan)]
                wanted = [(spec, plans)] + ([(self.settings["reference_model"], compared)] if compared else [])
                for name, some in wanted:
                    evaluations = [plan.evaluation for plan in some]
                    found.append(forecast_of(name, evaluations, self.models.load_model, self.models.store))
        lines = forecast_lines(found) or ["no model: name one with --pluralism-model=SPEC"]
        return [harmless(line) for line in [*lines, *dict.fromkeys(self.notes)]]

    def worker_output(self) -> Json:
        """Return the report of a worker to the controller at its end, beside the verdicts."""
        self.models.close_store()
        return {**self.models.as_json(), "collected": self.baselines.collected.as_json()}

    def take_over(self, output: Mapping[str, Any]) -> None:
        """Add the report of a worker."""
        self.models.take_over(output)
        self.baselines.collected.take_over(output["collected"])

    def collect(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Add the verdicts of a test; a test that ran again replaces its earlier ones."""
        for entry in entries:
            self.entries[entry["nodeid"], entry["key"]] = dict(entry)

    def finish(self, *, complete: bool) -> None:
        """Write the baselines and the reports of the run; a run that only collected writes nothing."""
        self.models.close_store()
        if self.config.getoption("collectonly") or self.settings["plan"]:
            return
        with inside(self.config.invocation_params.dir):
            self._write(complete=complete)

    def _write(self, *, complete: bool) -> None:
        complete = complete and self.settings["aa"] is None and self.settings["mutants"] is None
        asked, recalled = self.models.asked, self.models.recalled
        if asked or recalled:
            self.notes.insert(0, f"answers: {asked} computed, {recalled} from the store")
        self.notes[:] = dict.fromkeys(self.notes)
        if complete:
            self._settle_baselines()
        for path in self.settings["report"]:
            from pytest_pluralism.files import write_atomically
            from pytest_pluralism.report.forms import rendered
            from pytest_pluralism.report.past import with_history

            text = rendered(path, with_history(self.entries.values()), self.run_provenance(complete=complete))
            try:
                write_atomically(path, text)
            except (OSError, ValueError) as error:
                self.could_not_write = True
                self.notes.append(f"report {path} could not be written: {getattr(error, 'strerror', None) or error}")
            else:
                self.notes.append(f"report written: {path}")

    def _settle_baselines(self) -> None:
        names = list(dict.fromkeys(str(entry["model"]["name"]) for entry in self.entries.values()))
        stored: tuple[list[str], bool] = ([], True)
        if self.baselines.stores_any:
            date = time.strftime("%Y-%m-%d", time.gmtime(self.started))
            stored = self.baselines.store(self.entries.values(), date=date)
        settled = self.baselines.settle_unused(names, lambda file: (self.config.rootpath / file).exists())
        for notes, well in (stored, settled):
            self.notes += notes
            self.could_not_write |= not well

    @cached_property
    def _source(self) -> dict[str, str | bool]:
        return source_of(self.config.rootpath)

    def run_provenance(self, *, complete: bool) -> Json:
        """Return what the report says of the run itself."""
        first = next(iter(self.models.prompts.items()), None)
        return {
            **({"false_alarms": self.false_alarms} if self.false_alarms else {}),
            **({"mutants": self.mutants} if self.mutants else {}),
            "complete": complete,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started, 1),
            "answers": {"computed": self.models.asked, "from_store": self.models.recalled},
            # Our own options only: others may hold what is nobody's business.
            "command": f"pytest {self.commands.options()}".rstrip(),
            "settings": self.settings.as_json(),
            "versions": versions(),
            **({"source": self._source} if self._source else {}),
            **({"prompt": {"of": first[0], "text": first[1]}} if first is not None else {}),
        }


SESSION: pytest.StashKey[PluralismSession] = pytest.StashKey()
