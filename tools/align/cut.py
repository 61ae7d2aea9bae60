"""Cut the texts of one recording to the lengths of another: the control for length of the alignment study.

    python tools/align/cut.py v1.jsonl v2.jsonl v1-as-long-as-v2.jsonl

Each response of the first file ends after as many words as the other model's response to the same query and draw
has, and is never longer than it was. All other rows stay as they are.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path


def rows_of(path: Path) -> list[dict[str, object]]:
    """Return the rows of a recording, its header first."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def cut(text: str, words: int) -> str:
    """Return the first words of a text, with the white space between them."""
    ends = [match.end() for match in re.finditer(r"\S+", text)]
    return text if len(ends) <= words else text[: ends[words - 1]] if words else ""


def main(long: str, other: str, to: str) -> None:
    """Write the recording that is cut."""
    lengths = {
        (row["prompt_id"], row.get("draw", 0)): len(str(row["response"]).split())
        for row in rows_of(Path(other))
        if "response" in row
    }
    result = []
    for row in rows_of(Path(long)):
        key = (row.get("prompt_id"), row.get("draw", 0))
        result.append({**row, "response": cut(str(row["response"]), lengths[key])} if "response" in row else row)
    Path(to).write_text("".join(json.dumps(row) + "\n" for row in result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
