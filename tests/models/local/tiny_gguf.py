"""Write a tiny random GGUF file; run as a program, convert one: tests kill and race such processes."""

from __future__ import annotations

import sys
from pathlib import Path

CHAT = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}>{% endif %}"
)


def write(
    path: Path, *, add_bos: bool | None = True, chat: str | None = CHAT, seed: int = 0, context: int = 128
) -> Path:
    import gguf
    import numpy as np

    letters = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.:?,<>", "Ġ", "Ċ"]
    merges = ["Ġ A", "Ġ B", "Ġ C", "t h", "th e", "Ġ the"]
    tokens = ["<s>", "</s>", *letters, *(merge.replace(" ", "") for merge in merges)]
    draw = np.random.default_rng(seed)
    width, layers, inner, heads = 32, 2, 64, 4
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3] + [1] * (len(tokens) - 2))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    if add_bos is not None:
        writer.add_add_bos_token(add_bos)
    if chat is not None:
        writer.add_chat_template(chat)

    def tensor(name: str, *shape: int) -> None:
        writer.add_tensor(name, (draw.normal(size=shape) * 0.2).astype(np.float32))

    tensor("token_embd.weight", len(tokens), width)
    writer.add_tensor("output_norm.weight", np.ones(width, dtype=np.float32))
    for layer in range(layers):
        block = f"blk.{layer}."
        writer.add_tensor(f"{block}attn_norm.weight", np.ones(width, dtype=np.float32))
        writer.add_tensor(f"{block}ffn_norm.weight", np.ones(width, dtype=np.float32))
        tensor(f"{block}attn_q.weight", width, width)
        tensor(f"{block}attn_k.weight", width // 2, width)
        tensor(f"{block}attn_v.weight", width // 2, width)
        tensor(f"{block}attn_output.weight", width, width)
        tensor(f"{block}ffn_gate.weight", inner, width)
        tensor(f"{block}ffn_up.weight", inner, width)
        tensor(f"{block}ffn_down.weight", width, inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def main(path: str, stop: str) -> None:
    """Convert; with ``stop`` hang in the middle, where the weights lie in the temporary folder already."""
    import time

    from pytest_pluralism.models.embedded import GgufSource
    from pytest_pluralism.models.local import gguf

    real, save = gguf.convert, gguf.save_converted
    if stop == "hang":

        def hang(model, tokenizer, header, folder):
            save(model, tokenizer, header, folder)
            print("hanging", flush=True)
            time.sleep(600)

        gguf.save_converted = hang
    else:

        def counted(*arguments):
            print("converting", flush=True)
            time.sleep(1.0)  # long enough for the other process to come by
            real(*arguments)

        gguf.convert = counted
    print(gguf.converted(GgufSource("tiny", (Path(path),))).folder, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
