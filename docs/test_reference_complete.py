"""Every public name of the core stands on a page, and every measure in a table with its range and direction."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

from pytest_pluralism.core import estimation, metrics, protocols, records, verdict
from pytest_pluralism.core.records import measures
from pytest_pluralism.models import protocol

REFERENCE = Path(__file__).parent / "reference"

PAGES = sorted(REFERENCE.glob("*.md"))

DIRECTIVE = re.compile(r"^\.\. (?:auto|py:)?(currentmodule|function|class|data):: *(\S+)", re.MULTILINE)


def modules(package: ModuleType) -> list[ModuleType]:
    found = pkgutil.iter_modules(package.__path__)
    return [package, *(importlib.import_module(f"{package.__name__}.{info.name}") for info in found)]


def entries_of(page: Path) -> list[tuple[str, str]]:
    """Return the (module, name) of every entry of a page."""
    module, entries = "", []
    for kind, name in DIRECTIVE.findall(page.read_text(encoding="utf-8")):
        if kind == "currentmodule":
            module = name
        else:
            entries.append((module, name))
    return entries


ENTRIES = [entry for page in PAGES for entry in entries_of(page)]

#: Of the estimation only the face is public; its modules share steps of the intervals.
HOMES = [*modules(metrics), estimation, *modules(protocols), verdict, records, measures, protocol]

PUBLIC = [(module.__name__, name) for module in HOMES for name in module.__all__]


def test_the_public_names_were_found() -> None:
    assert len(PUBLIC) > 200
    assert ("pytest_pluralism.core.metrics.voting", "maximal_lottery") in PUBLIC


def test_every_public_name_is_on_a_page() -> None:
    # A name may be documented where users import it from, which need not be where it is defined.
    there = [(name, getattr(importlib.import_module(module), name, None)) for module, name in ENTRIES]
    missing = [
        f"{module.__name__}.{name}"
        for module in HOMES
        for name in module.__all__
        if not any(name == other and getattr(module, name) is thing for other, thing in there)
    ]
    assert not missing, f"on no page of docs/reference: {', '.join(missing)}"


def test_nothing_is_documented_twice_or_gone() -> None:
    twice = {entry for entry in ENTRIES if ENTRIES.count(entry) > 1}
    assert not twice
    gone = [f"{module}.{name}" for module, name in ENTRIES if not hasattr(importlib.import_module(module), name)]
    assert not gone


@pytest.mark.parametrize("package", [metrics, estimation, verdict], ids=lambda package: package.__name__.split(".")[-1])
def test_every_function_has_a_row_in_a_table(package: ModuleType) -> None:
    rows = set()
    for page in PAGES:
        rows |= set(
            re.findall(r"^\| \{func\}`~?(?:[\w.]+\.)?(\w+)` \|", page.read_text(encoding="utf-8"), re.MULTILINE)
        )
    functions = [name for name in package.__all__ if name[0].islower()]
    missing = [name for name in functions if name not in rows]
    assert not missing, f"in no table: {', '.join(missing)}"
