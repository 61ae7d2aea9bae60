"""The types of JSON objects: details of units, entries of reports and baselines, rows of recordings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

__all__ = ["JsonFields", "JsonObject"]

#: A JSON object: names and plain values. A schema or the reader checks the values; the types do not know them.
JsonObject: TypeAlias = Mapping[str, Any]

#: A JSON object that is made: names and plain values, which a file or report will hold.
JsonFields: TypeAlias = dict[str, Any]
