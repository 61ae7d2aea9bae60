"""The picture of a confusion matrix of steerings, as a file of its own."""

from __future__ import annotations

from markupsafe import Markup

from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.report.blocks import matrix
from pytest_pluralism.report.cells import Entry

__all__ = ["confusion_svg"]

#: Sizes of the picture, in its own units.
_CELL, _HIGH, _LEFT, _TOP = 92, 46, 150, 64


def confusion_svg(table: Entry, /, *, title: str = "") -> str:
    """Return a picture of a confusion matrix: rows groups, columns steerings, the darker the more faithful.

    Each row has shades of its own, from its worst steering to its best, so that the diagonal is dark where steering is
    real; the numbers are in the cells.

    Parameters
    ----------
    table : mapping
        An entry of ``details["confusion"]`` in a report.
    title : str
        The title above it.
    """
    shaded = matrix("", (), "", (table["groups"], table["attributes"]), table["scores"])
    width, height = _LEFT + _CELL * len(table["attributes"]) + 10, _TOP + _HIGH * len(table["groups"]) + 10
    words = Markup('<text x="{}" y="{}" text-anchor="{}" {}>{}</text>')
    parts = [Markup('<text x="4" y="18" font-weight="bold">{}</text>').format(title)]
    for column, name in enumerate(table["attributes"]):
        middle = _LEFT + _CELL * column + _CELL // 2
        parts.append(words.format(middle, _TOP - 10, "middle", "", f"to {printable(str(name), most=14)}"))
    for row, (group, *cells) in enumerate(shaded.rows):
        y = _TOP + _HIGH * row
        parts.append(words.format(_LEFT - 10, y + 28, "end", "", printable(str(group.text), most=20)))
        for column, cell in enumerate(cells):
            x, shade = _LEFT + _CELL * column, 245 - 20 * (cell.shade or 0)
            parts.append(
                Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="{}" stroke="{}" stroke-width="2"/>').format(
                    x + 2, y + 2, _CELL - 4, _HIGH - 4, f"rgb({shade},{min(shade + 18, 250)},250)",
                    "#222" if cell.is_framed else "#fff",
                )
            )  # fmt: skip
            ink = Markup('fill="{}"').format("#fff" if shade < 145 else "#111")
            parts.append(words.format(x + _CELL // 2, y + 28, "middle", ink, cell.text))
    head = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img" font-family="sans-serif" '
        'font-size="13">\n<title>{}</title>\n'
    )
    drawn = Markup("\n").join(parts)
    return str(head.format(width, height, title or "Groups by steerings") + drawn + Markup("\n</svg>\n"))
