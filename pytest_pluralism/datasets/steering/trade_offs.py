"""Trade-off benchmarks: scenarios in which two values pull apart, and options that serve them to stated degrees.

A file is JSON lines, one scenario a line:
``{"scenario_id": "curfew", "pair": ["security", "freedom"], "scenario": "...", "options": [{"text": "...", "security":
1.0, "freedom": 0.0}, ...]}``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.errors import DatasetError, unknown_name
from pytest_pluralism.datasets.fields import Field, Fields, Kind, UnfitError, number, text
from pytest_pluralism.datasets.reading import FORMATS, Line, Problems, format_of, read_entries

__all__ = ["EMBEDDED_TRADE_OFFS", "Scenario", "TradeOffSet", "load_trade_offs"]

#: The packaged benchmark, by its name.
EMBEDDED_TRADE_OFFS = {"trade_offs": "trade_offs.jsonl"}

REMEDY = "The format of trade-off files is described in the reference, under 'Steering'."


@dataclass(frozen=True, slots=True)
class Scenario:
    """One decision between two values.

    ``served`` holds for each option how well it serves the first and the second value, in [0, 1].
    """

    scenario_id: str
    pair: tuple[str, str]
    text: str
    options: tuple[str, ...]
    served: tuple[tuple[float, float], ...]
    cluster: str | None = None


@dataclass(frozen=True)
class TradeOffSet:
    """Scenarios of several pairs of values."""

    name: str
    scenarios: tuple[Scenario, ...]
    sha256: str
    source: str = ""

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The pairs of values, in order of first appearance."""
        return tuple(dict.fromkeys(scenario.pair for scenario in self.scenarios))

    def of_pair(self, name: str, /) -> tuple[Scenario, ...]:
        """Return the scenarios of one pair, ``"security-freedom"``.

        Raises
        ------
        DatasetError
            If there is no such pair.
        """
        found = tuple(one for one in self.scenarios if "-".join(one.pair) == name)
        if not found:
            known = ["-".join(pair) for pair in self.pairs]
            raise DatasetError(f"{self.name}: {unknown_name('pair', name, known)}")
        return found


def load_trade_offs(path: Path, /) -> TradeOffSet:
    """Read a trade-off benchmark: a file, or the packaged one by its name, ``Path("trade_offs")``.

    Raises
    ------
    DatasetError
        If it cannot be read or anything in it is wrong; up to ten problems are named, each with its line.
    """
    name = str(path)
    source = f"file {path.name}"
    if name in EMBEDDED_TRADE_OFFS:
        path, source = Path(__file__).parent / EMBEDDED_TRADE_OFFS[name], "pytest-pluralism's own scenarios"
    elif len(path.parts) == 1 and format_of(path) is None and not path.exists():
        known = unknown_name("trade-off benchmark", name, list(EMBEDDED_TRADE_OFFS))
        raise DatasetError(f"{known} A file must end in {', '.join(FORMATS[:2])}.")
    entries, problems = read_entries(
        path, what="trade-off file", holds="scenario", remedy=REMEDY, formats=(".jsonl", ".json")
    )
    found: dict[str, tuple[str, Scenario]] = {}
    pairs: dict[str, tuple[str, tuple[str, str]]] = {}
    for where, entry in entries:
        read = SCENARIO.read(entry, where, problems)
        scenario = None if read is None else _scenario(read, where, problems)
        if scenario is None:
            continue
        called = "-".join(scenario.pair)
        first, pair = pairs.setdefault(called, (where, scenario.pair))
        if pair != scenario.pair:
            problems.add(
                where, f"the pairs {list(scenario.pair)} and {list(pair)} ({first}) are both called {called!r}"
            )
        if scenario.scenario_id in found:
            problems.add(where, f"the scenario_id {scenario.scenario_id!r} is used by {found[scenario.scenario_id][0]}")
        found[scenario.scenario_id] = (where, scenario)
    problems.raise_if_any("" if found else "holds no scenario")
    scenarios = tuple(scenario for _, scenario in found.values())
    encoded = json.dumps([asdict(one) for one in scenarios], sort_keys=True)
    return TradeOffSet(path.name, scenarios, hashlib.sha256(encoded.encode("utf-8")).hexdigest(), source=source)


@dataclass(frozen=True, slots=True)
class _Read:
    scenario_id: str
    scenario: str
    pair: tuple[str, str]
    options: Sequence[Line]
    cluster: str | None


def _pair(value: object) -> tuple[str, str]:
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(one, str) and one for one in value):
        raise UnfitError
    if value[0] == value[1]:
        raise UnfitError(instead=f"must be two different values, not {value[0]!r} twice")
    return value[0], value[1]


def _options(value: object) -> Sequence[Line]:
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(one, Mapping) for one in value):
        raise UnfitError
    return value


#: The kind of a text.
TEXT = text("a text that is not empty")

SCENARIO = Fields(
    _Read,
    Field("scenario_id", TEXT, required=True),
    Field("scenario", TEXT, required=True),
    Field("pair", Kind("a list of two values", _pair), required=True),
    Field(
        "options",
        Kind("a list of at least two objects with 'text' and a number for each value", _options),
        required=True,
    ),
    Field("cluster", text("a text that is not empty", strip=False)),
)


def _scenario(read: _Read, where: str, problems: Problems) -> Scenario | None:
    before = problems.count
    texts: list[str] = []
    served: list[tuple[float, ...]] = []
    for option in read.options:
        called = TEXT.checked(option.get("text"), "'text' of an option", where, problems)
        texts.append(str(called))
        numbers = [
            number(f"a number that says how it serves {value!r}, in [0, 1]", low=0.0, high=1.0).checked(
                option.get(value), f"option {option.get('text')!r}: {value!r}", where, problems
            )
            for value in read.pair
        ]
        served.append(tuple(one for one in numbers if one is not None))
    if len(set(texts)) < len(texts):
        problems.add(where, "two options have the same text")
    if problems.count == before and len(set(served)) < 2:
        problems.add(where, "all options serve both values alike, so that nothing is traded off")
    if problems.count == before and _has_best_of_both(served):
        problems.add(
            where,
            "one option serves both values best, so that nothing is traded off: no weighting asks for another. "
            "Leave the scenario out, or give it an option that serves one value better",
        )
    if problems.count > before:
        return None
    return Scenario(
        read.scenario_id,
        read.pair,
        read.scenario,
        tuple(texts),
        tuple((one[0], one[1]) for one in served),
        read.cluster,
    )


def _has_best_of_both(served: Sequence[tuple[float, ...]]) -> bool:
    """Return whether some option serves both values as well as any option does."""
    most = [max(column) for column in zip(*served, strict=True)]
    return any(all(compare(one, top) == 0 for one, top in zip(option, most, strict=True)) for option in served)
