"""`tikval attrition`: how many of the listed posts get how far, and why the others do not."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from tikval.cli.app import app
from tikval.cli.results import Picked, picked_study
from tikval.terminal import Terminal


@app.command()
def attrition(
    out: Annotated[str, typer.Argument(help="The folder of an analysis.")],
    by: Annotated[
        Literal["genre", "account", "minor"] | None, typer.Option(help="Also by these, each as a line.")
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="Whose results count as judged; else the first by name.")
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="Accounts by their names; else by their numbers.")
    ] = False,
    file: Annotated[
        Path | None, typer.Option("--out", help="Also as a CSV file: all groups, or those of --by.")
    ] = None,
    codebook: Picked = None,
) -> None:
    """How many posts are listed, reachable, downloaded, readable, judged and annotated, and why others are not."""
    from tikval.evaluate.attrition import attrition_of
    from tikval.report.tables.attrition import numbered_accounts, show_attrition, write_attrition_csv

    found = attrition_of(picked_study(out, codebook), system)
    name_of = str if names else numbered_accounts(found)
    show_attrition(found, by, name_of, Terminal(width=None if sys.stdout.isatty() else 180))
    if file:
        write_attrition_csv(found, file, name_of, by)
        print(f"attrition of {found.total.reached[0]} posts: {file}")
