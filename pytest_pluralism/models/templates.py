"""Chat templates: from messages to text, the same on every day, with all that is asked in it. No torch here."""

from __future__ import annotations

import ctypes
import datetime as dt
import functools
import re
import string
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import Prompt
from pytest_pluralism.core.records.plain import JsonFields

__all__ = ["FIXED_TEMPLATE_ARGUMENTS", "ChatRenderer", "ChatTemplate", "chat_text", "holds"]

#: Contents of messages: a text, or a list of parts.
Message: TypeAlias = JsonFields

#: Turns messages (``{"role", "content"}``) into text that ends where the assistant's answer starts.
ChatRenderer = Callable[[list[Message]], str]

#: The day that templates are told: today's date would change the prompts of some models every day.
DAY = dt.datetime(2024, 7, 26)  # noqa: DTZ001 - a day of no place

#: Arguments that fix what chat templates would otherwise decide by themselves: the date, and whether a model thinks
#: aloud first, which would not answer at the first position.
FIXED_TEMPLATE_ARGUMENTS = {"date_string": DAY.strftime("%d %b %Y"), "enable_thinking": False, "thinking": False}

#: The marks that open a block of thoughts at the end of a prompt, and how it is closed.
_THOUGHT = r"think|thinking|thought|thoughts|reasoning|seed:think"
_OPENED = re.compile(
    rf"(?:<(?P<tag>{_THOUGHT})>|\[(?P<mark>THINK)\]|◁(?P<bar>think)▷|<\|START_(?P<start>THINKING)\|>"
    rf"|<\|begin_of_(?P<begin>{_THOUGHT})\|>)(?P<space>\s*)\Z"
)
_CLOSED = {"tag": "</{}>", "mark": "[/{}]", "bar": "◁/{}▷", "start": "<|END_{}|>", "begin": "<|end_of_{}|>"}

#: Harmony: the beginning of the model's turn, and of the channel in which it answers.
_TURN, _ANSWERS_IN = "<|start|>assistant", "<|channel|>final<|message|>"

#: Seconds for a template to write one prompt: a thousandth of that is usual.
TEMPLATE_SECONDS = 10.0

REMEDY = "Ask without the template (--pluralism-template=raw), or mend it (chat_template.jinja)."


class Templated(Protocol):
    """The part of a tokenizer that holds a chat template."""

    chat_template: Any

    def apply_chat_template(self, messages: list[Message], /, **arguments: object) -> object:
        """Return messages as one text."""


class ChatTemplate:
    """Writes messages with the chat template of a tokenizer.

    Parameters
    ----------
    tokenizer : object
        A tokenizer of transformers with a chat template.
    model : str
        The name of the model, for errors.

    Attributes
    ----------
    notes : list of str
        Sentences on what the template needed.
    ways : dict
        For each shape of a conversation the ways of :func:`chat_text` that write all of it.
    """

    def __init__(self, tokenizer: Templated, /, *, model: str) -> None:
        self.model = model
        self.notes: list[str] = []
        self.ways: dict[tuple[bool, int], list[int]] = {}
        self._tokenizer = tokenizer
        #: Set once the template took too long: it is not tried again.
        self._endless: ModelError | None = None
        if "enable_thinking" in str(tokenizer.chat_template):
            self.note("its chat template is asked for an answer without thoughts (enable_thinking=False)")

    def __call__(self, messages: list[Message], /) -> str:
        """Return messages as text that ends where the assistant's answer starts, behind any thoughts."""
        text = self.written(messages, add_generation_prompt=True)
        opened = _OPENED.search(text)
        if opened is not None:
            name = next(group for group in _CLOSED if opened[group] is not None)
            closing = _CLOSED[name].format(opened[name])
            self.note(f"its chat template opens a block of thoughts, which is closed ({closing}) before the answer")
            return text + ("\n" if opened["space"] else "\n\n") + closing + "\n\n"
        if text.endswith(_TURN):
            self.note(f"its chat template lets it choose a channel: it is asked to answer in {_ANSWERS_IN}")
            return text + _ANSWERS_IN
        return text

    def written(self, messages: list[Message], /, *, add_generation_prompt: bool) -> str:
        """Return messages as text.

        Raises
        ------
        ModelError
            The template cannot be read, or refuses the messages.
        """
        if self._endless is not None:
            raise self._endless
        arguments: dict[str, object] = dict(FIXED_TEMPLATE_ARGUMENTS)
        try:
            if _is_plain(self._tokenizer):
                arguments |= _without_clock(self._tokenizer)
            write = functools.partial(
                self._tokenizer.apply_chat_template,
                messages,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                **arguments,
            )
            text = _within(TEMPLATE_SECONDS, write)
        except TimeoutError:
            self._endless = ModelError(
                f"The chat template of {self.model} did not write a prompt within {TEMPLATE_SECONDS:g} s. {REMEDY}"
            )
            raise self._endless from None
        except Exception as error:
            # Templates come from elsewhere, and raise anything.
            words = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise ModelError(f"The chat template of {self.model} cannot write a prompt: {words}. {REMEDY}") from error
        return str(text)

    def note(self, text: str, /) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)


def _within(seconds: float, call: Callable[[], object]) -> object:
    """Return what a call gives; it is ended where it takes longer.

    Raises
    ------
    TimeoutError
        It took longer.
    """
    ended: list[object] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            ended.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
            failed.append(error)

    thread = threading.Thread(target=work, name="pluralism-template", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        # Compiled templates are Python code, in which an error can be raised from outside.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(TimeoutError))
        raise TimeoutError
    if failed:
        raise failed[0]
    return ended[0]


def _is_plain(tokenizer: Templated) -> bool:
    """Return whether a tokenizer renders templates as transformers does, without code of its own."""
    method = type(tokenizer).apply_chat_template
    return str(getattr(method, "__module__", "")).startswith("transformers.tokenization")


def _without_clock(tokenizer: Any) -> dict[str, object]:
    """Return the template with a clock that stands still, where it asks for one."""
    template = str(tokenizer.get_chat_template())
    if "strftime_now" not in template:
        return {}
    fixed = {f"%{letter}": DAY.strftime(f"%{letter}") for letter in string.ascii_letters}
    fixed |= {f"%-{letter}": fixed[f"%{letter}"].lstrip("0") or "0" for letter in "dmHIMSjy"}
    changes = "".join(f"|replace({code!r}, {text!r})" for code, text in sorted(fixed.items()))
    # A macro of that name stands before the function that transformers offers; +%} leaves what follows as it is.
    return {"chat_template": "{% macro strftime_now(format) %}{{ format" + changes + " }}{% endmacro +%}" + template}


# ------------------------------------------------------------------------------------------------- all that is asked


def chat_text(prompt: Prompt, chat: ChatRenderer, /, *, model: str) -> str:
    """Return the text of a prompt by a chat template that writes all of it: system text, examples and question.

    Some templates drop the system text in silence, refuse its role, or read contents as lists of parts. So the ways to
    ask are tried in turn: as usual, with parts, and both with the system text before the first question.

    Raises
    ------
    ModelError
        No way writes every part of the prompt once and in order.
    """
    shape = (bool(prompt.system), len(prompt.examples))
    ways: dict[tuple[bool, int], list[int]] = getattr(chat, "ways", {})
    errors: list[Exception] = []
    if shape not in ways:
        found = [way for way in range(len(_WAYS)) if _writes_all(chat, way, shape, model, errors)]
        if not found and errors:
            raise errors[0]
        ways[shape] = found
    pieces = [prompt.system, *(part for turn in prompt.examples for part in (turn.question, turn.answer))]
    pieces.append(prompt.question)
    for way in ways[shape]:
        try:
            text = chat(_WAYS[way](pieces))
        except Exception as error:  # noqa: BLE001 - whatever a template may raise: the next way may do
            errors.append(error)
            continue
        if holds(text, pieces):
            note: Any = getattr(chat, "note", None)
            if note is not None and _NOTES[way]:
                note(_NOTES[way])
            return text
    if errors:
        raise errors[0]
    raise ModelError(
        f"The chat template of {model} does not write every part of a prompt (system text, examples, question) once "
        f"and in order, not even with the system text before the first question or with contents as parts. {REMEDY}"
    )


def holds(text: str, pieces: Sequence[str], /) -> bool:
    """Return whether a text holds pieces in their order; templates may drop white space around them."""
    place = 0
    for piece in pieces:
        found = text.find(piece.strip(), place)
        if found < 0:
            return False
        place = found + len(piece.strip())
    return True


def _writes_all(chat: ChatRenderer, way: int, shape: tuple[bool, int], model: str, errors: list[Exception]) -> bool:
    """Return whether a way writes every part of a conversation of a shape exactly once and in order."""
    has_system, n_examples = shape
    if way >= len(_WAYS) // 2 and not has_system:
        return False
    # Words that no template has, so that each can be counted.
    words = [f"zqmark{number:04d}wx" for number in range(2 * n_examples + 2)]
    pieces = [words[0] if has_system else "", *words[1:]]
    try:
        text, again = (chat(_WAYS[way](pieces)) for _ in range(2))
    except Exception as error:  # noqa: BLE001 - whatever a template may raise: the next way may do
        errors.append(error)
        return False
    if text != again:
        raise ModelError(
            f"The chat template of {model} writes the same prompt in different ways, so that answers could not be "
            f"repeated. {REMEDY}"
        )
    # A list that is written as it stands is not a reading of its parts.
    listed = way in _WITH_PARTS and re.search(r"""["']type["']""", text)
    return not listed and holds(text, pieces) and all(text.count(piece) == 1 for piece in pieces if piece)


def _messages(pieces: Sequence[str]) -> list[Message]:
    """Return system text, examples and question as messages."""
    system, *turns = pieces
    roles = ("user", "assistant")
    first = [{"role": "system", "content": system}] if system else []
    return first + [{"role": roles[place % 2], "content": text} for place, text in enumerate(turns)]


def _folded(pieces: Sequence[str]) -> list[Message]:
    """Return messages in which the system text stands before the first question."""
    system, first, *rest = pieces
    return _messages(["", f"{system}\n\n{first}", *rest])


def _in_parts(messages: list[Message]) -> list[Message]:
    return [{**one, "content": [{"type": "text", "text": one["content"]}]} for one in messages]


#: The ways to write a conversation, the usual one first; those with the system text in its own place before the others.
_WAYS: tuple[Callable[[Sequence[str]], list[Message]], ...] = (
    _messages,
    lambda pieces: _in_parts(_messages(pieces)),
    _folded,
    lambda pieces: _in_parts(_folded(pieces)),
)

#: The places of the ways that give contents as parts.
_WITH_PARTS = (1, 3)

_FOLDED = "its chat template has no place for a system text, which stands before the first question"
_PARTS = "its chat template reads contents as lists of parts"
_NOTES = ("", _PARTS, _FOLDED, f"{_FOLDED}; {_PARTS.removeprefix('its chat template ')}")
