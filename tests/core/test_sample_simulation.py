"""The simulations of samples: a rough round of each part, and the page that shows the full one."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("simulate_samples", ROOT / "tools" / "simulate_samples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_what_was_sampled(simulation: ModuleType) -> None:
    page = ROOT / "docs" / "explanation" / "statistics.md"
    stored = json.loads((page.parent / "samples.json").read_text(encoding="utf-8"))
    text = page.read_text(encoding="utf-8")
    assert simulation.with_tables(text, stored["results"]) == text
    assert all(f"<!-- sampled: {name} -->" in text for name in simulation.tables(stored["results"]))
    stored["results"]["judges"][0]["level"] += 0.01
    assert simulation.with_tables(text, stored["results"]) != text


def test_the_published_samples_keep_their_promises(simulation: ModuleType) -> None:
    stored = json.loads((ROOT / "docs" / "explanation" / "samples.json").read_text(encoding="utf-8"))
    results, slack = stored["results"], 2.0 * (0.05 * 0.95 / stored["runs"]) ** 0.5
    for row in results["juries"]:
        by_juror = row["population"].startswith("from .1")
        for name in ("alone 0", "alone 0.25", "alone 0.5"):
            cell = row[name]
            if row["alpha"] <= 2.0:
                assert cell["unknown"] < (0.2 if by_juror else 0.02)
                # Where the two ways to correct for few votes differ, the interval is too wide rather than too narrow.
                differ = row["population"].startswith("a line") and row["alpha"] == 2.0
                assert 0.93 - slack <= cell["held"] <= (1.0 if differ else 0.97 + slack)
            else:
                # Undecided runs are not wrong.
                assert cell["too_high"] + cell["too_low"] <= 0.1
                # Of fewer than thirty decided runs no share is known.
                few = (1.0 - cell["unknown"]) * stored["runs"] < 30.0
                assert few or cell["held"] >= 0.9
    cells = [row[name] for row in results["juries"] if row["alpha"] == 5.0 for name in row if name.startswith("alone")]
    decided = sum(1.0 - cell["unknown"] for cell in cells)
    assert sum(cell["too_high"] for cell in cells) <= 0.025 * decided
    assert all(row["too_high"] <= 0.025 + slack for row in results["unequal-jurors"])
    assert [row["unknown"] for row in results["small-groups"] if row["smallest"] == 1] == [1.0]
    assert all(row["too_high"] <= 0.025 + slack for row in results["small-groups"])
    for row in results["people"]:
        if row["asked"] >= 100:
            assert row["bias"] < 0.01
            assert row["step"] > 0.88
    assert all(row["held"] >= 0.9 for row in results["shared-people"])
    assert all(row["failed"] <= 0.05 + slack for row in results["false-failures"] if row["asked"] >= 100)
    # Passes that are false because a sample held none of the rare scores, or jurors, are said; the others are few.
    assert all(row["passed"] * (1.0 - (row["said"] or 0.0)) <= 0.04 for row in results["rare-scores"])
    assert all(row["passed"] <= 0.025 + slack for row in results["small-panels"] if row["jurors"] >= 59)
    for row in results["judges"]:
        assert abs(row["level"] - 0.6) < 0.02
        assert abs(row["change"] + 0.12) < 0.012


@pytest.mark.slow
def test_every_part_runs(simulation: ModuleType) -> None:
    results = {name: list(part(3)) for name, part in simulation.PARTS.items()}
    assert all(rows for rows in results.values())
    assert all("| " in table for table in simulation.tables(results).values())
