"""Keep a fine-tune near the model that it starts from, on texts that are not about the task.

``penalized`` makes a trainer of ``trl`` add, at every step, the divergence of the network with its adapter from the
network without it (Kullback-Leibler, in nats) on a few texts that the latter wrote itself.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kept:
    """The texts to stay near on: token ids of a prompt with its answer, and where the answer starts."""

    texts: tuple[tuple[tuple[int, ...], int], ...]
    batch: int
    weight: float
    start_tokens: int
    seed: int

    def of_step(self, step: int) -> list[tuple[tuple[int, ...], int]]:
        """Return the texts of a step: each once before one comes again, in an order that the seed decides."""
        found = []
        for place in range(step * self.batch, (step + 1) * self.batch):
            turn, index = divmod(place, len(self.texts))
            order = random.Random(self.seed + turn).sample(range(len(self.texts)), len(self.texts))
            found.append(self.texts[order[index]])
        return found


def divergence(model: Any, kept: Kept, step: int) -> Any:
    """Return the mean divergence of a step's texts.

    The first tokens of an answer decide its kind, and are few: their mean counts as much as the mean of all tokens.
    """
    import torch

    total = 0.0
    for ids, start in kept.of_step(step):
        row = torch.tensor([ids])
        with torch.no_grad(), model.disable_adapter():
            before = torch.log_softmax(model(input_ids=row).logits[0, :-1], dim=-1)
        now = torch.log_softmax(model(input_ids=row).logits[0, :-1], dim=-1)
        by_token = (before.exp() * (before - now)).sum(dim=-1)
        # The distribution at a place is that of the token after it.
        first = by_token[start - 1 : start - 1 + kept.start_tokens]
        total = total + by_token.mean() + first.mean()
    return total / len(kept.of_step(step))


def penalized(trainer: type, kept: Kept) -> type:
    """Return a trainer class that adds the divergence to the loss of another one."""

    class Penalized(trainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **more: Any) -> Any:
            found = super().compute_loss(model, inputs, return_outputs=return_outputs, **more)
            apart = divergence(model, kept, self.state.global_step)
            self._metrics["train"]["divergence"].append(float(apart.detach()))
            if return_outputs:
                return found[0] + kept.weight * apart, found[1]
            return found + kept.weight * apart

    return Penalized
