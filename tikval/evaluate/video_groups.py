"""Groups of videos: by month, or by any column of the catalog or of their posts that more than one video can share.

Shape letter: N videos.
"""

from typing import Final, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.config import UserError
from tikval.rows import VideoRow
from tikval.stats.arrays import Ints

MONTH: Final = "month"
UNKNOWN: Final = "not given"
_OF_ONE: Final = {
    "video_id",
    "row_key",
    "etag",
    "files",
    "script",
    "error",
    "detail",
}  # of one video, or of none with a result
OF_POSTS: Final = ("pinned", "is_ad", "is_aigc", "is_slideshow", "music", "source")
COLUMNS: Final = (
    "account",
    "genre",
    MONTH,
    *OF_POSTS,
    *(name for name in get_type_hints(VideoRow) if name not in {"account", "genre", *_OF_ONE}),
)
NAMING: Final = frozenset(  # columns whose groups may be people
    {"account", "path", "caption", "alias", "music"}
)


def column_of(by: str) -> str:
    """The column of VideoRow or PostRow that tells these groups. Raises UserError, with what there is, if none does."""
    if by not in COLUMNS:
        raise UserError(f"--by {by}: no such column of the catalog; there are {', '.join(COLUMNS)}")
    return "posted_at" if by == MONTH else by


def codes_by(videos: pa.Table, by: str) -> tuple[Ints, list[str]]:
    """The group of each video [N], -1 where there is none, and the groups' names in the order of what they name.

    Raises UserError where no video has any.
    """
    column = column_of(by)
    values = months_by_video(videos) if by == MONTH else videos[column]
    if pa.types.is_boolean(values.type):
        values = pc.if_else(values, "yes", "no")
    encoded = pc.cast(values, pa.string()).combine_chunks().dictionary_encode()
    if not len(encoded.dictionary):
        raise UserError(
            f"no video has a {by}; give a manifest with the column {column}, or an export that tells it"
        )
    first = pc.index_in(encoded.dictionary, value_set=pc.cast(values, pa.string()).combine_chunks())
    order = pc.sort_indices(values.combine_chunks().take(first)).to_numpy()
    place = np.empty(len(order) + 1, np.int64)
    place[order], place[-1] = np.arange(len(order)), -1
    code = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return place[code], encoded.dictionary.take(pa.array(order)).to_pylist()


def months_by_video(videos: pa.Table) -> pa.ChunkedArray:
    """[N] 2026-03 in UTC."""
    when = videos["posted_at"].cast(pa.timestamp("us")).combine_chunks().to_numpy(zero_copy_only=False)
    months = np.datetime_as_string(when.astype("datetime64[M]")).astype(object)
    return pa.chunked_array([pa.array(np.where(np.isnat(when), None, months), pa.string())])


def account_codes(videos: pa.Table) -> tuple[Ints, int]:
    """Numbers of accounts [N], those without one each by itself; and how many have none."""
    if videos["account"].null_count == videos.num_rows:
        return np.arange(videos.num_rows), videos.num_rows
    code, names = codes_by(videos, "account")
    none = code < 0
    code[none] = len(names) + np.arange(none.sum())
    return code, int(none.sum())


def are_whole(account_N: Ints, labelled: Ints) -> bool:
    """Whether all videos of every annotated account are annotated, and some account has several."""
    annotated = np.bincount(account_N[labelled], minlength=int(account_N.max()) + 1)
    videos, there = np.bincount(account_N, minlength=len(annotated)), annotated > 0
    return bool((annotated[there] == videos[there]).all() and (videos[there] > 1).any() and not there.all())
