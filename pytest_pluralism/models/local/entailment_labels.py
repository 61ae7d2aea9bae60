"""The labels and the temperature of an entailment model, as its configuration gives them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.specification import ModelSpec

__all__ = ["EntailmentLabels", "labels_of", "read_labels", "temperature_of"]

#: The names that checkpoints give to the three classes, and to the second of two.
LABEL_NAMES = {
    "entailment": ("entailment", "entail", "entails", "entailed"),
    "neutral": ("neutral",),
    "contradiction": ("contradiction", "contradict", "contradicts", "contradictory"),
    "not_entailment": ("not_entailment", "non_entailment", "notentailment", "nonentailment", "no_entailment"),
}
_MEANING = {name: meaning for meaning, names in LABEL_NAMES.items() for name in names}

#: The key of config.json that is ours: what the logits are divided by.
TEMPERATURE_KEY = "pluralism_temperature"


@dataclass(frozen=True, slots=True)
class EntailmentLabels:
    """The meaning of a classifier's outputs, by index; a two-way model has ``None`` for the two it does not know."""

    entailment: int
    neutral: int | None = None
    contradiction: int | None = None

    @property
    def two_way(self) -> bool:
        """True where the model knows only entailment and its absence."""
        return self.neutral is None


def read_labels(names: Mapping[int, str] | Sequence[str], /, *, model: str) -> EntailmentLabels:
    """Return the meaning of each output, read from the names that a checkpoint gives its outputs.

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


def labels_of(config: Mapping[str, object], named: ModelSpec, given: Sequence[str] | None) -> EntailmentLabels:
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


def _names_of(config: Mapping[str, object], named: ModelSpec) -> dict[int, str]:
    """Return the names that a configuration gives the outputs, after a look whether it agrees with itself."""
    try:
        given, inverse = (config.get(key) or {} for key in ("id2label", "label2id"))
        if not isinstance(given, Mapping) or not isinstance(inverse, Mapping):
            raise TypeError
        by_index = {int(index): str(name) for index, name in given.items()}
        by_name = {int(index): str(name) for name, index in inverse.items()}
    except (TypeError, ValueError):
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
    # The default labels of transformers for a configuration without labels.
    n = config.get("num_labels", 2)
    return {index: f"LABEL_{index}" for index in range(n if isinstance(n, int) and 0 < n < 1000 else 2)}


def temperature_of(config: Mapping[str, object], named: ModelSpec) -> float:
    """Return what the logits are divided by, 1 where the configuration does not say."""
    value = config.get(TEMPERATURE_KEY, 1.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise ModelError(
            f"{TEMPERATURE_KEY} in the config.json of {named.text!r} must be above 0. Got {value!r} instead."
        )
    return float(value)
