"""What benchmarks/peers.py counts with: processes, rows on disk, rows worked out."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.peer_engines.result import MARKS, PAGE, RESULT, save, table, targets
from benchmarks.peer_engines.tikval_stage import InProcess, Isolated
from benchmarks.peer_engines.trouble import CRASHES
from benchmarks.peer_engines.work import SCHEMA, WIDTH, Work, written
from benchmarks.peers import ENGINES, Corpus, Engine, make_clips
from tests.conftest import ROOT
from tests.fixtures.clips import tone, write_clip

_METER = """
import json, sys
from benchmarks.peer_engines.meter import Metered
code = '''
import os, subprocess, sys, time
daemon = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(daemon.pid, flush=True)
begin = time.process_time()
while time.process_time() - begin < 1:
    pass
if sys.argv[1] == "stay":
    time.sleep(600)
'''
run = Metered([sys.executable, "-c", code, sys.argv[1]], sys.argv[2], {})
state = run.wait(lambda: run.cpu_seconds > 1, 60)
print(json.dumps([state, run.cpu_seconds, run.peak_mb]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("way", ["stay", "go"])
def test_the_meter_counts_and_ends_what_left_its_session(way: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", _METER, way, str(log)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    state, cpu_seconds, peak_mb = json.loads(done.stdout)
    assert state in ("done", "ended")
    assert 0.9 < cpu_seconds < 3
    assert peak_mb > 1
    assert not Path(f"/proc/{log.read_text().strip()}").exists()


def test_a_file_without_an_end_has_no_rows(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{"id": "a"}, {"id": "b"}], schema=SCHEMA)
    pq.write_table(table, tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "torn.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "begun.parquet").touch()
    assert sorted(written(str(tmp_path))) == [("a", None), ("b", None)]


def test_a_broken_file_is_a_row_and_stands_in_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "page.mp4").write_text("<!doctype html>")
    work = Work(str(tmp_path / "ledger"))
    assert work(str(tmp_path / "page.mp4"))["error"] == "unreadable"
    assert (tmp_path / "ledger").read_text() == "page\n"


def test_rows_are_counted_by_their_ids(tmp_path: Path) -> None:
    engine = Engine("multiprocessing", Corpus(tmp_path, 4, 1), tmp_path / "work")
    Path(engine.job.out).mkdir()
    for at, ids in enumerate(["ab", "bc"]):
        rows = [{"id": name, "error": "unreadable" if name == "b" else None} for name in ids]
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), f"{engine.job.out}/{at}.parquet")
    Path(engine.job.ledger).write_text("a\nb\nb\nb\nc\n")
    counted = {"broken": 1, "failed": 1, "rows": 4, "lost": 1, "doubled": 1, "worked_out_again": 2}
    assert engine.counted() == counted


def test_a_row_that_tikval_loses_fails_the_benchmark() -> None:
    good = {"end": "ended", "lost": 0, "doubled": 0, "broken": 1, "failed": 1}
    assert all(target["met"] for target in targets({"tikval": {"killed": good, "load": 1}}).values())
    for bad in ({"lost": 1}, {"doubled": 1}, {"end": "late"}, {"failed": 4}):
        (target,) = targets({"tikval": {"killed": good | bad}}).values()
        assert not target["met"]


def test_the_clips_are_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tmp_path / "clip"
    clip.write_bytes(bytes(range(100)))
    monkeypatch.setattr("benchmarks.peers.cached", lambda spec: clip)
    for name in ("one", "two"):
        make_clips(tmp_path / name, 40)
    one, two = (
        [path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in ("one", "two")
    )
    assert one == two
    assert sum(content != bytes(range(100)) for content in one) == 2  # broken
    make_clips(tmp_path / "trouble", 8, trouble=CRASHES)
    assert (tmp_path / "trouble" / "clip00004.mp4").read_bytes() == CRASHES


def test_the_page_has_the_table_of_the_result() -> None:
    if not RESULT.exists():
        pytest.skip("not run yet")
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    shown = PAGE.read_text(encoding="utf-8").partition(MARKS[0])[2].partition(MARKS[1])[0]
    assert shown.strip() == table(result)


def test_a_child_reads_what_a_worker_reads(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", sound=tone(2))
    row = {"video_id": "clip", "row_key": "k", "attempt": 1, "path": str(clip)}
    ledger = str(tmp_path / "ledger")
    isolated = Isolated(ledger)
    try:
        (ours,), (theirs,) = isolated([row]), InProcess(ledger)([row])
        clip.write_bytes(CRASHES)
        (crashed,) = isolated([row])
    finally:
        isolated.child.close()
    assert ours["vector"] == theirs["vector"]
    assert ours["error"] is None
    assert len(ours["vector"]) == WIDTH
    assert crashed["error"] == "crashed"


def test_engines_that_were_not_run_again_keep_their_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.peer_engines.result.RESULT", tmp_path / "peers.json")
    monkeypatch.setattr("benchmarks.peer_engines.result.PAGE", tmp_path / "peers.md")
    (tmp_path / "peers.md").write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    run = {"end": "late", "rows": 4, "rows_per_cpu_second": 1.5, "peak_mb": 300, "worked_out_again": 2}
    run |= {"lost": 1, "doubled": 0, "broken": 0, "failed": 0}
    first = {"clips": 5, "alone": 3.0, "engines": {"tikval": {"killed": run}}}
    order = list(ENGINES)
    save(first, order)
    done = save(first | {"engines": {"daft": {"killed": run, "hang": run}}}, order)
    assert list(done["engines"]) == ["tikval", "daft"]
    page = (tmp_path / "peers.md").read_text()
    assert page == f"before\n{MARKS[0]}\n{table(done)}\n{MARKS[1]}\nafter\n"
    assert "| daft |  | 300 |  | 1.5 | 1 | 0 | 2 |  | never ends, 1 of 5 rows lost |" in page
    assert list(save(first | {"clips": 6}, order)["engines"]) == ["tikval"]  # other clips: no line to keep
