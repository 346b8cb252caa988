"""PostRows -> one Parquet file, as they come: a million of them in the memory of a few thousand."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from tikval.files import filesystem, is_local, make_folder, move_file
from tikval.rows import PostRow, arrow_schema
from tikval.sources.exports.post_rows import id_key

_BATCH: Final = 10_000  # rows


def write_posts(rows: Iterable[PostRow], folder: str, name: str = "_posts") -> str:
    """Write each post once, the first row of an id, into a folder; return the file's name, which its content gives it.

    In memory are some thousand rows and a number for each post.
    """
    schema, content = arrow_schema(PostRow), hashlib.sha256()
    with tempfile.TemporaryDirectory(dir=_place(folder), prefix=".tmp-") as scratch:
        made = Path(scratch) / "posts"
        with pq.ParquetWriter(made, schema, compression="zstd") as writer:
            posts = _first_of_each(rows)
            while batch := list(islice(posts, _BATCH)):
                table = pa.RecordBatch.from_pylist(batch, schema=schema)
                content.update(table.serialize())
                writer.write_batch(table)
        file = f"{name}-{content.hexdigest()[:16]}.parquet"
        move_file(made, f"{folder.rstrip('/')}/{file}")
    return file


def _place(folder: str) -> str | None:
    """Where the file is made: on the same disk, or for an object store wherever temporary files are."""
    if not is_local(folder):
        return None
    path = filesystem(folder)[1]
    make_folder(Path(path))
    return path


def _first_of_each(rows: Iterable[PostRow]) -> Iterator[PostRow]:
    seen: set[int | str] = set()
    for row in rows:
        if (key := id_key(row["video_id"])) not in seen:
            seen.add(key)
            yield row
