"""The application that the commands are registered with, and what every one of them has in common."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Final

import typer

from tikval import __version__
from tikval.terminal import escape_output

app = typer.Typer(
    help="Which of Schwartz's 19 human values a short video endorses or confronts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


CODEBOOK: Final = "prompts/codebook.yaml"

# Modules of this package by the command that needs them, in the order of the help. A command loads its own alone:
# all of them together take a second to import, most of it for what the others need.
MODULES: Final = {
    "accounts": ("accounts",),
    "analyze": ("analyze",),
    "demo": ("demo",),
    "run": ("analyze",),
    "job": ("analyze",),
    "annotate": (
        "annotate",
        "annotate_accounts",
        "annotate_fix",
        "annotate_merge",
        "annotate_next",
        "annotate_project",
        "annotate_sheet",
    ),
    "attrition": ("attrition",),
    "bundle": ("bundle",),
    "verify": ("bundle",),
    "check": ("check",),
    "claim": ("claim",),
    "codebook": ("codebook",),
    "collect": ("collect",),
    "estimate": ("estimate",),
    "explain": ("explain",),
    "failures": ("look",),
    "status": ("look",),
    "doctor": ("look",),
    "merge": ("merge",),
    "plan": ("plan",),
    "posts": ("posts",),
    "prompt": ("prompt",),
    "recheck": ("recheck",),
    "export": ("results",),
    "agreement": ("results",),
    "consolidate": ("results",),
    "prevalence": ("results",),
    "tables": ("results",),
    "compare": ("results",),
    "figures": ("results",),
    "export-model": ("results",),
    "erase": ("results",),
    "sample": ("sample",),
    "tune": ("tune",),
}


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"tikval {__version__}")
        raise typer.Exit


@app.callback()
def _before_every_command(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="The version, and nothing else."
        ),
    ] = False,
) -> None:
    """The options of `tikval` itself."""


def main() -> None:
    """The console script: a mistake of the user is one line and exit code 2, never a traceback."""
    escape_output()
    load_commands(sys.argv[1:])
    from tikval.cli.job import guard  # deferred: it has every job's configuration

    sys.exit(guard(lambda: app() or 0))


def load_commands(words: Sequence[str]) -> None:
    """Register the command that the words of a command line begin with; all of them where they name none."""
    if words[:1] == ["--version"]:
        return
    for command in words[:1] if words and words[0] in MODULES else MODULES:
        for module in MODULES[command]:
            import_module(f"tikval.cli.{module}")
