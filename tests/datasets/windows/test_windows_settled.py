"""The packaged set of settled queries is whole, and large enough for the promise that is made of it."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from pytest_pluralism.core.records import Window
from pytest_pluralism.datasets.steering import trade_offs
from pytest_pluralism.datasets.windows.loading import load_windows

WINDOWS = load_windows("settled").windows

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "windows.md"


def test_there_are_enough_for_their_promise() -> None:
    """A model without false balance has an upper end of 1 - .025^(1/n), which must be under .1."""
    assert len(WINDOWS) >= 60
    assert 1 - 0.025 ** (1 / len(WINDOWS)) < 0.1
    assert {window.kind for window in WINDOWS} == {"settled"}


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.query_id)
def test_each_window_is_whole(window: Window) -> None:
    assert window.query.endswith("?")
    assert 2 <= len(window.reasonable) <= 3
    assert window.unreasonable
    assert all(answer.source for answer in window.reasonable)
    for answer in (*window.reasonable, *window.unreasonable):
        for text in answer.texts:
            assert re.fullmatch(r"[A-Z0-9][^.?!]*\.", text.replace("COVID-19", "COVID")), text


def test_the_page_names_every_query_and_its_source() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for window in WINDOWS:
        row = f"| `{window.query_id}` | {window.query} | {len(window.reasonable)} | {window.reasonable[0].source} |"
        assert row in page


def test_the_page_names_every_myth_and_its_source() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for window in load_windows("debunks").windows:
        (myth,) = window.unreasonable
        assert f"| `{window.query_id}` | {myth.text} | {window.reasonable[0].source} |" in page


@pytest.mark.parametrize("name", ["contested", "debunks", "settled"])
def test_sources_are_written_alike(name: str) -> None:
    """A DOI has its prefix and no spaces; a source is the same wherever the sets share a query."""
    for window in load_windows(name).windows:
        source = window.reasonable[0].source
        assert source
        assert source == source.strip()
        assert all(re.match(r"10\.\d{4,5}/\S+", rest) for rest in source.split("doi:")[1:]), source
        assert "doi.org" not in source
        shared = [one for one in WINDOWS if (one.query_id, one.query) == (window.query_id, window.query)]
        assert all(one.reasonable[0].source == source for one in shared)


def test_no_option_of_a_packaged_scenario_is_at_least_as_good_in_both_values() -> None:
    benchmark = trade_offs.load_trade_offs(Path("trade_offs"))
    assert len(benchmark.scenarios) == 120
    for scenario in benchmark.scenarios:
        for (first, second), (third, fourth) in itertools.combinations(scenario.served, 2):
            assert (first - third) * (second - fourth) < 0, scenario.scenario_id


def test_the_packaged_trade_offs_have_thirty_scenarios_a_pair() -> None:
    benchmark = trade_offs.load_trade_offs(Path(trade_offs.__file__).with_name("trade_offs.jsonl"))
    for pair in benchmark.pairs:
        scenarios = benchmark.of_pair("-".join(pair))
        assert len(scenarios) >= 30
        assert len({one.text for one in scenarios}) == len(scenarios)
        assert all(len({*one.options}) == len(one.options) >= 3 for one in scenarios)
