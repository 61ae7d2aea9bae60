"""What the HTML report shows of one verdict below its headline: references, charts, units, and views of its measure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_pluralism.core.words import words_for
from pytest_pluralism.evaluation.measures.registry import MEASURES, measure_of
from pytest_pluralism.report import plots
from pytest_pluralism.report.juries import made_words
from pytest_pluralism.report.marks import bars, mirror, track
from pytest_pluralism.report.steering import CHECKS
from pytest_pluralism.report.templates import render
from pytest_pluralism.report.windows import MOST_CHARACTERS, marked_segments

__all__ = ["Charts", "history_svg", "history_view", "parts_of", "title_of"]

#: With fewer units a chart of how they are spread shows nothing that the table does not.
LEAST_UNITS = 8

#: Charts take a tenth of a second each; a page with more of them has tables alone from there on.
MOST_CHARTS = 80

#: Rows of other populations beside a value; the nearest ones are shown.
MOST_POPULATIONS = 12

#: Numbers of a unit that may stand beside its value, and how their columns are headed.
_COLUMNS = {
    "change": "Change",
    "unsteered": "Not steered",
    "model_entropy": "Entropy, model",
    "reference_entropy": "Entropy, people",
    "soft_coverage": "Soft coverage",
    "precision": "Precision",
    "f1": "F1",
    "advantage": "Advantage",
    "reward": "Reward",
    "option_mass": "Option mass",
    "n_respondents": "Respondents",
}

#: What else a unit may have, and the words for it under its answers.
_UNIT_FACTS = {
    "population": "population",
    "cluster": "cluster",
    "attribute": "steered to",
    "pair": "values",
    "top_token": "likeliest token",
    "best_response": "best response",
    "worst_stance": "side that is covered least",
    "position_bias": "liking for a place in the list",
    "model_refusals": "the model's refusals",
    "reference_refusals": "the people's refusals",
    "refusals": "refusals",
}

#: A part of a page: its name, and what renders it.
Part = tuple[str, Callable[[], str]]


@dataclass
class Charts:
    """Draws the charts of a page, each with ids of its own, and as many as a page bears."""

    drawn: int = 0

    def draw(self, make: Callable[[str], str]) -> Any:
        """Return a chart as safe markup, or ``""`` where there are enough; ``make`` gets the prefix of its ids."""
        from markupsafe import Markup

        if self.drawn >= MOST_CHARTS:
            return ""
        self.drawn += 1
        return Markup(make(f"chart-{self.drawn}"))  # noqa: S704 - matplotlib drew it, and escapes its texts


def parts_of(
    entry: Mapping[str, Any], anchor: str, title: str, domain: tuple[float, float] | None, charts: Charts
) -> Iterator[Part]:
    """Yield the parts of a verdict in the order of the page."""
    units = entry["units"]
    details = entry.get("details") or {}
    if entry["estimate"] is not None and domain is not None and (entry["references"] or units):
        yield "What the value is read against", lambda: _references(entry, title, domain, charts)
    for name, render_view in _VIEWS:
        if entry["metric"] == name and details:
            yield MEASURES[name].title, lambda view=render_view: view(entry, title, charts)  # type: ignore[misc]
    if details.get("quirks") or "sound" in details:
        value = (entry["estimate"] or {}).get("value")
        yield "The protocol", lambda: render("protocol.html.jinja", details=details, value=value)
    if entry.get("history"):
        yield "The history", lambda: _history(entry, title, charts)
    if units:
        yield "The list of units", lambda: _units(entry, title)


def title_of(metric: str, /) -> str:
    """Return the name of a measure for people."""
    return MEASURES[metric].title if metric in MEASURES else metric.replace("_", " ")


# -------------------------------------------------------------------------------------------------- on the same scale


def _references(entry: Mapping[str, Any], title: str, domain: tuple[float, float], charts: Charts) -> str:
    from markupsafe import Markup

    estimate, gate = entry["estimate"], entry["gate"]
    is_higher = entry.get("direction") == "higher"
    rows: list[dict[str, Any]] = []

    def add(name: str, value: Any, kind: str = "people", **more: Any) -> None:
        if isinstance(value, (int, float)) and math.isfinite(value):
            picture = track(domain, value=value, kind=kind, **more)
            rows.append({"name": name, "value": value, "kind": kind, "track": Markup(picture)})  # noqa: S704 - numbers

    bounds = {name: gate[name] for name in ("at_least", "at_most") if name in gate}
    add(
        str(entry["model"].get("name", "")) or "the model", estimate["value"], "model",
        low=estimate["low"], high=estimate["high"], **bounds,
    )  # fmt: skip
    stored = (entry.get("baseline") or {}).get("estimate") or {}
    add("the baseline", stored.get("value"))
    for name, value in entry["references"].items():
        add(words_for(name, measure_of(entry).references), value)
    others = [pair for pair in (entry.get("other_populations") or {}).items() if pair[1] is not None]
    others.sort(key=lambda pair: -pair[1] if is_higher else pair[1])
    for name, value in others[:MOST_POPULATIONS]:
        add(name, value)
    rows.sort(key=lambda row: -row["value"] if is_higher else row["value"])
    return render(
        "references.html.jinja",
        rows=rows,
        left=max(len(others) - MOST_POPULATIONS, 0),
        measure=title_of(entry["metric"]),
        direction=entry.get("direction"),
        ends=(f"{domain[0]:g}", f"{domain[1]:g}"),
        charts=list(_spread(entry, title, charts)),
    )


def _spread(entry: Mapping[str, Any], title: str, charts: Charts) -> Iterator[dict[str, Any]]:
    """Yield the charts of how the units are spread: their values, and the entropies of their answers."""
    values = [unit["value"] for unit in entry["units"] if unit["value"] is not None]
    if len(values) < LEAST_UNITS:
        return
    gate, references = entry["gate"], entry["references"]
    lines = {"mean": entry["estimate"]["value"]}
    lines |= {name.replace("_", " "): gate[name] for name in ("at_least", "at_most") if name in gate}
    lines |= {
        words_for(name, measure_of(entry).references): references[name]
        for name in ("uniform", "sampling_floor", "unsteered")
        if references.get(name) is not None
    }
    lines = {name: value for name, value in lines.items() if value is not None}
    measure = title_of(entry["metric"])
    svg = charts.draw(
        lambda prefix: plots.units_chart(
            values, name=measure, title=f"Spread of the units of {title}", lines=lines, prefix=prefix
        )
    )
    if svg:
        yield {"svg": svg, "caption": "How the units are spread; the table below has each of them."}
    pairs = [
        (unit["model_entropy"], unit["reference_entropy"])
        for unit in entry["units"]
        if unit.get("model_entropy") is not None and unit.get("reference_entropy") is not None
    ]
    if len(pairs) >= LEAST_UNITS:
        ours, theirs = zip(*pairs, strict=True)
        svg = charts.draw(
            lambda prefix: plots.entropy_chart(ours, theirs, title=f"Entropy of the answers, {title}", prefix=prefix)
        )
        below = sum(one < other for one, other in pairs)
        if svg:
            words = f"Below the line the model is surer than the people are: {below} of {len(pairs)} units."
            yield {"svg": svg, "caption": words}


# -------------------------------------------------------------------------------------------------------------- units


def _units(entry: Mapping[str, Any], title: str) -> str:
    from markupsafe import Markup

    units: Sequence[Mapping[str, Any]] = entry["units"]
    worst_first = -1.0 if entry.get("direction", "lower") == "lower" else 1.0
    units = sorted(units, key=lambda unit: worst_first * unit["value"] if unit["value"] is not None else math.inf)
    noun, nouns = _nouns(entry)
    people = str(entry.get("population") or "people")
    mirrored = any(unit.get("reference_probabilities") for unit in units)
    columns = [{"name": "value", "title": title_of(entry["metric"])}]
    columns += [
        {"name": name, "title": heading}
        for name, heading in _COLUMNS.items()
        if any(isinstance(unit.get(name), (int, float)) for unit in units)
    ]
    return render(
        "units.html.jinja",
        units=units,
        title=title,
        noun=noun,
        nouns=nouns,
        people=people,
        columns=columns,
        sorted="descending" if worst_first < 0 else "ascending",
        opened=entry["outcome"] == "failed" and len(units) <= 100,
        mirrored=mirrored,
        mirror=lambda unit: Markup(  # noqa: S704 - made of numbers
            mirror(unit.get("model_probabilities") or (), unit.get("reference_probabilities") or ())
        ),
        inside=lambda unit: _inside(unit, people),
    )


def _nouns(entry: Mapping[str, Any]) -> tuple[str, str]:
    first = entry["units"][0]
    if "responses" in first or entry["metric"] == "jury_welfare":
        return "query", "queries"
    if entry.get("population") is None and first.get("population"):
        return "population", "populations"
    if entry["metric"] in {"trade_off_steerability", "pareto_improvement"}:
        return "unit", "units"
    return "question", "questions"


def _inside(unit: Mapping[str, Any], people: str) -> str:
    """Return what opens under a unit: its answers, its window, its responses."""
    from markupsafe import Markup

    facts = [
        f"{words}: {value:.2f}" if isinstance(value, float) else f"{words}: {value}"
        for name, words in _UNIT_FACTS.items()
        if (value := unit.get(name)) not in (None, "", unit["id"], people)
    ]
    reasonable, unreasonable = unit.get("answers") or (), unit.get("unreasonable_answers") or ()
    return render(
        "unit.html.jinja",
        unit={**unit, "model_probabilities": unit.get("model_probabilities") or ()},
        people=unit.get("population") or people,
        answers=[
            *(_answer(answer, is_outside=False) for answer in reasonable),
            *(_answer(answer, is_outside=True) for answer in unreasonable),
        ],
        responses=list(_responses(unit, [*reasonable, *unreasonable])),
        facts="; ".join(facts),
        at=lambda values, place: values[place] if values and place < len(values) else None,
        bars=lambda ours, theirs: Markup(bars(ours or 0.0, theirs)),  # noqa: S704 - made of numbers
    )


def _answer(answer: Mapping[str, Any], *, is_outside: bool) -> dict[str, Any]:
    held = answer["held"]
    words = {
        (False, True): "✓ covered",
        (False, False): "✗ missed",
        (True, True): "! argued",
        (True, False): "not said",
    }
    found = words[is_outside, held]
    if held and "draw" in answer:
        found += f" (response {answer['draw'] + 1})"
    return {
        "text": answer["text"],
        "side": "outside" if is_outside else answer.get("stance", ""),
        "entailment": answer["entailment"],
        "found": found,
        "word": {"✓": "covered", "✗": "missed", "!": "argued"}.get(found[0], ""),
    }


def _responses(unit: Mapping[str, Any], answers: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    values = unit.get("draw_values") or ()
    unmatched = unit.get("unmatched_claims") or ()
    for place, text in enumerate(unit.get("responses") or ()):
        kept = text[:MOST_CHARACTERS]
        yield {
            "number": place + 1,
            "value": values[place] if place < len(values) else None,
            "segments": list(marked_segments(kept, answers, place)),
            "left": len(text) - len(kept),
            "unmatched": unmatched[place] if place < len(unmatched) else (),
        }


# ------------------------------------------------------------------------------------------------- views of measures


def _jury(entry: Mapping[str, Any], title: str, charts: Charts) -> str:
    details = entry["details"]
    curve, groups = details["curve"], details.get("curve_by_group") or {}
    drawn = {name: values for name, values in groups.items() if None not in values}
    return render(
        "jury.html.jinja",
        details=details,
        curve=curve,
        groups=groups,
        level=f"{100 * curve['confidence_level']:g} %",
        made=made_words(details["jurors"], details),
        # Without a value there is no curve.
        svg=None
        if None in curve["values"]
        else charts.draw(
            lambda prefix: plots.welfare_chart(curve, drawn, title=f"Welfare over alpha: {title}", prefix=prefix)
        ),
    )


def _steering(entry: Mapping[str, Any], title: str, charts: Charts) -> str:
    details = entry["details"]
    checks = [
        (name, value, wanted)
        for name, (group, field), wanted in CHECKS
        if (value := (details.get(group) or {}).get(field)) is not None
    ]
    checks += [
        (f"{pair['attribute']} against {pair['opposite']}: contrast", pair["contrast"], "1")
        for pair in details.get("opposite", ())
    ]
    return render("steering.html.jinja", details=details, checks=checks, shade=_shade)


def _trade_offs(entry: Mapping[str, Any], title: str, charts: Charts) -> str:
    details = entry["details"]
    weights = details["weights"]

    def chart(table: Mapping[str, Any]) -> Any:
        name = f"Trade-off {table['pair']}: {title}"
        return charts.draw(lambda prefix: plots.trade_off_chart(table, weights, title=name, prefix=prefix))

    return render(
        "trade_offs.html.jinja",
        details=details,
        names=[f"{100 * weight:.0f} %" for weight in weights],
        first=lambda pair: str(pair).partition("-")[0],
        second=lambda pair: str(pair).partition("-")[2],
        chart=chart,
        shade=_shade,
    )


def _pareto(entry: Mapping[str, Any], title: str, charts: Charts) -> str:
    details = entry["details"]
    rows = details["objectives"]
    return render(
        "pareto.html.jinja",
        details=details,
        svg=charts.draw(lambda prefix: plots.gains_chart(rows, title=f"Gains: {title}", prefix=prefix)),
    )


def _history(entry: Mapping[str, Any], title: str, charts: Charts) -> str:
    points = [
        {
            "when": str(point["date"])[:10],
            "tags": ", ".join(map(str, point["tags"])),
            "commit": str(point["commit"])[:10],
            **{name: point[name] for name in ("value", "low", "high")},
        }
        for point in entry["history"]
        if point["value"] is not None
    ]
    estimate = entry["estimate"]
    if estimate and estimate["value"] is not None:
        now = {name: estimate[name] for name in ("value", "low", "high")}
        points.append({"when": "this run", "tags": "", "commit": "", **now})
    gate = entry["gate"]
    return history_view(
        points,
        promise=gate.get("at_most", gate.get("at_least")),
        measure=title_of(entry["metric"]),
        title=f"History: {title}",
        caption="Each commit that changed the baseline, and this run.",
        charts=charts,
    )


def history_view(
    points: Sequence[Mapping[str, Any]], /, *, promise: float | None, measure: str, title: str, caption: str,
    charts: Charts,
) -> str:  # fmt: skip
    """Return a measure over past results as a chart and as a table."""
    svg = charts.draw(lambda prefix: history_svg(points, promise=promise, measure=measure, title=title, prefix=prefix))
    return render("history.html.jinja", points=points, measure=measure, svg=svg, caption=caption)


def history_svg(
    points: Sequence[Mapping[str, Any]], /, *, promise: float | None, measure: str, title: str, prefix: str
) -> str:
    """Return the chart of a measure over past results."""
    return plots.history_chart(
        [point["tags"] or point["when"] for point in points],
        [point["value"] for point in points],
        [point["value"] if point["low"] is None else point["low"] for point in points],
        [point["value"] if point["high"] is None else point["high"] for point in points],
        promise=promise,
        name=measure,
        title=title,
        prefix=prefix,
    )


def _shade(value: float, line: Sequence[float]) -> int:
    """Return how dark a cell of a matrix is, from 0 to 8, between the least and the greatest of its row."""
    low, high = min(line), max(line)
    return round(8 * (value - low) / (high - low)) if high > low else 0


_VIEWS: tuple[tuple[str, Callable[[Mapping[str, Any], str, Charts], str]], ...] = (
    ("jury_welfare", _jury),
    ("steering_faithfulness", _steering),
    ("trade_off_steerability", _trade_offs),
    ("pareto_improvement", _pareto),
)
