"""Tables as text: what encoding, what separator, and the rows. Pure: bytes in, a grid of cells out."""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import IO, Any, Final, NamedTuple

from tikval.sources.cells import trimmed
from tikval.spreadsheet import cell_text

_MAX_FIELD: Final = 2**24  # characters of a cell
_MAX_LINE: Final = 2**25  # characters
_SEPARATORS: Final = ",;\t|"
_LOOKED_AT: Final = 2**20  # characters, and so many lines, decide on the separator
_LINES: Final = 200
_SEP_LINE: Final = re.compile(r'"?sep=(?P<mark>.)"?[ \t]*(?:\r\n|\r|\n|$)', re.IGNORECASE)
_FOREIGN: Final = re.compile(r"\w*[^\x00-\x7f]\w*")


class RawTable(NamedTuple):
    """Column names, the rows under them with their lines, and the line of the names."""

    header: tuple[str, ...]
    rows: Callable[[], Iterator[tuple[int, Sequence[Any]]]]
    line: int


class TextForm(NamedTuple):
    """How a table is written as text."""

    encoding: str
    mark: str  # the separator
    skipped: int  # lines before the names: `sep=;`


def text_form(open_: Callable[[], IO[bytes]], suffix: str, notes: list[str]) -> TextForm:
    """The encoding and the separator of a table. Raises ValueError for what is no text."""
    encoding = _encoding(open_, notes)
    with _as_text(open_, encoding) as file:
        start = file.read(_LOOKED_AT + 1).lstrip("\ufeff")
    named = _SEP_LINE.match(start)
    start = start[named.end() :] if named else start
    mark = named["mark"] if named else "\t" if _is_tabbed(start, suffix) else _separator(start)
    return TextForm(encoding, mark, 1 if named else 0)


def read_text_table(open_: Callable[[], IO[bytes]], suffix: str, notes: list[str]) -> RawTable:
    """Text with commas, semicolons, tabs or bars, read line by line as often as its rows are asked for.

    Raises ValueError, now or while rows are read, with the line.
    """
    encoding, mark, skipped = text_form(open_, suffix, notes)

    def lines() -> Iterator[tuple[int, Sequence[str]]]:
        return _rows(_lines(open_, encoding, skipped), mark, skipped)

    line, header = next(lines(), (1, ()))
    return RawTable(tuple(header), lambda: islice(lines(), 1, None), line)


def _as_text(open_: Callable[[], IO[bytes]], encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        open_(), encoding, newline=""
    )  # ends lines at \r and \n only, unlike splitlines()


def _lines(open_: Callable[[], IO[bytes]], encoding: str, skipped: int) -> Iterator[str]:
    """The lines behind the first `skipped` ones. Raises ValueError for one that is too long to be held."""
    with _as_text(open_, encoding) as file:
        number = 0
        while line := file.readline(_MAX_LINE):
            number += 1
            if len(line) == _MAX_LINE:
                raise ValueError(f"line {number}: longer than {_MAX_LINE:,} characters")
            if number > skipped:
                yield line.lstrip("\ufeff") if number == 1 else line


def _encoding(open_: Callable[[], IO[bytes]], notes: list[str]) -> str:
    """The encoding is what the byte-order mark says, else UTF-8, else what programs in the West write: then a note."""
    with open_() as file:
        start = file.read(1000)
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", _without_mark(start))):
        if start.startswith(mark) and encoding:
            if (byte := _look_through(open_, encoding)) is not None:
                raise ValueError(f"not {encoding.upper()} text (byte {byte}); save it as UTF-8 CSV")
            return encoding
    if (wrong := _look_through(open_, "utf-8-sig")) is None:
        return "utf-8-sig"
    if (byte := _look_through(open_, "cp1252")) is not None:
        raise ValueError(
            f"not UTF-8 text (byte {wrong}), nor Windows-1252 (byte {byte}); save it as UTF-8 CSV"
        )
    with _as_text(open_, "cp1252") as file:
        chunks = iter(lambda: file.read(_LOOKED_AT), "")
        word = next((found[0] for text in chunks for found in _FOREIGN.finditer(text)), "")
    notes.append(f"not UTF-8: read as Windows-1252, such as {word[:40]!r}; save it as UTF-8 if that is wrong")
    return "cp1252"


def _look_through(open_: Callable[[], IO[bytes]], encoding: str) -> int | None:
    """The first byte that is none of this encoding, if there is one. Raises ValueError for a NUL character."""
    decoder = codecs.getincrementaldecoder(encoding)()
    position, line = 0, 1
    with open_() as file:
        while True:
            data = file.read(_LOOKED_AT)
            before = position - len(decoder.getstate()[0])
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as err:
                return before + err.start
            if (at := text.find("\0")) >= 0:
                line += text.count("\n", 0, at)
                raise ValueError(f"line {line}: a NUL character; this is damaged, or no text")
            if not data:
                return None
            position, line = position + len(data), line + text.count("\n")


def _without_mark(start: bytes) -> str:
    """UTF-16 that begins without a mark: every other byte of Latin text is zero."""
    pairs = len(start) // 2
    if pairs < 2 or b"\0" not in start:
        return ""
    if start[1::2].count(0) > 0.7 * pairs and not start[::2].count(0):
        return "utf-16-le"
    return "utf-16-be" if start[::2].count(0) > 0.7 * pairs and not start[1::2].count(0) else ""


def _is_tabbed(text: str, suffix: str) -> bool:
    return suffix.endswith((".tsv", ".tab")) and "\t" in text[:_LOOKED_AT]


def _separator(text: str) -> str:
    """The separator under which the lines are as wide as the names in the first one, and widest.

    Names that none of them parts are a single column.
    """
    best, chosen = (-1.0, 0), ","
    start = text[:_LOOKED_AT]  # what is behind it was not looked at
    for mark in _SEPARATORS:
        reader = csv.reader(io.StringIO(start, newline=""), delimiter=mark, skipinitialspace=mark != "\t")
        try:
            header, *rows = list(islice((row for row in reader if any(map(trimmed, row))), _LINES)) or [[]]
        except csv.Error:
            continue
        if len(text) > len(start):
            rows = rows[:-1]  # the last one was cut
        if len(header) > 1:
            fitting = sum(_fits(row, len(header)) for row in rows) / len(rows) if rows else 1.0
            if (fitting, len(header)) > best:
                best, chosen = (fitting, len(header)), mark
    return chosen


def _fits(row: Sequence[str], width: int) -> bool:
    """Whether a line is as wide as the names; separators at its end do not count."""
    return len(row) == width or (len(row) > width and not any(map(trimmed, row[width:])))


def _rows(lines: Iterator[str], mark: str, skipped: int) -> Iterator[tuple[int, Sequence[str]]]:
    csv.field_size_limit(_MAX_FIELD)  # csv's own limit ends the table at one long cell
    reader = csv.reader(lines, delimiter=mark, skipinitialspace=mark != "\t", strict=True)
    try:
        for cells in reader:
            if any(map(trimmed, cells)):
                yield reader.line_num + skipped, [cell_text(cell) for cell in cells]
    except csv.Error as err:
        raise ValueError(
            f"line {reader.line_num + skipped}: {err}; a quote in a quoted cell is doubled"
        ) from err
