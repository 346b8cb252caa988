"""The script that one would write first: a pool of processes, a Parquet file for every so many rows."""

import multiprocessing
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peer_engines.work import PART_ROWS, SCHEMA, WORKERS, Job, Work, clips_of, written

_work: Work


def _begin(ledger: str) -> None:
    global _work
    _work = Work(ledger)


def _one(path: str) -> dict[str, Any]:
    return _work(path)


def run(job: Job) -> None:
    Path(job.out).mkdir(parents=True, exist_ok=True)
    done = {name for name, _ in written(job.out)}
    todo = [path for path in clips_of(job.clips) if Path(path).stem not in done]
    rows: list[dict[str, Any]] = []
    with multiprocessing.get_context("spawn").Pool(WORKERS, _begin, (job.ledger,)) as pool:
        for row in pool.imap_unordered(_one, todo, chunksize=1):
            rows.append(row)
            if len(rows) == PART_ROWS:
                _write(job.out, rows)
                rows = []
        pool.close()
        pool.join()
    _write(job.out, rows)


def _write(out: str, rows: list[dict[str, Any]]) -> None:
    """Whole or not at all."""
    if rows:
        part = Path(out, f"{uuid.uuid4().hex}.part")
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), part)
        part.replace(part.with_suffix(".parquet"))
