"""Panels of others, told by their columns: Community Notes, PRISM, DICES, the Habermas Machine, and more.

Each is a table of ratings: the columns of the rater, of what was rated and of the rating, and the scale.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pytest_pluralism.datasets.panels.records import UtilityScale
from pytest_pluralism.datasets.reading import Entries, Line, Problems, json_lines, read_table, read_text, shown
from pytest_pluralism.datasets.sources import Rows, Source, as_list

__all__ = ["PANEL_SOURCES", "RatedTable"]


@dataclass(frozen=True)
class RatedTable:
    """The rows of a source as ratings: the names of the columns, the numbers of written ratings, and the scale."""

    rows: Entries
    columns: Line
    scale: UtilityScale
    values: Mapping[str, float] = field(default_factory=dict)


def _rated(
    rows: Rows,
    *,
    columns: Line,
    scale: UtilityScale,
    values: Mapping[str, float] | None = None,
    change: Callable[[Rows], Entries] = lambda rows: rows.entries,
) -> RatedTable:
    return RatedTable(change(rows), columns, scale, values or {})


def _beside(path: Path, name: str) -> Path | None:
    """Return another file of the same source beside a file, if it is there."""
    found = path.parent / name
    return found if found.is_file() else None


# ------------------------------------------------------------------------------------------------- Community Notes


def _with_notes(rows: Rows) -> Entries:
    """Add the text and the post of each note, where the file of notes lies beside the file of ratings."""
    notes: dict[str, Mapping[str, str]] = {}
    path = _beside(rows.path, rows.path.name.replace("ratings", "notes"))
    if path is not None and path != rows.path:
        table = read_table(read_text(path, what="file of notes", holds="note"), rows.problems, delimiter="\t")
        notes = {cells["noteId"]: cells for _, cells in table.rows if "noteId" in cells}
    for where, row in rows.entries:
        note = notes.get(row["noteId"], {})
        # Notes on one post are responses to it; without the file of notes each note stands alone.
        yield where, {**row, "post": note.get("tweetId") or row["noteId"], "text": note.get("summary") or row["noteId"]}


# ---------------------------------------------------------------------------------------------------------- PRISM


PRISM_GROUPS = ("age", "gender", "education", "employment_status", "marital_status", "english_proficiency")


def _with_survey(rows: Rows) -> Entries:
    """Add the groups of each participant, where ``survey.jsonl`` lies beside the utterances."""
    people: dict[str, dict[str, str]] = {}
    path = _beside(rows.path, "survey.jsonl")
    if path is not None and path != rows.path:
        text, problems = read_text(path, what="survey of PRISM", holds="participant"), Problems(str(path))
        for where, one in json_lines(text, problems):
            if not isinstance(one, dict):
                problems.add(where, f"must be an object with the answers of a participant, not {shown(one)}")
                continue
            groups = {name: one.get(name) for name in PRISM_GROUPS}
            nested = {name: (one.get(name) or {}).get("simplified") for name in ("ethnicity", "religion")}
            people[one.get("user_id", "")] = {n: str(g) for n, g in {**groups, **nested}.items() if isinstance(g, str)}
        problems.raise_if_any()
    known = {name: "unknown" for one in people.values() for name in one}
    for where, row in rows.entries:
        yield where, {**row, "response": f"{row['within_turn_id']}", **known, **people.get(row["user_id"], {})}


# --------------------------------------------------------------------------------------------- Habermas Machine


#: The words of agreement, and their places on a scale of seven; ``MOCK`` is a rating that nobody gave.
AGREEMENT = {
    name: float(place)
    for place, name in enumerate(
        ("STRONGLY_DISAGREE", "DISAGREE", "SOMEWHAT_DISAGREE", "NEUTRAL", "SOMEWHAT_AGREE", "AGREE", "STRONGLY_AGREE")
    )
}


def _each_candidate(rows: Rows) -> Entries:
    """Yield a row a candidate statement, of rows that hold lists of statements and of agreements."""
    for where, row in rows.entries:
        texts, said = as_list(row["candidates.text"]), as_list(row["ratings.agreement"])
        if not texts or not said or len(texts) != len(said):
            if texts and said:
                rows.problems.add(where, f"has {len(texts)} candidates and {len(said)} ratings of agreement")
            continue
        group = [str(row[name]) for name in ("question.id", "round_id", "iteration_index") if row.get(name) is not None]
        for place, (text, word) in enumerate(zip(texts, said, strict=True)):
            if "MOCK" not in str(word):
                juror = row["metadata.participant_id"]
                name = hashlib.sha256(str(text).encode()).hexdigest()[:12]
                yield (
                    f"{where}, candidate {place + 1}",
                    {"juror": juror, "query": "/".join(group), "asked": row["question.text"], "id": name, "text": text,
                     "agreement": str(word)},
                )  # fmt: skip


def _each_position(rows: Rows) -> Entries:
    """Yield a row a rating of a position statement."""
    for where, row in rows.entries:
        said = as_list(row["ratings.agreement"])
        word = said[0] if said else row["ratings.agreement"]
        if word is not None and "MOCK" not in str(word):
            statement = row.get("question.affirming_statement") or row["question.text"]
            # The opinions of a participant before and after the deliberation are two responses.
            moment = f"rating {row.get('rating_index', 0)}"
            yield where, {**row, "statement": statement, "moment": moment, "agreement": str(word)}


# -------------------------------------------------------------------------------------------- Community Alignment


LETTERS = "abcd"


def _each_response(rows: Rows) -> Entries:
    """Yield a row a response of the first turn: 1 for the preferred one, 0 for the others.

    Responses are known by their texts, since their places differ between annotators.
    """
    for where, row in rows.entries:
        texts = {letter: row.get(f"first_turn_response_{letter}") for letter in LETTERS}
        chosen = str(row.get("first_turn_preferred_response") or "")[-1:].lower()
        if chosen not in texts or not row.get("first_turn_prompt"):
            continue
        shown = sorted(str(text) for text in texts.values() if text)
        query = hashlib.sha256(json.dumps([row["first_turn_prompt"], shown]).encode()).hexdigest()[:12]
        for letter, text in texts.items():
            if text:
                name = hashlib.sha256(str(text).encode()).hexdigest()[:12]
                yield where, {**row, "query": query, "id": name, "text": text, "preferred": float(letter == chosen)}


def _once(change: Callable[[Rows], Entries], *keys: str) -> Callable[[Rows], Entries]:
    """Return rows of which the first by these columns counts, where a source has repetitions."""

    def kept(rows: Rows) -> Iterator[tuple[str, object]]:
        seen = set()
        for where, row in change(rows):
            key = tuple(row[name] for name in keys)
            if key not in seen:
                seen.add(key)
                yield where, row

    return kept


DICES = {
    "juror": "rater_id",
    "query": "item_id",
    "query_text": "context",
    "response_text": "response",
    "utility": "Q_overall",
}

#: The sources of panels.
PANEL_SOURCES: tuple[Source[RatedTable], ...] = (
    Source(
        "X Community Notes ratings",
        ("noteId", "raterParticipantId", "helpfulnessLevel"),
        partial(
            _rated,
            columns={
                "juror": "raterParticipantId",
                "query": "post",
                "response": "noteId",
                "response_text": "text",
                "utility": "helpfulnessLevel",
            },
            values={"NOT_HELPFUL": 0, "SOMEWHAT_HELPFUL": 1, "HELPFUL": 2},
            scale=UtilityScale(0, 2, levels=3, measurement="ordinal"),
            change=_with_notes,
        ),
        "X developer terms",
        "https://communitynotes.x.com/guide/en/under-the-hood/download-data",
    ),
    Source(
        "PRISM",
        ("utterance_id", "interaction_id", "user_id", "user_prompt", "model_response", "score"),
        partial(
            _rated,
            columns={
                "juror": "user_id",
                "query": "interaction_id",
                "query_text": "user_prompt",
                "response": "utterance_id",
                "response_text": "model_response",
                "utility": "score",
                "groups": (*PRISM_GROUPS, "ethnicity", "religion"),
            },
            scale=UtilityScale(1, 100, levels=100),
            change=_with_survey,
        ),
        "CC BY 4.0 (human texts), CC BY-NC 4.0 (model texts)",
        "https://huggingface.co/datasets/HannahRoseKirk/prism-alignment",
        "each interaction is judged by the participant who had it, alone",
    ),
    Source(
        "DICES",
        ("rater_id", "item_id", "context", "response", "Q_overall", "rater_gender"),
        partial(
            _rated,
            columns={
                **DICES,
                "groups": ("rater_gender", "rater_race", "rater_age", "rater_education", "rater_locale"),
            },
            # The question is whether the reply is unsafe.
            values={"Yes": 0, "Unsure": 1, "No": 2},
            scale=UtilityScale(0, 2, levels=3, measurement="ordinal"),
        ),
        "CC BY 4.0",
        "https://github.com/google-research-datasets/dices-dataset",
        "'Yes' means unsafe",
    ),
    Source(
        "Habermas Machine candidate comparisons",
        ("metadata.participant_id", "question.id", "question.text", "candidates.text", "ratings.agreement"),
        partial(
            _rated,
            columns={
                "juror": "juror",
                "query": "query",
                "query_text": "asked",
                "response": "id",
                "response_text": "text",
                "utility": "agreement",
            },
            values=AGREEMENT,
            scale=UtilityScale(0, 6, levels=7, measurement="ordinal"),
            change=_once(_each_candidate, "juror", "query", "id"),
        ),
        "CC BY 4.0",
        "https://github.com/google-deepmind/habermas_machine",
    ),
    Source(
        "Habermas Machine position ratings",
        ("metadata.participant_id", "question.id", "question.text", "ratings.agreement", "rating_index"),
        partial(
            _rated,
            columns={
                "juror": "metadata.participant_id",
                "query": "question.id",
                "query_text": "question.text",
                "response": "moment",
                "response_text": "statement",
                "utility": "agreement",
            },
            values=AGREEMENT,
            scale=UtilityScale(0, 6, levels=7, measurement="ordinal"),
            change=_once(_each_position, "metadata.participant_id", "question.id", "moment"),
        ),
        "CC BY 4.0",
        "https://github.com/google-deepmind/habermas_machine",
        fits=lambda row: "candidates.text" not in row,
    ),
    Source(
        "Community Alignment",
        ("annotator_id", "conversation_id", "first_turn_prompt", "first_turn_preferred_response"),
        partial(
            _rated,
            columns={
                "juror": "annotator_id",
                "query": "query",
                "query_text": "first_turn_prompt",
                "response": "id",
                "response_text": "text",
                "utility": "preferred",
                "groups": ("annotator_age", "annotator_gender", "annotator_education_level", "annotator_country"),
            },
            scale=UtilityScale(0, 1, levels=2, measurement="ordinal"),
            change=_once(_each_response, "annotator_id", "query", "id"),
        ),
        "CC BY 4.0",
        "https://huggingface.co/datasets/facebook/community-alignment-dataset",
        "the first turn; the preferred response is worth 1 and each other one 1/2, an assumption",
    ),
    Source(
        "OvertonBench",
        ("user", "question_id", "question", "model", "llm_response", "representation_rating"),
        partial(
            _rated,
            columns={
                "juror": "user",
                "query": "question_id",
                "query_text": "question",
                "response": "model",
                "response_text": "llm_response",
                "utility": "representation_rating",
                "groups": ("Sex", "Ethnicity simplified", "U.s. political affiliation"),
            },
            scale=UtilityScale(1, 5, levels=5, measurement="ordinal"),
        ),
        "see its card",
        "https://huggingface.co/datasets/elinorpd/overtonbench",
    ),
)
