"""Measure how much the answers of an unchanged model move: other batch sizes, another order, other number formats.

Run: ``python benchmarks/noise_floor.py [NAME ...]`` (default: both packaged models). Prints one JSON line a model:
the largest change of an option's probability in one prompt, and of a question's JS distance to US adults of ``gss``
(which is what a gate compares), against one prompt at a time in float32.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from pytest_pluralism.core.records import Answer
from pytest_pluralism.datasets import load_survey
from pytest_pluralism.evaluation.surveys.asking import AskSettings, Requests, requests
from pytest_pluralism.evaluation.surveys.distance import scores
from pytest_pluralism.models import load_model

WAYS: tuple[tuple[str, str, int | str], ...] = (
    ("float32, batches of 7", "float32", 7),
    ("float32, auto", "float32", "auto"),
    ("bfloat16, one at a time", "bfloat16", 1),
    ("bfloat16, auto", "bfloat16", "auto"),
)


def answers(name: str, asked: Requests, dtype: str, batch_size: int | str) -> list[Answer]:
    model = load_model(f"embedded:{name}", dtype=dtype, batch_size=batch_size)
    result = model.answer(asked.prompts)
    model.close()
    return result


def probabilities(given: list[Answer]) -> list[np.ndarray]:
    return [np.exp(np.array(one.log_probabilities)) for one in given]


def distances(asked: Requests, given: list[Answer]) -> np.ndarray:
    return np.array([unit.value for unit in scores(asked, given, population="US adults").units])


def main(names: list[str]) -> None:
    asked = requests(load_survey("gss"), AskSettings())
    for name in names:
        reference = answers(name, asked, "float32", 1)
        result: dict[str, object] = {"benchmark": "noise_floor", "model": name, "prompts": len(asked.prompts)}
        for label, dtype, batch_size in WAYS:
            given = answers(name, asked, dtype, batch_size)
            one_prompt = max(
                float(np.abs(ours - theirs).max())
                for ours, theirs in zip(probabilities(given), probabilities(reference), strict=True)
            )
            units = np.abs(distances(asked, given) - distances(asked, reference))
            result[label] = {
                "probability": float(f"{one_prompt:.2g}"),
                "question": float(f"{units.max():.2g}"),
                "mean_of_questions": float(f"{units.mean():.2g}"),
            }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["smollm2-135m-instruct", "gemma-3-270m"])
