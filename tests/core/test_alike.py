"""Texts that look the same: one look for what differs in characters alone, several for what a reader tells apart."""

from __future__ import annotations

import pytest

from pytest_pluralism.core.alike import differing, look, look_alikes

SAME = {
    "no-break space": ("North America", "North\u00a0America"),
    "thin space": ("North America", "North\u2009America"),
    "trailing blank": ("North", "North "),
    "zero width space": ("North", "No\u200brth"),
    "joiner": ("North", "Nor\u200dth"),
    "byte order mark": ("North", "\ufeffNorth"),
    "soft hyphen": ("North", "Nor\u00adth"),
    "variation selector": ("North", "North\ufe0f"),
    "grapheme joiner": ("North", "North\u034f"),
    "Hangul filler": ("North", "North\u3164"),
    "tag": ("North", "North\U000e0041"),
    "override": ("North", "\u202eNorth\u202c"),
    "isolate": ("North", "\u2066North\u2069"),
    "composed": ("C\u00f4te", "Co\u0302te"),
    "Cyrillic": ("Scope", "S\u0441\u043ep\u0435"),
    "Cyrillic capital": ("HAT", "\u041dAT"),
    "Greek": ("North", "N\u03bfrth"),
    "Armenian": ("North", "N\u0585rth"),
    "Cherokee": ("Data", "\u13a0ata"),
    "wide": ("North", "\uff2e\uff4f\uff52\uff54\uff48"),
    "mathematical": ("North", "\U0001d40dorth"),
    "ligature": ("office", "o\ufb03ce"),
    "apostrophe": ("don't", "don\u2019t"),
    "dash": ("18-29", "18\u201329"),
}


@pytest.mark.parametrize(("text", "other"), SAME.values(), ids=SAME)
def test_texts_that_look_the_same_have_one_look(text: str, other: str) -> None:
    assert look(text) == look(other)
    assert look_alikes([text, "South", other]) == {other: text}
    assert differing(other, text)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("North", "north"),
        ("10 m\u00b2", "10 m2"),
        ("\u2460", "1"),
        ("resume", "r\u00e9sum\u00e9"),
        ("18-29", "1829"),
        ("\u0432\u043e\u0434\u0430", "\u0432\u043e\u0434\u044b"),
        # The flags of England and Scotland differ by tags alone.
        ("\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e", "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063"),
        ("Niger", "Nigeria"),
    ],
)
def test_texts_that_a_reader_tells_apart_have_two(text: str, other: str) -> None:
    assert look(text) != look(other)
    assert not look_alikes([text, other])


def test_equal_texts_are_not_alike_but_one() -> None:
    assert not look_alikes(["a", "a"])
