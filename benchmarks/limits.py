"""What a child process takes to read files of real size: peak memory, wall clock, CPU. The limits follow from it.

    python benchmarks/limits.py --quick    # the two short clips of 1080x1920; writes nothing
    python benchmarks/limits.py            # also ten minutes of 720x1280 and 4K; writes results/limits.json

Each file of media_clips.py, with letters on it and a voice, is read by a fresh tikval.media.child.Child with what
the local script writer wants by default: speech, text in 5 pictures, the scene. Memory is the resident sum of the
worker and Tesseract below it, looked at every 20 ms, as the watchdog counts it. The first reading of a tiny clip
loads the recogniser; `models_mb` is what stays after it. Targets: no file takes more than half of what
tikval.config.Limits allows. The last line is one JSON object; the exit code is 1 where a target is missed.
"""

import argparse
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.decode import machine, rounded
from benchmarks.media_clips import Spec, cached, megabits
from tikval.config import Limits, LocalWriter
from tikval.media.child import Child
from tikval.script.local import want_of_writer

RESULT: Final = Path(__file__).parent / "results" / "limits.json"
QUICK: Final = [Spec(1080, 1920, 10, talk=True), Spec(1080, 1920, 60, talk=True)]
FULL: Final = [*QUICK, Spec(720, 1280, 600, talk=True), Spec(2160, 3840, 10, talk=True)]
SHARE: Final = 0.5  # of a limit that a real file may take: a busy machine is slower, and content differs


class Watch(threading.Thread):
    """Peak resident memory of a process and those below it, from the start to `stop`."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.root = psutil.Process(pid)
        self.peak_mb = 0.0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.02):
            self.peak_mb = max(self.peak_mb, self.resident_mb())

    def resident_mb(self) -> float:
        used = 0
        try:
            for process in [self.root, *self.root.children(recursive=True)]:
                used += process.memory_info().rss
        except psutil.Error:
            pass  # one that ended meanwhile
        return used / 2**20

    def stop(self) -> None:
        self._over.set()
        self.join()


def measure(spec: Spec) -> dict[str, Any]:
    path = cached(spec)
    want = want_of_writer(LocalWriter())
    with Child(Limits(seconds=3600, memory_mb=100_000)) as child:
        child.read(str(cached(Spec(64, 64, 1, talk=True))), want)
        assert child._process is not None
        watch = Watch(child._process._process.pid)
        models_mb = watch.resident_mb()
        before = cpu_seconds(watch.root)
        watch.start()
        begun = time.monotonic()
        reading = child.read(str(path), want)
        seconds = time.monotonic() - begun
        watch.stop()
        return {
            "clip": spec.name,
            "megabits_per_second": megabits(path, spec),
            "peak_mb": watch.peak_mb,
            "models_mb": models_mb,
            "wall_seconds": seconds,
            "cpu_seconds": cpu_seconds(watch.root) - before,
            "found": {
                "words": sum(len(segment.text.split()) for segment in reading.speech),
                "captions": len(reading.captions),
            },
        }


def cpu_seconds(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:4]))  # user and system, its own and of its ended children


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    rows = []
    for spec in QUICK if options.quick else FULL:
        rows.append(measure(spec))
        print(json.dumps(rounded(rows[-1])), flush=True)
    allowed = Limits()
    targets = {
        "peak memory, of Limits.memory_mb": max(row["peak_mb"] for row in rows) / allowed.memory_mb,
        "wall clock, of Limits.seconds": max(row["wall_seconds"] for row in rows) / allowed.seconds,
    }
    report = {
        "command": " ".join(["python", "benchmarks/limits.py", *arguments]),
        "machine": machine(),
        "clips": rows,
        "limits": {"seconds": allowed.seconds, "memory_mb": allowed.memory_mb},
        "targets": {
            name: {"figure": figure, "at_most": SHARE, "met": figure <= SHARE}
            for name, figure in targets.items()
        },
    }
    report = rounded(report)
    if not options.quick:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return 0 if all(figure <= SHARE for figure in targets.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
