"""The views of the measures that have one of their own: juries, steering, trade-offs, objectives."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pytest_pluralism.core.records.measures import Measure
from pytest_pluralism.report.blocks import (
    Cell,
    Code,
    Para,
    Part,
    Points,
    Table,
    interval,
    matrix,
    number,
    percent,
    span,
    texts,
)  # fmt: skip
from pytest_pluralism.report.cells import Entry, Ours
from pytest_pluralism.report.charts import DASHES, Chart, Mark

__all__ = ["VIEWS", "groups_part", "protocol_part"]

#: Maximum number of groups that a chart draws; the table beside it has all of them.
MOST_LINES = 12

#: The checks of a steering: name, place in the details, and what a real steering has.
_CHECKS = (
    ("gain over the unsteered model", ("gain", "value"), "above 0"),
    ("movement under steering", ("movement", "steered"), ""),
    ("movement under placebos", ("movement", "placebo"), "less"),
    ("movement on questions of something else", ("movement", "unrelated"), "less"),
    ("progress towards the group", ("movement", "progress"), "1"),
    ("overshoot", ("movement", "overshoot"), "0"),
    ("share of side effects", ("movement", "side_effect_share"), "0"),
    ("entropy of the model over that of the people", ("flattening", "ratio"), "1"),
    ("Population Fidelity Score", ("fidelity", "score"), "1"),
)


# ------------------------------------------------------------------------------------------------------------ juries


def _jury(details: Entry, title: str, measure: Measure) -> Iterator[Part]:
    curve, groups = details["curve"], details.get("curve_by_group") or {}
    level = f"{100 * curve['confidence_level']:g} %"
    rows = [
        (
            Cell(_alpha(alpha), is_number=True),
            number(curve["values"][place]),
            span(curve["low"][place], curve["high"][place]),
            span(curve["band_low"][place], curve["band_high"][place]),
            *(number(values[place]) for values in groups.values()),
        )
        for place, alpha in enumerate(curve["alphas"])
    ]
    heads = (Ours("alpha"), Ours("welfare"), Ours(f"{level} interval"), Ours("band over all alpha"))
    blocks: list[Para | Points | Table] = [
        _made(details, measure),
        Table("Welfare by aversion", (*heads, *groups), tuple(rows), (Ours("Welfare by aversion to inequality"),)),
    ]
    if gain := details.get("dominance"):
        blocks.append(_dominance(gain))
    if worst := details.get("worst_off"):
        blocks.append(_worst_off(worst))
    if by_group := details.get("gain_by_group"):
        gains = [f"{group} {value:+.3f}" for group, value in by_group.items()]
        blocks.append(Para((Ours("By group: "), ", ".join(gains), Ours("."))))
    # Without a value there is no curve.
    charts = () if None in curve["values"] else (_welfare(curve, groups, title),)
    yield Part("The jury", tuple(blocks), charts, "Juries")


def _made(details: Entry, measure: Measure) -> Para:
    """Say who the jurors are, how well they predict, and the single figures of the jury."""
    jurors = details["jurors"]
    parts: list[str] = [Ours(f"{jurors['n']} jurors, ")]
    if jurors["kind"] == "recorded":
        parts.append(Ours(f"{jurors['votes']:,} recorded votes"))
    else:
        parts += [jurors["made"], Ours(": estimates, not people")]
        found = ", ".join(f"{name} {value:.3f}" for name, value in jurors["accuracy"].items())
        if found:
            parts += [Ours("; on votes they were not shown: "), found]
        else:
            parts.append(Ours("; nobody knows how well they predict"))
    parts += [Ours("; "), details["scale"]["mapping"]]
    figures = [(term.words, details.get(term.name)) for term in measure.figures]
    parts += [f"; {words} {value:.3f}" for words, value in figures if value is not None]
    return Para((*parts, Ours(".")))


def _dominance(gain: Entry) -> Table:
    rows = [
        (
            Cell(_alpha(alpha), is_number=True),
            number(gain["values"][place], "+.3f"),
            span(gain["band_low"][place], gain["band_high"][place], "+"),
        )
        for place, alpha in enumerate(gain["alphas"])
    ]
    caption = "Gain over the reference model by aversion to inequality"
    if gain.get("dominates"):
        caption += ": no aversion shows a loss"
    heads = (Ours("alpha"), Ours("gain over the reference model"), Ours("band over all alpha"))
    return Table("Gain over the reference model", heads, tuple(rows), (Ours(caption),))


def _worst_off(worst: list[Entry]) -> Table:
    rows = [
        (
            Cell(one["juror"] + ("" if one["kind"] == "recorded" else f" ({one['kind']})")),
            Cell(", ".join(map(str, one["attributes"].values()))),
            number(one["mean"]),
            Cell(str(one["worst_query"])),
            number(one["worst_value"]),
        )
        for one in worst
    ]
    heads = ("served worst", "group", "mean utility", "on this query", "utility there")
    return Table("Served worst", tuple(map(Ours, heads)), tuple(rows), (Ours("Who is served worst"),))


def _welfare(curve: Entry, groups: Entry, title: str) -> Chart:
    places = range(len(curve["alphas"]))
    marks = [
        Mark("area", (*zip(places, curve[low], strict=True), *reversed([*zip(places, curve[high], strict=True)])))
        for low, high in (("band_low", "band_high"), ("low", "high"))
        if None not in (*curve[low], *curve[high])
    ]
    drawn = [(name, values) for name, values in groups.items() if None not in values][:MOST_LINES]
    marks += [
        Mark("line", tuple(zip(places, values, strict=True)), "people", name, DASHES[place % len(DASHES)])
        for place, (name, values) in enumerate(drawn)
    ]
    points = tuple(zip(places, curve["values"], strict=True))
    marks += [Mark("line", points, label="everybody"), Mark("dot", points)]
    caption = "Welfare over alpha with its interval (dark) and the band over all alpha (light)"
    return Chart(
        f"Welfare over alpha: {title}",
        caption + ("; groups are dashed." if groups else "."),
        "alpha (the more, the more count those who are served worst)",
        "welfare",
        tuple(marks),
        x_ticks=tuple((place, _alpha(alpha)) for place, alpha in enumerate(curve["alphas"])),
    )


def _alpha(value: float | str) -> str:
    return Ours(f"{value:g}") if isinstance(value, (int, float)) else str(value)


# ---------------------------------------------------------------------------------------------------------- steering


def _steering(details: Entry, title: str, measure: Measure) -> Iterator[Part]:
    checks = [
        (Cell(Ours(name)), number(value, "+.3f"), Cell(Ours(wanted)))
        for name, (group, field), wanted in _CHECKS
        if (value := (details.get(group) or {}).get(field)) is not None
    ]
    checks += [
        (
            Cell(f"{pair['attribute']} against {pair['opposite']}: contrast"),
            number(pair["contrast"], "+.3f"),
            Cell(Ours("1")),
        )
        for pair in details.get("opposite", ())
    ]
    heads = (Ours("check"), Ours("value"), Ours("real steering"))
    blocks: list[Para | Points | Table] = [Table("Checks of the steering", heads, tuple(checks))] if checks else []
    for table in details.get("confusion", ()):
        caption = (
            f"Answers of each group (rows) by the model steered to each (columns), {table['n_questions']} questions; "
            "the best steering of each group stands out"
        )
        sides, plain = (table["groups"], table["attributes"]), table.get("unsteered")
        last = ("unsteered", plain) if plain else None
        blocks.append(matrix("Confusion of steerings", (Ours(caption),), "group", sides, table["scores"], last))
        share, tied = percent(table.get("best_alone", table["diagonal_dominance"])), table.get("tied", 0.0)
        as_good = f" of the groups; as good under another steering: {percent(tied)}." if tied else " of the groups."
        blocks.append(Para((Ours("Best under their own steering: "), share, Ours(as_good))))
    if details.get("attributes"):
        blocks.append(_attributes(details))
    if found := details.get("classification"):
        blocks.append(_classes(found))
    yield Part("Is the steering real?", tuple(blocks), section="Steering and trade-offs")


def _attributes(details: Entry) -> Table:
    rows = [
        (Cell(str(one["attribute"])), number(one["value"]), number(one["gain"], "+.3f"), number(one["n"], ",.0f"))
        for one in details["attributes"]
    ]
    caption = "By attribute, worst first"
    if details["n_attributes"] > len(rows):
        caption += f" ({len(rows)} of {details['n_attributes']})"
    heads = (Ours("attribute"), Ours("faithfulness"), Ours("gain by steering"), Ours("units"))
    return Table("Attributes", heads, tuple(rows), (Ours(caption),), sorts="attributes")


def _classes(found: Entry) -> Table:
    rows = [
        (
            Cell(Ours(words)),
            *(number(found[name][one]) for one in ("accuracy", "balanced_accuracy", "macro_f1")),
            number(found[name]["n"], ",.0f"),
        )
        for name, words in (("all", "all"), ("binary", "without the last"))
        if name in found
    ]
    heads = ("classes", "accuracy", "balanced accuracy", "macro-F1", "n")
    return Table("Classes", tuple(map(Ours, heads)), tuple(rows), (Ours("As classes"),))


# -------------------------------------------------------------------------------------------------------- objectives


def _trade_offs(details: Entry, title: str, measure: Measure) -> Iterator[Part]:
    names = [percent(weight) for weight in details["weights"]]
    for table in details["pairs"]:
        pair = str(table["pair"])
        first, _, second = pair.partition("-")
        front = table.get("on_front") or [False] * len(names)
        rows = [
            (
                Cell(name, why="on the front" if best else ""),
                *(number(value) for value in objectives),
                number(table["matrix"][place][place]),
                interval(table["regret"][place]),
            )
            for place, (name, best, objectives) in enumerate(zip(names, front, table["objectives"], strict=True))
        ]
        plain = [number(value) for value in table["objectives_unsteered"]]
        rows.append((Cell(Ours("not steered")), *plain, number(None), number(None)))
        heads = (Ours("steered to"), first, second, Ours("by its weighting"), Ours("regret [interval]"))
        caption = Ours(f", {table['n_scenarios']} scenarios; steerings that no other improves on are in bold")
        crossed = "What each weighting (rows) makes of the model steered to each (columns)"
        blocks = (
            Table(f"Trade-off {pair}", heads, tuple(rows), (pair, caption)),
            matrix("Weightings by steerings", (Ours(crossed),), "steered to", (names, names), table["matrix"]),
            Para((_summary(table),)),
        )
        yield Part(f"Trade-offs: {pair}", blocks, (_front(table, names, title),), "Steering and trade-offs")


def _summary(table: Entry) -> Ours:
    strict = table.get("diagonal_dominance_strict", table["diagonal_dominance"])
    ties = f" (without ties {strict:.2f})" if strict < table["diagonal_dominance"] else ""
    words = (
        f"Hypervolume {table['hypervolume']:.3f} (unsteered {table['hypervolume_unsteered']:.3f}), diagonal dominance "
        f"{table['diagonal_dominance']:.2f}{ties}, summed reward {table['summed_reward']:.3f}, steps in order "
        f"{percent(table['steps_in_order'])}"
    )
    if "steps_forward" in table:
        most = percent(table["steps_forward_best_possible"])
        words += f", forward {percent(table['steps_forward'])} (who follows every weight {most})"
    return Ours(f"{words}.")


def _front(table: Entry, names: list[Ours], title: str) -> Chart:
    first, _, second = str(table["pair"]).partition("-")
    points = tuple((one, other) for one, other in table["objectives"])
    one, other = table["objectives_unsteered"]
    # Weightings that bring the same share a name.
    shared = {at: ", ".join(name for point, name in zip(points, names, strict=True) if point == at) for at in points}
    marks = (
        Mark("line", points),
        *(Mark("dot", (point,), label=label) for point, label in shared.items()),
        Mark("square", ((one, other),), "people", "not steered"),
    )
    caption = "Each dot is a weighting; further right and up is better."
    return Chart(f"Trade-off {table['pair']}: {title}", caption, first, second, marks)


def _pareto(details: Entry, title: str, measure: Measure) -> Iterator[Part]:
    found = details.get("objectives")
    if not found:
        # Nothing was compared.
        return
    rows = [
        (
            Cell(str(row["name"]), why="decides" if row["name"] == details["deciding"] else ""),
            number(row["candidate"]),
            number(row["reference"]),
            interval(row, "+", value="gain"),
        )
        for row in found
    ]
    heads = (Ours("objective"), Ours("candidate"), Ours("reference"), Ours("gain [interval]"))
    share = details["probability_of_dominance"]
    blocks: list[Para | Points | Table] = [
        Table("Objectives", heads, tuple(rows)),
        Para((Ours(f"Probability of dominance {share:.2f}; the objective in bold decides."),)),
    ]
    if functions := details.get("functions"):
        blocks.append(Points(tuple(_function(name, values) for name, values in functions.items())))
    marks = [Mark("rule", ((0.0, 0.0),), "muted")]
    for place, row in enumerate(found):
        if None not in (row["low"], row["high"]):
            marks.append(Mark("span", ((row["low"], -place), (row["high"], -place))))
        marks.append(Mark("dot", ((row["gain"], -place),)))
    chart = Chart(
        f"Gains: {title}",
        "Gains with their intervals; the promise is decided by the objective that gains least for sure.",
        "gain on the reference (right of the line is better)",
        "",
        tuple(marks),
        y_ticks=tuple((-place, str(row["name"])) for place, row in enumerate(found)),
        height=90.0 + 32.0 * len(found),
    )
    yield Part("Objective by objective", tuple(blocks), (chart,), "Steering and trade-offs")


def _function(name: str, values: Entry) -> Para:
    words = f": candidate {values['candidate']:.3f}, reference {values['reference']:.3f}"
    if "gain" in values:
        words += f", gain {values['gain']:+.3f} [{values['low']:+.3f}, {values['high']:+.3f}]"
    return Para((name, Ours(words)))


# --------------------------------------------------------------------------------------------------------- protocols


def protocol_part(details: Entry, value: float | None, /) -> Part:
    """Return the sound number beside a published one, and what each quirk of the protocol moves."""
    blocks: list[Para | Points | Table] = []
    if "sound" in details:
        values = [Ours("–" if one is None else f"{one:.3f}") for one in (value, details["sound"])]
        protocol = Code(details["protocol"])
        parts = (values[0], Ours(" under the protocol "), protocol, Ours(f", {values[1]} asked in the sound way."))
        blocks.append(Para(parts))
    if details.get("quirks"):
        rows = [
            (*texts(row["quirk"], row["quantity"]), number(row["published"]), number(row["without"]))
            for row in details["quirks"]
        ]
        heads = (Ours("quirk of the protocol"), Ours("number"), Ours("published"), Ours("without it"))
        blocks.append(Table("Quirks of the protocol", heads, tuple(rows)))
    return Part("The published protocol", tuple(blocks), section="Published protocols")


# ------------------------------------------------------------------------------------------------------------ groups


def groups_part(details: Entry, measure: Measure, /) -> Part:
    """Return the value of each group with its interval; the group that fares worst stands out."""
    sign = -1.0 if measure.direction == "lower" else 1.0
    known = [row for row in details["groups"] if row["value"] is not None]
    worst = details.get("worst") or (min(known, key=lambda row: sign * row["value"])["group"] if known else "")
    rows = [
        (
            Cell(str(row["group"]), why="fares worst" if row["group"] == worst else ""),
            number(row["value"]),
            span(row["low"], row["high"]),
            number(row["n"], ",.0f"),
        )
        for row in details["groups"]
    ]
    kind = str(details.get("kind") or "group")
    heads = (kind, measure.title, Ours("interval"), measure.unit.many)
    caption = Ours("By group; the one that fares worst is in bold")
    return Part("By group", (Table("Groups", heads, tuple(rows), (caption,)),), section="Groups")


#: The functions that show the details of a measure, by the name of its view.
VIEWS: dict[str, Callable[[Entry, str, Measure], Iterator[Part]]] = {
    "jury": _jury,
    "steering": _steering,
    "trade_offs": _trade_offs,
    "pareto": _pareto,
}
