"""Compare Schulze's method and its tie policies with the code of the Habermas Machine, on random profiles.

    python -m pip install --no-deps habermas-machine==1.0.2
    python tools/compare_schulze.py              # 3 000 profiles; a minute on one core
    python tools/compare_schulze.py 200

The Habermas Machine (Tessler et al. 2024, doi:10.1126/science.adq2852) ranks candidate statements by Schulze's method
and can part ties by a fair draw (``random``), or by ballots that are drawn from the jury (``tbrc``). The package on
the index and the published repository (google-deepmind/habermas_machine) are both read. Without either the tool ends
with an exit status of 2.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from pytest_pluralism.core.metrics import pairwise_counts, schulze
from pytest_pluralism.evaluation.jury.ties import worth_of_winners

SEED = 20_241_018

#: Our policies, and theirs.
POLICIES = {"random": "RANDOM", "ballot": "TBRC"}

#: How often ties of a profile are parted there, and of how many profiles.
N_DRAWS, N_TIED = 300, 24


def profile(rng: np.random.Generator) -> np.ndarray:
    """Return the ranks that a few jurors give to a few statements, dense and from 0, with many ties."""
    n_jurors, n_statements = int(rng.integers(1, 13)), int(rng.integers(2, 7))
    levels = int(rng.integers(2, n_statements + 2))
    raw = rng.integers(0, levels, (n_jurors, n_statements))
    return np.array([np.unique(row, return_inverse=True)[1] for row in raw])


def theirs(method: Any, ranks: np.ndarray, seed: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return their ranking with ties, and without; the package on the index wraps the ballots."""
    from habermas_machine.social_choice import base_method

    wrapped = base_method.Ballots(ranks) if hasattr(base_method, "Ballots") else ranks
    found = method.aggregate(wrapped, seed)
    return np.asarray(found.social_ranking), np.asarray(found.untied_social_ranking)


def main() -> int:
    """Print in how many profiles the two agree."""
    try:
        from habermas_machine.social_choice import schulze_method, utils
    except ImportError:
        print("habermas-machine is not installed: python -m pip install --no-deps habermas-machine==1.0.2")
        return 2
    n = int(sys.argv[1]) if sys.argv[1:] else 3_000
    rng = np.random.default_rng(SEED)
    allowed = schulze_method.Schulze(utils.TieBreakingMethod.TIES_ALLOWED)
    same, tied, several = 0, 0, []
    for _ in range(n):
        ranks = profile(rng)
        outcome = schulze(pairwise_counts(ranks))
        ours = np.unique(outcome.ranks, return_inverse=True)[1]
        other, _ = theirs(allowed, ranks)
        same += bool((ours == other).all() and (outcome.winners == (other == 0)).all())
        tied += len(np.unique(ours)) < len(ours)
        if outcome.winners.sum() > 1:
            several.append((ranks, outcome.winners))
    print(f"the same ranking in {same} of {n} profiles; {tied} rankings have ties, {len(several)} several winners")
    for ours_by, theirs_by in POLICIES.items():
        method = schulze_method.Schulze(utils.TieBreakingMethod[theirs_by])
        gaps, impossible = [], 0
        for ranks, winners in several[:N_TIED]:
            expected = worth_of_winners(winners, ranks.astype(float), np.ones(len(ranks)), ties=ours_by)
            seen = np.zeros(len(expected))
            for seed in range(N_DRAWS):
                seen[int(theirs(method, ranks, seed)[1].argmin())] += 1
            impossible += bool((seen[expected == 0.0] > 0).any())
            for share, chance in zip(seen / N_DRAWS, expected, strict=True):
                if 0.0 < chance < 1.0:
                    gaps.append(abs(share - chance) / math.sqrt(chance * (1.0 - chance) / N_DRAWS))
        print(
            f"ties parted by {theirs_by} there and {ours_by!r} here, {N_DRAWS} draws of each of "
            f"{len(several[:N_TIED])} profiles: {impossible} with a winner that has no chance here; the shares of "
            f"{len(gaps)} winners lie within {max(gaps):.1f} standard errors of the chance, {np.mean(gaps):.2f} on "
            "average (0.80 is expected)"
        )
    return 0 if same == n else 1


if __name__ == "__main__":
    sys.exit(main())
