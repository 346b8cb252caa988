"""`tikval annotate next`: which videos to code next, and whether to go on."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from tikval.cli.annotate import annotate
from tikval.config import UserError
from tikval.stats.limits import counted


@annotate.command("next")
def next_(
    out: Annotated[str, typer.Argument(help="The folder of an analysis.")],
    target: Annotated[
        str,
        typer.Option(
            help='What is to be known: "hedonism+ by genre within 0.05": both ends of the 95 % interval at most that '
            "far from the rate, in each genre."
        ),
    ],
    n: Annotated[int, typer.Option("--n", min=1, help="Videos to draw.")] = 20,
    to: Annotated[
        Path | None, typer.Option(help="The list for the coders: a .csv file. Without it nothing is drawn.")
    ] = None,
    of: Annotated[
        Literal["corpus", "accounts"], typer.Option(help="Rates of these videos, or of accounts like these.")
    ] = "corpus",
    system: Annotated[str | None, typer.Option(help="Whose scores choose, where there are several.")] = None,
    annotator: Annotated[
        str | None, typer.Option(help="Whose labels count, where there are several.")
    ] = None,
    codebook: Annotated[str | None, typer.Option(help="Name or file, where there are several.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed, videos and labels give the same list.")] = 0,
    names: Annotated[
        bool, typer.Option("--names", help="Ids and paths also where they name somebody.")
    ] = False,
) -> None:
    """Draw the next videos to code where a label is in doubt, and say how many more it takes, or when to stop."""
    from tikval.annotate.next_batch import list_of
    from tikval.annotate.next_videos import next_videos
    from tikval.evaluate.batches import write_batch
    from tikval.evaluate.sample import read_frame
    from tikval.report.export.coders import write_coders_list
    from tikval.report.tables.next_videos import show_target
    from tikval.store.runs import Study
    from tikval.terminal import Terminal

    if to is not None and to.suffix != ".csv":
        raise UserError(f"--to {to}: the list is a .csv file")
    study = Study(out, codebook=codebook)
    found = next_videos(study, target, n, system=system, annotator=annotator, of=of, seed=seed)
    show_target(found, Terminal())
    record = found.record
    if record is None:
        print("nothing is drawn")
        return
    if to is None:
        print("--to FILE.csv writes the list of the videos to code")
        return
    frame = read_frame(out)
    drawn = list_of(record, frame.videos)
    if found.is_new:  # before the list: a list without a record could not be weighed
        write_batch(study.out, record)
    about = {"source": out, **record.about, "batch": record.number}
    for note in write_coders_list(frame, drawn, to, about, names=names):
        print(f"tikval: note: {note}", file=sys.stderr)
    print(f"batch {record.number}, {counted(len(drawn.at), 'video')} to code: {to}")
    print(
        "their labels go to tikval analyze --annotations, together with the earlier ones; then run this again"
    )
