"""Opens a GGUF file in llama.cpp: a server of its own on this machine, asked as every served model is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.files import cache_folder, locked_folder
from pytest_pluralism.models.embedded import GgufSource, find_embedded
from pytest_pluralism.models.endpoint.loading import load_endpoint_model
from pytest_pluralism.models.local.gguf import join_parts, read_header, sha256_of_parts
from pytest_pluralism.models.specification import parse_model_spec
from pytest_pluralism.models.versions import package_version

__all__ = ["LlamaCppModel", "load_llamacpp"]

#: The most tokens of a prompt and its continuation together.
CONTEXT = 4096

#: The longest wait for another process that puts the same file together, in seconds.
LOCK_SECONDS = 120.0

#: The name under which the server knows the model.
ALIAS = "model"


def load_llamacpp(spec: str, /, **_options: object) -> LlamaCppModel:
    """Open a GGUF file in llama.cpp.

    Parameters
    ----------
    spec : str
        ``llamacpp:PATH`` or ``llamacpp:NAME`` of an embedded model.
    **_options
        The options of models that are computed with torch, which llama.cpp does not need.

    Returns
    -------
    LlamaCppModel
        The model. Its prompts are answered one at a time and each is read in whole, because batches and cached
        beginnings move the numbers of llama.cpp.

    Raises
    ------
    ModelError
        The file is not a GGUF file, or llama.cpp cannot open it.
    """
    import xllamacpp

    named = parse_model_spec(spec)
    path = Path(named.target)
    source = GgufSource(path.stem, (path,)) if path.suffix == ".gguf" else find_embedded(named.target)
    # llama.cpp may end the process where a file is damaged, so that its header is read here first.
    header = read_header(source)
    digest = sha256_of_parts(source)
    wanted = xllamacpp.CommonParams()
    wanted.model.path, wanted.model_alias = str(_one_file(source, digest)), {ALIAS}
    # One request at a time: batches move the numbers of llama.cpp by up to 0.15 nats.
    wanted.n_parallel, wanted.n_ctx, wanted.port = 1, CONTEXT, _free_port()
    # The identity says that the CPU computes.
    wanted.n_gpu_layers = 0
    # A prompt whose beginning comes from the cache has other numbers than one that is read in whole.
    wanted.cache_prompt, wanted.ui, wanted.verbosity = False, False, -1
    wanted.cpuparams.n_threads = int(os.environ.get("OMP_NUM_THREADS") or 0) or os.cpu_count() or 1
    try:
        server = xllamacpp.Server(wanted)
    except (RuntimeError, ValueError, OSError) as error:
        why = f"llama.cpp cannot open {named.target!r}: {error}."
        raise ModelError(f"{why} Name a file whose architecture it knows.") from None
    served = load_endpoint_model(f"endpoint:{server.listening_address}#{ALIAS}", batch_size=1)
    about = ["llamacpp", digest, package_version("xllamacpp"), CONTEXT]
    identity = dataclasses.replace(
        served.identity,
        spec=spec,
        name=named.name,
        sha256=hashlib.sha256(json.dumps(about).encode()).hexdigest(),
        dtype="gguf",
        device="cpu",
        architecture=f"llama.cpp {header.architecture}",
        parts={"file": digest, "xllamacpp": package_version("xllamacpp")},
    )
    return LlamaCppModel(served, server, identity)


class LlamaCppModel:
    """A model in llama.cpp: everything but its identity and its end is that of the served model."""

    def __init__(self, served: Any, server: Any, identity: Any) -> None:
        self._served, self._server, self.identity = served, server, identity

    def close(self) -> None:
        """Stop the server; the model cannot be asked any more."""
        self._served.close()
        self._server = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._served, name)


def _one_file(source: GgufSource, digest: str) -> Path:
    """Return the file of a model; one that comes in parts is put together once, in the cache."""
    if len(source.parts) == 1:
        return source.parts[0]
    folder = cache_folder() / "gguf"
    whole = folder / f"{digest}.gguf"
    size = sum(part.stat().st_size for part in source.parts)
    folder.mkdir(parents=True, exist_ok=True)
    with locked_folder(folder, seconds=LOCK_SECONDS):
        if not whole.is_file() or whole.stat().st_size != size:
            partial = whole.with_suffix(f".{os.getpid()}")
            join_parts(source, partial)
            partial.replace(whole)
    return whole


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
