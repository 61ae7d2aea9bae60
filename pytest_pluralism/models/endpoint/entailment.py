"""An entailment model behind a server: a classifier, a scorer or a reranker of pairs, or a language model as judge."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import EntailmentPair, EntailmentScores, Prompt
from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.models.address import parse_address
from pytest_pluralism.models.endpoint.client import CONCURRENCY, Client, RefusedError
from pytest_pluralism.models.endpoint.language_model import EndpointModel
from pytest_pluralism.models.endpoint.loading import load_endpoint_model
from pytest_pluralism.models.protocol import ModelIdentity, Progress, ReceiveEntailments

__all__ = ["JUDGE", "EndpointEntailmentModel", "load_endpoint_entailment_model"]

#: The question of a judge. The share of the first label among the two is the probability of entailment.
JUDGE = "Text 1: {premise}\n\nText 2: {hypothesis}\n\nDoes text 1 say or imply what text 2 says?\nA. Yes\nB. No"

#: Pairs that tell one classifier from another, of which the first is entailment and the second is not.
CANARIES = (
    EntailmentPair("A man is playing a guitar on a stage.", "Somebody makes music."),
    EntailmentPair("A man is playing a guitar on a stage.", "Nobody is on the stage."),
    EntailmentPair("The shop closes at six.", "The shop is open all night."),
)

#: The names that servers give to the outputs of a three-way classifier.
_OUTPUTS = {"entailment": "entailment", "neutral": "neutral", "contradiction": "contradiction", "entail": "entailment"}

#: By so much a sum of probabilities may differ from 1.
ROUNDED = 5e-3


class EndpointEntailmentModel:
    """An entailment model behind a server.

    Parameters
    ----------
    client : Client
        The connections; those of the judge where a language model judges.
    route : str
        ``"classify"``, ``"score"``, ``"rerank"`` or ``"judge"``.
    judge : EndpointModel, optional
        The language model that judges.
    """

    def __init__(self, client: Client, route: str, *, judge: EndpointModel | None = None) -> None:
        self.client, self.route, self.judge = client, route, judge
        self.identity = ModelIdentity("", client.address.model, "", "served", "endpoint")

    @property
    def place(self) -> str:
        """The servers, as the subject of a sentence."""
        return f"The endpoint {', '.join(replica.api for replica in self.client.address.replicas)}"

    def close(self) -> None:
        """Close the connections; the model cannot be asked any more."""
        self.client.close()

    def take_notes(self) -> list[str]:
        """Return what the run should say, once."""
        return self.judge.take_notes() if self.judge is not None else []

    def entail(
        self,
        pairs: Sequence[EntailmentPair],
        /,
        *,
        progress: Progress | None = None,
        receive: ReceiveEntailments | None = None,
    ) -> list[EntailmentScores]:
        """Return how probable it is that each premise entails its hypothesis, in the order of the pairs.

        Raises
        ------
        ModelError
            The server cannot be reached, or gives what cannot be true.
        """
        distinct = list(dict.fromkeys(pairs))
        found: dict[EntailmentPair, EntailmentScores] = {}

        def pass_on(batch: list[tuple[int, EntailmentScores]]) -> None:
            fresh = [(distinct[number], scores) for number, scores in batch]
            found.update(fresh)
            if receive is not None:
                receive(fresh)
            if progress is not None:
                progress(len(pairs) if len(found) == len(distinct) else len(found), len(pairs))

        self.client.each([functools.partial(self.scored, pair) for pair in distinct], pass_on)
        return [found[pair] for pair in pairs]

    async def scored(self, pair: EntailmentPair) -> EntailmentScores:
        """Return the scores of one pair."""
        if self.judge is not None:
            return await self._judged(self.judge, pair)
        asks: Mapping[str, Callable[[EntailmentPair], Awaitable[EntailmentScores]]] = {
            "classify": self._classified,
            "score": self._scored,
            "rerank": self._reranked,
        }
        return await asks[self.route](pair)

    async def _judged(self, judge: EndpointModel, pair: EntailmentPair) -> EntailmentScores:
        """Return the share of "yes" among the two answers of a judge."""
        answer = await judge.answered(judge_prompt(pair), judge.send)
        if answer.open_share > MOST_OPEN:
            raise ModelError(
                f"{self.place} leaves the judgement of a pair open by {answer.open_share:.3f}, because it shows too "
                "few likeliest tokens. Serve the judge with more of them."
            )
        yes, no = (math.exp(value) for value in answer.log_probabilities)
        if answer.option_mass < LEAST_MASS:
            top = printable(answer.top_token)
            raise ModelError(
                f"{self.place} answers neither A nor B when it is asked to judge (probability "
                f"{answer.option_mass:.3f}; its likeliest token is {top!r}). Name a model that follows instructions."
            )
        return EntailmentScores(yes / (yes + no))

    async def _classified(self, pair: EntailmentPair) -> EntailmentScores:
        """Return the probabilities of a classifier's outputs by their names (``/predict`` of TEI)."""
        body = {"inputs": [[pair.premise, pair.hypothesis]], "raw_scores": False}
        reply = await self.client.post("//predict", body)
        rows = reply[0] if isinstance(reply, list) and len(reply) == 1 else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._wrong("no outputs with names", reply)
        named = {str(row.get("label")).casefold(): self._probability(row.get("score"), reply) for row in rows}
        known = {_OUTPUTS[name]: value for name, value in named.items() if name in _OUTPUTS}
        if set(known) != {"entailment", "neutral", "contradiction"} or len(named) != 3:
            raise self._wrong("outputs that are not entailment, neutral and contradiction", sorted(named))
        if abs(math.fsum(known.values()) - 1.0) > ROUNDED:
            raise self._wrong(f"outputs that sum to {math.fsum(known.values()):.3f}", reply)
        return EntailmentScores(known["entailment"], known["neutral"], known["contradiction"])

    async def _scored(self, pair: EntailmentPair) -> EntailmentScores:
        """Return the score of a pair (``/score`` of vLLM)."""
        body = {"model": self.client.address.model, "text_1": pair.premise, "text_2": pair.hypothesis}
        reply = await self.client.post("/score", body)
        rows = reply.get("data") if isinstance(reply, dict) else None
        if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], dict):
            raise self._wrong("something else than one score", reply)
        return EntailmentScores(self._probability(rows[0].get("score"), reply))

    async def _reranked(self, pair: EntailmentPair) -> EntailmentScores:
        """Return the relevance of the premise for the hypothesis (``/rerank`` of vLLM, TEI and llama.cpp)."""
        body = {"model": self.client.address.model, "query": pair.hypothesis, "documents": [pair.premise]}
        reply = await self.client.post("/rerank", body)
        rows = reply.get("results") if isinstance(reply, dict) else None
        if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], dict):
            raise self._wrong("something else than one result", reply)
        return EntailmentScores(self._probability(rows[0].get("relevance_score"), reply))

    def _probability(self, value: object, reply: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
            raise self._wrong("a score that is not a probability in [0, 1]", reply)
        return float(value)

    def _wrong(self, what: str, given: object) -> ModelError:
        shown = printable(" ".join(str(given).split()), most=120)
        return ModelError(f"{self.place} gave {what} on the route {self.route}: {shown}.")


#: Below this probability on both labels a judge has not answered.
LEAST_MASS = 0.05

#: So much of a judgement may be open.
MOST_OPEN = 2e-3


def judge_prompt(pair: EntailmentPair, /) -> Prompt:
    """Return the question that a judge is asked about a pair."""
    return Prompt(JUDGE.format(premise=pair.premise, hypothesis=pair.hypothesis), ("A", "B"))


def load_endpoint_entailment_model(
    spec: str, /, *, batch_size: int | str = "auto", **options: object
) -> EndpointEntailmentModel:
    """Open a served entailment model.

    Parameters
    ----------
    spec : str
        ``endpoint:URL[,URL...]#MODEL[?route=classify|score|rerank|judge]``; without a route they are tried in this
        order.
    batch_size : int or "auto"
        Maximum number of requests at once.
    options
        Not used: the device, the number format and the like are the server's.

    Raises
    ------
    ModelError
        The server cannot be reached or has none of the routes, or does not tell entailment from its opposite.
    """
    del options
    address = parse_address(spec, spec.strip().partition(":")[2])
    routes = (address.route,) if address.route is not None else ("classify", "score", "rerank", "judge")
    refusals = []
    for route in routes:
        if route == "judge":
            judge = load_endpoint_model(spec, batch_size=batch_size)
            return _opened(spec, EndpointEntailmentModel(judge.client, route, judge=judge))
        client = Client(address, concurrency=CONCURRENCY if isinstance(batch_size, str) else batch_size)
        try:
            return _opened(spec, EndpointEntailmentModel(client, route))
        except RefusedError as error:
            client.close()
            if error.status not in {400, 404, 405, 415, 422, 501} or address.route is not None:
                raise
            refusals.append(str(error))
        except BaseException:
            client.close()
            raise
    raise ModelError(refusals[-1])


def _opened(spec: str, model: EndpointEntailmentModel) -> EndpointEntailmentModel:
    """Ask for pairs whose relations are known, and give the model its identity by the answers.

    Raises
    ------
    ModelError
        The model takes a contradiction for a likelier entailment than an entailment.
    """
    try:
        scores = [model.client.wait_for(functools.partial(model.scored, pair)) for pair in CANARIES]
    except BaseException:
        if model.judge is not None:
            model.close()
        raise
    values = [one.entailment for one in scores]
    if not values[0] > max(values[1:]):
        model.close()
        raise ModelError(
            f"{model.place} does not judge entailment on the route {model.route}: it gives {values[0]:.3f} to "
            f"{CANARIES[0].hypothesis!r} after {CANARIES[0].premise!r}, and {max(values[1:]):.3f} to the opposite. "
            "Name an entailment model, or another route (?route=judge for a language model)."
        )
    behaviour = [[round(value, 4) for value in dataclasses.astuple(one) if value is not None] for one in scores]
    by_judge = model.judge.identity.sha256 if model.judge is not None else ""
    if model.judge is not None and not model.judge.reads_probabilities:
        # A share among few texts is another number than one among many, and keeps no counts.
        by_judge += f" of {model.judge.n_samples}"
    said = json.dumps([model.client.address.model, model.route, JUDGE, by_judge, behaviour])
    notes: tuple[str, ...] = (
        f"pairs are asked on the route {model.route} of a server, which cannot prove which model it serves",
    )
    if model.judge is not None:
        share = "probabilities" if model.judge.reads_probabilities else f"{model.judge.n_samples} sampled texts"
        notes += (f"the judge is asked {JUDGE[-50:]!r}, and entailment is the share of A among A and B in its {share}",)
    model.identity = ModelIdentity(
        spec=spec,
        name=model.client.address.model,
        sha256=hashlib.sha256(said.encode()).hexdigest(),
        dtype="served",
        device="endpoint",
        architecture=f"{model.route} route",
        notes=notes,
    )
    return model
