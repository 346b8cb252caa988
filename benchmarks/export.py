"""Exports of a million predictions: what a process takes that writes them, in every form.

    python benchmarks/export.py            # 1,000,000 videos; writes results/export.json
    python benchmarks/export.py --quick    # 100,000 videos; writes nothing

A made-up study: a catalog with accounts, genres, dates and captions with handles, of which a tenth has ids that name
their account, and one system with scores. Each form is written by a process of its own. Target: none of them takes more
than 1,000 MB at most, the interpreter and its libraries among them. Prints one JSON object last.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.decode import machine
from benchmarks.evaluate import config_of, memory_mb, write_rows
from tikval.config import EvaluateConfig
from tikval.report.export.write import write_study
from tikval.rows import PredictionRow, VideoRow
from tikval.store.folder import Folder
from tikval.store.runs import Study
from tikval.values import LABELS

RESULT: Final = Path(__file__).parent / "results" / "export.json"
MOST_MB: Final = 1_000
FORMS: Final = {
    "parquet": ("values.parquet", None),
    "csv": ("values.csv", None),
    "long parquet": ("long.parquet", "long"),
    "folder": ("values/", None),
    "duckdb": ("study.duckdb", None),
}


def write_made_up(config: EvaluateConfig, n: int) -> None:
    """A catalog of `n` videos and a system's results for all of them."""
    rng = np.random.default_rng(0)
    catalog, system = config.catalog, config.predictions[0]

    def videos(size: int, ids: pa.Array) -> dict[str, Any]:
        accounts = [f"some.maker.{number}" for number in rng.integers(0, 20_000, size)]
        posts = list(enumerate(zip(accounts, ids.to_pylist(), strict=True)))
        named = [f"{who}/{post}" if i % 10 == 0 else f"74{i:08}{post[5:]}" for i, (who, post) in posts]
        others = [who if i % 5 == 0 else "a.friend" for i, (who, _) in posts]
        captions = [f"Cooking with @{who}, part {i}, #food #fyp" for i, who in enumerate(others)]
        return {
            "video_id": pa.array(named),
            "path": ids,
            "size_bytes": pa.array(np.ones(size, np.int64)),
            "etag": pa.array(["1"] * size),
            "account": pa.array(accounts),
            "genre": pa.array(["Food"] * size),
            "caption": pa.array(captions),
            "posted_at": pa.array([datetime(2025, 1, 1, tzinfo=UTC)] * size, pa.timestamp("us", tz="UTC")),
        }

    def predictions(size: int, ids: pa.Array) -> dict[str, Any]:
        offsets = pa.array(np.arange(0, len(LABELS) * (size + 1), len(LABELS), dtype=np.int32))
        scores = rng.random(len(LABELS) * size, np.float32)
        texts = {"system": "local", "label_set": "schwartz-19", "model": "m", "model_served": "m@1"}
        return {
            "attempt": pa.array(np.ones(size, np.int64)),
            "scores": pa.ListArray.from_arrays(offsets, pa.array(scores)),
            "decisions": pa.ListArray.from_arrays(offsets, pa.array(scores > 0.8)),
            **{name: pa.array([text] * size) for name, text in texts.items()},
        }

    for config_, kind, columns in ((catalog, VideoRow, videos), (system, PredictionRow, predictions)):
        folder = Folder(config_.folder)
        folder.write_run(config_, write_rows(folder, kind, n, columns), {}, n, {}, 0)


def export_here(out: str, form: str) -> None:
    """One form, in a process of its own."""
    name, kind = FORMS[form]
    begin = time.monotonic()
    lines, _ = write_study(Study(f"{out}/study"), f"{out}/{name}", kind)  # type: ignore[arg-type]
    seconds = time.monotonic() - begin
    files = Path(f"{out}/{name}")
    size = sum(file.stat().st_size for file in ([files] if files.is_file() else files.rglob("*.parquet")))
    print(
        json.dumps(
            {
                "lines": lines,
                "seconds": round(seconds, 1),
                "most_mb": round(memory_mb("VmHWM")),
                "file_mb": round(size / 1e6),
            }
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--export", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.export:
        export_here(*arguments.export)
        return 0
    n = 100_000 if arguments.quick else 1_000_000
    work = Path(tempfile.mkdtemp(prefix="tikval-bench-"))
    forms = {}
    try:
        write_made_up(config_of(f"{work}/study"), n)
        for form in FORMS:
            command = [sys.executable, __file__, "--export", str(work), form]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            forms[form] = json.loads(done.stdout.splitlines()[-1])
            print(f"{form}: {forms[form]}", file=sys.stderr)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    met = all(form["most_mb"] < MOST_MB for form in forms.values())
    result = {
        "videos": n,
        "forms": forms,
        "targets": {"most_mb": MOST_MB, "met": met},
        "machine": machine(),
        "command": "python benchmarks/export.py" + " --quick" * arguments.quick,
    }
    if not arguments.quick:
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
