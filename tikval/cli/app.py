"""The application that the commands are registered with, and what every one of them has in common."""

import sys
from typing import Final

import typer

from tikval.cli.job import guard
from tikval.terminal import escape_output

app = typer.Typer(
    help="Which of Schwartz's 19 human values a short video endorses or confronts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


CODEBOOK: Final = "prompts/codebook.yaml"


def main() -> None:
    """The console script: a mistake of the user is one line and exit code 2, never a traceback."""
    escape_output()
    sys.exit(guard(lambda: app() or 0))
