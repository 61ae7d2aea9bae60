"""From what was measured to verdicts: beside each baseline of the run, and adjusted for how many promises there are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from pytest_pluralism.core.errors import BaselineError, MissingExtraError, PluralismError
from pytest_pluralism.core.health import health_problems, problems_of_change, problems_of_difference
from pytest_pluralism.core.records.plain import JsonObject
from pytest_pluralism.run.baselines import UNREADABLE, RunBaselines
from pytest_pluralism.run.by_length import drift_at_equal_length, told_by_length
from pytest_pluralism.run.decided import STORED, decided, health_texts, is_own_anchor, undecided_by
from pytest_pluralism.run.items import Json
from pytest_pluralism.run.measured import Beside, Judged, Measured, NoiseFloors
from pytest_pluralism.run.models import RunModels, reference_of
from pytest_pluralism.run.provenance import Commands, provenance_of
from pytest_pluralism.run.stored import new_entry, new_parts
from pytest_pluralism.run.worst import changes_of_parts, entries_of, is_worst, verdict_beside, verdict_of_stored
from pytest_pluralism.settings.places import NamedBaseline

if TYPE_CHECKING:
    from pytest_pluralism.core.records import Estimate, Gate, Provenance, ReportEntry, Scores, Verdict
    from pytest_pluralism.evaluation.asking.rounds import Identified, ModelOf
    from pytest_pluralism.evaluation.measures.planning import PlannedGate
    from pytest_pluralism.models.protocol import LanguageModel

__all__ = ["Judge"]

#: A measured floor is not taken for less: the baseline may come from another machine.
LEAST_NOISE_FLOOR = 1e-5

#: The remark about a failure that was decided by itself.
ALONE = (
    "failures were not adjusted for the number of promises: with -x, or where the tests of a model are spread over "
    "workers, each promise is judged by itself"
)


class Judge:
    """Decides the promises of one process of a run.

    Parameters
    ----------
    models : RunModels
        The models of the run, which are measured.
    baselines : RunBaselines
        The stored results of the run.
    commands : Commands
        Writes the commands of messages.
    """

    def __init__(self, models: RunModels, baselines: RunBaselines, commands: Commands) -> None:
        self._models, self._baselines, self._commands = models, baselines, commands
        self._settings, self._notes = models.settings, models.notes
        self._known: dict[tuple[str, str], tuple[Measured, list[Judged]]] = {}

    def verdicts(self, plan: PlannedGate, model_of: ModelOf, nodeid: str, test: str) -> list[ReportEntry]:
        """Return the verdicts of a promise: one, or one for each baseline.

        They are those that :meth:`judge_all` adjusted, unless this test has other models than it had then.
        """
        from pytest_pluralism.core.records import Outcome

        known = self._known.get((nodeid, plan.key))
        if known is not None:
            measured, judged = known
            if provenance_of(plan, model_of, measured.roles) == measured.provenance:
                return [one.entry for one in judged]
        found = [one.entry for one in self._examined(self._measure(plan, model_of, nodeid), model_of, nodeid, test)]
        if self.adjusts and any(entry.verdict.outcome is Outcome.FAILED for entry in found):
            self._notes.append(ALONE)
        return found

    @property
    def adjusts(self) -> bool:
        """Whether failures are adjusted for the number of promises."""
        return bool(self._settings["multiplicity"] != "none")

    def judge_all(self, promises: Iterable[tuple[PlannedGate, str, str]], model_of: ModelOf) -> None:
        """Judge promises about one model together, and adjust them for their number.

        Parameters
        ----------
        promises : iterable of (PlannedGate, str, str)
            The promises, each with the node id of its test and that node id without the model; everything that they
            ask is known.
        model_of : callable
            Returns the model of a role.
        """
        from pytest_pluralism.core.guards import guarded
        from pytest_pluralism.core.verdict import adjust_verdicts

        found: list[tuple[tuple[str, str], Measured, list[Judged]]] = []
        for plan, nodeid, test in promises:
            try:
                measured = self._measure(plan, model_of, nodeid)
                found.append(((nodeid, plan.key), measured, self._examined(measured, model_of, nodeid, test)))
            except Exception:  # noqa: BLE001, S112 - whatever a model or a hook raises: its own test meets it and tells.
                continue
        together = [one for _, _, judged in found for one in judged]
        adjusted = adjust_verdicts(
            [one.entry.verdict for one in together],
            method=self._settings["multiplicity"],
            noise_floors=[one.floors.mean for one in together],
            unit_noise_floors=[one.floors.unit for one in together],
        )
        left = iter(adjusted)
        for place, measured, judged in found:
            self._known[place] = (
                measured,
                # A guard that is broken is no matter of the number of promises.
                [replace(one, entry=replace(one.entry, verdict=guarded(next(left), one.guards))) for one in judged],
            )

    # ------------------------------------------------------------------------------------------------- one promise

    def measured(self, plan: PlannedGate, model_of: ModelOf, nodeid: str) -> Measured:
        """Return what is measured for a promise; everything that it asks is known, or asked now."""
        found = self._measure(plan, model_of, nodeid)
        parts = plan.parts if is_worst(found) else {}
        return replace(found, parts={name: self._measure(part, model_of, nodeid) for name, part in parts.items()})

    def judged_beside(
        self, measured: Measured, before: Measured, model_of: ModelOf, nodeid: str, test: str
    ) -> tuple[list[Judged], list[Judged], list[str]]:
        """Judge a promise as if another measurement of this run were the baseline, and beside the stored baselines.

        Nothing is asked of the model: the noise floor is the usual one of its number format.

        Returns
        -------
        list of Judged
            The verdict beside the other measurement.
        list of Judged
            The verdicts beside the stored baselines that the promise may be compared with.
        list of str
            Why stored baselines are left out.
        """
        from pytest_pluralism.baselines.comparison import entry_of, paired_change, usual_noise_floor

        plan, provenance = measured.plan, measured.provenance
        if measured.parts:
            return self._worst_beside(measured, before, model_of, nodeid, test)
        itself, stored = Beside(NamedBaseline("", ""), {}), list[Beside]()
        floors = NoiseFloors()
        if _gate_of(plan).needs_baseline:
            now, then = (
                entry_of(one.scores, one.estimate, provenance, plan.population, prompts_sha256=one.prompts_sha256)
                for one in (measured, before)
            )
            itself.change = paired_change(now, then, confidence_level=plan.confidence_level)
            key = f"{test} {plan.key}"
            stored = [self._beside(measured, one, key, nodeid, model_of) for one in self._baselines.named]
            floors = floors.at_least(usual_noise_floor(provenance.model))
        known = [one for one in stored if not one.problem]
        judged = [
            self._healthy(measured, self._each(measured, beside, floors, provenance, nodeid, test), nodeid, test)
            if beside
            else []
            for beside in ([itself], known)
        ]
        return judged[0], judged[1], [one.problem for one in stored if one.problem]

    def _worst_beside(
        self, measured: Measured, before: Measured, model_of: ModelOf, nodeid: str, test: str
    ) -> tuple[list[Judged], list[Judged], list[str]]:
        """Judge a promise about a change of the worst group as :meth:`judged_beside` does, group by group."""
        about: Json = {}
        level, then = measured.plan.confidence_level, entries_of(before.parts)
        verdict = self._worst(measured, measured.parts, then, about, nodeid)
        changes = changes_of_parts(measured.parts, then, level) if verdict.passed else ()
        itself = Judged(self._entry(measured, verdict, about, nodeid, test, None), NoiseFloors(), changes=changes)
        found = self._judge_parts(measured, model_of, nodeid, test)
        known = [one for one in found if one.is_compared]
        problems = [one.entry.verdict.reason for one in found if not one.is_compared]
        beside = self._healthy(measured, known, nodeid, test) if known else []
        return self._healthy(measured, [itself], nodeid, test), beside, problems

    def _measure(self, plan: PlannedGate, model_of: ModelOf, nodeid: str) -> Measured:
        from pytest_pluralism.baselines.comparison import prompts_hash

        scores, estimate, roles = self._models.measure(plan, model_of, key=(nodeid, plan.key))
        first = next(plan.evaluation.rounds(), None)
        # A question to the judge holds the recorded responses, which may differ.
        is_recorded = "responses" in plan.settings
        asked = None if first is None or is_recorded else prompts_hash(first.requests)
        provenance = provenance_of(plan, model_of, roles)
        return Measured(plan, scores, estimate, roles, provenance, asked)

    def _examined(self, measured: Measured, model_of: ModelOf, nodeid: str, test: str) -> list[Judged]:
        """Judge a promise, and look at its health."""
        return self._healthy(measured, self._judge(measured, model_of, nodeid, test), nodeid, test)

    def _healthy(self, measured: Measured, judged: Sequence[Judged], nodeid: str, test: str) -> list[Judged]:
        """Return verdicts of which none passes while a health check says that it must not."""
        plan, settings = measured.plan, self._settings
        gate, fails = _gate_of(plan), settings["health"] == "fail"
        chosen = plan.settings.get("seed", settings["seed"]) != settings["seed"]
        # A comparison with another seed is refused.
        keeps = self._baselines.writes(nodeid)
        found = health_problems(
            gate,
            measured.scores,
            measured.estimate,
            measure=plan.measure,
            baseline_entry=self._entry_beside(measured, f"{test} {plan.key}"),
            noise_floors=(max(one.floors.mean for one in judged), max(one.floors.unit for one in judged)),
            is_old=any("from_version" in (one.entry.baseline or {}) for one in judged),
            anchor_problem=next((one.anchor_problem for one in judged if one.anchor_problem), ""),
            seed_origin=settings.origins["seed"] if keeps and not chosen else "",
            suppressed=settings["suppress_health_check"],
        )
        shared = health_texts(found)
        # Once a run is enough for what is the same for every promise.
        self._notes += [text for name, text in shared if name == "seed_unset"]
        result = []
        for one in judged:
            entry, verdict = one.entry, one.entry.verdict
            texts = list(shared)
            if verdict.passed:
                of_change = problems_of_change(
                    verdict.gate,
                    one.changes or (verdict.change,),
                    drift=verdict.drift,
                    measure=plan.measure,
                    noise_floors=(one.floors.mean, one.floors.unit),
                    suppressed=settings["suppress_health_check"],
                )
                texts += health_texts(of_change)
            own = tuple(text for name, text in texts if name != "seed_unset")
            if own and entry.scores is not None:
                entry = replace(entry, scores=replace(entry.scores, warnings=(*entry.scores.warnings, *own)))
            verdict = undecided_by(texts, verdict, gate, fails=fails)
            result.append(replace(one, entry=replace(entry, verdict=verdict)))
        return result

    def healthy(
        self, verdict: Verdict, estimate: Estimate, known: tuple[PlannedGate, Scores] | None, behind: Sequence[Scores]
    ) -> tuple[Verdict, list[str]]:
        """Return a verdict on an estimate inside a test as that of a marker would be, and what its checks find.

        Parameters
        ----------
        verdict, estimate
            The verdict on a promise about the value, and the value.
        known : tuple or None
            Its measurement; ``None`` for another estimate, such as a difference.
        behind : sequence of Scores
            The measurements that such an estimate was made from.
        """
        accepted = self._settings["suppress_health_check"]
        if known is None:
            found = problems_of_difference(verdict.gate, estimate, behind, suppressed=accepted)
        else:
            plan, scores = known
            found = health_problems(verdict.gate, scores, estimate, measure=plan.measure, suppressed=accepted)
        texts = health_texts(found)
        fails = self._settings["health"] == "fail"
        return undecided_by(texts, verdict, verdict.gate, fails=fails), [text for _, text in texts]

    def _entry_beside(self, measured: Measured, key: str) -> JsonObject | None:
        """Return what the first baseline holds for a promise that is not compared with it."""
        baselines = self._baselines
        if _gate_of(measured.plan).needs_baseline:
            # A comparison is refused where the units are others.
            return None
        with contextlib.suppress(*UNREADABLE):
            name = str(measured.provenance.model["name"])
            found: Mapping[str, object] | None = baselines.entries(baselines.first, name, "").get(key)
            return found
        return None

    def _judge(self, measured: Measured, model_of: ModelOf, nodeid: str, test: str) -> list[Judged]:
        plan, baselines = measured.plan, self._baselines
        gate = _gate_of(plan)
        key = f"{test} {plan.key}"
        if plan.parts:
            return self._judge_parts(measured, model_of, nodeid, test)
        compared = [
            self._beside(measured, named, key, nodeid, model_of)
            for named in (baselines.named if gate.needs_baseline else baselines.named[:1])
        ]
        floors, writes = NoiseFloors(), baselines.writes(nodeid)
        provenance = measured.provenance
        if gate.needs_baseline and (writes or any(one.change is not None for one in compared)):
            floors, provenance = self._noise_floors(plan, model_of("language_model"), provenance)
        if writes and plan.stored_parts:
            parts = {name: self._measure(part, model_of, nodeid) for name, part in plan.stored_parts.items()}
            compared[0].about["parts"] = new_parts(measured, parts, test, self._settings, baselines.suite)
        elif writes:
            compared[0].about["new"] = new_entry(measured, floors, self._settings, baselines.suite)
        return self._each(measured, compared, floors, provenance, nodeid, test)

    def _each(
        self,
        measured: Measured,
        compared: Sequence[Beside],
        floors: NoiseFloors,
        provenance: Provenance,
        nodeid: str,
        test: str,
    ) -> list[Judged]:
        """Judge a promise beside each baseline."""
        plan = measured.plan
        gate, result = _gate_of(plan), []
        for place, beside in enumerate(compared):
            own = floors.at_least(beside.floor)
            # The absolute part of a promise is judged once.
            part = gate if place == 0 else replace(gate, at_least=None, at_most=None, better_than=None)
            verdict, against = decided(measured, part, beside, own), beside.named.name if place else None
            entry = self._entry(replace(measured, provenance=provenance), verdict, beside.about, nodeid, test, against)
            result.append(Judged(entry, own, beside.anchor_problem))
        return result

    def _entry(
        self,
        measured: Measured,
        verdict: Verdict,
        about: Mapping[str, object],
        nodeid: str,
        test: str,
        against: str | None,
    ) -> ReportEntry:
        """Return a verdict with all that a report says about it, against the baseline of a name or the first one."""
        from pytest_pluralism.core.records import ReportEntry

        plan = measured.plan
        return ReportEntry(
            nodeid=nodeid,
            test=test,
            key=plan.key if against is None else f"{plan.key} against {against}",
            measure=plan.measure,
            dataset=plan.dataset,
            population=plan.population,
            verdict=verdict,
            scores=measured.scores,
            provenance=measured.provenance,
            baseline=about,
            options=self._commands.options(),
            path=self._commands.typed(nodeid),
        )

    def _beside(self, measured: Measured, named: NamedBaseline, key: str, nodeid: str, model_of: ModelOf) -> Beside:
        """Put a measurement beside one baseline."""
        from pytest_pluralism.baselines.comparison import compare_with_baseline, floors_beside, moved_surroundings
        from pytest_pluralism.baselines.store import nearest_keys
        from pytest_pluralism.core.finite import is_number

        baselines, provenance = self._baselines, measured.provenance
        result = Beside(named, {"key": key, **({"name": named.name} if named.name else {})})
        if not _gate_of(measured.plan).needs_baseline:
            return result
        name, update = str(provenance.model["name"]), self._commands.update(nodeid)
        entry: Json | None
        try:
            if named == baselines.first and baselines.stores(nodeid, key, name):
                result.is_stored = result.about["stored"] = True
                self._beside_anchor(result, measured, baselines.replaced(nodeid, key, name), nodeid)
                return result
            if named.is_reference:
                entry, where = self._of_reference(measured, model_of, nodeid), ""
                result.about["model"] = entry["model"]["name"]
            else:
                file = baselines.file(named, name)
                entries = baselines.entries(named, name, update)
                entry = entries.get(key)
                where = f"{file} has no entry {key!r}{nearest_keys(key, list(entries))}"
                result.about["file"] = str(file)
            if entry is not None:
                result.about["estimate"] = entry["estimate"]
                if "from_version" in entry:
                    result.about["from_version"] = entry["from_version"]
                result.about["model_sha256"] = entry["model"].get("sha256")
            result.change = compare_with_baseline(
                measured.scores,
                provenance,
                entry,
                confidence_level=measured.plan.confidence_level,
                where=where,
                update=update,
                prompts_sha256=measured.prompts_sha256,
            )
        except (BaselineError, MissingExtraError) as error:
            result.problem = str(error)
            return result
        stored: Mapping[str, object] = entry or {}
        told_by_length(result, measured, stored, update)
        now = {"model": provenance.model, "versions": provenance.versions}
        result.floor, _ = floors_beside(now, stored)
        self._beside_anchor(result, measured, stored, nodeid)
        then = stored.get("groups")
        if isinstance(then, dict):
            groups = measured.scores.details.get("by_group", {})
            result.groups = {
                name: groups[name] - value for name, value in then.items() if name in groups and is_number(value)
            }
            result.about["change_by_group"] = result.groups
        moved = moved_surroundings(now, stored)
        if moved:
            result.about["differs"] = moved
        return result

    def _beside_anchor(self, result: Beside, measured: Measured, stored: JsonObject, nodeid: str) -> None:
        """Put a measurement beside the anchor of an entry, where that is not what it is compared with anyway."""
        from pytest_pluralism.baselines.comparison import compare_with_baseline, floors_beside
        from pytest_pluralism.core.estimation import look_factor

        anchor, gate = stored.get("anchor"), _gate_of(measured.plan)
        is_own = is_own_anchor(stored) and not result.is_stored
        if is_own and gate.max_drift is not None:
            # The comparison with the entry is the one with its anchor, and is judged at this margin, too.
            result.drift = result.change
        if anchor is None or not gate.needs_anchor:
            return
        result.looks = look_factor(stored["looks"] + 1, plan=self._settings["looks"])
        result.about["looks"] = stored["looks"]
        if is_own:
            return
        result.about["anchor"] = {"estimate": anchor["estimate"], "model_sha256": anchor["model"].get("sha256")}
        result.about["anchor"].update({"moved": anchor["moved"]} if "moved" in anchor else {})
        provenance, move = measured.provenance, self._commands.move(nodeid)
        try:
            result.drift = compare_with_baseline(
                measured.scores,
                provenance,
                anchor,
                confidence_level=measured.plan.confidence_level,
                where="",
                update=move,
                prompts_sha256=measured.prompts_sha256,
            )
        except BaselineError as error:
            result.anchor_problem = f"the drift from the anchor is not known: {error}"
            return
        if not drift_at_equal_length(result, measured, anchor):
            return
        if "from_version" in anchor:
            result.about["anchor"]["from_version"] = anchor["from_version"]
            kept = "kept neither what was asked nor what the units are"
            self._notes.append(f"an anchor is of version 1, which {kept}; to move it: {move}")
        now = {"model": provenance.model, "versions": provenance.versions}
        result.floor = max(result.floor, floors_beside(now, anchor)[0])

    def _of_reference(self, measured: Measured, model_of: ModelOf, nodeid: str) -> Json:
        """Measure the same of the reference model, in the form of a stored entry."""
        from pytest_pluralism.baselines.comparison import entry_of

        plan, found = measured.plan, reference_of(model_of)
        scores, estimate, roles = self._models.measure(plan, found, key=(nodeid, plan.key))
        provenance = provenance_of(plan, found, roles)
        entry = entry_of(scores, estimate, provenance, plan.population, prompts_sha256=measured.prompts_sha256)
        # Another number format is part of being another model.
        entry["model"] = {**entry["model"], "dtype": measured.provenance.model.get("dtype")}
        return entry

    def _judge_parts(self, measured: Measured, model_of: ModelOf, nodeid: str, test: str) -> list[Judged]:
        """Judge a promise about several measurements, each of which a baseline holds by itself."""
        plan, baselines = measured.plan, self._baselines
        parts = measured.parts or {name: self._measure(part, model_of, nodeid) for name, part in plan.parts.items()}
        keys = {name: f"{test} {key}" for name, key in plan.part_keys.items()}
        result = []
        # A promise of an improvement names the model that it is an improvement over.
        stored = [named for named in baselines.named if not named.is_reference] or baselines.named
        if is_worst(measured):
            stored = baselines.named
        for place, named in enumerate(stored):
            about: Json = {"key": f"{test} {plan.key}", **({"name": named.name} if named.name else {})}
            if place == 0 and baselines.writes(nodeid):
                about["parts"] = new_parts(measured, parts, test, self._settings, baselines.suite)
            before: dict[str, JsonObject] = {}
            if named.is_reference and is_worst(measured):
                before |= {name: self._of_reference(part, model_of, nodeid) for name, part in parts.items()}
                about["model"] = next(iter(before.values()))["model"]["name"]
                scores, verdict = measured.scores, self._worst(measured, parts, before, about, nodeid)
            else:
                scores, verdict = self._beside_parts(measured, named, parts, keys, about, nodeid, before)
            against = named.name if place else None
            entry = self._entry(replace(measured, scores=scores), verdict, about, nodeid, test, against)
            changes = changes_of_parts(parts, before, plan.confidence_level) if verdict.passed else ()
            result.append(Judged(entry, NoiseFloors(), changes=changes))
        return result

    def _beside_parts(
        self,
        measured: Measured,
        named: NamedBaseline,
        parts: Mapping[str, Measured],
        keys: Mapping[str, str],
        about: Json,
        nodeid: str,
        stored: dict[str, JsonObject],
    ) -> tuple[Scores, Verdict]:
        """Put several measurements beside those of one baseline, and decide what was promised of them together.

        The entry that the baseline holds of each is added to ``stored``.
        """
        from pytest_pluralism.baselines.comparison import compare_with_baseline
        from pytest_pluralism.baselines.store import nearest_keys
        from pytest_pluralism.core.estimation.of_scores import estimate_scores
        from pytest_pluralism.core.guards import guarded
        from pytest_pluralism.core.records import Outcome, Verdict
        from pytest_pluralism.core.verdict import decide

        plan, baselines, gate = measured.plan, self._baselines, _gate_of(measured.plan)
        model_name, update = str(measured.provenance.model["name"]), self._commands.update(nodeid)
        try:
            # Where only some are stored, the promise is about all of them, and is not comparable.
            if named == baselines.first and all(baselines.stores(nodeid, key, model_name) for key in keys.values()):
                about["stored"] = True
                if is_worst(measured):
                    replaced = {name: baselines.replaced(nodeid, key, model_name) for name, key in keys.items()}
                    looks, move = self._settings["looks"], self._commands.move(nodeid)
                    return measured.scores, verdict_of_stored(measured, parts, replaced, looks, move=move)
                # A result that is being stored is not compared with itself.
                return replace(measured.scores, guards=()), Verdict(
                    Outcome.PASSED, gate, measured.estimate, reason=STORED
                )
            if named.is_reference:
                raise BaselineError(
                    "against='baseline' compares with stored results, and --pluralism-baseline=reference is a model. "
                    "Leave against= out to compare with the reference model, or name a folder."
                )
            file = baselines.file(named, model_name)
            entries = baselines.entries(named, model_name, update)
            about["file"] = str(file)
            for name, part in parts.items():
                entry = entries.get(keys[name])
                compare_with_baseline(
                    part.scores,
                    part.provenance,
                    entry,
                    confidence_level=None,
                    where=f"{file} has no entry {keys[name]!r}{nearest_keys(keys[name], list(entries))}",
                    update=update,
                    prompts_sha256=part.prompts_sha256,
                )
                if "from_version" in (entry or {}):
                    about["from_version"] = 1
                stored[name] = entry or {}
        except (BaselineError, MissingExtraError) as error:
            # An objective was measured beside itself so far: a gain of 0 in each would be no result.
            bare = replace(measured.scores, units=(), details={}, warnings=(), witness=None, estimate=None)
            scores, estimate = (measured.scores, measured.estimate) if is_worst(measured) else (bare, None)
            return scores, Verdict(Outcome.ERROR, gate, estimate, reason=str(error))
        if is_worst(measured):
            return measured.scores, self._worst(measured, parts, stored, about, nodeid)
        evaluation: Any = plan.evaluation
        scores = evaluation.beside({name: part.scores for name, part in parts.items()}, stored)
        estimate = estimate_scores(scores, confidence_level=plan.confidence_level)
        return scores, guarded(decide(gate, estimate, witness=scores.witness), scores.guards)

    def _worst(
        self,
        measured: Measured,
        parts: Mapping[str, Measured],
        stored: Mapping[str, Mapping[str, Any]],
        about: Json,
        nodeid: str,
    ) -> Verdict:
        """Decide a promise about the worst group; what cannot be compared is its error."""
        from pytest_pluralism.core.records import Outcome, Verdict

        looks, move = self._settings["looks"], self._commands.move(nodeid)
        try:
            return verdict_beside(measured, parts, stored, about, looks_plan=looks, move=move)
        except PluralismError as error:
            return Verdict(Outcome.ERROR, _gate_of(measured.plan), reason=str(error))

    def _noise_floors(
        self, plan: PlannedGate, model: Identified, provenance: Provenance
    ) -> tuple[NoiseFloors, Provenance]:
        """Return how much an unchanged model may seem to move, and the provenance with what was measured of it."""
        from pytest_pluralism.baselines.comparison import usual_noise_floor
        from pytest_pluralism.core.records import Prompt
        from pytest_pluralism.models.noise import noise_floor

        usual = NoiseFloors().at_least(usual_noise_floor(provenance.model))
        first = next(plan.evaluation.rounds(), None)
        # Only distributions over the labels of closed questions are measured.
        if first is None or first.work != "answers":
            return usual, provenance
        try:
            with self._models.progress(f"measuring the numeric noise of {model.identity.name}"):
                found = noise_floor(cast("LanguageModel", model), first.requests_as(Prompt))
        except PluralismError as error:
            self._notes.append(f"the numeric noise floor of {model.identity.name} could not be measured: {error}")
            return usual, provenance
        if found is None:
            return usual, provenance
        floors = NoiseFloors(max(LEAST_NOISE_FLOOR, found.typical), max(LEAST_NOISE_FLOOR, found.distribution))
        content = {"value": floors.mean, **found.as_json()}
        return floors, replace(provenance, model={**provenance.model, "noise_floor": content})


def _gate_of(plan: PlannedGate) -> Gate:
    assert plan.gate is not None  # noqa: S101 - the types say less than the callers know
    return plan.gate
