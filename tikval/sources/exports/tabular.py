"""The lines of a table as rows with names within names: authorMeta/name stands within authorMeta."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tikval.sources.json_records import SourceRecord
from tikval.sources.tables import InputTable


def table_records(table: InputTable) -> Iterator[SourceRecord]:
    """The rows of a table; one that is longer or shorter than the names above it is a record without cells."""
    header = table.grid.header
    nested = nest(table.columns)
    places = [place for place, name in enumerate(header) if name]
    for line, cells in table.grid.rows():
        if len(cells) < len(header) or any(cell not in (None, "") for cell in cells[len(header) :]):
            problem = f"{len(cells)} cells under {len(header)} column names"
            yield SourceRecord(f"line {line}", None, problem=problem)
        else:
            yield SourceRecord(f"line {line}", nested([cells[place] for place in places]))


def nest(columns: Sequence[str]) -> Callable[[Sequence[Any]], dict[str, Any]]:
    """Return what makes of a line's cells the row that its columns' names describe."""
    split = [tuple(re.split(r"[./]", column)) for column in columns]
    plain = {parts[0] for parts in split if len(parts) == 1}
    paths = [
        parts if 1 < len(parts) <= 8 and all(parts) and parts[0] not in plain else (column,)
        for parts, column in zip(split, columns, strict=True)
    ]

    def row(cells: Sequence[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for (*outer, name), cell in zip(paths, cells, strict=True):
            into: Any = found
            for part in outer:
                into = into.setdefault(part, {}) if isinstance(into, dict) else None
            if isinstance(into, dict):
                into[name] = cell
        return found

    return row
