"""Nothing in a report of a stranger has an effect, in none of its forms; the words of its measures neither."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pytest_pluralism.evaluation.measures.registry import measure_of
from pytest_pluralism.report.html import report_html
from pytest_pluralism.report.markdown import report_markdown
from pytest_pluralism.report.terminal import summary_lines

WORDS = "<img src=x onerror=alert(1)> | [a](javascript:b) **x** `c` \x1b[31m\u202e ]]>"


def spoilt(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: spoilt(part, key) for key, part in value.items()}
    if isinstance(value, list):
        return [spoilt(part, name) for part in value]
    return value + WORDS if isinstance(value, str) and name not in {"name", "direction", "kind", "view"} else value


@pytest.fixture
def carried(hostile: dict[str, Any]) -> dict[str, Any]:
    """Return the hostile report, each verdict with a measure whose words mean harm too."""
    for entry in hostile["verdicts"]:
        entry["measure"] = spoilt(measure_of(entry).as_json())
    return hostile


def test_in_markdown(carried: dict[str, Any]) -> None:
    text = report_markdown(carried["verdicts"], carried["run"])
    assert "Left out" not in text
    # Escaped marks, and everything between the marks of code, are text.
    bare = re.sub(r"`[^`]*`", "", re.sub(r"\\.", "", text))
    # The report itself folds the details, once.
    for ours in ("<details><summary>Details</summary>\n", "\n</details>\n"):
        assert bare.count(ours) == 1
        bare = bare.replace(ours, "")
    assert "<" not in bare
    assert "](" not in bare
    assert not {"\x1b", "\x07", "\u202e", "\u2066", "\x00", "\ud800"} & set(text)
    # Nothing in a name opens another cell.
    for table in re.findall(r"(?:^\|.*\n)+", re.sub(r"\\.", "", text), re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_on_the_page(carried: dict[str, Any]) -> None:
    text = report_html(carried["verdicts"], carried["run"])
    assert "cannot be shown" not in text
    assert "<img" not in text
    assert text.count("<script") == 1
    assert not {"\x1b", "\x07", "\u202e", "\u2066", "\x00", "\ud800"} & set(text)


def test_in_the_terminal(carried: dict[str, Any]) -> None:
    lines = list(summary_lines(carried["verdicts"], [], width=120))
    assert not {"\x1b", "\x07", "\u202e", "\u2066", "\x00", "\ud800"} & set("".join(lines))
