"""The results of the shards of a run: what a shard writes of each request, and the model that gives it back."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import GenerationSettings, Prompt, Response
from pytest_pluralism.core.records.plain import JsonFields, JsonObject
from pytest_pluralism.models.answers.kinds import (
    ANSWERS,
    ENTAILMENTS,
    FULL_ANSWERS,
    RESPONSES,
    REWARDS,
    Kind,
    canonical,
    decode,
    encode,
)
from pytest_pluralism.models.noise import NoiseFloor
from pytest_pluralism.models.protocol import ModelIdentity
from pytest_pluralism.models.recorded.ids import prompt_id

__all__ = ["MergedModel", "place_of", "result_row"]

#: The kinds of work that a shard can hold.
KINDS: Mapping[str, Kind[Any, Any]] = {
    "answers": ANSWERS,
    "full_answers": FULL_ANSWERS,
    "responses": RESPONSES,
    "entailment": ENTAILMENTS,
    "rewards": REWARDS,
}

#: The work, the id of the request, and the number of the draw.
Place = tuple[str, str, int]


def _place(work: str, cell: Any) -> Place:
    if work == "responses":
        prompt, settings, draw = cell
        return work, prompt_id(prompt, settings), draw
    return work, prompt_id(cell), 0


def place_of(row: JsonObject, /) -> Place:
    """Return which request and draw a row of a shard answers."""
    return row["work"], row["id"], row["draw"]


def result_row(work: str, cell: Hashable, result: object, /) -> JsonFields | None:
    """Return one result as plain JSON values from which it comes back exactly; ``None`` where it cannot.

    Parameters
    ----------
    work : str
        The kind of work.
    cell : hashable
        The request; of texts with its settings and the number of the draw.
    result : object
        The result.
    """
    kind = KINDS.get(work)
    encoded = None if kind is None else encode(kind, cell, result)
    if encoded is None:
        return None
    _, name, draw = _place(work, cell)
    # Read again, because a shard is one JSON document.
    return {"work": work, "id": name, "draw": draw, "result": json.loads(encoded.decode("utf-8", "surrogatepass"))}


class MergedModel:
    """A model whose results stand in the shards of a run.

    Parameters
    ----------
    identity : ModelIdentity
        The identity that it had in the shards.
    rows : iterable of mapping
        The rows that :func:`result_row` made of its results; of several for one request the first counts.
    noise : NoiseFloor, optional
        The noise floor that was measured there.
    versions : mapping, optional
        The versions of the packages that decided the numbers.
    """

    #: True for a model whose answers need not be stored once more.
    is_recorded = True

    def __init__(
        self,
        identity: ModelIdentity,
        rows: Iterable[JsonObject],
        *,
        noise: NoiseFloor | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        self.identity, self.noise = identity, noise
        self.versions = dict(versions or {})
        self._results: dict[Place, object] = {}
        for row in rows:
            self._results.setdefault(place_of(row), row["result"])

    def answer(self, prompts: Sequence[object], /, **_: object) -> list[Any]:
        """Return the answer to each prompt."""
        return self._each("answers", prompts)

    def score_answers(self, prompts: Sequence[object], /, **_: object) -> list[Any]:
        """Return the scores of whole answers to each prompt."""
        return self._each("full_answers", prompts)

    def generate(
        self, prompts: Sequence[Prompt], /, settings: GenerationSettings, *, n_draws: int = 1, **_: object
    ) -> list[tuple[Response, ...]]:
        """Return the texts after each prompt."""
        return [
            tuple(self._each("responses", [(prompt, settings, draw) for draw in range(n_draws)])) for prompt in prompts
        ]

    def entail(self, pairs: Sequence[object], /, **_: object) -> list[Any]:
        """Return the entailment of each pair."""
        return self._each("entailment", pairs)

    def reward(self, requests: Sequence[object], /, **_: object) -> list[Any]:
        """Return the reward of each response."""
        return self._each("rewards", requests)

    def noise_floor_told(self) -> NoiseFloor | None:
        """Return the noise floor that the shards measured."""
        return self.noise

    def unused_note(self) -> str:
        """Return nothing: shards hold what their promises asked."""
        return ""

    def close(self) -> None:
        """Do nothing."""

    def _each(self, work: str, cells: Sequence[object]) -> list[Any]:
        found = []
        for cell in cells:
            content = self._results.get(_place(work, cell))
            result = None if content is None else decode(KINDS[work], canonical(content), cell)
            if result is None:
                raise ModelError(
                    f"The shards hold no result of {self.identity.name} for a request ({_place(work, cell)[1]}). A "
                    "shard could not compute it, or the body of a test asks it, which no shard runs: promise it in a "
                    "marker, or run that test without shards."
                )
            found.append(result)
        return found
