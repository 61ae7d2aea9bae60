"""The templates of reports, and how untrusted text gets into them.

Names, questions and responses come from models and files. Everything that a template prints goes through one function
for its form, which takes out what a page, a renderer or a terminal would obey, and cuts what is endless.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.resources import files

from jinja2 import ChainableUndefined, Environment, FunctionLoader, Undefined
from markupsafe import Markup, escape

from pytest_pluralism.core.finite import is_number
from pytest_pluralism.core.untrusted import harmless, printable
from pytest_pluralism.report.blocks import Code
from pytest_pluralism.report.cells import Ours
from pytest_pluralism.report.charts import Chart, bars, chart_svg, mirror, track_svg
from pytest_pluralism.report.unit_views import ResponseView
from pytest_pluralism.report.views import UNEXPECTED

__all__ = ["SIGNS", "render", "resource"]

SIGNS = {"failed": "✗", "error": "!", "inconclusive": "?", "stored": "+", "passed": "✓"}

#: Maximum number of characters of one text that a page shows, where its template does not say otherwise.
MOST_TEXT = 400

#: Maximum number of characters of a sentence of ours with names in it.
MOST_LONG_TEXT = 4_000


def render(name: str, /, **context: object) -> str:
    """Return what a template makes of its context; the ending of its name says for which form it escapes."""
    return _environments()[".md." in name].get_template(name).render(**context)


@cache
def resource(name: str) -> str:
    """Return a file of the page: a template, a style sheet or the script."""
    return files("pytest_pluralism.report").joinpath("page", name).read_text(encoding="utf-8")


@cache
def _environments() -> tuple[Environment, Environment]:
    """Return the templates for HTML, and those for Markdown, each with the filters that they use."""
    in_html: dict[str, Callable[..., object]] = {
        "bars": bars,
        "chart": _drawn,
        "count": lambda value: f"{value:,.0f}" if is_number(value) else "–",
        "head": _head,
        "long": partial(_cut, most=MOST_LONG_TEXT),
        "mirror": mirror,
        "percent": lambda value: f"{100 * value:.0f} %" if is_number(value) else "–",
        "raw": lambda value: f"{value:.6g}" if is_number(value) else "",
        "track": track_svg,
        "two": lambda value: f"{value:.2f}" if is_number(value) else "–",
        "whole": partial(_cut, most=None),
        "wrapped": _wrapped,
    }
    in_markdown: dict[str, Callable[..., object]] = {
        "at_most": lambda text, most: Markup(markdown_text(text, most=most)),  # noqa: S704 - escaped
        "code": Code,
        "head": _head,
        "long": lambda text: text if isinstance(text, Ours) else Markup(markdown_text(text, most=MOST_LONG_TEXT)),  # noqa: S704
        "quoted": _quoted,
        "two": lambda value: None if value is None else Ours(f"{value:.2f}"),
    }
    return _environment(_in_html, in_html), _environment(_in_markdown, in_markdown)


def _head(text: object) -> object:
    """Return words of ours with a capital at their beginning; others stay as they are."""
    return text[:1].upper() + text[1:] if isinstance(text, Ours) else text


def _environment(shown: Callable[[object], object], filters: Mapping[str, Callable[..., object]]) -> Environment:
    # In both forms, what a function has made safe is Markup, and whatever else slips through is escaped for HTML.
    environment = Environment(
        loader=FunctionLoader(resource),
        autoescape=True,
        undefined=ChainableUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(filters)
    environment.tests["code"] = lambda text: isinstance(text, Code)
    environment.globals["signs"] = SIGNS
    return environment


# -------------------------------------------------------------------------------------------------------------- HTML


def _in_html(value: object) -> object:
    """Return what a page prints: numbers in three places, texts without what a page or a terminal would obey."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:z.3f}"
    if isinstance(value, (int, Markup, Undefined)):
        return value
    return _cut(value if isinstance(value, str) else json.dumps(value, default=str), most=MOST_TEXT)


def _cut(value: object, /, *, most: int | None) -> Markup:
    if isinstance(value, Markup):
        return value
    text = str(value)
    left = 0 if most is None else len(text) - most
    kept = text[:most] if left > 0 else text
    if not kept.isprintable():
        kept = harmless(kept)
    return escape(f"{kept}… ({left:,} characters more)" if left > 0 else kept)


def _wrapped(text: object) -> object:
    """Return words that a narrow column breaks after an underscore, and never between a sign and its number."""
    shown = Markup(_in_html(text))  # noqa: S704 - escaped
    for sign in ("≤", "≥", "±"):
        shown = shown.replace(f"{sign} ", Markup("{}&nbsp;").format(sign))
    return shown.replace("_", Markup("_<wbr>"))


def _drawn(chart: Chart) -> Markup:
    try:
        return chart_svg(chart)
    except UNEXPECTED as error:
        return _cut(f"The chart cannot be shown ({type(error).__name__}: {error}).", most=MOST_TEXT)


# ---------------------------------------------------------------------------------------------------------- Markdown


def markdown_text(value: object, /, *, most: int = 160) -> str:
    """Return text that Markdown and HTML show as it is."""
    escaped = html.escape(printable(str(value), most=most), quote=False)
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]()#+!|~$@" else sign for sign in escaped)


def _in_markdown(value: object) -> object:
    """Return what a Markdown report prints: words of ours as they are, all other text as text."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:z.3f}"
    if isinstance(value, (int, Markup, Undefined)):
        return value
    if isinstance(value, Ours):
        return Markup(value)  # noqa: S704 - ours, with nothing from outside in it
    if isinstance(value, Code):
        words = html.escape(printable(value, most=300), quote=False).replace("`", "'").replace("|", "\\|")
        return Markup(f"`{words}`")  # noqa: S704 - escaped
    return Markup(markdown_text(value))  # noqa: S704 - escaped


def _quoted(response: ResponseView) -> Markup:
    """Return a response as a quotation, with what holds an answer in bold and the numbers of the answers behind it."""
    text = "".join(_segment(piece, numbers) for piece, numbers in response.segments) + (" …" if response.left else "")
    lines = []
    for part in (text if text.strip() else "(nothing)").split("\n"):
        # A mark that would begin a list, a rule or a block of code at the start of a line is text too.
        begun = re.sub(r"^(\d+)([.)])", r"\1\\\2", re.sub(r"^([-=])", r"\\\1", part.strip()))
        lines.append(f"> {begun}" if begun else ">")
    return Markup("\n".join(lines))  # noqa: S704 - escaped


def _segment(text: str, numbers: tuple[int, ...]) -> str:
    lines = text.split("\n")
    if not numbers:
        return "\n".join(map(_escaped, lines))
    cited = f" \\[{', '.join(map(str, numbers))}\\]"
    return "\n".join(f"**{_escaped(line.strip())}**" if line.strip() else "" for line in lines) + cited


def _escaped(line: str) -> str:
    return markdown_text(line, most=len(line) * 12 + 1) if line else ""
