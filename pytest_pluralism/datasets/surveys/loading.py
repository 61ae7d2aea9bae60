"""Finding a survey by its name or its path."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pytest_pluralism.core.errors import DatasetError, invalid_parameter, nearest_names, unknown_name
from pytest_pluralism.core.records import Survey
from pytest_pluralism.datasets.frames import is_frame
from pytest_pluralism.datasets.hub import hub_file
from pytest_pluralism.datasets.reading import FORMATS, Problems
from pytest_pluralism.datasets.surveys import big_five, global_opinions, gss, wvs
from pytest_pluralism.datasets.surveys.assembly import ReadQuestion, assemble_survey
from pytest_pluralism.datasets.surveys.file import is_survey_path, read_survey_file, survey_in_memory
from pytest_pluralism.datasets.surveys.refusals import Refusals, check_refusal_policy

__all__ = ["EMBEDDED_SURVEYS", "load_survey"]

#: Name -> (reader, source, default population) of the surveys that come with the extra ``embedded``.
EMBEDDED_SURVEYS: dict[str, tuple[Callable[[], tuple[ReadQuestion, ...]], str, str]] = {
    "gss": (gss.read_gss, gss.SOURCE, gss.DEFAULT_POPULATION),
    "big_five": (big_five.read_big_five, big_five.SOURCE, big_five.DEFAULT_POPULATION),
    "wvs_immigration": (wvs.read_immigration, wvs.IMMIGRATION_SOURCE, "all"),
    "wvs_bribery": (wvs.read_bribery, wvs.BRIBERY_SOURCE, "all"),
}


_MUST = "the name of a survey, a path, a data frame or a list of questions"


def load_survey(name_or_path: object, /, *, refusals: Refusals = "keep") -> Survey:
    """Load a survey by its name, from a file, from the Hugging Face hub, or from data in memory.

    Parameters
    ----------
    name_or_path : str, path, data frame or list of dict
        The name of an embedded survey (``gss``, ``big_five``, ``wvs_immigration``, ``wvs_bribery``), the path of a
        survey file (``.jsonl``, ``.json``, ``.csv``, each also with ``.gz``), or
        ``hf:Anthropic/llm_global_opinions[@REVISION]``, or ``hf:ORG/DATA@REVISION#CONFIG/SPLIT`` of another source.
        Nothing is fetched unless ``hf:`` is written.
        A data frame of pandas or polars has the columns of a ``.csv`` file, and a list the objects of a ``.jsonl``
        file; for a frame with one row a respondent there is
        :func:`~pytest_pluralism.datasets.surveys.respondents.survey_from_respondents`.
    refusals : {"keep", "drop", "separate"} or sequence of str
        The policy for options such as "Don't know".
        ``keep`` leaves them options like the others; such a question has no ``positions``.
        ``drop`` removes them from options and distributions, and rescales.
        ``separate`` leaves them in both, marked in ``Question.refusals``, so that what compares answers takes their
        mass out, of the model's distribution as of the humans', and reports it.
        A list names the options that are refusals, and drops them.
        With ``drop`` and ``separate`` the numbers of respondents are reduced to those who answered.

    Returns
    -------
    Survey
        The record.

    Raises
    ------
    DatasetError
        If the survey is unknown, or what is read is wrong.
    MissingExtraError
        If an embedded survey or the hub needs packages that are not installed.
    InvalidParameterError
        If a parameter has a value that it must not have.

    Examples
    --------
    >>> load_survey("gss").default_population
    'US adults'
    """
    policy = check_refusal_policy(refusals, function="load_survey")
    if is_frame(name_or_path) or (isinstance(name_or_path, (list, tuple)) and name_or_path):
        return survey_in_memory(name_or_path, refusals=policy)
    if not isinstance(name_or_path, (str, os.PathLike)) or not os.fspath(name_or_path):
        raise invalid_parameter("name_or_path", "load_survey", _MUST, repr(name_or_path)[:60])
    name = os.fspath(name_or_path)
    if isinstance(name_or_path, str):
        if name in EMBEDDED_SURVEYS:
            return _load_embedded(name, policy)
        if name.startswith("hf:"):
            return _load_from_hub(name, policy)
        if not is_survey_path(name):
            known = [*EMBEDDED_SURVEYS, f"hf:{global_opinions.HUB_NAME}"]
            raise DatasetError(f"{unknown_name('survey', name, known)} A file must end in {', '.join(FORMATS)}.")
    return read_survey_file(Path(name), refusals=policy)


def _load_embedded(name: str, policy: Refusals) -> Survey:
    read, source, population = EMBEDDED_SURVEYS[name]
    return assemble_survey(
        name,
        read(),
        problems=Problems(f"The embedded survey {name!r}"),
        refusals=policy,
        source=source,
        default_population=population,
        may_refuse=False,
    )


def _load_from_hub(name: str, policy: Refusals) -> Survey:
    repository, _, revision = name.removeprefix("hf:").partition("@")
    if repository != global_opinions.HUB_NAME or "#" in revision:
        if not revision and nearest_names(repository, [global_opinions.HUB_NAME]):
            raise DatasetError(unknown_name("survey on the hub", repository, [global_opinions.HUB_NAME]))
        found = hub_file(name)
        survey = read_survey_file(found.path, refusals=policy)
        return replace(survey, name=name, source=f"{found.words}; {survey.source}")
    questions, source = global_opinions.read_rows(global_opinions.fetch_rows(revision or None))
    return assemble_survey(
        name,
        questions,
        problems=Problems(f"The survey {name!r}"),
        refusals=policy,
        source=source,
        leave_out_degenerate=True,
    )
