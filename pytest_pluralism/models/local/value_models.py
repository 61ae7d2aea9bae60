"""Value models: what a text is worth to one value, right or duty, by Kaleido or by any reward model of transformers.

A Kaleido model is a T5 that was trained on ValuePrism; its templates, thresholds and decoding stand in its own
``config.json``. Its weights are gated: what is tested here is tested on small networks of the same structure.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pytest_pluralism.core.errors import ModelError, invalid_parameter
from pytest_pluralism.core.records import RewardRequest
from pytest_pluralism.models.local.devices import _device, trim_heap
from pytest_pluralism.models.local.entailment import _max_tokens
from pytest_pluralism.models.local.files import _folder_of, read_json, refuse_pickles, refuse_remote_code
from pytest_pluralism.models.local.loading import check_loading, network_identity
from pytest_pluralism.models.local.packages import quiet_transformers, require_packages
from pytest_pluralism.models.protocol import ModelIdentity, Progress
from pytest_pluralism.models.specification import ModelSpec, parse_model_spec

__all__ = [
    "KaleidoModel",
    "KaleidoTask",
    "RewardModel",
    "ValueJudgement",
    "ValueModel",
    "ValueRequest",
    "kind_of_value",
    "load_value_model",
    "rouge_l",
]

#: What a value can be, in the words of Kaleido.
KINDS = ("Value", "Right", "Duty")

#: The words that Kaleido answers with, by task.
WORDS = {"relevance": ("Yes", "No"), "valence": ("Supports", "Opposes", "Either")}

#: The tasks that a Kaleido model must have in ``task_specific_params``.
TASKS = ("generate", "relevance", "valence", "explanation")

#: Kaleido reads no more tokens than these, and writes no more for one value.
MOST_TOKENS = 128
MOST_NEW_TOKENS = 30

#: How many tokens one forward pass holds at most, filled-up places included.
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
    """What Kaleido says of a value in a situation.

    ``relevance`` is the probability that it bears on the situation at all, in [0, 1]; ``supports``, ``opposes`` and
    ``either`` are in [0, 1] and sum to 1.
    """

    relevance: float
    supports: float
    opposes: float
    either: float

    @property
    def reward(self) -> float:
        """How far the situation is one that the value bears on and supports: ``relevance * supports``, in [0, 1]."""
        return self.relevance * self.supports


class ValueModel(Protocol):
    """A model that says how faithfully responses reflect attributes; higher is better."""

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is."""
        ...

    def reward(self, requests: Sequence[RewardRequest], /, *, progress: Progress | None = None) -> list[float]:
        """Return the reward of each response for its attribute, in the order of the requests."""
        ...

    def close(self) -> None:
        """Give back the memory; the model cannot be asked any more."""
        ...


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


def read_tasks(config: Mapping[str, Any], named: ModelSpec, /) -> dict[str, KaleidoTask]:
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
                f"{named.text} is no Kaleido model: its config.json has no task_specific_params[{name!r}] with a "
                "'template' and its 'args'. Name a Kaleido checkpoint, or a reward model for sequence classification."
            )
        missing = [one for one in arguments if one not in template]
        if missing:
            raise ModelError(
                f"{named.text}: the template of {name!r} in its config.json does not hold its argument {missing[0]!r}."
            )
        tasks[name] = KaleidoTask(name, template, tuple(arguments))
    return tasks


def load_value_model(
    spec: str,
    /,
    *,
    mode: str = "sound",
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | str = "auto",
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> KaleidoModel | RewardModel:
    """Load a value model into this process.

    Parameters
    ----------
    spec : str
        A folder, or ``hf:ORG/NAME[@REVISION]``: a Kaleido model, or a reward model for sequence classification with
        one output.
    mode : {"sound", "compat"}
        How Kaleido reads: with an attention mask, in batches, and a response that is too long is shortened; or one
        text at a time, as published, where no mask is needed because nothing is filled up, and where a long response
        pushes the value out of what is read.
    device, dtype, batch_size, trust_remote_code, allow_pickle
        As in :func:`pytest_pluralism.models.load_model`.

    Raises
    ------
    ModelError
        If it cannot be found or loaded, is neither of the two, or a reward model does not have one output.
    InvalidParameterError
        If ``mode``, ``dtype`` or ``batch_size`` is not one of the values above.
    """
    named = parse_model_spec(spec)
    where = "load_value_model"
    if mode not in ("sound", "compat"):
        raise invalid_parameter("mode", where, "'sound' or 'compat'", repr(mode))
    check_loading(dtype, batch_size, function=where)
    if named.kind not in ("folder", "hf"):
        raise ModelError(f"{spec!r} is no value model. Name a folder or hf:ORG/NAME.")
    require_packages("torch", "transformers", "safetensors")
    with quiet_transformers():
        chosen = _device(device)
        folder, parts, _ = _folder_of(named, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle)
        config = read_json(folder / "config.json")
        if not trust_remote_code:
            refuse_remote_code(folder, config, named)
        refuse_pickles(folder, named, allow_pickle=allow_pickle)
        architectures = [str(name) for name in config.get("architectures") or ()]
        is_reward = any(name.endswith("ForSequenceClassification") for name in architectures)
        tasks = {} if is_reward else read_tasks(config, named)
        if is_reward:
            _check_head(config, named)
        tokenizer, network = _load_network(
            folder, named, is_reward=is_reward, device=chosen, dtype=dtype, trust_remote_code=trust_remote_code
        )
    # Named by how it reads, because rewards are stored.
    reading = "" if is_reward else "sound, the value never cut off" if mode == "sound" else mode
    identity = network_identity(named, {**parts, "mode": reading}, network, chosen)
    rows = batch_size if isinstance(batch_size, int) else 2**31
    if is_reward:
        most = _max_tokens(config, network, tokenizer, named)
        return RewardModel(network, tokenizer, identity, most_rows=rows, most_tokens=most)
    thresholds = config.get("system_params")
    return KaleidoModel(
        network,
        tokenizer,
        identity,
        tasks=tasks,
        thresholds=thresholds if isinstance(thresholds, Mapping) else {},
        most_rows=1 if mode == "compat" else rows,
        masked=mode == "sound",
    )


class _Loaded:
    """A network and its tokenizer, until they are given back."""

    def __init__(self, network: Any, tokenizer: Any, identity: ModelIdentity, *, most_rows: int) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._identity = identity
        self._most_rows = most_rows
        self._torch_device = next(network.parameters()).device
        self._notes: list[str] = []

    def take_notes(self) -> list[str]:
        """Return what is to be said of the texts that were read since the last call."""
        notes, self._notes = self._notes, []
        return notes

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is."""
        return self._identity

    def close(self) -> None:
        """Give back the memory; the model cannot be asked any more."""
        self._network = self._tokenizer = None
        gc.collect()
        trim_heap()

    def _open(self) -> Any:
        if self._network is None:
            raise ModelError(f"The model {self._identity.name} has been closed and cannot be asked any more.")
        return self._network

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Yield the places of texts of like lengths, as many as one forward pass may hold."""
        batch: list[int] = []
        for place in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
            longest = lengths[batch[0]] if batch else 0
            if batch and (len(batch) >= self._most_rows or longest * (len(batch) + 1) > MOST_BATCH_TOKENS):
                yield batch
                batch = []
            batch.append(place)
        if batch:
            yield batch

    def _checked(self, values: Any) -> Any:
        if not bool(values.isfinite().all()):
            raise ModelError(
                f"{self._identity.name} gives numbers that are not finite. Load it with --pluralism-dtype float32."
            )
        return values


class KaleidoModel(_Loaded):
    """Kaleido (Sorensen et al. 2023, arXiv:2309.00779): how values, rights and duties bear on situations.

    Its probabilities are read at the second position of the decoder, over the first tokens of its answers, and
    normalised among them.
    """

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        identity: ModelIdentity,
        *,
        tasks: Mapping[str, KaleidoTask],
        thresholds: Mapping[str, Any],
        most_rows: int,
        masked: bool,
    ) -> None:
        super().__init__(network, tokenizer, identity, most_rows=most_rows)
        self._tasks = tasks
        self._thresholds = thresholds
        self._masked = masked
        self._answers = {task: self._first_tokens(words) for task, words in WORDS.items()}

    def _first_tokens(self, words: Sequence[str]) -> list[int]:
        tokens = [int(self._tokenizer(word).input_ids[0]) for word in words]
        if len(set(tokens)) < len(tokens):
            raise ModelError(
                f"The tokenizer of {self._identity.name} begins {' and '.join(words)} with one and the same token, so "
                "its answers cannot be told apart."
            )
        return tokens

    def judge(self, requests: Sequence[ValueRequest], /, *, progress: Progress | None = None) -> list[ValueJudgement]:
        """Return how each value bears on its situation, in the order of the requests; equal ones are computed once."""
        self._open()
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
        return max(len(row) for row in self._tokenizer(texts, truncation=False, verbose=False).input_ids)

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
                    f"{self._identity.name} reads. Name it in fewer words, in the field 'label'."
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
                f"{self._identity.name} reads {MOST_TOKENS} tokens: {cut} of {len(requests)} responses were judged by "
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

        network = self._open()
        batch = self._encoded([self._tasks["generate"].render((situation,))])
        with torch.inference_mode():
            written = network.generate(
                **batch,
                num_beams=n_beams,
                num_return_sequences=n_beams,
                max_new_tokens=MOST_NEW_TOKENS,
                do_sample=False,
            )
        texts = [text.strip() for text in self._tokenizer.batch_decode(written, skip_special_tokens=True)]
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
        return float(value.get(kind, default) if isinstance(value, Mapping) else value)

    def _repeats(self, one: ValueRequest, other: ValueRequest) -> bool:
        if one.kind != other.kind and not self._thresholds.get("dedup_across_vrd", False):
            return False
        limits = self._thresholds.get("ngram_threshold", 1.0)
        if isinstance(limits, Mapping):
            by_name = [
                limits.get("precision", 1.0),
                limits.get("recall", 1.0),
                limits.get("f1", limits.get("fmeasure", 1.0)),
            ]
        else:
            by_name = [limits] * 3
        bare = [re.sub(r"^(?:Right|Duty) to ", "", each.value) for each in (other, one)]
        return any(value > float(limit) for value, limit in zip(rouge_l(bare[1], bare[0]), by_name, strict=True))

    def _encoded(self, texts: Sequence[str]) -> dict[str, Any]:
        batch = self._tokenizer(list(texts), return_tensors="pt", padding=True, truncation=True, max_length=MOST_TOKENS)
        names = ("input_ids", "attention_mask") if self._masked else ("input_ids",)
        return {name: batch[name].to(self._torch_device) for name in names}

    def _probabilities(self, texts: Sequence[str], answers: Sequence[int]) -> list[tuple[float, ...]]:
        """Return the probabilities of the answers to each text."""
        import torch

        network = self._open()
        result: list[tuple[float, ...]] = [()] * len(texts)
        lengths = [len(self._tokenizer(text, truncation=True, max_length=MOST_TOKENS).input_ids) for text in texts]
        pad = int(network.config.pad_token_id or 0)
        for places in self._batches(lengths):
            batch = self._encoded([texts[place] for place in places])
            start = torch.full((len(places), 2), pad, device=self._torch_device)
            with torch.inference_mode():
                logits = network(**batch, decoder_input_ids=start).logits[:, -1, :].float()
            # Among the answers alone: what the softmax over all words is divided by cancels.
            chosen = torch.softmax(self._checked(logits)[:, list(answers)].double(), dim=-1)
            for place, row in zip(places, chosen.tolist(), strict=True):
                result[place] = tuple(row)
        return result


class RewardModel(_Loaded):
    """A reward model: a network for sequence classification with one output, read for a prompt and a response.

    It is steered by words: the attribute stands in the prompt.
    """

    def __init__(
        self, network: Any, tokenizer: Any, identity: ModelIdentity, *, most_rows: int, most_tokens: int | None = None
    ) -> None:
        super().__init__(network, tokenizer, identity, most_rows=most_rows)
        self._most_tokens = most_tokens

    def reward(
        self,
        requests: Sequence[RewardRequest],
        /,
        *,
        progress: Progress | None = None,
        receive: Callable[[Sequence[tuple[RewardRequest, float]]], None] | None = None,
    ) -> list[float]:
        """Return the reward of each response, in the order of the requests, in the units of the model.

        ``receive`` takes the rewards of each batch as soon as they are there, so that they can be kept.
        """
        import torch

        network = self._open()
        distinct = list(dict.fromkeys(requests))
        rows = [self._row(one) for one in distinct]
        found: list[float] = [0.0] * len(rows)
        done = 0
        for places in self._batches([len(row) for row in rows]):
            batch = self._tokenizer.pad(
                {"input_ids": [rows[place] for place in places]}, return_tensors="pt", padding=True
            )
            inputs = {name: batch[name].to(self._torch_device) for name in ("input_ids", "attention_mask")}
            with torch.inference_mode():
                logits = self._checked(network(**inputs).logits.float())
            for place, value in zip(places, logits[:, 0].tolist(), strict=True):
                found[place] = float(value)
            if receive is not None:
                receive([(distinct[place], found[place]) for place in places])
            done += len(places)
            if progress is not None:
                progress(done * len(requests) // len(distinct), len(requests))
        by_request = dict(zip(distinct, found, strict=True))
        return [by_request[one] for one in requests]

    def _row(self, request: RewardRequest) -> list[int]:
        prompt = (
            f"{request.prompt}\n\nThe answer should reflect: {request.attribute}"
            if request.attribute
            else request.prompt
        )
        if getattr(self._tokenizer, "chat_template", None):
            messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": request.response}]
            text = self._tokenizer.apply_chat_template(messages, tokenize=False)
            row = list(self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids)
        else:
            row = list(self._tokenizer(prompt, request.response, verbose=False).input_ids)
        if self._most_tokens is not None and len(row) > self._most_tokens:
            raise ModelError(
                f"The response {request.response[:60]!r} has {len(row)} tokens with its prompt, and "
                f"{self._identity.name} reads at most {self._most_tokens}. Write shorter responses with "
                "max_new_tokens, or name a reward model that reads more; nothing is cut off in silence."
            )
        return row


def _check_head(config: Mapping[str, Any], named: ModelSpec) -> None:
    """Refuse a classifier that is no reward model."""
    labels = config.get("id2label")
    width = len(labels) if isinstance(labels, Mapping) else int(config.get("num_labels", 2))
    if width != 1:
        names = ", ".join(map(str, labels.values())) if isinstance(labels, Mapping) else ""
        raise ModelError(
            f"{named.text} has {width} outputs{f' ({names})' if names else ''}, and a reward model has one. "
            "Name a reward model; a classifier of entailment belongs under --pluralism-entailment-model."
        )


def _load_network(
    folder: Any, named: ModelSpec, *, is_reward: bool, device: str, dtype: str, trust_remote_code: bool
) -> tuple[Any, Any]:
    import torch
    import transformers

    arguments: dict[str, Any] = {"trust_remote_code": trust_remote_code, "local_files_only": True}
    kind = transformers.AutoModelForSequenceClassification if is_reward else transformers.AutoModelForSeq2SeqLM
    wanted = dtype
    if dtype == "auto":
        wanted = "float32" if device == "cpu" else "auto"
    from safetensors import SafetensorError

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **arguments)
        network = kind.from_pretrained(folder, dtype=getattr(torch, wanted, wanted), **arguments)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        words = str(error).strip().splitlines()
        raise ModelError(f"{named.text} cannot be loaded: {words[0] if words else type(error).__name__}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if is_reward and network.config.pad_token_id is None:
        network.config.pad_token_id = tokenizer.pad_token_id
    return tokenizer, network.to(device).eval()
