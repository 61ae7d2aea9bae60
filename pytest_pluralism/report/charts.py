"""Charts, and small pictures beside a number, as SVG that a strict page allows.

A chart is a record of marks; it is drawn with axes and names. The small pictures have a few hundred bytes and no text,
so that thousands of them fit into one page. Neither has a style, a script or a link: the classes are coloured by
``page/chart.css``, so that one chart serves a light page, a dark page, and a file of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pytest_pluralism.core.untrusted import printable

__all__ = ["Chart", "Mark", "Track", "bars", "chart_svg", "domain_of", "mirror", "track_svg"]

#: The size of a chart and of its text, in its own units; a letter is about ``_LETTER`` wide.
_WIDTH, _LETTER, _LINE = 440.0, 6.0, 13.0

#: Maximum number of names below a chart; the table beside it has all of them.
MOST_NAMES = 14

#: Maximum number of dots that are elements of their own.
MOST_DOTS = 12

#: The size of a track in its own units.
_TRACK, _EDGE = 160.0, 5.0

#: The patterns of lines that stand for different groups.
DASHES = ("6 3", "2 2", "7 2 2 2", "10 3", "1 2", "6 2 1 2 1 2")

#: Pairs of coordinates.
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Mark:
    """Hold one thing that a chart shows, with a ``label`` beside its last point.

    ``shape`` is ``"dot"``, ``"ring"`` or ``"square"`` (at each point), ``"line"``, ``"area"``, ``"span"`` (a thick
    line), ``"bar"`` (between two corners), ``"rule"`` (a vertical line at the first point) or ``"level"`` (a
    horizontal one); ``kind`` is the class that colours it: ``"model"``, ``"people"``, ``"ink"`` or ``"muted"``.
    """

    shape: str
    points: Points
    kind: str = "model"
    label: str = ""
    dashes: str = ""


@dataclass(frozen=True)
class Chart:
    """Hold one pair of axes with its marks, the first below the others.

    ``title`` is what a screen reader says, ``caption`` the sentence below; ticks are named places on an axis, by
    default round numbers.
    """

    title: str
    caption: str
    x_name: str
    y_name: str
    marks: tuple[Mark, ...]
    x_ticks: tuple[tuple[float, str], ...] = ()
    y_ticks: tuple[tuple[float, str], ...] = ()
    height: float = 270.0


def chart_svg(chart: Chart, /, *, place: str = "") -> Markup:
    """Return a chart as an element; ``place`` has attributes that put it into another picture."""
    frame = _Frame(chart)
    parts = [*frame.axes(), *(part for mark in frame.in_order() for part in frame.drawn(mark)), *frame.end_labels()]
    head = Markup('<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-label="{}" viewBox="{}"{}>')
    opening = head.format(_name(chart.title, most=200), f"0 0 {_WIDTH:g} {chart.height:g}", Markup(place))  # noqa: S704
    return opening + Markup("").join(parts) + Markup("</svg>")


def _name(text: object, *, most: int = 28) -> str:
    return printable(str(text), most=most)


def _ticks(low: float, high: float, least: float = 0.0) -> tuple[tuple[float, str], ...]:
    """Return about seven round numbers between two ends, with their names."""
    rough = (high - low) / 7
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(least, next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999))
    places = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return tuple((place * step, f"{round(place * step, 12) + 0.0:g}") for place in places)


def _ends(values: Sequence[float], room: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    wide = (high - low) or abs(high) * 0.1 or 1.0
    if not math.isfinite(wide):
        raise ValueError("a chart needs finite numbers")
    return low - room * wide, high + room * wide


class _Frame:
    """The place of a chart's axes, and what is drawn between them."""

    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        rules = [mark for mark in chart.marks if mark.shape == "rule"]
        named = [mark.label for mark in chart.marks if mark.shape == "line" and mark.label]
        bars = any(mark.shape == "bar" for mark in chart.marks)
        xs = [x for mark in chart.marks if mark.shape != "level" for x, _ in mark.points]
        ys = [y for mark in chart.marks if mark.shape != "rule" for _, y in mark.points]
        self.x_low, self.x_high = _ends(xs, 0.03 if bars or named else 0.08)
        self.y_low, self.y_high = _ends(ys, 0.0 if bars else 0.08)
        self.x_ticks = chart.x_ticks[:: -(-len(chart.x_ticks) // MOST_NAMES) or 1] or _ticks(self.x_low, self.x_high)
        self.y_ticks = chart.y_ticks or _ticks(self.y_low, self.y_high, least=1.0 if bars else 0.0)
        self.is_slanted = sum(len(_name(name, most=14)) + 2 for _, name in self.x_ticks) * _LETTER > 0.8 * _WIDTH
        self.left = 26 + _LETTER * max(len(_name(name)) for _, name in self.y_ticks)
        self.right = _WIDTH - 10 - _LETTER * max((len(_name(name)) for name in named), default=0)
        # Each name of a rule has a line of its own, so that near rules stay readable.
        self.top = 8 + _LINE * sum(bool(mark.label) for mark in rules)
        self.bottom = chart.height - (72 if self.is_slanted else 36)
        self.labels: list[tuple[float, str, str]] = []
        self.n_rules = 0

    def x(self, value: float) -> float:
        return self.left + (self.right - self.left) * (value - self.x_low) / (self.x_high - self.x_low)

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * (value - self.y_low) / (self.y_high - self.y_low)

    def in_order(self) -> list[Mark]:
        """Return the marks, rules last and those nearest to the middle first, so that no rule crosses a lower name.

        A name stands on the side of its rule that is nearer to the middle.
        """
        middle = (self.left + self.right) / 2
        rules = [mark for mark in self.chart.marks if mark.shape == "rule"]
        others = [mark for mark in self.chart.marks if mark.shape != "rule"]
        return [*others, *sorted(rules, key=lambda mark: abs(self.x(mark.points[0][0]) - middle))]

    def axes(self) -> Iterator[Markup]:
        """Yield the grid, the two axes, and all their names."""
        lines = "".join(f"M{self.left:.1f} {self.y(value):.1f}H{self.right:.1f}" for value, _ in self.y_ticks)
        yield _path(lines, "grid")
        ticks = "".join(f"M{self.x(value):.1f} {self.bottom:.1f}v4" for value, _ in self.x_ticks)
        yield _path(f"M{self.left:.1f} {self.top:.1f}V{self.bottom:.1f}H{self.right:.1f}{ticks}", "axis")
        for value, name in self.y_ticks:
            yield _text(self.left - 5, self.y(value) + 4, name, anchor="end")
        for value, name in self.x_ticks:
            if self.is_slanted:
                yield _text(self.x(value) + 3, self.bottom + 14, name, anchor="end", turn=-30, most=14)
            else:
                yield _text(self.x(value), self.bottom + 16, name, anchor="middle")
        yield _text((self.left + self.right) / 2, self.chart.height - 6, self.chart.x_name, most=60, anchor="middle")
        yield _text(11, (self.top + self.bottom) / 2, self.chart.y_name, most=48, anchor="middle", turn=-90)

    def drawn(self, mark: Mark) -> Iterator[Markup]:
        """Yield what shows one mark."""
        spots = [(self.x(x), self.y(y)) for x, y in mark.points]
        if mark.shape == "rule":
            at = spots[0][0]
            yield _path(f"M{at:.1f} {self.top:.1f}V{self.bottom:.1f}", f"{mark.kind} line", mark.dashes)
            if mark.label:
                height = self.top - 2 - _LINE * self.n_rules
                self.n_rules += 1
                yield _path(f"M{at:.1f} {self.top:.1f}V{height:.1f}", "muted line", "1 2")
                is_right = at > (self.left + self.right) / 2
                yield _text(at + (-4 if is_right else 4), height, mark.label, anchor="end" if is_right else "start")
        elif mark.shape == "level":
            yield _path(f"M{self.left:.1f} {spots[0][1]:.1f}H{self.right:.1f}", f"{mark.kind} line", mark.dashes)
            yield _text(self.left + 4, spots[0][1] - 4, mark.label)
        elif mark.shape == "bar":
            (x0, y0), (x1, y1) = spots
            yield _path(f"M{x0:.1f} {y0:.1f}V{y1:.1f}H{x1:.1f}V{y0:.1f}z", f"{mark.kind} bar")
        elif mark.shape in ("line", "area", "span"):
            path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in spots) + ("z" if mark.shape == "area" else "")
            yield _path(path, f"{mark.kind} {mark.shape}", mark.dashes)
            if mark.label:
                self.labels.append((spots[-1][1], mark.label, mark.kind))
        elif len(spots) > MOST_DOTS and mark.shape == "dot":
            # One element for all of them: a line of no length with round ends is a dot.
            yield _path("".join(f"M{x:.1f} {y:.1f}h0" for x, y in spots), f"{mark.kind} dots")
        else:
            for x, y in spots:
                if mark.shape == "square":
                    yield _path(f"M{x - 3.5:.1f} {y - 3.5:.1f}h7v7h-7z", f"{mark.kind} dot")
                else:
                    yield Markup('<circle class="{}" cx="{}" cy="{}" r="3.5"/>').format(
                        f"{mark.kind} {mark.shape}", f"{x:.1f}", f"{y:.1f}"
                    )
            if mark.label:
                x, y = spots[-1]
                is_right = x + _LETTER * len(_name(mark.label)) + 8 > self.right
                yield _text(x + (-7 if is_right else 7), y - 6, mark.label, anchor="end" if is_right else "start")

    def end_labels(self) -> Iterator[Markup]:
        """Yield the names of lines at their right ends, moved apart where they would cover each other."""
        height = math.inf
        for wanted, name, kind in sorted(self.labels, reverse=True):
            height = min(wanted + 4, height - _LINE)
            yield _text(self.right + 5, height, name, kind=kind)


def _path(d: str, kind: str, dashes: str = "") -> Markup:
    dashed = Markup(' stroke-dasharray="{}"').format(dashes) if dashes else ""
    return Markup('<path class="{}" d="{}"{}/>').format(kind, d, dashed)


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", turn: int = 0, kind: str = "ink", most: int = 28
) -> Markup:
    turned = Markup(' transform="rotate({} {} {})"').format(turn, f"{x:.1f}", f"{y:.1f}") if turn else ""
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}"{}>{}</text>').format(
        f"{kind} name", f"{x:.1f}", f"{y:.1f}", anchor, turned, _name(words, most=most)
    )


# ------------------------------------------------------------------------------------------------- beside a number


@dataclass(frozen=True)
class Track:
    """Hold a value with its interval on a scale; what is promised is shaded, a baseline is a hollow diamond.

    ``domain`` has the ends of the scale; ``kind`` is ``"model"``, or ``"people"`` for a reference.
    """

    domain: tuple[float, float]
    value: float
    low: float | None = None
    high: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    baseline: float | None = None
    kind: str = "model"

    @property
    def ends(self) -> tuple[str, str]:
        """The ends of the scale in words."""
        return f"{self.domain[0]:g}", f"{self.domain[1]:g}"


def track_svg(track: Track, /) -> Markup:
    """Return a value on its scale."""
    low_end, high_end = track.domain

    def x(number: float) -> float:
        share = (number - low_end) / (high_end - low_end)
        return _EDGE + (_TRACK - 2 * _EDGE) * min(max(share, 0.0), 1.0)

    parts = []
    if track.at_least is not None or track.at_most is not None:
        start = x(track.at_least) if track.at_least is not None else _EDGE
        end = x(track.at_most) if track.at_most is not None else _TRACK - _EDGE
        parts.append(f'<rect class="kept" x="{start:.1f}" width="{max(end - start, 0.0):.1f}" height="16"/>')
    zero = f"M{x(0.0):.1f} 5v6" if low_end < 0.0 < high_end else ""
    parts.append(f'<path class="axis" d="M{_EDGE:g} 8H{_TRACK - _EDGE:g}{zero}"/>')
    bounds = [bound for bound in (track.at_least, track.at_most) if bound is not None]
    parts += [f'<path class="ink line" d="M{x(bound):.1f} 0v16"/>' for bound in bounds]
    if track.low is not None and track.high is not None:
        parts.append(f'<path class="{track.kind} span" d="M{x(track.low):.1f} 8H{x(track.high):.1f}"/>')
    if track.baseline is not None:
        parts.append(f'<path class="then" d="M{x(track.baseline):.1f} 3l4 5-4 5-4-5z"/>')
    parts.append(f'<circle class="{track.kind} dot" cx="{x(track.value):.1f}" cy="8" r="3.5"/>')
    return _picture(f'class="track" viewBox="0 0 {_TRACK:g} 16"', "".join(parts))


def bars(ours: float, theirs: float | None, /) -> Markup:
    """Return two shares of one option as bars, the model's above the people's; a hundred units are the whole."""
    parts = f'<path class="m" d="M0 1h{100 * ours:.0f}v5H0z"/>'
    if theirs is not None:
        parts += f'<path class="p" d="M0 8h{100 * theirs:.0f}v5H0z"/>'
    return _picture('class="bars"', parts)


def mirror(ours: Sequence[float], theirs: Sequence[float], /) -> Markup:
    """Return two distributions back to back: the model's upwards, the people's downwards, one column an option."""

    def columns(shares: Sequence[float], sign: int) -> str:
        return "".join(f"M{9 * place} 16v{-sign * 15 * share:.0f}h8V16z" for place, share in enumerate(shares))

    parts = f'<path class="m" d="{columns(ours, 1)}"/>'
    if theirs:
        parts += f'<path class="p" d="{columns(theirs, -1)}"/>'
    return _picture(f'class="mirror" width="{9 * max(len(ours), len(theirs), 1) - 1}"', parts)


def _picture(attributes: str, parts: str) -> Markup:
    # The numbers are formatted as such, so that nothing in them can be markup.
    return Markup(f'<svg {attributes} aria-hidden="true">{parts}</svg>')  # noqa: S704


def domain_of(values: Sequence[float], /, *, lowest: float, highest: float) -> tuple[float, float]:
    """Return the ends of a scale that holds all ``values``: those of the measure where they are near enough to be read.

    A measure without ends, or one that can be negative where nothing is, gets ends from the values.
    """
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low >= 0.0:
        lowest = max(lowest, 0.0)
    ends = [lowest, highest]
    room = (high - low) * 0.1 or 0.5
    for place, (end, value) in enumerate(((lowest, low - room), (highest, high + room))):
        if not math.isfinite(end):
            step = 10.0 ** math.floor(math.log10(room * 10.0))
            ends[place] = (math.floor if place == 0 else math.ceil)(value / step) * step
    return ends[0], ends[1]
