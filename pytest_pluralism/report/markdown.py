"""The Markdown report: one table of verdicts with their references, for a job summary or a README."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from pytest_pluralism.report.blocks import Part
from pytest_pluralism.report.cells import Entry
from pytest_pluralism.report.decisions import OUTCOMES
from pytest_pluralism.report.templates import render
from pytest_pluralism.report.views import RunView, VerdictView, run_view

__all__ = ["report_markdown"]

#: GitHub takes no longer comment on a pull request: 65,536 characters.
MOST_CHARACTERS = 65_000

#: The sections of parts, in their order.
_SECTIONS = ("Published protocols", "Groups", "Juries", "Steering and trade-offs", "Left out")


def report_markdown(entries: Iterable[Entry], run: Entry, /) -> str:
    """Return the text of a report: the decision, a row a verdict, then the details, folded.

    Names and answers are shown as text: no markup of Markdown or HTML in it has an effect. The text fits a comment on a
    pull request: where it would be longer, it has the promises that are not kept, and says what is left out.
    """
    view = run_view(entries, run)
    sections = list(_sections(view))
    text = render(
        "report.md.jinja", view=view, decisions=view.decisions, sections=sections, brief=False, most=MOST_CHARACTERS
    )
    if len(text) > MOST_CHARACTERS:
        # A model that may not be released must not stand in the lines that are cut off below.
        worst_first = sorted(view.decisions, key=lambda one: OUTCOMES.index(one.outcome))
        text = render(
            "report.md.jinja", view=view, decisions=worst_first, sections=[], brief=True, most=MOST_CHARACTERS
        )
    lines = text.rstrip("\n").split("\n")
    kept = list(
        itertools.takewhile(
            lambda end: end < MOST_CHARACTERS - 100, itertools.accumulate(len(one) + 1 for one in lines)
        )
    )
    rest = [] if len(kept) == len(lines) else ["", f"{len(lines) - len(kept)} lines more are left out here."]
    return "\n".join([*lines[: len(kept)], *rest]) + "\n"


def _sections(view: RunView) -> Iterator[tuple[str, list[tuple[VerdictView, list[Part]]]]]:
    for section in _SECTIONS:
        found = [(one, [part for part in one.parts if part.section == section]) for one in view.verdicts]
        if any(parts for _, parts in found):
            yield section, [(one, parts) for one, parts in found if parts]
