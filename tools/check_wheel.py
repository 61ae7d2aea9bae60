"""Check what the installed distribution holds: the package and nothing else.

Run it with the Python of the environment into which the wheel was installed, from another folder than the checkout::

    python tools/check_wheel.py CHECKOUT
"""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest_pluralism


def main(checkout: str) -> int:
    """Return 0 when the installed files are those of the package."""
    distribution = importlib.metadata.distribution("pytest-pluralism")
    tops = {file.parts[0] for file in distribution.files or () if ".." not in file.parts}
    extra = {top for top in tops if top != "pytest_pluralism" and not top.endswith(".dist-info")}
    source = Path(checkout, "pytest_pluralism").resolve()
    installed = Path(pytest_pluralism.__file__).resolve().parent
    if installed == source:
        print("the source tree is being tested, not the wheel", file=sys.stderr)
        return 1
    wanted = {path.relative_to(source).as_posix() for path in source.rglob("*.py")}
    data = (
        "*.pyi",
        "*.schema.json",
        "datasets/*.jsonl",
        "report/page/*",
        "packaged/*.gz",
        "parties/*.jsonl",
        "suites/*/*.ini",
    )
    for pattern in data:
        wanted |= {path.relative_to(source).as_posix() for path in source.rglob(pattern)}
    wanted.add("py.typed")
    there = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    missing = wanted - there
    if extra or missing:
        print(f"unexpected: {sorted(extra)}; missing: {sorted(missing)}", file=sys.stderr)
        return 1
    print(f"the wheel holds pytest_pluralism alone: {len(wanted)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
