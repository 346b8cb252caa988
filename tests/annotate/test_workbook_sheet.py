"""A coder's workbook: what is filled in comes back, nothing turns into "absent", and what is no answer is refused."""

import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tikval.annotate.sheet import CodingSheet, Gold, Others, SheetItem, questions_of
from tikval.annotate.sheets.filled_workbook import is_workbook_sheet, read_workbook_sheet
from tikval.annotate.sheets.workbook import write_workbook_sheet
from tikval.codebook import load_codebook
from tikval.config import UserError
from tikval.sources.labels import read_labels
from tikval.spreadsheet import csv_of
from tikval.values import SLUGS

BOOK = load_codebook(Path("prompts/codebook.yaml"))
ONE, TWO, OLD = "7412345678901234567", "7499999999999999999", "7300000000000000013"
ITEMS = (
    SheetItem(OLD, "practice", ("../videos/old.mp4",), gold=Gold({"face": "dominant"}, "told to nobody")),
    SheetItem(ONE, "main", ("../videos/a b#1.mp4",), caption="=HYPERLINK(1)", probability=0.25),
    SheetItem(TWO, "again", ("https://elsewhere/x.mp4",), caption="\x07 <b>plain</b>"),
)


def sheet_of(items: tuple[SheetItem, ...] = ITEMS) -> CodingSheet:
    rules = tuple((rule.title, rule.text) for rule in BOOK.guidelines)
    return CodingSheet("ann", "Values", BOOK.mark, rules, questions_of(BOOK), items)


Page = Any  # a worksheet, which openpyxl has no types for


def column(page: Page, name: str) -> int:
    return int(next(cell.column for cell in page[1] if cell.value == name))


def line_of(page: Page, item: str) -> int:
    return int(next(row[0].row for row in page.iter_rows() if row[0].value == item))


def put(page: Page, item: str, name: str, value: object) -> None:
    page.cell(line_of(page, item), column(page, name)).value = value


@pytest.fixture
def filled(tmp_path: Path) -> Callable[..., Path]:
    """A sheet as somebody saved it who did `change` with its first worksheet."""

    def save(change: Callable[[Page], None] = lambda page: None, sheet: CodingSheet | None = None) -> Path:
        path = tmp_path / "ann.xlsx"
        path.write_bytes(write_workbook_sheet(sheet or sheet_of()))
        book = openpyxl.load_workbook(path)
        change(book["coding"])
        book.save(path)
        return path

    return save


def answer(page: Page) -> None:
    put(page, ONE, "Hedonism", " Endorsed ")
    put(page, ONE, "Face", "NOT SURE")
    put(page, ONE, "Humility", None)  # emptied, which is no answer
    put(page, ONE, "note", "at the end")
    put(page, ONE, "value_notes", "general\nHedonism: the cake:\nall of it\nface: a fall")
    put(page, TWO, "Face", "confronted")
    put(page, TWO, "rest", "absent")


def test_what_is_filled_in_comes_back_and_nothing_else(filled: Callable[..., Path]) -> None:
    path = filled(answer)
    assert is_workbook_sheet(path)
    practice, one, two = read_workbook_sheet(path, BOOK)
    assert (practice.item, practice.round, practice.answers, practice.place) == (OLD, "practice", {}, 1)
    assert (one.item, one.coder, one.round, one.codebook) == (ONE, "ann", "main", BOOK.mark)
    assert one.answers == {"hedonism": "endorsed", "face": "not_sure"}
    assert (one.note, one.probability) == ("at the end\ngeneral", 0.25)
    assert one.value_notes == {"hedonism": "the cake: all of it", "face": "a fall"}
    assert two.round == "again"
    assert two.answers == dict.fromkeys(SLUGS, "absent") | {"face": "confronted"}


def test_read_as_annotations_an_empty_cell_is_not_absent(filled: Callable[..., Path]) -> None:
    rows = read_labels(str(filled(answer)), SLUGS, "schwartz-19", say=lambda note: None)
    found = {row["annotator"]: dict(zip(SLUGS, row["stances"], strict=True)) for row in rows}
    assert found["ann"] == dict.fromkeys(SLUGS) | {"hedonism": 1}
    assert found["ann (again)"] == dict.fromkeys(SLUGS, 0) | {"face": -1}
    assert set(found["ann (practice)"].values()) == {None}


def test_sorted_lines_a_moved_column_and_another_one_change_nothing(filled: Callable[..., Path]) -> None:
    def sort(page: Page) -> None:
        answer(page)
        rows = [[cell.value for cell in row] for row in page.iter_rows()]
        for line, row in enumerate([rows[0], *reversed(rows[1:])], start=1):
            for at, value in enumerate([*row[1:], row[0], "mine" if line == 1 else "x"], start=1):
                cell = page.cell(line, at)
                cell.value, cell.data_type = value, "n" if isinstance(value, float | int) else "s"
        del page.parent["read me"]
        page.title = "Sheet1"

    before, after = read_workbook_sheet(filled(answer), BOOK), read_workbook_sheet(filled(sort), BOOK)
    assert after == before[::-1]


def test_saved_as_csv_it_is_still_the_sheet(filled: Callable[..., Path], tmp_path: Path) -> None:
    path = filled(answer)
    rows = openpyxl.load_workbook(path)["coding"].values
    (tmp_path / "ann.csv").write_text(csv_of([["" if x is None else x for x in row] for row in rows]))
    assert is_workbook_sheet(tmp_path / "ann.csv")
    assert read_workbook_sheet(tmp_path / "ann.csv", BOOK) == read_workbook_sheet(path, BOOK)
    (tmp_path / "ann.csv").write_text("video_id,annotator,codebook\n")
    assert not is_workbook_sheet(tmp_path / "ann.csv")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("Hedonism", "maybe", "line 3, column Hedonism: 'maybe' is no answer; there are confronted, absent"),
        ("Hedonism", "?", "line 3, column Hedonism: '?' is no answer"),
        ("Hedonism", 1, "line 3, column Hedonism: '1' is no answer"),
        ("rest", "endorsed", "line 3, column rest: 'endorsed' is no answer for the rest"),
        (
            "video_id",
            7.41234567890123e18,
            "column video_id: 7.41234567890123e+18 is what a spreadsheet or a float column has left of",
        ),
        ("video_id", TWO, "is there before, in line 3"),
        ("annotator", None, "line 3, column annotator: empty"),
    ],
)
def test_what_is_no_answer_is_refused(
    filled: Callable[..., Path], name: str, value: object, message: str
) -> None:
    def change(page: Page) -> None:
        if value == TWO:
            put(page, TWO, "annotator", "ann")
        page.cell(3, column(page, name)).value = value

    with pytest.raises(UserError, match=re.escape(message)):
        read_workbook_sheet(filled(change), BOOK)


def test_a_formula_is_no_answer(filled: Callable[..., Path], tmp_path: Path) -> None:
    path = filled(lambda page: put(page, ONE, "Face", 77_777))
    with zipfile.ZipFile(path) as parts, zipfile.ZipFile(tmp_path / "computed.xlsx", "w") as other:
        for name in parts.namelist():
            computed = b't="str"><f>G4</f><v>absent</v>'  # as a program saves it, with what it computed
            data = parts.read(name).replace(b't="n"><v>77777</v>', computed)
            other.writestr(name, data)
    with pytest.raises(UserError, match="line 3, column Face: a formula; choose an answer"):
        read_workbook_sheet(tmp_path / "computed.xlsx", BOOK)


def test_a_column_that_was_taken_out_is_missed(filled: Callable[..., Path]) -> None:
    path = filled(lambda page: page.delete_cols(column(page, "Face")))
    with pytest.raises(UserError, match="no column face"):
        read_workbook_sheet(path, BOOK)


def test_texts_are_text_gold_is_not_there_and_only_files_nearby_are_links() -> None:
    data = write_workbook_sheet(sheet_of())
    assert b"told to nobody" not in data
    book = openpyxl.load_workbook(BytesIO(data))
    page = book["coding"]
    assert not any(
        "told to nobody" in str(cell.value) for each in book for row in each.iter_rows() for cell in row
    )
    caption = page.cell(3, column(page, "caption"))
    assert (caption.value, caption.data_type) == ("=HYPERLINK(1)", "s")
    assert {cell.data_type for row in page.iter_rows() for cell in row if cell.value is not None} == {
        "s",
        "n",
    }
    links = [page.cell(line, column(page, "file")).hyperlink for line in (3, 4)]
    assert links[0].target == "../videos/a%20b%231.mp4"
    assert links[1] is None
    assert page.cell(3, column(page, "note")).number_format == "@"  # so that "- perhaps" is no formula
    assert page.freeze_panes == "D2"
    hidden = [cell.value for cell in page[1] if page.column_dimensions[cell.column_letter].hidden]
    assert hidden == ["annotator", "codebook", "place", "probability", "tikval_sheet"]


def test_a_value_may_not_be_called_as_another_column() -> None:
    [first, *others] = questions_of(BOOK)
    with pytest.raises(UserError, match="'note' is the name of two columns"):
        write_workbook_sheet(
            replace(sheet_of(), questions=(replace(first, slug="note", title="Remark"), *others))
        )


def test_each_question_has_its_list_and_its_definition() -> None:
    book = openpyxl.load_workbook(BytesIO(write_workbook_sheet(sheet_of())))
    page = book["coding"]
    made = {str(one.sqref).split(":")[0][:-1]: one for one in page.data_validations.dataValidation}
    hedonism = made[page.cell(1, column(page, "Hedonism")).column_letter]
    assert hedonism.prompt.startswith(BOOK.values[3].definition[:200])
    words = [
        cell[0].value for cell in book["lists"][hedonism.formula1.removeprefix("lists!").replace("$", "")]
    ]
    assert words == ["confronted", "absent", "endorsed", "dominant", "not_sure", "not_answered"]
    assert book.sheetnames == ["coding", "codebook", "read me", "lists"]
    told = {cell.value for row in book["codebook"].iter_rows() for cell in row}
    assert set(BOOK.values[3].endorsing) <= told


def test_the_third_sees_both_answers_and_decides_what_is_asked(filled: Callable[..., Path]) -> None:
    others = (
        Others("Coder A", {"face": "endorsed", "humility": "dominant"}, "clear", {"face": "a fall"}),
        Others("Coder B", {"face": "absent", "humility": "dominant"}, "", {}),
    )
    sheet = sheet_of((SheetItem(ONE, "main", (), others=others, asked=("face",)),))
    path = filled(lambda page: put(page, ONE, "Face", "absent"), sheet)
    page = openpyxl.load_workbook(path)["coding"]
    told = {cell.value: page.cell(2, cell.column).value for cell in page[1]}
    assert (told["Coder A: Face"], told["Coder B: Face"]) == ("endorsed", "absent")
    assert told["Coder A: note"] == "clear\nface: a fall"
    assert "rest" not in told
    grey = [rule.formula for area in page.conditional_formatting for rule in area.rules]
    first = page.cell(1, column(page, "Coder A: Face")).column_letter
    assert [f'{first}2=""'] in grey  # where nobody asks
    assert "Coder A: Humility" not in told
    [decided] = read_workbook_sheet(path, BOOK)
    assert decided.answers == {"face": "absent"}  # what is not asked is not the third's word
