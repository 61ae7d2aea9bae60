"""Hooks of the plugin: how a project brings its own models, surveys and measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_pluralism.core.records import Survey
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
def pytest_pluralism_load_entailment_model(spec: str, settings: Settings) -> Any | None:
    """Return the entailment model of a SPEC, or ``None`` to leave it to the next one; ours comes last.

    In a ``conftest.py``::

        def pytest_pluralism_load_entailment_model(spec, settings):
            if spec.startswith("ours:"):
                return OurJudge(spec.removeprefix("ours:"))

    The model must have ``identity`` and ``entail(pairs, *, progress=None, receive=None)``, which returns one
    :class:`pytest_pluralism.core.records.EntailmentScores` a pair.
    """


@pytest.hookspec(firstresult=True)
def pytest_pluralism_load_value_model(spec: str, settings: Settings) -> Any | None:
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
def pytest_pluralism_load_steered_model(attribute: str, spec: str, model: LanguageModel, settings: Settings) -> Any:
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
                return load_survey(HERE / "exports" / "staff.csv", refusals=refusals)

    The survey must be a :class:`pytest_pluralism.core.records.Survey`.
    """


@pytest.hookspec
def pytest_pluralism_measures() -> Sequence[Planner]:
    """Return the measures of a project: for each the planner that turns its marker into gates.

    A planner is usually a module; here it is ``minority_mass.py`` beside the ``conftest.py``::

        import minority_mass

        def pytest_pluralism_measures():
            return [minority_mass]

    The marker has the name of the measure, ``@pytest.mark.minority_mass(...)``. Measures of a ``conftest.py`` hold for
    the tests in its folder and below, those of a plugin for all. A planner must follow
    :class:`pytest_pluralism.evaluation.measures.planning.Planner`.
    """
