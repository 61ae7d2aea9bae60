"""Models that are known before they are loaded, and loaded when they are first asked. No torch here.

Which model it is decides what the answer store has of it, so a run whose answers are all stored needs the identity and
nothing else. The identity is that of the files: it is worked out once, and remembered for as long as the files, the
device, the number format and the packages that read them stay the same.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytest_pluralism import __version__
from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import (
    Answer,
    FullAnswerPrompt,
    Prompt,
)
from pytest_pluralism.models.backends import backend_of
from pytest_pluralism.models.embedded import find_embedded, find_embedded_entailment, find_encoder_parts
from pytest_pluralism.models.local.full_answers import answer_rows
from pytest_pluralism.models.measured import MeasuredFile
from pytest_pluralism.models.prompts import PromptReader, render_prompt
from pytest_pluralism.models.protocol import (
    LanguageModel,
    ModelIdentity,
    Progress,
    Receive,
)
from pytest_pluralism.models.specification import (
    ADAPTER_CONFIG,
    ModelSpec,
    parse_entailment_spec,
    parse_model_spec,
    placed,
)
from pytest_pluralism.models.versions import package_version

__all__ = ["LazyModel", "lazily", "lazy_entailment_model", "lazy_model", "resolved_device"]

#: The fields of an identity that are remembered; name and spec belong to the run.
REMEMBERED = ("sha256", "dtype", "device", "architecture", "parameters", "parts")


def lazy_model(
    spec: str,
    /,
    load: Callable[[], LanguageModel],
    *,
    device: str = "auto",
    dtype: str = "auto",
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    compiled: bool = False,
    merge_adapters: bool = True,
    gguf: str = "auto",
) -> LanguageModel:
    """Return a model that is loaded when it is first asked, if its identity can be known before that.

    Parameters
    ----------
    spec : str
        Which model; see :func:`pytest_pluralism.models.specification.parse_model_spec`.
    load : callable
        Loads it.
    device, dtype, trust_remote_code, allow_pickle, compiled, merge_adapters, gguf
        As for :func:`pytest_pluralism.models.load_model`.

    Returns
    -------
    LanguageModel
        A :class:`LazyModel`; or the model itself where it is not a file, brings code of its own, or only loading tells
        in which number format it will be.

    Raises
    ------
    ModelError
        If the model cannot be named or found.
    MissingExtraError
        If a package is missing.
    """
    named = placed(parse_model_spec(spec), gguf)
    # A package that is missing is told before anything asks for it.
    backend_of(named.kind).check(spec, "language_model")
    if named.kind == "llamacpp":
        return _lazy_llamacpp(named, load)

    def identify(place: str) -> ModelIdentity | None:
        from pytest_pluralism.models.local.identification import identify

        options = {"allow_pickle": allow_pickle, "compiled": compiled, "merge_adapters": merge_adapters}
        return identify(named, device=place, dtype=dtype, **options)

    def read() -> PromptReader:
        from pytest_pluralism.models.local.identification import prompt_reader

        return prompt_reader(named, allow_pickle=allow_pickle)

    if not backend_of(named.kind).in_files or trust_remote_code:
        return load()
    files = find_embedded(named.target).parts if named.kind == "embedded" else None
    key = {"allow_pickle": int(allow_pickle), "compiled": int(compiled), "merge_adapters": int(merge_adapters)}
    model: LanguageModel = lazily(
        named, load, device=device, dtype=dtype, files=files, key=key, identify=identify, read=read
    )
    return model


def _lazy_llamacpp(named: ModelSpec, load: Callable[[], LanguageModel], /) -> LanguageModel:
    """Return a model in llama.cpp, which is opened when it is first asked."""
    from pytest_pluralism.models.llamacpp.loading import identify_llamacpp, source_of

    files = source_of(named).parts
    model: LanguageModel = lazily(
        named, load, device="cpu", dtype="auto", files=files, identify=lambda _: identify_llamacpp(named)
    )
    return model


def lazy_entailment_model(spec: str, /, load: Callable[[], Any], *, device: str = "auto", dtype: str = "auto") -> Any:
    """Return an entailment model that is loaded when it is first asked, once its identity is known.

    Its first load says which model it is; from then on its files do.

    Parameters
    ----------
    spec : str
        Which model; see :func:`pytest_pluralism.models.specification.parse_entailment_spec`.
    load : callable
        Loads it.
    device, dtype
        As for :func:`pytest_pluralism.models.local.entailment.load_entailment_model`.
    """
    named, labels = parse_entailment_spec(spec)
    backend_of(named.kind).check(spec, "entailment_model")
    if not backend_of(named.kind).in_files:
        return load()
    files = None
    if named.kind == "embedded":
        folder = find_embedded_entailment(named.target)
        files = sorted(path for path in folder.iterdir() if path.is_file())
        files += find_encoder_parts() if (folder / ADAPTER_CONFIG).is_file() else ()
    key = {"role": "entailment", "labels": ",".join(labels or ())}
    return lazily(named, load, device=device, dtype=dtype, files=files, key=key)


def lazily(
    named: ModelSpec,
    load: Callable[[], Any],
    /,
    *,
    device: str,
    dtype: str,
    files: Sequence[Path] | None = None,
    key: Mapping[str, str | int] = MappingProxyType({}),
    identify: Callable[[str], ModelIdentity | None] = lambda place: None,
    read: Callable[[], PromptReader] | None = None,
) -> Any:
    """Return a model of any kind that is loaded when it is first used; its identity is remembered by its files.

    Parameters
    ----------
    named : ModelSpec
        Which model.
    load : callable
        Loads it.
    device, dtype : str
        The settings, which may be ``"auto"``.
    files : sequence of Path, optional
        The files that it is read from; by default those that ``named`` points to.
    key : mapping
        The other parts of the identity.
    identify : callable, optional
        Works the identity out without loading, on the device that it gets. Where it returns ``None``, the model is
        loaded now, and its identity is remembered for the next run.
    read : callable, optional
        Returns what reads prompts as the model does, without loading it.
    """
    place = resolved_device(device)
    if files is None:
        # Only the hub knows what a repository holds now.
        files = [Path(named.target)] if named.kind == "gguf" else _loading_files(named, bool(key.get("allow_pickle")))
    kept = MeasuredFile(
        "identity",
        {
            **key,
            "model": f"{named.kind}:{_target(named)}@{named.revision or ''}",
            "device": place,
            "dtype": dtype,
            "package": __version__,
            **{name: package_version(name) for name in ("transformers", "tokenizers", "torch", "xllamacpp")},
        },
    )
    before = _signature(files)
    identity = _recalled(kept, before, named)
    if identity is not None:
        return LazyModel(identity, load, kept=kept, read=read)
    identity = identify(place)
    model = load() if identity is None else LazyModel(identity, load, kept=kept, read=read)
    known: ModelIdentity = model.identity
    if _signature(files) == before:
        kept.write({"files": before, "identity": {name: known.as_json()[name] for name in REMEMBERED}})
    return model


class LazyModel:
    """A model of which only the identity is known until it is first asked.

    Parameters
    ----------
    identity : ModelIdentity
        Which model it will be.
    load : callable
        Loads it.
    kept : MeasuredFile, optional
        Where the identity is remembered; forgotten when another model comes out.
    read : callable, optional
        Returns what reads prompts as the model does, without loading it.

    Notes
    -----
    Every other method of the model loads it when it is looked up.
    """

    def __init__(
        self,
        identity: ModelIdentity,
        load: Callable[[], Any],
        *,
        kept: MeasuredFile | None = None,
        read: Callable[[], PromptReader] | None = None,
    ) -> None:
        self._identity = identity
        self._read = read
        self._reader: PromptReader | None = None
        self._load = load
        self._kept = kept
        self._model: Any = None
        self._closed = False

    @property
    def identity(self) -> ModelIdentity:
        """The identity of the model."""
        if self._model is not None:
            self._identity = self._model.identity
        return self._identity

    @property
    def is_loaded(self) -> bool:
        """True once the network is in memory."""
        return self._model is not None

    def prepare(self) -> None:
        """Load the network, if it is not in memory."""
        self.opened()

    def token_ids(self, prompt: Prompt, /) -> tuple[int, ...]:
        """Return the token ids that the model reads for a prompt; the tokenizer is enough for that."""
        if self._model is None and self._read is not None:
            reader = self._tokenizing(self._read)
            return reader.encode(render_prompt(prompt, chat=reader.chat_renderer(), model=self._identity.name))
        ids: tuple[int, ...] = self.opened().token_ids(prompt)
        return ids

    @property
    def reads_prompts(self) -> bool:
        """Whether the text of a prompt is known without any loading: the tokenizer is there."""
        return self._reader is not None

    def prompt_text(self, prompt: Prompt, /) -> str:
        """Return the text that the model reads for a prompt; the tokenizer is enough for that."""
        if self._model is None and self._read is not None:
            return self._tokenizing(self._read).text_of(prompt)
        return str(self.opened().prompt_text(prompt))

    def full_answer_ids(self, asked: FullAnswerPrompt, /) -> list[tuple[int, ...]]:
        """Return the token ids that the model reads to score whole answers: each after the prompt and the neutral one.

        The tokenizer is enough for that.
        """
        if self._read is None:
            return []
        reader = self._tokenizing(self._read)
        prompts = (asked.prompt, asked.neutral_prompt)
        return [row for prompt in prompts for row in answer_rows(reader, prompt, asked.answers)[0]]

    def _tokenizing(self, read: Callable[[], PromptReader]) -> PromptReader:
        """Return what reads prompts, made when it is first needed."""
        if self._reader is None:
            self._reader = read()
        return self._reader

    def answer_in_batches(self, prompts: Sequence[Prompt], /, *, batch_size: int | str) -> list[Answer]:
        """Answer each prompt, with at most ``batch_size`` in one forward pass, as the model does."""
        answers: list[Answer] = self.opened().answer_in_batches(prompts, batch_size=batch_size)
        return answers

    def answer(
        self, prompts: Sequence[Prompt], /, *, progress: Progress | None = None, receive: Receive | None = None
    ) -> list[Answer]:
        """Answer each prompt, as the model does."""
        answers: list[Answer] = self.opened().answer(prompts, progress=progress, receive=receive)
        return answers

    def close(self) -> None:
        """Give back the memory, if any was taken; the model cannot be asked any more."""
        self._closed = True
        if self._model is not None:
            # Notes that it made while it was asked stay known.
            self._identity = self._model.identity
            self._model.close()
            self._model = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.opened(), name)

    def opened(self) -> Any:
        """Return the model itself, loaded now if it was not.

        Raises
        ------
        ModelError
            The model has been closed, or is not the one whose identity was remembered.
        """
        if self._closed:
            raise ModelError(f"The model {self._identity.name} has been closed and cannot be asked any more.")
        if self._model is None:
            model = self._load()
            if model.identity.sha256 != self._identity.sha256:
                model.close()
                if self._kept is not None:
                    with contextlib.suppress(OSError):
                        self._kept.path.unlink(missing_ok=True)
                raise ModelError(
                    f"The model {self._identity.spec!r} is not the one that this run began with: its files changed in "
                    "the meantime. Run again."
                )
            self._model = model
        return self._model


def resolved_device(device: str, /) -> str:
    """Return where a model will run, without torch where its files say enough.

    A torch that was built for neither CUDA nor ROCm finds no such device, whatever the machine has; which one it was
    built for stands in its ``version.py``. Every other torch is asked.
    """
    if device == "cpu" or (device == "auto" and not built_for_accelerators()):
        return "cpu"
    from pytest_pluralism.models.local.devices import chosen_device

    return chosen_device(device)


def built_for_accelerators() -> bool:
    """Return whether the installed torch was built for CUDA or ROCm, without importing it."""
    found = importlib.util.find_spec("torch")
    try:
        text = (Path(found.origin or "").parent / "version.py").read_text(encoding="utf-8") if found else ""
    except OSError:
        text = ""
    values = dict(re.findall(r"^(cuda|hip)\b[^=\n]*=\s*(.+?)\s*$", text, flags=re.MULTILINE))
    return values != {"cuda": "None", "hip": "None"}


def _loading_files(named: ModelSpec, allow_pickle: bool, /) -> list[Path]:
    from pytest_pluralism.models.local.adapters import loading_files

    return loading_files(named, allow_pickle=allow_pickle)


def _target(named: ModelSpec) -> str:
    if named.kind == "adapter":
        return f"{named.target} on {named.base or ''} by {named.scale:g}"
    in_files = named.kind in {"gguf", "folder"} or named.target.lower().endswith(".gguf")
    return str(Path(named.target).resolve()) if in_files else named.target


def _signature(files: Sequence[Path]) -> list[list[str | int]]:
    """Return name, size, times and inode of each file, by which a change is seen."""
    result: list[list[str | int]] = []
    for path in files:
        status = path.stat()
        result.append([str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino])
    return result


def _recalled(kept: MeasuredFile, files: list[list[str | int]], named: ModelSpec) -> ModelIdentity | None:
    """Return the identity that belongs to files which have not changed since."""
    content, _ = kept.read()
    if content is None or content.get("files") != files:
        return None
    try:
        identity = ModelIdentity(spec=named.text, name=named.name, **content["identity"])
        whole = all(isinstance(getattr(identity, name), str) for name in ("sha256", "dtype", "device", "architecture"))
        whole = whole and re.fullmatch("[0-9a-f]{64}", identity.sha256) is not None
        whole = whole and type(identity.parameters) is int and isinstance(identity.parts, dict)
    except (TypeError, KeyError):
        return None
    return replace(identity, notes=()) if whole else None
