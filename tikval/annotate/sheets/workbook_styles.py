"""How a coder's workbook looks: heads, widths, and answers in their colours, which follow what is chosen."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

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


def colour_answers(page: "Worksheet", places: Mapping[int, int | None], n_items: int) -> None:
    """Colour the answers in columns by what they say; grey where another's, in the second column, is empty.

    The rules look at what stands in a line, and so they stay right when lines are sorted.
    """
    from openpyxl.formatting.rule import FormulaRule
    from openpyxl.styles import Font, PatternFill
    from openpyxl.utils import get_column_letter

    for line in range(2, n_items + 2):
        page.row_dimensions[line].height = _LINE
    if not (places and n_items):
        return

    def span(at: int) -> str:
        return f"{get_column_letter(at)}2:{get_column_letter(at)}{n_items + 1}"

    def colour(wanted: str, formula: str) -> Any:
        return FormulaRule([formula], stopIfTrue=True, fill=PatternFill("solid", bgColor=wanted))

    for at, other in places.items():
        if other is not None:
            rule = colour(_NOT_ASKED, f'{get_column_letter(other)}2=""')
            page.conditional_formatting.add(span(at), rule)
    first = f"{get_column_letter(next(iter(places)))}2"
    pale = FormulaRule([f'OR({first}="",{first}="{NOT_ANSWERED}")'], stopIfTrue=True, font=Font(color=_PALE))
    words = [colour(wanted, f'{first}="{word}"') for word, wanted in _COLOURS.items()]
    for rule in (pale, *words, colour(_ANY, f'{first}<>""')):
        page.conditional_formatting.add(" ".join(map(span, places)), rule)
