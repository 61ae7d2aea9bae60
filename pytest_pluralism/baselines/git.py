"""The one way in which the package asks git: quietly, for a limited time, and without running a project's programs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from pytest_pluralism.core.errors import BaselineError

__all__ = ["git_output"]

#: Git asks for no password, opens no pager and takes no lock, whatever its configuration says.
_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


def git_output(folder: Path, *arguments: str, seconds: float | None = None) -> str:
    """Return the output of a git command that runs in a folder.

    Parameters
    ----------
    folder : Path
        The folder in which git runs.
    *arguments : str
        The command and its arguments.
    seconds : float, optional
        Time limit; by default none.

    Returns
    -------
    str
        The standard output; bytes that are not UTF-8 are replaced.

    Raises
    ------
    BaselineError
        If git is not installed, takes too long, or fails.
    """
    command = ["git", "--no-pager", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=seconds, env={**os.environ, **_QUIET})
    except OSError as error:
        raise BaselineError(
            f"git cannot be run: {error.strerror}. Install git, and see that it is on the PATH."
        ) from None
    except subprocess.TimeoutExpired:
        raise BaselineError(f"git does not answer within {seconds} s in {folder.as_posix()}.") from None
    if done.returncode != 0:
        why = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise BaselineError(
            f"git says of {folder.as_posix()}: {why[-1] if why else done.returncode}. "
            "The history of a baseline is that of a file in a git repository."
        )
    return done.stdout.decode("utf-8", "replace")
