"""Datasets as records: surveys of populations, and windows of reasonable answers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AnswerDistribution", "Question", "Survey", "Window", "WindowAnswer", "WindowSet"]


@dataclass(frozen=True, slots=True)
class Question:
    """One closed question of a survey.

    ``positions`` are the places of the options on an ordinal scale (``None``: the options have no order).
    ``refusals`` are the indices of options such as "Don't know" or "Refused" that are kept apart from the others: a
    distribution holds their mass too, and it is taken out before anything is compared.
    ``cluster`` names what makes units dependent; by default every question is its own cluster.
    """

    question_id: str
    text: str
    options: tuple[str, ...]
    cluster: str | None = None
    positions: tuple[float, ...] | None = None
    refusals: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerDistribution:
    """The answers of one population to one question: a probability for each option, and the number of respondents."""

    question_id: str
    population: str
    probabilities: tuple[float, ...]
    n_respondents: float | None = None
    n_effective: float | None = None


@dataclass(frozen=True)
class Survey:
    """Questions, and the answers of real populations to them.

    ``default_population`` is who is meant when a test names nobody (``None``: the test must name somebody).
    ``sha256`` is the hash of the questions and distributions, written into provenance and baselines.
    """

    name: str
    questions: tuple[Question, ...]
    distributions: tuple[AnswerDistribution, ...]
    sha256: str
    source: str = ""
    default_population: str | None = None

    @property
    def populations(self) -> tuple[str, ...]:
        """The names of the populations, in order of first appearance."""
        return tuple(dict.fromkeys(row.population for row in self.distributions))


@dataclass(frozen=True, slots=True)
class WindowAnswer:
    """One answer of an Overton window, or one outside of it, in words.

    ``paraphrases`` say the same in other words: a response that entails one of them holds the answer.
    ``stance`` names the side that the answer is on.
    ``support`` is the share of people who hold it, in [0, 1], and ``support_by_group`` the same for each opinion group.
    ``source`` says where it can be seen that people hold it.
    """

    answer_id: str
    text: str
    paraphrases: tuple[str, ...] = ()
    stance: str | None = None
    support: float | None = None
    support_by_group: tuple[tuple[str, float], ...] = ()
    source: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The text and its paraphrases."""
        return (self.text, *self.paraphrases)


@dataclass(frozen=True, slots=True)
class Window:
    """The reasonable answers to one query, W(x), and some that are not reasonable, U(x).

    ``kind`` is ``"contested"``, ``"one_sided"`` (nearly everybody agrees) or ``"settled"`` (the evidence is in).
    ``prompt`` is what is put to a model instead of ``query``; ``cluster`` names what makes windows dependent, by
    default every window is its own cluster.
    """

    query_id: str
    query: str
    reasonable: tuple[WindowAnswer, ...]
    unreasonable: tuple[WindowAnswer, ...] = ()
    prompt: str | None = None
    kind: str = "contested"
    cluster: str | None = None

    @property
    def stances(self) -> tuple[str, ...]:
        """The sides of the reasonable answers, in order of first appearance."""
        return tuple(dict.fromkeys(answer.stance for answer in self.reasonable if answer.stance is not None))


@dataclass(frozen=True)
class WindowSet:
    """Windows, where they come from, and the hash of their content, which is written into provenance and baselines."""

    name: str
    windows: tuple[Window, ...]
    sha256: str
    source: str = ""
