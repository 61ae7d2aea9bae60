"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
