"""Opens a served model: probes its servers, sees that they serve the same, and gives it an identity."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Sequence

from pytest_pluralism.core.errors import ModelChangedError, ModelError
from pytest_pluralism.core.estimation.drawing import MOST_DRAWS
from pytest_pluralism.core.records import Prompt
from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.models.address import EndpointAddress, parse_address
from pytest_pluralism.models.answers.kinds import ENGINE_NUMERICS
from pytest_pluralism.models.endpoint.abilities import Abilities
from pytest_pluralism.models.endpoint.client import CONCURRENCY, Client, Server
from pytest_pluralism.models.endpoint.language_model import EndpointModel, Send, Way
from pytest_pluralism.models.endpoint.letters import PARSE
from pytest_pluralism.models.endpoint.probe import CHATML, Probe, has_chat_form, tokenize_body
from pytest_pluralism.models.endpoint.replies import token_ids_of
from pytest_pluralism.models.measured import MeasuredFile
from pytest_pluralism.models.prompts import PromptReader
from pytest_pluralism.models.protocol import ModelIdentity

__all__ = ["load_endpoint_model"]

#: The questions whose answers tell one model from another.
CANARIES = tuple(
    Prompt(f"How do you feel about {topic}?\nA. {first}\nB. {second}\nC. {third}", ("A", "B", "C"))
    for topic, first, second, third in (
        ("the news", "Good", "Bad", "Neither"),
        ("the courts", "A great deal of trust", "Some", "Hardly any"),
        ("your neighbours", "Often", "Seldom", "Never"),
        ("large companies", "Worse", "The same", "Better"),
        ("the schools near you", "Very satisfied", "Fairly satisfied", "Not satisfied"),
        ("the weather", "Warm", "Cold", "Changing"),
    )
)

#: Open questions, whose answers differ from draw to draw where a server draws.
OPEN = tuple(
    Prompt(text, ("A",))
    for text in ("Name a random number from 1 to 1000.", "Begin a story about anything.", "Say any three words.")
)

#: By so many times the noise of a repetition answers of the same model may differ, and by so much at least, in nats.
TIMES_NOISE, LEAST_NOISE = 3.0, 1e-6

#: The replicas of a model may run on unlike devices: by so much at least their probabilities may differ.
LEAST_APART = 0.01

#: The most models that are remembered under one name.
MOST_KNOWN = 20

#: The probabilities of the labels of each canary.
Behaviour = list[list[float]]


def load_endpoint_model(spec: str, /, *, batch_size: int | str = "auto", **options: object) -> EndpointModel:
    """Open a served language model.

    Parameters
    ----------
    spec : str
        ``endpoint:URL[,URL...]#MODEL[?OPTION=VALUE&...]``; see :func:`~pytest_pluralism.models.address.parse_address`.
    batch_size : int or "auto"
        Maximum number of requests at once.
    options
        Not used: the device, the number format and the like are the server's.

    Returns
    -------
    EndpointModel
        The model; its identity holds what the servers say of themselves, and how they answer a few questions.

    Raises
    ------
    ModelError
        A server cannot be reached, does not serve the model, answers what cannot be true, or not as another does.
    """
    del options
    address = parse_address(spec, spec.strip().partition(":")[2])
    reader = _reader(address.tokenizer) if address.tokenizer is not None else None
    client = Client(address, concurrency=CONCURRENCY if isinstance(batch_size, str) else batch_size)
    try:
        return _opened(spec, client, reader)
    except BaseException:
        client.close()
        raise


def _reader(named: str) -> PromptReader:
    """Return what reads prompts as a local model does."""
    from pytest_pluralism.models.local.identification import prompt_reader
    from pytest_pluralism.models.specification import parse_model_spec

    return prompt_reader(parse_model_spec(named), needs_weights=False)


def _opened(spec: str, client: Client, reader: PromptReader | None) -> EndpointModel:
    """Probe all servers, and return the model behind them."""
    address = client.address
    probes = [Probe(client, server) for server in client.servers]
    found = [probe.run() for probe in probes]
    for probe, one in zip(probes[1:], found[1:], strict=True):
        _refuse_unlike(probe, found[0], one)
    notes = list(dict.fromkeys(note for probe in probes for note in probe.notes))
    abilities = dataclasses.replace(found[0], capped=any(one.capped for one in found))
    if abilities.tokenizes and reader is not None:
        notes += _compared(client, abilities, reader)
    mark = _tokens(client, abilities, CHATML) if abilities.tokenizes == "content" else ()
    chat = has_chat_form(probes[0].template, abilities, mark)
    way = Way(abilities, reader, chat)
    model = EndpointModel(client, way, _provisional(spec, address))
    behaviours = [_behaviour(client, model, server) for server in client.servers]
    noise = _apart(behaviours[0], _behaviour(client, model, client.servers[0]))
    if model.reads_probabilities:
        notes.append(f"asked again, it gives the same probabilities within {noise:.2g}")
    else:
        _refuse_fixed(client, model)
    if not model.reads_probabilities and noise > 0:
        behaviours, noise = [[] for _ in behaviours], 0.0
        notes.append(
            "asked again at temperature 0, it writes other texts: nothing but its name tells its model from another. "
            "Give each release a name of its own, or use --pluralism-answers=off"
        )
    for server, behaviour in zip(client.servers[1:], behaviours[1:], strict=True):
        apart = _apart(behaviours[0], behaviour)
        if apart > max(LEAST_APART, TIMES_NOISE * noise):
            raise ModelError(
                f"The endpoints {client.servers[0].replica.api} and {server.replica.api} do not serve the same model: "
                f"a probability differs by {apart:.3f}. Name replicas of one model only."
            )
    if len(client.servers) > 1:
        notes.append(f"{len(client.servers)} servers are taken for replicas of one model; their answers agree")
    sentences = [*abilities.sentences(has_tokenizer=reader is not None), _how(model), *notes]
    model.identity = _identity(spec, model, behaviours[0], noise, sentences)
    model.tell(f"{address.model}: {sentence}" for sentence in sentences)
    reference = behaviours[0]

    async def verify(server: Server) -> None:
        behaviour = await _asked(model, model.sender(server), CANARIES[:1])
        if _apart(reference[:1], behaviour) > max(LEAST_APART, TIMES_NOISE * noise):
            raise ModelChangedError(
                f"The endpoint {server.replica.api} serves another model than before. Its last answers are discarded, "
                "as nobody knows which model gave them; run again."
            )

    for server in client.servers:
        server.verified = server.opened
    client.verify = verify if reference else None
    return model


def _refuse_unlike(probe: Probe, first: Abilities, other: Abilities) -> None:
    """Refuse replicas that say that they serve different models, or cannot be asked in the same way."""
    facts = {name: (first.said.get(name), other.said.get(name)) for name in {*first.said, *other.said} - {"version"}}
    unlike = next((f"{name} {ours} and {theirs}" for name, (ours, theirs) in facts.items() if ours != theirs), None)
    ways = [(one.kind, dict(one.top_k), one.numbers, one.tokenizes, one.echo, one.most) for one in (first, other)]
    if unlike is None and ways[0] != ways[1]:
        unlike = "they can do different things"
    if unlike is not None:
        raise ModelError(f"{probe.place} is not a replica of the first endpoint: {unlike}. Name replicas only.")


def _tokens(client: Client, abilities: Abilities, text: str, *, special: bool = False) -> tuple[int, ...]:
    reply = client.ask("//tokenize", tokenize_body(abilities.tokenizes, client.address.model, text, special=special))
    return token_ids_of(reply, place=f"The endpoint {client.servers[0].replica.api}")


def _compared(client: Client, abilities: Abilities, reader: PromptReader) -> list[str]:
    """Compare the server's tokenizer with the one that was named, and say what was found.

    Raises
    ------
    ModelError
        They are tokenizers of different models, or differ where only texts can be sent.
    """
    text = "How do you feel about the news?\nA. Good\nB. Bad\nAnswer:"
    ours, theirs = reader.encode(text), _tokens(client, abilities, text, special=True)
    if ours == theirs:
        return ["its tokenizer and the one that is named give the same tokens"]
    place = f"The endpoint {client.servers[0].replica.api}"
    opening = len(reader.opening)
    if ours[opening:] != theirs and ours != theirs[1:]:
        raise ModelError(
            f"{place} has another tokenizer than the one that is named: {theirs[:6]} ... instead of {ours[:6]} ... for "
            "the same text. Name the tokenizer of the served model."
        )
    what = "does not set the token for a beginning" if ours[opening:] == theirs else "sets another token before a text"
    if not abilities.numbers:
        raise ModelError(
            f"{place} {what} and takes no token ids, so that the model would read other prompts than it was trained "
            "on. Serve it with its own tokenizer."
        )
    return [f"its tokenizer {what}, so that token ids are sent"]


def _behaviour(client: Client, model: EndpointModel, server: Server) -> Behaviour:
    """Return how a server answers the canaries, one after another."""
    return client.wait_for(lambda: _asked(model, model.sender(server, patient=True), CANARIES))


async def _asked(model: EndpointModel, send: Send, prompts: Sequence[Prompt]) -> Behaviour:
    """Return the probabilities of labels that a server gives, or marks of the texts that it writes at temperature 0."""
    if model.reads_probabilities:
        answers = [await model.answered(prompt, send) for prompt in prompts]
        return [[math.exp(value) for value in answer.log_probabilities] for answer in answers]
    found = []
    for prompt in prompts:
        text = await model.greedy_text(prompt, send)
        found.append([int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:4], "big") / 2**32])
    return found


def _refuse_fixed(client: Client, model: EndpointModel) -> None:
    """Refuse to count the letters of a server that gives every draw the same text, as a cache does.

    Raises
    ------
    ModelError
        Each of several open questions gets one text, however often it is asked at temperature 1.
    """
    send = model.sender(client.servers[0], patient=True)
    drawn = [client.wait_for(functools.partial(model.drawn_texts, prompt, send)) for prompt in OPEN]
    if all(len(texts) == 1 for texts in drawn):
        raise ModelError(
            f"{model.place} gives no log-probabilities, and one text to each of {len(OPEN)} open questions however "
            "often it is asked at temperature 1, so that counted letters would say nothing about its probabilities. It "
            "may answer from a cache, or ignore the temperature: switch that off."
        )


def _apart(left: Behaviour, right: Behaviour) -> float:
    """Return the largest difference of a probability."""
    pairs = (pair for one, other in zip(left, right, strict=True) for pair in zip(one, other, strict=True))
    return max((abs(a - b) for a, b in pairs), default=0.0)


def _how(model: EndpointModel) -> str:
    """Return how closed questions are read, in words."""
    way = model.way
    form = "in chat form, by the server's template" if way.has_chat_form else "as raw text"
    if way.reader is not None and way.abilities.numbers:
        form = "as token ids of the named tokenizer"
    if not model.reads_probabilities:
        given = model.client.address.samples
        many = str(given) if given is not None else f"as many as its promises need (at most {MOST_DRAWS}),"
        return (
            f"closed questions are asked {form}, and {many} sampled texts of each are counted, since it "
            f"gives no log-probabilities there; {PARSE}"
        )
    if way.abilities.chosen:
        return f"closed questions are asked {form}; the probabilities of labels are exact"
    if not way.abilities.capped:
        return f"closed questions are asked {form}; more tokens are asked for until bounds of labels are narrow"
    return f"closed questions are asked {form}; a label beyond the likeliest tokens has bounds, which verdicts carry"


def _provisional(spec: str, address: EndpointAddress) -> ModelIdentity:
    return ModelIdentity(spec=spec, name=address.model, sha256="", dtype="served", device="endpoint")


def _identity(
    spec: str, model: EndpointModel, behaviour: Behaviour, noise: float, notes: Sequence[str]
) -> ModelIdentity:
    """Return the identity of a served model: what is said of it, and how it answers.

    Nothing proves which weights a server has. A release that is served under the name of the last one must not get the
    answers of that one from the store, so the answers to the canaries belong to the identity: where they are those of
    a model that is remembered, within the noise of a repetition, it is that one.
    """
    way = model.way
    said = dict(way.abilities.said)
    said.pop("version", None)
    how = {"kind": way.abilities.kind, "chat": way.has_chat_form, "top_k": sorted(way.abilities.top_k.items())}
    how["exact"] = way.abilities.chosen or not way.abilities.capped
    if not model.reads_probabilities:
        # How many texts are counted stands in each answer.
        how |= {"hosts": sorted(one.host for one in model.client.address.replicas)}
    told = {"endpoint": model.name, "said": said, "how": how, "numerics": ENGINE_NUMERICS}
    of_words = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    kept = MeasuredFile("endpoint", {"said": of_words})
    content, _ = kept.read()
    known = content.get("known") if content is not None else None
    known = [one for one in known if _is_known(one, behaviour)] if isinstance(known, list) else []
    floor = max(LEAST_NOISE, TIMES_NOISE * noise) if model.reads_probabilities else 0.0
    same = next((one for one in known if _apart(one["behaviour"], behaviour) <= floor), None)
    if same is None:
        rounded = [[round(value, 3) for value in one] for one in behaviour]
        sha256 = hashlib.sha256(json.dumps([of_words, rounded]).encode()).hexdigest()
        if sha256 in {one["sha256"] for one in known}:
            sha256 = hashlib.sha256(json.dumps([of_words, behaviour]).encode()).hexdigest()
        same = {"sha256": sha256, "behaviour": behaviour}
    rest = [one for one in known if one["sha256"] != same["sha256"]]
    kept.write({"known": [same, *rest][:MOST_KNOWN]})
    n_parameters = said.get("n_params", "")
    return dataclasses.replace(
        model.identity,
        sha256=same["sha256"],
        architecture=printable(way.abilities.kind or "unknown server"),
        parameters=int(n_parameters) if n_parameters.isdigit() else 0,
        parts={"said": of_words, "behaviour": hashlib.sha256(json.dumps(same["behaviour"]).encode()).hexdigest()},
        notes=tuple(notes),
    )


def _is_known(one: object, behaviour: Behaviour) -> bool:
    """Return whether a remembered model can be compared with one that answers now."""
    if not isinstance(one, dict) or not isinstance(one.get("sha256"), str) or len(one["sha256"]) != 64:
        return False
    rows = one.get("behaviour")
    return (
        isinstance(rows, list)
        and [len(row) for row in rows if isinstance(row, list)] == [len(row) for row in behaviour]
        and all(isinstance(value, int | float) and not isinstance(value, bool) for row in rows for value in row)
    )
