"""Scripts against what was heard and read in the same videos -> FaithfulnessRow, and sheets for two raters.

python -m jobs.faithfulness configs/faithfulness.yaml
ray job submit --working-dir . -- python -m jobs.faithfulness configs/faithfulness.yaml
"""

import heapq
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from tikval.annotate.rating_sheets import (
    GUIDE,
    SheetLine,
    in_random_order,
    is_untouched,
    rating_agreement,
    read_sheet,
    write_sheet,
)
from tikval.cli.job import main
from tikval.config import FaithfulnessConfig, UserError
from tikval.evaluate.faithfulness import MAX_QUOTES, MAX_WORDS, ShareEstimate, compare_scripts, summarise
from tikval.files import delete, list_files, read_bytes, read_parquet, write_bytes, write_table
from tikval.privacy import strip_handles
from tikval.rows import FaithfulnessRow, Reason, ScriptRow, VideoRow, arrow_schema
from tikval.store.folder import Folder, FolderRun
from tikval.store.progress import StageProgress
from tikval.store.row_keys import contains, keys_of

SHEETS: Final = ("rater_1.csv", "rater_2.csv")
_QUIET: Final = 1_000  # videos that take a few seconds: no progress is shown
_STEP: Final = 100  # videos between two looks at the clock


def run(config: FaithfulnessConfig) -> FolderRun:
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
        done = before if before and before.inputs == inputs else _compare(config, folder, sources, inputs)
        rows: list[FaithfulnessRow] = folder.read().to_pylist()
        videos = _rows_of(
            catalog, [row["row_key"] for row in rows], ["row_key", "video_id", "path", "account"]
        )
        _print_summary(config, rows, folder.read_side_table("chance"), videos)
        if config.rated:
            _keep_sheets(config, folder, scripts, rows, videos)
    return done


def _compare(
    config: FaithfulnessConfig, folder: Folder, sources: Sequence[Folder], inputs: dict[str, str]
) -> FolderRun:
    begin = time.monotonic()
    catalog, scripts, heard = sources
    keys = _draw(config, catalog, scripts, heard)
    columns = ["row_key", "video_id", "script", "error", "detail"]
    mine, theirs = _rows_of(scripts, keys, columns), _rows_of(heard, keys, columns)
    videos = _rows_of(catalog, keys, ["row_key", "account"])
    good = [key for key in keys if mine[key]["error"] is None and theirs[key]["error"] is None]
    # each with the next one in the random order: a shuffled pairing in which nobody meets the own video
    other = dict(zip(good, [*good[1:], *good[:1]], strict=True)) if len(good) > 1 else {}
    rows: list[FaithfulnessRow] = []
    chance: list[FaithfulnessRow] = []
    with ExitStack() as stack:
        advance: Callable[[int, dict[str, int]], None] | None = None
        if len(keys) > _QUIET:
            advance = stack.enter_context(StageProgress(config.stage, len(keys), 0, folder.uri)).advance
        for start in range(0, len(keys), _STEP):
            step = keys[start : start + _STEP]
            for key in step:
                account = videos[key]["account"]
                rows.append(_row(mine[key], theirs[key], account, config.quote_share))
                if key in other:
                    chance.append(_row(mine[key], theirs[other[key]], account, config.quote_share))
            if advance:
                advance(len(step), _failed(rows[-len(step) :]))
    names = [f"data-{secrets.token_hex(8)}.parquet", f"_chance-{secrets.token_hex(8)}.parquet"]
    old = list_files(folder.uri, ".parquet", include_side_tables=True)
    for name, table in zip(names, (rows, chance), strict=True):
        write_table(f"{folder.uri}/{name}", pa.Table.from_pylist(table, schema=arrow_schema(FaithfulnessRow)))
    side_tables, seconds = {"chance": names[1]}, time.monotonic() - begin
    done = folder.write_run(config, names[:1], inputs, len(rows), _failed(rows), seconds, side_tables)
    for file in old:
        delete(f"{folder.uri}/{file}")
    return done


def _draw(config: FaithfulnessConfig, catalog: Folder, scripts: Folder, heard: Folder) -> list[str]:
    """Row keys of the sample, in random order: of listed videos that have a row in both tables."""
    table = scripts.read(["row_key", "video_id", "error"])
    table = table.filter(pc.fill_null(pc.not_equal(table["error"], Reason.DUPLICATE_ID.value), True))
    listed = contains(np.sort(catalog.keys()), keys_of(table["row_key"]))
    both = listed & contains(np.sort(heard.keys()), keys_of(table["row_key"]))
    if lacking := int(listed.sum() - both.sum()):
        print(
            f"tikval: warning: {lacking} videos have a script and were not heard; left out", file=sys.stderr
        )
    found = table.filter(pa.array(both))
    pairs = zip(found["row_key"].to_pylist(), found["video_id"].to_pylist(), strict=True)
    hashed = ((in_random_order(str(config.seed), video), key) for key, video in pairs)
    drawn = sorted(hashed) if config.sample is None else heapq.nsmallest(config.sample, hashed)
    return [key for _, key in drawn]


def _rows_of(folder: Folder, keys: Sequence[str], columns: list[str]) -> dict[str, Any]:
    """Rows by key; file by file, so that a sample of many scripts needs the memory of the sample."""
    wanted = pa.array(keys, pa.string())
    rows: dict[str, Any] = {}
    for path in folder.paths():
        table = read_parquet(path, columns)
        found = table.filter(pc.is_in(table["row_key"], wanted)).to_pylist()
        rows |= {row["row_key"]: row for row in found}
    return rows


def _row(mine: ScriptRow, theirs: ScriptRow, account: str | None, quote_share: float) -> FaithfulnessRow:
    empty: dict[str, Any] = dict.fromkeys(FaithfulnessRow.__annotations__)
    row = cast(FaithfulnessRow, empty | {"video_id": mine["video_id"], "row_key": mine["row_key"]})
    for which, source in (("script", mine), ("heard", theirs)):
        if source["error"] is not None:
            row["error"] = source["error"]
            row["detail"] = f"{which}: {source['detail'] or 'failed'}"
            return row
    found = compare_scripts(mine["script"] or "", theirs["script"] or "", quote_share)
    row["words_said"], row["said_share"] = found.words_said, found.said_share
    row["words_shown"], row["shown_share"] = found.words_shown, found.shown_share
    row["quotes"] = found.quotes
    if found.unheard is not None:
        row["unheard"] = [strip_handles(line, account) for line in found.unheard]
    if found.cut:
        row["detail"] = f"only the first {MAX_WORDS} words and {MAX_QUOTES} quotes were compared"
    return row


def _failed(rows: Sequence[FaithfulnessRow]) -> dict[str, int]:
    return dict(Counter(row["error"] for row in rows if row["error"] is not None))


def _print_summary(
    config: FaithfulnessConfig,
    rows: Sequence[FaithfulnessRow],
    chance: Sequence[FaithfulnessRow],
    videos: dict[str, VideoRow],
) -> None:
    accounts = {video["video_id"]: video["account"] for video in videos.values()}
    found, by_chance = summarise(rows, accounts, config.seed), summarise(chance, accounts, config.seed)
    table = Table(title=f"Faithfulness of {found.videos - found.failed} scripts, {found.failed} failed")
    for heading in ("", "here", "95 % interval", "another video", "of"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, here, there, of in (
        ("heard words that the script has", found.said, by_chance.said, "videos"),
        ("read words that the script has", found.shown, by_chance.shown, "videos"),
        ("quoted lines that nobody was heard saying", found.unheard, by_chance.unheard, "lines"),
    ):
        interval = "" if here is None or here.low is None else f"{here.low:.2f} to {here.high:.2f}"
        table.add_row(name, _number(here), interval, _number(there), f"{here.n if here else 0} {of}")
    console = Console()
    console.print(table)
    console.print(
        f"{found.not_heard} scripts quote speech where nothing was heard (music, other languages, inventions): "
        f"not among the lines. Intervals over {'accounts' if any(accounts.values()) else 'videos'}; "
        "'another video' is what chance gives."
    )


def _number(estimate: ShareEstimate | None) -> str:
    return "-" if estimate is None else f"{estimate.value:.2f}"


def _keep_sheets(
    config: FaithfulnessConfig,
    folder: Folder,
    scripts: Folder,
    rows: Sequence[FaithfulnessRow],
    videos: dict[str, VideoRow],
) -> None:
    """Write sheets where nobody has written in either; else say what the two people agree on."""
    there = {name: read_bytes(f"{folder.uri}/{name}") for name in SHEETS}
    if all(data is None or is_untouched(data) for data in there.values()):
        rated = sorted(
            (row for row in rows if row["error"] is None),
            key=lambda row: in_random_order(str(config.seed), row["video_id"]),
        )[: config.rated]
        written = _rows_of(scripts, [row["row_key"] for row in rated], ["row_key", "script"])
        lines = []
        for row in rated:
            video, script = videos[row["row_key"]], written[row["row_key"]]["script"]
            lines.append(
                SheetLine(row["video_id"], video["path"], strip_handles(script or "", video["account"]))
            )
        for rater, name in enumerate(SHEETS, start=1):
            write_bytes(f"{folder.uri}/{name}", write_sheet(lines, rater, config.seed))
        write_bytes(f"{folder.uri}/rating.md", GUIDE.encode())
        print(f"for two raters: {', '.join(SHEETS)} and rating.md, in {folder.uri}")
        return
    ratings = []
    for name, data in there.items():
        try:
            ratings.append(read_sheet(data) if data is not None else [])
        except ValueError as err:
            raise UserError(f"{folder.uri}/{name}: {err}") from err
    for name, sheet in zip(SHEETS, ratings, strict=True):
        full = sum(rating.made_up is not None and None not in rating.scales.values() for rating in sheet)
        print(f"{name}: {full} of {len(sheet)} videos rated; the sheet is kept as it is")
    if found := rating_agreement(*ratings):
        table = Table(title="What two people say of the scripts (0 to 2; made_up: share of yes)")
        for heading in ("", "rater 1", "rater 2", "the same rating"):
            table.add_column(heading, justify="right" if heading else "left")
        for line in found:
            means = (f"{mean:.2f}" for mean in line.means)
            table.add_row(line.column, *means, f"{line.same} of {line.n}")
        Console().print(table)
    elif all(ratings):
        print("no video is rated in both sheets yet")


if __name__ == "__main__":
    main(FaithfulnessConfig, run)
