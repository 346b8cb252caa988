"""`tikval annotate ...`: human coding, from the list of videos to the agreed table."""

import typer

from tikval.cli.app import app

annotate = typer.Typer(
    help="Human coding: sheets for coders, the third who decides, which videos next, corrections.",
    no_args_is_help=True,
)
app.add_typer(annotate, name="annotate")
