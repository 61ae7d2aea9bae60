"""Surveys of others, told by their columns: OpinionQA, GlobalOpinionQA, SubPOP, MoralChoice, and crosstabs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from pytest_pluralism.core.finite import is_number
from pytest_pluralism.datasets.names import clean_name
from pytest_pluralism.datasets.reading import Line, Problems, Record, number_in, shown
from pytest_pluralism.datasets.sources import OWN, Rows, Source, as_list
from pytest_pluralism.datasets.surveys import global_opinions
from pytest_pluralism.datasets.surveys.assembly import ReadDistribution, ReadQuestion, one_line
from pytest_pluralism.datasets.weights import looks_like_weight

__all__ = ["SURVEY_SOURCES", "ReadSource", "read_crosstab"]

#: The questions of a source, and a note about them.
ReadSource = tuple[list[ReadQuestion], str]

#: The columns of a crosstab that are not populations.
CROSSTAB_COLUMNS = ("question_id", "question", "option", "cluster", "position", "refusal")

#: The names of rows that hold numbers of respondents, of columns that are not people, and of rows that hold sums.
BASES = {
    "n",
    "base",
    "unweighted n",
    "unweighted base",
    "unweighted count",
    "sample size",
    "respondents",
    "n_respondents",
}
EFFECTIVE_BASES = {"effective n", "effective base", "effective sample size", "n_effective"}
NOT_PEOPLE = {
    *("", "n", "base", "count", "counts", "share", "shares", "per cent", "percent", "percentage", "pct", "freq"),
    *("frequency", "value", "index", "code", "weight", "proportion", "probability"),
}
TOTALS = {"total", "sum", "all", "net total"}


# --------------------------------------------------------------------------------------------------------- crosstabs


def read_crosstab(rows: Rows) -> ReadSource:
    """Read a table with a row an option and a column a population, of counts, shares or per cents.

    Rows that are called ``n`` or ``base`` hold the numbers of respondents; rows that are called ``total`` are checked
    and left out. Whether the numbers are counts, shares or per cents is decided for the whole table by its sums.
    """
    problems = rows.problems
    questions: dict[str, Record] = {}
    shares: list[tuple[str, object]] = []
    for where, row in rows.entries:
        identifier = str(row.get("question_id") or row.get("question") or "").strip()
        if not identifier or not row.get("option"):
            problems.add(where, "must have 'question' (or 'question_id') and 'option'")
            continue
        new = {"where": where, "text": row.get("question") or identifier, "options": {}, "bases": {}, "first": row}
        found = questions.setdefault(identifier, new)
        numbers = {clean_name(name): _cell(row, name, where, problems) for name in row if name not in CROSSTAB_COLUMNS}
        shares += [(where, row[name]) for name in row if name not in CROSSTAB_COLUMNS and str(row[name]).endswith("%")]
        option = str(row["option"]).strip()
        word = option.casefold().strip(" :.()")
        if word in BASES | EFFECTIVE_BASES:
            found["bases"]["n_effective" if word in EFFECTIVE_BASES else "n_respondents"] = numbers
        elif word in TOTALS:
            found["bases"]["total"] = numbers
        elif option in found["options"]:
            problems.add(where, f"option {option!r} of question {identifier!r} appears twice")
        else:
            found["options"][option] = numbers
    named = dict.fromkeys(name for found in questions.values() for cells in found["options"].values() for name in cells)
    for name in named:
        if name.casefold().strip(" %()") in NOT_PEOPLE or looks_like_weight(name) or name.startswith("Unnamed:"):
            what = "leave it out, or call it by the people whose answers it holds"
            problems.add("line 1", f"column {name!r} is not the name of a population; {what}")
    problems.raise_if_any()
    unit = _unit(questions.values(), problems)
    if unit == "counts":
        for where, cell in shares:
            problems.add(where, f"{cell!r} stands in a crosstab of counts; give counts, or shares, for all columns")
        for found in questions.values():
            _refuse_sums(found, problems)
    read = [_crossed(name, found, unit, problems) for name, found in questions.items()]
    return read, f"; a crosstab of {unit}"


def _cell(row: Mapping[str, object], name: str, where: str, problems: Problems) -> float | None:
    value = row[name]
    if isinstance(value, str):
        plain = value.strip().removesuffix("%").strip()
        value = None if plain in ("", "-", "–") else number_in(plain)
    if value is None:
        return None
    if not is_number(value) or value < 0:
        problems.add(where, f"column {name!r} must hold a number of at least 0, or nothing, not {shown(row[name])}")
        return None
    return float(value)


def _unit(questions: Iterable[Line], problems: Problems) -> str:
    """Return what the numbers of a crosstab are, by the sums of all its columns."""
    sums, whole = [], True
    for found in questions:
        for name in dict.fromkeys(name for numbers in found["options"].values() for name in numbers):
            column = [numbers.get(name) for numbers in found["options"].values()]
            known = [number for number in column if number is not None]
            whole = whole and all(number.is_integer() for number in known)
            sums += [math.fsum(known)] if known else []
    if sums and all(abs(total - 1.0) <= 0.03 for total in sums):
        return "shares"
    if sums and all(abs(total - 100.0) <= 3.0 for total in sums):
        return "per cents"
    if sums and whole and max(sums) > 1.0:
        return "counts"
    least, most = (min(sums), max(sums)) if sums else (0.0, 0.0)
    problems.add(
        "",
        f"the columns of a crosstab must be counts, or sum to 1 or 100; these sum to between {least:g} and {most:g}. "
        "Leave out columns that are not populations",
    )
    problems.raise_if_any()
    return ""


def _refuse_sums(found: Line, problems: Problems) -> None:
    """Refuse counts one of whose rows holds sums, or numbers of respondents, under a name that nobody knows."""
    rows = list(found["options"].items())
    for place, (option, numbers) in enumerate(rows):
        others = [
            math.fsum(more[name] or 0.0 for at, (_, more) in enumerate(rows) if at != place and name in more)
            for name in numbers
        ]
        own = [number or 0.0 for number in numbers.values()]
        pairs = [(one, rest) for one, rest in zip(own, others, strict=True) if one or rest]
        # One column may hold a half by chance, unless the row stands where sums stand.
        may = len(rows) > 2 and (len(pairs) > 1 or place == len(rows) - 1)
        is_sum = may and all(abs(one - rest) <= 1e-9 * rest for one, rest in pairs)
        is_base = all(one > rest and min(abs(rest - 1.0), abs(rest - 100.0) / 100.0) <= 0.03 for one, rest in pairs)
        if pairs and len(rows) > 2 and (is_sum or is_base):
            what = "the sum of all other rows; call it total" if is_sum else "numbers of respondents; call it base"
            problems.add(
                found["where"],
                f"row {option!r} looks like {what}, or leave it out. If it is an option, write shares that sum to 1",
            )


def _crossed(name: str, found: Line, unit: str, problems: Problems) -> ReadQuestion:
    """Return one question of a crosstab."""
    options, bases, where = found["options"], found["bases"], found["where"]
    rows = []
    for population in dict.fromkeys(name for numbers in options.values() for name in numbers):
        column = [numbers.get(population) for numbers in options.values()]
        if all(number is None for number in column):
            continue
        lacking = [option for option, number in zip(options, column, strict=True) if number is None]
        if lacking:
            problems.add(
                where, f"population {population!r} has no number for option {lacking[0]!r}; write 0, or nothing at all"
            )
            continue
        numbers = [number for number in column if number is not None]
        total = math.fsum(numbers)
        stated = bases.get("total", {}).get(population)
        if stated is not None and abs(stated - total) > max(3.0 if unit != "shares" else 0.03, 0.01 * total):
            problems.add(where, f"the total of {population!r} is {stated:g}, and its options sum to {total:g}")
        if total <= 0:
            continue
        counts = {part: bases.get(part, {}).get(population) for part in ("n_respondents", "n_effective")}
        if unit == "counts" and counts["n_respondents"] is None:
            counts["n_respondents"] = total
        rows.append(ReadDistribution(population, [number / total for number in numbers], **counts))
    first = found["first"]
    return ReadQuestion(name, found["text"], list(options), rows, first.get("cluster") or None, where=where)


# ------------------------------------------------------------------------------------------------------ other sources


def read_opinionqa(rows: Rows) -> ReadSource:
    """Read a file ``GROUP_data.json`` of ``human_resp``: for each question, the count of each option by group.

    ``MC_options`` gives the order of the options. In some files it is cut at commas; its parts are then joined again
    where they make the options that were counted.
    """
    questions, unordered = [], 0
    for where, row in rows.entries:
        groups = {name: one for name, one in row.items() if isinstance(one, Mapping)}
        counted = list(dict.fromkeys(option for one in groups.values() for option in one))
        ordered = _joined(as_list(row.get("MC_options")) or [], counted)
        unordered += ordered is None
        options = ordered or counted
        read = []
        for name, counts in groups.items():
            numbers = [counts.get(option, 0.0) for option in options]
            wrong = next((number for number in numbers if not is_number(number) or number < 0), None)
            if wrong is not None:
                rows.problems.add(where, f"group {name!r} must hold counts, not {shown(wrong)}")
            elif (total := math.fsum(numbers)) > 0:
                read.append(ReadDistribution(name, [number / total for number in numbers], total))
        questions.append(ReadQuestion(row["qkey"], row["question_text"], options, read, where=where))
    note = f"; the options of {unordered} question(s) stand in the order of the counts" if unordered else ""
    return questions, note


def _joined(parts: Sequence[object], counted: Sequence[str]) -> list[str] | None:
    """Return the options in order, of which those with commas may be cut into parts; ``None`` where they do not fit."""
    plain = [str(part).strip().strip('"').strip() for part in parts]
    found: list[str] = []
    while plain:
        fitting = next((n for n in range(len(plain), 0, -1) if ", ".join(plain[:n]) in counted), None)
        if fitting is None:
            # An option that nobody chose is not counted.
            found.append(plain.pop(0))
            continue
        found.append(", ".join(plain[:fitting]))
        plain = plain[fitting:]
    return found if set(counted) <= set(found) and len(set(found)) == len(found) else None


def read_global_opinions(rows: Rows) -> ReadSource:
    """Read the rows of GlobalOpinionQA from a file."""
    found, source = global_opinions.read_rows(row for _, row in rows.entries)
    return found, source.removeprefix(global_opinions.SOURCE)


def read_subpop(rows: Rows) -> ReadSource:
    """Read SubPOP: a row for each question and group, whose last option is the refusal, with ``refusal_rate``."""
    grouped: dict[str, ReadQuestion] = {}
    for where, row in rows.entries:
        options, shares = as_list(row["options"]), as_list(row["responses"])
        rate = number_in(row["refusal_rate"]) if isinstance(row["refusal_rate"], str) else row["refusal_rate"]
        if not options or not shares or not is_number(rate) or not 0.0 <= rate <= 1.0:
            rows.problems.add(where, "'options' and 'responses' must be lists, and 'refusal_rate' a number in [0, 1]")
            continue
        options = [one_line(str(option)) for option in options]
        if len(options) == len(shares) + 1:
            shares = [*(share * (1.0 - rate) for share in shares if is_number(share)), rate]
        elif len(options) != len(shares):
            rows.problems.add(where, f"has {len(shares)} responses for {len(options)} options; the last is the refusal")
            continue
        ordinal = as_list(row.get("ordinal"))
        positions = [*ordinal, None][: len(options)] if ordinal and len(ordinal) >= len(options) - 1 else None
        new = ReadQuestion(row["qkey"], row["question"], options, [], None, positions, [options[-1]], where)
        question = grouped.setdefault(str(row["qkey"]), new)
        if question.options != options or question.text != row["question"]:
            rows.problems.add(
                where, f"question {row['qkey']!r} has other options or another text than at {question.where}"
            )
            continue
        population = f"{row['attribute']}: {row['group']}"
        question.distributions.append(ReadDistribution(population, shares))  # type: ignore[attr-defined]
    return list(grouped.values()), ""


#: The answers that MoralChoice calls right, by ambiguity: of a scenario of high ambiguity, neither.
MORAL_CHOICE = {"low": (1.0, 0.0), "high": (0.5, 0.5)}


def read_moral_choice(rows: Rows) -> ReadSource:
    """Read the scenarios of MoralChoice: its authors call ``action1`` right where the ambiguity is low."""
    questions = []
    for where, row in rows.entries:
        shares = MORAL_CHOICE.get(str(row["ambiguity"]).strip().lower())
        if shares is None:
            rows.problems.add(where, f"'ambiguity' must be low or high, not {shown(row['ambiguity'])}")
            continue
        text = f"{str(row['context']).strip()} Which action is more moral?"
        population = f"{str(row['ambiguity']).strip().lower()} ambiguity"
        options = [one_line(str(row[name])) for name in ("action1", "action2")]
        questions.append(
            ReadQuestion(row["scenario_id"], text, options, [ReadDistribution(population, list(shares))], where=where)
        )
    return questions, ""


#: The effects of the Moral Machine: the answer that each is an effect towards, and the other one. Effects on the number
#: of characters have numbers behind their name, of how many more there are.
MORAL_MACHINE = {
    "Intervention": ("those who are spared if the car stays on its way", "those who are spared if it swerves"),
    "Relation to AV": ("the pedestrians", "the passengers"),
    "Law": ("those who cross lawfully", "those who cross against the law"),
    "Gender": ("the women", "the men"),
    "Fitness": ("the fit", "the overweight"),
    "Social Status": ("those of higher status", "those of lower status"),
    "Age": ("the young", "the elderly"),
    "No. Characters": ("the larger group", "the smaller group"),
    "Species": ("the humans", "the pets"),
}


def read_moral_machine(rows: Rows) -> ReadSource:
    r"""Read the effects (AMCEs) of the Moral Machine by country as shares of answers.

    An effect a is how much more often one side is spared than the other. Where only the two sides are there, one of
    them is spared, so that its share is :math:`(1 + a) / 2`; a standard error s gives as many respondents as a share
    of that error has, :math:`(1 - a^2) / s^2`.
    """
    questions: dict[str, ReadQuestion] = {}
    for where, row in rows.entries:
        label, country = str(row["Label"]).strip(), str(row["Country"]).strip()
        name, _, more = label.partition("_")
        effect, error = number_in(str(row["Estimates"])), number_in(str(row["se"]))
        if name not in MORAL_MACHINE or (more and not more.isdigit()):
            rows.problems.add(where, f"'Label' must be one of {', '.join(MORAL_MACHINE)}, not {shown(label)}")
            continue
        if not is_number(effect) or not -1.0 <= effect <= 1.0 or not is_number(error) or error < 0:
            what = f"must have an effect in [-1, 1] and an error of at least 0, not {shown(effect)} and {shown(error)}"
            rows.problems.add(where, what)
            continue
        first, second = MORAL_MACHINE[name]
        beside = f" One group has {more} more than the other." if more else ""
        text = (
            f"The brakes of a self-driving car fail, and it must hit one of two groups.{beside} Whom should it spare?"
        )
        new = ReadQuestion(label, text, [f"{one[0].upper()}{one[1:]}" for one in (first, second)], [], where=where)
        question = questions.setdefault(label, new)
        if any(one.population == country for one in question.distributions):
            rows.problems.add(where, f"the effect {label!r} of {country!r} comes a second time")
            continue
        n = int((1.0 - effect**2) / error**2) if error > 0 else None
        shares = [(1.0 + effect) / 2.0, (1.0 - effect) / 2.0]
        question.distributions.append(ReadDistribution(country, shares, n or None))  # type: ignore[attr-defined]
    numbers = [one for one in questions if one.startswith("No. Characters")]
    read = [
        # The effects of numbers are about one thing.
        ReadQuestion(q.question_id, q.text, q.options, q.distributions, "No. Characters" if name in numbers else name)
        for name, q in questions.items()
    ]
    return read, f"; {len(read)} effects as shares of two answers, which assumes that one side is always spared"


def _is_crosstab(row: Mapping[str, object]) -> bool:
    if not {"question", "question_id"} & row.keys():
        return False
    if {"population", "probability", "options", "distributions"} & row.keys():
        return False
    columns = [name for name in row if name not in CROSSTAB_COLUMNS]
    return bool(columns)


#: The sources of surveys.
SURVEY_SOURCES: tuple[Source[ReadSource], ...] = (
    Source("a crosstab", ("option",), read_crosstab, OWN, "your own file", fits=_is_crosstab),
    Source(
        "OpinionQA human_resp",
        ("qkey", "MC_options", "question_text"),
        read_opinionqa,
        "Pew Research Center terms",
        "https://github.com/tatsu-lab/opinions_qa",
        "counts of respondents, unweighted",
    ),
    Source(
        "GlobalOpinionQA",
        ("question", "selections", "options"),
        read_global_opinions,
        "CC BY-NC-SA 4.0",
        "https://huggingface.co/datasets/Anthropic/llm_global_opinions",
        "the file gives no numbers of respondents",
    ),
    Source(
        "SubPOP",
        ("qkey", "attribute", "group", "responses", "refusal_rate", "options", "question"),
        read_subpop,
        "CC BY-NC-SA 4.0",
        "https://huggingface.co/datasets/jjssuh/subpop",
        "the last option is the refusal",
    ),
    Source(
        "Moral Machine AMCEs",
        ("Estimates", "se", "Label", "Country"),
        read_moral_machine,
        "MIT",
        "https://osf.io/3hvt2/",
        "effects of nine attributes on who is spared, by country (Awad et al. 2018, doi:10.1038/s41586-018-0637-6)",
    ),
    Source(
        "MoralChoice",
        ("scenario_id", "ambiguity", "context", "action1", "action2"),
        read_moral_choice,
        "CC BY 4.0",
        "https://github.com/ninodimontalcino/moralchoice",
        "not answers of people: what its authors call right, and an even answer where the ambiguity is high",
    ),
)
