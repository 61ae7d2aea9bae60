"""Plan the gates of the marker ``trade_off_steerability``: one a pair of values, or one over all of them."""

from __future__ import annotations

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.core.records.measures import Measure, Noun, Term
from pytest_pluralism.core.words import UNIT_COLUMNS
from pytest_pluralism.datasets.steering.trade_offs import load_trade_offs
from pytest_pluralism.evaluation.measures.planning import PlannedGate, Planning
from pytest_pluralism.evaluation.objectives.trade_offs import (
    WEIGHTS,
    TradeOffEvaluation,
    TradeOffSettings,
    refuse_nothing_to_steer_to,
)
from pytest_pluralism.evaluation.surveys.asking import AskSettings

__all__ = ["DATASET", "EXAMPLE", "KEYWORDS", "MEASURE", "plan"]

MEASURE = Measure(
    "trade_off_steerability",
    "higher",
    "trade-off steerability",
    "by how much a model that is steered to a weighting of two values does better by it than steered to others",
    lowest=-1.0,
    highest=1.0,
    kind="difference",
    unit=Noun("scenario", "scenarios"),
    data="trade-offs",
    references=(Term("unsteered", "unsteered"),),
    beside="unsteered",
    columns=(Term("advantage", "Advantage"), Term("reward", "Reward"), *UNIT_COLUMNS),
    facts=(Term("cluster", "cluster"), Term("pair", "values")),
    view="trade_offs",
)

#: Keywords that say how the model is asked; each overrides the setting of the same name.
ASKING = ("template", "option_order", "repetitions", "examples", "seed")

KEYWORDS = ("pair", "weights", "score", "reference_point", *ASKING)

DATASET = "a file of scenarios in which two values pull apart, or the packaged 'trade_offs'"
EXAMPLE = "trade_offs"


def plan(planning: Planning, /) -> list[PlannedGate]:
    """Return one gate a pair of values; without ``pair``, one over all pairs.

    Raises
    ------
    PluralismError
        The file, the pair or the weights are wrong.
    """
    keywords, name = planning.keywords, planning.measure.name
    if planning.settings["protocol"] != "sound":
        raise InvalidParameterError("trade_off_steerability has no published protocol. Use --pluralism-protocol=sound.")
    benchmark = load_trade_offs(planning.find_file(planning.dataset))
    refuse_nothing_to_steer_to(benchmark)
    asking = AskSettings(**{word: planning.choose(word) for word in ASKING})
    weights = keywords.get("weights", WEIGHTS)
    corner = keywords.get("reference_point", (0.0, 0.0))
    for word, value in (("weights", weights), ("reference_point", corner)):
        if not isinstance(value, (list, tuple)):
            raise invalid_parameter(word, name, "a list of numbers", repr(value))
    if len(corner) != 2 or not all(map(is_number, corner)):
        raise invalid_parameter("reference_point", name, "two finite numbers, one a value", repr(corner)[:200])
    if max(corner) > 0:
        raise invalid_parameter(
            "reference_point", name, "no greater than 0, the worst that a value can be served", repr(corner)
        )
    settings = TradeOffSettings(tuple(weights), keywords.get("score", "advantage"), (corner[0], corner[1]))
    wanted = keywords.get("pair")
    if wanted == "all":
        pairs: list[str | None] = ["-".join(pair) for pair in benchmark.pairs]
    elif wanted is None or isinstance(wanted, str):
        pairs = [wanted]
    elif isinstance(wanted, (list, tuple)) and all(isinstance(one, str) for one in wanted):
        pairs = list(wanted)
    else:
        must = "a pair such as 'security-freedom', a list of them, or 'all'"
        raise invalid_parameter("pair", name, must, repr(wanted)[:200])
    gates = []
    for pair in pairs:
        evaluation = TradeOffEvaluation(benchmark, asking, settings, pair)
        evaluation.scenarios()
        gates.append(
            planning.planned(
                evaluation,
                source={"name": benchmark.name, "sha256": benchmark.sha256, "source": benchmark.source},
                settings={**asking.as_json(), "trade_off": settings.as_json()},
                population=pair,
            )
        )
    return gates
