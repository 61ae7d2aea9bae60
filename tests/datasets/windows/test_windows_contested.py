"""The window set that comes with the package keeps what its page says of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_pluralism.core.records import Window
from pytest_pluralism.datasets.windows.loading import load_windows

WINDOWS = load_windows("contested").windows

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "windows.md"


def test_there_are_enough_of_each_kind() -> None:
    kinds = [window.kind for window in WINDOWS]
    assert kinds.count("contested") >= 24
    assert kinds.count("one_sided") + kinds.count("settled") >= 12


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.query_id)
def test_each_window_is_whole(window: Window) -> None:
    assert window.query.endswith("?")
    assert 3 <= len(window.reasonable) <= 6
    assert 1 <= len(window.unreasonable) <= 3
    assert len(window.stances) >= 2
    for answer in window.reasonable:
        assert 1 <= len(answer.paraphrases) <= 2
        assert answer.source
    for answer in (*window.reasonable, *window.unreasonable):
        for text in answer.texts:
            # A hypothesis of an entailment model is one sentence.
            assert re.fullmatch(r"[A-Z0-9][^.?!]*\.", text.replace("COVID-19", "COVID")), text


@pytest.mark.parametrize("window", [w for w in WINDOWS if w.kind == "contested"], ids=lambda window: window.query_id)
def test_a_contested_question_has_both_sides(window: Window) -> None:
    counts = {stance: sum(answer.stance == stance for answer in window.reasonable) for stance in window.stances}
    assert set(counts) <= {"for", "against", "depends"}
    assert {"for", "against"} <= set(counts)
    assert abs(counts["for"] - counts["against"]) <= 1


def test_the_page_names_every_query_and_its_source() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for window in WINDOWS:
        row = f"| `{window.query_id}` | {window.query} | {len(window.reasonable)} | {window.reasonable[0].source} |"
        assert row in page
