"""Human labels of faithfulness: what people said of responses, told for an attribute and a question.

One object a line (``.jsonl``), an array (``.json``) or a table (``.csv``), each also with ``.gz``::

    {"attribute": "Democrat", "question_id": "guns", "response": "Laws should be stricter.", "label": true}

``label`` is true or false, or a number in [0, 1]; a line ``{"scale": {"lowest": 1, "highest": 5}}`` declares another
scale. A label belongs to a text: who wrote it, and steered to what, is no part of it. A label of ``null`` is not there
yet.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import DatasetError, unknown_name
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.datasets.reading import Problems, csv_objects, format_of, json_array, json_lines, read_text
from pytest_pluralism.datasets.windows.loading import check_fields

__all__ = ["HumanLabels", "label_sheet", "read_labels"]

FIELDS = ("attribute", "question_id", "response", "label", "annotator")

REMEDY = 'Write one line a label: {"attribute": "...", "question_id": "...", "response": "...", "label": true}.'

#: What a label is about: the attribute, the question and the text of the response.
Labelled = tuple[str, str, str]


@dataclass(frozen=True)
class HumanLabels:
    """How faithful people found responses to be, in [0, 1].

    Attributes
    ----------
    name : str
        The name of the file.
    labels : mapping from (attribute, question, response) to a mapping from annotator to float
        What each annotator said; annotators without a name are numbered.
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
    kind = format_of(file)
    if kind is None:
        raise DatasetError(f"{file}: a file of labels must end in .jsonl, .json or .csv (or one of these and .gz).")
    text = read_text(file, what="file of labels", holds="label")
    problems = Problems(str(file), REMEDY)
    if kind == ".jsonl":
        entries = json_lines(text, problems)
    elif kind == ".json":
        entries = json_array(text, file, holds="label", remedy=REMEDY)
    else:
        entries = [(where, _typed(entry)) for where, entry in csv_objects(text, problems, numbers=("label",))]
    lowest, highest = _scale(entries, problems)
    labels: dict[Labelled, dict[str, float]] = {}
    for where, entry in entries:
        if isinstance(entry, dict) and "scale" in entry:
            continue
        _read(where, entry, labels, (lowest, highest), attributes, questions, problems)
    if not labels and not problems.found:
        problems.add("", "holds no labels")
    problems.raise_if_any()
    content = [[*about, sorted(said.items())] for about, said in sorted(labels.items())]
    digest = hashlib.sha256(json.dumps(content, ensure_ascii=True).encode("ascii")).hexdigest()
    return HumanLabels(file.name, labels, digest, (lowest, highest))


def label_sheet(report: Mapping[str, Any], /) -> list[dict[str, Any]]:
    """Return what is still to be labelled, as the lines of a file of labels whose ``label`` is ``None``.

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
    found: dict[Labelled, dict[str, Any]] = {}
    for verdict in report.get("verdicts", ()):
        for one in (verdict.get("details") or {}).get("unlabelled", ()):
            line = {name: one[name] for name in FIELDS[:3]}
            found[one["attribute"], one["question_id"], one["response"]] = {**line, "label": None}
    return list(found.values())


def _typed(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a table with its words for yes and no as such."""
    words = {"true": True, "false": False, "yes": True, "no": False}
    label = entry.get("label")
    return {**entry, "label": words.get(label.casefold(), label)} if isinstance(label, str) else entry


def _scale(entries: Iterable[tuple[str, Any]], problems: Problems) -> tuple[float, float]:
    declared = [(where, entry["scale"]) for where, entry in entries if isinstance(entry, dict) and "scale" in entry]
    if not declared:
        return 0.0, 1.0
    if len(declared) > 1:
        problems.add(declared[1][0], "declares the scale a second time")
    where, scale = declared[0]
    ends = [scale.get(name) for name in ("lowest", "highest")] if isinstance(scale, dict) else []
    if len(ends) != 2 or not all(map(is_number, ends)) or not ends[0] < ends[1]:
        problems.add(where, f"'scale' must be an object with 'lowest' below 'highest', not {scale!r}"[:200])
        return 0.0, 1.0
    return float(ends[0]), float(ends[1])


def _read(
    where: str,
    entry: Any,
    labels: dict[Labelled, dict[str, float]],
    scale: tuple[float, float],
    attributes: Sequence[str],
    questions: Sequence[str],
    problems: Problems,
) -> None:
    if not isinstance(entry, dict):
        problems.add(where, f"must be an object with {', '.join(map(repr, FIELDS[:4]))}, not {entry!r}"[:200])
        return
    before = len(problems.found)
    if not check_fields(entry, FIELDS, FIELDS[:4], where, problems):
        return
    for name in FIELDS[:3]:
        if not isinstance(entry[name], str) or (name != "response" and not entry[name].strip()):
            problems.add(where, f"{name!r} must be a text, not {entry[name]!r}"[:200])
    if len(problems.found) > before:
        return
    for kind, name, known in (("attribute", "attribute", attributes), ("question", "question_id", questions)):
        if known and entry[name] not in known:
            problems.add(where, unknown_name(kind, entry[name], list(known)))
    label = entry["label"]
    if label is None and len(problems.found) == before:
        # A line of a sheet that nobody has filled in yet.
        return
    lowest, highest = scale
    value = math.nan
    if isinstance(label, bool):
        value = float(label)
    elif is_number(label) and lowest <= label <= highest:
        value = (float(label) - lowest) / (highest - lowest)
    else:
        must = f"true, false or a number in [{lowest:g}, {highest:g}]"
        problems.add(where, f"'label' must be {must}, not {label!r}"[:200])
    if len(problems.found) > before:
        return
    about = (entry["attribute"], entry["question_id"], entry["response"].strip())
    said = labels.setdefault(about, {})
    annotator = entry.get("annotator")
    name = f"annotator {len(said) + 1}" if annotator is None else str(annotator)
    if name in said:
        problems.add(where, f"annotator {name!r} labels the same response for {about[0]!r} a second time")
        return
    said[name] = value
