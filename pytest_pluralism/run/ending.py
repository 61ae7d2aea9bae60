"""Ends of a run that pytest does not see: SIGTERM, and a test that ends or replaces its process."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import pytest

__all__ = ["EarlyExit", "Termination"]


class Terminated(KeyboardInterrupt):
    """Raised where the run is when it is told to end."""


class Termination:
    """Heeds SIGTERM, which ends a process at once by default; a handler of somebody else's stays."""

    def __init__(self) -> None:
        self._owner: int | None = None
        self.came = False

    def heed(self) -> None:
        """End this run in order from now on when it is told to end."""
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._owner = os.getpid()
            signal.signal(signal.SIGTERM, self._told)

    def ignore(self) -> None:
        """Let SIGTERM end this process at once again."""
        if self._owner == os.getpid():
            self._owner = None
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _told(self, number: int, frame: FrameType | None) -> None:
        # The second time it ends at once, and so does a process that a test has forked.
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() != self._owner:
            os.kill(os.getpid(), number)
            return
        self._owner = None
        self.came = True
        raise Terminated("the run was told to end (SIGTERM)")


class EarlyExit:
    """Lets a process that ends with ``os._exit(0)`` fail while promises are judged: nothing else would see it.

    Nor would anything see a process that becomes another program (``os.execv`` and its like): while tests are collected
    and run, that is refused. A process that a test has forked does as it likes.

    Parameters
    ----------
    config : pytest.Config
        The run, whose capturing would hide the reason.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._owner: int | None = None
        self._end: Callable[[int], object] = os._exit
        #: The functions of ``os`` by which a process becomes another program; the others call these.
        self._become: dict[str, Callable[..., NoReturn]] = {}

    def watch(self) -> None:
        """Watch this process from now on."""
        if self._owner is None:
            self._owner, self._end = os.getpid(), os._exit
            os._exit = self._exit  # type: ignore[assignment]

    def keep(self) -> None:
        """Keep this process from becoming another program from now on: other plugins may restart it earlier."""
        if not self._become:
            for name in ("execv", "execve"):
                self._become[name] = getattr(os, name)
                setattr(os, name, self._refusing(name))

    def ignore(self) -> None:
        """Let this process end as it likes again."""
        for name, become in self._become.items():
            setattr(os, name, become)
        self._become.clear()
        if self._owner is not None and os._exit == self._exit:
            os._exit = self._end  # type: ignore[assignment]
        self._owner = None

    def _refusing(self, name: str) -> Callable[..., NoReturn]:
        become = self._become[name]

        def refused(*arguments: object) -> NoReturn:
            if os.getpid() != self._owner:
                become(*arguments)
            raise RuntimeError(
                f"os.{name} would end this run before all promises are judged. Start the program in a process of its "
                "own: subprocess.run(...)."
            )

        return refused

    def _exit(self, status: int) -> None:
        # A system keeps the lowest eight bits.
        if os.getpid() == self._owner and not status & 0xFF:
            status = int(pytest.ExitCode.TESTS_FAILED)
            with contextlib.suppress(Exception):
                self._say("pluralism: os._exit ended the run before all promises were judged, so that it fails.")
        self._end(status)

    def _say(self, line: str) -> None:
        sys.stdout.flush()
        manager = self._config.pluginmanager.getplugin("capturemanager")
        if manager is not None:
            manager.suspend_global_capture(in_=True)
        print(f"\n{line}", file=sys.__stderr__, flush=True)
