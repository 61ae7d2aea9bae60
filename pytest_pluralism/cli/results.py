"""Results of one model from a report or a baseline, in the form of the entries of a baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_pluralism.baselines.schema import Content, Entry
from pytest_pluralism.cli.showing import UsageError, complain
from pytest_pluralism.core.errors import DatasetError, unknown_name

__all__ = ["Results", "models_in", "only_model", "read_results", "refuse_missing"]

_REPORT = '"pytest-pluralism/report/'


@dataclass(frozen=True)
class Results:
    """The results of one model by key, where they come from, and whether failures are adjusted for their number.

    ``problems`` are sentences about what a report lacks: promises that ended with an error, or the end of the run.
    """

    place: str
    model: str
    entries: Mapping[str, Entry]
    adjusted: bool = True
    problems: tuple[str, ...] = ()


def read_results(place: str, model: str | None, /) -> Results:
    """Read a report, or the baseline of a model.

    Parameters
    ----------
    place : str
        A report (``.json``), a baseline (``.json``), or a folder or URL with baselines.
    model : str or None
        The model of the results; may be left out where there is one.

    Raises
    ------
    UsageError
        There are several models and none was chosen, or not the chosen one.
    PluralismError
        The file cannot be read.
    """
    from pytest_pluralism.baselines.places import is_remote, place_of
    from pytest_pluralism.baselines.store import model_of, read_baseline

    refuse_missing(place)
    path = Path(place)
    if not is_remote(place) and path.is_file() and _is_report(path):
        return _of_report(path, model)
    if place.endswith(".json"):
        file = place_of(place, "")
        name = model_of(file)
    else:
        name = model if model is not None else only_model(place)
        file = place_of(place, name)
    if model is not None and model != name:
        raise UsageError(unknown_name("model", model, [name]))
    return Results(str(file), name, read_baseline(file, name, update="pytest --pluralism-update-baseline"))


def refuse_missing(place: str, /) -> None:
    """Refuse a place on this machine where nothing is.

    Raises
    ------
    UsageError
        There is no such file or folder.
    """
    from pytest_pluralism.baselines.places import is_remote

    if not is_remote(place) and not Path(place).exists():
        raise UsageError(f"there is no file or folder {place}.")


def only_model(place: str, /) -> str:
    """Return the model of the one baseline that a folder, here or elsewhere, holds.

    Raises
    ------
    UsageError
        There is none, or there are several.
    """
    names = models_in(place)
    if not names:
        raise UsageError(f"{place} holds no baselines. Store results there: pytest --pluralism-update-baseline")
    if len(names) > 1:
        raise UsageError(f"{place} holds {len(names)} baselines ({', '.join(names[:5])}). Choose: --model NAME")
    return names[0]


def models_in(place: str, /) -> list[str]:
    """Return the models whose baselines lie in a folder, here or elsewhere; complain of files that cannot be read.

    Raises
    ------
    BaselineError
        None of those that are there can be read.
    """
    from pytest_pluralism.baselines.places import files_in
    from pytest_pluralism.baselines.store import model_of
    from pytest_pluralism.core.errors import BaselineError

    found, problems = [], []
    for file in files_in(place):
        try:
            found.append(model_of(file))
        except BaselineError as error:
            problems.append(error)
    if problems and not found:
        raise problems[0]
    complain(*problems)
    return found


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return _REPORT.encode() in file.read(200)


def _of_report(path: Path, model: str | None) -> Results:
    from pytest_pluralism.core.records.verdicts import BOUNDS
    from pytest_pluralism.report.reading import load_report

    content = load_report(path)
    entries: dict[str, dict[str, Content]] = {}
    try:
        for verdict in content["verdicts"]:
            # An error or a difference of two estimates is not a measurement, and has no direction.
            if verdict.get("direction") not in ("lower", "higher") or not verdict.get("estimate"):
                continue
            name = str(verdict["model"]["name"])
            beside = dict(verdict.get("comparison") or {})
            drawn = beside.pop("drawn", None)
            entries.setdefault(name, {})[_key(verdict)] = {
                **verdict,
                **beside,
                "gate": {
                    bound: verdict["gate"][bound] for bound in (*BOUNDS, "confidence_level") if bound in verdict["gate"]
                },
                "versions": content.get("run", {}).get("versions", {}),
                "units": [_unit(unit, drawn) for unit in verdict["units"]],
            }
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path}: a verdict lacks {error}. Write the report again with --pluralism-report."
        ) from None
    if model is None and len(entries) != 1:
        raise UsageError(f"{path} holds results of {len(entries)} models ({', '.join(entries)}). Choose: --model NAME")
    name = model if model is not None else next(iter(entries))
    if name not in entries:
        raise UsageError(unknown_name("model", name, sorted(entries)))
    problems = tuple(_problems(content, name))
    return Results(path.as_posix(), name, entries[name], adjusted=_is_adjusted(content.get("run")), problems=problems)


def _problems(content: Entry, model: str) -> Iterator[str]:
    """Yield what a report lacks of a model: a result that is not there cannot be worse than another one."""
    for verdict in content["verdicts"]:
        if verdict.get("outcome") == "error" and verdict["model"].get("name") == model and not verdict.get("estimate"):
            yield f"{verdict['key']} was not measured: {verdict.get('reason') or 'an error'}"
    run = content.get("run")
    if isinstance(run, Mapping) and run.get("complete", True) is False:
        yield "the run did not come to its end, and verdicts are missing"


def _is_adjusted(run: object) -> bool:
    """Return whether a run adjusted failures; a report that does not say so comes from one that did."""
    try:
        return not isinstance(run, Mapping) or bool(run["settings"]["multiplicity"]["value"] != "none")
    except (KeyError, TypeError):
        return True


def _key(verdict: Entry) -> str:
    """Return the key that a baseline has for a verdict: its test without the model, and its promise."""
    from pytest_pluralism.report.reading import test_of

    key = (verdict.get("baseline") or {}).get("key")
    against = (verdict.get("baseline") or {}).get("name")
    if key is not None:
        return str(key) if not against else f"{key} against {against}"
    return f"{test_of(verdict)} {verdict['key']}"


def _unit(unit: Entry, drawn: Entry | None) -> Content:
    from pytest_pluralism.baselines.comparison import unit_hash
    from pytest_pluralism.core.finite import is_number
    from pytest_pluralism.core.records import UnitScore

    known = UnitScore(
        unit_id=str(unit["id"]),
        cluster=str(unit["cluster"]),
        value=unit["value"],
        population=unit.get("population"),
        text=unit.get("text", ""),
        options=tuple(unit.get("options", ())),
        reference_probabilities=tuple(unit.get("reference_probabilities", ())),
    )
    found = {"id": known.unit_id, "cluster": known.cluster, "value": known.value, "sha256": unit_hash(known)}
    found |= {} if known.population is None else {"population": known.population}
    found |= {"change": unit["change"]} if is_number(unit.get("change")) else {}
    found |= {"bounds": unit["bounds"]} if unit.get("bounds") else {}
    if drawn is not None:
        found |= {"drawn": unit["n_draws"]} if is_number(unit.get("n_draws")) else {}
        found |= {} if drawn["corrected"] else {"biased_draws": round(drawn["mean"], 6)}
    return found
