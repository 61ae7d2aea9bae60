"""The engine beside one unpadded forward a prompt, on every architecture that writes text: ``tox -e architectures``."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import FullAnswerPrompt, GenerationSettings
from pytest_pluralism.models import load_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

_spec = importlib.util.spec_from_file_location("checkpoints", Path(__file__).with_name("checkpoints.py"))
checkpoints = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(checkpoints)

pytestmark = pytest.mark.architectures

#: The largest difference of a log-probability, in nats.
TOLERANCE = 1e-4
N_PROMPTS = 9
WHOLE_ANSWERS = ("Yes indeed", "No, never in my life", "Perhaps so")
N_TOKENS = 6


def way_of(notes):
    """Return in a few words how the prompts were computed."""
    text = "; ".join(notes)
    if "computed alone" in text:
        return "each alone"
    return "whole, in batches" if "computed whole" in text else "shared beginnings"


def labels_by_forward(model, network, prompts):
    """Return the log-probability of each label of each prompt, by one forward of the whole row."""
    found = []
    for prompt in prompts:
        last = checkpoints.log_probabilities(network, model.token_ids(prompt))[-1]
        found.append([float(last[list(model.reader.spellings(label))].logsumexp(0)) for label in prompt.labels])
    return found


def answers_of(model, prompts):
    return [answer.log_probabilities for answer in model.answer(prompts)]


def largest(expected, found):
    return max(abs(a - b) for one, other in zip(expected, found, strict=True) for a, b in zip(one, other, strict=True))


def whole_by_forward(model, network, asked):
    """Return the log-likelihood of each whole answer behind a raw prompt."""
    alone = list(model.token_ids(asked.prompt))
    text = model.reader.tokenizer.decode(alone, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    rows = [list(model.reader.encode(f"{text} {answer}")) for answer in asked.answers]
    starts = [
        next((at for at, (a, b) in enumerate(zip(alone, row, strict=False)) if a != b), len(alone)) for row in rows
    ]
    found = []
    for row in rows:
        values = checkpoints.log_probabilities(network, row)
        found.append(sum(float(values[at - 1, row[at]]) for at in range(min(starts), len(row))))
    return found


def written_by_forward(model, network, prompt):
    """Return the likeliest text behind a prompt, by one forward a token of the whole row."""
    ids, new = list(model.token_ids(prompt)), []
    while len(new) < N_TOKENS:
        token = int(checkpoints.log_probabilities(network, ids + new)[-1].argmax())
        if token in model.generator.ends:
            break
        new.append(token)
    return model.reader.decode_text(new)


@pytest.mark.parametrize("name", checkpoints.causal_architectures())
@pytest.mark.filterwarnings("ignore")
def test_the_engine_agrees_with_one_forward_a_prompt(name, row, tmp_path, monkeypatch):
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / name
    try:
        checkpoints.save_checkpoint(name, folder)
    except Exception as error:  # noqa: BLE001 - sizes that an architecture does not take, or packages that it needs
        row["left"] = "no tiny checkpoint"
        pytest.skip(f"no tiny checkpoint: {type(error).__name__}: {error}"[:300])
    try:
        model = load_model(str(folder), device="cpu")
    except ModelError as error:
        row["left"] = "refused with a sentence"
        pytest.skip(f"refused: {error}")
    network = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    shutil.rmtree(folder)
    prompts = checkpoints.prompts(N_PROMPTS)
    try:
        expected = labels_by_forward(model, network, prompts)
    except Exception:  # noqa: BLE001 - transformers' own forward fails
        with pytest.raises(ModelError):
            model.answer(prompts)
        row["left"] = "its own forward fails"
        pytest.skip("its own forward fails")
    row["answers"] = largest(expected, answers_of(model, prompts))
    row["answers"] = max(row["answers"], largest(expected, answers_of(model, prompts[::-1])[::-1]))
    alone = [answer.log_probabilities for answer in model.answer_in_batches(prompts, batch_size=1)]
    row["answers"] = max(row["answers"], largest(expected, alone))
    row["way"] = way_of(model.identity.notes)
    asked = [FullAnswerPrompt(prompt, WHOLE_ANSWERS) for prompt in prompts[5:7]]
    scored = [one.log_likelihoods for one in model.score_answers(asked)]
    row["whole"] = largest([whole_by_forward(model, network, one) for one in asked], scored)
    settings = GenerationSettings(N_TOKENS, temperature=0.0)
    written = [draws[0].text for draws in model.generate(prompts[5:8], settings)]
    wanted = [written_by_forward(model, network, prompt) for prompt in prompts[5:8]]
    row["texts"] = f"{sum(a == b for a, b in zip(written, wanted, strict=True))} of {len(wanted)}"
    assert max(row["answers"], row["whole"]) < TOLERANCE
    assert written == wanted
