"""What reports say of steering and trade-offs: whether the steering is real, and how objectives are traded off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_pluralism.report.windows import markdown_text as _text

__all__ = ["CHECKS", "confusion_svg", "quirk_lines", "steering_lines"]

#: The rows of the table of checks: name, where it stands in the details, and what it is compared with.
CHECKS = (
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


def steering_lines(entry: Mapping[str, Any], /) -> Iterator[str]:
    """Return the Markdown of one verdict on steering, trade-offs or Pareto improvement; nothing for others."""
    details = entry.get("details") or {}
    if entry["metric"] == "steering_faithfulness" and details:
        yield from _head(entry)
        yield from _checks(details)
        for table in details.get("confusion", ()):
            yield from _confusion(table)
        yield from _classes(details)
        yield from quirk_lines(details)
    elif entry["metric"] == "trade_off_steerability" and details:
        yield from _head(entry)
        for table in details["pairs"]:
            yield from _trade_off(table, details["weights"])
    elif entry["metric"] == "pareto_improvement" and details:
        yield from _head(entry)
        yield from _pareto(details)


def _head(entry: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {_text(entry['key'])} ({_text(entry['model'].get('name', ''))})"
    yield ""


def _checks(details: Mapping[str, Any]) -> Iterator[str]:
    rows = []
    for name, (group, field), wanted in CHECKS:
        value = (details.get(group) or {}).get(field)
        if value is not None:
            rows.append(f"| {name} | {value:+.3f} | {wanted} |")
    rows += [
        f"| {_text(pair['attribute'])} against {_text(pair['opposite'])}: contrast | {pair['contrast']:+.3f} | 1 |"
        for pair in details.get("opposite", ())
    ]
    if rows:
        yield from ("| check | value | real steering |", "|---|---|---|", *rows, "")


def _confusion(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield the table of groups and steerings, each group's best steering in bold."""
    names = table["attributes"]
    yield f"Answers of each group (rows) by the model steered to each (columns), {table['n_questions']} questions:"
    yield ""
    yield "| group | " + " | ".join(_text(name) for name in names) + " | unsteered |"
    yield "|---" * (len(names) + 2) + "|"
    plain = table.get("unsteered", [])
    for index, (group, row) in enumerate(zip(table["groups"], table["scores"], strict=True)):
        cells = [f"**{value:.3f}**" if value == max(row) else f"{value:.3f}" for value in row]
        yield f"| {_text(group)} | {' | '.join(cells)} | {f'{plain[index]:.3f}' if plain else ''} |"
    yield ""
    yield f"Best under their own steering: {100 * table['diagonal_dominance']:.0f} % of the groups."
    yield ""


def _classes(details: Mapping[str, Any]) -> Iterator[str]:
    found = details.get("classification")
    if not found:
        return
    yield "| classes | accuracy | balanced accuracy | macro-F1 | n |"
    yield "|---|---|---|---|---|"
    for name, words in (("all", "all"), ("binary", "without the last")):
        if name in found:
            numbers = [found[name][one] for one in ("accuracy", "balanced_accuracy", "macro_f1")]
            cells = " | ".join("" if value is None else f"{value:.3f}" for value in numbers)
            yield f"| {words} | {cells} | {found[name]['n']:.0f} |"
    yield ""


def quirk_lines(details: Mapping[str, Any], /) -> Iterator[str]:
    """Return the table of what each quirk of a published protocol moves; nothing without one."""
    rows = [row for row in details.get("quirks", ()) if None not in (row["published"], row["without"])]
    if not rows:
        return
    yield "| quirk of the protocol | number | published | without it |"
    yield "|---|---|---|---|"
    for row in rows:
        yield (f"| {_text(row['quirk'])} | {_text(row['quantity'])} | {row['published']:.3f} | {row['without']:.3f} |")
    yield ""


def _trade_off(table: Mapping[str, Any], weights: list[float]) -> Iterator[str]:
    first, _, second = table["pair"].partition("-")
    front = table.get("on_front") or [False] * len(weights)
    yield f"**{_text(table['pair'])}**, {table['n_scenarios']} scenarios; steerings on the front in bold:"
    yield ""
    yield f"| steered to | {_text(first)} | {_text(second)} | f of it | regret [interval] |"
    yield "|---|---|---|---|---|"
    for index, weight in enumerate(weights):
        one, other = table["objectives"][index]
        regret = table["regret"][index]
        interval = f"{regret['value']:.3f}"
        if None not in (regret["low"], regret["high"]):
            interval += f" [{regret['low']:.3f}, {regret['high']:.3f}]"
        name = f"**{100 * weight:.0f} %**" if front[index] else f"{100 * weight:.0f} %"
        yield f"| {name} | {one:.3f} | {other:.3f} | {table['matrix'][index][index]:.3f} | {interval} |"
    one, other = table["objectives_unsteered"]
    yield f"| nothing | {one:.3f} | {other:.3f} |  |  |"
    yield ""
    yield (
        f"Hypervolume {table['hypervolume']:.3f} (unsteered {table['hypervolume_unsteered']:.3f}), diagonal dominance "
        f"{table['diagonal_dominance']:.2f}, summed reward {table['summed_reward']:.3f}, steps in order "
        f"{100 * table['steps_in_order']:.0f} %{_forward(table)}."
    )
    yield ""


def _forward(table: Mapping[str, Any]) -> str:
    if "steps_forward" not in table:
        return ""
    most = table["steps_forward_best_possible"]
    return f", forward {100 * table['steps_forward']:.0f} % (who follows every weight {100 * most:.0f} %)"


def _pareto(details: Mapping[str, Any]) -> Iterator[str]:
    yield "| objective | candidate | reference | gain [interval] |"
    yield "|---|---|---|---|"
    for row in details["objectives"]:
        name = f"**{_text(row['name'])}**" if row["name"] == details["deciding"] else _text(row["name"])
        gain = f"{row['gain']:+.3f}"
        if None not in (row["low"], row["high"]):
            gain += f" [{row['low']:+.3f}, {row['high']:+.3f}]"
        yield f"| {name} | {row['candidate']:.3f} | {row['reference']:.3f} | {gain} |"
    yield ""
    yield f"Probability of dominance {details['probability_of_dominance']:.2f}; the objective in bold decides."
    yield ""
    for name, values in details.get("functions", {}).items():
        gain = f", gain {values['gain']:+.3f} [{values['low']:+.3f}, {values['high']:+.3f}]" if "gain" in values else ""
        yield f"- {_text(name)}: candidate {values['candidate']:.3f}, reference {values['reference']:.3f}{gain}"
    if details.get("functions"):
        yield ""


#: Sizes of the picture, in its own units.
_CELL, _LEFT, _TOP = 92, 150, 64


def confusion_svg(table: Mapping[str, Any], /, *, title: str = "") -> str:
    """Return a picture of a confusion matrix: rows groups, columns steerings, the darker the more faithful.

    Each row has shades of its own, from its worst steering to its best, so that the diagonal is dark where steering is
    real; the numbers are in the cells.

    Parameters
    ----------
    table : mapping
        An entry of ``details["confusion"]`` in a report.
    title : str
        What stands above it.
    """
    from html import escape

    names, groups = table["attributes"], table["groups"]
    width, height = _LEFT + _CELL * len(names) + 10, _TOP + _CELL // 2 * len(groups) + 10
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
    parts = [
        f'{opening} font-family="sans-serif" font-size="13">',
        f"<title>{escape(title or 'Groups by steerings')}</title>",
        f'<text x="4" y="18" font-weight="bold">{escape(title)}</text>',
    ]
    for column, name in enumerate(names):
        x = _LEFT + _CELL * column + _CELL / 2
        parts.append(f'<text x="{x}" y="{_TOP - 10}" text-anchor="middle">to {escape(str(name)[:14])}</text>')
    for row, (group, values) in enumerate(zip(groups, table["scores"], strict=True)):
        y = _TOP + _CELL // 2 * row
        parts.append(f'<text x="{_LEFT - 10}" y="{y + 28}" text-anchor="end">{escape(str(group)[:20])}</text>')
        low, high = min(values), max(values)
        for column, value in enumerate(values):
            share = (value - low) / (high - low) if high > low else 0.0
            shade = round(245 - 165 * share)
            own = ' stroke="#222" stroke-width="2"' if names[column] == group else ' stroke="#fff"'
            ink = "#fff" if share > 0.6 else "#111"
            parts.append(
                f'<rect x="{_LEFT + _CELL * column + 2}" y="{y + 2}" width="{_CELL - 4}" height="{_CELL // 2 - 4}" '
                f'fill="rgb({shade},{min(shade + 18, 250)},250)"{own}/>'
                f'<text x="{_LEFT + _CELL * column + _CELL / 2}" y="{y + 28}" text-anchor="middle" fill="{ink}">'
                f"{value:.3f}</text>"
            )
    return "\n".join([*parts, "</svg>"]) + "\n"
