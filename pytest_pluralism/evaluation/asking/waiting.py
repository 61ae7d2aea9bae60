"""Wait for a model no longer than a time limit, and end the wait where it gives nothing."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.protocol import Progress

if TYPE_CHECKING:
    from pytest_pluralism.evaluation.asking.rounds import Identified

__all__ = ["HangingModelError", "Patience"]

Keep = Callable[[Sequence[tuple[Any, Any]]], None]


class HangingModelError(ModelError):
    """A model gave nothing within the time limit."""


class Patience:
    """The time limit of a run for each batch of its models.

    A model is asked in a thread of its own; its results are kept in the calling thread. A thread cannot be stopped from
    outside, so a model that hangs is not asked again, and not closed.

    Parameters
    ----------
    seconds : float or None
        The time limit, from one sign of life (a batch, or a step of progress) to the next; ``None`` waits forever.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._hanging: list[tuple[object, HangingModelError]] = []

    def hangs(self, model: object, /) -> bool:
        """Return whether a model gave nothing within the time limit."""
        return any(one is model for one, _ in self._hanging)

    def ask(
        self,
        model: Identified,
        ask: Callable[[Progress | None, Keep], object],
        progress: Progress | None,
        keep: Keep,
        /,
        *,
        wanted: int,
        is_stored: bool,
    ) -> None:
        """Ask a model through ``ask(progress, keep)``, and wait for it.

        Raises
        ------
        HangingModelError
            The model gave nothing within the time limit, now or before in this run; the message says how many of the
            ``wanted`` results are kept, and whether the answer store has them.
        """
        for one, error in self._hanging:
            if one is model:
                raise error
        if self.seconds is None:
            ask(progress, keep)
            return
        signs: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        left = threading.Event()

        def send(kind: str, content: Any) -> None:
            # Nobody waits for the results of a model that comes back after the time limit.
            if left.is_set():
                raise SystemExit
            signs.put((kind, content))

        def work() -> None:
            try:
                ask(lambda done, total: send("progress", (done, total)), lambda pairs: send("pairs", pairs))
                signs.put(("end", None))
            except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
                signs.put(("error", error))

        n_kept = 0
        threading.Thread(target=work, name="pluralism-model", daemon=True).start()
        try:
            while (sign := signs.get(timeout=self.seconds))[0] != "end":
                kind, content = sign
                if kind == "error":
                    raise content
                if kind == "pairs":
                    keep(content)
                    n_kept += len(content)
                elif progress is not None:
                    progress(*content)
        except queue.Empty:
            kept = "are kept in the answer store" if is_stored else "are known to this run only"
            hangs = HangingModelError(
                f"{model.identity.name} gave nothing for {self.seconds:g} s (--pluralism-batch-timeout): it hangs, and "
                f"is not asked again in this run. {n_kept} of {wanted} results came before and {kept}. Look into the "
                "model, or allow more seconds, and run again."
            )
            self._hanging.append((model, hangs))
            raise hangs from None
        finally:
            left.set()
