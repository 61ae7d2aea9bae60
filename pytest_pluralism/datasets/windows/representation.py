"""Files of representation ratings: how well a response represents the view of each person, rated by them or predicted.

One object a line (``.jsonl``), an array (``.json``) or a table (``.csv``), each also with ``.gz``::

    {"question_id": "tipping", "cluster": "for", "rating": 4, "sampling_weight": 1.2}

``cluster`` is the viewpoint that the person belongs to, question by question.
The published table of OvertonBench, in which each person rates several models, is read as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_pluralism.datasets.fields import Field, Fields, Kind, number
from pytest_pluralism.datasets.names import NAME
from pytest_pluralism.datasets.reading import number_in, read_entries

__all__ = ["RepresentationRatings", "read_overtonbench", "read_ratings"]

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
    problems.raise_if_any("" if rows else "holds no ratings")
    return _gathered(file.name, rows)


def read_overtonbench(
    path: str | os.PathLike[str], /, *, cluster: str = "cluster_kmeans"
) -> dict[str, RepresentationRatings]:
    """Read the published table of OvertonBench: the ratings of each model, by its name.

    Parameters
    ----------
    path : str or path
        The table, ``.parquet``, ``.csv``, ``.jsonl`` or ``.json``, with the columns ``user``, ``question_id``,
        ``model`` and ``representation_rating``; others are passed over.
    cluster : str
        The column that names the viewpoint of the person on the question.

    Returns
    -------
    dict of str to RepresentationRatings
        In the order of the models in the file; each for
        :func:`~pytest_pluralism.evaluation.overton.representation.representation_scores`, and all together for
        :func:`~pytest_pluralism.evaluation.overton.representation.rating_agreement`.

    Raises
    ------
    DatasetError
        If the file cannot be read, a row lacks one of the columns, a rating is not a number from 1 to 5, or a person
        rates a response twice.

    Notes
    -----
    Poole-Dayan et al. 2026, "Benchmarking Overton Pluralism in LLMs" (arXiv 2512.01351).
    """
    file = Path(path)
    wanted = ("user", "question_id", "model", cluster, "representation_rating")
    remedy = f"Each row needs {', '.join(wanted)}; another column of viewpoints is named by cluster=."
    entries, problems = read_entries(file, what="table of OvertonBench", holds="rating", remedy=remedy)
    by_model: dict[str, list[_Rating]] = {}
    seen: dict[tuple[str, ...], str] = {}
    for where, entry in entries:
        row = entry if isinstance(entry, dict) else {}
        lacking = [name for name in wanted if row.get(name) in (None, "")]
        if lacking:
            problems.add(where, f"lacks {lacking[0]!r}")
            continue
        user, question, model, viewpoint = (str(row[name]) for name in wanted[:-1])
        given = row["representation_rating"]
        rating = number_in(given) if isinstance(given, str) else given
        if isinstance(rating, bool) or not isinstance(rating, (int, float)) or not 1.0 <= rating <= 5.0:
            problems.add(where, f"'representation_rating' must be a number from 1 to 5, not {given!r}")
            continue
        first = seen.setdefault((user, question, model), where)
        if first != where:
            problems.add(where, f"user {user!r} rates {model!r} on question {question!r} again, after {first}")
            continue
        by_model.setdefault(model, []).append(_Rating(question, viewpoint, float(rating), None, user))
    problems.raise_if_any("" if by_model else "holds no ratings")
    return {model: _gathered(f"{file.name} {model}", rows) for model, rows in by_model.items()}


def _gathered(name: str, rows: Sequence[_Rating]) -> RepresentationRatings:
    """Return ratings that were checked, all with a weight or none."""
    weights = [row.sampling_weight for row in rows if row.sampling_weight is not None]
    content = sorted([(row.question_id, row.cluster, row.rating, row.sampling_weight) for row in rows], key=repr)
    return RepresentationRatings(
        name=name,
        questions=tuple(row.question_id for row in rows),
        clusters=tuple(row.cluster for row in rows),
        ratings=tuple(row.rating for row in rows),
        sampling_weights=tuple(weights) if weights else None,
        sha256=hashlib.sha256(json.dumps(content, ensure_ascii=True).encode("ascii")).hexdigest(),
    )
