"""Single cells of a workbook's sheet, changed where they stand: every other part of the file stays as it is.

Written as the parts are, and not by a library of workbooks: that would lose charts, pictures and much of the format.
"""

import io
import posixpath
import re
import zipfile
from collections.abc import Mapping
from typing import Final
from xml.etree import ElementTree

_MAIN: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_DOCUMENT: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_STYLE: Final = re.compile(rb'\ss="\d+"')


def workbook_with(data: bytes, sheet: str | None, cells: Mapping[tuple[int, int], str]) -> bytes:
    """The workbook with other texts or whole numbers in some cells, by line and place among the columns.

    `sheet`: None is the first one that is not hidden. `data` has been read as a workbook, so its XML declares nothing.
    Raises ValueError for a cell that is a formula, is not there, or is written in a way that is not known here.
    """
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as before,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as after,
    ):
        page = _part_of(before, sheet)
        for part in before.infolist():
            text = before.read(part)
            if part.filename == page:
                for (line, place), cell in cells.items():
                    text = _with_cell(text, f"{_letters(place)}{line}".encode(), cell)
            after.writestr(part, text)
    return made.getvalue()


def _part_of(parts: zipfile.ZipFile, sheet: str | None) -> str:
    """The part of a workbook that holds a sheet."""
    try:
        book = ElementTree.fromstring(parts.read("xl/workbook.xml"))  # noqa: S314 - whoever read it refused entities
        links = ElementTree.fromstring(parts.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
    except (KeyError, ElementTree.ParseError) as err:
        raise ValueError("the workbook's list of sheets is not where it is known to be") from err
    targets = {link.get("Id"): link.get("Target", "") for link in links}
    for one in book.iter(f"{_MAIN}sheet"):
        if one.get("name") == sheet or (sheet is None and one.get("state", "visible") == "visible"):
            target = targets.get(one.get(f"{_DOCUMENT}id"), "")
            return target[1:] if target.startswith("/") else posixpath.normpath(f"xl/{target}")
    raise ValueError("the workbook's list does not name that sheet")


def _with_cell(text: bytes, name: bytes, cell: str) -> bytes:
    found = list(re.finditer(rb'<c\s(?=[^>]*\br="%s")([^>]*?)(?:/>|>(.*?)</c>)' % name, text, re.DOTALL))
    if len(found) != 1:
        raise ValueError("an empty cell of a workbook, or one that is written in a way that is not known")
    [one] = found
    if b"<f" in (one[2] or b""):
        raise ValueError("a formula")
    style = _STYLE.search(one[1])
    head = b'<c r="%s"%s' % (name, style[0] if style else b"")
    number = re.fullmatch(r"-?\d+", cell)
    new = b"%s><v>%s</v></c>" if number else b'%s t="inlineStr"><is><t>%s</t></is></c>'
    return text[: one.start()] + new % (head, cell.encode()) + text[one.end() :]


def _letters(place: int) -> str:
    """The letters of a column: 0 is A, 26 is AA."""
    letters, n = "", place + 1
    while n:
        n, rest = divmod(n - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
