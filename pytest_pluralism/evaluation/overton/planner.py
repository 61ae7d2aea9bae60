"""Plan the gates of the marker ``overton_coverage``: one a window set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError, invalid_parameter
from pytest_pluralism.core.parameters import one_of
from pytest_pluralism.core.records import WindowSet
from pytest_pluralism.core.records.measures import Measure, Term
from pytest_pluralism.core.words import QUERIES, UNIT_COLUMNS
from pytest_pluralism.datasets.windows.loading import EMBEDDED_WINDOWS, load_windows
from pytest_pluralism.datasets.windows.responses import RecordedResponses, read_responses
from pytest_pluralism.evaluation.asking.rounds import Evaluation
from pytest_pluralism.evaluation.measures.planning import PlannedGate, Planning
from pytest_pluralism.evaluation.overton.chosen import chosen_judge, described
from pytest_pluralism.evaluation.overton.coverage import OvertonEvaluation
from pytest_pluralism.evaluation.overton.published import ModularOvertonEvaluation
from pytest_pluralism.evaluation.overton.settings import OvertonSettings

__all__ = [
    "COLUMNS",
    "DATASET",
    "EXAMPLE",
    "FACTS",
    "KEYWORDS",
    "MEASURE",
    "OWN",
    "plan",
    "planned_on",
    "recorded_of",
    "settings_of",
    "windows_of",
]

#: The facts of a response that a report shows beside its window.
COLUMNS = (
    Term("coverage", "Coverage"),
    Term("soft_coverage", "Soft coverage"),
    Term("precision", "Precision"),
    Term("f1", "F1"),
    *UNIT_COLUMNS,
)
FACTS = (
    Term("cluster", "cluster"),
    Term("worst_stance", "side that is covered least"),
    Term("refusals", "refusals"),
)

MEASURE = Measure(
    "overton_coverage",
    "higher",
    "Overton coverage",
    "how much of the window of reasonable answers (from 0 to 1) the responses of a model hold",
    lowest=0.0,
    highest=1.0,
    unit=QUERIES,
    data="windows",
    references=(
        Term("as_judged", "as judged"),
        Term("chance", "chance"),
        Term("refusal", "a refusal"),
        Term("coverage", "coverage", brief=False),
        Term("soft_coverage", "soft coverage", brief=False),
        Term("sided_coverage", "worst side"),
        Term("union_of_draws", "all draws together"),
        Term("precision", "precision"),
        Term("f1", "F1", brief=False),
        Term("false_balance", "false balance"),
        Term("first_{n}_words", "first {n} words"),
        Term("empty", "nothing said", brief=False),
        Term("opposing_credit", "judge's credit to the other side"),
        Term("other_credit", "judge's credit to another query"),
        Term("draw_standard_deviation", "standard deviation over draws", brief=False),
        Term("second_entailment_model", "second entailment model", brief=False),
        Term("entailment_disagreement", "disagreement of the entailment models", brief=False),
        Term("mean_entailment", "mean entailment", brief=False),
        Term("standard_deviation", "standard deviation", brief=False),
        Term("accuracy_at_0.33", "accuracy at 0.33", brief=False),
        Term("without_quirks", "without the quirks"),
    ),
    beside="chance",
    comparisons=(Term("refusal", "refusal"), Term("shuffled", "shuffled")),
    columns=COLUMNS,
    facts=FACTS,
    # 2: a judge with a calibration decides, and its errors are corrected; a comment that denies is read with its
    # sentence.
    definition=2,
)

#: The published protocol reads as ever.
PUBLISHED_DEFINITION = 1

#: Keywords that are settings of the evaluation itself; ``template`` and ``seed`` override those of the run.
OWN = tuple(field.name for field in dataclasses.fields(OvertonSettings))

KEYWORDS = (*OWN, "responses", "protocol", "at_equal_length")

DATASET = "the name or file of a set of windows"
EXAMPLE = "contested"

PROTOCOLS = ("sound", "modular_pluralism")

#: The name of a verdict by its score.
TITLES = {
    "coverage": "Overton coverage",
    "soft_coverage": "soft Overton coverage",
    "sided_coverage": "Overton coverage of the worst side",
    "f1": "F1 against the Overton window",
}


def plan(planning: Planning, /) -> list[PlannedGate]:
    """Return the gate of one marker.

    Raises
    ------
    PluralismError
        The windows, the settings or the recorded responses are wrong.
    """
    protocol = _protocol(planning)
    judge, settings, file = chosen_judge(planning, settings_of(planning))
    wanted = planning.keywords.get("better_than")
    if wanted is not None and (protocol != "sound" or not settings.controls):
        raise InvalidParameterError(
            f"better_than={wanted!r} needs the controls, which protocol='sound' has unless controls=False. "
            "Leave one of them out."
        )
    windows = windows_of(planning)
    recorded = recorded_of(planning, windows, "responses")
    responses = None if recorded is None else recorded.responses
    evaluation: ModularOvertonEvaluation | OvertonEvaluation
    if protocol == "modular_pluralism":
        evaluation = ModularOvertonEvaluation(windows, settings.seed, responses)
        measure = dataclasses.replace(planning.measure, definition=PUBLISHED_DEFINITION)
        told = evaluation.as_json()
    else:
        evaluation = OvertonEvaluation(windows, settings, responses, judge)
        measure = dataclasses.replace(planning.measure, title=TITLES[settings.score])
        told = {"protocol": "sound", **settings.as_json(), **described(judge, file)}
    n_units = len(windows.windows)
    planned = planned_on(windows, planning, evaluation, told, recorded, measure=measure, n_units=n_units)
    return [dataclasses.replace(planned, at_equal_length=_at_equal_length(planning, evaluation))]


def _at_equal_length(planning: Planning, evaluation: ModularOvertonEvaluation | OvertonEvaluation) -> bool:
    """Return whether a promise about a change speaks of responses of equal length."""
    wanted = planning.keywords.get("at_equal_length", False)
    if not isinstance(wanted, bool):
        raise invalid_parameter("at_equal_length", planning.measure.name, "True or False", repr(wanted))
    if not wanted:
        return False
    if planning.gate is not None and not planning.gate.needs_baseline:
        planning.problems.append(
            "at_equal_length=True speaks of a change. Promise one (max_decrease=0.05), or leave it out."
        )
    if not isinstance(evaluation, OvertonEvaluation) or not evaluation.reads_sentences:
        planning.problems.append(
            "at_equal_length=True needs responses that are read sentence by sentence: protocol='sound', "
            "premise='sentences', draws='single' and method='entailment'."
        )
    return True


def settings_of(planning: Planning, /) -> dict[str, object]:
    """Return the settings that a marker chooses, by name."""
    chosen = {name: planning.keywords[name] for name in OWN if name in planning.keywords}
    for name in ("template", "seed"):
        chosen[name] = planning.choose(name)
    if isinstance(chosen.get("word_budgets"), list):
        chosen["word_budgets"] = tuple(chosen["word_budgets"])
    return chosen


def planned_on(
    windows: WindowSet,
    planning: Planning,
    evaluation: Evaluation,
    settings: Mapping[str, object],
    recorded: RecordedResponses | None,
    /,
    *,
    measure: Measure | None = None,
    n_units: int | None = None,
) -> PlannedGate:
    """Return a gate on a set of windows; its settings name the recorded responses, if there are some."""
    told = {} if recorded is None else {"responses": {"name": recorded.name, "sha256": recorded.sha256}}
    source = {"name": windows.name, "sha256": windows.sha256, "source": windows.source}
    return planning.planned(evaluation, source=source, settings={**settings, **told}, measure=measure, n_units=n_units)


def _protocol(planning: Planning) -> str:
    """Return the protocol: one that is meant for this marker, or the sound one where the run has another."""
    if "protocol" not in planning.keywords:
        run = str(planning.settings["protocol"])
        return run if run in PROTOCOLS else "sound"
    protocol = planning.keywords["protocol"]
    one_of(protocol, PROTOCOLS, name="protocol", function=planning.measure.name)
    if protocol != "sound":
        fixed = [name for name in OWN if name in planning.keywords and name != "seed"]
        if fixed:
            planning.problems.append(
                f"{fixed[0]}={planning.keywords[fixed[0]]!r} cannot be chosen under the protocol {protocol!r}, which "
                "decides everything but the seed. Leave it out, or use protocol='sound'."
            )
    return str(protocol)


def windows_of(planning: Planning, /) -> WindowSet:
    """Return the windows that a marker names."""
    name = planning.dataset
    if not isinstance(name, str) or not name:
        must = "the name or file of a set of windows, a str"
        raise invalid_parameter("dataset", planning.measure.name, must, repr(name))
    brought = planning.brought(WindowSet)
    if brought is not None:
        return brought
    if name in EMBEDDED_WINDOWS:
        return load_windows(name)
    # A folder is found by the file that it must hold.
    votes = planning.find_file(f"{name}/participants-votes.csv")
    if votes.is_file():
        return load_windows(votes.parent)
    path = planning.find_file(name)
    return load_windows(path if path.exists() else name)


def recorded_of(planning: Planning, windows: WindowSet, keyword: str, /) -> RecordedResponses | None:
    """Return the recorded responses that a keyword of a marker names, if it is there."""
    name = planning.keywords.get(keyword)
    if name is None:
        return None
    if not isinstance(name, str) or not name:
        raise invalid_parameter(keyword, planning.measure.name, "the name of a file, a str", repr(name))
    path = planning.find_file(name)
    if not Path(path).is_file():
        raise DatasetError(f"{name}: there is no such file of responses, neither beside the test nor under the root.")
    return read_responses(path, queries=[window.query_id for window in windows.windows])
