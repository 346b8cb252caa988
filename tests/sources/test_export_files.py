"""Folders, globs and archives: which file is of which post; and posts that are written as they come."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.fixtures.exports import (
    SOURCES,
    archive,
    made_posts,
    pyktok,
    research_page,
    web_item,
    yt_dlp_folder,
)
from tikval.config import UserError
from tikval.rows import PostRow
from tikval.sources.exports import read_export
from tikval.sources.exports.write_posts import write_posts
from tikval.sources.posts import empty_post

ID = "7412345678901234567"


def test_media_are_found_by_the_names_of_their_metadata(tmp_path: Path) -> None:
    folder = yt_dlp_folder(tmp_path, made_posts())
    export = read_export(str(folder))
    assert export
    list(export.rows())
    files = export.files(str(folder))
    for post in made_posts():
        name = post.video_id if post.number % 2 else f"Brot [{post.video_id}]"
        place = post.account or "unknown"
        if post.odd == "slideshow":
            names = [f"{name}_{n}.jpg" for n in (1, 2, 10)] + [f"{name}.mp3"]
            assert files[post.video_id] == [f"{place}/{name}" for name in names]
        elif not post.odd:
            assert files[post.video_id] == [f"{place}/{name}.mp4"]
    one = read_export(str(folder / "*" / f"{made_posts()[1].video_id}.info.json"))
    assert one
    assert [row["video_id"] for row in one.rows()] == [made_posts()[1].video_id]


def test_metadata_that_cannot_be_read_are_odd_rows_and_name_nobody(tmp_path: Path) -> None:
    folder = yt_dlp_folder(tmp_path, made_posts()[:1])
    (folder / "jane.secret").mkdir()
    (folder / "jane.secret" / "jane.secret.info.json").write_text("{no")
    (folder / "jane.secret" / f"{ID}.info.json").write_text("[[[")
    (folder / "jane.secret" / "gone.info.json").symlink_to("nowhere")
    export = read_export(str(folder))
    assert export
    rows = list(export.rows())
    assert [row["outcome"] for row in rows] == ["invalid_row"] * 3 + ["no_file"]
    assert rows[0]["video_id"] == f"metadata of {ID}"
    assert "secret" not in export.line + repr(rows)


def test_a_folder_of_media_alone_is_no_export(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"x")
    (tmp_path / "clip.mp4.json").write_text('{"my": "notes"}')
    (tmp_path / "run.json").write_text("{}")
    assert read_export(str(tmp_path)) is None


def test_gallery_dl_writes_an_item_for_each_file(tmp_path: Path) -> None:
    for post in made_posts()[:3]:
        (tmp_path / f"{post.video_id}.mp4").write_bytes(b"x")
        (tmp_path / f"{post.video_id}.mp4.json").write_text(json.dumps(web_item(post)))
    export = read_export(str(tmp_path))
    assert export
    assert [row["caption"] for row in export.rows()] == [post.caption for post in made_posts()[:3]]
    assert export.files(str(tmp_path)) == {
        post.video_id: [f"{post.video_id}.mp4"] for post in made_posts()[:3]
    }


def log_line(video_id: str, outcome: str, **more: object) -> str:
    return (
        json.dumps({"video_id": video_id, "account": "jane", "outcome": outcome, "files": [], **more}) + "\n"
    )


def test_what_a_collector_noted_last_of_a_post_counts(tmp_path: Path) -> None:
    folder = yt_dlp_folder(tmp_path, made_posts()[:2])
    first, second = (post.video_id for post in made_posts()[:2])
    text = log_line(first, "failed") + log_line(ID, "failed") + log_line(first, "collected", pinned=True)
    text += log_line(ID, "private", detail="10216")
    (folder / "collected.jsonl").write_text(text)
    log = read_export(str(folder / "collected.jsonl"))
    assert log
    assert [(row["video_id"], row["outcome"]) for row in log.rows()] == [
        (first, "collected"),
        (ID, "private"),
    ]
    assert log.tally.rows == 4
    export = read_export(str(folder))
    assert export
    rows = {row["video_id"]: row for row in export.rows()}
    assert {key: row["outcome"] for key, row in rows.items()} == {
        first: "collected",
        second: "no_file",
        ID: "private",
    }
    assert rows[first]["pinned"] is True
    assert rows[first]["caption"] == made_posts()[0].caption


def test_several_files_are_one_export_and_each_post_is_there_once(tmp_path: Path) -> None:
    posts = made_posts()
    for n, some in enumerate((posts[:30], posts[20:])):
        (tmp_path / str(n)).mkdir()
        research_page(tmp_path / str(n), some).rename(tmp_path / f"page{n}.json")
    (tmp_path / "page2.json").write_text(json.dumps({"nothing": "known"}))
    export = read_export(str(tmp_path / "page*.json"))
    assert export
    rows = list(export.rows())
    assert len({row["video_id"] for row in rows}) == len(rows) == 45
    assert (
        "a TikTok Research API export in 2 files: 55 rows, 45 posts (10 rows of a post named before"
        in export.line
    )


def test_a_table_names_files_and_those_that_are_there_count(tmp_path: Path) -> None:
    export = read_export(str(pyktok(tmp_path, made_posts()[:3])))
    assert export
    list(export.rows())
    assert export.files(str(tmp_path)) == {}
    for post in made_posts()[:2]:
        (tmp_path / f"@{post.account}_video_{post.video_id}.mp4").write_bytes(b"x")
    outside = tmp_path.parent / "outside.mp4"
    outside.write_bytes(b"x")
    export.named[ID] = ["../outside.mp4", str(outside)]
    assert set(export.files(str(tmp_path))) == {post.video_id for post in made_posts()[:2]}
    (tmp_path / "outside.mp4").symlink_to(outside)
    assert ID not in export.files(str(tmp_path)), "a link leads out"


def test_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    export = read_export(str(archive(tmp_path, made_posts())))
    assert export
    rows = list(export.rows())
    files = export.files(str(tmp_path / "media"))
    there = [
        post for post in made_posts() if post.odd in ("", "slideshow", "ad", "no author", "id as number")
    ]
    assert files == {post.video_id: [f"tiktok-{post.number}.mp4"] for post in there}
    assert {row["video_id"] for row in rows if row["outcome"] == "no_file"} == set(files)
    one, other = tmp_path / "media" / "tiktok-1.mp4", tmp_path / "media" / "tiktok-2.mp4"
    assert one.read_bytes() == b"film 1"
    before = one.stat().st_mtime_ns
    other.write_bytes(b"fi")  # as left by an interrupted run of something else
    export.files(str(tmp_path / "media"))
    assert one.stat().st_mtime_ns == before
    assert other.read_bytes() == b"film 2"
    assert not list((tmp_path / "media").glob(".tmp*"))


def test_a_damaged_archive_is_one_error(tmp_path: Path) -> None:
    file = archive(tmp_path, made_posts())
    data = bytearray(file.read_bytes())
    data[data.index(b"film 1")] ^= 1
    file.write_bytes(data)
    export = read_export(str(file))
    assert export
    list(export.rows())
    with pytest.raises(UserError, match=r"cannot be unpacked .*download it again"):
        export.files(str(tmp_path / "media"))


def rows_of(n: int) -> list[PostRow]:
    return [empty_post(str(int(ID) + i % (n - 2)), "zeeschuimer") for i in range(n)]


def test_posts_are_written_once_under_a_name_that_their_content_gives(tmp_path: Path) -> None:
    name = write_posts(iter(rows_of(25_000)), str(tmp_path))
    table = pq.read_table(tmp_path / name)
    assert table.num_rows == len(set(table["video_id"].to_pylist())) == 24_998
    assert write_posts(rows_of(25_000), str(tmp_path)) == name
    assert write_posts(rows_of(24_999), str(tmp_path)) != name
    assert write_posts([], str(tmp_path / "empty")).startswith("_posts-")
    assert {path.name[:7] for path in tmp_path.iterdir()} == {"_posts-", "empty"}


@pytest.mark.parametrize("source", ["zeeschuimer", "research page", "4cat csv", "apify list"])
def test_what_a_file_is_called_does_not_matter(source: str, tmp_path: Path) -> None:
    file = SOURCES[source][0](tmp_path, made_posts())
    export = read_export(str(file))
    assert export
    rows = list(export.rows())
    other = read_export(str(file.rename(tmp_path / "download")))
    assert other
    assert list(other.rows()) == rows
    with pytest.raises(UserError, match="no such file"):
        read_export(str(file))
