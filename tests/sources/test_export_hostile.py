"""Exports that nobody's tool wrote: one clean error or one odd row, in bounded time and memory, never a traceback."""

import json
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.exports import SECRET, donation, made_posts
from tikval.config import UserError
from tikval.rows import PostRow, arrow_schema
from tikval.sources.exports import read_export

ID = "7412345678901234567"
ROW = {"id": ID, "desc": "x", "createTime": 1772366420}
GOOD = json.dumps(ROW).encode()


def one_line_of(err: UserError) -> str:
    assert "\n" not in str(err)
    return str(err)


def read(file: Path, data: bytes) -> list[PostRow]:
    """What comes out, as Parquet can hold it."""
    file.write_bytes(data)
    export = read_export(str(file))
    rows = list(export.rows()) if export else []
    pa.Table.from_pylist(rows, schema=arrow_schema(PostRow))
    if export:
        assert "\n" not in export.line
    return rows


DEEP = b'{"a":' * 100_000
LINES = {
    "no JSON": b"{what is this",
    "cut": GOOD[:-5],
    "nested deeply": DEEP,
    "closed, nested deeply": DEEP + b"1" + b"}" * 100_000,
    "a list": b"[1, 2]",
    "a number": b"12",
    "a number without end": b'{"id": ' + b"7" * 100_000 + b', "desc": "x", "createTime": 1}',
    "not UTF-8": b'{"id": "\xff\xfe"}',
    "no id": b'{"desc": "x", "createTime": 1}',
    "an id of another kind": b'{"id": {"$oid": "x"}, "desc": "x", "createTime": 1}',
    "an id that is a name": b'{"id": "jane doe", "desc": "x", "createTime": 1}',
    "long": b'{"desc": "' + b"x" * (2**23 + 100) + b'"}',
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_that_is_none_is_one_odd_row(name: str, tmp_path: Path) -> None:
    data = GOOD + b"\n" + LINES[name] + b"\n" + GOOD.replace(b"567", b"568") + b"\n"
    rows = read(tmp_path / "x.ndjson", data)
    assert [row["outcome"] for row in rows] == ["no_file", "invalid_row", "no_file"]
    assert rows[1]["video_id"] == "line 2"
    assert rows[1]["detail"]
    assert rows[1]["detail"].startswith("line 2: ")


@pytest.mark.parametrize("name", [name for name in LINES if "kind" not in name and "id" not in name])
@pytest.mark.parametrize("place", ["list", "document", "large document", "file"])
def test_a_damaged_document_is_one_error(name: str, place: str, tmp_path: Path) -> None:
    bad = LINES[name]
    filler = b",".join([GOOD] * 20_000)  # past what is looked at first
    data = {
        "list": b"[" + GOOD + b"," + bad + b"]",
        "document": b'{"itemList": [' + GOOD + b"," + bad + b"]}",
        "large document": b'{"itemList": [' + filler + b"," + bad + b"]}",
        "file": b"\n{\n" + bad,
    }[place]
    try:
        rows = read(tmp_path / "x.json", data)
    except UserError as err:
        message = one_line_of(err)
        assert "x.json" in message
    else:
        assert all(row["outcome"] == "invalid_row" or row["video_id"] == ID for row in rows)


def test_odd_cells_are_nothing_and_no_error(tmp_path: Path) -> None:
    odd = {
        **ROW,
        "desc": "a\ud800b\u0000c",
        "createTime": "soon",
        "author": {"uniqueId": ["x"]},
        "stats": {"diggCount": "1.2M", "playCount": 10**30, "shareCount": -3, "commentCount": float("inf")},
        "video": {"duration": "NaN"},
        "music": {"title": {"x": 1}},
        "challenges": [None, 3, {"title": "t\ud800"}, {"title": None}],
        "isAd": "perhaps",
        "webVideoUrl": "javascript:alert(1)",
    }
    (row,) = read(tmp_path / "x.json", json.dumps([odd]).encode())
    assert row["caption"] == "a?bc"
    assert row["hashtags"] == ["t?"]
    assert row["posted_at_from_id"]
    kept = {
        name: row[name]
        for name in ("likes", "plays", "shares", "comments", "duration", "music", "is_ad", "url")
    }
    assert set(kept.values()) == {None}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = (
    "id desc createTime author stats statsV2 video challenges isPinnedItem data source_platform extractor_key "
    "webpage_url url video_id outcome webVideoUrl authorMeta text video_description username files statusCode"
).split()


ROWS = st.dictionaries(st.sampled_from(NAMES), JSON, max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=12), min_size=1, max_size=4),
    lines=st.booleans(),
)
def test_whatever_stands_in_it_each_row_is_counted(
    rows: list[dict[str, Any]], lines: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = "\n".join(map(json.dumps, rows)) + "\n{}\n" if lines else json.dumps([*rows, {}])
    file = tmp_path_factory.mktemp("x") / "x.json"
    file.write_text(text, encoding="utf-8")
    try:
        export = read_export(str(file))
        found = list(export.rows()) if export else []
    except UserError as err:
        message = one_line_of(err)
        assert "digits are gone" in message
        return
    assert len({row["video_id"] for row in found}) == len(found)
    pa.Table.from_pylist(found, schema=arrow_schema(PostRow))
    if export:
        assert export.tally.rows == len(rows) + 1 or export.source in ("collected", "research_api")
        assert export.tally.rows == len(found) + export.tally.again


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 5_000,
        b"\x00\x00\x00\x20ftypisom" + b"\0" * 100,
        b"PK\x03\x04 and no more",
        b"[",
        b"[]",
        b"{}",
        b"{",
        b'["a", "b"]',
        b"[1, [2], null]",
        b"id,desc\n",
        b"\xff\xfe{\0}\0",
        b"\x1f\x8b\x08",
        b"PAR1 and no more",
    ],
)
@pytest.mark.parametrize("name", ["x", "x.json", "x.csv", "x.zip", "x.mp4"])
def test_what_is_no_export_is_none_or_one_error(data: bytes, name: str, tmp_path: Path) -> None:
    try:
        assert read(tmp_path / name, data) == []
    except UserError as err:
        one_line_of(err)


def test_an_odd_line_of_a_table_is_one_odd_row(tmp_path: Path) -> None:
    table = f"id,desc,createTime\n{ID},a,1772366420\n{ID[:-1]}8,a\n,,\n{ID[:-1]}9,b,1,too,many\n"
    rows = read(tmp_path / "x.csv", table.encode())
    assert [(row["video_id"], row["outcome"]) for row in rows] == [
        (ID, "no_file"),
        ("line 3", "invalid_row"),
        ("line 5", "invalid_row"),
    ]


def test_a_parquet_file_is_read_and_an_extension_type_refused(tmp_path: Path) -> None:
    table = pa.table(
        {"id": [ID], "desc": ["x"], "createTime": [1772366420], "challenges": [[{"title": "t"}]]}
    )
    pq.write_table(table, tmp_path / "x.parquet")
    (row,) = read(tmp_path / "x.parquet", (tmp_path / "x.parquet").read_bytes())
    assert (row["video_id"], row["caption"], row["hashtags"]) == (ID, "x", ["t"])
    odd = pa.table(
        {"id": pa.array([ID]), "desc": pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(["1"]))}
    )
    pq.write_table(odd, tmp_path / "odd.parquet")
    with pytest.raises(UserError, match="extension type"):
        read_export(str(tmp_path / "odd.parquet"))


def test_no_address_and_no_account_is_in_a_message(tmp_path: Path) -> None:
    rows = [
        ROW,
        {**ROW, "id": "https://www.tiktok.com/@jane.secret/about"},
        {"id": "@jane.secret", "author": "jane.secret"},
    ]
    (tmp_path / "x.ndjson").write_text("\n".join(map(json.dumps, rows)) + '\n{"author": "jane.secret"')
    export = read_export(str(tmp_path / "x.ndjson"))
    assert export
    found = list(export.rows())
    assert [row["outcome"] for row in found] == ["no_file", *["invalid_row"] * 3]
    assert "secret" not in export.line + "".join(row["detail"] or "" for row in found)


# data donations: what nobody may read


def large_donation(folder: Path) -> Path:
    """One whose messages have 40 MB and stand before and behind what is read."""
    file = donation(folder, made_posts())
    told = json.loads(file.read_text())
    chat = {
        f"Chat History with {n}:": [{"Date": "x", "Content": f"{SECRET} {n} " * 20} for _ in range(100)]
        for n in range(700)
    }
    told = {"Direct Messages": chat, **told, "Comment": {"VideoList": chat}}
    file.write_text(json.dumps(told))
    return file


def test_messages_comments_and_profile_are_never_kept(tmp_path: Path) -> None:
    file = large_donation(tmp_path)
    assert file.stat().st_size > 50e6
    tracemalloc.start()
    try:
        export = read_export(str(file))
        assert export
        rows = list(export.rows())
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert export.source == "data_donation"
    assert len(rows) == 48
    assert SECRET not in repr(rows) + export.line + repr(export)
    assert most < 5e6, "nothing but what is asked for was ever built"


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9, 0.999])
def test_a_damaged_donation_quotes_nothing(cut: float, tmp_path: Path) -> None:
    file = donation(tmp_path, made_posts())
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * cut)] + b"\x01")
    try:
        export = read_export(str(file))
        if export is None:
            return
        list(export.rows())
    except UserError as err:
        message = one_line_of(err)
        assert SECRET not in message


def test_a_donation_is_read_out_of_its_archive(tmp_path: Path) -> None:
    plain = read_export(str(donation(tmp_path, made_posts())))
    with zipfile.ZipFile(tmp_path / "TikTok_Data_17.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(tmp_path / "user_data_tiktok.json", "TikTok/user_data_tiktok.json")
    export = read_export(str(tmp_path / "TikTok_Data_17.zip"))
    assert export
    assert plain
    assert list(export.rows()) == list(plain.rows())
    data = bytearray((tmp_path / "TikTok_Data_17.zip").read_bytes())
    data[200:300] = bytes(100)
    (tmp_path / "broken.zip").write_bytes(data)
    with pytest.raises(UserError, match=r"broken\.zip: ") as raised:
        read_to_its_end(tmp_path / "broken.zip")
    assert SECRET not in one_line_of(raised.value)


def read_to_its_end(file: Path) -> None:
    """Raises UserError where there is anything wrong, also that it is no export."""
    export = read_export(str(file))
    if export is None:
        raise UserError(f"{file.name}: no export")
    list(export.rows())


def test_keys_of_a_donation_count_whatever_their_case(tmp_path: Path) -> None:
    told = {
        "ACTIVITY": {
            "video browsing HISTORY": {
                "videolist": [{"DATE": "x", "LINK": f"https://x.tiktokv.com/share/video/{ID}/"}]
            }
        }
    }
    (row,) = read(tmp_path / "x.json", json.dumps(told).encode())
    assert row["video_id"] == ID
    assert row["posted_at_from_id"]


# archives


def archive_with(folder: Path, name: str, *, link: bool = False, size: int = 3) -> Path:
    told = {
        "https://x": {
            "post_ids": [ID],
            "success": True,
            "files": [{"filename": name, "metadata": {}, "success": True}],
        }
    }
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        if link:
            info.external_attr = 0o120777 << 16
        packed.writestr(info, b"/etc/passwd" if link else b"\0" * size)
        packed.writestr(".metadata.json", json.dumps(told))
    return folder / "a.zip"


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("../out.mp4", False),
        ("/tmp/out.mp4", False),
        ("a/../../out.mp4", False),
        ("a\\out.mp4", False),
        ("out.mp4", True),
        (".metadata.json/x", False),
    ],
)
def test_an_archive_that_would_do_harm_is_refused(name: str, link: bool, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    export = read_export(str(archive_with(tmp_path / "in", name, link=link)))
    assert export
    assert [row["video_id"] for row in export.rows()] == [ID]
    with pytest.raises(UserError, match=r"a\.zip: "):
        export.files(str(tmp_path / "media"))
    assert not [path for path in tmp_path.rglob("*") if path.name not in ("in", "a.zip", "media")]


CHILD = """
import sys
from tikval.sources.exports import read_export
from tikval.config import UserError
try:
    export = read_export(sys.argv[1])
    rows = list(export.rows()) if export else []
    print(len(rows), export and export.line)
except UserError as err:
    print(err)
# not ru_maxrss, which a new process takes over from the one that started it
(most,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(most) // 1024)
"""


STARTS = {
    "one line": b"",
    "line among others": GOOD + b"\n{",
    "one value": b'[{"id": "',
    "one document": b'{"id": "',
    "one cell": b'id,desc\n1,"',
}


@pytest.mark.parametrize(
    "form",
    ["one line", "one cell", *(pytest.param(form, marks=pytest.mark.full) for form in list(STARTS)[1:4])],
)
def test_half_a_gigabyte_in_one_line_takes_little_memory(form: str, tmp_path: Path) -> None:
    file = tmp_path / ("x.csv" if form == "one cell" else "x.json")
    with file.open("wb") as sink:
        sink.write(STARTS[form])
        for _ in range(500):
            sink.write(b"x" * 10**6)
        sink.write(b"\n" + GOOD + b"\n")
    command = [sys.executable, "-c", CHILD, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    message, most = done.stdout.strip().splitlines()
    assert int(most) < 700, done.stdout
    assert form != "line among others" or message.startswith("2 "), message
