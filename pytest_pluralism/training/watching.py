"""The measurements of a training run, and the promises among them. No torch here."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from pytest_pluralism.core.errors import BaselineError, InvalidParameterError, invalid_parameter
from pytest_pluralism.core.records import Estimate, GenerationSettings, Outcome, Scores, Verdict
from pytest_pluralism.core.records.plain import JsonFields, JsonObject
from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.evaluation.asking.rounds import Identified
from pytest_pluralism.evaluation.measures.gates import BOUNDS, plan_of_words
from pytest_pluralism.evaluation.measures.planning import PlannedGate
from pytest_pluralism.evaluation.measures.registry import Planners
from pytest_pluralism.notebook import OpenModels

__all__ = ["PREFIX", "Look", "Watch", "Watching", "plans_of", "start_file"]

#: Stands before the names of all numbers in the logs of a trainer; its reporters make a group of ``eval_``.
PREFIX = "eval_pluralism"

#: The file in the output folder with the results before the first step, which later ones are compared with.
START_FILE = "pluralism-start.json"
START_SCHEMA = "pytest-pluralism/training-start/1"

#: Maximum length of the name of a survey or a population in the name of a number.
MOST_NAME = 60


class Watch:
    """One measurement while training: a marker's words, with a promise or without.

    Parameters
    ----------
    metric : str
        The name of the measure, such as ``"js_distance"``.
    dataset : str
        The name or file of the data.
    **keywords
        The keywords of the marker: ``population=``, ``seed=``, ... A promise (``at_most=``, ``better_than=``,
        ``max_increase=``, ...) stops the training when it is broken; changes are measured from the first step.

    Examples
    --------
    >>> Watch("js_distance", "gss", population="Democrat", max_increase=0.03)
    Watch('js_distance', 'gss', population='Democrat', max_increase=0.03)
    """

    def __init__(self, metric: str, dataset: str, /, **keywords: object) -> None:
        for name, value in (("metric", metric), ("dataset", dataset)):
            if not isinstance(value, str) or not value.strip():
                raise invalid_parameter(name, "Watch", "a name, a str", repr(value)[:80])
        self.metric, self.dataset, self.keywords = metric, dataset, dict(keywords)

    def __repr__(self) -> str:
        """Return the call that makes it."""
        words = [repr(self.metric), repr(self.dataset), *(f"{name}={one!r}" for name, one in self.keywords.items())]
        return f"Watch({', '.join(words)})"


@dataclass(frozen=True)
class Look:
    """The results of one look at the network.

    Attributes
    ----------
    step : int
        The number of steps that were trained.
    values : mapping of str to float
        The numbers as they stand in the trainer's logs.
    verdicts : mapping of str to Verdict
        The verdict on each promise, by the name of its number; empty on other processes than the main one.
    problem : str
        Why nothing was measured; empty where it was.
    broken : tuple of str
        A sentence for each promise that is broken.
    """

    step: int
    values: Mapping[str, float] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    problem: str = ""
    broken: tuple[str, ...] = ()


def plans_of(watches: Sequence[Watch], settings: JsonObject, /) -> dict[str, PlannedGate]:
    """Return what is measured, by the names of the numbers in the logs.

    Raises
    ------
    InvalidParameterError
        A measure, its data or a keyword is wrong, or two measurements have one name.
    """
    from pytest_pluralism.datasets import load_survey

    found: dict[str, PlannedGate] = {}
    for watch in watches:
        if not isinstance(watch, Watch):
            raise invalid_parameter("watches", "PluralismCallback", "Watch objects", repr(watch)[:80])
        promised = any(word in watch.keywords for word in (*BOUNDS, "better_than"))
        try:
            plans = plan_of_words(
                watch.metric,
                watch.dataset,
                watch.keywords,
                settings,
                planners=Planners(),
                load_survey=lambda name, refusals: load_survey(name, refusals=refusals),
                promise=promised,
            )
        except InvalidParameterError as error:
            raise InvalidParameterError(f"{watch!r}: {error}") from None
        for plan in plans:
            if plan.parts:
                raise InvalidParameterError(f"{watch!r} has several objectives. Watch each of them by itself.")
            name = "/".join(_parts(plan))
            if name in found:
                raise InvalidParameterError(
                    f"Two measurements have the name {name!r} in the logs. Leave out one of: {watch!r}, and "
                    f"{found[name].key}."
                )
            found[name] = plan
    return found


def _parts(plan: PlannedGate) -> Iterator[str]:
    """Yield the parts of the name of a number: the data, the population, how whole answers are scored, the measure."""
    yield PREFIX
    yield _plain(Path(plan.dataset).stem)
    # Letters are left unsaid in the settings.
    for word in (plan.population, plan.over, plan.settings.get("scoring")):
        if word is not None:
            yield _plain(str(word))
    yield plan.measure.name


def _plain(text: str) -> str:
    """Return a name with the characters that every reporter of a trainer takes."""
    return re.sub(r"[^\w.-]+", "_", text).strip("_").lower()[:MOST_NAME] or "unnamed"


class Watching:
    """Measures a network again and again, and judges its promises.

    Parameters
    ----------
    plans : mapping of str to PlannedGate
        The measurements that :func:`plans_of` returned.
    settings : mapping
        All settings of a run, by name.
    others : mapping
        The specs of other models that the measures need, by role.
    """

    def __init__(self, plans: Mapping[str, PlannedGate], settings: JsonObject, others: JsonObject, /) -> None:
        self.plans = plans
        self.notes: list[str] = []
        self._models = OpenModels(others, settings)
        self._start: JsonFields = {}
        self._start_step = 0
        self._n_looks = 0

    @property
    def promises(self) -> list[str]:
        """The names of the numbers about which something is promised."""
        return [name for name, plan in self.plans.items() if plan.gate is not None]

    def cost_words(self) -> list[str]:
        """Return a sentence for each measurement that writes texts, with the number of their tokens."""
        found = []
        for name, plan in self.plans.items():
            first = next(plan.evaluation.rounds(), None)
            if first is not None and first.work == "responses" and isinstance(first.settings, GenerationSettings):
                n_texts, most = len(first.requests) * first.n_draws, first.settings.max_new_tokens
                found.append(f"{name} writes {n_texts} texts of up to {most} tokens at every look.")
        return found

    def measured(self, model: Identified, step: int, /) -> Look:
        """Measure a model, and judge it against the start.

        The first call measures the start, unless :meth:`recall` did.

        Raises
        ------
        PluralismError
            The model or the data cannot be measured.
        """
        from pytest_pluralism.core.verdict import adjust_verdicts
        from pytest_pluralism.evaluation.asking.engine import Engine
        from pytest_pluralism.evaluation.measuring import measure

        self._models.put("language_model", model)
        engine = Engine(store=lambda: None, note=self.notes.append, progress=lambda _: contextlib.nullcontext())
        engine.gather({name: plan.evaluation for name, plan in self.plans.items()}, self._models.of)
        found = {name: measure(plan, engine, self._models.of, key=name)[:2] for name, plan in self.plans.items()}
        entries = {name: _entry(self.plans[name], *both, model) for name, both in found.items()}
        if not self._start:
            self._start, self._start_step = entries, step
        else:
            self._n_looks += 1
        at_start = step == self._start_step
        judged = {
            name: verdict
            for name, (scores, estimate) in found.items()
            if (verdict := self._judged(name, scores, estimate, entries[name], at_start=at_start)) is not None
        }
        judged = dict(zip(judged, adjust_verdicts(list(judged.values())), strict=True))
        values: dict[str, float] = {}
        for name, (scores, estimate) in found.items():
            values |= dict(_numbers(name, scores, estimate, judged.get(name)))
        broken = tuple(_broken_words(name, one) for name, one in judged.items() if one.outcome is Outcome.FAILED)
        return Look(step, values, judged, broken=broken)

    def _judged(
        self, name: str, scores: Scores, estimate: Estimate, entry: JsonObject, *, at_start: bool
    ) -> Verdict | None:
        """Return the verdict on a promise; before the first step only on what it says of the value."""
        from pytest_pluralism.baselines.comparison import differences, paired_change, usual_noise_floor
        from pytest_pluralism.core.estimation import look_factor
        from pytest_pluralism.core.estimation.relative import advantage_of
        from pytest_pluralism.core.guards import guarded
        from pytest_pluralism.core.health import health_problems, problems_of_change
        from pytest_pluralism.core.records import Witness
        from pytest_pluralism.core.verdict import decide

        plan = self.plans[name]
        gate = plan.gate
        if gate is None or (at_start and not gate.bounds_value):
            return None
        if at_start:
            gate = gate.of_value()
        change = witness = None
        if gate.needs_baseline:
            odd = list(differences(entry, self._start[name]))
            if odd:
                raise BaselineError(f"{name} cannot be compared with the start of the training: {'; '.join(odd[:3])}.")
            change = paired_change(entry, self._start[name], confidence_level=plan.confidence_level)
            pick = max if plan.measure.direction == "lower" else min
            unit, worst = pick(zip(change.unit_ids, change.values, strict=True), key=lambda pair: pair[1])
            witness = Witness(unit, worst, next((one.text for one in scores.units if one.unit_id == unit), ""))
        floor = usual_noise_floor(entry["model"]) if change is not None else 0.0
        verdict = decide(
            gate,
            estimate,
            change=change,
            advantage=advantage_of(scores, gate, plan.measure, confidence_level=plan.confidence_level),
            looks=look_factor(max(1, self._n_looks)),
            noise_floor=floor,
            witness=witness,
        )
        verdict = guarded(verdict, scores.guards)
        problems = []
        if verdict.passed:
            problems = health_problems(gate, scores, estimate, measure=plan.measure)
            problems += problems_of_change(gate, [change], measure=plan.measure, noise_floors=(floor, floor))
        if problems:
            verdict = replace(verdict, outcome=Outcome.INCONCLUSIVE, reason="; ".join(text for _, text in problems))
        return verdict

    def keep(self, file: Path, /) -> None:
        """Write the start into a file of the output folder, for a training that is resumed."""
        from pytest_pluralism.files import write_atomically

        file.parent.mkdir(parents=True, exist_ok=True)
        content = {"schema": START_SCHEMA, "step": self._start_step, "looks": self._n_looks, "entries": self._start}
        write_atomically(file, json.dumps(content))

    def recall(self, file: Path, model: Identified, /) -> str:
        """Read the start of a training that is resumed, and return what is said about it.

        Raises
        ------
        BaselineError
            The file is damaged, or something else was measured.
        """
        if not file.is_file():
            return (
                f"{file.as_posix()} is not there, so changes are measured from the step at which this training is "
                "resumed."
            )
        remedy = f"Watch what was watched before, or remove {file.as_posix()}: changes are then measured from here."
        try:
            content = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
            step, looks, entries = int(content["step"]), int(content["looks"]), content["entries"]
            right = content["schema"] == START_SCHEMA and isinstance(entries, dict)
            odd = _odd_entries(self.plans, entries, model) if right else ["it has another form"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BaselineError(f"{file.as_posix()} cannot be read ({type(error).__name__}). {remedy}") from None
        if odd:
            raise BaselineError(f"{file.as_posix()} holds another measurement: {'; '.join(odd[:3])}. {remedy}")
        self._start, self._start_step, self._n_looks = entries, step, looks
        return f"Changes are measured from step {step}, as {file.as_posix()} holds it."

    def close(self) -> None:
        """Close the models that were loaded for the measures."""
        self._models.close()


def start_file(place: int, /) -> str:
    """Return the name of the file with the start of a callback, by its place among those of one trainer, from 1."""
    return START_FILE if place == 1 else f"{Path(START_FILE).stem}-{place}.json"


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number of JSON")


def _odd_entries(plans: Mapping[str, PlannedGate], entries: JsonObject, model: Identified) -> list[str]:
    """Return what differs between the measurements of a start and those that are planned."""
    found = [f"{name} is not in it" for name in plans if name not in entries]
    for name, plan in plans.items():
        if name not in entries:
            continue
        then = entries[name]
        if dict(then["dataset"]) != json.loads(json.dumps(dict(plan.source))):
            found.append(f"the data of {name} have changed")
        if then["settings"] != _plain_settings(plan):
            found.append(f"the settings of {name} have changed")
        # The name of a network is another one where it is read from a checkpoint.
        is_ = model.identity.as_json()
        found += [
            f"{part} was {then['model'].get(part)!r}, is {is_.get(part)!r}"
            for part in ("dtype", "architecture", "parameters")
            if then["model"].get(part) != is_.get(part)
        ]
    return list(dict.fromkeys(found))


def _plain_settings(plan: PlannedGate) -> Any:
    return json.loads(json.dumps(dict(plan.settings), default=str))


def _entry(plan: PlannedGate, scores: Scores, estimate: Estimate, model: Identified) -> JsonFields:
    """Return a measurement in the form in which two can be compared."""
    from pytest_pluralism.baselines.comparison import entry_of
    from pytest_pluralism.core.records import Provenance

    source = Provenance(
        model=model.identity.as_json(), dataset=dict(plan.source), settings=_plain_settings(plan), versions={}
    )
    return entry_of(scores, estimate, source, plan.population, direction=plan.measure.direction, gate=plan.gate)


def _numbers(name: str, scores: Scores, estimate: Estimate, verdict: Verdict | None) -> Iterator[tuple[str, float]]:
    """Yield the numbers of one measurement with their names in the logs; a number that is not known is left out."""
    from pytest_pluralism.core.estimation.relative import skill

    place = name.rpartition("/")[0]
    pairs = [(name, estimate.value), (f"{name}_low", estimate.low), (f"{name}_high", estimate.high)]
    references = scores.references
    if {"uniform", "sampling_floor"} <= set(references):
        reached = skill(estimate.value, uniform=references["uniform"], floor=references["sampling_floor"])
        pairs.append((f"{place}/skill", reached))
    pairs.append((f"{place}/entropy", _mean(unit.details.get("model_entropy") for unit in scores.units)))
    pairs.append((f"{place}/option_mass", _mean(unit.option_mass for unit in scores.units)))
    if verdict is not None:
        if verdict.change is not None:
            pairs.append((f"{name}_change", verdict.change.value))
        pairs.append((f"{name}_broken", float(verdict.outcome is Outcome.FAILED)))
    yield from ((key, value) for key, value in pairs if math.isfinite(value))


def _mean(values: Iterable[float | None]) -> float:
    known = [float(value) for value in values if value is not None]
    return math.fsum(known) / len(known) if known else math.nan


def _broken_words(name: str, verdict: Verdict) -> str:
    """Return a sentence about a broken promise, with the unit that shows it."""
    seen = verdict.witness
    shown = f" Worst: {printable(seen.unit_id)} {seen.value:+.3f} {printable(seen.text, most=80)}" if seen else ""
    return f"{name} is broken: {verdict.reason}.{shown}"
