"""Makes the recorded answers, and the survey, that are shipped with the package.

.. code-block:: console

    $ python tools/record_packaged.py survey
    $ pluralism export pytest_pluralism/suites/parties -o prompts.jsonl
    $ python examples/cluster/answer.py prompts.jsonl answers.jsonl --model=embedded:gemma-3-270m --name=gemma-3-270m
    $ python tools/record_packaged.py answers answers.jsonl gemma-3-270m
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "pytest_pluralism"

#: The populations of the small survey.
POPULATIONS = ("US adults", "Democrat", "Independent", "Republican")


def survey() -> None:
    """Write the questions of the embedded survey gss with four of its populations."""
    from pytest_pluralism.datasets import load_survey

    found = load_survey("gss")
    lines = []
    for question in found.questions:
        rows = [row for row in found.distributions if row.question_id == question.question_id]
        people = [
            {
                "population": row.population,
                "probabilities": [round(share, 6) for share in row.probabilities],
                "n_respondents": row.n_respondents,
            }
            for row in rows
            if row.population in POPULATIONS
        ]
        content = {"question_id": question.question_id, "question": question.text, "options": list(question.options)}
        lines.append(json.dumps({**content, "distributions": people}) + "\n")
    (PACKAGE / "suites" / "parties" / "parties.jsonl").write_text("".join(lines), encoding="utf-8")


def answers(file: Path, name: str) -> None:
    """Write the log-probabilities of a recording, without what the published protocols read."""
    header = {"model": {"name": name, "dtype": "float32", "device": "cpu"}}
    lines = [json.dumps(header) + "\n"]
    for text in file.read_text(encoding="utf-8").splitlines()[1:]:
        row = json.loads(text)
        values = [round(value, 6) for value in row["log_probabilities"]]
        lines.append(json.dumps({"prompt_id": row["prompt_id"], "log_probabilities": values}) + "\n")
    # Without a time in it, the same answers give the same file.
    packed = gzip.compress("".join([lines[0], *sorted(lines[1:])]).encode("ascii"), mtime=0)
    (PACKAGE / "models" / "recorded" / "packaged" / f"{name}.jsonl.gz").write_bytes(packed)


if __name__ == "__main__":
    survey() if sys.argv[1] == "survey" else answers(Path(sys.argv[2]), sys.argv[3])
