"""Rows through a stage that does nothing, on Ray Data: what the stage itself costs, the driver, and a resume.

    python -m benchmarks.million_values 10000000    so many rows; writes results/million_values.json
    python -m benchmarks.million_values --quick     20,000, and writes nothing

Targets: the driver grows by less than 50 MB between a tenth of the rows and the last one, and holds less than 1 GB.
benchmarks/million.py runs it as well.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import pyarrow as pa

from benchmarks.evaluate import random_keys
from tikval.config import CatalogConfig, Pool, ScriptConfig
from tikval.files import write_table
from tikval.flow.data import Step, run_stage
from tikval.machine import cores
from tikval.rows import Reason, ScriptRow, VideoRow, arrow_schema
from tikval.store.folder import SEALED_ROWS, Folder

RESULT: Final = Path(__file__).parent / "results" / "million_values.json"
GROWTH_MB, MOST_MB = 50, 1_000


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
        files.append(f"data-{n}-{seed:06}.parquet")  # a table that has changed has another name
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
        working = working or [mb for _, mb in self.samples]  # of a short run no status is written in between
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
        assert (done.rows, done.failed) == (n, {}), (done.rows, done.failed)
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


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", type=int, nargs="?", default=10_000_000)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    rows = 20_000 if given.quick else given.rows
    with tempfile.TemporaryDirectory(prefix="tikval-bench-") as work:
        result = compute(Path(work) / "values", rows)
    figures = {
        "driver growth, MB": (result["driver_growth_mb"], GROWTH_MB),
        "driver, MB": (result["driver_most_mb"], MOST_MB),
    }
    result["targets"] = {
        name: {"figure": figure, "below": limit, "met": figure < limit}
        for name, (figure, limit) in figures.items()
    }
    load = round(os.getloadavg()[0], 1)
    result["machine"] = f"{cores()} cores, no GPU, other work beside it (load {load})"
    result["command"] = f"python -m benchmarks.million_values {'--quick' if given.quick else rows}"
    if not given.quick:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))
    return 0 if all(target["met"] for target in result["targets"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
