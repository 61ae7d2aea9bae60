"""``--pluralism-aa``: the suite against itself under fresh seeds, so that its false alarms are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_pluralism.core.errors import PluralismError
from pytest_pluralism.run.items import Json, plans_of, test_of
from pytest_pluralism.run.session import PluralismSession
from pytest_pluralism.run.suite_models import SuiteModels

if TYPE_CHECKING:
    from pytest_pluralism.core.false_alarms import FalseAlarms
    from pytest_pluralism.core.records import Gate, Scores
    from pytest_pluralism.evaluation.measures.planning import PlannedGate

__all__ = ["SelfTest"]


class SelfTest:
    """Runs the promises of a suite under several seeds and compares the runs with one another.

    Parameters
    ----------
    session : PluralismSession
        The run.
    """

    def __init__(self, session: PluralismSession) -> None:
        self._session = session
        self._models = SuiteModels(session, "--pluralism-aa")

    def run(self, items: Sequence[pytest.Item]) -> tuple[list[str], bool]:
        """Return what to show, and whether some model's suite raises more false alarms than its level says."""
        from pytest_pluralism.core.untrusted import harmless

        lines: list[str] = []
        alarmed = False
        for spec, name, suite, found in self._models.each(items, self._test):
            if isinstance(found, PluralismError):
                lines.append(f"{name}: ERROR {found}")
                alarmed = True
            elif found is None:
                lines.append(f"{name}: no promises")
            else:
                level = _level(suite, spec)
                self._session.false_alarms.append({"model": name, "level": level, **_as_json(found, level)})
                alarmed |= found.low > level
                lines += _lines(name, found, level)
        return [harmless(line) for line in lines or ["no model: name one with --pluralism-model=SPEC"]], alarmed

    def _test(self, spec: str, items: Sequence[pytest.Item]) -> FalseAlarms | None:
        from pytest_pluralism.core.false_alarms import false_alarms

        settings = self._session.settings
        first = settings["seed"] + 1
        gates: dict[str, Gate] = {}
        runs: list[dict[str, Scores]] = []
        engine = self._session.models.engine
        plans = [dict(self._plans(spec, items, seed)) for seed in range(first, first + settings["aa"])]
        if not plans[0]:
            return None
        model_of = self._models.of(spec)
        engine.gather(
            {(seed, key): plan.evaluation for seed, run in enumerate(plans) for key, plan in run.items()}, model_of
        )
        for seed, run in enumerate(plans):
            scores = {key: engine.measure(plan.evaluation, model_of, key=(seed, key))[0] for key, plan in run.items()}
            gates |= {key: plan.gate for key, plan in run.items() if plan.gate is not None}
            runs.append(scores)
        floors = self._floors(spec, plans[0])
        return false_alarms(gates, runs, noise_floors=floors, method=settings["multiplicity"], rng=settings["seed"])

    def _plans(self, spec: str, items: Sequence[pytest.Item], seed: int) -> Iterator[tuple[str, PlannedGate]]:
        from pytest_pluralism.gate import plan_gates

        for item in items:
            if not plans_of(item, spec):
                continue
            planned, _ = plan_gates(item, self._session.settings, seed=seed)
            for plan in planned:
                yield f"{test_of(item)} {plan.key}", plan

    def _floors(self, spec: str, plans: Mapping[str, PlannedGate]) -> dict[str, float]:
        from pytest_pluralism.baselines.comparison import usual_noise_floor

        identity = self._models.of(spec)("language_model").identity
        return dict.fromkeys(plans, usual_noise_floor({"dtype": identity.dtype}))


def _level(items: Sequence[pytest.Item], spec: str) -> float:
    """Return how often the suite may raise a false alarm: half of what the lowest confidence level leaves."""
    levels = [plan.gate.confidence_level for item in items for plan in plans_of(item, spec) if plan.gate is not None]
    known = [level for level in levels if level is not None]
    return (1.0 - min(known)) / 2.0 if known else 0.0


def _as_json(found: FalseAlarms, level: float) -> Json:
    return {
        **dataclasses.asdict(found),
        "rate": found.rate,
        "shows_level": bool(found.high <= level),
        "pairs_needed": _pairs_needed(level),
    }


def _pairs_needed(level: float) -> int | None:
    from pytest_pluralism.core.false_alarms import pairs_needed

    # A suite that is decided on values alone may raise none, which no number of pairs shows.
    return pairs_needed(level) if level > 0 else None


def _conclusion(found: FalseAlarms, level: float) -> str:
    """Say whether the runs show that the suite keeps its level, and what it takes where they do not."""
    if found.high <= level:
        return f"  which shows that it is at most {100 * level:.3g} %"
    if found.low > level:
        return f"  which shows that it is more than {100 * level:.3g} %: these gates are tighter than what seeds do"
    needed = _pairs_needed(level)
    if needed is None:
        return "  which shows nothing: a suite without intervals may raise no false alarm at all"
    if needed <= found.n_independent:
        return f"  which does not show that it is at most {100 * level:.3g} %; more runs decide"
    pairs = "pair is" if found.n_independent == 1 else "pairs are"
    takes = f"it takes {needed} without an alarm (--pluralism-aa={2 * needed})"
    return f"  {found.n_independent} such {pairs} too few to show that it is at most {100 * level:.3g} %: {takes}"


def _lines(name: str, found: FalseAlarms, level: float) -> Iterator[str]:
    yield (
        f"{name}: {found.alarms} of {found.n} comparisons with itself raise a false alarm ({100 * found.rate:.1f} %); "
        f"it may be {100 * level:.3g} %"
    )
    yield (
        f"  {found.independent_alarms} of {found.n_independent} comparisons that share no run: between "
        f"{100 * found.low:.1f} and {100 * found.high:.1f} % (95 % interval)"
    )
    yield _conclusion(found, level)
    if found.n_half:
        yield f"  {found.half_alarms} of {found.n_half} on half of the units, of pairs that share runs"
    for gate in found.gates:
        words = f"{gate.alarms} alarms and {gate.undecided} undecided in {gate.n}"
        words += f", runs differ by up to {gate.largest_change:.4f}"
        if gate.n_half:
            words += f"; {gate.half_alarms} in {gate.n_half} halves"
        if gate.is_broken:
            words += "; its bound is broken on the mean of all runs, which is no false alarm"
        yield f"  {gate.key}: {words}"
