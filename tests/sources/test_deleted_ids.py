"""Lists of posts that are gone: lines, tables and replies of checks; what stays is never taken as gone."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tikval.config import UserError
from tikval.sources.deleted_ids import read_deleted_ids

ONE, TWO, THREE = "7412345678901234567", "7412345678901234568", "7412345678901234569"


def read(folder: Path, name: str, text: str) -> set[str]:
    (folder / name).write_text(text, encoding="utf-8")
    return read_deleted_ids(str(folder / name)).ids


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", f"{ONE}\n{TWO}\n"),
        ("a.txt", f"\ufeff{ONE}\r\n\r\n  {TWO}  \r\n"),
        ("a.txt", f"video_id\n{ONE}\n{TWO}\n"),
        ("a.txt", f"https://www.tiktok.com/@jane.doe/video/{ONE}\n@joe_video_{TWO}.mp4\n"),
        ("a.csv", f"{ONE}\n{TWO}\n"),
        ("a.csv", f"{ONE},{TWO}\n"),
        ("a.csv", f"id,username\n{ONE},jane\n{TWO},joe\n"),
        ("a.csv", f'note;url\nx;https://www.tiktok.com/@jane/video/{ONE}\ny;="{TWO}"\n'),
        ("a.tsv", f"video_id\tstatus\n{ONE}\tdeleted\n{TWO}\tPrivate\n{THREE}\tactive\n"),
        ("a.csv", f"video_id,is_deleted\n{ONE},true\n{TWO},1\n{THREE},False\n"),
        ("a.csv", f"video_id,available\n{ONE},no\n{TWO},false\n{THREE},yes\n"),
        (
            "a.jsonl",
            f'{{"video_id": "{ONE}", "outcome": "deleted"}}\n{{"video_id": {TWO}, "outcome": "private"}}\n',
        ),
        ("a.json", json.dumps([ONE, int(TWO)])),
        ("a.json", json.dumps([{"id": ONE}, {"id": int(TWO)}])),
        (
            "a.json",
            json.dumps(
                {"data": {"videos": [{"id": ONE, "status": "deleted"}, {"id": TWO, "status": "invalid"}]}}
            ),
        ),
        (
            "a.json",
            json.dumps({"data": {"invalid_ids": [ONE, TWO], "valid_ids": [THREE]}, "error": {"code": "ok"}}),
        ),
        ("a.json", json.dumps({"results": {ONE: "deleted", TWO: "not found", THREE: "available"}})),
        (
            "a.json",
            json.dumps(
                {"data": {"deleted_videos": [{"id": ONE}, {"id": TWO}], "valid_videos": [{"id": THREE}]}}
            ),
        ),
        (
            "a.json",
            json.dumps(
                {"data": [{"video_id": ONE, "is_valid": False}, {"video_id": TWO, "is_valid": False}]}
            ),
        ),
    ],
)
def test_every_form_names_the_same_two(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path, name, text) == {ONE, TWO}


def test_a_parquet_file_of_numbers(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [int(ONE), int(TWO)]}), tmp_path / "a.parquet")
    assert read_deleted_ids(str(tmp_path / "a.parquet")).ids == {ONE, TWO}


def test_ids_of_other_platforms_are_lines_too(tmp_path: Path) -> None:
    assert read(tmp_path, "a.txt", "C1aBcDeFgHi\ndQw4w9WgXcQ\n") == {"C1aBcDeFgHi", "dQw4w9WgXcQ"}


def test_the_last_line_of_a_post_counts(tmp_path: Path) -> None:
    lines = [{"video_id": ONE, "outcome": outcome} for outcome in ("failed", "deleted", "collected")]
    lines += [{"video_id": TWO, "outcome": outcome} for outcome in ("collected", "deleted")]
    assert read(tmp_path, "a.jsonl", "\n".join(map(json.dumps, lines))) == {TWO}


def test_what_is_not_told_is_not_gone(tmp_path: Path) -> None:
    outcomes = "region age blocked too_large failed no_file sound_removed live".split()
    text = "video_id,outcome\n" + "".join(f"741234567890123456{n},{one}\n" for n, one in enumerate(outcomes))
    (tmp_path / "a.csv").write_text(f"{text}{THREE},\n")
    found = read_deleted_ids(str(tmp_path / "a.csv"))
    assert found.ids == set()
    assert found.counts()["no status"] == (1, False)
    assert found.counts()["region"] == (1, False)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.csv",
            f"video_id,status\n{ONE},deleted\n{TWO},quarantined\n",
            "line 3: 'quarantined' is no status",
        ),
        ("a.csv", "video_id\n7.41234567890123E+18\n", "line 2: .*last digits are gone"),
        ("a.txt", f"{ONE}\n7.41234567890123E+18\n", "line 2: .*last digits are gone"),
        ("a.json", '{"ids": [7.412345678901234e18]}', r"ids\[1\]: .*last digits are gone"),
        ("a.csv", f"account,caption\njane,{ONE}x\n", "no column video_id; there are account, caption"),
        ("a.json", '{"data": {"status": "done"}}', "names no post"),
        ("a.json", "[1", "not JSON"),
        ("a.json", "[" * 3000 + "]" * 3000, "deeper than|not JSON"),
        ("a.txt", f"{ONE}\nhttps://www.tiktok.com/@jane\n", "line 2: .*not the address of a video"),
    ],
)
def test_what_cannot_be_a_deletion_is_an_error_with_its_place(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(UserError, match=message) as refused:
        read(tmp_path, name, text)
    assert str(refused.value).startswith(str(tmp_path / name))


def test_no_such_file(tmp_path: Path) -> None:
    for name in ("a.json", "a.csv"):
        with pytest.raises(UserError, match="no such file"):
            read_deleted_ids(str(tmp_path / name))
