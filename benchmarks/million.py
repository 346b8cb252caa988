"""A million rows through a stage that does nothing, a resume against them, and against ten million done ids.

    python benchmarks/million.py            1,000,000 rows and 10,000,000 ids; writes benchmarks/results/million.json
    python benchmarks/million.py --quick    100,000 rows and 1,000,000 ids

Targets (docs: what must be fast): the driver's memory is flat over the rows (it grows by less than 50 MB between the
first tenth of the rows and the last; sealing the table afterwards takes one file's rows more); scanning the done ids
takes < 60 s and < 2 GB at ten million.
"""

import argparse
import binascii
import json
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa

from tikval.config import CatalogConfig, Pool, ScriptConfig
from tikval.files import write_table
from tikval.flow.data import Step, run_stage
from tikval.machine import cores
from tikval.rows import Reason, ScriptRow, VideoRow, arrow_schema
from tikval.store.folder import SEALED_ROWS, Folder
from tikval.store.row_keys import contains

GROWTH_MB, SCAN_SECONDS, SCAN_MB = 50, 60, 2000


class Nothing:
    """A stage that returns immediately."""

    def __call__(self, rows: list[Any]) -> list[Any]:
        return [self.failure(row, None, None) | {"script": "s"} for row in rows]

    def failure(self, row: Any, reason: Reason | None, detail: str | None) -> Any:
        empty = dict.fromkeys(ScriptRow.__annotations__)
        facts = {"error": reason.value if reason else None, "detail": detail, "model": "nothing"}
        return empty | {key: row[key] for key in ("video_id", "row_key", "attempt")} | facts


def random_keys(n: int, seed: int) -> pa.Array:
    """`n` row keys: strings of 32 hexadecimal digits, made without a Python object each."""
    digits = binascii.hexlify(np.random.default_rng(seed).bytes(16 * n))
    offsets = np.arange(0, 32 * (n + 1), 32, dtype=np.int32)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(digits))


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


def scan(out: Path, n: int) -> dict[str, Any]:
    """Time and memory of what a resume does first, in a process of its own."""
    folder = Folder(str(out))
    schema = arrow_schema(ScriptRow)
    for seed, start in enumerate(range(0, n, SEALED_ROWS)):
        size = min(SEALED_ROWS, n - start)
        columns: dict[str, Any] = {name: pa.nulls(size, schema.field(name).type) for name in schema.names}
        keys = random_keys(size, seed)
        columns |= {"video_id": keys, "row_key": keys, "attempt": pa.array(np.ones(size, np.int64))}
        columns["model"] = pa.array(["m"] * size)
        write_table(f"{folder.uri}/data-{seed:06}.parquet", pa.table(columns, schema=schema))
    facts = subprocess.run(
        [sys.executable, __file__, "--scan", str(out)], capture_output=True, text=True, check=True
    )
    return {"ids": n, **json.loads(facts.stdout)}


def scan_here(out: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    begin = time.monotonic()
    seen = Folder(out).seen()
    todo = seen.done[~contains(seen.done, seen.done)]
    assert len(todo) == 0
    seconds = time.monotonic() - begin
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps({"seconds": round(seconds, 1), "most_mb": round(most), "before_mb": round(before)}))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--scan", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.scan:
        scan_here(arguments.scan)
        return 0
    rows, ids = (100_000, 1_000_000) if arguments.quick else (1_000_000, 10_000_000)
    work = Path(tempfile.mkdtemp(prefix="tikval-bench-"))
    try:
        result: dict[str, Any] = {"stage": compute(work / "study", rows), "scan": scan(work / "ids", ids)}
    finally:
        shutil.rmtree(work, ignore_errors=True)
    figures = {
        "driver growth, MB": (result["stage"]["driver_growth_mb"], GROWTH_MB),
        "scan, seconds": (result["scan"]["seconds"], SCAN_SECONDS),
        "scan, MB": (result["scan"]["most_mb"], SCAN_MB),
    }
    result["targets"] = {
        name: {"figure": figure, "below": limit, "met": figure < limit}
        for name, (figure, limit) in figures.items()
    }
    result["machine"] = f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}"
    result["command"] = "python benchmarks/million.py" + " --quick" * arguments.quick
    if not arguments.quick:
        Path(__file__).with_name("results").joinpath("million.json").write_text(
            json.dumps(result, indent=2) + "\n"
        )
    print(json.dumps(result))
    return 0 if all(target["met"] for target in result["targets"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
