"""Surveys of real populations and windows of reasonable answers: reading and checking them, and nothing else."""

from pytest_pluralism.datasets.loading import EMBEDDED_SURVEYS, load_survey
from pytest_pluralism.datasets.refusals import RefusalPolicy, detect_refusals
from pytest_pluralism.datasets.selection import resolve_populations, survey_distributions
from pytest_pluralism.datasets.windows import EMBEDDED_WINDOWS, load_windows

__all__ = [
    "EMBEDDED_SURVEYS",
    "EMBEDDED_WINDOWS",
    "RefusalPolicy",
    "detect_refusals",
    "load_survey",
    "load_windows",
    "resolve_populations",
    "survey_distributions",
]
