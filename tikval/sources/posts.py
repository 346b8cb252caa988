"""What is known of the posts of a study: the rows that its sources told, and those that their ids alone tell."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.files import iter_parquet
from tikval.rows import Outcome, PostRow, Reason, VideoRow, arrow_schema
from tikval.sources.ids import ID_SECONDS, posted_at_of
from tikval.store.folder import Folder
from tikval.store.tables import read_table_of

SIDE_TABLE: Final = "posts"
FOLDER: Final = "folder"  # the source of a video that no other tells of
_TIME: Final = pa.timestamp("us", tz="UTC")
_ROWS: Final = 2**13  # that are Python objects at once: a table of a million passes through little memory


def read_posts(catalog: Folder, columns: Sequence[str] | None = None) -> pa.Table:
    """A PostRow for each post that is listed, with or without files: each id once. `columns` of it; None: all.

    A video that no source told of has what its row in the catalog tells, and its id.
    """
    every = arrow_schema(PostRow)
    schema = pa.schema([every.field(name) for name in columns or every.names])
    told = read_told(catalog, ["video_id", *schema.names])
    needed = {"caption", "account"} & set(schema.names)
    needed |= {"files"} if "is_slideshow" in schema.names else set()
    with_dates = any(name.startswith("posted_at") for name in schema.names)
    needed |= {"posted_at"} if with_dates else set()
    videos = catalog.read(["video_id", "error", *sorted(needed)])
    twice = pc.fill_null(pc.equal(videos["error"], Reason.DUPLICATE_ID), False)
    others = videos.filter(pc.invert(pc.or_(twice, pc.is_in(videos["video_id"], told["video_id"]))))
    n = others.num_rows
    known = {name: others[name] for name in ("video_id", "account", "caption") if name in others.column_names}
    known |= {"source": pa.repeat(FOLDER, n), "outcome": pa.repeat(Outcome.COLLECTED.value, n)}
    if with_dates:
        by_id = _dates_of_ids(others["video_id"])
        known["posted_at"] = pc.coalesce(others["posted_at"], by_id)
        known["posted_at_from_id"] = pc.and_(pc.is_null(others["posted_at"]), pc.is_valid(by_id))
    if "files" in needed:
        known["is_slideshow"] = _by_files(others)
    made = [known.get(field.name, pa.nulls(n, field.type)).cast(field.type) for field in schema]
    return pa.concat_tables([told.select(schema.names), pa.table(made, schema=schema)])


def read_videos_with_posts(
    catalog: Folder, columns: Sequence[str], keep_N: np.ndarray | None = None
) -> pa.Table:
    """The videos of a catalog [N]: `columns` of VideoRow and of PostRow, null where no source told of a video's post.

    When one was posted is what a source told, else what its id tells. `keep_N`: which of the videos, None: all; of the
    others no more than a file is in memory.
    """
    kept, at = [], 0
    for table in VideosWithPosts(catalog, columns):
        at += table.num_rows
        kept.append(table if keep_N is None else table.filter(pa.array(keep_N[at - table.num_rows : at])))
    return pa.concat_tables(kept)


class VideosWithPosts:
    """The same, file by file. What sources told of posts is in memory where a column needs it."""

    def __init__(self, catalog: Folder, columns: Sequence[str]) -> None:
        wanted = dict.fromkeys(columns)
        of_videos = [name for name in wanted if name in VideoRow.__annotations__]
        self._catalog, self._files, self._wanted = catalog, catalog.finished().files, list(wanted)
        self._read = [
            *dict.fromkeys([*of_videos, "video_id", *(["files"] if "is_slideshow" in wanted else [])])
        ]
        self._of_posts = [name for name in wanted if name == "posted_at" or name not in of_videos]
        told = read_told(catalog, ["video_id", *self._of_posts]) if self._of_posts else None
        self._told = told.combine_chunks() if told is not None and told.num_rows else None
        self._places: list[pa.Array] = []
        if self._told is not None:  # once: the index of many posts takes a while
            sizes = [catalog.table(name, ["video_id"]).num_rows for name in self._files]
            place_N = pc.index_in(catalog.read(["video_id"])["video_id"], self._told["video_id"])
            starts = np.cumsum([0, *sizes])
            self._places = [place_N.slice(start, n) for start, n in zip(starts, sizes, strict=False)]

    def __iter__(self) -> Iterator[pa.Table]:
        return map(self.table, range(len(self._files)))

    def table(self, file: int) -> pa.Table:
        """The rows of one file, by its place among the catalog's."""
        table = self._catalog.table(self._files[file], self._read)
        for name in self._of_posts:
            told = self._told_of(name, file, table.num_rows)
            if name == "posted_at":
                dates = pc.coalesce(table[name], told, _dates_of_ids(table["video_id"]))
                table = table.set_column(table.column_names.index(name), name, dates)
            elif name == "is_slideshow":
                table = table.append_column(name, pc.coalesce(_by_files(table), told))
            else:
                table = table.append_column(name, told)
        return table.select(self._wanted)

    def _told_of(self, column: str, file: int, n: int) -> pa.ChunkedArray:
        if self._told is None:
            return pa.chunked_array([pa.nulls(n, arrow_schema(PostRow).field(column).type)])
        return self._told[column].take(self._places[file])


def read_told(catalog: Folder, columns: Sequence[str] | None = None) -> pa.Table:
    """The posts that a source told of, each id once. Raises UserError for a table that is none."""
    schema, name = arrow_schema(PostRow), catalog.finished().side_tables.get(SIDE_TABLE)
    wanted = pa.schema([schema.field(column) for column in dict.fromkeys(columns or schema.names)])
    return read_table_of(f"{catalog.uri}/{name}", SIDE_TABLE, wanted.names) if name else wanted.empty_table()


def _by_files(videos: pa.Table) -> pa.ChunkedArray:
    """True where a video is a post of pictures, as its files are; else null."""
    return pc.if_else(pc.is_valid(videos["files"]), True, pa.scalar(None, pa.bool_()))


def _dates_of_ids(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """posted_at_of, of a column."""
    is_id = pc.match_substring_regex(ids, r"^\d{19}$")
    seconds = pc.shift_right(pc.if_else(is_id, ids, None).cast(pa.uint64()), 32).cast(pa.int64())
    known = pc.and_(pc.greater_equal(seconds, ID_SECONDS[0]), pc.less_equal(seconds, ID_SECONDS[1]))
    return pc.if_else(known, seconds, None).cast(pa.timestamp("s")).cast(pa.timestamp("us")).cast(_TIME)


def empty_post(video_id: str, source: str) -> PostRow:
    """A post of which nothing is known but its id, and no files."""
    row: PostRow = dict.fromkeys(PostRow.__annotations__) | {  # type: ignore[assignment]
        "video_id": video_id,
        "posted_at_from_id": False,
        "source": source,
        "outcome": Outcome.NO_FILE.value,
    }
    return row


def dated(posted_at: datetime | None, video_id: str) -> dict[str, datetime | bool | None]:
    """When a post was posted, and whether that is only what its id tells."""
    from_id = posted_at_of(video_id) if posted_at is None else None
    when = from_id if posted_at is None else posted_at
    return {"posted_at": when.astimezone(UTC) if when else None, "posted_at_from_id": from_id is not None}


def iter_posts(uri: str) -> Iterator[list[PostRow]]:
    """The posts of a table that write_posts wrote, some at a time."""
    for table in iter_parquet(uri, None, _ROWS):
        yield table.to_pylist()
