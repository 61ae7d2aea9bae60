"""Three hundred dirty variants of ten good files: read rightly, or refused with the place; none is read as another.

One generator makes all of them. The quick suite takes every seventh; ``slow`` takes them all.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.core.errors import PluralismError
from pytest_pluralism.datasets import load_panel, load_survey, load_windows
from pytest_pluralism.datasets.steering.labels import read_labels
from pytest_pluralism.datasets.windows.representation import read_ratings
from pytest_pluralism.datasets.windows.responses import read_responses

#: The names that a dirty byte is put into: with an accent, so that encodings matter.
CITY = "Málaga"

Rows = list[list[str]]

#: Variants of a vote that is missing.
MISSING = ("a cell of NaN", "an empty cell of a number")

#: Variants of a text that people wrote.
TEXTS = ("decomposed accents", "a zero-width space in one name", "a mark of direction in one name")


def rows_of(text: str, sign: str = ",") -> Rows:
    return list(csv.reader(io.StringIO(text), delimiter=sign))


def written(rows: Rows, sign: str = ",", end: str = "\n", quoting: Any = csv.QUOTE_MINIMAL) -> str:
    stream = io.StringIO()
    csv.writer(stream, delimiter=sign, lineterminator=end, quoting=quoting).writerows(rows)
    return stream.getvalue()


@dataclass(frozen=True)
class Good:
    """A good file: its name, its text, how it is loaded, and the cells that are numbers and names."""

    name: str
    text: str
    load: Callable[[Path], Any]
    number: str
    sign: str = ""
    #: Variants that are read, and rightly have another content: a text is kept as it stands, an empty vote is missing.
    kept: tuple[str, ...] = ()


def surveys() -> dict[str, str]:
    head = ["question_id", "question", "option", "population", "probability", "n_respondents"]
    cells = [(q, o, p) for q in ("q1", "q2") for p in (CITY, "Vigo") for o in ("Yes, it is", "No")]
    long = [head] + [[q, f"Is it {q}?", o, p, "0.25" if o == "No" else "0.75", "1200"] for q, o, p in cells]
    lines = [
        {
            "question_id": q, "question": f"Is it {q}?", "options": ["Yes, it is", "No"],
            "distributions": [{"population": p, "probabilities": [0.75, 0.25], "n_respondents": 1200}
                              for p in (CITY, "Vigo")],
        }
        for q in ("q1", "q2")
    ]  # fmt: skip
    cross = [["question", "option", CITY, "Vigo"], *([q, o, a, b] for q in ("q1?", "q2?") for o, a, b in
             (("Yes, it is", "75", "25"), ("No", "25", "75")))]  # fmt: skip
    return {
        "long": written(long),
        "lines": "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines),
        "array": json.dumps(lines, ensure_ascii=False, indent=1),
        "cross": written(cross),
    }


def good_files() -> list[Good]:
    survey = surveys()
    votes = [["juror", "query", "utility", "group"], *([f"{CITY} {n}", q, f"0.{n}5", CITY] for n in range(3)
             for q in ("bus", "tram, or so"))]  # fmt: skip
    wide = [["juror", "group", "bus", "tram"], *([f"j{n}", CITY, f"0.{n}5", f"0.{n}"] for n in range(1, 4))]
    windows = [["query_id", "query", "answer", "support"], *([q, f"Should {q}, in {CITY}?", a, "0.25"] for q in
               ("tips", "dogs") for a in ("Yes, always.", "No."))]  # fmt: skip
    responses = "".join(
        json.dumps({"query_id": q, "response": f"It is so in {CITY}, {n}."}, ensure_ascii=False) + "\n"
        for q in ("tips", "dogs")
        for n in range(2)
    )
    labels = [["attribute", "question_id", "response", "label"], *([CITY, q, f"So, {n}.", "0.25"] for q in ("a", "b")
              for n in range(2))]  # fmt: skip
    ratings = [["question_id", "cluster", "rating", "respondent"], *([q, CITY, "4.25", f"r{n}"] for q in ("a", "b, c")
               for n in range(2))]  # fmt: skip
    return [
        Good("long.csv", survey["long"], load_survey, "0.75", ","),
        Good("lines.jsonl", survey["lines"], load_survey, "0.75"),
        Good("array.json", survey["array"], load_survey, "0.75"),
        Good("cross.csv", survey["cross"], load_survey, "75", ","),
        Good("votes.tsv", written(votes, "\t"), load_panel, "0.15", "\t", (*MISSING, "a quote that does not end")),
        Good("wide.csv", written(wide), load_panel, "0.15", ",", MISSING),
        Good("windows.csv", written(windows), load_windows, "0.25", ",", (*TEXTS, "an empty cell of a number")),
        Good("said.jsonl", responses, read_responses, "tips", "", TEXTS),
        Good("labels.csv", written(labels), read_labels, "0.25", ",", ("an empty cell of a number",)),
        Good("ratings.csv", written(ratings), read_ratings, "4.25", ",", ("a negative number",)),
    ]


#: Variants that say the same: they are read as the good file, or refused.
SAME: dict[str, Callable[[Good], str | bytes]] = {
    "a byte order mark": lambda good: good.text.encode("utf-8-sig"),
    "CRLF": lambda good: good.text.replace("\n", "\r\n"),
    "a byte order mark and CRLF": lambda good: good.text.replace("\n", "\r\n").encode("utf-8-sig"),
    "CR alone": lambda good: good.text.replace("\n", "\r"),
    "mixed ends of lines": lambda good: good.text.replace("\n", "\r\n", 2),
    "no end of the last line": lambda good: good.text.rstrip("\n"),
    "blank lines at the end": lambda good: good.text + "\n\n  \n",
    "a blank line in the middle": lambda good: good.text.replace("\n", "\n\n", 2),
    "blank lines at the beginning": lambda good: "\n\n" + good.text,
    "UTF-16": lambda good: good.text.encode("utf-16"),
    "UTF-16 without a mark": lambda good: good.text.encode("utf-16-le"),
    "Latin-1": lambda good: good.text.encode("latin-1"),
    "CP1252": lambda good: good.text.replace("'", "’").encode("cp1252"),
    "a NUL at the end": lambda good: good.text.encode() + b"\x00",
    "decomposed accents": lambda good: good.text.replace("á", "a\u0301"),
    "a zero-width space in one name": lambda good: good.text.replace(CITY, f"{CITY}\u200b", 1),
    "a mark of direction in one name": lambda good: good.text.replace(CITY, f"\u202a{CITY}", 1),
    "a hard space behind a number": lambda good: _at_number(good, "{}\u00a0"),
}

#: Variants that say something wrong: they are refused.
WRONG: dict[str, Callable[[Good], str | bytes]] = {
    "cut in the middle": lambda good: good.text[: len(good.text) * 2 // 3].rsplit(",", 1)[0],
    "a cell of NaN": lambda good: _at_number(good, "NaN"),
    "a cell of inf": lambda good: _at_number(good, "inf"),
    "a negative number": lambda good: _at_number(good, "-{}"),
    "a number with letters": lambda good: _at_number(good, "{}x"),
}

#: Variants of tables alone, which say the same.
TABLES_SAME: dict[str, Callable[[Good], str]] = {
    "everything quoted": lambda good: written(rows_of(good.text, good.sign), good.sign, quoting=csv.QUOTE_ALL),
    "semicolons": lambda good: written(rows_of(good.text, good.sign), ";"),
    "bars": lambda good: written(rows_of(good.text, good.sign), "|"),
    "blanks around cells": lambda good: _each_cell(good, lambda cell: f" {cell} "),
    "decimal commas": lambda good: _each_cell(good, lambda cell: re.sub(r"^(\d+)\.(\d+)$", r"\1,\2", cell)),
    "decimal commas and semicolons": lambda good: written(
        [[re.sub(r"^(\d+)\.(\d+)$", r"\1,\2", cell) for cell in row] for row in rows_of(good.text, good.sign)], ";"
    ),
    "a comma behind each row": lambda good: good.text.replace("\n", f"{good.sign}\n"),
    "names of columns in capitals": lambda good: _header(good, str.upper),
}

#: Variants of tables alone, which say something wrong.
TABLES_WRONG: dict[str, Callable[[Good], str]] = {
    "a row that is too short": lambda good: _row(good, 2, lambda row: row[:-1]),
    "a row that is too long": lambda good: _row(good, 2, lambda row: [*row, "more"]),
    "a column twice": lambda good: _header(
        good, lambda name: "question_id" if name == "question_id" else name, twice=True
    ),
    "a quote that does not end": lambda good: good.text.replace(
        f"\n{good.text.splitlines()[2][:2]}", f'\n"{good.text.splitlines()[2][:2]}', 1
    ),
    "an empty cell of a number": lambda good: _at_number(good, ""),
}


def _at_number(good: Good, form: str) -> str:
    return re.sub(rf"(?<![\w.]){re.escape(good.number)}(?![\w.])", form.format(good.number), good.text, count=1)


def _each_cell(good: Good, change: Callable[[str], str]) -> str:
    head, *rows = rows_of(good.text, good.sign)
    return written([head, *([change(cell) for cell in row] for row in rows)], good.sign)


def _header(good: Good, change: Callable[[str], str], *, twice: bool = False) -> str:
    head, *rows = rows_of(good.text, good.sign)
    head = [change(name) for name in head]
    if twice:
        head, rows = [*head, head[0]], [[*row, row[0]] for row in rows]
    return written([head, *rows], good.sign)


def _row(good: Good, number: int, change: Callable[[list[str]], list[str]]) -> str:
    rows = rows_of(good.text, good.sign)
    rows[number] = change(rows[number])
    return written(rows, good.sign)


def variants() -> Iterator[tuple[str, Good, bytes, bool]]:
    """Yield each variant: its name, the good file, the bytes, and whether it says the same."""
    for good in good_files():
        found: dict[str, tuple[str | bytes, bool]] = {}
        found |= {name: (change(good), True) for name, change in SAME.items()}
        if not good.name.startswith("said"):
            found |= {name: (change(good), False) for name, change in WRONG.items()}
        if good.sign:
            found |= {name: (make(good), True) for name, make in TABLES_SAME.items()}
            found |= {name: (make(good), False) for name, make in TABLES_WRONG.items()}
        else:
            found |= {
                "an emoji in one name": (good.text.replace(CITY, f"{CITY} \U0001f642"), True),
                "a comma too many": (good.text.replace("}", ",}", 1), False),
                "a field twice": (good.text.replace('"quer', '"query_id": "x", "quer', 1).replace(
                    '"question_id"', '"question_id": "x", "question_id"', 1), False),
                "quotes of a word processor": (good.text.replace('"', "“", 1), False),
                "single quotes": (good.text.replace('"', "'"), False),
            }  # fmt: skip
        for name, (content, same) in found.items():
            yield f"{good.name}: {name}", good, content.encode() if isinstance(content, str) else content, same


VARIANTS = list(variants())

#: The places of problems: a line, a row, an entry, an object; or the whole file, which has one encoding.
PLACE = re.compile(r"line \d+|row \d+|entry \d+|UTF-16|is binary|column '|question '|query '|which begins with '")


def content_of(data: Any) -> Any:
    """Return what tells two data sets apart."""
    return data.sha256


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("good")
    found = {}
    for good in good_files():
        path = folder / good.name
        path.write_text(good.text, encoding="utf-8", newline="")
        found[good.name] = content_of(good.load(path))
    return found


def looked_at(tmp_path: Path, known: dict[str, Any], variant: tuple[str, Good, bytes, bool]) -> str:
    """Return what became of a variant: ``read``, ``refused``, or what is wrong with it."""
    name, good, content, same = variant
    path = tmp_path / good.name
    path.write_bytes(content)
    try:
        data = good.load(path)
    except PluralismError as error:
        return "refused" if PLACE.search(str(error)) else f"{name}: refused without a place: {error}"
    if "emoji" in name:
        return "read" if content_of(data) != known[good.name] else f"{name}: the emoji is gone"
    if name.removeprefix(f"{good.name}: ") in good.kept:
        return "read" if content_of(data) != known[good.name] else f"{name}: the text has changed"
    if not same:
        return f"{name}: read, though it is wrong"
    return "read" if content_of(data) == known[good.name] else f"{name}: read as something else"


def test_there_are_three_hundred() -> None:
    assert len(VARIANTS) >= 300
    assert len(good_files()) == 10
    assert len({name for name, *_ in VARIANTS}) == len(VARIANTS)


@pytest.mark.parametrize("variant", VARIANTS[::7], ids=[name for name, *_ in VARIANTS[::7]])
def test_some_variants(tmp_path: Path, known: dict[str, Any], variant: tuple[str, Good, bytes, bool]) -> None:
    assert looked_at(tmp_path, known, variant) in ("read", "refused")


@pytest.mark.slow
def test_all_variants(tmp_path: Path, known: dict[str, Any]) -> None:
    found = [looked_at(tmp_path, known, variant) for variant in VARIANTS]
    assert [one for one in found if one not in ("read", "refused")] == []
    # Reading must not be refusing: what only looks different is read.
    assert found.count("read") >= 90
