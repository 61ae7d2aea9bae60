"""The table of verdicts at the end of a run, as lines of plain text that fit the terminal."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence

from pytest_pluralism.core.untrusted import printable, without_commands
from pytest_pluralism.core.words import words_for
from pytest_pluralism.evaluation.measures.registry import measure_of
from pytest_pluralism.report.alike import alike_lines, told_apart
from pytest_pluralism.report.cells import Entry, estimate_words, interval_cell, outcome_of, promise_cell

__all__ = ["summary_lines"]

#: Below these widths the table leaves out its rules, and the reference value.
_NARROW = 72
_WIDE = 110

#: The colours that pytest gives to the outcomes of tests.
_STYLES = {"PASSED": "green", "STORED": "green", "FAILED": "bold red", "ERROR": "bold red", "INCONCLUSIVE": "yellow"}

#: The bounds on a change.
CHANGES = {"max_increase", "max_decrease", "max_change", "max_drift"}

#: The least width of the name of a measure, so that it wraps between words.
LEAST_NAME = 15

#: The blanks between two columns.
_GAP = 3

#: The most warnings that differ in their numbers alone before the rest of them is counted.
MOST_ALIKE = 3

#: Stands in the table where the line of a test will stand: it occurs in no text that can be printed.
_TEST = "\ue000"

#: The cells of a row: its columns, its test and its model.
_Cells = tuple[str, str, str, str, str, str, str]

_COLUMNS = ("outcome", "value [interval]", "promise", "reference", "measure")


def summary_lines(
    entries: Iterable[Entry], notes: Sequence[str], /, *, width: int, color: bool = False
) -> Iterator[str]:
    """Return the lines of the summary: below each test one row a verdict, then what was written where.

    The lines hold no escape sequences, whatever stands in a name or an answer; with ``color``, for a terminal, those
    around the outcomes alone.
    """
    yield from map(without_commands, _lines(list(entries), notes, width, color))


def _lines(entries: Sequence[Entry], notes: Sequence[str], width: int, color: bool) -> Iterator[str]:
    models = told_apart((str(entry["model"].get("name", "")) for entry in entries), most=32)
    keys = told_apart((str(entry["key"]) for entry in entries), most=60)
    rows = _wrapped(
        [_row(entry, keys[str(entry["key"])], models[str(entry["model"].get("name", ""))]) for entry in entries], width
    )
    for model in models.values():
        if len(models) > 1:
            yield model
        yield from _table([row[:-1] for row in rows if row[-1] == model], rows, width, color)
    yield from _data(entries)
    names = [f"{row[-1]}: " if len(models) > 1 else "" for row in rows]
    yield from _warnings([(entry, model, keys[str(entry["key"])]) for entry, model in zip(entries, names, strict=True)])
    for line in alike_lines(entries):
        yield f"names that look the same: {line}"
    for note in notes:
        yield printable(note, most=400)


def _warnings(entries: Sequence[tuple[Entry, str, str]]) -> Iterator[str]:
    """Yield the warnings of verdicts: each text once with a count, and of many alike the first."""
    kinds: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for entry, model, key in entries:
        told = [("warning", str(one)) for one in entry.get("warnings", ())]
        told += [("unseen", str(one)) for one in [entry.get("unseen")] if one]
        for word, text in told:
            alike = re.sub(r"\(.*?\)|'[^']*'|\"[^\"]*\"|[-+]?\d[\d.,]*", "#", text.partition("; the largest")[0])
            keys = kinds.setdefault((word, model, alike), {}).setdefault(text, [])
            keys.append(key)
    for (word, model, _), texts in sorted(kinds.items(), key=lambda one: one[0][0] == "unseen"):
        shown = list(texts.items()) if len(texts) <= MOST_ALIKE else list(texts.items())[:1]
        for text, keys in shown:
            more = f" and {len(keys) - 1:,} more" if len(keys) > 1 else ""
            yield f"{word}: {model}{keys[0]}{more}: {printable(text, most=400)}"
        left = sum(map(len, texts.values())) - sum(len(keys) for _, keys in shown)
        if left:
            yield f"{word}: {model}the same with other numbers for {left:,} more promises; a report has all of them"


def _data(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield where each data set comes from, with how much of it was read and left out."""
    told: dict[tuple[str, str], str] = {}
    for entry in entries:
        dataset = entry.get("dataset") or {}
        if dataset.get("source"):
            told.setdefault((str(dataset.get("name", "")), str(dataset["source"])), measure_of(entry).data)
    for (name, source), kind in told.items():
        yield f"{printable(kind, most=30)} {printable(name, most=60)}: {printable(source, most=600)}"


def _row(entry: Entry, key: str, model: str) -> _Cells:
    measure = measure_of(entry)
    beside = entry.get("references", {}).get(measure.beside)
    reference = f"{words_for(measure.beside, measure.references)} {beside:.2f}" if beside is not None else "-"
    if entry.get("skill") is not None:
        reference += f"\nskill {entry['skill']:.2f}"
    decided, change = interval_cell(entry), entry.get("change")
    if change is not None and CHANGES & set(entry["gate"]) and (both := estimate_words(change, "+")) != decided:
        # A promise about the value and the change shows both, the change below.
        decided = f"{decided}\n{both}"
    return (
        outcome_of(entry).upper() + (" (!)" if entry.get("warnings") else ""),
        decided,
        promise_cell(entry["gate"]).replace(", ", ",\n"),
        reference,
        key,
        printable(str(entry.get("test") or entry["nodeid"]), most=200),
        model,
    )


def _wrapped(rows: Sequence[_Cells], width: int) -> list[_Cells]:
    """Return the rows with promises and names of measures on two lines, where the table has no room for one."""
    if not rows or width < _NARROW:
        return list(rows)
    if _room(rows, width) < LEAST_NAME:
        rows = [(*row[:2], row[2].replace("better than ", "better than\n"), *row[3:]) for row in rows]
    room = max(_room(rows, width), LEAST_NAME)
    return [(*row[:4], " ".join(_broken(word, room) for word in row[4].split(" ")), *row[5:]) for row in rows]


def _room(rows: Sequence[_Cells], width: int) -> int:
    """Return how many characters of a line are left for the name of a measure."""
    numbers = [index for index, name in enumerate(_COLUMNS[:-1]) if name != "reference" or width >= _WIDE]
    cells = ([_COLUMNS[index], *(line for row in rows for line in row[index].split("\n"))] for index in numbers)
    # The table has a blank at either edge.
    return width - 2 - sum(max(map(len, lines)) + _GAP for lines in cells)


def _broken(word: str, room: int) -> str:
    """Return a word that is longer than its room broken after an underscore, where it has one there."""
    place = word.rfind("_", 0, room) + 1
    return word if len(word) <= room or not place else f"{word[:place]}\n{_broken(word[place:], room)}"


def _table(rows: Sequence[tuple[str, ...]], every: Sequence[tuple[str, ...]], width: int, color: bool) -> Iterator[str]:
    """Return the table of one model; its columns are as wide as those of the others."""
    # Rich lays out, wraps, and colours where somebody looks; a log and a pipe get the same lines plain.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD if width >= _NARROW else None, pad_edge=False)
    left = width
    for index, name in enumerate(_COLUMNS):
        if name == "reference" and width < _WIDE:
            continue
        # The numbers stay on one line where they can; the names give way, between words while there is room.
        numbers = width >= _NARROW and name != "measure"
        lines = [line for row in every for line in row[index].split("\n")]
        widest = max(len(name), *map(len, lines)) if numbers else None
        if name == "measure" and left >= LEAST_NAME:
            widest = LEAST_NAME
        left -= (widest or 0) + _GAP
        table.add_column(name, overflow="fold", no_wrap=numbers, min_width=widest if width >= _NARROW else None)
    tests: list[str] = []
    for row in rows:
        if row[-1] not in tests[-1:]:
            tests.append(row[-1])
            table.add_row(_TEST)
        styles = (_STYLES.get(row[0].partition(" ")[0], ""), *[""] * len(row))
        table.add_row(
            *(
                Text(row[index], style=styles[index])
                for index, name in enumerate(_COLUMNS)
                if name != "reference" or width >= _WIDE
            )
        )
    console = Console(
        file=io.StringIO(), width=max(width, 40), color_system="standard" if color else None, force_terminal=color,
        legacy_windows=False, no_color=not color,
    )  # fmt: skip
    console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    names = iter(tests)
    for line in text.strip("\n").splitlines():
        yield line.partition(_TEST)[0] + next(names) if line.strip() == _TEST else line.rstrip()
