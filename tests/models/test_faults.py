"""Faults of the engine, for every kind of work: no memory, no numbers, no token for a beginning, no room."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from pytest_pluralism.core.errors import ModelError  # noqa: E402
from pytest_pluralism.core.records import FullAnswerPrompt, GenerationSettings, Prompt, Turn  # noqa: E402
from pytest_pluralism.models import load_model  # noqa: E402
from pytest_pluralism.models.local import devices, loading, packages  # noqa: E402
from pytest_pluralism.models.local import language_model as huggingface  # noqa: E402
from pytest_pluralism.models.local.forwards import Forwards  # noqa: E402

EXAMPLES = (Turn("one two three four five six seven", "A"), Turn("You are from Japan", "C"))
PROMPTS = [
    Prompt(f"What do you think about {what} {number} ?", ("A", "B", "C"), EXAMPLES)
    for what in ("taxes", "dogs", "war", "bread and butter")
    for number in ("one", "two", "three")
]
ASKED = [FullAnswerPrompt(prompt, ("Yes", "No opinion", "I like it not")) for prompt in PROMPTS]
GREEDY = GenerationSettings(6, temperature=0)


def answers(model, receive=None):
    return [one.log_probabilities for one in model.answer(PROMPTS, receive=receive)]


def full_answers(model, receive=None):
    return [one.log_likelihoods for one in model.score_answers(ASKED, receive=receive)]


def responses(model, receive=None):
    return [[float(ord(letter)) for letter in one.text] for (one,) in model.generate(PROMPTS, GREEDY, receive=receive)]


WORKS = pytest.mark.parametrize("work", [answers, full_answers, responses], ids=lambda work: work.__name__)


def memory_for(monkeypatch, scorer, most, failures, *, after=0):
    """Let forwards fail that have more numbers in their batch than ``most``, as a device does that is full."""
    network = scorer.model
    real = network.forward
    calls = [0]

    def forward(*positional, **named):
        calls[0] += 1
        if calls[0] > after and len(named["input_ids"]) > most:
            failures.append(tuple(named["input_ids"].shape))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(*positional, **named)

    forward.__signature__ = __import__("inspect").signature(real)
    monkeypatch.setattr(network, "forward", forward)


@pytest.mark.whole
@WORKS
@pytest.mark.parametrize("after", [0, 1])
def test_memory_that_runs_out_in_the_middle_costs_no_answer(tiny_folder, monkeypatch, work, after):
    folder = str(tiny_folder())
    expected = work(load_model(folder))
    model = load_model(folder)
    failures, received = [], []
    memory_for(monkeypatch, model.scorer, 2, failures, after=after)
    got = work(model, lambda pairs: received.extend(pairs))
    assert failures, "nothing was tested"
    for one, other in zip(got, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    # Each is passed on once, however often its batch was tried.
    assert len(received) == len({prompt for prompt, _ in received}) == len(PROMPTS)
    # Remembered for the rest of this run, and for the next one.
    later = []
    again = load_model(folder)
    memory_for(monkeypatch, again.scorer, 2, later)
    work(again)
    assert len(later) < len(failures) or not later


@WORKS
def test_no_memory_for_a_single_row_is_an_error_with_a_remedy(tiny_folder, monkeypatch, work):
    model = load_model(str(tiny_folder()))
    memory_for(monkeypatch, model.scorer, 0, [])
    with pytest.raises(ModelError, match=r"not enough memory on cpu .*--pluralism-dtype=bfloat16"):
        work(model)


def test_no_memory_for_a_long_answer_computed_in_pieces(tiny_folder, monkeypatch):
    from pytest_pluralism.models.local import scoring

    model = load_model(str(tiny_folder()))
    monkeypatch.setattr(scoring, "MOST_LOGITS", 300)
    memory_for(monkeypatch, model.scorer, 0, [], after=1)
    long = FullAnswerPrompt(Prompt("one two", ()), ("I like it " * 20,))
    with pytest.raises(ModelError, match="not enough memory"):
        model.score_answers([long])


def test_no_memory_for_the_check_of_sharing_is_no_error(tiny_folder, monkeypatch):
    model = load_model(str(tiny_folder()))
    expected = answers(load_model(str(tiny_folder(name="other"))))
    real = Forwards.last_logits

    def whole_rows_fail(self, suffixes, cache, cached):
        if cache is None:
            raise MemoryError
        return real(self, suffixes, cache, cached)

    monkeypatch.setattr(Forwards, "last_logits", whole_rows_fail)
    for one, other in zip(answers(model), expected, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


@WORKS
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_network_that_gives_no_numbers(tiny_folder, work, value):
    model = load_model(str(tiny_folder()))
    with torch.no_grad():
        model.scorer.model.lm_head.weight[5] = value
    with pytest.raises(ModelError, match=r"gives NaN or infinity \(float32\)"):
        work(model)


@WORKS
def test_a_tokenizer_without_a_token_for_a_beginning(tiny_folder, work):
    model = load_model(str(tiny_folder(bos=False)))
    ids = model.token_ids(PROMPTS[0])
    assert model.reader.opening == ()
    assert 1 not in ids
    if work is full_answers:
        # The neutral prompt has nothing but the cue, and that is enough to begin with.
        assert all(value < 0 for values in work(model) for value in values)
    with_beginning = load_model(str(tiny_folder(name="with")))
    assert with_beginning.token_ids(PROMPTS[0]) == (1, *ids)
    assert work(model) != work(with_beginning), "the beginning matters to the network"


@pytest.mark.parametrize("work", ["answer", "score_answers", "generate"])
def test_a_prompt_longer_than_the_context_is_named_by_its_beginning(tiny_folder, work):
    model = load_model(str(tiny_folder()))
    prompt = Prompt("Please tell me of one two three four five six " + "dogs " * 300, ("A", "B"))
    asked = FullAnswerPrompt(prompt, ("Yes", "No")) if work == "score_answers" else prompt
    arguments = (GREEDY,) if work == "generate" else ()
    good = {"answer": PROMPTS[0], "generate": PROMPTS[0], "score_answers": ASKED[0]}[work]
    with pytest.raises(ModelError, match=r"The prompt 'Please tell me of one two three four \.\.\.' has 3\d\d tokens"):
        getattr(model, work)([good, asked], *arguments)


# --------------------------------------------------------------------------------------- networks on several devices


def spread_out(folder, tmp_path, **places):
    """Load a network with some of its layers on the disk, as accelerate does where memory is short."""
    from transformers import AutoModelForCausalLM

    table = {"model.embed_tokens": "cpu", "model.layers.0": "disk", "model.layers.1": "cpu", "model.layers.2": "disk",
             "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu", **places}  # fmt: skip
    with packages.quiet_transformers():
        return AutoModelForCausalLM.from_pretrained(folder, device_map=table, offload_folder=tmp_path / "disk").eval()


@WORKS
@pytest.mark.parametrize("places", [{}, {"model.embed_tokens": "disk"}], ids=["layers", "embedding"])
def test_a_network_in_several_places_says_the_same(tiny_folder, tmp_path, work, places):
    pytest.importorskip("accelerate")
    folder = tiny_folder()
    whole = load_model(str(folder))
    network = spread_out(folder, tmp_path, **places)
    assert len(set(network.hf_device_map.values())) == 2
    model = huggingface.HuggingFaceModel(network, whole.reader.tokenizer, whole.identity)
    assert str(model.scorer.device) == "cpu"
    assert "spread over the devices" in model.identity.notes[0]
    for one, other in zip(work(model), work(whole), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_spreading_goes_through_accelerate(tiny_folder, monkeypatch):
    pytest.importorskip("accelerate")
    from transformers import AutoModelForCausalLM

    folder = tiny_folder()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="No device to spread a model over is there"):
        load_model(str(folder), device="sharded")
    # The real thing as far as a machine without CUDA goes: everything ends in main memory.
    monkeypatch.setattr(loading, "chosen_device", lambda name: "cpu")
    seen, real = [], AutoModelForCausalLM.from_pretrained
    monkeypatch.setattr(
        AutoModelForCausalLM, "from_pretrained", lambda *a, **k: (seen.append(k["device_map"]), real(*a, **k))[1]
    )
    model = load_model(str(folder), device="sharded")
    assert seen == ["auto"]
    monkeypatch.undo()
    for one, other in zip(answers(model), answers(load_model(str(folder))), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize(
    ("n_devices", "free", "dtype", "expected"),
    [
        (1, 1.0, "auto", False),
        (2, 1.0, "auto", True),
        (2, 10.0, "auto", False),
        (2, 1.0, "float32", True),
        (2, 1.0, "bfloat16", False),
    ],
)
def test_when_one_device_is_not_enough(tiny_folder, monkeypatch, n_devices, free, dtype, expected):
    folder = tiny_folder()
    n_free = int(free * sum(path.stat().st_size for path in folder.glob("*.safetensors")))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_devices)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (n_free, 2 * n_free))
    assert devices.too_large_for_one(folder, "cuda", dtype) is expected
    assert devices.too_large_for_one(folder, "cpu", dtype) is False
