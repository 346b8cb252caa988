"""Which videos people annotate next."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from tikval.cli.app import app
from tikval.config import UserError
from tikval.stats.limits import counted


@app.command()
def sample(
    source: Annotated[
        str, typer.Argument(help="The folder of an analysis, or videos as analyze takes them.")
    ],
    to: Annotated[Path, typer.Option(help="The list for the coders: a .csv file.")],
    n: Annotated[int, typer.Option("--n", min=1, help="Videos to draw; with --accounts about so many.")],
    by: Annotated[
        str | None, typer.Option(help="Draw within each genre, month, or group by another column.")
    ] = None,
    allocation: Annotated[
        Literal["proportional", "equal"], typer.Option(help="Each group its share, or as many as the others.")
    ] = "proportional",
    accounts: Annotated[bool, typer.Option("--accounts", help="Draw whole accounts.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed and videos give the same list.")] = 0,
    names: Annotated[
        bool,
        typer.Option(
            "--names", help="Accounts, and ids and paths as they are, also where they name somebody."
        ),
    ] = False,
) -> None:
    """Draw videos to annotate, each with a known probability, which the annotations carry back."""
    from tikval.evaluate.sample import draw_sample, read_frame
    from tikval.evaluate.video_groups import NAMING
    from tikval.report.export.coders import frame_file, write_coders_list

    if to.suffix != ".csv":
        raise UserError(f"--to {to}: the list is a .csv file")
    if by in NAMING and not names:
        raise UserError(f"--by {by}: names people in the list; give --names as well if that is meant")
    frame = read_frame(source)
    drawn = draw_sample(frame.videos, n, by=by, allocation=allocation, whole_accounts=accounts, seed=seed)
    about = {"source": source, "seed": seed, "n": n, "by": by, "whole_accounts": accounts}
    notes = write_coders_list(frame, drawn, to, about, names=names)
    units = sum(each.drawn for each in drawn.strata)
    size = counted(len(drawn.at), "video") + (f" of {counted(units, 'account')}" if accounts else "")
    print(f"{size} of {frame.videos.num_rows}, {drawn.rule}: {to}")
    print(f"frame and rule: {frame_file(to)}; the column probability must stay in the annotations")
    if frame.left_out:
        failed = ", ".join(f"{reason} {count}" for reason, count in frame.left_out.items())
        notes.append(f"not in the frame, for they failed: {failed}")
    for note in notes:
        print(f"tikval: note: {note}", file=sys.stderr)
