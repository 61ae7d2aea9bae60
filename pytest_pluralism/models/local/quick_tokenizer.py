"""The tokenizer of a converted GGUF file, read once instead of several times; for 262,144 tokens that is two seconds.

The first time, it is made both ways, and the quick way is taken from then on only where nothing differs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pytest_pluralism.models.local.files import read_json, sha256_of_files
from pytest_pluralism.models.measured import MeasuredFile
from pytest_pluralism.models.versions import package_version

if TYPE_CHECKING:
    from pytest_pluralism.models.local.interfaces import Tokenizer

__all__ = ["QuickTokenizer"]

#: The methods that make tokens of texts, and texts of tokens and messages; a class with its own is not replaced.
_OWN = ("__call__", "_encode_plus", "decode", "_decode", "get_vocab", "apply_chat_template", "get_chat_template")

#: The attributes that prompts and texts are made with; rows are filled up by the engine itself.
_ATTRIBUTES = ("bos_token", "eos_token", "pad_token", "unk_token", "all_special_ids", "chat_template")


class QuickTokenizer:
    """The tokenizer of a folder by its ``tokenizer.json`` alone.

    Parameters
    ----------
    folder : Path
        The folder of a converted file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        names = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
        files = [folder / name for name in names if (folder / name).is_file()]
        versions = {name: package_version(name) for name in ("transformers", "tokenizers")}
        self._kept = MeasuredFile("quick_tokenizer", {"sha256": sha256_of_files(files), **versions})

    def known(self) -> Tokenizer | None:
        """Return the tokenizer where it is known to be that of transformers; else ``None``."""
        content = self._kept.read()[0]
        return self._made() if content is not None and content.get("equal") is True else None

    def compare(self, tokenizer: Tokenizer, /) -> None:
        """Remember whether the quick way makes the same tokenizer as the usual one did, unless that is known."""
        if self._kept.read()[0] is not None:
            return
        found: Any = self._made()
        usual: Any = tokenizer
        equal = all(getattr(type(usual), name, None) is getattr(type(found), name, None) for name in _OWN)
        equal = equal and all(getattr(usual, name, None) == getattr(found, name, None) for name in _ATTRIBUTES)
        # All that makes tokens of a text is in here: normalizer, vocabulary, merges, special tokens.
        equal = equal and usual.backend_tokenizer.to_str() == found.backend_tokenizer.to_str()
        self._kept.write({"equal": equal})

    def _made(self) -> Tokenizer:
        from transformers import PreTrainedTokenizerFast

        config = read_json(self._folder / "tokenizer_config.json")
        named = {name: config[name] for name in (*_ATTRIBUTES[:4], "mask_token", "model_max_length") if name in config}
        template = self._folder / "chat_template.jinja"
        if template.is_file():
            named["chat_template"] = template.read_text(encoding="utf-8")
        made: Any = PreTrainedTokenizerFast
        return cast("Tokenizer", made(tokenizer_file=str(self._folder / "tokenizer.json"), **named))
