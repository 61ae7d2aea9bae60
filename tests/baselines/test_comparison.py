"""Which measurements may be compared, what widens the margin, and that the same inputs give the same verdict."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.baselines.comparison import (
    compare_with_baseline,
    differences,
    entry_of,
    moved_surroundings,
    prompts_hash,
    usual_noise_floor,
)
from pytest_pluralism.baselines.schema import baseline_texts, parse_baseline
from pytest_pluralism.baselines.store import merge_entries, read_baseline
from pytest_pluralism.core.errors import BaselineError
from pytest_pluralism.core.estimation import estimate_mean
from pytest_pluralism.core.records import Estimate, Gate, Prompt, Provenance, Scores, UnitScore
from pytest_pluralism.core.verdict import adjust_verdicts, decide

PROVENANCE = Provenance(
    model={"spec": "hf:org/m@v1", "name": "m", "sha256": "ab", "dtype": "float32", "device": "cpu"},
    dataset={"name": "town", "sha256": "cd", "source": "file town.jsonl"},
    settings={
        "seed": 0,
        "template": "auto",
        "threshold": 0.5,
        "steering": {"draws": [1, 2]},
        "entailment_model": {"name": "nli", "sha256": "12", "dtype": "float32", "device": "cpu"},
    },
    versions={"torch": "2.0", "transformers": "5.0", "engine": "1", "numpy": "2.0"},
)


def scores_of(values: list[float], **changes: Any) -> Scores:
    units = tuple(
        UnitScore(
            f"q{number}",
            f"c{number // 2}",
            value,
            "North",
            f"Question {number}?",
            ("Yes", "No"),
            (0.5, 0.5),
            (0.3, 0.7),
        )
        for number, value in enumerate(values)
    )
    return Scores("js_distance", tuple(replace(unit, **changes) for unit in units))


SCORES = scores_of([0.2 + 0.01 * number for number in range(20)])


def stored(scores: Scores = SCORES, provenance: Provenance = PROVENANCE) -> dict[str, Any]:
    estimate = estimate_mean([unit.value for unit in scores.units])
    entry = entry_of(
        scores, estimate, provenance, "North", direction="lower", gate=Gate(max_increase=0.02), prompts_sha256="ef"
    )
    return json.loads(json.dumps(entry))


def changed(**changes: Mapping[str, Any]) -> Provenance:
    return replace(PROVENANCE, **{part: {**getattr(PROVENANCE, part), **content} for part, content in changes.items()})


def compare(scores: Scores, provenance: Provenance, *, prompts: str = "ef", entry: Any = None) -> Any:
    return compare_with_baseline(
        scores,
        provenance,
        entry or stored(),
        confidence_level=0.95,
        where="here",
        update="UPDATE",
        prompts_sha256=prompts,
    )


@pytest.mark.parametrize(
    ("scores", "provenance", "prompts", "says"),
    [
        (replace(SCORES, metric="other"), PROVENANCE, "ef", "it holds 'js_distance', not 'other'"),
        (SCORES, changed(dataset={"name": "city"}), "ef", "data was 'town', is 'city'"),
        (SCORES, changed(dataset={"sha256": "ce"}), "ef", "content of the data was 'cd', is 'ce'"),
        (SCORES, PROVENANCE, "ff", "the prompts were 'ef', are 'ff'"),
        (SCORES, changed(settings={"seed": 1}), "ef", "seed was 0, is 1"),
        (SCORES, changed(settings={"threshold": 0.6}), "ef", "threshold was 0.5, is 0.6"),
        (SCORES, changed(settings={"steering": {"draws": (1, 3)}}), "ef", "steering was {'draws': [1, 2]}, is"),
        (SCORES, changed(settings={"fresh": 1}), "ef", "fresh was None, is 1"),
        (
            SCORES,
            changed(settings={"entailment_model": {"name": "nli", "sha256": "13", "dtype": "float32"}}),
            "ef",
            "entailment_model was",
        ),
        (SCORES, changed(model={"dtype": "bfloat16"}), "ef", "dtype was 'float32', is 'bfloat16'"),
        (scores_of([0.2] * 21), PROVENANCE, "ef", "1 units are on one side only (q20)"),
        (scores_of([0.2] * 20, text="Another?"), PROVENANCE, "ef", "20 units have another content (q0, q1, q10, ...)"),
        (scores_of([0.2] * 20, options=("No", "Yes")), PROVENANCE, "ef", "20 units have another content"),
        (scores_of([0.2] * 20, reference_probabilities=(0.4, 0.6)), PROVENANCE, "ef", "another content"),
        (scores_of([0.2] * 20, cluster="one"), PROVENANCE, "ef", "clustered in another way"),
    ],
)  # fmt: skip
def test_what_must_agree(scores: Scores, provenance: Provenance, prompts: str, says: str) -> None:
    with pytest.raises(BaselineError, match="baseline not comparable: ") as found:
        compare(scores, provenance, prompts=prompts)
    assert says in str(found.value)
    assert str(found.value).endswith("To store a new one: UPDATE")


@pytest.mark.parametrize(
    "provenance",
    [
        changed(model={"sha256": "ff", "spec": "hf:org/m@v2", "name": "n"}),
        changed(versions={"numpy": "3.0"}),
        changed(model={"device": "cuda:0"}),
        changed(versions={"torch": "3.0"}),
        changed(settings={"steering": {"draws": (1, 2)}}),
        changed(settings={"entailment_model": {"name": "nli", "sha256": "12", "dtype": "float32", "device": "cuda:0"}}),
    ],
    ids=["weights", "numpy", "device", "torch", "tuple", "device of another model"],
)
def test_what_may_differ(provenance: Provenance) -> None:
    assert compare(scores_of([unit.value + 0.01 for unit in SCORES.units]), provenance).value == pytest.approx(0.01)
    # The model's own part of a unit is what is measured.
    moved = scores_of([unit.value for unit in SCORES.units], model_probabilities=(0.9, 0.1))
    assert compare(moved, provenance).value == 0.0


@pytest.mark.parametrize(
    ("provenance", "says"),
    [
        (PROVENANCE, []),
        (changed(model={"sha256": "ff"}), []),
        (changed(versions={"numpy": "3.0"}), []),
        (changed(model={"device": "cuda:0"}), ["device was 'cpu', is 'cuda:0'"]),
        (changed(versions={"torch": "3.0", "engine": "2"}), ["torch was '2.0', is '3.0'", "engine was '1', is '2'"]),
    ],
)
def test_what_widens_the_margin(provenance: Provenance, says: list[str]) -> None:
    assert moved_surroundings({"model": provenance.model, "versions": provenance.versions}, stored()) == says


def test_version_1_is_compared_by_what_it_kept() -> None:
    entry = {**stored(), "from_version": 1, "prompts_sha256": None}
    entry["settings"] = {"seed": 0, "template": "auto"}
    entry["units"] = [{**unit, "sha256": None} for unit in entry["units"]]
    del entry["versions"]["engine"]
    assert compare(scores_of([0.2] * 20, text="Another?"), PROVENANCE, entry=entry).n == 20
    assert moved_surroundings({"model": PROVENANCE.model, "versions": PROVENANCE.versions}, entry) == []
    with pytest.raises(BaselineError, match="seed was 0, is 1"):
        compare(SCORES, changed(settings={"seed": 1}), entry=entry)


def test_nobody_is_compared_by_less_without_saying_so() -> None:
    """An entry without a field that must agree cannot be compared."""
    bare = {**stored(), "prompts_sha256": None}
    with pytest.raises(BaselineError, match=r"it does not say what was asked \(prompts_sha256\)"):
        compare(SCORES, PROVENANCE, entry=bare)
    bare = stored()
    bare["units"][3]["sha256"] = None
    with pytest.raises(BaselineError, match=r"it does not say what its units are \(sha256s\)"):
        compare(SCORES, PROVENANCE, entry=bare)


def test_the_revision_of_a_hub_model_is_kept() -> None:
    assert stored()["model"]["revision"] == "v1"
    assert "revision" not in stored(provenance=changed(model={"spec": "./m@v1"}))["model"]


def test_prompts_differ_in_every_field() -> None:
    prompts = [Prompt("Is it?", ("A", "B")), Prompt("Is it?", ("A", "B"), cue="So:"), Prompt("Is it?", ("B", "A"))]
    assert len({prompts_hash([prompt]) for prompt in prompts} | {prompts_hash(prompts), prompts_hash([])}) == 5


def test_two_entries_are_compared_either_way() -> None:
    other = stored(provenance=changed(settings={"seed": 1}))
    assert list(differences(stored(), stored())) == []
    assert list(differences(stored(), other)) == ["seed was 1, is 0"]
    assert list(differences(other, stored())) == ["seed was 0, is 1"]


VERDICTS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_comparison import verdicts_of
for line in verdicts_of(Path(sys.argv[2])):
    print(line)
"""


def verdicts_of(file: Path) -> list[str]:
    """Read the baseline, compare, decide and adjust, as a run does."""
    entries = read_baseline(file, "m", update="")
    verdicts = []
    for number, bound in enumerate((0.0, 0.005, 0.01, 0.02, 0.03)):
        moved = scores_of([unit.value + 0.002 * (place % 7) for place, unit in enumerate(SCORES.units)])
        change = compare(moved, PROVENANCE, entry=entries[f"k{number}"])
        estimate = estimate_mean([unit.value for unit in moved.units])
        verdicts.append(decide(Gate(max_increase=bound), estimate, change=change, noise_floor=1e-5))
    return [f"{one.outcome} {one.change!r} {one.reason}" for one in adjust_verdicts(verdicts)]


@pytest.mark.slow
def test_the_same_inputs_give_the_same_verdicts_50_times_in_50(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    merge_entries(file, "m", {f"k{number}": stored() for number in range(5)})
    first = verdicts_of(file)
    assert {line.split()[0] for line in first} >= {"passed", "failed"}
    for _ in range(46):
        assert verdicts_of(file) == first
    # In other processes too, whose sets and hashes have another order.
    for seed in ("1", "2", "3"):
        command = [sys.executable, "-c", VERDICTS, str(Path(__file__).parent), str(file)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": seed}
        )
        assert done.stdout.splitlines() == first


def test_a_result_of_another_definition_is_not_compared() -> None:
    """An entry that does not say by which definition it was measured was measured by the first."""
    now = changed(settings={"definition": 2, "least_votes": 2})
    with pytest.raises(
        BaselineError, match="baseline not comparable: measured by definition 1 of js_distance"
    ) as found:
        compare(SCORES, now)
    told = str(found.value)
    assert "store it anew with --pluralism-update-baseline=NODEID" in told
    assert "least_votes" not in told
    assert compare(SCORES, now, entry=stored(provenance=now)).n == 20
    first = changed(settings={"definition": 1})
    assert compare(SCORES, first).n == compare(SCORES, PROVENANCE, entry=stored(provenance=first)).n == 20
    # Files of the first version hold no definition and are of the first.
    old = {**stored(), "from_version": 1}
    with pytest.raises(BaselineError, match="measured by definition 1"):
        compare(SCORES, now, entry=old)


def test_a_result_without_an_interval_is_stored() -> None:
    unknown = Estimate(0.295, math.nan, math.nan, math.nan, 20, 20)
    entry = entry_of(SCORES, unknown, PROVENANCE, "North", direction="lower", prompts_sha256="ef")
    text, lines = baseline_texts("m", {"t js_distance": entry})
    assert json.loads(text)["entries"]["t js_distance"]["estimate"]["low"] is None
    companion = "\n".join(lines.values())
    found = parse_baseline(text, companion, name="b.json", companion_name="b", update="UPDATE")
    assert found["t js_distance"]["estimate"]["value"] == pytest.approx(0.295)
    assert compare(SCORES, PROVENANCE, entry=found["t js_distance"]).n == 20


def test_the_noise_floor_of_a_composed_model_is_that_of_its_coarsest_part() -> None:
    floors = {one: usual_noise_floor({"dtype": one}) for one in ("float64", "float32+float64", "float32+bfloat16", "?")}
    assert floors == {"float64": 1e-5, "float32+float64": 1e-5, "float32+bfloat16": 0.02, "?": 0.02}
