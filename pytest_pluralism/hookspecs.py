"""Hooks of the plugin, by which a project brings its own models, data and measures.

A hook in a ``conftest.py`` holds for the tests under the folder of that file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_pluralism.core.records import Survey, WindowSet
    from pytest_pluralism.datasets.panels.records import Panel
    from pytest_pluralism.datasets.steering.file import SteeringSet
    from pytest_pluralism.evaluation.measures.planning import Planner
    from pytest_pluralism.models.protocol import LanguageModel
    from pytest_pluralism.settings.resolving import Settings


@pytest.hookspec(firstresult=True)
def pytest_pluralism_load_model(spec: str, settings: Settings) -> LanguageModel | None:
    """Return the model of a SPEC, or ``None`` to leave it to the next one; ours comes last.

    In a ``conftest.py``::

        def pytest_pluralism_load_model(spec, settings):
            if spec.startswith("ours:"):
                return OurModel(spec.removeprefix("ours:"))

    The model must follow :class:`pytest_pluralism.models.protocol.LanguageModel`.
    """


@pytest.hookspec(firstresult=True)
def pytest_pluralism_load_entailment_model(spec: str, settings: Settings) -> object | None:
    """Return the entailment model of a SPEC, or ``None`` to leave it to the next one; ours comes last.

    In a ``conftest.py``::

        def pytest_pluralism_load_entailment_model(spec, settings):
            if spec.startswith("ours:"):
                return OurJudge(spec.removeprefix("ours:"))

    The model must have ``identity`` and ``entail(pairs, *, progress=None)``, which returns one
    :class:`pytest_pluralism.core.records.EntailmentScores` for each pair. With ``receive=None`` among its keywords it
    may pass lists of (pair, scores) on as they come, so that they are stored batch by batch.
    """


@pytest.hookspec(firstresult=True)
def pytest_pluralism_load_value_model(spec: str, settings: Settings) -> object | None:
    """Return the value model of a SPEC, or ``None`` to leave it to the next one; ours comes last.

    In a ``conftest.py``::

        def pytest_pluralism_load_value_model(spec, settings):
            if spec.startswith("ours:"):
                return OurReward(spec.removeprefix("ours:"))

    The model must have ``identity`` and ``reward(requests, *, progress=None)``, which returns one float for each
    :class:`pytest_pluralism.core.records.RewardRequest`. With ``receive=None`` among its keywords it may pass lists of
    (request, reward) on as they come, so that they are stored batch by batch.
    """


@pytest.hookspec(firstresult=True)
def pytest_pluralism_load_steered_model(
    attribute: str, spec: str, model: LanguageModel, settings: Settings
) -> object | None:
    """Return a model that is steered to an attribute by its weights or while it decodes; ours comes last.

    ``spec`` is the field ``model`` of the attribute (it may be empty), ``model`` the model under test. In a
    ``conftest.py``::

        def pytest_pluralism_load_steered_model(attribute, spec, model, settings):
            return OurDecoder(model, towards=attribute)

    The model must follow :class:`pytest_pluralism.models.protocol.LanguageModel`, with an identity of its own.
    """


@pytest.hookspec(firstresult=True)
def pytest_pluralism_load_survey(name: str, refusals: str) -> Survey | None:
    """Return the survey of a name, or ``None`` to leave it to the next one; ours comes last.

    In a ``conftest.py``::

        def pytest_pluralism_load_survey(name, refusals):
            if name == "staff_2026":
                return load_survey(Path(__file__).with_name("staff.jsonl"), refusals=refusals)

    The survey must be a :class:`pytest_pluralism.core.records.Survey`.
    """


@pytest.hookspec
def pytest_pluralism_measures() -> Sequence[Planner]:  # type: ignore[empty-body]
    """Return the measures of a project: for each the planner that turns its marker into gates.

    A planner is usually a module; here it is ``minority_mass.py`` beside the ``conftest.py``::

        import minority_mass

        def pytest_pluralism_measures():
            return [minority_mass]

    The marker has the name of the measure, ``@pytest.mark.minority_mass(...)``. Measures of a ``conftest.py`` hold for
    the tests in its folder and below, those of a plugin for all. A planner must follow
    :class:`pytest_pluralism.evaluation.measures.planning.Planner`.
    """


@pytest.hookspec(firstresult=True)
def pytest_pluralism_load_windows(name: str) -> WindowSet | None:
    """Return the set of Overton windows of a name, or ``None`` to leave it to the next one; ours come last.

    In a ``conftest.py``::

        def pytest_pluralism_load_windows(name):
            if name == "support_2026":
                return load_windows(Path(__file__).with_name("support.jsonl"))

    The set must be a :class:`pytest_pluralism.core.records.WindowSet`.
    """


@pytest.hookspec(firstresult=True)
def pytest_pluralism_load_panel(name: str) -> Panel | None:
    """Return the panel of a name, or ``None`` to leave it to the next one; ours come last.

    In a ``conftest.py``::

        def pytest_pluralism_load_panel(name):
            if name == "raters_2026":
                return load_panel(Path(__file__).with_name("raters.jsonl"))

    The panel must be a :class:`pytest_pluralism.datasets.Panel`. The keywords of a marker that say how a file is read
    (``scale``, ``columns``, ``values``, ``leave_out_empty``) are refused for it.
    """


@pytest.hookspec(firstresult=True)
def pytest_pluralism_load_steering(name: str, refusals: str) -> SteeringSet | None:
    """Return the steering set of a name, or ``None`` to leave it to the next one; ours come last.

    In a ``conftest.py``::

        def pytest_pluralism_load_steering(name, refusals):
            if name == "values_2026":
                return load_steering(str(Path(__file__).with_name("values.jsonl")), refusals=refusals)

    The set must be a :class:`pytest_pluralism.datasets.steering.file.SteeringSet`.
    """
