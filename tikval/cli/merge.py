"""tikval merge: the shards of a study as one."""

import sys
from typing import Annotated

import typer

from tikval.cli.app import app
from tikval.study.merge import merge_shards


@app.command()
def merge(out: Annotated[str, typer.Argument(help="The folder that was --out of every shard.")]) -> None:
    """Put the shards of a study together, once all have finished; then analyze without --shard ends in the report."""
    done = merge_shards(out, lambda line: print(line, file=sys.stderr, flush=True))
    copied = sum(stage.copied for stage in done)
    print(f"merged: {copied:,} rows into {len(done)} stages" if copied else "merged before: nothing is new")
    if retryable := sum(stage.retryable for stage in done):
        print(f"{retryable:,} retryable failures among them: the next analysis tries them again")
    print(
        "the command of the shards without --shard computes none of these rows again, and writes the report"
    )
