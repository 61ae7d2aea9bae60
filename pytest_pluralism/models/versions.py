"""Versions of the packages that are installed, without importing them."""

from __future__ import annotations

import functools
from importlib.metadata import PackageNotFoundError, version

__all__ = ["package_version"]


@functools.cache
def package_version(name: str, /) -> str:
    """Return the version of an installed package without importing it; empty where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
