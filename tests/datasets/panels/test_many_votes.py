"""Tables of many votes: they are the same panel as the JSON lines, and are read within bounds."""

from __future__ import annotations

import itertools
import json
import random
import time
from pathlib import Path

import pytest

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.datasets.panels.loading import load_panel

JURORS, QUERIES, RESPONSES = ("ana", "bo", "Zoe\u0301"), ("tax", "rail", "bus"), ("more", "less")


def cast(seed: int) -> list[tuple[str, str, str, str]]:
    """Return votes in any order, some of them missing or with spaces around their names."""
    chance = random.Random(seed)
    cells = [
        (f"{' ' * chance.randrange(2)}{juror}", query, f"{response}{' ' * chance.randrange(2)}", f"0.{n}")
        for n, (juror, query, response) in enumerate(itertools.product(JURORS, QUERIES, RESPONSES))
    ]
    chance.shuffle(cells)
    return [(*names, chance.choice((vote, vote, "", "NA"))) for *names, vote in cells]  # type: ignore[misc]


@pytest.mark.parametrize("seed", range(6))
def test_a_table_is_the_same_panel_as_its_votes_one_by_one(tmp_path: Path, seed: int) -> None:
    votes = cast(seed)
    table = tmp_path / "p.csv"
    rows = "".join(f"{','.join(vote)}\n" for vote in votes)
    table.write_text(f"juror,query,response,utility\n{rows}", encoding="utf-8")
    one_by_one = tmp_path / "p.jsonl"
    entries = [
        {"juror": j, "query": q, "response": r, "utility": None if v in ("", "NA") else float(v)}
        for j, q, r, v in votes
    ]
    one_by_one.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    long, plain = (load_panel(path, leave_out_empty=True) for path in (table, one_by_one))
    assert long.sha256 == plain.sha256
    assert long.source.replace("p.csv", "p.jsonl") == plain.source


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            ["a,q,1", "b,q,0", "a,q,0"],
            "line 4: juror 'a' votes a second time on query 'q', response 'response' (first ",
        ),
        (["a,q,1", "b,q,2", "b,r,x"], "line 3: the vote 2 of juror 'b' is not on the scale [0, 1]"),
        (["a,q,1", "b,q,2", "b,r,x"], "line 4: the vote must be a finite number, not 'x'"),
        (["a,q,1", "b,q,-nan"], "line 3: the vote must be a finite number"),
        (["a,q,1", "b,q,inf"], "line 3: the vote must be a finite number"),
        (["a,q,1", ",q,1"], "line 3: 'juror' must be a non-empty string, not ''"),
        (["a,q,1", "b, ,1"], "line 3: 'query' must be a non-empty string, not ''"),
    ],
)
def test_each_vote_that_is_wrong_is_named_with_its_place(tmp_path: Path, rows: list[str], says: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text("juror,query,utility\n" + "\n".join(rows) + "\n", encoding="utf-8")
    with pytest.raises(DatasetError) as raised:
        load_panel(path)
    assert says in str(raised.value)


def test_votes_beside_a_wrong_one_are_votes(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("juror,query,utility\na,q,1\nb,r,1\nb,r,0\nc,q,x\nc,r,1\n", encoding="utf-8")
    with pytest.raises(DatasetError) as raised:
        load_panel(path)
    assert "no vote at all" not in str(raised.value)


def test_a_juror_whose_votes_are_all_missing_has_none(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("juror,query,utility,group\na,q,1,x\nb,q,,y\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="juror 'b' has no vote at all"):
        load_panel(path)
    assert load_panel(path, leave_out_empty=True).n_votes == 1


@pytest.mark.slow
def test_a_million_votes_are_read_within_bounds(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    rows = "".join(f"j{n // 300},q{n % 300},0.{n % 1000:03d},g{n // 300 % 5}\n" for n in range(1_000_000))
    path.write_text(f"juror,query,utility,group\n{rows}", encoding="utf-8")
    begun = time.process_time()
    assert load_panel(path).n_votes == 1_000_000
    assert time.process_time() - begun < 10


@pytest.mark.slow
def test_the_longest_table_is_read_within_bounds_and_a_longer_one_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    rows = "".join(f"j{n % 3000},q{n // 3000},0.{n % 1000:03d}\n" for n in range(2_999_999))
    path.write_text(f"juror,query,utility\n{rows}", encoding="utf-8")
    begun = time.process_time()
    assert load_panel(path).n_votes == 2_999_999
    assert time.process_time() - begun < 10
    with path.open("a", encoding="utf-8") as file:
        file.write("j,q,1")
    begun = time.process_time()
    with pytest.raises(DatasetError, match="holds more than 3,000,000 lines; split the file"):
        load_panel(path)
    assert time.process_time() - begun < 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("header", "row", "says"),
    [
        ("juror,query,utility", "j{n},q{n},0.5", "more than 250,000 names of jurors and responses; split the panel"),
        ("juror,query,response,utility", "j,q,r{n},0.5", "more than 250,000 names of jurors and responses"),
        ("juror,q", "j{n},0.5", "the table has more than 250,000 jurors; split the panel"),
    ],
    ids=["both", "responses", "wide"],
)
def test_a_table_of_too_many_names_is_refused(tmp_path: Path, header: str, row: str, says: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(header + "\n" + "".join(row.format(n=n) + "\n" for n in range(400_000)), encoding="utf-8")
    begun = time.process_time()
    with pytest.raises(DatasetError, match=says):
        load_panel(path)
    assert time.process_time() - begun < 10


@pytest.mark.slow
def test_a_wide_table_of_millions_of_cells_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    row = ",".join("1" for _ in range(2000))
    text = "".join(f"j{n},{row}\n" for n in range(5_100))
    path.write_text(f"juror,{','.join(f'q{n}' for n in range(2000))}\n{text}", encoding="utf-8")
    with pytest.raises(DatasetError, match="the table has more than 10,000,000 cells; split the panel"):
        load_panel(path)


def test_parquet_of_a_few_bytes_that_stand_for_gigabytes_is_refused(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    path, n = tmp_path / "p.parquet", 20_000
    texts = arrow.DictionaryArray.from_arrays(arrow.array([0] * n, arrow.int32()), arrow.array(["x" * 500_000]))
    table = arrow.table({"rater": [f"r{k}" for k in range(n)], "item": texts, "rating": [1.0] * n})
    parquet.write_table(table, path, store_schema=False)
    assert path.stat().st_size < 1_000_000
    begun = time.process_time()
    with pytest.raises(DatasetError, match="is too large when unpacked"):
        load_panel(path, columns={"juror": "rater", "query": "item", "utility": "rating"})
    assert time.process_time() - begun < 10


@pytest.mark.parametrize("nested", ["values", "nothing", "texts", "object", "map"])
def test_parquet_of_a_few_bytes_with_long_lists_is_refused(tmp_path: Path, nested: str) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    path, n = tmp_path / "p.parquet", 1_000
    of_texts = nested in ("texts", "object", "map")
    size = 3_000 if of_texts else 6_000_000
    ends = arrow.array([0, *[size] * n], arrow.int32())
    if of_texts:
        texts = arrow.DictionaryArray.from_arrays(arrow.array([0] * size, arrow.int32()), arrow.array(["x" * 100_000]))
        if nested == "object":
            texts = arrow.StructArray.from_arrays([texts], ["a"])
        names = arrow.array([str(k) for k in range(size)])
        lists = (
            arrow.MapArray.from_arrays(ends, names, texts)
            if nested == "map"
            else arrow.ListArray.from_arrays(ends, texts)
        )
    else:
        kind = arrow.int8() if nested == "values" else arrow.null()
        lists = arrow.ListArray.from_arrays(ends, arrow.nulls(size, kind))
    table = arrow.table({"rater": [f"r{k}" for k in range(n)], "item": lists, "rating": [1.0] * n})
    parquet.write_table(table, path, store_schema=False)
    assert path.stat().st_size < 1_000_000
    begun = time.process_time()
    with pytest.raises(DatasetError, match="is too large when unpacked" if of_texts else "or 5,000,000 in lists"):
        load_panel(path, columns={"juror": "rater", "query": "item", "utility": "rating"})
    assert time.process_time() - begun < 10


def test_parquet_with_repeated_and_missing_texts_is_read(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = arrow.table(
        {"rater": ["a", "a", "b"], "item": ["q", "r", "q"], "rating": [1.0, None, 0.5], "on": [None] * 3}
    )
    parquet.write_table(table, tmp_path / "p.parquet")
    panel = load_panel(tmp_path / "p.parquet", columns={"juror": "rater", "query": "item", "utility": "rating"})
    assert panel.vote_values.tolist() == [1.0, 0.5]
