"""Write the made-up data of the tutorials: members of a club, and raters of answers.

Usage: ``python tools/tutorial_data.py``.
"""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "tutorial" / "data"

#: The questions of the club, with the shares of "Yes" among its younger and its older members.
QUESTIONS = {
    "sundays": ("Should shops open on Sundays?", 0.70, 0.40),
    "library": ("Should the library stay open in the evening?", 0.85, 0.70),
    "cars": ("Should cars be kept out of the centre?", 0.65, 0.30),
    "buses": ("Should buses run at night?", 0.80, 0.45),
    "trees": ("Should the town plant more trees?", 0.90, 0.85),
    "fees": ("Should membership fees rise?", 0.15, 0.30),
    "online": ("Should meetings be held online?", 0.60, 0.20),
    "market": ("Should the market move to Saturdays?", 0.55, 0.35),
    "school": ("Should the school grow?", 0.50, 0.40),
    "pool": ("Should the pool be rebuilt?", 0.75, 0.55),
    "music": ("Should open-air concerts end at ten?", 0.25, 0.75),
    "dogs": ("Should dogs be on a lead in the park?", 0.45, 0.80),
}

#: The topics of the raters, and what two kinds of answers are worth to raters of the north and of the south.
TOPICS = ("taxes", "buses", "housing", "parks", "schools", "noise", "parking", "waste", "markets", "cycling", "sports")
ANSWERS = {"short": ("Takes the side of the north on {}.", 4.5, 2.2), "both": ("Weighs both sides on {}.", 4.1, 4.0)}


def members(rng: random.Random) -> None:
    """Write a table with a row a member, what its columns mean, and the recorded answers of an assistant."""
    with (FOLDER / "members.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["member", "age", "weight", *QUESTIONS])
        for number in range(240):
            young = number % 5 < 2
            said = [
                ("Yes" if rng.random() < shares[not young] else "No") if rng.random() < 0.97 else ""
                for _, *shares in QUESTIONS.values()
            ]
            table.writerow([number + 1, "Younger" if young else "Older", 1.5 if young else 0.67, *said])
    questions = {
        name: {"question": text, "options": {"Yes": "Yes", "No": "No"}} for name, (text, *_) in QUESTIONS.items()
    }
    book = {"questions": questions, "groups": ["age"], "weights": "weight"}
    (FOLDER / "codebook.json").write_text(json.dumps(book, indent=1) + "\n", encoding="utf-8")
    rows = [
        {"question_id": name, "probabilities": {"Yes": share, "No": round(1 - share, 2)}}
        for name, (_, share, _) in QUESTIONS.items()
    ]
    record("town-assistant", rows)


def raters(rng: random.Random) -> None:
    """Write a table of votes, and the recorded choices of two releases."""
    with (FOLDER / "ratings.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["juror", "group", "query", "query_text", "response", "response_text", "utility"])
        for number in range(40):
            south = number >= 27
            for topic in TOPICS:
                for name, (text, *worth) in ANSWERS.items():
                    vote = min(5, max(1, round(rng.gauss(worth[south], 0.5))))
                    group = "south" if south else "north"
                    table.writerow(
                        [f"r{number + 1}", group, topic, f"What about {topic}?", name, text.format(topic), vote]
                    )
    for release, share in (("release-1", 0.2), ("release-2", 0.85)):
        rows = [
            {
                "question_id": topic,
                "probabilities": {
                    ANSWERS["short"][0].format(topic): share,
                    ANSWERS["both"][0].format(topic): round(1 - share, 2),
                },
            }
            for topic in TOPICS
        ]
        record(release, rows)


def record(name: str, rows: list[dict[str, object]]) -> None:
    """Write a file of recorded answers."""
    lines = [{"model": {"name": name}}, *rows]
    (FOLDER / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    generator = random.Random(23)
    members(generator)
    raters(generator)
