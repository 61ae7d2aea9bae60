"""Files of a model: found, hashed, and refused where they are not safe."""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from pytest_pluralism.core.errors import MissingExtraError, ModelError, needed_for
from pytest_pluralism.models.backends import backend_of
from pytest_pluralism.models.embedded import CALIBRATION_FILE, GgufSource, find_embedded
from pytest_pluralism.models.specification import ADAPTER_CONFIG, ModelSpec, holds_weights

#: The files that are fetched of a repository: never code, never pickles, never copies in other formats.
HUB_PATTERNS = ("*.json", "*.model", "*.txt", "*.jinja")
WEIGHTS_PATTERN = "*.safetensors"
PICKLE_PATTERNS = ("*.bin", "*.pt", "*.pth", "*.ckpt")
#: The files of a trainer beside the weights of a checkpoint.
TRAINER_STATE = ("optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "training_args.bin", "rng_state*.pth")

INSTALL_ADAPTERS = backend_of("adapter").command

#: The package in which transformers puts the code that comes with models.
CODE_PACKAGE = "transformers_modules."

#: The end of the name of a file that says in which files the weights lie.
INDEX = ".index.json"


@dataclass(frozen=True, slots=True)
class DescribedFolder:
    """The folder that a model is loaded from, its configuration, and the hashes of its parts.

    ``add_bos`` says whether prompts open with the token for a beginning; ``None`` leaves it to the tokenizer.
    """

    folder: Path
    config: dict[str, object]
    parts: dict[str, str]
    add_bos: bool | None = None


def described_folder(
    named: ModelSpec,
    /,
    *,
    trust_remote_code: bool,
    allow_pickle: bool,
    packaged: Path | None = None,
    parts: dict[str, str] | None = None,
) -> DescribedFolder:
    """Return the folder of a model, fetched or converted if need be, having checked that it may be loaded.

    ``packaged`` is the folder of a model that is there already: embedded and not a GGUF file, or fetched. ``parts`` are
    the hashes of its parts, where its files do not say them.

    Raises
    ------
    ModelError
        The model cannot be found, wants to run code of its own, or has pickled weights only.
    """
    folder, add_bos = packaged or Path(named.target), None
    if named.kind == "hf" and packaged is None:
        folder = fetched(named, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle)
    elif packaged is None and named.kind in {"embedded", "gguf"}:
        from pytest_pluralism.models.local.gguf import CONVERTER_VERSION, converted

        model = converted(
            find_embedded(named.target) if named.kind == "embedded" else GgufSource(named.name, (folder,))
        )
        # The file holds weights, configuration and tokenizer in one.
        parts = {"weights": model.gguf_sha256, "converter": str(CONVERTER_VERSION)}
        folder, add_bos = model.folder, model.add_bos
    refuse_lone_adapter(folder, named)
    config = read_json(folder / "config.json")
    if not trust_remote_code:
        refuse_remote_code(folder, config, named)
    refuse_pickles(folder, named, allow_pickle=allow_pickle)
    _check_adapter(folder, named, allow_pickle=allow_pickle)
    parts = parts or hashes(folder, named, trust_remote_code=trust_remote_code)
    return DescribedFolder(folder, config, parts, add_bos)


def fetched(
    named: ModelSpec,
    *,
    trust_remote_code: bool,
    allow_pickle: bool,
    offline: bool = False,
    needs_weights: bool = True,
) -> Path:
    """Return the local copy of a repository, fetching what is not there yet, unless that is to be ``offline``."""
    with needed_for("A model of the Hugging Face hub", backend_of("hf").command):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
    offline = offline or os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in {"1", "true", "yes", "on"}
    patterns = [
        *HUB_PATTERNS,
        *((WEIGHTS_PATTERN,) if needs_weights else ()),
        *(("*.py",) if trust_remote_code else ()),
    ]
    download = functools.partial(
        snapshot_download,
        named.target,
        revision=named.revision,
        ignore_patterns=["*/*", "consolidated*"],
        local_files_only=offline,
    )
    try:
        folder = Path(download(allow_patterns=patterns))
        if allow_pickle and not list(folder.glob("*.safetensors")):
            download(allow_patterns=list(PICKLE_PATTERNS))
    except GatedRepoError as error:
        raise ModelError(
            f"The model {named.text!r} is gated: accept its terms on its page, then log in with: hf auth login"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"The hub has no model {named.target!r}, or it is private. Check the name.") from error
    except LocalEntryNotFoundError as error:
        reason = "HF_HUB_OFFLINE is set and no copy is in the cache" if offline else "the hub cannot be reached"
        raise ModelError(f"The model {named.text!r} cannot be fetched: {reason}.") from error
    except Exception as error:
        message = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        raise ModelError(f"The model {named.text!r} cannot be fetched: {message}") from error
    if not (folder / "config.json").is_file() and not (folder / ADAPTER_CONFIG).is_file():
        raise ModelError(f"The repository {named.target!r} holds no config.json: it is not a model of transformers.")
    return folder


def hashes(
    folder: Path, named: ModelSpec, /, *, trust_remote_code: bool, without: Sequence[str] = ()
) -> dict[str, str]:
    """Return the hashes of weights, tokenizer, chat templates and configuration of a folder.

    They cover the content of every file of :func:`files_of` but those in ``without``; which version of transformers
    saved the configuration, and where, makes no difference to the answers.

    Raises
    ------
    ModelError
        As for :func:`files_of`.
    """
    groups: dict[str, list[tuple[str, Path]]] = {"weights": [], "tokenizer": [], "chat_template": [], "config": []}
    for name, path in files_of(folder, named, trust_remote_code=trust_remote_code):
        if name in without:
            continue
        groups.setdefault(_part_of(name), []).append((name, path))
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    kept = {key: value for key, value in config.items() if key not in {"transformers_version", "_name_or_path"}}
    others = [(name, path) for name, path in groups["config"] if name != "config.json"]
    parts = {part: sha256_of_named_files(files) for part, files in groups.items()}
    parts["config"] = sha256_of_text(json.dumps(kept, sort_keys=True) + sha256_of_named_files(others))
    return parts


def _part_of(name: str) -> str:
    """Return the part of an identity to which a file belongs by its name."""
    suffix = PurePosixPath(name).suffix
    if f"*{suffix}" in ("*.safetensors", *PICKLE_PATTERNS) or name.endswith(INDEX):
        return "weights"
    if suffix == ".jinja":
        return "chat_template"
    if suffix == ".py":
        return "code"
    return "config" if name.endswith("config.json") and not name.startswith("tokenizer") else "tokenizer"


def files_of(folder: Path, named: ModelSpec, /, *, trust_remote_code: bool) -> list[tuple[str, Path]]:
    """Return every file that loading a folder could open, with the name under which it is found.

    These are all files that lie in the folder itself, whatever their names (but hidden ones, ``*.md`` and the
    calibration of a judge), the files that an index of weights names, chat templates in a folder of their own, files
    that a configuration names, and all files of subfolders where code that comes with the model is trusted.
    Links are followed: the content counts.

    Raises
    ------
    ModelError
        An index names a file outside the folder, or something in the folder is not a file, such as a pipe.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        # The calibration says what is known of the model, and changes nothing that the model says.
        if path.name.startswith(".") or path.suffix == ".md" or path.name == CALIBRATION_FILE:
            continue
        if _is_regular(path, named):
            found[path.name] = path
    for name in [name for name in found if name.endswith(INDEX)]:
        weight_map = read_json(found[name]).get("weight_map")
        for part in dict.fromkeys(map(str, weight_map.values())) if isinstance(weight_map, dict) else ():
            _refuse_outside(name, part, named)
            if _is_regular(folder / part, named):
                found[part] = folder / part
    for path in sorted(folder.glob("additional_chat_templates/*.jinja")):
        if _is_regular(path, named):
            found[f"additional_chat_templates/{path.name}"] = path
    for name in [name for name in found if name.endswith("config.json")]:
        for text in _texts_in(read_json(found[name])):
            for path in (folder / text, Path(text)):
                if _is_regular(path, named):
                    found.setdefault(text, path)
    if trust_remote_code:
        found |= _below(folder)
    return sorted(found.items())


def _is_regular(path: Path, named: ModelSpec) -> bool:
    """Return whether a path is a file; one of which reading may never end is refused."""
    try:
        exists = path.exists() and not path.is_dir()
    except OSError:
        return False
    if exists and not path.is_file():
        raise ModelError(
            f"{path} is not a regular file, but a pipe, a socket or a device: reading it may never end. Remove it from "
            f"the folder of the model {named.text!r}."
        )
    return exists


def code_hash(*objects: object) -> str:
    """Return the hash of the code of their own that objects of transformers run; empty where they run none.

    The code of one model may lie in another repository than its weights.
    """
    modules = {kind.__module__ for one in objects for kind in type(one).__mro__}
    places = {Path(str(sys.modules[name].__file__)).parent for name in modules if name.startswith(CODE_PACKAGE)}
    files = sorted((path.name, path) for place in places for path in place.glob("*.py"))
    return sha256_of_named_files(files) if files else ""


def _refuse_outside(index: str, part: str, named: ModelSpec) -> None:
    """Refuse a file outside the folder, by the name that is written: the hub's cache has links where files lie."""
    written = PurePosixPath(part)
    if written.is_absolute() or ".." in written.parts or "\\" in part or PureWindowsPath(part).drive:
        raise ModelError(
            f"The file {index} of the model {named.text!r} names {part!r}, which lies outside the folder of the model. "
            "Copy that file into the folder, and name it there."
        )


def _texts_in(value: object) -> Iterator[str]:
    """Yield every text in plain JSON values that could be the path of a file."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str) and 0 < len(one) < 1024 and one.isprintable():
            yield one


def _below(folder: Path) -> dict[str, Path]:
    """Return every file of the subfolders: code that comes with a model may open any of them."""
    found: dict[str, Path] = {}
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = (
            [] if real in seen else sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        )
        names = [] if real in seen else names
        seen.add(real)
        for path in (Path(place, name) for name in names if not name.startswith(".")):
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = path
    return found


def sha256_of_named_files(files: Iterable[tuple[str, Path]], /) -> str:
    """Return one SHA-256 over names and contents of files, in the given order."""
    digest = hashlib.sha256()
    for name, path in files:
        with path.open("rb") as stream:
            line = [name, hashlib.file_digest(stream, "sha256").hexdigest()]
        digest.update(json.dumps(line).encode("ascii"))
    return digest.hexdigest()


def sha256_of_files(paths: Sequence[Path]) -> str:
    """Return one SHA-256 over the names and contents of files, in the given order."""
    return sha256_of_named_files((path.name, path) for path in paths)


def sha256_of_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def read_json(path: Path) -> dict[str, object]:
    """Read a JSON object from a file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ModelError(f"{path} cannot be read as JSON: its values are nested too deeply. Save it anew.") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} must hold a JSON object. Got a {type(value).__name__} instead.")
    return value


# ----------------------------------------------------------------------------------------------------- what is refused


def refuse_remote_code(folder: Path, config: dict[str, object], named: ModelSpec) -> None:
    """Refuse a model that transformers knows only through the code that comes with it."""
    from transformers.models.auto import configuration_auto

    model_type = config.get("model_type")
    known = isinstance(model_type, str) and model_type in getattr(configuration_auto, "CONFIG_MAPPING_NAMES", ())
    needs = []
    if config.get("auto_map") and not known:
        needs.append("config.json")
    tokenizer_config = folder / "tokenizer_config.json"
    named_code = read_json(tokenizer_config).get("auto_map") if tokenizer_config.is_file() else None
    if isinstance(named_code, dict | list | str) and "AutoTokenizer" in named_code:
        has_own = (folder / "tokenizer.json").is_file() and known
        if not has_own:
            needs.append("tokenizer_config.json")
    if needs:
        raise remote_code_error(named, f"its {needs[0]} names Python code of its own (auto_map)")


def remote_code_error(named: ModelSpec, why: str) -> ModelError:
    """Return the error for a model that wants to run code of its own."""
    return ModelError(
        f"The model {named.text!r} wants to run code that came with it: {why}. Read that code; if you trust it, allow "
        f"it for this model by name: --pluralism-trust-remote-code={named.text}"
    )


def refuse_pickles(folder: Path, named: ModelSpec, *, allow_pickle: bool) -> None:
    """Refuse weights whose loading could run anything."""
    index = folder / f"model.safetensors{INDEX}"
    if list(folder.glob("*.safetensors")) or index.is_file():
        return
    there = sorted(path.name for pattern in PICKLE_PATTERNS for path in folder.glob(pattern))
    pickles = [name for name in there if not any(fnmatch.fnmatchcase(name, state) for state in TRAINER_STATE)]
    if allow_pickle and pickles:
        return
    if not pickles and named.kind == "folder":
        raise ModelError(f"The folder {named.text!r} holds no weights: no *.safetensors file is in it.")
    found = f"pickled weights only ({pickles[0]})" if pickles else "no weights in safetensors files"
    raise ModelError(
        f"The model {named.text!r} has {found}. A pickle can run code when it is read. Save it as safetensors, or "
        f"allow it for this model by name: --pluralism-allow-pickled-weights={named.text}"
    )


def _check_adapter(folder: Path, named: ModelSpec, *, allow_pickle: bool) -> None:
    """Refuse an adapter beside the weights that would not be applied, or whose loading could run anything."""
    if not (folder / ADAPTER_CONFIG).is_file():
        return
    if importlib.util.find_spec("peft") is None:
        # transformers would load the weights without it, and say nothing.
        raise MissingExtraError(f"The adapter in the folder of {named.text!r}", INSTALL_ADAPTERS)
    if not allow_pickle and not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(
            f"The adapter of the model {named.text!r} has no adapter_model.safetensors. A pickle can run code when it "
            "is read. Save it with safe_serialization=True, or remove adapter_config.json to load the model without it."
        )


def refuse_lone_adapter(folder: Path, named: ModelSpec) -> None:
    """Refuse an adapter in the place of a whole model."""
    if (folder / ADAPTER_CONFIG).is_file() and not holds_weights(folder):
        raise ModelError(
            f"The model {named.text!r} is an adapter without the weights of its base. Only the language model under "
            "test can be one; merge it into its base here, and save that."
        )


def adapter_files(folder: Path, /, *, allow_pickle: bool = False) -> tuple[Path, Path]:
    """Return the configuration and the weights of an adapter.

    Raises
    ------
    ModelError
        If the folder does not hold them, or its weights are pickled.
    """
    config, weights = folder / ADAPTER_CONFIG, folder / "adapter_model.safetensors"
    if not config.is_file():
        raise ModelError(
            f"{folder} holds no adapter: there is no adapter_config.json. Name the folder that peft saved."
        )
    if weights.is_file():
        return config, weights
    pickled = weights.with_suffix(".bin")
    if allow_pickle and pickled.is_file():
        return config, pickled
    raise ModelError(
        f"{folder} holds no adapter_model.safetensors. Pickled adapters can run code when they are read; "
        "save it again with safe_serialization=True."
    )
