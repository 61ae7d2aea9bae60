"""Overton windows: finding a set by name or path, reading it, and the one place where it is checked.

A window file (``.jsonl``, or ``.json`` with an array, each also with ``.gz``) holds one object for each query::

    {"query_id": "tipping", "query": "Should tipping be abolished?", "kind": "contested",
     "reasonable": [{"text": "...", "paraphrases": ["..."], "stance": "for", "support": 0.4, "source": "..."}],
     "unreasonable": ["..."]}

An answer may be its text alone.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path

from pytest_pluralism.core.errors import DatasetError, invalid_parameter, unknown_name
from pytest_pluralism.core.records import WindowSet
from pytest_pluralism.datasets.hub import hub_file
from pytest_pluralism.datasets.reading import (
    Entries,
    Problems,
    Record,
    format_of,
    number_in,
    read_entries,
    read_text,
    shown,
)
from pytest_pluralism.datasets.windows.assembly import ANSWER, WINDOW, ReadAnswer, ReadWindow, assemble_windows

__all__ = ["EMBEDDED_WINDOWS", "WINDOW_FORMATS", "load_windows"]

#: Name -> file beside this module, and where its answers come from.
EMBEDDED_WINDOWS: dict[str, tuple[str, str]] = {
    "contested": (
        "contested.jsonl",
        "written for this project; each answer names a survey programme or a public debate in which people hold it",
    ),
    "debunks": ("debunks.jsonl", "written for this project: common myths, each beside what is true instead"),
    "settled": (
        "settled.jsonl",
        "written for this project; each query names where its answer is established",
    ),
}

#: The endings of window files; each may be followed by ``.gz``.
WINDOW_FORMATS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")

REMEDY = "The format of window files is described in the reference, under 'Windows'."


def load_windows(name_or_path: str | os.PathLike[str], /) -> WindowSet:
    """Load a set of windows by its name, from a file, or from a folder.

    Parameters
    ----------
    name_or_path : str or path
        ``contested``, ``settled`` or ``debunks`` (the sets that come with the package), a window file (``.jsonl``,
        ``.json``, ``.csv``, ``.tsv``, each also with ``.gz``, or ``.parquet``), a file of Value Kaleidoscope or
        ValuePrism rows or of Perspectrum claims (told by their fields; of the original, with its pool of perspectives
        beside it),
        ``hf:ORG/DATA@REVISION#CONFIG/SPLIT`` of the hub, or the folder of a Polis conversation (``comments.csv`` and
        ``participants-votes.csv``).

    Returns
    -------
    WindowSet
        The record; its name is the embedded name, or the name of the file or folder without those above it.

    Raises
    ------
    DatasetError
        If the set is unknown, or what is read is wrong; up to ten problems are named with their lines.
    InvalidParameterError
        If ``name_or_path`` is neither a name nor a path.

    Examples
    --------
    >>> windows = load_windows("contested")
    >>> windows.name, windows.windows[0].kind
    ('contested', 'contested')
    """
    if not isinstance(name_or_path, (str, os.PathLike)) or not os.fspath(name_or_path):
        raise invalid_parameter("name_or_path", "load_windows", "the name of a set or a path", repr(name_or_path))
    name = os.fspath(name_or_path)
    if name.startswith("hf:"):
        found = hub_file(name)
        return _read_file(found.path, name=name, source=found.words)
    path = Path(name)
    if isinstance(name_or_path, str):
        if name in EMBEDDED_WINDOWS:
            file, source = EMBEDDED_WINDOWS[name]
            return _read_file(Path(__file__).parent / file, name=name, source=source)
        if (
            format_of(path, WINDOW_FORMATS) is None
            and not path.is_dir()
            and "/" not in name
            and "\\" not in name
            and not path.is_file()
        ):
            known = unknown_name("window set", name, list(EMBEDDED_WINDOWS))
            raise DatasetError(f"{known} A file must end in {', '.join(WINDOW_FORMATS)}.")
    if path.is_dir():
        from pytest_pluralism.datasets.windows.polis import polis_window, read_polis_conversation

        conversation = read_polis_conversation(path)
        name = path.resolve().name
        notes = conversation.without_rejected().notes
        source = f"Polis conversation {name}: statements, with the votes of its opinion groups"
        return assemble_windows(
            name, [polis_window(conversation)], problems=Problems(str(path)), source="; ".join((source, *notes))
        )
    return _read_file(path, name=path.name, source=f"file {path.name}")


# ------------------------------------------------------------------------------------------------------------ files


def _read_file(path: Path, *, name: str, source: str) -> WindowSet:
    from pytest_pluralism.datasets.windows import sources as windows_sources

    if not path.exists():
        read_text(path, what="window file", holds="window")
    entries, problems = read_entries(path, what="window file", holds="window", remedy=REMEDY, formats=WINDOW_FORMATS)
    first = list(itertools.islice(entries, 1))
    entries = itertools.chain(first, entries)
    found = windows_sources.detect([entry for _, entry in first], path)
    if found is not None:
        reader, words = found
        return assemble_windows(name, reader(entries, problems), problems=problems, source=f"{source}: {words}")
    if first and isinstance(first[0][1], dict) and {"query_id", "query", "answer"} <= first[0][1].keys():
        read = _from_table(entries, problems)
        return assemble_windows(name, read, problems=problems, source=source)
    read = [window for where, entry in entries if (window := _from_entry(where, entry, problems)) is not None]
    return assemble_windows(name, read, problems=problems, source=source)


#: The columns of a table of windows, one row an answer.
COLUMNS = ("query_id", "query", "answer", "reasonable", "answer_id", "stance", "support", "source")

#: The words that say whether an answer is reasonable.
MARKS = {"": True, "1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _from_table(entries: Entries, problems: Problems) -> list[ReadWindow]:
    """Return the windows of a table with a row an answer; rows of one answer_id are paraphrases of it."""
    windows: dict[str, tuple[str, Record, dict[tuple[bool, str], ReadAnswer]]] = {}
    for where, row in entries:
        unknown = [name for name in row if name not in (*COLUMNS, "prompt", "kind", "cluster")]
        lacking = [name for name in COLUMNS[:3] if not row.get(name)]
        mark = str(row.get("reasonable", "")).casefold()
        if unknown or lacking or mark not in MARKS:
            odd = f"unknown column {unknown[0]!r}" if unknown else f"lacks {lacking[0]!r}" if lacking else ""
            problems.add(where, odd or f"'reasonable' must be 1, 0 or empty, not {row['reasonable']!r}")
            continue
        about = {name: row.get(name) for name in ("query", "prompt", "kind", "cluster")}
        first, known, answers = windows.setdefault(row["query_id"], (where, about, {}))
        if known != about:
            other = next(name for name in about if known[name] != about[name])
            problems.add(where, f"{other!r} of query {row['query_id']!r} differs from {first}; it must be the same")
            continue
        support = number_in(row["support"]) if isinstance(row.get("support"), str) else row.get("support")
        about_it = {name: row.get(name) for name in ("answer_id", "stance")}
        answer = ReadAnswer(row["answer"], **about_it, support=support, source=row.get("source") or "")
        key = (MARKS[mark], str(row.get("answer_id") or where))
        if key in answers:
            answer = replace(answers[key], paraphrases=(*answers[key].paraphrases, row["answer"]))
        answers[key] = answer
    return [
        ReadWindow(
            query_id,
            about["query"],
            [one for (is_reasonable, _), one in answers.items() if is_reasonable],
            [one for (is_reasonable, _), one in answers.items() if not is_reasonable],
            about["prompt"],
            about["kind"],
            about["cluster"],
            where,
        )
        for query_id, (where, about, answers) in windows.items()
    ]


def _from_entry(where: str, entry: object, problems: Problems) -> ReadWindow | None:
    identifier = entry.get("query_id") if isinstance(entry, dict) else None
    place = f"{where}, query {identifier!r}" if isinstance(identifier, str) and identifier else where
    complete = WINDOW.fit(entry, place, problems)
    if not isinstance(entry, dict):
        return None
    sides = {}
    for name in ("reasonable", "unreasonable"):
        # The source of a window says where people hold the reasonable answers; it says nothing about the others.
        shared = entry.get("source", "") if name == "reasonable" else ""
        answers = _answers(entry.get(name, []), name, shared, place, problems)
        complete = complete and answers is not None
        sides[name] = answers
    return ReadWindow(**WINDOW.taken(entry) | sides, where=where) if complete else None


def _answers(values: object, name: str, source: object, place: str, problems: Problems) -> list[ReadAnswer] | None:
    if not isinstance(values, list):
        problems.add(place, f"'{name}' must be a list of answers, not {shown(values)}")
        return None
    before = problems.count
    answers = []
    for number, value in enumerate(values, start=1):
        inner = f"{place}, {name} answer {number}"
        if isinstance(value, str):
            answers.append(ReadAnswer(value, source=source))
        elif not isinstance(value, dict):
            problems.add(inner, f"must be a string or an object with 'text', not {shown(value)}")
        elif ANSWER.fit(value, inner, problems):
            fields: Record = {"source": source}
            answers.append(ReadAnswer(**fields | ANSWER.taken(value)))
    return answers if problems.count == before else None
