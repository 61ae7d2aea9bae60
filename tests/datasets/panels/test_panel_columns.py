"""Columns of a panel's table that may mean several things: an error names them, and the line to paste."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.datasets.panels.columns import looks_like_weight
from pytest_pluralism.datasets.panels.loading import load_panel
from pytest_pluralism.datasets.panels.records import Panel, UtilityScale

STARS = UtilityScale(1, 5, levels=5)
RATINGS = {"juror": "rater", "query": "note", "utility": "level", "query_text": "summary"}


def table(tmp_path: Path, text: str, name: str = "panel.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def problem(path: Path, **keywords: Any) -> str:
    with pytest.raises(DatasetError) as raised:
        load_panel(path, **keywords)
    return str(raised.value)


def pasted(message: str) -> dict[str, Any]:
    """Return the ``columns=`` that an error offers."""
    found = re.search(r"columns=(\{.*?\})(?= |,|$)", message)
    assert found is not None, message
    return ast.literal_eval(found.group(1))


def column_means(panel: Panel) -> list[float]:
    return np.nanmean(panel.matrix(), axis=0).round(9).tolist()


# ----------------------------------------------------------------------------------------------------------- quotes


def rows_of_notes(texts: list[str]) -> str:
    lines = [f"r{rater}\tn{note}\t{5 - note}\t{text}" for rater in range(12) for note, text in enumerate(texts)]
    return "\n".join(["rater\tnote\tlevel\tsummary", *lines]) + "\n"


@pytest.mark.parametrize(
    ("texts", "read"),
    [
        (['"Doors and windows', 'a screen of 5"', "plain"], ['"Doors and windows', 'a screen of 5"', "plain"]),
        (['"Tax more" he said', "plain", "end"], ['"Tax more" he said', "plain", "end"]),
        # Every cell with a quote is quoted whole, as R and pandas write them.
        (['"Doors, and windows"', '"she said ""no"""', "plain"], ["Doors, and windows", 'she said "no"', "plain"]),
    ],
)
def test_quotes_in_a_table_with_tabs_swallow_no_row(tmp_path: Path, texts: list[str], read: list[str]) -> None:
    path = table(tmp_path, rows_of_notes(texts), "notes.tsv")
    panel = load_panel(path, columns=RATINGS, scale=STARS)
    assert panel.n_votes == 36
    assert [query.text for query in panel.queries] == read
    assert column_means(panel) == [1.0, 0.8, 0.6]
    assert "; 36 votes read" in panel.source


def test_a_quoted_line_feed_or_tab_in_a_table_with_tabs_is_an_error(tmp_path: Path) -> None:
    for cell in ('"two\nlines"', '"a\ttab"'):
        message = problem(table(tmp_path, rows_of_notes([cell, "plain"]), "notes.tsv"), columns=RATINGS, scale=STARS)
        assert ": must have 4 columns like the header, not " in message
        assert "a cell holds neither tabs nor line feeds" in message


def test_a_query_with_two_texts_is_warned_of(tmp_path: Path) -> None:
    text = "rater\tnote\tlevel\tsummary\nr0\tn0\t1\tone\nr1\tn0\t2\tother\nr1\tn1\t2\tthree\n"
    (warning,) = load_panel(table(tmp_path, text, "notes.tsv"), columns=RATINGS, scale=STARS).warnings
    assert "1 of 2 queries have several texts in the table, and the first is kept ('n0' differs at line 3)" in warning


def test_votes_that_are_missing_are_counted(tmp_path: Path) -> None:
    panel = load_panel(table(tmp_path, "juror,query,utility\na,q,0.5\nb,q,\na,r,NA\nb,r,1\n"))
    assert panel.source == "file panel.csv; 2 votes read, 2 missing"


# ---------------------------------------------------------------------------------------------------------- weights

WEIGHTS = [
    "Weight", "WEIGHT", "weights", "wt", "WT", "wgt", "wts", "pspwght", "pweight", "anweight", "dweight", "wtssall",
    "WTSSPS", "finalwgt", "fnlwgt", "perwt", "sampling_weight", "Sample weight", "weight_final", "weight2", "Gewicht",
]  # fmt: skip


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("wide", [False, True])
def test_a_column_that_may_be_weights_is_an_error_with_the_line_to_paste(tmp_path: Path, name: str, wide: bool) -> None:
    long = f"juror,query,utility,ward,{name}\na,q,0.2,n,1\na,r,0.2,n,1\nb,q,0.8,s,3\nb,r,0.8,s,3\n"
    text = f"juror,{name},q,r\na,1,0.2,0.2\nb,3,0.8,0.8\n" if wide else long
    message = problem(table(tmp_path, text))
    assert f"line 1: column {name!r} may be the jurors' weights" in message
    columns = pasted(message)
    panel = load_panel(table(tmp_path, text), columns=columns)
    assert panel.weights.tolist() == [1.0, 3.0]
    assert panel.attributes == (() if wide else ("ward",))
    assert column_means(panel) == [0.5, 0.5]
    # The other way is open, too: a group of that name.
    columns = {part: column for part, column in columns.items() if part != "weight"} | {"groups": [name]}
    assert load_panel(table(tmp_path, text), columns=columns).groups(name) == ("1", "3")


@pytest.mark.parametrize(
    "name", ["newt", "growth", "overweight", "height", "ward", "two", "Should the weight limit rise?"]
)
def test_other_names_are_not_weights(name: str) -> None:
    assert not looks_like_weight(name)


@pytest.mark.parametrize("name", ["wt", "Weight", "sampling_weight", "wgt", "wieght"])
def test_a_field_of_json_that_may_be_a_weight_is_an_error(tmp_path: Path, name: str) -> None:
    text = f'{{"juror": "a", "{name}": 9}}\n{{"juror": "a", "query": "q", "utility": 1}}\n'
    message = problem(table(tmp_path, text, "panel.jsonl"))
    assert "line 1: " in message
    assert f"{name!r}" in message
    assert "'weight'" in message


def test_weights_that_a_table_of_ratings_leaves_out_are_warned_of(tmp_path: Path) -> None:
    path = table(tmp_path, "user,prompt,stars,pspwght\na,p,1,9\nb,p,0,1\n")
    columns = {"juror": "user", "query": "prompt", "utility": "stars"}
    (warning,) = load_panel(path, columns=columns).warnings
    assert "'pspwght' looks like the jurors' weights and is not read" in warning
    assert load_panel(path, columns=columns | {"weight": None}).warnings == ()
    assert load_panel(path, columns=columns | {"weight": "pspwght"}).weights.tolist() == [9.0, 1.0]


# --------------------------------------------------------------------------------------------------- votes and groups


def test_columns_of_0_and_1_beside_finer_votes_are_an_error(tmp_path: Path) -> None:
    path = table(tmp_path, "juror,female,urban,q1,q2\na,0,1,0.8,0.4\nb,1,1,0.6,0.2\nc,1,,0.7,0.3\n")
    message = problem(path)
    assert "columns 'female', 'urban' hold 0 and 1 alone" in message
    assert "'attribute:female'" in message
    panel = load_panel(path, columns=pasted(message))
    assert [query.query_id for query in panel.queries] == ["q1", "q2"]
    assert panel.groups("female") == ("0", "1", "1")
    assert panel.groups("urban") == ("1", "1", "unknown")
    # Votes of 0 and 1 are read where somebody says that they are votes.
    everything = {"juror": "juror", "votes": ["female", "urban", "q1", "q2"]}
    assert len(load_panel(path, columns=everything).queries) == 4


@pytest.mark.parametrize(
    ("text", "scale", "names"),
    [
        ("juror,young,q\na,0,5\nb,1,3\n", UtilityScale(0, 5, levels=6), ["young"]),
        ("juror,female,q\na,0,-1\nb,1,1\n", UtilityScale(-1, 1, levels=3), ["female"]),
        ("juror,q1,q2\na,0,-1\nb,1,1\n", UtilityScale(-1, 1, levels=3), []),
        ("juror,q1,q2\na,0,1\nb,1,1\n", UtilityScale(0, 1, levels=2), []),
        ("juror,q1,q2\na,1,1\nb,1,4\n", STARS, []),
    ],
)
def test_whether_0_and_1_are_votes_depends_on_the_scale(
    tmp_path: Path, text: str, scale: UtilityScale, names: list[str]
) -> None:
    path = table(tmp_path, text)
    if names:
        assert f"columns {names[0]!r} hold 0 and 1 alone" in problem(path, scale=scale)
    else:
        assert len(load_panel(path, scale=scale).queries) == 2


@pytest.mark.parametrize(
    "header",
    ["Cut taxes and/or fees", "Trains/buses", "Ask him/her,Tell him/them", "a/b/c,a/d/c"],
)
def test_a_slash_that_may_be_part_of_a_text_is_an_error(tmp_path: Path, header: str) -> None:
    names = header.split(",")
    path = table(tmp_path, f"juror,{header}\na,{','.join('0.5' for _ in names)}\n")
    message = problem(path)
    assert "the slash in" in message
    panel = load_panel(path, columns=pasted(message))
    assert [query.query_id for query in panel.queries] == names


def test_columns_name_votes_or_a_query_and_not_both(tmp_path: Path) -> None:
    path = table(tmp_path, "juror,q\na,1\n")
    for columns in (
        {"juror": "juror", "votes": "q"},
        {"juror": "juror", "votes": ["q"], "query": "q", "utility": "q"},
        {"votes": ["q"]},
    ):
        with pytest.raises(InvalidParameterError, match="columns"):
            load_panel(path, columns=columns)
    assert "lacks the column 'p'" in problem(path, columns={"juror": "juror", "votes": ["p"]})
