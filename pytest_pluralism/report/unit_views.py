"""The view of single units in a report: their answers beside the people's, and responses beside their windows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from pytest_pluralism.core.records.measures import Measure, Noun, Term
from pytest_pluralism.core.words import POPULATIONS
from pytest_pluralism.report.blocks import Cell, number
from pytest_pluralism.report.cells import Entry, Ours

__all__ = ["AnswerView", "OptionView", "ResponseView", "UnitView", "UnitsView", "units_view"]

#: Maximum number of characters of a response that are shown.
MOST_CHARACTERS = 2_000

#: Maximum number of units in a list that stands open where the promise failed.
MOST_OPEN = 100

#: A beginning of fewer characters is not worth leaving out.
LEAST_STEM = 30

#: The forms of the numbers of a unit that are not written in three places.
_FORMS = {"change": "+.3f", "n_respondents": ",.0f"}


@dataclass(frozen=True)
class OptionView:
    """Hold one option of a question: its name, the model's and the people's share, and its welfare."""

    name: str
    ours: float | None
    theirs: float | None
    welfare: float | None


@dataclass(frozen=True)
class AnswerView:
    """Hold one answer of a window, and whether the responses hold it.

    ``side`` is ``"outside"`` for an unreasonable answer; ``found`` is ``"covered"``, ``"missed"``, ``"argued"`` (an
    unreasonable one that is held) or ``"not said"``; ``draw`` is the number of the response that holds it, from 1.
    """

    text: str
    side: str
    entailment: float
    found: str
    draw: int | None

    @property
    def sign(self) -> str:
        """A sign with a space before the words, where there is one."""
        return Ours({"covered": "✓ ", "missed": "✗ ", "argued": "! "}.get(self.found, ""))


@dataclass(frozen=True)
class ResponseView:
    """Hold one response: its number from 1, its value, and its pieces with the numbers of the answers in each.

    ``left`` counts the characters that are not shown; ``unmatched`` has the claims that are not answers of the window.
    """

    number: int
    value: float | None
    segments: tuple[tuple[str, tuple[int, ...]], ...]
    left: int
    unmatched: tuple[str, ...]


@dataclass(frozen=True)
class UnitView:
    """Hold everything that is shown of one unit; ``numbers`` has a cell for each column of :class:`UnitsView`.

    ``brief`` is the text without a beginning that other units share, empty where it is whole; ``prompt`` names the text
    that the model read, where the report holds it.
    """

    id: str
    text: str
    value: float | None
    people: str
    numbers: tuple[Cell, ...]
    model_probabilities: tuple[float, ...]
    reference_probabilities: tuple[float, ...]
    options: tuple[OptionView, ...]
    answers: tuple[AnswerView, ...]
    responses: tuple[ResponseView, ...]
    facts: tuple[str, ...]
    brief: str = ""
    prompt: str = ""

    @property
    def has_welfare(self) -> bool:
        """Say whether the welfare of each option is known."""
        return any(option.welfare is not None for option in self.options)

    @property
    def telling(self) -> ResponseView:
        """The response that holds most answers; the first of several."""
        held = Counter(answer.draw for answer in self.answers if answer.draw is not None)
        best = min(held, key=lambda draw: (-held[draw], draw)) if held else 1
        return self.responses[best - 1]


@dataclass(frozen=True)
class UnitsView:
    """Hold the units of a verdict, worst first; the first of the columns is that of the value."""

    units: tuple[UnitView, ...]
    noun: Noun
    people: str
    columns: tuple[str, ...]
    is_descending: bool
    is_open: bool

    @property
    def has_people(self) -> bool:
        """Say whether the answers of people stand beside those of the model."""
        return any(unit.reference_probabilities for unit in self.units)


def units_view(entry: Entry, measure: Measure, prompts: Mapping[str, str] = MappingProxyType({}), /) -> UnitsView:
    """Return the units of a verdict; ``prompts`` has the name of the prompt of each."""
    is_descending = entry.get("direction", "lower") == "lower"
    sign = -1.0 if is_descending else 1.0
    people = str(entry.get("population") or "people")
    columns = [
        term
        for term in measure.columns
        if any(isinstance(unit.get(term.name), (int, float)) for unit in entry["units"])
    ]
    units = sorted(entry["units"], key=lambda unit: sign * unit["value"] if unit["value"] is not None else math.inf)
    is_people = entry.get("population") is None and bool(entry["units"][0].get("population"))
    briefs = without_stems([str(unit.get("text", "")) for unit in units])
    return UnitsView(
        tuple(
            replace(
                _unit(unit, people, columns, measure.facts), brief=brief, prompt=str(prompts.get(str(unit["id"]), ""))
            )
            for unit, brief in zip(units, briefs, strict=True)
        ),
        # Version 0.1.0 did not say that, without a population, each one that the data name is a unit.
        POPULATIONS if is_people else measure.unit,
        people,
        (measure.title, *(term.words for term in columns)),
        is_descending,
        entry["outcome"] == "failed" and len(units) <= MOST_OPEN,
    )


def without_stems(texts: Sequence[str], /) -> list[str]:
    """Return each text without the beginning that it shares with two others, after an ellipsis, else nothing.

    Examples
    --------
    >>> stem = "This country faces many problems. Are we spending too much on"
    >>> without_stems([f"{stem} {what}?" for what in ("space", "health", "the big cities")] + ["Is it so?"])
    ['… space?', '… health?', '… the big cities?', '']
    """
    inside = sorted(range(len(texts)), key=lambda place: texts[place])
    # In the order of the alphabet, two others share a beginning with a text where they are its neighbours.
    result = [""] * len(texts)
    for at, place in enumerate(inside):
        windows = (inside[start : start + 3] for start in range(max(at - 2, 0), min(at, len(inside) - 3) + 1))
        # The first and the last of three sorted texts share what all three share.
        shared = max((_shared(texts[three[0]], texts[three[-1]]) for three in windows), default=0)
        stem = texts[place][:shared].rpartition(" ")[0]
        rest = texts[place][len(stem) :].strip()
        if len(stem) >= LEAST_STEM and rest:
            result[place] = f"… {rest}"
    return result


def _shared(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their beginnings."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _unit(unit: Entry, people: str, columns: Sequence[Term], facts: Sequence[Term]) -> UnitView:
    answers = (*unit.get("answers", ()), *unit.get("unreasonable_answers", ()))
    n_reasonable = len(unit.get("answers", ()))
    known = [(term.words, unit.get(term.name)) for term in facts]
    return UnitView(
        str(unit["id"]),
        str(unit.get("text", "")),
        unit["value"],
        str(unit.get("population") or people),
        tuple(number(unit.get(name), _FORMS.get(name, "z.3f")) for name in ("value", *(term.name for term in columns))),
        tuple(map(float, unit.get("model_probabilities") or ())),
        tuple(map(float, unit.get("reference_probabilities") or ())),
        tuple(_options(unit)),
        tuple(_answer(answer, is_outside=place >= n_reasonable) for place, answer in enumerate(answers)),
        tuple(_responses(unit, answers)),
        tuple(
            f"{words}: {value:.2f}" if isinstance(value, float) else f"{words}: {value}"
            for words, value in known
            if value not in (None, "", unit["id"], people)
        ),
    )


def _options(unit: Entry) -> Iterator[OptionView]:
    columns = [
        unit.get(name) or () for name in ("model_probabilities", "reference_probabilities", "welfare_by_response")
    ]
    for place, name in enumerate(unit.get("options") or ()):
        yield OptionView(str(name), *(float(column[place]) if place < len(column) else None for column in columns))


def _answer(answer: Entry, *, is_outside: bool) -> AnswerView:
    words = {(False, True): "covered", (False, False): "missed", (True, True): "argued", (True, False): "not said"}
    return AnswerView(
        str(answer["text"]),
        "outside" if is_outside else str(answer.get("stance", "")),
        float(answer["entailment"]),
        words[is_outside, answer["held"]],
        answer["draw"] + 1 if answer["held"] and "draw" in answer else None,
    )


def _responses(unit: Entry, answers: Sequence[Entry]) -> Iterator[ResponseView]:
    values, unmatched = unit.get("draw_values") or (), unit.get("unmatched_claims") or ()
    for place, text in enumerate(unit.get("responses") or ()):
        text = str(text)
        kept = text[:MOST_CHARACTERS]
        yield ResponseView(
            place + 1,
            float(values[place]) if place < len(values) else None,
            tuple(_segments(kept, answers, place)),
            len(text) - len(kept),
            tuple(map(str, unmatched[place])) if place < len(unmatched) else (),
        )


def _segments(text: str, answers: Sequence[Entry], draw: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the pieces of a response in their order, with the numbers of the answers that stand in each."""
    # For each place of the text, the answers that are found there.
    numbers: list[list[int]] = [[] for _ in text]
    for count, answer in enumerate(answers, start=1):
        evidence = answer.get("evidence")
        if not answer["held"] or not evidence or answer.get("draw") != draw:
            continue
        at = text.find(evidence)
        if at >= 0:
            for place in range(at, at + len(evidence)):
                numbers[place].append(count)
    start = 0
    for end in range(1, len(text) + 1):
        if end < len(text) and numbers[end] == numbers[start]:
            continue
        yield text[start:end], tuple(numbers[start])
        start = end
