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

from pytest_pluralism.datasets.fields import Field, Fields, Kind, number
from pytest_pluralism.datasets.names import NAME
from pytest_pluralism.datasets.reading import read_entries

__all__ = ["RepresentationRatings", "read_ratings"]

REMEDY = 'Write one line a rating: {"question_id": "...", "cluster": "...", "rating": 4}.'


@dataclass(frozen=True)
class RepresentationRatings:
    """Ratings, one entry each: the question, the viewpoint of the rater, the rating, and how many people that is."""

    name: str
    questions: tuple[str, ...]
    clusters: tuple[str, ...]
    ratings: tuple[float, ...]
    sampling_weights: tuple[float, ...] | None
    sha256: str


@dataclass(frozen=True, slots=True)
class _Rating:
    question_id: str
    cluster: str
    rating: float
    sampling_weight: float | None
    respondent: str | None


RATING = Fields(
    _Rating,
    Field("question_id", NAME, required=True),
    Field("cluster", NAME, required=True),
    Field("rating", number("a number"), required=True),
    Field("respondent", Kind("a name", str)),
    Field("sampling_weight", number("a number greater than 0", above=0.0)),
    strict=True,
)


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
        If the file cannot be read, a line is wrong, a respondent rates one question twice, or some ratings have a
        ``sampling_weight`` and others have none.
    """
    file = Path(path)
    entries, problems = read_entries(
        file, what="file of ratings", holds="rating", remedy=REMEDY, numbers=("rating", "sampling_weight")
    )
    rows: list[_Rating] = []
    seen: dict[tuple[str, str], str] = {}
    for where, entry in entries:
        row = RATING.read(entry, where, problems)
        if row is None:
            continue
        if row.respondent is not None:
            first = seen.setdefault((row.question_id, row.respondent), where)
            if first != where:
                again = f"respondent {row.respondent!r} rates question {row.question_id!r} a second time, after {first}"
                problems.add(where, again)
                continue
        rows.append(row)
    weights = [row.sampling_weight for row in rows if row.sampling_weight is not None]
    if 0 < len(weights) < len(rows):
        lacking = len(rows) - len(weights)
        problems.add("", f"{lacking} of {len(rows)} ratings have no 'sampling_weight'; give all or none")
    if not rows and not problems.count:
        problems.add("", "holds no ratings")
    problems.raise_if_any()
    content = sorted([(row.question_id, row.cluster, row.rating, row.sampling_weight) for row in rows], key=repr)
    return RepresentationRatings(
        name=file.name,
        questions=tuple(row.question_id for row in rows),
        clusters=tuple(row.cluster for row in rows),
        ratings=tuple(row.rating for row in rows),
        sampling_weights=tuple(weights) if weights else None,
        sha256=hashlib.sha256(json.dumps(content, ensure_ascii=True).encode("ascii")).hexdigest(),
    )
