"""Draw the pictures of the glossary and of the page of numbers: `python tools/draw_terms.py`.

The numbers in the pictures are examples, except in `numbers.svg`, which shows the measured example of the demo.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from html import escape
from pathlib import Path

OUT = Path(__file__).parent.parent / "docs/static/terms"
INK, GREY, BLUE, RED, GREEN, AMBER = "#1f2937", "#64748b", "#1d4ed8", "#b91c1c", "#15803d", "#b45309"


def text(x: float, y: float, words: str, colour: str = INK, size: int = 12, anchor: str = "middle") -> str:
    """Return one line of text."""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>'


def bar(x: float, share: float, base: float, colour: str, width: float = 16, height: float = 44) -> str:
    """Return a bar that stands on a base line."""
    return (
        f'<rect x="{x:g}" y="{base - share * height:g}" width="{width:g}" height="{share * height:g}" fill="{colour}"/>'
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str = GREY, width: float = 1.5, dashes: str = "") -> str:
    """Return a line."""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" stroke-width="{width:g}"{dashed}/>'


def dot(x: float, y: float, colour: str = BLUE, radius: float = 4) -> str:
    """Return a dot."""
    return f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{colour}"/>'


def answers(x: float, shares: Sequence[float], colour: str, label: str) -> list[str]:
    """Return the bars of one distribution of answers, with its name."""
    marks = [bar(x + 20 * place, share, 62, colour) for place, share in enumerate(shares)]
    return [*marks, line(x - 4, 62, x + 20 * len(shares), 62), text(x + 10 * len(shares) - 2, 78, label)]


def interval(low: float, value: float, high: float, y: float, colour: str = BLUE) -> list[str]:
    """Return a value with its interval."""
    return [line(low, y, high, y, colour, 4), dot(value, y, colour, 6)]


def card(words: str, start: float, top: float, held: bool) -> list[str]:
    """Return one argument of a window, held or missed."""
    colour, mark = (GREEN, "held") if held else (RED, "missed")
    box = f'<rect x="{start:g}" y="{top:g}" width="124" height="22" rx="4" fill="#ffffff" stroke="{colour}"/>'
    return [box, text(start + 6, top + 15, f"{words}: {mark}", colour, 11, "start")]


def people(x: float, y: float, colours: Sequence[str]) -> list[str]:
    """Return a row of people."""
    return [mark for place, colour in enumerate(colours) for mark in person(x + 26 * place, y, colour)]


def person(x: float, y: float, colour: str) -> list[str]:
    """Return one person."""
    return [
        dot(x, y, colour, 6),
        f'<path d="M{x - 9:g} {y + 24:g} a9 14 0 0 1 18 0 z" fill="{colour}"/>',
    ]


def releases(heights: Sequence[float], marked: int, label: str) -> list[str]:
    """Return values over releases, one of them marked."""
    at = [(40 + 32 * place, 70 - height) for place, height in enumerate(heights)]
    lines = [line(*a, *b) for a, b in itertools.pairwise(at)]
    dots = [
        dot(x, y, AMBER if place == marked else BLUE, 6 if place == marked else 4) for place, (x, y) in enumerate(at)
    ]
    return [*lines, *dots, text(at[marked][0], at[marked][1] + 20, label, AMBER)]


def scale(y: float, left: float = 20, right: float = 220) -> str:
    """Return the line of a scale."""
    return line(left, y, right, y)


PEOPLE, MODEL = (0.15, 0.55, 0.30), (0.60, 0.25, 0.15)

#: Each picture: what its description says, its size, and its marks.
PICTURES: dict[str, tuple[str, list[str]]] = {
    "distance": (
        "Two bar charts of the answers to one question, of people and of a model; the distance is between them",
        [
            *answers(24, PEOPLE, GREEN, "people"),
            *answers(150, MODEL, BLUE, "model"),
            text(118, 40, "distance", RED),
            line(94, 48, 142, 48, RED),
        ],
    ),
    "unit": (
        "Five dots, one of them marked as one unit",
        [dot(40 + 40 * place, 40, AMBER if place == 2 else BLUE, 7) for place in range(5)]
        + [text(120, 70, "one question")],
    ),
    "cluster": (
        "Six dots in two rings of three: two clusters",
        [
            f'<ellipse cx="{x}" cy="38" rx="46" ry="22" fill="none" stroke="{AMBER}"/>'
            + "".join(dot(x + step, 38) for step in (-22, 0, 22))
            for x in (64, 176)
        ]
        + [text(64, 76, "question 1"), text(176, 76, "question 2")],
    ),
    "interval": (
        "A value with its interval on a scale, and a promise to its right",
        [
            scale(50),
            *interval(70, 110, 150, 50),
            line(180, 26, 180, 62, GREEN, 2),
            text(180, 20, "promise", GREEN),
            text(110, 78, "95 % interval"),
        ],
    ),
    "window": (
        "A query with three reasonable answers beside it: its window",
        [text(52, 44, "Should cities", size=12), text(52, 58, "ban cars?", size=12)]
        + [
            f'<rect x="112" y="{y}" width="110" height="22" rx="4" fill="#ffffff" stroke="{GREY}"/>'
            for y in (6, 32, 58)
        ]
        + [
            text(167, y, words, size=11)
            for y, words in ((21, "cleaner air"), (47, "freedom to move"), (73, "safer streets"))
        ],
    ),
    "coverage": (
        "Three arguments of a window, two held by a response and one missed: coverage two thirds",
        [
            *card("argument 1", 16, 4, held=True),
            *card("argument 2", 16, 31, held=True),
            *card("argument 3", 16, 58, held=False),
            text(188, 40, "coverage", size=12),
            text(188, 58, "2 of 3"),
        ],
    ),
    "witness": (
        "The distances of five questions as bars; the longest one is marked as the witness",
        [
            *(bar(30 + 30 * place, share, 62, BLUE) for place, share in enumerate((0.4, 0.5, 0.3, 0.45))),
            bar(150, 1.0, 62, AMBER),
            line(20, 62, 220, 62),
            text(158, 78, "witness", AMBER),
        ],
    ),
    "promise": (
        "A scale of distances on which the part up to the bound keeps the promise",
        [
            f'<rect x="20" y="34" width="110" height="24" fill="{GREEN}" fill-opacity="0.2"/>',
            scale(46),
            line(130, 26, 130, 66, GREEN, 2),
            text(75, 26, "kept", GREEN),
            text(180, 26, "broken", RED),
            text(130, 80, "at_most=0.4"),
        ],
    ),
    "draw": (
        "One prompt with three texts that a model wrote to it: three draws",
        [text(40, 44, "prompt")]
        + [line(66, 40, 104, y, GREY) for y in (18, 40, 62)]
        + [line(110, y, 210, y, BLUE, 6) for y in (18, 40, 62)],
    ),
    "damage": (
        "Answers of a model, and the same answers sharpened to one option",
        [
            *answers(24, MODEL, BLUE, "as they are"),
            *answers(150, (0.98, 0.02, 0.0), RED, "damaged"),
            line(96, 40, 136, 40, GREY),
        ],
    ),
    "option-mass": (
        "A bar that shows which share of the next token is one of the letters asked for",
        [
            f'<rect x="20" y="28" width="160" height="24" fill="{BLUE}"/>',
            '<rect x="180" y="28" width="40" height="24" fill="#cbd5e1"/>',
            text(100, 45, "A, B, C: 0.80", "#ffffff"),
            text(200, 72, "other words", GREY),
        ],
    ),
    "human-floor": (
        "A scale of distances with the human floor near 0 and the model further right",
        [
            scale(48),
            dot(34, 48, GREEN, 6),
            text(20, 28, "people, asked again", GREEN, 11, "start"),
            dot(150, 48, BLUE, 6),
            text(150, 72, "model", BLUE),
            text(20, 72, "0"),
        ],
    ),
    "uniform": (
        "Three bars of equal height: the even answer",
        [*answers(24, (1 / 3, 1 / 3, 1 / 3), GREY, "uniform"), *answers(150, PEOPLE, GREEN, "people")],
    ),
    "shuffled": (
        "The model's bars with their options exchanged",
        [
            *answers(24, MODEL, BLUE, "model"),
            *answers(150, (0.15, 0.60, 0.25), GREY, "shuffled"),
            text(118, 40, "→", INK, 18),
        ],
    ),
    "skill": (
        "A scale on which the uniform answer is 0 and the human floor is 1",
        [
            scale(44),
            line(200, 34, 200, 54, GREEN, 3),
            text(196, 72, "1: people", GREEN),
            line(60, 34, 60, 54, GREY, 3),
            text(64, 72, "0: uniform", GREY),
            dot(112, 44, BLUE, 6),
            text(112, 26, "model", BLUE),
        ],
    ),
    "baseline": (
        "Values over six releases, the last stored one marked",
        releases((20, 22, 19, 24, 23, 26), 4, "baseline"),
    ),
    "anchor": ("Values over six releases, the first one marked", releases((20, 26, 31, 37, 42, 48), 0, "anchor")),
    "noise-floor": (
        "Two numbers of one model closer than the thickness of a band",
        [
            '<rect x="20" y="30" width="200" height="20" fill="#e2e8f0"/>',
            dot(90, 38),
            dot(140, 43),
            text(120, 72, "noise floor"),
        ],
    ),
    "steering": (
        "The model's answers before and after it is asked to answer as a group, beside the group's own",
        [
            *answers(14, (0.4, 0.3, 0.3), GREY, "plain"),
            *answers(92, (0.2, 0.5, 0.3), BLUE, "steered"),
            *answers(170, PEOPLE, GREEN, "group"),
        ],
    ),
    "placebo": (
        "Two arrows: steering to the right group moves the answer, steering to an unrelated one moves it too",
        [
            line(30, 28, 150, 28, BLUE, 4),
            line(30, 54, 70, 54, GREY, 4),
            text(156, 32, "as a Democrat", BLUE, 11, "start"),
            text(76, 58, "as an owner of a red car", GREY, 11, "start"),
        ],
    ),
    "jury": (
        "Six people, one of them in red: the worst served juror",
        [*people(42, 24, (GREEN, GREEN, GREEN, GREEN, AMBER, RED)), text(120, 76, "each has a utility")],
    ),
    "aversion": (
        "Five utilities as bars; at aversion 0 the welfare is their mean, at a large aversion the least of them",
        [bar(30 + 26 * place, share, 62, BLUE) for place, share in enumerate((1, 0.9, 0.8, 0.7, 0.2))]
        + [line(24, 62 - 0.72 * 44, 160, 62 - 0.72 * 44, GREEN, 2), text(164, 34, "α = 0: mean", GREEN, 11, "start")]
        + [line(24, 62 - 0.2 * 44, 160, 62 - 0.2 * 44, RED, 2), text(164, 57, "large α: least", RED, 11, "start")],
    ),
}


def numbers() -> str:
    """Return the picture that opens the page of numbers: the example of the demo on the scale of its distance."""

    def at(value: float) -> float:
        return 40 + 1150 * value

    marks = [line(40, 120, 720, 120, INK, 2)]
    marks += [
        line(at(tick), 116, at(tick), 124, INK) + text(at(tick), 142, f"{tick:g}", GREY)
        for tick in (0, 0.1, 0.2, 0.3, 0.4, 0.5)
    ]
    marks += [
        f'<rect x="40" y="64" width="{at(0.1) - 40:g}" height="56" fill="#dcfce7"/>',
        text(at(0.05), 56, "promise: at most 0.10", GREEN),
    ]
    marks += interval(at(0.239), at(0.300), at(0.359), 92)
    marks += [text(at(0.300), 76, "the model: 0.300, 95 % interval", BLUE)]
    for value, label, y in (
        (0.01, "people, asked again", 178),
        (0.09, "all adults", 196),
        (0.21, "the other party", 178),
        (0.29, "an even answer", 196),
        (0.44, "always the majority's answer", 178),
    ):
        marks += [
            line(at(value), 120, at(value), y - 14, AMBER, 1.5, "3 3"),
            dot(at(value), 120, AMBER),
            text(max(at(value), 66), y, label, AMBER),
        ]
    marks += [
        text(40, 24, "Distance to Democrats over 25 questions: 0 is the same answers, 1 shares none", INK, 14, "start")
    ]
    return picture(
        "numbers", "The measured distance of a small model on its scale, between its references", marks, 760, 210
    )


def picture(name: str, description: str, marks: Sequence[str], width: int = 240, height: int = 84) -> str:
    """Return a picture that a screen reader can describe."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-labelledby="{name}" font-family="system-ui, sans-serif">'
    )
    return "\n".join(
        [
            head,
            f'<title id="{name}">{escape(description)}</title>',
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            *marks,
            "</svg>",
            "",
        ]
    )


def main() -> None:
    """Write all pictures."""
    OUT.mkdir(parents=True, exist_ok=True)
    for name, (description, marks) in PICTURES.items():
        (OUT / f"{name}.svg").write_text(picture(name, description, marks), encoding="utf-8")
    (OUT / "numbers.svg").write_text(numbers(), encoding="utf-8")


if __name__ == "__main__":
    main()
