"""Adapters of peft: find the model that each belongs to, and put it on that model's weights."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pytest_pluralism.core.errors import ModelError, needed_for
from pytest_pluralism.models.embedded import find_embedded
from pytest_pluralism.models.local.files import (
    INSTALL_ADAPTERS,
    DescribedFolder,
    adapter_files,
    described_folder,
    fetched,
    files_of,
    hashes,
    read_json,
    sha256_of_text,
)
from pytest_pluralism.models.local.packages import quiet_transformers
from pytest_pluralism.models.specification import ADAPTER_CONFIG, ModelSpec, holds_weights, parse_model_spec

if TYPE_CHECKING:
    import torch

    from pytest_pluralism.models.local.interfaces import Network

__all__ = ["Adapter", "DescribedModel", "adapted", "adapter_config", "described_model", "loading_files"]

#: Maximum number of adapters that lie on each other: more is a circle.
MOST_ADAPTERS = 8

#: Fields of the configuration of an adapter that do not change what it does to its base.
UNUSED = frozenset({"base_model_name_or_path", "inference_mode", "peft_version", "revision"})


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter on this machine, and the model that it is put on."""

    named: ModelSpec
    folder: Path
    base: ModelSpec

    @property
    def has_tokenizer(self) -> bool:
        """True where the folder of the adapter holds a tokenizer of its own."""
        names = {path.name for path in self.folder.iterdir()}
        return any(
            name.startswith(("tokenizer.", "vocab.")) or name.endswith((".model", ".tiktoken")) for name in names
        )


@dataclass(frozen=True, slots=True)
class DescribedModel:
    """A model before it is loaded: the folder of its network, its identity, and the adapters that it gets.

    ``named`` is the spec of the network without its adapters, ``tokenizer`` the folder of the tokenizer. The adapters
    come in the order in which they are put on.
    """

    named: ModelSpec
    found: DescribedFolder
    tokenizer: Path
    parts: dict[str, str]
    add_bos: bool | None
    adapters: tuple[Adapter, ...] = ()
    merged: bool = True

    @property
    def folder(self) -> Path:
        """The folder of the network."""
        return self.found.folder

    def with_adapters(self, network: Network, /, *, allow_pickle: bool = False) -> Network:
        """Return the network with all adapters: the last one may stay beside the weights, others are merged."""
        for adapter in self.adapters:
            merged = self.merged or adapter is not self.adapters[-1]
            network = adapted(
                network,
                adapter.folder,
                name=adapter.base.name,
                remedy="Name the model that it belongs to: ADAPTER?base=SPEC.",
                scale=adapter.named.scale,
                merged=merged,
                allow_pickle=allow_pickle,
            )
        return network

    @property
    def notes(self) -> list[str]:
        """Sentences about the adapters for a reader of the results."""
        where = "merged into its weights" if self.merged else "computed beside its weights"
        return [
            f"the adapter {one.named.name} is on the base {one.base.text}"
            + (f", {where}" if one is self.adapters[-1] else "")
            for one in self.adapters
        ]


def described_model(
    named: ModelSpec, /, *, trust_remote_code: bool = False, allow_pickle: bool = False, merged: bool = True
) -> DescribedModel:
    """Return the folder of a model and its identity, with the adapters that are put on it.

    Parameters
    ----------
    named : ModelSpec
        The model, or an adapter.
    trust_remote_code, allow_pickle
        As for :func:`~pytest_pluralism.models.local.files.described_folder`.
    merged : bool
        Whether adapters are added to the weights, or computed beside them.

    Raises
    ------
    ModelError
        The model or the base of an adapter cannot be found, or may not be loaded.
    MissingExtraError
        The spec names an adapter, and peft is not installed.
    """
    base, there, adapters = _base_and_adapters(named, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)
    found = described_folder(
        base,
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
        packaged=there if base.kind == "hf" else None,
    )
    if not adapters:
        return DescribedModel(base, found, found.folder, found.parts, found.add_bos)
    with_tokenizer = [one for one in adapters if one.has_tokenizer]
    hashed = [
        [_hash(one, trust_remote_code=trust_remote_code), one.named.scale, merged or one is not adapters[-1]]
        for one in adapters
    ]
    parts = {
        **found.parts,
        "adapter": sha256_of_text(json.dumps(hashed)),
        "adapter_scale": " ".join(f"{one.named.scale:g}" for one in adapters),
        "adapter_weights": "merged" if merged else "apart",
    }
    return DescribedModel(
        base,
        found,
        with_tokenizer[-1].folder if with_tokenizer else found.folder,
        parts,
        # The header of a GGUF file tells about the tokenizer in that file.
        None if with_tokenizer else found.add_bos,
        tuple(adapters),
        merged,
    )


def loading_files(named: ModelSpec, /, *, allow_pickle: bool = False) -> list[Path]:
    """Return every file that loading a model could open: those of its network, and of the adapters on it."""
    base, there, adapters = _base_and_adapters(named, allow_pickle=allow_pickle, trust_remote_code=False)
    places = [(one.folder, one.named) for one in adapters]
    files: list[Path] = []
    if base.kind == "embedded":
        files += find_embedded(base.target).parts
    elif there is None:
        files.append(Path(base.target))
    else:
        places.insert(0, (there, base))
    for folder, one in places:
        files += [path for _, path in files_of(folder, one, trust_remote_code=False)]
    return files


def adapter_config(folder: Path, /) -> dict[str, object]:
    """Return the configuration of an adapter."""
    return read_json(folder / ADAPTER_CONFIG)


# ----------------------------------------------------------------------------------------- what an adapter belongs to


def _base_and_adapters(
    named: ModelSpec, *, allow_pickle: bool, trust_remote_code: bool
) -> tuple[ModelSpec, Path | None, list[Adapter]]:
    """Return the network below all adapters, its folder if it is one, and the adapters in the order of their use."""
    adapters: list[Adapter] = []
    one = named
    while True:
        folder = _folder_of(one, named.text, allow_pickle=allow_pickle, trust_remote_code=trust_remote_code)
        found = _adapter_in(folder, one) if folder is not None else None
        if found is None:
            # Permissions are given by the name that was written.
            return (replace(one, text=named.text) if adapters else one), folder, adapters
        adapters.insert(0, found)
        one = found.base
        if len(adapters) > MOST_ADAPTERS:
            raise ModelError(
                f"The adapter {named.text!r} lies on {MOST_ADAPTERS} others, or on itself. Name the model that it "
                "belongs to: ADAPTER?base=SPEC."
            )


def _folder_of(named: ModelSpec, text: str, *, allow_pickle: bool, trust_remote_code: bool) -> Path | None:
    """Return the folder of a model or an adapter, fetched if need be; ``None`` where it is a file."""
    if named.kind == "hf" or named.target.startswith("hf:"):
        hub = parse_model_spec(named.target) if named.kind == "adapter" else named
        return fetched(replace(hub, text=text), trust_remote_code=trust_remote_code, allow_pickle=allow_pickle)
    return Path(named.target) if named.kind in {"adapter", "folder"} else None


def _adapter_in(folder: Path, named: ModelSpec) -> Adapter | None:
    """Return the adapter that a folder holds; ``None`` where it holds a whole model."""
    if not (folder / ADAPTER_CONFIG).is_file():
        if named.kind == "adapter":
            raise ModelError(f"The model {named.text!r} is not an adapter: it holds no {ADAPTER_CONFIG}.")
        return None
    if named.kind != "adapter" and holds_weights(folder):
        _check_own_adapter(folder, named)
        return None
    base = named.base or _named_base(folder, named)
    parsed = parse_model_spec(base) if isinstance(base, str) else base
    if parsed.kind == "folder" and Path(parsed.target).resolve() == folder.resolve():
        raise ModelError(
            f"The adapter {named.text!r} lies beside the weights of its base. Name the folder without ?base=, or move "
            "the adapter into a folder of its own."
        )
    return Adapter(named, folder, parsed)


def _check_own_adapter(folder: Path, named: ModelSpec) -> None:
    """Refuse a folder that holds a whole model and the adapter of another one: it may be applied already."""
    base = str(adapter_config(folder).get("base_model_name_or_path") or "")
    if base and not any(place.resolve() == folder.resolve() for place in _places(base, folder)):
        raise ModelError(
            f"The folder of the model {named.text!r} holds weights and an adapter that was made for {base!r}, so that "
            "nobody knows whether it is merged already. Move the adapter into a folder of its own: then this folder "
            f"names the weights, and ADAPTER?base={named.target if named.kind == 'folder' else named.text} both."
        )


def _places(base: str, folder: Path) -> Iterator[Path]:
    """Yield the folders that the name of a base can mean: from where the run starts, then from its adapter."""
    for place in (Path(base), folder / base):
        try:
            if place.is_dir():
                yield place
        except OSError:
            return


def _named_base(folder: Path, named: ModelSpec) -> str | ModelSpec:
    """Return the model that an adapter says it belongs to.

    A folder is looked for first, then a packaged model (``embedded:NAME``). The hub is asked only where the adapter
    itself is one of the hub; else the base must lie in its cache.
    """
    config = adapter_config(folder)
    base = config.get("base_model_name_or_path")
    remedy = f"Name it: {named.text.partition('?')[0]}?base=SPEC."
    if not isinstance(base, str) or not base.strip():
        raise ModelError(f"The adapter {named.text!r} does not say which model it belongs to. {remedy}")
    place = next(_places(base, folder), None)
    if place is not None:
        return str(place.resolve())
    if base.startswith("embedded:"):
        return base
    revision = config.get("revision")
    spec = f"hf:{base}@{revision}" if isinstance(revision, str) and revision else f"hf:{base}"
    try:
        on_hub = parse_model_spec(spec)
        offline = not (named.kind == "hf" or named.target.startswith("hf:"))
        found = fetched(on_hub, trust_remote_code=False, allow_pickle=False, offline=offline)
    except ModelError as error:
        raise ModelError(
            f"The base of the adapter {named.text!r} is not here: its {ADAPTER_CONFIG} names {base!r}, which is "
            f"neither a folder nor a model in the cache of the Hugging Face hub. {remedy}"
        ) from error
    return replace(on_hub, kind="folder", target=str(found))


def _hash(adapter: Adapter, *, trust_remote_code: bool) -> str:
    """Return one hash over all files of an adapter; where its base lay when it was saved makes no difference."""
    config = {key: value for key, value in adapter_config(adapter.folder).items() if key not in UNUSED}
    parts = hashes(adapter.folder, adapter.named, trust_remote_code=trust_remote_code, without=(ADAPTER_CONFIG,))
    return sha256_of_text(json.dumps([config, parts], sort_keys=True))


# ------------------------------------------------------------------------------------------------ what it does to it


def adapted(
    network: Network,
    folder: Path,
    /,
    *,
    name: str,
    remedy: str,
    scale: float = 1.0,
    merged: bool = True,
    allow_pickle: bool = False,
) -> Network:
    """Put an adapter on a network, whose weights change.

    Parameters
    ----------
    network : transformers.PreTrainedModel
        The base.
    folder : Path
        The adapter, as peft saves it.
    name : str
        The name of the base, for errors.
    remedy : str
        A sentence for errors: how to name a pair that fits.
    scale : float
        The factor of its changes.
    merged : bool
        Whether it is added to the weights, or computed beside them.
    allow_pickle : bool
        Whether its weights may be read from a pickle.

    Raises
    ------
    ModelError
        It does not fit the network, changes no weights, or cannot be scaled or merged.
    MissingExtraError
        If peft is not installed.
    """
    with needed_for("An adapter", INSTALL_ADAPTERS):
        import peft
    weights = adapter_files(folder, allow_pickle=allow_pickle)[1]
    try:
        with quiet_transformers(), warnings.catch_warnings():
            # peft warns of weights that it does not find, and goes on with an adapter that does nothing. Coming
            # deprecations between peft and transformers are their own concern.
            warnings.simplefilter("ignore")
            _resize(network, weights)
            warnings.simplefilter("error", UserWarning)
            given = peft.PeftModel.from_pretrained(cast("torch.nn.Module", network), str(folder), is_trainable=False)
            _check_kind(given, folder)
            _scale(given, scale, folder)
            result = given.merge_and_unload() if merged else given.get_base_model()
    except ModelError:
        raise
    except Exception as error:
        # Files from elsewhere make peft and safetensors raise anything.
        words = " ".join(str(error).split()) or type(error).__name__
        made_for = _made_for(folder)
        says = f" It says it was made for {made_for!r}." if made_for else ""
        raise ModelError(f"The adapter in {folder} does not fit {name}: {words[:200]}.{says} {remedy}") from error
    return cast("Network", result.eval())


def _resize(network: Network, weights: Path) -> None:
    """Give the network room for the tokens that an adapter adds: it then brings the whole input layer."""
    if weights.suffix != ".safetensors":
        return
    from safetensors import safe_open

    embeddings = network.get_input_embeddings()
    names = [name for name, module in network.named_modules() if module is embeddings]
    rows = getattr(embeddings, "num_embeddings", None)
    with safe_open(str(weights), "pt") as stream:
        found = {
            stream.get_slice(key).get_shape()[0]
            for key in stream.keys()  # noqa: SIM118 - not a mapping
            if any(key.endswith((f".{name}.weight", f".{name}.base_layer.weight")) for name in names)
        }
    if len(found) == 1 and found != {rows}:
        resize: Callable[..., object] = cast("torch.nn.Module", network).resize_token_embeddings
        resize(found.pop(), mean_resizing=False)


def _check_kind(given: object, folder: Path) -> None:
    """Refuse an adapter that is a prompt of its own and not a change of weights."""
    config = given.active_peft_config  # type: ignore[attr-defined]
    if config.is_prompt_learning:
        raise ModelError(
            f"The adapter in {folder} is of the kind {config.peft_type.value}: it puts tokens of its own before every "
            "prompt, and changes no weights. Name a LoRA adapter, or an adapter of another kind that changes weights."
        )


def _scale(given: object, scale: float, folder: Path) -> None:
    """Multiply the changes of a LoRA adapter."""
    if scale == 1.0:
        return
    from peft.tuners.lora import LoraLayer

    config = given.active_peft_config  # type: ignore[attr-defined]
    layers = [module for module in given.modules() if isinstance(module, LoraLayer)]  # type: ignore[attr-defined]
    whole = getattr(config, "modules_to_save", None) or getattr(config, "bias", "none") != "none"
    if not layers or whole:
        why = "replaces whole parts of the network" if layers else f"is of the kind {config.peft_type.value}"
        raise ModelError(f"The adapter in {folder} {why}, which scale= cannot multiply. Leave scale= out.")
    for layer in layers:
        layer.scale_layer(scale)


def _made_for(folder: Path) -> str:
    """Return the model that the configuration of an adapter names."""
    try:
        return str(adapter_config(folder).get("base_model_name_or_path") or "")[:200]
    except ModelError:
        return ""
