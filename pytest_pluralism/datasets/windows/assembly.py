"""Check the windows that a reader found, and make the record of them: the one place for all readers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_pluralism.core.records import Window, WindowAnswer, WindowSet
from pytest_pluralism.datasets.fields import ANYTHING, Field, Fields, Kind, UnfitError, one_of, text, texts
from pytest_pluralism.datasets.reading import Problems, shown

__all__ = ["ANSWER", "KINDS", "WINDOW", "ReadAnswer", "ReadWindow", "assemble_windows", "normalised", "windows_sha256"]

#: The kinds of windows: people disagree, nearly everybody agrees, or the evidence is in.
KINDS = ("contested", "one_sided", "settled")

#: Maximum number of answers of one window, and of characters of one text: more than any source has.
MOST_ANSWERS = 1_000
MOST_CHARACTERS = 20_000


@dataclass(frozen=True)
class ReadAnswer:
    """One answer as a source gives it, unchecked."""

    text: object
    answer_id: object = None
    paraphrases: Iterable[object] = ()
    stance: object = None
    support: object = None
    support_by_group: object = None
    source: object = ""


@dataclass(frozen=True)
class ReadWindow:
    """One window as a source gives it, unchecked, and the place where it stands."""

    query_id: object
    query: object
    reasonable: Sequence[ReadAnswer]
    unreasonable: Sequence[ReadAnswer] = ()
    prompt: object = None
    kind: object = None
    cluster: object = None
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
        The problems that the reader has found; raised together with those that are found here.
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
            problems.add(where, f"'query_id' must be a non-empty string, not {shown(item.query_id)}")
            continue
        before = problems.count
        window = _check_window(item, where, problems)
        if window is not None and problems.count == before:
            windows.append(window)
    problems.raise_if_any("" if n_read else "holds no windows")
    n_answers = sum(len(window.reasonable) + len(window.unreasonable) for window in windows)
    source += f"{'; ' if source else ''}read: {n_read} window(s), {n_answers} answer(s)"
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

    def answers(group: tuple[WindowAnswer, ...]) -> list[list[object]]:
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


def _share(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if 0 <= value <= 1:
            return float(value)
        raise UnfitError("; this looks like per cent: divide by 100" if 1 < value <= 100 else "")
    raise UnfitError


def _groups(value: object) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, Mapping):
        raise UnfitError(instead=f"must be an object of group and share, not {shown(value)}")
    return tuple((TEXT.read(group), _share(share)) for group, share in value.items())


TEXT = text(most=MOST_CHARACTERS)
NAME = text(most=MOST_CHARACTERS, strip=False)

#: The fields of an answer.
ANSWER = Fields(
    WindowAnswer,
    Field("answer_id", NAME),
    Field("text", TEXT, required=True),
    Field("paraphrases", texts(most=MOST_CHARACTERS), default=()),
    Field("stance", TEXT),
    Field("support", Kind("a share of people in [0, 1]", _share)),
    Field("support_by_group", Kind("a share of people in [0, 1]", _groups), default=()),
    Field("source", text("a string", most=MOST_CHARACTERS, empty=True), default=""),
    strict=True,
)

#: The fields of a window, of which its answers are checked one by one.
WINDOW = Fields(
    Window,
    Field("query_id", NAME, required=True),
    Field("query", TEXT, required=True),
    Field("reasonable", ANYTHING, required=True),
    Field("unreasonable", ANYTHING, default=()),
    Field("prompt", NAME),
    Field("kind", one_of(KINDS), default=KINDS[0]),
    Field("cluster", NAME),
    also=("source",),
    strict=True,
)


def _check_window(item: ReadWindow, where: str, problems: Problems) -> Window | None:
    if not item.reasonable:
        problems.add(where, "'reasonable' is empty; a window holds at least one reasonable answer")
    window = WINDOW.checked(vars(item), where, problems)
    if window is None:
        return None
    before = problems.count
    reasonable = _check_answers(item.reasonable, "reasonable", where, problems)
    unreasonable = _check_answers(item.unreasonable, "unreasonable", where, problems)
    if problems.count == before:
        _check_apart({"reasonable": reasonable, "unreasonable": unreasonable}, where, problems)
    return replace(window, reasonable=reasonable, unreasonable=unreasonable) if problems.count == before else None


def _check_answers(read: Sequence[ReadAnswer], name: str, where: str, problems: Problems) -> tuple[WindowAnswer, ...]:
    if len(read) > MOST_ANSWERS:
        problems.add(where, f"has {len(read)} {name} answers; at most {MOST_ANSWERS} are read")
        return ()
    answers: dict[str, WindowAnswer] = {}
    for place, one in enumerate(read, start=1):
        inner = f"{where}, {name} answer {place}"
        identifier = f"{name[0]}{place}" if one.answer_id is None else one.answer_id
        answer = ANSWER.checked(vars(one) | {"answer_id": identifier}, inner, problems)
        if answer is None:
            continue
        if answer.answer_id in answers:
            problems.add(inner, f"the answer_id {identifier!r} is already used in this window; make it unique")
        answers.setdefault(answer.answer_id, answer)
    return tuple(answers.values())


def _check_apart(sides: Mapping[str, tuple[WindowAnswer, ...]], where: str, problems: Problems) -> None:
    """Refuse a text that stands twice: as two answers, or on both sides of the border of the window."""
    seen: dict[str, tuple[str, str]] = {}
    for side, answers in sides.items():
        for answer in answers:
            for one in answer.texts:
                key = normalised(one)
                if key not in seen:
                    seen[key] = (side, answer.answer_id)
                elif seen[key][0] != side:
                    problems.add(where, f"{shown(one)} is listed as reasonable and as unreasonable; keep it in one")
                else:
                    problems.add(where, f"{shown(one)} stands twice, in {seen[key][1]!r} and {answer.answer_id!r}")
