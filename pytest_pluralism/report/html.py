"""The HTML report: one file that needs no network, made from the JSON report alone.

The templates escape everything untrusted (:mod:`pytest_pluralism.report.templates`); besides, the page forbids all
scripts and styles but its own, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.evaluation.measures.registry import measure_of
from pytest_pluralism.report.cells import Entry
from pytest_pluralism.report.charts import chart_svg
from pytest_pluralism.report.templates import render, resource
from pytest_pluralism.report.views import Part, guarded, history_part, run_view, title_of, verdict_views

__all__ = ["drawn_html", "drawn_picture", "history_html", "history_picture", "report_html", "verdicts_html"]

#: The size of one chart in a picture, and the room above it for its name.
_WIDTH, _HEIGHT, _NAME = 720.0, 442.0, 54.0

_LIGHT = "--ink:#1b1f24;--muted:#57606a;--line:#d5dae0;--paper:#ffffff;--model:#0060a8;--people:#b45309"
_DARK = "--ink:#e6edf3;--muted:#9aa4af;--line:#343b44;--paper:#161b22;--model:#58a6ff;--people:#f0a04b"


def report_html(entries: Iterable[Entry], run: Entry, /) -> str:
    """Return the page of a report.

    Parameters
    ----------
    entries : iterable of mapping
        The verdicts, as they stand in the JSON report.
    run : mapping
        The description of the run.

    Returns
    -------
    str
        HTML that loads nothing, and in which no text of a model or a file has an effect.
    """
    return render("page.html.jinja", view=run_view(entries, run), **_resources(has_script=True))


def verdicts_html(entries: Sequence[Entry], /) -> str:
    """Return the verdicts of one test as a piece of another page: without styles, scripts or charts."""
    return render("extras.html.jinja", verdicts=verdict_views(entries, {}))


def history_html(measures: Sequence[Entry], /, *, model: str, file: str) -> str:
    """Return the page of a history.

    Parameters
    ----------
    measures : sequence of mapping
        Each with its ``key``, ``metric``, ``population``, ``dataset``, ``direction``, ``gate`` and ``revisions``, as
        ``pluralism history --json`` has them.
    model, file : str
        The model of the history, and its baseline.

    Returns
    -------
    str
        HTML that loads nothing, and in which no text of a file has an effect.
    """
    intro = f"{model}: {len(measures)} measures in {file}."
    return drawn_html("Pluralism history", intro, [(measure, _title(measure), _part(measure)) for measure in measures])


def history_picture(measures: Sequence[Entry], /) -> str:
    """Return the charts of a history below one another, as an SVG file that loads nothing."""
    return drawn_picture([(measure, _title(measure), _part(measure)) for measure in measures])


def drawn_html(
    heading: str, intro: str, measures: Sequence[tuple[Entry, str, Part]], first: Sequence[Part] = ()
) -> str:
    """Return a page of measures, each over commits, steps or whatever else its part shows.

    Parameters
    ----------
    heading, intro : str
        The title of the page, and the sentence below it.
    measures : sequence of (mapping, str, Part)
        Each measure with its ``key`` and ``direction``, its title, and what is shown of it.
    first : sequence of Part
        Parts that stand before all measures.

    Returns
    -------
    str
        HTML that loads nothing, and in which no text of a file has an effect.
    """
    shown = [(measure, title, guarded(title, lambda one=part: [one])) for measure, title, part in measures]  # type: ignore[misc]
    resources = _resources(has_script=False)
    return render("history_page.html.jinja", heading=heading, intro=intro, first=first, measures=shown, **resources)


def drawn_picture(measures: Sequence[tuple[Entry, str, Part]], /) -> str:
    """Return the charts of measures below one another, as an SVG file that loads nothing."""
    parts = [Markup("")]
    for place, (measure, title, part) in enumerate(measures):
        top = place * (_NAME + _HEIGHT)
        name, key = printable(title, most=76), printable(str(measure["key"]), most=100)
        parts.append(Markup('<text x="8" y="{}" class="head">{}</text>').format(f"{top + 24:g}", name))
        parts.append(Markup('<text x="8" y="{}" class="key">{}</text>').format(f"{top + 42:g}", key))
        where = f' x="0" y="{top + _NAME:g}" width="{_WIDTH:g}" height="{_HEIGHT:g}"'
        parts += [chart_svg(chart, place=where) for chart in part.charts]
    height = len(measures) * (_NAME + _HEIGHT)
    style = (
        f"svg{{{_LIGHT};font-family:sans-serif}}.head{{fill:var(--ink);font-size:15px;font-weight:600}}"
        f".key{{fill:var(--muted);font-size:12px}}.ground{{fill:var(--paper)}}{resource('chart.css')}"
        f"@media (prefers-color-scheme: dark){{svg{{{_DARK}}}}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {height:g}" width="{_WIDTH:g}" '
        f'height="{height:g}"><style>{style}</style><rect class="ground" width="100%" height="100%"/>'
        f"{Markup('').join(parts)}</svg>\n"
    )


def _part(measure: Entry) -> Part:
    points = [
        {**one["estimate"], **one, "date": one["date"] or "now", "commit": one["commit"] or ""}
        for one in measure["revisions"]
    ]
    caption = "Each commit that changed the baseline, oldest first."
    return history_part(points, measure["gate"], measure_of(measure), f"History: {_title(measure)}", caption)


def _title(measure: Entry) -> str:
    return title_of(measure_of(measure), measure["population"], str(measure["dataset"] or ""))


def _resources(*, has_script: bool) -> Mapping[str, Markup | str]:
    """Return the styles and the script of a page, and the policy that allows nothing else."""
    css = resource("page.css") + resource("chart.css")
    script = resource("page.js") if has_script else ""
    allowed = f"style-src '{_hash_of(css)}'; " + (f"script-src '{_hash_of(script)}'; " if script else "")
    return {
        "policy": f"default-src 'none'; {allowed}img-src data:; base-uri 'none'; form-action 'none'",
        # Ours, and the same in every page.
        "css": Markup(css),  # noqa: S704
        "script": Markup(script),  # noqa: S704
    }


def _hash_of(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
