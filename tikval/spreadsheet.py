"""Tables that people open in a spreadsheet: no cell is taken for a formula, and no id is cut, whoever wrote it."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

# what a program may skip before it looks: spaces, control and format characters, letters without a shape
_SKIPPED: Final = (
    "\x00-\x20\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\U000e0000-\U000e0fff"
)
# ASCII, as wide as a CJK character, small, and the mathematician's minus
_BEGINS: Final = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
# a number, of which a spreadsheet keeps 15 digits and no zeros before it: an id, or a recipe such as 12345e678901
_NUMBER: Final = "(?:[0-9]{16,}|0[0-9]+|[0-9]+[eE][0-9]+)\\z"
# with the apostrophes before it: a cell that looks quoted already is quoted once more, so that reading undoes it
_FORMULA: Final = f"\\A'*(?:[\t\r\n]|[{_SKIPPED}]*[{_BEGINS}]|{_NUMBER})"
_PATTERN: Final = re.compile(_FORMULA.replace("\\z", "\\Z"))  # as Python has the end
FORMULA_JS: Final = _FORMULA.replace("\\A", "^").replace(
    "\\z", "$"
)  # as JavaScript has both, with the flag u

# what the format of a workbook cannot hold: control characters and halves of letters
_NO_TEXT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MOST_CHARACTERS: Final = 32_767  # of a workbook's cell


def spreadsheet_safe(text: str) -> str:
    """A text, behind an apostrophe where a spreadsheet would take it for a formula or cut it as a number."""
    return f"'{text}" if _PATTERN.match(text) else text


def cell_text(cell: str) -> str:
    """The text of a cell that spreadsheet_safe may have changed."""
    return cell[1:] if cell[:1] == "'" and _PATTERN.match(cell[1:]) else cell


def workbook_text(text: str) -> str:
    """A text as a workbook's cell can hold it; the cell's type, text, is what keeps it from being a formula."""
    return _NO_TEXT.sub("\ufffd", text)[:_MOST_CHARACTERS]


def csv_of(rows: Iterable[Sequence[Any]], line_end: str = "\r\n") -> str:
    """Rows as CSV, texts made safe; numbers are written as they are."""
    return csv_bytes_of(rows, line_end).decode()


def csv_bytes_of(rows: Iterable[Sequence[Any]], line_end: str = "\r\n") -> bytes:
    """The same in UTF-8: of many rows, which stand in memory once."""
    sink = io.BytesIO()
    text = io.TextIOWrapper(sink, "utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator=line_end)
    writer.writerows(
        [spreadsheet_safe(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
    )
    text.detach()
    return sink.getvalue()


def csv_of_table(table: pa.Table) -> pa.Buffer:
    """A table as CSV, texts made safe, column names too."""
    sink = pa.BufferOutputStream()
    write_csv_of(sink, table.schema, [table])
    return sink.getvalue()


def write_csv_of(sink: Any, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write tables of a schema as one CSV in the same way; `sink`: a path or a file of pyarrow's."""
    head = _safe(schema.empty_table()).schema
    with pa.csv.CSVWriter(sink, head) as writer:
        for table in tables:
            writer.write_table(_safe(table))


def _safe(table: pa.Table) -> pa.Table:
    texts = [place for place, field in enumerate(table.schema) if field.type == pa.string()]
    safe = reduce(_with_safe_column, texts, table)
    return safe.rename_columns([spreadsheet_safe(name) for name in table.column_names])


def _with_safe_column(table: pa.Table, place: int) -> pa.Table:
    column = table.column(place)
    quoted = pc.binary_join_element_wise("'", column, "")
    safe = pc.if_else(pc.match_substring_regex(column, _FORMULA), quoted, column)
    return table.set_column(place, table.field(place), safe)
