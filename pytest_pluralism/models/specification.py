"""The grammar of ``--pluralism-model``, read without loading anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_pluralism.core.errors import ModelError, nearest_names, unknown_name
from pytest_pluralism.models.backends import BACKENDS, backend_of, forms

__all__ = ["EMBEDDED_ENTAILMENT_MODELS", "EMBEDDED_MODELS", "ModelSpec", "parse_entailment_spec", "parse_model_spec"]

#: The models that come as Python packages.
EMBEDDED_MODELS = ("smollm2-135m-instruct", "gemma-3-270m")

#: The entailment models that come with the repository.
EMBEDDED_ENTAILMENT_MODELS = ("nli-minilm",)

#: Every word that may stand before the colon.
KINDS = tuple(kind for kind, backend in BACKENDS.items() if backend.form.startswith(f"{kind}:"))

GRAMMAR = forms()

# Two characters at least, so that C:\models is a path.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9_]+):(.*)", re.DOTALL)
#: The names of a classifier's outputs, for a checkpoint whose configuration does not have them.
_LABELS = re.compile(r"(.+)\?labels=([\w-]+(?:,[\w-]+)*)", re.DOTALL)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model, as it was named.

    Attributes
    ----------
    kind : str
        ``"embedded"``, ``"hf"``, ``"folder"`` or ``"gguf"``.
    text : str
        The spec as it was written.
    name : str
        The name of the model: short, stable, fit for pytest ids and reports.
    target : str
        The embedded name, the repository, or the path.
    revision : str or None
        The branch, tag or commit of a repository.
    """

    kind: str
    text: str
    name: str
    target: str
    revision: str | None = None


def parse_model_spec(spec: str, /) -> ModelSpec:
    """Read the name of a model.

    Parameters
    ----------
    spec : str
        ``embedded:NAME``, ``hf:ORG/NAME[@REVISION]``, a folder as transformers saves it, or a ``.gguf`` file.

    Returns
    -------
    ModelSpec
        The specification. Paths have been looked at; no model has been opened.

    Raises
    ------
    ModelError
        If the kind or the name is unknown; the nearest known names are part of the message.
    ModelError
        If a folder or file does not exist, or does not hold a model.
    ModelError
        If the kind is reserved (``endpoint:``, ``responses:``, ``llamacpp:``) and cannot be served by this version.

    Examples
    --------
    >>> parse_model_spec("embedded:gemma-3-270m").name
    'gemma-3-270m'
    >>> spec = parse_model_spec("hf:ORG/NAME@v1.0")
    >>> spec.name, spec.revision
    ('ORG/NAME', 'v1.0')
    """
    if not isinstance(spec, str) or not spec.strip():
        raise ModelError(f"A model needs a name: {GRAMMAR}. Got {spec!r} instead.")
    text = spec.strip()
    match = _SCHEME.fullmatch(text)
    if match is None or _is_there(text):
        return _local(text)
    kind, rest = match[1], match[2].strip()
    if kind not in KINDS:
        known = ", ".join(f"{name}:" for name in KINDS)
        near = nearest_names(kind, KINDS, most=1)
        meant = f" Did you mean {near[0]}:{_mended(near[0], rest)}?" if near else ""
        raise ModelError(
            f"The model {text!r} is of an unknown kind {kind + ':'!r}.{meant} Known: {known} a folder, or a .gguf file."
        )
    return _READERS.get(kind, _reserved)(text, rest)


def parse_entailment_spec(spec: str, /) -> tuple[ModelSpec, tuple[str, ...] | None]:
    """Read the name of an entailment model.

    Parameters
    ----------
    spec : str
        ``embedded:nli-minilm``, ``hf:ORG/NAME[@REVISION]``, or a folder as transformers saves it.
        ``?labels=NAME,NAME,...`` may follow: the names of the outputs in their order, for a checkpoint whose
        configuration does not have them.

    Returns
    -------
    ModelSpec
        The specification. No model has been opened.
    tuple of str or None
        The names of the outputs, where they were given.

    Raises
    ------
    ModelError
        For the reasons of :func:`parse_model_spec`, or if the name is that of a model that writes text.

    Examples
    --------
    >>> parse_entailment_spec("hf:ORG/NAME?labels=contradiction,neutral,entailment")[1]
    ('contradiction', 'neutral', 'entailment')
    """
    if not isinstance(spec, str) or not spec.strip():
        known = "embedded:" + EMBEDDED_ENTAILMENT_MODELS[0]
        raise ModelError(
            f"An entailment model needs a name: {known}, hf:ORG/NAME[@REVISION], or a folder. Got {spec!r}."
        )
    text = spec.strip()
    labelled = _LABELS.fullmatch(text)
    bare = labelled[1].strip() if labelled else text
    labels = tuple(labelled[2].split(",")) if labelled else None
    match = _SCHEME.fullmatch(bare)
    if match is not None and match[1] == "embedded" and not _is_there(bare):
        name = match[2].strip()
        if name not in EMBEDDED_ENTAILMENT_MODELS:
            why = unknown_name("embedded entailment model", name, EMBEDDED_ENTAILMENT_MODELS)
            if name in EMBEDDED_MODELS:
                why = (
                    f"{name} is a model that writes text, and cannot be asked for entailment. "
                    f"Name embedded:{EMBEDDED_ENTAILMENT_MODELS[0]}, or a classifier: hf:ORG/NAME."
                )
            raise ModelError(f"{why} Got {text!r}.")
        return ModelSpec("embedded", text, name, name), labels
    if match is None and bare in EMBEDDED_ENTAILMENT_MODELS and not _is_there(bare):
        raise ModelError(f"There is no folder {bare!r}. Did you mean embedded:{bare}?")
    named = parse_model_spec(bare)
    backend_of(named.kind).check_role(text, "entailment_model")
    return replace(named, text=text), labels


def _embedded(text: str, rest: str) -> ModelSpec:
    if rest in EMBEDDED_ENTAILMENT_MODELS:
        raise ModelError(
            f"{rest} is an entailment model: it writes no text and answers no questions. "
            f"Give it as --pluralism-entailment-model={text}."
        )
    if rest not in EMBEDDED_MODELS:
        raise ModelError(f"{unknown_name('embedded model', rest, EMBEDDED_MODELS)} Got {text!r}.")
    return ModelSpec("embedded", text, rest, rest)


def _hub(text: str, rest: str) -> ModelSpec:
    name, at, revision = rest.partition("@")
    if not _HUB_NAME.fullmatch(name) or (at and not revision):
        raise ModelError(f"The model {text!r} does not name a repository. Write hf:ORG/NAME or hf:ORG/NAME@REVISION.")
    return ModelSpec("hf", text, name, name, revision or None)


def _reserved(text: str, rest: str) -> ModelSpec:
    kind = text.partition(":")[0]
    raise ModelError(
        f"The model {text!r} cannot be served by this version: {kind}: is reserved for a later one. "
        f"Name one of {GRAMMAR}."
    )


#: Reads what stands behind the colon; a kind without a reader is reserved.
_READERS: dict[str, Callable[[str, str], ModelSpec]] = {
    "embedded": _embedded,
    "hf": _hub,
}


def _local(text: str) -> ModelSpec:
    """Read a path, and say at once what it lacks."""
    # A Windows path that is read elsewhere: its last part still names the model.
    path = Path(text).expanduser()
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ModelError(f"The model {text[:200]!r} cannot be looked at: {why}. Name a model as {GRAMMAR}.") from None
    name = path.resolve().name or text
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise ModelError(f"There is no file {text!r}.{_neighbours(path)}")
        return ModelSpec("gguf", text, name[: -len(".gguf")], str(path))
    if path.is_file():
        raise ModelError(f"The file {text!r} is not a model. Name a .gguf file, or the folder that holds config.json.")
    if not path.is_dir():
        raise ModelError(f"There is no folder {text!r}.{_meant(text) or _neighbours(path)}")
    if not (path / "config.json").is_file():
        found = sorted(child.name for child in path.glob("*.gguf"))
        remedy = (
            f" It holds {found[0]}: name that file."
            if found
            else " Name a folder that model.save_pretrained and tokenizer.save_pretrained wrote."
        )
        if (path / "adapter_config.json").is_file():
            remedy = " It holds an adapter: merge it into its base model, and save that."
        raise ModelError(f"The folder {text!r} holds no config.json.{remedy}")
    return ModelSpec("folder", text, name, str(path))


def _is_there(text: str) -> bool:
    """Return whether a path exists; a text that cannot be a path does not."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def _meant(text: str) -> str:
    """Guess what a bare name was meant to be."""
    near = nearest_names(text, EMBEDDED_MODELS, most=1)
    if near:
        return f" Did you mean embedded:{near[0]}?"
    if "/" in text and _HUB_NAME.fullmatch(text.partition("@")[0]):
        return f" For a model of the Hugging Face hub write hf:{text}."
    return f" A model is named as {GRAMMAR}." if "/" not in text and "\\" not in text else ""


def _neighbours(path: Path) -> str:
    """Name what stands beside a path that does not exist."""
    parent = path.parent
    if not parent.is_dir():
        return f" Its parent folder {str(parent)!r} does not exist either."
    near = nearest_names(path.name, sorted(child.name for child in parent.iterdir()))
    return " Nearest: " + ", ".join(repr(str(parent / name)) for name in near) + "." if near else ""


def _mended(kind: str, rest: str) -> str:
    """Return the rest of a mistyped spec, mended too where that is possible."""
    if kind != "embedded":
        return rest
    near = nearest_names(rest, EMBEDDED_MODELS, most=1)
    return near[0] if near else EMBEDDED_MODELS[0]
