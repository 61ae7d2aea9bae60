"""Kaleido: models that say how values, rights and duties bear on situations.

A Kaleido model is a T5 that was trained on ValuePrism; its templates, thresholds and decoding stand in its own
``config.json``. Its weights are gated: what is tested here is tested on small networks of the same structure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_pluralism.core.errors import ModelError, invalid_parameter
from pytest_pluralism.core.records import RewardRequest
from pytest_pluralism.models.local.loaded import LoadedModel
from pytest_pluralism.models.protocol import ModelIdentity, Progress
from pytest_pluralism.models.specification import ModelSpec

if TYPE_CHECKING:
    import torch

    from pytest_pluralism.models.local.interfaces import Network, Tokenizer

__all__ = ["KaleidoModel", "KaleidoTask", "ValueJudgement", "ValueRequest", "kind_of_value", "read_tasks", "rouge_l"]

#: The kinds of values, in the words of Kaleido.
KINDS = ("Value", "Right", "Duty")

#: The words that Kaleido answers with, by task.
WORDS = {"relevance": ("Yes", "No"), "valence": ("Supports", "Opposes", "Either")}

#: The tasks that a Kaleido model must have in ``task_specific_params``.
TASKS = ("generate", "relevance", "valence", "explanation")

#: Maximum number of tokens that Kaleido reads, and that it writes for one value.
MOST_TOKENS = 128
MOST_NEW_TOKENS = 30

#: Maximum number of tokens in one forward pass, padding included.
MOST_BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class ValueRequest:
    """A situation, and a value, right or duty that may bear on it."""

    situation: str
    value: str
    kind: str = "Value"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise invalid_parameter("kind", "ValueRequest", "one of " + ", ".join(map(repr, KINDS)), repr(self.kind))


@dataclass(frozen=True, slots=True)
class ValueJudgement:
    """The judgement of Kaleido on a value in a situation.

    ``relevance`` is the probability that it bears on the situation at all, in [0, 1]; ``supports``, ``opposes`` and
    ``either`` are in [0, 1] and sum to 1.
    """

    relevance: float
    supports: float
    opposes: float
    either: float

    @property
    def reward(self) -> float:
        """The reward: relevance and support together, ``relevance * supports``, in [0, 1], larger is better."""
        return self.relevance * self.supports


def kind_of_value(value: str, /) -> str:
    """Return whether a value is called a value, a right or a duty.

    Examples
    --------
    >>> [kind_of_value(text) for text in ("Honesty", "Right to privacy", "Duty of care", "Copyright")]
    ['Value', 'Right', 'Duty', 'Value']
    """
    first = value.split(maxsplit=1)[0].casefold() if value.split() else ""
    return {"right": "Right", "rights": "Right", "duty": "Duty", "duties": "Duty"}.get(first, "Value")


def rouge_l(first: str, second: str, /) -> tuple[float, float, float]:
    """Return precision, recall and F1 of the longest common run of words, in any case, with gaps.

    Examples
    --------
    >>> rouge_l("the right to a safe home", "a safe home")
    (0.5, 1.0, 0.6666666666666666)
    """
    words, others = (re.findall(r"[a-z0-9]+", text.casefold()) for text in (first, second))
    if not words or not others:
        return 0.0, 0.0, 0.0
    longest = [0] * (len(others) + 1)
    for word in words:
        diagonal = 0
        for place, other in enumerate(others, start=1):
            above = longest[place]
            longest[place] = diagonal + 1 if word == other else max(above, longest[place - 1])
            diagonal = above
    common = longest[-1]
    precision, recall = common / len(words), common / len(others)
    f1 = 2 * precision * recall / (precision + recall) if common else 0.0
    return precision, recall, f1


@dataclass(frozen=True, slots=True)
class KaleidoTask:
    """One task of a Kaleido model, as its config describes it: a template, and the words in it that are replaced."""

    name: str
    template: str
    arguments: tuple[str, ...]

    def render(self, values: Sequence[str], /) -> str:
        r"""Return the input of the task.

        Examples
        --------
        >>> task = KaleidoTask("relevance", "[Relevance]:\tAction: ACTION\tVRD: VALUE", ("ACTION", "VRD", "VALUE"))
        >>> task.render(("Do a pushup", "Value", "Health"))
        '[Relevance]:\tAction: Do a pushup\tValue: Health'
        """
        parts = re.split(
            "(" + "|".join(map(re.escape, sorted(self.arguments, key=len, reverse=True))) + ")", self.template
        )
        by_name = dict(zip(self.arguments, values, strict=True))
        # All words are replaced at once: a situation may hold the name of a later argument.
        seen: set[str] = set()
        words = []
        for part in parts:
            words.append(by_name[part] if part in by_name and part not in seen else part)
            seen.add(part)
        return "".join(words)


def read_tasks(config: Mapping[str, object], named: ModelSpec, /) -> dict[str, KaleidoTask]:
    """Return the tasks of a Kaleido model.

    Raises
    ------
    ModelError
        If its config does not describe them.
    """
    given = config.get("task_specific_params")
    given = given if isinstance(given, Mapping) else {}
    tasks = {}
    for name in TASKS:
        entry = given.get(name)
        template = entry.get("template") if isinstance(entry, Mapping) else None
        arguments = entry.get("args") if isinstance(entry, Mapping) else None
        if (
            not isinstance(template, str)
            or not isinstance(arguments, list)
            or not arguments
            or not all(isinstance(one, str) and one for one in arguments)
        ):
            raise ModelError(
                f"{named.text} is not a Kaleido model: its config.json has no task_specific_params[{name!r}] with a "
                "'template' and its 'args'. Name a Kaleido checkpoint, or a reward model for sequence classification."
            )
        missing = [one for one in arguments if one not in template]
        if missing:
            raise ModelError(
                f"{named.text}: the template of {name!r} in its config.json does not hold its argument {missing[0]!r}."
            )
        tasks[name] = KaleidoTask(name, template, tuple(arguments))
    return tasks


class KaleidoModel(LoadedModel):
    """Kaleido (Sorensen et al. 2023, arXiv:2309.00779): how values, rights and duties bear on situations.

    Its probabilities are read at the second position of the decoder, over the first tokens of its answers, and
    normalised among them.
    """

    def __init__(
        self,
        network: Network,
        tokenizer: Tokenizer,
        identity: ModelIdentity,
        *,
        tasks: Mapping[str, KaleidoTask],
        thresholds: Mapping[str, object],
        most_rows: int,
        masked: bool,
    ) -> None:
        super().__init__(network, tokenizer, identity)
        self._most_rows = most_rows
        self._notes: list[str] = []
        self._tasks = tasks
        self._thresholds = thresholds
        self._masked = masked
        self._answers = {task: self._first_tokens(words) for task, words in WORDS.items()}

    def take_notes(self) -> list[str]:
        """Return what is to be said of the texts that were read since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def _first_tokens(self, words: Sequence[str]) -> list[int]:
        tokens = [int(self.tokenizer(word).input_ids[0]) for word in words]
        if len(set(tokens)) < len(tokens):
            raise ModelError(
                f"The tokenizer of {self.identity.name} begins {' and '.join(words)} with one and the same token, so "
                "its answers cannot be told apart."
            )
        return tokens

    def judge(self, requests: Sequence[ValueRequest], /, *, progress: Progress | None = None) -> list[ValueJudgement]:
        """Return how each value bears on its situation, in the order of the requests; equal ones are computed once."""
        _ = self.network
        distinct = list(dict.fromkeys(requests))
        read = self._shortened(distinct) if self._masked else distinct
        found = {}
        for task in ("relevance", "valence"):
            texts = [self._rendered(task, one) for one in read]
            found[task] = self._probabilities(texts, self._answers[task])
            if progress is not None:
                progress(len(requests) // (2 if task == "relevance" else 1), len(requests))
        judged = {
            one: ValueJudgement(relevance[0], *valence)
            for one, relevance, valence in zip(distinct, found["relevance"], found["valence"], strict=True)
        }
        return [judged[one] for one in requests]

    def _rendered(self, task: str, request: ValueRequest) -> str:
        return self._tasks[task].render((request.situation, request.kind, request.value))

    def _n_tokens(self, request: ValueRequest) -> int:
        texts = [self._rendered(task, request) for task in ("relevance", "valence")]
        return max(len(row) for row in self.tokenizer(texts, truncation=False, verbose=False).input_ids)

    def _shortened(self, requests: Sequence[ValueRequest]) -> list[ValueRequest]:
        """Return the requests with situations so short that the value, which stands behind them, is read too."""
        result = []
        for one in requests:
            if self._n_tokens(one) <= MOST_TOKENS:
                result.append(one)
                continue
            if self._n_tokens(replace(one, situation="")) > MOST_TOKENS:
                raise ModelError(
                    f"{one.kind} {one.value[:60]!r} leaves no room for a response in the {MOST_TOKENS} tokens that "
                    f"{self.identity.name} reads. Name it in fewer words, in the field 'label'."
                )
            # The longest beginning that fits.
            fits, too_long = 0, len(one.situation)
            while too_long - fits > 1:
                middle = (fits + too_long) // 2
                if self._n_tokens(replace(one, situation=one.situation[:middle])) <= MOST_TOKENS:
                    fits = middle
                else:
                    too_long = middle
            result.append(replace(one, situation=one.situation[:fits]))
        cut = sum(one != other for one, other in zip(requests, result, strict=True))
        if cut:
            self._notes.append(
                f"{self.identity.name} reads {MOST_TOKENS} tokens: {cut} of {len(requests)} responses were judged by "
                "their beginning; fewer max_new_tokens write shorter ones"
            )
        return result

    def reward(self, requests: Sequence[RewardRequest], /, *, progress: Progress | None = None) -> list[float]:
        """Return how far each response is one that the value bears on and supports, in [0, 1].

        A response is judged by itself, as a situation; the prompt that it answers is not read.
        """
        asked = [ValueRequest(one.response, one.attribute, kind_of_value(one.attribute)) for one in requests]
        return [judgement.reward for judgement in self.judge(asked, progress=progress)]

    def values_of(self, situation: str, /, *, n_beams: int = 100) -> list[tuple[ValueRequest, ValueJudgement]]:
        """Return the values, rights and duties that bear on a situation, the most relevant first.

        They are written by beam search, kept where they are relevant enough, and left out where they repeat the words
        of a more relevant one of their kind; the thresholds are those of the config. The published system then leaves
        out what an embedding model finds alike, which is not done here.

        Parameters
        ----------
        situation : str
            The situation.
        n_beams : int
            How many beams, and so candidates, there are.
        """
        import torch

        network = self.network
        batch = self._encoded([self._tasks["generate"].render((situation,))])
        with torch.inference_mode():
            written = network.generate(
                **batch,
                num_beams=n_beams,
                num_return_sequences=n_beams,
                max_new_tokens=MOST_NEW_TOKENS,
                do_sample=False,
            )
        texts = [text.strip() for text in self.tokenizer.batch_decode(written, skip_special_tokens=True)]
        candidates = []
        for text in dict.fromkeys(texts):
            kind, separator, value = text.partition(": ")
            if separator and kind in KINDS and value.strip():
                candidates.append(ValueRequest(situation, value.strip(), kind))
        judged = sorted(zip(candidates, self.judge(candidates), strict=True), key=lambda pair: -pair[1].relevance)
        kept: list[tuple[ValueRequest, ValueJudgement]] = []
        for request, judgement in judged:
            if judgement.relevance < self._threshold("relevance_threshold", request.kind, 0.5):
                continue
            if not any(self._repeats(request, other) for other, _ in kept):
                kept.append((request, judgement))
        return kept

    def _threshold(self, name: str, kind: str, default: float) -> float:
        value = self._thresholds.get(name, default)
        return float(value.get(kind, default) if isinstance(value, Mapping) else str(value))

    def _repeats(self, one: ValueRequest, other: ValueRequest) -> bool:
        if one.kind != other.kind and not self._thresholds.get("dedup_across_vrd", False):
            return False
        limits = self._thresholds.get("ngram_threshold", 1.0)
        by_name = [limits] * 3
        if isinstance(limits, Mapping):
            f1 = limits.get("f1", limits.get("fmeasure", 1.0))
            by_name = [limits.get("precision", 1.0), limits.get("recall", 1.0), f1]
        bare = [re.sub(r"^(?:Right|Duty) to ", "", each.value) for each in (other, one)]
        return any(value > float(str(limit)) for value, limit in zip(rouge_l(bare[1], bare[0]), by_name, strict=True))

    def _encoded(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        batch = self.tokenizer(list(texts), return_tensors="pt", padding=True, truncation=True, max_length=MOST_TOKENS)
        names = ("input_ids", "attention_mask") if self._masked else ("input_ids",)
        return {name: batch[name].to(self.device) for name in names}

    def _probabilities(self, texts: Sequence[str], answers: Sequence[int]) -> list[tuple[float, ...]]:
        """Return the probabilities of the answers to each text."""
        import torch

        network = self.network
        result: list[tuple[float, ...]] = [()] * len(texts)
        lengths = [len(self.tokenizer(text, truncation=True, max_length=MOST_TOKENS).input_ids) for text in texts]
        pad = int(network.config.pad_token_id or 0)
        for places in batches(lengths, most_rows=self._most_rows):
            batch = self._encoded([texts[place] for place in places])
            start = torch.full((len(places), 2), pad, device=self.device)
            with torch.inference_mode():
                logits = network(**batch, decoder_input_ids=start).logits[:, -1, :].float()
            # Among the answers alone: what the softmax over all words is divided by cancels.
            if not bool(logits.isfinite().all()):
                raise ModelError(
                    f"{self.identity.name} gives numbers that are not finite. Load it with --pluralism-dtype=float32."
                )
            chosen = torch.softmax(logits[:, list(answers)].double(), dim=-1)
            for place, row in zip(places, chosen.tolist(), strict=True):
                result[place] = tuple(row)
        return result


def batches(lengths: Sequence[int], /, *, most_rows: int) -> Iterator[list[int]]:
    """Yield the places of texts of like lengths, as many as one forward pass may hold."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        longest = lengths[batch[0]] if batch else 0
        if batch and (len(batch) >= most_rows or longest * (len(batch) + 1) > MOST_BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
