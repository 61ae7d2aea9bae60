"""Load a local model by its spec; the loaders of all kinds of local models share what is here."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pytest_pluralism.core.errors import MissingExtraError, ModelError, invalid_parameter
from pytest_pluralism.models.backends import backend_of
from pytest_pluralism.models.local.adapters import described_model
from pytest_pluralism.models.local.bounds import check_sizes, try_tokenizer
from pytest_pluralism.models.local.compiling import compile_layers
from pytest_pluralism.models.local.copies import is_converted
from pytest_pluralism.models.local.devices import chosen_device, is_out_of_memory, too_large_for_one
from pytest_pluralism.models.local.files import code_hash, remote_code_error, sha256_of_text
from pytest_pluralism.models.local.language_model import HuggingFaceModel
from pytest_pluralism.models.local.packages import quiet_transformers
from pytest_pluralism.models.local.quick_tokenizer import QuickTokenizer
from pytest_pluralism.models.protocol import ModelIdentity
from pytest_pluralism.models.specification import ModelSpec, parse_model_spec
from pytest_pluralism.models.versions import package_version

if TYPE_CHECKING:
    from pytest_pluralism.models.local.interfaces import AutoClass, Config, Network, Tokenizer

__all__ = ["load_model"]


#: The part of an identity that says which torch compiled it.
COMPILED = "compiled"

#: The tables of networks that read more than text, and the classes that load them.
_WRAPPERS = {
    "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING": "AutoModelForImageTextToText",
    "MODEL_FOR_MULTIMODAL_LM_MAPPING": "AutoModelForMultimodalLM",
}

DTYPES = ("float32", "bfloat16", "float16")


def check_loading(dtype: str, batch_size: int | str, /, *, function: str) -> None:
    """Refuse a number format or a batch size that no model is loaded with."""
    if dtype not in ("auto", *DTYPES):
        raise invalid_parameter("dtype", function, "one of 'auto', " + ", ".join(map(repr, DTYPES)), repr(dtype))
    if batch_size != "auto" and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
        raise invalid_parameter("batch_size", function, "'auto' or a whole number from 1", repr(batch_size))


def load_model(
    spec: str,
    /,
    *,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | str = "auto",
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    compiled: bool = False,
    merge_adapters: bool = True,
) -> HuggingFaceModel:
    r"""Load a model into this process.

    Parameters
    ----------
    spec : str
        Which model; see :func:`pytest_pluralism.models.specification.parse_model_spec`.
    device : str
        ``"auto"`` (``cuda`` where there is one, else ``cpu``), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, or
        ``"sharded"``: the layers spread over all CUDA devices, and over main memory where those are too small.
        ``"auto"`` does that too where there are several devices and the weights are too large for the first.
    dtype : str
        ``"auto"`` (``float32`` on a CPU, the checkpoint's own elsewhere), ``"float32"``, ``"bfloat16"``, ``"float16"``.
    batch_size : int or "auto"
        Maximum number of prompts in one forward pass; ``"auto"`` bounds the tokens instead. How many tokens is measured
        where much is asked at once, and kept in the user's cache.
    trust_remote_code : bool
        Whether Python code that comes with the model may run.
    allow_pickle : bool
        Whether weights in pickle files may be read where there are no others.
    compiled : bool
        Whether the feed-forward parts of the layers go through ``torch.compile`` when they are first used. It is part
        of the identity, because rounding may differ.
    merge_adapters : bool
        Whether an adapter is added to the weights of its base, or computed beside them.

    Returns
    -------
    HuggingFaceModel
        The model, ready to be asked. Nothing has been fetched unless the spec starts with ``hf:``.

    Raises
    ------
    ModelError
        If the model cannot be named, found or loaded, or the device is not there.
    MissingExtraError
        If torch, transformers or the package of an embedded model is not installed.
    InvalidParameterError
        If ``dtype`` or ``batch_size`` is not one of the values above.

    Examples
    --------
    >>> model = load_model("embedded:smollm2-135m-instruct")  # doctest: +SKIP
    >>> model.answer([Prompt("Is the sky blue?\nA. Yes\nB. No", ("A", "B"))])  # doctest: +SKIP
    """
    named = parse_model_spec(spec)
    check_loading(dtype, batch_size, function="load_model")
    backend_of(named.kind).require()
    with quiet_transformers():
        place = chosen_device(device)
        found = described_model(
            named, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle, merged=merge_adapters
        )
        spread = device == "sharded" or (device == "auto" and too_large_for_one(found.folder, place, dtype))
        config, tokenizer, auto = load_parts(
            found.folder, found.named, trust_remote_code=trust_remote_code, tokenizer_folder=found.tokenizer
        )
        loading = Loading(found.folder, found.named, place, dtype, trust_remote_code, allow_pickle, spread)
        network = load_network(auto, loading, config=config)
        network = found.with_adapters(network, allow_pickle=allow_pickle)
        if compiled:
            compile_layers(network, named.name)
    identity = identity_of(named, found.parts, tokenizer, network, place, compiled=compiled)
    model = HuggingFaceModel(network, tokenizer, identity, batch_size=batch_size, add_bos=found.add_bos)
    for note in found.notes:
        model.scorer.note(note)
    if auto.__name__ in _WRAPPERS.values():
        model.scorer.note("the network reads more than text: its text part alone is asked")
    return model


def identity_of(
    named: ModelSpec,
    parts: Mapping[str, str],
    tokenizer: Tokenizer,
    network: Network,
    device: str,
    /,
    *,
    compiled: bool = False,
) -> ModelIdentity:
    """Return the identity of a network, with weights or without, and its tokenizer."""
    if compiled:
        parts = {**parts, COMPILED: f"torch {package_version('torch')}"}
    template = sha256_of_text(str(getattr(tokenizer, "chat_template", None) or ""))
    return network_identity(named, {**parts, "chat_template": template}, network, device, tokenizer=tokenizer)


def network_identity(
    named: ModelSpec, parts: Mapping[str, str], network: Network, device: str, /, *, tokenizer: object = None
) -> ModelIdentity:
    """Return the identity of a network by the hashes of its parts.

    Its number format is added, and the code of their own that network and tokenizer run.
    """
    code = code_hash(network, network.config, tokenizer)
    if code:
        parts = {**parts, "code": sha256_of_text(parts.get("code", "") + code)}
    dtype = str(next(network.parameters()).dtype).removeprefix("torch.")
    parts = {**parts, "dtype": dtype}
    return ModelIdentity(
        spec=named.text,
        name=named.name,
        sha256=sha256_of_text(json.dumps(parts, sort_keys=True)),
        dtype=dtype,
        device=device,
        architecture=type(network).__name__,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        parts=parts,
    )


# ---------------------------------------------------------------------------------------------------------- loading


@dataclass(frozen=True, slots=True)
class Loading:
    """The folder, device and number format with which a network is loaded, and what of it is trusted."""

    folder: Path
    named: ModelSpec
    device: str
    dtype: str
    trust_remote_code: bool
    allow_pickle: bool
    #: True where its layers are spread over several devices.
    spread: bool = False


def load_network(auto: AutoClass, loading: Loading, /, *, config: Config | None = None) -> Network:
    """Load a network, and translate what can go wrong.

    Raises
    ------
    ModelError
        If the weights cannot be loaded or are incomplete, or there is not enough memory for them.
    """
    import torch

    named, device = loading.named, loading.device
    arguments = loading_arguments(named, trust_remote_code=loading.trust_remote_code)
    arguments["dtype"] = getattr(torch, loading.dtype) if loading.dtype != "auto" else "auto"
    if loading.dtype == "auto" and device == "cpu":
        arguments["dtype"] = torch.float32
    if config is not None:
        arguments["config"] = config
    if not loading.allow_pickle:
        arguments["use_safetensors"] = True
    if (loading.spread or device != "cpu") and importlib.util.find_spec("accelerate") is not None:
        arguments["device_map"] = "auto" if loading.spread else {"": device}
    elif loading.spread:
        raise MissingExtraError("Spreading a model over several devices", "pip install accelerate")
    network: Network
    try:
        network, report = auto.from_pretrained(loading.folder, output_loading_info=True, **arguments)
        # A spread model stays where it was put.
        network = network.eval() if loading.spread else network.to(device).eval()
    except Exception as error:
        raise translated(error, named, device, out_of_memory=is_out_of_memory(error)) from error
    missing = sorted(report.get("missing_keys") or ())
    if missing:
        raise ModelError(
            f"The weights of {named.text!r} are incomplete: {len(missing)} tensors of {type(network).__name__} are not "
            f"in them, such as {missing[0]!r}. They would be random numbers."
        )
    # The same tensor of the first layer is in the network: its configuration has too few layers. Layers that predict
    # further tokens are meant to be left out.
    own = set(network.state_dict())
    left_out = [] if getattr(network.config, "num_nextn_predict_layers", 0) else report.get("unexpected_keys") or ()
    cut = [name for name in sorted(left_out) if re.sub(r"\.\d+\.", ".0.", name, count=1) in own]
    if cut:
        raise ModelError(
            f"The weights of {named.text!r} hold {len(cut)} tensors of layers that its config.json leaves out, such as "
            f"{cut[0]!r}: the network would be cut short. Fetch the folder again."
        )
    return network


def load_tokenizer(
    folder: Path, named: ModelSpec, /, *, trust_remote_code: bool, config: Config | None = None
) -> Tokenizer:
    """Load a tokenizer, and translate what can go wrong; ``config`` is needed where its folder holds none."""
    from transformers import AutoTokenizer

    files = {path.name for path in folder.iterdir()}
    if not any("token" in name or "vocab" in name or name.endswith((".model", ".tiktoken", ".py")) for name in files):
        raise ModelError(
            f"The model {named.text!r} has no tokenizer: its folder holds neither tokenizer.json nor any vocabulary. "
            "Write one there with tokenizer.save_pretrained."
        )
    if (folder / "tokenizer.json").is_file():
        try_tokenizer(folder / "tokenizer.json", named)
    try:
        quick = QuickTokenizer(folder) if is_converted(folder) else None
        if quick is not None and (known := quick.known()) is not None:
            return known
        arguments = loading_arguments(named, trust_remote_code=trust_remote_code)
        if config is not None and not (folder / "config.json").is_file():
            arguments["config"] = config
        tokenizer = cast("Tokenizer", AutoTokenizer.from_pretrained(folder, **arguments))
        if quick is not None:
            quick.compare(tokenizer)
        return tokenizer
    except Exception as error:
        raise translated(error, named, "cpu", out_of_memory=isinstance(error, MemoryError)) from error


def load_parts(
    folder: Path, named: ModelSpec, /, *, trust_remote_code: bool, tokenizer_folder: Path | None = None
) -> tuple[Config, Tokenizer, AutoClass]:
    """Load configuration and tokenizer, and find the class that loads the network.

    The tokenizer may lie in another folder.
    """
    import transformers

    check_sizes(folder, named)
    try:
        config: Config = transformers.AutoConfig.from_pretrained(
            folder, **loading_arguments(named, trust_remote_code=trust_remote_code)
        )
    except Exception as error:
        raise translated(error, named, "cpu", out_of_memory=isinstance(error, MemoryError)) from error
    _refuse_other_kinds(config, named)
    place = tokenizer_folder or folder
    tokenizer = load_tokenizer(place, named, trust_remote_code=trust_remote_code, config=config)
    return config, tokenizer, _auto_class(config, named)


def loading_arguments(named: ModelSpec, *, trust_remote_code: bool) -> dict[str, object]:
    """Return the arguments with which transformers loads every part of a model."""
    # With trust, the code may lie in another repository.
    offline = not (trust_remote_code and named.kind == "hf")
    return {"trust_remote_code": trust_remote_code, "local_files_only": offline}


def translated(error: Exception, named: ModelSpec, device: str, *, out_of_memory: bool) -> ModelError:
    """Return the error of ours for one that transformers raised."""
    # Some messages of transformers begin with a list, and say what is wrong in its second line.
    message = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    if out_of_memory:
        return ModelError(
            f"There is not enough memory on {device} for the model {named.text!r}. Choose a smaller number format "
            "(--pluralism-dtype=bfloat16), another device (--pluralism-device=cpu), or a smaller model."
        )
    if "trust_remote_code" in str(error):
        return remote_code_error(named, "transformers does not know its architecture")
    if isinstance(error, ImportError):
        return ModelError(f"The model {named.text!r} needs a package that is not installed: {message}")
    return ModelError(f"The model {named.text!r} cannot be loaded: {message}")


def _auto_class(config: Config, named: ModelSpec) -> AutoClass:
    """Return the class that loads a network that writes text.

    A network that reads images too is asked without any: then its text part alone computes.
    """
    import transformers
    from transformers.models.auto import modeling_auto

    kind = type(config)
    auto: object = transformers.AutoModelForCausalLM
    if getattr(config, "is_encoder_decoder", False):
        auto = transformers.AutoModelForSeq2SeqLM
    elif kind not in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING and not getattr(config, "auto_map", None):
        name = next((one for one in _WRAPPERS if kind in getattr(modeling_auto, one, {})), None)
        if name is not None:
            given = getattr(modeling_auto, name)[kind]
            _refuse_images(given[0] if isinstance(given, tuple) else given, config, named)
            auto = getattr(transformers, _WRAPPERS[name])
    return cast("AutoClass", auto)


def _refuse_images(network: type, config: Config, named: ModelSpec) -> None:
    """Refuse a network that reads more than text and cannot do without, or whose text part is not a causal model."""
    text = config.get_text_config(decoder=True)
    needed = [
        name
        for name, parameter in inspect.signature(vars(network).get("forward", network)).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    if set(needed) - {"self", "input_ids"} or getattr(text, "is_encoder_decoder", False):
        raise ModelError(
            f"The model {named.text!r} reads more than text, and its text part ({type(text).__name__}) is not a causal "
            "language model by itself, so it cannot be asked without images. Name a causal language model."
        )


def _refuse_other_kinds(config: Config, named: ModelSpec) -> None:
    """Refuse a network that does not write text: a classifier would be loaded with a random output layer."""
    from transformers.models.auto import modeling_auto

    names: set[str] = set()
    for mapping in (
        "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
        "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
        "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES",
        "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES",
    ):
        for entry in getattr(modeling_auto, mapping, {}).values():
            names.update([entry] if isinstance(entry, str) else entry)
    declared = list(getattr(config, "architectures", None) or ())
    if declared and not names & set(declared) and not getattr(config, "auto_map", None):
        raise ModelError(
            f"The model {named.text!r} is a {declared[0]}: it does not write text, so it cannot be asked. "
            "Name a causal language model, or an encoder-decoder."
        )
