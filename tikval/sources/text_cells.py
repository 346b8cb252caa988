"""Single cells of a table as text, changed where they stand: every other byte of the file stays as it is."""

import codecs
import io
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from tikval.sources.text_tables import text_form

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class _TextRecord(NamedTuple):
    line: int  # its last one, as the reader counts them
    cells: tuple[tuple[int, int], ...]  # begin and end in the text
    end: int  # of the record, without its line end


class TextCells:
    """A table's text with the places of its cells, by line and place among the columns."""

    def __init__(self, data: bytes, suffix: str = ".csv") -> None:
        """Raises ValueError for what is no text, or has a quote in a place where none may stand."""
        form = text_form(lambda: io.BytesIO(data), suffix, [])
        self._start, encoding = next(
            ((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", form.encoding)
        )
        self._encoding = encoding.removesuffix("-sig")  # which would write a mark
        self._mark = form.mark
        self._text = data[len(self._start) :].decode(self._encoding)
        self._records = {record.line: record for record in _records(self._text, form.mark)}
        found = _LINE_END.search(self._text)
        self._line_end = found[0] if found else "\n"

    def cell(self, line: int, place: int) -> str:
        """What stands there, with its quotes."""
        begin, end = self._records[line].cells[place]
        return self._text[begin:end]

    def replaced(self, cells: Mapping[tuple[int, int], str]) -> bytes:
        """The file with other texts in some cells; a cell in quotes keeps them. Texts need no quotes of their own."""
        spans = {self._records[line].cells[place]: text for (line, place), text in cells.items()}
        made = self._text
        for (begin, end), text in sorted(spans.items(), reverse=True):
            made = f"{made[:begin]}{_inside(made[begin:end], text)}{made[end:]}"
        return self._bytes(made)

    def with_line(self, after: int, cells: Sequence[str]) -> bytes:
        """The file with one more line behind the line `after`; cells are as `cell` gives them."""
        end = self._records[after].end
        new = f"{self._line_end}{self._mark.join(cells)}"
        return self._bytes(f"{self._text[:end]}{new}{self._text[end:]}")

    def lines_with(self, is_one: Callable[[str], bool]) -> list[int]:
        """The lines in which some cell, without its quotes, is one that is looked for; the names above are none."""
        return [
            record.line
            for record in list(self._records.values())[1:]
            if any(is_one(self._text[begin:end].strip().strip('"').strip()) for begin, end in record.cells)
        ]

    def without(self, lines: Collection[int]) -> bytes:
        """The file without some lines."""
        records = list(self._records.values())
        ends = [
            records[n + 1].cells[0][0] if n + 1 < len(records) else len(self._text)
            for n in range(len(records))
        ]
        pairs = zip(records, ends, strict=True)
        kept = (self._text[record.cells[0][0] : end] for record, end in pairs if record.line not in lines)
        return self._bytes("".join(kept))

    def _bytes(self, text: str) -> bytes:
        return self._start + text.encode(self._encoding)


def _inside(cell: str, text: str) -> str:
    found = re.fullmatch(r'(\s*"?)(.*?)("?\s*)', cell, re.DOTALL)
    return f"{found[1]}{text}{found[3]}" if found else text


def _records(text: str, mark: str) -> Iterator[_TextRecord]:
    quoted = r'"[^"]*(?:""[^"]*)*"'
    spaces = "" if mark == "\t" else " *"
    field = re.compile(rf"{spaces}{quoted}|[^{re.escape(mark)}\r\n]*")
    at, line = 0, 0
    while at < len(text):
        begin, cells = at, list[tuple[int, int]]()
        while True:
            found = field.match(text, at)
            assert found is not None  # an empty cell is one
            cells.append(found.span())
            at = found.end()
            if text[at : at + 1] != mark:
                break
            at += 1
        end, stop = at, _LINE_END.match(text, at)
        if stop is None and at < len(text):
            raise ValueError(f"line {line + 1}: letters stand behind a quoted cell")
        at = stop.end() if stop else at
        line += len(_LINE_END.findall(text, begin, end)) + 1
        yield _TextRecord(line, tuple(cells), end)
