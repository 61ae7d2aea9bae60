"""The words of verdicts, whole: ``PLURALISM_WRITE_GOLDEN=1 pytest tests/report`` writes the files anew, for review."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_pluralism.core.estimation import compare_paired, estimate_mean
from pytest_pluralism.core.messages import verdict_message
from pytest_pluralism.core.records import (
    Gate,
    Outcome,
    Provenance,
    ReportEntry,
    Scores,
    UnitScore,
    Verdict,
    Witness,
)
from pytest_pluralism.core.verdict import decide
from pytest_pluralism.evaluation.measures.registry import MEASURES

GOLDEN = Path(__file__).parents[1] / "golden"

VALUES = (0.25, 0.5, 0.375, 0.75, 0.3125, 0.4375)
BEFORE = (0.125, 0.375, 0.3125, 0.5, 0.25, 0.375)


def entry(gate: Gate, *, compared: bool = False, problem: str = "", values: tuple[float, ...] = VALUES) -> ReportEntry:
    ids = [f"q{number}" for number in range(len(values))]
    units = tuple(
        UnitScore(
            unit_id=unit_id,
            cluster=unit_id,
            value=value,
            population="Democrat",
            text="Should more be spent on the space exploration program, or less, or the same?",
            options=("Too little", "About right", "Too much"),
            model_probabilities=(0.0625, 0.0625, 0.875),
            reference_probabilities=(0.25, 0.5, 0.25),
            option_mass=0.75 if number else 0.375,
        )
        for number, (unit_id, value) in enumerate(zip(ids, values, strict=True))
    )
    estimate = estimate_mean(values, unit_ids=ids, confidence_level=gate.confidence_level)
    change = compare_paired(values, BEFORE[: len(values)], unit_ids=ids) if compared else None
    worst = max(units, key=lambda unit: unit.value)
    witness = Witness(worst.unit_id, worst.value, worst.text)
    if change is not None and gate.at_most is None:
        unit_id, value = max(zip(change.unit_ids, change.values, strict=True), key=lambda pair: pair[1])
        witness = Witness(unit_id, value, worst.text)
    verdict = decide(gate, estimate, change=change, witness=witness)
    if problem:
        verdict = Verdict(Outcome.ERROR, gate, estimate, reason=problem)
    return ReportEntry(
        nodeid="test_release.py::test_no_party_is_lost[smollm2-135m-instruct]",
        test="test_release.py::test_no_party_is_lost",
        key="js_distance gss Democrat",
        measure=MEASURES["js_distance"],
        dataset="gss",
        population="Democrat",
        verdict=verdict,
        scores=Scores(
            metric="js_distance",
            units=units,
            references={"shuffle": 0.51, "uniform": 0.33, "majority": 0.44, "sampling_floor": 0.02},
            other_populations={"Republican": 0.21, "Independent": 0.1, "Men": 0.11, "Women": 0.08},
            warnings=("option mass under 0.5 on 1 of 6 units (lowest 0.38 on q0)",),
        ),
        provenance=Provenance(
            model={"name": "smollm2-135m-instruct", "sha256": "9c1e" * 16, "dtype": "float32", "device": "cpu"},
            dataset={"name": "gss", "sha256": "77ab" * 16},
            settings={"seed": 0},
        ),
        options="--pluralism-model=embedded:smollm2-135m-instruct",
    )


CASES = {
    "failed": entry(Gate(at_most=0.125)),
    "inconclusive": entry(Gate(at_most=0.5)),
    "value_alone": entry(Gate(at_most=0.125, confidence_level=None)),
    "regression": entry(Gate(max_increase=0.02), compared=True),
    "both_bounds": entry(Gate(at_most=0.125, max_increase=0.02), compared=True),
    "too_few_units": entry(Gate(at_most=0.5), values=VALUES[:1]),
    "no_baseline": entry(
        Gate(max_increase=0.02),
        problem="no baseline: base.json does not exist. To store one: pytest --pluralism-update-baseline NODEID",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_message_is_the_one_that_was_read_and_approved(name: str) -> None:
    text = verdict_message(CASES[name]) + "\n"
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("PLURALISM_WRITE_GOLDEN") == "1":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
