"""Near-duplicates of a finished table of embeddings: a column in it, and a side table of pairs.

Its files are read one by one, several times; what is held of a video is its id and a few numbers.
"""

import secrets
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.embed.duplicates import Floats, Groups, Pairs, Stream, cosines, find_duplicates
from tikval.files import read_parquet, write_table
from tikval.machine import cores
from tikval.rows import DuplicateRow, arrow_schema
from tikval.stats.arrays import Ints
from tikval.store.folder import Finish, Folder
from tikval.store.row_keys import keys_of

COLUMN: Final = "near_duplicates"  # and the name of the side table
BATCH_ROWS: Final = 4096  # whose vectors are worked on at once


def mark_near_duplicates(picture_slice: slice | None, sound_slice: slice | None, min_cosine: float) -> Finish:
    """A step that numbers the groups of videos that show the same, and writes down pairs that hold each together.

    The slices name where in the vector a modality lies; None: it is switched off. Pictures are compared where they
    are on, else whole vectors, at `min_cosine`. Videos of the same file show the same in any case, and that alone
    counts where fewer than 8 can be compared. Sound decides nothing and is only reported.
    Groups are numbered from 0 in the order of their least video_id, and one of n videos has n - 1 pairs. A failure
    is in no group, and a video that stands in two rows, because its file was replaced, is not its own duplicate.
    """

    def finish(folder: Folder, names: list[str]) -> tuple[list[str], dict[str, str]]:
        videos = _videos(folder, names)
        groups, n = Groups(len(videos.ids)), len(videos.ids)
        same = _same_file(videos.file_keys)
        groups.join(same.a, same.b)
        shown = ["has_video"] if picture_slice else ["has_video", "has_sound", "has_text"]
        alike = find_duplicates(_vectors(folder, videos, shown, picture_slice), groups, min_cosine, cores())
        pairs = Pairs.of([same, alike])
        heard_E = np.full(len(pairs.a), np.nan)
        if sound_slice:
            heard_E = cosines(_vectors(folder, videos, ["has_sound"], sound_slice), n, pairs)
        number_N = _numbers(groups.of(np.arange(n)), videos.ids)
        table = _table(videos.ids, pairs, np.arange(len(pairs.a)) < len(same.a), heard_E, number_N)
        marks = np.append(number_N, -1)  # the last for failures
        files = sorted(_mark(folder, name, marks[at_R]) for name, at_R in videos.at.items())
        return files, {COLUMN: _write_pairs(folder, table)}

    return finish


class _Videos(NamedTuple):
    """N rows with a result, in the order of their ids."""

    ids: pa.ChunkedArray  # [N] video_id
    file_keys: np.ndarray  # S16 [N] half of the content_sha, empty where there is none
    at: dict[str, Ints]  # place in that order of each row of each file, -1: a failure


def _videos(folder: Folder, names: list[str]) -> _Videos:
    rows, file_keys, good = [], [], []
    for name in names:
        table = folder.table(name, ["video_id", "row_key", "content_sha", "error"])
        good.append(table["error"].is_null().to_numpy())
        table = table.filter(pa.array(good[-1]))
        rows.append(table.select(["video_id", "row_key"]))
        file_keys.append(keys_of(pc.utf8_slice_codeunits(table["content_sha"].fill_null("0" * 32), 0, 32)))
    table = pa.concat_tables(rows)
    order = pc.sort_indices(table, sort_keys=[("video_id", "ascending"), ("row_key", "ascending")])
    place_N = np.empty(len(order), np.int64)
    place_N[order.to_numpy()] = np.arange(len(order))
    at, end = {}, 0
    for name, good_R in zip(names, good, strict=True):
        begin, end = end, end + int(good_R.sum())
        at[name] = np.full(len(good_R), -1)
        at[name][good_R] = place_N[begin:end]
    return _Videos(table["video_id"].take(order), np.concatenate(file_keys)[order.to_numpy()], at)


def _vectors(folder: Folder, videos: _Videos, columns: list[str], part: slice | None) -> Stream:
    """Part of the vectors of rows where one of the columns is true, file by file."""

    def stream() -> Iterator[tuple[Ints, Floats]]:
        for name, at_R in videos.at.items():
            table = folder.table(name, ["vector", *columns])
            has_R = np.any([table[column].fill_null(False).to_numpy() for column in columns], axis=0)
            vectors = table["vector"].filter(pa.array(has_R)).combine_chunks()
            x_RD = vectors.flatten().to_numpy().reshape(-1, vectors.type.list_size)[:, part or slice(None)]
            at_R = at_R[has_R]
            for row in range(0, len(at_R), BATCH_ROWS):
                yield at_R[row : row + BATCH_ROWS], x_RD[row : row + BATCH_ROWS]

    return stream


def _same_file(file_keys: np.ndarray) -> Pairs:
    """Each video whose file an earlier one has, with the first of those."""
    _, first, key_N = np.unique(file_keys, return_index=True, return_inverse=True)
    b = np.flatnonzero((file_keys != b"") & (first[key_N] < np.arange(len(file_keys))))
    return Pairs(first[key_N[b]], b, np.ones(len(b)))


def _numbers(group_N: Ints, ids: pa.ChunkedArray) -> Ints:
    """Number of the group of each video, [N], -1 for a video that is in none with another."""
    first = np.unique(group_N)  # a group's name is its least place
    last_N = np.zeros(len(group_N), np.int64)
    last_N[group_N] = np.arange(len(group_N))  # of several the last one stays
    several = pc.not_equal(ids.take(pa.array(first)), ids.take(pa.array(last_N[first]))).to_numpy()
    number_N = np.full(len(group_N), -1)
    number_N[first[several]] = np.arange(several.sum())
    return np.asarray(number_N[group_N])


def _table(ids: pa.ChunkedArray, pairs: Pairs, same_E: Any, heard_E: Any, number_N: Ints) -> pa.Table:
    columns = {
        "video_id": ids.take(pa.array(pairs.a)),
        "other_id": ids.take(pa.array(pairs.b)),
        "near_duplicates": number_N[pairs.a],
        "same_file": same_E,
        "cosine": pairs.cosine.round(6),  # what float32 can tell
        "sound_cosine": pa.array(heard_E.round(6), from_pandas=True),  # nan is null
    }
    table = pa.table(columns, schema=arrow_schema(DuplicateRow))
    table = table.filter(pc.not_equal(table["video_id"], table["other_id"]))
    return table.sort_by([(name, "ascending") for name in ("near_duplicates", "video_id", "other_id")])


def _mark(folder: Folder, name: str, number_R: Ints) -> str:
    """Set the column in one file, -1 is null; return its name, a new one if something changed."""
    column = pa.chunked_array([pa.array(number_R, mask=number_R < 0)])
    if folder.table(name, [COLUMN])[COLUMN].equals(column):
        return name
    table = folder.table(name)
    place = table.schema.get_field_index(COLUMN)
    marked = f"{name.partition('-')[0]}-{secrets.token_hex(8)}.parquet"
    write_table(f"{folder.uri}/{marked}", table.set_column(place, table.schema.field(place), column))
    return marked


def _write_pairs(folder: Folder, table: pa.Table) -> str:
    """Write the table of pairs, unless the finished run has exactly this one; its name."""
    run = folder.run()
    before = run.side_tables.get(COLUMN) if run else None
    if before and read_parquet(f"{folder.uri}/{before}").equals(table):
        return before
    name = f"_{COLUMN}-{secrets.token_hex(8)}.parquet"
    write_table(f"{folder.uri}/{name}", table)
    return name
