"""What coders see: out of the list and the study, with nobody's name in it, and files that a browser finds."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures.coding import CodingStudy
from tikval.annotate.coding_media import media_names, place_media
from tikval.annotate.material import (
    CodingVideo,
    read_coding_list,
    read_practice,
    say_of_names,
    with_study,
)
from tikval.annotate.sheet import Gold
from tikval.codebook import load_codebook
from tikval.config import UserError
from tikval.sources.ids import name_by_key
from tikval.store.runs import Study

BOOK = load_codebook(Path("prompts/codebook.yaml"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> CodingStudy:
    made = CodingStudy(tmp_path_factory.mktemp("coding"))
    made.draw(12)
    made.draw(12, "named.csv", names=True)
    return made


@pytest.mark.parametrize("name", ["coders.csv", "named.csv"])
def test_the_study_tells_what_the_list_does_not_and_nobody_is_named(study: CodingStudy, name: str) -> None:
    uri = str(study.root / name)
    videos = with_study(read_coding_list(uri), Study(study.out), uri)
    shown = {
        name_by_key(row["row_key"]) if "jane" in row["video_id"] else row["video_id"]: (n, row)
        for n, row in enumerate(study.rows)
    }
    assert {video.item for video in videos} == shown.keys()
    assert sum(video.item.startswith("video-") for video in videos) == 3
    for video in videos:
        n, row = shown[video.item]
        assert video.files == tuple(row["files"] or [row["path"]])
        assert video.caption == f"by @someone: number {n}"
        assert video.script == f"I am @someone, {n}"
        assert (video.probability, video.stratum) == (1, "all")


def test_a_list_of_ones_own_finds_its_files_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "list.csv").write_text(
        "id;file;text;account\n7412345678901234567;a.mp4;hello @jane_doe;\n"
        ";other 7412345678901234568.mp4;by mo_smith;mo_smith\n"
    )
    first, second = read_coding_list(str(tmp_path / "list.csv"))
    assert first == CodingVideo("7412345678901234567", (str(tmp_path / "a.mp4"),), "hello @someone")
    assert (second.item, second.caption, second.probability) == ("7412345678901234568", "by @someone", None)


def test_ids_that_name_somebody_are_told_of_where_no_study_knows_them() -> None:
    notes: list[str] = []
    say_of_names([CodingVideo("7412345678901234567"), CodingVideo("clip of @jane_doe")], notes.append)
    assert "as they are: 1;" in notes[0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("video_id\n1\n2\n1\n", "1 is listed twice"),
        ("video_id,probability\n1,1.5\n", "line 2, column probability: '1.5' is no probability"),
        ("name\n1\n", "no column video_id; there are name"),
        ("video_id\n", "lists no video"),
        ("video_id,path\n,\n7.4E+18,a.mp4\n", "line 3, column video_id"),
    ],
)
def test_a_list_that_cannot_be_used_says_where(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(UserError, match=re.escape(why)):
        read_coding_list(str(tmp_path / "list.csv"))


def test_what_the_study_does_not_list_is_named(study: CodingStudy, tmp_path: Path) -> None:
    notes: list[str] = []
    one = CodingVideo("unknown", caption="as listed")
    found = with_study([CodingVideo("7000000000000000011"), one], Study(study.out), "list.csv", notes.append)
    assert found[1] == one
    assert "1 of 2 videos of list.csv are in the catalog" in notes[0]
    with pytest.raises(UserError, match=r"1 of 1 videos of list.csv is not in the catalog"):
        with_study([one], Study(study.out), "list.csv")


def test_right_answers_to_practise_on(tmp_path: Path) -> None:
    gold = tmp_path / "gold.csv"
    gold.write_text(
        "video_id,annotator,hedonism,face,note\ng1,consolidated,endorsed,not_sure,the party\n"
        "g1,ann,absent,,\n"
    )
    [video] = read_practice(str(gold), BOOK, lambda note: None)
    assert (video.item, video.gold) == ("g1", Gold({"hedonism": "endorsed"}, "the party"))
    gold.write_text(gold.read_text().replace("consolidated", "bob"))
    with pytest.raises(UserError, match="g1 has several annotators"):
        read_practice(str(gold), BOOK, lambda note: None)


def test_copies_travel_with_the_folder_and_name_nobody(study: CodingStudy, tmp_path: Path) -> None:
    uri, notes = str(study.root / "coders.csv"), list[str]()
    videos = with_study(read_coding_list(uri), Study(study.out), uri)
    placed, left_out = place_media(videos, tmp_path / "coding", "copy", notes.append)
    assert not left_out
    for before, after in zip(videos, placed, strict=True):
        for source, name in zip(before.files, after.files, strict=True):
            copy = tmp_path / "coding" / "sheets" / name
            assert "jane" not in name
            assert copy.suffix == Path(source).suffix.lower()
            (tmp_path / "coding" / "sheets").mkdir(exist_ok=True)
            assert copy.read_bytes() == Path(source).read_bytes()
    assert place_media(videos, tmp_path / "coding", "copy", notes.append)[0] == placed
    fetched = replace(videos[0], files=tuple(f"file://{name}" for name in videos[0].files))  # as from a store
    assert place_media([fetched], tmp_path / "other", "copy", notes.append)[0] == [placed[0]]
    assert [path.read_bytes() for path in sorted((tmp_path / "other" / "media").iterdir())] == [
        Path(name).read_bytes() for name in videos[0].files
    ]
    linked, _ = place_media(videos, tmp_path / "coding", "link", notes.append)
    assert {(tmp_path / "coding/sheets" / name).resolve() for video in linked for name in video.files} == {
        Path(name) for video in videos for name in video.files
    }
    assert any("accounts" in note for note in notes)
    assert not any(video.files for video in place_media(videos, tmp_path, "none", notes.append)[0])


def test_two_ids_that_differ_in_what_a_disk_loses_are_two_files() -> None:
    ids = ("aB1", "ab1", "AB1", "a/b", "a b", "../a", "e\u0301")
    names = [media_names(CodingVideo(item, ("x.mp4",)))[0] for item in ids]
    assert len({name.lower() for name in names}) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_-]+\.mp4", name) for name in names)


def test_files_that_are_not_there_or_not_played_are_named(tmp_path: Path) -> None:
    (tmp_path / "old.avi").touch()
    (tmp_path / "new.mp4").write_bytes(b"x" * 2**19 + b"stsd....hvc1")
    (tmp_path / "good.mp4").write_bytes(b"avc1")
    videos = [
        CodingVideo(name, (str(tmp_path / name),)) for name in ("old.avi", "new.mp4", "good.mp4", "gone.mp4")
    ]
    notes: list[str] = []
    placed, left_out = place_media([*videos, CodingVideo("bare")], tmp_path / "coding", "copy", notes.append)
    assert [video.item for video in placed] == ["old.avi", "new.mp4", "good.mp4", "bare"]
    assert left_out == {"gone.mp4": "no such file"}
    assert "no file is known" in notes[0]
    assert "old.avi, new.mp4;" in notes[1]
    away = replace(videos[0], files=("s3://bucket/a.mp4",))
    with pytest.raises(UserError, match="--media copy fetches it"):
        place_media([away], tmp_path / "coding", "link", notes.append)
