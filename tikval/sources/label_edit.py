"""One stance in a table of annotations, corrected: the cell alone is changed, whatever form the table has as text.

What comes out is read again as annotations, and nothing may differ in them but what was to be corrected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tikval.codebook import WORD
from tikval.config import UserError
from tikval.files import is_local, plain_address
from tikval.rows import LabelRow
from tikval.sources.cells import as_text, number_in
from tikval.sources.ids import resolve_id
from tikval.sources.labels import LabelColumns, LabelLine, LabelPlace, label_columns, label_lines
from tikval.sources.tables import InputTable, table_file, table_of
from tikval.sources.text_cells import TextCells
from tikval.sources.workbook_cells import workbook_with
from tikval.values import NOT_ANSWERED, NOT_SURE

_BY_HAND: Final = "change it there by hand, and give the table to the analysis again"
_CODES: Final = {word: code for code, word in WORD.items()}
CORRECTIONS: Final = (*_CODES, NOT_SURE, NOT_ANSWERED)  # what a stance may be corrected to


@dataclass(frozen=True)
class LabelTable:
    """A table of annotations as it lies there, with the cells that its stances stand in."""

    uri: str
    data: bytes
    codebook_slugs: tuple[str, ...]
    label_set: str
    titles: Mapping[str, str]
    grid: InputTable
    columns: LabelColumns
    rows: Sequence[LabelLine]

    @property
    def name(self) -> str:
        """The file's name, without the folders above it."""
        return (
            self.uri.replace("\\", "/").rpartition("/")[2] if is_local(self.uri) else plain_address(self.uri)
        )


class CorrectedCell(NamedTuple):
    value: str
    before: str  # a word, as `after`
    after: str
    line: int
    column: str


def label_table(
    uri: str, data: bytes, slugs: Sequence[str], label_set: str, titles: Mapping[str, str]
) -> LabelTable:
    """Read a table out of its bytes; raises UserError as `read_labels` does."""
    grid = table_of(data, plain_address(uri), table_file(uri).lower(), _sheet(uri))
    rows = label_lines(grid, slugs, label_set, titles=titles, say=lambda _: None)
    columns = label_columns(grid, slugs, titles)
    return LabelTable(uri, data, tuple(slugs), label_set, titles, grid, columns, rows)


def _sheet(uri: str) -> str | None:
    file = table_file(uri)
    return uri.removeprefix(f"{file}#") if uri != file else None


def rows_of_video(table: LabelTable, video_id: str, names: Mapping[str, str]) -> list[LabelLine]:
    """What annotators say of a listed video; `names`: the listed video by every name that it has."""
    return [one for one in table.rows if resolve_id(one.row["video_id"], names) == video_id]


def stance_of(table: LabelTable, one: LabelLine, value: str) -> str:
    """The word of a stance, or what a cell without one says."""
    stance = one.row["stances"][table.codebook_slugs.index(value)]
    if stance is not None:
        return WORD[stance]
    place = one.places.get(value)
    return (
        NOT_ANSWERED
        if place is None
        else _cell_at(table, place.lines[0], place.column).lower().replace(" ", "_")
    )


def correct(
    table: LabelTable, one: LabelLine, stances: Mapping[str, str]
) -> tuple[bytes, list[CorrectedCell]]:
    """The file's new bytes, and what was changed: `stances` are words by value.

    A stance that is so already is left out. Raises UserError, naming line and column, where the table cannot be
    changed, and where anything else would change with it.
    """
    wanted = {value: word for value, word in stances.items() if word != stance_of(table, one, value)}
    places = {value: _place(table, one, value) for value in wanted}
    done, made = list[CorrectedCell](), table
    for value, word in wanted.items():
        before, mine = stance_of(made, one, value), places[value]
        try:
            data, line = _with_stance(made, one, value, mine, word)
        except ValueError as err:
            where = f"line {mine.lines[0] if mine else _last(one)}, column {mine.column if mine else value}"
            raise UserError(f"{table.name}: {where}: {err}; {_BY_HAND}") from err
        made = label_table(table.uri, data, table.codebook_slugs, table.label_set, table.titles)
        one = _same(made, one.row)
        column = mine.column if mine else made.columns.long["stance"]
        done.append(CorrectedCell(value, before, word, line, column))
    _check_nothing_else(table, made, one.row, wanted)
    return made.data, done


def _place(table: LabelTable, one: LabelLine, value: str) -> LabelPlace | None:
    """Where a stance stands; None: the long form has no line for it, so it is absent."""
    found = one.places.get(value)
    if found is None and not any(value in other.places for other in table.rows):
        what = "line with the value" if table.columns.long else "column"
        raise UserError(
            f"{table.name}: has no {what} {value}, so nobody was asked about it; nothing can be corrected"
        )
    return found


def _with_stance(
    table: LabelTable, one: LabelLine, value: str, place: LabelPlace | None, word: str
) -> tuple[bytes, int]:
    """The new bytes, and the line. Raises ValueError for a table that is neither text nor a workbook."""
    data, file, header = table.data, table_file(table.uri), table.grid.grid.header
    if data.startswith(b"PAR1") or file.lower().endswith((".json", ".jsonl", ".ndjson")):
        raise ValueError("only text (CSV, TSV) and workbooks are changed by tikval")
    if place is not None:
        at = header.index(place.column)
        text = _spelt(word, [_cell_at(table, place.lines[0], place.column), *_column(table, place.column)])
        cells_now = {(line, at): text for line in place.lines}
        if data.startswith(b"PK"):
            return workbook_with(data, _sheet(table.uri), cells_now), place.lines[0]
        return TextCells(data, file.lower()).replaced(cells_now), place.lines[0]
    if data.startswith(b"PK"):
        raise ValueError("the workbook needs a line more")
    cells = TextCells(data, file.lower())
    value_at, stance_at = (header.index(table.columns.long[name]) for name in ("value", "stance"))
    other = next(other.places[value].lines[0] for other in table.rows if value in other.places)
    about = {header.index(column) for column in table.columns.about.values()}
    line = [cells.cell(_last(one), at) if at in about else "" for at in range(len(header))]
    line[value_at] = cells.cell(other, value_at)
    line[stance_at] = _spelt(word, _column(table, table.columns.long["stance"]))
    new = cells.with_line(_last(one), line)
    return new, _last(one) + sum(text.count("\n") for text in line) + 1


def _last(one: LabelLine) -> int:
    """The last line of this video and annotator."""
    return max(line for place in one.places.values() for line in place.lines)


def _spelt(word: str, others: Sequence[str]) -> str:
    """A stance as the column has them, the first one that is there: in words or as codes."""
    known = (
        cell for cell in others if cell and cell.lower().replace(" ", "_") not in (NOT_SURE, NOT_ANSWERED)
    )
    in_codes = number_in(next(known, "")) is not None
    return str(_CODES[word]) if in_codes and word in _CODES else word


def _column(table: LabelTable, column: str) -> list[str]:
    return [as_text(cells[column]) for _, cells in table.grid]


def _cell_at(table: LabelTable, line: int, column: str) -> str:
    return next(as_text(cells[column]) for number, cells in table.grid if number == line)


def _same(table: LabelTable, row: LabelRow) -> LabelLine:
    key = (row["video_id"], row["annotator"])
    return next(one for one in table.rows if (one.row["video_id"], one.row["annotator"]) == key)


def _check_nothing_else(
    before: LabelTable, after: LabelTable, row: LabelRow, wanted: Mapping[str, str]
) -> None:
    """Raise UserError where a corrected table is not the same annotations with the wanted stances."""
    expected = []
    for one in before.rows:
        mine = (one.row["video_id"], one.row["annotator"]) == (row["video_id"], row["annotator"])
        codes = [
            _CODES.get(wanted[slug]) if mine and slug in wanted else code
            for slug, code in zip(before.codebook_slugs, one.row["stances"], strict=True)
        ]
        expected.append({**one.row, "stances": codes})
    if [one.row for one in after.rows] != expected:
        raise UserError(f"{before.name}: more than the wanted cell would change; {_BY_HAND}")
