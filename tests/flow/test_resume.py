"""What `run_stage` decides before it starts Ray: none of these has rows to compute, so Ray never starts."""

from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pytest

from tests.fixtures.rows import script, video
from tikval.cli.job import too_many_failed
from tikval.config import CatalogConfig, Pool, ScriptConfig
from tikval.files import write_table
from tikval.flow.data import Step, run_stage
from tikval.rows import Reason, ScriptRow, VideoRow, arrow_schema, row_key
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun


@pytest.fixture
def config(tmp_path: Path) -> ScriptConfig:
    return ScriptConfig(out=str(tmp_path), videos=CatalogConfig(out=str(tmp_path), videos="videos"))


def list_videos(config: ScriptConfig, *ids: str) -> None:
    folder, name = Folder(config.videos.folder), f"data-{'-'.join(ids) or 'none'}.parquet"
    rows: list[Any] = [video(video_id) for video_id in ids]
    write_table(f"{folder.uri}/{name}", pa.Table.from_pylist(rows, schema=arrow_schema(VideoRow)))
    folder.write_run(config.videos, [name], {}, len(rows), {}, 0)


def write_part(config: ScriptConfig, *rows: ScriptRow) -> None:
    Folder(config.folder).write_part(pa.Table.from_pylist(list(rows), schema=arrow_schema(ScriptRow)))


def no_stage() -> NoReturn:
    raise AssertionError("nothing is to do")


def resume(config: ScriptConfig) -> FolderRun:
    step = Step(no_stage, arrow_schema(ScriptRow), Pool())
    return run_stage(config, [step], source=config.videos, catalog=config.videos)


def scripts(config: ScriptConfig) -> dict[str, str | None]:
    return {row["video_id"]: row["error"] for row in Folder(config.folder).read().to_pylist()}


def test_rows_of_a_driver_that_died_before_it_sealed_are_in_the_table(config: ScriptConfig) -> None:
    list_videos(config, "a")
    write_part(config, script("a"))
    resume(config)
    list_videos(config, "a", "b")
    write_part(config, script("b"))  # and then it was killed
    assert resume(config).rows == 2
    assert scripts(config) == {"a": None, "b": None}


def test_a_success_that_was_not_sealed_replaces_its_failure(config: ScriptConfig) -> None:
    list_videos(config, "a", "b")
    write_part(config, script("a"), script("b", error=Reason.TIMEOUT.value))
    Folder(config.folder).seal(config, {}, 0)
    write_part(config, script("b", attempt=2))
    assert resume(config).failed == {}
    assert scripts(config) == {"a": None, "b": None}


def test_a_video_less_computes_nothing_and_keeps_the_table(config: ScriptConfig) -> None:
    list_videos(config, "a", "b")
    write_part(config, script("a"), script("b"))
    before = resume(config)
    list_videos(config, "a")
    after = resume(config)
    assert after.files == before.files
    assert [row["video_id"] for row in Folder(config.folder).rows(Folder(config.videos.folder))] == ["a"]


def test_no_video_left_is_an_empty_table(config: ScriptConfig) -> None:
    list_videos(config)
    assert resume(config).rows == 0
    assert Folder(config.folder).read().schema.names == arrow_schema(ScriptRow).names


def test_a_finished_run_is_left_alone(config: ScriptConfig) -> None:
    list_videos(config, "a")
    write_part(config, script("a"))
    before = resume(config)
    assert resume(config) == before


def replace_file(config: ScriptConfig, *ids: str) -> None:
    """List these videos, whose files all have another length than before."""
    folder, name = Folder(config.videos.folder), f"data-new-{'-'.join(ids)}.parquet"
    rows: list[Any] = [video(video_id, row_key=row_key(video_id, 2, "2"), size_bytes=2) for video_id in ids]
    write_table(f"{folder.uri}/{name}", pa.Table.from_pylist(rows, schema=arrow_schema(VideoRow)))
    folder.write_run(config.videos, [name], {}, len(rows), {}, 0)


@pytest.mark.parametrize("reason", [Reason.UNREADABLE, Reason.TIMEOUT])
@pytest.mark.parametrize("sealed", [True, False])
def test_failures_of_a_file_that_was_replaced_count_no_more(
    config: ScriptConfig, reason: Reason, sealed: bool
) -> None:
    list_videos(config, "a")
    write_part(config, script("a", error=reason.value))
    Folder(config.folder).seal(config, {}, 0)
    replace_file(config, "a")
    write_part(config, script("a", row_key=row_key("a", 2, "2")))
    if sealed:  # by a version that counted all rows
        inputs = {config.videos.folder: Folder(config.videos.folder).finished().state}
        assert sum(Folder(config.folder).seal(config, inputs, 0).failed.values()) == 1
    run = resume(config)
    assert (run.rows, run.failed, too_many_failed(config, run)) == (1, {}, False)
    assert resume(config) == run
    assert len(Folder(config.folder).read()) == 2  # the file may come back


def test_failures_of_a_video_that_was_removed_count_no_more(config: ScriptConfig) -> None:
    list_videos(config, "a", "b")
    write_part(config, script("a", error=Reason.UNREADABLE.value), script("b"))
    assert resume(config).failed == {"unreadable": 1}
    list_videos(config, "b")
    assert (resume(config).rows, resume(config).failed) == (1, {})
    list_videos(config, "a", "b")
    assert (resume(config).rows, resume(config).failed) == (2, {"unreadable": 1})
