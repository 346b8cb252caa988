"""The posts and the videos of a study as arrays, some 30 bytes each, of any number of them.

Shape letters: N posts, V videos of the catalog.
"""

from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.evaluate.attrition_steps import CODE, codes_of, tells_nothing
from tikval.evaluate.video_groups import encoded, joined
from tikval.rows import Outcome, Reason
from tikval.stats.arrays import Bools, Codes, Ints
from tikval.store.folder import Folder
from tikval.store.row_keys import KeyPlaces, keys_of


class VideoCodes(NamedTuple):
    """The videos of a catalog [V], each id once."""

    account: pa.DictionaryArray
    genre: pa.DictionaryArray
    is_minor: Codes  # 1, 0, or -1 where nothing says so, or not
    error: Codes
    annotated: Bools

    @classmethod
    def of(cls, table: pa.Table, labelled: pa.Array) -> Self:
        """VideoRows and the ids that are annotated."""
        minor = pc.fill_null(pc.cast(table["is_minor"], pa.int8()), -1).to_numpy()
        annotated = np.asarray(pc.is_in(table["video_id"], labelled).to_numpy(), bool)
        return cls(
            encoded(table["account"]), encoded(table["genre"]), minor, codes_of(table["error"]), annotated
        )


class PostCodes(NamedTuple):
    """The posts of a study [N], with and without a video."""

    video: Ints  # the place of a post's video, -1: it has none
    account: pa.DictionaryArray  # as its source tells it; null where its video has it
    outcome: Codes
    alone: Bools  # its source tells nothing of posts whose file is not there
    annotated: Bools

    def only(self, some_N: Bools) -> "PostCodes":
        return PostCodes(
            self.video[some_N],
            self.account.filter(pa.array(some_N)),
            self.outcome[some_N],
            self.alone[some_N],
            self.annotated[some_N],
        )


def posts_of(told: pa.Table, ids_V: pa.ChunkedArray, annotated_V: Bools, labelled: pa.Array) -> PostCodes:
    """PostRows that sources told, each id once, then the videos of which none told.

    `ids_V`: of the videos; may be left out where nothing is told.
    """
    n_videos = len(annotated_V)
    other_V = np.arange(n_videos)
    at, annotated_T = np.empty(0, np.int64), np.empty(0, bool)
    if told.num_rows:
        at = pc.fill_null(pc.index_in(told["video_id"], ids_V), -1).to_numpy().astype(np.int64)
        other_V = np.flatnonzero(~np.asarray(pc.is_in(ids_V, told["video_id"]).to_numpy(), bool))
        annotated_T = np.asarray(pc.is_in(told["video_id"], labelled).to_numpy(), bool)
    n = len(other_V)
    not_told = pa.DictionaryArray.from_arrays(pa.nulls(n, pa.int32()), pa.array([], pa.string()))
    return PostCodes(
        np.concatenate([at, other_V]),
        joined([encoded(told["account"]), not_told]),
        np.concatenate([codes_of(told["outcome"]), np.full(n, CODE[Outcome.COLLECTED], np.int8)]),
        np.concatenate([tells_nothing(told["source"]), np.full(n, True)]),
        np.concatenate([annotated_T, annotated_V[other_V]]),
    )


def videos_of(
    catalog: Folder, labelled: pa.Array, *, with_ids: bool
) -> tuple[VideoCodes, KeyPlaces, pa.ChunkedArray, int]:
    """The videos by file, where their row keys stand, their ids where wanted, and rows whose id is there before."""
    parts, by_key, ids, doubles = list[VideoCodes](), KeyPlaces(), list[pa.Array](), 0
    for table in catalog.tables(["video_id", "row_key", "account", "genre", "is_minor", "error"]):
        twice = pc.fill_null(pc.equal(table["error"], Reason.DUPLICATE_ID), False)
        doubles += pc.sum(twice).as_py() or 0
        table = table.filter(pc.invert(twice))
        parts.append(VideoCodes.of(table, labelled))
        by_key.add(keys_of(table["row_key"]))
        ids += table["video_id"].chunks if with_ids else []
    account, genre, *arrays = zip(*parts, strict=True)
    videos = VideoCodes(joined(account), joined(genre), *map(np.concatenate, arrays))
    del parts, account, genre, arrays  # before the keys are sorted, which takes as much
    by_key.sort()
    return videos, by_key, pa.chunked_array(ids, pa.string()), doubles
