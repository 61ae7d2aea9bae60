"""Finding a survey by its name or its path."""

from __future__ import annotations

import os
from collections.abc import Callable

from pytest_pluralism.core.errors import DatasetError, invalid_parameter, unknown_name
from pytest_pluralism.core.records import Survey
from pytest_pluralism.datasets import gss
from pytest_pluralism.datasets.protocol import Problems, ReadQuestion, assemble_survey
from pytest_pluralism.datasets.refusals import RefusalPolicy, check_refusal_policy

__all__ = ["EMBEDDED_SURVEYS", "load_survey"]

#: Name -> (reader, source, default population) of the surveys that come with the extra ``embedded``.
EMBEDDED_SURVEYS: dict[str, tuple[Callable[[], tuple[ReadQuestion, ...]], str, str]] = {
    "gss": (gss.read_gss, gss.SOURCE, gss.DEFAULT_POPULATION),
}


def load_survey(name_or_path: str | os.PathLike[str], /, *, refusals: RefusalPolicy = "keep") -> Survey:
    """Load a survey."""
    policy = check_refusal_policy(refusals, function="load_survey")
    if not isinstance(name_or_path, (str, os.PathLike)) or not os.fspath(name_or_path):
        raise invalid_parameter("name_or_path", "load_survey", "the name of a survey or a path", repr(name_or_path))
    if isinstance(name_or_path, str) and name_or_path in EMBEDDED_SURVEYS:
        read, source, population = EMBEDDED_SURVEYS[name_or_path]
        return assemble_survey(
            name_or_path,
            read(),
            problems=Problems(f"The embedded survey {name_or_path!r}"),
            refusals=policy,
            source=source,
            default_population=population,
        )
    raise DatasetError(unknown_name("survey", str(name_or_path), list(EMBEDDED_SURVEYS)))
