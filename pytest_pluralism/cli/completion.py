"""``pluralism completion``: the script that teaches a shell the command."""

from __future__ import annotations

import argparse
import sys

from pytest_pluralism.cli.showing import EXIT_CODES, EXIT_OK, Commands
from pytest_pluralism.core.errors import needed_for

__all__ = ["add_completion"]

SHELLS = ("bash", "zsh", "tcsh")


def add_completion(commands: Commands, parser: argparse.ArgumentParser) -> None:
    """Add ``pluralism completion``, which completes all of ``parser``."""
    completion = commands.add_parser(
        "completion",
        help="write a completion script for a shell",
        description='Write a completion script, for example: eval "$(pluralism completion bash)"',
        epilog=EXIT_CODES,
    )
    completion.add_argument("shell", choices=SHELLS, help="the shell")
    completion.set_defaults(run=show_completion, parser=parser)


def show_completion(arguments: argparse.Namespace) -> int:
    """Write the script."""
    with needed_for("Shell completion", 'pip install "pytest-pluralism[completion]"'):
        import shtab
    sys.stdout.write(shtab.complete(arguments.parser, shell=arguments.shell) + "\n")
    return EXIT_OK
