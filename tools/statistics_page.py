"""Tables and figures of ``docs/explanation/statistics.md``, from what ``simulate_statistics.py`` measured."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simulate_verdicts


def tables(results: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Return the tables of the documentation by name, in Markdown."""
    made = {
        "coverage": _table(
            ("scores", "units", "clusters", "`auto`", "`t`", "`t`, clusters ignored"),
            (
                (row["scores"], row["n"], row["n_clusters"], *_percents(row["coverage"].values()))
                for row in results["coverage"]
            ),
        ),
        "unequal": _table(
            ("sizes", "clusters", "`auto`", "`t`"),
            (
                (row["sizes"], row["n_clusters"], *_percents(row["coverage"].values()))
                for row in results["unequal_clusters"]
            ),
        ),
        "bootstrap": _table(
            ("scores", "units", "in clusters of", "BCa", "studentised"),
            (
                (row["scores"], row["n"], row["cluster_size"], *_percents(row["coverage"].values()))
                for row in results["bootstrap_coverage"]
            ),
        ),
        "shares": _table(
            ("true share", "units", "in clusters of", "`auto`", "upper end too low", "lower end too high", "`wilson`"),
            (
                (
                    *(row["share"], row["n"], row["cluster_size"]),
                    *_percents((row["coverage"]["auto"], *row["false_decisions"]["auto"].values())),
                    *_percents([row["coverage"]["wilson"]]),
                )
                for row in results["shares"]
            ),
        ),
        "share-gates": _table(
            ("units", "interval", *(f"t = {truth}" for truth in (0.8, 0.9, 0.95, 0.97))),
            (
                (
                    n_units,
                    f"`{method}`",
                    *(
                        f"{100 * row['failed']:.1f} / {100 * row['passed']:.1f}"
                        for row in results["share_gates"]
                        if (row["n"], row["method"]) == (n_units, method)
                    ),
                )
                for n_units in (10, 25, 50, 100)
                for method in ("auto", "wilson")
            ),
        ),
        "two-way": _table(
            ("questions x populations", "by question only", "by population only", "both"),
            (
                (f"{row['n_questions']} x {row['n_populations']}", *_percents(row["coverage"].values()))
                for row in results["two_way"]
            ),
        ),
        "respondents": _table(
            ("respondents", "true distance", "true bias", "reported bias", "coverage", "without the bias"),
            (
                (
                    row["n_respondents"],
                    f"{row['true_distance']:.3f}",
                    f"{row['true_bias']:.4f}",
                    f"{row['reported_bias']:.4f}",
                    *_percents(row["coverage"].values()),
                )
                for row in results["respondents"]
            ),
        ),
        "power": _table(
            ("units", "in clusters of", "true increase", "passed", "inconclusive", "failed"),
            (
                (
                    row["n"],
                    row["cluster_size"],
                    f"{row['true_change']:.2f}",
                    *_percents(row["outcomes"][name] for name in ("passed", "inconclusive", "failed")),
                )
                for row in results["paired_gate"]
                if round(100 * row["true_change"], 6) in (0, 1, 2, 3, 4)
            ),
        ),
        "change": _table(
            ("changes", "units", "clusters", "upper end too low", "lower end too high", "width / t's"),
            (
                (
                    row["differences"],
                    row["n"],
                    row["n_clusters"],
                    *_percents(row["false_decisions"].values()),
                    f"{row['width']:.2f}",
                )
                for row in results["one_sided"]
            ),
        ),
        "value": _table(
            ("scores", "units", "clusters", "upper end too low", "lower end too high", "width / t's"),
            (
                (
                    row["scores"],
                    row["n"],
                    row["n_clusters"],
                    *_percents(row["false_decisions"].values()),
                    f"{row['width']['auto'] / row['width']['t']:.2f}",
                )
                for row in results["coverage"]
            ),
        ),
        "bounds": _table(
            ("scores", "units", "`auto`", "of a change", "betting", "empirical Bernstein"),
            (
                (
                    row["scores"],
                    row["n"],
                    *(
                        f"{100 * row['coverage'][name]:.1f} (width {row['width'][name]:.3f})"
                        for name in ("auto", "of a change", "betting", "Bernstein")
                    ),
                )
                for row in results["exact_bounds"]
            ),
        ),
        "rare": _table(
            ("case", "units", "passed falsely, or coverage"),
            (
                (row["case"], row["n"], *_percents([row.get("passed", row.get("coverage"))]))
                for row in results["rare_cases"]
            ),
        ),
        "sign-flip": _table(
            ("clusters", *results["exact_test"][0]["false_alarms_at_5_percent"]),
            (
                (row["n_clusters"], *_percents(row["false_alarms_at_5_percent"].values()))
                for row in results["exact_test"]
            ),
        ),
        "many": _table(
            ("twenty gates", "no adjustment", "Holm"),
            (
                (row["dependence"], *_percents(row["runs_with_a_false_failure"].values()))
                for row in results["many_gates"]
            ),
        ),
    }
    for name, (head, rows) in simulate_verdicts.tables(results).items():
        made[name] = _table(head, rows)
    made["coverage-summary"] = _coverage_summary(results["coverage"])
    made["level-summary"] = _level_summary(results)
    runs = ", ".join(
        f"{name.replace('_', ' ')} {rows[0]['n_runs']:,}" for name, rows in results.items() if "n_runs" in rows[0]
    )
    made["runs"] = f"Runs behind each row: {runs}."
    return made


def _coverage_summary(rows: list[dict[str, Any]]) -> str:
    auto, plain, ignored = ([100 * row["coverage"][m] for row in rows] for m in ("auto", "t", "unclustered t"))
    clustered = [number for number, row in zip(ignored, rows, strict=True) if row["cluster_size"] > 1]
    return (
        f"`auto` lies between {min(auto):.1f} and {max(auto):.1f}, "
        f"the textbook interval between {min(plain):.1f} and {max(plain):.1f}.\n"
        f"Intervals that ignore clusters of five hold the truth in {min(clustered):.1f} to {max(clustered):.1f} % "
        "of cases."
    )


def _level_summary(results: dict[str, list[dict[str, Any]]]) -> str:
    def worst(rows: list[dict[str, Any]], fewest: int, most: float) -> float:
        return max(
            100 * share
            for row in rows
            if fewest <= row["n_clusters"] < most
            for share in row["false_decisions"].values()
        )

    changes = [row for row in results["one_sided"] if not row["differences"].startswith("exponential")]
    beyond = [row for row in results["one_sided"] if row["differences"].startswith("exponential")]
    values = results["coverage"]
    return (
        f"The worst one-sided error of gates on change is {worst(changes, 25, math.inf):.1f} % from 25 clusters on "
        f"({worst(beyond, 25, math.inf):.1f} % for exponential changes), {worst(changes, 10, 25):.1f} % with 20 "
        f"clusters and {worst(changes, 2, 10):.1f} % with five.\n"
        f"That of gates on the value is {worst(values, 25, math.inf):.1f} % from 25 clusters on, "
        f"{worst(values, 10, 25):.1f} % with 20 and {worst(values, 2, 10):.1f} % with five."
    )


def _percents(shares: Any) -> list[str]:
    return [f"{100 * share:.1f}" for share in shares]


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def with_tables(page: str, results: dict[str, list[dict[str, Any]]]) -> str:
    """Return the page with what stands between ``<!-- measured: NAME -->`` and ``<!-- end -->`` made anew."""
    made = tables(results)

    def renewed(match: re.Match[str]) -> str:
        return f"{match[1]}\n\n{made[match[2]]}\n\n<!-- end -->"

    return re.sub(r"(<!-- measured: ([a-z-]+) -->).*?<!-- end -->", renewed, page, flags=re.DOTALL)


def draw_figures(results: dict[str, list[dict[str, Any]]], folder: Path, sizes: Sequence[tuple[int, int]], /) -> None:
    """Draw the two figures of the documentation."""
    import matplotlib as mpl

    mpl.use("svg")
    # Without a salt and a date the same numbers give the same bytes.
    mpl.rcParams["svg.hashsalt"] = "pytest-pluralism"
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    rows = results["coverage"]
    places = np.arange(len(sizes))
    for offset, (method, marker) in zip((-0.15, 0.15), (("t", "o"), ("auto", "s")), strict=True):
        by_size = [
            [row["coverage"][method] for row in rows if (row["n"], row["cluster_size"]) == size] for size in sizes
        ]
        for place, numbers in zip(places, by_size, strict=True):
            axes.plot(
                np.full(len(numbers), place + offset),
                np.multiply(100, numbers),
                marker,
                color="C0" if method == "auto" else "C1",
                alpha=0.8,
                label=f"method={method!r}" if place == 0 else None,
            )
    axes.axhspan(93.5, 96.5, color="0.9", zorder=0)
    axes.axhline(95, color="0.5", linewidth=0.8)
    axes.set_xticks(places, [f"n = {n}\n{'alone' if size == 1 else f'in {size}s'}" for n, size in sizes])
    axes.set_ylabel("coverage of 95 % intervals, %")
    axes.legend(frameon=False)
    figure.savefig(folder / "coverage.svg", metadata={"Date": None})
    plt.close(figure)

    figure, panels = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True, layout="constrained")
    for panel, (n_units, size) in zip(panels, ((25, 1), (100, 1), (125, 5)), strict=True):
        chosen = [row for row in results["paired_gate"] if (row["n"], row["cluster_size"]) == (n_units, size)]
        change = [row["true_change"] for row in chosen]
        for outcome, style in (("passed", "C2-"), ("inconclusive", "C7:"), ("failed", "C3--")):
            panel.plot(change, [row["outcomes"][outcome] for row in chosen], style, label=outcome)
        panel.axvline(0.02, color="0.5", linewidth=0.8)
        panel.set_title(f"n = {n_units}, {'alone' if size == 1 else f'in {size}s'}", fontsize="medium")
        panel.set_xlabel("true increase")
    panels[0].set_ylabel("share of runs")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(folder / "gate_power.svg", metadata={"Date": None})
    plt.close(figure)
