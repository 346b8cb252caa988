"""Tables as text: what encoding, what separator, and the rows. Pure: bytes in, a grid of cells out."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from tikval.sources.cells import trimmed
from tikval.spreadsheet import cell_text

_MAX_FIELD: Final = 2**24  # characters of a cell
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


def read_text_table(data: bytes, suffix: str, notes: list[str]) -> RawTable:
    """Text with commas, semicolons, tabs or bars. Raises ValueError, now or while rows are read, with the line."""
    text = _decoded(data, notes).lstrip("\ufeff")
    if (at := text.find("\0")) >= 0:
        raise ValueError(
            f"line {text.count(chr(10), 0, at) + 1}: a NUL character; this is damaged, or no text"
        )
    named = _SEP_LINE.match(text)
    text, skipped = (text[named.end() :], 1) if named else (text, 0)
    mark = named["mark"] if named else "\t" if _is_tabbed(text, suffix) else _separator(text)
    line, header = next(_rows(text, mark, skipped), (1, ()))

    def rows() -> Iterator[tuple[int, Sequence[Any]]]:
        yield from islice(_rows(text, mark, skipped), 1, None)

    return RawTable(tuple(header), rows, line)


def _decoded(data: bytes, notes: list[str]) -> str:
    """The text, by its byte-order mark, else UTF-8, else as programs in the West write it, which is a note."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", _without_mark(data))):
        if data.startswith(mark) and encoding:
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as err:
                raise ValueError(
                    f"not {encoding.upper()} text (byte {err.start}); save it as UTF-8 CSV"
                ) from err
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError as err:
            raise ValueError(
                f"not UTF-8 text (byte {wrong.start}), nor Windows-1252 (byte {err.start}); save it as UTF-8 CSV"
            ) from err
    word = next((found[0] for found in _FOREIGN.finditer(text)), "")
    notes.append(f"not UTF-8: read as Windows-1252, such as {word[:40]!r}; save it as UTF-8 if that is wrong")
    return text


def _without_mark(data: bytes) -> str:
    """UTF-16 that begins without a mark: every other byte of Latin text is zero."""
    start = data[:1000]
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
    start = text[:_LOOKED_AT]
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


def _rows(text: str, mark: str, skipped: int) -> Iterator[tuple[int, Sequence[str]]]:
    lines = io.StringIO(text, newline="")  # ends lines at \r and \n only, unlike splitlines()
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
