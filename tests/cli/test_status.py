"""`tikval status`: a line a stage, of the study and of its shards."""

from pathlib import Path

import pytest

from tikval.cli.look import status
from tikval.config import UserError
from tikval.store.progress import StageProgress


def run_stage(folder: Path, n: int) -> None:
    folder.mkdir(parents=True)
    with StageProgress(folder.name.partition("-")[0], n, 0, str(folder)) as progress:
        progress.advance(n, {})


def lines_of(out: Path, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    capsys.readouterr()
    status(str(out), once=True)
    return [line.strip("│┃ ").replace("┃", "│").split("│") for line in capsys.readouterr().out.splitlines()]


def test_each_shard_has_lines_and_the_whole_comes_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stage(tmp_path / "shards/10-of-16/scripts-0123456789ab", 3)
    run_stage(tmp_path / "shards/9-of-16/scripts-0123456789ab", 4)
    run_stage(tmp_path / "scripts-0123456789ab", 2)
    told = [[cell.strip() for cell in line[:4]] for line in lines_of(tmp_path, capsys) if len(line) > 4]
    assert told[0] == ["shard", "stage", "state", "done"]
    assert told[1:] == [
        ["whole", "scripts", "finished", "2 of 2"],
        ["9/16", "scripts", "finished", "4 of 4"],
        ["10/16", "scripts", "finished", "3 of 3"],
    ]


def test_a_study_without_shards_has_no_column_for_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stage(tmp_path / "scripts-0123456789ab", 2)
    told = [[cell.strip() for cell in line[:2]] for line in lines_of(tmp_path, capsys) if len(line) > 4]
    assert told == [["stage", "state"], ["scripts", "finished"]]


def test_a_folder_where_nothing_has_started(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no stage has started"):
        status(str(tmp_path), once=True)
