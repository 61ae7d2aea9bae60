"""Networks that read more than text: their text part answers, where it is a causal language model."""

from __future__ import annotations

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import FullAnswerPrompt, GenerationSettings, Prompt
from pytest_pluralism.models import load_model
from pytest_pluralism.models.lazy import lazy_model

PROMPTS = [Prompt(text, ("A", "B")) for text in ("What do you think ?", "What do you think about taxes dogs war ?")]
VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.2}  # fmt: skip


def wrapper(kind, vocabulary):
    """Return a tiny network that reads images and text."""
    import torch
    import transformers as t

    torch.manual_seed(5)
    text = TEXT | {"vocab_size": vocabulary}
    clip = t.CLIPVisionConfig(**VISION, image_size=8, patch_size=4)
    if kind == "llava":
        config = t.LlavaConfig(vision_config=clip, text_config=t.LlamaConfig(**text), image_token_index=5)
        return t.LlavaForConditionalGeneration(config)
    if kind == "llava_next":
        pins = [[8, 8]]
        config = t.LlavaNextConfig(vision_config=clip, text_config=t.MistralConfig(**text), image_token_index=5,
                                   image_grid_pinpoints=pins)  # fmt: skip
        return t.LlavaNextForConditionalGeneration(config)
    ropes = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "patch_size": 4}
    config = t.Qwen2VLConfig(text_config=text | {"rope_parameters": ropes}, vision_config=vision, image_token_id=5,
                             video_token_id=6, vision_start_token_id=4)  # fmt: skip
    return t.Qwen2VLForConditionalGeneration(config)


@pytest.mark.parametrize("kind", ["llava", "llava_next", "qwen2_vl"])
def test_the_text_part_answers(tiny_folder, tiny, kind):
    import torch

    folder = tiny_folder()
    tokenizer = tiny[0]()
    network = wrapper(kind, len(tokenizer)).eval()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    model = load_model(str(folder))
    answers = model.answer(PROMPTS)
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        ids = torch.tensor([model.token_ids(prompt)])
        with torch.no_grad():
            # Without the parts that read images.
            hidden = network.model.language_model(input_ids=ids).last_hidden_state
            expected = torch.log_softmax(network.lm_head(hidden)[0, -1], dim=-1)
        for label, found in zip(prompt.labels, answer.log_probabilities, strict=True):
            assert found == pytest.approx(float(expected[list(model.reader.spellings(label))].logsumexp(0)), abs=1e-5)
    assert len(model.generate(PROMPTS, GenerationSettings(3))) == 2
    assert len(model.score_answers([FullAnswerPrompt(PROMPTS[0], ("dogs", "war"))])) == 1
    assert any("reads more than text: its text part alone is asked" in note for note in model.identity.notes)
    assert lazy_model(str(folder), lambda: load_model(str(folder))).identity.sha256 == model.identity.sha256


def test_a_text_part_that_is_no_causal_model_says_so(tiny_folder, tiny):
    import transformers as t

    folder = tiny_folder()
    text = t.BlipTextConfig(**VISION, vocab_size=len(tiny[0]()), encoder_hidden_size=32, projection_dim=16)
    vision = t.BlipVisionConfig(**VISION, image_size=8, patch_size=4, projection_dim=16)
    config = t.BlipConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=16)
    t.BlipForConditionalGeneration(config).save_pretrained(folder)
    with pytest.raises(ModelError, match=r"its text part \(BlipTextConfig\) is not a causal language model by itself"):
        load_model(str(folder))
