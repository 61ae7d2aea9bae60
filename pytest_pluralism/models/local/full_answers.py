"""From a prompt and the texts of whole answers to rows of tokens whose ends are scored. No torch here.

The tokens of a prompt and an answer together need not be those of the prompt followed by those of the answer: a
tokenizer may join the last characters of one and the first of the other.
So the two are read together, as the model would meet them, and what is scored begins at the first token in which any
answer's row differs from the prompt alone. That place is the same for all answers to a prompt, so that their
likelihoods are conditional on the same tokens and can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import Prompt
from pytest_pluralism.models.prompts import PromptReader, render_prompt

__all__ = ["answer_rows", "joined_text"]


def joined_text(text: str, answer: str, /, *, is_chat: bool, special: Sequence[str] = ()) -> str:
    r"""Return a prompt's text with an answer behind it.

    A chat template ends where the answer starts. Behind any other text stands one space, unless the text ends with
    white space or a special token, or the answer begins with white space.

    Examples
    --------
    >>> joined_text("Is it raining?\nAnswer:", "Not at all", is_chat=False)
    'Is it raining?\nAnswer: Not at all'
    """
    bare = is_chat or text[-1:].isspace() or answer[:1].isspace() or (special and text.endswith(tuple(special)))
    return f"{text}{answer}" if bare else f"{text} {answer}"


def answer_rows(
    reader: PromptReader, prompt: Prompt, answers: Sequence[str], /
) -> tuple[list[tuple[int, ...]], int, tuple[int, ...]]:
    """Return for each answer the tokens of prompt and answer, where what is scored begins, and the prompt's tokens.

    Raises
    ------
    ModelError
        If an answer adds no token to the prompt, or there is no token before what is scored.
    """
    chat = reader.chat_renderer()
    text = render_prompt(prompt, chat=chat, model=reader.model)
    is_chat = chat is not None and prompt.verbatim is None and prompt.template != "raw"
    special = tuple(token for token in reader.tokenizer.all_special_tokens if token)
    alone = reader.encode(text)
    rows = [reader.encode(joined_text(text, answer, is_chat=is_chat, special=special)) for answer in answers]
    start = min(_n_common(alone, row) for row in rows)
    for answer, row in zip(answers, rows, strict=True):
        if len(row) <= start or row == alone:
            raise ModelError(
                f"The answer {answer[:80]!r} has no tokens of its own in the tokenizer of {reader.model}. Reword it."
            )
    if start < 1:
        words = " ".join(text.split()[:8])
        raise ModelError(
            f"Nothing stands before the answers to {words!r}: {reader.model} has no token for a beginning, so the "
            "first token of an answer has no probability. Give a longer prompt (or neutral prompt)."
        )
    return rows, start, alone


def _n_common(a: Sequence[int], b: Sequence[int]) -> int:
    count = 0
    for left, right in zip(a, b, strict=False):
        if left != right:
            break
        count += 1
    return count
