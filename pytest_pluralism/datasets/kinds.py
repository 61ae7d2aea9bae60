"""The kinds of data that a file may be of, as its first entry shows, and how each is loaded."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.datasets.hub import hub_file
from pytest_pluralism.datasets.panels.loading import load_panel
from pytest_pluralism.datasets.panels.others import PANEL_SOURCES
from pytest_pluralism.datasets.reading import FORMATS, listed, read_entries, read_text
from pytest_pluralism.datasets.sources import source_of
from pytest_pluralism.datasets.steering.file import line_kind, load_steering
from pytest_pluralism.datasets.steering.labels import holds_labels, read_labels
from pytest_pluralism.datasets.steering.sources import is_pew, is_value_kaleidoscope
from pytest_pluralism.datasets.surveys.loading import load_survey
from pytest_pluralism.datasets.surveys.modular_pluralism import is_modular_pluralism
from pytest_pluralism.datasets.surveys.sources import SURVEY_SOURCES
from pytest_pluralism.datasets.windows import sources as windows_sources
from pytest_pluralism.datasets.windows.loading import load_windows
from pytest_pluralism.datasets.windows.representation import read_ratings
from pytest_pluralism.datasets.windows.responses import read_responses

__all__ = ["Taken", "taken_for"]

#: The number of entries that are looked at.
MOST_SEARCHED = 1_000

#: The fields that tell each kind, the kind, its words and its loader; the first that fits is meant.
FIELDS: tuple[tuple[tuple[str, ...], str, str, Callable[[Any], Any]], ...] = (
    (("question_id", "cluster", "rating"), "ratings", "representation ratings", read_ratings),
    (("question_id", "options", "distributions"), "survey", "a survey", load_survey),
    (("question_id", "question", "option", "population", "probability"), "survey", "a survey, as a table", load_survey),
    (("juror", "query", "utility"), "panel", "a panel of votes", load_panel),
    (("scale",), "panel", "a panel with its scale", load_panel),
    (("query_id", "query", "reasonable"), "windows", "Overton windows", load_windows),
    (("query_id", "query", "answer"), "windows", "Overton windows, as a table", load_windows),
    (("query_id", "response"), "responses", "recorded responses", read_responses),
    (("query_id", "responses"), "responses", "recorded responses", read_responses),
    (("juror",), "panel", "a panel, one row a juror", load_panel),
)


@dataclass(frozen=True)
class Taken:
    """One thing that a file may be.

    Attributes
    ----------
    kind : {"survey", "panel", "windows", "steering", "responses", "ratings", "labels"}
        The kind of data.
    words : str
        The same in words, with the source where it is a known one.
    name : str
        The name for a marker.
    load : callable
        Loads it, without arguments.
    """

    kind: str
    words: str
    name: str
    load: Callable[[], object]


def taken_for(path: Path, /) -> Taken:
    """Return what a file or folder is taken for.

    Raises
    ------
    DatasetError
        If it cannot be read, or its fields are those of no kind.
    """
    name = str(path)
    if name.startswith("hf:"):
        found_file = hub_file(name)
        taken = taken_for(found_file.path)
        loaders: dict[str, Callable[..., object]]
        loaders = {"survey": load_survey, "panel": load_panel, "windows": load_windows, "steering": load_steering}
        load = loaders[taken.kind]
        return replace(taken, name=name, load=lambda: load(name), words=f"{taken.words}, of {found_file.file}")
    if path.is_dir():
        words = "a conversation of Polis: windows (as a panel it is polis:" + f"{path})"
        return Taken("windows", words, name, lambda: load_windows(name))
    entries = _entries(path)
    first = next((entry for entry in entries if isinstance(entry, Mapping)), {})
    if "instances" in first and "annotations" in first:
        return Taken("panel", "DICES ratings", f"dices:{path}", lambda: load_panel(f"dices:{path}"))
    if holds_labels(entries):
        return Taken("labels", "human labels of steered responses", name, lambda: read_labels(path))
    if any(isinstance(entry, Mapping) and line_kind(entry) for entry in entries) or is_pew(entries):
        return Taken("steering", "a steering set", name, lambda: load_steering(name))
    if is_value_kaleidoscope(entries):
        words = "situations of Value Kaleidoscope: a steering set (and Overton windows)"
        return Taken("steering", words, name, lambda: load_steering(name))
    if is_modular_pluralism(entries):
        words = "a survey in the form of the Modular Pluralism benchmark"
        return Taken("survey", words, name, lambda: load_survey(path))
    for fields, kind, said, load in FIELDS:
        if set(fields) <= first.keys():
            return Taken(kind, said, name, lambda load=load: load(path))  # type: ignore[misc]
    survey_source = source_of(SURVEY_SOURCES, first)
    if survey_source is not None:
        return Taken("survey", f"a survey: {survey_source.name}", name, lambda: load_survey(path))
    panel_source = source_of(PANEL_SOURCES, first)
    if panel_source is not None:
        return Taken("panel", f"a panel: {panel_source.name}", name, lambda: load_panel(name))
    known = windows_sources.detect(entries, path)
    if known is not None:
        return Taken("windows", f"Overton windows: {known[1]}", name, lambda: load_windows(name))
    raise DatasetError(_unknown(path, list(first)))


def _entries(path: Path) -> Sequence[object]:
    """Return the first entries of a file; an object is its own only entry."""
    if path.name.removesuffix(".gz").endswith(".json"):
        text = read_text(path, what="file", holds="entry")
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            content = None
        if isinstance(content, dict) and "instances" in content:
            return [content]
        if isinstance(content, dict) and content and all(isinstance(one, dict) for one in content.values()):
            return [{"qkey": key, **one} for key, one in content.items()]
    found, problems = read_entries(path, what="file of data", holds="entry", remedy="")
    entries = [entry for _, entry in itertools.islice(found, MOST_SEARCHED)]
    if not entries:
        problems.raise_if_any()
        raise DatasetError(f"{path}: holds nothing.")
    return entries


def _unknown(path: Path, fields: Sequence[str]) -> str:
    is_table = path.name.removesuffix(".gz").endswith((".csv", ".tsv", ".parquet"))
    told = (
        f"{path}{', line 1' if is_table else ''}: has the {'columns' if is_table else 'fields'} {listed(fields[:12])}"
    )
    told += ", which are those of no kind of data here. "
    known = ", ".join([*(one.name for one in SURVEY_SOURCES), *(one.name for one in PANEL_SOURCES)])
    told += "A survey has question_id, question, options and distributions; a panel juror, query and utility; windows "
    told += f"query_id, query and reasonable. Known sources: {known}. "
    if is_table:
        column = fields[0] if fields else "COLUMN"
        told += (
            f"Where each row is a respondent: pluralism survey build {path} -o survey.jsonl --questions={column},... "
            "Where each row is a voter and each other column holds votes: call the first column juror, and a column "
            "QUERY/RESPONSE, such as budget/park, where it is a vote on one of several options. "
            "Where each row is a rating, say which column is which in the marker or in load_panel: "
            "columns={'juror': ..., 'query': ..., 'response': ..., 'utility': ...}; 'response' where a query has "
            "several answers."
        )
    else:
        told += f"A file ends in {', '.join(FORMATS)}."
    return told
