"""The prompts of single units, for reports: the text that a model read for each question or query."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pytest_pluralism.run.items import Json

if TYPE_CHECKING:
    from pytest_pluralism.evaluation.measures.planning import PlannedGate

__all__ = ["UnitPrompts"]

#: Stands before a prompt whose model applies a template of its own that is not known here.
PLAIN = "[as a model without a chat template reads it]\n"


class UnitPrompts:
    """Holds each text once, and which units of which promises read it."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.of: dict[str, dict[str, str]] = {}

    def add(self, nodeid: str, plan: PlannedGate, model: object) -> None:
        """Add the first prompt of each unit of a promise; nothing where the model would have to be loaded for it."""
        from pytest_pluralism.core.records import FullAnswerPrompt, Prompt
        from pytest_pluralism.evaluation.asking.meanings import Named
        from pytest_pluralism.models.answers.kinds import read_by
        from pytest_pluralism.models.prompts import render_prompt

        evaluation = plan.evaluation
        is_ready = getattr(model, "is_loaded", True) or getattr(model, "reads_prompts", False)
        if not isinstance(evaluation, Named) or not is_ready:
            return
        chosen: dict[str, tuple[bool, Prompt]] = {}
        for request, name in evaluation.names():
            read = read_by(request)
            prompt = read.prompt if isinstance(read, FullAnswerPrompt) else read
            if not isinstance(prompt, Prompt):
                continue
            # Of a model that is steered to a group, the prompt that steers to it.
            is_own = name.steering == (plan.population or "")
            if name.name not in chosen or (is_own and not chosen[name.name][0]):
                chosen[name.name] = is_own, prompt
        read_as = getattr(model, "prompt_text", None)
        found = {}
        for unit, (_, prompt) in chosen.items():
            if read_as is not None:
                text = str(read_as(prompt))
            elif prompt.template == "chat":
                continue
            else:
                text = PLAIN + render_prompt(prompt, chat=None)
            name_of = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
            self.texts[name_of] = text
            found[unit] = name_of
        if found:
            self.of[f"{nodeid} {plan.key}"] = found

    def as_json(self) -> Json:
        """Return it as plain JSON values; empty where there is none."""
        return {"texts": self.texts, "of": self.of} if self.of else {}

    def take_over(self, output: Json) -> None:
        """Add those of a worker."""
        self.texts |= output.get("texts", {})
        self.of |= output.get("of", {})
