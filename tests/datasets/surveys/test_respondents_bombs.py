"""Files of respondents of which a few bytes stand for very much: they are read or refused within seconds."""

from __future__ import annotations

import gzip
import time
import zipfile
from pathlib import Path

import pytest

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.datasets.surveys.respondent_files import Respondents, read_respondents


def read(path: Path) -> Respondents:
    begun = time.process_time()
    try:
        return read_respondents(path, lambda _: ["a"])
    finally:
        assert time.process_time() - begun < 10


def sheet(path: Path, rows: str, size: str = "A1:B2", padding: int = 0) -> Path:
    """Write an Excel file whose rows and whose size are as given."""
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    book = openpyxl.Workbook()
    for cells in (["a", "b"], ["x", "y"]):
        book.active.append(cells)
    book.save(path)
    with zipfile.ZipFile(path) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            if name.endswith("sheet1.xml"):
                text = content.decode().replace('ref="A1:B2"', f'ref="{size}"')
                content = text.replace("</sheetData>", f"{rows}{' ' * padding}</sheetData>").encode()
            packed.writestr(name, content)
    return path


LAST = '<row r="1048576"><c r="A1048576" t="inlineStr"><is><t>z</t></is></c></row>'


@pytest.mark.parametrize("size", ["A1", "A1:B2", "A1:XFD1048576"])
def test_a_sheet_holds_what_it_holds_whatever_size_it_declares(tmp_path: Path, size: str) -> None:
    assert read(sheet(tmp_path / "s.xlsx", "", size)).variables["a"].values == ("x",)
    far = read(sheet(tmp_path / "far.xlsx", LAST, size))
    assert (far.n_rows, far.variables["a"].values) == (2, ("x", "z"))


@pytest.mark.slow
@pytest.mark.parametrize("size", ["A1:B2", "A1:XFD1048576"])
def test_rows_of_thousands_of_empty_cells_are_bounded(tmp_path: Path, size: str) -> None:
    rows = "".join(f'<row r="{n}"><c r="XFD{n}"><v>1</v></c></row>' for n in range(3, 100_000))
    with pytest.raises(DatasetError, match="the sheet has more than 20,000,000 cells"):
        read(sheet(tmp_path / "s.xlsx", rows, size))


def test_a_table_may_begin_anywhere_in_its_sheet(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    book = openpyxl.Workbook()
    for place, value in (("C3", "a"), ("D3", "b"), ("C4", "x"), ("D4", "y"), ("C6", "z")):
        book.active[place] = value
    book.save(tmp_path / "s.xlsx")
    found = read(tmp_path / "s.xlsx")
    assert (found.columns, found.n_rows, found.variables["a"].values) == (("a", "b"), 2, ("x", "z"))


@pytest.mark.slow
def test_an_excel_file_that_unpacks_to_very_much_is_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="bytes when decompressed; at most 268,435,456 are read"):
        read(sheet(tmp_path / "s.xlsx", "", padding=1 << 28))


@pytest.mark.slow
def test_a_table_that_unpacks_to_very_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "people.csv.gz"
    with gzip.open(path, "wb", 1) as stream:
        stream.write(b"a,b\n")
        for _ in range(1 << 10):
            stream.write(b"1,2\n" * (1 << 18))
    with pytest.raises(DatasetError, match="holds more than 1,073,741,824 bytes when decompressed"):
        read(path)


@pytest.mark.parametrize("keep", [0, 12, -3])
def test_a_table_that_is_cut_off_is_not_a_whole_gzip_file(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "people.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n")[:keep] or b"no")
    with pytest.raises(DatasetError, match="is not a whole gzip file"):
        read(path)


@pytest.mark.whole
def test_a_table_of_too_many_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(",".join(f"c{n}" for n in range(60_000)) + "\n1\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="has more than 50,000 columns"):
        read(path)
    names = [f"c{n}" for n in range(40_000)]
    path.write_text(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="lacks the column 'a'"):
        read(path)


def test_parquet_that_repeats_one_text_keeps_it_once(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    column = arrow.DictionaryArray.from_arrays(
        arrow.array([0] * 2_000_000, arrow.int32()), arrow.array(["x" * 100_000])
    )
    path = tmp_path / "people.parquet"
    # Two million texts of a hundred thousand letters, in some kilobytes.
    parquet.write_table(arrow.table({"a": column}), path, store_schema=False)
    assert path.stat().st_size < 200_000
    found = read(path)
    assert (found.n_rows, len(found.variables["a"].values)) == (2_000_000, 1)
