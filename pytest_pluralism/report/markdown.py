"""The Markdown report: one table of verdicts with their references, for a job summary or a README."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_pluralism.report.blocks import Part
from pytest_pluralism.report.cells import Entry
from pytest_pluralism.report.templates import render
from pytest_pluralism.report.views import RunView, VerdictView, run_view

__all__ = ["report_markdown"]

#: The sections of parts, in their order.
_SECTIONS = ("Published protocols", "Groups", "Juries", "Steering and trade-offs", "Left out")


def report_markdown(entries: Iterable[Entry], run: Entry, /) -> str:
    """Return the text of a report: a heading, a row a verdict, and what must be said of single rows.

    Names and answers are shown as text: no markup of Markdown or HTML in it has an effect.
    """
    view = run_view(entries, run)
    return render("report.md.jinja", view=view, sections=list(_sections(view))).rstrip("\n") + "\n"


def _sections(view: RunView) -> Iterator[tuple[str, list[tuple[VerdictView, list[Part]]]]]:
    for section in _SECTIONS:
        found = [(one, [part for part in one.parts if part.section == section]) for one in view.verdicts]
        if any(parts for _, parts in found):
            yield section, [(one, parts) for one, parts in found if parts]
