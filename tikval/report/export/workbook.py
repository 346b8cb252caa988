"""An export as a workbook: ids and all other texts as text cells, and a second sheet that says what the columns are."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tikval.config import UserError
from tikval.report.export.columns import documentation
from tikval.report.export.values import Export
from tikval.spreadsheet import workbook_text

MOST_ROWS: Final = 1_048_576  # of a sheet, the names of the columns among them
_ROWS: Final = 1_000  # that are Python objects at once


def check_rows(export: Export, file: str) -> None:
    """Raises UserError for more lines than a sheet has rows."""
    if export.rows >= MOST_ROWS:
        other = "leave out --long, or write" if export.name == "long" else "write"
        raise UserError(
            f"{file}: {export.rows:,} lines, and a sheet holds {MOST_ROWS - 1:,}; {other} .csv or .parquet"
        )


def write_workbook(export: Export, path: Path) -> None:
    """Write the sheets `values` (as the export is called) and `columns`. Raises UserError without openpyxl."""
    try:
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
    except ImportError as err:
        raise UserError("a workbook needs openpyxl: pip install openpyxl") from err
    book = Workbook(write_only=True)
    sheet, about = book.create_sheet(export.name), book.create_sheet("columns")
    sheet.freeze_panes = "B2"

    def cell(value: Any, of: Any) -> Any:
        if isinstance(value, datetime):
            return value.replace(tzinfo=None, microsecond=0)
        if not isinstance(value, str):
            return value
        made = WriteOnlyCell(of, workbook_text(value))
        made.data_type = "s"  # neither a formula nor an error, whatever it begins with
        return made

    with contextlib.closing(sheet):
        sheet.append([cell(name, sheet) for name in export.schema.names])
        for row in _rows(export):
            sheet.append([cell(value, sheet) for value in row])
    about.append(["column", "type", "about"])
    for line in documentation(export.schema):
        about.append([cell(text, about) for text in line])
    book.save(path)


def _rows(export: Export) -> Iterator[tuple[Any, ...]]:
    for table in export.tables():
        for batch in table.to_batches(_ROWS):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
