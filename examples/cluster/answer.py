"""Answers exported prompts on one machine, and writes rows that ``responses:FILE`` reads; goes on after a kill."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ray_answers import BATCH, Answerer, left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prompts", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--name", required=True, help="the name of the model in reports and baselines")
    parser.add_argument("--dtype", default="auto")
    arguments = parser.parse_args()
    rows = left(arguments.prompts, arguments.answers)
    print(f"{len(rows)} prompts to answer")
    if not arguments.answers.exists():
        dtype = {} if arguments.dtype == "auto" else {"dtype": arguments.dtype}
        header = {"model": {"name": arguments.name, **dtype}}
        arguments.answers.write_text(json.dumps(header) + "\n", encoding="utf-8")
    if not rows:
        return
    answerer = Answerer(arguments.model, arguments.dtype)
    with arguments.answers.open("a", encoding="utf-8") as file:
        for start in range(0, len(rows), BATCH):
            file.writelines(f"{text}\n" for text in answerer({"row": rows[start : start + BATCH]})["answer"])
            file.flush()


if __name__ == "__main__":
    main()
