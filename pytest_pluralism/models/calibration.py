"""The judges of an entailment model and their errors, as one JSON file beside the model says them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_pluralism.core.errors import ModelError, PluralismError
from pytest_pluralism.core.judges import JUDGES, CombinedJudge
from pytest_pluralism.core.records.calibration import JudgeCalibration
from pytest_pluralism.models.embedded import CALIBRATION_FILE, find_embedded_entailment
from pytest_pluralism.models.specification import parse_entailment_spec

if TYPE_CHECKING:
    from pytest_pluralism.core.records.plain import JsonObject

__all__ = ["CALIBRATION_FILE", "SCHEMA", "JudgeFile", "judges_of", "judges_text", "read_judges"]

SCHEMA = "pytest-pluralism/judge-calibration/2"

#: The first version holds the errors of the forward judge alone, beside the schema.
FIRST_SCHEMA = "pytest-pluralism/judge-calibration/1"

_FIELDS = tuple(JudgeCalibration.__dataclass_fields__)
_MAY_LACK = {
    *("model_sha256", "sensitivity_error", "specificity_error"),
    *("opposing_credit", "other_credit", "bend", "bend_error"),
}

#: A calibration is a few numbers.
_MOST_BYTES = 100_000


@dataclass(frozen=True)
class JudgeFile:
    """The judges that a file knows.

    Attributes
    ----------
    default : str
        The best of them by what was measured.
    judges : mapping of str to JudgeCalibration
        The errors of each, by its name among :data:`~pytest_pluralism.core.judges.JUDGES`.
    combined : CombinedJudge or None
        The weights of the combined judge.
    sha256 : str
        The hash of the file.
    """

    default: str
    judges: Mapping[str, JudgeCalibration]
    combined: CombinedJudge | None = None
    sha256: str = ""


def read_judges(file: Path, /) -> JudgeFile | None:
    """Return the judges of a file, or ``None`` where there is none.

    Parameters
    ----------
    file : Path
        The file.

    Raises
    ------
    ModelError
        The file is not a calibration: it is not JSON, of another schema, lacks a field or has a wrong one.
    """
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
    schema = found.get("schema") if isinstance(found, dict) else None
    sha256 = hashlib.sha256(content).hexdigest()
    if schema == FIRST_SCHEMA:
        fields = {name: value for name, value in found.items() if name != "schema"}
        return JudgeFile("forward", {"forward": _calibration(fields, str(file))}, sha256=sha256)
    if schema != SCHEMA:
        raise ModelError(f"{file}: the 'schema' must be {SCHEMA!r}. Got {schema!r} instead.")
    return _judges(found, str(file), sha256)


def _judges(found: JsonObject, where: str, sha256: str) -> JudgeFile:
    odd = sorted(found.keys() - {"schema", "default", "judges", "combined"})
    if odd:
        raise ModelError(f"{where}: has the unknown {odd[0]!r}. It may have 'default', 'judges' and 'combined'.")
    judges, default = found.get("judges"), found.get("default")
    if not isinstance(judges, dict) or not judges or not judges.keys() <= set(JUDGES):
        raise ModelError(f"{where}: 'judges' must hold calibrations of some of {', '.join(map(repr, JUDGES))}.")
    if default not in list(judges):
        raise ModelError(f"{where}: 'default' must be one of its judges, {', '.join(map(repr, judges))}.")
    combined = found.get("combined")
    if "combined" in judges and combined is None:
        raise ModelError(f"{where}: the judge 'combined' has no weights. Add them as 'combined'.")
    try:
        weights = None if combined is None else CombinedJudge(**combined)
    except (PluralismError, TypeError) as error:
        raise ModelError(f"{where}: 'combined': {error}") from None
    return JudgeFile(
        str(default),
        {name: _calibration(one, f"{where}: judge {name!r}") for name, one in judges.items()},
        weights,
        sha256,
    )


def _calibration(found: Any, where: str) -> JudgeCalibration:
    if not isinstance(found, dict):
        raise ModelError(f"{where}: a calibration must be an object.")
    odd = sorted(found.keys() - set(_FIELDS))
    lacking = sorted(set(_FIELDS) - _MAY_LACK - found.keys())
    if odd or lacking:
        told = [f"lacks {', '.join(map(repr, lacking))}"] if lacking else []
        told += [f"has the unknown {', '.join(map(repr, odd))}"] if odd else []
        raise ModelError(f"{where}: {' and '.join(told)}. A calibration has {', '.join(map(repr, _FIELDS))}.")
    try:
        return JudgeCalibration(**found)
    except PluralismError as error:
        raise ModelError(f"{where}: {error}") from None


def judges_of(spec: str | None, /) -> JudgeFile | None:
    """Return the judges beside the model that a spec names; ``None`` for models that are not in a folder here.

    Raises
    ------
    ModelError
        The file is not a calibration.
    """
    try:
        named, _ = parse_entailment_spec(spec or "")
    except ModelError:
        # A hook of the project loads it, and no folder is named.
        return None
    if named.kind == "embedded":
        return read_judges(find_embedded_entailment(named.target) / CALIBRATION_FILE)
    folder = Path(named.target).expanduser()
    return read_judges(folder / CALIBRATION_FILE) if named.kind == "folder" and folder.is_dir() else None


def judges_text(found: JudgeFile, /) -> str:
    """Return the content of the file that says judges."""
    content: dict[str, object] = {
        "schema": SCHEMA,
        "default": found.default,
        "judges": {
            name: {field: value for field in _FIELDS if (value := getattr(one, field)) is not None}
            for name, one in found.judges.items()
        },
    }
    if found.combined is not None:
        content["combined"] = {
            "intercept": found.combined.intercept,
            "weights": dict(found.combined.weights),
            "least_similarity": found.combined.least_similarity,
        }
    return json.dumps(content, indent=1) + "\n"
