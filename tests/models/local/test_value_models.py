"""Value models: Kaleido's templates, positions and modes on a tiny T5 of its structure, and reward models."""

# ruff: noqa: S106 - the words for special tokens are not passwords.
from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pluralism.core.errors import InvalidParameterError, ModelError
from pytest_pluralism.core.records import RewardRequest
from pytest_pluralism.models.local.kaleido import batches
from pytest_pluralism.models.local.value_models import (
    KaleidoTask,
    ValueJudgement,
    ValueRequest,
    kind_of_value,
    load_value_model,
    rouge_l,
)

# The structure of the published config, arXiv:2309.00779, with the arguments' names as words of the templates.
TASKS = {
    "generate": {"template": "[Generate]:\tAction: ACTION", "args": ["ACTION"]},
    "relevance": {"template": "[Relevance]:\tSituation: ACTION\tVRD: VALUE", "args": ["ACTION", "VRD", "VALUE"]},
    "valence": {"template": "[Valence]:\tSituation: ACTION\tVRD: VALUE", "args": ["ACTION", "VRD", "VALUE"]},
    "explanation": {"template": "[Explanation]:\tSituation: ACTION\tVRD: VALUE", "args": ["ACTION", "VRD", "VALUE"]},
}
SYSTEM = {
    "relevance_threshold": {"Value": 0.0, "Right": 0.0, "Duty": 0.0},
    "ngram_threshold": {"f1": 0.5, "precision": 0.9, "recall": 0.9},
    "embed_threshold": 0.5,
    "dedup_across_vrd": False,
}
SENTENCES = (
    "Yes No Supports Opposes Either Value Right Duty Situation Action Relevance Valence Generate Explanation [ ] :",
    "Do a pushup Health Honesty Lying to friend Right Duty of care help the poor and rich walk dog",
)
WORDS = " ".join(SENTENCES).split()


def make_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "</s>", "<unk>"]
    words = list(dict.fromkeys([*special, *WORDS]))
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", unk_token="<unk>")


@pytest.fixture(scope="module")
def kaleido_folder(tmp_path_factory):
    import torch
    import transformers as t

    folder = tmp_path_factory.mktemp("kaleido")
    tokenizer = make_tokenizer()
    torch.manual_seed(5)
    config = t.T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=1, initializer_factor=2.0, task_specific_params=TASKS, system_params=SYSTEM,
    )  # fmt: skip
    t.T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def kaleido(kaleido_folder):
    return load_value_model(str(kaleido_folder))


def reward_folder(path, *, width=1, chat=False):
    import torch
    import transformers as t

    tokenizer = make_tokenizer()
    if chat:
        tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} </s> {% endfor %}"
    torch.manual_seed(3)
    config = t.BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=128, num_labels=width, pad_token_id=0, initializer_range=0.5,
    )  # fmt: skip
    t.BertForSequenceClassification(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


PUSHUP = ValueRequest("Do a pushup", "Health")
REQUESTS = [
    PUSHUP,
    ValueRequest("Lying to a friend and the poor and the rich", "Honesty"),
    ValueRequest("walk", "care", "Duty"),
]


# ----------------------------------------------------------------------------------------------------------- Kaleido


def test_templates_are_those_of_the_config():
    task = KaleidoTask("relevance", TASKS["relevance"]["template"], tuple(TASKS["relevance"]["args"]))
    # The rendered form of the published model.
    assert task.render(("Do a pushup", "Value", "Health")) == "[Relevance]:\tSituation: Do a pushup\tValue: Health"


def test_words_of_a_situation_are_no_placeholders():
    task = KaleidoTask("relevance", TASKS["relevance"]["template"], tuple(TASKS["relevance"]["args"]))
    assert task.render(("a VALUE and a VRD", "Right", "ACTION")) == (
        "[Relevance]:\tSituation: a VALUE and a VRD\tRight: ACTION"
    )


def test_probabilities_are_those_of_the_second_decoder_position(kaleido, kaleido_folder):
    import torch
    import transformers as t

    network = t.T5ForConditionalGeneration.from_pretrained(kaleido_folder).eval()
    tokenizer = t.AutoTokenizer.from_pretrained(kaleido_folder)
    for request, judged in zip(REQUESTS, kaleido.judge(REQUESTS), strict=True):
        found = {}
        for task, words in (("relevance", ("Yes", "No")), ("valence", ("Supports", "Opposes", "Either"))):
            text = TASKS[task]["template"].replace("ACTION", request.situation).replace("VRD", request.kind)
            ids = tokenizer(text.replace("VALUE", request.value), return_tensors="pt").input_ids
            with torch.no_grad():
                # As published: labels of two padding tokens, which the network shifts to [start, pad].
                logits = network(input_ids=ids, labels=torch.tensor([[0, 0]])).logits[0, -1]
            whole = torch.softmax(logits, dim=-1)
            chosen = whole[[tokenizer(word).input_ids[0] for word in words]]
            found[task] = (chosen / chosen.sum()).tolist()
        assert judged.relevance == pytest.approx(found["relevance"][0], abs=1e-5)
        assert [judged.supports, judged.opposes, judged.either] == pytest.approx(found["valence"], abs=1e-5)
    assert len({round(one.relevance, 6) for one in kaleido.judge(REQUESTS)}) == 3


def test_sound_scores_do_not_depend_on_the_batch_and_equal_those_one_at_a_time(kaleido, kaleido_folder):
    compat = load_value_model(str(kaleido_folder), mode="compat")
    alone = [kaleido.judge([request])[0] for request in REQUESTS]
    for together in (kaleido.judge(REQUESTS), compat.judge(REQUESTS)):
        for one, other in zip(alone, together, strict=True):
            assert one.relevance == pytest.approx(other.relevance, abs=1e-5)
            assert one.supports == pytest.approx(other.supports, abs=1e-5)
    assert compat.identity.sha256 != kaleido.identity.sha256


@pytest.mark.parametrize(
    ("protocol", "value_mode", "mode"),
    [
        ("sound", "auto", "sound"),
        ("modular_pluralism", "auto", "compat"),
        ("sound", "compat", "compat"),
        ("modular_pluralism", "sound", "sound"),
    ],
)
def test_how_a_run_reads(kaleido_folder, protocol, value_mode, mode):
    from pytest_pluralism.loading import pytest_pluralism_load_value_model

    settings = dict.fromkeys(("device", "dtype", "batch_size"), "auto")
    settings |= {"protocol": protocol, "value_mode": value_mode}
    found = pytest_pluralism_load_value_model(str(kaleido_folder), settings)
    assert found.identity.sha256 == load_value_model(str(kaleido_folder), mode=mode).identity.sha256


def test_without_a_mask_padding_would_change_the_scores(kaleido_folder):
    """Why the sound mode has a mask, and the compatible one no batches."""
    import torch
    import transformers as t

    network = t.T5ForConditionalGeneration.from_pretrained(kaleido_folder).eval()
    tokenizer = t.AutoTokenizer.from_pretrained(kaleido_folder)
    short = tokenizer("Do a pushup", return_tensors="pt").input_ids
    padded = torch.cat([short, torch.zeros((1, 8), dtype=torch.long)], dim=1)
    with torch.no_grad():
        logits = [network(input_ids=ids, labels=torch.tensor([[0, 0]])).logits[0, -1] for ids in (short, padded)]
    assert not torch.allclose(logits[0], logits[1], atol=1e-3)


def test_repeated_requests_and_progress(kaleido):
    seen = []
    judged = kaleido.judge([PUSHUP, PUSHUP], progress=lambda done, total: seen.append((done, total)))
    assert judged[0] == judged[1]
    assert seen[-1] == (2, 2)


def test_reward_is_relevance_times_support(kaleido):
    (judged,) = kaleido.judge([ValueRequest("help the poor", "Duty of care", "Duty")])
    (reward,) = kaleido.reward([RewardRequest("What now?", "help the poor", "Duty of care")])
    assert reward == pytest.approx(judged.relevance * judged.supports)
    assert 0.0 <= reward <= 1.0
    assert ValueJudgement(0.5, 0.5, 0.25, 0.25).reward == 0.25


def test_a_long_response_never_pushes_the_value_out(kaleido, kaleido_folder):
    tokenizer = make_tokenizer()
    for n in (20, 110, 120, 300):
        long = " ".join(["walk", "dog"] * (n // 2))
        kaleido.take_notes()
        health, honesty = kaleido.reward([RewardRequest("?", long, value) for value in ("Health", "Honesty")])
        assert abs(health - honesty) > 1e-4
        # The model reads the longest beginning of the response that leaves room for the value.
        template = len(tokenizer("[Relevance]:\tSituation: \tValue: Health").input_ids)
        room = 128 - template
        (beginning,) = kaleido.reward([RewardRequest("?", " ".join(long.split()[:room]), "Health")])
        assert beginning == pytest.approx(health, abs=1e-5)
        notes = kaleido.take_notes()
        assert bool(notes) == (n > room)
        assert not notes or "reads 128 tokens: 2 of 2 responses were judged by their beginning" in notes[0]
    with pytest.raises(ModelError, match="leaves no room for a response"):
        kaleido.reward([RewardRequest("?", "Yes", "Honesty " * 130)])
    # As published, what stands last is cut off.
    compat = load_value_model(str(kaleido_folder), mode="compat")
    first, second = compat.reward([RewardRequest("?", "walk " * 300, value) for value in ("Health", "Honesty")])
    assert first == second


def test_a_text_beyond_the_positions_of_a_reward_model_is_refused(tmp_path):
    model = load_value_model(reward_folder(tmp_path / "reward"))
    with pytest.raises(ModelError, match=r"reads at most 128\. Write shorter responses with max_new_tokens"):
        model.reward([RewardRequest("Do a pushup", "walk " * 200, "Health")])
    assert len(model.reward([RewardRequest("Do a pushup", "walk " * 100, "Health")])) == 1


def test_the_notes_of_a_model_are_those_of_the_run(kaleido):
    from contextlib import nullcontext

    from pytest_pluralism.evaluation.asking.engine import Engine
    from pytest_pluralism.evaluation.asking.rounds import Round

    kaleido.take_notes()
    notes = []
    engine = Engine(store=lambda: None, note=notes.append, progress=lambda text: nullcontext())
    asked = Round("rewards", (RewardRequest("?", "walk " * 200, "Health"),))
    assert engine.answered(asked, kaleido) == engine.answered(asked, kaleido)
    (note,) = notes
    assert "judged by their beginning" in note


def test_values_are_written_by_beams_filtered_and_rid_of_repetitions(kaleido_folder, tmp_path, monkeypatch):
    model = load_value_model(str(kaleido_folder))
    # A random network writes no "Value: ..."; what follows the writing is tested on written texts.
    written = ["Value: Health", "Value: Health and walk", "Right: Health", "Nothing", "Value: Honesty", "Value: Health"]

    class Tokenizer:
        def __init__(self, inner):
            self.inner = inner

        def __call__(self, *arguments, **keywords):
            return self.inner(*arguments, **keywords)

        def batch_decode(self, rows, **keywords):
            assert len(rows) == 6
            return written

    monkeypatch.setattr(model, "tokenizer", Tokenizer(model.tokenizer))
    found = model.values_of("Do a pushup", n_beams=6)
    relevances = [judgement.relevance for _, judgement in found]
    assert relevances == sorted(relevances, reverse=True)
    kinds = {(request.kind, request.value) for request, _ in found}
    assert ("Right", "Health") in kinds
    assert ("Value", "Honesty") in kinds
    # One of the two that share their words is left.
    assert len(kinds & {("Value", "Health"), ("Value", "Health and walk")}) == 1


@pytest.mark.whole
def test_a_closed_model_says_so(kaleido_folder):
    model = load_value_model(str(kaleido_folder))
    model.close()
    with pytest.raises(ModelError, match="has been closed"):
        model.judge([PUSHUP])


# ------------------------------------------------------------------------------------------------------ reward models


@pytest.mark.parametrize("chat", [False, True])
def test_reward_models_do_not_depend_on_the_batch(tmp_path, chat):
    model = load_value_model(reward_folder(tmp_path / "reward", chat=chat))
    requests = [
        RewardRequest("Do a pushup", "Yes", "Health"),
        RewardRequest("Do a pushup", "No and the poor and the rich walk the dog", "Health"),
        RewardRequest("Do a pushup", "Yes", "Honesty"),
    ]
    together = model.reward(requests)
    assert together == pytest.approx([model.reward([one])[0] for one in requests], abs=1e-5)
    assert len({round(value, 6) for value in together}) == 3


def test_a_reward_model_goes_on_when_memory_is_short(tmp_path, monkeypatch):
    import torch

    folder = reward_folder(tmp_path / "reward")
    requests = [RewardRequest("Do a pushup", "walk " * n, "Health") for n in range(1, 20)]
    expected = load_value_model(folder).reward(requests)
    model = load_value_model(folder)
    real = model.network.forward

    def short(**inputs):
        if len(inputs["input_ids"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(**inputs)

    monkeypatch.setattr(model.network, "forward", short)
    assert model.reward(requests) == pytest.approx(expected, abs=1e-5)
    assert "memory was short" in model.identity.notes[0]
    monkeypatch.setattr(model.network, "forward", lambda **_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(ModelError, match=r"not enough memory on cpu for one response .* or shorter responses"):
        model.reward(requests)


def test_weights_that_are_missing_are_not_made_up(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = reward_folder(tmp_path / "reward")
    file = tmp_path / "reward" / "model.safetensors"
    weights = load_file(file)
    save_file({name: tensor for name, tensor in weights.items() if "classifier" not in name}, file, {"format": "pt"})
    with pytest.raises(ModelError, match=r"are incomplete: 2 tensors .* They would be random numbers"):
        load_value_model(folder)


def test_rewards_are_kept_as_they_come_and_found_again(tmp_path):
    from pytest_pluralism.evaluation.asking.engine import WORKS
    from pytest_pluralism.models.answers.store import AnswerStore

    model = load_value_model(reward_folder(tmp_path / "reward"), batch_size=1)
    requests = [RewardRequest("Do a pushup", text, "Health") for text in ("Yes", "No", "Yes and the dog")]
    work, batches = WORKS["rewards"], []
    with AnswerStore(tmp_path / "answers") as store:

        def keep(pairs):
            batches.append(len(pairs))
            work.keep(store, model.identity, pairs)

        found = work.ask(model, requests, None, keep)
        assert batches == [1, 1, 1]
        assert work.lookup(store, model.identity, requests) == found
        assert store.verify().rewards == 3
    with AnswerStore(tmp_path / "answers", read_only=True) as store:
        assert [work.lookup(store, model.identity, requests)[one] for one in requests] == model.reward(requests)


def test_a_head_of_the_wrong_width_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"has 3 outputs \(LABEL_0, LABEL_1, LABEL_2\), and a reward model has one"):
        load_value_model(reward_folder(tmp_path / "three", width=3))


# ------------------------------------------------------------------------------------------------------------ mistakes


def test_a_t5_without_the_tasks_is_no_kaleido_model(kaleido_folder, tmp_path):
    import shutil

    for name, change in (
        ("none", lambda config: config.pop("task_specific_params")),
        ("lacks", lambda config: config["task_specific_params"].pop("valence")),
        ("blind", lambda config: config["task_specific_params"]["valence"].update(template="ACTION VRD")),
    ):
        folder = tmp_path / name
        shutil.copytree(kaleido_folder, folder)
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(ModelError, match="VALUE" if name == "blind" else "is not a Kaleido model"):
            load_value_model(str(folder))


def test_broken_weights_are_one_clear_error(tmp_path):
    folder = reward_folder(tmp_path / "reward")
    (tmp_path / "reward" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_value_model(folder)


def test_wrong_parameters(kaleido_folder):
    with pytest.raises(InvalidParameterError, match="'mode'"):
        load_value_model(str(kaleido_folder), mode="published")
    with pytest.raises(InvalidParameterError, match="'dtype'"):
        load_value_model(str(kaleido_folder), dtype="float8")
    with pytest.raises(InvalidParameterError, match="'batch_size'"):
        load_value_model(str(kaleido_folder), batch_size=0)
    with pytest.raises(ModelError, match=r"cannot give rewards: it is not a value model\. Name hf:ORG/NAME"):
        load_value_model("embedded:smollm2-135m-instruct")
    with pytest.raises(InvalidParameterError, match="'kind'"):
        ValueRequest("s", "v", "value")


# ------------------------------------------------------------------------------------------------------------- details


def test_kinds():
    assert kind_of_value("right to life") == "Right"
    assert kind_of_value("Righteousness") == "Value"
    assert kind_of_value("") == "Value"


@given(st.lists(st.sampled_from("abc"), max_size=7), st.lists(st.sampled_from("abc"), max_size=7))
def test_rouge_l_against_all_subsequences(first, second):
    import itertools

    def subsequences(words):
        return {words_ for n in range(len(words) + 1) for words_ in itertools.combinations(words, n)}

    common = max(map(len, subsequences(first) & subsequences(second)))
    precision, recall, f1 = rouge_l(" ".join(first), " ".join(second))
    if first and second:
        assert precision == common / len(first)
        assert recall == common / len(second)
        assert f1 == pytest.approx(2 * common / (len(first) + len(second)))
    else:
        assert (precision, recall, f1) == (0, 0, 0)
    assert rouge_l(" ".join(second), " ".join(first))[2] == pytest.approx(f1)


def test_batches_hold_every_text_once():
    lengths = [random.Random(1).randint(1, 128) for _ in range(300)]
    places = [place for batch in batches(lengths, most_rows=2**31) for place in batch]
    assert sorted(places) == list(range(300))
