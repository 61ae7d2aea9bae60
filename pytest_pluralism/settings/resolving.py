"""Settings resolved once a run: command line > environment > profile > ini file > default; each with its origin."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_pluralism.core.errors import did_you_mean, nearest_names
from pytest_pluralism.core.untrusted import has_secret
from pytest_pluralism.files import check_writable
from pytest_pluralism.settings.places import REFERENCE, NamedBaseline, named_place
from pytest_pluralism.settings.table import LAXER, SETTINGS, Setting, Settings

__all__ = [
    "SETTINGS",
    "Setting",
    "Settings",
    "add_options",
    "refuse_misspelt",
    "refuse_moved_root",
    "resolve",
    "tell_apart",
]

#: Options whose value may be left out, with the value they have then. The word after one is a test, never a value.
ALONE = {"--pluralism-update-baseline": "all", "--pluralism-aa": "10", "--pluralism-mutants": "report"}

#: The profiles that every project has; ``pluralism_profiles`` in the ini file changes them and adds others.
PROFILES: Mapping[str, Mapping[str, str]] = {
    "pr": {"inconclusive": "warn", "health": "warn"},
    "release": {"inconclusive": "fail", "health": "fail"},
}

PROFILES_INI = "pluralism_profiles"

#: The files in which pytest looks for its settings, in its order, and the line by which it takes one for its own.
INI_FILES = {
    "pytest.toml": "",
    ".pytest.toml": "",
    "pytest.ini": "",
    ".pytest.ini": "",
    "pyproject.toml": r"^\[tool\.pytest(\.ini_options)?\]",
    "tox.ini": r"^\[pytest\]",
    "setup.cfg": r"^\[tool:pytest\]",
}


def add_options(parser: pytest.Parser) -> None:
    """Declare every setting on the command line and in the ini file."""
    group = parser.getgroup("pluralism", "pluralism regression tests of language models")
    for setting in SETTINGS:
        help_text = f"{setting.help} (ini: {setting.ini}, environment: {setting.environment})".replace("%", "%%")
        if setting.flag:
            group.addoption(setting.option, dest=setting.ini, action="store_true", default=None, help=help_text)
        elif setting.option in ALONE:
            # The word after it is told apart in tell_apart.
            alone = ALONE[setting.option]
            group.addoption(
                setting.option, dest=setting.ini, nargs="?", const=alone, metavar=setting.metavar, help=help_text
            )
        else:
            group.addoption(
                setting.option,
                dest=setting.ini,
                action="append" if setting.many else "store",
                default=None,
                metavar=setting.metavar or setting.name.upper(),
                help=help_text,
            )
        kind: Literal["linelist", "string"] = "linelist" if setting.many else "string"
        parser.addini(setting.ini, setting.help, type=kind, default=None)
    parser.addini(PROFILES_INI, "profiles: lines of NAME: SETTING=VALUE SETTING=VALUE", type="linelist", default=None)


def tell_apart(arguments: list[str]) -> None:
    """Keep the words after an option whose value may be left out what they are: tests to run, and no value of it."""
    for place, word in enumerate(arguments):
        if word == "--":
            break
        if word in ALONE:
            arguments[place] = f"{word}={ALONE[word]}"


def refuse_moved_root(config: pytest.Config) -> None:
    """Stop the run where pytest took the value of an option of ours for a test, and read another ini file, or none.

    pytest looks for the ini file before it knows our options: then a path after a blank counts as a test.

    Raises
    ------
    pytest.UsageError
        The ini file or the root would be another one if the value stood after an equals sign.
    """
    start, given = config.invocation_params.dir, config.known_args_namespace
    if hasattr(config, "workerinput") or given.inifilename:
        return
    valued = {setting.option for setting in SETTINGS if not setting.flag and setting.option not in ALONE}
    words = [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *map(str, config.invocation_params.args)]
    for option, value in itertools.pairwise(itertools.chain.from_iterable(map(_words_of, words))):
        if option not in valued or not os.path.lexists(start / value):
            continue
        ini = _ini_file(start)
        outside = not (start / value).resolve().is_relative_to(start.resolve())
        # A root that is named stays, and still another ini file may have been read, or none.
        moved = config.inipath is not None or (outside and not given.rootdir and config.rootpath != start)
        if moved if ini is None else config.inipath != ini:
            raise pytest.UsageError(
                f"{option} {value}: pytest takes a path after a blank for a test, and looked for its ini file there: "
                f"the root is {config.rootpath} and the ini file {config.inipath or 'none'}, where it would be "
                f"{ini or 'none'}. Write {option}={value}."
            )


def _words_of(word: str) -> list[str]:
    """Return the words that pytest takes for one: the lines of a file, where it is ``@FILE``."""
    if not word.startswith("@"):
        return [word]
    try:
        return Path(word[1:]).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        # It is pytest's to say what is wrong with it.
        return [word]


def _ini_file(start: Path) -> Path | None:
    """Return the ini file that pytest reads when it is started in a folder."""
    folders = (start, *start.parents)
    for folder, (name, section) in itertools.product(folders, INI_FILES.items()):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if re.search(section, (folder / name).read_text(encoding="utf-8"), re.MULTILINE):
                return folder / name
    # Without any, the nearest project file marks the root.
    return next((path for path in (folder / "pyproject.toml" for folder in folders) if path.is_file()), None)


def resolve(config: pytest.Config) -> Settings:
    """Resolve every setting of a run.

    Raises
    ------
    pytest.UsageError
        A value that its setting must not have, or a report that cannot be written.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    profile = _profile(config)
    for setting in SETTINGS:
        try:
            raw, origin, name = _raw(config, setting, profile)
        except ValueError as error:
            text = os.environ.get(setting.environment)
            raise pytest.UsageError(
                f"{setting.environment} cannot be split into words as in a shell: {error}. Got {text!r}. "
                "Close the quotation, or write a backslash before the quote."
            ) from None
        origins[setting.name] = origin
        if any(has_secret(text) for text in (raw if isinstance(raw, list | tuple) else [raw]) if isinstance(text, str)):
            # Not shown: settings stand in the header, in reports and in messages.
            raise pytest.UsageError(
                f"{name} holds a user name, a password or a key in a URL, where reports and logs would show it. Take "
                "it out, and set it in the environment: PLURALISM_ENDPOINT_API_KEY for an endpoint, the variables of "
                "the storage (such as AWS_SECRET_ACCESS_KEY) for a baseline."
            )
        if origin == "default":
            values[setting.name] = setting.default
            continue
        try:
            if setting.many:
                values[setting.name] = tuple(dict.fromkeys(setting.read(part) for part in raw))
            else:
                values[setting.name] = raw if isinstance(raw, bool) else setting.read(raw)
        except ValueError as error:
            raise pytest.UsageError(f"{name} {error} Got {raw!r}.") from None
    _check(values)
    _check_mutants(values, config)
    _check_update("update-baseline", values["update_baseline"], config.invocation_params.dir)
    _check_update("move-anchor", values["move_anchor"], config.invocation_params.dir)
    if not config.getoption("collectonly") and not values["plan"]:
        _check_reports(values["report"])
    return Settings(values, origins)


def _profile(config: pytest.Config) -> Mapping[str, str]:
    """Return what the chosen profile sets, as texts by setting."""
    setting = next(one for one in SETTINGS if one.name == "profile")
    chosen = _raw(config, setting, {})[0]
    profiles = {name: dict(content) for name, content in PROFILES.items()}
    by_name = {one.name: one for one in SETTINGS if one.name not in {"profile", "model"}}
    for line in config.getini(PROFILES_INI) or ():
        name, _, rest = line.partition(":")
        name = name.strip()
        try:
            words = dict(word.split("=", 1) for word in shlex.split(rest))
        except ValueError:
            raise pytest.UsageError(
                f"{PROFILES_INI} must have lines such as 'release: inconclusive=fail seed=1'. Got {line!r}."
            ) from None
        for word in words:
            if word not in by_name:
                hint = did_you_mean(word, by_name, " Did you mean {}?")
                raise pytest.UsageError(
                    f"{PROFILES_INI}: the profile {name!r} sets {word!r}, which is no setting.{hint}"
                )
        profiles.setdefault(name, {}).update(words)
    if chosen is not None and chosen not in profiles:
        offered = [name for name, content in profiles.items() if not _is_laxer(content)]
        hint = did_you_mean(chosen, offered, " Did you mean {}?")
        raise pytest.UsageError(f"--pluralism-profile must be one of {', '.join(profiles)}.{hint} Got {chosen!r}.")
    return profiles[chosen] if chosen is not None else {}


def _is_laxer(profile: Mapping[str, str]) -> bool:
    """Return whether a profile lets more pass than the settings do without it."""
    return "suppress_health_check" in profile or any(profile.get(name) in values for name, values in LAXER.items())


def _raw(config: pytest.Config, setting: Setting, profile: Mapping[str, str]) -> tuple[Any, str, str]:
    given = config.getoption(setting.ini)
    if given is not None:
        return given, "command line", setting.option
    text = os.environ.get(setting.environment)
    if text:
        # Quotes hold a path with spaces together, as in a shell.
        return (shlex.split(text) if setting.many else text), "environment", setting.environment
    if setting.name in profile:
        # It is chosen for a run, the ini file holds for all of them.
        text = profile[setting.name]
        return (text.split(",") if setting.many else text), "profile", f"{setting.name} of the profile"
    ini = _of_ini(config, setting)
    if ini and setting.is_path and config.inipath is not None:
        folder = config.inipath.parent
        named = setting.name == "baseline"
        ini = [_beside(folder, one, named=named) for one in ini] if setting.many else _beside(folder, ini)
    if ini:
        return ini, "ini", setting.ini
    return None, "default", setting.option


def _of_ini(config: pytest.Config, setting: Setting) -> Any:
    """Return what the ini file says, as text: TOML has numbers and ``true``, and may give one text for a list."""
    try:
        found = config.getini(setting.ini)
    except (TypeError, pytest.UsageError):
        # Pytest takes the native types of TOML (version 9) as they are, and refuses those that it was not told of.
        found = getattr(config, "_inicfg")[setting.ini].value  # noqa: B009
        if setting.many and not isinstance(found, list):
            found = [found]
    if isinstance(found, list) and setting.many:
        return [_as_text(one) for one in found]
    return found if found is None else _as_text(found)


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _beside(folder: Path, text: str, *, named: bool = False) -> str:
    """Return a path of the ini file as seen from its folder; names of models and ``off`` are not paths."""
    text = text.strip()
    if named and (found := named_place(text)).is_reference:
        return text
    if named and found.name:
        return f"{found.name}={_beside(folder, found.place)}"
    if named or "?" not in text:
        return _path_beside(folder, text)
    from pytest_pluralism.models.specification import moved_spec

    return moved_spec(text, functools.partial(_path_beside, folder))


def _path_beside(folder: Path, text: str) -> str:
    scheme = re.match(r"(mixture|modular|responses|llamacpp):(?=.*[./])", text)
    if scheme:
        return scheme[0] + _path_beside(folder, text[scheme.end() :])
    # A scheme has two letters at least, so that C:\\models is a path.
    if not text or text in {"off", "."} or re.match(r"[A-Za-z][A-Za-z0-9_]+:", text):
        return text
    path = Path(text).expanduser()
    return text if path.is_absolute() else os.path.relpath(folder / path)


def refuse_misspelt(config: pytest.Config, settings: Settings, /, *, known_kinds: bool) -> None:
    """Stop the run where neither this package nor a hook of the project can know the name of a model."""
    chosen = [name for name in ("model", "reference_model", "entailment_model") if settings[name]]
    if not chosen:
        return
    from pytest_pluralism.core.errors import ModelError
    from pytest_pluralism.models import specification

    for name in chosen:
        entails = name == "entailment_model"
        parse = specification.parse_entailment_spec if entails else specification.parse_model_spec
        hook = (
            config.hook.pytest_pluralism_load_entailment_model if entails else config.hook.pytest_pluralism_load_model
        )
        value = settings[name]
        for spec in value if isinstance(value, tuple) else (value,):
            if len(hook.get_hookimpls()) > 1 or (known_kinds and spec.partition(":")[0] not in specification.KINDS):
                continue
            try:
                parse(spec)
            except ModelError as error:
                raise pytest.UsageError(f"--pluralism-{name.replace('_', '-')}: {error}") from None


def _check_mutants(values: Mapping[str, object], config: pytest.Config) -> None:
    """Refuse what a run with damaged answers cannot do besides."""
    if values["mutants"] is None or config.getoption("collectonly"):
        return
    if not values["model"]:
        raise pytest.UsageError(
            "--pluralism-mutants damages the answers of a model, and none is named. Add --pluralism-model=SPEC."
        )
    why = {
        "update_baseline": "stores nothing, since damaged answers are no baseline",
        "move_anchor": "stores nothing, since damaged answers are no baseline",
        "prune_baseline": "leaves every baseline as it is",
        "aa": "is a run of its own",
        "plan": "is a run of its own",
    }
    for name, words in why.items():
        if values[name]:
            option = f"--pluralism-{name.replace('_', '-')}"
            raise pytest.UsageError(f"--pluralism-mutants {words}. Leave {option} out.")
    if getattr(config.option, "numprocesses", None) or getattr(config.option, "tx", None):
        raise pytest.UsageError(
            "--pluralism-mutants judges all promises in one process, since no test runs. Leave -n out, or write -n 0."
        )


def _check(values: Mapping[str, Any]) -> None:
    for name, low in (("repetitions", 1), ("examples", 0), ("seed", 0)):
        if values[name] < low:
            raise pytest.UsageError(f"--pluralism-{name} must be at least {low}. Got {values[name]}.")
    names = [named_place(text).name for text in values["baseline"]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise pytest.UsageError(
            "--pluralism-baseline is there several times, so that each needs a name of its own, such as "
            f"--pluralism-baseline=last={values['baseline'][0]}. Got {', '.join(values['baseline'])}."
        )
    places = [named_place(text) for text in values["baseline"]]
    for text, place in zip(values["baseline"], places, strict=True):
        _check_baseline(text, place, values)
    if any(place.is_reference for place in places) and not values["reference_model"]:
        raise pytest.UsageError(
            f"--pluralism-baseline={REFERENCE} compares with the reference model, and there is none. Name it with "
            f"--pluralism-reference-model=SPEC (a folder of that name is written ./{REFERENCE})."
        )
    if places[0].is_reference and (values["update_baseline"] or values["move_anchor"] or values["prune_baseline"]):
        raise pytest.UsageError(
            f"--pluralism-baseline={REFERENCE} is the first baseline, and nothing can be stored in a model. Name a "
            "folder first, such as --pluralism-baseline=last=pluralism-baselines."
        )


def _check_baseline(text: str, place: NamedBaseline, values: Mapping[str, object]) -> None:
    """Refuse a place that can hold no baseline."""
    from pytest_pluralism.baselines.places import is_remote

    if not text.strip() or (not place.name and text.endswith("=")):
        raise pytest.UsageError(f"--pluralism-baseline must be a .json file, a folder or a URL. Got {text!r}.")
    if place.is_reference or is_remote(place.place):
        return
    if place.name == REFERENCE:
        raise pytest.UsageError(
            f"--pluralism-baseline={text} names a place {REFERENCE!r}, which is what the reference model of the run is "
            f"called. Write --pluralism-baseline={REFERENCE} for that model, or choose another name for {place.place}."
        )
    path = Path(place.place)
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise pytest.UsageError(f"--pluralism-baseline cannot be used: {why}. Got {text[:200]!r}.") from None
    if path.suffix != ".json" and path.is_file():
        raise pytest.UsageError(
            f"--pluralism-baseline={text}: {place.place} is a file that does not end with .json. Name a .json file, or "
            "a folder with one file a model."
        )
    is_mistyped = values["reference_model"] and not values["update_baseline"] and not path.exists()
    if is_mistyped and not place.name and nearest_names(text, [REFERENCE], most=1):
        raise pytest.UsageError(
            f"--pluralism-baseline={text}: there is no such file or folder. Did you mean {REFERENCE}, the reference "
            "model of this run?"
        )


def _check_update(option: str, value: str | None, start: Path) -> None:
    """Refuse an update of what is neither a way to update nor a test: it would store nothing, and say nothing."""
    from pytest_pluralism.baselines import UPDATES

    ways = UPDATES if option == "update-baseline" else ("all",)
    if value is None or value in ways:
        return
    path = start / value.partition("::")[0]
    try:
        if path.exists():
            return
        beside = sorted(one.name for one in path.parent.iterdir()) if path.parent.is_dir() else []
    except (OSError, ValueError):
        # Too long for a name, or with a character that none has.
        beside = []
    near = nearest_names(value if path.parent == start else path.name, [*ways, *beside])
    hint = f" Nearest: {', '.join(map(repr, near))}." if near else ""
    raise pytest.UsageError(
        f"--pluralism-{option} must be {', '.join(ways)} or a test (tests/test_x.py::test_y).{hint} Got "
        f"{value!r}, and there is no such file or folder."
    )


def _check_reports(paths: tuple[Path, ...]) -> None:
    for path in paths:
        why = check_writable(path)
        if why:
            raise pytest.UsageError(f"--pluralism-report cannot be written: {why}.")
