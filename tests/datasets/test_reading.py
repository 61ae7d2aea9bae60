"""Reading files and fields: problems are bounded, tables of fields make records, and bombs cost little."""

from __future__ import annotations

import gzip
import json
import re
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.datasets import load_panel, load_survey, load_windows
from pytest_pluralism.datasets import reading as reading_module
from pytest_pluralism.datasets.fields import ANYTHING, Field, Fields, number, one_of, text, texts
from pytest_pluralism.datasets.reading import Problems, json_document, json_lines, read_table
from pytest_pluralism.datasets.steering.file import load_steering
from pytest_pluralism.datasets.steering.labels import read_labels
from pytest_pluralism.datasets.steering.trade_offs import load_trade_offs
from pytest_pluralism.datasets.windows.representation import read_ratings
from pytest_pluralism.datasets.windows.responses import read_responses

READERS: list[Callable[[Any], Any]] = [
    load_survey, load_panel, load_windows, read_labels, load_trade_offs, read_ratings, read_responses,
    lambda path: load_steering(str(path)),
]  # fmt: skip


@dataclass(frozen=True)
class Person:
    """A record to read."""

    name: str
    age: float | None
    kind: str
    called: tuple[str, ...]


PERSON = Fields(
    Person,
    Field("name", text(), required=True),
    Field("age", number("a number from 0", low=0.0)),
    Field("type", one_of(("child", "adult")), default="adult", attribute="kind"),
    Field("called", texts(), default=()),
    also=("note",),
)


def problems_of(entry: Any, fields: Fields[Any] = PERSON) -> list[str]:
    problems = Problems("people")
    assert fields.read(entry, "line 3", problems) is None
    return problems.found


def test_a_table_of_fields_makes_a_record() -> None:
    problems = Problems("people")
    entry = {"name": " Ana ", "age": 3, "type": "child", "called": ["A. "], "note": 1, "colour": "red"}
    assert PERSON.read(entry, "line 1", problems) == Person("Ana", 3.0, "child", ("A.",))
    assert PERSON.read({"name": "Bo", "age": None}, "line 2", problems) == Person("Bo", None, "adult", ())
    assert not problems.count


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ([1], ["line 3: must be an object with 'name', not an array"]),
        ({}, ["line 3: lacks 'name' (it has nothing)"]),
        ({"nmae": "x"}, ["line 3: unknown field 'nmae'; did you mean 'name'?"]),
        ({"name": None}, ["line 3: 'name' must be a non-empty string, not nothing"]),
        ({"name": "x", "age": True}, ["line 3: 'age' must be a number from 0, not True"]),
        ({"name": "x", "age": 10**400}, ["line 3: 'age' must be a number from 0, not 1"]),
        ({"name": "", "type": "adlut"}, ["'name' must", "one of 'child', 'adult', not 'adlut'; did you mean 'adult'?"]),
        ({"name": "x", "called": "y"}, ["line 3: 'called' must be a list of strings, not 'y'"]),
        ({"name": "x", "called": [""]}, ["line 3: 'called' must be strings that are not empty, not ''"]),
        ({"name": "\ud800"}, ["line 3: 'name' holds half of a surrogate pair"]),
        ({"name": "x" * 1_000_001}, ["line 3: 'name' has 1,000,001 characters; at most 1,000,000 are read"]),
    ],
)
def test_a_problem_has_place_field_value_and_what_it_must_be(entry: Any, said: list[str]) -> None:
    found = problems_of(entry)
    assert len(found) == len(said)
    for problem, part in zip(found, said, strict=True):
        assert part in problem


def test_a_strict_table_refuses_every_unknown_field() -> None:
    strict = Fields(dict, Field("name", ANYTHING), strict=True)
    assert problems_of({"colour": 1}, strict) == ["line 3: unknown field 'colour'; the fields are 'name'"]


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_is_wrong_on_every_line_is_read_to_the_hundredth_problem(
    tmp_path: Path, read: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []
    parse = json.loads

    def counting(line: str, **keywords: Any) -> Any:
        parsed.append(line)
        return parse(line, **keywords)

    monkeypatch.setattr(reading_module.json, "loads", counting)
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"x": 1}\n' * 20_000))
    with pytest.raises(DatasetError, match="has at least 100 problems") as raised:
        read(path)
    # A problem that every line has is one line.
    assert re.search(r"\(and \d\d more like it, such as .*line \d", str(raised.value))
    # A steering file is searched for what it is first.
    assert len(parsed) <= 10_100
    assert len(str(raised.value)) < 12_000


@pytest.mark.parametrize("read", READERS)
def test_lines_objects_and_values_are_bounded(
    tmp_path: Path, read: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_module, "MOST_LINES", 50)
    monkeypatch.setattr(reading_module, "MOST_PARTS", 100)
    path = tmp_path / "lines.jsonl"
    path.write_text("\n" * 51 + "{}", encoding="utf-8")
    with pytest.raises(DatasetError, match="holds more than 50 lines; split the file"):
        read(path)
    path = tmp_path / "array.json"
    path.write_text("[" + "{}," * 100 + "{}]", encoding="utf-8")
    with pytest.raises(DatasetError, match="holds more than 100 objects or 20,000,000 values; split the file"):
        read(path)


def test_a_long_line_and_a_long_problem_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_module, "MOST_PARTS", 100)
    problems = Problems("x")
    assert list(json_lines("[" * 200, problems)) == []
    assert problems.found == [
        "line 1: cannot be read: holds more than 100 objects or 20,000,000 values; split the file"
    ]
    problems.add("line 2", "y" * 5_000)
    assert len(problems.found[1]) == 1_000


def test_a_repeated_field_is_found_in_one_pass() -> None:
    names = ",".join(f'"{n}": 1' for n in range(200_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with pytest.raises(DatasetError, match="field '7' appears twice in one object"):
        json_document("{" + names + ', "7": 1}', Path("x.json"))
    # Counting each name took minutes.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 10.0


def test_tables_of_any_line_end_and_with_blank_lines() -> None:
    for text_ in ("\r\na, b \r\n1,2\r\n\r\n3,4", "a,b\n1,2\n\n3,4\n", "a,b\r1,2\r3,4\r"):
        problems = Problems("t")
        table = read_table(text_, problems)
        assert table.columns == ("a", "b")
        assert [cells for _, cells in table.rows] == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
        assert not problems.count
    assert [where for where, _ in read_table('a,b\n"1\n",2\n3,4', Problems("t")).rows] == ["line 3", "line 4"]
