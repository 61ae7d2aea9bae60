"""Files of recorded responses: what some model or person said to each query, to be evaluated without asking again.

One JSON object a line (``.jsonl``), or an array of them (``.json``), each also with ``.gz``::

    {"query_id": "tipping", "response": "Some say ..."}
    {"query_id": "tipping", "responses": ["Others say ...", "It depends ..."]}

Several lines about one query are several responses to it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_pluralism.core.errors import DatasetError, nearest_names
from pytest_pluralism.datasets.fields import Field, Fields, Kind, UnfitError, as_text
from pytest_pluralism.datasets.names import NAME
from pytest_pluralism.datasets.reading import format_of, read_entries

__all__ = ["RecordedResponses", "read_responses"]

#: Maximum number of characters of one response.
MOST_CHARACTERS = 200_000

REMEDY = 'Write one line a response: {"query_id": "...", "response": "..."}.'


@dataclass(frozen=True, slots=True)
class _Said:
    query_id: str
    response: str | None
    responses: Sequence[str] | None


def _responses(value: object) -> Sequence[str]:
    if not isinstance(value, list) or not value:
        raise UnfitError(instead=NOT_TEXTS)
    return [_response(one) for one in value]


def _response(value: object) -> str:
    if not isinstance(value, str):
        raise UnfitError(instead=NOT_TEXTS)
    return as_text(value, most=MOST_CHARACTERS, empty=True, strip=False)


#: The end of a sentence about a field.
NOT_TEXTS = "is wrong: responses must be texts"

RESPONSE = Fields(
    _Said,
    Field("query_id", NAME, required=True),
    Field("response", Kind("a text", _response)),
    Field("responses", Kind("a list of texts", _responses)),
    strict=True,
)


@dataclass(frozen=True)
class RecordedResponses:
    """Responses by the id of their query, and the hash of all of them."""

    name: str
    responses: dict[str, tuple[str, ...]]
    sha256: str


def read_responses(path: str | os.PathLike[str], /, *, queries: Iterable[str] | None = None) -> RecordedResponses:
    """Read a file of recorded responses.

    Parameters
    ----------
    path : str or path
        A ``.jsonl``, ``.json``, ``.csv`` or ``.tsv`` file, or one of these followed by ``.gz``, or a ``.parquet`` file.
    queries : iterable of str, optional
        The ids of the queries that must be there; responses to others are left out.

    Returns
    -------
    RecordedResponses
        An empty response is one: it says nothing.

    Raises
    ------
    DatasetError
        If the file cannot be read, a line is wrong, or a query has no response; the queries are named.
    """
    file = Path(path)
    entries, problems = read_entries(file, what="response file", holds="response", remedy=REMEDY)
    if format_of(file) in (".csv", ".tsv"):
        # An empty cell of a table is an empty response.
        entries = ((where, {"response": ""} | entry) for where, entry in entries)
    found: dict[str, list[str]] = {}
    for where, entry in entries:
        query = entry.get("query_id") if isinstance(entry, dict) else None
        place = f"{where}, query {query!r}" if isinstance(query, str) and query else where
        said = RESPONSE.read(entry, place, problems)
        if said is None:
            continue
        if (said.response is None) == (said.responses is None):
            problems.add(place, "must have 'response' (a text) or 'responses' (a list of texts), one of the two")
            continue
        texts = found.setdefault(said.query_id, [])
        texts.extend(said.responses or ())
        if said.response is not None:
            texts.append(said.response)
    problems.raise_if_any()
    if queries is not None:
        wanted = list(queries)
        _check_complete(file, wanted, found)
        found = {query: found[query] for query in wanted}
    content = json.dumps(sorted(found.items()), ensure_ascii=True, separators=(",", ":"))
    digest = hashlib.sha256(content.encode("ascii")).hexdigest()
    return RecordedResponses(file.name, {query: tuple(texts) for query, texts in found.items()}, digest)


def _check_complete(file: Path, wanted: list[str], found: dict[str, list[str]]) -> None:
    missing = [query for query in wanted if query not in found]
    if not missing:
        return
    shown = ", ".join(map(repr, missing[:10])) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
    extra = [query for query in found if query not in wanted]
    near = nearest_names(missing[0], extra, most=1)
    hint = f" Is {near[0]!r} meant to be {missing[0]!r}?" if near else ""
    raise DatasetError(
        f"{file}: lacks responses to {len(missing)} of {len(wanted)} queries: {shown}.{hint} "
        "Record a response to each query; an empty one counts as 0."
    )
