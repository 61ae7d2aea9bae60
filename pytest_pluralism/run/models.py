"""The models of a run by role, the engine that asks them, and the store of their answers."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.files import inside
from pytest_pluralism.run.items import Json, Suite, suite_of
from pytest_pluralism.run.unit_prompts import UnitPrompts
from pytest_pluralism.settings.table import Settings

if TYPE_CHECKING:
    from pytest_pluralism.baselines.schema import Entry
    from pytest_pluralism.core.records import Estimate, Scores
    from pytest_pluralism.evaluation.asking.engine import Engine
    from pytest_pluralism.evaluation.asking.rounds import Identified, JudgeModel, ModelOf, Role, SteeredModel
    from pytest_pluralism.evaluation.measures.planning import PlannedGate
    from pytest_pluralism.models.answers.store import AnswerStore
    from pytest_pluralism.models.protocol import EntailmentModel, LanguageModel, Progress, ValueModel
    from pytest_pluralism.run.merging import Merge

__all__ = ["SPECS", "RunModels", "reference_of"]


#: The setting that names the model of each fixture.
SPECS = {
    "language_model": "model",
    "reference_language_model": "reference_model",
    "entailment_model": "entailment_model",
    "value_model": "value_model",
}


#: The seconds between two lines on progress in a log.
LOG_SECONDS = 60.0


class RunModels:
    """The models of one process of a run.

    Parameters
    ----------
    config : pytest.Config
        The run.
    settings : Settings
        Its settings.

    Attributes
    ----------
    notes : list of str
        The remarks that the run shows at its end.
    suite : tuple of str
        The hooks through which models are loaded now.
    """

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        #: When the last line on progress was written to a log.
        self._told = 0.0
        self.notes: list[str] = []
        self._start = config.invocation_params.dir
        self.suite: Suite = ()
        #: The first prompt of promises as the model reads it, by what is measured.
        self.prompts: dict[str, str] = {}
        #: The prompts of all units, for the reports of the run.
        self.unit_prompts = UnitPrompts()
        self._hook = config.hook
        self._opened: dict[str, Callable[[], None]] = {}
        self._own: dict[str, list[pytest.FixtureDef[object]]] = {}
        self._engine: Engine | None = None
        #: The shards whose results stand in the place of models.
        self.merge: Merge | None = None
        self._recorded: list[Any] = []
        self._elsewhere = {"asked": 0, "recalled": 0}
        self._store: AnswerStore | None = None
        self._store_opened = False
        self._steered: tuple[tuple[SteeredModel, str], LanguageModel] | None = None
        self._judging: dict[JudgeModel | str, Identified] = {}

    # ---------------------------------------------------------------------------------------------------- loading

    def enter(self, item: pytest.Item) -> None:
        """Load models from now on through the hooks that hold for a test, and close those that others loaded."""
        suite = suite_of(item)
        if suite != self.suite:
            self.close_steered()
            self.close_judging()
            while self._opened:
                self._opened.popitem()[1]()
            self.suite = suite
        self._hook = item.ihook

    def shadowed(self, fixturedef: pytest.FixtureDef[object]) -> None:
        """Remember a fixture of the project that stands in the place of one of ours, and does not ask for it."""
        known = self._own.setdefault(fixturedef.argname, [])
        if fixturedef not in known:
            known.append(fixturedef)

    def refuse_unloaded(self, name: str, model: object) -> None:
        """Refuse a model of the project's own in the place of one that the run names: that one was never loaded.

        Raises
        ------
        ModelError
            A fixture of the project gave it.
        """
        setting = SPECS.get(name)
        given = self.settings[setting] if setting else None
        cached = [fixture.cached_result for fixture in self._own.get(name, ())]
        if given and any(result is not None and result[0] is model for result in cached):
            spec = given[0] if isinstance(given, tuple) else given
            raise ModelError(
                f"the fixture {name!r} of this test is one of the project's own, so that "
                f"--pluralism-{str(setting).replace('_', '-')}={spec} was not loaded. Give that fixture another name, "
                f"let it take {name!r} as its argument, or run without the option."
            )

    def opened(self, name: str, close: Callable[[], None]) -> None:
        """Remember how a model that a fixture holds is closed."""
        self._opened[name] = close

    def load_model(self, spec: str) -> LanguageModel:
        """Load the model of a spec through the hook, so that a project can bring its own."""
        if self.merge is not None:
            return self.merge.model("language_model", spec)
        with self.progress(f"loading {spec}"), inside(self._start):
            from pytest_pluralism.models.composed.mixture import own_parts

            with own_parts(self._own_part):
                model: LanguageModel = self._hook.pytest_pluralism_load_model(spec=spec, settings=self.settings)
        _refuse_unlike(model, spec)
        if getattr(type(model), "is_recorded", False):
            self._recorded.append(model)
        return model

    def _own_part(self, spec: str) -> LanguageModel | None:
        """Return the part of a composition that a hook of the project loads; ``None`` where none does."""
        manager = self.config.pluginmanager
        here = [one.plugin for one in self._hook.pytest_pluralism_load_model.get_hookimpls()]
        ours = manager.get_plugin("pluralism-loading")
        others = [one for one in manager.get_plugins() if one is ours or one not in here]
        own = manager.subset_hook_caller("pytest_pluralism_load_model", others)
        model: LanguageModel | None = own(spec=spec, settings=self.settings)
        if model is not None:
            _refuse_unlike(model, spec)
        return model

    def load_entailment_model(self, spec: str) -> EntailmentModel:
        """Load the entailment model of a spec through the hook."""
        if self.merge is not None:
            return self.merge.model("entailment_model", spec)
        with self.progress(f"loading {spec}"), inside(self._start):
            model: EntailmentModel = self._hook.pytest_pluralism_load_entailment_model(
                spec=spec, settings=self.settings
            )
        return model

    def load_value_model(self, spec: str) -> ValueModel:
        """Load the value model of a spec through the hook."""
        if self.merge is not None:
            return self.merge.model("value_model", spec)
        with self.progress(f"loading {spec}"), inside(self._start):
            model: ValueModel = self._hook.pytest_pluralism_load_value_model(spec=spec, settings=self.settings)
        return model

    def steered_model(self, role: SteeredModel, model: LanguageModel) -> LanguageModel:
        """Return the model that is steered to an attribute by its weights; only the last one stays in memory."""
        if self.merge is not None:
            return self.merge.model(role, model.identity.spec)
        key = (role, model.identity.sha256)
        if self._steered is None or self._steered[0] != key:
            self.close_steered()
            with self.progress(f"loading {role.spec or role.attribute}"), inside(self._start):
                found = self._hook.pytest_pluralism_load_steered_model(
                    attribute=role.attribute, spec=role.spec, model=model, settings=self.settings
                )
            self._steered = (key, found)
        return self._steered[1]

    def judging_model(self, role: JudgeModel | str) -> Identified:
        """Return the encoder of the run, or the entailment model that one promise names for its judge."""
        if role not in self._judging:
            if isinstance(role, str):
                from pytest_pluralism.models.local.embeddings import TextEncoder

                self._judging[role] = TextEncoder()
            else:
                self._judging[role] = self.load_entailment_model(role.spec)
        return self._judging[role]

    def close_judging(self) -> None:
        """Give back the memory of the models of :meth:`judging_model`."""
        while self._judging:
            model = self._judging.popitem()[1]
            getattr(model, "close", lambda: None)()

    def close_steered(self) -> None:
        """Give back the memory of the last steered model."""
        if self._steered is not None:
            self.close(self._steered[1])
            self._steered = None

    def close(self, model: object) -> None:
        """Give back the memory of a model, unless it hangs. A model of a project need not have anything to close."""
        if self._engine is None or not self._engine.patience.hangs(model):
            getattr(model, "close", lambda: None)()

    # ----------------------------------------------------------------------------------------------------- asking

    @property
    def engine(self) -> Engine:
        """The engine that asks the models; made when it is first needed."""
        if self._engine is None:
            from pytest_pluralism.evaluation.asking.engine import Engine
            from pytest_pluralism.run.forecast import remember_speed

            self._engine = Engine(
                store=lambda: self.store,
                note=self.notes.append,
                progress=self.progress,
                measured=remember_speed,
                timeout=self.settings["batch_timeout"],
            )
        return self._engine

    def measure(
        self, plan: PlannedGate, model_of: ModelOf, *, key: Hashable = None
    ) -> tuple[Scores, Estimate, frozenset[Role]]:
        """Ask what has not been asked yet, score it, and name the roles of the models that were needed.

        The ``key`` is that under which the engine may have gathered the scores.
        """
        from pytest_pluralism.evaluation.measuring import measure

        result = measure(plan, self.engine, model_of, key=key)
        self._show_prompt(plan, model_of)
        if self.settings["report"] and isinstance(key, tuple):
            self.unit_prompts.add(str(key[0]), plan, model_of("language_model"))
        return result

    def estimated(
        self, plan: PlannedGate, scores: Scores, roles: frozenset[Role], model_of: ModelOf
    ) -> tuple[Scores, Estimate]:
        """Return the scores as the measure of a promise takes them, and their estimate."""
        from pytest_pluralism.evaluation.measuring import estimated

        return estimated(plan, scores, roles, model_of)

    def _show_prompt(self, plan: PlannedGate, model_of: ModelOf) -> None:
        """Remember the first prompt of a promise: of each where that is asked for, else of the first with a tokenizer.

        A model that is not loaded is not loaded for it: then nobody asked for the text.
        """
        from pytest_pluralism.core.records import FullAnswerPrompt, Prompt
        from pytest_pluralism.models.answers.kinds import read_by
        from pytest_pluralism.models.prompts import render_prompt

        wanted = bool(self.settings["show_prompt"])
        first = next(plan.evaluation.rounds(), None) if wanted or not self.prompts else None
        if first is None or first.role != "language_model" or not first.requests:
            return
        model = model_of("language_model")
        read = read_by(first.requests[0])
        prompt = read.prompt if isinstance(read, FullAnswerPrompt) else read
        if not isinstance(prompt, Prompt) or not (wanted or getattr(model, "is_loaded", True)):
            return
        key = f"{model.identity.name}: {plan.key}"
        if hasattr(model, "prompt_text"):
            self.prompts[key] = model.prompt_text(prompt)
        elif wanted:
            # Without a tokenizer here, what the model gets is the prompt itself.
            self.prompts[key] = render_prompt(prompt, chat=None) if prompt.template != "chat" else repr(prompt)

    @property
    def asked(self) -> int:
        """The number of answers that were computed, here and in the workers."""
        return self._elsewhere["asked"] + (self._engine.asked if self._engine is not None else 0)

    @property
    def recalled(self) -> int:
        """The number of answers that came from the store, here and in the workers."""
        return self._elsewhere["recalled"] + (self._engine.recalled if self._engine is not None else 0)

    def as_json(self) -> Json:
        """Return the counts and remarks of a worker as plain JSON values, for the controller."""
        return {
            "asked": self.asked,
            "recalled": self.recalled,
            "notes": self.notes,
            "prompts": self.prompts,
            "unit_prompts": self.unit_prompts.as_json(),
        }

    def take_over(self, output: Entry) -> None:
        """Add the counts and remarks of a worker."""
        for name in self._elsewhere:
            self._elsewhere[name] += output[name]
        self.notes += output["notes"]
        self.prompts |= output["prompts"]
        self.unit_prompts.take_over(output["unit_prompts"])

    # -------------------------------------------------------------------------------------------------- the store

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
                self._store = AnswerStore(self._start / folder if folder else default_answers_folder())
            except AnswerStoreError as error:
                # Without a store the run takes longer, but it can go on.
                self.notes.append(f"answers are not kept: {error}")
        return self._store

    def close_store(self) -> None:
        """Close the store of answers, and keep its remarks and those on recorded answers that were not used."""
        self.notes += filter(None, (model.unused_note() for model in self._recorded))
        self._recorded.clear()
        if self._store is not None:
            self._store.close()
            self.notes += self._store.notes
            self._store = None

    # --------------------------------------------------------------------------------------------------- progress

    @contextlib.contextmanager
    def progress(self, text: str) -> Iterator[Progress | None]:
        """Show how far a model is: a bar on a terminal, a line a minute in a log, and nothing in a worker."""
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        capture = self.config.pluginmanager.getplugin("capturemanager")
        if reporter is None or hasattr(self.config, "workerinput"):
            yield None
            return
        shown = capture.global_and_fixture_disabled if capture else contextlib.nullcontext
        if not reporter.isatty:
            yield self._logged(text, reporter, shown)
            return
        with shown():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            from pytest_pluralism.core.untrusted import printable

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=Console(file=sys.stdout), transient=True) as bar:
                task = bar.add_task(printable(text), total=None)
                yield lambda done, total: bar.update(task, completed=done, total=total)

    def _logged(
        self,
        text: str,
        reporter: pytest.TerminalReporter,
        shown: Callable[[], contextlib.AbstractContextManager[None]],
    ) -> Progress:
        """Return a function that writes a line on its progress, at most one in :data:`LOG_SECONDS`."""
        from pytest_pluralism.core.untrusted import printable

        start = time.monotonic()

        def tell(done: int, total: int) -> None:
            now = time.monotonic()
            if now - max(self._told, start) < LOG_SECONDS:
                return
            self._told = now
            with shown():
                reporter.ensure_newline()
                reporter.write_line(
                    f"pluralism: {printable(text)}: {done:,} of {total:,} after {(now - start) / 60:.0f} min"
                )

        return tell


def reference_of(model_of: ModelOf, /) -> ModelOf:
    """Return the models of a run with the reference model in the place of the tested one."""
    return lambda role: model_of("reference_language_model" if role == "language_model" else role)


def _refuse_unlike(model: object, spec: str) -> None:
    """Refuse what a hook gave that cannot be asked.

    Raises
    ------
    ModelError
        It lacks a part of a language model.
    """
    lacking = [name for name in ("identity", "answer", "close") if not hasattr(model, name)]
    if lacking:
        raise ModelError(
            f"A hook pytest_pluralism_load_model gave a {type(model).__name__} for {spec!r}, which has no "
            f"{lacking[0]!r}. It must give a model that follows LanguageModel."
        )
