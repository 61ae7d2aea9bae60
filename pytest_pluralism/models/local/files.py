"""Files of a model: found, hashed, and refused where they are not safe."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_pluralism.core.errors import MissingExtraError, ModelError
from pytest_pluralism.models.backends import backend_of
from pytest_pluralism.models.embedded import GgufSource, find_embedded
from pytest_pluralism.models.specification import ModelSpec

#: The files of a folder that decide how text becomes tokens.
TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)

#: The files that are fetched of a repository: never code, never pickles, never copies in other formats.
HUB_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
PICKLE_PATTERNS = ("*.bin", "*.pt", "*.pth", "*.ckpt")


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
    named: ModelSpec, /, *, trust_remote_code: bool, allow_pickle: bool, packaged: Path | None = None
) -> DescribedFolder:
    """Return the folder of a model, fetched or converted if need be, having checked that it may be loaded.

    ``packaged`` is the folder of an embedded model that is not a GGUF file.

    Raises
    ------
    ModelError
        The model cannot be found, wants to run code of its own, or has pickled weights only.
    """
    folder, parts, add_bos = packaged or Path(named.target), None, None
    if named.kind == "hf":
        folder = fetched(named, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle)
    elif packaged is None and named.kind in {"embedded", "gguf"}:
        from pytest_pluralism.models.local.gguf import CONVERTER_VERSION, converted

        model = converted(
            find_embedded(named.target) if named.kind == "embedded" else GgufSource(named.name, (folder,))
        )
        # The file holds weights, configuration and tokenizer in one.
        parts = {"weights": model.gguf_sha256, "converter": str(CONVERTER_VERSION)}
        folder, add_bos = model.folder, model.header.add_bos
    config = read_json(folder / "config.json")
    if not trust_remote_code:
        refuse_remote_code(folder, config, named)
    refuse_pickles(folder, named, allow_pickle=allow_pickle)
    return DescribedFolder(folder, config, parts or hashes(folder), add_bos)


def fetched(named: ModelSpec, *, trust_remote_code: bool, allow_pickle: bool) -> Path:
    """Return the local copy of a repository, fetching what is not there yet."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
    except ImportError as error:
        raise MissingExtraError("A model of the Hugging Face hub", backend_of("hf").command) from error
    offline = os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in {"1", "true", "yes", "on"}
    patterns = [*HUB_PATTERNS, *(("*.py",) if trust_remote_code else ())]
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
    if not (folder / "config.json").is_file():
        raise ModelError(f"The repository {named.target!r} holds no config.json: it is not a model of transformers.")
    return folder


def hashes(folder: Path) -> dict[str, str]:
    """Return the hashes of weights, tokenizer and configuration of a folder."""
    weights = sorted(folder.glob("*.safetensors")) or sorted(
        path for pattern in PICKLE_PATTERNS for path in folder.glob(pattern)
    )
    tokenizer = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    # Which version of transformers saved it, and where, makes no difference to the answers.
    config = {
        key: value
        for key, value in read_json(folder / "config.json").items()
        if key not in {"transformers_version", "_name_or_path"}
    }
    return {
        "weights": sha256_of_files(weights),
        "tokenizer": sha256_of_files(tokenizer),
        "config": sha256_of_text(json.dumps(config, sort_keys=True)),
    }


def sha256_of_files(paths: Sequence[Path]) -> str:
    """Return one SHA-256 over the names and contents of files, in the given order."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            digest.update(f"{path.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def sha256_of_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def read_json(path: Path) -> dict[str, object]:
    """Read a JSON object from a file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} must hold a JSON object. Got a {type(value).__name__} instead.")
    return value


# ----------------------------------------------------------------------------------------------------- what is refused


def refuse_remote_code(folder: Path, config: dict[str, object], named: ModelSpec) -> None:
    """Refuse a model that transformers knows only through the code that comes with it."""
    from transformers.models.auto import configuration_auto

    known = config.get("model_type") in getattr(configuration_auto, "CONFIG_MAPPING_NAMES", ())
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
    if list(folder.glob("*.safetensors")):
        return
    pickles = sorted(path.name for pattern in PICKLE_PATTERNS for path in folder.glob(pattern))
    if allow_pickle and pickles:
        return
    if not pickles and named.kind == "folder":
        raise ModelError(f"The folder {named.text!r} holds no weights: no *.safetensors file is in it.")
    found = f"pickled weights only ({pickles[0]})" if pickles else "no weights in safetensors files"
    raise ModelError(
        f"The model {named.text!r} has {found}. A pickle can run code when it is read. Save it as safetensors, or "
        f"allow it for this model by name: --pluralism-allow-pickled-weights={named.text}"
    )
