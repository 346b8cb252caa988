"""What a table names and the catalog does not have is printed first, and nothing is computed where nothing matches."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.study.test_erasure_and_export import Made
from tikval.cli.commands import app
from tikval.config import CatalogConfig, UserError
from tikval.rows import Reason
from tikval.sources.catalog import list_videos, read_accounts
from tikval.sources.matching import match_ids
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder

IDS = [f"74123456789012345{n:02}" for n in range(12)]


@pytest.mark.parametrize(
    ("wanted", "listed", "text"),
    [
        (["a", "b"], ["a", "b", "c"], ""),
        (
            ["a", "b", "c"],
            ["b", "z"],
            "1 of 3 annotated videos are in the catalog; 2 are not: a, c; the catalog has e.g. z",
        ),
        (["x"], ["a"], "1 of 1 annotated videos is not in the catalog: x; the catalog has e.g. a"),
        (["a.mp4", "b.mp4"], ["a", "b"], "did you mean without .mp4?"),
        (["a", "b"], ["a.mov", "b.mov"], "did you mean without the file's suffix (a for a.mov)?"),
        (["1.0", "2.0"], ["1", "2"], "did you mean without .0?"),
        (["CLIP1", "CLIP2"], ["clip1", "clip2"], "did you mean in the same case (CLIP1 for clip1)?"),
        (["clips/a", "clips/b"], ["a", "b"], "did you mean without the folder before it (clips/a for a)?"),
        (["a", "b"], ["jane/a", "joe/b"], "did you mean without the folder before it (a for jane/a)?"),
        (["clips\\a.mp4"], ["a"], "did you mean without folder and suffix"),
        (["jane_12", "joe_13"], ["12", "13"], "did you mean without the account before it (jane_12 for 12)?"),
        (["007"], ["7"], "did you mean without leading zeros (007 for 7)?"),
        (["clip 1"], ["clip_1"], "did you mean without spaces and signs (clip 1 for clip_1)?"),
    ],
)
def test_the_sentence(wanted: Sequence[str], listed: Sequence[str], text: str) -> None:
    match = match_ids(wanted, listed)
    assert text in match.text if text else match.text == ""
    assert match.none is (match.missing == tuple(wanted))


def study(root: Path, labels: str, n: int = 5) -> CatalogConfig:
    (root / "clips").mkdir()
    for name in IDS[:n]:
        (root / "clips" / f"{name}.mp4").write_bytes(b"x")
    (root / "labels.csv").write_text(labels)
    return CatalogConfig(
        videos=str(root / "clips"), annotations=str(root / "labels.csv"), out=str(root / "out")
    )


def test_what_does_not_match_is_printed_and_nothing_matching_ends_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = study(tmp_path, "video_id,face\n" + "".join(f"{name},1\n" for name in IDS))
    write_catalog(config)
    printed = capsys.readouterr().err
    assert (
        f"5 of 12 annotated videos are in the catalog; 7 are not: {IDS[5]}, {IDS[6]}, {IDS[7]}, ..."
        in printed
    )
    before = Folder(config.folder).finished().state
    (tmp_path / "labels.csv").write_text("video_id,face\nwho,1\nwhat,1\n")
    with pytest.raises(
        UserError, match=r"labels\.csv: 2 of 2 annotated videos are not in the catalog: who, what;"
    ):
        write_catalog(config)
    assert Folder(config.folder).finished().state == before
    alone = config.model_copy(update={"annotations_unmatched": "go_on"})
    write_catalog(alone)
    assert len(Folder(config.folder).read_side_table("labels")) == 2
    done = write_catalog(config)  # a finished study without a match stays finished
    assert write_catalog(config) == done


def test_agreement_with_systems_of_other_videos_ends_before_it_begins(tmp_path: Path) -> None:
    made = Made(tmp_path)
    table = tmp_path / "other.csv"
    table.write_text("video_id,face\nfirst-video.mp4,1\nthird-video.mp4,0\n")
    done = CliRunner().invoke(app, ["agreement", str(table), "--systems", made.out])
    assert "2 of 2 annotated videos are not in the catalog: first-video.mp4" in str(done.exception)
    assert "did you mean without .mp4?" in str(done.exception)
    table.write_text("video_id,face\nfirst-video,1\ngone,0\n")
    done = CliRunner().invoke(app, ["agreement", str(table), "--systems", made.out])
    assert done.exit_code == 0
    assert "1 of 2 annotated videos are in the catalog; 1 is not: gone" in done.stderr


def test_accounts_without_a_video_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = study(tmp_path, "video_id,face,account\n" + "".join(f"{name},1,ann\n" for name in IDS[:5]))
    (tmp_path / "accounts.csv").write_text("Username;Genre;followers\n@ANN;vlog;7\nbob;;8\n")
    config = config.model_copy(update={"accounts": str(tmp_path / "accounts.csv")})
    write_catalog(config)
    printed = capsys.readouterr().err
    assert "accounts.csv: 1 of 2 accounts have no video: bob; the videos are of e.g. ann" in printed
    assert "accounts.csv: columns that are not used: followers" in printed
    assert {row["genre"] for row in Folder(config.folder).read(["genre"]).to_pylist()} == {"vlog"}
    assert [row["account"] for row in read_accounts(str(tmp_path / "accounts.csv"), lambda _: None)] == [
        "@ANN",
        "bob",
    ]


def test_composed_letters_match_what_a_disk_has_made_of_them(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "Zoë café") for form in ("NFC", "NFD"))
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / f"{apart}.mp4").write_bytes(b"x")
    (tmp_path / "labels.csv").write_text(f"video_id,face\n{composed},1\n")
    (tmp_path / "videos.csv").write_text(f"path,video_id\nclips/{composed}.mp4,\n")
    config = CatalogConfig(
        videos=str(tmp_path / "clips"), annotations=str(tmp_path / "labels.csv"), out=str(tmp_path / "out")
    )
    write_catalog(config)
    (row,) = Folder(config.folder).read_side_table("labels")
    assert row["video_id"] == apart
    (listed,) = list_videos(str(tmp_path / "videos.csv"))
    assert listed["error"] is None


# manifests of others


def listed(root: Path, text: str, name: str = "videos.csv") -> tuple[list[dict[str, object]], list[str]]:
    for clip in "abc":
        (root / f"{clip}.mp4").write_bytes(b"x")
    (root / name).write_text(text)
    notes: list[str] = []
    return [dict(row) for row in list_videos(str(root / name), say=notes.append)], notes


def test_a_scrapers_columns_are_read_as_what_they_are_and_others_named(tmp_path: Path) -> None:
    rows, notes = listed(
        tmp_path,
        "video_id,video_timestamp,author_username,author_name,video_description,views,path\n"
        "1,2024-01-01T10:00:00,jane_doe99,Jane,hello #fyp,12,a.mp4\n",
    )
    assert (rows[0]["account"], rows[0]["caption"], str(rows[0]["posted_at"])) == (
        "jane_doe99",
        "hello #fyp",
        "2024-01-01 10:00:00+00:00",
    )
    assert notes == [f"{tmp_path}/videos.csv: columns that are not used: author_name"]
    rows, _ = listed(
        tmp_path,
        '{"id": 7412345678901234567, "username": "jane", "create_time": 1704067200, "desc": "x", "file": "a.mp4"}\n',
        "videos.jsonl",
    )
    assert (rows[0]["video_id"], rows[0]["account"], str(rows[0]["posted_at"])[:10]) == (
        IDS[0][:17] + "67",
        "jane",
        "2024-01-01",
    )


def test_a_date_that_no_post_has_is_one_failed_row(tmp_path: Path) -> None:
    rows, _ = listed(tmp_path, "path,posted_at\na.mp4,1704067200000\nb.mp4,1701-04-06\nc.mp4,45292\n")
    assert [row["error"] for row in rows] == [None, Reason.INVALID_ROW, Reason.INVALID_ROW]
    assert str(rows[0]["posted_at"])[:10] == "2024-01-01"
    assert "line 3, column posted_at: '1701-04-06' is not a date of a post" in str(rows[1]["detail"])


@pytest.mark.parametrize(
    "address",
    [
        "https://www.tiktok.com/@jane",
        "https://www.tiktok.com/@jane/live",
        "https://www.tiktok.com/music/song-7412345678901234567",
        "https://www.tiktok.com/tag/fyp",
        "https://vm.tiktok.com/ZMabc/",
        "https://www.tiktok.com/t/ZMabc/",
    ],
)
def test_an_address_of_something_else_is_an_error_with_its_line(address: str, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"videos\.csv: line 3, column video_id: .* is not the address of a video"
    ):
        listed(tmp_path, f"path,video_id\na.mp4,1\nb.mp4,{address}\n")


def test_a_study_that_did_not_read_a_column_of_ids_keeps_its_ids(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    config = CatalogConfig(videos=str(tmp_path / "videos.csv"), out=str(tmp_path / "out"))
    for header in ("path,unknown", "path,url"):
        (tmp_path / "videos.csv").write_text(f"{header}\na.mp4,https://www.tiktok.com/@jane/video/{IDS[0]}\n")
        write_catalog(config)
        (row,) = Folder(config.folder).read(["video_id", "alias", "account"]).to_pylist()
        assert row["video_id"] == "a"
    assert (row["alias"], row["account"]) == (IDS[0], "jane")


def test_the_name_of_a_table_of_labels_does_not_move_for_a_column_that_tells_nothing(tmp_path: Path) -> None:
    """Otherwise what was learnt from it would be learnt again."""
    config = study(tmp_path, f"video_id,face\n{IDS[0]},1\n")
    first = write_catalog(config).side_tables["labels"]
    (tmp_path / "labels.csv").write_text(f"video_id,face,probability\n{IDS[0]},1,\n")
    assert write_catalog(config).side_tables["labels"] == first
    (tmp_path / "labels.csv").write_text(f"video_id,face,probability\n{IDS[0]},1,0.5\n")
    assert write_catalog(config).side_tables["labels"] != first
    table = Folder(config.folder).read_side_table("labels")
    assert [row["probability"] for row in table] == [0.5]
