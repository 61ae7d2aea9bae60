"""Charts of a report as SVG: drawn by matplotlib without a display, coloured by the page around them.

Every function takes plain numbers and names, and returns an ``<svg>`` element for an HTML page. It holds no style
sheet, no ``style`` attribute, no script and no link, so that a page may forbid them all; its colours are variables of
the page's style sheet, so that one chart serves a light and a dark page; its text stays text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from pytest_pluralism.core.messages import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "entropy_chart",
    "front_chart",
    "gains_chart",
    "history_chart",
    "trade_off_chart",
    "units_chart",
    "welfare_chart",
]

#: Colours that no chart uses otherwise, and what the page's style sheet calls them.
_INK, _MODEL, _PEOPLE, _MUTED, _GRID, _PAPER = "#010203", "#010204", "#010205", "#010206", "#010207", "#010208"
_VARIABLES = {
    _INK: "var(--ink)",
    _MODEL: "var(--model)",
    _PEOPLE: "var(--people)",
    _MUTED: "var(--muted)",
    _GRID: "var(--line)",
    _PAPER: "var(--paper)",
}

#: Lines of groups beside the main one; their names stand at their ends, so that nothing hangs on the colours.
_DASHES = ("--", ":", "-.", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)))

#: More groups than these would be a thicket; the table beside a chart has all of them.
MOST_LINES = 12

#: More names than these below a chart would cover each other.
MOST_TICKS = 14

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pluralism",
    # A dollar sign in a name is a dollar sign.
    "text.parse_math": False,
    "axes.unicode_minus": False,
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
}

#: What an SVG element may be styled by without a style sheet; the rest of what matplotlib writes is left to the page.
_PRESENTATION = frozenset({
    "fill", "fill-opacity", "font-size", "opacity", "stroke", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap",
    "stroke-linejoin", "stroke-miterlimit", "stroke-opacity", "stroke-width", "text-anchor",
})  # fmt: skip


def units_chart(values: Sequence[float], /, *, name: str, title: str, lines: Mapping[str, float], prefix: str) -> str:
    """Return how the values of the units are spread, with the mean and what it is read against as lines."""

    def draw(axes: Axes) -> None:
        axes.hist(values, bins=min(20, max(5, len(values) // 4)), color=_MODEL, alpha=0.75, edgecolor=_PAPER)
        top = axes.get_ylim()[1]
        axes.set_ylim(0, top * (1.05 + 0.1 * len(lines)))
        for place, (label, at) in enumerate(sorted(lines.items(), key=lambda line: line[1])):
            axes.axvline(at, color=_INK, linewidth=1.2, linestyle="-" if label == "mean" else _DASHES[place % 4])
            # Each name has a height of its own, so that near lines stay readable.
            height = top * (1.0 + 0.1 * (len(lines) - place))
            right = at > sum(axes.get_xlim()) / 2
            axes.annotate(
                _name(label), (at, height), xytext=(-4 if right else 4, 0), textcoords="offset points",
                ha="right" if right else "left", va="center", fontsize=8,
            )  # fmt: skip
        axes.set_xlabel(_name(name, most=48))
        axes.set_ylabel("units")
        axes.grid(visible=False, axis="x")

    return _svg(draw, title=title, prefix=prefix, tight=False)


def entropy_chart(model: Sequence[float], people: Sequence[float], /, *, title: str, prefix: str) -> str:
    """Return the entropy of the model's answers against that of the people's, one dot a unit."""

    def draw(axes: Axes) -> None:
        top = max(*model, *people, 0.1) * 1.05
        axes.plot((0, top), (0, top), color=_MUTED, linestyle="--", linewidth=1)
        axes.scatter(people, model, s=18, color=_MODEL, alpha=0.7, linewidths=0)
        axes.annotate("alike", (top, top), xytext=(-6, -16), textcoords="offset points", ha="right", fontsize=8)
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
        axes.set_xlabel("entropy of the people's answers (bits)")
        axes.set_ylabel("entropy of the model's (bits)")

    return _svg(draw, title=title, prefix=prefix, tight=False)


def welfare_chart(
    curve: Mapping[str, Any], groups: Mapping[str, Sequence[float]], /, *, title: str, prefix: str
) -> str:
    """Return the welfare over the aversion to inequality, with its interval, its band, and the groups."""

    def draw(axes: Axes) -> None:
        places = range(len(curve["alphas"]))
        for low, high, shade in (("band_low", "band_high", 0.15), ("low", "high", 0.3)):
            if None not in (*curve[low], *curve[high]):
                axes.fill_between(places, curve[low], curve[high], color=_MODEL, alpha=shade, linewidth=0)
        axes.plot(places, curve["values"], color=_MODEL, marker="o", markersize=4)
        named = [("everybody", curve["values"][-1], _MODEL)]
        for place, (name, values) in enumerate(list(groups.items())[:MOST_LINES]):
            axes.plot(places, values, color=_PEOPLE, linestyle=_DASHES[place % len(_DASHES)], linewidth=1.2)
            named.append((_name(name), values[-1], _PEOPLE))
        _name_lines(axes, named, places[-1])
        axes.set_xticks(list(places), [_name(a) if isinstance(a, str) else f"{a:g}" for a in curve["alphas"]])
        axes.set_xlabel("alpha (the more, the more count those who are served worst)")
        axes.set_ylabel("welfare")

    return _svg(draw, title=title, prefix=prefix)


def trade_off_chart(table: Mapping[str, Any], weights: Sequence[float], /, *, title: str, prefix: str) -> str:
    """Return what each weighting of two values brings of both, against the model that is not steered."""
    first, _, second = str(table["pair"]).partition("-")

    def draw(axes: Axes) -> None:
        ones, others = zip(*table["objectives"], strict=True)
        axes.plot(ones, others, color=_MODEL, marker="o", markersize=5, linewidth=1)
        for weight, one, other in zip(weights, ones, others, strict=True):
            axes.annotate(f"{100 * weight:.0f} %", (one, other), xytext=(5, 4), textcoords="offset points", fontsize=8)
        one, other = table["objectives_unsteered"]
        axes.plot([one], [other], color=_PEOPLE, marker="s", markersize=6, linestyle="none")
        axes.annotate("not steered", (one, other), xytext=(6, -11), textcoords="offset points", fontsize=8)
        axes.margins(0.15)
        axes.set_xlabel(_name(first))
        axes.set_ylabel(_name(second))

    return _svg(draw, title=title, prefix=prefix)


def gains_chart(rows: Sequence[Mapping[str, Any]], /, *, title: str, prefix: str) -> str:
    """Return what a candidate gains on the reference in each objective, with the intervals."""

    def draw(axes: Axes) -> None:
        axes.axvline(0.0, color=_MUTED, linewidth=1)
        for place, row in enumerate(rows):
            if None not in (row["low"], row["high"]):
                axes.plot((row["low"], row["high"]), (place, place), color=_MODEL, linewidth=3, alpha=0.5)
            axes.plot([row["gain"]], [place], color=_MODEL, marker="o", linestyle="none")
        axes.set_yticks(range(len(rows)), [_name(row["name"]) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel("gain on the reference (right of the line is better)")

    return _svg(draw, title=title, prefix=prefix, height=1.0 + 0.32 * len(rows))


def front_chart(
    points: Mapping[str, tuple[float, float]], front: Sequence[bool], names: tuple[str, str], /, *, title: str,
    prefix: str,
) -> str:  # fmt: skip
    """Return models by two objectives; those that no other improves on in both are filled."""

    def draw(axes: Axes) -> None:
        for (name, (one, other)), best in zip(points.items(), front, strict=True):
            axes.plot(
                [one], [other], marker="o", markersize=8, linestyle="none", markeredgecolor=_MODEL,
                markerfacecolor=_MODEL if best else "none",
            )  # fmt: skip
            axes.annotate(_name(name), (one, other), xytext=(7, 5), textcoords="offset points", fontsize=8)
        axes.margins(0.25)
        axes.set_xlabel(_name(names[0], most=48))
        axes.set_ylabel(_name(names[1], most=48))

    return _svg(draw, title=title, prefix=prefix)


def history_chart(
    labels: Sequence[str], values: Sequence[float], lows: Sequence[float], highs: Sequence[float], /, *,
    promise: float | None, name: str, title: str, prefix: str,
) -> str:  # fmt: skip
    """Return a measure over past results and this one."""

    def draw(axes: Axes) -> None:
        places = range(len(labels))
        axes.vlines(places, lows, highs, color=_MODEL, alpha=0.4, linewidth=4)
        axes.plot(places, values, color=_MODEL, marker="o", markersize=5)
        if promise is not None:
            axes.axhline(promise, color=_INK, linestyle="--", linewidth=1)
            axes.annotate("promise", (0, promise), xytext=(0, 3), textcoords="offset points", fontsize=8)
        # Of many releases every so many are named; the table beside has all of them.
        named = places[:: -(-len(labels) // MOST_TICKS)]
        axes.set_xticks(list(named), [_name(labels[place], most=14) for place in named], rotation=30, ha="right")
        axes.set_ylabel(_name(name, most=48))
        axes.margins(0.1)

    return _svg(draw, title=title, prefix=prefix)


# ------------------------------------------------------------------------------------------------- from there to SVG


def _name_lines(axes: Axes, named: Sequence[tuple[str, float, str]], last: float) -> None:
    """Write the names of lines at their right ends, moved apart where they would cover each other."""
    low, high = axes.get_ylim()
    room = (high - low) / 16
    height = float("-inf")
    for name, value, color in sorted(named, key=lambda one: one[1]):
        height = max(value, height + room)
        axes.annotate(
            name, (last, value), xytext=(last + 0.15, height), textcoords="data", color=color, va="center", fontsize=8,
            annotation_clip=False,
        )  # fmt: skip


def _name(text: object, *, most: int = 28) -> str:
    return printable(str(text), most=most)


def _svg(
    draw: Callable[[Axes], None],
    *,
    title: str,
    prefix: str,
    width: float = 4.6,
    height: float = 2.8,
    tight: bool = True,
) -> str:
    """Draw one pair of axes, and return it as an element; ``tight`` makes room for names, by drawing twice."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height))
        FigureCanvasSVG(figure)
        axes = figure.subplots(
            gridspec_kw=None if tight else {"left": 0.12, "right": 0.98, "bottom": 0.17, "top": 0.98}
        )
        draw(axes)
        for text in figure.findobj(Text):
            # Whatever a chart is made of: what a page or XML cannot hold is none of its words, and none is endless.
            text.set_text(_name(text.get_text(), most=80))  # type: ignore[attr-defined]
        file = io.BytesIO()
        box = {"bbox_inches": "tight", "pad_inches": 0.05} if tight else {}
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, **box)
    return _for_a_page(file.getvalue(), title=title, prefix=prefix)


def _for_a_page(svg: bytes, *, title: str, prefix: str) -> str:
    """Return an SVG file as an element that needs nothing a strict page forbids, and whose ids are its own."""
    root = ET.fromstring(svg)  # noqa: S314 - matplotlib wrote it
    for parent in root.iter():
        for child in list(parent):
            if child.tag.rpartition("}")[2] in {"metadata", "style"}:
                parent.remove(child)
    for element in root.iter():
        _make_plain(element, prefix)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"class": "chart", "role": "img", "aria-label": printable(title, most=200)}
    # Indentation would be a third of the page.
    for element in root.iter():
        element.tail = None
        if element.tag != "text":
            element.text = None
    return ET.tostring(root, encoding="unicode")


def _make_plain(element: ET.Element, prefix: str) -> None:
    """Take namespaces away, turn styles into attributes, and give ids and what points at them a prefix."""
    element.tag = element.tag.rpartition("}")[2]
    attributes = dict(element.attrib)
    element.attrib.clear()
    for name, value in attributes.items():
        plain = name.rpartition("}")[2]
        if plain == "style":
            element.attrib |= dict(_presented(value, prefix))
        elif plain == "id":
            element.set("id", f"{prefix}-{value}")
        elif plain == "href":
            element.set("href", re.sub(r"^#", f"#{prefix}-", value))
        else:
            element.set(plain, _own(value, prefix))
    # Groups that say nothing but their number would only make the page longer.
    if element.tag == "g" and re.fullmatch(rf"{prefix}-\w+_\d+", element.get("id", "")):
        del element.attrib["id"]


def _presented(style: str, prefix: str) -> Iterator[tuple[str, str]]:
    for part in style.split(";"):
        name, _, value = (word.strip() for word in part.partition(":"))
        if name in _PRESENTATION:
            yield name, _own(value, prefix)
        elif name == "font" and (size := re.search(r"[\d.]+px", value)):
            yield "font-size", size[0]


def _own(value: str, prefix: str) -> str:
    for color, variable in _VARIABLES.items():
        value = value.replace(color, variable)
    return value.replace("url(#", f"url(#{prefix}-")
