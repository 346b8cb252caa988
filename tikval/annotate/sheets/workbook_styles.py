"""How a coder's workbook looks: heads, widths, and answers in their colours, which follow what is chosen."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tikval.annotate.sheet import SheetQuestion
from tikval.spreadsheet import workbook_text
from tikval.values import NOT_ANSWERED, NOT_SURE

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

_COLOURS: Final = {  # of an answer's cell; the word stands in it, so that no colour has to be told apart
    "confronted": "F4CCCC",
    "absent": "E8E8E8",
    "endorsed": "CFE8CF",
    "dominant": "8FCB8F",
    NOT_SURE: "FFE9A8",
}
_ANY: Final = "CFE2F3"  # another answer
_HEADS: Final = ("D9E2F3", "FBE5D6", "E2F0D9", "EADCF4")  # sections take turns
_HEAD, _NOT_ASKED, _PALE = "EDEDED", "C8C8C8", "9A9A9A"
_LINE: Final = 48  # points: three lines of text


def head_row(page: "Worksheet", columns: Sequence[tuple[str, float, bool, SheetQuestion | None]]) -> None:
    """Name, width, whether it is hidden, and the question of each column."""
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter

    sections = list(dict.fromkeys(question.section for *_, question in columns if question))
    for at, (name, width, hidden, question) in enumerate(columns, start=1):
        cell = page.cell(1, at, workbook_text(name))
        cell.data_type = "s"
        cell.font, cell.alignment = Font(bold=True), Alignment(wrap_text=True, vertical="top")
        colour = _HEADS[sections.index(question.section) % len(_HEADS)] if question else _HEAD
        cell.fill = PatternFill("solid", fgColor=colour)
        place = page.column_dimensions[get_column_letter(at)]
        place.width, place.hidden = width, hidden
    page.row_dimensions[1].height = _LINE


def colour_answers(
    page: "Worksheet", places: Sequence[int], not_asked: Sequence[tuple[int, int]], n_items: int
) -> None:
    """Colour the answers in columns `places` by what they say; `not_asked`: line and place of those to leave alone."""
    from openpyxl.formatting.rule import FormulaRule
    from openpyxl.styles import Font, PatternFill
    from openpyxl.utils import get_column_letter

    for line in range(2, n_items + 2):
        page.row_dimensions[line].height = _LINE
    for line, at in not_asked:
        page.cell(line, at).fill = PatternFill("solid", fgColor=_NOT_ASKED)
    if not (places and n_items):
        return
    spans = [f"{letter}2:{letter}{n_items + 1}" for letter in map(get_column_letter, places)]
    first = f"{get_column_letter(places[0])}2"
    pale = FormulaRule([f'OR({first}="",{first}="{NOT_ANSWERED}")'], stopIfTrue=True, font=Font(color=_PALE))
    rules = [pale]
    for word, colour in _COLOURS.items():
        fill = PatternFill("solid", bgColor=colour)
        rules.append(FormulaRule([f'{first}="{word}"'], stopIfTrue=True, fill=fill))
    rules.append(FormulaRule([f'{first}<>""'], fill=PatternFill("solid", bgColor=_ANY)))
    for rule in rules:
        page.conditional_formatting.add(" ".join(spans), rule)
