"""The views of a jury in Markdown: welfare over the aversion, utilities by group, and those who are served worst."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_pluralism.report.windows import markdown_text

__all__ = ["jury_lines", "made_words"]


#: Single figures of a jury, and what they are called.
_FIGURES = {
    "gini": "Gini coefficient",
    "worst_decile": "mean of the worst-off tenth",
    "agreement": "Krippendorff's alpha of the votes",
}


def jury_lines(entry: Mapping[str, Any], /) -> Iterator[str]:
    """Yield the lines that show one verdict about a jury; none for other verdicts."""
    details = entry.get("details") or {}
    curve, jurors = details.get("curve"), details.get("jurors")
    if entry.get("metric") != "jury_welfare" or not curve or not jurors:
        return
    name, population = entry["model"].get("name", ""), entry.get("population")
    whom = f", {markdown_text(population)}" if population else ""
    yield f"### {markdown_text(entry.get('key', ''))}{whom}: {markdown_text(name)}"
    yield ""
    yield made_words(jurors, details, escape=markdown_text)
    yield ""
    level = f"{100 * curve['confidence_level']:g} %"
    groups = details.get("curve_by_group") or {}
    yield f"| alpha | welfare | {level} interval | band over all alpha |" + "".join(
        f" {markdown_text(group)} |" for group in groups
    )
    yield "|---|---|---|---|" + "---|" * len(groups)
    for place, alpha in enumerate(curve["alphas"]):
        cells = [
            _alpha(alpha),
            _number(curve["values"][place]),
            f"[{_number(curve['low'][place])}, {_number(curve['high'][place])}]",
            f"[{_number(curve['band_low'][place])}, {_number(curve['band_high'][place])}]",
            *(_number(values[place]) for values in groups.values()),
        ]
        yield "| " + " | ".join(cells) + " |"
    yield ""
    gain = details.get("dominance")
    if gain:
        yield "| alpha | gain over the reference model | band over all alpha |"
        yield "|---|---|---|"
        for place, alpha in enumerate(gain["alphas"]):
            value, low, high = (_signed(gain[name][place]) for name in ("values", "band_low", "band_high"))
            yield f"| {_alpha(alpha)} | {value} | [{low}, {high}] |"
        yield ""
    worst = details.get("worst_off") or []
    if worst:
        yield "| served worst | group | mean utility | on this query | utility there |"
        yield "|---|---|---|---|---|"
        for one in worst:
            who = markdown_text(one["juror"]) + ("" if one["kind"] == "recorded" else f" ({one['kind']})")
            group = markdown_text(", ".join(map(str, one["attributes"].values())))
            query = markdown_text(one["worst_query"])
            yield f"| {who} | {group} | {_number(one['mean'])} | {query} | {_number(one['worst_value'])} |"
        yield ""


def made_words(
    jurors: Mapping[str, Any], details: Mapping[str, Any], /, *, escape: Callable[[object], str] = str
) -> str:
    """Say who the jurors are, and how much they are to be believed; ``escape`` treats what is not ours."""
    if jurors["kind"] == "recorded":
        words = f"{jurors['n']} jurors, {jurors['votes']} recorded votes."
    else:
        words = f"{jurors['n']} jurors, {escape(jurors['made'])}: estimates, not people."
        found = ", ".join(f"{escape(name)} {_number(value)}" for name, value in jurors["accuracy"].items())
        words += f" On votes they were not shown: {found}." if found else " Nothing is known of how well they predict."
    words += f" {escape(details['scale']['mapping'])}."
    for name, told in _FIGURES.items():
        if details.get(name) is not None:
            words += f" {told} {_number(details[name])}."
    return words


def _alpha(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
