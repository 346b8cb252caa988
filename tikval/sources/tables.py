"""The one reader of tables that people hand in: text with any separator, workbooks, Parquet, JSON.

Whatever the form, a table has column names and rows of cells: an empty cell is None, text is without outer spaces and
marks that nobody sees, an empty row is no row. What was decided on the way (an encoding, a sheet, columns that nobody
uses) is a note, for people to read.
"""

import io
import math
import re
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import IO, Any, Final

from tikval.config import UserError
from tikval.files import open_stream, plain_address
from tikval.sources.cells import trimmed
from tikval.sources.record_tables import read_json_table, read_parquet_table
from tikval.sources.text_tables import RawTable, read_text_table
from tikval.sources.workbooks import read_workbook

TABLE_SUFFIXES: Final = (
    ".csv",
    ".tsv",
    ".tab",
    ".txt",
    ".xlsx",
    ".xlsm",
    ".parquet",
    ".jsonl",
    ".ndjson",
    ".json",
)
_SHEET: Final = re.compile(r"(?P<file>.*\.xls[xm])#(?P<sheet>.+)", re.IGNORECASE | re.DOTALL)
_OLD_WORKBOOK: Final = b"\xd0\xcf\x11\xe0"
_NAMED: Final = 12  # columns in a note

Say = Callable[[str], None]


def print_note(note: str) -> None:
    """Where notes go unless somebody asks for them otherwise."""
    print(f"tikval: note: {note}", file=sys.stderr)


@dataclass
class InputTable:
    """A table as it was handed in; iterating gives (line, cells by column name), as often as wanted."""

    name: str  # file or address, for messages
    grid: RawTable
    notes: list[str] = field(default_factory=list)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for name in self.grid.header if name)

    def at(self, line: int | None = None, column: str = "") -> str:
        """Where something is, for the start of a message."""
        parts = [self.name, *([f"line {line}"] if line is not None else [])]
        return ": ".join(filter(None, parts)) + (f", column {column}" if column else "")

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        return self.rows()

    def rows(self, exact: str | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        """Lines and cells; those of the column `exact` keep what stands around their text, if there is any text.

        Raises UserError for a row that is longer or shorter than the names above it.
        """
        header, width = self.grid.header, len(self.grid.header)
        named = [(place, name) for place, name in enumerate(header) if name]
        for line, cells in self.grid.rows():
            row = [_cell(cell) for cell in cells]
            if row.count(None) == len(row):
                continue
            if len(row) != width and (len(row) < width or any(cell is not None for cell in row[width:])):
                raise UserError(
                    f"{self.at(line)}: {len(row)} cells under {len(header)} column names; "
                    "a cell with the separator or a line break in it stands in quotes"
                )
            found = {name: row[place] for place, name in named}
            if exact is not None and found[exact] is not None:
                found[exact] = cells[header.index(exact)]
            yield line, found

    def pick(self, spellings: Mapping[str, Sequence[str]], taken: Collection[str] = ()) -> dict[str, str]:
        """The columns of this table that are wanted, by the name that we have for them.

        `spellings`: for each of our names what others call it, the likeliest first; case, spaces and signs in a name do
        not count. Columns that are `taken` are others. Raises UserError where two columns spell one name equally well.
        """
        keys: dict[str, list[str]] = {}
        for column in self.columns:
            if column in taken:
                continue
            keys.setdefault(column_key(column), []).append(column)
        found: dict[str, str] = {}
        for name, others in spellings.items():
            for key in dict.fromkeys(map(column_key, (name, *others))):
                if name not in found and key in keys and keys[key][0] not in found.values():
                    if len(keys[key]) > 1:
                        raise UserError(
                            f"{self.at(self.grid.line)}: {_both(keys[key])} are both {name}; leave one"
                        )
                    found[name] = keys[key][0]
        return found

    def say(self, say: Say, used: Mapping[str, str] | Sequence[str]) -> None:
        """Say the notes of this table, and name its columns that are not among the `used` ones."""
        known = set(used.values()) if isinstance(used, Mapping) else set(used)
        for note in self.notes:
            say(f"{self.name}: {note}")
        unused = [*(column for column in self.columns if column not in known), *self._nameless()]
        if unused:
            more = f" and {len(unused) - _NAMED} more" if len(unused) > _NAMED else ""
            say(f"{self.name}: columns that are not used: {', '.join(map(_short, unused[:_NAMED]))}{more}")

    def _nameless(self) -> list[str]:
        """Columns that have cells and no name, such as the row numbers that pandas writes."""
        places = [place for place, name in enumerate(self.grid.header) if not name]
        with_cells = {
            place
            for _, cells in (self.grid.rows() if places else ())
            for place in places
            if place < len(cells) and _cell(cells[place]) is not None
        }
        return [f"column {place + 1}, which has no name" for place in sorted(with_cells)]


def is_table(uri: str) -> bool:
    """Whether an address names a table, by its end; a sheet of a workbook may be named behind `#`."""
    return uri.lower().endswith(TABLE_SUFFIXES) or _SHEET.fullmatch(uri) is not None


def table_stem(uri: str) -> str:
    """A name for what a table holds: its sheet where one is named, else the file's name without its suffix."""
    sheet = _SHEET.fullmatch(uri)
    return sheet["sheet"] if sheet else PurePath(uri).stem


def table_file(uri: str) -> str:
    """The file that an address of a table means, without the name of a sheet."""
    sheet = _SHEET.fullmatch(uri)
    return sheet["file"] if sheet else uri


def open_table(uri: str) -> InputTable:
    """A table of a local disk or an object store; `file.xlsx#Sheet` names a sheet.

    Raises UserError, in one line, where the file is missing, is no table, or would run code.
    """
    named = _SHEET.fullmatch(uri)
    file, sheet = (named["file"], named["sheet"]) if named else (uri, None)
    name = plain_address(uri)
    if not file.lower().endswith(TABLE_SUFFIXES):
        raise UserError(
            f"{name}: expected a table, a {', '.join(TABLE_SUFFIXES[:-1])} or {TABLE_SUFFIXES[-1]} file"
        )
    return table_from(lambda: open_input(file), name, file.lower(), sheet)


def open_input(uri: str) -> IO[bytes]:
    """A file that somebody handed in, to be read from its beginning. Raises UserError where it cannot be."""
    try:
        return open_stream(uri)
    except FileNotFoundError as err:
        raise UserError(f"{plain_address(uri)}: no such file") from err
    except OSError as err:
        raise UserError(f"{plain_address(uri)}: cannot be read ({err.strerror or err})") from err


def table_of(data: bytes, name: str = "", suffix: str = ".csv", sheet: str | None = None) -> InputTable:
    """A table out of its bytes: what they are decides, and the suffix only among forms of text.

    Raises UserError as `open_table` does.
    """
    return table_from(lambda: io.BytesIO(data), name, suffix, sheet)


def table_from(
    open_: Callable[[], IO[bytes]], name: str = "", suffix: str = ".csv", sheet: str | None = None
) -> InputTable:
    """A table out of a file that can be opened as often as wanted: text and Parquet are read as their rows are.

    Raises UserError as `open_table` does.
    """
    with open_() as file:
        data = file.read(8)
    notes: list[str] = []
    where = f"{name}: " if name else ""
    try:
        if data.startswith(b"PAR1") or suffix.endswith(".parquet"):
            read = read_parquet_table(open_(), name)
        elif data.startswith(_OLD_WORKBOOK):
            raise ValueError(
                "a workbook of before 2007, or one with a password; save it as .xlsx without one"
            )
        elif data.startswith(b"\x1f\x8b"):
            raise ValueError("compressed; unpack it first")
        elif data.startswith(b"PK") or suffix.endswith((".xlsx", ".xlsm")):
            read = read_workbook(_bytes_of(open_), sheet, notes)
        elif suffix.endswith((".jsonl", ".ndjson", ".json")):
            read = read_json_table(open_, whole=suffix.endswith(".json"))
        else:
            read = read_text_table(open_, suffix, notes)
    except ValueError as err:
        raise UserError(f"{where}{err}") from err
    grid = RawTable(
        tuple(trimmed(str(name or "")) for name in read.header), _in_words(read.rows, where), read.line
    )
    table = InputTable(name, grid, notes)
    if not table.columns:
        raise UserError(f"{where}empty; expected a line of column names and lines below it")
    if twice := sorted({column for column in table.columns if table.columns.count(column) > 1}):
        raise UserError(f"{table.at(grid.line)}: a column name appears twice: {_short(twice[0])}")
    return table


def _bytes_of(open_: Callable[[], IO[bytes]]) -> bytes:
    with open_() as file:
        return file.read()


def column_key(name: str) -> str:
    """What of a column's name counts: letters and digits, in one case."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", name).casefold() if letter.isalnum())


def _cell(cell: Any) -> Any:
    """None for what is empty however it is written, text without what nobody sees around it, else the cell."""
    if isinstance(cell, str):
        text = trimmed(cell)
        return None if text in _EMPTY else text
    if isinstance(cell, float) and math.isnan(cell):
        return None
    return cell


_EMPTY: Final = frozenset(
    {"", "NaN", "nan", "NaT", "None", "<NA>", "NULL", "null", "#N/A", "#NV", "NA", "N/A"}
)  # as programs write it: pandas, R, databases, spreadsheets


def _in_words(
    rows: Callable[[], Iterator[tuple[int, Sequence[Any]]]], where: str
) -> Callable[[], Iterator[tuple[int, Sequence[Any]]]]:
    """The rows; what a form's reader says of a damaged one names the file too."""

    def read() -> Iterator[tuple[int, Sequence[Any]]]:
        try:
            yield from rows()
        except ValueError as err:
            raise UserError(f"{where}{err}") from err

    return read


def _both(columns: Sequence[str]) -> str:
    return " and ".join(map(repr, columns))


def _short(name: str) -> str:
    text = " ".join(name.split())
    return text if len(text) <= 40 else f"{text[:40]}..."
