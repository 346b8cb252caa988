"""What a person sees of a run: lines where there is no terminal, and status.json."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

import tikval.store.progress as module
from tikval.files import write_bytes
from tikval.store import status
from tikval.store.progress import StageProgress
from tikval.store.status import FINISHED, RUNNING, STOPPED, read_status


def test_progress_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "QUIET_SECONDS", -1)
    with StageProgress("scripts", 4, 3, str(tmp_path)) as progress:
        progress.advance(0, {})
        progress.advance(1, {})
        progress.advance(3, {"timeout": 2})
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "scripts: 4 to do, 3 done before"
    assert lines[1].startswith("scripts: 1 of 4, ")
    assert lines[1].endswith(" s left")
    assert lines[2].startswith("scripts: 4 of 4, 2 failed, ")
    assert lines[3:] == ["scripts: 4 of 4, 2 failed"]


def test_progress_is_quiet_in_between(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with StageProgress("scripts", 100, 0, str(tmp_path)) as progress:
        for _ in range(100):
            progress.advance(1, {})
    assert capsys.readouterr().err == "scripts: 100 to do\nscripts: 100 of 100\n"


def test_status_json_follows_and_ends(tmp_path: Path) -> None:
    with StageProgress("scripts", 4, 3, str(tmp_path)) as progress:
        progress.advance(2, {"timeout": 1})
        now = progress.status(RUNNING)
        assert (now.done, now.total, now.before, now.failed) == (2, 4, 3, {"timeout": 1})
        assert now.seconds_left is not None
    last = read_status(str(tmp_path))
    assert last is not None
    assert (last.state, last.done, last.silent) == (FINISHED, 2, False)


def test_a_run_that_broke_says_stopped_and_a_dead_one_is_silent(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), StageProgress("scripts", 4, 0, str(tmp_path)):
        raise KeyboardInterrupt
    last = read_status(str(tmp_path))
    assert last is not None
    assert last.state == STOPPED
    assert replace(last, state=RUNNING, updated_at="2020-01-01T00:00:00+00:00").silent


@pytest.mark.parametrize(
    "fault", [OSError("the store does not answer"), RuntimeError("dictionary changed size")]
)
def test_a_fault_of_the_store_does_not_silence_a_run(
    fault: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some writes fail, the last one among them; those after them come through."""
    faults = iter([fault] * 3)
    calls = 0

    def write(uri: str, data: bytes) -> None:
        nonlocal calls
        calls += 1
        if err := next(faults, None):
            raise err
        write_bytes(uri, data)

    monkeypatch.setattr(status, "write_bytes", write)
    monkeypatch.setattr(status, "_SECONDS", {True: 0.01})
    monkeypatch.setattr(status, "_AGAIN_SECONDS", (0.01, 0.01))
    with StageProgress("scripts", 4, 0, str(tmp_path)) as progress:
        end = time.monotonic() + 20
        while read_status(str(tmp_path)) is None and time.monotonic() < end:
            time.sleep(0.01)
        assert read_status(str(tmp_path)) is not None, "the thread is dead"
        progress.advance(4, {})
        while progress.writer.thread.is_alive() and calls < 5:
            time.sleep(0.01)
        faults = iter([fault] * 2)
    found = read_status(str(tmp_path))
    assert found is not None
    assert (found.state, found.done) == (FINISHED, 4)
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_a_store_that_takes_no_status_at_all_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(uri: str, data: bytes) -> None:
        raise OSError("denied")

    monkeypatch.setattr(status, "write_bytes", write)
    monkeypatch.setattr(status, "_AGAIN_SECONDS", (0.01,))
    with pytest.raises(KeyboardInterrupt), StageProgress("scripts", 4, 0, str(tmp_path)):
        raise KeyboardInterrupt
    with StageProgress("scripts", 4, 0, str(tmp_path)) as progress:
        progress.advance(4, {})
