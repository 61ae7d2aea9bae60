"""``pluralism check``: the kind of a file of data, and the first prompt that a model would see of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from pytest_pluralism.baselines.schema import Content, Entry
from pytest_pluralism.cli.showing import EXIT_OK, EXIT_PROBLEMS, Commands, add_command, option, say, say_json, shown
from pytest_pluralism.core.errors import InvalidParameterError, PluralismError
from pytest_pluralism.core.untrusted import printable

if TYPE_CHECKING:
    from pytest_pluralism.core.records import Survey, WindowSet
    from pytest_pluralism.datasets.kinds import Taken
    from pytest_pluralism.datasets.panels.records import Panel
    from pytest_pluralism.datasets.steering.sets import SteeringSet

__all__ = ["add_check"]

SCHEMA = "pytest-pluralism/check/1"

#: The marker of each kind of data, and the keywords that its promise begins with.
MARKERS = {
    "survey": ("js_distance", 'better_than="uniform"'),
    "panel": ("jury_welfare", "alpha=1.0, max_decrease=0.02"),
    "windows": ("overton_coverage", "max_decrease=0.02"),
    "steering": ("steering_faithfulness", 'better_than="unsteered"'),
}

#: The fewest respondents whose shares say something.
FEW_RESPONDENTS = 30

#: The most names that are shown.
MOST_NAMES = 12


def add_check(commands: Commands) -> None:
    """Add ``pluralism check``."""
    add_command(
        commands,
        "check",
        check,
        "show how a data file was read, and what a model would see of it",
        option("file", type=Path, metavar="FILE", help="a file or folder that a marker is to name"),
        option("--scale", metavar="LOW,HIGH[,LEVELS]", help="the scale of the votes of a panel, such as 1,5,5"),
        description="Read a file of data and say what it was taken for, how much was read and left out, and what is "
        "doubtful; show the first question as a model would see it, and a marker to paste. No model is loaded.",
    )


def check(arguments: argparse.Namespace) -> int:
    """Check one file of data."""
    from pytest_pluralism.datasets.kinds import taken_for

    taken = taken_for(arguments.file)
    scale = _scale(arguments.scale)
    data = taken.load() if scale is None else _panel_on(taken, scale)
    told = _described(taken.kind, cast("Identifiable", data))
    prompt, problem = _prompt(taken.kind, taken.name, data)
    warnings = [*told.pop("warnings", ()), *([problem] if problem else [])]
    marker = _marker(taken.kind, arguments.file, taken.name, data, scale)
    if arguments.json:
        content = {"taken_for": taken.words, "kind": taken.kind, **told, "warnings": warnings}
        say_json({"schema": SCHEMA, "file": str(arguments.file), **content, "prompt": prompt, "marker": marker})
        return EXIT_PROBLEMS if problem else EXIT_OK
    say(f"{shown(arguments.file)}: taken for {printable(taken.words, most=200)}")
    for name, value in told.items():
        say(f"  {name:<12} {_words(value)}")
    for warning in warnings:
        say(f"  {'warning':<12} {printable(warning, most=600)}")
    if prompt:
        say("the first question, as a model without a chat template reads it:")
        for line in prompt.splitlines():
            say(f"    {printable(line, most=2000)}")
    if marker:
        say("to paste:")
        for line in marker.splitlines():
            say(f"    {line}")
    return EXIT_PROBLEMS if problem else EXIT_OK


class Identifiable(Protocol):
    """Data of any kind: it knows the hash of its content."""

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the content."""
        ...


def _words(value: object) -> str:
    if isinstance(value, list):
        names = ", ".join(printable(str(one), most=60) for one in value[:MOST_NAMES])
        return f"{len(value)}: {names}" + (", ..." if len(value) > MOST_NAMES else "")
    return printable(str(value), most=2000)


# --------------------------------------------------------------------------------------------------- what it holds


def _described(kind: str, data: Identifiable) -> Content:
    """Return counts, names, warnings and the source of data."""
    from pytest_pluralism.core.records import Survey, WindowSet
    from pytest_pluralism.datasets.panels.records import Panel
    from pytest_pluralism.datasets.steering.sets import SteeringSet

    if isinstance(data, Survey):
        return _survey(data)
    if isinstance(data, Panel):
        return _panel(data)
    if isinstance(data, WindowSet):
        return _windows(data)
    if isinstance(data, SteeringSet):
        return _steering(data)
    return {kind: len(getattr(data, kind)), "sha256": data.sha256}


def _survey(survey: Survey) -> Content:
    asked = {name: [row for row in survey.distributions if row.population == name] for name in survey.populations}
    whole = len(survey.questions)
    partial = [name for name, rows in asked.items() if len(rows) < whole]
    unknown = [name for name, rows in asked.items() if all(row.n_respondents is None for row in rows)]
    few = [
        name
        for name, rows in asked.items()
        if any(row.n_respondents is not None and row.n_respondents < FEW_RESPONDENTS for row in rows)
    ]
    warnings = []
    if partial:
        warnings.append(
            f"{len(partial)} population(s) answered a part of the {whole} questions, such as {partial[0]!r}"
        )
    if unknown:
        warnings.append(
            f"{len(unknown)} population(s) have no n_respondents, such as {unknown[0]!r}: no sampling floor is known"
        )
    if few:
        warnings.append(f"{len(few)} population(s) have fewer than {FEW_RESPONDENTS} respondents, such as {few[0]!r}")
    warnings += _refusals(survey)
    if whole < 5 and len(survey.populations) == 1:
        warnings.append(f"{whole} question(s) of one population decide little: an interval needs more")
    return {
        "questions": whole,
        "populations": list(survey.populations),
        "default": survey.default_population or "none: a test must name a population",
        "source": survey.source,
        "sha256": survey.sha256,
        "warnings": warnings,
    }


def _refusals(survey: Survey) -> list[str]:
    from pytest_pluralism.datasets.surveys.refusals import detect_refusals

    found = dict.fromkeys(q.options[index] for q in survey.questions for index in detect_refusals(q.options))
    if not found:
        return []
    names = ", ".join(map(repr, list(found)[:6]))
    return [f"these options look like refusals; unless refusals='drop' is written they are answers: {names}"]


def _panel(panel: Panel) -> Content:
    per_query = panel.n_votes / max(len(panel.queries), 1)
    warnings = list(panel.warnings)
    if per_query < 2:
        warnings.append("the queries have fewer than two votes on average: hardly a jury")
    return {
        "jurors": len(panel.jurors),
        "queries": len(panel.queries),
        "responses": len(panel.responses),
        "votes": panel.n_votes,
        "groups": list(panel.attributes) or "none",
        "scale": panel.scale.mapping,
        "source": panel.source,
        "sha256": panel.sha256,
        "warnings": warnings,
    }


def _windows(windows: WindowSet) -> Content:
    warnings = []
    single = [window.query_id for window in windows.windows if len(window.reasonable) < 2]
    if single:
        warnings.append(f"{len(single)} window(s) have one reasonable answer alone, such as {single[0]!r}")
    if not any(window.unreasonable for window in windows.windows):
        warnings.append("no window has unreasonable answers, so that precision is not measured")
    return {
        "windows": len(windows.windows),
        "reasonable": sum(len(window.reasonable) for window in windows.windows),
        "unreasonable": sum(len(window.unreasonable) for window in windows.windows),
        "source": windows.source,
        "sha256": windows.sha256,
        "warnings": warnings,
    }


def _steering(steering: SteeringSet) -> Content:
    return {
        "compared": steering.kind,
        "attributes": list(steering.names),
        "questions": len(steering.survey.questions),
        "templates": [template.name for template in steering.templates] or "those of the package",
        "source": steering.source,
        "sha256": steering.sha256,
    }


# ------------------------------------------------------------------------------------------------- what is asked


def _target(data: object) -> Content:
    """Return the keyword of whom a marker is about."""
    from pytest_pluralism.core.records import Survey
    from pytest_pluralism.datasets.steering.sets import SteeringSet

    if isinstance(data, Survey) and data.default_population is None:
        return {"population": data.populations[0]}
    return {"attribute": data.names[0]} if isinstance(data, SteeringSet) else {}


def _prompt(kind: str, name: str, data: object) -> tuple[str, str]:
    """Return the first prompt of a marker on the data, and why it cannot be planned."""
    if kind not in MARKERS:
        return "", ""
    from pytest_pluralism.core.records import FullAnswerPrompt, Prompt
    from pytest_pluralism.evaluation.measures.gates import plan_of_words
    from pytest_pluralism.evaluation.measures.registry import Planners
    from pytest_pluralism.models.answers.kinds import read_by
    from pytest_pluralism.models.prompts import render_prompt
    from pytest_pluralism.settings.table import SETTINGS

    settings = {setting.name: setting.default for setting in SETTINGS}
    keywords: Entry = _target(data) | ({"alpha": 1.0} if kind == "panel" else {})
    try:
        plans = plan_of_words(
            MARKERS[kind][0],
            name,
            keywords,
            settings,
            planners=Planners(),
            load_survey=lambda *_: cast("Survey", data),
            bring=lambda wanted, *_, **__: data if isinstance(data, wanted) else None,
            promise=False,
        )
        first = next(plans[0].evaluation.rounds(), None)
        asked: Sequence[object] = () if first is None else first.requests
        read = read_by(asked[0]) if asked else None
        prompt = read.prompt if isinstance(read, FullAnswerPrompt) else read
        return (render_prompt(prompt, chat=None), "") if isinstance(prompt, Prompt) else ("", "")
    except PluralismError as error:
        return "", f"as {MARKERS[kind][0]} it cannot be asked: {error}"


def _scale(text: str | None) -> dict[str, float] | None:
    """Return the scale of an option ``LOW,HIGH[,LEVELS]``; nothing without one."""
    if text is None:
        return None
    parts = text.split(",")
    try:
        low, high = float(parts[0]), float(parts[1])
        levels = {"levels": int(parts[2])} if len(parts) == 3 else {}
        if len(parts) > 3:
            raise ValueError
    except (ValueError, IndexError):
        must = "LOW,HIGH or LOW,HIGH,LEVELS, such as 1,5,5"
        raise InvalidParameterError(f"--scale must be {must}. Got {text!r}.") from None
    return {"lowest": low, "highest": high, **levels}


def _panel_on(taken: Taken, scale: dict[str, float]) -> Panel:
    """Return a panel whose votes are on a scale."""
    from pytest_pluralism.datasets.panels.loading import load_panel

    if taken.kind != "panel":
        raise InvalidParameterError(f"--scale is for the votes of a panel, and the file was taken for {taken.words}.")
    return load_panel(taken.name, scale=scale)


def _marker(kind: str, path: Path, name: str, data: object, scale: dict[str, float] | None = None) -> str:
    """Return a marker with an empty test."""
    if kind not in MARKERS:
        return ""
    measure, promise = MARKERS[kind]
    told = "".join(f'"{word}": {value:g}, ' for word, value in (scale or {}).items()).removesuffix(", ")
    target = f"scale={{{told}}}, " if scale else ""
    target += "".join(f"{word}={_quoted(value)}, " for word, value in _target(data).items())
    # Names with a colon are those of sources and of the hub.
    written = name if ":" in name else path.as_posix()
    return f"@pytest.mark.{measure}({_quoted(written)}, {target}{promise})\ndef test_{measure}(): ..."


def _quoted(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=True)
