"""The first screen of a report: may this model be released, why not, and what changed since its baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_pluralism.report.cells import Entry, Ours

__all__ = ["KEPT", "OUTCOMES", "Decision", "Judged", "decisions", "moved_of", "source_words"]

#: The outcomes of promises, the worst first.
OUTCOMES = ("failed", "error", "inconclusive", "stored", "passed")

#: The outcomes that break no promise.
KEPT = ("stored", "passed")

#: The most reasons that a banner shows.
MOST_REASONS = 3

#: The beginning of each headline that lets no model pass, and of each that lets one pass.
_REFUSED, _ALLOWED = "Do not release: ", "May be released: "

#: A commit as people write it.
COMMIT_CHARACTERS = 12


@dataclass(frozen=True)
class Judged:
    """The facts of one promise that a decision needs.

    ``moved`` is 1 where the measure got better than its baseline with confidence, -1 where it got worse, 0 where the
    interval of the change holds 0, and ``None`` without a change. ``witness`` is the worst question, ``who`` the worst
    group or objective; one of the two is empty.
    """

    number: int
    model: str
    outcome: str
    title: str
    decided: str
    promise: str
    witness: str = ""
    who: str = ""
    said: str = ""
    has_warnings: bool = False
    moved: int | None = None


@dataclass(frozen=True)
class Decision:
    """The answer of a report to the release of one model.

    ``outcome`` is the worst outcome of its promises, ``headline`` the answer in one sentence, ``reasons`` the promises
    that decide, and ``changes`` and ``warnings`` one sentence each, or empty.
    """

    model: str
    outcome: str
    headline: str
    reasons: tuple[Judged, ...]
    left_out: int
    changes: str
    warnings: str


def decisions(
    judged: Sequence[Judged], *, complete: bool, lets_pass: bool = False, failed_tests: int = 0
) -> tuple[Decision, ...]:
    """Return the decision about each model of a report, in the order of the models.

    Parameters
    ----------
    judged : sequence of Judged
        The promises of the report.
    complete : bool
        False where the run did not come to its end: then no model may be released.
    lets_pass : bool, default False
        True where undecided promises do not fail their tests (``--pluralism-inconclusive``).
    failed_tests : int, default 0
        Number of tests of the run that failed although no promise of theirs is broken: then no model may be released.
    """
    models = dict.fromkeys(one.model for one in judged)
    return tuple(
        _decision(model, [one for one in judged if one.model == model], complete, lets_pass, failed_tests)
        for model in models
    )


def _decision(model: str, judged: Sequence[Judged], complete: bool, lets_pass: bool, failed_tests: int) -> Decision:
    # The worst first, as in the list of outcomes.
    worst = min((one.outcome for one in judged), key=OUTCOMES.index)
    outcome, headline = worst, _headline(judged, worst, complete, lets_pass)
    if not complete and worst in KEPT:
        outcome = "inconclusive"
    elif failed_tests and not headline.startswith(_REFUSED):
        some = "another test of the run" if failed_tests == 1 else f"{failed_tests:,} other tests of the run"
        rest = headline.removeprefix(_ALLOWED)
        outcome, headline = "failed", Ours(f"{_REFUSED}{some} failed; {rest[0].lower()}{rest[1:]}")
    reasons = [one for one in judged if one.outcome not in KEPT]
    reasons.sort(key=lambda one: OUTCOMES.index(one.outcome))
    return Decision(
        model,
        outcome,
        headline,
        tuple(reasons[:MOST_REASONS]),
        max(len(reasons) - MOST_REASONS, 0),
        _changes([one.moved for one in judged if one.moved is not None]),
        _warned(sum(one.has_warnings for one in judged)),
    )


def _headline(judged: Sequence[Judged], worst: str, complete: bool, lets_pass: bool) -> str:
    n, count = len(judged), sum(one.outcome == worst for one in judged)
    some = "the only promise is" if n == 1 else f"{count} of {n:,} promises {'is' if count == 1 else 'are'}"
    if not complete:
        return Ours(f"{_REFUSED}the run did not come to its end, and verdicts are missing")
    if worst == "passed":
        return Ours(f"{_ALLOWED}{'the only promise is' if n == 1 else f'all {n} promises are'} kept")
    if worst == "stored":
        which = "the only promise has" if n == 1 else f"{count} of {n:,} promises {'has' if count == 1 else 'have'}"
        return Ours(f"Stored as the baseline: {which} nothing to be compared with yet")
    if worst == "inconclusive" and lets_pass:
        return Ours(f"No promise is broken; {some} too close to call, which this run lets pass")
    words = {"failed": "broken", "inconclusive": "too close to call", "error": "not computed"}[worst]
    return Ours(f"{_REFUSED}{some} {words}")


def _warned(count: int) -> str:
    words = "carries a warning" if count == 1 else "carry warnings"
    return Ours(f"{_promises(count)} {words}.") if count else ""


def _changes(moved: Sequence[int]) -> str:
    if not moved:
        return ""
    worse, better = sum(step < 0 for step in moved), sum(step > 0 for step in moved)
    if not worse and not better:
        return Ours("Since the baseline, no measure has changed beyond its interval.")
    parts = [f"{n} got {word}" for n, word in ((worse, "worse"), (better, "better")) if n]
    first = worse or better
    parts[0] = parts[0].replace(" got", f" measure{'s' * (first != 1)} got", 1)
    same = len(moved) - worse - better
    rest = f"; {same} did not change beyond {'its' if same == 1 else 'their'} interval" if same else ""
    return Ours(f"Since the baseline, {' and '.join(parts)}{rest}.")


def _promises(n: int) -> str:
    return f"{n:,} promise{'s' * (n != 1)}"


def moved_of(entry: Entry, /) -> int | None:
    """Return whether the change of a verdict is better (1), worse (-1) or neither (0) with confidence."""
    change = entry.get("change")
    if not change or change.get("low") is None or change.get("high") is None:
        return None
    up, down = change["low"] > 0, change["high"] < 0
    sign = int(up) - int(down)
    return sign if entry.get("direction") == "higher" else -sign


def source_words(run: Entry, /) -> Iterator[tuple[str, str, str]]:
    """Yield the commit, the job and the person of a run where they are known: name, words, and address or nothing."""
    source = run.get("source") or {}
    commit, job, actor = (source.get(name) for name in ("commit", "job", "actor"))
    if isinstance(commit, str) and commit:
        dirty = " with uncommitted changes" if source.get("dirty") else ""
        yield Ours("commit"), commit[:COMMIT_CHARACTERS] + dirty, ""
    if isinstance(job, str) and job:
        # Only these two kinds of address are ever a link.
        yield Ours("job"), job, job if job.startswith(("https://", "http://")) else ""
    if isinstance(actor, str) and actor:
        yield Ours("run by"), actor, ""
