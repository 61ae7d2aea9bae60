"""The table of settings: their names, their defaults, and how a text becomes a value. No pytest here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_pluralism.baselines import DEFAULT_PLACE
from pytest_pluralism.core.errors import did_you_mean
from pytest_pluralism.core.health import HEALTH_CHECKS
from pytest_pluralism.report.forms import ENDINGS

__all__ = ["LAXER", "SETTINGS", "Setting", "Settings"]

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


#: The values of settings that let more pass than the default does; no message suggests them.
LAXER: Mapping[str, Collection[str]] = {"inconclusive": ("warn", "skip"), "health": ("warn",)}


def _choice(*choices: str, laxer: Collection[str] = ()) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text in choices:
            return text
        hint = did_you_mean(text, [choice for choice in choices if choice not in laxer], " Did you mean {}?")
        raise ValueError(f"must be one of {', '.join(choices)}.{hint}")

    return read


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("must be a whole number.") from None


def _count_or(*words: str, must: str) -> Callable[[str], int | str]:
    def read(text: str) -> int | str:
        if text in words:
            return text
        try:
            number = int(text)
        except ValueError:
            number = 0
        if number < 1:
            raise ValueError(f"must be {must} or a whole number of at least 1.")
        return number

    return read


def _seconds(text: str) -> float | None:
    if text.lower() in {"0", "off"}:
        return None
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.0 < number < threading.TIMEOUT_MAX:
        raise ValueError("must be a number of seconds above 0, or off.")
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


def _shard(text: str) -> tuple[int, int]:
    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise ValueError("must be I/N, the number of a shard from 1 and how many there are, such as 1/3.")
    return int(number), int(of)


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
        "the language model to test: embedded:NAME, hf:ORG/NAME[@REVISION], a folder, an adapter "
        "(ADAPTER?base=SPEC&scale=0.5) or a .gguf file; "
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
    Setting(
        "value_mode",
        "auto",
        "how Kaleido reads: sound (with an attention mask, the value never cut off), compat (one text at a time, as "
        "published), or auto (compat under a published protocol)",
        read=_choice("auto", "sound", "compat"),
    ),
    Setting("device", "auto", "where models run: auto (cuda when there is one), cpu, cuda, cuda:1, sharded, mps"),
    Setting(
        "dtype",
        "auto",
        "the number format of the network: auto (float32 on a CPU), float32, bfloat16, float16",
        read=_choice("auto", "float32", "bfloat16", "float16"),
    ),
    Setting(
        "batch_size",
        "auto",
        "prompts in one forward pass: a whole number, or auto",
        _count_or("auto", must="'auto'"),
        metavar="N|auto",
    ),
    Setting(
        "batch_timeout",
        None,
        "seconds that a model may take from one batch of results to the next before the run stops waiting for it; by "
        "default it waits forever",
        _seconds,
        metavar="SECONDS",
    ),
    Setting(
        "adapters",
        "merged",
        "how the adapter of a model under test is computed: merged into the weights of its base, or apart, beside them",
        _choice("merged", "apart"),
    ),
    Setting(
        "gguf",
        "auto",
        "what runs a GGUF file under test, an embedded model too: transformers (dequantised to float32), llamacpp (in "
        "llama.cpp, quantised), or auto (transformers, but llamacpp where it alone is installed)",
        _choice("auto", "llamacpp", "transformers"),
    ),
    Setting(
        "compile",
        False,
        "put the layers of the models under test through torch.compile when they are first used",
        _flag,
        flag=True,
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
        (DEFAULT_PLACE,),
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
        "show_prompt",
        False,
        "print the first prompt of each promise as the model reads it",
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
        "move_anchor",
        None,
        "store the results of all tests (all), or of one (NODEID), and make them the anchors of the baseline, which "
        "drift is judged against",
        _update,
        metavar="all|NODEID",
    ),
    Setting("anchor_reason", None, "why anchors are moved, kept in the baseline", metavar="TEXT"),
    Setting(
        "looks",
        "counted",
        "how many looks at one baseline share one error rate: counted (as the baseline counts its updates), a planned "
        "number, or each (every look by itself)",
        _count_or("counted", "each", must="counted, each"),
        metavar="counted|N|each",
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
        "fail",
        "what a health check that is not passed does to a promise that is kept: warn, or fail (then it is undecided)",
        _choice("warn", "fail", laxer=LAXER["health"]),
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
        "mutants",
        None,
        "put the promises to damaged answers (sharpened, collapsed, refusals, ...) instead of running the tests, and "
        "report what each of them catches; =strict fails where a promise catches nothing",
        _choice("report", "strict"),
        metavar="strict",
    ),
    Setting(
        "shard",
        None,
        "compute a part of the promises, and judge nothing: the I-th of N parts, from 1; `pluralism merge` judges all "
        "parts together",
        _shard,
        metavar="I/N",
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
        _choice("fail", "warn", "skip", laxer=LAXER["inconclusive"]),
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

    def as_json(self) -> dict[str, object]:
        """Return value and origin of each setting as plain JSON values."""
        return {
            name: {"value": _plain(value), "origin": self.origins[name]} for name, value in sorted(self.values.items())
        }


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value
