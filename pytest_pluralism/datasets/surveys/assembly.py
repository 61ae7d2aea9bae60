"""Check the questions that a reader of surveys found, and make the record of them: the one place for all readers."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from pytest_pluralism.core.alike import differing, look, look_alikes
from pytest_pluralism.core.errors import did_you_mean
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.core.records import AnswerDistribution, Question, Survey
from pytest_pluralism.datasets.fields import ANY_LIST, ANYTHING, Field, Fields, Kind, UnfitError, as_text, number, text
from pytest_pluralism.datasets.names import NAME, Names
from pytest_pluralism.datasets.reading import MOST_PROBLEMS, Problems, shown
from pytest_pluralism.datasets.surveys.refusals import (
    RefusalPolicy,
    Refusals,
    check_refusal_policy,
    detect_refusals,
    named_refusals,
)

__all__ = [
    "DISTRIBUTION",
    "QUESTION",
    "SUM_TOLERANCE",
    "ReadDistribution",
    "ReadQuestion",
    "assemble_survey",
    "one_line",
    "survey_sha256",
]

#: Maximum number of respondents: more people have never lived.
MOST_RESPONDENTS = 1e12

#: Number of the letters that label options.
MOST_LETTERS = 26

#: Largest distance of the sum of a distribution from 1, as rounding to three decimals explains it. Sums are rescaled.
SUM_TOLERANCE = 1.0e-3


@dataclass(frozen=True)
class ReadDistribution:
    """One distribution as a source gives it, unchecked."""

    population: Any
    probabilities: Any
    n_respondents: Any = None
    n_effective: Any = None


@dataclass(frozen=True)
class ReadQuestion:
    """One question as a source gives it, unchecked, and the place where it stands.

    ``refusals`` of ``None`` are detected from the options; a position of ``None`` belongs to a refusal.
    """

    question_id: Any
    text: Any
    options: Any
    distributions: Sequence[ReadDistribution]
    cluster: Any = None
    positions: Any = None
    refusals: Any = None
    where: str = ""


def assemble_survey(
    name: str,
    read: Iterable[ReadQuestion],
    /,
    *,
    problems: Problems,
    refusals: Refusals = "keep",
    source: str = "",
    default_population: str | None = None,
    leave_out_degenerate: bool = False,
    may_refuse: bool = True,
) -> Survey:
    """Check what was read, apply the policy for refusals, and make the record.

    Parameters
    ----------
    name : str
        The name of the survey.
    read : iterable of ReadQuestion
        The questions, in order.
    problems : Problems
        The problems that the reader has found; raised together with those that are found here.
    refusals : {"keep", "drop", "separate"} or sequence of str
        The policy for refusals, or the options that are refusals, which are dropped.
    source : str
        Where the answers come from.
    default_population : str or None
        The population of a test that names none.
        ``None`` becomes the only population of a survey that has one, and ``"all"`` for a survey of one question.
    leave_out_degenerate : bool
        Leave out questions with fewer than two options and distributions with nothing but refusals, and count them in
        ``source``, instead of refusing them: for sources that a user cannot correct.
    may_refuse : bool
        Say in ``source`` that no option is a refusal, where none is and the policy is not to keep them.

    Returns
    -------
    Survey
        With at least one question and one distribution.

    Raises
    ------
    DatasetError
        If anything is wrong; up to ten problems are named.
    InvalidParameterError
        If ``refusals`` is not a policy.
    """
    policy = check_refusal_policy(refusals, function="load_survey")
    names = () if isinstance(policy, str) else tuple(policy)
    gathered = _Gathered("drop" if names else cast("RefusalPolicy", policy), leave_out_degenerate, names)
    for item in read:
        gathered.add(item, problems)
    for name in names:
        if not named_refusals(list(gathered.refusals), [name]) and not problems.count:
            hint = did_you_mean(name, gathered.options, "; did you mean {!r}?")
            problems.add("", f"no question has the option {name!r}, which refusals= names{hint}")
    n_read, rows = gathered.n_read, gathered.rows
    questions, n_again = _in_clusters(gathered.questions)
    problems.raise_if_any("" if n_read else "holds no questions")
    if not questions:
        problems.add("", f"none of its {n_read} questions has two options and an answer")
        problems.raise_if_any()
    # Readers of tables say how many rows were read; the numbers stand in one list.
    joint = ", " if source.endswith(" rows") else f"{'; ' if source else ''}read: "
    source += f"{joint}{_counted(n_read, 'question')}, {_counted(gathered.n_rows, 'distribution')}"
    if gathered.few_options:
        source += f"; left out: {gathered.few_options} question(s) with fewer than two options"
    if gathered.only_refusals:
        source += f"; left out: {gathered.only_refusals} distribution(s) with nothing but refusals"
    for what, found in gathered.notes.items():
        source += f"; {len(found)} {what}, such as {found[0]!r}"
    if n_again:
        source += f"; {n_again} question(s) with the text and options of another, which move with it and are no more"
    if gathered.alike:
        source += f"; {gathered.alike} population(s) differ from another by case or look-alike letters alone"
    if gathered.policy != "keep" and (gathered.refusals or may_refuse):
        source += f"; {_told(gathered.refusals)}"
    populations = dict.fromkeys(row.population for row in rows)
    if default_population is None and len(populations) == 1:
        default_population = next(iter(populations))
    elif default_population is None and len(questions) == 1:
        default_population = "all"
    return Survey(
        name=name,
        questions=tuple(questions),
        distributions=tuple(rows),
        sha256=survey_sha256(questions, rows),
        source=source,
        default_population=default_population,
    )


def _in_clusters(questions: Sequence[Question]) -> tuple[list[Question], int]:
    """Return questions of which those with the same text and options are one cluster, and how many are another again.

    A model gives them one and the same answer, so that they are no more than one question. Clusters that are said stay.
    """
    asked = [(" ".join(one.text.split()).casefold(), frozenset(one.options)) for one in questions]
    first: dict[object, str] = {}
    for one, place in zip(questions, asked, strict=True):
        if one.cluster is None:
            first[place] = min(one.question_id, first.get(place, one.question_id))
    alike = [
        one.cluster is None and first[place] != one.question_id for one, place in zip(questions, asked, strict=True)
    ]
    found = [
        replace(one, cluster=first[place]) if again else one
        for one, place, again in zip(questions, asked, alike, strict=True)
    ]
    return found, sum(alike)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _told(refusals: Counter[str]) -> str:
    """Return which options were taken for refusals, in words."""
    if not refusals:
        return "no option was taken for a refusal"
    most = [f"{option!r} ({count})" for option, count in refusals.most_common(MOST_PROBLEMS)]
    more = f" and {len(refusals) - len(most)} others" if len(refusals) > len(most) else ""
    return f"taken for refusals, with the number of questions: {', '.join(most)}{more}"


@dataclass
class _Gathered:
    """The checked questions of a survey and the answers to them, and how much was left out."""

    policy: RefusalPolicy
    leave_out_degenerate: bool
    named: tuple[str, ...]
    questions: list[Question] = field(default_factory=list)
    rows: list[AnswerDistribution] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)
    looks: dict[str, str] = field(default_factory=dict)
    n_read: int = 0
    n_rows: int = 0
    few_options: int = 0
    only_refusals: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    options: dict[str, None] = field(default_factory=dict)
    alike: int = 0
    notes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    names: Names = field(default_factory=lambda: Names("population"))

    def add(self, item: ReadQuestion, problems: Problems) -> None:
        """Check one question and its answers, and take them in as the policy says."""
        self.n_read += 1
        self.n_rows += len(item.distributions) if isinstance(item.distributions, Sequence) else 0
        identifier = TEXT.checked(item.question_id, "'question_id'", item.where, problems)
        if identifier is None:
            return
        where = f"{item.where}, question {identifier!r}" if item.where else f"question {identifier!r}"
        if identifier in self.seen:
            by = f" by {self.seen[identifier]}" if self.seen[identifier] else ""
            problems.add(where, f"the question_id is already used{by}; make it unique")
            return
        self.seen[identifier] = item.where
        other = self.looks.setdefault(look(identifier), identifier)
        if other != identifier and not self.leave_out_degenerate:
            signs = differing(identifier, other)
            problems.add(
                where, f"the question_id looks like {other!r} ({signs}); write both the same, or tell them apart"
            )
            return
        if self.leave_out_degenerate and isinstance(item.options, (list, tuple)) and len(set(item.options)) < 2:
            self.few_options += 1
            return
        before = problems.count
        question = _check_question(item, self.named, where, problems)
        if question is None:
            return
        rows = _check_distributions(item, question, where, problems)
        for row in rows:
            alike = self.names.alike(row.population, where)
            if alike and self.leave_out_degenerate:
                self.alike += 1
            elif alike:
                problems.add(where, alike)
        if problems.count == before:
            self._note(question, rows)
            self._take(question, rows, where, problems)

    def _note(self, question: Question, rows: list[AnswerDistribution]) -> None:
        """Note the options, those that nobody chose, and more of them than there are letters."""
        self.options.update(dict.fromkeys(question.options))
        if len(question.options) > MOST_LETTERS:
            self.notes["question(s) with more than 26 options, which letters cannot label"].append(question.question_id)
        for index, option in enumerate(question.options):
            if not any(row.probabilities[index] for row in rows):
                self.notes["option(s) that nobody chose"].append(f"{question.question_id}: {option}")

    def _take(self, question: Question, rows: list[AnswerDistribution], where: str, problems: Problems) -> None:
        if self.policy == "keep" and question.refusals:
            # Kept refusals are options like the others. They have no place on a scale, so there is no scale.
            question = replace(question, positions=None, refusals=())
        self.refusals.update(question.options[index] for index in question.refusals)
        if question.refusals:
            kept = [index for index in range(len(question.options)) if index not in question.refusals]
            if len(kept) < 2:
                if self.leave_out_degenerate:
                    self.few_options += 1
                else:
                    problems.add(where, f"has {len(kept)} option(s) besides refusals; use refusals='keep' or remove it")
                return
            without = [row for row in rows if math.fsum(row.probabilities[index] for index in kept) <= 0.0]
            if without and not self.leave_out_degenerate:
                problems.add(
                    where,
                    f"population {without[0].population!r} holds nothing but refusals, so nothing is left to compare; "
                    "use refusals='keep' or remove it",
                )
                return
            self.only_refusals += len(without)
            rows = [row for row in rows if row not in without]
            if not rows:
                return
            question, rows = _apply_policy(question, rows, kept, self.policy)
        self.questions.append(question)
        self.rows.extend(rows)


def survey_sha256(questions: Iterable[Question], distributions: Iterable[AnswerDistribution], /) -> str:
    """Return the hash of the content of a survey.

    The order of questions and populations and the name of the file do not matter; options keep their order.
    Probabilities count to 12 decimals, so that the hash is the same on every machine.

    Parameters
    ----------
    questions : iterable of Question
        The questions.
    distributions : iterable of AnswerDistribution
        The answers to them.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> question = Question("q", "Is it so?", ("Yes", "No"))
    >>> row = AnswerDistribution("q", "Everybody", (0.5, 0.5), 100.0)
    >>> survey_sha256([question], [row])[:8]
    'd41acc1a'
    """
    content = {
        "questions": [
            [q.question_id, q.text, list(q.options), q.cluster, _rounded(q.positions), list(q.refusals)]
            for q in sorted(questions, key=lambda q: q.question_id)
        ],
        "distributions": [
            [
                d.question_id,
                d.population,
                _rounded(d.probabilities),
                *(None if x is None else round(float(x), 12) for x in (d.n_respondents, d.n_effective)),
            ]
            for d in sorted(distributions, key=lambda d: (d.question_id, d.population))
        ],
    }
    encoded = json.dumps(content, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(encoded.encode("ascii")).hexdigest()


def _rounded(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else [round(float(value), 12) for value in values]


def one_line(option: str, /) -> str:
    """Return an option without line feeds, for sources that a user cannot correct."""
    return " ".join(option.splitlines())


def _options(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise UnfitError
    for option in value:
        if not isinstance(option, str) or not option.strip():
            raise UnfitError(instead=f": each option must be a non-empty string, not {shown(option)}")
        if len(option.strip().splitlines()) > 1:
            raise UnfitError(instead=f": option {shown(option)} holds a line feed, and would look like several options")
    options = tuple(as_text(option) for option in value)
    if len(options) < 2:
        raise UnfitError(
            instead=f": needs at least two options, not {len(options)}; a question without a choice has no answer"
        )
    repeated = next((option for place, option in enumerate(options) if option in options[:place]), None)
    if repeated is not None:
        raise UnfitError(instead=f": option {repeated!r} appears twice; options must differ")
    for option, other in look_alikes(options).items():
        raise UnfitError(
            instead=f": options {other!r} and {option!r} look the same ({differing(option, other)}); "
            "options must be told apart"
        )
    return options


TEXT = text(strip=False)

COUNT = number("a number greater than 0 and at most 1e12", above=0.0, high=MOST_RESPONDENTS)

#: The fields of a question, of which its distributions are checked one by one.
QUESTION = Fields(
    ReadQuestion,
    Field("question_id", TEXT, required=True),
    Field("question", text(), required=True, attribute="text"),
    Field("options", Kind("a list of strings", _options), required=True),
    Field("distributions", ANY_LIST, required=True),
    Field("cluster", TEXT),
    Field("positions", ANYTHING),
    Field("refusals", replace(ANY_LIST, must="a list of options")),
)

#: The fields of a distribution.
DISTRIBUTION = Fields(
    ReadDistribution,
    Field("population", NAME, required=True),
    Field("probabilities", replace(ANY_LIST, must="a list of numbers"), required=True),
    Field("n_respondents", COUNT),
    Field("n_effective", COUNT),
)


def _check_question(item: ReadQuestion, names: Sequence[str], where: str, problems: Problems) -> Question | None:
    """Return the question, or note what is wrong with it."""
    before = problems.count
    read = QUESTION.checked(vars(item), where, problems)
    if read is None:
        return None
    refusals = _check_refusals(read, names, where, problems)
    positions = _check_positions(read, refusals, where, problems)
    if problems.count > before:
        return None
    return Question(read.question_id, read.text, read.options, read.cluster, positions, refusals)


def _check_refusals(item: ReadQuestion, names: Sequence[str], where: str, problems: Problems) -> tuple[int, ...]:
    if item.refusals is None and not names:
        return detect_refusals(item.options)
    found = set(named_refusals(item.options, names))
    for entry in item.refusals or ():
        if isinstance(entry, str) and entry.strip() in item.options:
            found.add(item.options.index(entry.strip()))
        else:
            problems.add(where, f"{shown(entry)} in 'refusals' is not one of the options")
    return tuple(sorted(found))


def _check_positions(
    item: ReadQuestion, refusals: tuple[int, ...], where: str, problems: Problems
) -> tuple[float, ...] | None:
    if item.positions is None:
        return None
    if not isinstance(item.positions, (list, tuple)) or len(item.positions) != len(item.options):
        problems.add(where, f"'positions' must be a list of {len(item.options)} numbers, one an option")
        return None
    substantive: dict[int, float] = {}
    for index, entry in enumerate(item.positions):
        if index in refusals:
            continue
        position = number().checked(entry, f"position of option {item.options[index]!r}", where, problems)
        if position is None:
            return None
        substantive[index] = position
    if not substantive:
        return None
    # A refusal has no place on the scale. Its entry is never used: with `keep` there are no positions at all, with
    # `drop` it is removed, and with `separate` its mass is taken out before anything is compared.
    anywhere = next(iter(substantive.values()))
    return tuple(substantive.get(index, anywhere) for index in range(len(item.options)))


def _check_distributions(
    item: ReadQuestion, question: Question, where: str, problems: Problems
) -> list[AnswerDistribution]:
    rows: list[AnswerDistribution] = []
    seen: set[str] = set()
    if not item.distributions:
        problems.add(where, "'distributions' is empty; it needs at least one population")
    for unchecked in item.distributions:
        named = isinstance(unchecked.population, str) and unchecked.population.strip()
        place = f"{where}, population {unchecked.population.strip()!r}" if named else where
        read = DISTRIBUTION.checked(vars(unchecked), place, problems)
        if read is None:
            continue
        if read.population.casefold() == "all":
            problems.add(place, "'all' means every population in a test; give this population another name")
            continue
        if read.n_respondents is not None and read.n_effective is not None and read.n_effective > read.n_respondents:
            problems.add(
                place,
                f"'n_effective' must be at most 'n_respondents' ({read.n_respondents:g}), not {read.n_effective:g}; "
                "are the two swapped?",
            )
        if read.population in seen:
            problems.add(place, "appears twice; keep one distribution for each population")
            continue
        seen.add(read.population)
        probabilities = _check_probabilities(read.probabilities, question.options, place, problems)
        if probabilities is not None:
            rows.append(
                AnswerDistribution(
                    question.question_id, read.population, probabilities, read.n_respondents, read.n_effective
                )
            )
    return rows


def _check_probabilities(
    values: Sequence[object], options: tuple[str, ...], place: str, problems: Problems
) -> tuple[float, ...] | None:
    if len(values) != len(options):
        problems.add(place, f"has {len(values)} probabilities for {len(options)} options; give one for each option")
        return None
    numbers: list[float] = []
    for option, value in zip(options, values, strict=True):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            problems.add(place, f"probability of {option!r} must be a number, not {shown(value)}")
        elif not is_number(value):
            value = math.inf if isinstance(value, int) else value
            problems.add(place, f"probability of {option!r} must be finite, not {value}; leave the population out")
        elif value < 0:
            problems.add(place, f"probability of {option!r} must not be negative, not {value:g}")
        else:
            numbers.append(float(value))
    if len(numbers) != len(options):
        return None
    total = math.fsum(numbers)
    # The tiny addition lets a written 0.999 pass, whose binary distance from 1 is a little over 0.001.
    if abs(total - 1.0) > SUM_TOLERANCE + 1e-12:
        problems.add(
            place, f"probabilities must sum to 1 (within {SUM_TOLERANCE:g}), not {total:.6g}{_hint(numbers, total)}"
        )
        return None
    return tuple(number / total for number in numbers)


def _hint(numbers: Sequence[float], total: float) -> str:
    """Return what numbers that do not sum to 1 look like, and what to do about it."""
    if abs(total - 100.0) < 1.0:
        return "; these look like per cent: divide by 100"
    if abs(total - 100.0) <= 3.0:
        return f"; these look like rounded per cent: divide by their sum, {total:g}"
    if total > 1.0 and all(number.is_integer() for number in numbers):
        return f"; these look like counts: divide by their sum, and give it as 'n_respondents': {total:g}"
    if abs(total - 1.0) <= 0.03:
        return "; these look like rounded shares: give three decimals, or divide by their sum"
    return ""


def _apply_policy(
    question: Question, rows: list[AnswerDistribution], kept: list[int], policy: RefusalPolicy
) -> tuple[Question, list[AnswerDistribution]]:
    """Drop the refusals of one question, or keep them apart; either way count only the respondents who answered."""
    changed = []
    for row in rows:
        answered = math.fsum(row.probabilities[index] for index in kept)
        probabilities = row.probabilities
        if policy == "drop":
            probabilities = tuple(probabilities[index] / answered for index in kept)
        changed.append(
            AnswerDistribution(
                row.question_id,
                row.population,
                probabilities,
                None if row.n_respondents is None else row.n_respondents * answered,
                None if row.n_effective is None else row.n_effective * answered,
            )
        )
    if policy == "drop":
        question = Question(
            question.question_id,
            question.text,
            tuple(question.options[index] for index in kept),
            question.cluster,
            None if question.positions is None else tuple(question.positions[index] for index in kept),
        )
    return question, changed
