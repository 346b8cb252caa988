"""Tables as people have them: every form gives the same annotations, or one line that says where it is wrong."""

import io
import json
import re
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tikval.config import UserError
from tikval.sources import workbooks
from tikval.sources.cells import as_text, date_in, number_in
from tikval.sources.labels import read_labels
from tikval.sources.tables import is_table, open_table, table_of

SLUGS = ("hedonism", "benevolence_caring")
TITLES = {"hedonism": "Hedonism", "benevolence_caring": "Benevolence: caring"}
PLAIN = "video_id,hedonism,benevolence_caring\na,1,0\nb,-1,2\n"
LINES = [line.split(",") for line in PLAIN.splitlines()]
THERE = {"a": [1, 0], "b": [-1, 2]}
ID = "7412345678901234567"


def book(rows: list[list[Any]], **sheets: list[list[Any]]) -> bytes:
    """A workbook; more sheets by their names."""
    made = openpyxl.Workbook()
    for page, lines in (
        (made.active, rows),
        *((made.create_sheet(name), lines) for name, lines in sheets.items()),
    ):
        for line in lines:
            page.append(line)
    return saved(made)


def saved(made: Any) -> bytes:
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def changed(change: Callable[[Any], None], rows: list[list[Any]] | None = None) -> bytes:
    """The plain table as a workbook after a change of the book."""
    made = openpyxl.load_workbook(io.BytesIO(book(rows or LINES)))
    change(made)
    return saved(made)


def hidden_first(made: Any) -> None:
    made.create_sheet("notes", 0).append(["nothing"])
    made.worksheets[0].sheet_state = "hidden"


def far_cell(made: Any) -> None:
    made.active["XFD1"] = " "


def empty_lines(made: Any) -> None:
    made.active.insert_rows(1, 2)
    made.active.insert_cols(2)


def parquet(table: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(table), sink)
    return bytes(sink.getvalue())


def frame(**columns: Any) -> bytes:
    file = io.BytesIO()
    pd.DataFrame(columns).to_parquet(file)
    return file.getvalue()


def jsonl(*rows: dict[str, Any]) -> str:
    return "\n".join(map(json.dumps, rows))


RECORDS = [
    {"video_id": "a", "hedonism": 1, "benevolence_caring": 0},
    {"video_id": "b", "hedonism": -1, "benevolence_caring": 2},
]
LONG = "video_id,value,stance\na,hedonism,1\nb,hedonism,-1\nb,Benevolence: caring,dominant\n"
FORMS: dict[str, tuple[str, str | bytes]] = {
    "comma": ("t.csv", PLAIN),
    "no line end at the end": ("t.csv", PLAIN.rstrip()),
    "semicolon": ("t.csv", PLAIN.replace(",", ";")),
    "tab": ("t.csv", PLAIN.replace(",", "\t")),
    "bar": ("t.csv", PLAIN.replace(",", "|")),
    "tsv": ("t.tsv", PLAIN.replace(",", "\t")),
    "tab, suffix": ("t.tab", PLAIN.replace(",", "\t")),
    "txt": ("t.txt", PLAIN),
    "a tsv with commas": ("t.tsv", PLAIN),
    "suffix in capitals": ("T.CSV", PLAIN),
    "missing values of R": ("t.csv", PLAIN.replace("0\n", "NA\n")),
    "sep line": ("t.csv", "sep=;\r\n" + PLAIN.replace(",", ";")),
    "sep line, tab": ("t.csv", "sep=\t\n" + PLAIN.replace(",", "\t")),
    "sep line with a mark": ("t.csv", "\ufeffsep=,\n" + PLAIN),
    "sep line in quotes": ("t.csv", '"sep=;"\n' + PLAIN.replace(",", ";")),
    "utf-8 with a mark": ("t.csv", PLAIN.encode("utf-8-sig")),
    "two marks": ("t.csv", ("\ufeff\ufeff" + PLAIN).encode()),
    "utf-16": ("t.csv", PLAIN.encode("utf-16")),
    "utf-16 little, no mark": ("t.csv", PLAIN.encode("utf-16-le")),
    "utf-16 big, no mark": ("t.csv", PLAIN.encode("utf-16-be")),
    "utf-16 big with a mark": ("t.csv", ("\ufeff" + PLAIN).encode("utf-16-be")),
    "unicode text of a spreadsheet": ("t.txt", PLAIN.replace(",", "\t").encode("utf-16")),
    "cr": ("t.csv", PLAIN.replace("\n", "\r")),
    "crlf": ("t.csv", PLAIN.replace("\n", "\r\n")),
    "mixed ends": ("t.csv", PLAIN.replace("\n", "\r\n", 1).replace("\na", "\ra")),
    "crcrlf": ("t.csv", PLAIN.replace("\n", "\r\r\n")),
    "blank lines": ("t.csv", "\n\n" + PLAIN.replace("\n", "\n\n")),
    "empty rows before and at the end": ("t.csv", ",,\n" + PLAIN + ",,\n , ,\n"),
    "row numbers of pandas": (
        "t.csv",
        "".join(f"{'' if n == 0 else n - 1},{line}\n" for n, line in enumerate(PLAIN.splitlines())),
    ),
    "a mark before quotes": ("t.csv", '\ufeff\ufeff"video_id"' + PLAIN.removeprefix("video_id")),
    "empty columns": ("t.csv", "\n".join(f",{line},," for line in PLAIN.splitlines())),
    "trailing separators in the rows": ("t.csv", PLAIN.replace("0\n", "0,\n").replace("2\n", "2,,\n")),
    "spaces": ("t.csv", PLAIN.replace(",", " , ")),
    "hard and zero-width spaces": (
        "t.csv",
        PLAIN.replace(",", "\u200b,\u00a0").replace("a,", "\u2060a\ufeff,"),
    ),
    "everything in quotes": ("t.csv", re.sub(r"[^,\n]+", r'"\g<0>"', PLAIN)),
    "quotes behind a space": ("t.csv", PLAIN.replace("hedonism", ' "hedonism"')),
    "headers in capitals": ("t.csv", PLAIN.replace("hedonism", "HEDONISM").replace("video_id", "Video ID")),
    "headers as titles": ("t.csv", PLAIN.replace("benevolence_caring", "Benevolence: caring")),
    "headers with a line break": ("t.csv", PLAIN.replace("benevolence_caring", '"Benevolence:\ncaring"')),
    "headers of the paper": (
        "t.csv",
        PLAIN.replace("benevolence_caring", "1_Value1_Benevolence_Care_values"),
    ),
    "headers of the paper, short": ("t.csv", PLAIN.replace("benevolence_caring", "Benevolence_Care")),
    "headers with hyphens": ("t.csv", PLAIN.replace("benevolence_caring", "Benevolence \u2013 Caring")),
    "headers in an apostrophe": ("t.csv", PLAIN.replace("hedonism", "hedonism ")),
    "column of ids called otherwise": ("t.csv", PLAIN.replace("video_id", "Post ID")),
    "floats": ("t.csv", PLAIN.replace("1", "1.0").replace("2", "2.0").replace(",0", ",0.0")),
    "decimal commas": ("t.csv", PLAIN.replace(",", ";").replace("1", "1,0").replace("2", "2,00")),
    "a minus of mathematics": ("t.csv", PLAIN.replace("-", "\u2212")),
    "a dash": ("t.csv", PLAIN.replace("-", "\u2013")),
    "a plus": ("t.csv", PLAIN.replace("a,1", "a,+1")),
    "a defused minus": ("t.csv", PLAIN.replace("-1", "'-1")),
    "empty is absent": ("t.csv", PLAIN.replace(",0", ",")),
    "NaN is absent": ("t.csv", PLAIN.replace(",0", ",NaN")),
    "None is absent": ("t.csv", PLAIN.replace(",0", ",None")),
    "words": ("t.csv", PLAIN.replace("-1", "Confronted").replace("1", "present").replace("2", " DOMINANT ")),
    "captions with semicolons": (
        "t.csv",
        "video_id,caption,hedonism,benevolence_caring\na,one; two; three,1,0\nb,four;five,-1,2\n",
    ),
    "captions with commas": (
        "t.csv",
        "video_id;caption;hedonism;benevolence_caring\na;one, two, three;1;0\nb;four,five;-1;2\n",
    ),
    "captions with separators and breaks in quotes": (
        "t.csv",
        'video_id,caption,hedonism,benevolence_caring\na,"1;2;3\n4;5,6",1,0\nb,"say ""no"", now",-1,2\n',
    ),
    "titles with commas": (
        "t.csv",
        "video_id;notes, if any, in words;hedonism;benevolence_caring\na;0,5;1;0\nb;0,7;-1;2\n",
    ),
    "a very long caption": (
        "t.csv",
        f"video_id,caption,hedonism,benevolence_caring\na,{'x;' * 200_000},1,0\nb,,-1,2\n",
    ),
    "a quote inside": ("t.csv", 'video_id,note,hedonism,benevolence_caring\na,5" wide,1,0\nb,6" wide,-1,2\n'),
    "a workbook": ("t.xlsx", book(LINES)),
    "a workbook of numbers": ("t.xlsx", book([LINES[0], ["a", 1, 0], ["b", -1.0, 2]])),
    "a workbook called csv": ("t.csv", book(LINES)),
    "a workbook with an empty row and column": ("t.xlsx", changed(empty_lines)),
    "a workbook whose first sheet is hidden": ("t.xlsx", changed(hidden_first)),
    "a workbook with a cell far away": ("t.xlsx", changed(far_cell)),
    "a named sheet": ("t.xlsx#Coder 1", book([["nothing"]], **{"Coder 1": LINES})),
    "parquet": ("t.parquet", parquet(pa.Table.from_pylist(RECORDS))),
    "parquet called csv": ("t.csv", parquet(pa.Table.from_pylist(RECORDS))),
    "parquet of floats": (
        "t.parquet",
        frame(video_id=["a", "b"], hedonism=[1.0, -1.0], benevolence_caring=[float("nan"), 2.0]),
    ),
    "parquet of words in a dictionary": (
        "t.parquet",
        parquet(
            {
                "video_id": ["a", "b"],
                "hedonism": pa.array(["endorsed", "conflict"]).dictionary_encode(),
                "benevolence_caring": [None, "dominant"],
            }
        ),
    ),
    "json lines": ("t.jsonl", jsonl(*RECORDS)),
    "ndjson with blank lines": ("t.ndjson", jsonl(*RECORDS).replace("\n", "\r\n\r\n") + "\n"),
    "json, a list": ("t.json", json.dumps(RECORDS, indent=1)),
    "json, lines": ("t.json", jsonl(*RECORDS)),
    "json without what is absent": (
        "t.jsonl",
        jsonl({"video_id": "a", "hedonism": 1}, {"video_id": "b", "hedonism": -1, "benevolence_caring": 2}),
    ),
    "long": ("t.csv", LONG),
    "long, semicolons, a line twice": ("t.csv", (LONG + "a,hedonism,1\n").replace(",", ";")),
    "long, other names": ("t.csv", LONG.replace("value", "Value name").replace("stance", "Code")),
    "long, json": (
        "t.jsonl",
        jsonl(
            *(
                dict(zip(("video_id", "value", "stance"), line.split(","), strict=True))
                for line in LONG.splitlines()[1:]
            )
        ),
    ),
    "long, every stance": ("t.csv", LONG + "a,benevolence_caring,0\n"),
}


def write(folder: Path, name: str, data: str | bytes) -> str:
    (folder / name.partition("#")[0]).write_bytes(data.encode() if isinstance(data, str) else data)
    return str(folder / name)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_table(form: str, tmp_path: Path) -> None:
    name, data = FORMS[form]
    notes: list[str] = []
    rows = read_labels(write(tmp_path, name, data), SLUGS, "two", titles=TITLES, say=notes.append)
    assert {row["video_id"]: row["stances"] for row in rows} == THERE
    assert not [note for note in notes if "not used" not in note and "sheet" not in note]


WRONG: dict[str, tuple[str, str | bytes, str]] = {
    "nothing": ("t.csv", "", "t.csv: empty; expected a line of column names"),
    "a mark only": ("t.csv", "\ufeff\n", "empty"),
    "spaces only": ("t.csv", " , \n", "empty"),
    "an empty workbook": ("t.xlsx", book([]), "empty"),
    "no json": ("t.jsonl", '{"video_id": "a"}\n{oops\n', "line 2: not JSON"),
    "json of lists": ("t.json", "[[1, 2]]", "line 1: not an object"),
    "json, deep": ("t.json", "[" * 100_000, "not JSON"),
    "nul": ("t.csv", PLAIN.replace("b,", "b\0,"), "line 3: a NUL character"),
    "one cell less": ("t.csv", PLAIN + "c,1\n", "line 4: 2 cells under 3 column names"),
    "one cell more": ("t.csv", PLAIN + "c,1,0,1\n", "line 4: 4 cells under 3 column names"),
    "compressed": ("t.csv", b"\x1f\x8b\x08" + b"x" * 20, "compressed; unpack it first"),
    "an open quote": ("t.csv", PLAIN + '"c,1,0\n', "line 4: unexpected end of data"),
    "one name twice": (
        "t.csv",
        "video_id,hedonism, hedonism\na,1,0\n",
        "line 1: a column name appears twice: hedonism",
    ),
    "one name twice in other words": (
        "t.csv",
        "video_id,Hedonism,HEDONISM \na,1,0\n",
        "line 1: 'Hedonism' and 'HEDONISM' are both hedonism",
    ),
    "a typo in a name": (
        "t.csv",
        "video_id,hedonsim\na,1\n",
        "line 1, column 'hedonsim': no such value; is hedonism meant",
    ),
    "names alone": ("t.csv", "video_id,hedonism\n", "annotates no video: no line stands below"),
    "percent": ("t.csv", PLAIN.replace("a,1", "a,100%"), "line 2, column hedonism: '100%' is not a stance"),
    "half": ("t.csv", PLAIN.replace("a,1", "a,0.5"), "line 2, column hedonism: '0.5' is not a stance"),
    "true": ("t.xlsx", book([LINES[0], ["a", True, 0]]), "line 2, column hedonism: True is not a stance"),
    "a date for a stance": (
        "t.xlsx",
        book([LINES[0], ["a", datetime(2026, 1, 2), 0]]),
        "line 2, column hedonism: .* is not a stance",
    ),
    "a date for an id": (
        "t.xlsx",
        book([LINES[0], [datetime(2026, 4, 3), 1, 0]]),
        "line 2, column video_id: .* is a date",
    ),
    "no id": ("t.csv", PLAIN + ",1,0\n", "line 4, column video_id: empty"),
    "no column of ids": (
        "t.csv",
        "clip,hedonism\na,1\n",
        "line 1: no column video_id; there are clip, hedonism",
    ),
    "no value": ("t.csv", "video_id,mood\na,1\n", "column 'mood': no such value; known are hedonism"),
    "a formula that nobody computed": (
        "t.xlsx",
        book([LINES[0], ["a", "=1+0", 0]]),
        "line 2: a formula whose value",
    ),
    "no such sheet": ("t.xlsx#Coder 2", book(LINES), "no sheet 'Coder 2'; there are Sheet"),
    "no workbook": ("t.xlsx", PLAIN, "not an .xlsx workbook"),
    "half a workbook": ("t.xlsx", book(LINES)[:900], "not an .xlsx workbook"),
    "another archive": ("t.csv", b"PK\x03\x04" + b"\0" * 50, "not an .xlsx workbook"),
    "an old workbook": ("t.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "before 2007"),
    "no parquet": ("t.parquet", PLAIN, "not a Parquet file"),
    "neither encoding": (
        "t.csv",
        b"video_id,hedonism\nm\x81,1\n",
        r"not UTF-8 text \(byte 19\), nor Windows-1252",
    ),
    "a broken utf-16": ("t.csv", b"\xff\xfea", "not UTF-16 text"),
    "long, twice": (
        "t.csv",
        LONG + "a,Hedonism,0\n",
        "line 5: hedonism of a is 0 here and 1 in line 2",
    ),
    "long, no such value": (
        "t.csv",
        LONG + "a,mood,1\n",
        "line 5, column value: 'mood' is no value; known are hedonism",
    ),
    "long, no stance": ("t.csv", LONG + "a,hedonism,yes\n", "line 5, column stance: 'yes' is not a stance"),
    "a probability": (
        "t.csv",
        "video_id,hedonism,probability\na,1,1.5\n",
        "line 2, column probability: '1.5' is no",
    ),
    "a probability of none": (
        "t.csv",
        "video_id,hedonism,probability\na,1,0\n",
        "line 2, column probability: '0' is no",
    ),
    "an account's address": (
        "t.csv",
        "video_id,hedonism\nhttps://www.tiktok.com/@jane,1\n",
        "line 2, column video_id: .* is not the address of a video",
    ),
    "cut by a spreadsheet": (
        "t.csv",
        "video_id,hedonism\n7.41E+18,1\n",
        "line 2, column video_id: 7.41E.18 is what a spread",
    ),
    "cut to zeros": (
        "t.csv",
        "video_id,hedonism\n7412345678901230000,1\n",
        "line 2, column video_id: .*last digits are gone",
    ),
    "cut in a workbook": (
        "t.xlsx",
        book([LINES[0], [int(ID), 1, 0]]),
        "line 2, column video_id: .*last digits are gone",
    ),
    "cut in a float column": (
        "t.parquet",
        frame(video_id=[float(ID), 7.3e18], hedonism=[1, 1]),
        "line 1, column video_id: 7.412345678901235e.18 .*float column",
    ),
    "cut and written out": (
        "t.csv",
        f"video_id,hedonism\n{int(float(ID))},1\n",
        "line 2, column video_id: .*last digits are gone",
    ),
    "cut in json": (
        "t.jsonl",
        '{"video_id": 7.412345678901235e18, "hedonism": 1}',
        "line 1, column video_id: .*float",
    ),
    "a spreadsheet of another program": ("t.ods", PLAIN, "expected a table, a .csv, .tsv"),
}


@pytest.mark.parametrize("form", WRONG)
def test_what_is_wrong_is_one_line_with_its_place(form: str, tmp_path: Path) -> None:
    name, data, message = WRONG[form]
    with pytest.raises(UserError, match=message) as err:
        read_labels(write(tmp_path, name, data), SLUGS, "two", titles=TITLES, say=lambda _: None)
    assert name.partition("#")[0] in str(err.value)
    assert "\n" not in str(err.value)


def labels_of(tmp_path: Path, name: str, data: str | bytes) -> tuple[list[Any], list[str]]:
    notes: list[str] = []
    rows = read_labels(write(tmp_path, name, data), SLUGS, "two", titles=TITLES, say=notes.append)
    return list(rows), notes


@pytest.mark.parametrize(
    ("name", "data", "video_id", "account"),
    [
        ("t.csv", f"video_id,hedonism\n {ID} ,1\n", ID, None),
        ("t.csv", f'video_id,hedonism\n"{int(ID):,}",1\n', ID, None),
        ("t.csv", f"video_id;hedonism\n{int(ID):,};1\n".replace(",", "."), ID, None),
        ("t.csv", f"video_id,hedonism\nC:\\clips\\{ID}.mp4,1\n", ID, None),
        ("t.csv", f"video_id,hedonism\nD:\\@jane_doe_video_{ID}.mp4,1\n", ID, "jane_doe"),
        ("t.csv", f"video_id,hedonism\n{ID}.0,1\n", ID, None),
        ("t.csv", f"video_id,hedonism\n'{ID},1\n", ID, None),
        ("t.csv", f'video_id,hedonism\n"=""{ID}""",1\n', ID, None),
        (
            "t.csv",
            f"video_id,hedonism\nhttps://www.tiktok.com/@jane.doe/video/{ID}?is_copy_url=1,1\n",
            ID,
            "jane.doe",
        ),
        ("t.csv", f"url,hedonism\nhttps://www.tiktok.com/@jane.doe/video/{ID},1\n", ID, "jane.doe"),
        ("t.csv", f"video_id,hedonism\n@jane_video_{ID}.mp4,1\n", ID, "jane"),
        ("t.csv", 'video_id,hedonism\n"=""0012""",1\n', "0012", None),
        ("t.parquet", parquet({"video_id": [int(ID)], "hedonism": [1]}), ID, None),
        ("t.parquet", frame(video_id=[12.0], account=[5.0], hedonism=[1]), "12", "5"),
        ("t.jsonl", f'{{"video_id": {ID}, "hedonism": 1}}', ID, None),
        ("t.xlsx", book([["video_id", "hedonism"], [ID, 1]]), ID, None),
        ("t.xlsx", book([["video_id", "account", "hedonism"], [12, 7, 1]]), "12", "7"),
    ],
)
def test_ids_come_out_of_their_dress(
    name: str, data: str | bytes, video_id: str, account: str | None, tmp_path: Path
) -> None:
    (row,), _ = labels_of(tmp_path, name, data)
    assert (row["video_id"], row["account"], row["stances"]) == (video_id, account, [1, None])


def test_people_are_text_and_have_one_spelling(tmp_path: Path) -> None:
    numbers = {
        "video_id": ["a", "b", "a"],
        "annotator": [1, 1, 2],
        "account": [5, 6, 5],
        "hedonism": [1, 0, 1],
    }
    rows, _ = labels_of(tmp_path, "t.parquet", parquet(numbers))
    assert [(row["annotator"], row["account"]) for row in rows] == [("1", "5"), ("1", "6"), ("2", "5")]
    rows, _ = labels_of(tmp_path, "t.csv", "video_id,annotator,hedonism\na,ann,1\nb,ann ,1\nc,Ann,0\n")
    assert {row["annotator"] for row in rows} == {"ann"}


def test_a_value_that_the_table_does_not_have_is_not_annotated_and_named(tmp_path: Path) -> None:
    rows, notes = labels_of(tmp_path, "t.csv", "video_id,hedonism,mood,who typed\na,1,x,y\nb,,x,y\n")
    assert [row["stances"] for row in rows] == [[1, None], [0, None]]
    assert notes == [
        f"{tmp_path}/t.csv: columns that are not used: mood, who typed",
        f"{tmp_path}/t.csv: 1 of 2 values are not in it (benevolence_caring): they are taken as not annotated, "
        "not as absent",
    ]
    rows, notes = labels_of(tmp_path, "t.csv", "video_id,value,stance\na,hedonism,1\nb,hedonism,\n")
    assert [row["stances"] for row in rows] == [[1, None], [0, None]]
    assert "not annotated" in notes[0]


def test_a_column_without_a_name_is_named_by_its_place(tmp_path: Path) -> None:
    rows, notes = labels_of(tmp_path, "t.csv", ",video_id,hedonism,benevolence_caring,\n0,a,1,0,\n1,b,1,0,\n")
    assert [row["stances"] for row in rows] == [[1, 0], [1, 0]]
    assert notes == [f"{tmp_path}/t.csv: columns that are not used: column 1, which has no name"]


def test_a_value_is_no_column_of_an_account(tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", "video_id,author,creator\na,jane,1\n")
    (row,) = read_labels(path, ("creator",), "mine")
    assert (row["account"], row["stances"]) == ("jane", [1])


def test_a_probability_is_read(tmp_path: Path) -> None:
    rows, _ = labels_of(tmp_path, "t.csv", "video_id;hedonism;probability\na;1;0,25\nb;1;1\nc;1;\n")
    assert [row["probability"] for row in rows] == [0.25, 1.0, None]


def test_another_encoding_is_noted_with_an_example(tmp_path: Path) -> None:
    rows, notes = labels_of(tmp_path, "t.csv", "video_id,hedonism\ncafé,1\n".encode("cp1252"))
    assert rows[0]["video_id"] == "café"
    assert "read as Windows-1252, such as 'café'" in notes[0]


def test_other_sheets_are_noted(tmp_path: Path) -> None:
    _, notes = labels_of(tmp_path, "t.xlsx", book(LINES, Notes=[["x"]]))
    assert notes == [f"{tmp_path}/t.xlsx: sheet 'Sheet' is read, and not Notes; file.xlsx#NAME reads another"]


def test_a_formula_counts_as_what_was_last_shown(tmp_path: Path) -> None:
    data = book([LINES[0], ["a", "=2-1", 0], ["b", -1, 2]])
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        files = {name: parts.read(name) for name in parts.namelist()}
    files["xl/worksheets/sheet1.xml"] = (
        files["xl/worksheets/sheet1.xml"]
        .replace(b"<f>2-1</f><v />", b"<f>2-1</f><v>1</v>")
        .replace(b"<f>2-1</f><v></v>", b"<f>2-1</f><v>1</v>")
    )
    rows, _ = labels_of(tmp_path, "t.xlsx", archive(files))
    assert [row["stances"] for row in rows] == [[1, 0], [-1, 2]]


# workbooks that would grow


def archive(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as parts:
        for name, data in files.items():
            parts.writestr(name, data)
    return file.getvalue()


def with_part(name: str, change: Callable[[bytes], bytes]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(book(LINES))) as parts:
        files = {part: parts.read(part) for part in parts.namelist()}
    return archive(files | {name: change(files.get(name, b""))})


SHEET = "xl/worksheets/sheet1.xml"
ENTITIES = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "' + b"x" * 10 + b'">]>'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (with_part("xl/media/zeros", lambda _: b"\0" * 3_000_000), "unpacks to more than 1 MB"),
        (with_part(SHEET, lambda xml: ENTITIES + xml.partition(b"?>")[2]), "declares entities"),
        (with_part(SHEET, lambda xml: xml.replace(b'<row r="2"', b'<row r="999999999"')), "larger than"),
        (with_part(SHEET, lambda xml: xml[: len(xml) // 2]), "not an .xlsx workbook that can be read"),
        (with_part("xl/workbook.xml", lambda _: b"<a/>"), "has no sheet"),
    ],
)
def test_a_hostile_workbook_is_refused(data: bytes, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MAX_UNPACKED", 2_000_000)
    monkeypatch.setattr(workbooks, "_MAX_ROWS", 10_000)
    with pytest.raises(UserError, match=message):
        list(table_of(data, "t.xlsx"))


def test_what_a_workbook_says_of_its_size_is_not_believed() -> None:
    data = with_part(
        SHEET, lambda xml: re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1:XFD1048576"', xml)
    )
    assert len(list(table_of(data, "t.xlsx"))) == 2


# cells


@pytest.mark.parametrize(
    "cell",
    [
        "2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00",
        "2024-01-01",
        "20240101",
        20240101,
        "2024-01-01 00:00:00 UTC",
        "2024-01-01T02:00:00+02:00",
        "1704067200",
        1704067200,
        1704067200.0,
        "1704067200000",
        1704067200000,
        1704067200000000,
        date(2024, 1, 1),
        datetime(2024, 1, 1),
        datetime(2024, 1, 1, tzinfo=UTC),
    ],
)
def test_dates(cell: Any) -> None:
    assert date_in(cell) == datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "yesterday",
        "1701-01-01",
        "2004-12-31",
        2024,
        "45292",
        45292.5,
        "1.70E+09",
        "3000-01-01",
        -1704067200,
        10**30,
        True,
        "01/02/2024",
    ],
)
def test_what_is_no_date_of_a_post(cell: Any) -> None:
    with pytest.raises(ValueError, match="is not a date"):
        date_in(cell)


def test_numbers_and_texts() -> None:
    assert [number_in(cell) for cell in ("1", "\u22121,5", "1e3", "x", True, 2)] == [
        1.0,
        -1.5,
        None,
        None,
        None,
        2.0,
    ]
    assert [as_text(cell) for cell in (None, 1.0, 1.5, 7, True, "x")] == ["", "1", "1.5", "7", "True", "x"]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("a.csv", True),
        ("A.XLSX#Two", True),
        ("a.ndjson", True),
        ("a.mp4", False),
        ("a", False),
        ("a.csv#x", False),
    ],
)
def test_what_is_a_table(name: str, is_one: bool) -> None:
    assert is_table(name) is is_one


def test_a_column_of_one_name_is_one_column(tmp_path: Path) -> None:
    table = open_table(write(tmp_path, "t.csv", "path\na b.mp4\nc;d.mp4\n"))
    assert [cells for _, cells in table] == [{"path": "a b.mp4"}, {"path": "c;d.mp4"}]
    with pytest.raises(UserError, match=r"line 2: 2 cells under 1 column names; .* stands in quotes"):
        list(open_table(write(tmp_path, "t.csv", "path\na, b.mp4\n")))
