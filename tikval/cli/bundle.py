"""`tikval bundle` and `tikval verify`: a study for a reviewer or a regulator, and the check of one."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tikval.cli.app import app
from tikval.cli.guard import FAILED
from tikval.cli.results import Picked, picked_study
from tikval.config import UserError
from tikval.machine import ScratchFolder
from tikval.stats.limits import counted

_MOST_LINES = 50  # of what differs


@app.command()
def bundle(
    out: Annotated[str, typer.Argument(help="The folder of an analysis.")],
    file: Annotated[str, typer.Argument(metavar="FILE.zip", help="What to write.")],
    names: Annotated[
        bool,
        typer.Option("--names", help="Accounts, annotators and ids by their names; else by numbers."),
    ] = False,
    content: Annotated[
        bool,
        typer.Option("--content", help="Also scripts, captions and quotes; those of minors never."),
    ] = False,
    codebook: Picked = None,
) -> None:
    """Pack recipes, prompts, samples, predictions, labels, scores, rates, claims and failures for a reviewer."""
    from tikval.study.bundle import write_bundle

    study = picked_study(out, codebook)

    def say(name: str) -> None:
        print(f"packed {name}", file=sys.stderr)

    digest, size, notes = write_bundle(study, file, names=names, content=content, say=say)
    for note in notes:
        print(f"tikval: note: {note}", file=sys.stderr)
    if names:
        print("holds the names of accounts and annotators: give it only to who may have them")
    if content:
        print("holds what was said and shown in the videos, but for minors: give it only to who may have it")
    print(f"SHA-256 {digest}; publish it, so that others can tell that theirs is this one")
    print(f"{size / 2**20:,.1f} MB: {file}; tikval verify {file} checks it")


@app.command()
def verify(file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="A bundle.")]) -> None:
    """Recompute every number in a bundle from its own rows, and say what differs."""
    from tikval.study.verify import verify_bundle

    if not file.is_file():
        raise UserError(f"{file}: no such file")
    with ScratchFolder() as scratch:
        found = verify_bundle(
            str(file), Path(scratch.path), lambda step: print(f"checking {step}", file=sys.stderr)
        )
    for line in found.differs[:_MOST_LINES]:
        print(line)
    if len(found.differs) > _MOST_LINES:
        print(f"... and {counted(len(found.differs) - _MOST_LINES, 'difference')} more")
    for line in found.not_recomputed:
        print(f"not recomputed: {line}")
    if found.differs:
        print(f"{counted(len(found.differs), 'difference')}: {file} is not what it states")
        raise typer.Exit(FAILED)
    print(f"{counted(found.numbers, 'number')} recomputed, all as stated: {file}")
