"""Value models: what a text is worth to one value, right or duty, by Kaleido or by any reward model of transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from pytest_pluralism.core.errors import ModelError, invalid_parameter
from pytest_pluralism.core.records import RewardRequest
from pytest_pluralism.models.backends import backend_of
from pytest_pluralism.models.local.classifiers import Classifier, Row, declared_architectures, token_limit
from pytest_pluralism.models.local.devices import chosen_device
from pytest_pluralism.models.local.files import described_folder
from pytest_pluralism.models.local.kaleido import (
    KaleidoModel,
    KaleidoTask,
    ValueJudgement,
    ValueRequest,
    kind_of_value,
    read_tasks,
    rouge_l,
)
from pytest_pluralism.models.local.loading import (
    Loading,
    check_loading,
    load_network,
    load_tokenizer,
    network_identity,
)
from pytest_pluralism.models.local.packages import quiet_transformers
from pytest_pluralism.models.protocol import Progress, ReceiveRewards, ValueModel
from pytest_pluralism.models.specification import ModelSpec, parse_model_spec
from pytest_pluralism.models.templates import ChatTemplate, holds

if TYPE_CHECKING:
    from pytest_pluralism.models.local.interfaces import AutoClass

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
    named = parse_model_spec(spec, role="value_model")
    where = "load_value_model"
    if mode not in ("sound", "compat"):
        raise invalid_parameter("mode", where, "'sound' or 'compat'", repr(mode))
    check_loading(dtype, batch_size, function=where)
    backend_of(named.kind).check_role(spec, "value_model")
    backend_of(named.kind).require()
    with quiet_transformers():
        from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

        place = chosen_device(device)
        found = described_folder(named, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle)
        is_reward = any(name.endswith("ForSequenceClassification") for name in declared_architectures(found.config))
        tasks = {} if is_reward else read_tasks(found.config, named)
        if is_reward:
            _check_head(found.config, named)
        tokenizer = load_tokenizer(found.folder, named, trust_remote_code=trust_remote_code)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        auto = cast("AutoClass", AutoModelForSequenceClassification if is_reward else AutoModelForSeq2SeqLM)
        network = load_network(auto, Loading(found.folder, named, place, dtype, trust_remote_code, allow_pickle))
    # Named by how it reads, because rewards are stored.
    reading = "" if is_reward else "sound, the value never cut off" if mode == "sound" else mode
    identity = network_identity(named, {**found.parts, "mode": reading}, network, place, tokenizer=tokenizer)
    if is_reward:
        most = token_limit(found.config, network, tokenizer, named)
        return RewardModel(network, tokenizer, identity, max_tokens=most, batch_size=batch_size)
    thresholds = found.config.get("system_params")
    rows = batch_size if isinstance(batch_size, int) else 2**31
    return KaleidoModel(
        network,
        tokenizer,
        identity,
        tasks=tasks,
        thresholds=thresholds if isinstance(thresholds, Mapping) else {},
        most_rows=1 if mode == "compat" else rows,
        masked=mode == "sound",
    )


class RewardModel(Classifier):
    """A reward model: a network for sequence classification with one output, read for a prompt and a response.

    It is steered by words: the attribute stands in the prompt.
    """

    row_names = ("response", "responses")
    shorter = "shorter responses"

    def reward(
        self,
        requests: Sequence[RewardRequest],
        /,
        *,
        progress: Progress | None = None,
        receive: ReceiveRewards | None = None,
    ) -> list[float]:
        """Return the reward of each response, in the order of the requests, in the units of the model.

        ``receive`` takes the rewards of each batch as soon as they are there, so that they can be kept.

        Raises
        ------
        ModelError
            If a response is too long for the model, the network gives NaN, there is no memory for one response at a
            time, or the model has been closed.
        """
        distinct = list(dict.fromkeys(requests))
        found: dict[RewardRequest, float] = {}
        for places, logits in self.logits([self._row(one) for one in distinct]):
            fresh = [(distinct[place], float(row[0])) for place, row in zip(places, logits.tolist(), strict=True)]
            found.update(fresh)
            if receive is not None:
                receive(fresh)
            if progress is not None:
                progress(len(found) * len(requests) // len(distinct), len(requests))
        return [found[one] for one in requests]

    def reward_ids(self, request: RewardRequest, /) -> list[int]:
        """Return the token ids that the model reads for a request."""
        return self._row(request)["input_ids"]

    def _row(self, request: RewardRequest) -> Row:
        asked_for = f"\n\nThe answer should reflect: {request.attribute}" if request.attribute else ""
        prompt = request.prompt + asked_for
        if getattr(self.tokenizer, "chat_template", None):
            messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": request.response}]
            text = ChatTemplate(self.tokenizer, model=self.identity.name).written(messages, add_generation_prompt=False)
            if not holds(text, [prompt, request.response]):
                raise ModelError(
                    f"The chat template of {self.identity.name} does not write the prompt and the response once and in "
                    "order, so that the model would judge something else. Name another reward model, or mend its "
                    "template (chat_template.jinja)."
                )
            row = list(self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids)
        else:
            row = list(self.tokenizer(prompt, request.response, verbose=False).input_ids)
        if self.max_tokens is not None and len(row) > self.max_tokens:
            raise ModelError(
                f"The response {request.response[:60]!r} has {len(row)} tokens with its prompt, and "
                f"{self.identity.name} reads at most {self.max_tokens}. Write shorter responses with "
                "max_new_tokens, or name a reward model that reads more; nothing is cut off in silence."
            )
        return {"input_ids": row, "attention_mask": [1] * len(row)}


def _check_head(config: Mapping[str, object], named: ModelSpec) -> None:
    """Refuse a classifier that is not a reward model."""
    labels = config.get("id2label")
    width = len(labels) if isinstance(labels, Mapping) else config.get("num_labels", 2)
    if width != 1:
        names = ", ".join(map(str, labels.values())) if isinstance(labels, Mapping) else ""
        raise ModelError(
            f"{named.text} has {width} outputs{f' ({names})' if names else ''}, and a reward model has one. "
            "Name a reward model; a classifier of entailment belongs under --pluralism-entailment-model."
        )
