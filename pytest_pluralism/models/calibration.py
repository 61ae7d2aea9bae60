"""The errors of an entailment model, as one JSON file beside it says them."""

from __future__ import annotations

import json
from pathlib import Path

from pytest_pluralism.core.errors import ModelError, PluralismError
from pytest_pluralism.core.records.calibration import JudgeCalibration
from pytest_pluralism.models.embedded import find_embedded_entailment
from pytest_pluralism.models.specification import parse_entailment_spec

__all__ = ["CALIBRATION_FILE", "SCHEMA", "calibration_of", "calibration_text", "read_calibration"]

#: The name of the file in the folder of a model.
CALIBRATION_FILE = "judge_calibration.json"

SCHEMA = "pytest-pluralism/judge-calibration/1"

_FIELDS = tuple(JudgeCalibration.__dataclass_fields__)

#: A calibration is a few numbers.
_MOST_BYTES = 100_000


def read_calibration(folder: Path, /) -> JudgeCalibration | None:
    """Return the calibration in the folder of a model, or ``None`` where there is none.

    Parameters
    ----------
    folder : Path
        The folder of the model.

    Raises
    ------
    ModelError
        The file is not a calibration: it is not JSON, of another schema, lacks a field or has a wrong one.
    """
    file = folder / CALIBRATION_FILE
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error}).") from None
    if len(content) > _MOST_BYTES:
        raise ModelError(f"{file}: has {len(content)} bytes, more than the {_MOST_BYTES} of a calibration.")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file}: is not JSON ({error}). Write it again, or remove it.") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        schema = found.get("schema") if isinstance(found, dict) else None
        raise ModelError(f"{file}: the 'schema' must be {SCHEMA!r}. Got {schema!r} instead.")
    odd = sorted(found.keys() - {"schema", *_FIELDS})
    lacking = sorted(set(_FIELDS) - {"model_sha256"} - found.keys())
    if odd or lacking:
        told = [f"lacks {', '.join(map(repr, lacking))}"] if lacking else []
        told += [f"has the unknown {', '.join(map(repr, odd))}"] if odd else []
        raise ModelError(f"{file}: {' and '.join(told)}. A calibration has {', '.join(map(repr, _FIELDS))}.")
    try:
        return JudgeCalibration(**{name: found[name] for name in _FIELDS if name in found})
    except PluralismError as error:
        raise ModelError(f"{file}: {error}") from None


def calibration_of(spec: str, /) -> JudgeCalibration | None:
    """Return the calibration beside the model that a spec names; ``None`` for models that are not in a folder here.

    Raises
    ------
    ModelError
        The file is not a calibration.
    """
    try:
        named, _ = parse_entailment_spec(spec)
    except ModelError:
        # A hook of the project loaded it, and no folder is named.
        return None
    if named.kind == "embedded":
        return read_calibration(find_embedded_entailment(named.target))
    folder = Path(named.target).expanduser()
    return read_calibration(folder) if named.kind == "folder" and folder.is_dir() else None


def calibration_text(calibration: JudgeCalibration, /) -> str:
    """Return the content of the file that says a calibration."""
    fields = {name: getattr(calibration, name) for name in _FIELDS}
    return json.dumps({"schema": SCHEMA, **fields}, indent=1) + "\n"
