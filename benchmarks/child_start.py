"""What isolation costs when a reading child starts: until it says that it is ready, with and without, in turns.

For each way least, median and most milliseconds; the target is for the median difference within a turn, as a busy
machine disturbs both starts of a turn alike.

    python benchmarks/child_start.py            # 40 starts of each; writes results/child_start.json
    python benchmarks/child_start.py --starts 20

The last line is one JSON object; the exit code is 1 where the target is missed or the kernel lacks a part.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.decode import machine, rounded
from tikval.config import Limits
from tikval.media.child import Child
from tikval.media.isolation import is_complete, kernel_isolation

RESULT: Final = Path(__file__).parent / "results" / "child_start.json"
TARGET_MS: Final = 30  # more than without


def start_ms(limits: Limits) -> tuple[float, float]:
    """Wall clock, and CPU time of the child, in milliseconds."""
    with Child(limits) as child:
        begun = time.perf_counter()
        child.start()
        wall = time.perf_counter() - begun
        assert child._process is not None
        used = psutil.Process(child._process._process.pid).cpu_times()
        return 1000 * wall, 1000 * (used.user + used.system)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--starts", type=int, default=40)
    starts = parser.parse_args(arguments).starts
    ways = {"isolated": Limits(), "not isolated": Limits(isolation="off")}
    took: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for turn in range(starts + 1):
        for way in ways if turn % 2 else reversed(ways):
            one = start_ms(ways[way])
            if turn:  # the first fills the disk's cache
                took[way].append(one)
    report: dict[str, Any] = {
        "command": " ".join(["python", "benchmarks/child_start.py", *arguments]),
        "machine": machine() | {"isolation": list(kernel_isolation())},
        "load_at_end": os.getloadavg()[0],
        "starts": starts,
    }
    for at, what in enumerate(("wall", "cpu")):
        found = {way: [one[at] for one in some] for way, some in took.items()}
        differences = [one - other for one, other in zip(*found.values(), strict=True)]
        report[f"{what}_ms"] = {
            **{way: [min(some), statistics.median(some), max(some)] for way, some in found.items()},
            "more, median of the turns": statistics.median(differences),
        }
    most = max(report[what]["more, median of the turns"] for what in ("wall_ms", "cpu_ms"))
    report |= {"target_ms": TARGET_MS, "met": most <= TARGET_MS and is_complete(kernel_isolation())}
    RESULT.write_text(json.dumps(rounded(report), indent=1) + "\n", encoding="utf-8")
    print(json.dumps(rounded(report)))
    return 0 if report["met"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
