"""What a person sees of a run: lines where there is no terminal, the summary, and the exit code."""

from dataclasses import replace
from pathlib import Path

import pytest

import tikval.store.progress as module
from tikval.cli.job import guard, main, summary, too_many_failed
from tikval.config import CatalogConfig, UserError
from tikval.store.folder import FolderRun
from tikval.store.progress import StageProgress
from tikval.store.status import FINISHED, RUNNING, STOPPED, read_status

CONFIG = CatalogConfig(videos="clips", out="out", max_failed_share=0.25)
RUN = FolderRun("catalog", "0" * 12, [], {}, {}, 8, {"empty_file": 1, "timeout": 1}, {}, 1.0, "", "0.1.0")


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
        said = progress.status(RUNNING)
        assert (said.done, said.total, said.before, said.failed) == (2, 4, 3, {"timeout": 1})
        assert said.seconds_left is not None
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


def test_a_summary_names_results_failures_and_place() -> None:
    said = summary(CONFIG, RUN)
    assert said.startswith("catalog: 6 results, 2 failed (empty_file 1, timeout 1), in out/catalog-")
    assert "tries the passing failures again" in said
    assert "again" not in summary(CONFIG, replace(RUN, failed={"empty_file": 1}))
    assert "failed" not in summary(CONFIG, replace(RUN, failed={}))


def test_too_many_failures() -> None:
    assert not too_many_failed(CONFIG, RUN)
    assert too_many_failed(CONFIG, replace(RUN, failed={"timeout": 3}))
    assert not too_many_failed(CONFIG, replace(RUN, rows=0, failed={}))


def test_mistakes_of_the_user_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(err: BaseException) -> int:
        raise err

    assert guard(lambda: 1) == 1
    assert guard(lambda: fail(UserError("a.yaml: b"))) == 2
    assert capsys.readouterr().err == "tikval: a.yaml: b\n"
    assert guard(lambda: fail(KeyboardInterrupt())) == 130
    with pytest.raises(ZeroDivisionError):
        guard(lambda: fail(ZeroDivisionError()))


@pytest.mark.parametrize(
    ("arguments", "failed", "code"),
    [
        (["configs/demo/catalog.yaml"], 0, 0),
        (["configs/demo/catalog.yaml"], 5, 1),
        (["configs/demo/catalog.yaml", "max_failed_share=0.9"], 5, 0),
        (["configs/demo/catalog.yaml", "typo=1"], 0, 2),
        ([], 0, 2),
    ],
)
def test_exit_codes_of_a_job(
    arguments: list[str], failed: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["jobs.catalog", *arguments])
    with pytest.raises(SystemExit) as done:
        main(CatalogConfig, lambda config: replace(RUN, failed={"timeout": failed}))
    assert done.value.code == code
