"""No cell of a CSV is taken for a formula, and what was written is read again."""

import ast
import csv
import io

import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import ROOT
from tikval.files import write_bytes
from tikval.sources.cells import trimmed
from tikval.sources.tables import open_table
from tikval.spreadsheet import cell_text, csv_of, csv_of_table, spreadsheet_safe

SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212"
UNSEEN = ["\u00a0", "\u200b", "\ufeff", "\u2060", "\u00ad", "\u3000", "\x00", "\u202e \u3164"]
BEFORE = ["", " ", "\t", "\r", "\n", "'", "''", *UNSEEN]
FORMULAS = [f"{before}{sign}cmd|' /C calc'!A0" for before in BEFORE for sign in SIGNS] + [
    "\tx",
    "\rx",
    "\nx",
    "@",
]
CUT = ["7412345678901234567", "'7412345678901234567", "0123", "123456789e12", "1E5"]
PLAIN = [
    "741234567890123",
    "0",
    "0.5",
    "e12",
    "7412345678901234567.mp4",
    "clip_01",
    "a=b",
    "5 kg @ 3 EUR",
    "",
    " x",
    "'quoted'",
    "日本",
    "É",
    "#1",
    "'",
]


@pytest.mark.parametrize("text", [*FORMULAS, *CUT])
def test_what_a_spreadsheet_would_run_or_cut_is_quoted_and_comes_back(text: str) -> None:
    safe = spreadsheet_safe(text)
    assert safe == f"'{text}"
    assert cell_text(safe) == text


@pytest.mark.parametrize("text", PLAIN)
def test_other_texts_stay(text: str) -> None:
    assert spreadsheet_safe(text) == cell_text(text) == text


@given(st.text(alphabet=st.sampled_from("'=-+@ \t\u200bab\uff1d")))
def test_any_text_comes_back(text: str) -> None:
    assert cell_text(spreadsheet_safe(text)) == text


@given(st.text(max_size=6))
def test_a_table_and_rows_are_made_safe_alike(text: str) -> None:
    table = csv_of_table(pa.table({"a": [text], "n": [-1.5]}))
    read = pa.csv.read_csv(
        pa.BufferReader(table),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(column_types={"a": pa.string()}),
    )
    assert read.to_pylist() == [{"a": spreadsheet_safe(text), "n": -1.5}]


def test_numbers_stay_numbers_and_names_of_columns_are_safe_too() -> None:
    written = csv_of([["=name", "n"], ["-3", -3], ["x", -0.25], [None, True]])
    assert list(csv.reader(io.StringIO(written))) == [
        ["'=name", "n"],
        ["'-3", "-3"],
        ["x", "-0.25"],
        ["", "True"],
    ]
    table = pa.table({"=name": ["-3", None], "n": [-3, 1]})
    assert csv_of_table(table).to_pybytes().decode() == '"\'=name","n"\n"\'-3",-3\n,1\n'


def test_our_own_reader_finds_what_was_written(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = str(tmp_path_factory.mktemp("csv") / "rows.csv")
    texts = [*FORMULAS, *CUT, *PLAIN]
    texts = [text for text in texts if "\x00" not in text]
    write_bytes(place, csv_of([["video_id", "n"], *([text, 1] for text in texts)]).encode())
    assert [row["video_id"] for _, row in open_table(place)] == [trimmed(text) or None for text in texts]


def test_every_csv_goes_through_the_one_writer() -> None:
    for file in (ROOT / "tikval").rglob("*.py"):
        if file.name == "spreadsheet.py":
            continue
        names = {
            ast.unparse(node)
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Attribute)
        }
        wrong = {
            name
            for name in names
            if name.endswith(("csv.writer", "csv.DictWriter", "csv.CSVWriter", "write_csv", ".to_csv"))
        }
        assert not wrong, f"{file}: {wrong}: write it with tikval.spreadsheet"
