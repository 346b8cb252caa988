"""Are the scripts faithful? A sample against what was recognised, and sheets for two raters: jobs/faithfulness.py."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.table import Table

from tikval.annotate.rating_sheets import (
    GUIDE,
    SheetLine,
    is_untouched,
    rating_agreement,
    read_sheet,
    write_sheet,
)
from tikval.config import FaithfulnessConfig, UserError
from tikval.evaluate.faithfulness_sample import (
    compare_sample,
    in_random_order,
    print_faithfulness,
    rows_of_keys,
)
from tikval.files import read_bytes, write_bytes
from tikval.privacy import strip_handles
from tikval.rows import FaithfulnessRow, VideoRow
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.terminal import Terminal

SHEETS: Final = ("rater_1.csv", "rater_2.csv")


def check_faithfulness(config: FaithfulnessConfig) -> FolderRun:
    """Compare a sample, print the summary, and keep the sheets: new ones while nobody has written in them.

    Raises UserError where an upstream run has not finished or is of other videos, and where a sheet holds what
    is no rating.
    """
    folder, catalog = Folder(config.folder), Folder(config.scripts.videos.folder)
    scripts, heard = Folder(config.scripts.folder), Folder(config.heard.folder)
    if catalog.uri != config.heard.videos.folder:
        raise UserError(
            f"scripts and heard are of different catalogs, {catalog.uri} and {config.heard.videos.folder}; "
            "give both the same `videos`"
        )
    if config.heard.writer.kind != "local":
        raise UserError("heard: must be scripts of the local writer, which writes what was recognised")
    if scripts.uri == heard.uri:
        raise UserError("scripts and heard are the same run: it agrees with itself")
    with folder.lock():
        sources = (catalog, scripts, heard)
        inputs = {source.uri: source.finished().state for source in sources}
        before = folder.run()
        done = (
            before if before and before.inputs == inputs else compare_sample(config, folder, sources, inputs)
        )
        rows: list[FaithfulnessRow] = folder.read().to_pylist()
        videos = rows_of_keys(
            catalog, [row["row_key"] for row in rows], ["row_key", "video_id", "path", "files", "account"]
        )
        print_faithfulness(config, rows, folder.read_side_table("chance"), videos)
        if config.rated:
            keep_sheets(config, folder, scripts, rows, videos)
    return done


def keep_sheets(
    config: FaithfulnessConfig,
    folder: Folder,
    scripts: Folder,
    rows: Sequence[FaithfulnessRow],
    videos: dict[str, VideoRow],
) -> None:
    """Write sheets where nobody has written in either; else print what the two people agree on."""
    sheets = {name: read_bytes(f"{folder.uri}/{name}") for name in SHEETS}
    if all(data is None or is_untouched(data) for data in sheets.values()):
        _write_sheets(config, folder, scripts, rows, videos)
    else:
        _print_agreement(folder, sheets)


def _write_sheets(
    config: FaithfulnessConfig,
    folder: Folder,
    scripts: Folder,
    rows: Sequence[FaithfulnessRow],
    videos: dict[str, VideoRow],
) -> None:
    rated = sorted(
        (row for row in rows if row["error"] is None),
        key=lambda row: in_random_order(str(config.seed), row["video_id"]),
    )[: config.rated]
    written = rows_of_keys(scripts, [row["row_key"] for row in rated], ["row_key", "script"])
    lines = []
    for row in rated:
        video, script = videos[row["row_key"]], written[row["row_key"]]["script"]
        place = "; ".join(video["files"] or [video["path"]])
        lines.append(SheetLine(row["video_id"], place, strip_handles(script or "", video["account"])))
    for rater, name in enumerate(SHEETS, start=1):
        write_bytes(f"{folder.uri}/{name}", write_sheet(lines, rater, config.seed))
    write_bytes(f"{folder.uri}/rating.md", GUIDE.encode())
    print(f"for two raters: {', '.join(SHEETS)} and rating.md, in {folder.uri}")


def _print_agreement(folder: Folder, sheets: Mapping[str, bytes | None]) -> None:
    """Print how far two sheets are filled in and agree. Raises UserError for a sheet that holds what is no rating."""
    ratings = []
    for name, data in sheets.items():
        try:
            ratings.append(read_sheet(data) if data is not None else [])
        except ValueError as err:
            raise UserError(f"{folder.uri}/{name}: {err}") from err
    for name, sheet in zip(SHEETS, ratings, strict=True):
        full = sum(rating.made_up is not None and None not in rating.scales.values() for rating in sheet)
        print(f"{name}: {full} of {len(sheet)} videos rated; the sheet is kept as it is")
    if agreed := rating_agreement(*ratings):
        table = Table(title="How two people rate the scripts (0 to 2; made_up: share of yes)")
        for heading in ("", "rater 1", "rater 2", "the same rating"):
            table.add_column(heading, justify="right" if heading else "left")
        for line in agreed:
            means = (f"{mean:.2f}" for mean in line.means)
            table.add_row(line.column, *means, f"{line.same} of {line.n}")
        Terminal().print(table)
    elif all(ratings):
        print("no video is rated in both sheets yet")
