"""The address of a served model, ``endpoint:URL[,URL...]#MODEL[?OPTION=VALUE&...]``, read without asking anybody."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from pytest_pluralism.core.errors import ModelError, did_you_mean
from pytest_pluralism.core.records.plain import JsonFields

__all__ = ["API_KEY", "FORM", "OPENAI_KEY", "EndpointAddress", "Replica", "parse_address"]

FORM = "endpoint:URL[,URL...]#MODEL"

#: The variable of the environment whose key is sent to every server that a spec names.
API_KEY = "PLURALISM_ENDPOINT_API_KEY"

#: The variable of the environment whose key is sent to OpenAI alone.
OPENAI_KEY = "OPENAI_API_KEY"

_VERSIONED = re.compile(r"/v\d+\w*(/openai)?\Z")


@dataclass(frozen=True, slots=True)
class Replica:
    """One server.

    Attributes
    ----------
    api : str
        The URL below which the routes of the OpenAI protocol stand, without a slash at its end.
    root : str
        The URL below which the server's own routes stand, such as ``/tokenize``.
    """

    api: str
    root: str

    @property
    def host(self) -> str:
        """The name of the server, in lower case."""
        return (urlsplit(self.api).hostname or "").casefold()

    @property
    def is_loopback(self) -> bool:
        """True where the server runs on this machine."""
        return self.host == "localhost" or self.host == "::1" or self.host.startswith("127.")


@dataclass(frozen=True, slots=True)
class EndpointAddress:
    """The servers of one model, its name there, and how to ask them.

    Attributes
    ----------
    model : str
        The name of the model, as the servers list it.
    replicas : tuple of Replica
        The servers; they are taken to serve the same weights, and probed for it.
    tokenizer : str or None
        A folder or a spec whose tokenizer and chat template are those of the model.
    timeout : float
        Longest time in seconds for one reply.
    patience : float
        Longest time in seconds for one answer with all its tries.
    requests_per_minute, tokens_per_minute : float
        Maximum rates over all replicas together; ``inf`` for none.
    prices : tuple of float
        Price of a million tokens of prompts, and of a million tokens of answers; ``()`` where none is given.
    samples : int or None
        Number of sampled answers to each prompt where the server gives no log-probabilities.
    route : str or None
        How an entailment model is asked: ``"score"``, ``"classify"``, ``"rerank"`` or ``"judge"``; ``None`` finds out.
    """

    model: str
    replicas: tuple[Replica, ...]
    tokenizer: str | None = None
    timeout: float = 120.0
    patience: float = 300.0
    requests_per_minute: float = math.inf
    tokens_per_minute: float = math.inf
    prices: tuple[float, ...] = ()
    samples: int | None = None
    route: str | None = None


def parse_address(text: str, rest: str, /) -> EndpointAddress:
    """Read the address of a served model.

    Parameters
    ----------
    text : str
        The whole spec, for messages.
    rest : str
        The spec after ``endpoint:``.

    Raises
    ------
    ModelError
        The address holds a secret, names no server or no model, or has an option that is unknown or wrong.

    Examples
    --------
    >>> address = parse_address("", "http://one:8000,http://two:8000/v1#org/model?timeout=30")
    >>> address.model, address.timeout
    ('org/model', 30.0)
    >>> [replica.api for replica in address.replicas]
    ['http://one:8000/v1', 'http://two:8000/v1']
    """
    urls, _, named = rest.partition("#")
    replicas = tuple(dict.fromkeys(_replica(text, url.strip()) for url in urls.split(",")))
    model, _, options = named.partition("?")
    if not model.strip():
        raise ModelError(f"The model {text!r} does not name the model that the server serves. Write {FORM}.")
    return EndpointAddress(model.strip(), replicas, **_options(text, options))


def _replica(text: str, url: str) -> Replica:
    """Read one URL."""
    try:
        parts: SplitResult | None = urlsplit(url)
        _ = parts.port if parts else None
    except ValueError:
        parts = None
    if parts is not None and "@" in parts.netloc:
        raise ModelError(
            f"The URL of the endpoint at {parts.netloc.rpartition('@')[2]} holds a user name or a password. A secret "
            f"belongs in the environment: take it out of the URL, and set {API_KEY}."
        )
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", url):
        raise ModelError(f"The model {text!r} must name a URL that begins with http:// or https://. Write {FORM}.")
    if parts.query:
        raise ModelError(
            f"The URL of the endpoint at {parts.netloc} has a part behind a question mark. Take it out; a key belongs "
            f"in the environment ({API_KEY}), and options stand behind the name of the model: {FORM}?timeout=60."
        )
    path = parts.path.rstrip("/")
    # A path that somebody wrote out is that of the protocol; a bare server has it below /v1.
    api = f"{parts.scheme}://{parts.netloc}{path or '/v1'}"
    return Replica(api, _VERSIONED.sub("", api))


def _number(low: float) -> Callable[[str], float]:
    def read(value: str) -> float:
        number = float(value)
        if not math.isfinite(number) or number <= low:
            raise ValueError
        return number

    return read


def _prices(value: str) -> tuple[float, ...]:
    prices = tuple(float(part) for part in value.split("/"))
    if len(prices) != 2 or not all(math.isfinite(price) and price >= 0 for price in prices):
        raise ValueError
    return prices


def _samples(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError
    return number


def _route(value: str) -> str:
    if value not in {"score", "classify", "rerank", "judge"}:
        raise ValueError
    return value


def _text(value: str) -> str:
    if not value:
        raise ValueError
    return value


#: Reads each option, and says what it must be.
_OPTIONS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "tokenizer": (_text, "a folder or a spec of a model whose tokenizer is that of the served model"),
    "timeout": (_number(0), "a number of seconds above 0"),
    "patience": (_number(0), "a number of seconds above 0"),
    "requests_per_minute": (_number(0), "a number above 0"),
    "tokens_per_minute": (_number(0), "a number above 0"),
    "prices": (_prices, "two prices of a million tokens, of prompts and of answers, such as 0.15/0.60"),
    "samples": (_samples, "a whole number of at least 1"),
    "route": (_route, "score, classify, rerank or judge"),
}


def _options(text: str, options: str) -> JsonFields:
    """Read what stands behind the name of the model."""
    found: JsonFields = {}
    for part in filter(None, options.split("&")):
        name, _, value = part.partition("=")
        if name not in _OPTIONS:
            hint = did_you_mean(name, _OPTIONS, " Did you mean {}?")
            raise ModelError(f"The model {text!r} has an unknown option {name!r}.{hint} Known: {', '.join(_OPTIONS)}.")
        read, must = _OPTIONS[name]
        try:
            found[name] = read(unquote(value))
        except ValueError:
            raise ModelError(f"The option {name} of the model {text!r} must be {must}. Got {value!r}.") from None
    return found
