"""The application that the commands are registered with, and what every one of them has in common."""

import ast
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final

import typer

from tikval import __version__
from tikval.cli.guard import guard
from tikval.terminal import escape_output

app = typer.Typer(
    help="Which of Schwartz's 19 human values a short video endorses or confronts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


CODEBOOK: Final = "prompts/codebook.yaml"

# Modules of this package by the command that needs them, in the order of the help; the first has its docstring. A
# command loads its own alone: all of them together take a second to import, most of it for what the others need.
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
    named = [word for word in sys.argv[1:] if word != "--"][:1]  # tikval -- status OUT is tikval status OUT
    if MODULES.keys() & named:
        load_commands(named)
    else:
        list_commands()
    sys.exit(guard(lambda: app() or 0))


def load_commands(commands: Iterable[str]) -> None:
    """Register these commands."""
    for command in commands:
        for module in MODULES[command]:
            import_module(f"tikval.cli.{module}")


def list_commands() -> None:
    """Register every command with its help alone, read from its module without importing it: nothing can be run."""
    for command, modules in MODULES.items():
        app.command(command, help=_help_in(modules[0], command))(lambda: None)


def _help_in(module: str, command: str) -> str:
    """The docstring of a command's function, or the `help` of a group of commands."""
    groups = dict[str, str]()  # by the variable
    for node in ast.parse((Path(__file__).parent / f"{module}.py").read_text("utf-8")).body:
        match node:
            case ast.FunctionDef(name=name, decorator_list=decorators):
                for each in decorators:
                    match each:
                        case ast.Call(func=ast.Attribute(value=ast.Name("app"), attr="command"), args=args):
                            named = args[0].value if args and isinstance(args[0], ast.Constant) else name
                            if named == command:
                                return ast.get_docstring(node) or ""
            case ast.Assign(targets=[ast.Name(variable)], value=ast.Call(keywords=keywords)):
                for given in keywords:
                    if given.arg == "help" and isinstance(given.value, ast.Constant):
                        groups[variable] = str(given.value.value)
            case ast.Expr(
                ast.Call(func=ast.Attribute(attr="add_typer"), args=[ast.Name(variable)], keywords=[name])
            ):
                if isinstance(name.value, ast.Constant) and name.value.value == command:
                    return groups[variable]
    raise LookupError(f"{module}.py: no command {command}")
