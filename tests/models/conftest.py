"""Tiny random networks and a tiny tokenizer, made here: no file of weights is needed."""

# ruff: noqa: S106 - the words for special tokens are not passwords.
from __future__ import annotations

import shutil

import pytest

SENTENCES = (
    "What do you think about taxes dogs war bread and butter Please tell : ? . , I like it not No opinion the of",
    "a one two three four five six seven eight nine ten You are from Japan France answer with letter Answer",
)
WORDS = " ".join(SENTENCES).split()
CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}> {{ message['content'] }} </s> {% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def make_tokenizer(*, bos: bool = True, chat: bool = False):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<s>", "</s>", "<unk>", "<user>", "<assistant>", "<system>"]
    words = list(dict.fromkeys([*special, *WORDS, *"ABCDEFGH", "\n", "Yes"]))
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    if chat:
        fast.chat_template = CHAT_TEMPLATE
    return fast


def make_network(family: str, vocabulary: int):
    import torch
    import transformers as t

    common = {"vocab_size": vocabulary, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3,
              "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256, "bos_token_id": 1,
              "eos_token_id": 2, "pad_token_id": 0, "initializer_range": 0.2}  # fmt: skip
    configs = {
        "llama": lambda: t.LlamaConfig(**common),
        "mistral": lambda: t.MistralConfig(**common, sliding_window=8),
        "qwen2": lambda: t.Qwen2Config(**common),
        "gpt2": lambda: t.GPT2Config(vocab_size=vocabulary, n_embd=32, n_layer=3, n_head=4, n_positions=256,
                                     initializer_range=0.2, bos_token_id=1, eos_token_id=2),
        "gemma3": lambda: t.Gemma3TextConfig(**common, head_dim=8, sliding_window=8, layer_types=[
            "sliding_attention", "full_attention", "sliding_attention"], query_pre_attn_scalar=8),
        "mamba": lambda: t.MambaConfig(vocab_size=vocabulary, hidden_size=32, num_hidden_layers=2, state_size=8,
                                       initializer_range=0.2),
        "phi3-longrope": lambda: t.Phi3Config(**common, original_max_position_embeddings=64, rope_parameters={
            "rope_type": "longrope", "rope_theta": 10000.0, "factor": 4.0, "short_factor": [1.0] * 4,
            "long_factor": [2.0] * 4}),
        "t5": lambda: t.T5Config(vocab_size=vocabulary, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
                                 decoder_start_token_id=0, pad_token_id=0, eos_token_id=2, initializer_factor=2.0),
    }  # fmt: skip
    torch.manual_seed(7)
    config = configs[family]()
    auto = t.AutoModelForSeq2SeqLM if config.is_encoder_decoder else t.AutoModelForCausalLM
    return auto.from_config(config).eval()


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory):
    """Return a function that gives the folder of a tiny model, which is made once."""
    folders = {}

    def saved(family: str, bos: bool, chat: bool):
        key = (family, bos, chat)
        if key not in folders:
            folder = tmp_path_factory.mktemp("models") / "tiny"
            tokenizer = make_tokenizer(bos=bos, chat=chat)
            make_network(family, len(tokenizer)).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            folders[key] = folder
        return folders[key]

    return saved


@pytest.fixture
def tiny_folder(tmp_path, monkeypatch, saved_models):
    """Return a function that saves a tiny model and returns its folder; what is measured of it is kept there too."""
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))

    def save(family: str = "llama", *, name: str = "tiny", bos: bool = True, chat: bool = False):
        return shutil.copytree(
            saved_models(family, bos, chat), tmp_path / name, copy_function=shutil.copy, dirs_exist_ok=True
        )

    return save


@pytest.fixture
def tiny():
    """Return the makers of tokenizers and networks."""
    return make_tokenizer, make_network
