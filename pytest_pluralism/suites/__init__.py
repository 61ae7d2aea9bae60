"""Ready suites of promises, which any model can be tried on without writing a test.

A suite is a package of tests: ``pytest --pyargs pytest_pluralism.suites.quick`` runs it, and ``pluralism try`` runs it
and writes a card. The promises are relative to references (an even answer, the same responses on other queries), so
that they need no threshold of a project.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SUITES", "Suite"]


@dataclass(frozen=True)
class Suite:
    """A ready suite.

    Attributes
    ----------
    name : str
        The name of its package below this one.
    version : int
        Changes whenever a promise, its data or its settings change, so that cards of one version can be compared.
    words : str
        A noun phrase for its content.
    judge : bool, default False
        Whether it needs an entailment model.
    pair : bool, default False
        Whether it compares the model with one from before, as the reference model of the run.
    """

    name: str
    version: int
    words: str
    judge: bool = False
    pair: bool = False


#: The suites, by name.
SUITES = {
    suite.name: suite
    for suite in (
        Suite("quick", 1, "25 closed questions of the General Social Survey, for the country and its parties"),
        Suite("parties", 1, "the same questions for the country and its parties, with the survey in the package"),
        Suite("surveys", 2, "closed questions of two surveys, for groups by party, sex and education"),
        Suite("overton", 1, "responses to contested queries", judge=True),
        Suite("case_study", 1, "distance from people and entropy, before and after alignment", pair=True),
    )
}
