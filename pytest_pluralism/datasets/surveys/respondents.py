"""From one row a respondent to a survey: weighted shares of each population, and what was left out on the way.

Nothing is guessed: a value without a label, a column that looks like weights, and a question without a text are errors
that say what to write.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError, did_you_mean, invalid_parameter
from pytest_pluralism.core.estimation.design import SampleDesign, design_effective_size
from pytest_pluralism.core.estimation.survey import effective_sample_size
from pytest_pluralism.core.parameters import BoolArray, FloatArray, IntArray
from pytest_pluralism.core.records import Survey
from pytest_pluralism.datasets.names import clean_name
from pytest_pluralism.datasets.reading import MOST_PROBLEMS, Line, Problems, listed, shown
from pytest_pluralism.datasets.surveys.assembly import ReadDistribution, ReadQuestion, assemble_survey, one_line
from pytest_pluralism.datasets.surveys.refusals import Refusals, detect_refusals
from pytest_pluralism.datasets.surveys.respondent_files import (
    Respondents,
    Value,
    Variable,
    canonical,
    read_respondents,
)
from pytest_pluralism.datasets.weights import looks_like_weight

__all__ = ["BuiltSurvey", "build_survey", "survey_from_respondents", "survey_lines"]


REMEDY = (
    "Give texts and labels in questions=, or on the command line in --codebook=book.json: "
    '{"questions": {"trust": {"question": "Can people be trusted?", "options": {"1": "Yes", "2": "No"}}}}. '
    "The reference has a page on surveys from respondents."
)

#: The parts of a question that is given by a mapping.
QUESTION_PARTS = ("question", "options", "missing", "cluster", "positions")

#: Maximum number of different values of a question or a group; more are a number, a date or a name.
MOST_VALUES = 100

#: The number of respondents below which a cell says too little about a group.
LEAST_RESPONDENTS = 30

FUNCTION = "survey_from_respondents"


@dataclass(frozen=True)
class BuiltSurvey:
    """A survey that was made of respondents, and how.

    Attributes
    ----------
    survey : Survey
        The survey.
    n_rows : int
        Number of rows of the source.
    n_respondents : int
        Number of respondents that were kept.
    dropped : tuple of (str, str, int)
        The things that were left out: the column or population, why, and how many.
    notes : tuple of str
        Assumptions that were made.
    """

    survey: Survey
    n_rows: int
    n_respondents: int
    dropped: tuple[tuple[str, str, int], ...] = ()
    notes: tuple[str, ...] = ()


def survey_from_respondents(frame: Any, /, **how: Any) -> Survey:
    """Make a survey of a file or data frame with one row a respondent.

    Parameters
    ----------
    frame : path or data frame
        A file (``.csv``, ``.tsv``, ``.parquet``, ``.xlsx``, ``.sav``, ``.dta``), or a data frame of pandas, polars or
        another library that narwhals knows.
    questions : list of str, or mapping of str to str or mapping
        The columns that are questions. A mapping gives the text of each, or an object with ``question`` (the text),
        ``options`` (a mapping from value to label, in the order in which they are offered), ``missing`` (values),
        ``cluster`` and ``positions`` (true: the values are places on a scale). The labels of the file give the rest.
    weights : str or False, optional
        The column of sampling weights. ``False`` says that a column which looks like weights is not used.
    groups : sequence of str or of sequences of str
        The columns that divide the respondents into populations; a sequence of columns crosses them.
    strata, clusters : str, optional
        The columns of the strata of the sample, and of the primary sampling units.
    labels : mapping of str to mapping, optional
        The labels of values of columns, as those of ``options``.
    missing : sequence, optional
        The values that are missing answers in every question and group, such as -1, 8, 9, 98 and 99. Where such a
        value has a label that is not one of a refusal, a question is an error, and a group keeps it.
    population : str
        The name of everybody, ``"Everybody"`` by default.
    least : int
        A group with fewer respondents to a question is left out there, 30 by default.
    sheet : str, optional
        The sheet of an Excel file that has several.
    refusals : {"keep", "drop", "separate"} or sequence of str
        As in :func:`~pytest_pluralism.datasets.surveys.loading.load_survey`.

    Returns
    -------
    Survey
        Weighted shares, ``n_respondents``, and ``n_effective``: by Kish's formula with weights, or by the linearised
        variance with strata or clusters. ``source`` says what was left out.

    Raises
    ------
    DatasetError
        If the file cannot be read, lacks a column, or holds what is not explained.
    InvalidParameterError
        If a parameter has a value that it must not have.
    MissingExtraError
        If the packages of the extra ``respondents`` are not installed.

    Examples
    --------
    >>> import polars
    >>> rows = {"trust": ["Yes", "No", "Yes", "Yes"], "area": ["North", "North", "South", "South"], "w": [1, 1, 2, 2]}
    >>> asked = {"trust": "Can most people be trusted?"}
    >>> survey = survey_from_respondents(
    ...     polars.DataFrame(rows), questions=asked, weights="w", groups=["area"], least=1
    ... )
    >>> survey.populations, [round(share, 3) for share in survey.distributions[0].probabilities]
    (('Everybody', 'North', 'South'), [0.167, 0.833])
    """
    return build_survey(frame, **how).survey


def build_survey(
    frame: object, /, *, sheet: str | None = None, refusals: Refusals = "keep", **how: object
) -> BuiltSurvey:
    """Make a survey of respondents, and tell what was left out; parameters as for :func:`survey_from_respondents`."""
    asked = _Asked.of(how)
    source = read_respondents(frame, asked.columns, sheet=sheet)
    problems = Problems(f"{source.name}", REMEDY)
    work = _Building(source, asked, problems)
    questions = work.questions()
    problems.raise_if_any()
    dropped = tuple((what, why, count) for (what, why), count in work.dropped.items())
    told = [f"{count} {why} ({what})" for what, why, count in dropped]
    some = told[:MOST_PROBLEMS]
    more = [f"{len(told) - len(some)} more kinds"] if len(told) > len(some) else []
    words = f"respondents of {source.name}; {len(work.weights)} of {source.n_rows} rows kept"
    words += f"; left out: {'; '.join(some + more)}" if told else ""
    survey = assemble_survey(
        source.name,
        questions,
        problems=Problems(source.name, REMEDY),
        refusals=refusals,
        source=f"{words}; {work.weighting()}",
        default_population=asked.population,
    )
    notes = (*source.notes, *work.notes)
    return BuiltSurvey(survey, source.n_rows, len(work.weights), dropped, notes)


def survey_lines(survey: Survey, /) -> str:
    """Return a survey as the text of a ``.jsonl`` file, from which the same survey is read."""
    rows: dict[str, list[dict[str, object]]] = {}
    for row in survey.distributions:
        counts = {"n_respondents": row.n_respondents, "n_effective": row.n_effective}
        known = {name: count for name, count in counts.items() if count is not None}
        entry = {"population": row.population, "probabilities": list(row.probabilities), **known}
        rows.setdefault(row.question_id, []).append(entry)
    lines = []
    for question in survey.questions:
        line: dict[str, object] = {"question_id": question.question_id, "question": question.text}
        line["options"] = list(question.options)
        line |= {} if question.cluster is None else {"cluster": question.cluster}
        line |= {} if question.positions is None else {"positions": list(question.positions)}
        line |= {"refusals": [question.options[index] for index in question.refusals]} if question.refusals else {}
        lines.append(json.dumps({**line, "distributions": rows.get(question.question_id, [])}, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines)


# --------------------------------------------------------------------------------------------------- what is asked


@dataclass(frozen=True)
class _Asked:
    """The parameters, checked."""

    questions: Mapping[str, Line]
    weights: str | bool | None = None
    groups: tuple[tuple[str, ...], ...] = ()
    strata: str | None = None
    clusters: str | None = None
    labels: Line = field(default_factory=dict)
    missing: tuple[Value, ...] = ()
    population: str = "Everybody"
    least: int = LEAST_RESPONDENTS

    @classmethod
    def of(cls, how: Line) -> _Asked:
        """Return the parameters, or raise an error about the first wrong one."""
        known = cls.__dataclass_fields__
        for name in how:
            if name not in known:
                hint = did_you_mean(name, known)
                raise InvalidParameterError(f"{FUNCTION} has no parameter {name!r}.{hint} It has {', '.join(known)}.")
        given = {name: value for name, value in how.items() if value is not None}
        given["questions"] = _asked_questions(how.get("questions"))
        groups = given.get("groups", ())
        if isinstance(groups, str) or not isinstance(groups, Sequence):
            raise invalid_parameter("groups", FUNCTION, "a list of columns, or of lists of columns", repr(groups)[:60])
        given["groups"] = tuple((one,) if isinstance(one, str) else tuple(one) for one in groups)
        missing = given.get("missing", ())
        if isinstance(missing, str) or not isinstance(missing, (Sequence, set, frozenset)):
            raise invalid_parameter("missing", FUNCTION, "a list of values", repr(missing)[:60])
        given["missing"] = tuple(map(canonical, missing))
        for name in ("strata", "clusters", "population"):
            if name in given and (not isinstance(given[name], str) or not given[name].strip()):
                raise invalid_parameter(name, FUNCTION, "a text that is not empty", repr(given[name])[:60])
        if not isinstance(given.get("weights", False), str) and given.get("weights", False) is not False:
            raise invalid_parameter("weights", FUNCTION, "the name of a column, or False", repr(given["weights"])[:60])
        least = given.get("least", 1)
        if isinstance(least, bool) or not isinstance(least, int) or least < 1:
            raise invalid_parameter("least", FUNCTION, "a whole number from 1", repr(least)[:60])
        if not isinstance(given.get("labels", {}), Mapping):
            raise invalid_parameter("labels", FUNCTION, "a mapping from column to labels", repr(given["labels"])[:60])
        return cls(**given)

    def columns(self, names: Sequence[str]) -> list[str]:
        """Return the columns to read."""
        found = [*self.questions, *itertools.chain.from_iterable(self.groups)]
        found += [name for name in (self.weights, self.strata, self.clusters) if isinstance(name, str)]
        looks = [name for name in names if looks_like_weight(name) or name.casefold() == "weight"]
        if self.weights is None and looks:
            raise DatasetError(
                f"Column{'s' if len(looks) > 1 else ''} {listed(looks[:6])} may be sampling weights. Say which: "
                f"weights={looks[0]!r}, or weights=False (--weights={looks[0]}, or --weights=none)."
            )
        return found


def _asked_questions(given: object) -> dict[str, Line]:
    must = "a list of columns, or a mapping from column to text or to an object with " + ", ".join(QUESTION_PARTS)
    if isinstance(given, Mapping):
        found = {name: {"question": one} if isinstance(one, str) else one for name, one in given.items()}
    elif isinstance(given, Sequence) and not isinstance(given, str):
        found = {name: {} for name in given}
    else:
        raise invalid_parameter("questions", FUNCTION, must, repr(given)[:60])
    if not found:
        raise invalid_parameter("questions", FUNCTION, must, "none")
    for name, parts in found.items():
        if not isinstance(name, str) or not isinstance(parts, Mapping):
            raise invalid_parameter("questions", FUNCTION, must, repr(parts)[:60])
        odd = next((part for part in parts if part not in QUESTION_PARTS), None)
        if odd is not None:
            raise invalid_parameter("questions", FUNCTION, must, f"{odd!r} of {name!r}")
    return found


# ------------------------------------------------------------------------------------------------------- building


@dataclass
class _Building:
    """One survey in the making: the respondents that are kept, their weights and design, and what was left out."""

    source: Respondents
    asked: _Asked
    problems: Problems
    dropped: dict[tuple[str, str], int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kept, self.weights = self._weighted()
        self.design = self._designed()

    def _weighted(self) -> tuple[BoolArray, FloatArray]:
        """Return which rows are kept, and the weights of these."""
        if not isinstance(self.asked.weights, str):
            return np.ones(self.source.n_rows, dtype=np.bool_), np.ones(self.source.n_rows)
        column = self.source.variables[self.asked.weights]
        numbers, commas = [], 0
        for value in column.values:
            number = value
            if isinstance(value, str) and value.count(",") == 1 and "." not in value:
                number = canonical(value.replace(",", "."))
                commas += 1
            if isinstance(number, str) or number < 0:
                row = int(np.flatnonzero(column.codes == column.values.index(value))[0]) + 1
                self._wrong(column.name, f"row {row} has the weight {shown(value)}; it must be a number of at least 0")
                number = 0.0
            numbers.append(float(number))
        if commas and any(isinstance(value, float) for value in column.values):
            self._wrong(column.name, "has numbers with commas and with points; write all in one way")
        elif commas:
            self.notes.append(f"the commas in {column.name!r} are decimal commas")
        weights = np.array([*numbers, np.nan])[column.codes]
        self._drop(column.name, "rows without a weight", int(np.isnan(weights).sum()))
        self._drop(column.name, "rows with the weight 0", int((weights == 0).sum()))
        kept = weights > 0
        if not kept.any():
            self._wrong(column.name, "no row has a positive weight")
            self.problems.raise_if_any()
        return kept, weights[kept] / weights[kept].mean()

    def _designed(self) -> SampleDesign | None:
        """Return the strata and clusters of the kept respondents, if there are any."""
        if self.asked.strata is None and self.asked.clusters is None:
            return None
        found: list[IntArray | None] = []
        for name in (self.asked.strata, self.asked.clusters):
            codes = None if name is None else self.source.variables[name].codes[self.kept].astype(np.intp)
            if codes is not None and (codes < 0).any():
                self._wrong(name, f"{int((codes < 0).sum())} respondents have no value; each belongs to one")
                codes = np.maximum(codes, 0)
            found.append(codes)
        strata, clusters = found
        if strata is None:
            strata = np.zeros(len(self.weights), dtype=np.intp)
        if clusters is not None:
            # A number of a cluster may be used again in every stratum.
            clusters = np.unique(strata * (int(clusters.max()) + 1) + clusters, return_inverse=True)[1].astype(np.intp)
        design = SampleDesign(np.unique(strata, return_inverse=True)[1].astype(np.intp), clusters)
        if design.n_single:
            self.notes.append(
                f"{design.n_single} strata have one sampling unit alone, which is compared with the mean of the sample"
            )
        return design

    def weighting(self) -> str:
        """Return in words how respondents were weighted."""
        words = f"weighted by {self.asked.weights}" if isinstance(self.asked.weights, str) else "unweighted"
        parts = [name for name in (self.asked.strata, self.asked.clusters) if name is not None]
        return f"{words}, effective numbers of the design ({', '.join(parts)})" if parts else words

    def _wrong(self, name: str | None, what: str) -> None:
        self.problems.add(f"column {name!r}", what)

    def _drop(self, what: str, why: str, count: int) -> None:
        if count:
            self.dropped[what, why] = self.dropped.get((what, why), 0) + count

    # ------------------------------------------------------------------------------------------------- the columns

    def _missing(self, variable: Variable, labels: Mapping[Value, str], own: Iterable[object] | None) -> set[Value]:
        """Return the missing values of a column; ``own`` is ``None`` for a group.

        A value that is missing everywhere, and has a label here that is not one of a refusal, may be an answer: 8 and 9
        are places on a scale of ten. In a question that is an error, and a group keeps it.
        """
        known = set(variable.missing) | set(map(canonical, own or ()))
        kept = {
            value
            for value in self.asked.missing
            if value in labels and value not in known and not detect_refusals([labels[value]])
        }
        if kept and own is not None:
            told = ", ".join(f"{value} ({labels[value]!r})" for value in sorted(kept, key=_rank))
            self._wrong(
                variable.name,
                f"missing= names {told}, which have labels of answers here. Give each question its own missing values: "
                f"questions={{{variable.name!r}: {{'missing': [...]}}, ...}}",
            )
        return known | (set(self.asked.missing) - kept)

    def _answers(
        self, name: str, labels: Mapping[Value, str], own: Iterable[object] | None
    ) -> tuple[IntArray, list[str]]:
        """Return the place of the label of each kept respondent, -1 where there is none, and the labels in order."""
        variable = self.source.variables[name]
        codes = variable.codes[self.kept]
        counts = np.bincount(codes[codes >= 0], minlength=len(variable.values))
        missing = self._missing(variable, labels, own)
        self._drop(name, "empty cells", int((codes < 0).sum()))
        for place, value in enumerate(variable.values):
            if value in missing:
                label = f" ({labels[value]})" if value in labels else ""
                self._drop(name, f"missing values {value}{label}", int(counts[place]))
        present = [value for value in variable.values if value not in missing]
        substantive = {value: label for value, label in labels.items() if value not in missing}
        if not substantive:
            substantive = self._unlabelled(variable, present)
        unknown = sorted((value for value in present if value not in substantive), key=_rank)
        if unknown:
            told = ", ".join(f"{shown(one)} ({counts[variable.values.index(one)]} rows)" for one in unknown[:6])
            self._wrong(
                name,
                f"values without a label: {told}. Label them (labels={{{name!r}: {{{unknown[0]!r}: '...'}}}}), or list "
                f"them as missing (missing=[{', '.join(map(repr, unknown[:6]))}])",
            )
        names = list(dict.fromkeys(one_line(str(label)).strip() for label in substantive.values()))
        place_of = {value: names.index(one_line(str(label)).strip()) for value, label in substantive.items()}
        table = np.array([*(place_of.get(value, -1) for value in variable.values), -1], dtype=np.intp)
        return table[codes], names

    def _unlabelled(self, variable: Variable, present: Sequence[Value]) -> dict[Value, str]:
        """Return the texts of a column without labels as their own labels; numbers need labels."""
        if len(present) > MOST_VALUES:
            self._wrong(variable.name, f"has {len(present):,} different values: numbers, dates or names, not options")
            return {value: str(value) for value in present}
        if any(not isinstance(value, str) for value in present):
            return {}
        if variable.is_ordered:
            return {value: str(value) for value in variable.values if value in set(present)}
        ordered = sorted(map(str, present))
        if len(ordered) > 2:
            self.notes.append(
                f"the values of {variable.name!r} have no order of their own and stand in that of the alphabet"
            )
        return {value: value for value in ordered}

    def _labels(self, name: str, own: object = None) -> dict[Value, str]:
        """Return the labels of a column: those that are given, or those of the file."""
        given = own if own is not None else self.asked.labels.get(name)
        if given is None:
            return dict(sorted(self.source.variables[name].labels.items(), key=lambda pair: _rank(pair[0])))
        if isinstance(given, Sequence) and not isinstance(given, str):
            given = {value: value for value in given}
        if not isinstance(given, Mapping):
            self._wrong(name, f"its labels must be an object from value to label, not {shown(given)}")
            return {}
        return {canonical(value): str(label) for value, label in given.items()}

    # ------------------------------------------------------------------------------------------------ the questions

    def questions(self) -> list[ReadQuestion]:
        """Return the questions with their distributions."""
        populations = self._populations()
        found = []
        for name, parts in self.asked.questions.items():
            text = parts.get("question") or self.source.variables[name].text
            if not text:
                self._wrong(name, f"has no text: questions={{{name!r}: 'the text of the question'}}")
                continue
            labels = self._labels(name, parts.get("options"))
            before = self.problems.count
            answers, options = self._answers(name, labels, parts.get("missing", ()))
            if self.problems.count > before:
                continue
            rows = self._distributions(name, answers, len(options), populations)
            positions = None
            if parts.get("positions"):
                codes = [next(value for value, label in labels.items() if label == option) for option in options]
                positions = [code if isinstance(code, (int, float)) else None for code in codes]
            found.append(ReadQuestion(name, text, options, rows, parts.get("cluster"), positions, where=""))
        return found

    def _populations(self) -> dict[str, IntArray | None]:
        """Return the places of the members of each population by its name; ``None`` stands for everybody."""
        columns = dict.fromkeys(itertools.chain.from_iterable(self.asked.groups))
        read = {name: self._answers(name, self._labels(name), None) for name in columns}
        seen = [clean_name(label) for _, labels in read.values() for label in labels]
        repeated = {label for label in seen if seen.count(label) > 1 or label == self.asked.population}
        if repeated:
            self.notes.append(f"{listed(sorted(repeated)[:6])} stand in several columns, whose names stand before them")
        found: dict[str, IntArray | None] = {self.asked.population: None}
        for kind in self.asked.groups:
            for places in itertools.product(*(range(len(read[name][1])) for name in kind)):
                names, members = [], np.ones(len(self.weights), dtype=np.bool_)
                for name, place in zip(kind, places, strict=True):
                    label = clean_name(read[name][1][place])
                    names.append(f"{name}: {label}" if label in repeated else label)
                    members &= read[name][0] == place
                found[" + ".join(names)] = np.flatnonzero(members)
        return found

    def _distributions(
        self, name: str, answers: IntArray, n_options: int, populations: Mapping[str, IntArray | None]
    ) -> list[ReadDistribution]:
        rows = []
        for population, members in populations.items():
            chosen = answers if members is None else answers[members]
            answered = chosen >= 0
            n = int(answered.sum())
            if n < (1 if members is None else self.asked.least):
                self._drop(population, f"questions that fewer than {self.asked.least} respondents answered", 1)
                continue
            weights = (self.weights if members is None else self.weights[members])[answered]
            shares = np.bincount(chosen[answered], weights, n_options) / weights.sum()
            effective: float | None = None
            if self.design is not None:
                inside = answers
                if members is not None:
                    inside = np.full(len(answers), -1, dtype=np.intp)
                    inside[members] = chosen
                effective = design_effective_size(inside, self.weights, self.design, n_options=n_options)
            elif isinstance(self.asked.weights, str):
                effective = effective_sample_size(weights)
            # Strata may make a sample better than a simple one, which a survey file does not hold.
            effective = None if effective is None else min(effective, float(n))
            rows.append(ReadDistribution(population, shares.tolist(), n, effective))
        return rows


def _rank(value: Value) -> tuple[int, float, str]:
    return (0, float(value), "") if not isinstance(value, str) else (1, 0.0, value)
