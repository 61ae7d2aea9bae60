"""The case study of "A Roadmap to Pluralistic Alignment": from recorded logits to its published numbers.

Sorensen et al., ICML 2024, section 5 and appendices A and B. arXiv:2402.05070

Multiple-choice questions are asked five times, with three in-context examples whose letters are drawn at random.
The recordings are the logits of the spellings of each letter as the next token; everything after that is here.
"""

from __future__ import annotations

from pytest_pluralism.core.protocols.sorensen2024.numbers import (
    Sorensen2024Numbers,
    evaluate,
    mpi_human_target,
    quirk_table,
    textbook_jensen_shannon,
)
from pytest_pluralism.core.protocols.sorensen2024.prompts import LETTERS, global_opinions_prompt, mpi_prompt
from pytest_pluralism.core.protocols.sorensen2024.questions import (
    Sorensen2024Question,
    Sorensen2024Quirks,
    api_question,
    option_probabilities,
)

__all__ = [
    "LETTERS",
    "Sorensen2024Numbers",
    "Sorensen2024Question",
    "Sorensen2024Quirks",
    "api_question",
    "evaluate",
    "global_opinions_prompt",
    "mpi_human_target",
    "mpi_prompt",
    "option_probabilities",
    "quirk_table",
    "textbook_jensen_shannon",
]
