"""Entailment models that run in this process: classifiers of transformers that read a premise and a hypothesis."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import EntailmentPair, EntailmentScores
from pytest_pluralism.models.backends import backend_of
from pytest_pluralism.models.local.classifiers import (
    LEAST_ROOM,
    Classifier,
    Row,
    declared_architectures,
    token_limit,
)
from pytest_pluralism.models.local.devices import chosen_device
from pytest_pluralism.models.local.entailment_labels import EntailmentLabels, labels_of, read_labels, temperature_of
from pytest_pluralism.models.local.files import described_folder
from pytest_pluralism.models.local.joined import packaged_entailment
from pytest_pluralism.models.local.loading import (
    Loading,
    check_loading,
    load_network,
    load_tokenizer,
    network_identity,
)
from pytest_pluralism.models.local.packages import quiet_transformers
from pytest_pluralism.models.protocol import ModelIdentity, Progress, ReceiveEntailments
from pytest_pluralism.models.specification import ModelSpec, parse_entailment_spec

if TYPE_CHECKING:
    from pytest_pluralism.models.local.interfaces import AutoClass, Network, Tokenizer

__all__ = ["CrossEncoder", "EntailmentLabels", "load_entailment_model", "read_labels"]

#: Number of pairs that are made into tokens and sorted by length together: enough for batches of one length, and the
#: memory does not grow with the number of windows.
PAIRS_AT_ONCE = 4096


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
        Maximum number of pairs in one forward pass; ``"auto"`` bounds the tokens instead.
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
        If the model cannot be named, found or loaded, it is not a classifier, its labels are not those of entailment,
        or the device is not there.
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
    backend_of(named.kind).require()
    with quiet_transformers():
        from transformers import AutoModelForSequenceClassification

        place = chosen_device(device)
        packaged, parts = packaged_entailment(named.target) if named.kind == "embedded" else (None, None)
        found = described_folder(
            named, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle, packaged=packaged, parts=parts
        )
        _refuse_other_kinds(found.config, named)
        labels = labels_of(found.config, named, given_labels)
        temperature = temperature_of(found.config, named)
        tokenizer = load_tokenizer(found.folder, named, trust_remote_code=trust_remote_code)
        loading = Loading(found.folder, named, place, dtype, trust_remote_code, allow_pickle)
        network = load_network(cast("AutoClass", AutoModelForSequenceClassification), loading)
    n_outputs, n_labels = getattr(network.config, "num_labels", None), 2 if labels.two_way else 3
    if n_outputs != n_labels:
        raise ModelError(
            f"The entailment model {named.text!r} has {n_outputs} outputs, and its labels are {n_labels}. Name each "
            f"output once: {named.text.partition('?')[0]}?labels=NAME,NAME,..."
        )
    parts = {**found.parts, "labels": json.dumps([labels.entailment, labels.neutral, labels.contradiction])}
    return CrossEncoder(
        network,
        tokenizer,
        network_identity(named, parts, network, place, tokenizer=tokenizer),
        labels=labels,
        temperature=temperature,
        max_tokens=token_limit(found.config, network, tokenizer, named),
        batch_size=batch_size,
    )


class CrossEncoder(Classifier):
    """A classifier that reads premise and hypothesis together.

    Parameters
    ----------
    network, tokenizer, identity
        As for :class:`~pytest_pluralism.models.local.loaded.LoadedModel`.
    labels : EntailmentLabels
        Which output means what.
    temperature : float
        The divisor of the logits, in (0, inf).
    max_tokens : int or None
        Maximum number of tokens that the network reads at once (``None``: bounded by memory only).
    batch_size : int or "auto"
        See :func:`load_entailment_model`.

    Attributes
    ----------
    labels, temperature
        As above.
    """

    row_names = ("pair", "pairs")
    shorter = "shorter premises"

    def __init__(
        self,
        network: Network,
        tokenizer: Tokenizer,
        identity: ModelIdentity,
        *,
        labels: EntailmentLabels,
        temperature: float = 1.0,
        max_tokens: int | None = None,
        batch_size: int | str = "auto",
    ) -> None:
        super().__init__(network, tokenizer, identity, max_tokens=max_tokens, batch_size=batch_size)
        self.labels = labels
        self.temperature = temperature

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
        _ = self.network
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
        for batch, logits in self.logits(rows):
            fresh = {}
            probabilities = (logits / self.temperature).softmax(dim=-1).tolist()
            for index, row in zip(batch, probabilities, strict=True):
                owner, found = owners[index], self._scores(row)
                if owner not in best or found.entailment > best[owner].entailment:
                    best[owner] = found
                missing[owner] -= 1
                if not missing[owner]:
                    fresh[pairs[owner]] = best.pop(owner)
            yield fresh

    def _rows(self, pairs: Sequence[EntailmentPair]) -> tuple[list[Row], list[int]]:
        """Return the tokens of each pair, or of each chunk of it, and the pair that each belongs to."""
        if not pairs:
            return [], []
        for pair in pairs:
            if not pair.hypothesis.strip():
                raise ModelError(
                    f"A hypothesis is empty, beside the premise {_words(pair.premise)!r}: nothing can entail it. "
                    "Leave out empty texts."
                )
        encoded = self.tokenizer(
            [pair.premise for pair in pairs], [pair.hypothesis for pair in pairs], truncation=False, verbose=False
        )
        names = [name for name in encoded if name in ("input_ids", "token_type_ids", "attention_mask")]
        rows: list[Row] = []
        owners: list[int] = []
        for index, pair in enumerate(pairs):
            row = {name: encoded[name][index] for name in names}
            if self.max_tokens is None or len(row["input_ids"]) <= self.max_tokens:
                rows.append(row)
                owners.append(index)
                continue
            chunks = self._chunks(pair, names)
            rows += chunks
            owners += [index] * len(chunks)
        return rows, owners

    def _chunks(self, pair: EntailmentPair, names: Sequence[str]) -> list[Row]:
        """Return the tokens of a pair whose premise is too long, chunk by chunk."""
        assert self.max_tokens is not None  # noqa: S101 - only then is anything too long
        n_hypothesis = len(self.tokenizer("", pair.hypothesis, truncation=False, verbose=False)["input_ids"])
        room = self.max_tokens - n_hypothesis
        if room < LEAST_ROOM:
            raise ModelError(
                f"The hypothesis {_words(pair.hypothesis)!r} has {n_hypothesis} tokens, and {self.identity.name} "
                f"reads at most {self.max_tokens} with the premise: at least {LEAST_ROOM} must be left for it. Make "
                "the hypothesis shorter; nothing is cut off in silence."
            )
        if not self.tokenizer.is_fast:
            raise ModelError(
                f"The premise {_words(pair.premise)!r} has more tokens than the {self.max_tokens} that "
                f"{self.identity.name} reads at once, and its tokenizer cannot make chunks of it. Ask with shorter "
                "premises, such as sentences."
            )
        made = self.tokenizer(
            pair.premise,
            pair.hypothesis,
            truncation="only_first",
            max_length=self.max_tokens,
            stride=room // 2,
            return_overflowing_tokens=True,
            verbose=False,
        )
        return [{name: made[name][at] for name in names} for at in range(len(made["input_ids"]))]

    def _scores(self, probabilities: Sequence[float]) -> EntailmentScores:
        labels = self.labels
        if labels.neutral is None or labels.contradiction is None:
            return EntailmentScores(probabilities[labels.entailment])
        return EntailmentScores(
            probabilities[labels.entailment], probabilities[labels.neutral], probabilities[labels.contradiction]
        )


def _words(text: str) -> str:
    words = text.split()
    return " ".join(words[:8]) + (" ..." if len(words) > 8 else "")


def _refuse_other_kinds(config: Mapping[str, object], named: ModelSpec) -> None:
    """Refuse a network that is not a classifier: its output layer would be made of random numbers."""
    declared = declared_architectures(config)
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
