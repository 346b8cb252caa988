"""How long a user waits: for the first line of a command, for the sample clips again, for the first row of a study.

    python -m benchmarks.startup            every command five times, the sample clips anew; writes results/startup.json
    python -m benchmarks.startup --quick    three commands once, and the sample clips again only

Targets (docs: what must be fast): the first line of every command within 1 s, the finished sample clips again within
2 s, and from the command to the first row on disk 10 s (it was 20). Each is the best of its runs, which is the wait on
a machine with nothing else to do; the CPU seconds stand beside it.
"""

import argparse
import json
import os
import platform
import pty
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tikval.machine import cores

FIRST_LINE_SECONDS, AGAIN_SECONDS, FIRST_ROW_SECONDS = 1.0, 2.0, 10.0
ROOT = Path(__file__).parents[1]
TIKVAL = [sys.executable, "-m", "tikval.cli"]


def first_line(words: Sequence[str]) -> tuple[float, float]:
    """Seconds until a command has printed something to a terminal, and its CPU seconds in all."""
    ours, theirs = pty.openpty()
    begin, before = time.monotonic(), _cpu()
    process = subprocess.Popen(
        [*TIKVAL, *words], stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL, cwd=ROOT
    )
    os.close(theirs)
    select.select([ours], [], [], 120)
    waited = time.monotonic() - begin
    while _more(ours):
        pass
    process.wait()
    os.close(ours)
    return waited, _cpu() - before


def _more(terminal: int) -> bool:
    try:
        return bool(os.read(terminal, 65536))
    except OSError:  # Linux's way to say that the other end is closed
        return False


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def first_row(out: Path) -> tuple[float, float]:
    """Seconds from `tikval demo` in an empty folder to its first script on disk, and to its end."""
    begin = time.monotonic()
    command = [*TIKVAL, "demo", "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    waited = None
    while process.poll() is None:
        if waited is None and next(out.glob("scripts-*/part-*.parquet"), None):
            waited = time.monotonic() - begin
        time.sleep(0.02)
    assert process.returncode == 0
    assert waited is not None
    return waited, time.monotonic() - begin


def again(out: Path) -> float:
    begin = time.monotonic()
    subprocess.run([*TIKVAL, "demo", "--out", str(out)], check=True, capture_output=True, cwd=ROOT)
    return time.monotonic() - begin


def commands(out: Path, quick: bool) -> list[list[str]]:
    every = [
        ["--help"],
        ["status", str(out)],
        ["failures", str(out)],
        ["analyze", "--help"],
        ["compare", str(out)],
        ["check", "examples/videos.csv"],
        ["codebook", "show"],
        ["doctor"],
        ["verify", str(out / "nothing.zip")],
    ]
    return every[:3] if quick else every


def measure(work: Path, quick: bool) -> dict[str, Any]:
    out, runs = work / "demo", 1 if quick else 5
    row, whole = first_row(out)
    waits: dict[str, dict[str, float]] = {}
    for words in commands(out, quick):
        timed = [first_line(words) for _ in range(runs)]
        name = " ".join(word.replace(str(work), "OUT") for word in words)
        waits[name] = {
            "seconds": round(min(wait for wait, _ in timed), 2),
            "cpu_seconds": round(min(cpu for _, cpu in timed), 2),
        }
    return {
        "first_line": waits,
        "demo_again_seconds": round(min(again(out) for _ in range(runs)), 2),
        "first_row_seconds": round(row, 1),
        "demo_seconds": round(whole, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="tikval-bench-"))
    try:
        result = measure(work, arguments.quick)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    slowest = max(wait["seconds"] for wait in result["first_line"].values())
    figures = {
        "first line of the slowest command, seconds": (slowest, FIRST_LINE_SECONDS),
        "demo again, seconds": (result["demo_again_seconds"], AGAIN_SECONDS),
        "to the first row, seconds": (result["first_row_seconds"], FIRST_ROW_SECONDS),
    }
    result["targets"] = {
        name: {"figure": figure, "below": limit, "met": figure < limit}
        for name, (figure, limit) in figures.items()
    }
    result["machine"] = f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}"
    result["command"] = "python -m benchmarks.startup" + " --quick" * arguments.quick
    if not arguments.quick:
        place = Path(__file__).with_name("results") / "startup.json"
        place.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0 if all(target["met"] for target in result["targets"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
