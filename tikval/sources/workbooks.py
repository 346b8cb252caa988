"""Sheets of .xlsx workbooks as tables: values only, and nothing that a hostile file could grow to.

No formula is computed: what a spreadsheet program last showed counts. Nothing outside the file is asked for.
"""

import io
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from tikval.sources.text_tables import RawTable

MAX_UNPACKED: Final = 2**29  # bytes of all parts of a workbook
_MAX_CELLS: Final = 20_000_000
_MAX_ROWS: Final = 2**20  # as spreadsheets have it
_MAX_COLUMNS: Final = 2**14
_PIECE: Final = 2**20
_DECLARED: Final = (
    b"<!DOCTYPE",
    b"<!ENTITY",
    "<!DOCTYPE".encode("utf-16-le"),
    "<!DOCTYPE".encode("utf-16-be"),
)


def read_workbook(data: bytes, sheet: str | None, notes: list[str]) -> RawTable:
    """The sheet that is named, else the first one that is not hidden; lines are the sheet's own.

    Raises ValueError for what is no workbook, is too large, or has a formula that nobody has computed.
    """
    _refuse_hostile(data)
    try:
        title, formulas = _cells(data, sheet, notes, computed=False)
        lines = [(line, cells) for line, cells in formulas if any(cell is not None for cell in cells)]
        if any(isinstance(cell, _Formula) for _, cells in lines for cell in cells):
            values = dict(_cells(data, title, [], computed=True)[1])
            lines = [(line, _computed(line, cells, values.get(line, ()))) for line, cells in lines]
    except ValueError:
        raise
    except Exception as err:  # the library raises what a damaged part happens to lead to
        raise ValueError(f"not an .xlsx workbook that can be read ({type(err).__name__})") from err
    if not lines:
        return RawTable((), lambda: iter(()), 1)
    (line, header), *rows = lines
    width = max(len(cells) for _, cells in lines)
    padded = [(n, [*cells, *[None] * (width - len(cells))]) for n, cells in rows]
    names = [*header, *[None] * (width - len(header))]
    return RawTable(tuple("" if name is None else str(name) for name in names), lambda: iter(padded), line)


def formula_places(data: bytes, sheet: str | None) -> set[tuple[int, int]]:
    """Line and place (from 0) of each formula of a sheet, for who wants none. Raises ValueError as above."""
    _refuse_hostile(data)
    _, rows = _cells(data, sheet, [], computed=False)
    return {(line, at) for line, cells in rows for at, cell in enumerate(cells) if isinstance(cell, _Formula)}


class _Formula:
    """The place of a formula, until its value is looked up."""


def _cells(
    data: bytes, sheet: str | None, notes: list[str], *, computed: bool
) -> tuple[str, Iterator[tuple[int, list[Any]]]]:
    """Title of the sheet, and its rows with their numbers."""
    import openpyxl  # a sixth of a second, for those who hand in a workbook

    with warnings.catch_warnings():  # of extensions that hold no cell
        warnings.simplefilter("ignore")
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=computed, keep_links=False)
    sheets = {found.title: found for found in book.worksheets}
    if sheet is not None and sheet not in sheets:
        raise ValueError(f"no sheet {sheet!r}; there are {', '.join(sheets)}")
    visible = [title for title, found in sheets.items() if found.sheet_state == "visible"]
    if not (visible or sheet):
        raise ValueError("has no sheet that is not hidden; name one behind a #, as in file.xlsx#Sheet1")
    title = sheet or visible[0]
    if sheet is None and len(sheets) > 1:
        others = ", ".join(name for name in sheets if name != title)
        notes.append(f"sheet {title!r} is read, and not {others}; file.xlsx#NAME reads another")
    page = sheets[title]
    page.reset_dimensions()  # what the file says of its size may be anything
    return title, _bounded(page.iter_rows())


def _bounded(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[int, list[Any]]]:
    """Rows by their number. Raises ValueError beyond what a spreadsheet holds."""
    n_cells = 0
    for number, row in enumerate(islice(rows, _MAX_ROWS + 1), start=1):
        n_cells += len(row)
        if number > _MAX_ROWS or len(row) > _MAX_COLUMNS or n_cells > _MAX_CELLS:
            raise ValueError(
                f"line {number}: larger than {_MAX_CELLS:,} cells; save the table as CSV or Parquet"
            )
        yield number, [_Formula() if cell.data_type == "f" else cell.value for cell in row]


def _computed(line: int, cells: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """The cells of a row with the values of its formulas."""
    known = [*values, *[None] * (len(cells) - len(values))]
    for cell, value in zip(cells, known, strict=False):
        if isinstance(cell, _Formula) and value is None:
            raise ValueError(
                f"line {line}: a formula whose value is not in the file; open it in a spreadsheet program and save it"
            )
    return [value if isinstance(cell, _Formula) else cell for cell, value in zip(cells, known, strict=False)]


def _refuse_hostile(data: bytes) -> None:
    """Raise ValueError for a workbook that unpacks to too much, or whose XML declares entities."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            if sum(part.file_size for part in parts.infolist()) > MAX_UNPACKED:
                raise ValueError(
                    f"unpacks to more than {MAX_UNPACKED // 2**20} MB; save the table as CSV or Parquet"
                )
            names = {part.filename for part in parts.infolist()}
            if not any(name.startswith("xl/") for name in names):
                raise ValueError(
                    "not an .xlsx workbook; unpack an archive first, and save other sheets as .xlsx"
                )
            for part in parts.infolist():
                with parts.open(part) as file:
                    before = b""
                    while piece := file.read(_PIECE):
                        if any(mark in before + piece for mark in _DECLARED):
                            raise ValueError("its XML declares entities, which is refused")
                        before = piece[-32:]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as err:
        raise ValueError(f"not an .xlsx workbook ({str(err)[:100]})") from err
