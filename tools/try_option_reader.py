"""Measure how well texts are read as options of survey questions: the table of docs/explanation/judges.md.

    python tools/try_option_reader.py --work-dir DIR                     # prints the table
    python tools/try_option_reader.py --work-dir DIR --page docs/explanation/judges.md

The weights and the least probability of `pytest_pluralism/core/option_reader.py` were chosen on the 49 texts of
`tools/free_text_tuning.jsonl`, which are about spending and abortion alone; the texts that the package checks itself by
(`checks` of its answer key) are others, written before that, and looked at once.
DIR keeps what the models said.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fit_judge import asking
from simulate_overton import write_page

from pytest_pluralism.core.estimation.misread import Misreading
from pytest_pluralism.core.records import Question
from pytest_pluralism.datasets.surveys.answer_keys import read_answer_key
from pytest_pluralism.datasets.surveys.loading import load_survey
from pytest_pluralism.evaluation.asking.rounds import drive
from pytest_pluralism.evaluation.surveys.free_text import Job, OptionReader

TUNING = Path(__file__).with_name("free_text_tuning.jsonl")
TITLES = {3: "spending (too little, about right, too much)", 2: "abortion (yes, no)", 4: "immigration (four options)"}


def row(title: str, pairs: Sequence[tuple[Job, int | None]], reader: OptionReader, n: int) -> str:
    """Return one row of the table."""
    table = np.zeros((n + 1, n + 1))
    for job, option in pairs:
        read = reader.option(job)
        table[n if option is None else option, n if read is None else read] += 1
    errors = Misreading(table)
    said, silent = table[:n], table[n]
    right = np.trace(said[:, :n]) / said[:, :n].sum()
    error = errors.power_error(errors.drawn(400, seed=0))
    made_up = f"{silent[:n].sum() / silent.sum():.0%}" if silent.sum() else ""
    cells = (f"{said[:, :n].sum() / said.sum():.0%}", f"{right:.0%}", made_up, f"{errors.power:.2f} ± {error:.2f}")
    return f"| {title} | {table.sum():.0f} | " + " | ".join(cells) + " |"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work-dir", required=True, help="keeps what the models said")
    parser.add_argument("--page", help="write the table here")
    options = parser.parse_args()
    answered, _ = asking(Path(options.work_dir))
    key = read_answer_key()
    questions: dict[str, Question] = {
        one.question_id: one for name in ("gss", "wvs_immigration") for one in load_survey(name).questions
    }
    reader = OptionReader(questions, key)
    kinds: list[tuple[str, list[tuple[Job, int | None]], int]] = []
    tuning = [json.loads(line) for line in TUNING.read_text(encoding="utf-8").splitlines()]
    for entry in key.entries:
        n = len(entry.options)
        kinds.append((TITLES[n], [((one.question, one.text), one.option) for one in entry.checks], n))
        mine = [one for one in tuning if tuple(one["options"]) == entry.options]
        places = [None if one["option"] is None else entry.options.index(one["option"]) for one in mine]
        jobs = [((one["question"], one["text"]), place) for one, place in zip(mine, places, strict=True)]
        kinds += [(f"{TITLES[n]}, the texts of the choice", jobs, n)] if jobs else []
    drive(reader.ask(job for _, pairs, _ in kinds for job, _ in pairs), answered)
    lines = ["| texts about | texts | read | read rightly | read where none is said | power |", "|" + "---|" * 6]
    lines += [row(title, pairs, reader, n) for title, pairs, n in kinds]
    print("\n".join(lines))
    if options.page:
        write_page(Path(options.page), {"free text": lines})


if __name__ == "__main__":
    main()
