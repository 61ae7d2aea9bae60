"""The forms of a report, by the ending of its file; each is imported when it is first wanted."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path

from pytest_pluralism.baselines.schema import Entry

__all__ = ["ENDINGS", "rendered"]

_RENDERERS = {
    ".json": "pytest_pluralism.report.json_report:report_json",
    ".md": "pytest_pluralism.report.markdown:report_markdown",
    ".html": "pytest_pluralism.report.html:report_html",
}

#: The endings of report files that can be written.
ENDINGS = tuple(_RENDERERS)


def rendered(path: Path, entries: Iterable[Entry], run: Entry, /) -> str:
    """Return the text of a report in the form that the ending of its path names."""
    module, _, name = _RENDERERS[path.suffix].partition(":")
    text: str = getattr(importlib.import_module(module), name)(entries, run)
    return text
