"""What every reader of surveys hands over, and the one place where it is checked and becomes a record."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_pluralism.core.records import AnswerDistribution, Question, Survey
from pytest_pluralism.datasets.reading import HALF_CHARACTERS, Problems, _number, show
from pytest_pluralism.datasets.surveys.refusals import RefusalPolicy, check_refusal_policy, detect_refusals

__all__ = ["SUM_TOLERANCE", "ReadDistribution", "ReadQuestion", "assemble_survey", "survey_sha256"]

#: More people than these have never lived.
MOST_RESPONDENTS = 1e12

#: How far the sum of a distribution may be from 1: what rounding to three decimals explains. Sums are then rescaled.
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
    refusals: RefusalPolicy = "keep",
    source: str = "",
    default_population: str | None = None,
    leave_out_degenerate: bool = False,
) -> Survey:
    """Check what was read, apply the policy for refusals, and make the record.

    Parameters
    ----------
    name : str
        The name of the survey.
    read : iterable of ReadQuestion
        The questions, in order.
    problems : Problems
        What the reader has already found; raised together with what is found here.
    refusals : {"keep", "drop", "separate"}
        What becomes of refusals.
    source : str
        Where the answers come from.
    default_population : str or None
        Who is meant when a test names nobody.
        ``None`` becomes the only population of a survey that has one, and ``"all"`` for a survey of one question.
    leave_out_degenerate : bool
        Leave out questions with fewer than two options and distributions with nothing but refusals, and count them in
        ``source``, instead of refusing them: for sources that a user cannot correct.

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
    questions: list[Question] = []
    rows: list[AnswerDistribution] = []
    seen: dict[str, str] = {}
    few_options = only_refusals = n_read = 0
    for item in read:
        n_read += 1
        where = item.where
        if _has_half_characters(item):
            problems.add(where, "holds half of a surrogate pair (\\ud800 to \\udfff), which is no character")
            continue
        if isinstance(item.question_id, str) and item.question_id.strip():
            where = f"{where}, question {item.question_id!r}" if where else f"question {item.question_id!r}"
            if item.question_id in seen:
                problems.add(where, f"the question_id is already used{_at(seen[item.question_id])}; make it unique")
                continue
            seen[item.question_id] = item.where
        else:
            problems.add(where, f"'question_id' must be a non-empty string, not {show(item.question_id)}")
            continue
        if leave_out_degenerate and isinstance(item.options, (list, tuple)) and len(set(item.options)) < 2:
            few_options += 1
            continue
        before = len(problems.found)
        question = _check_question(item, where, problems)
        if question is None or len(problems.found) > before:
            continue
        checked = _check_distributions(item, question, where, problems)
        if len(problems.found) > before:
            continue
        kept = [index for index in range(len(question.options)) if index not in question.refusals]
        if policy != "keep" and question.refusals:
            if len(kept) < 2:
                if leave_out_degenerate:
                    few_options += 1
                else:
                    problems.add(where, f"has {len(kept)} option(s) besides refusals; use refusals='keep' or remove it")
                continue
            without = [row for row in checked if math.fsum(row.probabilities[index] for index in kept) <= 0.0]
            if without and not leave_out_degenerate:
                problems.add(
                    where,
                    f"population {without[0].population!r} holds nothing but refusals, so nothing is left to compare; "
                    "use refusals='keep' or remove it",
                )
                continue
            only_refusals += len(without)
            checked = [row for row in checked if row not in without]
            if not checked:
                continue
            question, checked = _apply_policy(question, checked, kept, policy)
        elif question.refusals:
            # Kept refusals are options like the others. They have no place on a scale, so there is no scale.
            question = dataclasses.replace(question, positions=None, refusals=())
        questions.append(question)
        rows.extend(checked)
    if n_read == 0 and not problems.found:
        problems.add("", "holds no questions")
    problems.raise_if_any()
    if not questions:
        problems.add("", f"none of its {n_read} questions has two options and an answer")
        problems.raise_if_any()
    if few_options:
        source += f"; left out: {few_options} question(s) with fewer than two options"
    if only_refusals:
        source += f"; left out: {only_refusals} distribution(s) with nothing but refusals"
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


def _check_question(item: ReadQuestion, where: str, problems: Problems) -> Question | None:
    """Return the question, or note what is wrong with it."""
    before = len(problems.found)
    if not isinstance(item.text, str) or not item.text.strip():
        problems.add(where, f"'question' must be a non-empty string, not {show(item.text)}")
    options = item.options
    if not isinstance(options, (list, tuple)):
        problems.add(where, f"'options' must be a list of strings, not {show(options)}")
        return None
    for option in options:
        if not isinstance(option, str) or not option.strip():
            problems.add(where, f"each option must be a non-empty string, not {show(option)}")
    if len(options) < 2:
        problems.add(
            where, f"needs at least two options, not {len(options)}; a question without a choice has no answer"
        )
    elif len(problems.found) == before:
        repeated = _repeated(option.strip() for option in options)
        if repeated is not None:
            problems.add(where, f"option {repeated!r} appears twice; options must differ")
    if item.cluster is not None and (not isinstance(item.cluster, str) or not item.cluster.strip()):
        problems.add(where, f"'cluster' must be a non-empty string, not {show(item.cluster)}")
    if len(problems.found) > before:
        return None
    refusals = _check_refusals(item, where, problems)
    positions = _check_positions(item, refusals, where, problems)
    if len(problems.found) > before:
        return None
    return Question(
        question_id=item.question_id,
        text=item.text.strip(),
        options=tuple(option.strip() for option in options),
        cluster=item.cluster,
        positions=positions,
        refusals=refusals,
    )


def _check_refusals(item: ReadQuestion, where: str, problems: Problems) -> tuple[int, ...]:
    options = [option.strip() for option in item.options]
    if item.refusals is None:
        return detect_refusals(options)
    if not isinstance(item.refusals, (list, tuple)):
        problems.add(where, f"'refusals' must be a list of options, not {show(item.refusals)}")
        return ()
    found: set[int] = set()
    for entry in item.refusals:
        if isinstance(entry, str) and entry.strip() in options:
            found.add(options.index(entry.strip()))
        else:
            problems.add(where, f"{show(entry)} in 'refusals' is not one of the options")
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
        number = _number(entry)
        if number is None or not math.isfinite(number):
            problems.add(
                where, f"position of option {item.options[index]!r} must be a finite number, not {show(entry)}"
            )
            return None
        substantive[index] = number
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
    for read in item.distributions:
        if not isinstance(read.population, str) or not read.population.strip():
            problems.add(where, f"'population' must be a non-empty string, not {show(read.population)}")
            continue
        population = read.population.strip()
        place = f"{where}, population {population!r}"
        if population.casefold() == "all":
            problems.add(place, "'all' means every population in a test; give this population another name")
            continue
        if population in seen:
            problems.add(place, "appears twice; keep one distribution for each population")
            continue
        seen.add(population)
        probabilities = _check_probabilities(read.probabilities, question.options, place, problems)
        counts = []
        for label, value in (("n_respondents", read.n_respondents), ("n_effective", read.n_effective)):
            number = None if value is None else _number(value)
            if value is not None and (number is None or not 0 < number <= MOST_RESPONDENTS):
                problems.add(place, f"'{label}' must be a number greater than 0 and at most 1e12, not {show(value)}")
            counts.append(number)
        if probabilities is not None:
            rows.append(AnswerDistribution(question.question_id, population, probabilities, *counts))
    return rows


def _check_probabilities(
    values: Any, options: tuple[str, ...], place: str, problems: Problems
) -> tuple[float, ...] | None:
    if not isinstance(values, (list, tuple)):
        problems.add(place, f"'probabilities' must be a list of numbers, not {show(values)}")
        return None
    if len(values) != len(options):
        problems.add(place, f"has {len(values)} probabilities for {len(options)} options; give one for each option")
        return None
    numbers: list[float] = []
    for option, value in zip(options, values, strict=True):
        number = _number(value)
        if number is None:
            problems.add(place, f"probability of {option!r} must be a number, not {show(value)}")
        elif not math.isfinite(number):
            problems.add(place, f"probability of {option!r} must be finite, not {number}; leave the population out")
        elif number < 0:
            problems.add(place, f"probability of {option!r} must not be negative, not {number:g}")
        else:
            numbers.append(number)
    if len(numbers) != len(options):
        return None
    total = math.fsum(numbers)
    # The tiny addition lets a written 0.999 pass, whose binary distance from 1 is a little over 0.001.
    if abs(total - 1.0) > SUM_TOLERANCE + 1e-12:
        hint = "; these look like per cent: divide by 100" if abs(total - 100.0) < 1.0 else ""
        problems.add(place, f"probabilities must sum to 1 (within {SUM_TOLERANCE:g}), not {total:.6g}{hint}")
        return None
    return tuple(number / total for number in numbers)


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


def _has_half_characters(item: ReadQuestion) -> bool:
    """Return whether some text cannot be written to any file: JSON can express such text, reports cannot show it."""
    options = item.options if isinstance(item.options, (list, tuple)) else ()
    texts = [item.question_id, item.text, item.cluster, *options, *(row.population for row in item.distributions)]
    return any(isinstance(text, str) and HALF_CHARACTERS.search(text) for text in texts)


def _repeated(values: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def _at(where: str) -> str:
    return f" by {where}" if where else ""
