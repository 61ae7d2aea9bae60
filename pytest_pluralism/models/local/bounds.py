"""Bounds on files of a model that were written to stop a run: sizes that nobody has, tokenizers that never end."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.local.files import INDEX, read_json
from pytest_pluralism.models.measured import MeasuredFile
from pytest_pluralism.models.specification import ModelSpec
from pytest_pluralism.models.versions import package_version

__all__ = ["check_sizes", "try_tokenizer"]

#: Numbers of parts of a network: layers, blocks and experts are built one by one before any weight is read.
_PARTS = re.compile(r"(n|num)_.*(layer|block|expert)s?(_.*)?|.*(layers|blocks|experts|depth)")

#: A network may have this many parts whatever its weights are called.
MOST_PARTS = 4096

#: Seconds for a tokenizer to be read and to read a few words, in a process of its own.
TOKENIZER_SECONDS = 20
#: Bytes of memory that it may take beside what it is read into.
TOKENIZER_BYTES = 4 << 30

#: Reads a tokenizer and a few words. An ordinary error comes again when the tokenizer is loaded, and is told there.
_TRIAL = """
import sys
try:
    from tokenizers import Tokenizer
except ImportError:
    sys.exit(0)
try:
    import resource
    bound = int(sys.argv[2]) + 40 * __import__("os").path.getsize(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, OSError, ValueError):
    pass
try:
    tokenizer = Tokenizer.from_file(sys.argv[1])
    for text in ("".join(map(chr, range(32, 127))), "Is it so?\\nA. Yes\\nAnswer: ", "\\u00e9\\u4e2d\\U0001f600"):
        tokenizer.encode(text)
except Exception:
    pass
except BaseException as error:
    sys.exit(str(error)[:200] or type(error).__name__)
"""


def check_sizes(folder: Path, named: ModelSpec, /) -> None:
    """Refuse a configuration with more layers, blocks or experts than the weights can have, or fewer than none.

    They would be built one by one, which never ends.

    Raises
    ------
    ModelError
        A number is negative, or larger than both :data:`MOST_PARTS` and four times the number of tensors.
    """
    sizes = [
        (name, size)
        for name, size in _numbers(read_json(folder / "config.json"))
        if _PARTS.fullmatch(name) and not 0 <= size <= MOST_PARTS
    ]
    n_tensors = _n_tensors(folder) if sizes else 0
    for name, size in sizes:
        if not 0 <= size <= 4 * n_tensors:
            raise ModelError(
                f"The config.json of the model {named.text!r} has {name}={size}, and its weights hold {n_tensors} "
                "tensors: they do not belong together. Fetch the folder again."
            )


def _numbers(content: dict[str, object]) -> Iterator[tuple[str, int]]:
    """Yield every whole number in a configuration with its name."""
    waiting = [content]
    while waiting:
        for name, value in waiting.pop().items():
            if isinstance(value, dict):
                waiting.append(value)
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, int) and not isinstance(one, bool):
                    yield name, one


def _n_tensors(folder: Path) -> int:
    """Return the number of tensors in the weights of a folder, as far as files tell without being read."""
    count = 0
    for path in folder.glob(f"*{INDEX}"):
        weight_map = read_json(path).get("weight_map")
        count += len(weight_map) if isinstance(weight_map, dict) else 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            # Each tensor has its offsets.
            count += stream.read(min(length, 1 << 28)).count(b"data_offsets")
    return count


def try_tokenizer(path: Path, named: ModelSpec, /) -> None:
    """Read a tokenizer.json in a process of its own, once for its content and the version of tokenizers.

    The library behind it may end the process at some files, and others make it write without end.

    Raises
    ------
    ModelError
        The process ended at it, or did not come to an end.
    """
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    kept = MeasuredFile("tokenizer", {"sha256": digest, "tokenizers": package_version("tokenizers")})
    if kept.read()[0] is not None:
        return
    command = [sys.executable, "-P", "-c", _TRIAL, str(path.resolve()), str(TOKENIZER_BYTES)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TOKENIZER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        why = f"did not read three short texts within {TOKENIZER_SECONDS} s"
    except OSError:
        # No other process can be started here.
        return
    else:
        if done.returncode == 0:
            kept.write({"works": 1})
            return
        last = json.dumps((done.stderr.strip().splitlines() or [""])[-1][:200])
        why = f"ended its process ({last})" if done.returncode == 1 else f"ended its process ({done.returncode})"
    raise ModelError(
        f"The tokenizer of the model {named.text!r} {why}. Its tokenizer.json is damaged, or made to stop a run: save "
        "the tokenizer anew with tokenizer.save_pretrained."
    )
