"""The tables of the case study of Sorensen et al. 2024, as published and measured soundly, side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_pluralism.core.estimation import compare_paired
from pytest_pluralism.core.finite import finite_or_none
from pytest_pluralism.core.records import Estimate, Scores
from pytest_pluralism.report.blocks import Cell, Para, Part, Table, number
from pytest_pluralism.report.cells import Ours, bound_words
from pytest_pluralism.report.html import drawn_html
from pytest_pluralism.report.templates import render

__all__ = ["CaseRow", "Side", "case_study_html", "case_study_lines", "case_study_markdown", "case_study_parts"]

#: The name of the row of quirks that has all of them on.
_ALL = "all"


@dataclass(frozen=True)
class Side:
    """The results of one model on one survey, by the published protocol and by the sound one.

    Attributes
    ----------
    published, sound : Estimate
        The distances.
    published_scores, sound_scores : Scores
        The units, references and details.
    """

    published: Estimate
    published_scores: Scores
    sound: Estimate
    sound_scores: Scores

    def quirk(self, quantity: str) -> float:
        """Return a number of the published protocol, NaN where it is not known."""
        rows = self.published_scores.details.get("quirks") or ()
        found = [row["published"] for row in rows if row["quirk"] == _ALL and row["quantity"] == quantity]
        return float(found[0]) if found else math.nan

    @property
    def entropy(self) -> float:
        """The mean entropy of the sound answers, in nats."""
        return _mean_nats(self.sound_scores, "model_entropy")

    @property
    def people_entropy(self) -> float:
        """The mean entropy of the answers of people, in nats."""
        return _mean_nats(self.sound_scores, "reference_entropy")

    @property
    def shuffled(self) -> float:
        """The mean distance of the sound answers when they are shuffled."""
        return float(self.sound_scores.references.get("shuffle", math.nan))


@dataclass(frozen=True)
class CaseRow:
    """One survey and population, before and after alignment."""

    survey: str
    population: str
    before: Side
    after: Side

    @property
    def name(self) -> str:
        """The name of the row, as the paper has it."""
        return f"{self.survey} ({self.population})"


def _mean_nats(scores: Scores, name: str) -> float:
    bits = [unit.details[name] for unit in scores.units if unit.details.get(name) is not None]
    return math.log(2.0) * math.fsum(bits) / len(bits) if bits else math.nan


def case_study_parts(rows: Sequence[CaseRow], before: str, after: str, caution: str, /) -> list[Part]:
    """Return the tables 1, 4 and 5 of the paper for a pair of models.

    Parameters
    ----------
    rows : sequence of CaseRow
        The results.
    before, after : str
        The names of the models.
    caution : str
        The reason why the pair does not show alignment alone; empty where none is known.
    """
    pair = Para((Ours("Before: "), before, Ours("; after: "), after, Ours(".")))
    warned = (Para((caution,), is_warning=True),) if caution else ()
    return [
        Part("Before and after", (pair, *warned, Para((Ours(_READING),)))),
        Part("Table 1: distance from people", (_distances(rows),)),
        Part("Table 4: entropy", (_entropies(rows),)),
        Part("Table 5: distance of shuffled answers", (_shuffled(rows),)),
    ]


_READING = (
    "Published: as the paper's code asks and counts, with all its quirks. Sound: options rotate, and distances are "
    "corrected for the sample of people. Only the last column has an interval over questions: a difference without one "
    "may be chance. Bold: the smaller of the two distances."
)
_COLUMNS = ("before, published", "after, published", "before, sound", "after, sound")


def _pair(first: float, second: float, *, marks: bool = True) -> tuple[Cell, Cell]:
    """Return two numbers as cells, the smaller one in bold as the paper has it."""
    known = [finite_or_none(value) for value in (first, second)]
    bold = marks and None not in known and f"{first:.3f}" != f"{second:.3f}"
    return (
        number(known[0], why="smaller" if bold and first < second else ""),
        number(known[1], why="smaller" if bold and second < first else ""),
    )


def _heads(*more: str, n: bool = True) -> tuple[str, ...]:
    return tuple(Ours(one) for one in ("data", *(("questions",) if n else ()), *more))


def _distances(rows: Sequence[CaseRow]) -> Table:
    cells = []
    for row in rows:
        change = _change(row)
        low, high = map(finite_or_none, (change.low, change.high))
        cells.append(
            (
                Cell(row.name),
                number(float(row.after.sound.n), "g"),
                *_pair(row.before.published.value, row.after.published.value),
                *_pair(row.before.sound.value, row.after.sound.value),
                Cell(bound_words(change.value, low, high, "+"), change.value, is_number=True),
            )
        )
    heads = _heads(*_COLUMNS, "change, sound [interval]")
    return Table("Jensen-Shannon distance between people and model", heads, tuple(cells))


def _change(row: CaseRow) -> Estimate:
    """Return the change of the sound distance, paired by question: both models stand beside the same people."""
    before = {unit.unit_id: unit.value for unit in row.before.sound_scores.units}
    units = row.after.sound_scores.units
    return compare_paired(
        [unit.value for unit in units],
        [before[unit.unit_id] for unit in units],
        clusters=[unit.cluster for unit in units],
        unit_ids=[unit.unit_id for unit in units],
    )


def _entropies(rows: Sequence[CaseRow]) -> Table:
    cells = [
        (
            Cell(row.name),
            number(row.after.people_entropy),
            *_pair(row.before.quirk("model_entropy"), row.after.quirk("model_entropy"), marks=False),
            *_pair(row.before.entropy, row.after.entropy, marks=False),
            number(row.after.entropy - row.before.entropy, "+.3f"),
        )
        for row in rows
    ]
    heads = _heads("people", *_COLUMNS, "change, sound", n=False)
    return Table("Entropy of the answers, in nats", heads, tuple(cells))


def _shuffled(rows: Sequence[CaseRow]) -> Table:
    cells = [
        (
            Cell(row.name),
            *_pair(row.before.quirk("shuffle"), row.after.quirk("shuffle")),
            *_pair(row.before.shuffled, row.after.shuffled),
        )
        for row in rows
    ]
    return Table(
        "Jensen-Shannon distance between people and shuffled answers", _heads(*_COLUMNS, n=False), tuple(cells)
    )


def case_study_html(parts: Sequence[Part], /) -> str:
    """Return the tables as a page that loads nothing."""
    return drawn_html("Case study", "Before and after alignment, as published and measured soundly.", (), parts)


def case_study_markdown(parts: Sequence[Part], /) -> str:
    """Return the tables as Markdown."""
    return render("case_study.md.jinja", parts=parts)


def case_study_lines(parts: Sequence[Part], /) -> list[str]:
    """Return the tables as lines of text; names from outside are cut and harmless in the caller's hands."""
    lines: list[str] = []
    for part in parts:
        lines += ["", part.title]
        for block in part.blocks:
            if isinstance(block, Table):
                table = [tuple(block.heads), *(tuple(cell.text or "-" for cell in row) for row in block.rows)]
                widths = [max(len(row[at]) for row in table) for at in range(len(block.heads))]
                lines += [
                    "  " + "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
                    for row in table
                ]
            elif isinstance(block, Para):
                lines.append("  " + "".join(block.parts))
    return lines
