"""What a study is made of: posts that an export lists, and their files in a folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tikval.config import CatalogConfig, UserError
from tikval.sources.posts import read_posts
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder

IDS = [str(7412345678901234567 + n) for n in range(6)]


class Study:
    def __init__(self, root: Path) -> None:
        self.root, self.media, self.out = root, root / "media", root / "out"
        self.media.mkdir()
        self.notes: list[str] = []

    def research(self, *videos: Mapping[str, Any]) -> str:
        """A Research API export with a post for each id."""
        rows = [
            {
                "id": int(name),
                "username": "Jane.Doe" if n % 2 else "@jane.doe",
                "video_description": f"caption {n}",
                "create_time": 1725821215,
                "like_count": 10 * n,
                "view_count": 100 * n,
                "video_duration": 9,
            }
            for n, name in enumerate(IDS)
        ]
        file = self.root / "export.json"
        file.write_text(json.dumps({"data": {"videos": [*rows, *videos], "has_more": False}}))
        return str(file)

    def has(self, *names: str) -> None:
        for name in names:
            (self.media / name).parent.mkdir(parents=True, exist_ok=True)
            (self.media / name).write_bytes(name.encode())

    def list(self, videos: str, **settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The catalog's videos and posts by id."""
        settings = {key: str(value) for key, value in settings.items()}
        config = CatalogConfig(videos=videos, out=str(self.out), **settings)
        write_catalog(config, self.notes.append)
        catalog = Folder(config.folder)
        rows = catalog.read().to_pylist()
        assert len({row["video_id"] for row in rows}) == len(rows)
        posts = read_posts(catalog).to_pylist()
        assert len({row["video_id"] for row in posts}) == len(posts)
        return {row["video_id"]: row for row in rows}, {row["video_id"]: row for row in posts}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def test_an_export_and_the_files_of_its_posts(study: Study) -> None:
    study.has(f"{IDS[0]}.mp4", f"jane/@jane.doe_video_{IDS[1]}.mp4", "7499999999999999999.mp4")
    videos, posts = study.list(study.research(), media=study.media)
    assert set(videos) == set(IDS[:2]), (
        "a post without a file is no video, and a file without a post is none of these"
    )
    assert videos[IDS[1]]["caption"] == "caption 1"
    assert {row["account"] for row in [*videos.values(), *posts.values()]} == {"jane.doe"}, "one spelling"
    assert set(posts) == set(IDS)
    assert [posts[name]["outcome"] for name in IDS] == ["collected", "collected", *["no_file"] * 4]
    assert posts[IDS[3]]["plays"] == 300
    assert not posts[IDS[3]]["posted_at_from_id"]
    (line,) = (note for note in study.notes if "Research API" in note)
    assert "6 posts" in line
    (left,) = (note for note in study.notes if "of no post" in note)
    assert "1 of 3 files" in left
    assert "7499999999999999999" in left


def test_the_same_again_is_finished(study: Study) -> None:
    study.has(f"{IDS[0]}.mp4")
    config = CatalogConfig(videos=study.research(), media=str(study.media), out=str(study.out))
    assert write_catalog(config) == write_catalog(config)


def test_an_export_none_of_whose_posts_has_a_file_is_an_error(study: Study) -> None:
    study.has("gears.mp4")
    with pytest.raises(UserError, match=r"none of its posts has a file in .*media; .* there are gears.mp4"):
        study.list(study.research(), media=study.media)
    with pytest.raises(UserError, match="--media FOLDER"):
        study.list(study.research())


def test_metadata_of_a_downloader_and_the_record_of_a_collector(study: Study) -> None:
    study.has("a.mp4", f"x/{IDS[1]}.mp4")
    info = {
        "id": IDS[0],
        "uploader": "jane.doe",
        "description": "d",
        "timestamp": 1725821215,
        "like_count": 3,
    }
    (study.media / "a.info.json").write_text(json.dumps(info | {"extractor_key": "TikTok", "_type": "video"}))
    record = [
        {
            "video_id": IDS[1],
            "account": "bob",
            "outcome": "sound_removed",
            "collected_at": "2026-11-01T00:00:00Z",
        },
        {"video_id": IDS[2], "account": "bob", "outcome": "failed", "files": [], "detail": "timed out"},
        {"video_id": IDS[2], "account": "bob", "outcome": "private", "detail": "10222"},
        {"video_id": IDS[3], "account": "bob", "outcome": "collected", "pinned": True},
    ]
    lines = "".join(json.dumps(line) + "\n" for line in record)
    (study.media / "collected.jsonl").write_text(lines + '{"video_id": "cut')
    videos, posts = study.list(str(study.media))
    assert set(videos) == {IDS[0], IDS[1]}
    assert videos[IDS[0]]["account"] == "jane.doe"
    assert videos[IDS[0]]["alias"] == "a"
    assert posts[IDS[0]]["likes"] == 3
    assert [posts[name]["outcome"] for name in IDS[:4]] == [
        "collected",
        "sound_removed",
        "private",
        "no_file",
    ]
    assert posts[IDS[2]]["detail"] == "10222"
    assert posts[IDS[3]]["pinned"]
    assert posts[IDS[1]]["collected_at"].year == 2026


def test_metadata_tells_of_the_posts_of_an_export_too(study: Study) -> None:
    study.has(f"{IDS[0]}.mp4")
    info = {
        "id": IDS[0],
        "uploader": "jane.doe",
        "description": "other",
        "save_count": 5,
        "extractor_key": "TikTok",
    }
    (study.media / f"{IDS[0]}.info.json").write_text(json.dumps(info))
    _, posts = study.list(study.research(), media=study.media)
    assert (posts[IDS[0]]["caption"], posts[IDS[0]]["saves"]) == ("caption 0", 5)


def test_a_study_that_began_with_files_alone_stays_as_it_is(study: Study) -> None:
    study.has(f"{IDS[0]}.mp4")
    config = CatalogConfig(videos=str(study.media), out=str(study.out))
    before = write_catalog(config)
    info = {"id": IDS[0], "uploader": "jane.doe", "description": "d", "extractor_key": "TikTok"}
    (study.media / f"{IDS[0]}.info.json").write_text(json.dumps(info))
    assert write_catalog(config) == before


def test_a_manifest_that_tells_more_of_posts(study: Study) -> None:
    study.has("gears.mp4", f"{IDS[0]}.mp4")
    (study.root / "m.csv").write_text(
        "path,account,posted_at,likes,is_ad,play_count\n"
        f"media/gears.mp4,@Jane,2026-01-01,12,yes,1000\nmedia/{IDS[0]}.mp4,bob,,,no,\nmedia/none.mp4,bob,,1,,\n"
    )
    videos, posts = study.list(str(study.root / "m.csv"))
    assert set(videos) == set(posts) == {"media/gears", IDS[0], "media/none"}
    assert (posts["media/gears"]["likes"], posts["media/gears"]["plays"]) == (12, 1000)
    assert (posts["media/gears"]["is_ad"], posts[IDS[0]]["is_ad"], posts["media/none"]["is_ad"]) == (
        True,
        False,
        None,
    )
    assert posts["media/gears"]["posted_at"].year == 2026
    assert posts[IDS[0]]["posted_at_from_id"]
    assert not [note for note in study.notes if "not used" in note]


def test_a_list_of_addresses_and_a_folder(study: Study) -> None:
    study.has(f"{IDS[0]}.mp4")
    (study.root / "list.csv").write_text(
        f"link;topic\nhttps://www.tiktok.com/@jane/video/{IDS[0]};a\nhttps://www.tiktokv.com/share/video/{IDS[1]}/;b\n"
    )
    videos, posts = study.list(str(study.root / "list.csv"), media=study.media)
    assert set(videos) == {IDS[0]}
    assert videos[IDS[0]]["account"] == "jane"
    assert set(posts) == set(IDS[:2])


@pytest.mark.parametrize("line", ["[1]", '{"video_id": "a", "outcome": "eaten"}', "x", "[" * 10_000])
def test_a_line_that_is_no_record_is_counted(study: Study, line: str) -> None:
    study.has(f"{IDS[0]}.mp4")
    good = {"video_id": IDS[1], "outcome": "private", "files": []}
    (study.media / "collected.jsonl").write_text(f"{json.dumps(good)}\n{line}\n")
    videos, posts = study.list(str(study.media))
    assert set(videos) == {IDS[0]}
    assert posts[IDS[1]]["outcome"] == "private"


def test_pseudonyms_stay_those_of_files_and_posts_alike(study: Study) -> None:
    study.has("C1aBcDeFgHi.mp4")
    (study.root / "list.csv").write_text(
        "url,likes\nhttps://www.instagram.com/reel/C1aBcDeFgHi/,3\nhttps://www.instagram.com/reel/C2aBcDeFgHi/,4\n"
    )
    videos, posts = study.list(str(study.root / "list.csv"), media=study.media, ids="pseudonyms")
    assert set(videos) < set(posts)
    assert all(name.startswith("v") and len(name) == 17 for name in posts)


@pytest.mark.parametrize(
    ("videos", "setting"), [("media", "media"), ("media", "columns"), ("m.csv", "media")]
)
def test_a_setting_of_exports_is_refused_where_it_would_change_nothing(
    study: Study, videos: str, setting: str
) -> None:
    study.has(f"{IDS[0]}.mp4")
    (study.root / "m.csv").write_text(f"path\nmedia/{IDS[0]}.mp4\n")
    with pytest.raises(UserError, match=f"--{setting} would change nothing"):
        study.list(str(study.root / videos), **{setting: study.root})


def test_files_of_no_post_are_told_without_names(study: Study) -> None:
    study.has(f"{IDS[0]}.mp4", "bob/@bob_video_7499999999999999999.mp4")
    study.list(study.research(), media=study.media)
    (left,) = (note for note in study.notes if "of no post" in note)
    assert "7499999999999999999" in left
    assert "bob" not in left
