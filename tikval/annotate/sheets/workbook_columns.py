"""The columns of a coder's workbook: what stands in them, and what they are called."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tikval.annotate.coding import annotator_of, value_notes_text
from tikval.annotate.sheet import CodingSheet, SheetItem, SheetQuestion
from tikval.codebook import WORD
from tikval.sources.tables import column_key
from tikval.values import NOT_ANSWERED, REST, SHEET_MARK, Stance

ABSENT: Final = WORD[Stance.ABSENT]


@dataclass(frozen=True)
class SheetColumn:
    """A column of the first worksheet: what it has for an item at its place, from 1."""

    name: str
    width: float
    cell: Callable[[SheetItem, int], str | float | None]
    question: SheetQuestion | None = None
    hidden: bool = False


def question_heading(question: SheetQuestion) -> str:
    """The name of a question's column: its title, where that is the slug in a reader's eyes, too."""
    return question.title if column_key(question.title) == column_key(question.slug) else question.slug


def is_asked(item: SheetItem, question: SheetQuestion) -> bool:
    return item.asked is None or question.slug in item.asked


def columns_of(sheet: CodingSheet) -> Iterator[SheetColumn]:
    """The columns in their order; what no item has is left out."""
    items = sheet.items
    yield SheetColumn(sheet.key, 23, lambda item, _: item.item)
    if any(item.round == "practice" for item in items):
        yield SheetColumn("part", 9, lambda item, _: "practice" if item.round == "practice" else None)
    yield SheetColumn("file", 16, lambda item, _: "\n".join(item.files))
    yield SheetColumn("caption", 40, lambda item, _: item.caption)
    if any(item.script for item in items):
        yield SheetColumn("script", 30, lambda item, _: item.script)
    others = max((len(item.others) for item in items), default=0)
    for question in sheet.questions:
        hidden = not any(is_asked(item, question) for item in items)
        for n in range(0 if hidden else others):
            yield _answer_of_another(items, question, n)
        yield SheetColumn(question_heading(question), 15, lambda *_: NOT_ANSWERED, question, hidden)
    for n in range(others):
        yield _note_of_another(items, n)
    if not others and can_be_absent(sheet):
        yield SheetColumn(REST, 11, lambda *_: None)
    yield SheetColumn("note", 40, lambda *_: None)
    yield SheetColumn("value_notes", 40, lambda *_: None)
    yield SheetColumn("annotator", 12, lambda item, _: annotator_of(sheet.coder, item.round), hidden=True)
    yield SheetColumn("codebook", 12, lambda *_: sheet.codebook, hidden=True)
    yield SheetColumn("place", 8, lambda _, place: place, hidden=True)
    yield SheetColumn("probability", 8, lambda item, _: item.probability, hidden=True)
    yield SheetColumn(SHEET_MARK, 8, lambda *_: sheet.digest, hidden=True)


def can_be_absent(sheet: CodingSheet) -> bool:
    """Whether each question can be answered so, as values can."""
    return all(ABSENT in options_words(question) for question in sheet.questions)


def options_words(question: SheetQuestion) -> list[str]:
    return [option.word for option in question.options]


def _name_of(items: Sequence[SheetItem], n: int) -> str:
    return next(item.others[n].name for item in items if len(item.others) > n)


def _answer_of_another(items: Sequence[SheetItem], question: SheetQuestion, n: int) -> SheetColumn:
    def cell(item: SheetItem, _: int) -> str | None:
        there = len(item.others) > n and is_asked(item, question)
        return item.others[n].answers.get(question.slug, NOT_ANSWERED) if there else None

    return SheetColumn(f"{_name_of(items, n)}: {question.title}", 13, cell)


def _note_of_another(items: Sequence[SheetItem], n: int) -> SheetColumn:
    def cell(item: SheetItem, _: int) -> str | None:
        if len(item.others) <= n:
            return None
        other = item.others[n]
        return "\n".join(filter(None, (other.note, value_notes_text(other.value_notes)))) or None

    return SheetColumn(f"{_name_of(items, n)}: note", 30, cell)
