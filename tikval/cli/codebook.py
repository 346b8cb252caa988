"""Codebooks of one's own: a template to start from, what is wrong with a file, and how coders read it."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tikval.cli.app import CODEBOOK, app
from tikval.cli.guard import USAGE
from tikval.codebook import Codebook, load_codebook, render_page
from tikval.config import UserError, find_file
from tikval.terminal import Terminal

codebooks = typer.Typer(help="Codebooks of your own: template, check, show.", no_args_is_help=True)
app.add_typer(codebooks, name="codebook")


@codebooks.command()
def check(file: Annotated[str, typer.Argument(help="A codebook in YAML.")]) -> None:
    """Everything that is wrong with a codebook, with the line and what to do; exit code 2 where there is a fault."""
    from tikval.study.codebook_check import check_codebook, summary_of_codebook

    checked = check_codebook(file)
    for fault in checked.faults:
        line = f"{fault.line}:" if fault.line else ""
        print(f"{file}:{line} {'advice: ' if fault.is_advice else ''}{fault.where}: {fault.message}")
    if checked.codebook:
        print(summary_of_codebook(checked.codebook))
    n = sum(not fault.is_advice for fault in checked.faults)
    print(f"{file}: {n} fault{'s' * (n != 1)}" if n else f"{file}: no fault")
    raise typer.Exit(0 if checked.is_good else USAGE)


@codebooks.command()
def show(
    file: Annotated[str, typer.Argument(help="A codebook in YAML.")] = CODEBOOK,
    markdown: Annotated[bool, typer.Option("--markdown", help="A whole page, for coders to read.")] = False,
) -> None:
    """A codebook as people read it: a table, or a page with every example."""
    try:
        codebook = load_codebook(find_file(file))
    except ValueError as err:
        raise UserError(f"{err}; tikval codebook check names every fault with its line") from err
    if markdown:
        print(render_page(codebook), end="")
        return
    Terminal(width=None if sys.stdout.isatty() else 140).print(_table(codebook))
    print(
        f"{codebook.name}, version {codebook.version}; with every example: tikval codebook show {file} --markdown"
    )


def _table(codebook: Codebook) -> Table:
    table = Table(
        "value", "definition", "endorsed, such as", "confronted, such as", "examples", show_lines=True
    )
    for value in codebook.values:
        examples = f"{len(value.endorsing)} + {len(value.confronting)}"
        name = f"{value.title}\n{value.slug}"
        table.add_row(name, value.definition, value.endorsing[0], value.confronting[0], examples)
    return table


@codebooks.command()
def template(
    to: Annotated[Path | None, typer.Option(help="A file to write; never one that is there.")] = None,
) -> None:
    """A small codebook with a remark on every line, to be changed into your own."""
    from tikval.study.codebook_check import template_text, write_template

    if to is None:
        print(template_text(), end="")
        return
    write_template(to)
    print(f"{to}: change it, then: tikval codebook check {to}")
