"""Surveys of real populations and windows of reasonable answers: reading and checking them, and nothing else."""

from pytest_pluralism.datasets.panels.loading import EMBEDDED_PANELS, load_panel
from pytest_pluralism.datasets.panels.records import Juror, Panel, UtilityScale
from pytest_pluralism.datasets.surveys.loading import EMBEDDED_SURVEYS, load_survey
from pytest_pluralism.datasets.surveys.refusals import RefusalPolicy, detect_refusals
from pytest_pluralism.datasets.surveys.selection import resolve_populations, survey_distributions
from pytest_pluralism.datasets.windows.loading import EMBEDDED_WINDOWS, load_windows

__all__ = [
    "EMBEDDED_PANELS",
    "EMBEDDED_SURVEYS",
    "EMBEDDED_WINDOWS",
    "Juror",
    "Panel",
    "RefusalPolicy",
    "UtilityScale",
    "detect_refusals",
    "load_panel",
    "load_survey",
    "load_windows",
    "resolve_populations",
    "survey_distributions",
]
