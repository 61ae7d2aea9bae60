"""The page that draws the house names every room that there is, and no room that there is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest_pluralism

PAGE = (Path(__file__).parent / "explanation" / "architecture.md").read_text(encoding="utf-8")
PACKAGE = Path(pytest_pluralism.__file__).parent
ROOMS = {str(folder.parent.relative_to(PACKAGE)) for folder in PACKAGE.rglob("__init__.py")} - {"."}


def test_each_room_is_named() -> None:
    named = set(re.findall(r"`([a-z0-9_/]+)/`", PAGE))
    assert {room.rsplit("/", 1)[-1] for room in ROOMS} <= {name.rsplit("/", 1)[-1] for name in named}


def test_each_path_that_is_named_is_there() -> None:
    for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:/|\.py))`", PAGE):
        places = [PACKAGE / name, PACKAGE.parent / name, *PACKAGE.rglob(name.rstrip("/"))]
        assert any(place.exists() for place in places), name
