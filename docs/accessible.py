"""Mend what the theme writes for readers who use a keyboard or a screen reader, in each page of the built site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["MENDED", "mended", "setup"]

#: The text of the pages before, and the text afterwards.
MENDED = (
    # A heading without a level.
    ('<p class="caption" role="heading">', '<p class="caption" role="heading" aria-level="2">'),
    # Two landmarks without a name, and words outside all landmarks.
    ('<aside class="sidebar-drawer">', '<aside class="sidebar-drawer" aria-label="Pages">'),
    ('<aside class="toc-drawer">', '<aside class="toc-drawer" aria-label="Sections of this page">'),
    ('<aside class="toc-drawer no-toc">', '<aside class="toc-drawer no-toc" aria-label="Sections of this page">'),
    (
        '<div class="content-icon-container">',
        '<div class="content-icon-container" role="navigation" aria-label="View">',
    ),
    # Roles of references that browsers have given up.
    (' role="doc-biblioentry"', ""),
    ('<div role="list" class="citation-list">', '<div class="citation-list">'),
    # The page of the search has no heading of its own.
    ('<div id="search-results"></div>', '<h1>Search</h1><div class="search-results" id="search-results"></div>'),
    # The keyboard must reach each part that scrolls by itself.
    ("<pre>", '<pre tabindex="0">'),
    ('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper'),
    ('<div class="math', '<div tabindex="0" class="math'),
)


def mended(page: str, /) -> str:
    """Return a page with everything of the table replaced."""
    for old, new in MENDED:
        page = page.replace(old, new)
    return page


def _mend(app: Any, exception: Exception | None) -> None:
    if exception is not None or app.builder.name != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        if "_static" not in path.parts:
            path.write_text(mended(path.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Connect to the end of the build."""
    app.connect("build-finished", _mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
