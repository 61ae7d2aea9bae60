"""Compare composed models with their plain main model and with the mixture of their parts, on held-out questions.

    python tools/compare_systems.py                       # prints the tables of docs/explanation/roadmap.md
    python tools/compare_systems.py overton steerable     # only these modes, on texts and on labelled rows

It takes some minutes of one core.

The parts are the community models of three parties in fixtures/models and SmolLM2, from which they were trained. The
questions are the seven of the General Social Survey that none of them learnt; texts are written on the first windows
of the packaged file.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest_pluralism as pp
from pytest_pluralism.core.records import Estimate, FullAnswerPrompt, GenerationSettings, Prompt, Survey
from pytest_pluralism.datasets import load_windows
from pytest_pluralism.datasets.steering.file import steering_of_survey

MODELS = Path(__file__).resolve().parents[1] / "fixtures" / "models"
BASE = "embedded:smollm2-135m-instruct"
JUDGE = "embedded:nli-minilm"
PARTIES = ("Democrat", "Independent", "Republican")
#: How many windows texts are written on, and how.
N_WINDOWS = 6
WRITTEN: dict[str, Any] = {"n_draws": 1, "max_new_tokens": 128, "temperature": 0.6}
#: How parties are steered to: by the system text, so that each question is commented on once.
STEERED: dict[str, Any] = {"context": "system", "checks": ["unsteered"], "option_order": "none"}
#: Maximum number of tokens of a comment in the modes overton and steerable.
COMMENT_TOKENS = 60
#: Answers are kept for the run, because all parties are scored on the same.
KEPT = tempfile.TemporaryDirectory()
ASKED: dict[str, Any] = {"examples": 0, "repetitions": 3, "settings": {"answers": KEPT.name}}


class Counted:
    """A model that counts what it is asked."""

    def __init__(self, model: Any, count: Counter[str]) -> None:
        self.model, self.count, self.identity = model, count, model.identity

    def answer(self, prompts: Sequence[Prompt], /, **keywords: Any) -> Any:
        """Answer closed questions."""
        self.count["answers"] += len(prompts)
        return self.model.answer(prompts)

    def score_answers(self, prompts: Sequence[FullAnswerPrompt], /, **keywords: Any) -> Any:
        """Score whole answers."""
        self.count["answers"] += len(prompts)
        return self.model.score_answers(prompts)

    def generate(self, prompts: Sequence[Prompt], /, settings: GenerationSettings, **keywords: Any) -> Any:
        """Write texts."""
        self.count["texts"] += len(prompts) * keywords.get("n_draws", 1)
        return self.model.generate(prompts, settings, n_draws=keywords.get("n_draws", 1))

    def close(self) -> None:
        """Do nothing: other systems ask the same model."""


def held_out() -> Survey:
    """Return the questions that the community models did not learn."""
    names = json.loads((MODELS / "community-democrat" / "training.json").read_text(encoding="utf-8"))["held_out"]
    survey = pp.load_survey("gss")
    rows = [one for one in survey.distributions if one.question_id in names and one.population in PARTIES]
    return Survey(
        "gss, held out", tuple(q for q in survey.questions if q.question_id in names), tuple(rows), "held out"
    )


def distances(model: Any, survey: Survey, scoring: str) -> dict[str, Estimate]:
    """Return the distance of a model from each party."""
    asked = {**ASKED, "scoring": scoring}
    return {party: pp.evaluate(model, "js_distance", survey, population=party, **asked) for party in PARTIES}


def table(systems: dict[str, Any], survey: Survey, scoring: str, count: Counter[str]) -> dict[str, dict[str, Estimate]]:
    """Print the distances of systems from each party, and return them."""
    found: dict[str, dict[str, Estimate]] = {}
    print("| system | " + " | ".join(PARTIES) + " | prompts answered | comments written |")
    print("|---|---|---|---|---|---|")
    for name, system in systems.items():
        count.clear()
        found[name] = distances(system, survey, scoring)
        cells = " | ".join(str(found[name][party]) for party in PARTIES)
        print(f"| {name} | {cells} | {count['answers']} | {count['texts']} |", flush=True)
    return found


def changes(found: dict[str, dict[str, Estimate]], pairs: dict[str, tuple[str, str]]) -> None:
    """Print paired differences of systems."""
    print("\n| change, paired by question | " + " | ".join(PARTIES) + " |\n|---|---|---|---|")
    for label, (now, then) in pairs.items():
        gains = [found[now][party] - found[then][party] for party in PARTIES]
        cells = " | ".join(f"{one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]" for one in gains)
        print(f"| {label} | {cells} |")


def modes(plain: Any, parts: dict[str, Any], survey: Survey, count: Counter[str], *, chosen: Sequence[str]) -> None:
    """Print how the chosen modes do beside the plain model and the mixture of the parts."""
    windows = load_windows("contested")
    few = dataclasses.replace(windows, name="contested, the first", windows=windows.windows[:N_WINDOWS])
    rows, steered = steering_of_survey(survey), {"seed": 0, "settings": ASKED["settings"]}
    asked: dict[str, tuple[str, str, Any, dict[str, Any]]] = {
        "coverage": ("overton", "overton_coverage", few, {**WRITTEN, "entailment_model": JUDGE}),
        "likeliest answer of the party": ("steerable", "steering_faithfulness", rows, {**STEERED, "score": "mode"}),
        "one minus the distance": ("steerable", "steering_faithfulness", rows, {**STEERED, "score": "js"}),
    }
    print("| measure | system | value | change from SmolLM2 alone | prompts answered | texts written |")
    print("|---|---|---|---|---|---|")
    for label, (mode, measure, data, keywords) in asked.items():
        if mode not in chosen:
            continue
        systems = {
            "SmolLM2 alone": plain,
            "mixture of the three parts": pp.mixture(list(parts.values()), name="mixture"),
            f"modular, {mode}, three": pp.modular(plain, parts, mode=mode, comment_tokens=COMMENT_TOKENS, name=mode),
        }
        alone: Estimate | None = None
        for name, system in systems.items():
            count.clear()
            found = pp.evaluate(system, measure, data, **{**steered, **keywords})
            change = "" if alone is None else "{0.value:+.3f} [{0.low:+.3f}, {0.high:+.3f}]".format(found - alone)
            alone = alone or found
            print(f"| {label} | {name} | {found} | {change} | {count['answers']} | {count['texts']} |", flush=True)


def main() -> None:
    """Print the tables."""
    survey, count = held_out(), Counter[str]()
    plain = Counted(pp.load_model(BASE), count)
    parts = {one: Counted(pp.load_model(f"{MODELS}/community-{one.lower()}?base={BASE}"), count) for one in PARTIES}
    if sys.argv[1:]:
        modes(plain, parts, survey, count, chosen=sys.argv[1:])
        return
    two = {name: parts[name] for name in PARTIES[:2]}
    systems = {
        "SmolLM2 alone": plain,
        "mixture of the three parts": pp.mixture(list(parts.values()), name="mixture"),
        "modular, distributional, two communities": pp.modular(plain, two, mode="distributional", name="two"),
        "modular, distributional, three (patched)": pp.modular(plain, parts, mode="distributional", name="three"),
        "modular, overton, three": pp.modular(plain, parts, mode="overton", name="overton"),
    }
    names = list(systems)
    print("By letters:\n")
    found = table(systems, survey, "letters", count)
    changes(
        found,
        {
            "three communities less SmolLM2 alone": (names[3], names[0]),
            "three communities less the mixture of the parts": (names[3], names[1]),
            "patch: the Republican community added": (names[3], names[2]),
        },
    )
    print("\nAs whole answers:\n")
    blends = {
        "SmolLM2 alone": plain,
        **{f"the {party} community alone": parts[party] for party in PARTIES},
        "mixture of two communities": pp.mixture(list(two.values()), name="two parts"),
        "mixture of three (patched)": pp.mixture(list(parts.values()), name="three parts"),
    }
    found = table(blends, survey, "sum", count)
    changes(
        found,
        {
            "three communities less SmolLM2 alone": ("mixture of three (patched)", "SmolLM2 alone"),
            "three communities less the Democrat community alone": (
                "mixture of three (patched)",
                "the Democrat community alone",
            ),
            "patch: the Republican community added": ("mixture of three (patched)", "mixture of two communities"),
        },
    )
    print("\nTexts and steering:\n")
    modes(plain, parts, survey, count, chosen=("overton", "steerable"))
    print("\ncomments on the first question:")
    stem = survey.questions[0].text
    for party, model in parts.items():
        from pytest_pluralism.models.composed.wording import Wording

        asked = Prompt(Wording().comment.format(question=stem), (), cue="")
        ((text, *_),) = model.model.generate([asked], GenerationSettings(max_new_tokens=60, temperature=0.0))
        print(f"  {party}: {text.text.strip()!r}")


if __name__ == "__main__":
    main()
