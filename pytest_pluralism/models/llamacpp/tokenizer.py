"""The tokenizer and the chat template of a GGUF file, as llama.cpp has them. No torch here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import httpx
import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.local.gguf import GgufHeader, Vocabulary
from pytest_pluralism.models.templates import DAY, Message

if TYPE_CHECKING:
    from pytest_pluralism.core.records.plain import JsonObject

__all__ = ["LlamaCppTokenizer"]


class _Generation(jinja2.ext.Extension):
    """Reads ``{% generation %}``, which marks what a model said, and writes what stands in it."""

    tags = {"generation"}  # noqa: RUF012 - an attribute of each instance in the stubs of jinja2

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        """Return the content of the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise(message: str) -> str:
    raise jinja2.TemplateError(message)


def _as_json(value: object, ensure_ascii: bool = False, indent: int | None = None, **_: object) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


class LlamaCppTokenizer:
    """The part of a tokenizer of transformers that prompts are read with, for a model in llama.cpp.

    Parameters
    ----------
    http : httpx.Client
        The connection to the server.
    header : GgufHeader
        The header of the file; its chat template is rendered here, with the clock at a fixed day.
    vocabulary : Vocabulary
        The tokens of the file.
    """

    def __init__(self, http: httpx.Client, header: GgufHeader, vocabulary: Vocabulary) -> None:
        self._http = http
        self._vocabulary = vocabulary
        self.chat_template = header.chat_template
        self.bos_token_id = header.bos_id
        self.eos_token_id = header.eos_id
        self.bos_token = self._piece(header.bos_id)
        self.eos_token = self._piece(header.eos_id)
        self.all_special_ids = vocabulary.control
        self._environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols, _Generation]
        )
        self._environment.filters["tojson"] = _as_json
        self._environment.globals.update(raise_exception=_raise, strftime_now=DAY.strftime)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _post(self, route: str, body: dict[str, object]) -> JsonObject:
        reply = self._http.post(route, json=body)
        if reply.status_code != httpx.codes.OK:
            raise ModelError(f"llama.cpp cannot read a text: status {reply.status_code}, {reply.text[:200]!r}.")
        found: JsonObject = reply.json()
        return found

    def _piece(self, number: int | None) -> str | None:
        pieces = self._vocabulary.pieces
        return pieces[number] if number is not None and 0 <= number < len(pieces) else None

    def __call__(self, text: str, *, add_special_tokens: bool = True) -> dict[str, list[int]]:
        """Return the token ids of a text."""
        body = {"content": text, "add_special": add_special_tokens, "parse_special": True}
        found = self._post("/tokenize", body).get("tokens")
        if not isinstance(found, list) or not all(type(token) is int for token in found):
            raise ModelError("llama.cpp gave no token ids of a text. Install another version: pip install -U xllamacpp")
        return {"input_ids": found}

    def decode(self, tokens: Sequence[int], **_: object) -> str:
        """Return the text of tokens."""
        return str(self._post("/detokenize", {"tokens": list(tokens)}).get("content"))

    def get_vocab(self) -> dict[str, int]:
        """Return the number of each token by how the file writes it."""
        return {piece: number for number, piece in enumerate(self._vocabulary.pieces)}

    def apply_chat_template(self, messages: list[Message], /, **arguments: object) -> str:
        """Return messages as one text, with the chat template of the file."""
        template = self._environment.from_string(self.chat_template or "")
        special = {name: text for name in ("bos_token", "eos_token") if (text := getattr(self, name)) is not None}
        return template.render(messages=messages, tools=None, documents=None, **special, **arguments)
