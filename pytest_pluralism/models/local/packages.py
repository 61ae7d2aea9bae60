"""Packages that local models need, and transformers kept quiet."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Iterator
from typing import Any

from pytest_pluralism.core.errors import MissingExtraError
from pytest_pluralism.models.embedded import EMBEDDED_COMMAND

__all__ = ["quiet_transformers", "require_packages"]


def require_packages(*names: str) -> None:
    """Import nothing, and say which command installs what is missing.

    Raises
    ------
    MissingExtraError
        If one of the packages is not installed.
    """
    for name in names:
        try:
            found = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            found = None
        if found is None:
            raise MissingExtraError("The local model backend", EMBEDDED_COMMAND)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the imports and the loading of models out of the test run's output and of its warnings.

    Torch and transformers warn of their own deprecations while they are imported and while they load a model. A suite
    that turns warnings into errors must not fail on those; warnings of the suite itself are not touched.
    Progress bars and log lines would be written into the middle of pytest's own output.
    """
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            import torch  # noqa: F401
            import transformers
        except ImportError as error:
            raise MissingExtraError("The local model backend", EMBEDDED_COMMAND) from error
        # Without the types of transformers, which lack some of these functions.
        logging: Any = transformers.utils.logging
        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()
