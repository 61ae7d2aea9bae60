"""Fixtures for all tests."""

from __future__ import annotations

import contextlib
import importlib
import os
from pathlib import Path

import pytest

# pytester forgets what a run inside this process imported, and what has parts in C is broken when it is imported anew;
# so it is imported before the first of these runs, where it is installed.
for _name in ("matplotlib.figure", "matplotlib.backends.backend_svg", "jsonschema"):
    with contextlib.suppress(ImportError):
        importlib.import_module(_name)

SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of data that cannot be published with the project, beside the repository."""
    if SHARED_DATA.is_dir():
        return SHARED_DATA
    reason = "the data that may not be published with the project is not in ../shared/data"
    if os.environ.get("PLURALISM_REQUIRE_SHARED") == "1":
        pytest.fail(f"{reason}, and PLURALISM_REQUIRE_SHARED=1 asks for it")
    pytest.skip(reason)
