r"""The files of questions and gold distributions that come with the Modular Pluralism benchmark.

A JSON array with one row for each question and attribute (a country, a party, ...):
``{"question": "Question: ...\nOptions: A. ... B. ...\nAnswer:", "options": [...], "attribute": "Japan",
"gold_distribution": [...]}``.
Rows with the same text and options are one question.

Only the authors of the benchmark can correct these files. Rows that cannot be compared are left out, and
``Survey.source`` says how many: questions with fewer than two options or with the same option twice (their options were
damaged), and rows that give one population different answers to one question.

A program cannot find every fault. The benchmark merged questions that named each country's own
politicians and parties, so that answers of Spain stand under the name of a politician of India; ``Survey.source`` says
how many questions are of this kind.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterable, Sequence

from pytest_pluralism.datasets.fields import ANYTHING, Field, Fields, text, texts
from pytest_pluralism.datasets.reading import Problems, Record
from pytest_pluralism.datasets.surveys.assembly import ReadDistribution, ReadQuestion, one_line

__all__ = ["SOURCE", "is_modular_pluralism", "plain_question", "question_hash", "read_rows"]

SOURCE = "questions and gold distributions in the format of the Modular Pluralism benchmark (arXiv:2406.15951)"

# The population and its answers are checked where the survey is put together.
ROW = Fields(
    Record,
    Field("question", text("a string", empty=True, strip=False), required=True),
    Field("options", texts("a list of strings", empty=True, strip=False), required=True),
    Field("attribute", ANYTHING, required=True),
    Field("gold_distribution", ANYTHING, required=True),
)

# The words before the name of a politician or party of the country where the question was asked.
OWN_POLITICIANS = re.compile(r"political leaders (?:and organizations )?in our country|opinion of ____")


def is_modular_pluralism(entries: Sequence[object], /) -> bool:
    """Return whether rows are in this format, as their first one shows."""
    return bool(entries) and isinstance(entries[0], dict) and {"attribute", "gold_distribution"} <= entries[0].keys()


def read_rows(entries: Iterable[tuple[str, object]], problems: Problems, /) -> tuple[list[ReadQuestion], str]:
    """Return the questions of rows in this format, and a note about them.

    Parameters
    ----------
    entries : iterable of (str, object)
        The place of each row, and the row.
    problems : Problems
        The problems of the file, to which those of its rows are added.

    Returns
    -------
    questions : list of ReadQuestion
        In order of first appearance.
    note : str
        An addition to ``Survey.source``; may be empty.
    """
    grouped: dict[tuple[str, tuple[str, ...]], tuple[str, list[ReadDistribution]]] = {}
    for where, row in entries:
        read = ROW.read(row, where, problems)
        if read is None:
            continue
        options = tuple(one_line(option) for option in read["options"])
        text = plain_question(read["question"], options)
        if text is None:
            problems.add(
                where, "the options in 'question' differ from those in 'options', or 'Answer:' does not follow them"
            )
            continue
        _, rows = grouped.setdefault((text, options), (where, []))
        rows.append(ReadDistribution(read["attribute"], read["gold_distribution"]))
    damaged = contradictory = 0
    questions = []
    for (text, options), (where, rows) in grouped.items():
        if len(options) > 1 and len({option.strip() for option in options}) < len(options):
            damaged += 1
            continue
        consistent = _consistent(rows)
        contradictory += len({str(row.population) for row in rows}) - len(consistent)
        if consistent:
            questions.append(ReadQuestion(question_hash(text, options), text, options, consistent, where=where))
    merged = sum(OWN_POLITICIANS.search(question.text) is not None for question in questions)
    notes = {
        f"left out: {damaged} question(s) with the same option twice": damaged,
        f"left out: {contradictory} population(s) with different answers to one question": contradictory,
        f"{merged} question(s) name a politician or party of one country and may hold answers of others": merged,
    }
    return questions, "".join(f"; {note}" for note, count in notes.items() if count)


def _consistent(rows: list[ReadDistribution]) -> list[ReadDistribution]:
    """Return one row for each population whose rows agree."""
    by_population: dict[str, list[ReadDistribution]] = {}
    for row in rows:
        by_population.setdefault(str(row.population), []).append(row)
    return [same[0] for same in by_population.values() if all(row == same[0] for row in same)]


def plain_question(prompt: str, options: Sequence[str], /) -> str | None:
    r"""Return the text of a question without its frame, or ``None`` if the frame is not as expected.

    Parameters
    ----------
    prompt : str
        ``Question: <text>\nOptions: A. <option> B. <option>\nAnswer:``, or the scenario of MoralChoice, whose
        options stand on lines of their own.
    options : sequence of str
        The options, which the frame must repeat.

    Returns
    -------
    str or None
        The text.

    Examples
    --------
    >>> plain_question("Question: Is it so?\nOptions: A. Yes B. No\nAnswer:", ["Yes", "No"])
    'Is it so?'
    >>> plain_question("Question: Is it so?\nOptions: A. No B. Yes\nAnswer:", ["Yes", "No"]) is None
    True
    """
    if len(options) > len(string.ascii_uppercase):
        return None
    labelled = list(zip(string.ascii_uppercase, options, strict=False))
    # Scenarios of MoralChoice have each option on a line of its own, and no frame around them.
    listed = "".join(f"\n{letter}. {option}" for letter, option in labelled)
    if prompt.rstrip().endswith(f"{listed}\nAnswer:") and "\nScenario: " in prompt:
        return prompt.rstrip().removesuffix(f"{listed}\nAnswer:").strip()
    expected = " ".join(f"{letter}. {option}" for letter, option in labelled)
    head, found, tail = prompt.rpartition("\nOptions:")
    if not found or not head.startswith("Question:"):
        return None
    # Only spaces may differ: the benchmark strips them at the end of the list.
    if tail.split() != f"{expected} Answer:".split():
        return None
    return head.removeprefix("Question:").strip()


def question_hash(*parts: str | Sequence[str]) -> str:
    """Return a short identifier that depends on the text and options of a question, not on its place in a file."""
    encoded = "\x1f".join(part if isinstance(part, str) else "\x1e".join(part) for part in parts)
    return "q-" + hashlib.sha256(encoded.encode("utf-8", "surrogatepass")).hexdigest()[:12]
