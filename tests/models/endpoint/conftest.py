"""A small server of the OpenAI protocol on loopback, which misbehaves when it is told to."""

from __future__ import annotations

import hashlib
import http.server
import json
import math
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

BOS = 1

#: Texts of the next tokens that the model knows: letters with and without a blank, and what may stand between.
VOCABULARY = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *(f" {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")]
VOCABULARY += [*"abcdefghijklmnopqrstuvwxyz.,:!?\n", " ", "<end>"]

#: A fault answers a request in place of the server: ``None`` lets it through.
Fault = Callable[["Request"], "Reply | None"]


class Request:
    """One request that came."""

    def __init__(self, path: str, body: dict[str, Any], headers: dict[str, str], number: int) -> None:
        self.path, self.body, self.headers, self.number = path, body, headers, number


class Reply:
    """A reply as bytes; ``cut`` sends that many of them and closes, ``wait`` waits before."""

    def __init__(
        self,
        content: object = b"",
        status: int = 200,
        headers: dict[str, str] | None = None,
        *,
        cut: int | None = None,
        wait: float = 0.0,
    ) -> None:
        self.content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.status, self.headers, self.cut, self.wait = status, headers or {}, cut, wait


def encode(text: str) -> list[int]:
    """Return the tokens of a text: characters, and a blank before a capital letter together with it."""
    ids: list[int] = []
    place = 0
    while place < len(text):
        if text[place] == " " and text[place + 1 : place + 2] in VOCABULARY[:26]:
            ids.append(0x10000 + ord(text[place + 1]))
            place += 2
        else:
            ids.append(ord(text[place]) + 16)
            place += 1
    return ids


def decode(ids: Sequence[int]) -> str:
    """Return the text of tokens."""
    return "".join("" if one == BOS else f" {chr(one - 0x10000)}" if one >= 0x10000 else chr(one - 16) for one in ids)


class Served:
    """A model on loopback whose probabilities follow from the text, and a server that can be told to fail.

    Parameters
    ----------
    model : str
        Its name.
    weights : str
        Another text gives another model.
    owner : str
        The owner that it names: ``vllm``, ``llamacpp``, or anything.
    routes : tuple of str
        The routes that work.
    cap : int
        The most likeliest tokens that it gives; more are refused. 0 for none.
    bos : bool
        Whether its tokenizer sets the token for a beginning.
    numbers, chosen, echo, several : bool
        Whether it takes token ids, chosen tokens, ``echo`` and ``n``.
    certificate : Path or None
        The file with its key and its certificate, with which it speaks TLS.
    letters : float
        How much larger the logits of A, B and C are than those of other tokens.
    """

    def __init__(
        self,
        model: str = "tiny",
        *,
        weights: str = "one",
        owner: str = "vllm",
        routes: tuple[str, ...] = ("/completions", "/chat/completions", "/tokenize"),
        cap: int = 20,
        bos: bool = True,
        numbers: bool = True,
        chosen: bool = True,
        echo: bool = True,
        several: bool = True,
        certificate: Path | None = None,
        letters: float = 4.0,
    ) -> None:
        self.certificate = certificate
        self.letters = letters
        self.model, self.weights, self.owner, self.routes, self.cap, self.bos = model, weights, owner, routes, cap, bos
        self.numbers, self.chosen, self.echo, self.several = numbers, chosen, echo, several
        self.fault: Fault | None = None
        self.change: Callable[[str, Any], Any] = lambda path, reply: reply
        self.log: list[Request] = []
        self.paid: list[Request] = []
        self.lock = threading.Lock()
        self.port = 0
        self.server: http.server.ThreadingHTTPServer | None = None
        self.start()

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"http{'s' if self.certificate else ''}://127.0.0.1:{self.port}"

    @property
    def spec(self) -> str:
        return f"endpoint:{self.url}#{self.model}"

    def asked(self, what: str = "completions") -> list[Request]:
        """Return the requests that asked the model something."""
        return [one for one in self.log if one.path.endswith(what)]

    def start(self) -> None:
        """Start, on the same port as before."""
        outer = self

        class Handler(_Handler):
            served = outer

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.server = _Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            # The handshake is made in the thread of a connection, as it is in a real server.
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def kill(self) -> None:
        """Stop as a killed process does: all connections break."""
        server, self.server = self.server, None
        if server is not None:
            assert not server.errors, server.errors
            server.shutdown()
            server.server_close()
            for one in list(server.connections):
                for close in (lambda one=one: one.shutdown(socket.SHUT_RDWR), one.close):
                    try:
                        close()
                    except OSError:
                        continue

    # ---------------------------------------------------------------------------------------------------- the model

    def log_probabilities(self, text: str) -> dict[str, float]:
        """Return the log-probability of each next token after a text."""
        logits = {}
        for token in VOCABULARY:
            digest = hashlib.sha256(f"{self.weights}|{text}|{token}".encode()).digest()
            logits[token] = int.from_bytes(digest[:4], "big") / 2**32 * 3 + self.letters * (token.strip() in set("ABC"))
        top = max(logits.values())
        total = top + math.log(sum(math.exp(value - top) for value in logits.values()))
        return {token: value - total for token, value in logits.items()}

    def reply(self, request: Request) -> Reply:
        """Return what a server that works replies."""
        path, body = request.path, request.body
        if path == "/v1/models":
            return Reply({"object": "list", "data": [{"id": self.model, "object": "model", "owned_by": self.owner}]})
        if path == "/version" and self.owner == "vllm":
            return Reply({"version": "1.2.3"})
        if not any(path.endswith(route) for route in self.routes) or (path == "/tokenize" and "prompt" not in body):
            return Reply({"error": {"message": "Not Found"}}, 404)
        if path == "/tokenize":
            ids = encode(body["prompt"])
            return Reply({"tokens": [BOS, *ids] if self.bos and body["add_special_tokens"] else ids})
        if body.get("model") != self.model:
            return Reply({"error": {"message": f"no model {body.get('model')}"}}, 404)
        return self._answered(path.endswith("/chat/completions"), body)

    def _answered(self, chat: bool, body: dict[str, Any]) -> Reply:
        n_top = (body.get("top_logprobs") if body.get("logprobs") else None) if chat else body.get("logprobs")
        chosen = body.get("logprob_token_ids") if self.chosen else None
        if n_top is not None and n_top > self.cap and not chosen:
            return Reply({"error": {"message": f"at most {self.cap} log-probabilities"}}, 400)
        if body.get("n", 1) > 1 and not self.several:
            return Reply({"error": {"message": "n must be 1"}}, 400)
        if chat:
            text = "".join(f"<{one['role']}>{one['content']}" for one in body["messages"]) + "<assistant>"
        elif isinstance(body["prompt"], list):
            if not self.numbers:
                return Reply({"error": {"message": "prompt must be a string"}}, 400)
            text = decode(body["prompt"])
        else:
            text = body["prompt"]
        given = isinstance(body.get("prompt"), list)
        n_prompt = len(body["prompt"]) if given else len(encode(text)) + self.bos
        values = self.log_probabilities(text)
        ranked = sorted(values.items(), key=lambda one: -one[1])
        choices = []
        for number in range(body.get("n", 1)):
            written, why = self._written(text, body, number)
            choice: dict[str, Any] = {"index": number, "finish_reason": why}
            choice |= {"message": {"role": "assistant", "content": written}} if chat else {"text": written}
            if n_top is not None and self.cap:
                shown = ranked[:n_top] if not chosen else [(decode([one]), values[decode([one])]) for one in chosen]
                named = body.get("return_tokens_as_token_ids")
                rows = [(f"token_id:{encode(token)[0]}" if named else token, value) for token, value in shown]
                drawn = f"token_id:{encode(ranked[0][0])[0]}" if named else ranked[0][0]
                choice["logprobs"] = _tops(rows, (drawn, ranked[0][1]), chat)
                if self.echo and body.get("echo") and not chat:
                    choice["logprobs"] = self._echoed(text, n_prompt - len(encode(text)))
            choices.append(choice)
        usage = {"prompt_tokens": n_prompt, "completion_tokens": len(choices)}
        return Reply({"model": self.model, "choices": choices, "usage": usage})

    def _written(self, text: str, body: dict[str, Any], number: int) -> tuple[str, str]:
        written = ""
        for place in range(body.get("max_tokens", 16)):
            values = self.log_probabilities(text + written)
            draw = hashlib.sha256(f"{body.get('seed')}|{number}|{place}|{text}".encode()).digest()
            left = int.from_bytes(draw[:6], "big") / 2**48
            token = max(values, key=lambda one: values[one])
            if body.get("temperature", 1.0) > 0:
                for token in values:
                    left -= math.exp(values[token])
                    if left <= 0:
                        break
            if token == "<end>":  # noqa: S105
                return written, "stop"
            written += token
            if "messages" in body:
                # A chat answers by a letter, and stops.
                return written, "stop"
        return written, "length"

    def _echoed(self, text: str, n_opening: int) -> dict[str, Any]:
        ids = encode(text)
        tokens, values = ["<s>"] * n_opening, [None] * n_opening
        for place, one in enumerate(ids):
            before = decode(ids[:place])
            known = self.log_probabilities(before)
            tokens.append(decode([one]))
            values.append(known.get(decode([one]), -12.5) if place or n_opening else None)
        return {"tokens": [*tokens, "A"], "token_logprobs": [*values, -1.0], "top_logprobs": None}


def _tops(rows: list[tuple[str, float]], drawn: tuple[str, float], chat: bool) -> dict[str, Any]:
    if chat:
        tops = [{"token": token, "logprob": value} for token, value in rows]
        return {"content": [{"token": drawn[0], "logprob": drawn[1], "top_logprobs": tops}]}
    return {"tokens": [drawn[0]], "token_logprobs": [drawn[1]], "top_logprobs": [dict(rows)]}


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        self.connections: set[socket.socket] = set()
        self.errors: list[str] = []
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections break on purpose; an error of the server itself is one of the test."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.errors.append(repr(error))


class _Handler(http.server.BaseHTTPRequestHandler):
    served: Served
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._reply({})

    def do_POST(self) -> None:
        size = int(self.headers["content-length"])
        sent = self.rfile.read(size)
        if len(sent) < size:
            # The client gave up before it had sent all.
            self.close_connection = True
            return
        self._reply(json.loads(sent))

    def _reply(self, body: dict[str, Any]) -> None:
        served = self.served
        with served.lock:
            request = Request(self.path, body, dict(self.headers), len(served.log))
            served.log.append(request)
        found = served.fault(request) if served.fault is not None else None
        if found is None:
            found = served.reply(request)
            if found.status == 200:
                served.paid.append(request)
                found = Reply(served.change(self.path, json.loads(found.content)))
        time.sleep(found.wait)
        self.send_response(found.status)
        for name, value in {"Content-Type": "application/json", **found.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(found.content)))
        self.end_headers()
        self.wfile.write(found.content[: found.cut])
        if found.cut is not None:
            self.close_connection = True


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Start small servers, which are stopped at the end; the cache of measurements is the test's own."""
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))
    # These tests may run in a worker themselves, and workers share the number of requests at once.
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    running: list[Served] = []

    def start(*arguments: Any, **options: Any) -> Served:
        running.append(Served(*arguments, **options))
        return running[-1]

    yield start
    for one in running:
        one.kill()


@pytest.fixture
def reply():
    """Make a reply of a server that fails."""
    return Reply


@pytest.fixture
def opened():
    """Open served models, which are closed at the end."""
    from pytest_pluralism.models.endpoint.loading import load_endpoint_model

    models = []

    def load(spec: str, **options: Any) -> Any:
        models.append(load_endpoint_model(spec, **options))
        return models[-1]

    yield load
    for one in models:
        one.close()
