"""Entailment models: labels, chunks, batches, memory, and what is refused, with tiny checkpoints made here."""

# ruff: noqa: S106 - the words for special tokens are not passwords.
from __future__ import annotations

import functools
import hashlib
import json
import math
import random
import shutil
from pathlib import Path

import pytest

from pytest_pluralism.core.errors import InvalidParameterError, ModelError
from pytest_pluralism.core.records import EntailmentPair
from pytest_pluralism.models import embedded
from pytest_pluralism.models import load_entailment_model as load_lazily
from pytest_pluralism.models.answers.kinds import ENTAILMENTS
from pytest_pluralism.models.answers.store import AnswerStore
from pytest_pluralism.models.embedded import ENTAILMENT_MODELS, EntailmentFiles, find_embedded_entailment
from pytest_pluralism.models.protocol import EntailmentModel
from pytest_pluralism.models.specification import parse_entailment_spec, parse_model_spec

torch = pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)
pytest.importorskip("transformers", reason="transformers is not installed", exc_type=ImportError)

from pytest_pluralism.models.local.entailment import EntailmentLabels, load_entailment_model, read_labels  # noqa: E402

SENTENCE = "taxes pay for schools and roads the rich do not like them but most people say they are fair"
WORDS = SENTENCE.split()
THREE = {0: "contradiction", 1: "neutral", 2: "entailment"}


def make_tokenizer(*, pad: bool = True, limit: int | None = 64):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *dict.fromkeys(WORDS), "."]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        pad_token="[PAD]" if pad else None, **({} if limit is None else {"model_max_length": limit}),
    )  # fmt: skip
    fast.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return fast


def make_folder(folder: Path, labels=THREE, *, family: str = "bert", seed: int = 3, **config) -> Path:
    """Save a tiny classifier with random weights."""
    import transformers as t

    tokenizer = make_tokenizer(pad=config.pop("pad", True), limit=config.pop("limit", 64))
    common = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": 64, "initializer_range": 0.6, "pad_token_id": 0,
        "id2label": labels, "label2id": {name: index for index, name in labels.items()}, "num_labels": len(labels),
    }  # fmt: skip
    torch.manual_seed(seed)
    made = {
        "bert": lambda: t.BertForSequenceClassification(t.BertConfig(**common)),
        "roberta": lambda: t.RobertaForSequenceClassification(
            t.RobertaConfig(**{**common, "type_vocab_size": 2, "max_position_embeddings": 66, "pad_token_id": 1})
        ),
        "llama": lambda: t.LlamaForSequenceClassification(t.LlamaConfig(**common)),
        "base": lambda: t.BertModel(t.BertConfig(**common)),
        "generative": lambda: t.LlamaForCausalLM(t.LlamaConfig(**common)),
    }[family]()
    made.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if config:
        path = folder / "config.json"
        content = json.loads(path.read_text())
        content.update(config)
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))
    return folder


def some_pairs(n: int, *, seed: int = 0, longest: int = 40) -> list[EntailmentPair]:
    draw = random.Random(seed)

    def text(most: int) -> str:
        return " ".join(draw.choice(WORDS) for _ in range(draw.randrange(1, most)))

    return [EntailmentPair(text(longest), text(12)) for _ in range(n)]


@functools.lru_cache(maxsize=8)
def loaded(folder: Path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    return AutoTokenizer.from_pretrained(folder), network


def directly(folder: Path, pair: EntailmentPair, *, temperature: float = 1.0) -> list[float]:
    """Return what transformers itself says of one pair, by output."""
    tokenizer, network = loaded(folder)
    with torch.inference_mode():
        logits = network(**tokenizer(pair.premise, pair.hypothesis, return_tensors="pt")).logits[0].double()
    return (logits / temperature).softmax(-1).tolist()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("nli") / "tiny")


# ---------------------------------------------------------------------------------------------------------- scores


def test_the_scores_are_those_of_transformers(tiny: Path) -> None:
    model = load_entailment_model(str(tiny))
    assert isinstance(model, EntailmentModel)
    pairs = some_pairs(40)
    scores = model.entail(pairs)
    for pair, score in zip(pairs, scores, strict=True):
        contradiction, neutral, entailed = directly(tiny, pair)
        assert score.entailment == pytest.approx(entailed, abs=1e-5)
        assert score.neutral == pytest.approx(neutral, abs=1e-5)
        assert score.contradiction == pytest.approx(contradiction, abs=1e-5)
        assert score.entailment + score.neutral + score.contradiction == pytest.approx(1, abs=1e-12)
    # The random network tells pairs apart, so that a wrong order would show.
    assert max(score.entailment for score in scores) - min(score.entailment for score in scores) > 0.05
    swapped = model.entail([EntailmentPair(pair.hypothesis, pair.premise) for pair in pairs])
    assert any(abs(a.entailment - b.entailment) > 1e-3 for a, b in zip(scores, swapped, strict=True))


@pytest.mark.parametrize("family", ["roberta", "llama"])
def test_other_families_are_read_as_alone(tmp_path: Path, family: str) -> None:
    folder = make_folder(tmp_path / family, family=family)
    pairs = some_pairs(20)
    scores = load_entailment_model(str(folder)).entail(pairs)
    for pair, score in zip(pairs, scores, strict=True):
        assert score.entailment == pytest.approx(directly(folder, pair)[2], abs=1e-5)


@pytest.mark.parametrize(
    "labels",
    [
        {0: "ENTAILMENT", 1: "NEUTRAL", 2: "CONTRADICTION"},
        {0: "neutral", 1: "Entailment", 2: "contradiction"},
        {0: "entailment", 1: "not_entailment"},
        {0: "Not Entailment", 1: "entailment"},
    ],
)
def test_the_order_of_the_labels_is_read_and_never_assumed(tmp_path: Path, labels: dict[int, str]) -> None:
    folder = make_folder(tmp_path / "m", labels)
    (pair,) = some_pairs(1)
    (score,) = load_entailment_model(str(folder)).entail([pair])
    by_name = {name.lower(): value for name, value in zip(labels.values(), directly(folder, pair), strict=True)}
    assert score.entailment == pytest.approx(by_name["entailment"], abs=1e-5)
    if len(labels) == 2:
        assert (score.neutral, score.contradiction) == (None, None)
    else:
        assert score.neutral == pytest.approx(by_name["neutral"], abs=1e-5)
        assert score.contradiction == pytest.approx(by_name["contradiction"], abs=1e-5)


def test_a_temperature_of_the_checkpoint_is_applied(tmp_path: Path, tiny: Path) -> None:
    folder = tmp_path / "warm"
    shutil.copytree(tiny, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "pluralism_temperature": 2.5}))
    model = load_entailment_model(str(folder))
    (pair,) = some_pairs(1)
    assert model.temperature == 2.5
    assert model.entail([pair])[0].entailment == pytest.approx(directly(tiny, pair, temperature=2.5)[2], abs=1e-5)
    # Another temperature gives other scores, so it is another model.
    assert model.identity.sha256 != load_entailment_model(str(tiny)).identity.sha256


def test_the_order_and_the_batches_change_nothing(tiny: Path) -> None:
    pairs = some_pairs(60)
    whole = load_entailment_model(str(tiny)).entail(pairs)
    single = load_entailment_model(str(tiny), batch_size=1).entail(pairs[::-1])[::-1]
    for one, other in zip(whole, single, strict=True):
        assert one.entailment == pytest.approx(other.entailment, abs=1e-5)
    assert load_entailment_model(str(tiny)).entail([]) == []


def test_equal_pairs_are_computed_once_and_come_as_they_are_done(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_entailment_model(str(tiny), batch_size=4)
    sizes: list[int] = []
    real = model.network.forward
    monkeypatch.setattr(
        model.network, "forward", lambda **inputs: sizes.append(len(inputs["input_ids"])) or real(**inputs)
    )
    distinct = some_pairs(10)
    pairs = distinct * 3
    received: list[tuple[EntailmentPair, object]] = []
    done: list[tuple[int, int]] = []
    scores = model.entail(pairs, progress=lambda n, n_all: done.append((n, n_all)), receive=received.extend)
    assert sum(sizes) == 10
    assert max(sizes) == 4
    assert scores[:10] == scores[10:20] == scores[20:]
    assert dict(received) == dict(zip(distinct, scores, strict=False))
    assert len(received) == 10
    assert done[-1] == (30, 30)
    assert [n for n, _ in done] == sorted(n for n, _ in done)
    assert len(done) == 3


@pytest.mark.parametrize("n_threads", [1, 3])
def test_threads_change_nothing(tiny: Path, n_threads: int) -> None:
    pairs = some_pairs(80)
    before = torch.get_num_threads()
    alone = load_entailment_model(str(tiny), batch_size=8)
    expected = alone.entail(pairs)
    try:
        torch.set_num_threads(n_threads)
        assert load_entailment_model(str(tiny), batch_size=8).entail(pairs) == expected
        assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)


# ---------------------------------------------------------------------------------------------------------- chunks


def test_a_long_premise_is_read_in_chunks_that_overlap_by_half(tiny: Path) -> None:
    model = load_entailment_model(str(tiny))
    draw = random.Random(5)
    words = [draw.choice(WORDS) for _ in range(300)]
    hypothesis = "taxes are fair"
    n_hypothesis = 3 + 3
    room = 64 - n_hypothesis
    starts = list(range(0, 300 - room + room - room // 2, room - room // 2))
    chunks = [" ".join(words[start : start + room]) for start in starts]
    assert chunks[-1].split()[-1] == words[-1]
    alone = model.entail([EntailmentPair(chunk, hypothesis) for chunk in chunks])
    best = max(alone, key=lambda score: score.entailment)
    (score,) = model.entail([EntailmentPair(" ".join(words), hypothesis)])
    assert score.entailment == pytest.approx(best.entailment, abs=1e-5)
    assert score.neutral == pytest.approx(best.neutral, abs=1e-5)
    assert score.entailment + score.neutral + score.contradiction == pytest.approx(1, abs=1e-12)
    # Every run of half a chunk stands whole in one chunk.
    half = room // 2
    for start in range(300 - half):
        assert any(" ".join(words[start : start + half]) in chunk for chunk in chunks)


def test_the_pairs_of_chunks_are_received_once(tiny: Path) -> None:
    model = load_entailment_model(str(tiny), batch_size=2)
    long = EntailmentPair(" ".join(WORDS * 20), "taxes are fair")
    pairs = [long, *some_pairs(5)]
    received: list[tuple[EntailmentPair, object]] = []
    scores = model.entail(pairs, receive=received.extend)
    assert sorted(map(repr, received)) == sorted(map(repr, zip(pairs, scores, strict=True)))


def test_a_checkpoint_can_ask_for_smaller_chunks(tmp_path: Path) -> None:
    small = load_entailment_model(str(make_folder(tmp_path / "small", pluralism_max_tokens=40)))
    large = load_entailment_model(str(make_folder(tmp_path / "large")))
    pair = EntailmentPair(" ".join(WORDS * 3), "taxes are fair")
    read: dict[str, list[int]] = {"small": [], "large": []}
    for name, model in (("small", small), ("large", large)):
        model.network.register_forward_pre_hook(
            lambda _module, _inputs, named, name=name: read[name].extend(map(len, named["input_ids"])), with_kwargs=True
        )
        model.entail([pair])
    assert len(read["small"]) > 1
    assert max(read["small"]) == 40
    assert len(read["large"]) == 1


def test_a_hypothesis_that_leaves_no_room_is_named(tiny: Path) -> None:
    model = load_entailment_model(str(tiny))
    pair = EntailmentPair("taxes pay", " ".join(WORDS * 4))
    with pytest.raises(
        ModelError, match=r"hypothesis 'taxes pay for schools and roads the rich \.\.\.' has 79 tokens"
    ) as caught:
        model.entail([pair])
    assert "at most 64" in str(caught.value)
    assert "nothing is cut off in silence" in str(caught.value)


@pytest.mark.parametrize(("family", "tokens"), [("bert", 64), ("roberta", 64)])
def test_the_places_that_a_network_has_are_known_without_the_tokenizer(
    tmp_path: Path, family: str, tokens: int
) -> None:
    folder = make_folder(tmp_path / family, family=family, limit=None)
    model = load_entailment_model(str(folder))
    assert model.max_tokens == tokens
    (score,) = model.entail([EntailmentPair(" ".join(WORDS * 20), "taxes are fair")])
    assert 0 < score.entailment < 1


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_hypothesis_is_refused(tiny: Path, text: str) -> None:
    with pytest.raises(ModelError, match="hypothesis is empty, beside the premise 'taxes pay'"):
        load_entailment_model(str(tiny)).entail([EntailmentPair("taxes pay", text)])


def test_an_empty_premise_has_scores(tiny: Path) -> None:
    (score,) = load_entailment_model(str(tiny)).entail([EntailmentPair("", "taxes pay")])
    assert 0 < score.entailment < 1


# ------------------------------------------------------------------------------------------------ memory and numbers


def test_a_lack_of_memory_halves_the_batch_and_goes_on(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = some_pairs(50)
    whole = load_entailment_model(str(tiny)).entail(pairs)
    model = load_entailment_model(str(tiny))
    real = model.network.forward

    def short(**inputs):
        if inputs["input_ids"].numel() > 300:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(**inputs)

    monkeypatch.setattr(model.network, "forward", short)
    scores = model.entail(pairs)
    for one, other in zip(scores, whole, strict=True):
        assert one.entailment == pytest.approx(other.entailment, abs=1e-5)
    assert "memory was short" in model.identity.notes[0]
    # It is remembered: the next call does not run into it again.
    monkeypatch.setattr(
        model.network,
        "forward",
        lambda **inputs: pytest.fail("forgotten") if inputs["input_ids"].numel() > 300 else real(**inputs),
    )
    model.entail(pairs)


def test_no_memory_for_one_pair_is_an_error(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_entailment_model(str(tiny))

    def never(**_):
        raise MemoryError

    monkeypatch.setattr(model.network, "forward", never)
    with pytest.raises(ModelError, match="not enough memory on cpu for one pair"):
        model.entail(some_pairs(3))


def test_other_errors_are_not_taken_for_a_lack_of_memory(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_entailment_model(str(tiny))

    def wrong(**_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(model.network, "forward", wrong)
    with pytest.raises(RuntimeError, match="shapes"):
        model.entail(some_pairs(1))


def test_nan_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = make_folder(tmp_path / "nan")
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"][0, 0] = math.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="gave NaN or infinite logits in float32"):
        load_entailment_model(str(folder)).entail(some_pairs(2))


def test_one_at_a_time_where_nothing_fills_up(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "llama", family="llama", pad=False, pad_token_id=None)
    pairs = some_pairs(8)
    scores = load_entailment_model(str(folder)).entail(pairs)
    for pair, score in zip(pairs, scores, strict=True):
        assert score.entailment == pytest.approx(directly(folder, pair)[2], abs=1e-5)


@pytest.mark.whole
def test_a_closed_model_cannot_be_asked(tiny: Path) -> None:
    model = load_entailment_model(str(tiny))
    model.close()
    model.close()
    with pytest.raises(ModelError, match="tiny has been closed"):
        model.entail(some_pairs(1))


# ---------------------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["entailment", "neutral", "contradiction"], EntailmentLabels(0, 1, 2)),
        ({2: "ENTAILMENT", 0: "CONTRADICTION", 1: "NEUTRAL"}, EntailmentLabels(2, 1, 0)),
        (["entails", " Neutral", "contradicts"], EntailmentLabels(0, 1, 2)),
        (["NON-ENTAILMENT", "entailment"], EntailmentLabels(1)),
    ],
)
def test_labels_are_read_in_any_order_and_case(names, expected: EntailmentLabels) -> None:
    assert read_labels(names, model="m") == expected
    assert expected.two_way is (expected.neutral is None)


@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        (["LABEL_0", "LABEL_1", "LABEL_2"], "m?labels=contradiction,neutral,entailment"),
        (["LABEL_0", "LABEL_1"], "m?labels=entailment,not_entailment"),
        (["entailment", "contradiction"], "m?labels=entailment,not_entailment"),
        (["entailment", "entails", "neutral"], "m?labels="),
        (["negative", "neutral", "positive"], "m?labels="),
        (["LABEL_0"], "trained for natural language inference"),
        (["joy"] * 28, "trained for natural language inference"),
        ({0: "entailment", 1: "neutral", 5: "contradiction"}, "m?labels="),
        ({}, "trained for natural language inference"),
    ],
)
def test_labels_that_mean_something_else_are_listed(names, remedy: str) -> None:
    with pytest.raises(ModelError) as caught:
        read_labels(names, model="m")
    message = str(caught.value)
    assert f"It has {len(names)}: " in message
    assert remedy in message
    for name in names.values() if isinstance(names, dict) else names:
        assert repr(name) in message


def test_labels_can_be_given_where_the_checkpoint_has_none(tmp_path: Path) -> None:
    nameless = {index: f"LABEL_{index}" for index in range(3)}
    folder = make_folder(tmp_path / "nameless", nameless)
    with pytest.raises(ModelError, match=r"0: 'LABEL_0', 1: 'LABEL_1', 2: 'LABEL_2'"):
        load_entailment_model(str(folder))
    model = load_entailment_model(f"{folder}?labels=neutral,contradiction,entailment")
    assert model.labels == EntailmentLabels(2, 0, 1)
    (pair,) = some_pairs(1)
    assert model.entail([pair])[0].neutral == pytest.approx(directly(folder, pair)[0], abs=1e-5)
    other = load_entailment_model(f"{folder}?labels=entailment,contradiction,neutral")
    assert other.identity.sha256 != model.identity.sha256
    with pytest.raises(ModelError, match="has 3 outputs, and 2 labels were given"):
        load_entailment_model(f"{folder}?labels=entailment,not_entailment")


def test_a_configuration_without_labels_is_no_guess(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "silent", id2label=..., label2id=..., num_labels=3)
    with pytest.raises(ModelError, match="'LABEL_2'"):
        load_entailment_model(str(folder))


def test_labels_that_contradict_each_other(tmp_path: Path) -> None:
    backwards = {"entailment": 0, "neutral": 1, "contradiction": 2}
    folder = make_folder(tmp_path / "torn", label2id=backwards)
    with pytest.raises(ModelError, match="contradicts itself"):
        load_entailment_model(str(folder))


@pytest.mark.parametrize("labels", [["entailment", "neutral", "contradiction"], {"zero": "entailment"}, 7])
def test_labels_that_cannot_be_read(tmp_path: Path, labels: object) -> None:
    folder = make_folder(tmp_path / "odd", id2label=labels)
    with pytest.raises(ModelError, match="labels that cannot be read"):
        load_entailment_model(str(folder))


def test_more_outputs_than_labels(tmp_path: Path) -> None:
    two = {"0": "entailment", "1": "not_entailment"}
    folder = make_folder(tmp_path / "more", id2label=two, label2id={"entailment": 0, "not_entailment": 1})
    with pytest.raises(ModelError, match=r"cannot be loaded|has 3 outputs|incomplete"):
        load_entailment_model(str(folder))


@pytest.mark.parametrize("value", [0, -1.0, "2", True, None, float("nan")])
def test_a_temperature_that_is_none(tmp_path: Path, value: object) -> None:
    folder = make_folder(tmp_path / "cold", pluralism_temperature=value)
    with pytest.raises(ModelError, match="pluralism_temperature in the config"):
        load_entailment_model(str(folder))


@pytest.mark.parametrize("value", [0, 31, 64.0, True, "64"])
def test_a_chunk_length_that_is_none(tmp_path: Path, value: object) -> None:
    folder = make_folder(tmp_path / "short", pluralism_max_tokens=value)
    with pytest.raises(ModelError, match="pluralism_max_tokens in the config"):
        load_entailment_model(str(folder))


# ------------------------------------------------------------------------------------------------------- refusals


def test_a_generative_checkpoint_is_no_entailment_model(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "writer", family="generative")
    with pytest.raises(ModelError, match="is a LlamaForCausalLM: it writes text, and gives no entailment scores"):
        load_entailment_model(str(folder))


def test_an_encoder_without_classifier_is_no_entailment_model(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "encoder", family="base")
    with pytest.raises(ModelError, match="is a BertModel: it has no classifier"):
        load_entailment_model(str(folder))
    # Where the architecture is not declared, the missing weights tell it.
    other = make_folder(tmp_path / "undeclared", family="base", architectures=...)
    with pytest.raises(ModelError, match="They would be random numbers"):
        load_entailment_model(str(other))


def test_pickles_and_code_are_refused(tmp_path: Path, tiny: Path) -> None:
    pickled = tmp_path / "pickled"
    shutil.copytree(tiny, pickled)
    from safetensors.torch import load_file

    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="--pluralism-allow-pickled-weights"):
        load_entailment_model(str(pickled))
    model = load_entailment_model(str(pickled), allow_pickle=True)
    assert 0 < model.entail(some_pairs(1))[0].entailment < 1
    coded = make_folder(tmp_path / "coded", auto_map={"AutoConfig": "x.Y"}, model_type="mine")
    with pytest.raises(ModelError, match="--pluralism-trust-remote-code"):
        load_entailment_model(str(coded))


@pytest.mark.parametrize("arguments", [{"dtype": "int8"}, {"batch_size": 0}, {"batch_size": True}])
def test_bad_parameters_are_refused_before_anything_is_loaded(tiny: Path, arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidParameterError, match="load_entailment_model"):
        load_entailment_model(str(tiny), **arguments)  # type: ignore[arg-type]


def test_the_identity_knows_weights_labels_and_dtype(tmp_path: Path, tiny: Path) -> None:
    identity = load_entailment_model(str(tiny)).identity
    assert identity.architecture == "BertForSequenceClassification"
    assert (identity.dtype, identity.device, identity.name) == ("float32", "cpu", "tiny")
    assert {"weights", "tokenizer", "config", "labels", "dtype"} <= set(identity.parts)
    assert identity.parameters > 1000
    copy = tmp_path / "copy"
    shutil.copytree(tiny, copy)
    assert load_entailment_model(str(copy)).identity.sha256 == identity.sha256
    assert load_entailment_model(str(tiny), dtype="bfloat16").identity.sha256 != identity.sha256
    assert load_entailment_model(str(make_folder(tmp_path / "o", seed=4))).identity.sha256 != identity.sha256


# ----------------------------------------------------------------------------------------------------------- names


def test_specs_are_read_without_torch() -> None:
    named, labels = parse_entailment_spec("embedded:nli-minilm")
    assert (named.kind, named.name, labels) == ("embedded", "nli-minilm", None)
    named, labels = parse_entailment_spec(" hf:ORG/NAME@v2?labels=entailment,not_entailment ")
    assert (named.kind, named.target, named.revision) == ("hf", "ORG/NAME", "v2")
    assert labels == ("entailment", "not_entailment")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "An entailment model needs a name"),
        ("embedded:nli-minilmm", "'nli-minilm'"),
        ("embedded:smollm2-135m-instruct", "writes text, and cannot be asked for entailment"),
        ("nli-minilm", "Did you mean embedded:nli-minilm?"),
        ("nowhere/at/all", "There is no folder"),
        ("endpoint:http://x", "does not name the model"),
    ],
)
def test_names_that_are_none(spec: str, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse_entailment_spec(spec)
    assert words in str(caught.value)
    with pytest.raises(ModelError):
        load_lazily(spec)


def test_a_gguf_file_is_no_entailment_model(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    with pytest.raises(
        ModelError, match=r"is a GGUF file, which can .* or write texts, but cannot judge entailment: it is not an"
    ):
        parse_entailment_spec(str(tmp_path / "m.gguf"))


def test_the_embedded_entailment_model_is_no_language_model() -> None:
    with pytest.raises(ModelError, match="--pluralism-entailment-model=embedded:nli-minilm"):
        parse_model_spec("embedded:nli-minilm")


# ----------------------------------------------------------------------------------------------------------- store


def test_a_store_between_gives_the_same_scores(tiny: Path, tmp_path: Path) -> None:
    model = load_entailment_model(str(tiny))
    pairs = some_pairs(30)
    with AnswerStore(tmp_path) as store:
        scores = model.entail(pairs, receive=lambda batch: store.keep(ENTAILMENTS, model.identity, batch))
    with AnswerStore(tmp_path, read_only=True) as store:
        assert store.lookup(ENTAILMENTS, model.identity, pairs) == dict(zip(pairs, scores, strict=True))
        assert store.verify().entailments == len(set(pairs))


# ------------------------------------------------------------------------------------------------- the embedded one


def test_the_environment_names_the_folder(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = ENTAILMENT_MODELS["nli-minilm"].variable
    monkeypatch.setenv(variable, str(tiny))
    with pytest.raises(ModelError, match="are not those of embedded:nli-minilm: their SHA-256 is"):
        find_embedded_entailment("nli-minilm")
    weights = hashlib.sha256((tiny / "model.safetensors").read_bytes()).hexdigest()
    monkeypatch.setitem(ENTAILMENT_MODELS, "nli-minilm", EntailmentFiles(variable, "model.safetensors", weights))
    assert find_embedded_entailment("nli-minilm") == tiny
    assert load_entailment_model("embedded:nli-minilm").identity.name == "nli-minilm"
    monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(ModelError, match="where no model lies"):
        find_embedded_entailment("nli-minilm")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="its copy is not complete"):
        find_embedded_entailment("nli-minilm")


def test_without_the_repository_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = ENTAILMENT_MODELS["nli-minilm"].variable
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(embedded, "__file__", str(tmp_path / "site-packages" / "pytest_pluralism" / "models" / "e.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=f"set {variable} to it; or name another"):
        find_embedded_entailment("nli-minilm")
