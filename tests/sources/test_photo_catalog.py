"""Photo posts in a catalog: one row of several files, in folders, globs, stores and manifests; what else is there is
notes."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.fixtures.stores import FakeStore
from tikval.config import CatalogConfig
from tikval.evaluate.sample import draw_sample, read_frame
from tikval.report.export.coders import write_coders_list
from tikval.rows import Reason, VideoRow
from tikval.sources.catalog import list_videos
from tikval.sources.posts import read_posts, read_videos_with_posts
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.study.erasure import erase_videos

ID = "7412345678901234567"
FILES = [f"{ID}_1.jpg", f"{ID}_2.png", f"{ID}_10.webp", f"{ID}.mp3"]


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    for n, name in enumerate([*FILES, "b.mp4", "a/c.mp4"]):
        touch(folder / name, b"x" * (n + 1))
    return folder


def touch(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def rows_of(source: Path | str) -> tuple[dict[str, VideoRow], list[str]]:
    notes = list[str]()
    return {row["video_id"]: row for row in list_videos(str(source), say=notes.append)}, notes


def names(row: VideoRow) -> list[str]:
    assert row["files"]
    assert row["path"] == row["files"][0]
    return [Path(file).name for file in row["files"]]


def test_a_post_is_one_row_among_videos(media: Path) -> None:
    rows, notes = rows_of(media)
    assert list(rows) == [ID, "b", "a/c"]
    assert names(rows[ID]) == FILES
    assert rows[ID]["size_bytes"] == 1 + 2 + 3 + 4
    assert rows[ID]["error"] is None
    assert [rows[name]["files"] for name in ("b", "a/c")] == [None, None]
    assert not notes


def test_what_is_neither_is_told_in_one_line(media: Path) -> None:
    for name in ("song.mp3", "avatar.jpg", "a/x.json", "a/y.json", "b.jpg", "z.mp4.part", ".hidden"):
        touch(media / name)
    rows, notes = rows_of(media)
    assert len(rows) == 3
    (line,) = notes
    assert line.startswith(f"{media}: 6 files are neither a video nor of a photo post and passed over: ")
    for told in (
        "2 .jpg (avatar.jpg, b.jpg)",
        "2 .json (x.json, y.json)",
        "1 .mp3 (song.mp3)",
        "1 .part (z.mp4.part)",
    ):
        assert told in line


def test_a_replaced_file_is_another_state_of_the_post(media: Path) -> None:
    before = rows_of(media)[0][ID]
    touch(media / FILES[1], b"yy")  # of the same size
    after = rows_of(media)[0][ID]
    assert before["row_key"] != after["row_key"]
    assert before["size_bytes"] == after["size_bytes"]
    (media / FILES[3]).unlink()
    silent = rows_of(media)[0][ID]
    assert names(silent) == FILES[:3]
    assert silent["row_key"] not in (before["row_key"], after["row_key"])


def test_a_post_moves_with_its_folder(media: Path) -> None:
    before = rows_of(media)[0][ID]["row_key"]
    media.rename(media.with_name("moved"))
    assert rows_of(media.with_name("moved"))[0][ID]["row_key"] == before


@pytest.mark.parametrize(
    ("pattern", "files"),
    [("*", FILES), (f"{ID}*", FILES), ("*.jpg", FILES[:1]), ("**/*", FILES), ("*.[jp]*g", FILES[:2])],
)
def test_globs(media: Path, pattern: str, files: list[str]) -> None:
    assert names(rows_of(f"{media}/{pattern}")[0][ID]) == files


def test_a_folder_per_post(tmp_path: Path) -> None:
    for name in ("2.jpg", "1.jpg", "music.m4a"):
        touch(tmp_path / ID / name)
    for source in (tmp_path, tmp_path / ID, f"{tmp_path}/{ID}/"):
        rows, notes = rows_of(source)
        assert list(rows) == [ID]
        assert names(rows[ID]) == ["1.jpg", "2.jpg", "music.m4a"]
        assert not notes


def test_a_picture_alone_names_its_post(media: Path) -> None:
    assert names(rows_of(media / FILES[0])[0][ID]) == FILES


def test_a_post_whose_every_file_is_empty_fails(tmp_path: Path) -> None:
    for n, data in enumerate((b"", b"", b"x"), 1):
        touch(tmp_path / f"{ID}_{n}.jpg", data)
    assert rows_of(tmp_path)[0][ID]["error"] is None
    touch(tmp_path / f"{ID}_3.jpg", b"")
    assert rows_of(tmp_path)[0][ID]["error"] == Reason.EMPTY_FILE


def test_a_manifest_names_a_post_by_its_first_picture_or_its_folder(media: Path) -> None:
    for name in ("1.jpg", "2.jpg", "x.mp3"):
        touch(media / "summer" / name)
    touch(media / "single.png")
    lines = [
        "path,video_id,caption",
        f"{FILES[0]},,hello",
        "summer,S,",
        "single.png,one,",
        "b.mp4,,",
        "gone_1.jpg,gone,",
    ]
    rows, _ = rows_of(touch(media / "videos.csv", "\n".join(lines).encode()))
    assert list(rows) == [ID, "S", "one", "b", "gone"]
    assert names(rows[ID]) == FILES
    assert rows[ID]["caption"] == "hello"
    assert names(rows["S"]) == ["1.jpg", "2.jpg", "x.mp3"]
    assert names(rows["one"]) == ["single.png"]
    assert {name: row["error"] for name, row in rows.items() if row["error"]} == {"gone": Reason.MISSING_FILE}


def test_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FakeStore({f"bucket/media/{name}": b"x" for name in (*FILES, "b.mp4", "cover.jpg")})
    for module in ("catalog", "objects", "post_files"):
        monkeypatch.setattr(f"tikval.sources.{module}.filesystem", store.filesystem)
    rows, notes = rows_of("s3://bucket/media")
    assert list(rows) == [ID, "b"]
    assert rows[ID]["files"] == [f"s3://bucket/media/{name}" for name in FILES]
    assert len(notes) == 1
    lines = f"path\ns3://bucket/media/{FILES[0]}\n"
    by_line, _ = rows_of(touch(tmp_path / "m.csv", lines.encode()))
    assert by_line[ID]["files"] == rows[ID]["files"]


def test_a_catalog_without_photo_posts_keeps_its_file_name(media: Path, tmp_path: Path) -> None:
    """The column is there only where it tells something, so that finished studies stay finished."""
    config = CatalogConfig(videos=str(media), out=str(tmp_path / "study"))
    (name,) = write_catalog(config).files
    assert "files" in pq.read_schema(f"{config.folder}/{name}").names
    assert Folder(config.folder).read()["files"].null_count == 2
    for file in FILES:
        (media / file).unlink()
    (name,) = write_catalog(config).files
    assert "files" not in pq.read_schema(f"{config.folder}/{name}").names
    assert Folder(config.folder).read()["files"].null_count == 2


def test_a_study_that_began_without_photo_posts_stays_as_it_is(media: Path, tmp_path: Path) -> None:
    """As one of an earlier version, whose catalog says nothing of them."""
    photos = {name: (media / name).read_bytes() for name in FILES}
    config = CatalogConfig(videos=str(media), out=str(tmp_path / "study"))
    for file in FILES:
        (media / file).unlink()
    run = Path(config.folder) / "run.json"
    write_catalog(config)
    run.write_bytes(as_before(run.read_bytes()))
    for name, data in photos.items():
        touch(media / name, data)
    notes = list[str]()
    before = run.read_bytes()
    write_catalog(config, notes.append)
    assert run.read_bytes() == before
    assert notes == ["1 photo post is left out: this study began without them; another --out takes them in"]
    touch(media / "new.mp4")
    for _ in range(2):
        write_catalog(config)
        assert sorted(Folder(config.folder).read()["video_id"].to_pylist()) == ["a/c", "b", "new"]
    explicit = config.model_copy(update={"photo_posts": True})
    write_catalog(explicit)
    assert ID in Folder(config.folder).read()["video_id"].to_pylist()
    write_catalog(config)
    assert ID in Folder(config.folder).read()["video_id"].to_pylist()


def test_a_study_without_pictures_takes_photo_posts_later(media: Path, tmp_path: Path) -> None:
    config = CatalogConfig(videos=str(media / "*.mp4"), out=str(tmp_path / "study"))
    write_catalog(config)
    whole = CatalogConfig(videos=str(media), out=str(tmp_path / "study"))
    assert write_catalog(whole).rows == 3


def as_before(run: bytes) -> bytes:
    data = json.loads(run)
    del data["config"]["photo_posts"]
    return json.dumps(data).encode()


def test_an_erased_post_does_not_come_back_and_its_files_stay(media: Path, tmp_path: Path) -> None:
    touch(media / "@jane_doe_photo_7412345678901239999_1.jpg")
    config = CatalogConfig(videos=str(media), out=str(tmp_path / "study"))
    write_catalog(config)
    erase_videos(config.out, {ID}, {"jane_doe"})
    for _ in range(2):
        assert sorted(Folder(config.folder).read()["video_id"].to_pylist()) == ["a/c", "b"]
        left = [file for file in Path(config.out).rglob("*") if file.is_file()]
        assert not [
            file for file in left if ID.encode() in (data := file.read_bytes()) or b"jane_doe" in data
        ]
        write_catalog(config)
    assert all((media / file).exists() for file in FILES)


@pytest.mark.parametrize("told", ["path\n{0}\nb.mp4\n", "path,likes\n{0},3\nb.mp4,5\n", None])
def test_a_post_of_pictures_is_known_as_one(media: Path, tmp_path: Path, told: str | None) -> None:
    """By its files, whether a source tells of the post or not."""
    source = media if told is None else touch(media / "v.csv", told.format(FILES[0]).encode())
    config = CatalogConfig(videos=str(source), out=str(tmp_path / "study"))
    write_catalog(config)
    for table in (
        read_posts(Folder(config.folder)),
        read_videos_with_posts(Folder(config.folder), ["video_id", "is_slideshow"]),
    ):
        known = {row["video_id"]: row["is_slideshow"] for row in table.to_pylist()}
        assert (known[ID], known["b"]) == (True, None)


def test_people_who_annotate_are_told_every_file_of_a_post(media: Path, tmp_path: Path) -> None:
    frame = read_frame(str(media))
    sample = draw_sample(frame.videos, 3)
    write_coders_list(frame, sample, tmp_path / "coders.csv", {}, names=False)
    with (tmp_path / "coders.csv").open(encoding="utf-8", newline="") as file:
        paths = {row["video_id"].strip("='\""): row["path"] for row in csv.DictReader(file)}
    assert paths[ID].split("; ") == [str(media / name) for name in FILES]
    assert paths["b"] == str(media / "b.mp4")
