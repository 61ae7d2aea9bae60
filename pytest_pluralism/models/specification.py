"""The grammar of ``--pluralism-model``, read without loading anything."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote

from pytest_pluralism.core.errors import ModelError, nearest_names, unknown_name
from pytest_pluralism.models.address import parse_address
from pytest_pluralism.models.backends import BACKENDS, ROLE_ABILITIES, backend_of, forms, gguf_way, kinds_for
from pytest_pluralism.models.embedded import ENTAILMENT_MODELS

__all__ = [
    "ADAPTER_CONFIG",
    "EMBEDDED_ENTAILMENT_MODELS",
    "EMBEDDED_MODELS",
    "ModelSpec",
    "holds_weights",
    "moved_spec",
    "parse_entailment_spec",
    "parse_model_spec",
    "placed",
]

#: The models that come as Python packages.
EMBEDDED_MODELS = ("smollm2-135m-instruct", "gemma-3-270m")

#: The entailment models that come with the repository.
EMBEDDED_ENTAILMENT_MODELS = tuple(ENTAILMENT_MODELS)

#: Every word that may stand before the colon.
KINDS = tuple(kind for kind, backend in BACKENDS.items() if backend.form.startswith(f"{kind}:"))

# Two characters at least, so that C:\models is a path.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9_]+):(.*)", re.DOTALL)
#: The names of a classifier's outputs, for a checkpoint whose configuration does not have them.
_LABELS = re.compile(r"(.+)\?labels=([\w-]+(?:,[\w-]+)*)", re.DOTALL)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)

#: The file that makes a folder an adapter.
ADAPTER_CONFIG = "adapter_config.json"
#: The options behind the question mark of the spec of an adapter.
_ADAPTER_OPTIONS = ("base", "scale")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model, as it was named.

    Attributes
    ----------
    kind : str
        ``"embedded"``, ``"hf"``, ``"folder"``, ``"adapter"``, ``"gguf"``, ``"llamacpp"`` and the like: a row of the
        table of backends.
    text : str
        The spec as it was written.
    name : str
        The name of the model: short, stable, fit for pytest ids and reports.
    target : str
        The embedded name, the repository, or the path; of an adapter its path, or ``hf:ORG/NAME[@REVISION]``.
    revision : str or None
        The branch, tag or commit of a repository.
    base : str or None
        The spec of the model that an adapter is put on; ``None`` for the one that the adapter names itself.
    scale : float
        The factor of the changes of an adapter.
    """

    kind: str
    text: str
    name: str
    target: str
    revision: str | None = None
    base: str | None = None
    scale: float = 1.0


def parse_model_spec(spec: str, /, *, role: str = "language_model") -> ModelSpec:
    """Read the name of a model.

    Parameters
    ----------
    spec : str
        ``embedded:NAME``, ``hf:ORG/NAME[@REVISION]``, a folder as transformers or peft saves it, or a ``.gguf`` file.
        Of an adapter, ``?base=SPEC&scale=NUMBER`` may follow, with percent signs as in URLs; an existing path that
        holds a question mark is that path.
    role : str
        The role of the model, a key of :data:`~pytest_pluralism.models.backends.ROLE_ABILITIES`, or ``"base"`` of an
        adapter. Messages suggest only models that can have the role.

    Returns
    -------
    ModelSpec
        The specification. Paths have been looked at; no model has been opened.

    Raises
    ------
    ModelError
        If the kind or the name is unknown, or the kind cannot have the role; the nearest known names are part of the
        message.
    ModelError
        If a folder or file does not exist, or does not hold a model.

    Examples
    --------
    >>> parse_model_spec("embedded:gemma-3-270m").name
    'gemma-3-270m'
    >>> spec = parse_model_spec("hf:ORG/NAME@v1.0")
    >>> spec.name, spec.revision
    ('ORG/NAME', 'v1.0')
    >>> spec = parse_model_spec("hf:ORG/ADAPTER?base=embedded:gemma-3-270m&scale=0.5")
    >>> spec.name, spec.base, spec.scale
    ('ORG/ADAPTER*0.5', 'embedded:gemma-3-270m', 0.5)
    """
    if not isinstance(spec, str) or not spec.strip():
        raise ModelError(f"A model needs a name: {forms(role)}. Got {spec!r} instead.")
    text = spec.strip()
    match = _SCHEME.fullmatch(text)
    adapted = _adapted(text)
    if adapted is not None:
        return _adapter(text, *adapted)
    if match is None or _is_there(text):
        return _local(text, role)
    kind, rest = match[1], match[2].strip()
    if kind not in KINDS:
        near = nearest_names(kind, [name for name in kinds_for(role) if name in KINDS], most=1)
        meant = f" Did you mean {near[0]}:{_mended(near[0], rest, role)}?" if near else ""
        raise ModelError(f"The model {text!r} is of an unknown kind {kind + ':'!r}.{meant} Known: {forms(role)}.")
    if role in ROLE_ABILITIES:
        backend_of(kind).check_role(text, role)
    return _READERS[kind](text, rest)


def placed(named: ModelSpec, gguf: str, /) -> ModelSpec:
    """Return the spec of a language model as it runs: a GGUF file, an embedded model too, may run in llama.cpp.

    Its name stays, so that a baseline that the other way made is found, and not compared.

    Parameters
    ----------
    named : ModelSpec
        The model.
    gguf : str
        One of :data:`~pytest_pluralism.models.backends.GGUF_WAYS`.
    """
    is_gguf = named.kind in {"embedded", "gguf"}
    return replace(named, kind="llamacpp") if is_gguf and gguf_way(gguf) == "llamacpp" else named


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
    named = parse_model_spec(bare, role="entailment_model")
    backend_of(named.kind).check_role(text, "entailment_model")
    return replace(named, text=text), labels


def moved_spec(spec: str, move: Callable[[str], str], /) -> str:
    """Return a spec with its path, and that of the base of an adapter, as another folder sees them."""
    path, options = _adapted(spec) or (spec, "")
    pairs = [(key, unquote(value)) for key, _, value in (pair.partition("=") for pair in options.split("&"))]
    if any(key not in _ADAPTER_OPTIONS for key, _ in pairs):
        return move(spec)
    moved = [(key, moved_spec(value, move) if key == "base" else value) for key, value in pairs]
    return f"{move(path)}?{'&'.join(f'{key}={quote(value, safe=_PLAIN)}' for key, value in moved)}"


#: Characters that a value behind the question mark of a spec can have as they are.
_PLAIN = "/:@,\\~"


def _adapted(text: str) -> tuple[str, str] | None:
    """Return the adapter and the options of a spec that has both; an existing path has none."""
    bare, _, options = text.rpartition("?")
    scheme = _SCHEME.fullmatch(bare)
    if not bare or "=" not in options or (scheme is not None and scheme[1] != "hf" and not _is_there(bare)):
        return None
    return None if _is_there(text) else (bare.strip(), options)


def _adapter(text: str, bare: str, options: str) -> ModelSpec:
    """Read the spec of an adapter with options."""
    values: dict[str, str] = {}
    for pair in options.split("&"):
        key, _, value = pair.partition("=")
        if key not in _ADAPTER_OPTIONS:
            raise ModelError(f"{unknown_name('option of an adapter', key, _ADAPTER_OPTIONS)} Got {text!r}.")
        if key in values or not value:
            raise ModelError(f"The spec {text!r} must have {key}= once, with a value: ADAPTER?base=SPEC&scale=0.5.")
        values[key] = unquote(value)
    try:
        scale = float(values.get("scale", "1"))
    except ValueError:
        scale = math.nan
    if not math.isfinite(scale):
        raise ModelError(f"The scale of an adapter must be a number, such as scale=0.5. Got {text!r}.")
    base = values.get("base")
    if base is not None:
        known = backend_of(parse_model_spec(base, role="base").kind)
        if not known.in_files:
            raise ModelError(f"The base {base!r} is {known.what}, whose weights are not in this process. Got {text!r}.")
    found = parse_model_spec(bare)
    if found.kind != "hf" and not (Path(found.target) / ADAPTER_CONFIG).is_file():
        raise ModelError(f"The model {bare!r} is not an adapter: it holds no {ADAPTER_CONFIG}. Leave ?{options} out.")
    name = found.name if scale == 1.0 else f"{found.name}*{scale:g}"
    target = bare if found.kind == "hf" else found.target
    return ModelSpec("adapter", text, name, target, base=base, scale=scale)


def holds_weights(folder: Path, /) -> bool:
    """Return whether a folder holds the weights of a whole model, and not those of an adapter alone."""
    names = [
        path.name
        for pattern in ("*.safetensors", "*.index.json", "pytorch_model*.bin")
        for path in folder.glob(pattern)
    ]
    return any(not name.startswith("adapter_") for name in names)


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


def _recorded(text: str, rest: str) -> ModelSpec:
    module, _, function = backend_of("responses").naming.partition(":")
    path, name = getattr(importlib.import_module(module), function)(rest)
    return ModelSpec("responses", text, name, str(path))


def _endpoint(text: str, rest: str) -> ModelSpec:
    address = parse_address(text, rest)
    return ModelSpec("endpoint", text, address.model, ",".join(replica.api for replica in address.replicas))


def _llamacpp(text: str, rest: str) -> ModelSpec:
    if rest in EMBEDDED_MODELS:
        return ModelSpec("llamacpp", text, f"{rest}@llama.cpp", rest)
    path = Path(rest).expanduser()
    if path.suffix != ".gguf" or not _is_there(str(path)):
        known = ", ".join(f"llamacpp:{name}" for name in EMBEDDED_MODELS)
        raise ModelError(f"There is no GGUF file {rest!r}. Write llamacpp:FILE.gguf, or one of {known}. Got {text!r}.")
    return ModelSpec("llamacpp", text, f"{path.stem}@llama.cpp", str(path))


def _composed(text: str, rest: str) -> ModelSpec:
    kind = text.partition(":")[0]
    path = Path(rest).expanduser()
    if path.suffix != ".toml" or not _is_there(str(path)):
        why = "There is no file" if path.suffix == ".toml" else "A composed model is a .toml file, not"
        raise ModelError(f"{why} {rest!r}. Write {kind}:FILE.toml. Got {text!r}.")
    return ModelSpec(kind, text, path.stem, str(path))


#: Reads what stands behind the colon.
_READERS: dict[str, Callable[[str, str], ModelSpec]] = {
    "embedded": _embedded,
    "hf": _hub,
    "responses": _recorded,
    "endpoint": _endpoint,
    "llamacpp": _llamacpp,
    "mixture": _composed,
    "modular": _composed,
}


def _local(text: str, role: str) -> ModelSpec:
    """Read a path, and say at once what it lacks; remedies are those that fit the role."""
    # A Windows path that is read elsewhere: its last part still names the model.
    path = Path(text).expanduser()
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ModelError(
            f"The model {text[:200]!r} cannot be looked at: {why}. Name a model as {forms(role)}."
        ) from None
    name = path.resolve().name or text
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise ModelError(f"There is no file {text!r}.{_neighbours(path)}")
        return ModelSpec("gguf", text, name[: -len(".gguf")], str(path))
    if path.is_file():
        named = "a .gguf file, or the folder" if "gguf" in kinds_for(role) else "the folder"
        raise ModelError(f"The file {text!r} is not a model. Name {named} that holds config.json.")
    if not path.is_dir():
        raise ModelError(f"There is no folder {text!r}.{_meant(text, role) or _neighbours(path)}")
    if (path / ADAPTER_CONFIG).is_file() and not holds_weights(path):
        return ModelSpec("adapter", text, name, str(path))
    if not (path / "config.json").is_file():
        found = sorted(child.name for child in path.glob("*.gguf"))
        remedy = (
            f" It holds {found[0]}: name that file."
            if found and "gguf" in kinds_for(role)
            else " Name a folder that model.save_pretrained and tokenizer.save_pretrained wrote."
        )
        raise ModelError(f"The folder {text!r} holds no config.json.{remedy}")
    return ModelSpec("folder", text, name, str(path))


def _is_there(text: str) -> bool:
    """Return whether a path exists; a text that cannot be a path does not."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def _meant(text: str, role: str) -> str:
    """Guess what a bare name was meant to be, among the models that can have the role."""
    near = nearest_names(text, _embedded_for(role), most=1)
    if near:
        return f" Did you mean embedded:{near[0]}?"
    if "/" in text and _HUB_NAME.fullmatch(text.partition("@")[0]):
        return f" For a model of the Hugging Face hub write hf:{text}."
    return f" A model is named as {forms(role)}." if "/" not in text and "\\" not in text else ""


def _embedded_for(role: str) -> tuple[str, ...]:
    """Return the embedded models that can have a role."""
    if "embedded" not in kinds_for(role):
        return ()
    return EMBEDDED_ENTAILMENT_MODELS if role == "entailment_model" else EMBEDDED_MODELS


def _neighbours(path: Path) -> str:
    """Name what stands beside a path that does not exist."""
    parent = path.parent
    if not parent.is_dir():
        return f" Its parent folder {str(parent)!r} does not exist either."
    near = nearest_names(path.name, sorted(child.name for child in parent.iterdir()))
    return " Nearest: " + ", ".join(repr(str(parent / name)) for name in near) + "." if near else ""


def _mended(kind: str, rest: str, role: str) -> str:
    """Return the rest of a mistyped spec, mended too where that is possible."""
    if kind != "embedded":
        return rest
    known = _embedded_for(role)
    near = nearest_names(rest, known, most=1)
    return near[0] if near else known[0]
