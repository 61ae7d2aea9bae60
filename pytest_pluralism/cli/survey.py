"""``pluralism survey build``: a survey file of a file with one row a respondent."""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pluralism.baselines.schema import Content
from pytest_pluralism.cli.showing import (
    EXIT_OK,
    Commands,
    UsageError,
    add_command,
    check_output,
    group,
    option,
    say,
    say_json,
    shown,
    table,
)
from pytest_pluralism.core.untrusted import printable

if TYPE_CHECKING:
    from pytest_pluralism.datasets.surveys.respondents import BuiltSurvey

__all__ = ["add_survey"]

SCHEMA = "pytest-pluralism/survey-build/1"

#: The most columns of a file that are listed where no question is named.
MOST_COLUMNS = 40


def add_survey(commands: Commands) -> None:
    """Add ``pluralism survey``."""
    actions = group(commands, "survey", "make survey files", "Make survey files of other data.")
    groups = "the columns of groups, separated by commas; a + crosses columns: party,sex,party+sex"
    weights = "the column of sampling weights, or none"
    codebook = "a .json or .toml file with the parameters of survey_from_respondents: texts, labels, missing values"
    add_command(
        actions,
        "build",
        build,
        "a survey of a file with one row a respondent",
        option("file", type=Path, metavar="FILE", help="a .csv, .tsv, .parquet, .xlsx, .sav or .dta file"),
        option("-o", "--output", type=Path, required=True, metavar="PATH", help="the survey file, .jsonl"),
        option("--questions", type=_names, metavar="COLUMNS", help="the columns of questions, separated by commas"),
        option("--weights", metavar="COLUMN", help=weights),
        option("--groups", type=_names, metavar="COLUMNS", help=groups),
        option("--strata", metavar="COLUMN", help="the column of the strata of the sample"),
        option("--clusters", metavar="COLUMN", help="the column of the primary sampling units"),
        option("--missing", type=_names, metavar="VALUES", help="the values that are missing answers: -1,8,9,98,99"),
        option("--least", type=int, metavar="N", help="leave out groups with fewer respondents (default: 30)"),
        option("--population", metavar="NAME", help="the name of everybody (default: Everybody)"),
        option("--codebook", type=Path, metavar="PATH", help=codebook),
        option("--sheet", metavar="NAME", help="the sheet of an Excel file"),
        description="Write a survey file with the weighted shares of each group, and say what was left out.",
    )


def build(arguments: argparse.Namespace) -> int:
    """Write a survey of respondents."""
    from pytest_pluralism.datasets.surveys.respondents import build_survey, survey_lines
    from pytest_pluralism.files import write_atomically

    check_output(arguments.output, (".jsonl",))
    how = _parameters(arguments)
    if not how.get("questions"):
        raise UsageError(_columns(arguments.file, arguments.sheet, set(_used(how))))
    built = build_survey(arguments.file, **how)
    write_atomically(arguments.output, survey_lines(built.survey))
    if arguments.json:
        say_json(_as_json(built, arguments.output))
        return EXIT_OK
    say(*_lines(built, arguments.output))
    return EXIT_OK


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _parameters(arguments: argparse.Namespace) -> Content:
    """Return the parameters of the codebook, and over them those of the command."""
    how: Content = _codebook(arguments.codebook) if arguments.codebook else {}
    for name in ("weights", "strata", "clusters", "missing", "least", "population", "sheet"):
        if getattr(arguments, name) is not None:
            how[name] = getattr(arguments, name)
    if how.get("weights") == "none":
        how["weights"] = False
    if arguments.groups is not None:
        how["groups"] = [tuple(name.split("+")) if "+" in name else name for name in arguments.groups]
    if arguments.questions is not None:
        known = how.get("questions") or {}
        # The codebook explains more columns than are asked for.
        how["questions"] = {name: known.get(name, {}) for name in arguments.questions}
    return how


def _codebook(path: Path) -> Content:
    if path.suffix not in (".json", ".toml"):
        raise UsageError(f"--codebook must be a .json or .toml file. Got {path}.")
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"--codebook {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        why = "is nested too deeply" if isinstance(error, RecursionError) else error
        raise UsageError(f"--codebook {path}: {why}.") from error
    if not isinstance(content, dict):
        raise UsageError(f"--codebook {path} must hold an object with questions, labels, weights, ...")
    return content


def _used(how: Content) -> list[str]:
    """Return the columns that the command names for something other than a question."""
    crossed = [(names,) if isinstance(names, str) else names for names in how.get("groups") or ()]
    named = [how.get(name) for name in ("weights", "strata", "clusters")]
    return [name for names in crossed for name in names] + [name for name in named if isinstance(name, str)]


def _columns(path: Path, sheet: str | None, used: set[str]) -> str:
    """Return the columns of a file, for a command that names no question, and the remedy with likely questions.

    A likely question has between two and ten values and is not in ``used``.
    """
    from pytest_pluralism.datasets.surveys.respondent_files import read_respondents

    found = read_respondents(path, lambda names: names[:MOST_COLUMNS], sheet=sheet)
    told = []
    for name, variable in found.variables.items():
        about = f' "{printable(variable.text, most=60)}"' if variable.text else ""
        labelled = f", {len(variable.labels)} labels" if variable.labels else ""
        told.append(f"{printable(name, most=40)}{about} ({len(variable.values)} values{labelled})")
    more = f", and {len(found.columns) - len(told)} more" if len(found.columns) > len(told) else ""
    likely = [name for name, it in found.variables.items() if 2 <= len(it.values) <= 10 and name not in used]
    first = ",".join(printable(name, most=40) for name in likely[:2]) or "COLUMN"
    return f"--questions names no column. {path} has {'; '.join(told)}{more}. Write --questions={first},..."


def _as_json(built: BuiltSurvey, output: Path) -> Content:
    survey = built.survey
    return {
        "schema": SCHEMA,
        "written": str(output),
        "sha256": survey.sha256,
        "rows": built.n_rows,
        "respondents": built.n_respondents,
        "questions": len(survey.questions),
        "populations": list(survey.populations),
        "left_out": [{"what": what, "why": why, "count": count} for what, why, count in built.dropped],
        "notes": list(built.notes),
        "source": survey.source,
    }


def _lines(built: BuiltSurvey, output: Path) -> list[str]:
    survey = built.survey
    counts = f"{len(survey.questions)} questions, {len(survey.populations)} populations"
    lines = [
        f"survey written: {shown(output)}",
        f"{built.n_respondents} of {built.n_rows} rows, {counts}, {len(survey.distributions)} distributions",
    ]
    if built.dropped:
        rows: list[Sequence[str]] = [("left out", "count", "of")]
        rows += [(printable(why), str(count), printable(what)) for what, why, count in built.dropped]
        lines += table(rows)
    else:
        lines.append("nothing was left out")
    lines += [f"note: {printable(note, most=400)}" for note in built.notes]
    whom = printable(str(survey.default_population))
    lines.append(f'to use: @pytest.mark.js_distance("{output.name}", population="{whom}", better_than="uniform")')
    lines.append(f"to look at it: pluralism check {shown(output)}")
    return lines
