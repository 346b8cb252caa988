"""A run seen from outside: status.json while it works, Ray's metrics, and the log of each failure."""

import json
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.fixtures.fakes import SlowScripts
from tests.fixtures.rows import video
from tikval.config import CatalogConfig, Pool, ScriptConfig
from tikval.files import write_table
from tikval.flow.data import Step, run_stage
from tikval.rows import ScriptRow, VideoRow, arrow_schema
from tikval.store.folder import Folder
from tikval.store.status import FINISHED, RUNNING, Status, read_status

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


def metrics() -> str:
    import ray

    port = ray.nodes()[0]["MetricsExportPort"]  # type: ignore[no-untyped-call]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def logged(run: str) -> list[dict[str, Any]]:
    """JSON lines of this run in the workers' log files of Ray's session."""
    from ray._private.worker import _global_node

    lines: list[dict[str, Any]] = []
    logs = Path(_global_node.get_logs_dir_path())  # type: ignore[attr-defined]
    for path in logs.glob("worker-*.err"):
        lines += [json.loads(line) for line in path.read_text().splitlines() if f'"{run}"' in line]
    return lines


def test_a_run_is_seen_while_it_works(tmp_path: Path) -> None:
    config = ScriptConfig(
        out=str(tmp_path),
        videos=CatalogConfig(out=str(tmp_path), videos="x"),
        pool=Pool(actors=1, batch_rows=2),
    )
    catalog = Folder(config.videos.folder)
    rows: list[Any] = [video(f"v{i}") for i in range(8)]
    write_table(f"{catalog.uri}/data-0.parquet", pa.Table.from_pylist(rows, schema=arrow_schema(VideoRow)))
    catalog.write_run(config.videos, ["data-0.parquet"], {}, 8, {}, 0)

    seen: list[Status] = []
    counted: list[str] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            if status := read_status(config.folder):
                seen.append(status)
            counted.extend(line for line in metrics().splitlines() if line.startswith("ray_tikval_rows"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run_stage(
            config,
            [Step(SlowScripts, arrow_schema(ScriptRow), config.pool)],
            source=config.videos,
            catalog=config.videos,
        )
        time.sleep(1)
    finally:
        done.set()
        watcher.join()

    working = [status for status in seen if status.state == RUNNING and 0 < status.done < 8]
    assert working
    assert all(status.failed == {"timeout": status.done // 2} for status in working)
    last = read_status(config.folder)
    assert last is not None
    assert (last.state, last.done, last.failed) == (FINISHED, 8, {"timeout": 4})

    assert any('outcome="ok"' in line and 'stage="scripts"' in line for line in counted)
    assert any('outcome="timeout"' in line for line in counted)

    lines = logged(Path(config.folder).name)
    assert sorted(line["video_id"] for line in lines) == ["v1", "v3", "v5", "v7"]
    assert {(line["reason"], line["detail"], line["attempt"]) for line in lines} == {
        ("timeout", "too slow", 1)
    }
