"""Posts and their files from a platform, politely and on the record."""

import sys
from typing import Annotated

import typer

from tikval.cli.app import app
from tikval.cli.guard import FAILED, USAGE
from tikval.config import UserError

_TARGETS = "Accounts (@name), ids, addresses (short ones too), or tables that list them."


@app.command()
def collect(
    targets: Annotated[list[str], typer.Argument(help=_TARGETS)],
    out: Annotated[str, typer.Option(help="Folder for the media, their metadata and the record.")],
    per_account: Annotated[
        int, typer.Option(min=1, help="Posts of each account: all pinned, then the newest.")
    ] = 10,
    yes: Annotated[
        bool, typer.Option("--yes", help="Fetch. Without it nothing is asked of anybody.")
    ] = False,
    sleep: Annotated[str, typer.Option(help="Seconds between two posts or accounts, at random.")] = "3-8",
    rate: Annotated[float, typer.Option(min=0.01, help="MB per second.")] = 4.0,
    most_mb: Annotated[
        float, typer.Option(min=0.001, help="Of one post; larger ones are too_large.")
    ] = 100.0,
    most_seconds: Annotated[float, typer.Option(min=1, help="Length of one video; longer ones too.")] = 900.0,
    most_posts: Annotated[
        int, typer.Option(min=1, help="Asked for in this run; the next one goes on.")
    ] = 1000,
    refusals: Annotated[
        int, typer.Option(min=1, help="So many refusals or failures in a row end the run.")
    ] = 8,
    again: Annotated[
        bool, typer.Option("--again", help="List accounts anew, and ask again for posts that were not there.")
    ] = False,
    collector: Annotated[
        str | None, typer.Option(help="Another collector than yt-dlp, as module:function.")
    ] = None,
) -> None:
    """Fetch posts of accounts, or posts by id, with their metadata; the same command goes on where it stopped."""
    from tikval.collect.collect import RefusedError, collect_posts, work_left
    from tikval.collect.collector import DEFAULT, Politeness, load_collector
    from tikval.collect.record import Collection, open_collection
    from tikval.collect.summary import describe_plan, describe_result
    from tikval.collect.targets import read_targets

    limits = Politeness(
        per_account, _range(sleep), rate * 1e6, int(most_mb * 1e6), most_seconds, most_posts, refusals
    )
    wanted = read_targets(targets)
    fetch = load_collector(collector or DEFAULT)
    if not wanted:
        raise UserError(f"{' '.join(targets)}: no account, id or address in it")
    known = Collection.read(out)
    print(describe_plan(wanted, work_left(wanted, known, limits, again), limits, collector or "yt-dlp"))
    if not yes:
        print("tikval: nothing was fetched; --yes fetches it", file=sys.stderr)
        raise typer.Exit(USAGE)
    refused = None
    with open_collection(out) as collection:
        try:
            collect_posts(wanted, collection, fetch, limits, again)
        except RefusedError as err:
            refused = err
        for line in describe_result(wanted, collection, work_left(wanted, collection, limits)):
            print(line)
    print(f"{out}: tikval analyze {out} --out STUDY")
    if refused:
        print(f"tikval: stopped: {refused}", file=sys.stderr)
        raise typer.Exit(FAILED)


def _range(text: str) -> tuple[float, float]:
    """`3-8` or `5`, in seconds."""
    low, dash, high = text.partition("-")
    try:
        pair = (float(low), float(high if dash else low))
    except ValueError:
        pair = (-1.0, -1.0)
    if not 0 <= pair[0] <= pair[1] < 86_400:
        raise UserError(f"--sleep {text}: expected seconds, such as 5 or 3-8")
    return pair
