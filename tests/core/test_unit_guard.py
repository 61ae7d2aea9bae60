"""The guard of each single unit: what it promises, what widens it, and that nothing explains it away."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation import compare_paired, estimate_mean
from pytest_pluralism.core.records import Estimate, Gate, Outcome
from pytest_pluralism.core.verdict import adjust_verdicts, decide, failure_p_value

N = 12

BEFORE = [0.3 + 0.01 * number for number in range(N)]

IDS = [f"q{number}" for number in range(N)]


def change_of(changes: list[float]) -> Estimate:
    after = [value + change for value, change in zip(BEFORE, changes, strict=True)]
    return compare_paired(after, BEFORE, unit_ids=IDS)


ESTIMATE = estimate_mean(BEFORE, unit_ids=IDS)

ONE_WORSE = [0.0] * 7 + [0.3] + [0.0] * 4


def test_one_unit_breaks_it_although_the_mean_does_not() -> None:
    change = change_of(ONE_WORSE)
    assert decide(Gate(max_increase=0.2), ESTIMATE, change=change).outcome is not Outcome.FAILED
    verdict = decide(Gate(max_unit_increase=0.25), ESTIMATE, change=change)
    assert verdict.outcome is Outcome.FAILED
    assert verdict.reason == "q7 rose by 0.300, no unit may rise by more than 0.25"
    assert decide(Gate(max_unit_increase=0.31), ESTIMATE, change=change).outcome is Outcome.PASSED


def test_the_direction_counts() -> None:
    change = change_of([-one for one in ONE_WORSE])
    assert decide(Gate(max_unit_increase=0.01), ESTIMATE, change=change).outcome is Outcome.PASSED
    verdict = decide(Gate(max_unit_decrease=0.01), ESTIMATE, change=change)
    assert verdict.outcome is Outcome.FAILED
    assert verdict.reason.startswith("q7 fell by 0.300")


@given(st.lists(st.floats(-0.3, 0.3), min_size=N, max_size=N), st.floats(0, 0.4), st.floats(0, 0.4))
def test_it_fails_exactly_when_the_worst_unit_is_beyond_margin_and_noise(
    changes: list[float], bound: float, floor: float
) -> None:
    change = change_of(changes)
    verdict = decide(Gate(max_unit_increase=bound), ESTIMATE, change=change, unit_noise_floor=floor)
    assert verdict.outcome is (Outcome.FAILED if max(change.values) > max(bound, floor) + 1e-12 else Outcome.PASSED)


def test_the_noise_of_a_unit_is_its_own() -> None:
    change, gate = change_of(ONE_WORSE), Gate(max_unit_increase=0.1)
    assert decide(gate, ESTIMATE, change=change, noise_floor=0.35).outcome is Outcome.PASSED
    assert decide(gate, ESTIMATE, change=change, noise_floor=0.35, unit_noise_floor=0.2).outcome is Outcome.FAILED
    assert decide(gate, ESTIMATE, change=change, unit_noise_floor=0.35).outcome is Outcome.PASSED


def test_what_is_seen_is_not_taken_back_for_the_number_of_gates() -> None:
    gate = Gate(max_unit_increase=0.1, max_increase=0.2)
    change = change_of(ONE_WORSE)
    failed = decide(gate, ESTIMATE, change=change)
    assert failed.outcome is Outcome.FAILED
    assert math.isnan(failure_p_value(gate, ESTIMATE, change=change))
    doubtful = decide(Gate(at_most=ESTIMATE.low - 1e-4), ESTIMATE)
    assert doubtful.outcome is Outcome.FAILED
    adjusted = adjust_verdicts([failed, doubtful, doubtful, doubtful])
    assert adjusted[0] is failed
    assert {verdict.outcome for verdict in adjusted[1:]} == {Outcome.INCONCLUSIVE}
    # With a noise floor that explains the unit, it is a gate like the others.
    kept = decide(gate, ESTIMATE, change=change, unit_noise_floor=0.5)
    assert kept.outcome is not Outcome.FAILED
    assert not math.isnan(failure_p_value(gate, ESTIMATE, change=change, unit_noise_floor=0.5))
    assert len(adjust_verdicts([kept], unit_noise_floors=[0.5])) == 1


def test_what_cannot_be_guarded_never_passes() -> None:
    gate = Gate(max_unit_increase=0.5)
    assert gate.needs_baseline
    assert decide(gate, ESTIMATE).outcome is Outcome.INCONCLUSIVE
    nameless = Estimate(0.0, -0.1, 0.1, 0.05, N, N)
    assert decide(gate, ESTIMATE, change=nameless).outcome is Outcome.INCONCLUSIVE
    missing = compare_paired([math.nan, *BEFORE[1:]], BEFORE, unit_ids=IDS)
    assert decide(gate, ESTIMATE, change=missing).outcome is Outcome.INCONCLUSIVE
    for bad in (-0.1, math.nan, math.inf, "0.1", True):
        with pytest.raises(InvalidParameterError, match="max_unit_increase"):
            Gate(max_unit_increase=bad)  # type: ignore[arg-type]


def test_a_value_alone_is_guarded_too() -> None:
    gate = Gate(max_unit_increase=0.1, confidence_level=None)
    assert decide(gate, ESTIMATE, change=change_of(ONE_WORSE)).outcome is Outcome.FAILED
