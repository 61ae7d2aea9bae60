"""The noise floor: by its definition on answers made up here, on real tiny networks, and how it is kept."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.metrics import jensen_shannon_distance
from pytest_pluralism.core.records import Answer, Prompt
from pytest_pluralism.models import noise
from pytest_pluralism.models.noise import (
    N_PROMPTS,
    BatchedModel,
    NoiseFloor,
    kept_noise_floor,
    measure_noise_floor,
    noise_floor,
)
from pytest_pluralism.models.protocol import ModelIdentity

PROMPTS = [Prompt(f"What of {number} ?", ("A", "B", "C")) for number in range(100)]
IDENTITY = ModelIdentity("table:x", "x", "0" * 64, "float32", "cpu")


class Wobbly:
    """Answers from a table; the batch size adds to the log-probability of the first label."""

    def __init__(self, wobble):
        self.wobble = wobble
        self.identity = IDENTITY
        self.calls = []

    def answer_in_batches(self, prompts, /, *, batch_size):
        self.calls.append((batch_size, list(prompts)))
        return [Answer(self.numbers(prompt, batch_size), 0.9, "A", 0.5) for prompt in prompts]

    def numbers(self, prompt, batch_size):
        place = sum(map(ord, prompt.question)) % 7
        shift = self.wobble.get(batch_size, 0.0) * place
        return (math.log(0.2 + 0.05 * place) + shift, math.log(0.1), math.log(0.2))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))


def test_by_its_definition():
    model = Wobbly({"auto": 0.01, 7: -0.03})
    assert isinstance(model, BatchedModel)
    found = measure_noise_floor(model, PROMPTS)
    (one, asked), (auto, again), (seven, backwards) = model.calls
    assert (one, auto, seven) == (1, "auto", 7)
    assert asked == again == backwards[::-1]
    assert len(asked) == N_PROMPTS
    assert asked[0] is PROMPTS[0]
    assert PROMPTS.index(asked[-1]) > 90
    probability, distances = 0.0, []
    for prompt in asked:
        ways = [np.exp(model.numbers(prompt, size)) for size in (1, "auto", 7)]
        probability = max(probability, *(float(np.abs(way - ways[0]).max()) for way in ways))
        distances.append(max(float(jensenshannon(ways[0], way, base=2)) for way in ways))
    assert found.probability == pytest.approx(probability)
    assert found.distribution == pytest.approx(max(distances))
    assert found.typical == pytest.approx(float(np.sqrt(np.mean(np.square(distances)))))
    assert found.n_prompts == N_PROMPTS
    assert measure_noise_floor(Wobbly({}), PROMPTS) == NoiseFloor(0.0, 0.0, 0.0, N_PROMPTS)


def test_no_mean_of_distances_moves_by_more():
    # The promise of `typical`, for references drawn at random and questions that are means over repetitions.
    rng = np.random.default_rng(0)
    model = Wobbly({"auto": 0.02, 7: -0.05})
    found = measure_noise_floor(model, PROMPTS[:N_PROMPTS])
    ways = {size: np.exp([model.numbers(prompt, size) for prompt in PROMPTS[:N_PROMPTS]]) for size in (1, "auto", 7)}
    shares = {size: way / way.sum(axis=1, keepdims=True) for size, way in ways.items()}
    for _ in range(200):
        repetitions = int(rng.choice([1, 2, 4]))
        reference = rng.dirichlet(np.full(3, 0.3), size=N_PROMPTS // repetitions)
        answers = {size: way.reshape(-1, repetitions, 3).mean(axis=1) for size, way in shares.items()}
        means = {size: jensen_shannon_distance(way, reference).mean() for size, way in answers.items()}
        assert max(abs(means[size] - means[1]) for size in ("auto", 7)) <= found.typical


def test_few_prompts_are_filled_up_and_none_is_an_error():
    model = Wobbly({})
    assert noise_floor(model, PROMPTS[:2]).n_prompts == N_PROMPTS
    asked = model.calls[0][1]
    assert asked[:2] == PROMPTS[:2]
    assert len(set(asked)) == N_PROMPTS
    with pytest.raises(InvalidParameterError, match="The 'prompts' parameter of measure_noise_floor must be"):
        measure_noise_floor(model, [])


def test_it_is_measured_once_a_model_and_device():
    model = Wobbly({"auto": 0.01})
    assert kept_noise_floor(IDENTITY) is None
    found = noise_floor(model, PROMPTS)
    assert len(model.calls) == 3
    assert noise_floor(model, PROMPTS) == found == kept_noise_floor(IDENTITY)
    assert len(model.calls) == 3
    for change in ({"sha256": "1" * 64}, {"device": "cuda"}):
        other = Wobbly({})
        other.identity = ModelIdentity(**{**{name: getattr(IDENTITY, name) for name in (
            "spec", "name", "sha256", "dtype", "device")}, **change})  # fmt: skip
        assert noise_floor(other, PROMPTS).typical == 0
        assert len(other.calls) == 3


def test_other_threads_another_measurement(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    noise_floor(Wobbly({}), PROMPTS)
    assert kept_noise_floor(IDENTITY) is not None
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert kept_noise_floor(IDENTITY) is None


@pytest.mark.parametrize(
    "change",
    [{"typical": -1.0}, {"typical": 2.0}, {"probability": "0"}, {"n_prompts": 0}, {"other": 1}, {"typical": True}],
)
def test_what_cannot_be_is_measured_again(change):
    model = Wobbly({"auto": 0.01})
    found = noise_floor(model, PROMPTS)
    path = noise.noise_file(IDENTITY).path
    content = json.loads(path.read_text(encoding="utf-8"))
    content["measured"] |= change
    path.write_text(json.dumps(content), encoding="utf-8")
    assert kept_noise_floor(IDENTITY) is None
    assert noise_floor(model, PROMPTS) == found
    assert kept_noise_floor(IDENTITY) == found


def test_a_model_that_cannot_be_told_its_batches():
    class Endpoint:
        identity = IDENTITY

        def answer(self, prompts, /):
            raise AssertionError

        def close(self):
            pass

    assert noise_floor(Endpoint(), PROMPTS) is None


def test_a_model_that_is_loaded_when_it_is_first_asked():
    from pytest_pluralism.models.lazy import LazyModel

    loaded = []

    def load():
        loaded.append(Wobbly({"auto": 0.01}))
        return loaded[-1]

    found = noise_floor(LazyModel(IDENTITY, load), PROMPTS)
    assert found.typical > 0
    assert len(loaded) == 1
    # A noise floor that is kept needs no model.
    assert noise_floor(LazyModel(IDENTITY, load), PROMPTS) == found
    assert len(loaded) == 1


# ------------------------------------------------------------------------------------------------------- on a network


ASKED = [
    Prompt(f"What do you think about {what} {number} ?", ("A", "B", "C"))
    for what in ("taxes", "dogs", "war", "bread and butter")
    for number in ("one", "two", "three", "four")
]


@pytest.mark.whole
@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-5), ("bfloat16", 0.2)])
def test_of_a_network(tiny_folder, dtype, most):
    pytest.importorskip("torch")
    from pytest_pluralism.models import load_model

    model = load_model(str(tiny_folder()), dtype=dtype)
    assert isinstance(model, BatchedModel)
    before = model.answer(ASKED)
    scorer = model.scorer
    found = noise_floor(model, ASKED)
    assert model.scorer is scorer
    assert model.answer(ASKED) == before
    assert 0 <= found.typical <= found.distribution <= most
    assert 0 <= found.probability <= most
    assert kept_noise_floor(model.identity) == found
    # No two ways of batching differ by more than what each differs from one at a time.
    ways = [model.answer_in_batches(ASKED, batch_size=size) for size in (1, 3, "auto")]
    for first, second in zip(ways[0], ways[2], strict=True):
        assert np.exp(first.log_probabilities) == pytest.approx(np.exp(second.log_probabilities), abs=most)


def test_batches_of_a_network(tiny_folder, monkeypatch):
    pytest.importorskip("torch")
    from pytest_pluralism.models import load_model
    from pytest_pluralism.models.local.forwards import Forwards

    model = load_model(str(tiny_folder()))
    sizes, real = [], Forwards.last_logits
    monkeypatch.setattr(
        Forwards, "last_logits", lambda self, s, c, n: (sizes.append((len(s), n)), real(self, s, c, n))[1]
    )
    model.answer_in_batches(ASKED, batch_size=1)
    assert set(sizes) == {(1, 0)}
    sizes.clear()
    model.answer_in_batches(ASKED, batch_size=5)
    assert max(n for n, _ in sizes) == 5
