"""Opens a GGUF file in llama.cpp: a server of its own on this machine, which this process starts and ends."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.files import cache_folder, locked_folder
from pytest_pluralism.models.address import EndpointAddress, Replica
from pytest_pluralism.models.embedded import GgufSource, find_embedded
from pytest_pluralism.models.local.copies import join_parts
from pytest_pluralism.models.local.gguf import GgufHeader, known_file, read_header, read_vocabulary
from pytest_pluralism.models.measured import threads_offered
from pytest_pluralism.models.prompts import PromptReader
from pytest_pluralism.models.protocol import ModelIdentity
from pytest_pluralism.models.specification import ModelSpec, parse_model_spec
from pytest_pluralism.models.versions import package_version

if TYPE_CHECKING:
    from pytest_pluralism.models.endpoint.abilities import Abilities
    from pytest_pluralism.models.llamacpp.model import LlamaCppModel

__all__ = ["identify_llamacpp", "load_llamacpp", "source_of"]

#: The most tokens of a prompt and its continuation together.
CONTEXT = 4096

#: Raised whenever prompts would be read or computed otherwise than before.
READING = 2

#: The longest wait for another process that puts the same file together, in seconds.
LOCK_SECONDS = 120.0

#: The longest wait for one reply, in seconds.
REPLY_SECONDS = 3600.0

#: The template that the server is given in place of that of the file.
PLAIN_TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"

#: The name under which the server knows the model.
ALIAS = "model"


def source_of(named: ModelSpec, /) -> GgufSource:
    """Return the file that a spec means, perhaps in parts.

    Raises
    ------
    MissingExtraError
        The package that carries an embedded model is not installed.
    """
    path = Path(named.target)
    return GgufSource(path.stem, (path,)) if path.suffix.lower() == ".gguf" else find_embedded(named.target, "llamacpp")


def identify_llamacpp(named: ModelSpec, /) -> ModelIdentity:
    """Return the identity of a GGUF file in llama.cpp: the content of the file, and what computes it.

    Raises
    ------
    ModelError
        The file is not a GGUF file, is damaged, or is not the one that was published.
    """
    source = source_of(named)
    return _identity(named, *_known(source))


def _known(source: GgufSource) -> tuple[str, GgufHeader]:
    digest, _, header = known_file(source)
    return digest, header or read_header(source)


def _identity(named: ModelSpec, digest: str, header: GgufHeader) -> ModelIdentity:
    parts = {"file": digest, "xllamacpp": package_version("xllamacpp"), "context": str(CONTEXT), "way": str(READING)}
    return ModelIdentity(
        spec=named.text,
        name=named.name,
        sha256=hashlib.sha256(json.dumps(["llamacpp", parts], sort_keys=True).encode()).hexdigest(),
        dtype="gguf",
        device="cpu",
        architecture=f"llama.cpp {header.architecture}",
        parts=parts,
    )


def load_llamacpp(model: ModelSpec | str, /, **_options: object) -> LlamaCppModel:
    """Open a GGUF file in llama.cpp.

    Parameters
    ----------
    model : ModelSpec or str
        Which model: its spec, or ``llamacpp:PATH``, ``llamacpp:NAME`` of an embedded one.
    **_options
        The options of models that are computed with torch, which llama.cpp does not need.

    Returns
    -------
    LlamaCppModel
        The model. Its prompts are answered one at a time, and each answer depends on its prompt alone.

    Raises
    ------
    ModelError
        The file is not a GGUF file, or llama.cpp cannot open it.
    """
    import xllamacpp

    from pytest_pluralism.models.endpoint.client import Client
    from pytest_pluralism.models.endpoint.language_model import Way
    from pytest_pluralism.models.llamacpp.model import PIECE, LlamaCppModel

    named = parse_model_spec(model) if isinstance(model, str) else model
    # llama.cpp may end the process where a file is damaged, so that its header is read here first.
    source = source_of(named)
    digest, header = _known(source)
    identity = _identity(named, digest, header)
    folder = tempfile.TemporaryDirectory(prefix="pluralism-", ignore_cleanup_errors=True)
    wanted = xllamacpp.CommonParams()
    wanted.model.path, wanted.model_alias = str(_one_file(source, digest)), {ALIAS}
    # One request at a time: batches move the numbers of llama.cpp by up to 0.15 nats. Port 0 is any that is free.
    wanted.n_parallel, wanted.n_ctx, wanted.port = 1, CONTEXT, 0
    # The identity says that the CPU computes.
    wanted.n_gpu_layers = 0
    # Pieces of one size, and states that are kept by name alone: so a beginning that is shared changes no number.
    wanted.n_batch = wanted.n_ubatch = PIECE
    wanted.slot_save_path, wanted.endpoint_slots = f"{folder.name}{os.sep}", True
    wanted.swa_full, wanted.n_ctx_checkpoints, wanted.cache_ram_mib = True, 0, 0
    wanted.cache_prompt, wanted.warmup, wanted.ui, wanted.verbosity = False, False, False, -1
    wanted.cpuparams.n_threads = threads_offered()
    # Templates are rendered here; one that llama.cpp cannot read must not keep the file from being opened.
    wanted.chat_template = PLAIN_TEMPLATE
    try:
        server = xllamacpp.Server(wanted)
    except (RuntimeError, ValueError, OSError) as error:
        folder.cleanup()
        why = f"llama.cpp cannot open {named.target!r}: {error}."
        raise ModelError(f"{why} Name a file whose architecture it knows.") from None
    root = server.listening_address
    address = EndpointAddress(ALIAS, (Replica(f"{root}/v1", root),), timeout=REPLY_SECONDS, patience=REPLY_SECONDS)
    client = Client(address, concurrency=1)
    context = min(CONTEXT, header.context_length or CONTEXT)
    try:
        way = Way(_abilities(), _reader(named, source, header, root), has_chat_form=False)
        return LlamaCppModel(client, way, identity, server=server, folder=folder, context=context)
    except BaseException:
        client.close()
        folder.cleanup()
        raise


def _abilities() -> Abilities:
    """Return what the server of llama.cpp can do, as far as it is used: token ids in, any number of likeliest out."""
    from pytest_pluralism.models.endpoint.abilities import COMPLETIONS, Abilities
    from pytest_pluralism.models.endpoint.probe import UNTOUCHED

    return Abilities(
        kind="llamacpp", top_k={COMPLETIONS: 1}, capped=False, untouched=UNTOUCHED["llamacpp"], numbers=True
    )


def _reader(named: ModelSpec, source: GgufSource, header: GgufHeader, root: str) -> PromptReader:
    """Return what reads prompts: the tokenizer of llama.cpp, and the chat template of the file."""
    import httpx

    from pytest_pluralism.models.llamacpp.tokenizer import LlamaCppTokenizer

    # A connection beside that of the requests: prompts are read inside its loop too.
    http = httpx.Client(base_url=root, trust_env=False, timeout=REPLY_SECONDS)
    tokenizer = LlamaCppTokenizer(http, header, read_vocabulary(source))
    return PromptReader(tokenizer, model=named.name, add_bos=header.add_bos)


def _one_file(source: GgufSource, digest: str) -> Path:
    """Return the file of a model; one that comes in parts is put together in the cache, once for its content.

    Raises
    ------
    ModelError
        The cache cannot be written.
    """
    if len(source.parts) == 1:
        return source.parts[0]
    folder = cache_folder() / "gguf"
    whole = folder / f"{digest}.gguf"
    size = sum(part.stat().st_size for part in source.parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked_folder(folder, seconds=LOCK_SECONDS):
            # Of the right size, and with the content that the identity names.
            there = whole.is_file() and whole.stat().st_size == size
            if not there or known_file(GgufSource(source.name, (whole,)))[0] != digest:
                partial = whole.with_suffix(f".{os.getpid()}")
                join_parts(source.parts, partial)
                partial.replace(whole)
    except OSError as error:
        raise ModelError(
            f"The parts of {source.name} cannot be put together in {folder}: {error}. Free some space, or name another "
            "folder in the environment variable PLURALISM_CACHE."
        ) from error
    return whole
