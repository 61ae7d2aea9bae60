"""Servers that fail: each fault is injected on loopback, and none of them gives a number."""

from __future__ import annotations

import contextlib
import gc
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_pluralism.core.errors import ModelChangedError, ModelError
from pytest_pluralism.core.records import Prompt

PROMPTS = [Prompt(f"Question {number}?\nA. Yes\nB. No", ("A", "B")) for number in range(12)]
#: A machine under load may take long over a reply.
PATIENT = "?timeout=20&patience=20"


def asks(path):
    return path.endswith("completions")


def test_a_server_that_works_gives_the_probabilities_of_its_model(serve, opened):
    served = serve()
    model = opened(served.spec + PATIENT)
    answers = model.answer(PROMPTS)
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        known = served.log_probabilities(f"<user>{prompt.question}<assistant>")
        wanted = [served_sum(known, label) for label in prompt.labels]
        assert [round(value, 9) for value in answer.log_probabilities] == [round(value, 9) for value in wanted]
        assert answer.bounds == ()


def served_sum(known, label):
    import math

    return math.log(math.exp(known[label]) + math.exp(known[f" {label}"]))


@pytest.mark.whole
def test_a_server_that_is_killed_and_comes_back_is_asked_for_nothing_twice(serve, opened):
    served = serve()
    model = opened(served.spec + "?timeout=5&patience=30", batch_size=1)
    before = len(served.log)
    counted = []

    def kill_at_the_sixth(pairs):
        before_these = len(counted)
        counted.extend(pairs)
        if before_these < 6 <= len(counted):
            served.kill()
            threading.Timer(0.5, served.start).start()

    answers = model.answer(PROMPTS, receive=kill_at_the_sixth)
    assert len(answers) == 12
    asked = [one.body["messages"][-1]["content"] for one in served.log[before:] if asks(one.path)]
    # Every question was asked as often as by a server that stays up; a canary was asked when it came back.
    questions = [text for text in asked if text.startswith("Question")]
    calm = opened(serve().spec + PATIENT, batch_size=1)
    before = calm.client.servers[0].requests
    calm.answer(PROMPTS)
    assert len(set(questions)) == 12
    assert len(questions) <= 1 + calm.client.servers[0].requests - before
    assert [text for text in asked if text.startswith("How do you feel")]


def test_a_server_that_comes_back_with_another_model_is_refused(serve, opened):
    served = serve()
    model = opened(served.spec + "?timeout=5&patience=30", batch_size=1)

    def swap(pairs):
        if served.weights == "one":
            served.kill()
            served.weights = "two"
            served.start()

    with pytest.raises(ModelChangedError, match="serves another model than before"):
        model.answer(PROMPTS, receive=swap)


@pytest.mark.whole
def test_one_of_two_replicas_is_killed_and_the_other_goes_on(serve, opened):
    one, two = serve(), serve()
    model = opened(f"endpoint:{one.url},{two.url}#tiny{PATIENT}")
    alone = model.answer(PROMPTS)
    two.kill()
    started = time.monotonic()
    assert model.answer(PROMPTS) == alone
    # Nobody waited for the one that is gone.
    assert time.monotonic() - started < 15
    assert any("replicas of one model" in note for note in model.identity.notes)


@pytest.mark.whole
def test_replicas_of_different_models_are_refused(serve, opened):
    one, two = serve(), serve(weights="two")
    with pytest.raises(ModelError, match="do not serve the same model"):
        opened(f"endpoint:{one.url},{two.url}#tiny{PATIENT}")
    with pytest.raises(ModelError, match="is not a replica"):
        opened(f"endpoint:{one.url},{serve(cap=5).url}#tiny{PATIENT}")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408, 409])
def test_what_may_pass_is_asked_again(serve, opened, reply, status):
    served = serve()
    model = opened(served.spec + PATIENT)
    failed = set()

    def fail_once(request):
        if asks(request.path) and str(request.body) not in failed:
            failed.add(str(request.body))
            return reply({"error": {"message": "busy"}}, status)
        return None

    served.fault = fail_once
    assert len(model.answer(PROMPTS[:3])) == 3
    assert model.client.counts.retries > 0


def test_retry_after_is_obeyed(serve, opened, reply):
    served = serve()
    model = opened(served.spec + PATIENT)
    came = []

    def limit(request):
        came.append(time.monotonic())
        return reply({"error": "slow down"}, 429, {"Retry-After": "1"}) if len(came) == 1 else None

    served.fault = limit
    model.answer(PROMPTS[:1])
    assert 0.95 <= came[1] - came[0] < 10


def test_a_pause_beyond_what_is_allowed_fails_at_once_and_says_how_long(serve, opened, reply):
    served = serve()
    model = opened(served.spec + PATIENT)
    served.fault = lambda request: reply({"error": "come back tomorrow"}, 429, {"Retry-After": "86400"})
    started = time.monotonic()
    with pytest.raises(ModelError, match="asks for a pause of 86400 s") as error:
        model.answer(PROMPTS[:1])
    assert time.monotonic() - started < 15
    assert "patience=" in str(error.value)


def test_a_server_that_stays_away_is_given_up_and_what_came_before_is_passed_on(serve, opened):
    served = serve()
    model = opened(served.spec + "?timeout=20&patience=1", batch_size=1)
    passed_on = []

    def kill(pairs):
        passed_on.extend(pairs)
        if len(passed_on) >= 5:
            served.kill()

    with pytest.raises(ModelError, match="cannot be reached or broke off"):
        model.answer(PROMPTS, receive=kill)
    assert 5 <= len(passed_on) < 12


@pytest.mark.whole
def test_an_error_lets_what_runs_beside_it_finish(serve, opened, reply):
    served = serve()
    model = opened(served.spec + PATIENT, batch_size=4)

    def refuse_one(request):
        if "Question 0?" in str(request.body):
            return reply({"error": {"message": "no"}}, 400, wait=0.3)
        return reply(served.reply(request).content, wait=0.6)

    served.fault = refuse_one
    passed_on = []
    with pytest.raises(ModelError, match="status 400"):
        model.answer(PROMPTS, receive=passed_on.extend)
    assert len(passed_on) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_will_not_pass_fails_at_once(serve, opened, reply, status):
    served = serve()
    model = opened(served.spec + PATIENT)
    served.fault = lambda request: reply({"error": {"message": "<b>no</b> \x1b[31m"}}, status)
    before = len(served.log)
    with pytest.raises(ModelError, match=f"status {status}") as error:
        model.answer(PROMPTS[:1])
    assert len(served.log) == before + 1
    assert "\x1b" not in str(error.value)
    if status in {401, 403}:
        assert "PLURALISM_ENDPOINT_API_KEY" in str(error.value)


def test_an_exhausted_quota_is_not_asked_again(serve, opened, reply):
    served = serve()
    model = opened(served.spec + PATIENT)
    served.fault = lambda request: reply({"error": {"code": "insufficient_quota", "message": "pay"}}, 429)
    with pytest.raises(ModelError, match="insufficient_quota"):
        model.answer(PROMPTS[:1])
    assert model.client.counts.retries == 0


@pytest.mark.whole
def test_a_slow_server_is_waited_for_and_one_that_hangs_is_not(serve, opened, reply):
    served = serve()
    model = opened(served.spec + "?timeout=1&patience=2")
    served.fault = lambda request: reply(served.reply(request).content, wait=0.4)
    assert model.answer(PROMPTS[:1])
    served.fault = lambda request: reply(wait=5.0)
    started = time.monotonic()
    with pytest.raises(ModelError, match="no whole reply within 1 s"):
        model.answer(PROMPTS[1:2])
    assert time.monotonic() - started < 4.5


def test_a_reply_that_breaks_off_is_asked_again(serve, opened, reply):
    served = serve()
    model = opened(served.spec + PATIENT)
    broken = []

    def cut(request):
        if asks(request.path) and not broken:
            broken.append(request)
            return reply(served.reply(request).content, cut=40)
        return None

    served.fault = cut
    assert model.answer(PROMPTS[:1])[0].option_mass > 0
    assert model.client.counts.retries == 1


HTML = b"<!DOCTYPE html><html><body>Sign in to the proxy</body></html>"
WRONG = {
    "html": (HTML, "a page of HTML"),
    "text": (b"OK", "not with JSON"),
    "list": ([], "a list where an object must be"),
    "empty": ({}, "something else than one choice"),
    "error": ({"error": {"message": "overloaded"}}, "an error with the status of a success"),
    "no choice": ({"model": "tiny", "choices": []}, "something else than one choice"),
    "two choices": ({"model": "tiny", "choices": [{}, {}]}, "something else than one choice"),
    "no log-probabilities": ({"model": "tiny", "choices": [{"text": "A"}]}, "no log-probabilities"),
    "null": ({"model": "tiny", "choices": [{"logprobs": {"content": []}}]}, "no log-probabilities of the first token"),
    "other model": ({"model": "gpt", "choices": [{}]}, "answers for the model 'gpt', and 'tiny' was asked"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_reply_of_another_shape_fails_at_once(serve, opened, reply, name):
    content, words = WRONG[name]
    served = serve()
    model = opened(served.spec + PATIENT)
    served.fault = lambda request: reply(content) if asks(request.path) else None
    with pytest.raises(ModelError) as error:
        model.answer(PROMPTS[:1])
    assert words in str(error.value)
    assert model.client.counts.retries == 0


def test_an_id_of_another_model_is_refused_with_those_that_are_served(serve, opened):
    served = serve("small-base")
    with pytest.raises(ModelError, match="It lists: small-base"):
        opened(f"endpoint:{served.url}#small-instruct{PATIENT}")


def test_a_server_that_is_not_there_is_told_soon(serve, opened):
    served = serve()
    served.kill()
    started = time.monotonic()
    with pytest.raises(ModelError, match="cannot be reached"):
        opened(served.spec + "?timeout=1&patience=1")
    assert time.monotonic() - started < 6


def test_a_redirection_is_not_followed(serve, opened, reply):
    served = serve()
    served.fault = lambda request: reply(b"", 302, {"Location": "https://login.example.org/?next=x"})
    with pytest.raises(ModelError, match=r"points to login\.example\.org"):
        opened(served.spec + PATIENT)


def test_an_endpoint_that_speaks_no_tls_says_so(serve, opened):
    served = serve()
    with pytest.raises(ModelError, match=r"over TLS|write http://"):
        opened(f"endpoint:https://127.0.0.1:{served.port}#tiny{PATIENT}")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate for 127.0.0.1 that nobody has signed but itself."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs openssl, which makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command = [program, *kind, *names, "-keyout", "key.pem", "-out", "certificate.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "certificate.pem").read_text())
    return both


def test_a_certificate_that_nobody_signed_is_refused_until_it_is_trusted(serve, opened, certificate, monkeypatch):
    served = serve(certificate=certificate)
    with pytest.raises(ModelError, match=r"over TLS: .*Trust its certificate \(SSL_CERT_FILE\)"):
        opened(served.spec + PATIENT)
    assert not served.log
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_name("certificate.pem")))
    assert len(opened(served.spec + PATIENT).answer(PROMPTS[:2])) == 2
    # Another name than the one that it is for.
    with pytest.raises(ModelError, match="over TLS"):
        opened(f"endpoint:https://localhost:{served.port}#tiny{PATIENT}")


# -------------------------------------------------------------------------------------------------- a lying server


def lie(served, change):
    def changed(path, content):
        if asks(path):
            for choice in content["choices"]:
                change(choice)
        return content

    served.change = changed


def tops(choice):
    content = choice.get("logprobs") or {}
    return [row for one in content.get("content", ()) for row in one["top_logprobs"]]


def test_a_log_probability_above_0_is_refused(serve, opened):
    served = serve(routes=("/chat/completions",))
    lie(served, lambda choice: [row.update(logprob=0.7) for row in tops(choice)[:1]])
    with pytest.raises(ModelError, match="a number of at most 0"):
        opened(served.spec + PATIENT)


@pytest.mark.parametrize("value", [float("nan"), None, "-1.0", True])
def test_a_log_probability_that_is_no_number_is_refused(serve, opened, value):
    served = serve(routes=("/chat/completions",))
    lie(served, lambda choice: [row.update(logprob=value) for row in tops(choice)[:1]])
    with pytest.raises(ModelError, match="a number of at most 0"):
        opened(served.spec + PATIENT)


def test_probabilities_above_1_together_are_refused(serve, opened):
    served = serve(routes=("/chat/completions",))
    lie(served, lambda choice: [row.update(logprob=row["logprob"] / 3) for row in tops(choice)])
    with pytest.raises(ModelError, match="above 1"):
        opened(served.spec + PATIENT)


def test_probabilities_over_the_likeliest_tokens_alone_are_refused(serve, opened):
    import math

    served = serve(routes=("/chat/completions",))

    def renormalise(choice):
        rows = tops(choice)
        total = sum(math.exp(row["logprob"]) for row in rows)
        for row in rows:
            row["logprob"] -= math.log(total)
        for one in choice.get("logprobs", {}).get("content", ()):
            one["logprob"] = rows[0]["logprob"]

    lie(served, renormalise)
    with pytest.raises(ModelError, match="over a part of the tokens"):
        opened(served.spec + PATIENT)


def test_a_server_that_answers_everything_alike_is_refused(serve, opened):
    served = serve(routes=("/chat/completions",))
    fixed = {}

    def same(choice):
        if choice.get("logprobs"):
            choice["logprobs"] = fixed.setdefault(len(tops(choice)), choice["logprobs"])

    lie(served, same)
    with pytest.raises(ModelError, match="the same log-probabilities after"):
        opened(served.spec + PATIENT)


@pytest.mark.whole
def test_a_release_under_the_name_of_the_last_one_is_another_model(serve, opened):
    served = serve()
    first = opened(served.spec + PATIENT).identity
    again = opened(served.spec + PATIENT).identity
    served.weights = "two"
    other = opened(served.spec + PATIENT).identity
    served.weights = "one"
    back = opened(served.spec + PATIENT).identity
    assert first.sha256 == again.sha256 == back.sha256 != other.sha256
    assert any("cannot be proved" in note for note in first.notes)


@pytest.mark.whole
def test_chosen_tokens_that_do_not_agree_with_the_likeliest_are_refused(serve, opened):
    served = serve(routes=("/chat/completions", "/completions", "/tokenize"), cap=2)
    model = opened(served.spec + PATIENT)
    lie(
        served,
        lambda choice: [row.update(logprob=-0.9) for row in tops(choice) if row["token"].startswith("token_id:")][:1],
    )
    with pytest.raises(ModelError, match=r"One of the two is not over all tokens|above 1"):
        model.answer(PROMPTS)


def test_a_model_that_is_swapped_behind_an_open_connection_is_found_out(serve, opened):
    served = serve()
    model = opened(served.spec + PATIENT, batch_size=1)
    model.answer(PROMPTS[:2])

    def swap(pairs):
        served.weights = "two"

    with pytest.raises(ModelChangedError, match="serves another model than before"):
        model.answer(PROMPTS[2:6], receive=swap)


def test_a_cache_that_gives_every_draw_the_same_text_is_not_counted(serve, opened, reply):
    served = serve(routes=("/chat/completions",), cap=0)
    known = {}

    def cached(request):
        if not request.path.endswith("/chat/completions") or "n" in request.body:
            return None
        text = str(request.body["messages"])
        return reply(known.setdefault(text, served.reply(request).content))

    served.several = False
    served.fault = cached
    with pytest.raises(ModelError, match="may answer from a cache, or ignore the temperature"):
        opened(served.spec + PATIENT)


@pytest.mark.whole
def test_a_process_that_closes_no_client_ends(serve):
    """Python stops the thread of the loop at its end; a client that is still open then would wait for it for ever."""
    served = serve()
    program = (
        "from pytest_pluralism.models.endpoint.loading import load_endpoint_model\n"
        f"model = load_endpoint_model({served.spec!r})\n"
        "print(model.identity.name)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "tiny"), done.stderr


@pytest.mark.whole
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
def test_models_that_nobody_closed_give_back_their_connections_and_their_loops(serve):
    from pytest_pluralism.models.endpoint.loading import load_endpoint_model

    served = serve()

    def n_open():
        """Return how many sockets this process holds beside those of the server itself."""
        found = 0
        for one in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                found += str(one.readlink()).startswith("socket:")
        return found - len(served.server.connections)

    load_endpoint_model(served.spec).close()
    before = n_open()
    for _ in range(3):
        model = load_endpoint_model(served.spec)
        assert n_open() > before
        del model
    deadline = time.monotonic() + 20
    while n_open() > before and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.05)
    assert n_open() <= before
