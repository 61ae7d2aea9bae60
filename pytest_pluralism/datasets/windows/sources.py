"""Windows from the rows of other projects: Value Kaleidoscope and ValuePrism, and Perspectrum.

Their authors wrote the answers; nothing is added to them.
A user cannot correct the source. Rows that cannot be a window (an answer that stands twice, a situation without values)
are left out or merged.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.datasets.fields import ANY_LIST, Field, Fields, text
from pytest_pluralism.datasets.reading import Entries, Problems, Record, json_document, read_text
from pytest_pluralism.datasets.windows.assembly import ReadAnswer, ReadWindow, normalised

__all__ = ["detect", "read_perspectrum", "read_value_prism", "read_value_situations"]


Reader = Callable[[Entries, Problems], Iterator[ReadWindow]]

KALEIDOSCOPE_PROMPT = "Please comment on the following situation: {situation}."

PERSPECTRUM_PROMPT = 'What can be said about this claim, for and against it: "{claim}"?'

#: The names of the stance in the rows of ValuePrism and of the steering task.
VALENCE_FIELDS = ("valence", "label_text")


def _row(*fields: str, lists: Sequence[str] = ()) -> Fields[Record]:
    """Return the fields of a row: texts, then lists. Their contents are checked where the windows are put together."""
    read = (
        Field(name, ANY_LIST if name in lists else text("a string", empty=True, strip=False), required=True)
        for name in (*fields, *lists)
    )
    return Fields(Record, *read)


SITUATION = _row("situation", lists=("vrd", "explanation"))
VALUE = _row("situation", "vrd")
CLAIM = _row("claim", lists=("perspectives",))
PERSPECTIVE = _row("stance", lists=("paraphrases",))


def detect(rows: Sequence[object], path: Path | None = None, /) -> tuple[Reader, str] | None:
    """Return the reader for rows of a known source, as their first one shows, and the words for the source.

    ``path`` is the file of the rows, beside which the pool of perspectives of Perspectrum lies.
    """
    if not rows or not isinstance(rows[0], dict):
        return None
    fields = rows[0].keys()
    if {"cId", "text", "perspectives"} <= fields:
        words = "claims and perspectives of Perspectrum (Chen et al. 2019), the original files"
        return functools.partial(read_perspectrum_original, path=path), words
    if {"claim", "perspectives"} <= fields:
        return read_perspectrum, "claims and perspectives of Perspectrum (Chen et al. 2019)"
    if {"situation", "vrd"} <= fields:
        words = "values, rights and duties of ValuePrism (arXiv:2309.00779)"
        return (read_value_situations if isinstance(rows[0]["vrd"], list) else read_value_prism), words
    return None


def read_value_situations(entries: Entries, problems: Problems, /) -> Iterator[ReadWindow]:
    """Read rows with a situation, the list of its values, rights and duties, and an explanation of each.

    The explanation is the answer, the value its id: a response that entails the explanation has thought of the value.
    """
    for where, row in entries:
        if SITUATION.read(row, where, problems) is None:
            continue
        if len(row["vrd"]) != len(row["explanation"]):
            problems.add(where, f"has {len(row['vrd'])} values but {len(row['explanation'])} explanations")
            continue
        pairs = list(zip(row["vrd"], row["explanation"], strict=True))
        yield _situation(row, pairs, where)


def read_value_prism(entries: Entries, problems: Problems, /) -> Iterator[ReadWindow]:
    """Read rows with one situation and one value each; the rows of one situation are a window.

    ``vrd`` is the value itself, or (as in the full table of ValuePrism) its kind, with the value in ``text``.
    ``valence`` or ``label_text`` becomes the stance.
    """
    by_situation: dict[str, tuple[str, Record, list[tuple[object, object, object]]]] = {}
    for where, row in entries:
        if VALUE.read(row, where, problems) is None:
            continue
        value = row["text"] if isinstance(row.get("text"), str) else row["vrd"]
        explanation = row["explanation"] if isinstance(row.get("explanation"), str) else value
        stance = next((row[name] for name in VALENCE_FIELDS if isinstance(row.get(name), str)), None)
        _, _, found = by_situation.setdefault(normalised(row["situation"]), (where, row, []))
        found.append((value, explanation, stance))
    for where, row, found in by_situation.values():
        # The steering rows number each value, so that the id of one of them is not the id of the situation.
        yield _situation({**row, "id": None, "input": None}, found, where)


def read_perspectrum(entries: Entries, problems: Problems, /) -> Iterator[ReadWindow]:
    """Read rows with a claim and its perspectives, each a cluster of paraphrases with a stance.

    ``voter_counts`` say how annotators read the stance, not how many people hold it: they are not its support.
    """
    for where, row in entries:
        if CLAIM.read(row, where, problems) is None:
            continue
        answers = []
        seen: set[str] = set()
        for number, perspective in enumerate(row["perspectives"], start=1):
            inner = f"{where}, perspective {number}"
            if PERSPECTIVE.read(perspective, inner, problems) is None:
                continue
            texts = [text for text in perspective["paraphrases"] if isinstance(text, str) and text.strip()]
            fresh = [
                text for text in {normalised(text): text for text in texts}.values() if normalised(text) not in seen
            ]
            seen.update(map(normalised, fresh))
            if fresh:
                stance = perspective["stance"].strip().lower()
                answers.append(ReadAnswer(fresh[0], f"p{number}", fresh[1:], stance))
        yield ReadWindow(
            query_id=f"perspectrum-{row['id']}" if "id" in row else row["claim"],
            query=row["claim"],
            reasonable=answers,
            prompt=PERSPECTRUM_PROMPT.format(claim=row["claim"].strip()),
            where=where,
        )


#: The file of the original that has the texts of the perspectives.
POOL = "perspective_pool_v1.0.json"


def read_perspectrum_original(entries: Entries, problems: Problems, /, *, path: Path | None) -> Iterator[ReadWindow]:
    """Read the claims of the original files, whose perspectives are ids of texts in the pool beside them."""
    pool = None if path is None else path.parent / POOL
    if pool is None or not pool.is_file():
        raise DatasetError(f"{path}: its perspectives are ids. Put {POOL} of the same release beside it.")
    content = json_document(read_text(pool, what="pool", holds="perspective"), pool)
    if not isinstance(content, list):
        raise DatasetError(f"{pool}: must be a list of perspectives, each with pId and text.")
    texts = {one["pId"]: one.get("text") for one in content if isinstance(one, dict) and "pId" in one}
    for where, row in entries:
        perspectives = []
        for number, one in enumerate(row.get("perspectives") or (), start=1):
            known = [texts.get(name) for name in one.get("pids", ())]
            if not known or None in known:
                missing = next((name for name in one.get("pids", ()) if texts.get(name) is None), "none")
                problems.add(f"{where}, perspective {number}", f"the pool has no perspective {missing}")
                continue
            perspectives.append({"stance": one.get("stance_label_3", ""), "paraphrases": known})
        plain = {"claim": row["text"], "id": row["cId"], "perspectives": perspectives}
        yield from read_perspectrum(iter([(where, plain)]), problems)


def _situation(row: Record, found: Sequence[tuple[object, ...]], where: str) -> ReadWindow:
    answers = []
    seen: set[str] = set()
    ids: dict[str, int] = {}
    for value, explanation, *rest in found:
        key = normalised(explanation) if isinstance(explanation, str) else repr(explanation)
        if key in seen:
            continue
        seen.add(key)
        name = value
        if isinstance(value, str):
            ids[value] = ids.get(value, 0) + 1
            name = value if ids[value] == 1 else f"{value} ({ids[value]})"
        stance = str(rest[0]).strip().lower() if rest and rest[0] is not None else None
        answers.append(ReadAnswer(explanation, name, (), stance))
    situation = row["situation"]
    given = row.get("input")
    prompt = given if isinstance(given, str) and given.strip() else None
    identifier = row.get("id")
    return ReadWindow(
        query_id=situation if identifier is None else f"value-prism-{identifier}",
        query=situation,
        reasonable=answers,
        prompt=prompt or KALEIDOSCOPE_PROMPT.format(situation=situation.strip().rstrip(".")),
        where=where,
    )
