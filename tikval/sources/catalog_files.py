"""The files of a catalog: rows as they come, in files of so many, each under a name that its content gives it."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from tikval.files import delete, has_file, write_table
from tikval.rows import VideoRow, arrow_schema
from tikval.sources.erased import iter_not_erased
from tikval.sources.video_rows import video_tables
from tikval.store.folder import SEALED_ROWS, Folder
from tikval.store.folder_run import FolderRun
from tikval.store.tables import iter_rows

_LATER: Final = ("probability", "files", "script")
_COMPARED: Final = 2**14  # rows at once


@dataclass
class CatalogFacts:
    """What the catalog's rows tell together."""

    rows: int = 0
    failed: Counter[str] = field(default_factory=Counter)  # by reason
    # with the genre of their first video that has one
    accounts: dict[str, str | None] = field(default_factory=dict)
    every_account: set[str] = field(default_factory=set)  # those of erased videos too


def write_videos(
    out: str, folder: Folder, before: FolderRun | None, videos: Iterable[VideoRow]
) -> tuple[list[str], CatalogFacts]:
    """Write the videos that were not erased, in files of so many rows; where nothing changed the old files stay."""
    listed = CatalogFacts()

    def seen() -> Iterator[VideoRow]:
        for video in videos:
            if video["account"]:
                listed.every_account.add(video["account"])
            yield video

    def counted() -> Iterator[VideoRow]:
        for video in iter_not_erased(out, seen()):
            listed.rows += 1
            if video["error"]:
                listed.failed[video["error"]] += 1
            if account := video["account"]:
                listed.accounts[account] = listed.accounts.get(account) or video["genre"]
            yield video

    files = [write_named(folder, "data", table) for table in video_tables(counted(), SEALED_ROWS)]
    if (
        before
        and files != before.files
        and before.rows == listed.rows
        and _same_rows(folder, files, before.files)
    ):
        for name in set(files) - set(before.files):
            delete(f"{folder.uri}/{name}")
        files = before.files
    return files, listed


def _same_rows(folder: Folder, files: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two lists of files hold the same rows: an earlier version wrote one file, however long."""
    pairs = zip(_slices(folder, files), _slices(folder, others), strict=True)
    return all(one.equals(other) for one, other in pairs)


def _slices(folder: Folder, files: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of some files of a catalog in tables of one size, but for the last."""
    held = arrow_schema(VideoRow).empty_table()
    for name in files:
        for table in iter_rows(f"{folder.uri}/{name}", folder.stage):
            held = pa.concat_tables([held, table])
            while held.num_rows >= _COMPARED:
                yield held.slice(0, _COMPARED)
                held = held.slice(_COMPARED)
    yield held


def write_small(folder: Folder, name: str, kind: type, rows: list[Any]) -> str:
    """Write a small table under a name that its content gives it."""
    return write_named(folder, name, pa.Table.from_pylist(rows, schema=arrow_schema(kind)))


def write_named(folder: Folder, name: str, table: pa.Table) -> str:
    """Write a table under a name that its content gives it, so that the same table is the same file.

    A column of a later version counts only where it tells something: what was learnt from the table stays.
    """
    silent = [
        name for name in _LATER if name in table.column_names and table[name].null_count == table.num_rows
    ]
    table, sink = table.drop_columns(silent), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    file = f"{name}-{hashlib.sha256(sink.getvalue()).hexdigest()[:16]}.parquet"
    if not has_file(f"{folder.uri}/{file}"):  # a table that has not changed is not written once more
        write_table(f"{folder.uri}/{file}", table)
    return file
