"""Time per request that the client of served models adds to plain httpx, which sends the same requests.

    python benchmarks/endpoint.py [N] [--tops N] [--url URL#MODEL] [--concurrency C]

Without a URL a server in another process answers at once, in the shape of llama.cpp, so that what is measured is the
client. CPU time is that of this process alone, and is the one to look at on a busy machine. The client and plain httpx
take turns, a quarter of the prompts at a time. Plain httpx sends what the client sent, about other numbers, since a
server keeps the beginnings of the prompts that it has read.
"""

from __future__ import annotations

import argparse
import asyncio
import http.server
import json
import math
import multiprocessing
import time
from collections.abc import Mapping

import httpx

from pytest_pluralism.core.records import Prompt
from pytest_pluralism.models.address import parse_address
from pytest_pluralism.models.endpoint.abilities import Abilities
from pytest_pluralism.models.endpoint.client import Client
from pytest_pluralism.models.endpoint.client import Server as Replica
from pytest_pluralism.models.endpoint.language_model import EndpointModel, Way
from pytest_pluralism.models.endpoint.loading import load_endpoint_model
from pytest_pluralism.models.protocol import ModelIdentity

#: The prompts are asked in so many turns.
TURNS = 4


def reply_of(n: int) -> bytes:
    """Return a reply with as many likeliest tokens as llama.cpp writes it."""
    tops = [
        {
            "id": number,
            "token": chr(65 + number) if number < 20 else f" w{number}",
            "bytes": [32, 119, 48 + number % 10],
        }
        | {"logprob": math.log(0.9 / n)}
        for number in range(n)
    ]
    choice = {"text": "A", "index": 0, "logprobs": {"content": [{**tops[0], "top_logprobs": tops}]}}
    usage = {"prompt_tokens": 60, "completion_tokens": 1}
    return json.dumps({"model": "quick", "choices": [choice], "usage": usage}).encode()


class Quick(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.reply)))
        self.end_headers()
        self.wfile.write(self.server.reply)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    reply = b""


def serve(port: multiprocessing.Queue[int], tops: int) -> None:
    server = Server(("127.0.0.1", 0), Quick)
    server.reply = reply_of(tops)
    port.put(server.server_address[1])
    server.serve_forever()


def clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def plain(requests: list[tuple[str, dict[str, object]]], concurrency: int) -> tuple[float, float]:
    """Return the seconds, on the wall and of this process, that plain httpx takes for requests."""

    async def everything() -> None:
        left = iter(requests)
        async with httpx.AsyncClient(timeout=120, trust_env=False) as client:

            async def work() -> None:
                for url, body in left:
                    (await client.post(url, json=body)).json()

            await asyncio.gather(*(work() for _ in range(concurrency)))

    started = clocks()
    asyncio.run(everything())
    wall, cpu = clocks()
    return wall - started[0], cpu - started[1]


def asked(start: int, n: int) -> list[Prompt]:
    return [Prompt(f"Is {start + number} a lot?\nA. Yes\nB. No", ("A", "B"), template="raw") for number in range(n)]


def renumbered(body: Mapping[str, object]) -> dict[str, object]:
    """Return the body of a request about a number that nobody asked about yet."""
    changed: dict[str, object] = json.loads(json.dumps(body).replace("Is 2", "Is 3"))
    return changed


def served(tops: int, concurrency: int) -> EndpointModel:
    """Return a model behind a server that answers at once."""
    context = multiprocessing.get_context("spawn")
    port: multiprocessing.Queue[int] = context.Queue()
    context.Process(target=serve, args=(port, tops), daemon=True).start()
    rest = f"http://127.0.0.1:{port.get()}#quick"
    client = Client(parse_address(rest, rest), concurrency=concurrency)
    way = Way(Abilities(top_k={"/completions": tops}), None, False)
    return EndpointModel(client, way, ModelIdentity(rest, "quick", "0" * 64, "served", "endpoint"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n", nargs="?", type=int, default=2000)
    parser.add_argument("--tops", type=int, default=100, help="likeliest tokens in each reply of the quick server")
    parser.add_argument("--url", help="URL#MODEL of a real server")
    parser.add_argument("--concurrency", type=int, default=16)
    given = parser.parse_args()
    if given.url:
        model = load_endpoint_model(f"endpoint:{given.url}", batch_size=given.concurrency)
    else:
        model = served(given.tops, given.concurrency)
    api, once = model.client.address.replicas[0].api, model.client.once
    requests: list[tuple[str, dict[str, object]]] = []

    async def noted(server: Replica, path: str, body: Mapping[str, object] | None) -> object:
        if body is not None:
            requests.append((api + path, renumbered(body)))
        return await once(server, path, body)

    model.answer(asked(900_000, given.concurrency))
    model.client.once = noted  # type: ignore[method-assign]
    ours, theirs, sent = [0.0, 0.0], [0.0, 0.0], 0
    for turn in range(TURNS):
        requests.clear()
        started = clocks()
        model.answer(asked(200_000 + turn * given.n, given.n // TURNS))
        ours = [old + now - then for old, now, then in zip(ours, clocks(), started, strict=True)]
        theirs = [old + more for old, more in zip(theirs, plain(requests, given.concurrency), strict=True)]
        sent += len(requests)
    model.close()
    print(f"{given.n} prompts, {sent} requests, {given.concurrency} at once")
    for name, (wall, cpu) in (("client", ours), ("plain", theirs)):
        print(f"{name:8} {wall:7.2f} s, {1000 * wall / sent:6.2f} ms a request, of CPU {1000 * cpu / sent:6.2f} ms")
    more = [1000 * (mine - other) / sent for mine, other in zip(ours, theirs, strict=True)]
    print(f"overhead {more[0]:6.2f} ms a request, of CPU {more[1]:6.2f} ms")


if __name__ == "__main__":
    main()
