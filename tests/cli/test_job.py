"""One job from its command line: what it prints, its exit code, and the table of all jobs."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from tests.conftest import ROOT
from tests.fixtures.corpus import write_corpus
from tikval.cli.guard import guard
from tikval.cli.job import JOBS, run_job, summary, too_many_failed
from tikval.config import CatalogConfig, EvaluateConfig, UserError, load_config
from tikval.files import write_table
from tikval.store.folder import Folder
from tikval.store.folder_run import FolderRun

CONFIG = CatalogConfig(videos="clips", out="out", max_failed_share=0.25)
RUN = FolderRun("catalog", "0" * 12, [], {}, {}, 8, {"empty_file": 1, "timeout": 1}, {}, 1.0, "", "0.1.0")


def test_a_summary_names_results_failures_and_place() -> None:
    line = summary(CONFIG, RUN)
    assert line.startswith("catalog: 6 results, 2 failed (empty_file 1, timeout 1), in out/catalog-")
    assert "tries the retryable failures again" in line
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
    assert guard(lambda: fail(OSError(28, "No space left on device", "out/x"))) == 1
    line = "tikval: [Errno 28] No space left on device: 'out/x'; once that is mended the same command goes on"
    assert capsys.readouterr().err.splitlines()[-1].startswith(line)
    with pytest.raises(ZeroDivisionError):
        guard(lambda: fail(ZeroDivisionError()))


@pytest.mark.parametrize(
    ("arguments", "failed", "code"),
    [
        (["configs/demo/catalog.yaml"], 0, 0),
        (["configs/demo/catalog.yaml"], 5, 1),
        (["configs/demo/catalog.yaml", "max_failed_share=0.9"], 5, 0),
        (["configs/demo/catalog.yaml", "typo=1"], 0, 2),
        (["configs/demo/catalog.yaml", "--dry-run"], 0, 2),
        ([], 0, 2),
    ],
)
def test_exit_codes_of_a_job(
    arguments: list[str], failed: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["jobs.catalog", *arguments])
    monkeypatch.setattr(
        "tikval.sources.write_catalog.write_catalog", lambda config: replace(RUN, failed={"timeout": failed})
    )
    with pytest.raises(SystemExit) as done:
        run_job("catalog")
    assert done.value.code == code


def test_every_job_is_an_entry_point_and_a_function() -> None:
    files = {path.stem for path in (ROOT / "jobs").glob("*.py")} - {"__init__"}
    assert files == JOBS.keys()
    for name, job in JOBS.items():
        assert f'run_job("{name}")' in (ROOT / "jobs" / f"{name}.py").read_text(encoding="utf-8")
        for place in filter(None, (job.call, job.show_plan)):
            module, _, function = place.partition(":")
            tree = ast.parse(ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8"))
            assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, place


def test_the_command_line_runs_a_job_as_its_module_does(tmp_path: Path) -> None:
    write_corpus(tmp_path / "videos", 1)
    command = [sys.executable, "-m", "tikval.cli", "job", "catalog", str(ROOT / "configs/demo/catalog.yaml")]
    sets = [f"videos={tmp_path / 'videos'}", "annotations=null", f"out={tmp_path / 'out'}"]
    done = subprocess.run([*command, *sets], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("catalog: ")
    wrong = subprocess.run(
        [*command[:4], "catalogue", "x"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("tikval: catalogue: no such job; there are catalog, ")


def test_a_summary_of_scores_counts_numbers_and_not_results(tmp_path: Path) -> None:
    config = load_config(EvaluateConfig, "configs/demo/scores.yaml", [f"out={tmp_path}"])
    write_table(f"{config.folder}/data-1.parquet", pa.table({"n_videos": [17, 17, 16]}))
    run = Folder(config.folder).write_run(config, ["data-1.parquet"], {}, 3, {}, 1.0)
    line = summary(config, run)
    assert line.startswith("scores: 3 numbers of 1 system and the baselines over 17 annotated videos, in ")
