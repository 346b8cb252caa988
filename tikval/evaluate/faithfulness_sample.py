"""Scripts against what was heard and read in the same videos: a sample of a study, compared and summed up."""

import hashlib
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
from rich.table import Table

from tikval.config import FaithfulnessConfig
from tikval.evaluate.faithfulness import MAX_QUOTES, MAX_WORDS, ShareEstimate, compare_scripts, summarise
from tikval.files import delete, list_files, write_table
from tikval.privacy import strip_handles
from tikval.rows import FaithfulnessRow, Reason, ScriptRow, VideoRow, arrow_schema
from tikval.stats.footnotes import Footnotes
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun
from tikval.store.progress import StageProgress
from tikval.store.row_keys import contains, keys_of
from tikval.terminal import Terminal

_QUIET: Final = 1_000  # videos that take a few seconds: no progress is shown
_STEP: Final = 100  # videos between two looks at the clock


def compare_sample(
    config: FaithfulnessConfig, folder: Folder, sources: Sequence[Folder], inputs: dict[str, str]
) -> FolderRun:
    """Compare the scripts of a sample with what was recognised, and write the table with that of chance."""
    begin = time.monotonic()
    rows, chance = _compared(config, folder, *sources)
    names = [f"data-{secrets.token_hex(8)}.parquet", f"_chance-{secrets.token_hex(8)}.parquet"]
    old = list_files(folder.uri, ".parquet", include_side_tables=True)
    for name, table in zip(names, (rows, chance), strict=True):
        write_table(f"{folder.uri}/{name}", pa.Table.from_pylist(table, schema=arrow_schema(FaithfulnessRow)))
    side_tables, seconds = {"chance": names[1]}, time.monotonic() - begin
    done = folder.write_run(config, names[:1], inputs, len(rows), _failed(rows), seconds, side_tables)
    for file in old:
        delete(f"{folder.uri}/{file}")
    return done


def _compared(
    config: FaithfulnessConfig, folder: Folder, catalog: Folder, scripts: Folder, heard: Folder
) -> tuple[list[FaithfulnessRow], list[FaithfulnessRow]]:
    """The rows of a sample, and the same scripts against what was recognised in another video: what chance gives."""
    keys = _draw(config, catalog, scripts, heard)
    columns = ["row_key", "video_id", "script", "error", "detail"]
    mine, theirs = rows_of_keys(scripts, keys, columns), rows_of_keys(heard, keys, columns)
    videos = rows_of_keys(catalog, keys, ["row_key", "account"])
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
    return rows, chance


def _draw(config: FaithfulnessConfig, catalog: Folder, scripts: Folder, heard: Folder) -> list[str]:
    """Row keys of the sample, in random order: of listed videos that have a row in both tables."""
    table = scripts.read(["row_key", "video_id", "error"])
    table = table.filter(pc.fill_null(pc.not_equal(table["error"], Reason.DUPLICATE_ID.value), True))
    listed = contains(catalog.sorted_keys(), keys_of(table["row_key"]))
    both = listed & contains(heard.sorted_keys(), keys_of(table["row_key"]))
    if lacking := int(listed.sum() - both.sum()):
        print(
            f"tikval: warning: {lacking} videos have a script and were not heard; left out", file=sys.stderr
        )
    found = table.filter(pa.array(both))
    some = (batch.to_pylist() for batch in found.select(["row_key", "video_id"]).to_batches(2**16))
    hashed = (
        (in_random_order(str(config.seed), row["video_id"]), row["row_key"]) for rows in some for row in rows
    )
    drawn = sorted(hashed) if config.sample is None else heapq.nsmallest(config.sample, hashed)
    return [key for _, key in drawn]


def rows_of_keys(folder: Folder, keys: Sequence[str], columns: list[str]) -> dict[str, Any]:
    """Rows by key; file by file, so that a sample of many scripts needs the memory of the sample."""
    wanted = np.sort(keys_of(pa.chunked_array([pa.array(keys, pa.string())])))
    return {row["row_key"]: row for row in folder.read_listed(wanted, columns).to_pylist()}


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


def print_faithfulness(
    config: FaithfulnessConfig,
    rows: Sequence[FaithfulnessRow],
    chance: Sequence[FaithfulnessRow],
    videos: dict[str, VideoRow],
) -> None:
    """Print the shares of a sample with their intervals, and the shares against another video."""
    accounts = {video["video_id"]: video["account"] for video in videos.values()}
    found, by_chance = summarise(rows, accounts), summarise(chance, accounts)
    table = Table(title=f"Faithfulness of {found.videos - found.failed} scripts, {found.failed} failed")
    for heading in ("", "here", "95 % interval", "another video", "of"):
        table.add_column(heading, justify="left" if not heading else "right")
    shown = (found.spoken, found.shown, found.unheard)
    footnotes = Footnotes(here.why_none for here in shown if here is not None)
    for name, here, there, of in (
        ("heard words that the script has", found.spoken, by_chance.spoken, "videos"),
        ("read words that the script has", found.shown, by_chance.shown, "videos"),
        ("quoted lines that nobody was heard saying", found.unheard, by_chance.unheard, "lines"),
    ):
        table.add_row(
            name, _number(here), _interval(here, footnotes), _number(there), f"{here.n if here else 0} {of}"
        )
    console = Terminal()
    console.print(table)
    for line in footnotes.lines:
        console.print(f"* {line}")
    console.print(
        f"{found.not_heard} scripts quote speech where nothing was heard (music, other languages, inventions): "
        f"not among the lines. Intervals over {'accounts' if any(accounts.values()) else 'videos'}; "
        "'another video' is what chance gives."
    )


def _interval(estimate: ShareEstimate | None, footnotes: Footnotes) -> str:
    if estimate is None or estimate.low is None:
        return footnotes.mark(estimate.why_none) if estimate else ""
    return f"{estimate.low:.2f} to {estimate.high:.2f}"


def _number(estimate: ShareEstimate | None) -> str:
    return "-" if estimate is None else f"{estimate.value:.2f}"


def in_random_order(seed: str, video_id: str) -> bytes:
    """A sort key that depends on nothing but these two, so that one more video moves no other."""
    name = f"{seed}\0{video_id}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(name, digest_size=16).digest()
