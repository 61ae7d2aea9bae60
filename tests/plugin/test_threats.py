"""Each promise of the page on threats names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "threats.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+?) \| (.+?) \| (`tests/.+|.*) \|$", PAGE.partition("## Not promised")[0], re.MULTILINE)


@pytest.mark.parametrize(("threat", "tests"), [(row[0], row[2]) for row in ROWS[1:]])
def test_a_promise_names_tests_that_exist(threat: str, tests: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", tests)
    assert named, threat
    for file, function in named:
        assert f"def {function or 'test_'}" in (ROOT / file).read_text(encoding="utf-8"), (file, function)


def test_the_page_has_a_row_for_each_threat() -> None:
    lines = [line for line in PAGE.partition("## Not promised")[0].splitlines() if line.startswith("| ")]
    assert len(ROWS) == len(lines) > 20
