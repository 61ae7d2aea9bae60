"""Windows from what a reader found: checked, and put together."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_pluralism.core.errors import nearest_names
from pytest_pluralism.core.records import Window, WindowAnswer, WindowSet
from pytest_pluralism.datasets.reading import HALF_CHARACTERS, Problems

__all__ = ["KINDS", "ReadAnswer", "ReadWindow", "assemble_windows", "normalised", "windows_sha256"]


#: What a window may be: people disagree, nearly everybody agrees, or the evidence is in.
KINDS = ("contested", "one_sided", "settled")

#: The largest file that is read, before and after decompression.
MAXIMUM_BYTES = 50_000_000

#: Most answers of one window, and most characters of one text: more than any source has.
MOST_ANSWERS = 1_000
MOST_CHARACTERS = 20_000


@dataclass(frozen=True)
class ReadAnswer:
    """One answer as a source gives it, unchecked."""

    text: Any
    answer_id: Any = None
    paraphrases: Any = ()
    stance: Any = None
    support: Any = None
    support_by_group: Any = None
    source: Any = ""


@dataclass(frozen=True)
class ReadWindow:
    """One window as a source gives it, unchecked, and the place where it stands."""

    query_id: Any
    query: Any
    reasonable: Sequence[ReadAnswer]
    unreasonable: Sequence[ReadAnswer] = ()
    prompt: Any = None
    kind: Any = None
    cluster: Any = None
    where: str = ""


def assemble_windows(name: str, read: Iterable[ReadWindow], /, *, problems: Problems, source: str = "") -> WindowSet:
    """Check what was read and make the record.

    Parameters
    ----------
    name : str
        The name of the set.
    read : iterable of ReadWindow
        The windows, in order.
    problems : Problems
        What the reader has already found; raised together with what is found here.
    source : str
        Where the windows come from.

    Returns
    -------
    WindowSet
        With at least one window, each with at least one reasonable answer.

    Raises
    ------
    DatasetError
        If anything is wrong; up to ten problems are named.
    """
    windows: list[Window] = []
    seen: dict[str, str] = {}
    n_read = 0
    for item in read:
        n_read += 1
        where = item.where
        if isinstance(item.query_id, str) and item.query_id.strip():
            where = f"{where}, query {item.query_id!r}" if where else f"query {item.query_id!r}"
            if item.query_id in seen:
                at = f" by {seen[item.query_id]}" if seen[item.query_id] else ""
                problems.add(where, f"the query_id is already used{at}; make it unique")
                continue
            seen[item.query_id] = item.where
        else:
            problems.add(where, f"'query_id' must be a non-empty string, not {show(item.query_id)}")
            continue
        before = len(problems.found)
        window = _check_window(item, where, problems)
        if window is not None and len(problems.found) == before:
            windows.append(window)
    if n_read == 0 and not problems.found:
        problems.add("", "holds no windows")
    problems.raise_if_any()
    return WindowSet(name, tuple(windows), windows_sha256(windows), source)


def windows_sha256(windows: Iterable[Window], /) -> str:
    """Return the hash of the content of windows: neither their order nor that of their answers matters.

    Parameters
    ----------
    windows : iterable of Window
        The windows.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> windows_sha256([Window("q", "Is it so?", (WindowAnswer("r1", "It is."),))])[:8]
    '543bc334'
    """

    def answers(group: tuple[WindowAnswer, ...]) -> list[list[Any]]:
        return [
            [
                *(a.answer_id, a.text, list(a.paraphrases), a.stance),
                None if a.support is None else round(a.support, 12),
                [[name, round(share, 12)] for name, share in a.support_by_group],
            ]
            for a in sorted(group, key=lambda a: a.answer_id)
        ]

    content = [
        [w.query_id, w.query, w.prompt, w.kind, w.cluster, answers(w.reasonable), answers(w.unreasonable)]
        for w in sorted(windows, key=lambda w: w.query_id)
    ]
    encoded = json.dumps(content, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(encoded.encode("ascii")).hexdigest()


def normalised(text: str, /) -> str:
    """Return a text without differences of case and white space, as answers are compared.

    Examples
    --------
    >>> normalised("  Yes,  it IS ")
    'yes, it is'
    """
    return " ".join(text.split()).casefold()


# ----------------------------------------------------------------------------------------------------------- checks


def _check_window(item: ReadWindow, where: str, problems: Problems) -> Window | None:
    _check_text(item.query_id, "query_id", where, problems)
    _check_text(item.query, "query", where, problems)
    for name, value in (("prompt", item.prompt), ("cluster", item.cluster)):
        if value is not None:
            _check_text(value, name, where, problems)
    kind = "contested" if item.kind is None else item.kind
    if kind not in KINDS:
        near = nearest_names(kind, KINDS, most=1) if isinstance(kind, str) else []
        hint = f"; did you mean {near[0]!r}?" if near else ""
        problems.add(where, f"'kind' must be one of {', '.join(map(repr, KINDS))}, not {show(kind)}{hint}")
    if not item.reasonable:
        problems.add(where, "'reasonable' is empty; a window holds at least one reasonable answer")
    before = len(problems.found)
    reasonable = _check_answers(item.reasonable, "reasonable", where, problems)
    unreasonable = _check_answers(item.unreasonable, "unreasonable", where, problems)
    if len(problems.found) > before:
        return None
    _check_apart(reasonable, unreasonable, where, problems)
    if len(problems.found) > before or not isinstance(item.query, str):
        return None
    return Window(
        query_id=item.query_id,
        query=item.query.strip(),
        reasonable=reasonable,
        unreasonable=unreasonable,
        prompt=item.prompt,
        kind=kind,
        cluster=item.cluster,
    )


def _check_answers(read: Sequence[ReadAnswer], name: str, where: str, problems: Problems) -> tuple[WindowAnswer, ...]:
    if len(read) > MOST_ANSWERS:
        problems.add(where, f"has {len(read)} {name} answers; at most {MOST_ANSWERS} are read")
        return ()
    answers = []
    seen: set[str] = set()
    for number, one in enumerate(read, start=1):
        inner = f"{where}, {name} answer {number}"
        before = len(problems.found)
        identifier = f"{name[0]}{number}" if one.answer_id is None else one.answer_id
        _check_text(identifier, "answer_id", inner, problems)
        _check_text(one.text, "text", inner, problems)
        if isinstance(one.paraphrases, (list, tuple)):
            for paraphrase in one.paraphrases:
                _check_text(paraphrase, "paraphrases", inner, problems)
        else:
            problems.add(inner, f"'paraphrases' must be a list of strings, not {show(one.paraphrases)}")
        if one.stance is not None:
            _check_text(one.stance, "stance", inner, problems)
        if not isinstance(one.source, str):
            problems.add(inner, f"'source' must be a string, not {show(one.source)}")
        support = None if one.support is None else _share(one.support, "support", inner, problems)
        groups = _groups(one.support_by_group, inner, problems)
        if len(problems.found) > before:
            continue
        if identifier in seen:
            problems.add(inner, f"the answer_id {identifier!r} is already used in this window; make it unique")
            continue
        seen.add(identifier)
        answers.append(
            WindowAnswer(
                answer_id=identifier,
                text=one.text.strip(),
                paraphrases=tuple(text.strip() for text in one.paraphrases),
                stance=None if one.stance is None else one.stance.strip(),
                support=support,
                support_by_group=groups,
                source=one.source.strip(),
            )
        )
    return tuple(answers)


def _check_apart(
    reasonable: tuple[WindowAnswer, ...], unreasonable: tuple[WindowAnswer, ...], where: str, problems: Problems
) -> None:
    """Refuse a text that stands twice: as two answers, or on both sides of the border of the window."""
    seen: dict[str, tuple[str, str]] = {}
    for side, answers in (("reasonable", reasonable), ("unreasonable", unreasonable)):
        for answer in answers:
            for text in answer.texts:
                key = normalised(text)
                if key not in seen:
                    seen[key] = (side, answer.answer_id)
                elif seen[key][0] != side:
                    problems.add(where, f"{show(text)} is listed as reasonable and as unreasonable; keep it in one")
                else:
                    there = seen[key][1]
                    problems.add(where, f"{show(text)} stands twice, in {there!r} and {answer.answer_id!r}")


def _check_text(value: Any, name: str, where: str, problems: Problems) -> None:
    if not isinstance(value, str) or not value.strip():
        must = "strings that are not empty" if name == "paraphrases" else "a non-empty string"
        problems.add(where, f"'{name}' must be {must}, not {show(value)}")
    elif len(value) > MOST_CHARACTERS:
        problems.add(where, f"'{name}' has {len(value):,} characters; at most {MOST_CHARACTERS:,} are read")
    elif HALF_CHARACTERS.search(value):
        problems.add(where, f"'{name}' holds half of a surrogate pair (\\ud800 to \\udfff), which is no character")


def _share(value: Any, name: str, where: str, problems: Problems) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1 or math.isnan(value):
        numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
        hint = "; this looks like per cent: divide by 100" if numeric and 1 < value <= 100 else ""
        problems.add(where, f"'{name}' must be a share of people in [0, 1], not {show(value)}{hint}")
        return None
    return float(value)


def _groups(value: Any, where: str, problems: Problems) -> tuple[tuple[str, float], ...]:
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        problems.add(where, f"'support_by_group' must be an object of group and share, not {show(value)}")
        return ()
    shares = []
    for group, share in value.items():
        _check_text(group, "support_by_group", where, problems)
        checked = _share(share, "support_by_group", where, problems)
        if checked is not None:
            shares.append((group, checked))
    return tuple(shares)


def show(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
