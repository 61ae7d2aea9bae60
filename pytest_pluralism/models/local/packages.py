"""Keep transformers quiet."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from types import ModuleType

from pytest_pluralism.models.backends import require_packages

__all__ = ["quiet_transformers"]


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the imports and the loading of models out of the test run's output and of its warnings.

    Torch and transformers warn of their own deprecations while they are imported and while they load a model. A suite
    that turns warnings into errors must not fail on those; warnings of the suite itself are not touched.
    Progress bars and log lines would be written into the middle of pytest's own output.
    """
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        require_packages("torch", "transformers")
        import torch  # noqa: F401
        import transformers

        # Without the types of transformers, which lack some of these functions.
        logging: ModuleType = transformers.utils.logging
        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()
