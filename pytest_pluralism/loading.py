"""The hooks that load models and surveys of the kinds of this package; they come after the hooks of a project."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_pluralism.core.records import Survey
    from pytest_pluralism.datasets.surveys.refusals import RefusalPolicy
    from pytest_pluralism.models.protocol import EntailmentModel, LanguageModel, ValueModel
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
    """Load a language model of a kind of this package."""
    from pytest_pluralism.models import load_model
    from pytest_pluralism.models.lazy import lazy_model

    arguments = {
        "device": settings["device"],
        "dtype": settings["dtype"],
        "trust_remote_code": spec in settings["trust_remote_code"],
        "allow_pickle": spec in settings["allow_pickled_weights"],
        "compiled": settings["compile"],
        "merge_adapters": settings["adapters"] == "merged",
        "gguf": settings["gguf"],
    }
    load = functools.partial(load_model, spec, batch_size=settings["batch_size"], **arguments)
    # Without stored answers every model is asked, so that nothing is gained by knowing it before.
    return load() if settings["answers"] == "off" and not settings["plan"] else lazy_model(spec, load, **arguments)


@pytest.hookimpl(trylast=True)
def pytest_pluralism_load_entailment_model(spec: str, settings: Settings) -> EntailmentModel:
    """Load an entailment model of a kind of this package."""
    from pytest_pluralism.models import load_entailment_model
    from pytest_pluralism.models.lazy import lazy_entailment_model

    arguments = {"device": settings["device"], "dtype": settings["dtype"]}
    load = functools.partial(load_entailment_model, spec, batch_size=settings["batch_size"], **arguments)
    if settings["answers"] == "off":
        return load()
    model: EntailmentModel = lazy_entailment_model(spec, load, **arguments)
    return model


@pytest.hookimpl(trylast=True)
def pytest_pluralism_load_value_model(spec: str, settings: Settings) -> ValueModel:
    """Load a value model of a kind of this package."""
    from pytest_pluralism.models.backends import backend_of
    from pytest_pluralism.models.specification import parse_model_spec

    mode = settings["value_mode"]
    if mode == "auto":
        mode = "sound" if settings["protocol"] == "sound" else "compat"
    arguments = {name: settings[name] for name in ("device", "dtype", "batch_size")}
    load = backend_of(parse_model_spec(spec).kind).loader(spec, "value_model")
    model: ValueModel = load(spec, mode=mode, **arguments)
    return model


@pytest.hookimpl(trylast=True)
def pytest_pluralism_load_steered_model(
    attribute: str, spec: str, model: LanguageModel, settings: Settings
) -> LanguageModel:
    """Load an adapter or a checkpoint."""
    from pytest_pluralism.models.local.steered import load_steered_model

    return load_steered_model(spec, model, attribute=attribute, device=settings["device"], dtype=settings["dtype"])


@pytest.hookimpl(trylast=True)
def pytest_pluralism_load_survey(name: str, refusals: RefusalPolicy) -> Survey | None:
    """Load a survey of a kind of this package."""
    from pytest_pluralism.datasets import load_survey

    return load_survey(name, refusals=refusals)
