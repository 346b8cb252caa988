"""What a system has answered, as a digest: the same answers in files of other names are the same answers."""

import hashlib
from typing import Final

import pyarrow as pa

from tikval.store.folder import Folder

_ORDER: Final = ("row_key", "sample", "seed")
_COLUMNS: Final = [*_ORDER, "error", "decisions", "scores"]


def answers_digest(folder: Folder) -> str:
    """16 hex digits of a finished table of predictions, whatever the order of its rows and the names of its files."""
    table = folder.read(_COLUMNS).sort_by([(name, "ascending") for name in _ORDER])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema.remove_metadata()) as writer:
        writer.write_table(table.replace_schema_metadata().combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()[:16]
