"""The bookkeeping of one run: verdicts are collected here, and handed to the reports and the baselines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_pluralism.baselines.schema import Entry
from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.files import inside
from pytest_pluralism.run.baselines import RunBaselines
from pytest_pluralism.run.items import Json, Suite, by_suite, plans_of, suite_of, test_of
from pytest_pluralism.run.judging import Judge
from pytest_pluralism.run.models import RunModels, reference_of
from pytest_pluralism.run.planned import Planned
from pytest_pluralism.run.provenance import Commands, versions
from pytest_pluralism.run.source import source_of
from pytest_pluralism.settings.table import Settings

if TYPE_CHECKING:
    from pytest_pluralism.evaluation.asking.drawing import Promised
    from pytest_pluralism.evaluation.asking.rounds import Identified, ModelOf, Role
    from pytest_pluralism.evaluation.measures.planning import PlannedGate

__all__ = ["OWNERS", "SESSION", "PluralismSession"]

#: The reports of a run that goes on may take this many seconds, and this share of the time that it has taken.
KEPT_SECONDS, KEPT_SHARE = 0.5, 0.1

#: The last line of a run that keeps no report, and whose promises are not all kept.
LOOK_CLOSER = "to look closer: add --pluralism-report=report.html, a page with every question behind these numbers"

#: The key under which the controller tells a worker of pytest-xdist that each model has one owner among the workers.
OWNERS = "pluralism_owners"


class PluralismSession:
    """The state of one process of a run: the controller, or one worker."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.started = time.time()
        self.entries: dict[tuple[str, str], Json] = {}
        self.planned = Planned()
        #: The tests that failed, for whatever reason.
        self.failed_tests: dict[str, None] = {}
        self.could_not_write = False
        #: Whether promises were not judged although nobody stopped the run.
        self.lacks = False
        self.complete = False
        #: Lines that are shown below a list of tests, not above it.
        self.below: list[str] = []
        #: Shown elsewhere by these, when the verdicts are settled.
        self.when_written: list[Callable[[], None]] = []
        self._kept_seconds = 0.0
        #: The results of the suite against itself, with ``--pluralism-aa``.
        self.false_alarms: list[Json] = []
        #: The damage that its promises catch, with ``--pluralism-mutants``.
        self.mutants: list[Json] = []
        self.models = RunModels(config, settings)
        self.notes = self.models.notes
        root, start = config.rootpath, config.invocation_params.dir
        self.baselines = RunBaselines(settings, root=root, start=start)
        packages = [arg for arg in config.args if "::" not in arg] if config.getoption("pyargs", False) else []
        self.commands = Commands(settings, root=root, start=start, packages=packages)
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

        def found(role: Role) -> Identified:
            try:
                return model_of(role)
            except (pytest.fail.Exception, pytest.skip.Exception) as error:
                raise ModelError(str(error)) from None

        engine = self.models.engine
        promises = [(plan, item.nodeid, test_of(item)) for item in items for plan in plans_of(item, spec)]
        promised: dict[object, Promised] = {(nodeid, plan.key): plan.promised for plan, nodeid, _ in promises}
        engine.gather({(nodeid, plan.key): plan.evaluation for plan, nodeid, _ in promises}, found, promises=promised)
        compared = [(plan, nodeid) for plan, nodeid, _ in promises if self._is_beside_reference(plan)]
        engine.gather(
            {(nodeid, plan.key): plan.evaluation for plan, nodeid in compared}, reference_of(found), promises=promised
        )
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

    def take_over(self, output: Entry) -> None:
        """Add the report of a worker."""
        self.models.take_over(output)
        self.baselines.collected.take_over(output["collected"])

    def collect(self, entries: Iterable[Entry]) -> None:
        """Add the verdicts of a test; a test that ran again replaces its earlier ones."""
        for entry in entries:
            self.entries[entry["nodeid"], entry["key"]] = dict(entry)

    @property
    def holds_something(self) -> bool:
        """Whether this run has promises, or may have them: workers tell theirs later."""
        return bool(self.settings["model"] or self.settings["report"] or self.planned.missing(()))

    @property
    def _judges(self) -> bool:
        """Whether the promises of this run are judged, and not only counted, planned or put to the test themselves."""
        return self._runs and self.settings["aa"] is None and self.settings["mutants"] is None

    @property
    def _runs(self) -> bool:
        only = self.config.getoption("collectonly") or self.config.getoption("setuponly", False)
        return not (only or self.settings["plan"] or self.settings["shard"])

    def keep(self, *, now: bool = False) -> None:
        """Write the reports of a run that goes on, marked incomplete: they are what is left if it is killed.

        Not each time, where that would take much of the time of the run, unless it must be ``now``.
        """
        if not self._judges or not self.settings["report"]:
            return
        if not now and self._kept_seconds > KEPT_SECONDS + KEPT_SHARE * (time.time() - self.started):
            return
        begun = time.perf_counter()
        # The end of the run tells what cannot be written.
        self._write_reports([*self.entries.values(), *self.planned.missing(self.entries)])
        self._kept_seconds += time.perf_counter() - begun

    def finish(self, *, ended: bool, on_purpose: bool) -> None:
        """Write the baselines and the reports of the run; a run that only collected writes nothing.

        Parameters
        ----------
        ended : bool
            Whether the run came to its end.
        on_purpose : bool
            Whether somebody stopped it, who knows that promises were not judged.
        """
        self.models.close_store()
        if not self._runs:
            return
        missing = self.planned.missing(self.entries) if self._judges else []
        if missing and on_purpose:
            words = "1 promise was" if len(missing) == 1 else f"{len(missing)} promises were"
            self.notes.append(f"{words} not judged: the run was stopped before")
        elif missing:
            self.lacks = True
            self.collect(missing)
        self._name_unloaded()
        self.complete = self._judges and ended and not missing and not self.planned.crashed
        if self._judges and not self.complete and self.settings["prune_baseline"]:
            self.notes.append("nothing was pruned from the baseline: the run did not judge all promises")
        with inside(self.config.invocation_params.dir):
            self._write(ended=self._judges and ended)
        if on_purpose and self._judges and not ended and (self.entries or missing):
            self.notes.append(self._kept_words())

    def _kept_words(self) -> str:
        """Return what is left of a run that was stopped."""
        judged = sum(entry["outcome"] != "error" for entry in self.entries.values())
        kept = (
            [f"{judged} verdict{'s' * (judged != 1)} in each report, marked incomplete"]
            if self.settings["report"]
            else []
        )
        if self.models.asked and self.models.store is not None:
            kept.append(f"{self.models.asked} answers in the store, from which the next run goes on")
        lost = "; no baseline was written" if self.baselines.stores_any else ""
        return f"stopped; kept: {' and '.join(kept) if kept else 'nothing'}{lost}"

    def _name_unloaded(self) -> None:
        """Call a model by the name that it gave itself in the promises that were not judged too."""
        models = [entry["model"] for entry in self.entries.values()]
        names = {model["spec"]: model["name"] for model in models if model.get("sha256") and "spec" in model}
        for model in models:
            if model["sha256"] is None:
                model["name"] = names.get(model.get("spec"), model["name"])

    def _write(self, *, ended: bool) -> None:
        from pytest_pluralism.report.past import with_history

        asked, recalled = self.models.asked, self.models.recalled
        if asked or recalled:
            self.notes.insert(0, f"answers: {asked} computed, {recalled} from the store")
        self.notes[:] = dict.fromkeys(self.notes)
        if ended:
            self._settle_baselines()
        for path, problem in self._write_reports(with_history(self.entries.values())):
            self.could_not_write |= problem is not None
            words = f"report {path} could not be written: {problem}" if problem else f"report written: {path}"
            self.notes.append(words)
        outcomes = {entry["outcome"] for entry in self.entries.values()}
        if not self.settings["report"] and outcomes & {"failed", "inconclusive"}:
            self.notes.append(LOOK_CLOSER)
        for tell in self.when_written:
            tell()

    def _write_reports(self, entries: Sequence[Entry]) -> list[tuple[Path, str | None]]:
        """Write each report; return its path as it was given, and why it could not be written."""
        from pytest_pluralism.files import write_atomically
        from pytest_pluralism.report.forms import rendered

        written: list[tuple[Path, str | None]] = []
        run = self.run_provenance() if self.settings["report"] else {}
        entries = [{**entry, "repeat": self.commands.repeat(str(entry["nodeid"]))} for entry in entries]
        for path in self.settings["report"]:
            text = rendered(path, entries, run)
            try:
                write_atomically(self.config.invocation_params.dir / path, text)
            except (OSError, ValueError) as error:
                written.append((path, str(getattr(error, "strerror", None) or error)))
            else:
                written.append((path, None))
        return written

    def _settle_baselines(self) -> None:
        names = list(dict.fromkeys(str(entry["model"]["name"]) for entry in self.entries.values()))
        stored: tuple[list[str], bool] = ([], True)
        if self.baselines.stores_any:
            date = time.strftime("%Y-%m-%d", time.gmtime(self.started))
            stored = self.baselines.store(self.entries.values(), date=date)
        settled: tuple[list[str], bool] = ([], True)
        if self.complete:
            settled = self.baselines.settle_unused(names, lambda file: (self.config.rootpath / file).exists())
        for notes, well in (stored, settled):
            self.notes += notes
            self.could_not_write |= not well

    @property
    def _names_tests(self) -> bool:
        return self.config.args_source is pytest.Config.ArgsSource.ARGS

    def _failed_otherwise(self) -> list[str]:
        """Return the tests that failed although no promise of theirs is broken."""
        breaks = {"failed", "error"} | ({"inconclusive"} if self.settings["inconclusive"] == "fail" else set())
        broken = {entry["nodeid"] for entry in self.entries.values() if entry["outcome"] in breaks}
        return [nodeid for nodeid in self.failed_tests if nodeid not in broken]

    @cached_property
    def _source(self) -> dict[str, str | bool]:
        return source_of(self.config.rootpath)

    def run_provenance(self) -> Json:
        """Return what the report says of the run itself."""
        first = next(iter(self.models.prompts.items()), None)
        return {
            **({"false_alarms": self.false_alarms} if self.false_alarms else {}),
            **({"mutants": self.mutants} if self.mutants else {}),
            "complete": self.complete,
            **({"failed_tests": failed} if (failed := self._failed_otherwise()) else {}),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started, 1),
            "answers": {"computed": self.models.asked, "from_store": self.models.recalled},
            # Our own options and the places of tests only: other options may hold what is nobody's business.
            "command": self.commands.run(self.config.args if self._names_tests else ()),
            "settings": self.settings.as_json(),
            "versions": versions(),
            **({"source": self._source} if self._source else {}),
            **({"prompts": found} if (found := self.models.unit_prompts.as_json()) else {}),
            **({"prompt": {"of": first[0], "text": first[1]}} if first is not None else {}),
        }


SESSION: pytest.StashKey[PluralismSession] = pytest.StashKey()
