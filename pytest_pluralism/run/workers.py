"""One owner for each model among the workers of pytest-xdist, so that ``-n 4`` holds it in memory once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

__all__ = ["group_of", "has_owners", "make_scheduler"]

#: The ways to distribute that we do for pytest-xdist; ``each`` means each worker on purpose.
MODES: dict[str, Callable[[str], str]] = {
    "load": lambda nodeid: nodeid,
    "worksteal": lambda nodeid: nodeid,
    "loadfile": lambda nodeid: nodeid.partition("::")[0],
    "loadscope": lambda nodeid: nodeid.rpartition("::")[0] or nodeid,
    "loadgroup": lambda nodeid: nodeid.rpartition("@")[2] if nodeid.rfind("@") > nodeid.rfind("]") else nodeid,
}


def group_of(nodeid: str, names: Sequence[str], /) -> str | None:
    """Return the model in the brackets of a node id: the longest of the names that stands there as a whole.

    Examples
    --------
    >>> group_of("test_gate.py::test_it[gemma-3-270m-North]", ["gemma", "gemma-3-270m"])
    'gemma-3-270m'
    >>> group_of("test_gate.py::test_it[gemma-4]", ["gemma-3-270m"])
    """
    inside = f"-{nodeid.partition('[')[2].rpartition(']')[0]}-"
    return max((name for name in names if f"-{name}-" in inside), key=len, default=None)


def has_owners(config: pytest.Config, names: Sequence[str], /) -> bool:
    """Return whether each model has one worker: not with ``--dist each``, or a scheduler of the project's own."""
    if not names or config.getoption("dist", "no") not in MODES:
        return False
    schedulers = config.hook.pytest_xdist_make_scheduler.get_hookimpls()
    return all(impl.plugin_name in {"pluralism-controller", "dsession"} for impl in schedulers)


def make_scheduler(config: pytest.Config, log: Any, names: Sequence[str], /) -> Any:
    """Return a scheduler that gives all tests of a model to one worker, and the others out as ``--dist`` says."""
    from xdist.scheduler import LoadScopeScheduling

    otherwise = MODES[config.getoption("dist")]

    class OneOwner(LoadScopeScheduling):  # type: ignore[misc]
        """Keeps the tests of a model together."""

        def _split_scope(self, nodeid: str) -> str:
            model = group_of(nodeid, names)
            # The blank keeps it apart from every scope that is a node id.
            return otherwise(nodeid) if model is None else f"model {model}"

    return OneOwner(config, log)
