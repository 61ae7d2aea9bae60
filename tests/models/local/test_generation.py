"""Written texts: the tokens of transformers' own greedy search, and draws that do not depend on their batch."""

from __future__ import annotations

import functools
import hashlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from pytest_pluralism.core.errors import InvalidParameterError, ModelError  # noqa: E402
from pytest_pluralism.core.records import GenerationSettings, Prompt, Response, Turn  # noqa: E402
from pytest_pluralism.models import load_model  # noqa: E402
from pytest_pluralism.models.local.generation import (  # noqa: E402
    GenerationRequest,
    Generator,
    choose_tokens,
    draw_key,
    uniform,
)
from pytest_pluralism.models.local.scoring import Scorer  # noqa: E402
from pytest_pluralism.models.protocol import GenerativeModel  # noqa: E402

DECODERS = ["llama", "mistral", "qwen2", "gpt2", "gemma3"]
GREEDY = GenerationSettings(max_new_tokens=20, temperature=0)
SAMPLED = GenerationSettings(max_new_tokens=20, temperature=1.5)

#: Of very different lengths, some past the windows of 8, two with a long beginning in common, one twice.
ROWS = [
    (1, 9),
    tuple(range(7, 47)),
    (*range(7, 40), 8, 50, 12),
    (1, 12, 30),
    (1, *range(20, 41)),
    (1, 9),
    (1, 44, 9, 17, 33, 21, 10),
]
PROMPTS = [
    Prompt(f"What do you think about {what} ?", (), (Turn("one two three", "A"), Turn("You are", "C")))
    for what in ("taxes", "dogs", "war", "bread and butter and taxes and dogs and war")
]


def make_generator(network, ends=(), decode=str, **options) -> Generator:
    return Generator(Scorer(network, **options), ends=frozenset(ends), decode=decode)


def requests(rows=ROWS, seed=0) -> list[GenerationRequest]:
    return [GenerationRequest(row, draw_key(Prompt(str(row), ()), seed, i)) for i, row in enumerate(rows)]


def by_transformers(network, row, ends, n) -> list[int]:
    """The oracle: transformers' own greedy search, one row, no padding."""
    from transformers import GenerationConfig

    config = GenerationConfig(
        max_new_tokens=n, do_sample=False, eos_token_id=list(ends) or None, pad_token_id=0, use_cache=True
    )
    network.generation_config.eos_token_id = None
    with torch.inference_mode():
        ids = torch.tensor([row])
        found = network.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
    return found[0, len(row) :].tolist()


# ------------------------------------------------------------------------------------------------------------ greedy


@pytest.fixture(scope="module")
def searched():
    """Return what gives tokens that end a text, and what transformers' own search finds in a network of a family."""

    @functools.cache
    def found(family, make_network, size):
        network = make_network(family, size)
        expected = [by_transformers(network, row, (), 20) for row in ROWS]
        # Tokens that do come, so that rows leave the batch at different times.
        ends = frozenset((expected[1][3], expected[4][9]))
        return ends, [by_transformers(network, row, ends, 20) for row in ROWS]

    return found


@pytest.mark.parametrize("family", DECODERS)
@pytest.mark.parametrize("minimum_saving", [4, 10**6], ids=["shared", "apart"])
def test_greedy_is_that_of_transformers(tiny, searched, family, minimum_saving):
    make_tokenizer, make_network = tiny
    network = make_network(family, len(make_tokenizer()))
    ends, expected = searched(family, make_network, len(make_tokenizer()))
    generator = make_generator(network, ends)
    generator.scorer.minimum_saving = minimum_saving
    results = generator.generate(requests(), GREEDY)
    assert [list(result.token_ids) for result in results] == expected
    lengths = {len(result.token_ids) for result in results}
    assert len(lengths) > 1
    for result in results:
        assert result.stopped_by == ("eos" if result.token_ids[-1] in ends else "length")


@pytest.mark.whole
@pytest.mark.parametrize("family", DECODERS)
def test_a_shared_beginning_is_computed_once(tiny, family):
    make_tokenizer, make_network = tiny
    network = make_network(family, len(make_tokenizer()))
    rows = [(*range(7, 47), *range(7, 7 + n)) for n in range(5, 11)]
    counts = []
    expected = [by_transformers(network, row, (), 20) for row in rows]
    for saving in (4, 10**6):
        generator = make_generator(network)
        generator.scorer.minimum_saving = saving
        results = generator.generate(requests(rows), GREEDY)
        assert [list(one.token_ids) for one in results] == expected
        counts.append(generator.scorer.computed_tokens)
    if family in {"mistral", "gemma3"}:
        # The filling behind the beginning would push it out of the window.
        assert counts[1] == counts[0]
    else:
        # Five of six copies of the first 40 tokens.
        assert counts[1] - counts[0] >= 5 * 40
    # Draws of one prompt: computed once, and then one token a draw and step.
    generator = make_generator(network)
    key = draw_key(PROMPTS[0], 0, 0)
    generator.generate([GenerationRequest(rows[0], key)] * 3, GREEDY)
    assert generator.scorer.computed_tokens == len(rows[0]) + 3 * 19


@pytest.mark.whole
@pytest.mark.parametrize("family", ["mamba", "phi3-longrope"])
def test_networks_whose_cache_is_not_used(tiny, family):
    make_tokenizer, make_network = tiny
    network = make_network(family, len(make_tokenizer()))
    results = make_generator(network).generate(requests(), GREEDY)
    # Below the length at which the position codes change, transformers' own cache does the same.
    assert [list(result.token_ids) for result in results] == [by_transformers(network, row, (), 20) for row in ROWS]


def test_an_encoder_decoder_is_refused(tiny_folder):
    model = load_model(str(tiny_folder("t5")))
    with pytest.raises(ModelError, match="T5ForConditionalGeneration is an encoder-decoder"):
        model.generate(PROMPTS, GREEDY)


# ------------------------------------------------------------------------------------------------------------- draws


@pytest.mark.whole
@pytest.mark.parametrize("family", DECODERS)
def test_a_draw_does_not_depend_on_its_batch(tiny, family):
    make_tokenizer, make_network = tiny
    network = make_network(family, len(make_tokenizer()))
    asked = [request for seed in range(4) for request in requests(seed=seed)]
    together = make_generator(network).generate(asked, SAMPLED)
    assert len({result.token_ids for result in together}) == len(asked), "all draws differ"
    backwards = make_generator(network).generate(asked[::-1], SAMPLED)[::-1]
    threes = make_generator(network, batch_size=3).generate(asked, SAMPLED)
    alone = [make_generator(network).generate([request], SAMPLED)[0] for request in asked[:7]]
    assert together == backwards == threes
    assert together[:7] == alone


def test_draws_follow_the_probabilities(tiny):
    """The first token of many draws, against the probabilities of one forward: a chi-squared test."""
    from scipy import stats

    make_tokenizer, make_network = tiny
    network = make_network("llama", len(make_tokenizer()))
    row, n = ROWS[6], 4000
    asked = [GenerationRequest(row, draw_key(PROMPTS[0], 1, draw)) for draw in range(n)]
    one = GenerationSettings(max_new_tokens=1, temperature=0.7)
    drawn = torch.tensor([result.token_ids[0] for result in make_generator(network).generate(asked, one)])
    with torch.inference_mode():
        expected = n * torch.softmax(network(torch.tensor([row])).logits[0, -1].double() / 0.7, -1)
    counts = torch.bincount(drawn, minlength=len(expected)).double()
    likely = expected >= 5
    observed = [*counts[likely].tolist(), float(counts[~likely].sum())]
    wanted = [*expected[likely].tolist(), float(expected[~likely].sum())]
    assert len(wanted) > 5
    assert stats.chisquare(observed, wanted).pvalue > 1e-3


def test_random_numbers():
    key = draw_key(PROMPTS[0], 0, 0)
    numbers = [uniform(key, position) for position in range(2000)]
    assert len(set(numbers)) == 2000
    assert all(0 <= number < 1 for number in numbers)
    assert abs(sum(numbers) / 2000 - 0.5) < 4 * math.sqrt(1 / 12 / 2000)
    # Fixed for good: stored responses are found by what decides them.
    assert uniform(b"\0" * 32, 0) == int(hashlib.sha256(b"\0" * 40).hexdigest()[:16], 16) // 2**11 / 2**53
    assert uniform(b"\0" * 32, 0) == 0.1726807425604715
    others = [draw_key(PROMPTS[0], 0, 1), draw_key(PROMPTS[0], 1, 0), draw_key(PROMPTS[1], 0, 0),
              draw_key(PROMPTS[0], 2**32, 0)]  # fmt: skip
    assert len({key, *others}) == 5


# ---------------------------------------------------------------------------------------------------------- choosing


def allowed(logits: list[float], temperature: float, top_k: int | None, top_p: float) -> dict[int, float]:
    """An independent reading of temperature, top-k and top-p, in plain Python: the probabilities that are left."""
    weights = [math.exp((value - max(logits)) / temperature) for value in logits]
    order = sorted(range(len(logits)), key=lambda token: -weights[token])
    if top_k is not None:
        order = [token for token in order if weights[token] >= weights[order[min(top_k, len(order)) - 1]]]
    total = sum(weights[token] for token in order)
    kept, mass = [], 0.0
    for token in order:
        if mass >= top_p * total and weights[token] < weights[kept[-1]]:
            break
        kept.append(token)
        mass += weights[token]
    return {token: weights[token] / mass for token in sorted(kept)}


@settings(max_examples=100, deadline=None)
@given(
    logits=st.lists(st.integers(-24, 24).map(lambda value: value / 4), min_size=1, max_size=12),
    number=st.floats(0, 1, exclude_max=True),
    temperature=st.sampled_from([0.3, 1.0, 2.0]),
    top_k=st.one_of(st.none(), st.integers(1, 14)),
    top_p=st.sampled_from([1e-9, 0.37, 0.71, 0.953, 1.0]),
)
def test_tokens_are_chosen_by_the_definition(logits, number, temperature, top_k, top_p):
    asked = GenerationSettings(max_new_tokens=1, temperature=temperature, top_k=top_k, top_p=top_p)
    tensor = torch.tensor([logits])
    copy = tensor.clone()
    (token,) = choose_tokens(tensor, [number], asked)
    assert torch.equal(tensor, copy)
    probabilities = allowed(logits, temperature, top_k, top_p)
    assert token in probabilities
    below = sum(value for other, value in probabilities.items() if other < token)
    assert below - 1e-5 <= number <= below + probabilities[token] + 1e-5


def test_choosing_at_the_borders():
    logits = torch.tensor([[0.0, 0.0, -torch.inf, 0.0]])
    plain = GenerationSettings(max_new_tokens=1)
    assert [choose_tokens(logits, [number], plain)[0] for number in (0.0, 0.3332, 0.3335, 0.6668, 1 - 2**-53)] == [
        0, 0, 1, 3, 3,
    ]  # fmt: skip
    tiny_temperature = GenerationSettings(max_new_tokens=1, temperature=1e-30)
    assert choose_tokens(torch.tensor([[1e4, 2e4, -3e4]]), [0.999], tiny_temperature) == [1]
    only_first = GenerationSettings(max_new_tokens=1, top_k=1)
    assert choose_tokens(torch.tensor([[1.0, 2.0, 1.5]]), [0.999], only_first) == [1]
    # More than a thousand tokens before the mass is reached.
    flat = torch.zeros(1, 5000)
    flat[0, 4999] = -1
    half = GenerationSettings(max_new_tokens=1, top_p=0.9999)
    assert choose_tokens(flat, [0.9999], half) == [4998]


# -------------------------------------------------------------------------------------------------------- the model


def test_responses_of_a_model(tiny_folder):
    model = load_model(str(tiny_folder()))
    assert isinstance(model, GenerativeModel)
    calls, received = [], []
    responses = model.generate(
        [*PROMPTS, PROMPTS[1]], SAMPLED, n_draws=3, progress=lambda *call: calls.append(call), receive=received.extend
    )
    assert [len(draws) for draws in responses] == [3] * 5
    assert [response.draw for response in responses[0]] == [0, 1, 2]
    assert responses[4] == responses[1]
    assert len({response.text for draws in responses for response in draws}) == 12
    assert calls[-1] == (15, 15)
    assert {(prompt, response.draw): response for prompt, response in received} == {
        (prompt, response.draw): response
        for prompt, draws in zip(PROMPTS, responses, strict=False)
        for response in draws
    }
    tokenizer = model.reader.tokenizer
    for draws in responses:
        for response in draws:
            assert 1 <= response.n_tokens <= 20
            assert "<" not in response.text, "no special tokens"
            assert response.stopped_by in {"eos", "length"}
    # The first two draws are the same when only they, or another prompt, are asked for.
    assert model.generate(PROMPTS[2:3], SAMPLED, n_draws=2) == [responses[2][:2]]
    other = model.generate(PROMPTS[2:3], GenerationSettings(max_new_tokens=20, temperature=1.5, seed=1), n_draws=1)
    assert other[0][0] != responses[2][0]
    assert tokenizer.eos_token_id in model.generator.ends


def test_greedy_draws_are_alike_and_written_once(tiny_folder):
    model = load_model(str(tiny_folder()))
    (one,) = model.generate(PROMPTS[:1], GREEDY)
    before = model.scorer.computed_tokens
    received = []
    (three,) = model.generate(PROMPTS[:1], GREEDY, n_draws=3, receive=received.extend)
    assert [Response(r.text, r.n_tokens, r.stopped_by) for r in three] == [one[0]] * 3
    assert [response.draw for response in three] == [0, 1, 2]
    assert [response for _, response in received] == list(three)
    ids = model.token_ids(PROMPTS[0])
    assert model.scorer.computed_tokens - before == len(ids) + one[0].n_tokens - 1
    expected = by_transformers(model.scorer.model, ids, model.generator.ends, 20)
    assert one[0].text == model.reader.tokenizer.decode(expected, skip_special_tokens=True)


@pytest.mark.whole
def test_the_generation_config_of_a_model_is_not_read(tiny_folder):
    plain = load_model(str(tiny_folder())).generate(PROMPTS, SAMPLED)
    model = load_model(str(tiny_folder()))
    config = model.scorer.model.generation_config
    config.temperature, config.top_k, config.repetition_penalty, config.max_new_tokens = 0.01, 1, 5.0, 2
    assert model.generate(PROMPTS, SAMPLED) == plain


@pytest.mark.whole
def test_stop_texts(tiny_folder):
    model = load_model(str(tiny_folder()))
    (whole,) = model.generate(PROMPTS[:1], SAMPLED, n_draws=8)
    longest = max(whole, key=lambda response: len(response.text.split()))
    words = longest.text.split()
    assert len(words) > 8
    stop = f"{words[4]} {words[5]}"
    asked = GenerationSettings(max_new_tokens=20, temperature=1.5, stop=("never to be seen", stop))
    stopped = model.generate(PROMPTS[:1], asked, n_draws=8)[0][longest.draw]
    assert stopped.stopped_by == "stop"
    assert stopped.text == longest.text[: longest.text.index(stop)]
    assert stopped.n_tokens < longest.n_tokens
    for before, after in zip(whole, model.generate(PROMPTS[:1], asked, n_draws=8)[0], strict=True):
        assert before.text.startswith(after.text), "a stop text changes no draw"


def test_the_turn_of_a_chat_model_ends(tiny_folder):
    folder = tiny_folder(chat=True)
    model = load_model(str(folder))
    template = model.reader.tokenizer.chat_template
    model.reader.tokenizer.chat_template = template.replace("</s>", "<user>")
    model.generate(PROMPTS[:1], GREEDY)
    names = set(model.reader.tokenizer.convert_ids_to_tokens(sorted(model.generator.ends)))
    assert names == {"</s>", "<user>"}


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_new_tokens": 0}, "The 'max_new_tokens' parameter of GenerationSettings must be a whole number from 1"),
        ({"max_new_tokens": True}, "max_new_tokens"),
        ({"temperature": -0.1}, r"The 'temperature' parameter .* must be a float in \[0, inf\)\. Got -0\.1 instead"),
        ({"temperature": math.inf}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"top_p": 0.0}, r"The 'top_p' parameter of GenerationSettings must be a float in \(0, 1\]\. Got 0\.0 instead"),
        ({"top_p": 1.01}, "top_p"),
        ({"top_p": "0.5"}, "top_p"),
        ({"top_k": 0}, "The 'top_k' parameter of GenerationSettings must be a whole number from 1 or None"),
        ({"stop": "END"}, "The 'stop' parameter of GenerationSettings must be a tuple of texts"),
        ({"stop": ("",)}, "stop"),
        ({"seed": -1}, "The 'seed' parameter of GenerationSettings must be a whole number from 0"),
        ({"seed": 1.5}, "seed"),
    ],
)
def test_settings_are_checked(changes, message):
    with pytest.raises(InvalidParameterError, match=message):
        GenerationSettings(**({"max_new_tokens": 5} | changes))


@pytest.mark.whole
def test_bad_input(tiny_folder):
    model = load_model(str(tiny_folder()))
    assert model.generate([], GREEDY) == []
    for n_draws in (0, -1, True, 1.5):
        with pytest.raises(InvalidParameterError, match="The 'n_draws' parameter of generate must be"):
            model.generate(PROMPTS, GREEDY, n_draws=n_draws)
    with pytest.raises(InvalidParameterError, match="The 'settings' parameter of generate must be"):
        model.generate(PROMPTS, {"temperature": 1})
    for empty in (Prompt("", ()), Prompt(" \n", ()), Prompt("one", (), verbatim="")):
        with pytest.raises(ModelError, match="A prompt is empty"):
            model.generate([empty], GREEDY)
    long = Prompt("x", (), verbatim="Please tell me " + "dogs " * 240)
    with pytest.raises(ModelError, match=r"'Please tell me dogs .*' has 24\d tokens; with 20 new ones .* the 256"):
        model.generate([*PROMPTS, long], GREEDY)
    model.close()
    with pytest.raises(ModelError, match="has been closed"):
        model.generate(PROMPTS, GREEDY)


def test_a_network_that_gives_nan(tiny):
    make_tokenizer, make_network = tiny
    network = make_network("llama", len(make_tokenizer()))
    with torch.no_grad():
        network.lm_head.weight[3] = torch.nan
    with pytest.raises(ModelError, match="gives NaN"):
        make_generator(network).generate(requests(), GREEDY)


@pytest.mark.whole
@pytest.mark.parametrize("after", [0, 5])
def test_out_of_memory_halves_the_batch_and_changes_nothing(tiny, monkeypatch, after):
    make_tokenizer, make_network = tiny
    network = make_network("llama", len(make_tokenizer()))
    expected = make_generator(network).generate(requests(), SAMPLED)
    generator = make_generator(network)
    real, sizes = network.forward, []

    def greedy(*positional, **named):
        sizes.append(len(named["input_ids"]))
        if len(sizes) > after and len(named["input_ids"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(*positional, **named)

    greedy.__signature__ = __import__("inspect").signature(real)
    monkeypatch.setattr(network, "forward", greedy)
    calls = []
    assert generator.generate(requests(), SAMPLED, progress=calls.append) == expected
    assert max(sizes) > 2
    longest = max(len(request.token_ids) for request in requests())
    assert generator.scorer.budget.cached_tokens <= 3 * (longest + SAMPLED.max_new_tokens)
    assert calls == sorted(set(calls))
    monkeypatch.setattr(
        network, "forward", lambda *_, **__: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory."))
    )
    with pytest.raises(ModelError, match="not enough memory on cpu"):
        generator.generate(requests(), SAMPLED)


# ----------------------------------------------------------------------------------------------------- packaged model


@pytest.mark.model
@pytest.mark.slow
def test_smollm2_writes_what_transformers_writes():
    from pytest_pluralism.core.errors import MissingExtraError

    try:
        model = load_model("embedded:smollm2-135m-instruct")
    except MissingExtraError as error:
        pytest.skip(str(error))
    prompts = [
        Prompt(question, ())
        for question in (
            "Should voting be compulsory?",
            "Name three rivers.",
            "Why do some oppose a tax on meat?",
        )
    ]
    asked = GenerationSettings(max_new_tokens=24, temperature=0)
    responses = model.generate(prompts, asked)
    assert {model.reader.decode(token) for token in model.generator.ends} == {"<|im_end|>"}
    for prompt, (response,) in zip(prompts, responses, strict=True):
        expected = by_transformers(model.scorer.model, model.token_ids(prompt), model.generator.ends, 24)
        assert response.text == model.reader.decode_text(expected)
        assert response.n_tokens == len(expected)
    drawn = GenerationSettings(max_new_tokens=24, temperature=1.0, top_p=0.95)
    together = model.generate(prompts, drawn, n_draws=2)
    alone = [model.generate([prompt], drawn, n_draws=2)[0] for prompt in prompts]
    assert together == alone
    model.close()
