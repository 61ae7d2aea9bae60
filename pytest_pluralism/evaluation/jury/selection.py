"""Seats of the jury: representative selection from a pool of jurors under quotas."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter, needed_for, unknown_name
from pytest_pluralism.datasets.panels.records import Panel

__all__ = ["select_jury"]

INSTALL_SELECTION = 'pip install "pytest-pluralism[sortition]"'

ALGORITHMS = ("maximin", "nash", "leximin")


def select_jury(
    panel: Panel,
    quotas: Mapping[str, Mapping[str, int | tuple[int, int]]],
    /,
    *,
    size: int,
    algorithm: str = "maximin",
    seed: int = 0,
) -> Panel:
    """Return the panel of a jury that is drawn by lot and meets quotas on every kind of group at once.

    Each possible juror's chance to be drawn is made as even as the quotas allow.

    Parameters
    ----------
    panel : Panel
        The pool.
    quotas : mapping
        For each kind of group, for each group its seats: a number, or the least and the most
        (``{"party": {"Democrat": (4, 5), "Republican": 4}}``). A group that is not named may have any number.
    size : int
        Seats of the jury.
    algorithm : {"maximin", "nash", "leximin"}
        The meaning of even chances: the smallest chance as large as possible, their product, or (with a licence for
        Gurobi) the lexicographic order from the smallest on.
    seed : int
        Of the draw.

    Returns
    -------
    Panel
        Of the jurors drawn, on the same queries.

    Raises
    ------
    InvalidParameterError
        If a quota names nobody, or the pool cannot fill it: which one.
    MissingExtraError
        If ``sortition-algorithms`` (GPL-3) is not installed.

    References
    ----------
    Flanigan et al. 2021, Fair algorithms for selecting citizens' assemblies, doi:10.1038/s41586-021-03788-6.
    """
    name = "select_jury"
    if algorithm not in ALGORITHMS:
        raise invalid_parameter("algorithm", name, "one of " + ", ".join(map(repr, ALGORITHMS)), repr(algorithm))
    n_jurors = len(panel.jurors)
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= n_jurors:
        raise invalid_parameter("size", name, f"an integer in [1, {n_jurors}], the jurors there are", repr(size))
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise invalid_parameter("seed", name, "an integer in [0, inf)", repr(seed))
    limits = _limits(panel, quotas, size)
    with needed_for("Drawing a representative jury", INSTALL_SELECTION):
        from sortition_algorithms import Settings, read_in_features, read_in_people, run_stratification
        from sortition_algorithms.errors import SortitionBaseError
    # The library trims and folds what it reads, so it gets numbers for names.
    rows = [
        {"feature": f"k{kind}", "value": f"g{value}", "min": str(least), "max": str(most)}
        for kind, groups in enumerate(limits.values())
        for value, (least, most) in enumerate(groups.values())
    ]
    settings = Settings(id_column="id", columns_to_keep=[], selection_algorithm=algorithm, random_number_seed=seed + 1)
    people: list[dict[str, str | int]] = []
    for place, juror in enumerate(panel.jurors):
        codes: dict[str, str | int] = {"id": f"j{place}"}
        for kind, (by, groups) in enumerate(limits.items()):
            codes[f"k{kind}"] = f"g{list(groups).index(juror.attributes[by])}"
        people.append(codes)
    try:
        features, _, _ = read_in_features(["feature", "value", "min", "max"], rows, size)
        pool, _ = read_in_people(list(people[0]), people, features, settings)
        success, drawn, report = run_stratification(features, pool, size, settings)
    except SortitionBaseError as error:
        raise InvalidParameterError(_unfilled(size, str(error), limits)) from error
    if not success or not drawn:
        raise InvalidParameterError(_unfilled(size, _first_line(report), limits))
    places = sorted(int(one[1:]) for one in drawn[0])
    return panel.select(jurors=[panel.jurors[place].juror_id for place in places])


def _limits(
    panel: Panel, quotas: Mapping[str, Mapping[str, int | tuple[int, int]]], size: int
) -> dict[str, dict[str, tuple[int, int]]]:
    """Return the least and the most seats of every group, checked against the pool one quota at a time."""
    if not isinstance(quotas, Mapping) or not quotas:
        raise invalid_parameter("quotas", "select_jury", "a mapping from kinds of groups to seats", repr(quotas))
    limits: dict[str, dict[str, tuple[int, int]]] = {}
    for by, wanted in quotas.items():
        if not isinstance(wanted, Mapping):
            must = f"a mapping from the groups of {by!r} to seats"
            raise invalid_parameter("quotas", "select_jury", must, repr(wanted)[:60])
        groups = list(panel.groups(by) or ())
        there = {group: groups.count(group) for group in dict.fromkeys(groups)}
        for group in wanted:
            if group not in there:
                raise InvalidParameterError(unknown_name(f"{by} of panel {panel.name}", str(group), list(there)))
        limits[by] = {}
        for group, number in there.items():
            seats: object = wanted.get(group, (0, size))
            ends = tuple(seats) if isinstance(seats, (tuple, list)) else (seats, seats)
            if len(ends) != 2 or not all(isinstance(end, int) and not isinstance(end, bool) for end in ends):
                must = f"an integer, or a pair (least, most) of integers, for {by} {group!r}"
                raise invalid_parameter("quotas", "select_jury", must, repr(seats)[:60])
            least, most = ends
            if not 0 <= least <= most:
                raise invalid_parameter("quotas", "select_jury", f"0 <= least <= most for {by} {group!r}", seats)
            if least > number:
                raise InvalidParameterError(
                    f"The pool cannot fill the quota of {by} {group!r}: at least {least} seats, but {number} jurors. "
                    "Lower the quota, or enlarge the pool."
                )
            limits[by][group] = (least, min(most, number))
        least_sum, most_sum = (sum(pair[end] for pair in limits[by].values()) for end in (0, 1))
        if not least_sum <= size <= most_sum:
            raise InvalidParameterError(
                f"The quotas of {by} cannot make a jury of {size}: their least seats sum to {least_sum}, their most "
                f"(and the jurors there are) to {most_sum}. Change 'size', or the quotas of {by}."
            )
    return limits


def _unfilled(size: int, why: str, limits: Mapping[str, Mapping[str, tuple[int, int]]]) -> str:
    """Say that the quotas exclude each other, with the names of groups for the numbers that the library was given."""
    kinds = list(limits)

    def named(found: re.Match[str]) -> str:
        kind = kinds[int(found[1])]
        return kind if found[2] is None else f"{kind} {list(limits[kind])[int(found[2])]!r}"

    why = re.sub(r"\bk(\d+)(?::g(\d+))?\b", named, why)
    return (
        f"No jury of {size} meets all quotas at once, though the pool can fill each of them alone: "
        f"{' '.join(why.split())[:300]} Widen the quotas to ranges (least, most)."
    )


def _first_line(report: object) -> str:
    text = report.as_text() if hasattr(report, "as_text") else str(report)
    return (text.strip().splitlines() or [""])[-1]
