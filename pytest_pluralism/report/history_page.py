"""The history of a baseline as a page or as a picture: the charts of the report, one a measure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from pytest_pluralism.core.messages import printable, subject
from pytest_pluralism.core.records.measures import Measure
from pytest_pluralism.evaluation.measures.registry import MEASURES
from pytest_pluralism.report.gate_parts import MOST_CHARTS, Charts, history_svg, history_view, title_of
from pytest_pluralism.report.html import hash_of
from pytest_pluralism.report.templates import check_extra, guarded, render, resource

__all__ = ["MOST_CHARTS", "history_html", "history_picture"]

#: The size of one chart in a picture, and the room above it for its name.
_WIDTH, _NAME = 720.0, 54.0

_LIGHT = "--ink:#1b1f24;--muted:#57606a;--line:#d5dae0;--paper:#ffffff;--model:#0060a8;--people:#b45309"
_DARK = "--ink:#e6edf3;--muted:#9aa4af;--line:#343b44;--paper:#161b22;--model:#58a6ff;--people:#f0a04b"


def history_html(measures: Sequence[Mapping[str, Any]], /, *, model: str, file: str) -> str:
    """Return the page of a history.

    Parameters
    ----------
    measures : sequence of mapping
        Each with its ``key``, ``metric``, ``population``, ``dataset``, ``direction``, ``gate`` and ``revisions``, as
        ``pluralism history --json`` has them.
    model, file : str
        Whose history it is, and of which baseline.

    Returns
    -------
    str
        HTML that loads nothing, and in which no text of a file has an effect.

    Raises
    ------
    MissingExtraError
        If Jinja2 or matplotlib is not installed.
    """
    check_extra()
    from markupsafe import Markup

    charts, css = Charts(), resource("page.css")
    parts = []
    for measure in measures:
        title = _title(measure)
        html = guarded(title, lambda measure=measure, title=title: _view(measure, title, charts))  # type: ignore[misc]
        parts.append({"key": measure["key"], "title": title, "direction": measure["direction"], "html": html})
    policy = f"default-src 'none'; style-src '{hash_of(css)}'; img-src data:; base-uri 'none'; form-action 'none'"
    page: str = render(
        "history_page.html.jinja",
        policy=policy,
        css=Markup(css),  # noqa: S704 - ours, and the same in every page
        measures=parts,
        model=model,
        file=file,
    )
    return page


def history_picture(measures: Sequence[Mapping[str, Any]], /) -> str:
    """Return the charts of a history below one another, as an SVG file that loads nothing.

    Raises
    ------
    MissingExtraError
        If Jinja2 or matplotlib is not installed.
    """
    check_extra()
    parts: list[str] = []
    height = 0.0
    for place, measure in enumerate(measures):
        name, key = printable(_title(measure), most=76), printable(str(measure["key"]), most=100)
        parts.append(f'<text x="8" y="{height + 24:g}" class="name">{escape(name)}</text>')
        parts.append(f'<text x="8" y="{height + 42:g}" class="key">{escape(key)}</text>')
        chart = history_svg(list(_points(measure)), title=_title(measure), prefix=f"chart-{place}", **_drawn(measure))
        wide, high = (float(number) for number in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', chart)[0])
        size = _WIDTH * high / wide
        where = f'x="0" y="{height + _NAME:g}" width="{_WIDTH:g}" height="{size:.1f}"'
        parts.append(chart.replace("<svg ", f"<svg {where} ", 1))
        height += _NAME + size
    style = (
        f"svg{{{_LIGHT};font-family:sans-serif}}.name{{fill:var(--ink);font-size:15px;font-weight:600}}"
        f".key{{fill:var(--muted);font-size:12px}}.ground{{fill:var(--paper)}}"
        f"@media (prefers-color-scheme: dark){{svg{{{_DARK}}}}}"
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {_WIDTH:g} {height:.1f}" width="{_WIDTH:g}" height="{height:.1f}">'
        f'<style>{style}</style><rect class="ground" width="100%" height="100%"/>{"".join(parts)}</svg>\n'
    )


def _view(measure: Mapping[str, Any], title: str, charts: Charts) -> str:
    caption = "Each commit that changed the baseline, oldest first."
    return history_view(list(_points(measure)), title=title, caption=caption, charts=charts, **_drawn(measure))


def _drawn(measure: Mapping[str, Any]) -> dict[str, Any]:
    gate = measure["gate"]
    promise = gate.get("at_most", gate.get("at_least"))
    is_number = isinstance(promise, (int, float)) and not isinstance(promise, bool)
    return {"promise": promise if is_number else None, "measure": title_of(str(measure["metric"]))}


def _points(measure: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for one in measure["revisions"]:
        yield {
            "when": str(one["date"] or "now")[:10],
            "tags": ", ".join(map(str, one["tags"])),
            "commit": str(one["commit"] or "")[:10],
            **{name: one["estimate"].get(name) for name in ("value", "low", "high")},
        }


def _title(measure: Mapping[str, Any]) -> str:
    name = str(measure["metric"])
    known = MEASURES.get(name, Measure(name, measure["direction"] or "higher", name.replace("_", " ")))
    title = subject(known, measure["population"], str(measure["dataset"] or ""))
    return title[:1].upper() + title[1:]
