"""Rows of token ids, and the numbers that are read of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["ContinuationRequest", "ContinuationScores", "ScoreRequest", "TokenScores", "difference_of", "token_scores"]

#: Number of the likeliest next tokens that are recorded; the published protocol modular_pluralism reads them.
TOP_TOKENS = 10


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """One row to score: its token ids, and for each label the tokens that spell it."""

    token_ids: tuple[int, ...]
    spellings: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class TokenScores:
    """The probabilities of the network at the end of one row."""

    log_probabilities: tuple[float, ...]
    option_mass: float
    top_token: int
    top_probability: float
    label_logits: tuple[tuple[float, ...], ...] = ()
    top_tokens: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class ContinuationRequest:
    """One row whose end is scored: its token ids, and how many of them come before what is scored."""

    token_ids: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True)
class ContinuationScores:
    """The natural logarithm of the probability of each token of a continuation, given all tokens before it."""

    log_probabilities: tuple[float, ...]


def difference_of(expected: torch.Tensor, found: torch.Tensor) -> float:
    """Return the largest difference of two rows of logits, in nats, among the tokens that are not all but impossible.

    The others may differ more: rounding in the logits counts there too.
    """
    one, other = torch.log_softmax(expected.cpu(), dim=-1), torch.log_softmax(found.cpu(), dim=-1)
    likely = one >= one.max() - 7.0
    return float((one - other)[likely].abs().max())


def token_scores(logits: torch.Tensor, total: torch.Tensor, spellings: tuple[tuple[int, ...], ...]) -> TokenScores:
    """Read one row: for each label the logsumexp over its spellings, against the whole vocabulary."""
    by_label = [logits[torch.tensor(tokens, device=logits.device)] for tokens in spellings]
    values = [float(torch.logsumexp(chosen, dim=0) - total) for chosen in by_label]
    tops = torch.topk(logits, min(TOP_TOKENS, len(logits)))
    probabilities = (tops.values - total).exp().tolist()
    return TokenScores(
        log_probabilities=tuple(values),
        option_mass=min(1.0, float(torch.tensor(values, dtype=torch.float64).exp().sum())),
        top_token=int(tops.indices[0]),
        top_probability=probabilities[0],
        label_logits=tuple(tuple(chosen.tolist()) for chosen in by_label),
        top_tokens=tuple(zip(tops.indices.tolist(), probabilities, strict=True)),
    )
