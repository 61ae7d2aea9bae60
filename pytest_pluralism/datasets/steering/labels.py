"""Files of human labels: how faithful people found a response to be, by attribute and question.

One object a line (``.jsonl``), an array (``.json``) or a table (``.csv``), each also with ``.gz``::

    {"attribute": "Democrat", "question_id": "guns", "response": "Laws should be stricter.", "label": true}

``label`` is true or false, or a number in [0, 1]; a line ``{"scale": {"lowest": 1, "highest": 5}}`` declares another
scale. A label belongs to a text, with any author. A label of ``null`` has not been given yet.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import unknown_name
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.datasets.fields import Field, Fields, Kind, UnfitError, text
from pytest_pluralism.datasets.names import NAME
from pytest_pluralism.datasets.reading import Line, Problems, Record, listed, read_entries, shown

__all__ = ["LABEL_FIELDS", "HumanLabels", "holds_labels", "label_sheet", "read_labels"]

#: The fields that tell a file of labels from a steering set.
LABEL_FIELDS = frozenset({"attribute", "question_id", "response"})

REMEDY = 'Write one line a label: {"attribute": "...", "question_id": "...", "response": "...", "label": true}.'

#: The subject of a label: the attribute, the question and the text of the response.
Labelled = tuple[str, str, str]

#: The labels that a table may hold as words.
WORDS = {"true": True, "false": False, "yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class _Label:
    attribute: str
    question_id: str
    response: str
    label: float | None
    annotator: str | None


def _fields(scale: tuple[float, float]) -> Fields[_Label]:
    """Return the fields of a label on a scale, which is mapped to [0, 1]."""
    lowest, highest = scale

    def read(value: object) -> float:
        value = WORDS.get(value.casefold(), value) if isinstance(value, str) else value
        if isinstance(value, bool):
            return float(value)
        if not isinstance(value, (int, float)) or not is_number(value) or not lowest <= value <= highest:
            raise UnfitError
        return (float(value) - lowest) / (highest - lowest)

    named = replace(NAME, must="a text")
    return Fields(
        _Label,
        Field("attribute", named, required=True),
        Field("question_id", named, required=True),
        Field("response", text("a text", empty=True), required=True),
        # A label of null is a line of a sheet that is not filled in yet.
        Field("label", Kind(f"true, false or a number in [{lowest:g}, {highest:g}]", read)),
        Field("annotator", Kind("a name", str)),
        strict=True,
    )


@dataclass(frozen=True)
class HumanLabels:
    """Human labels of the faithfulness of responses, in [0, 1].

    Attributes
    ----------
    name : str
        The name of the file.
    labels : mapping from (attribute, question, response) to a mapping from annotator to float
        The label of each annotator; annotators without a name are numbered.
    sha256 : str
        The hash of the labels.
    scale : tuple of two floats
        The lowest and the highest label of the file, which are 0 and 1 here.
    """

    name: str
    labels: Mapping[Labelled, Mapping[str, float]]
    sha256: str = ""
    scale: tuple[float, float] = (0.0, 1.0)

    def value(self, attribute: str, question_id: str, response: str, /) -> float:
        """Return the mean label of a response; NaN where nobody labelled it."""
        found = self.labels.get((attribute, question_id, response.strip()))
        return math.nan if not found else math.fsum(found.values()) / len(found)

    def questions(self, attribute: str, /) -> frozenset[str]:
        """Return the questions to which some response was labelled for an attribute."""
        return frozenset(question_id for name, question_id, _ in self.labels if name == attribute)

    def matrix(self) -> npt.NDArray[np.float64]:
        """Return the labels, shape (n_annotators, n_responses); NaN where there is none."""
        annotators = list(dict.fromkeys(name for said in self.labels.values() for name in said))
        result = np.full((len(annotators), len(self.labels)), np.nan)
        for column, said in enumerate(self.labels.values()):
            for name, value in said.items():
                result[annotators.index(name), column] = value
        return result


def holds_labels(entries: Iterable[object], /) -> bool:
    """Return whether one of some entries is a human label."""
    return any(isinstance(entry, Mapping) and entry.keys() >= LABEL_FIELDS for entry in entries)


def read_labels(
    path: str | os.PathLike[str], /, *, attributes: Sequence[str] = (), questions: Sequence[str] = ()
) -> HumanLabels:
    """Read a file of human labels.

    Parameters
    ----------
    path : str or path
        A ``.jsonl``, ``.json`` or ``.csv`` file, or one of these followed by ``.gz``.
    attributes, questions : sequence of str, optional
        The names that there are; any other is wrong.

    Raises
    ------
    DatasetError
        If the file cannot be read or a line is wrong: an unknown attribute or question, a label off the scale, an
        annotator who labels one response twice. Up to ten problems are named at once.
    """
    file = Path(path)
    found, problems = read_entries(file, what="file of labels", holds="label", remedy=REMEDY, numbers=("label",))
    fields = _fields((0.0, 1.0))
    declared, entries = [], []
    for where, entry in found:
        if isinstance(entry, dict) and "scale" in entry:
            declared.append((where, entry["scale"]))
        elif fields.fit(entry, where, problems):
            entries.append((where, entry))
    scale = _scale(declared, problems)
    fields = _fields(scale)
    labels: dict[Labelled, dict[str, float]] = {}
    for where, entry in entries:
        one = fields.checked(entry, where, problems)
        if one is None:
            continue
        if "label" not in entry:
            problems.add(where, f"lacks 'label' (it has {listed(entry)}); write null for an open one")
            continue
        unknown = [
            unknown_name(kind, name, known)
            for kind, name, known in (
                ("attribute", one.attribute, attributes),
                ("question", one.question_id, questions),
            )
            if known and name not in known
        ]
        for what in unknown:
            problems.add(where, what)
        if one.label is None or unknown:
            continue
        said = labels.setdefault((one.attribute, one.question_id, one.response), {})
        name = f"annotator {len(said) + 1}" if one.annotator is None else one.annotator
        if name in said:
            problems.add(where, f"annotator {name!r} labels the same response for {one.attribute!r} a second time")
            continue
        said[name] = one.label
    problems.raise_if_any("" if labels else "holds no labels")
    content = [[*about, sorted(said.items())] for about, said in sorted(labels.items())]
    digest = hashlib.sha256(json.dumps(content, ensure_ascii=True).encode("ascii")).hexdigest()
    return HumanLabels(file.name, labels, digest, scale)


def label_sheet(report: Line, /) -> list[Record]:
    """Return the responses without a label, as the lines of a file of labels whose ``label`` is ``None``.

    Parameters
    ----------
    report : mapping
        A JSON report with verdicts of ``score="human"``.

    Examples
    --------
    >>> open_ones = [{"attribute": "Democrat", "question_id": "guns", "response": "Stricter laws."}]
    >>> label_sheet({"verdicts": [{"details": {"unlabelled": open_ones}}]})[0]["label"] is None
    True
    """
    found: dict[Labelled, Record] = {}
    for verdict in report.get("verdicts", ()):
        for one in (verdict.get("details") or {}).get("unlabelled", ()):
            line = {name: one[name] for name in ("attribute", "question_id", "response")}
            found[one["attribute"], one["question_id"], one["response"]] = {**line, "label": None}
    return list(found.values())


def _scale(declared: Sequence[tuple[str, object]], problems: Problems) -> tuple[float, float]:
    if len(declared) > 1:
        problems.add(declared[1][0], "declares the scale a second time")
    for where, scale in declared[:1]:
        given = [scale.get(name) for name in ("lowest", "highest")] if isinstance(scale, dict) else []
        ends = [float(end) for end in given if is_number(end)]
        if len(ends) == 2 and ends[0] < ends[1]:
            return ends[0], ends[1]
        problems.add(where, f"'scale' must be an object with 'lowest' below 'highest', not {shown(scale)}")
    return 0.0, 1.0
