"""The measures in a notebook or a script: the same functions that a gate calls, without a run of pytest."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter, nearest_names, unknown_name
from pytest_pluralism.core.records import Estimate, Scores, Survey

if TYPE_CHECKING:
    from pytest_pluralism.core.records.plain import JsonFields, JsonObject
    from pytest_pluralism.datasets.surveys.refusals import RefusalPolicy
    from pytest_pluralism.evaluation.asking.rounds import Identified, Role
    from pytest_pluralism.evaluation.measures.planning import PlannedGate
    from pytest_pluralism.models.answers.store import AnswerStore
    from pytest_pluralism.models.protocol import LanguageModel

__all__ = ["Measurement", "evaluate", "measure", "to_frame"]

#: The models beside the tested one that a measure may need, and the function that loads each by its spec.
OTHER_MODELS = ("entailment_model", "value_model", "reference_language_model")

#: The settings of a run that have no part here: they are about promises, baselines and reports.
OF_RUNS = (
    *("model", "reference_model", "entailment_model", "value_model", "report", "baseline", "update_baseline"),
    *("move_anchor", "anchor_reason", "prune_baseline", "inconclusive", "aa", "mutants", "ci", "plan", "health"),
    *("suppress_health_check", "multiplicity", "looks", "show_prompt", "profile"),
)


@dataclass(frozen=True)
class Measurement:
    """One measurement: the scores of its units, the estimate, and where the numbers come from.

    Attributes
    ----------
    estimate : Estimate
        The value with its interval, as :func:`evaluate` returns it.
    scores : Scores
        The value of each unit, with references and warnings.
    dataset : mapping
        ``name``, ``sha256`` and ``source`` of the data.
    model : mapping
        The identity of the model.
    notes : tuple of str
        Remarks about stored answers.
    """

    estimate: Estimate
    scores: Scores
    dataset: Mapping[str, object] = field(default_factory=dict)
    model: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def evaluate(model: object, metric: str, dataset: object, /, **keywords: object) -> Estimate:
    """Measure a model, and return the estimate that a gate on the same data would decide on.

    Parameters
    ----------
    model : str or LanguageModel
        A model spec such as ``"embedded:smollm2-135m-instruct"``, ``"hf:ORG/NAME"`` or ``"./folder"``, or a model that
        :func:`pytest_pluralism.load_model`, :func:`pytest_pluralism.mixture` or a class of your own gives, or a
        function that takes a prompt and gives the probabilities of its labels, or a text. A model of a spec is closed
        afterwards.
    metric : str
        The name of the marker, such as ``"js_distance"``.
    dataset : str or Survey, WindowSet, Panel or SteeringSet
        The name or file of the data, as a marker has it, or what ``load_survey`` and the like returned.
    **keywords
        The keywords of the marker (``population=``, ``seed=``, ``confidence_level=``, ...) without a promise; the
        models ``entailment_model=``, ``value_model=`` and ``reference_language_model=``, each a spec or a model; and
        ``settings=``, a mapping of settings of a run by name (``{"device": "cuda", "answers": "off"}``).

    Returns
    -------
    Estimate
        ``value``, ``low``, ``high``, ``standard_error``, ``n``, ``n_clusters``. Which values are better depends on the
        measure.

    Raises
    ------
    PluralismError
        A name, a keyword, the data or the model is wrong; all that is wrong with keywords is said at once.

    Examples
    --------
    >>> import pytest_pluralism as pp
    >>> estimate = pp.evaluate("embedded:smollm2-135m-instruct", "js_distance", "gss")  # doctest: +SKIP
    """
    return measure(model, metric, dataset, **keywords).estimate


def measure(model: object, metric: str, dataset: object, /, **keywords: object) -> Measurement:
    """Measure a model, and return the scores of all units beside the estimate; parameters as for :func:`evaluate`.

    Returns
    -------
    Measurement
        ``to_frame`` makes a table of its units.
    """
    from pytest_pluralism.evaluation.measuring import measure as measured

    others = {name: keywords.pop(name) for name in OTHER_MODELS if keywords.get(name) is not None}
    settings = settings_of(keywords.pop("settings", {}))
    settings["entailment_model"] = spec_of(others.get("entailment_model"))
    plan = _plan(metric, dataset, keywords, settings)
    models = OpenModels({"language_model": model, **others}, settings)
    notes: list[str] = []
    store = _store(settings, notes)
    try:
        from pytest_pluralism.evaluation.asking.engine import Engine

        engine = Engine(store=lambda: store, note=notes.append, progress=lambda _: contextlib.nullcontext())
        scores, estimate, _ = measured(plan, engine, models.of)
        identity = models.of("language_model").identity.as_json()
    finally:
        models.close()
        if store is not None:
            store.close()
            notes += store.notes
    return Measurement(estimate, scores, dict(plan.source), identity, tuple(dict.fromkeys(notes)))


#: The columns of a table of units; those that a measure does not know are left out.
UNIT_COLUMNS = ("unit_id", "cluster", "value", "population", "text", "option_mass", "n_respondents")

#: The columns of a table of verdicts, and where they stand in a report.
VERDICT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in ("nodeid", "key", "metric")},
    **{name: (name, "name") for name in ("model", "dataset")},
    **{name: (name,) for name in ("population", "outcome", "reason")},
    **{name: ("estimate", name) for name in ("value", "low", "high", "standard_error", "n", "n_clusters")},
    **{name: ("change", part) for name, part in (("change", "value"), ("change_low", "low"), ("change_high", "high"))},
}


def to_frame(what: object, /, *, backend: str = "pandas") -> Any:
    """Return a data frame of scores or of a report.

    Parameters
    ----------
    what : Measurement, Scores, Estimate, mapping or path
        Scores, or what :func:`measure` returned, become a row a unit, with what other answers would score
        (``reference:uniform``, ...) and the probabilities of model and people by option. An estimate becomes a row a
        unit that it is the mean of. A JSON report, or its path, becomes a row a verdict.
    backend : {"pandas", "polars"}
        The library of the data frame.

    Returns
    -------
    pandas.DataFrame or polars.DataFrame
        Columns in a fixed order; what is not known is null.

    Raises
    ------
    InvalidParameterError
        If ``what`` is something else.
    MissingExtraError
        If narwhals or the library is not installed.
    """
    from pytest_pluralism.datasets.frames import make_frame

    return make_frame(_columns(_records(what)), backend=backend)


def _records(what: object) -> list[dict[str, object]]:
    if isinstance(what, Measurement):
        what = what.scores
    if isinstance(what, Scores):
        return [
            {
                **{name: getattr(unit, name) for name in UNIT_COLUMNS},
                **{f"reference:{name}": value for name, value in unit.references.items()},
                "options": list(unit.options) or None,
                "model_probabilities": list(unit.model_probabilities) or None,
                "reference_probabilities": list(unit.reference_probabilities) or None,
            }
            for unit in what.units
        ]
    if isinstance(what, Estimate):
        rows = zip(what.unit_ids, what.clusters, what.values, strict=True)
        return [dict(zip(UNIT_COLUMNS, row, strict=False)) for row in rows]
    if isinstance(what, (str, os.PathLike)):
        from pytest_pluralism.report.reading import read_report

        what = read_report(Path(what))
    if isinstance(what, Mapping) and isinstance(what.get("verdicts"), list):
        return [{name: _at(entry, path) for name, path in VERDICT_COLUMNS.items()} for entry in what["verdicts"]]
    must = "what measure or evaluate returned, Scores, or a JSON report or its path"
    raise invalid_parameter("what", "to_frame", must, type(what).__name__)


def _at(entry: object, path: Iterable[str]) -> object:
    for name in path:
        entry = entry.get(name) if isinstance(entry, Mapping) else None
    return entry


def _columns(rows: list[dict[str, object]]) -> dict[str, list[object]]:
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return {name: cells for name, cells in columns.items() if any(cell is not None for cell in cells)}


def spec_of(model: object) -> str | None:
    """Return the spec of a model, or ``None`` where none is named."""
    if model is None or isinstance(model, str):
        return model
    return str(getattr(getattr(model, "identity", None), "spec", "")) or None


def settings_of(given: object, /, *, function: str = "evaluate") -> JsonFields:
    """Return all settings of a run: the defaults, with those that are given in a mapping by name.

    Raises
    ------
    InvalidParameterError
        A name is unknown, or has no part outside a run of pytest.
    """
    from pytest_pluralism.settings.table import SETTINGS

    defaults = {setting.name: setting.default for setting in SETTINGS}
    if not isinstance(given, Mapping):
        raise invalid_parameter("settings", function, "a mapping of settings by name", repr(given)[:60])
    known = [name for name in defaults if name not in OF_RUNS]
    for name in given:
        if name not in known:
            raise InvalidParameterError(unknown_name("setting", str(name), known))
    return {**defaults, **given}


def _plan(metric: str, dataset: object, keywords: JsonObject, settings: JsonObject) -> PlannedGate:
    from pytest_pluralism.datasets import load_survey
    from pytest_pluralism.evaluation.measures.gates import BOUNDS, only_plan, plan_of_words
    from pytest_pluralism.evaluation.measures.registry import Planners

    promised = [word for word in (*BOUNDS, "better_than") if word in keywords]
    if promised:
        raise InvalidParameterError(
            f"{promised[0]}= is a promise, and evaluate makes none. Leave it out and look at the estimate, or write a "
            f"gate: @pytest.mark.{metric}(..., {promised[0]}={keywords[promised[0]]!r})."
        )
    given = None if isinstance(dataset, (str, os.PathLike)) else dataset
    name = os.fspath(dataset) if isinstance(dataset, (str, os.PathLike)) else str(getattr(dataset, "name", ""))
    if given is not None and not name:
        must = "the name or file of the data, or what load_survey, load_windows or load_panel returned"
        raise invalid_parameter("dataset", "evaluate", must, type(given).__name__)

    def survey_of(wanted: str, refusals: RefusalPolicy | Sequence[str]) -> Survey:
        if not isinstance(given, Survey):
            return load_survey(wanted, refusals=refusals)
        if refusals != "keep":
            must = "left out for a Survey that is loaded; give it to load_survey"
            raise invalid_parameter("refusals", "evaluate", must, repr(refusals))
        return given

    plans = plan_of_words(
        metric,
        name,
        keywords,
        settings,
        planners=Planners(),
        load_survey=survey_of,
        find_file=Path,
        bring=lambda kind, *_, **__: given if isinstance(given, kind) else None,
        promise=False,
    )
    return only_plan(plans)


class OpenModels:
    """The models of one measurement by role; those that a spec names are loaded when they are wanted, and closed."""

    def __init__(self, given: JsonObject, settings: JsonObject) -> None:
        self._given, self._settings = dict(given), settings
        self._opened: dict[Role, Identified] = {}

    def of(self, role: Role) -> Identified:
        """Return the model of a role."""
        from pytest_pluralism.models.composed.functions import as_model, called

        if role in self._opened:
            return self._opened[role]
        given = self._given.get(role) if isinstance(role, str) else None
        if given is not None and role in ("language_model", "reference_language_model") and called(given):
            given = self._opened[role] = as_model(given)
        if given is None or isinstance(given, str):
            given = self._opened[role] = self._loaded(role, given)
        return given

    def put(self, role: str, model: object) -> None:
        """Take another model for a role from now on; a model that was steered from the one before is closed."""
        self._given[role] = model
        for other in [one for one in self._opened if not isinstance(one, str) and hasattr(one, "attribute")]:
            getattr(self._opened.pop(other), "close", lambda: None)()

    def _loaded(self, role: Role, spec: str | None) -> Identified:
        from pytest_pluralism.evaluation.asking.rounds import ROLES, JudgeModel, SteeredModel
        from pytest_pluralism.models import load_entailment_model, load_model

        chosen = {name: self._settings[name] for name in ("device", "dtype", "batch_size")}
        if isinstance(role, SteeredModel):
            from pytest_pluralism.models.local.steered import load_steered_model

            place = {name: chosen[name] for name in ("device", "dtype")}
            return load_steered_model(
                role.spec, cast("LanguageModel", self.of("language_model")), attribute=role.attribute, **place
            )
        if role == ROLES["similarities"]:
            from pytest_pluralism.models.local.embeddings import TextEncoder

            return TextEncoder()
        if isinstance(role, JudgeModel):
            return load_entailment_model(role.spec, **chosen)
        if spec is None:
            near = nearest_names(str(role), OTHER_MODELS, most=1)
            raise InvalidParameterError(f"This measure needs a model: name it with {near[0] if near else role}=SPEC.")
        if role == "entailment_model":
            return load_entailment_model(spec, **chosen)
        if role == "value_model":
            from pytest_pluralism.models.backends import backend_of
            from pytest_pluralism.models.specification import parse_model_spec

            mode = self._settings["value_mode"]
            sound = "sound" if self._settings["protocol"] == "sound" else "compat"
            load = backend_of(parse_model_spec(spec).kind).loader(spec, "value_model")
            judge: Identified = load(spec, mode=sound if mode == "auto" else mode, **chosen)
            return judge
        return load_model(
            spec,
            trust_remote_code=spec in self._settings["trust_remote_code"],
            allow_pickle=spec in self._settings["allow_pickled_weights"],
            compiled=self._settings["compile"],
            merge_adapters=self._settings["adapters"] == "merged",
            gguf=self._settings["gguf"],
            **chosen,
        )

    def close(self) -> None:
        """Close the models that were loaded here."""
        for model in self._opened.values():
            getattr(model, "close", lambda: None)()


def _store(settings: JsonObject, notes: list[str]) -> AnswerStore | None:
    """Return the store of answers, which is that of the runs of pytest."""
    from pytest_pluralism.models.answers.store import AnswerStore, AnswerStoreError, default_answers_folder

    folder = settings["answers"]
    if folder == "off":
        return None
    try:
        return AnswerStore(Path(folder) if folder else default_answers_folder())
    except AnswerStoreError as error:
        notes.append(f"answers are not kept: {error}")
        return None
