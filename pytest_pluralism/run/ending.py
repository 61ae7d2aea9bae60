"""A run that is told to end (SIGTERM) ends as after Ctrl-C, so that what it has judged is written."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

__all__ = ["Termination"]


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
