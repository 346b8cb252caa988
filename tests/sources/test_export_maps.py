"""Column maps: those that come with tikval, a user's own, and what is said of a wrong one."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from tikval.config import UserError
from tikval.rows import PostRow
from tikval.sources.exports import read_export
from tikval.sources.exports.fields import count_in, flag_in, seconds_in, tags_in, tags_in_text, time_in
from tikval.sources.exports.maps import SHIPPED, Name, SourceMap, shipped_maps

ID = "7412345678901234567"
ROOT = Path(__file__).parents[2]


def read(file: Path, text: str, columns: str | None = None) -> list[PostRow]:
    file.write_text(text, encoding="utf-8")
    mine = file.parent / "mine.yaml"
    if columns is not None:
        mine.write_text(columns, encoding="utf-8")
    export = read_export(str(file), str(mine) if columns is not None else None)
    assert export is not None
    return list(export.rows())


def test_every_map_that_is_there_is_shipped() -> None:
    assert {path.stem for path in (ROOT / "configs" / "sources").glob("*.yaml")} == set(SHIPPED)
    for name, mine in shipped_maps().items():
        assert mine.note, name
        assert mine.recognised_by, name


def test_the_docs_name_every_key_and_every_column_of_a_map() -> None:
    text = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    keys = {*SourceMap.model_fields, *get_args(Name)} - {"title", "posted_at_from_id"}
    assert not {key for key in keys if f"`{key}`" not in text}


def test_a_map_of_ones_own_reads_what_nobody_knows(tmp_path: Path) -> None:
    file = tmp_path / "posts.csv"
    file.write_text(f"nr,wer,gefällt\n{ID},@jane,12\n")
    assert read_export(str(file)) is None
    (row,) = read(file, file.read_text(), "columns: {video_id: nr, account: wer, likes: [x, gefällt]}")
    assert (row["video_id"], row["account"], row["likes"], row["source"]) == (ID, "jane", 12, "mine")


def test_a_map_of_ones_own_reads_names_within_names(tmp_path: Path) -> None:
    rows = [
        {"post": {"nr": f"clip {n}", "by": [{"who": "a"}, {"who": "b"}]}, "extra": {"t": "x"}}
        for n in range(3)
    ]
    columns = 'columns: {video_id: post.nr, hashtags: "post.by[].who", is_ad: "extra.t?", pinned: extra.u}'
    with pytest.raises(UserError, match="no column"):
        read(tmp_path / "x.csv", "a,b\n1,2\n", columns)
    found = read(
        tmp_path / "x.json", json.dumps({"inner": {"list": rows}}), columns + "\nlists: {inner.list: {}}"
    )
    assert [row["outcome"] for row in found] == ["invalid_row"] * 3, "an id has no blanks"
    rows = [{"post": {**row["post"], "nr": f"clip{n}"}, "extra": row["extra"]} for n, row in enumerate(rows)]  # type: ignore[dict-item]
    found = read(
        tmp_path / "x.json", json.dumps({"inner": {"list": rows}}), columns + "\nlists: {inner.list: {}}"
    )
    assert [(row["video_id"], row["hashtags"], row["is_ad"]) for row in found] == [
        (f"clip{n}", ["a", "b"], True) for n in range(3)
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("columns: {video_id: nr, account: who}", r"columns\.account: .*no column 'who'; it has nr, wer"),
        ("columns: {video_id: nr, account: wär}", r"no column 'wär'; is 'wer' meant\?; it has nr, wer"),
        ("columns: {video_id: [id, number]}", r"columns\.video_id: .*no column 'id' or 'number'; it has nr"),
        ("columns: {video_id: nr, acount: wer}", r"columns\.acount"),
        ("columns: {account: wer}", "neither video_id nor url"),
        ("columns: {}", "columns"),
        ("colums: {video_id: nr}", "colums: unknown key"),
        ("columns: {video_id: a..b}", "no path"),
        ("columns: {video_id: nr}\nabsent: {pined: true}", "'pined' is no field of a post"),
        ("- 1", "a configuration is a mapping"),
    ],
)
def test_what_is_wrong_with_a_map_is_one_line(columns: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as raised:
        read(tmp_path / "posts.csv", f"nr,wer\n{ID},jane\n", columns)
    assert "mine.yaml" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_map_that_does_not_fit_json_names_what_is_there(tmp_path: Path) -> None:
    text = json.dumps([{"post": {"nr": ID}, "wer": "jane"}])
    with pytest.raises(UserError, match=r"no column 'post\.id'; is 'post\.nr' meant\?; it has post\.nr, wer"):
        read(tmp_path / "posts.json", text, "columns: {video_id: post.id, account: wer}")


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        (12, 12),
        ("12", 12),
        (" 12 ", 12),
        (12.0, 12),
        ("12.0", 12),
        ("1.2M", None),
        ("", None),
        (None, None),
        (-1, None),
        (True, None),
        (1.5, None),
        (float("inf"), None),
        (10**400, None),
        ([1], None),
        (5_000_000_000, 5_000_000_000),
    ],
)
def test_counts(cell: Any, count: int | None) -> None:
    assert count_in(cell) == count


@pytest.mark.parametrize(
    ("cell", "flag"),
    [
        *((yes, True) for yes in (True, "true", "TRUE", "yes", "Yes", "1", 1, "1.0", 2)),
        *((no, False) for no in (False, "false", "No", "0", 0, "0.0")),
        *((neither, None) for neither in (None, "", "perhaps", [1])),
    ],
)
def test_flags(cell: Any, flag: bool | None) -> None:
    assert flag_in(cell) is flag


def test_lengths_times_and_hashtags() -> None:
    assert [seconds_in(cell) for cell in (12, "12.5", 0, "0", -1, float("nan"), "x", 10**9)] == [
        *(12.0, 12.5),
        *[None] * 6,
    ]
    day = datetime(2026, 3, 1, tzinfo=UTC)
    seconds = int(day.timestamp())
    for cell in (
        seconds,
        str(seconds),
        seconds * 1000,
        f"{seconds}.0",
        "2026-03-01T00:00:00Z",
        "20260301",
        "2026-03-01",
    ):
        assert time_in(cell) == day
    assert [time_in(cell) for cell in (0, "0", "", True, float("inf"), float("nan"), 10**30, [seconds])] == [
        None
    ] * 8
    tags: tuple[Any, ...] = ("a, b", "#a #b", ["a", "#b", None], "['a', 'b']", "a|b", "a,b,a")
    for cell in tags:
        assert tags_in(cell) == ["a", "b"]
    assert tags_in("") is None
    assert tags_in_text("Brot, backen #früh#spät.") == ["früh", "spät"]


REEL = "C1aBcDeFgHi"


@pytest.mark.parametrize(
    ("name", "row", "post"),
    [
        (
            "zeeschuimer",
            {
                "source_platform": "instagram.com",
                "data": {"code": REEL, "pk": "33", "user": {"username": "jane"}},
            },
            (REEL, "jane", f"https://www.instagram.com/reel/{REEL}/"),
        ),
        (
            "apify",
            {"shortCode": REEL, "ownerUsername": "jane", "url": f"https://www.instagram.com/p/{REEL}/"},
            (REEL, "jane", f"https://www.instagram.com/p/{REEL}/"),
        ),
        (
            "4cat",
            {
                "id": "33_4",
                "thread_id": REEL,
                "author": "jane",
                "body": "x",
                "unix_timestamp": 1772366420,
                "url": f"https://www.instagram.com/p/{REEL}",
            },
            (REEL, "jane", f"https://www.instagram.com/p/{REEL}"),
        ),
        (
            "yt-dlp",
            {"id": "dQw4w9WgXcQ", "extractor_key": "Youtube", "uploader": "Jane Doe", "uploader_id": "@jane"},
            ("dQw4w9WgXcQ", "jane", "https://www.youtube.com/shorts/dQw4w9WgXcQ"),
        ),
        (
            "own",
            {"video_id": "", "url": "https://youtu.be/dQw4w9WgXcQ"},
            ("dQw4w9WgXcQ", None, "https://youtu.be/dQw4w9WgXcQ"),
        ),
        (
            "photo",
            {"video_id": "", "url": f"https://www.tiktok.com/@jane/photo/{ID}"},
            (ID, "jane", f"https://www.tiktok.com/@jane/photo/{ID}"),
        ),
    ],
)
def test_reels_shorts_and_photo_posts(
    name: str, row: dict[str, Any], post: tuple[str, str | None, str], tmp_path: Path
) -> None:
    (found,) = read(tmp_path / "rows.json", json.dumps([row]))
    assert (found["video_id"], found["account"], found["url"]) == post
    assert found["outcome"] == "no_file"
    assert found["is_slideshow"] is (True if name == "photo" else found["is_slideshow"])


@pytest.mark.parametrize(
    "cell", ["7.41235E+18", 7.412345678901234e18, 7412345678901230000, "7412345678901230000"]
)
@pytest.mark.parametrize("form", ["list", "lines", "csv"])
def test_a_rounded_id_stops_its_export(cell: Any, form: str, tmp_path: Path) -> None:
    rows = [{"id": ID, "desc": "a", "createTime": 1}, {"id": cell, "desc": "b", "createTime": 1}]
    text = {
        "list": json.dumps(rows),
        "lines": "\n".join(map(json.dumps, rows)),
        "csv": f"id,desc,createTime\n{ID},a,1\n{cell},b,1\n",
    }[form]
    with pytest.raises(UserError, match=r"rows: (?:row 2|line [23]): .*its last digits are gone"):
        read(tmp_path / "rows", text)


def test_an_id_that_is_a_whole_number_is_exact(tmp_path: Path) -> None:
    ids = [7412345678901234569, 7412345678901234570]
    rows = [{"id": number, "desc": "a", "createTime": 1} for number in ids]
    for text in (json.dumps(rows), "\n".join(map(json.dumps, rows)), json.dumps({"itemList": rows})):
        assert [row["video_id"] for row in read(tmp_path / "rows", text)] == list(map(str, ids))


def test_a_later_row_of_a_post_fills_what_the_first_lacks(tmp_path: Path) -> None:
    first = {"id": ID, "desc": "", "createTime": 0, "author": {"uniqueId": "jane"}}
    later = {"id": ID, "desc": "later", "createTime": 1772366420, "author": "jill", "isPinnedItem": True}
    (row,) = read(tmp_path / "rows", json.dumps([first, later]))
    assert (row["account"], row["caption"], row["pinned"]) == ("jane", "later", True)
    assert row["posted_at"] == datetime(2026, 3, 1, 12, 0, 20, tzinfo=UTC)
    assert row["posted_at_from_id"] is False


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("10216", "private"),
        ("This account is private", "private"),
        ("Video not found", "deleted"),
        ("region", "region"),
        ("age-restricted", "age"),
        ("10204", "blocked"),
        ("something else", "unavailable"),
    ],
)
def test_an_error_in_the_place_of_a_post_says_what_became_of_it(
    error: str, outcome: str, tmp_path: Path
) -> None:
    whole = {"id": str(int(ID) + 1), "desc": "x", "createTime": 1, "statusMsg": "ok", "statusCode": 0}
    rows = read(tmp_path / "rows", json.dumps([whole, {"id": ID, "error": error}]))
    assert [row["outcome"] for row in rows] == ["no_file", outcome]
