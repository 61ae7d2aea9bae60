"""Files of representation ratings: how well a response represents the view of each person, rated by them or predicted.

One object a line (``.jsonl``), an array (``.json``) or a table (``.csv``), each also with ``.gz``::

    {"question_id": "tipping", "cluster": "for", "rating": 4, "sampling_weight": 1.2}

``cluster`` is the viewpoint that the person belongs to, question by question.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.datasets.reading import Problems, csv_objects, json_array, json_lines, read_text
from pytest_pluralism.datasets.windows.loading import check_fields

__all__ = ["RepresentationRatings", "read_ratings"]

MAXIMUM_BYTES = 200_000_000

FIELDS = ("question_id", "cluster", "rating", "respondent", "sampling_weight")

REMEDY = 'Write one line a rating: {"question_id": "...", "cluster": "...", "rating": 4}.'


@dataclass(frozen=True)
class RepresentationRatings:
    """One entry a rating: the question, the viewpoint of who rated, the rating, and how many people they stand for."""

    name: str
    questions: tuple[str, ...]
    clusters: tuple[str, ...]
    ratings: tuple[float, ...]
    sampling_weights: tuple[float, ...] | None
    sha256: str


def read_ratings(path: str | os.PathLike[str], /) -> RepresentationRatings:
    """Read a file of representation ratings.

    Parameters
    ----------
    path : str or path
        A ``.jsonl``, ``.json`` or ``.csv`` file, or one of these followed by ``.gz``.

    Returns
    -------
    RepresentationRatings
        In the order of the file; ``sampling_weights`` where every rating has one.

    Raises
    ------
    DatasetError
        If the file cannot be read or a line is wrong; a person who rates a question twice is wrong too.
    """
    file = Path(path)
    text = read_text(file, maximum_bytes=MAXIMUM_BYTES, what="file of ratings", holds="rating")
    problems = Problems(str(file), REMEDY)
    suffixes = [suffix.lower() for suffix in file.suffixes if suffix.lower() != ".gz"]
    kind = suffixes[-1] if suffixes else ""
    if kind == ".jsonl":
        entries = json_lines(text, problems)
    elif kind == ".json":
        entries = json_array(text, file, holds="rating", remedy=REMEDY)
    elif kind == ".csv":
        entries = csv_objects(text, problems, numbers=("rating", "sampling_weight"))
    else:
        raise DatasetError(f"{file}: a file of ratings must end in .jsonl, .json or .csv (or one of these and .gz).")
    rows: list[tuple[str, str, float, float | None]] = []
    seen: dict[tuple[str, str], str] = {}
    for where, entry in entries:
        row = _row(entry, where, seen, problems)
        if row is not None:
            rows.append(row)
    weighted = sum(row[3] is not None for row in rows)
    if 0 < weighted < len(rows):
        problems.add("", f"{len(rows) - weighted} of {len(rows)} ratings have no 'sampling_weight'; give all or none")
    if not rows and not problems.found:
        problems.add("", "holds no ratings")
    problems.raise_if_any()
    digest = hashlib.sha256(json.dumps(sorted(rows, key=repr), ensure_ascii=True).encode("ascii")).hexdigest()
    return RepresentationRatings(
        name=file.name,
        questions=tuple(row[0] for row in rows),
        clusters=tuple(row[1] for row in rows),
        ratings=tuple(row[2] for row in rows),
        sampling_weights=tuple(row[3] or 0.0 for row in rows) if weighted else None,
        sha256=digest,
    )


def _row(
    entry: Any, where: str, seen: dict[tuple[str, str], str], problems: Problems
) -> tuple[str, str, float, float | None] | None:
    if not isinstance(entry, dict):
        problems.add(where, f"must be an object with 'question_id', 'cluster' and 'rating', not {entry!r}"[:200])
        return None
    before = len(problems.found)
    if not check_fields(entry, FIELDS, FIELDS[:3], where, problems):
        return None
    for name in ("question_id", "cluster"):
        if not isinstance(entry[name], str) or not entry[name].strip():
            problems.add(where, f"'{name}' must be a non-empty string, not {entry[name]!r}"[:200])
    rating, weight = entry["rating"], entry.get("sampling_weight")
    if not is_number(rating):
        problems.add(where, f"'rating' must be a number, not {rating!r}"[:200])
    if weight is not None and (not is_number(weight) or weight <= 0):
        problems.add(where, f"'sampling_weight' must be a number greater than 0, not {weight!r}"[:200])
    if len(problems.found) > before:
        return None
    if entry.get("respondent") is not None:
        key = (entry["question_id"], str(entry["respondent"]))
        if key in seen:
            problems.add(where, f"respondent {key[1]!r} rates question {key[0]!r} a second time, after {seen[key]}")
            return None
        seen[key] = where
    return entry["question_id"], entry["cluster"], float(rating), None if weight is None else float(weight)
