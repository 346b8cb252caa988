"""Human annotations: the published table as it is, plain files, and errors that name file, line and column."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tikval.config import UserError
from tikval.rows import LabelRow
from tikval.sources.labels import read_labels
from tikval.values import SLUG_OF_COLUMN, SLUGS

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "tiktok_annotations.csv"
TWO = ("care", "loyalty")
POST = "https://www.tiktok.com/@some.one_1/video/6783398367490854150"


def read(tmp_path: Path, content: str | bytes, slugs: tuple[str, ...] = TWO) -> list[LabelRow]:
    path = tmp_path / "labels.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_labels(str(path), slugs, "two")


def stances(rows: list[LabelRow]) -> dict[str, list[int | None]]:
    return {row["video_id"]: row["stances"] for row in rows}


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published annotations are not here")
def test_the_published_table() -> None:
    rows = read_labels(str(PUBLISHED), SLUGS, "schwartz-19")
    codes = Counter(code for row in rows for code in row["stances"])
    assert len(rows) == len({row["video_id"] for row in rows}) == 888
    assert len({row["account"] for row in rows}) == 91
    assert codes[1] + codes[2] == 2132
    assert codes[2] == 339
    assert codes[-1] == 820
    assert {row["annotator"] for row in rows} == {"consolidated"}
    first = next(row for row in rows if row["video_id"] == "6783398367490854150")
    message = {slug: code for slug, code in zip(SLUGS, first["stances"], strict=True) if code}
    assert message == {"self_direction_action": -1, "conformity_rules": -1, "benevolence_dependability": 1}


@pytest.mark.parametrize(
    "address",
    [
        POST,
        POST.replace("/video/", "/photo/"),
        POST.replace("www.", "m."),
        POST.replace("https", "http"),
        f"{POST} ",
        f" {POST}?is_from_webapp=1&sender=pc",
        f"{POST}/",
    ],
)
def test_spellings_of_a_post(tmp_path: Path, address: str) -> None:
    columns = [*SLUG_OF_COLUMN]
    cells = ["dominant", "conflict", "present", *[""] * 16]
    (row,) = read(tmp_path, f"1_Link1,{','.join(columns)}\n{address},{','.join(cells)}\n", SLUGS)
    assert (row["video_id"], row["account"]) == ("6783398367490854150", "some.one_1")
    message = dict(zip(SLUGS, row["stances"], strict=True))
    assert [message[SLUG_OF_COLUMN[column]] for column in columns[:4]] == [2, -1, 1, 0]


@pytest.mark.parametrize(
    "address",
    ["", "6783398367490854150", "https://www.tiktok.com/@someone", "https://example.org/@a/video/1"],
)
def test_what_is_no_post(tmp_path: Path, address: str) -> None:
    table = f"1_Link1,1_Value1_Face_values\n{POST},\n{address},present\n"
    with pytest.raises(UserError, match=r"labels.csv: line 3, column 1_Link1: .*not the address"):
        read(tmp_path, table, SLUGS)


def test_columns_stand_in_any_order_and_may_be_left_out(tmp_path: Path) -> None:
    rows = read(tmp_path, "loyalty,video_id\n1,a\n-1,b\n")
    assert stances(rows) == {"a": [None, 1], "b": [None, -1]}
    assert rows[0]["annotator"] == "human"
    assert rows[0]["account"] is None
    assert rows[0]["label_set"] == "two"


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("", 0),
        ("0", 0),
        ("absent", 0),
        ("1", 1),
        ("present", 1),
        (" Endorsed ", 1),
        ("2", 2),
        ("DOMINANT", 2),
        ("-1", -1),
        ("conflict", -1),
        ("confronted", -1),
    ],
)
def test_codes_and_words(tmp_path: Path, cell: str, code: int) -> None:
    assert stances(read(tmp_path, f"video_id,care\na,{cell}\n")) == {"a": [code, None]}


def test_plain_csv_as_spreadsheets_write_it(tmp_path: Path) -> None:
    table = 'video_id,account,annotator,care\r\n"a, ""b""\nc",  ,ann,1\r\n\r\nä 🙂,me,bob,\r\n'
    rows = read(tmp_path, b"\xef\xbb\xbf" + table.encode())
    assert stances(rows) == {'a, "b"\nc': [1, None], "ä 🙂": [0, None]}
    assert [row["annotator"] for row in rows] == ["ann", "bob"]
    assert rows[1]["account"] == "me"


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\x0b", "\x1c"])
def test_only_line_breaks_end_a_line(tmp_path: Path, mark: str) -> None:
    assert stances(read(tmp_path, f"video_id,care\na{mark}b,1\n")) == {f"a{mark}b": [1, None]}


def test_two_annotators_of_one_video(tmp_path: Path) -> None:
    rows = read(tmp_path, "video_id,annotator,care\na,ann,1\na,bob,-1\n")
    assert [(row["annotator"], row["stances"][0]) for row in rows] == [("ann", 1), ("bob", -1)]


@pytest.mark.parametrize("ids", [["a", "b"], [0, 1]])
def test_plain_parquet(tmp_path: Path, ids: list[Any]) -> None:
    path = tmp_path / "labels.parquet"
    columns = {"video_id": ids, "care": ["dominant", None], "loyalty": pa.array([None, -1], pa.int8())}
    pq.write_table(pa.table(columns), path)
    rows = read_labels(str(path), TWO, "two")
    assert stances(rows) == {str(ids[0]): [2, 0], str(ids[1]): [0, -1]}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("video_id,purity\na,1\n", r"line 1, column 'purity': no such value; known are care, loyalty"),
        ("video_id,purity\n\na,1\n", r"line 1, column 'purity': no such value"),
        ('video_id,purity\n"a\nb",1\n', r"line 1, column 'purity': no such value"),
        ("video_id,1_Value1_Face_values\na,1\n", r"line 1, column '1_Value1_Face_values': no such value"),
        ("account,care\na,1\n", r"line 1: no column video_id"),
        ("video_id,care\na,1\nb,maybe\n", r"line 3, column care: 'maybe' is not a stance; use -1, 0, 1, 2"),
        ("video_id,care\na,3\n", r"line 2, column care: '3' is not a stance"),
        ("video_id,care\na,1\nb,0\na,1\n", r"line 4: a was annotated before, in line 2"),
        ("video_id,care\na,1\n,1\n", r"line 3, column video_id: empty"),
        ("video_id,care\na,1\nb\n", r"line 3: 1 cells under 2 column names"),
        ("video_id,care\na,1,1\n", r"line 2: 3 cells under 2 column names"),
        ("video_id,care,care\na,1,1\n", r"line 1: a column name appears twice"),
        ('video_id,care\n"a"b,1\n', r"line 2: "),
        (b"video_id,care\ncaf\x81,1\n", r"not UTF-8 text \(byte 17\), nor Windows-1252"),
    ],
)
def test_a_mistake_names_file_line_and_column(tmp_path: Path, table: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=rf"labels\.csv: {message}") as err:
        read(tmp_path, table)
    assert "\n" not in str(err.value)


def test_a_parquet_file_with_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"video_id": ["a", "b"], "care": [1, 5]}), path)
    with pytest.raises(UserError, match=r"labels\.parquet: line 2, column care: 5 is not a stance"):
        read_labels(str(path), TWO, "two")
    path.write_bytes(b"PAR1 and then no more")
    with pytest.raises(UserError, match="not a Parquet file"):
        read_labels(str(path), TWO, "two")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.csv", "no such file"),
        ("labels.xlsx", "not an .xlsx workbook"),
        ("labels.ods", "expected a table"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "labels.xlsx").write_bytes(b"PK")
    with pytest.raises(UserError, match=f"{name}: {message}"):
        read_labels(str(tmp_path / name), TWO, "two")
