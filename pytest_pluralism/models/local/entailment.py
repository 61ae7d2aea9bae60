"""Entailment models that run in this process: classifiers of transformers that read a premise and a hypothesis."""

from __future__ import annotations

import contextlib
import gc
import json
import math
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import EntailmentPair, EntailmentScores
from pytest_pluralism.models.embedded import find_embedded_entailment
from pytest_pluralism.models.local.devices import _device, trim_heap
from pytest_pluralism.models.local.files import _folder_of, hashes, read_json, refuse_pickles, refuse_remote_code
from pytest_pluralism.models.local.loading import check_loading, network_identity, translated
from pytest_pluralism.models.local.packages import quiet_transformers, require_packages
from pytest_pluralism.models.protocol import ModelIdentity, Progress, ReceiveEntailments
from pytest_pluralism.models.specification import ModelSpec, parse_entailment_spec

if TYPE_CHECKING:
    import torch

__all__ = ["CrossEncoder", "EntailmentLabels", "load_entailment_model", "read_labels"]

#: What the makers of checkpoints call the three classes, and the second of two.
LABEL_NAMES = {
    "entailment": ("entailment", "entail", "entails", "entailed"),
    "neutral": ("neutral",),
    "contradiction": ("contradiction", "contradict", "contradicts", "contradictory"),
    "not_entailment": ("not_entailment", "non_entailment", "notentailment", "nonentailment", "no_entailment"),
}
_MEANING = {name: meaning for meaning, names in LABEL_NAMES.items() for name in names}

#: The keys of config.json that are ours: what the logits are divided by, and at most how many tokens are read at once.
TEMPERATURE_KEY = "pluralism_temperature"
TOKENS_KEY = "pluralism_max_tokens"

#: How many tokens one forward pass holds at most, filled-up places included, where ``batch_size`` is ``"auto"``. A
#: processor is fastest when a batch fits into its caches: 4096 tokens were a fifth slower than 1024.
MOST_TOKENS = {"cpu": 1024, "cuda": 131072}

#: So many pairs are made into tokens and sorted by length together: enough for batches of one length, and the memory
#: does not grow with the number of windows.
PAIRS_AT_ONCE = 4096

#: Fewer places for the premise than this, and a hypothesis leaves no room to read one.
LEAST_ROOM = 16


@dataclass(frozen=True, slots=True)
class EntailmentLabels:
    """Which output of a classifier means what, by index; a two-way model has ``None`` for the two it does not know."""

    entailment: int
    neutral: int | None = None
    contradiction: int | None = None

    @property
    def two_way(self) -> bool:
        """Whether the model knows only entailment and its absence."""
        return self.neutral is None


def read_labels(names: Mapping[int, str] | Sequence[str], /, *, model: str) -> EntailmentLabels:
    """Find out which output means entailment, from the names that a checkpoint gives its outputs.

    Parameters
    ----------
    names : mapping of int to str, or sequence of str
        The name of each output: entailment, neutral and contradiction in any order and any case, or entailment and
        not_entailment.
    model : str
        The model, for the message.

    Returns
    -------
    EntailmentLabels
        The indices.

    Raises
    ------
    ModelError
        If the names are not those of entailment; the message lists what there is.

    Examples
    --------
    >>> read_labels({0: "CONTRADICTION", 1: "NEUTRAL", 2: "ENTAILMENT"}, model="m").entailment
    2
    >>> read_labels(["entailment", "not_entailment"], model="m").two_way
    True
    """
    given = dict(names) if isinstance(names, Mapping) else dict(enumerate(names))
    meanings = {index: _MEANING.get(re.sub(r"[\s-]+", "_", str(name).strip().lower())) for index, name in given.items()}
    by_meaning = {meaning: index for index, meaning in meanings.items() if meaning is not None}
    if sorted(given) == list(range(len(given))) and len(by_meaning) == len(given):
        if set(by_meaning) == {"entailment", "neutral", "contradiction"}:
            return EntailmentLabels(by_meaning["entailment"], by_meaning["neutral"], by_meaning["contradiction"])
        if set(by_meaning) == {"entailment", "not_entailment"}:
            return EntailmentLabels(by_meaning["entailment"])
    found = ", ".join(f"{index}: {given[index]!r}" for index in sorted(given)) or "none"
    remedy = "Name a checkpoint that was trained for natural language inference."
    if len(given) in (2, 3):
        example = "contradiction,neutral,entailment" if len(given) == 3 else "entailment,not_entailment"
        remedy = (
            "If you know what its outputs mean, say it in their order behind the name of the model, such as "
            f"{model}?labels={example}"
        )
    raise ModelError(
        f"The labels of the entailment model {model!r} are not those of entailment. It has {len(given)}: {found}. "
        f"Needed: entailment, neutral and contradiction, or entailment and not_entailment, in any order. {remedy}"
    )


def load_entailment_model(
    spec: str,
    /,
    *,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | str = "auto",
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> CrossEncoder:
    r"""Load an entailment model into this process.

    Parameters
    ----------
    spec : str
        Which model; see :func:`pytest_pluralism.models.specification.parse_entailment_spec`.
    device : str
        ``"auto"`` (``cuda`` where there is one, else ``cpu``), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    dtype : str
        ``"auto"`` (``float32`` on a CPU, the checkpoint's own elsewhere), ``"float32"``, ``"bfloat16"``, ``"float16"``.
    batch_size : int or "auto"
        At most so many pairs in one forward pass; ``"auto"`` bounds the tokens instead.
    trust_remote_code : bool
        Whether Python code that comes with the model may run.
    allow_pickle : bool
        Whether weights in pickle files may be read where there are no others.

    Returns
    -------
    CrossEncoder
        The model, ready to be asked. Nothing has been fetched unless the spec starts with ``hf:``.

    Raises
    ------
    ModelError
        If the model cannot be named, found or loaded, it is no classifier, its labels are not those of entailment, or
        the device is not there.
    MissingExtraError
        If torch or transformers is not installed.
    InvalidParameterError
        If ``dtype`` or ``batch_size`` is not one of the values above.

    Examples
    --------
    >>> model = load_entailment_model("embedded:nli-minilm")  # doctest: +SKIP
    >>> pair = EntailmentPair("Taxes pay for schools.", "Schools get money from taxes.")  # doctest: +SKIP
    >>> model.entail([pair])[0].entailment  # doctest: +SKIP
    """
    named, given_labels = parse_entailment_spec(spec)
    check_loading(dtype, batch_size, function="load_entailment_model")
    require_packages("torch", "transformers", "safetensors")
    with quiet_transformers():
        chosen_device = _device(device)
        if named.kind == "embedded":
            folder = find_embedded_entailment(named.target)
            parts = hashes(folder)
        else:
            folder, parts, _ = _folder_of(named, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle)
        config = read_json(folder / "config.json")
        if not trust_remote_code:
            refuse_remote_code(folder, config, named)
        refuse_pickles(folder, named, allow_pickle=allow_pickle)
        _refuse_other_kinds(config, named)
        labels = _labels_of(config, named, given_labels)
        temperature = _temperature_of(config, named)
        tokenizer, network = _load(
            folder,
            named,
            device=chosen_device,
            dtype=dtype,
            n_labels=2 if labels.two_way else 3,
            trust_remote_code=trust_remote_code,
            allow_pickle=allow_pickle,
        )
    parts = {**parts, "labels": json.dumps([labels.entailment, labels.neutral, labels.contradiction])}
    identity = network_identity(named, parts, network, chosen_device)
    return CrossEncoder(
        network,
        tokenizer,
        identity,
        labels=labels,
        temperature=temperature,
        max_tokens=_max_tokens(config, network, tokenizer, named),
        batch_size=batch_size,
    )


class CrossEncoder:
    """A classifier that reads premise and hypothesis together.

    Parameters
    ----------
    network : transformers.PreTrainedModel
        The network, in evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerBase
        Its tokenizer.
    identity : ModelIdentity
        Which model it is.
    labels : EntailmentLabels
        Which output means what.
    temperature : float
        What the logits are divided by, in (0, inf).
    max_tokens : int or None
        How many tokens the network reads at once (``None``: as many as memory holds).
    batch_size : int or "auto"
        See :func:`load_entailment_model`.
    """

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        identity: ModelIdentity,
        *,
        labels: EntailmentLabels,
        temperature: float = 1.0,
        max_tokens: int | None = None,
        batch_size: int | str = "auto",
    ) -> None:
        self._network: Any = network
        self._tokenizer: Any = tokenizer
        self._identity = identity
        self._labels = labels
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._device = next(network.parameters()).device
        self._most_rows = batch_size if isinstance(batch_size, int) else 2**31
        self._most_tokens = (
            2**31 if isinstance(batch_size, int) else MOST_TOKENS.get(self._device.type, MOST_TOKENS["cuda"])
        )
        # Networks that read the last token of a row must know which tokens only fill up.
        self._pads = _set_padding(network, tokenizer)

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is."""
        return self._identity

    @property
    def labels(self) -> EntailmentLabels:
        """Which output means what."""
        return self._labels

    @property
    def temperature(self) -> float:
        """What the logits are divided by."""
        return self._temperature

    def entail(
        self,
        pairs: Sequence[EntailmentPair],
        /,
        *,
        progress: Progress | None = None,
        receive: ReceiveEntailments | None = None,
    ) -> list[EntailmentScores]:
        r"""Return how probable it is that each premise entails its hypothesis, in the order of the pairs.

        .. math:: P(\text{entailment} \mid p, h) = \mathrm{softmax}(z(p, h) / T)_{\text{entailment}}

        A premise that does not fit beside its hypothesis is read in chunks that overlap by half, so that every stretch
        of half a chunk stands whole in one of them; the scores are those of the chunk that entails the hypothesis most.

        Parameters
        ----------
        pairs : sequence of EntailmentPair
            Premises and hypotheses; equal pairs are computed once.
        progress : callable, optional
            Called with (pairs done, pairs in all).
        receive : callable, optional
            Called with pairs and scores as each batch is done.

        Returns
        -------
        list of EntailmentScores
            Probabilities in [0, 1] that sum to 1, computed from the logits in float64; a two-way model gives
            ``entailment`` alone.

        Raises
        ------
        ModelError
            If a hypothesis is empty or leaves no room for a premise, the network gives NaN, there is no memory for one
            pair at a time, or the model has been closed.

        Examples
        --------
        >>> model = load_entailment_model("embedded:nli-minilm")  # doctest: +SKIP
        >>> model.entail([EntailmentPair("It rains.", "It is wet outside.")])  # doctest: +SKIP
        """
        if self._network is None:
            raise ModelError(f"The model {self._identity.name} has been closed and cannot be asked any more.")
        distinct = list(dict.fromkeys(pairs))
        scores: dict[EntailmentPair, EntailmentScores] = {}
        for start in range(0, len(distinct), PAIRS_AT_ONCE):
            for fresh in self._some(distinct[start : start + PAIRS_AT_ONCE]):
                scores.update(fresh)
                if receive is not None and fresh:
                    receive(list(fresh.items()))
                if progress is not None:
                    # Repeated pairs are done with the first of them.
                    n_all = len(pairs)
                    progress(n_all if len(scores) == len(distinct) else len(scores) * n_all // len(distinct), n_all)
        return [scores[pair] for pair in pairs]

    def _some(self, pairs: Sequence[EntailmentPair]) -> Iterator[dict[EntailmentPair, EntailmentScores]]:
        """Compute different pairs, and give those that are done after each batch."""
        rows, owners = self._rows(pairs)
        missing = Counter(owners)
        best: dict[int, EntailmentScores] = {}
        for batch, probabilities in self._batches(rows):
            fresh = {}
            for index, row in zip(batch, probabilities, strict=True):
                owner, found = owners[index], self._scores(row)
                if owner not in best or found.entailment > best[owner].entailment:
                    best[owner] = found
                missing[owner] -= 1
                if not missing[owner]:
                    fresh[pairs[owner]] = best.pop(owner)
            yield fresh

    def close(self) -> None:
        """Give back the memory; the model cannot be asked any more."""
        if self._network is None:
            return
        import torch

        self._network = self._tokenizer = None
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        trim_heap()

    # ---------------------------------------------------------------------------------------------------- tokens

    def _rows(self, pairs: Sequence[EntailmentPair]) -> tuple[list[dict[str, list[int]]], list[int]]:
        """Return the tokens of each pair, or of each chunk of it, and the pair that each belongs to."""
        if not pairs:
            return [], []
        for pair in pairs:
            if not pair.hypothesis.strip():
                raise ModelError(
                    f"A hypothesis is empty, beside the premise {_words(pair.premise)!r}: nothing can entail it. "
                    "Leave out empty texts."
                )
        encoded = self._tokenizer(
            [pair.premise for pair in pairs], [pair.hypothesis for pair in pairs], truncation=False, verbose=False
        )
        names = [name for name in encoded if name in ("input_ids", "token_type_ids", "attention_mask")]
        rows: list[dict[str, list[int]]] = []
        owners: list[int] = []
        for index, pair in enumerate(pairs):
            row = {name: encoded[name][index] for name in names}
            if self._max_tokens is None or len(row["input_ids"]) <= self._max_tokens:
                rows.append(row)
                owners.append(index)
                continue
            chunks = self._chunks(pair, names)
            rows += chunks
            owners += [index] * len(chunks)
        return rows, owners

    def _chunks(self, pair: EntailmentPair, names: Sequence[str]) -> list[dict[str, list[int]]]:
        """Return the tokens of a pair whose premise is too long, chunk by chunk."""
        assert self._max_tokens is not None  # noqa: S101 - only then is anything too long
        n_hypothesis = len(self._tokenizer("", pair.hypothesis, truncation=False, verbose=False)["input_ids"])
        room = self._max_tokens - n_hypothesis
        if room < LEAST_ROOM:
            raise ModelError(
                f"The hypothesis {_words(pair.hypothesis)!r} has {n_hypothesis} tokens, and {self._identity.name} "
                f"reads at most {self._max_tokens} with the premise: at least {LEAST_ROOM} must be left for it. Make "
                "the hypothesis shorter; nothing is cut off in silence."
            )
        if not self._tokenizer.is_fast:
            raise ModelError(
                f"The premise {_words(pair.premise)!r} has more tokens than the {self._max_tokens} that "
                f"{self._identity.name} reads at once, and its tokenizer cannot make chunks of it. Ask with shorter "
                "premises, such as sentences."
            )
        made = self._tokenizer(
            pair.premise,
            pair.hypothesis,
            truncation="only_first",
            max_length=self._max_tokens,
            stride=room // 2,
            return_overflowing_tokens=True,
            verbose=False,
        )
        return [{name: made[name][at] for name in names} for at in range(len(made["input_ids"]))]

    # --------------------------------------------------------------------------------------------------- batches

    def _batches(self, rows: Sequence[dict[str, list[int]]]) -> Iterator[tuple[list[int], list[list[float]]]]:
        """Compute all rows, longest first, rows of about one length together.

        On a processor each of torch's threads computes a batch of its own: threads inside single operations would wait
        for each other at every one of them, which made it slower by a third.
        """
        lengths = [len(row["input_ids"]) for row in rows]
        # Longest first, so that a lack of memory shows at once.
        waiting = deque(sorted(range(len(rows)), key=lambda index: (-lengths[index], index)))
        with self._workers() as (n_workers, apply):
            while waiting:
                batches = []
                while waiting and len(batches) < n_workers:
                    n = min(len(waiting), self._n_rows(lengths[waiting[0]]))
                    batches.append([waiting.popleft() for _ in range(n)])
                results = apply(self._compute, [[rows[index] for index in batch] for batch in batches])
                failed = []
                for batch, probabilities in zip(batches, results, strict=True):
                    if probabilities is None:
                        failed.append(batch)
                    else:
                        yield batch, probabilities
                for batch in reversed(failed):
                    self._shrink(len(batch), lengths[batch[0]])
                    waiting.extendleft(reversed(batch))

    @contextlib.contextmanager
    def _workers(self) -> Iterator[tuple[int, Callable[..., list[Any]]]]:
        """Give how many batches are computed at once, and what applies a function to each of them."""
        import torch

        n_threads = torch.get_num_threads()
        if self._device.type != "cpu" or n_threads == 1:
            yield 1, lambda function, batches: [function(batch) for batch in batches]
            return
        with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            try:
                yield n_threads, lambda function, batches: list(pool.map(function, batches))
            finally:
                # What the workers chose is also what threads that others start later would take over.
                torch.set_num_threads(n_threads)

    def _n_rows(self, length: int) -> int:
        most = min(self._most_rows, max(1, self._most_tokens // max(1, length)))
        return most if self._pads else 1

    def _compute(self, rows: Sequence[dict[str, list[int]]]) -> list[list[float]] | None:
        """Return the probabilities of all labels, or ``None`` where there is not enough memory."""
        import torch

        from pytest_pluralism.models.local.scoring import is_out_of_memory

        try:
            with torch.inference_mode():
                # Some accelerators have no float64.
                logits = self._network(**self._tensors(rows)).logits.float().cpu().double()
                if not bool(torch.isfinite(logits).all()):
                    raise ModelError(
                        f"The entailment model {self._identity.name} gave NaN or infinite logits in "
                        f"{self._identity.dtype}. Choose another number format, such as --pluralism-dtype float32, or "
                        "another checkpoint."
                    )
                probabilities: list[list[float]] = torch.softmax(logits / self._temperature, dim=-1).tolist()
                return probabilities
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Out here the traceback no longer holds the tensors of the failed forward.
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _shrink(self, n_rows: int, length: int) -> None:
        """After a lack of memory: half as much at once from now on."""
        if n_rows == 1:
            raise ModelError(
                f"There is not enough memory on {self._identity.device} for one pair of {length} tokens with "
                f"{self._identity.name}. Use another device (--pluralism-device cpu), or shorter premises."
            )
        half = n_rows // 2
        self._most_rows = min(self._most_rows, half)
        self._most_tokens = min(self._most_tokens, half * length)
        note = f"memory was short: entailment goes on with at most {half} pairs of {length} tokens at once"
        self._identity = replace(self._identity, notes=(note,))

    def _tensors(self, rows: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        """Return a batch, filled up on the right."""
        import torch

        pad = self._tokenizer.pad_token_id
        fillers = {
            "input_ids": 0 if pad is None else pad,
            "token_type_ids": getattr(self._tokenizer, "pad_token_type_id", 0),
            "attention_mask": 0,
        }
        longest = max(len(row["input_ids"]) for row in rows)
        return {
            name: torch.tensor(
                [row[name] + [fillers[name]] * (longest - len(row[name])) for row in rows], device=self._device
            )
            for name in rows[0]
        }

    def _scores(self, probabilities: Sequence[float]) -> EntailmentScores:
        labels = self._labels
        if labels.neutral is None or labels.contradiction is None:
            return EntailmentScores(probabilities[labels.entailment])
        return EntailmentScores(
            probabilities[labels.entailment], probabilities[labels.neutral], probabilities[labels.contradiction]
        )


def _words(text: str) -> str:
    words = text.split()
    return " ".join(words[:8]) + (" ..." if len(words) > 8 else "")


def _set_padding(network: Any, tokenizer: Any) -> bool:
    """Tell the network what fills up a row; return whether rows of different lengths can stand in one batch."""
    if tokenizer.pad_token_id is None:
        return False
    if getattr(network.config, "pad_token_id", None) is None:
        network.config.pad_token_id = tokenizer.pad_token_id
    return True


# ------------------------------------------------------------------------------------------------------ configuration


def _labels_of(config: Mapping[str, Any], named: ModelSpec, given: Sequence[str] | None) -> EntailmentLabels:
    """Return which output means what, from the configuration or as it was said."""
    spec = named.text.partition("?labels=")[0]
    names = _names_of(config, named)
    if given is None:
        return read_labels(names, model=spec)
    labels = read_labels(given, model=spec)
    if names and len(names) != len(given):
        raise ModelError(
            f"The entailment model {spec!r} has {len(names)} outputs, and {len(given)} labels were given: "
            f"{', '.join(given)}. Name each output once, in their order."
        )
    return labels


def _names_of(config: Mapping[str, Any], named: ModelSpec) -> dict[int, str]:
    """Return the names that a configuration gives the outputs, after a look whether it agrees with itself."""
    try:
        by_index = {int(index): str(name) for index, name in (config.get("id2label") or {}).items()}
        by_name = {int(index): str(name) for name, index in (config.get("label2id") or {}).items()}
    except (AttributeError, TypeError, ValueError):
        got = " and ".join(str(config.get(key))[:120] for key in ("id2label", "label2id"))
        raise ModelError(
            f"The config.json of {named.text!r} has labels that cannot be read: id2label must map numbers to names, "
            f"and label2id names to numbers. Got {got}."
        ) from None
    if by_index and by_name and by_index != by_name and set(by_index.values()) == set(by_name.values()):
        raise ModelError(
            f"The config.json of {named.text!r} contradicts itself: id2label says {by_index}, and label2id says "
            f"{ {name: index for index, name in sorted(by_name.items())} }. Correct it, or say what the outputs mean: "
            f"{named.text}?labels=NAME,NAME,..."
        )
    if by_index or by_name:
        return by_index or by_name
    # What transformers makes of a configuration that says nothing.
    n = config.get("num_labels", 2)
    return {index: f"LABEL_{index}" for index in range(n if isinstance(n, int) and 0 < n < 1000 else 2)}


def _temperature_of(config: Mapping[str, Any], named: ModelSpec) -> float:
    value = config.get(TEMPERATURE_KEY, 1.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise ModelError(
            f"{TEMPERATURE_KEY} in the config.json of {named.text!r} must be above 0. Got {value!r} instead."
        )
    return float(value)


def _max_tokens(config: Mapping[str, Any], network: Any, tokenizer: Any, named: ModelSpec) -> int | None:
    """Return how many tokens the network reads at once (``None``: as many as memory holds)."""
    chosen = config.get(TOKENS_KEY)
    if chosen is not None and (isinstance(chosen, bool) or not isinstance(chosen, int) or chosen < 2 * LEAST_ROOM):
        raise ModelError(
            f"{TOKENS_KEY} in the config.json of {named.text!r} must be a whole number from {2 * LEAST_ROOM}. "
            f"Got {chosen!r} instead."
        )
    limits = [chosen] if chosen is not None else []
    length = getattr(network.config, "max_position_embeddings", None)
    if isinstance(length, int) and length > 0:
        # Networks of RoBERTa's family count positions from behind the padding index.
        offsets = [
            module.padding_idx + 1
            for name, module in network.named_modules()
            if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None
        ]
        limits.append(length - max(offsets, default=0))
    # A tokenizer without a limit says so with a number beyond all bounds.
    if isinstance(tokenizer.model_max_length, int) and 0 < tokenizer.model_max_length < 10**6:
        limits.append(tokenizer.model_max_length)
    return min(limits, default=None)


# ------------------------------------------------------------------------------------------------------------ loading


def _refuse_other_kinds(config: Mapping[str, Any], named: ModelSpec) -> None:
    """Refuse a network that is no classifier: its output layer would be made of random numbers."""
    declared = [str(name) for name in config.get("architectures") or ()]
    if not declared or any(name.endswith("ForSequenceClassification") for name in declared):
        return
    if any(re.search(r"(ForCausalLM|LMHeadModel|ForConditionalGeneration|ForSeq2Seq)", name) for name in declared):
        what = "writes text, and gives no entailment scores"
    else:
        what = "has no classifier for pairs of texts"
    if not config.get("auto_map"):
        raise ModelError(
            f"The model {named.text!r} is a {declared[0]}: it {what}. Name a checkpoint for natural language inference "
            "(its architecture ends with ForSequenceClassification), such as embedded:nli-minilm."
        )


def _load(
    folder: Path,
    named: ModelSpec,
    *,
    device: str,
    dtype: str,
    n_labels: int,
    trust_remote_code: bool,
    allow_pickle: bool,
) -> tuple[Any, Any]:
    """Load tokenizer and network, and translate what can go wrong."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from pytest_pluralism.models.local.scoring import is_out_of_memory

    common: dict[str, Any] = {"trust_remote_code": trust_remote_code, "local_files_only": True}
    if trust_remote_code and named.kind == "hf":
        # The code may lie in another repository.
        common["local_files_only"] = False
    if dtype != "auto":
        wanted: Any = getattr(torch, dtype)
    else:
        wanted = torch.float32 if device == "cpu" else "auto"
    arguments: dict[str, Any] = {"dtype": wanted, "output_loading_info": True, **common}
    if not allow_pickle:
        arguments["use_safetensors"] = True
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **common)
        network, report = AutoModelForSequenceClassification.from_pretrained(folder, **arguments)
        network = network.to(device).eval()
    except Exception as error:
        raise translated(error, named, device, out_of_memory=is_out_of_memory(error)) from error
    missing = sorted(report.get("missing_keys") or ())
    if missing:
        raise ModelError(
            f"The weights of {named.text!r} are incomplete: {len(missing)} tensors of {type(network).__name__} are not "
            f"in them, such as {missing[0]!r}. They would be random numbers."
        )
    if network.config.num_labels != n_labels:
        raise ModelError(
            f"The entailment model {named.text!r} has {network.config.num_labels} outputs, and its labels are "
            f"{n_labels}. Name each output once: {named.text.partition('?')[0]}?labels=NAME,NAME,..."
        )
    return tokenizer, network
