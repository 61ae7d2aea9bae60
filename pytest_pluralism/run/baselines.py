"""The baselines of a run: their places, their entries, updates, and the removal of unused entries."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from pytest_pluralism.core.errors import BaselineError, MissingExtraError, PluralismError
from pytest_pluralism.files import inside
from pytest_pluralism.run.items import Json
from pytest_pluralism.settings.places import NamedBaseline, named_place

if TYPE_CHECKING:
    from pytest_pluralism.baselines.places import BaselineFile
    from pytest_pluralism.baselines.schema import Entry
    from pytest_pluralism.settings.resolving import Settings

__all__ = ["Collected", "RunBaselines"]

#: Errors of a baseline that is only looked at beside the promises: none of them costs the verdicts.
UNREADABLE = (PluralismError, OSError, ValueError, RuntimeError)

#: Longer lists of entries stand below their remark, a line an entry.
MOST_BESIDE = 200

#: The most files that are searched for the results of other models, and the most models that are named.
MOST_OTHERS, MOST_NAMED = 200, 5


@dataclass
class Collected:
    """The keys that the tests of a run would store, and the files of these tests."""

    keys: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    narrowed: bool = False
    #: The node ids of updates, and of anchors to move, that name a test.
    matched: set[str] = field(default_factory=set)
    #: All tests, while they are collected.
    items: list[object] = field(default_factory=list)

    def as_json(self) -> Json:
        """Return it as plain JSON values, for the way from a worker to the controller."""
        return {"keys": sorted(self.keys), "files": sorted(self.files), "narrowed": self.narrowed,
                "matched": sorted(self.matched)}  # fmt: skip

    def take_over(self, output: Entry) -> None:
        """Take in what a worker collected."""
        self.keys.update(output["keys"])
        self.files.update(output["files"])
        self.narrowed |= output["narrowed"]
        self.matched.update(output["matched"])


_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _mark_unstored(entries: Iterable[Json], why: str) -> None:
    """Let verdicts that say that their result was stored say that it could not be."""
    for entry in entries:
        baseline = entry.get("baseline") or {}
        if baseline.get("stored") is True and entry["outcome"] == "passed":
            entry["baseline"] = {**baseline, "stored": False}
            entry |= {"outcome": "error", "reason": f"its result could not be stored: {why}"}


def _at_start(
    method: Callable[Concatenate[RunBaselines, _Arguments], _Result],
) -> Callable[Concatenate[RunBaselines, _Arguments], _Result]:
    """Let a method see relative places from where the run was started, wherever a test has gone since."""

    @functools.wraps(method)
    def there(self: RunBaselines, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with inside(self.start):
            return method(self, *args, **kwargs)

    return there


class RunBaselines:
    """The baselines of one process of a run.

    Parameters
    ----------
    settings : Settings
        The settings of the run.
    root : Path
        The root of the project, where the default folder lies.
    start : Path
        Where the run was started, from which paths are seen.
    """

    def __init__(self, settings: Settings, *, root: Path, start: Path) -> None:
        self.settings = settings
        self.collected = Collected()
        self._root, self.start = root, start
        self._found: dict[BaselineFile, Json] = {}
        is_default = settings.origins.get("baseline") == "default"
        places = [named_place(text) for text in settings["baseline"]]
        if is_default:
            places = [NamedBaseline(one.name, os.path.relpath(root / one.place, start)) for one in places]
        self.named = places
        names = {one.name for one in self.named}
        self._models: dict[str, str] = {}
        for text in settings["baseline_model"]:
            name, equals, model = text.partition("=")
            self._models.update({name: model} if equals and name in names else {self.first.name: text})

    @property
    def first(self) -> NamedBaseline:
        """The baseline that updates are written to."""
        return self.named[0]

    @property
    def mode(self) -> str | None:
        """The way in which this run updates: ``"all"``, ``"new"``, ``"better"``, a node id, or ``None``."""
        mode: str | None = self.settings["update_baseline"]
        return mode

    @property
    def stores_any(self) -> bool:
        """Whether this run stores results."""
        return self.mode is not None or self.settings["move_anchor"] is not None

    @_at_start
    def file(self, baseline: NamedBaseline, model_name: str) -> BaselineFile:
        """Return where the results for a model lie in a baseline."""
        from pytest_pluralism.baselines.store import baseline_file

        return baseline_file(baseline.place, self._models.get(baseline.name, model_name))

    @_at_start
    def entries(self, baseline: NamedBaseline, model_name: str, update: str) -> Json:
        """Return the entries of a baseline, read once a run.

        Raises
        ------
        BaselineError
            It is missing, damaged or of another model.
        MissingExtraError
            A package that reaches it is not installed.
        """
        from pytest_pluralism.baselines.store import missing_words, read_baseline

        file = self.file(baseline, model_name)
        if file not in self._found:
            name = self._models.get(baseline.name, model_name)
            if update and file.read() is None:
                raise BaselineError(missing_words(file, update, self._others(baseline, name)))
            self._found[file] = read_baseline(file, name, update=update)
        return self._found[file]

    def _others(self, baseline: NamedBaseline, model_name: str) -> str:
        """Return a sentence that says whose results a baseline holds instead, and the option that names them."""
        from pytest_pluralism.baselines.places import files_in
        from pytest_pluralism.baselines.store import model_of
        from pytest_pluralism.core.errors import nearest_names
        from pytest_pluralism.core.untrusted import printable

        names: list[str] = []
        with contextlib.suppress(*UNREADABLE):
            for file in files_in(baseline.place)[:MOST_OTHERS]:
                with contextlib.suppress(*UNREADABLE):
                    names.append(model_of(file))
        if not names:
            return ""
        nearest = nearest_names(model_name, names, most=1)[:1] or names[-1:]
        shown = ", ".join(printable(name, most=60) for name in names[:MOST_NAMED])
        shown += f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        whose = f"{baseline.name}=" if baseline.name else ""
        option = f"--pluralism-baseline-model={shlex.quote(printable(f'{whose}{nearest[0]}', most=200))}"
        return f"{baseline.place} holds results of {shown}; to compare with them, add {option}. "

    def writes(self, nodeid: str) -> bool:
        """Return whether this run may store the results of a test."""
        return self._names(self.mode, nodeid) or self.moves(nodeid)

    def moves(self, nodeid: str) -> bool:
        """Return whether the result of a test becomes the anchor of its entry."""
        return self._names(self.settings["move_anchor"], nodeid)

    def _names(self, mode: str | None, nodeid: str) -> bool:
        """Return whether a way to update, or a node id, means a test."""
        from pytest_pluralism.baselines import UPDATES

        if mode is None or mode in UPDATES:
            return mode is not None
        file, separator, rest = mode.partition("::")
        path = os.path.relpath(self.start / file, self._root).replace(os.sep, "/")
        if path == ".":
            return True
        wanted = path + separator + rest
        return nodeid == wanted or nodeid.startswith((f"{wanted}[", f"{wanted}::", f"{wanted.rstrip('/')}/"))

    def collect(self, nodeids: Sequence[str]) -> str | None:
        """Remember which tests have promises; return the error where an update names none of them."""
        for mode in self._modes():
            if any(self._names(mode, nodeid) for nodeid in nodeids):
                self.collected.matched.add(mode)
        return self.unmatched(nodeids)

    def _modes(self) -> tuple[str, ...]:
        """Return the node ids by which this run updates or moves anchors."""
        from pytest_pluralism.baselines import UPDATES

        modes = (self.mode, self.settings["move_anchor"])
        return tuple(dict.fromkeys(mode for mode in modes if mode is not None and mode not in UPDATES))

    def unmatched(self, nodeids: Sequence[str] = ()) -> str | None:
        """Return what is wrong with an update that names no test of the run, or ``None``."""
        from pytest_pluralism.core.errors import nearest_names

        mode = next((mode for mode in self._modes() if mode not in self.collected.matched), None)
        if mode is None:
            return None
        tests = dict.fromkeys(nodeid.partition("[")[0] for nodeid in nodeids)
        near = nearest_names(mode, tests)
        hint = f" Nearest: {', '.join(map(repr, near))}." if near else ""
        option = "--pluralism-update-baseline" if mode == self.mode else "--pluralism-move-anchor"
        return (
            f"{option}={mode} names no test with a promise in this run, so that nothing would "
            f"be stored.{hint} Name one of the tests that run, or leave the value out to store all of them."
        )

    @_at_start
    def stores(self, nodeid: str, key: str, model_name: str) -> bool:
        """Return whether the result of a promise is stored for the first time or anew, instead of being compared.

        Raises
        ------
        BaselineError, MissingExtraError
            The baseline cannot be read, and must not be taken for missing.
        """
        if not self.writes(nodeid):
            return False
        if self.moves(nodeid) or self.mode not in {"new", "better"}:
            return True
        file = self.file(self.first, model_name)
        if file not in self._found and file.read() is None:
            return True
        return key not in self.entries(self.first, model_name, "delete the file first")

    @_at_start
    def replaced(self, nodeid: str, key: str, model_name: str) -> Json:
        """Return the entry that a result replaces and whose anchor stays; empty where there is none.

        A baseline that cannot be read is reported where the result is written.
        """
        file = self.file(self.first, model_name)
        if self.moves(nodeid):
            return {}
        try:
            if file not in self._found and file.read() is None:
                return {}
            found: Json = self.entries(self.first, model_name, "delete the file first").get(key, {})
        except UNREADABLE:
            return {}
        return found

    @_at_start
    def check_writable(self, model_names: Iterable[str]) -> str | None:
        """Return why an update could not be written at the end of this run, or ``None``."""
        if not (self.stores_any or self.settings["prune_baseline"]):
            return None
        problems = (self.file(self.first, name).problem() for name in model_names)
        return next((problem for problem in problems if problem), None)

    @_at_start
    def store(self, entries: Collection[Json], *, date: str) -> tuple[list[str], bool]:
        """Store the results that the verdicts of a run carry; return what to say, and whether all went well.

        ``date`` is that of the run, for the anchors that it moves.
        """
        from pytest_pluralism.baselines import UPDATES
        from pytest_pluralism.baselines.store import merge_entries
        from pytest_pluralism.core.untrusted import printable

        by_model: dict[str, Json] = {}
        moved: dict[str, dict[str, Json]] = {}
        about = {"date": date, "reason": self.settings["anchor_reason"]}
        seen: dict[tuple[str, str], str] = {}
        for entry in entries:
            baseline = entry.get("baseline") or {}
            contents = {baseline["key"]: baseline["new"]} if "new" in baseline else {}
            for key, content in (contents | baseline.get("parts", {})).items():
                place = (entry["model"]["name"], key)
                if seen.setdefault(place, entry["nodeid"]) != entry["nodeid"]:
                    why = f"{seen[place]} and {entry['nodeid']} would be stored in one place"
                    _mark_unstored(entries, why)
                    return [f"ERROR no baseline written: {why}. Give the models different names."], False
                by_model.setdefault(place[0], {})[key] = content
                if self.moves(entry["nodeid"]):
                    moved.setdefault(place[0], {})[key] = about
        # Workers collect by themselves, so that this is known at the end.
        unmatched = self.unmatched(list(dict.fromkeys(entry["nodeid"] for entry in entries)))
        if unmatched:
            _mark_unstored(entries, unmatched)
            return [f"ERROR {unmatched}"], False
        notes, well = [], True
        for name, new in by_model.items():
            file = self.file(self.first, name)
            mode = self.mode if self.mode in UPDATES else "all"
            try:
                stored = merge_entries(
                    file, name, new, mode=str(mode), moved=moved.get(name), plan=self.settings["looks"]
                )
            except (BaselineError, MissingExtraError) as error:
                well = False
                notes.append(f"ERROR {error}")
                _mark_unstored([entry for entry in entries if entry["model"]["name"] == name], str(error))
                continue
            self._found.pop(file, None)
            left = f", {len(new) - len(stored)} left as they were" if len(stored) < len(new) else ""
            notes.append(f"baseline written: {len(stored)} results of {printable(name)} in {file}{left}")
            if name in moved:
                why = "" if about["reason"] else "; no reason is kept (--pluralism-anchor-reason='...')"
                notes.append(f"anchors moved: {len(moved[name])} of {printable(name)}{why}")
        return notes, well

    @property
    @_at_start
    def suite(self) -> str | None:
        """The suite whose results these are, as entries name it: where it lies from the baseline, as a short hash.

        ``None`` for a baseline at a URL, from which nothing lies anywhere.
        """
        from pytest_pluralism.baselines.places import is_remote

        if is_remote(self.first.place):
            return None
        folder = Path(self.first.place)
        folder = folder.parent if folder.suffix == ".json" else folder
        way = os.path.relpath(self._root.resolve(), folder.resolve()).replace(os.sep, "/")
        return hashlib.sha256(way.encode("utf-8", "surrogateescape")).hexdigest()[:12]

    @_at_start
    def unused(
        self, model_names: Iterable[str], exists: Callable[[str], bool]
    ) -> dict[BaselineFile, tuple[str, list[str]]]:
        """Return the entries that no test of this run has a use for, by file, with the model's name.

        An entry is known to be unused when all tests of its file were collected, or the file is gone; one of another
        suite is left alone, and so is one that names no suite and whose file is not here.
        """
        from pytest_pluralism.baselines.store import read_baseline

        found: dict[BaselineFile, tuple[str, list[str]]] = {}
        if self.collected.narrowed or not self.collected.keys:
            return found
        for name in model_names:
            try:
                file = self.file(self.first, name)
                name = self._models.get(self.first.name, name)
                if file.read() is None:
                    continue
                keys = read_baseline(file, name, update="")
            except UNREADABLE:
                # The comparison with it has reported that.
                continue
            odd = [key for key in keys if key not in self.collected.keys and self._is_known(key, keys[key], exists)]
            if odd:
                found[file] = (name, odd)
        return found

    def _is_known(self, key: str, entry: Entry, exists: Callable[[str], bool]) -> bool:
        """Return whether this run knows what became of the test of an entry."""
        file, suite = key.partition("::")[0], entry.get("suite")
        if suite is not None and suite != self.suite:
            return False
        return file in self.collected.files or (suite is not None and not exists(file))

    @_at_start
    def settle_unused(self, model_names: Iterable[str], exists: Callable[[str], bool]) -> tuple[list[str], bool]:
        """Report what is unused, or remove it where asked for; return what to say, and whether all went well."""
        from pytest_pluralism.baselines.store import remove_entries
        from pytest_pluralism.core.untrusted import printable

        prune = self.settings["prune_baseline"]
        notes, well = [], True
        if prune and self.collected.narrowed:
            notes.append("nothing was pruned from the baseline: only a part of the tests was collected")
        for file, (name, keys) in self.unused(model_names, exists).items():
            shown = [printable(key, most=200) for key in keys]
            some = f" ({', '.join(shown)})" if sum(map(len, shown)) <= MOST_BESIDE else ""
            below = [] if some else [f"  {key}" for key in shown]
            if not prune:
                remedy = "Re-run pytest with --pluralism-prune-baseline to remove them."
                notes += [f"unused in {file}: {len(keys)}{some}. {remedy}", *below]
                continue
            try:
                remove_entries(file, name, keys)
            except (BaselineError, MissingExtraError) as error:
                well = False
                notes.append(f"ERROR {error}")
            else:
                notes += [f"removed from {file}: {len(keys)}{some}", *below]
        return notes, well
