"""Every export of the field is read to the same posts, whatever it calls them."""

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.exports import COLLECTED, SOURCES, Made, made_posts
from tikval.config import CatalogConfig
from tikval.sources.exports import SourceExport, read_export
from tikval.sources.posts import read_posts
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder

OUTCOMES = {"deleted": "deleted", "private": "private", "live": "live", "other platform": "other_platform"}


def export_of(source: str, folder: Path) -> SourceExport:
    export = read_export(str(SOURCES[source][0](folder, made_posts())))
    assert export is not None
    return export


def listed(source: str) -> list[Made]:
    """The rows that a source has, as it can."""
    return [post for post in made_posts() if post.odd not in SOURCES[source][3]]


def expected(post: Made, tells: frozenset[str]) -> dict[str, Any]:
    """What a source that tells these fields tells of a post; None for one that it cannot know."""
    told: dict[str, Any] = {
        "video_id": post.video_id,
        "account": post.account,
        "url": post.url if post.account else None,
        "caption": post.caption,
        "posted_at": post.when,
        "pinned": post.pinned,
        "duration": float(post.duration) if post.duration else None,
        "is_ad": post.is_ad,
        "is_aigc": post.is_aigc,
        "is_slideshow": post.slideshow,
        "likes": post.likes,
        "shares": post.shares,
        "comments": post.comments,
        "plays": post.plays,
        "saves": post.saves,
        "music": post.music,
        "hashtags": post.tags or None,
        "collected_at": COLLECTED,
    }
    only_yes = {name.removesuffix("!") for name in tells if name.endswith("!")}
    for name in told:
        if name not in tells and name != "video_id":
            told[name] = (told[name] or None) if name in only_yes else None
    return told


@pytest.mark.parametrize("source", [name for name in SOURCES if "donation" not in name])
def test_every_source_is_read_to_the_same_posts(source: str, tmp_path: Path) -> None:
    _, recognised, tells, _ = SOURCES[source]
    export = export_of(source, tmp_path)
    rows = list(export.rows())
    assert export.source == recognised
    posts = {post.video_id: post for post in listed(source) if post.odd != "again"}
    ordinary = {key: post for key, post in posts.items() if post.odd not in OUTCOMES}
    found = {row["video_id"]: row for row in rows}
    assert len(found) == len(rows) == len(posts)
    for video_id, post in ordinary.items():
        row: Any = found[video_id]
        want = expected(post, tells)
        if post.odd == "no author" and "url" in tells:
            want["url"] = row["url"]  # as its source has it, if it has any
        assert {name: row[name] for name in want} == want
        assert (row["outcome"], row["source"]) == ("no_file", recognised)
        assert row["posted_at_from_id"] is False


@pytest.mark.parametrize("source", SOURCES)
def test_odd_rows_are_posts_that_say_what_is_odd(source: str, tmp_path: Path) -> None:
    export = export_of(source, tmp_path)
    rows = list(export.rows())
    odd = [post for post in listed(source) if post.odd in OUTCOMES]
    if "donation" in source:  # a link does not tell that its post is gone
        odd = [post for post in odd if post.odd in ("live", "other platform")]
    assert sorted(row["outcome"] for row in rows if row["outcome"] != "no_file") == sorted(
        OUTCOMES[post.odd] for post in odd
    )
    for post in odd:
        named = [row for row in rows if row["video_id"] == post.video_id]
        assert not named or named[0]["outcome"] == OUTCOMES[post.odd]
    again = sum(post.odd == "again" for post in listed(source))
    assert export.tally.again >= again
    assert export.tally.rows == len(rows) + export.tally.again


@pytest.mark.parametrize("source", SOURCES)
def test_one_line_says_what_was_read(source: str, tmp_path: Path) -> None:
    export = export_of(source, tmp_path)
    rows = list(export.rows())
    line = export.line
    assert "\n" not in line
    assert f"{export.title}: {export.tally.rows} rows, {len(rows)} posts" in line
    assert not any(f"maker.{n}_" in line.partition(": ")[2] for n in range(7)), "names no account"
    assert [dict(row) for row in export.rows()] == [dict(row) for row in rows], "as often as wanted"


def test_the_line_names_what_is_odd_and_what_is_not_used(tmp_path: Path) -> None:
    export = export_of("zeeschuimer", tmp_path)
    list(export.rows())
    assert export.line.partition(".ndjson: ")[2].partition("data.authorStats")[0] == (
        "a Zeeschuimer export: 50 rows, 48 posts (2 rows of a post named before, 1 deleted, 1 live room, 1 of another "
        "platform, 1 private); not used: id, nav_index, last_updated, source_platform_url, source_url, user_agent, "
    )


@pytest.mark.parametrize("source", ["data donation", "old data donation"])
def test_a_data_donation_tells_links_and_the_persons_own_posts(source: str, tmp_path: Path) -> None:
    rows = {row["video_id"]: row for row in export_of(source, tmp_path).rows()}
    for post in made_posts():
        if post.odd in ("live", "other platform", "again"):
            continue
        row = rows[post.video_id]
        own = post.number < 10
        assert row["posted_at_from_id"] is not own
        assert row["posted_at"]
        assert abs((row["posted_at"] - post.when).total_seconds()) < 60, "and never when it was watched"
        assert row["caption"] == (post.caption if own else None)
        assert row["likes"] == (post.likes if own else None)
        assert (row["account"], row["collected_at"], row["pinned"]) == (None, None, None)
        assert row["url"] == post.link


@pytest.mark.parametrize("source", SOURCES)
def test_a_catalog_is_made_of_every_source_as_it_is(source: str, tmp_path: Path) -> None:
    """With clips of six posts in another folder, unless the source has files itself."""
    posts, file = listed(source), SOURCES[source][0](tmp_path, made_posts())
    has_files = file.is_dir() or file.suffix == ".zip"
    (tmp_path / "clips").mkdir()
    for post in made_posts()[:6]:
        (tmp_path / "clips" / f"{post.video_id}.mp4").write_bytes(b"%d" % post.number)
    media = None if has_files else str(tmp_path / "clips")
    config = CatalogConfig(videos=str(file), media=media, out=str(tmp_path / "out"))
    lines: list[str] = []
    run = write_catalog(config, lines.append)
    found = read_posts(Folder(config.folder)).to_pylist()
    collected = {row["video_id"] for row in found if row["outcome"] == "collected"}
    assert len(found) == sum(post.odd != "again" for post in posts)
    assert run.rows == len(collected)
    assert run.rows > 6 if has_files else collected == {post.video_id for post in made_posts()[:6]}
    assert sum(": " in line and " posts" in line for line in lines) == 1
