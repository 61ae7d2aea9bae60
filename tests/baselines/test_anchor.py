"""The anchor of an entry: kept by every update, moved by name, read from every schema, with a count of looks."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.baselines.comparison import is_shown_better
from pytest_pluralism.baselines.store import merge_entries, read_baseline
from pytest_pluralism.core.errors import BaselineError

VERSION_1 = Path(__file__).with_name("version_1.json")


def entry(*values: float, **changes: Any) -> dict[str, Any]:
    units = [
        {"id": f"q{number}", "cluster": f"q{number}", "value": value, "sha256": f"{number:016x}"}
        for number, value in enumerate(values)
    ]
    mean = sum(values) / len(values)
    return {
        "metric": "js_distance",
        "direction": "lower",
        "population": "North",
        "estimate": {"value": mean, "low": mean - 0.1, "high": mean + 0.1, "standard_error": 0.05, "n": len(values)},
        "variance": sum((value - mean) ** 2 for value in values) / (len(values) - 1),
        "noise_floor": 1e-5,
        "gate": {"max_increase": 0.02, "confidence_level": 0.95},
        "model": {"name": "m", "sha256": "ab", "dtype": "float32"},
        "dataset": {"name": "town", "sha256": "cd"},
        "prompts_sha256": "ef",
        "settings": {"seed": 0},
        "origins": {},
        "versions": {"python": "3.11"},
        "units": units,
        **changes,
    }


def noisy(seed: int, *, mean: float = 0.4, n: int = 25, spread: float = 0.02) -> list[float]:
    own, draw = random.Random(0), random.Random(seed)
    return [mean + own.uniform(-0.2, 0.2) + draw.gauss(0, spread) for _ in range(n)]


def there(file: Path, key: str = "a") -> dict[str, Any]:
    found: dict[str, Any] = read_baseline(file, "m", update="")[key]
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.json"
    merge_entries(path, "m", {"a": entry(0.1, 0.2, 0.4)})
    return path


def test_updates_keep_the_anchor_and_count_looks(file: Path) -> None:
    for number, top in enumerate((0.5, 0.6, 0.7), start=1):
        merge_entries(file, "m", {"a": entry(0.1, 0.2, top, settings={"seed": number})})
        now = there(file)
        assert now["looks"] == number
        assert [unit["value"] for unit in now["units"]] == [0.1, 0.2, top]
        assert [unit["value"] for unit in now["anchor"]["units"]] == [0.1, 0.2, 0.4]
        # A part that the two do not share is kept for each.
        assert (now["settings"], now["anchor"]["settings"]) == ({"seed": number}, {"seed": 0})


def test_the_same_result_again_is_no_look(file: Path) -> None:
    merge_entries(file, "m", {"a": entry(0.1, 0.2, 0.4)}, mode="better")
    merge_entries(file, "m", {"a": entry(0.1, 0.2, 0.4)})
    assert there(file)["looks"] == 0


def test_an_anchor_is_moved_by_name_with_reason_and_date(file: Path) -> None:
    merge_entries(file, "m", {"a": entry(0.1, 0.2, 0.5), "b": entry(0.1, 0.3)})
    moved = {"date": "2026-03-01", "reason": "a new survey"}
    # Every way to update stores the entries that are named.
    merge_entries(file, "m", {"a": entry(0.1, 0.2, 0.9), "b": entry(0.1, 0.4)}, mode="new", moved={"a": moved})
    now = there(file)
    assert (now["looks"], now["anchor"]["moved"]) == (0, moved)
    assert now["anchor"]["units"] == now["units"]
    assert [unit["value"] for unit in there(file, "b")["units"]] == [0.1, 0.3]
    # It stands in the file, and later updates keep it.
    merge_entries(file, "m", {"a": entry(0.2, 0.2, 0.9)})
    assert json.loads(file.read_text(encoding="utf-8"))["entries"]["a"]["anchor"]["moved"] == moved


def as_version_2(content: dict[str, Any]) -> None:
    content["schema"] = "pytest-pluralism/baseline/2"
    for one in content["entries"].values():
        del one["anchor"], one["looks"]


def edited(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")


def test_an_older_entry_is_its_own_anchor(file: Path, tmp_path: Path) -> None:
    edited(file, as_version_2)
    now = there(file)
    assert (now["looks"], now["anchor"]["units"]) == (0, now["units"])
    merge_entries(file, "m", {"a": entry(0.1, 0.2, 0.9)})
    assert [unit["value"] for unit in there(file)["anchor"]["units"]] == [0.1, 0.2, 0.4]
    old = tmp_path / "old.json"
    old.write_bytes(VERSION_1.read_bytes())
    for one in read_baseline(old, None, update="").values():
        assert one["anchor"]["units"] == one["units"]
        assert one["anchor"]["from_version"] == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: one.pop("anchor"), "'anchor' is missing"),
        (lambda one: one.update(looks=-1), "number of looks"),
        (lambda one: one.update(looks=True), "number of looks"),
        (lambda one: one["anchor"]["estimate"].update(value=0.9), "its anchor: its value 0.9 is not the mean"),
        (lambda one: one["anchor"]["estimate"].pop("value"), "its anchor: its estimate has no value"),
        (lambda one: one["anchor"].update(moved="yes"), "'moved' has no date"),
        (lambda one: one["anchor"]["units"].update(sha256="00"), "does not hold the units"),
        (lambda one: one["anchor"].update(settings=None), "'settings' is missing"),
    ],
)
def test_a_damaged_anchor_is_an_error(file: Path, change: Callable[[dict[str, Any]], object], why: str) -> None:
    merge_entries(file, "m", {"a": entry(0.1, 0.2, 0.9)})
    edited(file, lambda content: change(content["entries"]["a"]))
    with pytest.raises(BaselineError, match=why):
        read_baseline(file, "m", update="")


def test_an_anchor_in_an_older_schema_is_an_error(file: Path) -> None:
    edited(file, lambda content: content.update(schema="pytest-pluralism/baseline/2"))
    with pytest.raises(BaselineError, match="which its schema does not know"):
        read_baseline(file, "m", update="")


def test_the_best_of_equal_results_is_not_kept(file: Path) -> None:
    merge_entries(file, "m", {"a": entry(*noisy(0))})
    for seed in range(1, 20):
        merge_entries(file, "m", {"a": entry(*noisy(seed))}, mode="better")
    now = there(file)
    assert [unit["value"] for unit in now["units"]] == noisy(0)
    assert now["looks"] == 20
    assert merge_entries(file, "m", {"a": entry(*noisy(99, mean=0.2))}, mode="better") == ("a",)


def test_better_is_shown_by_the_interval_over_all_looks() -> None:
    first, second = entry(*noisy(1)), entry(*noisy(2, mean=0.385))
    assert is_shown_better(second, first)
    assert not is_shown_better(second, first, looks=1e6)
    assert not is_shown_better(first, second)
    assert not is_shown_better({**second, "settings": {"seed": 1}}, first)
    by_value = {"gate": {"max_increase": 0.02, "confidence_level": None}}
    assert is_shown_better(entry(0.1, 0.2, **by_value), entry(0.1, 0.3, **by_value))
