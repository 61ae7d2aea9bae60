"""Keys and passwords go where they belong, and come back nowhere: proxies, redirections and replies that hold them."""

from __future__ import annotations

import base64
import logging
import socket
import threading
from urllib.parse import quote, urlsplit

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import GenerationSettings, Prompt
from pytest_pluralism.models.endpoint.keys import without_secrets

KEY = "sk-hunter2/hunter2+hunter2=&"
PASSWORD = "p@ss/word#1"  # noqa: S105
PATIENT = "?timeout=20&patience=20"
PROMPTS = [Prompt("Do you like rain?\nA. Yes\nB. No", ("A", "B"))]
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """A key, and no proxy."""
    monkeypatch.setenv("PLURALISM_ENDPOINT_API_KEY", KEY)
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def through(serve, monkeypatch):
    """Start a server that is a proxy too, which asks for a password."""

    def start():
        served = serve()
        monkeypatch.setenv("HTTP_PROXY", f"http://me:{quote(PASSWORD, safe='')}@127.0.0.1:{served.port}")
        served.fault = lambda request: served.reply(at_origin(request))
        return served

    return start


def at_origin(request):
    request.path = urlsplit(request.path).path
    return request


def sent_to_proxies():
    return base64.b64encode(f"me:{PASSWORD}".encode()).decode()


def test_a_proxy_gets_its_password_and_the_server_behind_it_gets_the_key(through, opened, caplog):
    caplog.set_level(logging.DEBUG)
    proxy = through()
    model = opened(f"endpoint:http://models.example.org#tiny{PATIENT}")
    assert model.answer(PROMPTS)[0].option_mass > 0
    assert {one.headers["Proxy-Authorization"] for one in proxy.log} == {f"Basic {sent_to_proxies()}"}
    assert {one.headers["Authorization"] for one in proxy.log} == {f"Bearer {KEY}"}
    said = caplog.text + " ".join(model.identity.notes)
    assert not any(secret in said for secret in (KEY, PASSWORD, quote(PASSWORD, safe=""), sent_to_proxies()))


def test_a_proxy_that_sends_its_password_back_is_quoted_without_it(through, opened, reply):
    proxy = through()
    proxy.fault = lambda request: reply(
        {"error": {"message": f"{request.headers['Proxy-Authorization']} is {PASSWORD}"}}, 407
    )
    with pytest.raises(ModelError) as error:
        opened(f"endpoint:http://models.example.org#tiny{PATIENT}")
    assert "status 407): Basic *** is ***" in str(error.value)


def test_a_tunnel_that_is_refused_shows_no_password(monkeypatch, opened):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:hunter2hunter2@127.0.0.1:{listening.getsockname()[1]}")
        asked = []

        def refuse():
            connection, _ = listening.accept()
            with connection:
                asked.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 407 No me:hunter2hunter2 here\r\nContent-Length: 0\r\n\r\n")

        waiting = threading.Thread(target=refuse, daemon=True)
        waiting.start()
        with pytest.raises(ModelError, match=r"407 No me:\*\*\* here.*HTTPS_PROXY") as error:
            opened(f"endpoint:https://models.example.org#tiny{PATIENT}")
        waiting.join(10)
    # The key is for the server, inside the tunnel.
    assert KEY.encode() not in asked[0]
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://me:hunter2#hunter2@127.0.0.1:9",
        "http://me:hunter2hunter2@127.0.0.1:port",
        "http://me:hunter2hunter2@[::1:80",
        "gopher://me:hunter2hunter2@127.0.0.1:9",
        "socks5://me:hunter2hunter2@127.0.0.1:9",
    ],
)
def test_a_proxy_that_cannot_be_used_is_a_sentence_without_its_password(monkeypatch, opened, proxy):
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(ModelError, match=r"cannot be (used|reached).*NO_PROXY") as error:
        opened("endpoint:http://models.example.org#tiny?timeout=2&patience=1")
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("status", [302, 307])
def test_the_key_follows_no_redirection_to_another_host(serve, opened, reply, status):
    served, other = serve(), serve()
    model = opened(served.spec + PATIENT)
    served.fault = lambda request: reply(b"", status, {"Location": f"http://localhost:{other.port}{request.path}"})
    with pytest.raises(ModelError, match=r"points to localhost.*no redirection is followed"):
        model.answer(PROMPTS)
    assert other.log == []


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://[::1", "points to a URL that cannot be read"),
        ("/v2/completions", "points to elsewhere"),
        (f"http://me:{KEY}@login.example.org/", "points to a URL that cannot be read"),
        (f"http://me:{quote(KEY, safe='')}@login.example.org/?key={KEY}", r"points to login\.example\.org "),
    ],
)
def test_the_place_of_a_redirection_shows_no_key(serve, opened, reply, location, words):
    served = serve()
    served.fault = lambda request: reply(b"", 302, {"Location": location})
    with pytest.raises(ModelError, match=words) as error:
        opened(served.spec + PATIENT)
    assert "hunter2" not in str(error.value)


FORMS = {
    "plain": KEY,
    "in a URL": f"/v1?key={quote(KEY, safe='')}",
    "in HTML": KEY.replace("&", "&amp;"),
    "in JSON": KEY.replace("/", "\\/"),
}


@pytest.mark.parametrize(("name", "status"), [*((name, 401) for name in FORMS), ("plain", 400), ("plain", 500)])
def test_an_error_that_holds_the_key_is_quoted_without_it(serve, opened, reply, name, status):
    served = serve()
    model = opened(f"{served.spec}?timeout=20&patience=1")
    served.fault = lambda request: reply(f"<p>Bearer {FORMS[name]}</p>".encode(), status)
    with pytest.raises(ModelError, match=r"\*\*\*</p>") as error:
        model.answer(PROMPTS)
    assert "hunter2" not in str(error.value)


@pytest.mark.whole
def test_headers_that_hold_the_key_are_logged_without_it(serve, opened, reply, caplog):
    caplog.set_level(logging.DEBUG)
    served = serve()

    def echoes(request):
        found = served.reply(request)
        return reply(found.content, found.status, {"X-Debug": request.headers["Authorization"], "Link": f"/?k={KEY}"})

    served.fault = echoes
    assert opened(served.spec + PATIENT).answer(PROMPTS)
    assert "X-Debug" in caplog.text
    assert "Bearer ***" in caplog.text
    assert KEY not in caplog.text


def test_texts_and_names_that_hold_the_key_are_kept_without_it(serve, opened):
    served = serve(owner=f"proxy of {KEY}")

    def changed(path, content):
        for choice in content.get("choices", ()):
            if "message" in choice and "logprobs" not in choice:
                choice["message"]["content"] = f"You sent {KEY}."
        return content

    served.change = changed
    model = opened(served.spec + PATIENT)
    assert KEY not in " ".join(model.identity.notes)
    ((text,),) = model.generate([Prompt("Hm?", (), cue="")], GenerationSettings(5))
    assert text.text == "You sent ***."


def test_a_key_that_is_a_common_word_changes_no_reply(serve, opened, monkeypatch):
    monkeypatch.setenv("PLURALISM_ENDPOINT_API_KEY", "token")
    served = serve()
    assert opened(served.spec + PATIENT).answer(PROMPTS)[0].option_mass > 0
    assert without_secrets("no token here") == "no *** here"


def test_a_reply_that_says_it_is_packed_and_is_not_is_an_error_of_the_server(serve, opened, reply):
    served = serve()
    model = opened(f"{served.spec}?timeout=20&patience=1")
    served.fault = lambda request: reply(b"not packed", 200, {"Content-Encoding": "gzip"})
    with pytest.raises(ModelError, match="cannot be reached or broke off"):
        model.answer(PROMPTS)
