"""``--pluralism-mutants``: the promises of a suite put to damaged answers, so that what they guard is known."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_pluralism.core.errors import PluralismError
from pytest_pluralism.core.finite import finite_or_none
from pytest_pluralism.run.items import PLANS, Json, plans_of, test_of
from pytest_pluralism.run.measured import Judged, Measured
from pytest_pluralism.run.session import PluralismSession
from pytest_pluralism.run.suite_models import SuiteModels
from pytest_pluralism.run.worst import is_worst

if TYPE_CHECKING:
    from pytest_pluralism.baselines.schema import Entry
    from pytest_pluralism.core.damage import Damage
    from pytest_pluralism.core.records import Scores, Verdict
    from pytest_pluralism.evaluation.asking.rounds import ModelOf, Round
    from pytest_pluralism.evaluation.measures.planning import PlannedGate

__all__ = ["Mutants"]

#: The verdicts beside the undamaged answers, and those beside stored baselines.
Sides = tuple[list[Judged], list[Judged]]


@dataclass
class _Promise:
    """One promise, what was measured for it undamaged, and what became of it under each damage."""

    plan: PlannedGate
    nodeid: str
    test: str
    measured: Measured
    #: The adjusted verdicts of the undamaged answers, beside each kind of baseline.
    whole: tuple[list[Verdict], list[Verdict]] = field(default_factory=lambda: ([], []))
    found: list[Json] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    not_compared: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        return f"{self.test} {self.plan.key}"


class Mutants:
    """Puts the promises of a suite to damaged answers.

    Parameters
    ----------
    session : PluralismSession
        The run.
    """

    def __init__(self, session: PluralismSession) -> None:
        self._session = session
        self._models = SuiteModels(session, "--pluralism-mutants")

    def run(self, items: Sequence[pytest.Item]) -> tuple[list[str], bool]:
        """Return what to show, and whether the run fails.

        It fails where no promise could be judged, and a strict run also where a promise catches nothing.

        Raises
        ------
        pytest.UsageError
            No test makes a promise.
        """
        from pytest_pluralism.core.untrusted import harmless

        if not any(item.stash.get(PLANS, ([], []))[0] for item in items):
            raise pytest.UsageError(
                "--pluralism-mutants: no test of this run makes a promise with a marker, so that there is nothing to "
                'judge. Mark a test, for example @pytest.mark.js_distance("gss", population="US adults", '
                'better_than="uniform"), or name the tests that are marked.'
            )
        lines: list[str] = []
        fails = False
        for _, name, _, found in self._models.each(items, self._try):
            if isinstance(found, PluralismError):
                lines.append(f"{name}: ERROR {found}")
                fails = True
            else:
                self._session.mutants.append(found)
                lines += _lines(found)
                fails |= self._fails(found)
        return [harmless(line) for line in lines], fails or not self._session.mutants

    def _fails(self, content: Entry) -> bool:
        kept = [one for one in content["promises"] if one["kept"]]
        is_strict = self._session.settings["mutants"] == "strict"
        return not kept or (is_strict and any(not _catches(one) for one in kept))

    def _try(self, spec: str, items: Sequence[pytest.Item]) -> Json:
        from pytest_pluralism.core.damage import DAMAGES
        from pytest_pluralism.evaluation.damaged import Bearing

        if not items:
            raise PluralismError("every test with a promise about it is skipped")
        started = time.perf_counter()
        engine, judge, model_of = self._session.models.engine, self._session.judge, self._models.of(spec)
        planned = [(plan, item.nodeid, test_of(item)) for item in items for plan in plans_of(item, spec)]
        engine.gather({(nodeid, plan.key): plan.evaluation for plan, nodeid, _ in planned}, model_of)
        promises, errors = [], {}
        for plan, nodeid, test in planned:
            try:
                promises.append(_Promise(plan, nodeid, test, judge.measured(plan, model_of, nodeid)))
            except PluralismError as error:
                errors[f"{test} {plan.key}"] = str(error)
        whole = [self._sides(one, one.measured, model_of, promise=one) for one in promises]
        for one, verdicts in zip(promises, self._adjusted(whole), strict=True):
            one.whole = verdicts
        bearings = [
            Bearing(one.plan.evaluation, seed=self._session.settings["seed"])
            if is_worst(one.measured) or not one.plan.parts
            else None
            for one in promises
        ]
        for damage in DAMAGES:
            damaged = [
                self._damaged(one, bearing, damage, model_of) for one, bearing in zip(promises, bearings, strict=True)
            ]
            if not any(damaged):
                continue
            # A promise that the damage does not reach counts in the adjustment all the same, as in a run.
            sides = [
                whole[place] if one is None else self._sides(promises[place], one, model_of)
                for place, one in enumerate(damaged)
            ]
            for one, measured, verdicts in zip(promises, damaged, self._adjusted(sides), strict=True):
                if measured is not None:
                    one.found.append(self._outcome(one, damage, measured, verdicts))
        name = str(model_of("language_model").identity.name)
        content = _content(name, [self._as_json(one) for one in promises], errors)
        return {**content, "seconds": round(time.perf_counter() - started, 1)}

    # ----------------------------------------------------------------------------------------------- one promise

    def _damaged(self, one: _Promise, bearing: Any, damage: Damage, model_of: ModelOf) -> Measured | None:
        """Return what is measured of damaged answers; ``None`` where the damage is left out, with the reason kept."""
        from pytest_pluralism.evaluation.damaged import LeftOutError

        def answered(asked: Round) -> object:
            return self._session.models.engine.recalled_of(asked, model_of(asked.role))

        try:
            if bearing is None:
                raise LeftOutError("it compares several measurements with stored ones")
            parts = one.measured.parts
            if not parts:
                return self._again(one.measured, bearing.scores(damage, answered), model_of)
            each = {name: part.plan.evaluation for name, part in parts.items()}
            found = bearing.scores_of_parts(damage, answered, each)
            whole = self._again(one.measured, bearing.evaluation.scores(found), model_of)
            again = {name: self._again(part, found[name], model_of) for name, part in parts.items()}
        except (LeftOutError, PluralismError) as error:
            one.left_out[damage.label] = str(error)
            return None
        return replace(whole, parts=again)

    def _again(self, measured: Measured, found: Scores, model_of: ModelOf) -> Measured:
        """Return a measurement with other scores."""
        scores, estimate = self._session.models.estimated(measured.plan, found, measured.roles, model_of)
        return replace(measured, scores=scores, estimate=estimate)

    def _sides(self, one: _Promise, measured: Measured, model_of: ModelOf, *, promise: _Promise | None = None) -> Sides:
        itself, stored, problems = self._session.judge.judged_beside(
            measured, one.measured, model_of, one.nodeid, one.test
        )
        if promise is not None:
            promise.not_compared = problems
        return itself, stored

    def _adjusted(self, sides: Sequence[Sides]) -> list[tuple[list[Verdict], list[Verdict]]]:
        """Return the verdicts adjusted as in a run: all beside the undamaged answers, and all beside what is stored."""
        alone = self._adjust([itself for itself, _ in sides])
        if not any(stored for _, stored in sides):
            return [(verdicts, []) for verdicts in alone]
        both = self._adjust([stored or itself for itself, stored in sides])
        return [
            (verdicts, beside if stored else [])
            for verdicts, beside, (_, stored) in zip(alone, both, sides, strict=True)
        ]

    def _adjust(self, judged: Sequence[Sequence[Judged]]) -> list[list[Verdict]]:
        from pytest_pluralism.core.verdict import adjust_verdicts

        together = [one for several in judged for one in several]
        adjusted = iter(
            adjust_verdicts(
                [one.entry.verdict for one in together],
                method=self._session.settings["multiplicity"],
                noise_floors=[one.floors.mean for one in together],
                unit_noise_floors=[one.floors.unit for one in together],
            )
        )
        return [[next(adjusted) for _ in several] for several in judged]

    def _is_red(self, verdicts: Sequence[Verdict]) -> bool:
        """Return whether the test of a promise fails with these verdicts, under the settings of the run."""
        green = {"passed"} if self._session.settings["inconclusive"] == "fail" else {"passed", "inconclusive"}
        return any(verdict.outcome.value not in green for verdict in verdicts)

    def _outcome(
        self, one: _Promise, damage: Damage, measured: Measured, verdicts: tuple[list[Verdict], list[Verdict]]
    ) -> Json:
        pairs = [(whole, now) for whole, now in zip(one.whole, verdicts, strict=True) if whole]
        caught = [now for whole, now in pairs if not self._is_red(whole) and self._is_red(now)]
        shown = _worst([verdict for now in caught or [now for _, now in pairs] for verdict in now])
        return {
            "name": damage.name,
            "at": damage.at,
            "caught": bool(caught),
            "outcome": shown.outcome.value,
            "value": finite_or_none(measured.estimate.value),
            **({"reason": shown.reason} if shown.reason else {}),
        }

    def _as_json(self, one: _Promise) -> Json:
        kept = any(whole and not self._is_red(whole) for whole in one.whole)
        worst = _worst([verdict for whole in one.whole for verdict in whole])
        plan = one.plan
        return {
            "key": one.key,
            "metric": plan.measure.name,
            "dataset": plan.dataset,
            **({"population": plan.population} if plan.population is not None else {}),
            "gate": plan.gate.as_json() if plan.gate is not None else {},
            "outcome": worst.outcome.value,
            **({"reason": worst.reason} if worst.reason else {}),
            "value": finite_or_none(one.measured.estimate.value),
            "kept": kept,
            "smallest": _smallest(one.found),
            "damages": one.found,
            "left_out": one.left_out,
            **({"not_compared": one.not_compared} if one.not_compared else {}),
        }


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    order = ("passed", "inconclusive", "failed", "error")
    return max(verdicts, key=lambda verdict: order.index(verdict.outcome.value))


def _catches(promise: Entry) -> bool:
    return any(one["caught"] for one in promise["damages"])


def _smallest(found: Sequence[Entry]) -> dict[str, str | None]:
    """Return for each kind of damage that a promise was put to the mildest that it catches, in words."""
    result: dict[str, str | None] = {}
    for one in found:
        known = result.setdefault(one["name"], None)
        if one["caught"] and known is None:
            result[one["name"]] = one["at"] or "caught"
    return result


def _content(name: str, promises: list[Json], errors: Mapping[str, str]) -> Json:
    """Return what the report says of one model: its promises, each damage, and what no promise notices."""
    from pytest_pluralism.core.damage import DAMAGES

    damages: list[Json] = []
    for damage in DAMAGES:
        tried = [
            (promise["key"], one["caught"])
            for promise in promises
            for one in promise["damages"]
            if promise["kept"] and (one["name"], one["at"]) == (damage.name, damage.at)
        ]
        by = [key for key, caught in tried if caught]
        damages.append(
            {
                "name": damage.name, "at": damage.at, "words": damage.words,
                "tried": len(tried), "caught": bool(by), "by": by,
            }
        )  # fmt: skip
    words = dict.fromkeys(one["words"] for one in damages if one["tried"])
    noticed = {one["words"] for one in damages if one["caught"]}
    return {
        "model": name,
        "promises": promises,
        "damages": damages,
        "unnoticed": [one for one in words if one not in noticed],
        **({"errors": dict(errors)} if errors else {}),
    }


def _lines(content: Entry) -> Iterator[str]:
    promises = content["promises"]
    kept = [one for one in promises if one["kept"]]
    counts = f"{len(promises)} promise{'s' * (len(promises) != 1)}, {len(kept)} of them kept by the answers as they are"
    yield f"{content['model']}: {counts} ({content['seconds']} s)"
    for key, error in content.get("errors", {}).items():
        yield f"  {key}: ERROR {error}"
    for one in promises:
        if not one["kept"]:
            why = f": {one['reason']}" if one.get("reason") else ""
            yield f"  {one['key']}: {one['outcome']} without any damage, so that it can notice none{why}"
            continue
        yield f"  {one['key']}"
        if one["outcome"] != "passed":
            # One that is undecided may be so by itself, and count as kept all the same.
            where = ", and counts as kept" if one["outcome"] == "inconclusive" else ", beside the stored baseline"
            yield f"    {one['outcome']} without any damage{where}: {one.get('reason', '')}"
        yield f"    catches {_caught_words(one)}"
        missed = [_label(damage) for damage in one["damages"] if not damage["caught"]]
        if missed:
            yield f"    keeps its promise under {', '.join(missed)}"
    yield from _left_out_lines(promises)
    for words in content["unnoticed"]:
        yield f"  nothing in this suite would notice {words}"
    if kept and not content["unnoticed"]:
        yield "  every damage that these promises were put to is noticed by one of them at least"


def _caught_words(promise: Entry) -> str:
    """Return the mildest damage of each kind that a promise catches; both of those that have no strength."""
    found: dict[str, str] = {}
    for one in promise["damages"]:
        if one["caught"]:
            undecided = " (undecided)" if one["outcome"] == "inconclusive" else ""
            found.setdefault(one["name"], f"{_label(one)}{undecided}")
    return ", ".join(found.values()) or "nothing"


def _label(one: Entry) -> str:
    return f"{one['name']} {one['at']}".rstrip()


def _left_out_lines(promises: Sequence[Entry]) -> Iterator[str]:
    """Say once for each damage and reason how many promises it does not reach."""
    counts: dict[str, dict[str, int]] = {}
    for promise in promises:
        for label, reason in promise["left_out"].items():
            each = counts.setdefault(reason, {})
            each[label] = each.get(label, 0) + 1
    for reason, labels in counts.items():
        most = max(labels.values())
        yield f"  left out of {most} of {len(promises)} promises: {', '.join(labels)} ({reason})"
    alone = [promise for promise in promises if promise.get("not_compared")]
    if alone:
        why = alone[0]["not_compared"][0]
        yield f"  beside the undamaged answers alone: {len(alone)} of {len(promises)} promises, first because: {why}"
