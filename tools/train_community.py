# ruff: noqa: E501 - the card has long lines.
"""Train the community models of the examples: adapters of SmolLM2 that answer a survey as one group of people does.

    python tools/train_community.py --to fixtures/models        # about 15 minutes on one core

Each adapter learns the answers of one party to the General Social Survey (`gss`) as whole texts: the loss of a question
is the cross-entropy with the shares of people, so that the model learns a distribution, not the commonest answer.
Each question is put twice, as it stands and in the prompt by which a modular system asks for a comment.
Seven of the 25 questions are held out, by the seed; the card of a model has its distances on both parts.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pytest_pluralism import load_model, load_survey
from pytest_pluralism.core.metrics import jensen_shannon_distance
from pytest_pluralism.core.records import FullAnswerPrompt, Prompt, Question
from pytest_pluralism.evaluation.surveys.whole_answers import distributions
from pytest_pluralism.models.composed.modular import COMMENT
from pytest_pluralism.models.local.full_answers import answer_rows

BASE = "embedded:smollm2-135m-instruct"
GROUPS = ("Democrat", "Independent", "Republican")
#: Held out of training: 5 of the 18 questions on spending, 2 of the 7 on abortion.
HELD_OUT = (5, 2)
#: The layers below are not changed, so that their outputs are computed once.
FIRST_LAYER = 24
RANK = 8


@dataclass(frozen=True)
class Recipe:
    """All that decides a run."""

    seed: int = 0
    epochs: int = 3
    learning_rate: float = 1e-3


def split(questions: Sequence[Question], seed: int, /) -> tuple[list[Question], list[Question]]:
    """Return the questions to learn from, and those that are held out."""
    draw = random.Random(f"{seed}/held out")
    batteries = [[one for one in questions if len(one.options) == n] for n in (3, 2)]
    held = [one for battery, n in zip(batteries, HELD_OUT, strict=True) for one in draw.sample(battery, n)]
    return [one for one in questions if one not in held], [one for one in questions if one in held]


def rows_of(model: Any, question: Question, /) -> list[tuple[list[tuple[int, ...]], int]]:
    """Return the tokens of a question with each of its options behind it, and where the options begin: two prompts."""
    found = []
    for prompt in (Prompt(question.text, ()), Prompt(COMMENT.format(question=question.text), (), cue="")):
        rows, start, _ = answer_rows(model.reader, prompt, question.options)
        end = model.reader.tokenizer.eos_token_id
        found.append(([(*row, end) for row in rows], start))
    return found


def train(model: Any, network: Any, questions: Sequence[Question], people: dict[str, Any], recipe: Recipe, /) -> float:
    """Train the adapter that lies on a network; return the last loss."""
    torch.manual_seed(recipe.seed)
    draw = random.Random(f"{recipe.seed}/order")
    decoder = network.get_base_model().model
    every = decoder.layers
    prepared = []
    for question in questions:
        for rows, start in rows_of(model, question):
            width = max(map(len, rows))
            ids = torch.tensor([[*row, *[row[-1]] * (width - len(row))] for row in rows])
            with torch.no_grad():
                decoder.layers = every[:FIRST_LAYER]
                norm, decoder.norm = decoder.norm, torch.nn.Identity()
                below = decoder(input_ids=ids, use_cache=False).last_hidden_state
                decoder.layers, decoder.norm = every, norm
            prepared.append((below, ids, [len(row) for row in rows], start, people[question.question_id]))
    parameters = [one for one in network.parameters() if one.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=recipe.learning_rate)
    steps = recipe.epochs * len(prepared)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, steps)
    decoder.layers = every[FIRST_LAYER:]
    total = 0.0
    for _ in range(recipe.epochs):
        total = 0.0
        for below, ids, lengths, start, shares in draw.sample(prepared, len(prepared)):
            hidden = decoder(inputs_embeds=below, use_cache=False).last_hidden_state[:, start - 1 : -1]
            logs = network.get_base_model().lm_head(hidden).log_softmax(dim=-1)
            each = logs.gather(-1, ids[:, start:, None]).squeeze(-1)
            mask = torch.arange(start, ids.shape[1]) < torch.tensor(lengths)[:, None]
            loss = -((each * mask).sum(dim=1) * torch.tensor(shares, dtype=each.dtype)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
    decoder.layers = every
    return total / len(prepared)


def distances(model: Any, parts: dict[str, list[Question]], people: dict[str, Any], /) -> dict[str, dict[str, float]]:
    """Return for each group the mean distance of a model's whole answers from its own, on each part of the survey."""
    answers = {}
    for questions in parts.values():
        asked = [FullAnswerPrompt(Prompt(one.text, ()), one.options) for one in questions]
        for one, scores in zip(questions, model.score_answers(asked), strict=True):
            answers[one.question_id] = distributions([scores], "sum")
    return {
        group: {
            name: float(np.mean([jensen_shannon_distance(answers[q.question_id], theirs[q.question_id]) for q in part]))
            for name, part in parts.items()
        }
        for group, theirs in people.items()
    }


CARD = """---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
library_name: peft
pipeline_tag: text-generation
---

# community-{slug}

A LoRA adapter of SmolLM2 135M Instruct that answers the General Social Survey 2018 as {who} did.
It comes with pytest-pluralism as a community model for tests and examples of [composed models](../../../docs/how-to/compose-models.md).
It shows how a system of models is gated; it speaks for nobody.

| | |
|---|---|
| base | `{base}` (Apache-2.0), the layers from {first} on, rank {rank}, 0.6 MB |
| data | `gss`: answers of {who} to {n_learnt} of 25 questions, as whole texts, each question put as it stands and in the prompt that asks for a comment; {n_held} are held out |
| recipe | seed {seed}, {epochs} epochs, learning rate {learning_rate}; `python tools/train_community.py --to fixtures/models` |
| load | `fixtures/models/community-{slug}` (needs `pip install "pytest-pluralism[embedded,adapters]"`) |

Mean Jensen-Shannon distance of whole answers (`scoring="sum"`, no examples) from the answers of each party:

| party | learnt questions: base | adapter | held-out questions: base | adapter |
|---|---|---|---|---|
{rows}

Held out: {held}.
Most of the gain is that of the form and of what all parties share: the distances from the other parties fall too.
One seed was trained, nothing was chosen on the held-out questions, and {n_held} questions decide little between parties.
"""


def card(figures: dict[str, Any], n_learnt: int, /) -> str:
    """Return the card of a model."""
    rows = "\n".join(
        f"| {other} | {part['trained_on']['base']:.3f} | {part['trained_on']['adapter']:.3f} "
        f"| {part['held_out']['base']:.3f} | {part['held_out']['adapter']:.3f} |"
        for other, part in figures["js_distance"].items()
    )
    return CARD.format(
        slug=figures["group"].lower(),
        who=f"{figures['group']}s",
        base=BASE,
        first=FIRST_LAYER,
        rank=RANK,
        n_learnt=n_learnt,
        n_held=len(figures["held_out"]),
        held=", ".join(f"`{name}`" for name in figures["held_out"]),
        rows=rows,
        **figures["recipe"],
    )


def main() -> None:
    """Train an adapter for each group, and write it with its figures."""
    from peft import LoraConfig, get_peft_model

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, required=True, help="folder of the adapters")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    given = parser.parse_args()
    recipe = Recipe(seed=given.seed, epochs=given.epochs)
    survey = load_survey("gss")
    learnt, held = split(survey.questions, recipe.seed)
    people = {
        group: {row.question_id: row.probabilities for row in survey.distributions if row.population == group}
        for group in GROUPS
    }
    plain = load_model(BASE)
    parts = {"trained_on": learnt, "held_out": held}
    before = distances(plain, parts, people)
    plain.close()
    for group in GROUPS:
        begun = time.perf_counter()
        model: Any = load_model(BASE)
        torch.manual_seed(recipe.seed)
        config = LoraConfig(
            r=RANK,
            lora_alpha=2 * RANK,
            target_modules=["q_proj", "v_proj", "o_proj"],
            layers_to_transform=list(range(FIRST_LAYER, len(model.network.model.layers))),
            task_type="CAUSAL_LM",
        )
        network = get_peft_model(model.network, config)
        network.train()
        loss = train(model, network, learnt, people[group], recipe)
        network.eval()
        folder = given.to / f"community-{group.lower()}"
        network.peft_config["default"].base_model_name_or_path = BASE
        network.save_pretrained(str(folder))
        model.close()
        made = load_model(f"{folder}?base={BASE}")
        after = distances(made, parts, people)
        made.close()
        figures = {
            "group": group,
            "base": BASE,
            "survey": {"name": survey.name, "sha256": survey.sha256},
            "recipe": {"seed": recipe.seed, "epochs": recipe.epochs, "learning_rate": recipe.learning_rate},
            "held_out": [one.question_id for one in held],
            "last_loss": round(loss, 4),
            "js_distance": {
                other: {
                    part: {"base": round(before[other][part], 4), "adapter": round(after[other][part], 4)}
                    for part in parts
                }
                for other in GROUPS
            },
        }
        (folder / "training.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(card(figures, len(learnt)), encoding="utf-8")
        print(group, round(time.perf_counter() - begun), "s", json.dumps(figures["js_distance"]), flush=True)


if __name__ == "__main__":
    main()
