"""One table of settings, resolved once: command line > environment > profile > ini file > default; with its origin."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.core.errors import nearest_names
from pytest_pluralism.files import check_writable
from pytest_pluralism.health import HEALTH_CHECKS
from pytest_pluralism.report.forms import ENDINGS, missing_extra
from pytest_pluralism.run_baselines import REFERENCE, named_place

__all__ = ["SETTINGS", "Setting", "Settings", "add_options", "resolve", "tell_apart"]

#: Options whose value may be left out, and what they mean then. What follows them is a test, never a value.
ALONE = {"--pluralism-update-baseline": "all", "--pluralism-aa": "10"}

#: What the profiles set that every project has; ``pluralism_profiles`` in the ini file changes them and adds others.
PROFILES: Mapping[str, Mapping[str, str]] = {
    "pr": {"inconclusive": "warn", "health": "warn"},
    "release": {"inconclusive": "fail", "health": "fail"},
}

PROFILES_INI = "pluralism_profiles"

PROTOCOLS = ("sound", "sorensen2024", "modular_pluralism")


@dataclass(frozen=True)
class Setting:
    """One setting, under its three names: ``--pluralism-seed``, ``PLURALISM_SEED``, ini ``pluralism_seed``."""

    name: str
    default: Any
    help: str
    read: Callable[[str], Any] = str
    many: bool = False
    flag: bool = False
    metavar: str | None = None
    is_path: bool = False

    @property
    def option(self) -> str:
        """The name on the command line."""
        return "--pluralism-" + self.name.replace("_", "-")

    @property
    def ini(self) -> str:
        """The name in the ini file."""
        return "pluralism_" + self.name

    @property
    def environment(self) -> str:
        """The name in the environment."""
        return "PLURALISM_" + self.name.upper()


def _choice(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text in choices:
            return text
        near = nearest_names(text, choices, most=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(f"must be one of {', '.join(choices)}.{hint}")

    return read


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("must be a whole number.") from None


def _batch_size(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError("must be 'auto' or a whole number of at least 1.")
    return number


def _flag(text: str) -> bool:
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"", "0", "false", "no", "off"}:
        return False
    raise ValueError("must be true or false.")


def _seeds(text: str) -> int:
    number = _integer(text)
    if number < 2:
        raise ValueError("must be a whole number of at least 2.")
    return number


def _update(text: str) -> str | None:
    if text.lower() in {"1", "true", "yes", "on", "all"}:
        return "all"
    return None if text.lower() in {"", "0", "false", "no", "off"} else text


def _report_path(text: str) -> Path:
    path = Path(text)
    if path.suffix not in ENDINGS:
        raise ValueError(f"must end with {' or '.join(ENDINGS)}, because the ending chooses the format.")
    return path


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "model",
        (),
        "the language model to test: embedded:NAME, hf:ORG/NAME[@REVISION], a folder or a .gguf file; "
        "given several times, the tests run once a model",
        many=True,
        metavar="SPEC",
        is_path=True,
    ),
    Setting(
        "reference_model",
        None,
        "the model behind the fixture reference_language_model",
        metavar="SPEC",
        is_path=True,
    ),
    Setting(
        "entailment_model",
        None,
        "the model that judges whether one text says what another says",
        metavar="SPEC",
        is_path=True,
    ),
    Setting(
        "value_model",
        None,
        "the model that says what a response is worth to a value: Kaleido, or a reward model",
        metavar="SPEC",
        is_path=True,
    ),
    Setting("device", "auto", "where models run: auto (cuda when there is one), cpu, cuda, cuda:1, sharded, mps"),
    Setting(
        "dtype",
        "auto",
        "the number format of the network: auto (float32 on a CPU), float32, bfloat16, float16",
        read=_choice("auto", "float32", "bfloat16", "float16"),
    ),
    Setting(
        "batch_size", "auto", "prompts in one forward pass: a whole number, or auto", _batch_size, metavar="N|auto"
    ),
    Setting(
        "answers",
        None,
        "a folder in which answers are kept, so that nothing is asked twice, or off; by default in the user cache",
        metavar="DIR|off",
        is_path=True,
    ),
    Setting(
        "baseline",
        ("pluralism-baselines",),
        "a .json file or a folder with stored past results to compare with, here or at a URL, or reference for the "
        "reference model of the same run; given several times, as NAME=PATH, every promise about a change must hold "
        "against each, and updates are written to the first",
        many=True,
        metavar="[NAME=]PATH",
        is_path=True,
    ),
    Setting(
        "baseline_model",
        (),
        "compare with the results stored for the model of this name instead of the tested model's own; "
        "BASELINE=NAME for one of several baselines",
        many=True,
        metavar="NAME",
    ),
    Setting(
        "plan",
        False,
        "show what the run would compute (prompts, tokens, time, memory), and compute nothing",
        _flag,
        flag=True,
    ),
    Setting(
        "update_baseline",
        None,
        "store the results of the tests that run as the baseline; =new only those that are not there yet, =better only "
        "those that are missing or improved, =NODEID only those of one test",
        _update,
        metavar="new|better|NODEID",
    ),
    Setting(
        "prune_baseline",
        False,
        "remove from the baseline what no test uses any more, after a run that collected all tests",
        _flag,
        flag=True,
    ),
    Setting("profile", None, "a set of settings by name: pr, release, or one of pluralism_profiles"),
    Setting(
        "health",
        "warn",
        "what a health check that is not passed does to a promise that is kept: warn, or fail (then it is undecided)",
        _choice("warn", "fail"),
    ),
    Setting(
        "suppress_health_check",
        (),
        "accept what this health check finds: " + ", ".join(HEALTH_CHECKS),
        _choice(*HEALTH_CHECKS),
        many=True,
        metavar="NAME",
    ),
    Setting(
        "aa",
        None,
        "compare the suite with itself under this many fresh seeds (10 where no number is given), and report how often "
        "it raises a false alarm; the tests themselves do not run",
        _seeds,
        metavar="N",
    ),
    Setting(
        "multiplicity",
        "holm",
        "how failures are adjusted for the number of promises about one model: holm or none",
        _choice("holm", "none"),
    ),
    Setting(
        "report",
        (),
        "write a report of all verdicts; the ending chooses the format",
        _report_path,
        many=True,
        metavar="PATH",
        is_path=True,
    ),
    Setting(
        "inconclusive",
        "fail",
        "what an undecided promise does to its test: fail, warn or skip",
        _choice("fail", "warn", "skip"),
    ),
    Setting(
        "ci",
        "auto",
        "what a code host is told: auto (annotations and a summary on GitHub Actions, a code quality file on GitLab, "
        "known by their environment) or off",
        _choice("auto", "off"),
    ),
    Setting("seed", 0, "seeds every random draw", _integer, metavar="N"),
    Setting("protocol", "sound", "how questions are asked and read: " + ", ".join(PROTOCOLS), _choice(*PROTOCOLS)),
    Setting(
        "template", "auto", "chat template: auto (when the model has one), chat, raw", _choice("auto", "chat", "raw")
    ),
    Setting("repetitions", 5, "how often each question is asked, with fresh random examples", _integer, metavar="N"),
    Setting("examples", 3, "in-context examples before each question; 0 asks without any", _integer, metavar="N"),
    Setting(
        "option_order", "cyclic", "order of the options over the repetitions: cyclic or none", _choice("cyclic", "none")
    ),
    Setting(
        "scoring",
        "letters",
        "what is read: the letters of listed options, or whole answers by sum, per_byte or pmi",
        _choice("letters", "sum", "per_byte", "pmi"),
    ),
    Setting(
        "refusals",
        "keep",
        '"don\'t know" and refused answers: keep, drop or separate',
        _choice("keep", "drop", "separate"),
    ),
    Setting(
        "trust_remote_code",
        (),
        "run code that comes with this model (a SPEC)",
        many=True,
        metavar="SPEC",
        is_path=True,
    ),
    Setting(
        "allow_pickled_weights",
        (),
        "load pickled weights of this model (a SPEC)",
        many=True,
        metavar="SPEC",
        is_path=True,
    ),
)


@dataclass(frozen=True)
class Settings:
    """All settings of a run, resolved, and where each one comes from."""

    values: Mapping[str, Any]
    origins: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def as_words(self) -> dict[str, str]:
        """Return the settings that somebody chose, by name, as they are shown to people."""
        return {
            name: ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            for name, value in self.values.items()
            if self.origins[name] != "default"
        }

    def as_json(self) -> dict[str, Any]:
        """Return value and origin of each setting as plain JSON values."""
        return {
            name: {"value": _plain(value), "origin": self.origins[name]} for name, value in sorted(self.values.items())
        }


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value


def add_options(parser: pytest.Parser) -> None:
    """Declare every setting on the command line and in the ini file."""
    group = parser.getgroup("pluralism", "pluralism regression tests of language models")
    for setting in SETTINGS:
        help_text = f"{setting.help} (ini: {setting.ini}, environment: {setting.environment})".replace("%", "%%")
        if setting.flag:
            group.addoption(setting.option, dest=setting.ini, action="store_true", default=None, help=help_text)
        elif setting.option in ALONE:
            # What follows it is told apart in tell_apart.
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
        parser.addini(setting.ini, setting.help, type="linelist" if setting.many else "string", default=None)
    parser.addini(PROFILES_INI, "profiles: lines of NAME: SETTING=VALUE SETTING=VALUE", type="linelist", default=None)


def tell_apart(arguments: list[str]) -> None:
    """Keep the words after an option whose value may be left out what they are: tests to run, and no value of it."""
    for place, word in enumerate(arguments):
        if word == "--":
            break
        if word in ALONE:
            arguments[place] = f"{word}={ALONE[word]}"


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
                near = nearest_names(word, by_name, most=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise pytest.UsageError(
                    f"{PROFILES_INI}: the profile {name!r} sets {word!r}, which is no setting.{hint}"
                )
        profiles.setdefault(name, {}).update(words)
    if chosen is not None and chosen not in profiles:
        near = nearest_names(chosen, profiles, most=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise pytest.UsageError(f"--pluralism-profile must be one of {', '.join(profiles)}.{hint} Got {chosen!r}.")
    return profiles[chosen] if chosen is not None else {}


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
    ini = config.getini(setting.ini)
    if ini and setting.is_path and config.inipath is not None:
        folder = config.inipath.parent
        named = setting.name == "baseline"
        ini = [_beside(folder, one, named=named) for one in ini] if setting.many else _beside(folder, ini)
    if ini:
        return ini, "ini", setting.ini
    return None, "default", setting.option


def _beside(folder: Path, text: str, *, named: bool = False) -> str:
    """Return a path of the ini file as seen from its folder; names of models and ``off`` are no paths."""
    text = text.strip()
    if named and (found := named_place(text)).is_reference:
        return text
    if named and found.name:
        return f"{found.name}={_beside(folder, found.place)}"
    # A scheme has two letters at least, so that C:\\models is a path.
    if not text or text in {"off", "."} or re.match(r"[A-Za-z][A-Za-z0-9_]+:", text):
        return text
    path = Path(text).expanduser()
    return text if path.is_absolute() else os.path.relpath(folder / path)


def _check(values: Mapping[str, Any]) -> None:
    for name, low in (("repetitions", 1), ("examples", 0), ("seed", 0)):
        if values[name] < low:
            raise pytest.UsageError(f"--pluralism-{name} must be at least {low}. Got {values[name]}.")
    names = [named_place(text).name for text in values["baseline"]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise pytest.UsageError(
            "--pluralism-baseline is there several times, so that each needs a name of its own, such as "
            f"--pluralism-baseline last={values['baseline'][0]}. Got {', '.join(values['baseline'])}."
        )
    places = [named_place(text) for text in values["baseline"]]
    if any(place.is_reference for place in places) and not values["reference_model"]:
        raise pytest.UsageError(
            f"--pluralism-baseline={REFERENCE} compares with the reference model, and there is none. Name it with "
            f"--pluralism-reference-model SPEC (a folder of that name is written ./{REFERENCE})."
        )
    if places[0].is_reference and (values["update_baseline"] or values["prune_baseline"]):
        raise pytest.UsageError(
            f"--pluralism-baseline={REFERENCE} is the first baseline, and nothing can be stored in a model. Name a "
            "folder first, such as --pluralism-baseline last=pluralism-baselines."
        )


def _check_reports(paths: tuple[Path, ...]) -> None:
    for path in paths:
        why = check_writable(path)
        if why:
            raise pytest.UsageError(f"--pluralism-report cannot be written: {why}.")
        missing = missing_extra(path)
        if missing:
            raise pytest.UsageError(f"--pluralism-report={path}: {missing}")
