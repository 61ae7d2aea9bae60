"""The address of a served model: what is read, and what is refused."""

from __future__ import annotations

import math

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.address import parse_address
from pytest_pluralism.models.specification import parse_model_spec

SECRET = "hunter2-hunter2"  # noqa: S105


def address(rest):
    return parse_address(f"endpoint:{rest}", rest)


def test_a_bare_server_is_asked_below_v1_and_a_path_is_kept():
    found = address("http://one:8000,https://two/openai/v1/#org/model-7B")
    assert [replica.api for replica in found.replicas] == ["http://one:8000/v1", "https://two/openai/v1"]
    assert [replica.root for replica in found.replicas] == ["http://one:8000", "https://two/openai"]
    assert (found.model, found.tokenizer, found.requests_per_minute) == ("org/model-7B", None, math.inf)


def test_options_stand_behind_the_model():
    found = address("http://h#m?timeout=3&patience=9&requests_per_minute=60&tokens_per_minute=1e5&prices=0.15/0.6")
    assert (found.timeout, found.patience, found.requests_per_minute) == (3.0, 9.0, 60.0)
    assert (found.tokens_per_minute, found.prices) == (1e5, (0.15, 0.6))
    assert address("http://h#m?samples=40&tokenizer=./a%20b&route=judge").tokenizer == "./a b"


def test_the_same_server_twice_is_one():
    assert len(address("http://h:1,http://h:1/v1#m").replicas) == 1


def test_the_name_of_the_model_names_it():
    assert parse_model_spec("endpoint:http://h:8000#org/m?timeout=5").name == "org/m"


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("http://h:8000", "does not name the model"),
        ("http://h:8000#", "does not name the model"),
        ("ftp://h#m", "begins with http:// or https://"),
        ("h:8000#m", "begins with http:// or https://"),
        ("http://h:x#m", "begins with http:// or https://"),
        ("http://#m", "begins with http:// or https://"),
        ("http://a b#m", "begins with http:// or https://"),
        ("http://h,#m", "begins with http:// or https://"),
        ("http://h#m?timeuot=3", "unknown option 'timeuot'. Did you mean timeout?"),
        ("http://h#m?timeout=0", "timeout of the model 'endpoint:http://h#m?timeout=0' must be a number"),
        ("http://h#m?timeout=nan", "must be a number of seconds above 0. Got 'nan'"),
        ("http://h#m?prices=1", "two prices of a million tokens"),
        ("http://h#m?samples=0", "a whole number of at least 1"),
        ("http://h#m?route=guess", "score, classify, rerank or judge"),
        ("http://h#m?tokenizer=", "must be a folder"),
    ],
)
def test_what_cannot_be_asked_is_refused(rest, words):
    with pytest.raises(ModelError) as error:
        address(rest)
    assert words in str(error.value)


@pytest.mark.parametrize("rest", [f"http://user:{SECRET}@h:8000#m", f"http://{SECRET}@h#m", f"http://h?key={SECRET}#m"])
def test_a_secret_in_a_url_is_refused_with_the_remedy_and_not_shown(rest):
    with pytest.raises(ModelError, match="PLURALISM_ENDPOINT_API_KEY") as error:
        parse_model_spec(f"endpoint:{rest}")
    assert SECRET not in str(error.value)
    assert error.value.__context__ is None or SECRET not in str(error.value.__context__)
