"""Answer keys: texts in free words that say each option of closed questions, by which other texts are read.

One JSON object a line (``.jsonl``) or an array of them (``.json``), one for each option, and one with ``"option":
null`` for texts that say none::

    {"options": ["Yes", "No"], "option": "Yes", "says": ["It should be legal."], "checks": [{"text": "I'd allow it."}]}

``says`` are the texts that others are compared with; ``checks`` are those on which the errors of the reading are
measured, so that no text should be both. A key holds for every question with its options, or for those that
``questions`` names; that may give words to each, which stand for ``{it}`` (``{It}`` with a capital letter).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import did_you_mean
from pytest_pluralism.core.records import Question
from pytest_pluralism.datasets.fields import ANY_LIST, Field, Fields, Kind, UnfitError, as_text, text, texts
from pytest_pluralism.datasets.reading import Problems, read_entries

__all__ = ["AnswerKey", "Check", "OptionTexts", "read_answer_key"]

#: The key of the surveys of the package.
PACKAGED = Path(__file__).parent / "answer_key.jsonl"

REMEDY = 'Write one line an option: {"options": ["Yes", "No"], "option": "Yes", "says": ["..."], "checks": ["..."]}'

#: Maximum number of characters of one text.
MOST_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Check:
    """A text of which people know what it says.

    Attributes
    ----------
    text : str
        The text.
    option : int or None
        The place of the option that it says; ``None`` where it says none.
    question : str
        The id of the question that it answers; empty for any.
    """

    text: str
    option: int | None
    question: str = ""


@dataclass(frozen=True)
class OptionTexts:
    """The key to questions with the same options.

    Attributes
    ----------
    options : tuple of str
        The options.
    topics : mapping of str to str
        The words for each question that it holds for; empty where it holds for every question with these options.
    says : tuple of tuple of str
        The texts of each option.
    checks : tuple of Check
        The texts on which errors are measured.
    """

    options: tuple[str, ...]
    topics: Mapping[str, str]
    says: tuple[tuple[str, ...], ...]
    checks: tuple[Check, ...] = ()

    def fits(self, question: Question, /) -> bool:
        """Return whether the key holds for a question."""
        return self.options == question.options and (not self.topics or question.question_id in self.topics)

    def texts_of(self, question_id: str, /) -> tuple[tuple[str, ...], ...]:
        """Return the texts of each option with the words for a question in them."""
        it = self.topics.get(question_id, "it")
        capital = it[:1].upper() + it[1:]
        return tuple(
            tuple(one.replace("{it}", it).replace("{It}", capital) for one in several) for several in self.says
        )


@dataclass(frozen=True)
class AnswerKey:
    """The keys of a file, and the hash of its content."""

    name: str
    entries: tuple[OptionTexts, ...]
    sha256: str

    def of(self, question: Question, /) -> OptionTexts:
        """Return the key to a question; one without checks that holds the options alone where there is none."""
        found = next((one for one in self.entries if one.fits(question)), None)
        return found or OptionTexts(question.options, {}, tuple((option,) for option in question.options))


@dataclass(frozen=True, slots=True)
class _Row:
    options: tuple[str, ...]
    option: str | None
    questions: Mapping[str, str]
    says: tuple[str, ...]
    checks: Sequence[Any]


def _topics(value: object) -> Mapping[str, str]:
    if isinstance(value, list) and all(isinstance(one, str) and one for one in value):
        return dict.fromkeys(value, "it")
    if not isinstance(value, Mapping) or not all(isinstance(one, str) and one.strip() for one in value.values()):
        raise UnfitError
    return dict(value)


_ROW = Fields(
    _Row,
    Field("options", texts("a list of at least two options"), required=True),
    Field("option", text("one of the options, or null")),
    Field("questions", Kind("a list of ids of questions, or an object with words for each", _topics), default={}),
    Field("says", texts("a list of texts", most=MOST_CHARACTERS), default=()),
    Field("checks", ANY_LIST, default=()),
    strict=True,
)


def read_answer_key(path: str | os.PathLike[str] | None = None, /) -> AnswerKey:
    """Read an answer key.

    Parameters
    ----------
    path : str or path, optional
        A ``.jsonl`` or ``.json`` file; by default the key of the surveys of the package.

    Raises
    ------
    DatasetError
        If the file cannot be read, a line is wrong, an option has no text, or a text is both compared and checked.

    Examples
    --------
    >>> key = read_answer_key()
    >>> [len(one.options) for one in key.entries]
    [3, 2, 4]
    """
    file = PACKAGED if path is None else Path(path)
    entries, problems = read_entries(
        file, what="answer key", holds="option", remedy=REMEDY, formats=(".jsonl", ".json")
    )
    groups: dict[tuple[tuple[str, ...], tuple[tuple[str, str], ...]], list[tuple[str, _Row]]] = {}
    digest = hashlib.sha256()
    for where, entry in entries:
        digest.update(repr(sorted(entry.items()) if isinstance(entry, dict) else entry).encode("utf-8", "replace"))
        row = _ROW.read(entry, where, problems)
        if row is not None and _is_of_options(row, where, problems):
            groups.setdefault((row.options, tuple(sorted(row.questions.items()))), []).append((where, row))
    found = tuple(_key(dict(topics), rows, problems) for (_, topics), rows in groups.items())
    problems.raise_if_any()
    return AnswerKey(file.name, found, digest.hexdigest())


def _is_of_options(row: _Row, where: str, problems: Problems) -> bool:
    if len(row.options) < 2 or len(set(row.options)) < len(row.options):
        problems.add(where, "'options' must be at least two different options")
        return False
    if row.option is not None and row.option not in row.options:
        hint = did_you_mean(row.option, row.options, "; did you mean {!r}?")
        problems.add(where, f"'option' {row.option!r} is not one of the options{hint}")
        return False
    if row.option is None and row.says:
        problems.add(where, "texts that say no option have 'checks' alone, and no 'says'")
        return False
    return True


def _key(topics: Mapping[str, str], rows: Sequence[tuple[str, _Row]], problems: Problems) -> OptionTexts:
    options = rows[0][1].options
    says: list[tuple[str, ...]] = [() for _ in options]
    checks: list[Check] = []
    for where, row in rows:
        place = None if row.option is None else options.index(row.option)
        if place is not None:
            says[place] += row.says
        for entry in row.checks:
            check = _check(entry, place, topics, where, problems)
            checks += [] if check is None else [check]
    lacking = [option for option, several in zip(options, says, strict=True) if not several]
    if lacking:
        problems.add(rows[0][0], f"option {lacking[0]!r} has no text under 'says'")
    both = {one for several in says for one in several} & {check.text for check in checks}
    if both:
        problems.add(rows[0][0], f"{min(both)[:60]!r} stands under 'says' and 'checks': its reading shows no error")
    return OptionTexts(options, topics, tuple(says), tuple(checks))


def _check(entry: object, place: int | None, topics: Mapping[str, str], where: str, problems: Problems) -> Check | None:
    if isinstance(entry, str):
        entry = {"text": entry}
    odd = not isinstance(entry, dict) or not {"text"} <= entry.keys() <= {"text", "question"}
    question = "" if odd or not isinstance(entry, dict) else entry.get("question", "")
    try:
        said = as_text(entry.get("text") if isinstance(entry, dict) else None, most=MOST_CHARACTERS)
    except UnfitError:
        odd, said = True, ""
    if odd or not isinstance(question, str):
        problems.add(where, "'checks' must be texts, or objects with a 'text' and the id of its 'question'")
        return None
    if topics and question and question not in topics:
        problems.add(where, f"a check is about {question!r}, which is not one of its questions")
        return None
    return Check(said, place, question or next(iter(topics), ""))
