"""Exports as a DuckDB database: a table for each, and one that says what the columns are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from tikval.config import UserError
from tikval.report.export.columns import documentation
from tikval.report.export.values import Export

_MEMORY: Final = "200MB"
_ABOUT: Final = ("in_table", "column", "type", "about")


def write_database(exports: Sequence[Export], path: Path) -> None:
    """Write a table for each export by its name, and `columns`. Raises UserError without duckdb."""
    try:
        import duckdb
    except ImportError as err:
        raise UserError("a .duckdb file needs duckdb: pip install 'tikval[export]'") from err
    with duckdb.connect(str(path), config={"memory_limit": _MEMORY, "threads": 2}) as database:
        for export in exports:
            database.from_arrow(export.schema.empty_table()).create(export.name)
            for table in export.tables():
                database.from_arrow(table).insert_into(export.name)
        lines = [(export.name, *line) for export in exports for line in documentation(export.schema)]
        columns = zip(_ABOUT, zip(*lines, strict=True), strict=True)
        database.from_arrow(pa.table({name: list(texts) for name, texts in columns})).create("columns")
