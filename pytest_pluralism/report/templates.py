"""The templates of the HTML report, and how a value of a stranger gets into one.

Names, questions and responses come from models and files. Whatever a template prints goes through :func:`shown`, which
takes out what a page or a terminal would obey, cuts what is endless, and leaves the rest to Jinja's escaping.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pytest_pluralism.core.errors import MissingExtraError, PluralismError
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.core.messages import harmless

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["SIGNS", "UNEXPECTED", "check_extra", "guarded", "left_out", "render", "resource", "shown"]

SIGNS = {"failed": "✗", "error": "!", "inconclusive": "?", "passed": "✓"}

#: Most characters of one text that a page shows, where its template does not say otherwise.
MOST_TEXT = 400

#: Most characters of a text that is a sentence of ours with names in it.
MOST_LONG_TEXT = 4_000

#: What a part of a page may meet in a file that somebody else made; it is then left out, and says so.
UNEXPECTED = (
    ArithmeticError, AttributeError, LookupError, PluralismError, RecursionError, TypeError, ValueError,
)  # fmt: skip


def check_extra() -> None:
    """Refuse where the packages for HTML are missing; loads none of them.

    Raises
    ------
    MissingExtraError
        With the command that installs them.
    """
    if any(find_spec(name) is None for name in ("jinja2", "matplotlib")):
        raise MissingExtraError("An HTML report", 'pip install "pytest-pluralism[report]"')


def guarded(name: str, part: Callable[[], str]) -> str:
    """Return a part of the page, or a sentence where the report holds something that it cannot show."""
    from jinja2 import TemplateError
    from markupsafe import Markup

    try:
        return Markup(part())  # noqa: S704 - the parts are rendered by templates that escape
    except (*UNEXPECTED, TemplateError) as error:
        return left_out(name, error) if name else ""


def left_out(name: str, error: Exception, /) -> str:
    """Return the sentence that stands for a part of the page that cannot be shown."""
    from markupsafe import Markup

    words = f"{type(error).__name__}: {error}"[:MOST_TEXT]
    said = f"{name} cannot be shown: the report holds something that is not as expected there ({words})."
    return Markup('<p class="warning">') + _cut(said, most=MOST_LONG_TEXT) + Markup("</p>")


@cache
def _templates() -> Environment:
    """Return the templates of the package, with the filters that they use."""
    from jinja2 import ChainableUndefined, Environment, FunctionLoader

    environment = Environment(
        loader=FunctionLoader(resource),
        autoescape=True,
        undefined=ChainableUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "alpha": lambda value: f"{value:g}" if isinstance(value, (int, float)) else str(value),
        "count": _count,
        "long": partial(_cut, most=MOST_LONG_TEXT),
        "percent": lambda value: f"{100 * value:.0f} %" if is_number(value) else "–",
        "raw": lambda value: f"{value:.6g}" if is_number(value) else "",
        "signed": lambda value: f"{value:+.3f}" if is_number(value) else "–",
        "whole": partial(_cut, most=None),
    }
    environment.globals["signs"] = SIGNS
    return environment


def render(name: str, /, **context: Any) -> Any:
    """Return what a template makes of its context, as text that needs no escaping."""
    from markupsafe import Markup

    # What a template has rendered is escaped, and must not be escaped again inside another one.
    return Markup(_templates().get_template(name).render(**context))  # noqa: S704


def shown(value: Any) -> Any:
    """Return what a template prints: numbers in three places, texts without what a page or terminal would obey."""
    from jinja2 import Undefined
    from markupsafe import Markup

    if isinstance(value, Markup):
        return value
    if value is None:
        return "–"
    if isinstance(value, str):
        return _cut(value, most=MOST_TEXT)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, (int, Undefined)):
        return value
    return _cut(json.dumps(value, ensure_ascii=False, default=str), most=MOST_TEXT)


def _cut(text: str, /, *, most: int | None) -> Any:
    from markupsafe import Markup, escape

    if isinstance(text, Markup):
        return text
    text = str(text)
    left = 0 if most is None else len(text) - most
    kept = text[:most] if left > 0 else text
    if not kept.isprintable():
        kept = harmless(kept)
    return escape(f"{kept}… ({left:,} characters more)" if left > 0 else kept)


def _count(value: Any) -> str:
    return f"{value:,.0f}" if is_number(value) else "–"


@cache
def resource(name: str) -> str:
    """Return a file of the page: a template, the style sheet or the script."""
    return files("pytest_pluralism.report").joinpath("page", name).read_text(encoding="utf-8")
