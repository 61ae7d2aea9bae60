"""Trade-off benchmarks: scenarios in which two values pull apart, and options that serve them to stated degrees.

A file is JSON lines, one scenario a line:
``{"scenario_id": "curfew", "pair": ["security", "freedom"], "scenario": "...", "options": [{"text": "...", "security":
1.0, "freedom": 0.0}, ...]}``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import DatasetError, unknown_name
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.datasets.panels.records import shown
from pytest_pluralism.datasets.reading import FORMATS, Problems, format_of, json_array, json_lines, read_text

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
    text = read_text(path)
    problems = Problems(str(path), REMEDY)
    lines = path.name.removesuffix(".gz").endswith(".jsonl")
    entries = json_lines(text, problems) if lines else json_array(text, path, remedy=REMEDY)
    found: dict[str, tuple[str, Scenario]] = {}
    pairs: dict[str, tuple[str, tuple[str, str]]] = {}
    for where, entry in entries:
        scenario = _scenario(where, entry, problems)
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
    if not found and not problems.found:
        problems.add("", "holds no scenario")
    problems.raise_if_any()
    scenarios = tuple(scenario for _, scenario in found.values())
    encoded = json.dumps([asdict(one) for one in scenarios], sort_keys=True)
    return TradeOffSet(path.name, scenarios, hashlib.sha256(encoded.encode("utf-8")).hexdigest(), source=source)


def _scenario(where: str, entry: Any, problems: Problems) -> Scenario | None:
    before = len(problems.found)
    if not isinstance(entry, Mapping):
        problems.add(where, f"must be an object, not {type(entry).__name__}")
        return None
    for field in ("scenario_id", "scenario"):
        if not isinstance(entry.get(field), str) or not entry[field].strip():
            problems.add(where, f"{field!r} must be a text that is not empty, not {entry.get(field)!r}")
    pair = entry.get("pair")
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(one, str) and one for one in pair):
        problems.add(where, f"'pair' must be a list of two values, not {pair!r}")
        return None
    if pair[0] == pair[1]:
        problems.add(where, f"'pair' must be two different values, not {pair[0]!r} twice")
    cluster = entry.get("cluster")
    if cluster is not None and (not isinstance(cluster, str) or not cluster.strip()):
        problems.add(where, f"'cluster' must be a text that is not empty, not {shown(cluster)}")
    options = entry.get("options")
    if not isinstance(options, list) or len(options) < 2 or not all(isinstance(one, Mapping) for one in options):
        problems.add(where, "'options' must be a list of at least two objects with 'text' and a number for each value")
        return None
    served = []
    for option in options:
        if not isinstance(option.get("text"), str) or not option["text"].strip():
            problems.add(where, f"'text' of an option must be a text that is not empty, not {option.get('text')!r}")
        numbers = []
        for value in pair:
            number = option.get(value)
            if not is_number(number) or not 0.0 <= number <= 1.0:
                must = f"must say how it serves {value!r}, in [0, 1], not {shown(number)}"
                problems.add(where, f"option {option.get('text')!r} {must}")
            else:
                numbers.append(float(number))
        served.append(tuple(numbers))
    texts = [option.get("text") for option in options]
    if len(set(map(str, texts))) < len(texts):
        problems.add(where, "two options have the same text")
    if len(problems.found) == before and len(set(served)) < 2:
        problems.add(where, "all options serve both values alike, so that nothing is traded off")
    if len(problems.found) > before:
        return None
    return Scenario(
        entry["scenario_id"].strip(),
        (pair[0], pair[1]),
        entry["scenario"].strip(),
        tuple(str(text).strip() for text in texts),
        tuple((one[0], one[1]) for one in served),
        cluster,
    )
