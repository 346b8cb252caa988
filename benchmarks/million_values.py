"""Rows through a stage that does nothing, on Ray Data: what the stage itself costs, the driver, and a resume."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa

from benchmarks.evaluate import random_keys
from tikval.config import CatalogConfig, Pool, ScriptConfig
from tikval.files import write_table
from tikval.flow.data import Step, run_stage
from tikval.rows import Reason, ScriptRow, VideoRow, arrow_schema
from tikval.store.folder import SEALED_ROWS, Folder


class Nothing:
    """A stage that returns immediately."""

    def __call__(self, rows: list[Any]) -> list[Any]:
        return [self.failure(row, None, None) | {"script": "s"} for row in rows]

    def failure(self, row: Any, reason: Reason | None, detail: str | None) -> Any:
        empty = dict.fromkeys(ScriptRow.__annotations__)
        facts = {"error": reason.value if reason else None, "detail": detail, "model": "nothing"}
        return empty | {key: row[key] for key in ("video_id", "row_key", "attempt")} | facts


def write_catalog(config: CatalogConfig, n: int) -> None:
    folder, files = Folder(config.folder), []
    schema = arrow_schema(VideoRow)
    for seed, start in enumerate(range(0, n, SEALED_ROWS)):
        size = min(SEALED_ROWS, n - start)
        columns: dict[str, Any] = {name: pa.nulls(size, schema.field(name).type) for name in schema.names}
        ids = pa.array([f"video{i:09}" for i in range(start, start + size)])
        columns |= {"video_id": ids, "path": ids, "row_key": random_keys(size, seed)}
        columns |= {"size_bytes": pa.array(np.ones(size, np.int64)), "etag": pa.array(["1"] * size)}
        files.append(f"data-{seed:06}.parquet")
        write_table(f"{folder.uri}/{files[-1]}", pa.table(columns, schema=schema))
    folder.write_run(config, files, {}, n, {}, 0)


class DriverMemory:
    """Memory of this process alone (not Ray's shared store) against the rows done, as status.json has them."""

    def __init__(self, folder: str) -> None:
        self.samples: list[tuple[int, float]] = []
        self.folder, self.stop = Path(folder), threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.stop.wait(0.5):
            try:
                done = json.loads((self.folder / "status.json").read_text())["done"]
            except (FileNotFoundError, json.JSONDecodeError):
                continue
            self.samples.append((done, psutil.Process().memory_full_info().uss / 1e6))

    def growth(self, total: int) -> tuple[float, float]:
        self.stop.set()
        self.thread.join()
        working = [mb for done, mb in self.samples if total // 10 <= done < total]
        return round(max(working) - working[0]), round(max(mb for _, mb in self.samples))


def compute(out: Path, n: int) -> dict[str, Any]:
    """Seconds of `n` rows, of the same command again and of a thousand rows more, and the driver's memory."""
    config = ScriptConfig(
        out=str(out), videos=CatalogConfig(out=str(out), videos="x"), pool=Pool(batch_rows=2000)
    )

    def run() -> float:
        begin = time.monotonic()
        step = Step(Nothing, arrow_schema(ScriptRow), config.pool)
        done = run_stage(config, [step], source=config.videos, catalog=config.videos)
        assert (done.rows, done.failed) == (n, {})
        return time.monotonic() - begin

    write_catalog(config.videos, n)
    memory = DriverMemory(config.folder)
    seconds = run()
    growth, most = memory.growth(n)
    status = json.loads((Path(config.folder) / "status.json").read_text())
    again = run()
    n += 1000
    write_catalog(config.videos, n)
    more = run()
    return {
        "rows": n - 1000,
        "seconds": round(seconds, 1),
        "rows_per_second": round(status["rows_per_second"]),
        "driver_growth_mb": growth,
        "driver_most_mb": most,
        "same_command_again_seconds": round(again, 2),
        "a_thousand_more_seconds": round(more, 1),
    }
