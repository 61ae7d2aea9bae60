"""The table of backends, without torch."""

from __future__ import annotations

import importlib.util
from importlib.metadata import metadata

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.evaluation.asking.engine import WORKS
from pytest_pluralism.evaluation.asking.rounds import ROLES
from pytest_pluralism.models.backends import ABILITIES, BACKENDS, ROLE_ABILITIES, forms

EVERY = pytest.mark.parametrize("backend", BACKENDS.values(), ids=lambda backend: backend.kind)


@EVERY
def test_what_loads_a_model_is_there(backend):
    if any(importlib.util.find_spec(name) is None for name in backend.packages):
        pytest.skip("its packages are not installed")
    for role in backend.loaders:
        assert callable(backend.loader("spec", role))
        assert set(ROLE_ABILITIES[role]) <= set(backend.can)


@EVERY
def test_extras_of_the_table_are_those_of_the_package(backend):
    known = metadata("pytest-pluralism").get_all("Provides-Extra")
    assert all(extra in known for extra in filter(None, backend.extra.split(",")))
    assert bool(backend.extra) is bool(backend.loaders)


def test_abilities_are_those_that_the_engine_asks_for():
    # The encoder of texts is packaged and has no spec.
    works = [work for work in WORKS.values() if work.method and ROLES[work.name] != "text_encoder"]
    asked = {(ROLES[work.name], work.method, work.does) for work in works}
    assert asked == {(role, name, ABILITIES[name]) for role, names in ROLE_ABILITIES.items() for name in names}


@pytest.mark.parametrize("role", ROLE_ABILITIES)
@EVERY
def test_a_role_that_a_kind_cannot_have_is_refused_with_the_kinds_that_can(backend, role):
    if role in backend.loaders:
        assert backend.form in forms(role)
        backend.check_role("spec", role)
        return
    why = (
        r"which can .*, but cannot .*: it is not an? " if backend.loaders else "which cannot be served by this version"
    )
    with pytest.raises(ModelError, match=f"The model 'spec' is {backend.what}, {why}") as caught:
        backend.loader("spec", role)
    assert str(caught.value).endswith(f"Name {forms(role)}.")
