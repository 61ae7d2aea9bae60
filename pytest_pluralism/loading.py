"""How models and surveys of our own kinds are loaded: the hooks that come after those of a project."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_pluralism.core.records import Survey
    from pytest_pluralism.models.protocol import LanguageModel
    from pytest_pluralism.settings.resolving import Settings

__all__ = [
    "pytest_pluralism_load_entailment_model",
    "pytest_pluralism_load_model",
    "pytest_pluralism_load_steered_model",
    "pytest_pluralism_load_survey",
    "pytest_pluralism_load_value_model",
]


@pytest.hookimpl(trylast=True)
def pytest_pluralism_load_model(spec: str, settings: Settings) -> LanguageModel | None:
    """Load a model of our own kinds."""
    from pytest_pluralism.models import load_model
    from pytest_pluralism.models.lazy import lazy_model

    arguments = {
        "device": settings["device"],
        "dtype": settings["dtype"],
        "trust_remote_code": spec in settings["trust_remote_code"],
        "allow_pickle": spec in settings["allow_pickled_weights"],
        "compiled": settings["compile"],
    }
    load = functools.partial(load_model, spec, batch_size=settings["batch_size"], **arguments)
    # Without stored answers every model is asked, so that nothing is gained by knowing it before.
    return load() if settings["answers"] == "off" and not settings["plan"] else lazy_model(spec, load, **arguments)


@pytest.hookimpl(trylast=True)
def pytest_pluralism_load_entailment_model(spec: str, settings: Settings) -> Any:
    """Load an entailment model of our own kinds."""
    from pytest_pluralism.models.lazy import lazy_entailment_model
    from pytest_pluralism.models.local.entailment import load_entailment_model

    arguments = {"device": settings["device"], "dtype": settings["dtype"]}
    load = functools.partial(load_entailment_model, spec, batch_size=settings["batch_size"], **arguments)
    return load() if settings["answers"] == "off" else lazy_entailment_model(spec, load, **arguments)


@pytest.hookimpl(trylast=True)
def pytest_pluralism_load_value_model(spec: str, settings: Settings) -> Any:
    """Load a value model of our own kinds."""
    from pytest_pluralism.models.local.value_models import load_value_model

    mode = settings["value_mode"]
    if mode == "auto":
        mode = "sound" if settings["protocol"] == "sound" else "compat"
    return load_value_model(
        spec, mode=mode, device=settings["device"], dtype=settings["dtype"], batch_size=settings["batch_size"]
    )


@pytest.hookimpl(trylast=True)
def pytest_pluralism_load_steered_model(attribute: str, spec: str, model: Any, settings: Settings) -> Any:
    """Load an adapter or a checkpoint."""
    from pytest_pluralism.models.local.steered import load_steered_model

    return load_steered_model(spec, model, attribute=attribute, device=settings["device"], dtype=settings["dtype"])


@pytest.hookimpl(trylast=True)
def pytest_pluralism_load_survey(name: str, refusals: str) -> Survey | None:
    """Load a survey of our own kinds."""
    from pytest_pluralism.datasets import load_survey

    return load_survey(name, refusals=refusals)
