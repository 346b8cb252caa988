"""A list with scripts in the place of files: nothing is opened, and a changed script is another row."""

from pathlib import Path
from typing import Any

import pytest

from tikval.config import CatalogConfig, Limits, LocalWriter
from tikval.media.fetch import files_of
from tikval.media.reading import ClipError
from tikval.rows import Reason
from tikval.script.local import GIVEN, LocalScripts, has_videos
from tikval.sources import catalog as module
from tikval.sources.write_catalog import write_catalog
from tikval.store.folder import Folder

LINES = """video_id,account,caption,script,likes
7412345678901234567,jane.doe,By @jane.doe,"SPEAKER: ""Hello @jane.doe.""
[CAPTIONS] two lines",3
b,,,,
,,,A script of nobody.,
c,joe,,Another one.,
c,joe,,The same id.,
"""


@pytest.fixture
def config(tmp_path: Path) -> CatalogConfig:
    (tmp_path / "list.csv").write_text(LINES)
    return CatalogConfig(videos=str(tmp_path / "list.csv"), out=str(tmp_path / "out"))


def rows_of(config: CatalogConfig) -> list[Any]:
    write_catalog(config)
    rows: list[Any] = Folder(config.folder).read().to_pylist()
    return rows


def test_each_line_is_a_row_or_its_own_failure(config: CatalogConfig) -> None:
    rows = rows_of(config)
    errors = [None, Reason.INVALID_ROW, Reason.INVALID_ROW, None, Reason.DUPLICATE_ID]
    assert [row["error"] for row in rows] == errors
    assert [row["video_id"] for row in rows][:2] == ["7412345678901234567", "b"]
    assert rows[0]["script"] == 'SPEAKER: "Hello @jane.doe."\n[CAPTIONS] two lines'
    assert "column script: empty" in rows[1]["detail"]
    assert "no name of its own" in rows[2]["detail"]
    assert rows[0]["posted_at"] is None
    assert [row["path"] for row in rows] == [""] * 5


def test_another_script_is_another_row_and_the_others_stay(config: CatalogConfig, tmp_path: Path) -> None:
    before = {row["video_id"]: row["row_key"] for row in rows_of(config) if not row["error"]}
    (tmp_path / "list.csv").write_text(LINES.replace("Another one", "A better one"))
    after = {row["video_id"]: row["row_key"] for row in rows_of(config) if not row["error"]}
    assert {name for name in before if before[name] != after[name]} == {"c"}


def test_a_script_that_no_video_has_is_a_failure(
    config: CatalogConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_SCRIPT", 15)
    rows = rows_of(config)
    assert [row["script"] for row in rows] == [None, None, None, "Another one.", "The same id."]
    assert "characters, at most 15" in rows[0]["detail"]


def test_a_path_and_a_script_may_stand_in_one_list(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "list.csv").write_text("path,script\na.mp4,\nb.mp4,What was said.\nc.mp4,\n")
    rows = rows_of(CatalogConfig(videos=str(tmp_path / "list.csv"), out=str(tmp_path / "out")))
    found = [(row["video_id"], row["script"], row["error"]) for row in rows]
    assert found == [("a", None, None), ("b", "What was said.", None), ("c", None, "missing_file")]
    assert str(files_of(rows[0])).endswith("a.mp4")
    with pytest.raises(ClipError, match="gives a script") as caught:
        files_of(rows[1])
    assert caught.value.reason == Reason.NO_VIDEO


@pytest.mark.local_models
def test_the_stage_takes_what_is_given_without_handles(config: CatalogConfig) -> None:
    [row, *_] = rows_of(config)
    writer = LocalWriter.model_validate({"ocr": {"frames": 0}, "speech": {"engine": "none"}})
    [made] = LocalScripts(writer, Limits())([row | {"attempt": 1}])
    assert (made["error"], made["model"]) == (None, GIVEN)
    assert made["script"] is not None
    assert made["script"].startswith('SPEAKER: "Hello ')
    assert "jane" not in f"{made['script']} {made['caption']}"
    assert made["script"].endswith("\n[CAPTIONS] two lines")


def test_a_list_of_scripts_needs_neither_tesseract_nor_a_recogniser(
    config: CatalogConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = rows_of(config)
    assert not has_videos(Folder(config.folder))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("tikval.script.local.Hearing", pytest.fail)
    stage = LocalScripts(LocalWriter(), Limits(), opens=False)
    made = stage([row | {"attempt": 1} for row in rows])
    assert [row["error"] for row in made] == [row["error"] for row in rows]


def test_a_video_among_scripts_is_to_be_opened(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_bytes(b"x")
    (tmp_path / "list.csv").write_text("video_id,path,script\na,,What was said.\n,b.mp4,\n")
    listed = CatalogConfig(videos=str(tmp_path / "list.csv"), out=str(tmp_path / "out"))
    write_catalog(listed)
    assert has_videos(Folder(listed.folder))
