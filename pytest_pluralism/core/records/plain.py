"""The type of a JSON object that is read: details of units, entries of reports and baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

__all__ = ["JsonObject"]

#: A JSON object: names and plain values. A schema or the reader checks the values; the types do not know them.
JsonObject: TypeAlias = Mapping[str, Any]
