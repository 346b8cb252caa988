"""VideoRows of a study that may be more than memory holds."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from tikval.files import iter_parquet
from tikval.machine import ScratchFolder
from tikval.rows import VideoRow, arrow_schema

_ROWS: Final = 2**13  # that are Python objects at once
_BYTES: Final = 128 * 2**20  # of a table: scripts may be long


class VideoRows:
    """Rows on a scratch disk: each iteration gives them anew, in their order."""

    def __init__(self, rows: Iterable[VideoRow]) -> None:
        self._scratch = ScratchFolder()  # as long as this object lives
        self._file = f"{self._scratch.path}/videos.parquet"
        self._n = 0
        with pq.ParquetWriter(self._file, arrow_schema(VideoRow), compression="lz4") as writer:
            for table in video_tables(rows, _ROWS):
                writer.write_table(table)
                self._n += table.num_rows

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[VideoRow]:
        for table in iter_parquet(self._file, None, _ROWS):
            yield from table.to_pylist()


def video_tables(rows: Iterable[VideoRow], most: int) -> Iterator[pa.Table]:
    """Tables of at most so many rows; at least one, which may be empty."""
    left, schema = iter(rows), arrow_schema(VideoRow)
    parts, size = list[pa.Table](), 0
    first = True
    while some := list(islice(left, min(_ROWS, most - size))):
        parts.append(pa.Table.from_pylist(some, schema=schema))
        size += len(some)
        if size == most or sum(part.nbytes for part in parts) >= _BYTES:
            yield pa.concat_tables(parts).combine_chunks()
            parts, size, first = [], 0, False
    if parts or first:
        yield pa.concat_tables(parts).combine_chunks() if parts else schema.empty_table()
