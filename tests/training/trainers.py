"""A tiny network, a tokenizer of words, a survey, and a trainer of them: no file of weights is needed."""

# ruff: noqa: S106 - the words for special tokens are not passwords.
from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

#: Words of the survey and of the texts that are trained on.
WORDS = (
    "What do you think about taxes dogs war bread and butter Please tell : ? . , I like it not Yes No opinion the of "
    "Answer with the letter of one option only A B C D E F"
)
TEXTS = ("What do you think about taxes ? Yes", "No opinion of the dogs war", "I like bread and butter", "Please tell")


def make_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = list(dict.fromkeys(["<pad>", "<s>", "</s>", "<unk>", *WORDS.split(), "\n"]))
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )


def make_network(vocabulary: int, **arguments: Any) -> Any:
    import torch
    import transformers

    torch.manual_seed(7)
    config = transformers.LlamaConfig(
        vocab_size=vocabulary, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, bos_token_id=1, eos_token_id=2, pad_token_id=0, initializer_range=0.2,
        **{"max_position_embeddings": 128, **arguments},
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


def with_lora(network: Any) -> Any:
    import peft
    import torch

    torch.manual_seed(3)
    chosen = peft.LoraConfig(r=4, lora_dropout=0.1, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    return peft.get_peft_model(network, chosen)


def make_trainer(folder: Path, *, network: Any = None, tokenizer: Any = None, **arguments: Any) -> Any:
    import transformers

    words = make_tokenizer()
    data = [{name: words(text)["input_ids"] for name in ("input_ids", "labels")} for text in TEXTS * 3]
    chosen = {
        "num_train_epochs": 2, "per_device_train_batch_size": 4, "learning_rate": 5e-3, "logging_steps": 2,
        "report_to": [], "use_cpu": True, "save_strategy": "no", "disable_tqdm": True, **arguments,
    }  # fmt: skip
    return transformers.Trainer(
        model=make_network(len(words)) if network is None else network,
        args=transformers.TrainingArguments(output_dir=str(folder), **chosen),
        train_dataset=data,
        processing_class=words if tokenizer is None else None,
        data_collator=transformers.DataCollatorForSeq2Seq(words),
    )


def weights_hash(trainer: Any) -> str:
    weights = trainer.model.state_dict()
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(weights[name].float().numpy().tobytes())
    return digest.hexdigest()


def write_survey(file: Path) -> str:
    """Write a survey of twelve questions, and return its path."""
    rows = [
        {
            "question_id": f"q{number}",
            "question": f"What do you think about {' '.join(WORDS.split()[number : number + 4])} ?",
            "options": ["Yes", "No", "No opinion"],
            "distributions": [
                {"population": "North", "probabilities": [0.2 + 0.02 * number, 0.3, 0.5 - 0.02 * number]},
                {"population": "Sud / été", "probabilities": [0.5, 0.3, 0.2]},
            ],
        }
        for number in range(12)
    ]
    for row in rows:
        row["distributions"][0]["n_respondents"] = 500
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)
