"""A coder's workbook as it comes back, sorted, moved about, saved by whatever program: its answers, or what is wrong.

The table that an HTML sheet saves has the same columns and is read in the same way.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tikval.annotate.coding import Coding, coder_and_round
from tikval.annotate.sheet import SheetQuestion, questions_of
from tikval.annotate.sheets.workbook_columns import (
    ABSENT,
    options_words,
)
from tikval.annotate.sheets.workbook_pages import CODING
from tikval.codebook import Codebook
from tikval.config import UserError
from tikval.sources.cells import as_text, number_in
from tikval.sources.ids import id_in_cell
from tikval.sources.tables import InputTable, column_key, open_table
from tikval.sources.workbooks import formula_places
from tikval.values import NOT_ANSWERED, NOT_SURE, REST, SHEET_MARK

_WHOSE: Final = ("annotator", "codebook")  # columns that every line has
_NUMBERS: Final = ("place", "probability", "seconds")
_MOST_BYTES: Final = 2**26  # of a file that comes back


def is_workbook_sheet(path: Path) -> bool:
    """Whether a file is a workbook that `write_workbook_sheet` made, filled in, or a table saved out of one."""
    try:
        return {*_WHOSE, SHEET_MARK} <= set(_opened(path).columns)
    except UserError:
        return False


def read_workbook_sheet(path: Path, codebook: Codebook) -> list[Coding]:
    """The answers of a filled workbook; raises UserError as `read_filled` does."""
    return read_filled(path, questions_of(codebook), "video_id")


def read_filled(path: Path, questions: Sequence[SheetQuestion], key: str) -> list[Coding]:
    """A coding for each line of a filled workbook, or of a table that an HTML sheet saved; `key`: the items' column.

    Lines may be sorted, columns moved and others added; an answer counts in any case and spacing. A cell that is empty
    or says not_answered is no answer, unless `rest` says that all such values of the line are absent. Raises UserError
    (file, line, column) for other words, for a formula, for a number that was an id, for a line that is there twice,
    and where a column is missing.
    """
    table = _opened(path)
    columns = table.pick({**dict.fromkeys((key, *_WHOSE), ()), **{q.slug: (q.title,) for q in questions}})
    more = table.pick(
        {REST: (), "note": (), "value_notes": (), **dict.fromkeys(_NUMBERS, ()), "coded_at": ()}
    )
    if missing := [name for name in (key, *_WHOSE, *(q.slug for q in questions)) if name not in columns]:
        raise UserError(f"{table.at(table.grid.line)}: no column {missing[0]}; was it taken out or renamed?")
    formulas = _formulas(path, table)
    places = {name: place for place, name in enumerate(table.grid.header)}
    found: dict[tuple[str, str], int] = {}
    codings = []
    for line, cells in table:
        for name in columns.values():
            if (line, places[name]) in formulas:
                raise UserError(f"{table.at(line, name)}: a formula; choose an answer or write it as text")
        told = {name: cells[column] for name, column in {**more, **columns}.items()}
        item, annotator = _item(told[key], key, table.at(line, columns[key])), as_text(told["annotator"])
        if not annotator:
            raise UserError(f"{table.at(line, columns['annotator'])}: empty; whose line is it?")
        if (before := found.setdefault((item, annotator), line)) != line:
            raise UserError(
                f"{table.at(line)}: this {key} is there before, in line {before}; leave one of the two"
            )
        answers = dict(_answers(table, line, told, columns, questions))
        codings.append(_coding(item, annotator, answers, told, questions))
    return codings


def _is_workbook(path: Path) -> bool:
    return path.suffix.lower() in (".xlsx", ".xlsm")


def _opened(path: Path) -> InputTable:
    """The worksheet with the answers, or the first one where it was renamed."""
    if path.is_file() and path.stat().st_size > _MOST_BYTES:
        raise UserError(f"{path}: larger than {_MOST_BYTES // 2**20} MB, which no filled sheet is")
    if not _is_workbook(path):
        return open_table(str(path))
    try:
        return open_table(f"{path}#{CODING}")
    except UserError:
        return open_table(str(path))


def _formulas(path: Path, table: InputTable) -> set[tuple[int, int]]:
    if not _is_workbook(path):
        return set()
    return formula_places(path.read_bytes(), CODING if table.name.endswith(f"#{CODING}") else None)


def _item(cell: Any, key: str, where: str) -> str:
    if cell is None:
        raise UserError(f"{where}: empty; which item is it?")
    try:
        return id_in_cell(cell).video_id if key == "video_id" else as_text(cell)
    except ValueError as err:
        raise UserError(f"{where}: {err}") from err


def _answers(
    table: InputTable,
    line: int,
    told: Mapping[str, Any],
    columns: Mapping[str, str],
    questions: Sequence[SheetQuestion],
) -> Iterator[tuple[str, str]]:
    rest = as_text(told.get(REST)).strip().casefold()
    if rest not in ("", ABSENT):
        raise UserError(
            f"{table.at(line, REST)}: {rest[:40]!r} is no answer for the rest; use {ABSENT} or nothing"
        )
    for question in questions:
        cell = told[question.slug]
        words = {column_key(name): o.word for o in question.options for name in (o.title, o.word)}
        words |= {column_key(NOT_SURE): NOT_SURE, column_key(NOT_ANSWERED): rest}
        key = column_key(NOT_ANSWERED if cell is None else as_text(cell))
        if key not in words:
            shown = ", ".join((*options_words(question), NOT_SURE))
            where = table.at(line, columns[question.slug])
            raise UserError(f"{where}: {as_text(cell)[:40]!r} is no answer; there are {shown}")
        if words[key]:
            yield question.slug, words[key]


def _coding(
    item: str,
    annotator: str,
    answers: Mapping[str, str],
    told: Mapping[str, Any],
    questions: Sequence[SheetQuestion],
) -> Coding:
    coder, round_ = coder_and_round(annotator)
    place, probability, seconds = (number_in(told.get(name) or "") for name in _NUMBERS)
    of_none, value_notes = _value_notes(as_text(told.get("value_notes")), questions)
    return Coding(
        item,
        coder,
        round_,
        answers,
        note="\n".join(filter(None, (as_text(told.get("note")), of_none))),
        value_notes=value_notes,
        place=None if place is None else int(place),
        codebook=as_text(told["codebook"]) or None,
        probability=probability,
        coded_at=as_text(told.get("coded_at")) or None,
        seconds=seconds,
    )


def _value_notes(text: str, questions: Sequence[SheetQuestion]) -> tuple[str, dict[str, str]]:
    """What a coder wrote, a line a question; one that names none belongs to the one above it, the first to none."""
    slugs = {column_key(name): one.slug for one in questions for name in (one.title, one.slug)}
    notes: dict[str, list[str]] = {"": []}
    at = ""
    for line in text.splitlines():
        name, mark, note = line.partition(":")
        named = slugs.get(column_key(name)) if mark else None
        at, text_of_it = (named, note) if named else (at, line)
        notes.setdefault(at, []).extend(text_of_it.split())
    return " ".join(notes.pop("")), {slug: " ".join(words) for slug, words in notes.items() if words}
