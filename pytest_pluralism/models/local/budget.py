"""The token budget of a forward pass: measured in a few forwards, halved when memory runs out. No torch here.

More tokens at once use a device better, up to a size from which on they cost memory alone; where that is depends on the
network and the device.
So forwards of growing size are timed, while they stay a small part of the work that is waiting, and the smallest size
that is about as fast as the best one is taken.
"""

from __future__ import annotations

import itertools
import math

from pytest_pluralism.core.records.plain import JsonFields
from pytest_pluralism.models.measured import MeasuredFile

__all__ = ["TokenBudget"]

#: The smallest and the largest size that is tried, and what is taken where nothing was measured.
SIZES = {"cpu": (512, 8192, 2048)}
OTHER_SIZES = (2048, 262144, 16384)

#: A measurement may cost so large a part of the tokens that are waiting to be computed.
SHARE = 0.05

#: Number of times that every size is timed; the fastest counts: a machine is disturbed now and then, never hurried.
REPEATS = 2

#: A size that is slower by less than this share is as good; one that is faster by less is not a gain.
SLACK = 0.05

#: A batch of keys and values beyond this was not measured by us.
MOST_TOKENS = 2**26


class TokenBudget:
    """The token budget of one network on one device.

    Parameters
    ----------
    device : str
        The kind of device: ``"cpu"``, ``"cuda"``, ...
    kept : MeasuredFile or None
        Where the measurement is kept between runs; with ``None`` nothing is measured and nothing kept.

    Attributes
    ----------
    tokens : int
        How many tokens one forward may have.
    cached_tokens : int or None
        How many keys and values the rows of a batch that writes texts may have together, once memory ran out there.
    """

    def __init__(self, device: str, /, *, kept: MeasuredFile | None = None) -> None:
        self.smallest, self.largest, self.default = SIZES.get(device, OTHER_SIZES)
        self.tokens = self.default
        self.cached_tokens: int | None = None
        self.kept = kept
        #: Sizes in tokens, ascending, and the tokens a second of each.
        self.rates: list[tuple[int, float]] = []
        self.complete = False
        #: The smallest forward for which there was no memory.
        self.no_memory_for: int | None = None
        self.notes: list[str] = []
        if kept is not None:
            self._recall(kept)

    def next_size(self, planned: int, spent: int, /) -> int | None:
        """Return the size to time next, or ``None`` when enough is known or it would not pay off.

        ``planned`` tokens wait to be computed, and ``spent`` have been used for measuring.
        """
        if self.kept is None or self.complete:
            return None
        size = 2 * self.rates[-1][0] if self.rates else self.smallest
        if size > self.largest or (self.no_memory_for is not None and size >= self.no_memory_for):
            return None
        return size if spent + REPEATS * size <= SHARE * planned else None

    def record(self, size: int, tokens_per_second: float, /) -> None:
        """Take in how fast forwards of a size are."""
        self.rates.append((size, tokens_per_second))
        rates = [rate for _, rate in self.rates]
        flat = len(rates) >= 3 and max(rates[-2:]) < (1 + SLACK) * max(rates[:-2])
        self.complete = flat or 2 * size > self.largest
        self._choose()

    def no_room(self) -> None:
        """Take in that the next size would not fit into the free memory."""
        self.complete = True
        self._choose()

    def no_memory_while_measuring(self, size: int, /) -> None:
        """Take in that there was no memory for a size that was only tried."""
        self.no_memory_for = size
        self.complete = True
        self._choose()

    def no_memory(self, size: int, /) -> None:
        """Halve the budget: there was no memory for a forward of a size. The new budget is kept at once."""
        self.no_memory_for = size if self.no_memory_for is None else min(size, self.no_memory_for)
        self.tokens = max(1, min(self.tokens, size) // 2)
        self.keep()

    def no_memory_while_writing(self, cached: int, /) -> None:
        """Halve the keys and values that rows which are being written may have."""
        self.cached_tokens = max(1, cached // 2)
        self.keep()

    def keep(self) -> None:
        """Write down what is known, for the next run."""
        if self.kept is None:
            return
        note = self.kept.write(
            {
                "tokens": self.tokens,
                "cached_tokens": self.cached_tokens,
                "rates": [[size, float(f"{rate:.4g}")] for size, rate in self.rates],
                "complete": self.complete,
                "no_memory_for": self.no_memory_for,
            }
        )
        if note and note not in self.notes:
            self.notes.append(note)

    def _choose(self) -> None:
        if len(self.rates) < 3 and not self.complete:
            return
        best = max((rate for _, rate in self.rates), default=0.0)
        chosen = next((size for size, rate in self.rates if rate >= (1 - SLACK) * best), self.smallest)
        if not self.complete and chosen == self.rates[-1][0]:
            # It was still growing where the measurement stopped.
            chosen = max(chosen, self.default)
        if self.no_memory_for is not None:
            chosen = min(chosen, self.no_memory_for // 2)
        self.tokens = max(1, chosen)

    def _recall(self, kept: MeasuredFile) -> None:
        content, note = kept.read()
        if content is not None:
            try:
                self._take_over(content)
            except (ValueError, TypeError, KeyError, OverflowError):
                note = f"what was measured before is damaged, so it is measured again: {kept.path}"
        if note:
            self.notes.append(note)

    def _take_over(self, content: JsonFields) -> None:
        rates = [(_count(size), float(rate)) for size, rate in content["rates"]]
        ascending = all(a < b for (a, _), (b, _) in itertools.pairwise(rates))
        if not ascending or not all(math.isfinite(rate) and rate > 0 for _, rate in rates):
            raise ValueError
        if not isinstance(content["complete"], bool):
            raise TypeError
        tokens = _count(content["tokens"])
        cached, no_memory = (
            None if content[name] is None else _count(content[name]) for name in ("cached_tokens", "no_memory_for")
        )
        self.tokens, self.cached_tokens, self.no_memory_for = tokens, cached, no_memory
        self.rates, self.complete = rates, content["complete"]


def _count(value: object) -> int:
    if type(value) is not int or not 1 <= value <= MOST_TOKENS:
        raise ValueError
    return value
