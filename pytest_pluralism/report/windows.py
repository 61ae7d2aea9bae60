"""A response beside the window of its query, in Markdown: what it says of each answer is marked where it says it."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pytest_pluralism.core.messages import printable

__all__ = ["MOST_CHARACTERS", "markdown_text", "marked_segments", "window_lines"]

#: Most characters of a response that are shown.
MOST_CHARACTERS = 2_000


def markdown_text(value: object, /, *, most: int = 160) -> str:
    """Return text that Markdown and HTML show as it is."""
    escaped = html.escape(printable(str(value), most=most), quote=False)
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]()#+!|~$@" else sign for sign in escaped)


def window_lines(entry: Mapping[str, Any], /) -> Iterator[str]:
    """Yield the lines that show one response of a verdict about windows; none for other verdicts.

    The window is the one that the verdict names as its witness.
    """
    units = [unit for unit in entry.get("units", ()) if unit.get("answers") and unit.get("responses")]
    if not units:
        return
    witness = (entry.get("witness") or {}).get("id")
    unit = next((one for one in units if one["id"] == witness), units[0])
    reasonable, unreasonable = unit["answers"], unit.get("unreasonable_answers", ())
    answers = [*reasonable, *unreasonable]
    draw = _most_telling(answers)
    value = "-" if unit["value"] is None else f"{unit['value']:.2f}"
    yield f"### {markdown_text(unit.get('text', unit['id']))}"
    yield ""
    n_draws = len(unit["responses"])
    of = f", response {draw + 1} of {n_draws}" if n_draws > 1 else ""
    yield f"{markdown_text(entry['model'].get('name', ''))}, {markdown_text(unit['id'])}: {value}{of}."
    yield ""
    yield from _marked(unit["responses"][draw], answers, draw)
    yield ""
    yield "| | answer | side | entailment | |"
    yield "|---|---|---|---|---|"
    for number, answer in enumerate(answers, start=1):
        outside = number > len(reasonable)
        yield "| " + " | ".join(_cells(number, answer, outside, draw)) + " |"
    for claims in unit.get("unmatched_claims", ())[draw : draw + 1]:
        if claims:
            yield ""
            yield "Claims that are no answer of the window: " + "; ".join(f"“{markdown_text(one)}”" for one in claims)
    yield ""


def _most_telling(answers: Sequence[Mapping[str, Any]]) -> int:
    """Return the draw in which most answers were found; the first of several."""
    found = Counter(answer["draw"] for answer in answers if answer["held"] and "draw" in answer)
    return min(found, key=lambda draw: (-found[draw], draw)) if found else 0


def _cells(number: int, answer: Mapping[str, Any], outside: bool, draw: int) -> Iterator[str]:
    yield str(number)
    yield markdown_text(answer["text"])
    yield "outside" if outside else markdown_text(answer.get("stance", ""), most=30)
    yield f"{answer['entailment']:.2f}"
    if not answer["held"]:
        yield "not said" if outside else "✗ missed"
        return
    word = "! argued" if outside else "✓ held"
    yield word if answer.get("draw") == draw else f"{word} (response {answer.get('draw', 0) + 1})"


def marked_segments(
    text: str, answers: Sequence[Mapping[str, Any]], draw: int, /
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the pieces of a response in their order, with the numbers of the answers that stand in each."""
    # For each place of the text, the answers that are found there.
    numbers: list[list[int]] = [[] for _ in text]
    for number, answer in enumerate(answers, start=1):
        evidence = answer.get("evidence")
        if not answer["held"] or not evidence or answer.get("draw") != draw:
            continue
        at = text.find(evidence)
        if at >= 0:
            for place in range(at, at + len(evidence)):
                numbers[place].append(number)
    start = 0
    for end in range(1, len(text) + 1):
        if end < len(text) and numbers[end] == numbers[start]:
            continue
        yield text[start:end], tuple(numbers[start])
        start = end


def _marked(text: str, answers: Sequence[Mapping[str, Any]], draw: int) -> Iterator[str]:
    """Yield a response as a quotation, with what holds an answer in bold and the numbers of the answers behind it."""
    shown = text[:MOST_CHARACTERS]
    line = "".join(_segment(piece, numbers, _escaped) for piece, numbers in marked_segments(shown, answers, draw))
    if len(text) > len(shown):
        line += " …"
    if not line.strip():
        line = "(nothing)"
    for part in line.split("\n"):
        # What would begin a list, a rule or a block of code at the start of a line is text too.
        begun = re.sub(r"^(\d+)([.)])", r"\1\\\2", re.sub(r"^([-=])", r"\\\1", part.strip()))
        yield f"> {begun}" if begun else ">"


def _segment(text: str, numbers: Sequence[int], escape: Callable[[str], str]) -> str:
    if not numbers:
        return "\n".join(map(escape, text.split("\n")))
    cited = f" \\[{', '.join(map(str, numbers))}\\]"
    lines = [f"**{escape(line.strip())}**" if line.strip() else "" for line in text.split("\n")]
    return "\n".join(lines) + cited


def _escaped(line: str) -> str:
    return markdown_text(line, most=len(line) * 12 + 1) if line else ""
