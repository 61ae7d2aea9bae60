"""Settings of a jury: the measure, and the jurors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.metrics.sparse_welfare import WelfareRule
from pytest_pluralism.core.parameters import unit_interval
from pytest_pluralism.evaluation.surveys.asking import AskSettings

__all__ = ["JurySettings"]

#: More sampled juries than this change the median by less than anybody reads.
MOST_JURIES = 100_000


@dataclass(frozen=True)
class JurySettings:
    """Settings of a jury: the measure, and the jurors.

    Attributes
    ----------
    rule : WelfareRule
        How utilities become one number.
    by : str or None
        The kind of group; by default ``"group"``, or the first kind that every juror has and not everyone alone.
    group : str or None
        Measure the welfare of this group alone.
    whole_jury : bool
        The jurors are all there are: the interval is over queries only. ``False`` takes them for a sample of more.
    composition : mapping or None
        Seats by group: the value is the median over sampled juries of this composition of the mean utility. A missing
        vote is missing: its seat goes to another juror of the group who judged the response, and where too few of a
        group did, the response has no value.
    n_juries : int
        How many juries are sampled.
    asking : AskSettings
        How a model is asked to choose.
    least_votes : int or None
        A query is left out, and counted, where a response that is given has votes, but fewer than these. ``None`` is 2
        where the welfare is not a mean of the votes (an ``alpha`` above 0, ``worst_share``), else 1.
    seed : int
        Of everything that is drawn here.
    confidence_level : float
        Of the bands in the report.

    Raises
    ------
    InvalidParameterError
        If a number is out of its range, or one group alone is to be measured by a rule that compares groups.
    """

    rule: WelfareRule = field(default_factory=WelfareRule)
    by: str | None = None
    group: str | None = None
    whole_jury: bool = False
    composition: Mapping[str, int] | None = None
    n_juries: int = 200
    least_votes: int | None = None
    asking: AskSettings = field(default_factory=AskSettings)
    seed: int = 0
    confidence_level: float = 0.95

    def __post_init__(self) -> None:
        n_juries = self.n_juries
        if isinstance(n_juries, bool) or not isinstance(n_juries, int) or not 1 <= n_juries <= MOST_JURIES:
            must = f"an integer in [1, {MOST_JURIES}]"
            raise invalid_parameter("n_juries", "jury_welfare", must, repr(n_juries)[:60])
        votes = self.least_votes
        if votes is not None and (isinstance(votes, bool) or not isinstance(votes, int) or votes < 1):
            raise invalid_parameter("least_votes", "jury_welfare", "an integer of at least 1", repr(votes)[:60])
        unit_interval(self.confidence_level, name="confidence_level", function="JurySettings")
        several = "composition" if self.composition is not None else "between_alpha"
        if self.group is not None and (self.composition is not None or self.rule.between_alpha is not None):
            raise InvalidParameterError(
                f"'population' measures one group alone (Got {self.group!r}), and {several!r} needs several groups. "
                "Leave one of the two out, or write two tests."
            )

    @property
    def votes_needed(self) -> int:
        """The least number of votes of a response that is given."""
        if self.least_votes is not None:
            return self.least_votes
        rule = self.rule
        is_mean = self.composition is not None or rule.satisfied_above is not None
        return 1 if is_mean or (rule.worst_share is None and not rule.alpha and not rule.between_alpha) else 2

    @property
    def rule_words(self) -> str:
        """The rule in words, with the seats of a stated composition."""
        if self.composition is None:
            return self.rule.words
        seats = ", ".join(f"{seat} {name}" for name, seat in self.composition.items())
        return f"median over {self.n_juries} juries of {seats} of the mean utility"

    def as_json(self) -> dict[str, object]:
        """Return the settings as plain JSON values."""
        return {
            **self.asking.as_json(),
            "rule": self.rule_words,
            "by": self.by,
            "jury": "whole" if self.whole_jury else "sample",
            "least_votes": self.votes_needed,
        }
