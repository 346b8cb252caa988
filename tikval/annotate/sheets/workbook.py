"""A coder's sheet as a workbook: a line an item, a column a question with a drop-down, and the codebook beside it.

The first worksheet is a table of annotations (sources/labels.py reads it): every answer says `not_answered` until it is
chosen, since an empty cell would read as absent. Whose line it is, of which round and codebook, stands in columns that
are hidden: lines can be sorted, filtered and saved by another program. Gold is not in it: it can give no feedback.
"""

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tikval.annotate.sheet import CodingSheet, Option
from tikval.annotate.sheets.workbook_columns import (
    ABSENT,
    SheetColumn,
    columns_of,
    options_words,
)
from tikval.annotate.sheets.workbook_pages import CODING, codebook_page, lists_page, readme_page, text_cell
from tikval.annotate.sheets.workbook_styles import colour_answers, head_row
from tikval.config import UserError
from tikval.sources.tables import column_key
from tikval.spreadsheet import workbook_text
from tikval.values import REST

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

_PROMPT: Final = 255  # characters of an input message, and
_PROMPT_TITLE: Final = 32  # of its title
_OUTSIDE: Final = re.compile(r"[/\\]|[a-zA-Z][\w+.-]*:")  # begins an address that is none of this folder
_REST: Final = (Option(ABSENT, ABSENT),)


def write_workbook_sheet(sheet: CodingSheet) -> bytes:
    """The sheet as .xlsx: to code in, the codebook, and how to fill it in.

    Raises UserError where a question is called as another column, which no reader could tell apart.
    """
    from openpyxl import Workbook

    book = Workbook()
    page = book.active
    page.title = CODING
    columns = list(columns_of(sheet))
    _check_names(columns)
    head_row(page, [(one.name, one.width, one.hidden, one.question) for one in columns])
    for place, item in enumerate(sheet.items, start=1):
        for at, column in enumerate(columns, start=1):
            text_cell(page, place + 1, at, column.cell(item, place))
    _links(page, sheet, columns)
    ranges = lists_page(book, [*(question.options for question in sheet.questions), _REST])
    for at, column in enumerate(columns, start=1):
        _drop_down(page, at, column, ranges, len(sheet.items))
    colour_answers(page, _answer_places(sheet, columns), len(sheet.items))
    page.freeze_panes = page.cell(2, 2 + [one.name for one in columns].index("file"))
    page.auto_filter.ref = page.dimensions
    codebook_page(book, sheet)
    readme_page(book, sheet)
    book["lists"].sheet_state = "hidden"
    book.move_sheet("lists", 2)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _check_names(columns: Sequence[SheetColumn]) -> None:
    keys = [column_key(column.name) for column in columns]
    if twice := [column.name for column, key in zip(columns, keys, strict=True) if keys.count(key) > 1]:
        raise UserError(
            f"{twice[0]!r} is the name of two columns of the workbook; rename the value in the codebook"
        )


def _links(page: "Worksheet", sheet: CodingSheet, columns: Sequence[SheetColumn]) -> None:
    """A click on a file opens it, where it lies below or beside the sheet's folder."""
    at = [one.name for one in columns].index("file") + 1
    for line, item in enumerate(sheet.items, start=2):
        if item.files and not _OUTSIDE.match(item.files[0]):
            page.cell(line, at).hyperlink = quote(item.files[0])


def _drop_down(
    page: "Worksheet", at: int, column: SheetColumn, ranges: dict[tuple[str, ...], str], n_items: int
) -> None:
    """What may be chosen in a column, with the definition as its input message."""
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    if column.question:
        words, title, about = (
            options_words(column.question),
            column.question.title,
            column.question.definition,
        )
    elif column.name == REST:
        words, title = [ABSENT], "All the others"
        about = f"Choose {ABSENT} when every value of this line that you have not answered is absent."
    else:
        return
    made = DataValidation(type="list", formula1=ranges[tuple(words)], allow_blank=True)
    made.promptTitle, made.prompt = _shortened(title, _PROMPT_TITLE), _shortened(about, _PROMPT)
    made.errorTitle, made.error = "Not an answer", "Choose one of the list, please."
    made.showInputMessage = made.showErrorMessage = True
    letter = get_column_letter(at)
    made.add(f"{letter}2:{letter}{n_items + 1}")
    page.add_data_validation(made)


def _shortened(text: str, most: int) -> str:
    """A text of `most` characters, as the format counts them: those outside the basic plane twice."""
    data = workbook_text(text).encode("utf-16-le")
    return (
        data.decode("utf-16-le")
        if len(data) <= 2 * most
        else f"{data[: 2 * most - 2].decode('utf-16-le', 'ignore')}…"
    )


def _answer_places(sheet: CodingSheet, columns: Sequence[SheetColumn]) -> dict[int, int | None]:
    """The column of each question, with that of another's answer to it, which is empty where nobody asks."""
    n_others = max((len(item.others) for item in sheet.items), default=0)
    return {
        at: at - n_others if n_others and not column.hidden else None
        for at, column in enumerate(columns, start=1)
        if column.question
    }
