"""The other worksheets of a coder's workbook: the codebook, how to fill it in, and the lists behind the drop-downs."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from tikval.annotate.sheet import CodingSheet, Option, SheetQuestion
from tikval.annotate.sheets.workbook_columns import ABSENT, can_be_absent
from tikval.spreadsheet import workbook_text
from tikval.values import NOT_ANSWERED, NOT_SURE, REST

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

CODING: Final = "coding"  # the worksheet with the answers
_CODEBOOK: Final = ("section", "question", "answer", "what it is")
_LINE: Final = 15  # points
_OF_WIDTH: Final = 1.0  # letters that fit into one of a column's width, with room for wide ones
_WIDTHS: Final = (24, 28, 22, 110)


def text_cell(page: "Worksheet", line: int, at: int, value: str | float | None) -> None:
    """Put a value into a cell; a text is text, whatever it begins with, and so is what is typed into an empty one."""
    from openpyxl.styles import Alignment

    cell = page.cell(line, at)
    if isinstance(value, int | float):
        cell.value = value
        return
    if value is not None:
        cell.value = workbook_text(value)
        cell.data_type = "s"  # neither a formula nor an error
    cell.number_format = "@"
    cell.alignment = Alignment(wrap_text=True, vertical="top")


def lists_page(book: "Workbook", options: Iterable[Sequence[Option]]) -> dict[tuple[str, ...], str]:
    """The worksheet `lists`; returns the address of each list by its options' words."""
    page = book.create_sheet("lists")
    ranges: dict[tuple[str, ...], str] = {}
    for some in options:
        words = tuple(option.word for option in some)
        if words in ranges:
            continue
        at = len(ranges) + 1
        shown = words if words == (ABSENT,) else (*words, NOT_SURE, NOT_ANSWERED)
        for line, word in enumerate(shown, start=1):
            text_cell(page, line, at, word)
        letter = page.cell(1, at).column_letter
        ranges[words] = f"lists!${letter}$1:${letter}${len(shown)}"
    return ranges


def codebook_page(book: "Workbook", sheet: CodingSheet) -> None:
    """The worksheet `codebook`: each question under its heading, what sets it apart, examples; then the guidelines."""
    lines: list[Sequence[str]] = [_CODEBOOK]
    for question in sheet.questions:
        lines += [(question.section, question.title, about, text) for about, text in _about(question)]
    lines += [("Guidelines", title, "", text) for title, text in sheet.guidelines]
    _page(book, "codebook", lines, _WIDTHS)


def _about(question: SheetQuestion) -> Iterable[tuple[str, str]]:
    yield "Definition", question.definition
    yield from question.about
    for option in question.options:
        if option.help:
            yield option.title, option.help
    titles = {option.word: option.title for option in question.options}
    for word, texts in question.examples:
        for text in texts:
            yield f"Example: {titles.get(word, word)}", text


def readme_page(book: "Workbook", sheet: CodingSheet) -> None:
    """The worksheet `read me`."""
    _page(book, "read me", [*_how_to(sheet), *_which(sheet)], (28, 110))


def _how_to(sheet: CodingSheet) -> Iterable[tuple[str, str]]:
    yield "How to fill this in", "Code alone: do not talk about a line before everybody has handed in."
    yield (
        "1. Look",
        "A line of the worksheet `coding` is one item: open its file (a click on it), read its caption.",
    )
    yield (
        "2. Answer",
        f"Choose an answer in every coloured column. {NOT_ANSWERED} means that you have not answered yet; "
        f"{NOT_SURE} is an answer. What a question means is shown when its cell is chosen, and in `codebook`.",
    )
    if any(item.others for item in sheet.items):
        yield (
            "Decide",
            "You see what two coders answered and noted. Decide the cells that are not dark grey; the dark ones agree.",
        )
    elif can_be_absent(sheet):
        yield (
            "3. The rest",
            f"When all other values of a line are absent, choose {ABSENT} in its column `{REST}`: it answers for every "
            f"cell of the line that is empty or says {NOT_ANSWERED}. Without it these stay unanswered, never absent.",
        )
    yield (
        "Notes",
        "`note` is for the item. In `value_notes` write a line for a question: its name, a colon, text, "
        "as in `hedonism: only in the last second` (Alt+Enter makes a new line).",
    )
    if any(item.round == "practice" for item in sheet.items):
        yield (
            "Practice",
            "Lines that say `practice` come first. A workbook cannot tell whether an answer was right: who runs the "
            "study will, or take the .html sheet, which does.",
        )
    yield (
        "Please",
        "Sort and filter as you like. Change no id, and write no formula. Save as .xlsx, and hand it in.",
    )


def _which(sheet: CodingSheet) -> Iterable[tuple[str, str]]:
    yield "Sheet", sheet.title
    yield "Coder", sheet.coder
    yield "Codebook", sheet.codebook
    yield "Mark of this sheet", sheet.digest


def _page(book: "Workbook", title: str, lines: Sequence[Sequence[str]], widths: Sequence[int]) -> None:
    from openpyxl.styles import Font

    page: Any = book.create_sheet(title)
    for line, cells in enumerate(lines, start=1):
        for at, text in enumerate(cells, start=1):
            text_cell(page, line, at, text)
        needed = max(
            math.ceil(len(text) / (_OF_WIDTH * width)) for text, width in zip(cells, widths, strict=True)
        )
        page.row_dimensions[line].height = _LINE * max(1, needed)
    for at, width in enumerate(widths, start=1):
        page.column_dimensions[page.cell(1, at).column_letter].width = width
    for cell in page[1]:
        cell.font = Font(bold=True)
    page.freeze_panes = "A2"
