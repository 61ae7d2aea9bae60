"""The models of a suite by role, for runs in which no test runs and no fixture loads them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import pytest

from pytest_pluralism.core.errors import ModelError, PluralismError
from pytest_pluralism.evaluation.asking.rounds import ROLES, JudgeModel, ModelOf, Role, SteeredModel
from pytest_pluralism.run.items import by_suite, model_id
from pytest_pluralism.run.session import PluralismSession

if TYPE_CHECKING:
    from pytest_pluralism.evaluation.asking.rounds import Identified
    from pytest_pluralism.models.protocol import LanguageModel

__all__ = ["SuiteModels"]

_Found = TypeVar("_Found")


class SuiteModels:
    """Loads each model of a suite when it is first wanted.

    Parameters
    ----------
    session : PluralismSession
        The run.
    option : str
        The option of the run, for messages.
    """

    def __init__(self, session: PluralismSession, option: str) -> None:
        self._session, self._option = session, option
        self._models: dict[str, Identified] = {}

    def of(self, spec: str) -> ModelOf:
        """Return the models of a suite by role, for the model under test that a spec names."""
        session = self._session
        loaders: dict[str, Callable[[], Identified]] = {
            "language_model": lambda: session.models.load_model(spec),
            "reference_language_model": lambda: session.models.load_model(self._named("reference_model")),
            "entailment_model": lambda: session.models.load_entailment_model(self._named("entailment_model")),
            "value_model": lambda: session.models.load_value_model(self._named("value_model")),
        }

        def found(role: Role) -> Identified:
            if isinstance(role, SteeredModel):
                return session.models.steered_model(role, cast("LanguageModel", found("language_model")))
            if isinstance(role, JudgeModel) or role == ROLES["similarities"]:
                return session.models.judging_model(role)
            if role not in self._models:
                if role not in loaders:
                    raise ModelError(
                        f"the model {role!r} is a fixture of the project, which {self._option} cannot ask."
                    )
                self._models[role] = loaders[role]()
            return self._models[role]

        return found

    def each(
        self, items: Sequence[pytest.Item], judge: Callable[[str, Sequence[pytest.Item]], _Found], /
    ) -> Iterator[tuple[str, str, Sequence[pytest.Item], _Found | PluralismError]]:
        """Judge every suite of every model under test, one after the other.

        Parameters
        ----------
        items : sequence of pytest.Item
            The tests of the run.
        judge : callable
            Judges the tests of one suite for the model that a spec names; without tests where all are skipped.

        Yields
        ------
        tuple
            The spec, the name of the model, the tests of the suite, and what ``judge`` returned, or the error that it
            raised.
        """
        for spec in self._session.settings["model"]:
            for suite in by_suite(items, spec) or [[]]:
                name = model_id(spec)
                if suite:
                    self._session.models.enter(suite[0])
                found: _Found | PluralismError
                try:
                    if suite:
                        name = self.of(spec)("language_model").identity.name
                    found = judge(spec, suite)
                except PluralismError as error:
                    found = error
                finally:
                    self.close()
                yield spec, name, suite, found

    def close(self) -> None:
        """Give back the memory of the models."""
        self._session.models.close_steered()
        self._session.models.close_judging()
        for model in self._models.values():
            with contextlib.suppress(Exception):
                getattr(model, "close", lambda: None)()
        self._models.clear()

    def _named(self, setting: str) -> str:
        spec: str | None = self._session.settings[setting]
        if spec is None:
            raise ModelError(f"no model is named for this. Add --pluralism-{setting.replace('_', '-')}=SPEC.")
        return spec
