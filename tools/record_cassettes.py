"""Record the cassettes of the tests from llama.cpp on loopback, with the packaged SmolLM2.

.. code-block:: console

    $ python tools/record_cassettes.py

Hosted APIs are not asked: a relay on loopback gives the answers of llama.cpp in their shape, with their limits.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import socket
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).parents[1]
sys.path.insert(0, str(HERE / "tests" / "models" / "endpoint"))

from tape import BASE, FOLDER, Recording  # noqa: E402

from pytest_pluralism.core.records import Prompt  # noqa: E402

#: The questions on every cassette; the second has a label that SmolLM2 seldom gives.
PROMPTS = [
    Prompt("Do you like rain?\nA. Yes\nB. No", ("A", "B")),
    Prompt("How often do you read?\n" + "\n".join(f"{one}. Way {one}" for one in "ABCDQ"), tuple("ABCDQ")),
]

#: What stands between on each cassette: the most likeliest tokens (0 for none), and whether the rate is limited first.
RELAYS: Mapping[str, tuple[int, bool]] = {
    "chat_with_logprobs": (20, False),
    "chat_capped": (5, False),
    "chat_without_logprobs": (0, False),
    "chat_rate_limited": (20, True),
}


@contextmanager
def llamacpp() -> Iterator[str]:
    """Start llama.cpp."""
    import xllamacpp

    from pytest_pluralism.models.embedded import find_embedded

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    wanted = xllamacpp.CommonParams()
    wanted.model.path = str(find_embedded("smollm2-135m-instruct").parts[0])
    wanted.model_alias = {"smollm2"}
    wanted.port, wanted.n_ctx, wanted.n_parallel, wanted.cpuparams.n_threads = port, 2048, 1, 1
    running = xllamacpp.Server(wanted)
    yield running.listening_address
    del running


class Relay(http.server.BaseHTTPRequestHandler):
    """Gives what llama.cpp answers, with the routes, limits and errors of a hosted API."""

    behind = ""
    cap = 20
    limits = False
    limited = False

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """List the model."""
        if self.path == "/v1/models":
            row = {"id": "smollm2", "object": "model", "created": 0, "owned_by": "hosted"}
            self._give(200, {"object": "list", "data": [row]})
        else:
            self._give(404, {"error": {"message": "Not found", "type": "invalid_request_error", "code": None}})

    def do_POST(self) -> None:
        """Pass a chat on, within the limits."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        wrong = None
        if self.path != "/v1/chat/completions":
            self._give(404, {"error": {"message": "Not found", "type": "invalid_request_error", "code": None}})
            return
        if body.get("logprobs") and not self.cap:
            wrong = "This model does not support logprobs."
        elif body.get("top_logprobs", 0) > self.cap:
            wrong = f"Invalid value for 'top_logprobs': must be at most {self.cap}."
        if wrong is not None:
            self._give(400, {"error": {"message": wrong, "type": "invalid_request_error", "code": "invalid_value"}})
            return
        if self.limits and not type(self).limited and "like rain" in json.dumps(body):
            type(self).limited = True
            error = {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}
            self._give(429, {"error": error}, {"Retry-After": "1"})
            return
        request = urllib.request.Request(  # noqa: S310 - loopback
            self.behind + self.path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:  # noqa: S310 - loopback
                status, content = reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            status, content = error.code, json.loads(error.read())
        if isinstance(content, dict):
            content = {name: content[name] for name in ("id", "object", "model", "choices", "usage") if name in content}
            content |= {"id": "recorded"} if "id" in content else {}
        self._give(status, content)

    def _give(self, status: int, content: object, headers: Mapping[str, str] | None = None) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def main() -> None:
    """Record every cassette."""
    from pytest_pluralism.models.endpoint import loading

    FOLDER.mkdir(exist_ok=True)
    client = httpx.AsyncClient
    with llamacpp() as behind:
        for name, (cap, limits) in RELAYS.items():
            handler: Any = type("Handler", (Relay,), {"behind": behind, "cap": cap, "limits": limits, "limited": False})
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            kept: list[dict[str, Any]] = []
            transport = Recording(httpx.AsyncHTTPTransport(), kept)
            httpx.AsyncClient = functools.partial(client, transport=transport)  # type: ignore[assignment,misc]
            with tempfile.TemporaryDirectory() as cache:
                os.environ["PLURALISM_CACHE"] = cache
                url = f"http://127.0.0.1:{server.server_address[1]}"
                model = loading.load_endpoint_model(f"endpoint:{url}#smollm2?samples=8", batch_size=1)
                model.answer(PROMPTS)
                model.close()
            server.shutdown()
            between = f"at most {cap} likeliest tokens" if cap else "no log-probabilities"
            content = {
                "recorded_from": f"llama.cpp (xllamacpp) with SmolLM2 135M Instruct, behind a relay on loopback in the "
                f"shape of a hosted chat API: {between}" + (", one 429 with Retry-After" if limits else ""),
                "base": BASE,
                "exchanges": kept,
            }
            text = json.dumps(content, indent=None, sort_keys=True).replace(url, BASE)
            (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
            print(f"{name}: {len(kept)} exchanges, {len(text):,} bytes")


if __name__ == "__main__":
    main()
