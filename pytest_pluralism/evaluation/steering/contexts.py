"""Steering contexts: prompts for a model that is steered to an attribute.

A context becomes fields of a :class:`~pytest_pluralism.core.records.Prompt`: the system message, exchanges before the
question, or words around the question. So the engine sees what prompts share: the beginning up to the context, and,
where the context stands behind the question, the question itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
import string
from collections.abc import Mapping, Sequence

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.records import AnswerDistribution, Prompt, Question, Turn
from pytest_pluralism.datasets.steering.templates import Attribute, SteeringTemplate, fill_template

__all__ = ["GroupExamples", "steer_prompt"]


def steer_prompt(
    prompt: Prompt,
    template: SteeringTemplate,
    attribute: Attribute,
    /,
    *,
    family: Sequence[Attribute] = (),
    examples: Sequence[Turn] = (),
) -> Prompt:
    r"""Return a prompt with an attribute put before the model.

    Parameters
    ----------
    prompt : Prompt
        The question as it is asked without steering.
    template : SteeringTemplate
        How the attribute is named.
    attribute : Attribute
        The target of the steering.
    family : sequence of Attribute
        The attributes of the same category, from which an exchange lets the model choose.
    examples : sequence of Turn
        The group's own answers, for a template of examples.

    Returns
    -------
    Prompt
        Another prompt; whatever the prompt already said stays.

    Raises
    ------
    InvalidParameterError
        If a template of examples gets none, or the prompt is a fixed text into which the context does not fit.

    Examples
    --------
    >>> from pytest_pluralism.datasets.steering.templates import TEMPLATES
    >>> asked = Prompt("Is it?\nA. Yes\nB. No", ("A", "B"))
    >>> democrat = Attribute(name="Democrat", who="a Democrat")
    >>> print(steer_prompt(asked, TEMPLATES["instruction"], democrat).question)
    Is it?
    A. Yes
    B. No
    <BLANKLINE>
    Answer as a Democrat would.
    """
    if template.place == "model":
        return prompt
    if template.place == "examples":
        if not examples:
            raise InvalidParameterError(
                f"The context {template.name!r} shows answers of {attribute.name!r}, and there are none for this "
                "question. Use another context, or a survey with more questions."
            )
        if prompt.verbatim is not None:
            raise _fixed(template)
        return dataclasses.replace(prompt, examples=(*prompt.examples, *examples))
    words = fill_template(template.text, attribute, family=tuple(family))
    if prompt.verbatim is not None:
        if template.place not in ("system", "before"):
            raise _fixed(template)
        return dataclasses.replace(prompt, verbatim=f"{words}{template.joiner}{prompt.verbatim}")
    if template.place == "system":
        system = f"{prompt.system}{template.joiner}{words}" if prompt.system else words
        return dataclasses.replace(prompt, system=system)
    if template.place == "exchange":
        turn = Turn(words, fill_template(template.answer, attribute, family=tuple(family)))
        return dataclasses.replace(prompt, examples=(*prompt.examples, turn))
    if template.place == "after":
        return dataclasses.replace(prompt, question=f"{prompt.question}{template.joiner}{words}")
    return dataclasses.replace(prompt, question=f"{words}{template.joiner}{prompt.question}")


def _fixed(template: SteeringTemplate) -> InvalidParameterError:
    return InvalidParameterError(
        f"The context {template.name!r} does not fit into the fixed prompts of a published protocol. "
        "Use a context that stands before the question, such as 'modular_pluralism', or protocol='sound'."
    )


class GroupExamples:
    """Answers of a group to other questions than the one that is asked, as in-context examples.

    Questions are halved by a hash of their cluster, and a question of one half sees answers to questions of the other:
    so no question is shown its own answers, or those to a question that depends on it, and all questions of a half
    share one beginning. The answers are drawn from the group's distribution, anew for each repetition: in the mean over
    repetitions they say how much the group disagrees, not only what most of it thinks.

    Parameters
    ----------
    questions : sequence of Question
        All questions.
    rows : sequence of AnswerDistribution
        How the group answered them.
    n_examples : int
        How many are shown; fewer where a half has no more.
    seed : int
        Decides the draws.
    """

    def __init__(
        self, questions: Sequence[Question], rows: Sequence[AnswerDistribution], /, *, n_examples: int, seed: int
    ) -> None:
        by_id = {question.question_id: question for question in questions}
        self._rows: Mapping[int, list[tuple[Question, AnswerDistribution]]] = {0: [], 1: []}
        clusters = sorted({_cluster(by_id[row.question_id]) for row in rows}, key=_digest)
        self._half = {cluster: index % 2 for index, cluster in enumerate(clusters)}
        for row in rows:
            question = by_id[row.question_id]
            self._rows[self._half[_cluster(question)]].append((question, row))
        self._n_examples = n_examples
        self._seed = seed

    def for_question(self, question: Question, repetition: int, /) -> tuple[Turn, ...]:
        """Return the examples that one question sees in one repetition.

        Raises
        ------
        DatasetError
            If all answered questions belong to one cluster, so that nothing can be shown that is not the answer.
        """
        other = self._rows[1 - self._half.get(_cluster(question), 0)]
        if not other:
            raise DatasetError(
                f"There are no answers to other questions that could be shown before {question.question_id!r}. "
                "Examples need questions of at least two clusters; use another context."
            )
        draw = random.Random(f"{self._seed}/{repetition}/{other[0][1].population}")  # noqa: S311
        # The same questions for all groups, so that only the answers tell them apart.
        pick = random.Random(f"{self._seed}/{repetition}")  # noqa: S311
        chosen = pick.sample(other, min(self._n_examples, len(other)))
        turns = []
        for shown, row in chosen:
            letters = string.ascii_uppercase[: len(shown.options)]
            text = "\n".join([shown.text, *(f"{a}. {b}" for a, b in zip(letters, shown.options, strict=True))])
            turns.append(Turn(text, draw.choices(letters, weights=row.probabilities)[0]))
        return tuple(turns)


def _cluster(question: Question) -> str:
    return question.cluster or question.question_id


def _digest(cluster: str) -> str:
    return hashlib.sha256(cluster.encode("utf-8", "surrogatepass")).hexdigest()
