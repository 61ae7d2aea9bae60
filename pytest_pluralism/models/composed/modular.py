"""Modular Pluralism: community models comment, and a main model answers with their help.

Feng et al. 2024, *Modular Pluralism: Pluralistic Alignment via Multi-LLM Collaboration*, arXiv:2406.15951. The
prompts stand in :mod:`~pytest_pluralism.models.composed.wording`, and a system can have others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.records import Answer, GenerationSettings, Prompt, Response
from pytest_pluralism.models.composed.choosing import Choice, choice_of
from pytest_pluralism.models.composed.functions import Answering, as_model
from pytest_pluralism.models.composed.mixture import (
    by_draw,
    chunked,
    composed_identity,
    generative,
    load_part,
    mixed_answer,
    name_of,
    notes_of,
    prompt_text_of,
    shares_of,
)
from pytest_pluralism.models.composed.reading import (
    COMMENT_TOKENS,
    MODES,
    MOST_PARTS,
    UNWEIGHTED,
    Part,
    read_composition,
)
from pytest_pluralism.models.composed.wording import Wording, WordingError, read_wording
from pytest_pluralism.models.protocol import LanguageModel, Progress, Receive, ReceiveResponses

__all__ = ["Modular", "load_modular", "modular"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def load_modular(spec: str, /, **options: object) -> Modular:
    """Load ``modular:FILE.toml``: a ``main`` model, a ``mode``, and a table ``[[community]]`` for each community model.

    Raises
    ------
    ModelError
        The file or a model is wrong.
    """
    path = Path(spec.partition(":")[2].strip()).expanduser()
    found = read_composition(path, "modular")
    main = load_part(Part(found.main, 1.0, "main"), path, options)
    communities = [load_part(part, path, options) for part in found.parts]
    weights = [part.weight for part in found.parts]
    return Modular(
        main,
        communities,
        weights,
        mode=found.mode,
        spec=spec,
        name=path.stem,
        tokens=found.comment_tokens,
        wording=found.wording,
    )


def modular(
    main: LanguageModel | Answering | str,
    communities: Mapping[str, LanguageModel | Answering | str] | Sequence[LanguageModel | Answering | str],
    /,
    *,
    mode: str,
    weights: Sequence[float] | None = None,
    comment_tokens: int = COMMENT_TOKENS,
    prompts: Mapping[str, str] | None = None,
    name: str = "modular",
) -> Modular:
    """Return a modular system: a main model that answers with the help of the comments of community models.

    Parameters
    ----------
    main : LanguageModel, str or callable
        The main model: a model, its spec, or a function as
        :class:`~pytest_pluralism.models.composed.functions.FunctionModel` takes it.
    communities : sequence or mapping of LanguageModel, str or callable
        The community models, 1 to 26 of them; of a mapping the keys are names for the reader alone.
    mode : {"overton", "steerable", "distributional"}
        The way in which the comments help.
    weights : sequence of float, shape (n_communities,), optional
        The weights of the communities in the mode ``"distributional"``, in [0, 1e9], not all 0; by default all are
        equal. The other modes have no weights.
    comment_tokens : int, default 200
        Maximum number of tokens of a comment, in [1, 4096].
    prompts : mapping of str to str, optional
        Prompts in place of the defaults: ``"comment"`` with ``{question}``, ``"passage"`` with ``{comment}`` and
        ``{question}``, ``"summary"`` with ``{comments}`` and ``{question}``, and ``"choice"`` with ``{options}`` (and
        ``{system}`` and ``{question}``, which can be left out).
    name : str, default "modular"
        The name in reports.

    Returns
    -------
    Modular
        A language model.

    Raises
    ------
    InvalidParameterError
        The mode, the communities, the weights, the number of tokens or a prompt is wrong.

    References
    ----------
    S. Feng et al., "Modular Pluralism", EMNLP 2024, doi:10.18653/v1/2024.emnlp-main.240.
    """
    parts = list(communities.values()) if isinstance(communities, Mapping) else communities
    if mode not in MODES:
        raise invalid_parameter("mode", "modular", f"one of {', '.join(MODES)}", repr(mode))
    if weights is not None and mode != "distributional":
        raise invalid_parameter("weights", "modular", UNWEIGHTED.format(mode=mode), repr(weights)[:80])
    name = name_of(name, "modular")
    shares = shares_of(weights, parts, "modular")
    if len(parts) > MOST_PARTS:
        raise invalid_parameter("communities", "modular", f"at most {MOST_PARTS} models", f"{len(parts)} models")
    if isinstance(comment_tokens, bool) or not isinstance(comment_tokens, int) or not 1 <= comment_tokens <= 4096:
        raise invalid_parameter("comment_tokens", "modular", "a whole number in [1, 4096]", repr(comment_tokens))
    try:
        wording = read_wording(prompts)
    except WordingError as error:
        raise invalid_parameter("prompts", "modular", error.must, repr(error.got)) from None
    return Modular(
        as_model(main),
        [as_model(one) for one in parts],
        shares,
        mode=mode,
        spec=f"modular:{name}",
        name=name,
        tokens=comment_tokens,
        wording=wording,
    )


class Modular:
    """A main model that answers with the help of the comments of community models.

    In the mode ``"distributional"`` an answer is the weighted mean of the main model's answers after each comment. In
    the mode ``"steerable"`` the main model chooses the comment that fits the system text (the attribute), and answers
    after it alone; where its choice cannot be read, a comment is drawn, and the result says so. In the mode
    ``"overton"`` it writes with all comments before it. A comment is written once for each question, greedily, from the
    text of the question without its options.
    """

    def __init__(
        self,
        main: LanguageModel,
        communities: Sequence[LanguageModel],
        weights: Sequence[float],
        *,
        mode: str,
        spec: str,
        name: str,
        tokens: int,
        wording: Wording | None = None,
    ) -> None:
        self.main, self.mode, self.wording = main, mode, wording or Wording()
        self.communities, self.weights = tuple(communities), tuple(weights)
        self._settings = GenerationSettings(max_new_tokens=tokens, temperature=0.0)
        self._comments: dict[tuple[int, str], str] = {}
        self._silent: dict[int, list[str]] = {}
        about: list[object] = [mode, tokens, *self.wording.texts, main.identity.sha256]
        about += [[model.identity.sha256, weight] for model, weight in zip(communities, weights, strict=True)]
        # Answers that were stored before all draws of a comment were marked are not taken for marked ones.
        kind = "modular, draws marked" if mode == "steerable" else "modular"
        self.identity = composed_identity(spec, name, [main, *communities], [kind, about])

    def answer(
        self, prompts: Sequence[Prompt], /, *, progress: Progress | None = None, receive: Receive | None = None
    ) -> list[Answer]:
        """Answer each prompt with the help of the communities, in the mode of the system."""
        return chunked(prompts, self._answers, progress, receive)

    def generate(
        self,
        prompts: Sequence[Prompt],
        /,
        settings: GenerationSettings,
        *,
        n_draws: int = 1,
        progress: Progress | None = None,
        receive: ReceiveResponses | None = None,
    ) -> list[tuple[Response, ...]]:
        """Write texts with the help of all communities, or in the mode steerable of the one that fits."""

        def ask(part: Sequence[Prompt]) -> list[tuple[Response, ...]]:
            comments = self._comments_on(part)
            unread = [False] * len(part)
            if self.mode == "steerable":
                helped, unread = self._chosen(part, comments)
            else:
                helped = [
                    _with_question(prompt, self.wording.summary, comments=_listed(said))
                    for prompt, said in zip(part, comments, strict=True)
                ]
            written = generative(self.main).generate(helped, settings, n_draws=n_draws)
            return [
                tuple(replace(one, unread_choice=True) for one in draws) if drawn else draws
                for draws, drawn in zip(written, unread, strict=True)
            ]

        return chunked(prompts, ask, progress, by_draw(receive))

    def prompt_text(self, prompt: Prompt, /) -> str:
        """Return the prompt as the main model reads it, without the comments."""
        return prompt_text_of(self.main, prompt)

    def take_notes(self) -> list[str]:
        """Return what the models have to say, once, and which communities wrote no comment."""
        silent, self._silent = self._silent, {}
        empty = [
            f"{self.identity.name}: community {number + 1} ({self.communities[number].identity.name}) wrote an empty "
            f"comment on {len(stems)} question(s), such as {stems[0][:60]!r}: the main model read nothing from it"
            for number, stems in silent.items()
        ]
        return [*empty, *notes_of((self.main, *self.communities))]

    def close(self) -> None:
        """Give back the memory of all models."""
        for model in (self.main, *self.communities):
            model.close()

    def _answers(self, prompts: Sequence[Prompt]) -> list[Answer]:
        comments = self._comments_on(prompts)
        if self.mode == "steerable":
            chosen, unread = self._chosen(prompts, comments)
            return [
                replace(answer, unread_choice=True) if drawn else answer
                for answer, drawn in zip(self.main.answer(chosen), unread, strict=True)
            ]
        if self.mode == "overton":
            helped = [
                _with_question(prompt, self.wording.summary, comments=_listed(said))
                for prompt, said in zip(prompts, comments, strict=True)
            ]
            return self.main.answer(helped)
        each = [
            self.main.answer(
                [
                    _with_question(prompt, self.wording.passage, comment=said[number])
                    for prompt, said in zip(prompts, comments, strict=True)
                ]
            )
            for number in range(len(self.communities))
        ]
        return [mixed_answer(answers, self.weights) for answers in zip(*each, strict=True)]

    def _comments_on(self, prompts: Sequence[Prompt]) -> list[list[str]]:
        """Return the comment of each community on each prompt; each question is commented on once."""
        stems = [_stem(prompt) for prompt in prompts]
        for number, model in enumerate(self.communities):
            missing = [stem for stem in dict.fromkeys(stems) if (number, stem) not in self._comments]
            asked = [Prompt(self.wording.comment.format(question=stem), (), cue="") for stem in missing]
            for stem, (comment, *_) in zip(
                missing, generative(model).generate(asked, self._settings) if asked else [], strict=True
            ):
                self._comments[number, stem] = comment.text.strip()
                if not comment.text.strip():
                    self._silent.setdefault(number, []).append(stem)
        return [[self._comments[number, stem] for number in range(len(self.communities))] for stem in stems]

    def _chosen(self, prompts: Sequence[Prompt], comments: Sequence[Sequence[str]]) -> tuple[list[Prompt], list[bool]]:
        """Return each prompt behind the comment that the main model finds fitting, and which choices were not read."""
        labels = tuple(LETTERS[: len(self.communities)])
        asked = [
            Prompt(
                self.wording.choice.format(system=prompt.system, options=_lettered(said), question=_stem(prompt)),
                labels,
                template=prompt.template,
            )
            for prompt, said in zip(prompts, comments, strict=True)
        ]
        if len(labels) == 1:
            chosen = [Choice(0)] * len(prompts)
        else:
            triples = zip(self.main.answer(asked), prompts, comments, strict=True)
            chosen = [choice_of(answer, prompt, said) for answer, prompt, said in triples]
        helped = [
            _with_question(prompt, self.wording.passage, comment=said[choice.place])
            for prompt, said, choice in zip(prompts, comments, chosen, strict=True)
        ]
        return helped, [choice.unread for choice in chosen]


def _stem(prompt: Prompt) -> str:
    """Return the question without the lines of its options."""
    lines = (prompt.verbatim or prompt.question).splitlines()
    n = len(prompt.labels)
    has_options = (
        n
        and len(lines) > n
        and all(line.startswith(label) for line, label in zip(lines[-n:], prompt.labels, strict=True))
    )
    return "\n".join(lines[:-n] if has_options else lines).strip()


def _with_question(prompt: Prompt, frame: str, **parts: str) -> Prompt:
    """Return a prompt whose question stands in a frame."""
    if prompt.verbatim is not None:
        return replace(prompt, verbatim=frame.format(question=prompt.verbatim, **parts))
    return replace(prompt, question=frame.format(question=prompt.question, **parts))


def _listed(comments: Sequence[str]) -> str:
    return "\n\n".join(f"Passage {number}: {comment}" for number, comment in enumerate(comments, start=1))


def _lettered(comments: Sequence[str]) -> str:
    return "\n".join(
        f"{letter}. {' '.join(comment.split())}" for letter, comment in zip(LETTERS, comments, strict=False)
    )
