"""What is known of a study's posts."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tikval.config import CatalogConfig
from tikval.sources.ids import posted_at_of
from tikval.sources.posts import read_posts
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder


@pytest.mark.parametrize(
    ("video_id", "when"),
    [
        ("7412345678901234567", datetime(2024, 9, 8, 18, 46, 55, tzinfo=UTC)),
        ("741234567890123456", None),
        ("1234567890123456789", None),  # of before there was the platform
        ("clips/7412345678901234567", None),
        ("C1aBcDeFgHi", None),
    ],
)
def test_an_id_tells_when_its_post_was_posted(video_id: str, when: datetime | None) -> None:
    assert posted_at_of(video_id) == when


def test_a_folder_of_files_lists_posts_too(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("7412345678901234567.mp4", "gears.mp4"):
        (tmp_path / "in" / name).write_bytes(b"x")
    config = CatalogConfig(videos=str(tmp_path / "in"), out=str(tmp_path / "out"))
    write_catalog(config)
    posts = {row["video_id"]: row for row in read_posts(Folder(config.folder)).to_pylist()}
    assert set(posts) == {"7412345678901234567", "gears"}
    assert posts["7412345678901234567"]["posted_at"] == posted_at_of("7412345678901234567")
    assert posts["7412345678901234567"]["posted_at_from_id"]
    assert posts["gears"]["posted_at"] is None
    assert not posts["gears"]["posted_at_from_id"]
    assert {row["outcome"] for row in posts.values()} == {"collected"}
    assert {row["source"] for row in posts.values()} == {"folder"}
