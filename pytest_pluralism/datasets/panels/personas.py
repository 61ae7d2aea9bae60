"""Personas as a jury: what each response is worth to the personas who compared it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.core.estimation.raking import rake
from pytest_pluralism.datasets.panels.records import (
    Juror,
    Panel,
    PanelQuery,
    PanelResponse,
    UtilityScale,
    make_panel,
)
from pytest_pluralism.datasets.preferences.file import PreferenceSet, load_preferences

__all__ = ["panel_of_personas", "read_preference_panel"]


def panel_of_personas(
    preferences: PreferenceSet, /, *, margins: Mapping[str, Mapping[str, float]] | None = None
) -> Panel:
    """Return the personas of preference pairs as a jury.

    A juror's vote on a response is the share of its comparisons that the response wins: 1 for one that was preferred
    to every other, 0 for one that never was. A response that a persona did not compare has no vote of it.

    Parameters
    ----------
    preferences : PreferenceSet
        Pairs that name personas; pairs of nobody are left out and counted in the source.
    margins : mapping of str to mapping of str to float, optional
        Shares of a population by kind of group, as a census has them: the weights of the personas are raked to them
        (:func:`~pytest_pluralism.core.estimation.rake`). By default the weights of the file.

    Raises
    ------
    DatasetError
        No pair names a persona, or a persona has no group of a kind of the margins.
    InvalidParameterError
        The margins cannot be met.
    """
    pairs = [pair for pair in preferences.pairs if pair.persona]
    if not pairs:
        raise DatasetError(f"{preferences.name}: no pair names a persona, so that there is no jury. Name 'persona'.")
    names = list(dict.fromkeys(pair.persona for pair in pairs))
    weights = {name: preferences.personas[name].weight for name in names}
    if margins is not None:
        groups: dict[str, list[str]] = {}
        for kind in margins:
            lacking = [name for name in names if kind not in preferences.personas[name].groups]
            if lacking:
                raise DatasetError(f"{preferences.name}: the persona {lacking[0]!r} has no group of the kind {kind!r}.")
            groups[kind] = [preferences.personas[name].groups[kind] for name in names]
        weights = dict(zip(names, rake(groups, margins).tolist(), strict=True))
    queries: dict[str, dict[str, int]] = {}
    won: dict[tuple[str, str, str], list[float]] = {}
    for pair in pairs:
        texts = queries.setdefault(pair.prompt, {})
        for text, value in ((pair.chosen, 1.0), (pair.rejected, 0.0)):
            texts.setdefault(text.strip(), len(texts))
            won.setdefault((pair.persona, pair.prompt, text.strip()), []).append(value)
    places: dict[tuple[str, str], int] = {}
    made = []
    for number, (prompt, texts) in enumerate(queries.items(), start=1):
        responses = tuple(PanelResponse(f"response {place + 1}", text) for text, place in texts.items())
        for text in texts:
            places[prompt, text] = len(places)
        made.append(PanelQuery(f"prompt {number}", prompt, responses))
    votes = [(names.index(who), places[prompt, text], sum(v) / len(v)) for (who, prompt, text), v in won.items()]
    is_binary = all(value in (0.0, 1.0) for _, _, value in votes)
    left_out = len(preferences.pairs) - len(pairs)
    beside = f", {left_out} pairs of nobody left out" if left_out else ""
    return make_panel(
        preferences.name,
        tuple(
            # A persona is described, and need not be anybody.
            Juror(name, dict(preferences.personas[name].groups), weights[name], kind="made up")
            for name in names
        ),
        tuple(made),
        UtilityScale(0.0, 1.0, levels=2 if is_binary else None, measurement="ordinal"),
        [who for who, _, _ in votes],
        [what for _, what, _ in votes],
        [value for _, _, value in votes],
        source=f"{preferences.source}; {len(votes)} votes of personas{beside}",
    )


def read_preference_panel(path: Path, /) -> Panel:
    """Read a file of preference pairs as a jury of its personas."""
    return panel_of_personas(load_preferences(path))
