"""Baselines as they are named in a setting."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["NamedBaseline", "named_place"]


#: ``NAME=PATH``; a path that begins like this is written ``./a=b``.
_NAMED = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)=(.+)", flags=re.DOTALL)

#: The place of what the reference model of the same run says; a folder of that name is written ``./reference``.
REFERENCE = "reference"


@dataclass(frozen=True)
class NamedBaseline:
    """One of the baselines of a run: its name (empty where it has none) and where it lies."""

    name: str
    place: str

    @property
    def is_reference(self) -> bool:
        """Whether the place is the reference model of the run, measured beside the tested one."""
        return self.place == REFERENCE


def named_place(text: str, /) -> NamedBaseline:
    """Read ``PATH`` or ``NAME=PATH``.

    Examples
    --------
    >>> named_place("best=old/best.json")
    NamedBaseline(name='best', place='old/best.json')
    >>> named_place("s3://bucket/a=b")
    NamedBaseline(name='', place='s3://bucket/a=b')
    """
    if text == REFERENCE:
        return NamedBaseline(REFERENCE, REFERENCE)
    found = _NAMED.fullmatch(text)
    return NamedBaseline(found[1], found[2]) if found else NamedBaseline("", text)
