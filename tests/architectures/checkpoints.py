"""Tiny random checkpoints of the causal language models that transformers knows.

Every configuration has its own words for the same sizes, so each is filled by the names that it has: no size is larger
than a few dozen, and windows, chunks and indexes are shorter than the prompts, so that they count.
"""

# ruff: noqa: S106 - the words for special tokens are not passwords.
from __future__ import annotations

import inspect
import itertools
import math
import random
import re
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from pytest_pluralism.core.records import Prompt

VOCABULARY = 420
N_LAYERS = 4
LONGEST = 640

#: The names of fields by the value that each gets.
SIZES: dict[int, str] = {
    64: "hidden_size n_embd d_model emb_dim embed_dim block_dim lru_width attention_hidden_size word_embed_proj_dim",
    96: "intermediate_size ffn_dim n_inner ffn_hidden_size d_ff dim_ff block_ff_dim d_inner encoder_ffn_dim "
    "decoder_ffn_dim",
    32: "moe_intermediate_size shared_expert_intermediate_size expert_ffn_hidden_size",
    24: "sliding_window local_attention window_size attention_window_size q_lora_rank",
    16: "head_dim kv_channels attention_head_dim dim_head d_head v_head_dim qk_nope_head_dim kv_lora_rank "
    "index_head_dim index_topk linear_key_head_dim linear_value_head_dim mamba_d_head mamba_d_state mamba_head_dim "
    "ssm_state_size state_size",
    8: "rotary_dim qk_rope_head_dim mamba_n_heads mamba_num_heads hidden_size_per_layer_input laurel_rank",
    N_LAYERS: "num_hidden_layers n_layer n_layers num_layers num_attention_heads n_head n_heads num_heads "
    "attention_heads encoder_attention_heads decoder_attention_heads linear_num_value_heads num_experts "
    "num_local_experts n_routed_experts moe_num_experts",
    3: "decoder_layers conv_L_cache",
    2: "encoder_layers num_key_value_heads multi_query_group_num num_kv_heads linear_num_key_heads n_mamba_heads "
    "index_n_heads mamba_expand num_experts_per_tok top_k moe_k moe_topk eos_token_id",
    1: "n_shared_experts n_group topk_group first_k_dense_replace mamba_n_groups bos_token_id",
    0: "pad_token_id",
    128: "mamba_d_ssm",
    LONGEST: "max_position_embeddings n_positions n_ctx max_seq_len seq_length context_length",
    VOCABULARY: "vocab_size vocab_size_per_layer_input",
}  # fmt: skip
FIELDS: dict[str, object] = {name: value for value, names in SIZES.items() for name in names.split()} | {
    "attention_dropout": 0.0,
    "hidden_dropout": 0.0,
    "block_auto_adjust_ff_dim": False,
    "use_mamba_kernels": False,
}

_MAMBA = {"layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"]}
_HALVED = {"num_key_value_heads": 4, "head_dim": 8}
#: Fields of single architectures, which do not follow from their names.
OWN: dict[str, dict[str, object]] = {
    **dict.fromkeys(("axk1", "axk2", "deepseek_v2", "deepseek_v3", "deepseek_v32", "bailing_hybrid"), _HALVED),
    "bamba": {"attn_layer_indices": [1, 3]},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2, "hidden_size": 64},
    },
    "falcon": {"num_kv_heads": 4},
    "gemma3n_text": {
        "num_kv_shared_layers": 0,
        "activation_sparsity_pattern": [0.0] * N_LAYERS,
        "intermediate_size": [96] * N_LAYERS,
        "altup_num_inputs": 2,
        "altup_active_idx": 0,
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1,
              "mamba_dt_rank": 8},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "llama4_text": {"attention_chunk_size": 32, "intermediate_size_mlp": 96, "moe_layers": [1, 3],
                    "no_rope_layers": [1, 1, 1, 0], "floor_scale": 16},
    "mamba2": {"num_heads": 8, "head_dim": 16, "expand": 2, "n_groups": 1, "chunk_size": 16},
    "phi3": {
        "original_max_position_embeddings": 64,
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "short_factor": [1.0] * 8,
            "long_factor": [3.0 + place for place in range(8)],
            "original_max_position_embeddings": 64,
            "factor": 10.0,
        },
    },
    "recurrent_gemma": {"num_hidden_layers": 3},
    "reformer": {"is_decoder": True, "axial_pos_shape": [16, 40], "axial_pos_embds_dim": [32, 32],
                 "attn_layers": ["local", "lsh"]},
    "xlnet": {"n_layer": 3},
    "zamba": {**_MAMBA, "attention_head_dim": 32, "head_dim": None, "mamba_dt_rank": 4},
    "zamba2": {**_MAMBA, "hybrid_layer_ids": [1, 3]},
}  # fmt: skip
#: Encoders that transformers makes into decoders where they are told.
ENCODERS = frozenset({
    "bert", "bert-generation", "big_bird", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert", "rembert",
    "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "xlm-roberta", "xlm-roberta-xl", "xmod",
})  # fmt: skip


def causal_architectures() -> list[str]:
    """Return the names of all architectures that write text."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def _filled(kind: type, own: dict[str, object]) -> dict[str, object]:
    """Return the fields of a configuration that have a size here."""
    usual = kind()
    fields: dict[str, object] = {}
    for name, value in FIELDS.items():
        now = getattr(usual, name, fields)
        # A part that is off stays off, and lists and parts have shapes of their own.
        if now is not fields and not isinstance(now, dict | list) and not (now is None and name == "q_lora_rank"):
            fields[name] = value
    # Two names of one field.
    for alias, name in (getattr(kind, "attribute_map", None) or {}).items():
        if alias in fields and name in fields:
            del fields[alias]
    for name in ("layer_types", "mlp_layer_types"):
        if kinds := list(dict.fromkeys(getattr(usual, name, None) or ())):
            fields[name] = list(itertools.islice(itertools.cycle(kinds), N_LAYERS))
    return fields | own


def configuration(name: str):
    """Return the configuration of a tiny network."""
    kind = transformers.CONFIG_MAPPING[name]
    own = OWN.get(name, {}) | ({"is_decoder": True} if name in ENCODERS else {})
    fields = _filled(kind, own)
    text = getattr(kind(), "text_config", None)
    if text is not None and name != "phi4_multimodal":
        tokens = ("pad_token_id", "bos_token_id", "eos_token_id")
        fields = {key: value for key, value in fields.items() if key not in FIELDS or key in tokens}
        fields["text_config"] = _filled(type(text), OWN.get(text.model_type, {}))
    fields = {key: value for key, value in fields.items() if value is not None or key in own}
    while True:
        try:
            return kind(**fields)
        except AttributeError as error:
            # A field that is worked out from others.
            found = re.search(r"property '(\w+)' of", str(error))
            known = next((key for key in (found[1] if found else "", "layer_types") if key in fields), None)
            if known is None:
                raise
            del fields[known]


def tokenizer():
    """Return a tokenizer of bytes and the commonest pairs of this repository's pages."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(sentences(), trainer)
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )


def sentences() -> list[str]:
    """Return the lines of two pages of this repository."""
    root = Path(__file__).parents[2]
    pages = [root / "README.md", root / "docs" / "explanation" / "architecture.md"]
    return [line for page in pages for line in page.read_text(encoding="utf-8").splitlines() if len(line) > 40]


def strengthened(network: torch.nn.Module) -> None:
    """Give a network random weights at which each token counts: fresh ones answer every prompt nearly alike."""
    chance = torch.Generator().manual_seed(0)

    def drawn(shape: torch.Size, scale: float) -> torch.Tensor:
        return torch.randn(shape, generator=chance) * scale

    with torch.no_grad():
        for name, module in network.named_modules():
            kind = type(module).__name__
            if isinstance(module, torch.nn.Embedding):
                module.weight.copy_(drawn(module.weight.shape, 0.7))
            elif isinstance(module, torch.nn.Linear) or kind == "Conv1D":
                weight = module.weight
                weight.copy_(drawn(weight.shape, 1.6 / math.sqrt(weight.shape[0 if kind == "Conv1D" else 1])))
                if module.bias is not None:
                    module.bias.copy_(drawn(module.bias.shape, 0.1))
            else:
                for part, weight in module.named_parameters(recurse=False):
                    if weight.dim() == 3 and weight.is_floating_point() and "conv" not in name + part:
                        weight.copy_(drawn(weight.shape, 1.6 / math.sqrt(weight.shape[-1])))
                    elif "sink" in part:
                        weight.copy_(drawn(weight.shape, 1.0))


def save_checkpoint(name: str, folder: Path) -> None:
    """Save a tiny random checkpoint of an architecture."""
    config = configuration(name)
    # Counted before any memory is taken: parts of some architectures keep their usual sizes.
    with torch.device("meta"):
        count = sum(one.numel() for one in transformers.AutoModelForCausalLM.from_config(config).parameters())
    if count > 30_000_000:
        raise ValueError(f"{count} parameters are not tiny")
    torch.manual_seed(0)
    network = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    strengthened(network)
    network.save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def prompts(count: int) -> list[Prompt]:
    """Return prompts of all lengths, some of which share long beginnings."""
    chance = random.Random(3)
    lines = sentences()
    stem = " ".join(chance.sample(lines, 2))[:260]
    options = "A. Yes\nB. No\nC. Perhaps\nD. Never"
    made = []
    for number in range(count):
        words = chance.choice(lines)[: chance.choice([10, 25, 60, 120, 200])]
        questions = (f"{stem}\n{words}\n{options}", f"{stem}\nA. {words[:20]}\nB. No\nC. Yes\nD. {number}",
                     f"{words}\n{options}", f"{stem[:80]}{words * 2}\nA. No\nB. Yes\nC. x\nD. y")  # fmt: skip
        system = "" if number % 4 == 2 else f"You are one of many. {stem[:100]}"
        made.append(Prompt(questions[number % 4], ("A", "B", "C", "D"), system=system, template="raw"))
    return made


@torch.no_grad()
def log_probabilities(network: torch.nn.Module, ids: list[int] | tuple[int, ...]) -> torch.Tensor:
    """Return the log-probabilities at each position of one row, by one forward without padding and without a cache."""
    takes = inspect.signature(network.forward).parameters
    arguments = {"use_cache": False} if "use_cache" in takes else {}
    return torch.log_softmax(network(input_ids=torch.tensor([list(ids)]), **arguments).logits[0].double(), dim=-1)
