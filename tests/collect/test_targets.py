"""What people write for an account, a post or a list of them, and what is never asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.platform import post_id
from tikval.collect.extractors import extractors
from tikval.collect.targets import Target, read_targets, target_in
from tikval.config import UserError

ID = post_id(3)
SHORT, SHARED = "https://vm.tiktok.com/ZMabc12/", f"https://www.tiktokv.com/share/video/{ID}/"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("@Jane.Doe_9", Target("jane.doe_9")),
        ("jane.doe", Target("jane.doe")),
        ("https://www.tiktok.com/@Jane.Doe?lang=en", Target("jane.doe")),
        ("tiktok.com/@jane/", Target("jane")),
        (ID, Target(None, ID)),
        (f"https://www.tiktok.com/@jane/video/{ID}?is_from_webapp=1", Target("jane", ID)),
        (f"https://www.tiktok.com/@jane/photo/{ID}", Target("jane", ID)),
        (f"https://m.tiktok.com/v/{ID}.html", Target(None, ID)),
        (SHARED, Target(None, ID)),
        (SHORT, Target(url=SHORT)),
        ("https://vt.tiktok.com/ZSe4FqkKd", Target(url="https://vt.tiktok.com/ZSe4FqkKd/")),
        ("https://www.tiktok.com/t/ZTRC5xgJp", Target(url="https://www.tiktok.com/t/ZTRC5xgJp/")),
        (
            "https://www.instagram.com/reel/C3abcDEF_-1/?igsh=x",
            Target(None, "C3abcDEF_-1", "https://www.instagram.com/reel/C3abcDEF_-1/"),
        ),
        (
            "https://youtube.com/shorts/dQw4w9WgXcQ",
            Target(None, "dQw4w9WgXcQ", "https://www.youtube.com/shorts/dQw4w9WgXcQ"),
        ),
    ],
)
def test_what_a_word_names(text: str, target: Target) -> None:
    assert target_in(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8000/@jane/video/7473366790098652425",
        "https://169.254.169.254/latest/meta-data",
        "https://evil.example/@jane/video/7473366790098652425",
        "https://tiktok.com.evil.example/@jane",
        "https://user:word@www.tiktok.com/@jane",
        "https://www.tiktok.com:8443/@jane",
        "file:///etc/passwd",
        "https://www.tiktok.com/@jane/live",
        "https://www.tiktok.com/music/a-1234567890123456789",
        "https://www.tiktok.com/tag/help",
        "7.47337E+18",
        "@../../etc",
        "jane doe",
        "",
    ],
)
def test_what_is_not_asked(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        target_in(text)


def test_addresses_that_are_asked_are_those_of_the_platforms() -> None:
    assert Target("jane").address == "https://www.tiktok.com/@jane"
    assert Target("jane", ID).address == f"https://www.tiktok.com/@jane/video/{ID}"
    assert Target(None, ID).address == f"https://www.tiktok.com/@_/video/{ID}"


def test_each_address_has_one_extractor() -> None:
    classes: list[Any] = extractors()
    texts = ("@jane", ID, SHORT, "https://instagram.com/reel/C3abcDEF_-1", "https://youtu.be/dQw4w9WgXcQ")
    names = [[each.IE_NAME for each in classes if each.suitable(target_in(text).address)] for text in texts]
    assert names == [["tiktok:user"], ["TikTok"], ["vm.tiktok"], ["Instagram"], ["youtube"]]


def test_tables_of_accounts_and_of_posts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accounts, links, posts = (tmp_path / name for name in ("accounts.csv", "links.txt", "posts.csv"))
    accounts.write_text("account;genre\n@Jane;a\nJANE;a\nbob;b\n;c\n")
    links.write_text(f"link\n{SHARED}\n{SHORT}\nhttps://evil.example/x\n")
    posts.write_text(
        f"video_id,url,pinned\n{post_id(4)},https://www.tiktok.com/@jane/video/{post_id(4)},true\n"
    )
    found = read_targets([str(accounts), str(links), str(posts), ID])
    assert found == [
        *(Target("jane"), Target("bob"), Target(None, ID), Target(url=SHORT)),
        Target("jane", post_id(4), pinned=True),
    ]
    notes = capsys.readouterr().err
    assert "links.txt: 1 rows name nothing that can be collected; first line 4" in notes
    assert "genre" in notes


def test_an_export_is_a_list_of_posts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "export.ndjson"
    item = {
        "id": ID,
        "desc": "x",
        "createTime": 1_740_000_000,
        "author": {"uniqueId": "Jane"},
        "isPinnedItem": True,
    }
    rows = [{"source_platform": "tiktok.com", "timestamp_collected": 1, "data": item}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_targets([str(file)]) == [Target("jane", ID, pinned=True)]
    assert "1 post" in capsys.readouterr().err


def test_rounded_ids_stop_it(tmp_path: Path) -> None:
    table = tmp_path / "ids.csv"
    table.write_text("account,video_id\njane,7.47337E+18\n")
    with pytest.raises(UserError, match="line 2"):
        read_targets([str(table)])


def test_a_folder_is_no_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "media").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="a folder"):
        read_targets(["media"])
    assert read_targets(["@media"]) == [Target("media")]


def test_a_word_that_is_nothing() -> None:
    with pytest.raises(UserError, match="no account, no id"):
        read_targets(["jane doe"])
