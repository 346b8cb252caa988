"""A study of any size, step by step, each in a process of its own: seconds, memory, bytes, and what grows faster.

    python benchmarks/million.py            100,000 and 1,000,000 rows, and 10,000,000 ids; writes results/million.json
    python benchmarks/million.py --rows 100000 1000000 10000000     ... these sizes in place of those
    python benchmarks/million.py --rows 10000000 --keep PLACE --only report    some steps of one size, later others
    python benchmarks/million.py --quick    10,000 and 40,000 rows, and 400,000 ids; writes nothing

A list gives scripts in the place of videos, and 1,000 videos are annotated. Scripts and predictions are then written as
stages leave them, so that no step waits for a model; `values` runs a stage that does nothing on Ray Data instead.
Memory is the most that the step's process ever had (VmHWM); 115 MB are the interpreter and its libraries.
Targets: each step below 1 GB, or so many bytes a row as docs/scale.md names; CPU grows no faster than rows to the power
1.15; the driver of `values` grows by less than 50 MB; a resume scans its ids in < 10 s of CPU and < 1 GB.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.evaluate import memory_mb, random_keys
from benchmarks.million_rows import config_of, video_id, write_list, write_predictions, write_scripts
from benchmarks.million_values import compute
from tikval.files import write_table
from tikval.machine import cores
from tikval.rows import ScriptRow, arrow_schema
from tikval.store.folder import SEALED_ROWS, Folder
from tikval.store.row_keys import contains

RESULT: Final = Path(__file__).parent / "results" / "million.json"
GROWTH_MB, SCAN_SECONDS, MOST_MB, MOST_EXPONENT = 50, 10, 1_000, 1.15
SMALL_SECONDS: Final = 2.0  # of CPU: below that a step's growth is its start
CLI: Final[dict[str, list[str]]] = {  # as a user types them; OUT is the study, TO a file beside it
    "failures": ["failures", "OUT"],
    "attrition": ["attrition", "OUT"],
    "prevalence": ["prevalence", "OUT"],
    "prevalence by account": ["prevalence", "OUT", "--by", "account"],
    "export csv": ["export", "OUT", "TO.csv"],
    "export parquet": ["export", "OUT", "TO.parquet"],
    "bundle": ["bundle", "OUT", "TO.zip"],
    "erase": ["erase", "OUT", "ID"],
}
STEPS: Final = ("catalog", "catalog again", "scripts", "predictions", "resume", "evaluate", "report", *CLI)
MADE: Final = ("scripts", "predictions")  # by the benchmark: not measured as steps of tikval


def step_here(name: str, out: str) -> None:
    """One step in this process; prints what it took."""
    config = config_of(out)
    begin, cpu = time.monotonic(), time.process_time()
    call = _call_of(name, out, config)
    try:
        call()
    except SystemExit as end:
        if end.code:
            raise
    facts = {
        "seconds": round(time.monotonic() - begin, 1),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "most_mb": round(memory_mb("VmHWM")),
    }
    print(json.dumps(facts))


def _call_of(name: str, out: str, config: Any) -> Callable[[], object]:
    from tikval.cli.app import main
    from tikval.evaluate.score_systems import score_systems
    from tikval.report.site.write import write_report
    from tikval.sources.write_catalog import write_catalog

    if name in CLI:
        words = {"OUT": out, "ID": video_id(5)}
        words |= {f"TO{end}": f"{out}/../made{end}" for end in (".csv", ".parquet", ".zip")}
        sys.argv = ["tikval", *(words.get(word, word) for word in CLI[name])]
        return main
    if name.startswith("catalog"):
        return lambda: write_catalog(config.scores.catalog)
    if name in MADE:
        return lambda: {"scripts": write_scripts, "predictions": write_predictions}[name](config)
    if name == "resume":
        folder = Folder(config.scores.predictions[0].folder)
        return lambda: folder.seen()
    return (lambda: score_systems(config.scores)) if name == "evaluate" else (lambda: write_report(config))


def run_step(name: str, out: Path) -> dict[str, Any]:
    """One step in a process of its own, and the bytes that it left. Raises RuntimeError where it fails."""
    before = bytes_in(out.parent)
    command = [sys.executable, __file__, "--step", name, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "mb": round((bytes_in(out.parent) - before) / 1e6, 1)}


def bytes_in(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())


def measure(work: Path, rows: int, only: Sequence[str], keep: Path | None = None) -> dict[str, Any]:
    """Every step over so many rows, in a folder that is gone afterwards; or in `keep`, where the next call goes on."""
    place = keep or work / str(rows)
    place.mkdir(parents=True, exist_ok=True)
    facts_file = place / "found.json"
    try:
        found = json.loads(facts_file.read_text()) if facts_file.is_file() else {}
        if not found:
            write_list(place, rows)
        for name in STEPS:
            wanted = not only or name in only
            if name not in found and (wanted or name in ("catalog", *MADE)):
                found[name] = run_step(name, place / "out")
                facts_file.write_text(json.dumps(found))
                print(f"{rows:>10,} {name}: {found[name]}", file=sys.stderr, flush=True)
        return {name: found[name] for name in STEPS if name in found and name not in MADE}
    finally:
        if keep is None:
            shutil.rmtree(place, ignore_errors=True)


def growth(sizes: dict[int, dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Of each step, between the smallest and the largest size: the exponent of CPU seconds, bytes of memory a row."""
    few, many = min(sizes), max(sizes)
    found = {}
    for name, facts in sizes[many].items():
        less = sizes[few][name]
        seconds = facts["cpu_seconds"]
        exponent = None
        if few != many and seconds >= SMALL_SECONDS and less["cpu_seconds"] > 0:
            exponent = round(math.log(seconds / less["cpu_seconds"]) / math.log(many / few), 2)
        found[name] = {
            "cpu_exponent": exponent,
            "memory_bytes_per_row": round((facts["most_mb"] - less["most_mb"]) * 1e6 / max(many - few, 1)),
            "cpu_seconds_per_million": round(seconds * 1e6 / many, 1),
            "mb_per_million": round(facts["mb"] * 1e6 / many, 1),
        }
    return found


def scan(work: Path, n: int) -> dict[str, Any]:
    """Time and memory of what a resume does first over `n` finished ids, in a process of its own."""
    folder, schema = Folder(f"{work}/scan"), arrow_schema(ScriptRow)
    for seed, start in enumerate(range(0, n, SEALED_ROWS)):
        size = min(SEALED_ROWS, n - start)
        columns: dict[str, Any] = {name: pa.nulls(size, schema.field(name).type) for name in schema.names}
        keys = random_keys(size, seed)
        columns |= {"video_id": keys, "row_key": keys, "attempt": pa.array(np.ones(size, np.int64))}
        columns["model"] = pa.array(["m"] * size)
        write_table(f"{folder.uri}/data-{seed:06}.parquet", pa.table(columns, schema=schema))
    command = [sys.executable, __file__, "--scan", folder.uri]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    shutil.rmtree(folder.uri)
    return {"ids": n, **json.loads(done.stdout)}


def scan_here(folder: str) -> None:
    begin, cpu = time.monotonic(), time.process_time()
    seen = Folder(folder).seen()
    assert contains(seen.done, seen.done).all()
    facts = {"seconds": time.monotonic() - begin, "cpu_seconds": time.process_time() - cpu}
    print(
        json.dumps(
            {name: round(value, 1) for name, value in facts.items()} | {"most_mb": round(memory_mb("VmHWM"))}
        )
    )


def targets_of(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    figures: dict[str, tuple[float, float]] = {}
    for name, facts in result["sizes"][max(result["sizes"])].items():
        figures[f"{name}, MB"] = (facts["most_mb"], MOST_MB)
        if (exponent := result["growth"][name]["cpu_exponent"]) is not None:
            figures[f"{name}, exponent"] = (exponent, MOST_EXPONENT)
    if "values" in result:
        figures["driver growth, MB"] = (result["values"]["driver_growth_mb"], GROWTH_MB)
    if "scan" in result:
        figures["scan, CPU seconds"] = (result["scan"]["cpu_seconds"], SCAN_SECONDS)
        figures["scan, MB"] = (result["scan"]["most_mb"], MOST_MB)
    return {
        name: {"figure": figure, "below": limit, "met": figure < limit}
        for name, (figure, limit) in figures.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", type=int, nargs="+", help="Sizes to measure.")
    parser.add_argument(
        "--only", nargs="+", choices=STEPS, default=[], help="These steps, and what they need."
    )
    parser.add_argument("--no-values", action="store_true", help="Without the stage on Ray Data.")
    parser.add_argument(
        "--keep", type=Path, help="Where a study of one size stays, with what was measured of it."
    )
    parser.add_argument("--to", type=Path, help="Another file for the result.")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--scan", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.keep and len(given.rows or []) != 1:
        parser.error("--keep takes one size: --rows N")
    if given.step:
        step_here(*given.step)
        return 0
    if given.scan:
        scan_here(given.scan)
        return 0
    sizes = given.rows or ([10_000, 40_000] if given.quick else [100_000, 1_000_000])
    work = Path(tempfile.mkdtemp(prefix="tikval-bench-"))
    try:
        found = {rows: measure(work, rows, given.only, given.keep) for rows in sizes}
        result: dict[str, Any] = {"sizes": found, "growth": growth(found)}
        if not (given.only or given.keep):
            result["scan"] = scan(work, 400_000 if given.quick else 10_000_000)
            if not given.no_values:
                result["values"] = compute(work / "values", 20_000 if given.quick else max(sizes))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    result["targets"] = targets_of(result)
    load = round(os.getloadavg()[0], 1)
    result["machine"] = f"{cores()} cores, no GPU, other work beside it (load {load})"
    result["command"] = " ".join(["python", "benchmarks/million.py", *sys.argv[1:]])
    if given.to or not (given.quick or given.only):
        (given.to or RESULT).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))
    return 0 if all(target["met"] for target in result["targets"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
