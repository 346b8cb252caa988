"""A stance is corrected in its cell alone, in whatever form the table is written; every other byte stays."""

import codecs
import csv
import io
import zipfile

import openpyxl
import pytest
from openpyxl.chart import BarChart, Reference
from openpyxl.styles import Font
from openpyxl.worksheet.datavalidation import DataValidation

from tikval.config import UserError
from tikval.sources.label_edit import LabelTable, correct, label_table, rows_of_video
from tikval.sources.workbook_cells import workbook_with

SLUGS = ("face", "humility", "tradition")
NAMES = {"v0": "v0", "v1": "v1", "clip one": "v1"}


def table(data: bytes, uri: str = "/home/somebody/labels.csv") -> LabelTable:
    return label_table(uri, data, SLUGS, "three", {"face": "Saving face"})


def corrected(
    data: bytes, video: str = "v1", uri: str = "/home/somebody/labels.csv", **stances: str
) -> bytes:
    mine = table(data, uri)
    (one,) = rows_of_video(mine, video, NAMES)
    return correct(mine, one, stances)[0]


WIDE = "video_id,face,note,humility\nv0,1,,0\nv1,0,,1\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (WIDE, WIDE.replace("v1,0,,1", "v1,0,,-1")),
        (WIDE.replace("\n", "\r\n"), WIDE.replace("\n", "\r\n").replace("v1,0,,1", "v1,0,,-1")),
        (WIDE.strip(), WIDE.strip().replace("v1,0,,1", "v1,0,,-1")),  # no line end behind the last
        ("sep=;\r\nvideo_id;humility\r\nv1;endorsed\r\n", "sep=;\r\nvideo_id;humility\r\nv1;confronted\r\n"),
        ('video_id,humility,note\n"v1", "endorsed","a ""b"",\n\nc"\n', None),
        ('video_id,note,humility\nv0,"two\r\nlines",1\r\n\r\nv1,x,1\r\n', None),
        ("video_id\thumility\nv0\t\nv1\tEndorsed\n", "video_id\thumility\nv0\t\nv1\tconfronted\n"),
        ("video_id,humility\nv0,0\nv1,\n", "video_id,humility\nv0,0\nv1,-1\n"),
        ("video_id,humility\nv0,not_sure\nv1,Not sure\n", "video_id,humility\nv0,not_sure\nv1,confronted\n"),
    ],
    ids=["codes", "crlf", "no end", "semicolons", "quotes", "lines in cells", "tabs", "empty", "not sure"],
)
def test_a_cell_alone_is_changed(before: str, after: str | None) -> None:
    made = corrected(before.encode(), humility="confronted").decode()
    if after is None:  # the cell of the last record is the only one that differs
        cells = [
            list(csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)) for text in (before, made)
        ]
        assert [old == new for old, new in zip(*cells, strict=True)][-1] is False
        assert len(made) - len(before) in (1, len("confronted") - len("endorsed"))
    else:
        assert made == after


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [(codecs.BOM_UTF8, "utf-8"), (b"", "cp1252"), (codecs.BOM_UTF16_LE, "utf-16-le"), (b"", "utf-16-be")],
)
def test_encodings_and_marks_stay(mark: bytes, encoding: str) -> None:
    text = "video_id,humility,note\nv0,1,Zoë\nv1,1,für\n"
    made = corrected(mark + text.encode(encoding), humility="absent")
    assert made == mark + text.replace("v1,1", "v1,0").encode(encoding)


LONG = "coder,video,value,stance,note\nann,v0,face,1,\nann,v1,Humility,-1,x\nann,v0,humility,1,\nbob,v1,face,1,\n"


def test_a_long_table_has_its_line_changed_or_one_more() -> None:
    mine = table(LONG.encode())
    ann = next(one for one in rows_of_video(mine, "v1", NAMES) if one.row["annotator"] == "ann")
    data, cells = correct(mine, ann, {"humility": "absent", "face": "dominant"})
    assert data.decode() == LONG.replace("v1,Humility,-1,x", "v1,Humility,0,x\nann,v1,face,2,")
    assert [(one.value, one.before, one.after, one.line, one.column) for one in cells] == [
        ("humility", "confronted", "absent", 3, "stance"),
        ("face", "absent", "dominant", 4, "stance"),
    ]
    with pytest.raises(UserError, match="no line with the value tradition, so nobody was asked"):
        correct(mine, ann, {"tradition": "absent"})  # a line of it would make all other videos absent


def test_lines_that_say_the_same_twice_are_both_changed() -> None:
    text = "video_id,value,stance\nv1,face,1\nv0,face,1\nv1,face,1\n"
    assert corrected(text.encode(), face="absent").decode() == text.replace("v1,face,1", "v1,face,0")


def test_what_is_so_already_is_left_alone() -> None:
    mine = table(WIDE.encode())
    (one,) = rows_of_video(mine, "v1", NAMES)
    assert correct(mine, one, {"face": "absent"}) == (WIDE.encode(), [])


def test_a_video_by_another_name() -> None:
    assert (
        corrected(WIDE.replace("v1", "clip one").encode(), face="endorsed")
        == WIDE.replace("v1,0", "clip one,1").encode()
    )


@pytest.mark.parametrize(
    ("data", "uri", "told"),
    [
        (
            b'[{"video_id": "v1", "humility": 1}]',
            "a.json",
            r"a\.json: line 1, column humility: only text",
        ),
        (
            WIDE.replace(",humility", ",Humility,humility").replace("\nv1,0", "\nv1,0,0").encode(),
            "a.csv",
            "are both",
        ),
        (b"video_id,humility\nv1,=1+0\n", "a.csv", "line 2, column humility: '=1[+]0' is not a stance"),
        (b"video_id,face\nv1,1\n", "a.csv", "no column humility, so nobody was asked"),
    ],
    ids=["json", "two columns", "formula", "no column"],
)
def test_what_cannot_be_changed_is_named(data: bytes, uri: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        corrected(data, uri=uri, humility="absent")


def workbook(*rows: list[object]) -> bytes:
    """A sheet behind a hidden one, with a drop-down, a chart and a style that are to stay."""
    book = openpyxl.Workbook()
    book.active.title, book.active.sheet_state = "Codes", "hidden"
    sheet = book.create_sheet("Labels")
    for row in rows:
        sheet.append(row)
    sheet["C3"].font = Font(bold=True)
    sheet.add_data_validation(DataValidation(type="list", formula1='"absent,endorsed"', sqref="B2:C9"))
    chart = BarChart()
    chart.add_data(Reference(sheet, min_col=3, min_row=1, max_row=3), titles_from_data=True)
    sheet.add_chart(chart, "F2")
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


@pytest.mark.parametrize("address", ["/x/labels.xlsx", "/x/labels.xlsx#Labels"])
@pytest.mark.parametrize(
    ("before", "after", "read"), [(1, "absent", 0), ("endorsed", "confronted", "confronted")]
)
def test_a_workbook_has_its_cell_changed_and_every_other_part_stays(
    before: object, after: str, read: object, address: str
) -> None:
    data = workbook(["video_id", "note", "humility"], ["v0", "<&>", before], ["v1", None, before])
    made = corrected(data, uri=address, humility=after)
    sheet = openpyxl.load_workbook(io.BytesIO(made))["Labels"]
    assert list(sheet.iter_rows(values_only=True))[1:] == [("v0", "<&>", before), ("v1", None, read)]
    assert sheet["C3"].font.bold
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(io.BytesIO(made)) as new:
        parts = old.namelist()
        assert new.namelist() == parts
        assert [part for part in parts if old.read(part) != new.read(part)] == ["xl/worksheets/sheet2.xml"]


def test_what_a_workbook_does_not_let_change_is_named() -> None:
    wide = workbook(["video_id", "face", "humility"], ["v0", 1, 1], ["v2", 1, 1], ["v1", 1])
    with pytest.raises(
        UserError, match=r"labels\.xlsx: line 4, column humility: an empty cell of a workbook"
    ):
        corrected(wide, uri="labels.xlsx", humility="endorsed")
    long = workbook(["video_id", "value", "stance"], ["v0", "humility", 1], ["v1", "face", 1])
    with pytest.raises(UserError, match="line 3, column humility: the workbook needs a line more; change it"):
        corrected(long, uri="labels.xlsx", humility="endorsed")
    with pytest.raises(ValueError, match="a formula"):
        workbook_with(workbook(["video_id", "value", "stance"], ["v0", "face", "=1+0"]), None, {(2, 2): "1"})
