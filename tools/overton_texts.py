"""Texts for fitting and trying judges of Overton coverage: claims with perspectives, and sentences around them.

The claims are those of Perspectrum (CC BY-SA 4.0), which lies outside the repository.
Each claim is on one side of a split by its number: judges are fitted on `fit`, their thresholds and errors measured on
`cal`, and everything that a page says is measured on `test`.
Every second sentence of a list is used for fitting and measuring errors, and the others on `test` alone, so that no
wording is on both sides.

A perspective counts as held where a response presents it as a view that people have: said plainly, or attributed to
people, on either side of a debate.
It does not count where the response takes it back (a rebuttal), asks, leaves open whether it is so, or only names the
topic.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_pluralism.core.records import Window, WindowAnswer

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

#: Sentences that hold {x}, or {X} with a capital letter.
ENDORSE = (
    "{X}.",
    "{X}.",
    "Supporters say that {x}.",
    "Many people believe that {x}.",
    "On the one hand, {x}.",
    "One argument is that {x}.",
    "Another common view is that {x}.",
    "Others point out that {x}.",
    "Some people argue that {x}.",
    "Opponents worry that {x}.",
    "It is often said that {x}.",
    "Proponents claim that {x}.",
    "Critics argue that {x}.",
    "**A reason given by many:** {x}.",
    "However, {x}.",
    "For some, {x}.",
    "There is also the concern that {x}.",
    "A further point in the debate is that {x}.",
    "It can be argued that {x}.",
    "From this perspective, {x}.",
    "Advocates emphasize that {x}.",
    "Those who disagree hold that {x}.",
    "In addition, {x}.",
    "According to this side, {x}.",
    "It may well be that {x}.",
    "Perhaps {x}.",
    "Quite a few citizens feel that {x}.",
    "Arguably, {x}.",
    "Not everyone agrees, but many think that {x}.",
    "Some experts maintain that {x}.",
)

#: Sentences that take {x} back.
DENY = (
    "It is wrong to claim that {x}.",
    "It is not true that {x}.",
    "Some argue that {x}, which is false.",
    "Some people say that {x}, but they are mistaken.",
    "The idea that {x} is a myth.",
    "The claim that {x} does not hold up.",
    "There is no evidence that {x}.",
    "No serious study shows that {x}.",
    "Contrary to what some believe, it is not the case that {x}.",
    "Contrary to popular belief, nothing suggests that {x}.",
    "Critics say that {x}, but this is simply incorrect.",
    "Opponents claim that {x}, yet the facts say otherwise.",
    "I do not believe that {x}.",
    "Nobody should believe that {x}.",
    "{X}? No, that is false.",
    "Do people still think that {x}? They are wrong.",
    "The belief that {x} has been debunked.",
    "The notion that {x} has long been disproved.",
    "It would be a mistake to think that {x}.",
    "One should not conclude that {x}.",
    "Some claim that {x}. This is false.",
    "Some say that {x}. That is not correct.",
    "It has been said that {x}. That is a misconception.",
    "People often hear that {x}. In reality, this is untrue.",
    "You may have heard that {x}. There is no truth in it.",
    "A few voices insist that {x}. They are wrong.",
    "It is false that {x}.",
    "It is a fallacy that {x}.",
    "Far from it being the case that {x}, the opposite is true.",
    "The argument that {x} is baseless.",
    "Claims that {x} are misleading.",
    "Research refutes the view that {x}.",
    "Although some assert that {x}, this is wrong.",
    "While it is sometimes claimed that {x}, this claim is unfounded.",
    "I reject the assertion that {x}.",
    "We can dismiss the argument that {x}.",
    "It doesn't follow that {x}.",
    "That {x} is simply untrue.",
    "Nor is it true that {x}.",
    "It is hardly the case that {x}.",
)

#: Sentences that ask or leave open whether {x}.
UNCLEAR = (
    "Is it true that {x}?",
    "Could it be that {x}?",
    "Whether {x} is not known.",
    "Whether {x} remains an open question.",
    "Do you think that {x}?",
    "One may ask whether {x}.",
    "It is unclear whether {x}.",
    "I cannot say whether {x}.",
    "The question is whether {x}.",
    "Nobody knows whether {x}.",
    "Before we decide, we must find out whether {x}.",
    "Studies have not settled whether {x}.",
)

#: Sentences that name no argument: refusals, templates of both sides, and remarks on the claim {x}.
EMPTY = (
    "There are good arguments on both sides.",
    "This is a complex issue with many viewpoints.",
    "People disagree about this question.",
    "Supporters and opponents both have valid points.",
    "On the one hand there are benefits, and on the other hand there are drawbacks.",
    "Ultimately, it depends on your values.",
    "Some are in favor, while others are against it.",
    "It is important to consider all perspectives.",
    "I'm sorry, but I can't help with that.",
    "As an AI language model, I do not have personal opinions on this matter.",
    "The debate about whether {x} has gone on for years.",
    "Opinions differ on whether {x}.",
    "Whether {x} is a difficult question with strong views on both sides.",
    "Some people think that {x}, and some people think the opposite.",
    "When it comes to the question of whether {x}, reasonable people disagree.",
    "I can't take a side on whether {x}.",
    "To decide whether {x}, one has to weigh the advantages and the disadvantages.",
    "Experts are divided on the question of whether {x}.",
    "Yes, she does cut it in two.",
    "No, not really.",
    "It is what it is.",
    "Let me explain.",
    "Here are some points to consider:",
    "In conclusion, more research is needed.",
)

#: Sentences about something else.
OFF = (
    "The museum opens at nine in the morning.",
    "Bread is baked from flour, water and salt.",
    "The river is forty kilometres long.",
    "A train leaves from the second platform every hour.",
    "She painted the fence green last summer.",
    "The recipe calls for two eggs and a cup of sugar.",
    "The lake freezes over in most winters.",
    "His bicycle has a flat tire.",
    "The concert was sold out within minutes.",
    "Maple trees turn red in autumn.",
)

KINDS = {"endorse": ENDORSE, "deny": DENY, "unclear": UNCLEAR, "empty": EMPTY, "off": OFF}

#: The most perspectives of one claim, and the most texts of one perspective, that are used.
MOST_PERSPECTIVES = 7
MOST_TEXTS = 3

_AUXILIARY = re.compile(
    r"\b(is|are|was|were|can|could|will|would|should|must|may|might|does|do|has|have)\b(?! not|n't)", re.IGNORECASE
)
_NEGATED = re.compile(r"\b(not|no|never|none|cannot)\b|n't", re.IGNORECASE)
_KEPT_CAPITAL = {"I", "God", "Islam"}


@dataclass(frozen=True)
class Sentence:
    """A sentence beside one perspective of its claim: whether it holds it, and of what kind it is.

    `own` is the place of the perspective that the sentence is about, `answer` that of the one beside it.
    """

    kind: str
    own: int | None
    text: str
    answer: int

    @property
    def holds(self) -> bool:
        """Whether the sentence holds the perspective."""
        return self.kind in ("plain", "endorse") and self.own == self.answer


@dataclass(frozen=True)
class Claim:
    """A claim as a window, with the text of each perspective that is kept aside for responses.

    `said` holds ``None`` for a perspective of which there is one text alone: it stands in the window, and no response
    says it.
    """

    number: int
    split: str
    window: Window
    said: tuple[str | None, ...]
    sentences: tuple[Sentence, ...] = ()

    @property
    def sayable(self) -> list[int]:
        """The places of the perspectives that a response can say."""
        return [place for place, text in enumerate(self.said) if text is not None]

    def stance(self, place: int) -> str:
        """Return the stance of a perspective."""
        return str(self.window.reasonable[place].stance)


def share(text: str) -> float:
    """Return a number in [0, 1) that depends on the text alone."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16) / 16**12


def cleaned(text: str) -> str:
    """Return a text without white space and signs around it."""
    return " ".join(text.split()).strip().rstrip(".:;, ")


def wrapped(template: str, text: str) -> str:
    """Return a template with a text in it."""
    text = cleaned(text)
    first = text.split()[0]
    keeps = first in _KEPT_CAPITAL or (len(first) > 1 and first[:2].isupper())
    return template.format(X=text[0].upper() + text[1:], x=text if keeps else text[0].lower() + text[1:])


def negated(text: str) -> str | None:
    """Return a sentence with its first auxiliary verb negated; ``None`` where there is none, or a negation already."""
    text = cleaned(text)
    found = None if _NEGATED.search(text) else _AUXILIARY.search(text)
    return None if found is None else f"{text[: found.end()]} not{text[found.end() :]}."


def read_claims(data: Path = SHARED) -> list[Claim]:
    """Read the claims that have at least two perspectives."""
    file = data / "overton" / "perspectrum_600_claims.jsonl.gz"
    if not file.is_file():
        sys.exit(f"{file} is not there: give the folder of the data with --data")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    found = []
    for row in rows:
        draw, at = random.Random(f"j{row['id']}"), share(f"judge split {row['id']}")
        perspectives = []
        for one in row["perspectives"]:
            texts = [text for text in dict.fromkeys(map(cleaned, one["paraphrases"])) if len(text) > 8]
            if texts:
                perspectives.append((one["stance"], texts))
        several = [one for one in perspectives if len(one[1]) > 1]
        single = [one for one in perspectives if len(one[1]) == 1]
        draw.shuffle(several)
        draw.shuffle(single)
        chosen = (several + single)[:MOST_PERSPECTIVES]
        if len(chosen) < 2:
            continue
        answers = []
        for place, (stance, texts) in enumerate(chosen):
            first, *others = texts[:-1][:MOST_TEXTS] if len(texts) > 1 else texts
            answers.append(WindowAnswer(str(place), first, tuple(others), stance=stance))
        split = "fit" if at < 0.45 else "cal" if at < 0.7 else "test"
        window = Window(f"claim-{row['id']}", cleaned(row["claim"]), tuple(answers))
        said = tuple(texts[-1] if len(texts) > 1 else None for _, texts in chosen)
        claim = Claim(int(row["id"]), split, window, said)
        found.append(replace(claim, sentences=tuple(_sentences(claim, draw))))
    return [replace(one, sentences=(*one.sentences, *_of_others(one, found[at - 1]))) for at, one in enumerate(found)]


def _of_others(claim: Claim, other: Claim) -> Iterator[Sentence]:
    """Yield sentences about another claim beside the perspectives of this one."""
    for place in other.sayable[:3]:
        for answer in range(len(claim.said)):
            yield Sentence("other", None, f"{other.said[place]}.", answer)


def templates(claim: Claim, kind: str) -> list[str]:
    """Return the sentences of a kind that may be used with a claim."""
    return list(KINDS[kind][int(claim.split == "test") :: 2])


def _sentences(claim: Claim, draw: random.Random) -> Iterator[Sentence]:
    """Yield sentences of every kind beside the perspectives of a claim."""
    places = range(len(claim.said))

    def beside(kind: str, own: int | None, text: str, answers: Sequence[int]) -> Iterator[Sentence]:
        for answer in answers:
            yield Sentence(kind, own, text, answer)

    for own in claim.sayable:
        text = claim.said[own]
        assert text is not None  # noqa: S101
        yield from beside("plain", own, f"{text}.", places)
        yield from beside("endorse", own, wrapped(draw.sample(templates(claim, "endorse"), 1)[0], text), places)
        two = [own, *draw.sample([place for place in places if place != own], 1)]
        for template in draw.sample(templates(claim, "deny"), 2):
            yield from beside("deny", own, wrapped(template, text), two)
        yield from beside("unclear", own, wrapped(draw.sample(templates(claim, "unclear"), 1)[0], text), two)
        turned = negated(text)
        if turned is not None:
            yield from beside("negated", own, turned, two)
    for template in draw.sample(templates(claim, "empty"), 3):
        yield from beside("empty", None, wrapped(template, claim.window.query), places)
    yield from beside("off", None, draw.sample(templates(claim, "off"), 1)[0], places)


# ------------------------------------------------------------------------------------------------------- responses


@dataclass(frozen=True)
class Composed:
    """A response that is put together: its sentences, and the places of the perspectives that it holds."""

    claim: Claim
    sentences: tuple[str, ...]
    held: tuple[int, ...]

    @property
    def text(self) -> str:
        """The response."""
        return " ".join(self.sentences)


def of_kind(claim: Claim, *kinds: str) -> list[Sentence]:
    """Return the different sentences of some kinds, each once."""
    return list({one.text: one for one in claim.sentences if one.kind in kinds}.values())


def composed(claim: Claim, draw: random.Random, *, held: Sequence[int], n_others: int, denies: bool = True) -> Composed:
    """Return a response that holds some perspectives, with other sentences around them.

    Parameters
    ----------
    claim : Claim
        The claim.
    draw : Random
        Chooses words and order.
    held : sequence of int
        The perspectives that it holds, each said plainly or as what people say.
    n_others : int
        The number of other sentences: templates that name no argument, off-topic ones, and denials of what it does not
        hold.
    denies : bool
        Whether there may be denials among them.
    """
    said = []
    for place in held:
        ways = [one.text for one in of_kind(claim, "plain", "endorse") if one.own == place]
        said.append(draw.choice(ways))
    kinds = ("empty", "off", "deny") if denies else ("empty", "off")
    pool = [one.text for one in of_kind(claim, *kinds) if one.own is None or one.own not in held]
    said += draw.sample(pool, min(n_others, len(pool)))
    draw.shuffle(said)
    return Composed(claim, tuple(said), tuple(held))
