"""GlobalOpinionQA from the Hugging Face hub: questions of Pew and of the World Values Survey, by country.

Each row holds ``question``, ``selections`` (the text of a Python ``defaultdict`` from country to shares), ``options``
(the text of a Python list) and ``source``.
Both texts are parsed as literals and checked; nothing in them is ever run.

The rows come from somebody else, so what cannot be used is left out and counted in ``Survey.source``: rows without a
question, questions with one option, and distributions of the wrong length or that do not sum to 1.
When more than one row in twenty cannot be parsed, the format has changed, and that is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from pytest_pluralism.core.errors import DatasetError, needed_for
from pytest_pluralism.datasets.literals import literal_of
from pytest_pluralism.datasets.reading import Line
from pytest_pluralism.datasets.surveys.assembly import SUM_TOLERANCE, ReadDistribution, ReadQuestion, one_line
from pytest_pluralism.datasets.surveys.modular_pluralism import question_hash

__all__ = ["HUB_NAME", "SOURCE", "fetch_rows", "parse_options", "parse_selections", "read_rows"]

HUB_NAME = "Anthropic/llm_global_opinions"

SOURCE = (
    "GlobalOpinionQA (arXiv:2306.16388), Pew Global Attitudes Surveys and World Values Survey, CC BY-NC-SA 4.0, "
    f"https://huggingface.co/datasets/{HUB_NAME}"
)

# The share of rows that may fail to parse before the format is taken to be another one.
MOST_UNREADABLE = 0.05


def fetch_rows(revision: str | None = None, /) -> Iterable[Line]:
    """Return the rows of the dataset, from the local cache or the hub.

    ``HF_HUB_OFFLINE=1`` is honoured by the libraries underneath: then only the cache is read.

    Parameters
    ----------
    revision : str or None
        A commit, branch or tag; ``None`` means the newest.

    Raises
    ------
    MissingExtraError
        If ``datasets`` is not installed.
    DatasetError
        If the dataset cannot be had.
    """
    with needed_for(f"The survey 'hf:{HUB_NAME}'", 'pip install "pytest-pluralism[hub]"'):
        import datasets  # type: ignore[import-not-found,import-untyped,unused-ignore]
    try:
        rows: Iterable[Line] = datasets.load_dataset(HUB_NAME, split="train", revision=revision)
    except Exception as error:
        # The library passes on the errors of a dozen packages underneath.
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DatasetError(
            f"The survey 'hf:{HUB_NAME}' cannot be had: {first_line} Check the network, or unset HF_HUB_OFFLINE, or "
            "download it once on a machine with a network and copy the cache."
        ) from error
    return rows


def read_rows(rows: Iterable[Line], /) -> tuple[list[ReadQuestion], str]:
    """Return the questions of the dataset, and its source with what was left out.

    Parameters
    ----------
    rows : iterable of mapping
        The rows.

    Returns
    -------
    questions : list of ReadQuestion
        Rows with the same text and options share a ``cluster``.
    source : str
        Where they come from, and what was left out.

    Raises
    ------
    DatasetError
        If a column is missing, there are no rows, or more than one row in twenty cannot be parsed.
    """
    questions: list[ReadQuestion] = []
    used: dict[str, int] = {}
    unreadable: list[str] = []
    n_rows = empty = unusable = 0
    for number, row in enumerate(rows):
        n_rows += 1
        where = f"row {number}"
        missing = [column for column in ("question", "selections", "options") if column not in row]
        if missing:
            raise DatasetError(
                f"The survey 'hf:{HUB_NAME}', {where}: lacks column {missing[0]!r} (it has "
                f"{', '.join(repr(column) for column in row)}). Name an older revision: 'hf:{HUB_NAME}@REVISION'."
            )
        text = row["question"]
        if not isinstance(text, str) or not text.strip():
            empty += 1
            continue
        try:
            options = [one_line(option) for option in parse_options(row["options"])]
            selections = parse_selections(row["selections"])
        except DatasetError as error:
            unreadable.append(f"{where}: {error}")
            continue
        good = [
            ReadDistribution(country, shares)
            for country, shares in selections.items()
            if len(shares) == len(options) and _is_distribution(shares)
        ]
        unusable += len(selections) - len(good)
        repeated = len(set(options)) != len(options)
        if repeated or (not good and len(options) > 1):
            empty += 1
            continue
        cluster = question_hash(text.strip(), options)
        used[cluster] = used.get(cluster, 0) + 1
        question_id = cluster if used[cluster] == 1 else f"{cluster}-{used[cluster]}"
        questions.append(ReadQuestion(question_id, text, options, good, cluster=cluster, where=where))
    if not n_rows:
        raise DatasetError(f"The survey 'hf:{HUB_NAME}' holds no rows.")
    if len(unreadable) > MOST_UNREADABLE * n_rows:
        raise DatasetError(
            f"The survey 'hf:{HUB_NAME}' is not in the format known here: {len(unreadable)} of {n_rows} rows cannot be "
            f"parsed. The first is {unreadable[0]} Name an older revision: 'hf:{HUB_NAME}@REVISION'."
        )
    left_out = {
        "row(s) without a question, an answer or distinct options": empty,
        "row(s) that cannot be parsed": len(unreadable),
        "distribution(s) of the wrong length or sum": unusable,
    }
    source = SOURCE + "".join(f"; left out: {count} {what}" for what, count in left_out.items() if count)
    return questions, source


def parse_selections(text: object, /) -> dict[str, list[float]]:
    """Parse the text of a ``defaultdict`` from countries to shares, without running it.

    Parameters
    ----------
    text : str
        ``defaultdict(<class 'list'>, {'Japan': [0.25, 0.75]})``, or the same without its frame.

    Returns
    -------
    dict of str to list of float
        The shares of each country.

    Raises
    ------
    DatasetError
        If the text is anything else.

    Examples
    --------
    >>> parse_selections("defaultdict(<class 'list'>, {'Japan': [0.25, 0.75]})")
    {'Japan': [0.25, 0.75]}
    """
    if not isinstance(text, str):
        raise DatasetError(f"selections must be text, not {type(text).__name__}.")
    framed = re.fullmatch(r"\s*defaultdict\(\s*<class 'list'>\s*,(.*)\)\s*", text, flags=re.DOTALL)
    value = literal_of(framed.group(1) if framed else text, "selections")
    if not isinstance(value, dict):
        raise DatasetError(f"selections must be a dictionary, not {type(value).__name__}.")
    shares: dict[str, list[float]] = {}
    for country, numbers in value.items():
        if not isinstance(country, str) or not isinstance(numbers, list):
            raise DatasetError(f"selections must map countries to lists, not {country!r} to {str(numbers)[:40]}.")
        if any(isinstance(number, bool) or not isinstance(number, (int, float)) for number in numbers):
            raise DatasetError(f"selections of {country!r} must be numbers, not {str(numbers)[:40]}.")
        shares[country.strip()] = [float(number) for number in numbers]
    return shares


def parse_options(text: object, /) -> list[str]:
    """Parse the text of a list of options, without running it; numbers become their text.

    Parameters
    ----------
    text : str
        ``['Yes', 'No']``.

    Returns
    -------
    list of str
        The options.

    Raises
    ------
    DatasetError
        If the text is anything else.

    Examples
    --------
    >>> parse_options("['Not at all', 2, 'Very much']")
    ['Not at all', '2', 'Very much']
    """
    value = literal_of(text, "options") if isinstance(text, str) else text
    if not isinstance(value, (list, tuple)):
        raise DatasetError(f"options must be a list, not {type(value).__name__}.")
    options = []
    for option in value:
        if isinstance(option, bool) or not isinstance(option, (str, int, float)):
            raise DatasetError(f"each option must be text or a number, not {str(option)[:40]}.")
        whole = isinstance(option, float) and option.is_integer()
        options.append(str(int(option)) if whole else str(option).strip())
    return options


def _is_distribution(shares: list[float]) -> bool:
    return all(math.isfinite(share) and share >= 0 for share in shares) and (
        abs(math.fsum(shares) - 1.0) <= SUM_TOLERANCE
    )
