"""Count how the responses of recordings read: their words, apologies, and mentions of another side.

python tools/align/texts.py examples/releases/answers/v1.jsonl.gz examples/releases/answers/v2.jsonl.gz
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from statistics import mean, median

from cut import rows_of

from pytest_pluralism.evaluation.overton.reading import is_refusal

#: How a response begins that apologizes or says that it cannot.
EVASIONS = re.compile(r"(?i)\W*(i'm sorry|i am sorry|sorry|i can't|i cannot|i'm not|i am not|i don't|i do not)\b")

#: Words that announce another side.
SIDES = re.compile(
    r"(?i)\b(on the other hand|on the one hand|others (argue|say|believe|think)|some (argue|people|say))\b"
)


def main(*paths: str) -> None:
    """Print one line a recording."""
    print("| recording | responses | words, mean | words, median | begin evasively | refuse | name another side |")
    print("|---|---|---|---|---|---|---|")
    for path in map(Path, paths):
        texts = [str(row["response"]) for row in rows_of(path) if "response" in row]
        words = [len(text.split()) for text in texts]
        counts = [
            sum(map(bool, map(EVASIONS.match, texts))),
            sum(map(is_refusal, texts)),
            sum(map(bool, map(SIDES.search, texts))),
        ]
        cells = [path.name.partition(".")[0], len(texts), f"{mean(words):.0f}", f"{median(words):.0f}", *counts]
        print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main(*sys.argv[1:])
