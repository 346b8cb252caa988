"""Sheets for coders, and what becomes of the videos of a coder who leaves."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tikval.cli.annotate import annotate
from tikval.cli.guard import FAILED
from tikval.config import AnnotateConfig, UserError, load_config, validate, with_overrides
from tikval.stats.limits import counted

if TYPE_CHECKING:
    from tikval.annotate.coding_folder import CodingFolder

_RULES = "configs/annotate.yaml"


@annotate.command()
def sheet(
    videos: Annotated[
        str, typer.Argument(metavar="LIST", help="The list of tikval sample, or a table of videos.")
    ],
    out: Annotated[Path, typer.Option(help="The coding folder; a later list is added to one that is there.")],
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Other rules, such as again=5.")
    ] = None,
    coder: Annotated[
        list[str] | None, typer.Option(help="A coder's name or code; once for each coder.")
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="The analysis that the list was drawn from: files, captions, scripts.")
    ] = None,
    config: Annotated[str | None, typer.Option(help=f"Rules of assignment; without it {_RULES}.")] = None,
    practice: Annotated[
        str | None, typer.Option(help="Annotations that count as right, to practise on before the rest.")
    ] = None,
    codebook: Annotated[str | None, typer.Option(help="Without it the study's.")] = None,
    media: Annotated[
        Literal["copy", "link", "none"],
        typer.Option(help="Videos: beside the sheets, named where they lie, or none."),
    ] = "copy",
    zips: Annotated[
        bool, typer.Option("--zip", help="Also a zip for each coder: sheet, videos, guide.")
    ] = False,
) -> None:
    """Plan who codes which videos, and write a sheet for each coder: HTML to open by double-click, and .xlsx."""
    from tikval.annotate.make_sheets import plan_list
    from tikval.annotate.sheet_files import GUIDE, write_sheet_files, write_zips

    rules = _rules(out, config, [*(changes or []), *_given(practice=practice, codebook=codebook)])
    with _written(out):
        planned = plan_list(videos, out, coder or [], rules, study=study, media=media)
        folder = planned.folder
        made = write_sheet_files(folder)
        packed = write_zips(folder) if zips else []
    _print_plan(folder, planned.new)
    if planned.left_out:
        reasons = ", ".join(f"{reason} {n}" for reason, n in Counter(planned.left_out.values()).items())
        print(f"tikval: left out, for their files cannot be read: {reasons}", file=sys.stderr)
    print(f"sheets: {counted(len(made), 'new file')} in {folder.sheets}, and {GUIDE} for coders")
    if packed:
        print(f"to give to coders: {packed[0].parent}")
    print(f"next: put what coders send back into {out / 'returned'}, then: tikval annotate merge {out}")
    if planned.left_out:
        raise typer.Exit(FAILED)


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise UserError(f"{folder}: cannot be written or read ({err.strerror or err})") from err


def _given(**options: str | None) -> list[tuple[str, str]]:
    return [(key, value) for key, value in options.items() if value is not None]


def _rules(out: Path, config: str | None, changes: list[str | tuple[str, str]]) -> AnnotateConfig:
    """The rules of a file, else those that the folder's last list had, else the shipped ones; with changes."""
    from tikval.annotate.coding_folder import PROTOCOL, CodingFolder

    if config is None and (out / PROTOCOL).exists():
        before = CodingFolder(out).protocol.rules.model_dump(mode="json")
        return validate(AnnotateConfig, with_overrides(before, changes), str(out / PROTOCOL))
    return load_config(AnnotateConfig, config or _RULES, changes)


def _print_plan(folder: "CodingFolder", new: tuple[object, ...]) -> None:
    """Numbers only; who codes is known to who asks."""
    plan = folder.plan()
    for name in folder.protocol.active:
        rounds = Counter(line.round for line in plan if line.coder == name)
        parts = [counted(rounds["main"], "video")]
        parts += [f"{rounds['again']} of them twice"] if rounds["again"] else []
        parts += [f"{rounds['practice']} to practise on"] if rounds["practice"] else []
        print(f"{name}: {', '.join(parts)}")
    if not new:
        print("no video of the list is new; nobody's videos have changed")


@annotate.command()
def leave(
    coding: Annotated[Path, typer.Argument(help="The coding folder.")],
    coder: Annotated[str, typer.Argument(help="Who leaves.")],
    to: Annotated[
        list[str] | None,
        typer.Option(help="Who takes over, also somebody new; once for each. Without it all others."),
    ] = None,
) -> None:
    """A coder leaves: what is in returned/ stays, and others get new sheets with what is not finished there."""
    from tikval.annotate.coding_folder import CodingFolder
    from tikval.annotate.leave import leave_folder
    from tikval.annotate.sheet_files import write_sheet_files

    folder = CodingFolder(coding)
    with _written(coding):
        left = leave_folder(folder, coder, to or [])
        made = write_sheet_files(folder)
    print(f"{coder} has left: {counted(left.finished, 'video')} finished, which stay")
    for name, n in Counter(left.taken.values()).items():
        print(f"{name}: takes over {counted(n, 'video')}")
    if left.not_taken:
        print(f"with others already, so that nobody takes them over: {counted(left.not_taken, 'video')}")
    print(f"new sheets: {', '.join(str(path) for path in made) or 'none'}")
