"""One owner for each model among the workers of pytest-xdist, so that ``-n 4`` holds it in memory once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

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


class Gateway(Protocol):
    """The channel between the controller and a worker of pytest-xdist."""

    id: str

    def newchannel(self) -> Channel:
        """Return a new channel to the worker."""


class Channel(Protocol):
    """One channel of a gateway."""

    def setcallback(self, callback: Callable[[str], None], /) -> None:
        """Call a function with each text that arrives."""


class WorkerNode(Protocol):
    """A worker of pytest-xdist as the controller sees it."""

    gateway: Gateway
    workerinput: dict[str, object]
    shutting_down: bool

    def shutdown(self) -> None:
        """Tell the worker to end after its tests."""


def make_scheduler(config: pytest.Config, log: object, names: Sequence[str], /) -> object:
    """Return a scheduler that gives all tests of a model to one worker, and the others out as ``--dist`` says."""
    from xdist.scheduler import LoadScopeScheduling

    otherwise = MODES[config.getoption("dist")]

    class OneOwner(LoadScopeScheduling):  # type: ignore[misc]
        """Keeps the tests of a model together, and gives what a worker that died has left to the next one."""

        def _split_scope(self, nodeid: str) -> str:
            model = group_of(nodeid, names)
            # The blank keeps it apart from every scope that is a node id.
            return otherwise(nodeid) if model is None else f"model {model}"

        def add_node_collection(self, node: WorkerNode, collection: Sequence[str]) -> None:
            """Give no work to a worker that replaces another and found other tests, and wait for none of it."""
            super().add_node_collection(node, collection)
            if node not in self.registered_collections:
                node.shutdown()
                if not any(self._takes_work(other) for other in self.nodes):
                    self.workqueue.clear()

        def remove_node(self, node: WorkerNode) -> str | None:
            """Put back what a worker has left, without the test that it died in, and return that one."""
            # pytest-xdist itself puts back tests that are done, and a worker that gets none but these waits for ever.
            units = self.assigned_work.pop(node).values()
            left = [nodeid for unit in units for nodeid, done in unit.items() if not done]
            for nodeid in left[1:]:
                self._put_back(nodeid)
            for other in self.nodes:
                self._reschedule(other)
            return left[0] if left else None

        def mark_test_pending(self, item: str) -> None:
            """Let a test that a worker died in run again, as pytest-rerunfailures asks for."""
            scope = self._split_scope(item)
            owners = (one for one in self.nodes if self._takes_work(one) and scope in self.assigned_work[one])
            owner = next(owners, None)
            if owner is None:
                self._put_back(item)
            else:
                self.assigned_work[owner][scope][item] = False
                owner.send_runtest_some([self.registered_collections[owner].index(item)])

        def _put_back(self, nodeid: str) -> None:
            self.workqueue.setdefault(self._split_scope(nodeid), {})[nodeid] = False

        def _takes_work(self, node: WorkerNode) -> bool:
            # A worker that replaces another one collects its tests first.
            return node in self.registered_collections and not node.shutting_down

        def _reschedule(self, node: WorkerNode) -> None:
            if not self._takes_work(node):
                return
            # A worker begins with a test when it has the next one, or knows that there is none.
            while self.workqueue and self._pending_of(self.assigned_work[node]) < 2:
                self._assign_work_unit(node)
            if not self.workqueue:
                node.shutdown()

    return OneOwner(config, log)
