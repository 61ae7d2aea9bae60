"""Charts: round ticks, marks to scale, nothing outside the picture, and names that are text."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pluralism.report.charts import Chart, Mark, Track, chart_svg, domain_of, track_svg

NUMBERS = st.floats(-1e12, 1e12).map(lambda value: round(value, 6))
SHAPES = ("dot", "ring", "square", "line", "area", "span", "rule", "level")


def chart(*marks: Mark, **more: tuple[tuple[float, str], ...]) -> ET.Element:
    return ET.fromstring(chart_svg(Chart("title", "caption", "across", "up", marks, **more)))  # noqa: S314 - ours


def words(root: ET.Element) -> list[str]:
    return [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]


def spots(root: ET.Element) -> list[tuple[float, float]]:
    return [(float(one.get("cx", "")), float(one.get("cy", ""))) for one in root.iter() if one.get("cx")]


def test_ticks_are_round_and_hold_the_data() -> None:
    assert [word for word in words(chart(Mark("dot", ((0.0, 0.0), (1.0, 30.0))))) if re.fullmatch(r"[\d.]+", word)] == [
        *("0", "5", "10", "15", "20", "25", "30"),
        *("0", "0.2", "0.4", "0.6", "0.8", "1"),
    ]
    # Counts have whole numbers.
    counts = words(chart(Mark("bar", ((0.0, 0.0), (1.0, 2.0)))))
    assert [word for word in counts if re.fullmatch(r"[\d.]+", word)][:3] == ["0", "1", "2"]


def test_marks_are_to_scale() -> None:
    (x0, y0), (x1, y1), (x2, y2) = spots(chart(Mark("dot", ((0.0, 0.0), (1.0, 1.0), (4.0, 4.0)))))
    assert (x2 - x0) == pytest.approx(4 * (x1 - x0), abs=0.5)
    # Upwards is less in a picture.
    assert (y0 - y2) == pytest.approx(4 * (y0 - y1), abs=0.5)
    assert y2 < y1 < y0


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=9), st.sampled_from(SHAPES), st.text(max_size=40))
def test_nothing_stands_outside_and_names_are_text(points: list[tuple[float, float]], shape: str, label: str) -> None:
    root = chart(Mark("dot", tuple(points)), Mark(shape, tuple(points), label=label))
    for x, y in spots(root):
        assert 0 <= x <= 440
        assert 0 <= y <= 270
    for path in root.iter("{http://www.w3.org/2000/svg}path"):
        assert "nan" not in path.get("d", "")
        assert all(-60 <= float(number) <= 500 for number in re.findall(r"-?\d+\.\d+", path.get("d", "")))
    assert {one.tag.rpartition("}")[2] for one in root.iter()} <= {"svg", "path", "circle", "text"}


def test_names_at_the_ends_of_lines_stand_apart() -> None:
    lines = [Mark("line", ((0.0, 0.0), (1.0, 1.0 + place / 1000)), label=f"group {place}") for place in range(4)]
    texts = chart(*lines).iter("{http://www.w3.org/2000/svg}text")
    heights = sorted(float(text.get("y", "")) for text in texts if (text.text or "").startswith("group"))
    assert len(heights) == 4
    assert all(below - above >= 13 for above, below in itertools.pairwise(heights))


def test_of_many_named_places_some_are_named() -> None:
    names = tuple((float(place), f"release {place}") for place in range(100))
    root = chart(Mark("line", tuple((float(place), 0.5) for place in range(100))), x_ticks=names)
    assert 5 <= sum(word.startswith("release") for word in words(root)) <= 14


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        chart(Mark("dot", ((0.0, float("inf")), (1.0, 1.0))))


def test_a_track_keeps_to_its_scale() -> None:
    drawn = track_svg(Track((0.0, 1.0), 2.0, -1.0, 3.0, at_most=0.25))
    assert 'cx="155.0"' in drawn
    assert 'd="M5.0 8H155.0"' in drawn
    assert 'x="5.0" width="37.5"' in drawn
    assert domain_of([0.1, 0.9], lowest=0.0, highest=1.0) == (0.0, 1.0)
    assert domain_of([-0.27, 0.0], lowest=float("-inf"), highest=float("inf")) == pytest.approx((-0.3, 0.1))
