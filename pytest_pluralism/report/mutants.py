"""The views of ``--pluralism-mutants``: which damage each promise notices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_pluralism.report.blocks import Cell, Para, Part, Points, Table
from pytest_pluralism.report.cells import Entry, Ours

__all__ = ["mutant_parts"]


def mutant_parts(models: Iterable[Entry], /) -> Iterator[Part]:
    """Yield a part for each model: what nothing notices, and for each promise the mildest damage that it catches."""
    for content in models:
        kinds = list(dict.fromkeys(one["name"] for one in content["damages"]))
        rows = tuple(
            (Cell(promise["key"]), *(_cell(promise, kind) for kind in kinds)) for promise in content["promises"]
        )
        caption = (Ours("The mildest damage of each kind that a promise catches; a dash where a kind does not apply"),)
        table = Table("Damage", (Ours("promise"), *map(Ours, kinds)), rows, caption=caption)
        found = [Para((Ours("Nothing in this suite would notice "), one, Ours("."))) for one in content["unnoticed"]]
        blocks: tuple[Para | Points | Table, ...] = (Points(tuple(found)), table) if found else (table,)
        yield Part(f"Damage that the promises notice: {content['model']}", blocks)


def _cell(promise: Entry, kind: str) -> Cell:
    if not promise["kept"]:
        return Cell(f"{promise['outcome']} without damage")
    if kind not in promise["smallest"]:
        return Cell("-")
    mildest = promise["smallest"][kind]
    return Cell("not noticed") if mildest is None else Cell(mildest, why="noticed")
