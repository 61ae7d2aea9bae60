"""The case study of Sorensen et al. 2024 for a pair of models: measures its tables, and writes them."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pluralism.cli.showing import UsageError, say, shown
from pytest_pluralism.core.errors import PluralismError

if TYPE_CHECKING:
    from pytest_pluralism.core.records.plain import JsonFields
    from pytest_pluralism.models.protocol import ModelIdentity
    from pytest_pluralism.report.case_study import Side

__all__ = ["TABLES", "Asked", "answer_settings", "asked_of", "sides_of", "write_tables"]

#: The settings of the run that the tables share with it: the rest are those of the protocols.
_SHARED = ("answers", "device", "dtype", "seed", "batch_size", "gguf")

#: The name of the files with the tables, without its ending.
TABLES = "case_study-tables"

#: The surveys that come with the package, and the populations that stand for the paper's.
_SHIPPED = (
    ("gss", "US adults"),
    ("wvs_immigration", "Japan"),
    ("wvs_immigration", "United States"),
)

#: The survey that stands in for the Machine Personality Inventory.
_PERSONALITY = ("big_five", "SAPA volunteers")


@dataclass(frozen=True)
class Asked:
    """One survey and population of the tables."""

    survey: str
    population: str


def asked_of(nations: Path | None, populations: Sequence[str], personality: Path | None, /) -> list[Asked]:
    """Return the surveys of the tables: those of the package, and the files of the user.

    Parameters
    ----------
    nations : Path or None
        A file of GlobalOpinionQA.
    populations : sequence of str
        The nations of that file.
    personality : Path or None
        A survey file of the Machine Personality Inventory with the answers of people; ``big_five`` stands in for it.

    Raises
    ------
    UsageError
        A file or a population is not there.
    """
    from pytest_pluralism.datasets import load_survey, resolve_populations

    def read(file: Path, wanted: Sequence[str], word: str) -> list[Asked]:
        try:
            survey = load_survey(str(file))
            names = resolve_populations(survey, list(wanted) or list(survey.populations[:1]))
        except PluralismError as error:
            raise UsageError(f"{word}: {error}") from None
        return [Asked(str(file), str(name)) for name in names]

    if populations and nations is None:
        raise UsageError("--nation names a population of a file. Add --nations=FILE.")
    found = [] if nations is None else read(nations, populations, "--nations")
    found += [Asked(*one) for one in _SHIPPED]
    return found + ([Asked(*_PERSONALITY)] if personality is None else read(personality, (), "--mpi"))


def answer_settings(options: str, /) -> dict[str, object]:
    """Return the settings of a run that say where and how a model is loaded, of options for pytest in one text."""
    found: dict[str, object] = {}
    words = shlex.split(options)
    for word, after in itertools.pairwise([*words, ""]):
        name, sign, value = word.removeprefix("--pluralism-").partition("=")
        value = value if sign else after
        name = name.replace("-", "_")
        if word.startswith("--pluralism-") and name in _SHARED and value:
            found[name] = int(value) if value.isdigit() else value
    return found


def write_tables(
    before: str, after: str, asked: Sequence[Asked], folder: Path, /, *, settings: Mapping[str, object], quiet: bool
) -> list[str]:
    """Measure both models, write the tables, and return the paths of the files."""
    from pytest_pluralism.report.case_study import (
        CaseRow,
        case_study_html,
        case_study_lines,
        case_study_markdown,
        case_study_parts,
    )

    sides, identities = zip(*(_measured(spec, asked, settings) for spec in (before, after)), strict=True)
    rows = [
        CaseRow(Path(one.survey).name, one.population, sides[0][place], sides[1][place])
        for place, one in enumerate(asked)
    ]
    parts = case_study_parts(rows, identities[0].name, identities[1].name, _caution(*identities))
    for line in case_study_lines(parts) if not quiet else ():
        say(shown(line) if line else "")
    written = []
    for name, text in (("html", case_study_html(parts)), ("md", case_study_markdown(parts))):
        path = folder / f"{TABLES}.{name}"
        path.write_text(text, encoding="utf-8")
        written.append(path.as_posix())
    return written


def _measured(spec: str, asked: Sequence[Asked], settings: Mapping[str, object]) -> tuple[list[Side], ModelIdentity]:
    """Load one model, and measure it on all surveys."""
    from pytest_pluralism.models import load_model

    chosen: JsonFields = {
        name: settings[name] for name in ("device", "dtype", "batch_size", "gguf") if name in settings
    }
    model = load_model(spec, **chosen)
    try:
        return sides_of(model, asked, settings), model.identity
    finally:
        model.close()


def sides_of(model: object, asked: Sequence[Asked], settings: Mapping[str, object], /) -> list[Side]:
    """Return the results of one model on all surveys, by the published protocol and by the sound one."""
    from pytest_pluralism.notebook import measure
    from pytest_pluralism.report.case_study import Side

    found = []
    for one in asked:
        published, sound = (
            measure(model, "js_distance", one.survey, population=one.population, protocol=protocol, settings=settings)
            for protocol in ("sorensen2024", "sound")
        )
        found.append(Side(published.estimate, published.scores, sound.estimate, sound.scores))
    return found


def _caution(before: ModelIdentity, after: ModelIdentity) -> str:
    """Return the reason why a pair of models does not show alignment alone; empty where none is known."""
    sides = [
        f"{one.architecture or 'an unknown network'} with {one.parameters:,} parameters" for one in (before, after)
    ]
    if sides[0] == sides[1]:
        return ""
    return (
        f"These are two families of models ({sides[0]}; {sides[1]}): a difference is a contrast of families, "
        "and not what alignment did."
    )
