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
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import DatasetError, nearest_names
from pytest_pluralism.datasets.reading import HALF_CHARACTERS, Problems, json_array, json_lines, read_text
from pytest_pluralism.datasets.windows.loading import check_fields

__all__ = ["RecordedResponses", "read_responses"]

MAXIMUM_BYTES = 200_000_000

#: Most characters of one response; what is longer is hardly an answer to a query.
MOST_CHARACTERS = 200_000

FIELDS = ("query_id", "response", "responses")

REMEDY = 'Write one line a response: {"query_id": "...", "response": "..."}.'


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
        A ``.jsonl`` or ``.json`` file, or one of these followed by ``.gz``.
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
    text = read_text(file, maximum_bytes=MAXIMUM_BYTES, what="response file", holds="response")
    problems = Problems(str(file), REMEDY)
    suffixes = [suffix.lower() for suffix in file.suffixes if suffix.lower() != ".gz"]
    if not suffixes or suffixes[-1] not in (".jsonl", ".json"):
        raise DatasetError(f"{file}: a response file must end in .jsonl or .json (or one of these and .gz).")
    entries = (
        json_lines(text, problems)
        if suffixes[-1] == ".jsonl"
        else json_array(text, file, holds="response", remedy=REMEDY)
    )
    found: dict[str, list[str]] = {}
    for where, entry in entries:
        _take(entry, where, found, problems)
    problems.raise_if_any()
    if queries is not None:
        wanted = list(queries)
        _check_complete(file, wanted, found)
        found = {query: found[query] for query in wanted}
    content = json.dumps(sorted(found.items()), ensure_ascii=True, separators=(",", ":"))
    digest = hashlib.sha256(content.encode("ascii")).hexdigest()
    return RecordedResponses(file.name, {query: tuple(texts) for query, texts in found.items()}, digest)


def _take(entry: Any, where: str, found: dict[str, list[str]], problems: Problems) -> None:
    if not isinstance(entry, dict):
        problems.add(where, f"must be an object with 'query_id' and 'response', not {type(entry).__name__}")
        return
    if not check_fields(entry, FIELDS, FIELDS[:1], where, problems):
        return
    query = entry["query_id"]
    if not isinstance(query, str) or not query.strip():
        problems.add(where, f"'query_id' must be a non-empty string, not {query!r}"[:200])
        return
    where = f"{where}, query {query!r}"
    if ("response" in entry) == ("responses" in entry):
        problems.add(where, "must have 'response' (a text) or 'responses' (a list of texts), one of the two")
        return
    texts = entry["responses"] if "responses" in entry else [entry["response"]]
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        problems.add(where, "responses must be texts")
        return
    for text in texts:
        if len(text) > MOST_CHARACTERS:
            problems.add(where, f"a response has {len(text):,} characters; at most {MOST_CHARACTERS:,} are read")
        elif HALF_CHARACTERS.search(text):
            problems.add(where, "a response holds half of a surrogate pair (\\ud800 to \\udfff), which is no character")
    found.setdefault(query, []).extend(texts)


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
