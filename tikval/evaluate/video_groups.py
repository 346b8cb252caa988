"""Groups of videos: by month, or by any column of the catalog or of their posts that more than one video can share.

Shape letter: N videos.
"""

from collections.abc import Sequence
from typing import Final, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.config import UserError
from tikval.rows import VideoRow
from tikval.stats.arrays import Ints

MONTH: Final = "month"
UNKNOWN: Final = "not given"
_AT_ONCE: Final = 2**20  # dates that are numbers of months at once
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


def encoded(texts: pa.ChunkedArray) -> pa.DictionaryArray:
    """Texts that many videos share as 4 bytes a video; null stays null."""
    return texts.combine_chunks().dictionary_encode()


def joined(parts: Sequence[pa.Array]) -> pa.Array:
    """Parts, one at least, as one; dictionaries of their own as one, too."""
    return pa.chunked_array(parts).unify_dictionaries().combine_chunks()


def codes_by(videos: pa.Table, by: str) -> tuple[Ints, list[str]]:
    """The group of each video [N], -1 where there is none, and the groups' names in the order of what they name.

    Months are those of the column `month`, as coded_months makes it, else of `posted_at`. Raises UserError where no
    video has any.
    """
    column = column_of(by)
    if by == MONTH:
        values = videos[MONTH] if MONTH in videos.column_names else coded_months(videos[column])
    else:
        values = videos[column]
    if pa.types.is_boolean(values.type):
        values = pc.if_else(values, "yes", "no")
    encoded = values.combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    code = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    there = np.bincount(code[code >= 0], minlength=len(encoded.dictionary)) > 0
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    order = order[there[order]]
    if not len(order):
        raise UserError(
            f"no video has a {by}; give a manifest with the column {column}, or an export that tells it"
        )
    place = np.full(len(encoded.dictionary) + 1, -1, np.int32)  # the last is that of -1
    place[order] = np.arange(len(order))
    return place[code], pc.cast(encoded.dictionary.take(pa.array(order)), pa.string()).to_pylist()


def coded_months(posted_at: pa.ChunkedArray) -> pa.ChunkedArray:
    """[N] 2026-03 in UTC, as a dictionary."""
    column = posted_at.cast(pa.timestamp("us"))
    parts = [encoded(pa.chunked_array([], pa.string()))]
    for start in range(0, len(column), _AT_ONCE):
        when = column.slice(start, _AT_ONCE).combine_chunks().to_numpy(zero_copy_only=False)
        # what is not known is the last of the months
        months, code = np.unique(when.astype("datetime64[M]"), return_inverse=True)
        names = pa.array(np.datetime_as_string(months).tolist(), pa.string())
        indices = pa.array(code.astype(np.int32), mask=np.isnat(when))
        parts.append(pa.DictionaryArray.from_arrays(indices, names))
    return pa.chunked_array([joined(parts)])


def account_codes(videos: pa.Table) -> tuple[Ints, int]:
    """Numbers of accounts [N], those without one each by itself; and how many have none."""
    if videos["account"].null_count == videos.num_rows:
        return np.arange(videos.num_rows, dtype=np.int32), videos.num_rows
    code, names = codes_by(videos, "account")
    none = code < 0
    code[none] = len(names) + np.arange(none.sum(), dtype=np.int32)
    return code, int(none.sum())


def are_whole(account_N: Ints, labelled: Ints) -> bool:
    """Whether all videos of every annotated account are annotated, and some account has several."""
    annotated = np.bincount(account_N[labelled], minlength=int(account_N.max()) + 1)
    videos, there = np.bincount(account_N, minlength=len(annotated)), annotated > 0
    return bool((annotated[there] == videos[there]).all() and (videos[there] > 1).any() and not there.all())
