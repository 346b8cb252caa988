"""Ids out of addresses, file names and cells: one function for manifests, annotations and lists."""

from pathlib import Path

import pytest

from tikval.config import CatalogConfig, UserError
from tikval.rows import Reason
from tikval.sources.catalog import list_videos
from tikval.sources.ids import Post, id_in_cell, post_in, pseudonym
from tikval.sources.labels import read_labels
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder
from tikval.values import SLUGS

ID = "7412345678901234567"
POSTS = {
    f"https://www.tiktok.com/@jane.doe/video/{ID}": "jane.doe",
    f"https://www.tiktok.com/@jane.doe/video/{ID}?is_from_webapp=1&sender_device=7000000000000000001": "jane.doe",
    f"http://m.tiktok.com/@_jane_/photo/{ID}/": "_jane_",
    f"tiktok.com/@j/video/{ID}#comments": "j",
    f"https://www.tiktok.com/player/v1/{ID}": None,
    f"@jane_doe99_video_{ID}.mp4": "jane_doe99",
    f"clips/@jane_doe99_video_{ID}.mp4": "jane_doe99",
    f"jane/{ID}.mp4": None,
    f"A day with Jane [{ID}].mp4": None,
    f"tiktok_{ID}_{ID}.mp4": None,
    f"jane-{ID}": None,
}
ELSEWHERE = {
    "https://www.instagram.com/reel/C1aBcDeFgHi/": ("C1aBcDeFgHi", None),
    "https://www.instagram.com/reels/C1aBcDeFgHi/?igsh=x": ("C1aBcDeFgHi", None),
    "instagram.com/p/C-aB_DeFgHi": ("C-aB_DeFgHi", None),
    "https://instagram.com/jane.doe/reel/C1aBcDeFgHi/": ("C1aBcDeFgHi", "jane.doe"),
    "https://www.youtube.com/shorts/dQw4w9WgXcQ?feature=share": ("dQw4w9WgXcQ", None),
    "https://m.youtube.com/watch?app=desktop&v=-Qw4w9WgXc_&t=1": ("-Qw4w9WgXc_", None),
    "https://youtu.be/dQw4w9WgXcQ": ("dQw4w9WgXcQ", None),
    f"https://www.tiktokv.com/share/video/{ID}/": (ID, None),
    f"https://m.tiktok.com/v/{ID}.html": (ID, None),
}
OTHERS = [
    "https://www.instagram.com/jane.doe/",
    "https://www.instagram.com/share/reel/BAbCdEfGhI",
    "https://www.instagram.com/reels/audio/123456789012345/",
    "https://www.youtube.com/@jane/shorts",
    "https://www.youtube.com/watch?v=short",
    "https://notinstagram.com/reel/C1aBcDeFgHi/",
    "clip1",
    "",
    f"{ID}/clip1.mp4",  # a folder holds several files
    f"{ID}_7000000000000000001.mp4",
    f"1{ID}",
    ID[:-1],
    "http://example.org/video?id=" + ID,
]


@pytest.mark.parametrize("name", POSTS)
def test_a_post_is_known_by_its_id(name: str) -> None:
    assert post_in(name) == Post(ID, POSTS[name])


@pytest.mark.parametrize("address", ELSEWHERE)
def test_reels_and_shorts_are_what_their_addresses_call_them(address: str) -> None:
    assert post_in(address) == Post(*ELSEWHERE[address])
    assert id_in_cell(address) == Post(*ELSEWHERE[address])


@pytest.mark.parametrize("name", OTHERS)
def test_no_post(name: str) -> None:
    assert post_in(name) is None


@pytest.mark.parametrize(
    "cell",
    [
        ID,
        f" {ID} ",
        f"{ID}.0",
        f"'{ID}",
        f'="{ID}"',
        f"@jane_video_{ID}",
        f"https://www.tiktok.com/@jane/video/{ID}",
    ],
)
def test_a_cell_names_a_post_in_any_dress(cell: str) -> None:
    assert id_in_cell(cell).video_id == ID


@pytest.mark.parametrize("cell", ["clip 1", f"study_{ID}_a", "12", "1.0", "e", "3e"])
def test_other_cells_are_ids_as_they_stand(cell: str) -> None:
    assert id_in_cell(cell) == Post(cell, None)


@pytest.mark.parametrize("cell", ["7.41E+18", "7.412345678901235e+18", "7,41E+18", "7E18", "'7.41E+18"])
def test_an_id_that_a_spreadsheet_has_cut_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match="as text"):
        id_in_cell(cell)


def test_a_table_of_cut_ids_ends_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "videos.csv").write_text("path,video_id\na.mp4,7\na.mp4,7.41E+18\n")
    with pytest.raises(UserError, match=r"videos\.csv: line 3, column video_id: 7\.41E\+18"):
        list(list_videos(str(tmp_path / "videos.csv")))
    (tmp_path / "labels.csv").write_text("video_id,face\n7.41E+18,1\n")
    with pytest.raises(UserError, match=r"labels\.csv: line 2, column video_id"):
        read_labels(str(tmp_path / "labels.csv"), SLUGS, "schwartz-19")


def test_a_file_is_known_by_its_post_and_its_name_is_an_alias(tmp_path: Path) -> None:
    for name in (f"@jane_doe99_video_{ID}.mp4", "other.mp4", f"again [{ID}].mp4"):
        (tmp_path / name).write_bytes(b"x")
    found = list(list_videos(str(tmp_path)))
    assert [(row["video_id"], row["alias"], row["account"], row["error"]) for row in found] == [
        (ID, f"@jane_doe99_video_{ID}", "jane_doe99", None),
        (ID, f"again [{ID}]", None, Reason.DUPLICATE_ID),  # never one id for two files
        ("other", None, None, None),
    ]
    assert len({row["row_key"] for row in found}) == 3


def test_a_manifest_and_its_annotations_meet_in_any_spelling(tmp_path: Path) -> None:
    for n in range(4):
        (tmp_path / f"{n}.mp4").write_bytes(b"x")
    ids = [f"741234567890123456{n}" for n in range(4)]
    (tmp_path / "videos.csv").write_text(
        "path,video_id,account\n"
        f"0.mp4,https://www.tiktok.com/@jane.doe/video/{ids[0]},\n"
        f"1.mp4,{ids[1]}.0,bob\n2.mp4,@ann_video_{ids[2]}.mp4,\n3.mp4,mine_{ids[3]},\n"
    )
    (tmp_path / "labels.csv").write_text(
        f"video_id,face\n {ids[0]} ,1\nhttps://www.tiktok.com/@jane.doe/video/{ids[1]},1\n{ids[2]},1\nmine_{ids[3]},1\n"
    )
    config = CatalogConfig(
        videos=str(tmp_path / "videos.csv"),
        annotations=str(tmp_path / "labels.csv"),
        out=str(tmp_path / "out"),
    )
    write_catalog(config)
    rows = Folder(config.folder).read().to_pylist()
    assert [(row["video_id"], row["account"]) for row in rows] == [
        (ids[0], "jane.doe"),
        (ids[1], "bob"),
        (ids[2], "ann"),
        (f"mine_{ids[3]}", None),
    ]
    labels = Folder(config.folder).read_side_table("labels")
    assert [(row["video_id"], row["account"]) for row in labels] == [
        (row["video_id"], row["account"]) for row in rows
    ]


def test_an_id_that_the_manifest_changes_is_changed(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    config = CatalogConfig(videos=str(tmp_path / "videos.csv"), out=str(tmp_path / "out"))
    for name in ("one", "two"):
        (tmp_path / "videos.csv").write_text(f"path,video_id\na.mp4,{name}\n")
        write_catalog(config)
        assert Folder(config.folder).read(["video_id"])["video_id"].to_pylist() == [name]


def test_pseudonyms_are_stable_keyed_and_found_by_the_annotations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clips").mkdir()
    for name in ("jane doe.mp4", f"[{ID}].mp4"):
        (tmp_path / "clips" / name).write_bytes(b"x")
    (tmp_path / "labels.csv").write_text(f"video_id,face\njane doe,1\n{ID},1\n")
    config = CatalogConfig(
        videos=str(tmp_path / "clips"),
        annotations=str(tmp_path / "labels.csv"),
        ids="pseudonyms",
        out=str(tmp_path / "out"),
    )
    monkeypatch.setenv("TIKVAL_KEY", "ab" * 16)
    first = write_catalog(config)
    rows = Folder(config.folder).read().to_pylist()
    assert [row["alias"] for row in rows] == [f"[{ID}]", "jane doe"]
    assert rows[0]["video_id"] == ID
    assert rows[1]["video_id"] not in ("jane doe", pseudonym("jane doe", bytes(16)))
    labels = Folder(config.folder).read_side_table("labels")
    assert {row["video_id"] for row in labels} == {row["video_id"] for row in rows}
    assert write_catalog(config).files == first.files


def test_a_finished_study_goes_on_with_its_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"@jane_video_{ID}"
    (tmp_path / f"{name}.mp4").write_bytes(b"x")
    config = CatalogConfig(videos=str(tmp_path), out=str(tmp_path / "out"))
    with monkeypatch.context() as before:  # the version that knew paths alone
        before.setattr("tikval.sources.catalog.post_in", lambda _: None)
        write_catalog(config)
    first = Folder(config.folder).read().to_pylist()
    assert first[0]["video_id"] == name
    (tmp_path / f"new [{ID[:-1]}9].mp4").write_bytes(b"x")
    (tmp_path / "labels.csv").write_text(f"video_id,face\n{ID},1\n{ID[:-1]}9,1\n")
    write_catalog(config.model_copy(update={"annotations": str(tmp_path / "labels.csv")}))
    rows = Folder(config.folder).read().to_pylist()
    assert [(row["video_id"], row["alias"]) for row in rows] == [
        (name, ID),
        (f"{ID[:-1]}9", f"new [{ID[:-1]}9]"),
    ]
    assert rows[0]["row_key"] == first[0]["row_key"]
    labels = Folder(config.folder).read_side_table("labels")
    assert [row["video_id"] for row in labels] == [name, f"{ID[:-1]}9"]
