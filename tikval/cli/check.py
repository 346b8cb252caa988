"""`tikval check`: what is wrong with a study, in seconds, before the first hour is spent on it."""

import shutil
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from tikval.cli import study_options as given
from tikval.cli.app import app
from tikval.cli.guard import USAGE, guard
from tikval.cli.profiles import Wanted, report_of_profiles
from tikval.config import CatalogConfig, EvaluateConfig, UserError
from tikval.files import is_local
from tikval.machine import ScratchFolder
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.study.check import ANNOTATOR, CheckLine, check_catalog, check_inputs
from tikval.terminal import Terminal, working

_TABLES: Final = ("annotations", "accounts")


@app.command()
def check(
    videos: given.Videos,
    out: Annotated[
        str | None, typer.Option(help="The folder of the analysis: what it knows already counts.")
    ] = None,
    profile: given.Profiles = None,
    media: given.Media = None,
    columns: given.ColumnsMap = None,
    annotations: given.Annotations = None,
    accounts: given.Accounts = None,
    annotator: given.Annotator = None,
    codebook: given.CodebookFile = None,
    name: given.Names = None,
    minors_unknown: given.MinorsUnknown = None,
    overrides: given.Overrides = None,
) -> None:
    """Videos, tables, codebook, keys and tools of an analysis, looked at in seconds; nothing is computed or asked."""
    with ScratchFolder() as scratch:
        wanted = Wanted(
            videos,
            out or f"{scratch.path}/out",
            annotations,
            accounts=accounts,
            codebook=codebook,
            annotator=annotator,
            minors_unknown=minors_unknown,
            media=media,
            columns=columns,
            names=tuple(name or ()),
            overrides=tuple(overrides or ()),
        )
        scores = report_of_profiles(profile or ["local"], wanted).scores
        raise typer.Exit(guard(lambda: _show(scores, f"{scratch.path}/catalog")))


def _show(scores: EvaluateConfig, place: str) -> int:
    with working("looking at videos, tables, keys and tools"):
        lines = [*check_inputs(scores)]
        lines += _check_videos(lines, scores, place)
    table = Table("", "what", "found")
    for line in lines:
        table.add_row("WRONG" if line.wrong else "ok", line.what, line.found)
    Terminal(width=None if sys.stdout.isatty() else 160).print(table)
    wrong = sum(line.wrong for line in lines)
    print(f"{wrong} to mend before tikval analyze" if wrong else "ready for tikval analyze")
    return USAGE if wrong else 0


def _check_videos(lines: list[CheckLine], scores: EvaluateConfig, place: str) -> list[CheckLine]:
    """List the videos into a catalog that is thrown away, with the tables that can be read."""
    catalog = scores.catalog
    unreadable = {line.what for line in lines if line.wrong}
    unreadable |= set(_TABLES) if "codebook" in unreadable else set()
    without: dict[str, None] = dict.fromkeys(unreadable.intersection(_TABLES))
    listed = catalog.model_copy(update={"out": place, **without})
    _take_along(catalog, listed)
    try:
        write_catalog(listed)
    except UserError as err:
        return [CheckLine("videos", str(err), wrong=True)]
    found = [*check_catalog(scores, Folder(listed.folder))]
    if not any(table["error"].null_count for table in Folder(listed.folder).tables(["error"])):
        found[0] = CheckLine("videos", f"{found[0].found}: nothing is left to analyze", wrong=True)
    # of a table that cannot be used it is said already
    return [line for line in found if not (without and line.what == ANNOTATOR)]


def _take_along(catalog: CatalogConfig, listed: CatalogConfig) -> None:
    """Copy what the study knows already: ids, tables that were given before, and whom it has erased."""
    before, erased = Path(catalog.folder), Path(catalog.out) / "erased.json"
    if is_local(catalog.out) and before.is_dir():
        shutil.copytree(before, listed.folder, ignore=shutil.ignore_patterns(".*"))
        if erased.is_file():
            shutil.copy(erased, listed.out)
