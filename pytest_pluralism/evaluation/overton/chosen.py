"""From the keyword ``entailment_judge=`` of a marker to the judge of its promise."""

from __future__ import annotations

import dataclasses

from pytest_pluralism.core.errors import InvalidParameterError, ModelError, invalid_parameter
from pytest_pluralism.core.judges import JUDGES
from pytest_pluralism.core.records.plain import JsonFields, JsonObject
from pytest_pluralism.evaluation.measures.planning import Planning
from pytest_pluralism.evaluation.overton.judges import EntailmentJudge
from pytest_pluralism.evaluation.overton.settings import DIRECTIONS, OvertonSettings
from pytest_pluralism.models.calibration import JudgeFile, judges_of, read_judges
from pytest_pluralism.models.specification import parse_entailment_spec

__all__ = ["chosen_judge", "described"]


def chosen_judge(
    planning: Planning, settings: JsonObject, /
) -> tuple[EntailmentJudge, OvertonSettings, JudgeFile | None]:
    """Return the judge of a marker, the settings with its name and threshold, and the file that it comes from.

    Parameters
    ----------
    planning : Planning
        The marker. ``entailment_judge`` is one of the judges, a file of judges, or the SPEC of an entailment model;
        without it the default of the file beside the entailment model of the run judges, else the forward judge.
    settings : mapping
        The settings that the marker chooses, by name.

    Raises
    ------
    PluralismError
        The keyword names no judge, the file is wrong, or the judge needs weights that nobody gave.
    """
    wanted = planning.keywords.get("entailment_judge")
    spec, name, file = "", "", None
    if wanted is not None and (not isinstance(wanted, str) or not wanted):
        must = "one of " + ", ".join(map(repr, JUDGES)) + ", the name of a file, or the SPEC of an entailment model"
        raise invalid_parameter("entailment_judge", planning.measure.name, must, repr(wanted))
    if wanted is None or wanted in JUDGES:
        name = wanted or DIRECTIONS.get(settings.get("direction") or "", "")
        file = judges_of(planning.settings.get("entailment_model"))
    elif wanted.endswith(".json"):
        file = read_judges(planning.find_file(wanted))
        if file is None:
            raise ModelError(f"{wanted}: there is no such file of judges, neither beside the test nor under the root.")
    else:
        parse_entailment_spec(wanted)
        spec, file = wanted, judges_of(wanted)
    name = name or (file.default if file else "forward")
    calibration = file.judges.get(name) if file else None
    by_hand = "threshold" in settings
    if name == "combined" and (file is None or file.combined is None):
        raise InvalidParameterError(
            "entailment_judge='combined' needs weights that were fitted for the entailment model, and none lie beside "
            f"{planning.settings.get('entailment_model') or spec or 'it'}. Name a file of judges, or use 'both'."
        )
    threshold = settings["threshold"] if by_hand else calibration.threshold if calibration else 0.5
    own = {**settings, "threshold": threshold, "entailment_judge": name}
    if own.pop("direction", None) is not None:
        own["direction"] = settings["direction"]
        own["entailment_judge"] = "forward" if wanted is None else name
    made = OvertonSettings(**own)
    judge = EntailmentJudge(
        made.entailment_judge, made.threshold, calibration, None if file is None else file.combined, spec
    )
    return _with_doubt(judge, by_hand=by_hand), made, file


def _with_doubt(judge: EntailmentJudge, *, by_hand: bool) -> EntailmentJudge:
    if by_hand:
        told = f"the threshold {judge.threshold:g} was given by hand, so that the errors of the judge are not corrected"
        # The errors are known at the threshold of the calibration alone.
        return dataclasses.replace(judge, calibration=None, note=told)
    if judge.calibration is None:
        doubt = (
            f"nobody measured the errors of the judge {judge.name!r}; name a file of judges with entailment_judge=FILE "
            "(pluralism label makes one), or set threshold= by hand"
        )
        return dataclasses.replace(judge, doubt=doubt)
    return judge


def described(judge: EntailmentJudge, file: JudgeFile | None, /) -> JsonFields:
    """Return what a baseline must agree in: the file of the judge where it decides, and the model of its own."""
    told: dict[str, object] = {"judge_model": judge.spec} if judge.spec else {}
    if file is not None and (judge.calibration is not None or judge.name == "combined"):
        told["judge_sha256"] = file.sha256
    return told
