"""Files of others for steering: Value Kaleidoscope as Modular Pluralism ships it, and the Pew survey by group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_pluralism.core.records import Survey
from pytest_pluralism.datasets.fields import Field, Fields, Kind, UnfitError, text
from pytest_pluralism.datasets.reading import Problems, Record
from pytest_pluralism.datasets.steering.templates import Attribute, SteeringTemplate
from pytest_pluralism.datasets.surveys.assembly import (
    DISTRIBUTION,
    QUESTION,
    ReadDistribution,
    ReadQuestion,
    assemble_survey,
)
from pytest_pluralism.datasets.surveys.modular_pluralism import question_hash
from pytest_pluralism.datasets.surveys.refusals import Refusals

__all__ = [
    "PEW",
    "STANCES",
    "VALUE_KALEIDOSCOPE",
    "is_pew",
    "is_value_kaleidoscope",
    "read_pew",
    "read_value_kaleidoscope",
]

VALUE_KALEIDOSCOPE = (
    "situations with values, rights and duties from ValuePrism (arXiv:2309.00779), in the format of the Modular "
    "Pluralism benchmark (arXiv:2406.15951)"
)

PEW = "Pew Research Center American Trends Panel, weighted shares by group"

#: The classes of Value Kaleidoscope, in the order of its letters.
STANCES = ("Support", "Oppose", "Either")

#: The template for a value: the attribute is the value, right or duty itself.
BY_VALUE = SteeringTemplate(
    name="value",
    place="after",
    text="Judge by this value, right or duty alone: {label}. Would it support the situation, oppose it, or either?",
)


TEXT = text("a text that is not empty")


def _letter(value: object) -> str:
    if value not in ("A", "B", "C"):
        raise UnfitError
    return str(value)


SITUATION = Fields(
    Record,
    Field("situation", TEXT, required=True),
    Field("vrd", TEXT, required=True),
    Field("label", Kind("A (support), B (oppose) or C (either)", _letter), required=True),
)


def is_value_kaleidoscope(entries: Sequence[object], /) -> bool:
    """Return whether rows are situations with values, as their first one shows."""
    return bool(entries) and isinstance(entries[0], dict) and {"situation", "vrd", "label"} <= entries[0].keys()


def read_value_kaleidoscope(
    name: str, entries: Iterable[tuple[str, object]], problems: Problems, /
) -> tuple[Survey, tuple[Attribute, ...], tuple[SteeringTemplate, ...]]:
    """Return the situations as questions, the values as attributes, and how a value is put.

    A situation that has the same value twice with different labels has no right answer for it, and the two rows are
    left out.
    """
    grouped: dict[str, dict[str, set[int]]] = {}
    for where, row in entries:
        read_row = SITUATION.read(row, where, problems)
        if read_row is not None:
            values = grouped.setdefault(read_row["situation"], {})
            values.setdefault(read_row["vrd"], set()).add("ABC".index(read_row["label"]))
    read = []
    contradictory = 0
    for situation, values in grouped.items():
        rows = [
            ReadDistribution(value, [float(code == stance) for stance in range(len(STANCES))])
            for value, labels in values.items()
            if len(labels) == 1
            for code in labels
        ]
        contradictory += len(values) - len(rows)
        if rows:
            read.append(
                ReadQuestion(
                    question_hash(situation),
                    f"Situation: {situation}\nIs this to be supported or opposed, or could it be either?",
                    list(STANCES),
                    rows,
                    refusals=[],
                )
            )
    note = f"; left out: {contradictory} value(s) with different labels in one situation" if contradictory else ""
    survey = assemble_survey(name, read, problems=problems, source=VALUE_KALEIDOSCOPE + note, leave_out_degenerate=True)
    # Each value is an attribute of its own. They are not a category whose members could be confused with each other.
    attributes = tuple(Attribute(name=value, who=f"someone who holds dear: {value}") for value in survey.populations)
    return survey, attributes, (BY_VALUE,)


def is_pew(entries: Sequence[object], /) -> bool:
    """Return whether questions give their distributions by ``group`` and ``value``, as their first one shows."""
    first = entries[0] if entries else None
    rows = first.get("distributions") if isinstance(first, dict) else None
    return isinstance(rows, list) and bool(rows) and isinstance(rows[0], dict) and {"group", "value"} <= rows[0].keys()


def read_pew(
    name: str, entries: Iterable[tuple[str, object]], problems: Problems, /, *, refusals: Refusals = "keep"
) -> Survey:
    """Return the survey; its populations are named ``party: Democrat``, and everybody by the bare value."""
    read: list[ReadQuestion] = []
    whole: list[str] = []
    for where, entry in entries:
        rows = entry.get("distributions") if isinstance(entry, dict) else None
        if (
            not isinstance(entry, dict)
            or not isinstance(rows, list)
            or not all(isinstance(row, dict) and "value" in row for row in rows)
        ):
            problems.add(where, "'distributions' must be a list of objects with 'group', 'value' and 'probabilities'")
            continue
        distributions = []
        for row in rows:
            everybody = row.get("group") == "population"
            population = row["value"] if everybody else f"{row.get('group')}: {row['value']}"
            whole += [population] if everybody and not read else []
            distributions.append(ReadDistribution(**DISTRIBUTION.taken(row) | {"population": population}))
        read.append(ReadQuestion(**QUESTION.taken(entry) | {"distributions": distributions}, where=where))
    return assemble_survey(
        name,
        read,
        problems=problems,
        refusals=refusals,
        source=PEW,
        default_population=whole[0] if whole else None,
    )
