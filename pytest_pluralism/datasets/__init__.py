"""Surveys of real populations: reading and checking them, and nothing else."""

from pytest_pluralism.datasets.loading import EMBEDDED_SURVEYS, load_survey
from pytest_pluralism.datasets.refusals import RefusalPolicy, detect_refusals
from pytest_pluralism.datasets.selection import resolve_populations, survey_distributions

__all__ = [
    "EMBEDDED_SURVEYS",
    "RefusalPolicy",
    "detect_refusals",
    "load_survey",
    "resolve_populations",
    "survey_distributions",
]
