"""Scores of 300 annotated videos among a million predictions: reading takes what the annotated videos need.

    python benchmarks/evaluate.py            1,000,000 predictions
    python benchmarks/evaluate.py --quick    100,000 predictions

Targets: the process grows by less than 300 MB, and the evaluation takes less than 15 s. Prints one JSON object last.
"""

import argparse
import binascii
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tikval.config import CatalogConfig, EvaluateConfig, ExtractConfig, ScriptConfig
from tikval.evaluate.score_systems import score_systems
from tikval.files import write_table
from tikval.machine import cores
from tikval.rows import LabelRow, PredictionRow, VideoRow, arrow_schema
from tikval.store.folder import SEALED_ROWS, Folder
from tikval.values import LABELS, SLUGS

ANNOTATED, ACCOUNTS = 300, 60
MOST_MB, MOST_SECONDS = 300, 15


def random_keys(n: int, seed: int) -> pa.Array:
    """`n` row keys: strings of 32 hexadecimal digits, made without a Python object each."""
    digits = binascii.hexlify(np.random.default_rng(seed).bytes(16 * n))
    offsets = np.arange(0, 32 * (n + 1), 32, dtype=np.int32)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(digits))


def config_of(out: str) -> EvaluateConfig:
    catalog = CatalogConfig(out=out, videos="x", annotations="y")
    system = ExtractConfig(scripts=ScriptConfig(out=out, videos=catalog), out=out, system="local")
    return EvaluateConfig(predictions=(system,), out=out)


def write_rows(folder: Folder, kind: type, n: int, columns_of: Any) -> list[str]:
    """Files as a sealed folder has them; what is not given is null."""
    files, schema = [], arrow_schema(kind)
    for seed, start in enumerate(range(0, n, SEALED_ROWS)):
        size = min(SEALED_ROWS, n - start)
        columns: dict[str, Any] = {name: pa.nulls(size, schema.field(name).type) for name in schema.names}
        ids = pa.array([f"video{i:09}" for i in range(start, start + size)])
        columns |= {"video_id": ids, "row_key": random_keys(size, seed), **columns_of(size, ids)}
        files.append(f"full-{seed:06}.parquet")
        write_table(f"{folder.uri}/{files[-1]}", pa.table(columns, schema=schema))
    return files


def write_study(config: EvaluateConfig, n: int) -> None:
    """A catalog and predictions of `n` videos, of which some are annotated, evenly spread."""
    rng = np.random.default_rng(0)
    catalog, system = config.catalog, config.predictions[0]

    def videos(size: int, ids: pa.Array) -> dict[str, Any]:
        return {"path": ids, "size_bytes": pa.array(np.ones(size, np.int64)), "etag": pa.array(["1"] * size)}

    def predictions(size: int, ids: pa.Array) -> dict[str, Any]:
        offsets = pa.array(np.arange(0, len(LABELS) * (size + 1), len(LABELS), dtype=np.int32))
        scores = rng.random(len(LABELS) * size, np.float32)
        return {
            "attempt": pa.array(np.ones(size, np.int64)),
            "scores": pa.ListArray.from_arrays(offsets, pa.array(scores)),
            "decisions": pa.ListArray.from_arrays(offsets, pa.array(scores > 0.8)),
            "notes": pa.array(["A note of a sentence, as a model writes it, of some length."] * size),
            **{
                name: pa.array([text] * size)
                for name, text in {"system": "local", "label_set": "schwartz-19", "model": "m"}.items()
            },
        }

    folder = Folder(catalog.folder)
    files = write_rows(folder, VideoRow, n, videos)
    labels = [
        {
            "video_id": f"video{i * (n // ANNOTATED):09}",
            "account": f"account{i % ACCOUNTS}",
            "annotator": "human",
            "label_set": "schwartz-19",
            "stances": rng.choice([-1, 0, 1], len(SLUGS), p=[0.1, 0.6, 0.3]).tolist(),
        }
        for i in range(ANNOTATED)
    ]
    write_table(
        f"{folder.uri}/_labels-0.parquet", pa.Table.from_pylist(labels, schema=arrow_schema(LabelRow))
    )
    folder.write_run(catalog, files, {}, n, {}, 0, {"labels": "_labels-0.parquet"})
    made = Folder(system.folder)
    made.write_run(system, write_rows(made, PredictionRow, n, predictions), {}, n, {}, 0)


def memory_mb(what: str) -> float:
    """VmRSS: now; VmHWM: at most, since the program began (ru_maxrss counts that of the process that started it)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(what))


def evaluate_here(out: str) -> None:
    """The evaluation, in a process of its own."""
    before = memory_mb("VmRSS")
    begin = time.monotonic()
    run = score_systems(config_of(out))
    seconds = time.monotonic() - begin
    most = memory_mb("VmHWM")
    scored = max(Folder(f"{out}/scores-{run.fingerprint}").read(["n_scored"])["n_scored"].to_pylist())
    assert scored == ANNOTATED, scored
    print(
        json.dumps({"seconds": round(seconds, 1), "growth_mb": round(most - before), "most_mb": round(most)})
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--evaluate", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.evaluate:
        evaluate_here(arguments.evaluate)
        return 0
    n = 100_000 if arguments.quick else 1_000_000
    work = Path(tempfile.mkdtemp(prefix="tikval-bench-"))
    try:
        write_study(config_of(str(work)), n)
        command = [sys.executable, __file__, "--evaluate", str(work)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    result: dict[str, Any] = {
        "predictions": n,
        "annotated": ANNOTATED,
        **json.loads(done.stdout.splitlines()[-1]),
    }
    met = result["growth_mb"] < MOST_MB and result["seconds"] < MOST_SECONDS
    result["targets"] = {"growth_mb": MOST_MB, "seconds": MOST_SECONDS, "met": met}
    result["machine"] = f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}"
    result["command"] = "python benchmarks/evaluate.py" + " --quick" * arguments.quick
    print(json.dumps(result))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
