"""`tikval annotate merge`: what coders sent back, as one."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tikval.cli.annotate import annotate
from tikval.cli.app import CODEBOOK
from tikval.cli.guard import FAILED
from tikval.config import UserError
from tikval.stats.limits import counted
from tikval.terminal import Terminal

if TYPE_CHECKING:
    from tikval.annotate.merge import MergedItem

_NAMED: Final = 5  # ids in a message


@annotate.command()
def merge(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="CODING [FILE ...]",
            help="A coding folder, whose returned/ is read, and further files; with --to tables of annotations alone.",
        ),
    ],
    third: Annotated[
        str | None, typer.Option(help="The coder who decides what the others disagree on.")
    ] = None,
    unfinished: Annotated[
        bool,
        typer.Option("--unfinished", help="Ask the third also of videos that a coder has not begun."),
    ] = False,
    to: Annotated[
        Path | None, typer.Option(help="For tables from elsewhere: the folder for what comes of them.")
    ] = None,
    codebook: Annotated[str | None, typer.Option(help="Of tables from elsewhere.")] = None,
    annotators: Annotated[
        str | None,
        typer.Option(
            help="Of one Label Studio project that several people answered: 1=ann,2=bob by account."
        ),
    ] = None,
) -> None:
    """Coders' answers as one table, agreement before that, and what disagrees as a sheet for a third who decides."""
    from tikval.annotate.annotators import codebook_of
    from tikval.annotate.coding_agreement import show_coding_agreement
    from tikval.annotate.coding_folder import PROTOCOL
    from tikval.annotate.merge_folder import merge_codings, open_coding, open_tables
    from tikval.annotate.third import PAGE
    from tikval.sources.tables import print_note

    people = dict(_people(annotators or ""))
    is_folder = (paths[0] / PROTOCOL).exists()
    if to and is_folder:
        raise UserError(f"{paths[0]}: is a coding folder, and what comes of it lies in it; leave out --to")
    if to:
        source = open_tables(paths, to, codebook_of(codebook or CODEBOOK), third, print_note, people)
    elif codebook:
        raise UserError("--codebook is of tables from elsewhere, with --to; a coding folder has its own")
    elif not is_folder:
        raise UserError(
            f"{paths[0]}: is no coding folder; name the one that tikval annotate sheet made before the files, or --to "
            "DIR for tables from elsewhere"
        )
    else:
        source = open_coding(paths[0], paths[1:], third, print_note, people)
    done = merge_codings(source, print_note, unfinished=unfinished)
    show_coding_agreement(done.agreement, Terminal(width=None if sys.stdout.isatty() else 200))
    for line in _summary(done.merged):
        print(line)
    if done.third_files:
        print(f"for {source.third}: {', '.join(map(str, done.third_files))}")
    print(f"labels, where each came from, agreement, disagreements: {source.to}")
    if not _is_complete(source.found.left_out, done.merged, f"{source.third}, in {source.sheets / PAGE},"):
        raise typer.Exit(FAILED)


def _people(text: str) -> Iterator[tuple[str, str]]:
    """The coder of each account. Raises UserError for another form."""
    for pair in filter(None, map(str.strip, text.split(","))):
        account, mark, coder = (part.strip() for part in pair.partition("="))
        if not (account and mark and coder):
            raise UserError(
                f"--annotators {pair[:40]!r}: expected ACCOUNT=CODER, several between commas: 1=ann,2=bob"
            )
        yield account, coder


def _summary(merged: "Sequence[MergedItem]") -> Iterator[str]:
    """How far each coder is, and where the stances came from."""
    from tikval.annotate.merge import count_by_coder, count_origins

    for one in count_by_coder(merged):
        begun = one.items - one.not_begun
        rest = f"not sure {one.not_sure:,}, not answered {one.not_answered:,}"
        yield f"{one.coder}: {begun} of {counted(one.items, 'video')}, {one.answered:,} stances, {rest}"
    origins = count_origins(merged)
    cells = sum(origins.values())
    parts = (f"{origin} {n:,} ({n / cells:.1%})" for origin, n in origins.items())
    yield f"{counted(len(merged), 'video')}, {cells:,} cells: {', '.join(parts)}"


def _is_complete(left_out: Mapping[str, Sequence[str]], merged: "Sequence[MergedItem]", third: str) -> bool:
    """Say what is missing; whether nothing is."""
    from tikval.annotate.merge import undecided_items

    for why, what in left_out.items():
        print(f"tikval: left out, {why}: {_some(what)}", file=sys.stderr)
    for coder in sorted({coder for one in merged for coder in one.not_begun}):
        items = [one.item for one in merged if coder in one.not_begun]
        print(
            f"tikval: not begun by {coder}, so not decided: {_some(items)}; they wait (tikval annotate leave "
            "gives them to another coder, --unfinished to the third)",
            file=sys.stderr,
        )
    undecided = undecided_items(merged)
    if undecided:
        cells = counted(sum(map(len, undecided.values())), "cell")
        print(
            f"tikval: undecided: {cells} in {_some(list(undecided))}; they have no stance until {third} decides them "
            "and what is saved there is merged too",
            file=sys.stderr,
        )
    return not (left_out or undecided)


def _some(videos: Sequence[str]) -> str:
    named = ", ".join(videos[:_NAMED])
    return f"{counted(len(videos), 'video')} ({named}{', ...' if len(videos) > _NAMED else ''})"
