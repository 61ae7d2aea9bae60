"""Devices: which one a model runs on, and whether it fits."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
from pathlib import Path

from pytest_pluralism.core.errors import ModelError, unknown_name
from pytest_pluralism.models.local.files import read_json


def release_memory(kind: str) -> None:
    """Give freed memory back to the device and the system: kept, it would come on top of that of the next model."""
    import torch

    gc.collect()
    if kind == "cuda":
        torch.cuda.empty_cache()
    # glibc keeps what was freed.
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there was not enough memory, on any device."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


# ------------------------------------------------------------------------------------------------------ where it runs


def chosen_device(name: str) -> str:
    """Return the device to use, having checked that it is there."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "sharded":
        if torch.cuda.is_available():
            return "cuda"
        raise ModelError(
            f"No device to spread a model over is there: torch {torch.__version__} sees no CUDA device. "
            "Use --pluralism-device=auto, which takes what there is, or cpu."
        )
    if not isinstance(name, str) or not re.fullmatch(r"(cpu|mps|cuda(:\d+)?|xpu(:\d+)?)", name):
        kind = str(name).partition(":")[0]
        raise ModelError(
            f"{unknown_name('device', kind, ('auto', 'cpu', 'cuda', 'mps', 'sharded', 'xpu'))} Got {name!r}."
        )
    kind, _, number = name.partition(":")
    remedy = "Use --pluralism-device=auto, which takes what there is, or cpu."
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise ModelError(
                f"The device {name!r} is not there: torch {torch.__version__} sees no CUDA device. {remedy}"
            )
        if number and int(number) >= torch.cuda.device_count():
            raise ModelError(
                f"The device {name!r} is not there: torch sees {torch.cuda.device_count()} CUDA devices, "
                f"counted from 0. {remedy}"
            )
    elif kind != "cpu":
        backend = getattr(torch, kind, None) if kind == "xpu" else torch.backends.mps
        if backend is None or not backend.is_available():
            raise ModelError(f"The device {name!r} is not there. {remedy}")
    return name


def too_large_for_one(folder: Path, device: str, dtype: str) -> bool:
    """Return whether weights fill more of the first of several devices than leaves room to work in."""
    import torch

    if device != "cuda" or torch.cuda.device_count() < 2:
        return False
    config = read_json(folder / "config.json")
    stored = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    wanted = stored if dtype == "auto" else dtype
    n_bytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    # A checkpoint in an 8-bit format is counted as it lies there.
    widths = {"float32": 4, "bfloat16": 2, "float16": 2}
    needed = n_bytes * widths.get(wanted, 1) / widths.get(stored, 1)
    free, _ = torch.cuda.mem_get_info(0)
    return needed > 0.8 * int(free)
