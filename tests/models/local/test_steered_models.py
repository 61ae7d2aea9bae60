"""Adapters: one that is trained on a group's answers raises that group's faithfulness, and nobody else's."""

from __future__ import annotations

import contextlib
import json
import random

import numpy as np
import pytest

from pytest_pluralism.core.errors import InvalidParameterError, ModelError
from pytest_pluralism.core.estimation import compare_paired
from pytest_pluralism.core.metrics import jensen_shannon_distance
from pytest_pluralism.core.records import Prompt
from pytest_pluralism.datasets.steering.file import load_steering
from pytest_pluralism.evaluation.asking.engine import Engine
from pytest_pluralism.evaluation.asking.rounds import SteeredModel
from pytest_pluralism.evaluation.steering.choices import SteerableEvaluation, SteeringSettings
from pytest_pluralism.evaluation.surveys.answered import model_distributions
from pytest_pluralism.evaluation.surveys.asking import AskSettings, requests
from pytest_pluralism.models import load_model
from pytest_pluralism.models.local.steered import adapted_model, load_steered_model

peft = pytest.importorskip("peft")

# peft asks transformers by an older name.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

ASKING = AskSettings(examples=0, repetitions=1, option_order="none", template="raw")
SENTENCE = "taxes dogs war bread butter France Japan one two three four five six seven eight nine ten"
WORDS = SENTENCE.split(" ")


def survey_rows(n_questions):
    """Return questions that North answers with Yes, South with No, and East evenly, each with some variation."""
    draw = random.Random(2)
    rows = []
    for number in range(n_questions):
        words = " ".join(draw.sample(WORDS, 4))
        shift = 0.05 * draw.random()
        shares = {"North": 0.9 - shift, "South": 0.1 + shift, "East": 0.5 + shift - 0.025}
        rows.append(
            {
                "question_id": f"q{number}",
                "question": f"What do you think about {words} ?",
                "options": ["Yes", "No"],
                "distributions": [
                    {"population": name, "probabilities": [share, 1 - share]} for name, share in shares.items()
                ],
            }
        )
    return rows


@pytest.fixture
def town(tmp_path):
    """Return a function that writes a steering file for adapters and loads it."""

    def write(**models):
        rows = [
            {
                "attribute": name,
                "who": f"from the {name}",
                "category": "part of town",
                **({"model": spec} if spec else {}),
            }
            for name, spec in ({"North": "", "South": "", "East": ""} | models).items()
        ]
        path = tmp_path / "town.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *survey_rows(40)]), encoding="utf-8")
        return load_steering(str(path))

    return write


def train(model, steering, group, folder, *, questions, steps=60):
    """Train an adapter on how a group answers some of the questions, and save it as peft does."""
    import copy

    import torch

    reader, scorer = model.reader, model.scorer
    torch.manual_seed(1)
    config = peft.LoraConfig(
        r=4, lora_alpha=16, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM"
    )
    network = peft.get_peft_model(copy.deepcopy(scorer.model), config)
    shares = {row.question_id: row.probabilities for row in steering.survey.distributions if row.population == group}
    rows = [
        (model.token_ids(item.prompt), shares[item.question_id])
        for item in requests(steering.survey, ASKING).items
        if item.question_id in questions
    ]
    labels = torch.tensor([tokens[0] for tokens in reader.label_tokens(("A", "B"))])
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=2e-2)
    network.train()
    # All questions have as many words, so that they fit into one batch.
    ids = torch.tensor([tokens for tokens, _ in rows])
    wanted = torch.tensor([share for _, share in rows])
    for _ in range(steps):
        logits = network(input_ids=ids).logits[:, -1]
        loss = -(wanted * torch.log_softmax(logits, dim=-1)[:, labels]).sum(dim=-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.save_pretrained(folder)
    return folder


def measure(evaluation, model):
    loaded = {}

    def model_of(role):
        if not isinstance(role, SteeredModel):
            return model
        if role not in loaded:
            loaded[role] = load_steered_model(role.spec, model, attribute=role.attribute)
        return loaded[role]

    engine = Engine(store=lambda: None, note=print, progress=lambda what: contextlib.nullcontext())
    scores, roles = engine.measure(evaluation, model_of)
    return scores, roles, loaded


@pytest.mark.whole
def test_an_adapter_of_one_group_raises_that_groups_faithfulness_and_nobody_elses(tiny_folder, town, tmp_path):
    model = load_model(str(tiny_folder("llama")))
    steering = town()
    half = {f"q{number}" for number in range(0, 40, 2)}
    train(model, steering, "North", tmp_path / "north", questions=half)
    steering = town(North=f"lora:{tmp_path / 'north'}")
    evaluation = SteerableEvaluation(
        steering, ASKING, SteeringSettings(contexts=("model",), checks=("unsteered",)), "North"
    )
    scores, roles, loaded = measure(evaluation, model)
    assert any(isinstance(role, SteeredModel) for role in roles)
    # The adapter of the North, judged by each group on the questions that it was not trained on.
    steered = {unit.unit_id: np.array(unit.model_probabilities) for unit in scores.units if unit.unit_id not in half}
    plain = requests(steering.survey, ASKING)
    before = model_distributions(plain, model.answer(plain.prompts))
    gains = {}
    for group in ("North", "South", "East"):
        people = {row.question_id: row.probabilities for row in steering.rows(steering.attribute(group))}
        gains[group] = compare_paired(
            [1 - jensen_shannon_distance(answer, people[q]) for q, answer in steered.items()],
            [1 - jensen_shannon_distance(before[q].probabilities, people[q]) for q in steered],
        )
    assert gains["North"].low > 0.1
    assert gains["South"].high < 0
    assert gains["East"].high < 0
    assert scores.details["gain"]["low"] > 0
    (adapted,) = loaded.values()
    assert adapted.identity.sha256 != model.identity.sha256
    assert adapted.identity.name == "tiny+north"


@pytest.mark.whole
def test_the_model_under_test_stays_as_it_is(tiny_folder, town, tmp_path):
    model = load_model(str(tiny_folder("llama")))
    prompt = Prompt("What do you think about dogs ?\nA. Yes\nB. No", ("A", "B"), template="raw")
    (before,) = model.answer([prompt])
    folder = train(model, town(), "South", tmp_path / "south", questions={"q0", "q1"}, steps=5)
    adapted = adapted_model(model, folder)
    (with_adapter,) = adapted.answer([prompt])
    assert model.answer([prompt]) == [before]
    assert with_adapter.log_probabilities != before.log_probabilities
    adapted.close()
    assert model.answer([prompt]) == [before]


def test_an_adapter_for_another_model_is_refused(tiny_folder, town, tmp_path):
    model = load_model(str(tiny_folder("llama", name="first")))
    folder = train(model, town(), "South", tmp_path / "south", questions={"q0"}, steps=1)
    other = load_model(str(tiny_folder("gpt2", name="second")))
    with pytest.raises(ModelError, match="does not fit second"):
        adapted_model(other, folder)
    # The same names of layers, and other sizes.
    import torch
    import transformers

    torch.manual_seed(0)
    wide = transformers.LlamaConfig(
        vocab_size=80, hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    path = tiny_folder("llama", name="wide")
    transformers.LlamaForCausalLM(wide).save_pretrained(path)
    with pytest.raises(ModelError, match="does not fit wide"):
        adapted_model(load_model(str(path)), folder)


def test_what_is_no_adapter_is_refused(tiny_folder, tmp_path):
    model = load_model(str(tiny_folder("llama")))
    with pytest.raises(ModelError, match=r"no adapter_config\.json"):
        adapted_model(model, tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelError, match="safe_serialization=True"):
        adapted_model(model, tmp_path)

    class Remote:
        identity = model.identity

    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="no weights in this process"):
        adapted_model(Remote(), tmp_path)


@pytest.mark.parametrize("config", ['{"peft_type": "LORA", "base_model_name_or_path": "theirs"}', "{}", "[1]", "{"])
def test_a_broken_adapter_is_one_clear_error(tiny_folder, tmp_path, config):
    model = load_model(str(tiny_folder("llama")))
    (tmp_path / "adapter_config.json").write_text(config)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"The adapter in .* does not fit") as found:
        adapted_model(model, tmp_path)
    assert ("made for 'theirs'" in str(found.value)) == ("theirs" in config)


def test_a_checkpoint_is_a_model_too(tiny_folder, town):
    model = load_model(str(tiny_folder("llama", name="base")))
    steering = town(South=str(tiny_folder("qwen2", name="south")))
    evaluation = SteerableEvaluation(steering, ASKING, SteeringSettings(contexts=("model",), checks=()), "South")
    scores, _, loaded = measure(evaluation, model)
    assert len(scores.units) == 40
    assert next(iter(loaded.values())).identity.name == "south"


@pytest.mark.whole
def test_models_and_words_go_together(tiny_folder, town):
    model = load_model(str(tiny_folder("llama", name="base")))
    steering = town(North=str(tiny_folder("qwen2", name="north")))
    settings = SteeringSettings(contexts=("model", "portrait"), checks=("unsteered", "placebo"))
    scores, _, _ = measure(SteerableEvaluation(steering, ASKING, settings, "North"), model)
    assert set(scores.details["contexts_each"]) >= {"model", "portrait"}
    assert "placebo" in scores.references


def test_what_names_no_model_says_so(tiny_folder, town):
    model = load_model(str(tiny_folder("llama")))
    evaluation = SteerableEvaluation(town(), ASKING, SteeringSettings(contexts=("model",), checks=()), "North")
    with pytest.raises(ModelError, match="Give it a field 'model'"):
        measure(evaluation, model)
    with pytest.raises(InvalidParameterError, match="no model of a placebo"):
        SteerableEvaluation(town(), ASKING, SteeringSettings(contexts=("model",), over="placebo"), "North")


def test_a_folder_is_meant_beside_its_file(town, tmp_path):
    assert town(North="lora:north").attribute("North").model == f"lora:{tmp_path / 'north'}"
