"""From a prompt to the text that a model reads, and from labels to the tokens that spell them. No torch here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pytest_pluralism.core.errors import ModelError, invalid_parameter
from pytest_pluralism.core.records import Prompt
from pytest_pluralism.models.templates import ChatRenderer, ChatTemplate, chat_text

__all__ = ["ChatRenderer", "PromptReader", "render_prompt"]

# How word pieces write white space: SentencePiece, and byte-level BPE for space, line feed, tab and carriage return.
_SPACE_MARKS = str.maketrans({"▁": " ", "Ġ": " ", "Ċ": "\n", "ĉ": "\t", "č": "\r"})


def render_prompt(prompt: Prompt, /, *, chat: ChatRenderer | None, model: str = "the model") -> str:
    r"""Return the text of a prompt, as far as a tokenizer does not add to it.

    A raw prompt is ``system``, a blank line, each example as its question, the cue on a line of its own, a space, the
    answer and a blank line, and last the question and the cue.
    A chat prompt is the system message, one exchange for each example, and the question; what the model continues is
    the start of its own turn, so a cue has no place in it.

    Parameters
    ----------
    prompt : Prompt
        The question.
    chat : callable or None
        The chat template of the model, if it has one.
    model : str
        The name of the model, for errors.

    Raises
    ------
    ModelError
        If a chat prompt is asked of a model without a chat template, or the template does not write all of the prompt.
    InvalidParameterError
        If ``prompt.template`` is not ``"auto"``, ``"raw"`` or ``"chat"``.

    Examples
    --------
    >>> prompt = Prompt("Is it?\nA. Yes\nB. No", ("A", "B"), system="Answer with a letter.")
    >>> print(render_prompt(prompt, chat=None))
    Answer with a letter.
    <BLANKLINE>
    Is it?
    A. Yes
    B. No
    Answer:
    """
    if prompt.template not in {"auto", "raw", "chat"}:
        raise invalid_parameter("template", "Prompt", "'auto', 'raw' or 'chat'", repr(prompt.template))
    if prompt.verbatim is not None:
        return prompt.verbatim
    if prompt.template == "chat" and chat is None:
        raise ModelError(
            f"{model} has no chat template, so it cannot be asked in chat form. "
            "Ask with template='raw', or 'auto', which takes the chat form only where there is one."
        )
    if chat is not None and prompt.template != "raw":
        return chat_text(prompt, chat, model=model)
    return _raw_text(prompt)


def _raw_text(prompt: Prompt) -> str:
    parts = [f"{prompt.system}\n\n"] if prompt.system else []
    parts += [f"{_cued(turn.question, prompt.cue)} {turn.answer}\n\n" for turn in prompt.examples]
    parts.append(_cued(prompt.question, prompt.cue))
    return "".join(parts)


def _cued(question: str, cue: str) -> str:
    if not cue:
        return question
    return f"{question}{cue}" if question.endswith("\n") else f"{question}\n{cue}"


class PromptReader:
    """Reads prompts with the tokenizer of one model: token ids of texts, and of the labels that may follow.

    Parameters
    ----------
    tokenizer : object
        A tokenizer of transformers.
    model : str
        The name of the model, for errors.
    add_bos : bool or None
        Whether prompts start with the token for a beginning; ``None`` leaves it to the tokenizer.
    closes_text : bool
        Whether the tokenizer's closing tokens belong behind a prompt: for an encoder they do, for a text that is
        continued they do not.
    """

    def __init__(
        self, tokenizer: Any, /, *, model: str, add_bos: bool | None = None, closes_text: bool = False
    ) -> None:
        self.tokenizer = tokenizer
        self.model = model
        self._spellings: dict[str, tuple[int, ...]] = {}
        self._vocabulary: dict[str, list[int]] | None = None
        self._chat: tuple[str, ChatTemplate] | None = None
        plain = self._plain("a")
        framed = list(tokenizer("a", add_special_tokens=True)["input_ids"])
        start = next((i for i in range(len(framed)) if framed[i : i + len(plain)] == plain), 0)
        self.opening: tuple[int, ...] = tuple(framed[:start])
        self.closing: tuple[int, ...] = tuple(framed[start + len(plain) :]) if closes_text else ()
        bos = tokenizer.bos_token_id
        if add_bos is False:
            self.opening = tuple(token for token in self.opening if token != bos)
        elif add_bos and bos is not None and bos not in self.opening:
            self.opening = (bos, *self.opening)

    def chat_renderer(self) -> ChatTemplate | None:
        """Return what renders messages with the model's chat template, if it has one."""
        template = getattr(self.tokenizer, "chat_template", None)
        if not template:
            return None
        if self._chat is None or self._chat[0] != str(template):
            self._chat = (str(template), ChatTemplate(self.tokenizer, model=self.model))
        return self._chat[1]

    @property
    def notes(self) -> list[str]:
        """Sentences on what the chat template needed."""
        return list(self._chat[1].notes) if self._chat is not None else []

    def encode(self, text: str, /) -> tuple[int, ...]:
        """Return the token ids of a text; the tokens that open it stand there exactly once."""
        ids = tuple(self._plain(self._with_one_bos(text)))
        if self.opening and ids[: len(self.opening)] != self.opening:
            ids = (*self.opening, *ids)
        return (*ids, *self.closing)

    def _with_one_bos(self, text: str) -> str:
        """Return a text that begins with the token for a beginning once, whatever white space a template puts there."""
        bos = getattr(self.tokenizer, "bos_token", None)
        rest = text.lstrip()
        if not bos or not rest.startswith(bos):
            return text
        while rest.removeprefix(bos).lstrip().startswith(bos):
            rest = rest.removeprefix(bos).lstrip()
        return rest

    def _plain(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def decode(self, token: int, /) -> str:
        """Return the text of one token."""
        return str(self.tokenizer.decode([token], clean_up_tokenization_spaces=False))

    def text_of(self, prompt: Prompt, /) -> str:
        """Return the text that the model reads for a prompt, with all special tokens."""
        ids = self.encode(render_prompt(prompt, chat=self.chat_renderer(), model=self.model))
        return str(self.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))

    def decode_text(self, tokens: Sequence[int], /) -> str:
        """Return the text of several tokens, without the special ones."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def spellings(self, label: str, /) -> tuple[int, ...]:
        """Return every token that spells a label by itself, with or without white space around it.

        Raises
        ------
        ModelError
            If no single token spells the label.
        """
        known = self._spellings.get(label)
        if known is None:
            known = self._spellings[label] = self._find_spellings(label)
        return known

    def _find_spellings(self, label: str) -> tuple[int, ...]:
        wanted = label.strip()
        if not wanted:
            raise ModelError(f"A label must hold a letter, a digit or a sign. Got {label!r} instead.")
        special = set(self.tokenizer.all_special_ids)
        candidates = [*self._from_vocabulary(wanted), *self._from_texts(wanted)]
        found = [
            token
            for token in dict.fromkeys(candidates)
            if token not in special and self.decode(token).strip() == wanted
        ]
        if not found:
            pieces = [self.decode(token) for token in self._plain(wanted)]
            raise ModelError(
                f"The label {label!r} is not one token of the tokenizer of {self.model}: it falls into {pieces}. "
                "Label the options with single letters, such as A, B, C."
            )
        return tuple(found)

    def _from_vocabulary(self, label: str) -> Iterable[int]:
        if self._vocabulary is None:
            self._vocabulary = {}
            for piece, token in self.tokenizer.get_vocab().items():
                stripped = piece.translate(_SPACE_MARKS).strip()
                # <0x41>: the byte pieces of SentencePiece.
                if len(stripped) == 6 and stripped.startswith("<0x") and stripped.endswith(">"):
                    stripped = _byte(stripped)
                if stripped and len(stripped) <= 16:
                    self._vocabulary.setdefault(stripped, []).append(int(token))
        return sorted(self._vocabulary.get(label, ()))

    def _from_texts(self, label: str) -> Iterable[int]:
        """Encode the label in places where it can stand: this finds pieces that are spelled in bytes."""
        for before in ("", " ", "\n", "\n\n", ":", ": ", "a\n", "("):
            head, whole = self._plain(before) if before else [], self._plain(before + label)
            if len(whole) == 1:
                yield whole[0]
            elif len(whole) == len(head) + 1 and whole[:-1] == head:
                yield whole[-1]

    def label_tokens(self, labels: Sequence[str], /) -> tuple[tuple[int, ...], ...]:
        """Return the spellings of all labels of a question.

        Raises
        ------
        ModelError
            If there is no label, a label has no one-token spelling, or two labels are spelled alike.
        """
        if not labels:
            raise ModelError("A question needs labels to choose from. Got none.")
        seen: dict[str, str] = {}
        for label in labels:
            other = seen.setdefault(label.strip(), label)
            if other is not label or list(labels).count(label) > 1:
                raise ModelError(f"The labels {other!r} and {label!r} of one question are spelled alike.")
        return tuple(self.spellings(label) for label in labels)


def _byte(piece: str) -> str:
    try:
        return bytes([int(piece[3:5], 16)]).decode("ascii")
    except (ValueError, UnicodeDecodeError):
        return piece
