"""The requests of a suite as rows of a file, for ``pluralism export``, which runs it in a child process.

.. code-block:: console

    $ python -m pytest --collect-only --pluralism-export=FILE

Rounds that depend on answers come when these are there: what was recorded is given back, and the next round is written.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from pytest_pluralism.core.errors import PluralismError
from pytest_pluralism.run.items import PLANS, Json, test_of

if TYPE_CHECKING:
    from pytest_pluralism.core.records import RequestName
    from pytest_pluralism.evaluation.asking.rounds import Evaluation, Round
    from pytest_pluralism.models.recorded.ids import Asked
    from pytest_pluralism.models.recorded.model import RecordedModel

__all__ = ["ANSWERS", "OPTION", "Export"]

OPTION, ANSWERS = "--pluralism-export", "--pluralism-export-answers"

SCHEMA = "pytest-pluralism/export/1"


class Export:
    """Writes the requests of all collected promises, each once, and beside them a summary.

    Parameters
    ----------
    path : Path
        The file of rows; the summary has the same name with ``.summary``.
    answers : sequence of str
        The recordings that are there: ``FILE``, or ``ROLE=FILE`` for another model than the one under test.
    """

    def __init__(self, path: Path, answers: Sequence[str]) -> None:
        self._path = path
        self._recordings: dict[str, list[RecordedModel]] = {}
        self._seen: set[tuple[str, str]] = set()
        #: Texts by id, as the test that wants the most draws of one asks for them.
        self._texts: dict[tuple[str, str], Json] = {}
        self._counts: Counter[str] = Counter()
        self._notes: dict[str, None] = {}
        self._answers = answers

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write the files."""
        from pytest_pluralism.models.recorded.model import load_recorded

        problems: list[str] = []
        try:
            for text in self._answers:
                role, equals, file = text.partition("=")
                role, file = (role, file) if equals and role.endswith("_model") else ("language_model", text)
                spec = f"responses:{file}" + ("" if "#" in file else "#recorded")
                self._recordings.setdefault(role, []).append(load_recorded(spec))
            self._write(session.items, problems)
        except PluralismError as error:
            problems.append(str(error))
        content = {
            "schema": SCHEMA,
            "requests": dict(self._counts),
            "notes": list(self._notes),
            "problems": problems,
        }
        Path(f"{self._path}.summary").write_text(json.dumps(content), encoding="utf-8")

    def _write(self, items: Sequence[pytest.Item], problems: list[str]) -> None:
        with self._path.open("w", encoding="utf-8") as file:
            for item in items:
                plans, wrong = item.stash.get(PLANS, ([], []))
                problems += [f"{test_of(item)}: {problem}" for problem in wrong]
                for plan in plans:
                    try:
                        for row in self._rows(plan.evaluation, f"{test_of(item)} {plan.key}"):
                            file.write(json.dumps(row, ensure_ascii=False) + "\n")
                    except PluralismError as error:
                        problems.append(f"{test_of(item)}: {error}")
            for row in self._texts.values():
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _rows(self, evaluation: Evaluation, key: str) -> Iterator[Json]:
        """Yield what an evaluation asks next, after all rounds whose answers are there."""
        from pytest_pluralism.evaluation.asking.meanings import Named, introduce

        names: Mapping[object, RequestName] = dict(evaluation.names()) if isinstance(evaluation, Named) else {}
        for models in self._recordings.values():
            for model in models:
                introduce(evaluation, model)
        rounds = evaluation.rounds()
        number = 0
        try:
            asked = next(rounds)
            while True:
                number += 1
                if not isinstance(asked.role, str) or asked.work == "objectives":
                    what = "functions of the project" if asked.work == "objectives" else "a steered model"
                    self._notes[f"{key}: asks {what}, which a file cannot answer"] = None
                    return
                found = [self._known(asked, request) for request in asked.requests]
                missing = [one for one, result in zip(asked.requests, found, strict=True) if result is None]
                if missing:
                    yield from self._written(asked, cast("list[Asked]", missing), names, number)
                    return
                asked = rounds.send(found)
        except StopIteration:
            return

    def _known(self, asked: Round, request: object) -> object:
        for model in self._recordings.get(str(asked.role), ()):
            result = model.find(asked.work, request, asked.settings, asked.n_draws)
            if result is not None:
                return result
        return None

    def _written(
        self, asked: Round, missing: Sequence[Asked], names: Mapping[object, RequestName], number: int
    ) -> Iterator[Json]:
        from pytest_pluralism.models.recorded.exported import exported_row

        role = str(asked.role)
        for request in missing:
            row = exported_row(
                request,
                work=asked.work,
                role=role,
                number=number,
                settings=asked.settings,
                n_draws=asked.n_draws,
                name=names.get(request),
            )
            place = (role, row["prompt_id"])
            self._counts[role] += place not in self._seen
            if asked.work == "responses":
                if self._texts.get(place, {"n_draws": 0})["n_draws"] < asked.n_draws:
                    self._texts[place] = row
            elif place not in self._seen:
                yield row
            self._seen.add(place)
