"""Where the wait before the first row goes: imports, Ray's start, its first worker; and the CPU of each process.

    python -m benchmarks.startup_profile            each step five times; writes results/startup_profile.json
    python -m benchmarks.startup_profile --quick    once; writes nothing

Each turn is a process of its own that does the steps one after another, as `tikval analyze` does; a figure is the least
of all turns. It has no target: benchmarks/startup.py has. Last, `tikval demo` in an empty folder until its first script
is on disk, ended then: the CPU seconds of its processes, by what they do.
"""

import argparse
import contextlib
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tikval.machine import cores

RESULT = Path(__file__).parent / "results" / "startup_profile.json"
IMPORTS = {  # by what a figure is called: in a process of its own
    "python alone": "pass",
    "pyarrow": "import pyarrow.compute",
    "pyarrow and its first array, which imports pandas": "import pyarrow; pyarrow.array([1])",
    "every job's configuration": "import tikval.cli.job",
    "tikval analyze": "import tikval.cli.analyze",
    "torch": "import torch",
    "sentence-transformers, with torch": "import sentence_transformers",
    "ray.data": "import ray.data",
}


IDLE = "workers that write parts, or wait"
ROLES = {  # by a part of a process's command line
    "tikval.cli": "the command",
    "MapWorker": "actors that write scripts, with a recogniser each",
    "tikval.media.worker": "processes that read videos",
    "tesseract": "Tesseract",
    "_StatsActor": "actors of Ray Data",
    "_AutoscalingCoordinatorActor": "actors of Ray Data",
    "ActorLocationTracker": "actors of Ray Data",
    "ray::IDLE": IDLE,
    "ray::Map": IDLE,
    "ray::Read": IDLE,
}


def steps() -> Iterator[tuple[str, float]]:
    """Seconds of each step after the imports of `tikval analyze`, in this process."""
    import tikval.cli.analyze  # noqa: F401
    from tikval.flow.session import start_ray

    begin = time.monotonic()
    import ray.data

    yield "import ray.data", time.monotonic() - begin
    begin = time.monotonic()
    start_ray()
    yield "Ray's processes", time.monotonic() - begin

    def worker() -> int:
        return 0

    def encoder() -> int:
        import sentence_transformers  # noqa: F401

        return 0

    for name, work in (("the first worker", worker), ("an encoder's imports in it", encoder)):
        begin = time.monotonic()
        ray.get(ray.remote(work).remote())
        yield name, time.monotonic() - begin


def seconds_of(code: str) -> float:
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.monotonic() - begin


def until_first_row() -> tuple[float, dict[str, float]]:
    """Seconds, and CPU seconds by role, until the sample clips' first script is on disk."""
    used = dict[int, tuple[str, float]]()
    with tempfile.TemporaryDirectory(prefix="tikval-bench-") as work:
        begin, out = time.monotonic(), Path(work) / "demo"
        command = [sys.executable, "-m", "tikval.cli", "demo", "--out", str(out)]
        run = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not next(out.glob("scripts-*/part-*.parquet"), None):
                assert run.poll() is None, "ended without a script"
                for process in (run, *run.children(recursive=True)):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        times, line = process.cpu_times(), " ".join(process.cmdline())
                        # a worker is idle by name before and after its work
                        role, before = _role(line), used.get(process.pid)
                        role = before[0] if before and role == IDLE else role
                        used[process.pid] = role, times.user + times.system
                time.sleep(0.1)
            seconds = time.monotonic() - begin
        finally:
            run.terminate()
            run.wait()
    sums = {each: sum(cpu for role, cpu in used.values() if role == each) for each, _ in used.values()}
    return seconds, {role: round(sums[role], 1) for role in sorted(sums, key=lambda role: -sums[role])}


def _role(line: str) -> str:
    return next((role for part, role in ROLES.items() if part in line), "Ray's processes")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--steps", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.steps:
        print(json.dumps(dict(steps())))
        return 0
    turns = 1 if given.quick else 5
    imports = {name: min(seconds_of(code) for _ in range(turns)) for name, code in IMPORTS.items()}
    command = [sys.executable, "-m", "benchmarks.startup_profile", "--steps"]
    outputs = [
        subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(turns)
    ]
    found = [json.loads(output.splitlines()[-1]) for output in outputs]
    after = {name: min(one[name] for one in found) for name in found[0]}
    seconds, by_role = until_first_row()
    result = {
        "imports_seconds": {name: round(seconds, 2) for name, seconds in imports.items()},
        "then_seconds": {name: round(seconds, 2) for name, seconds in after.items()},
        "first_row_seconds": round(seconds, 1),
        "cpu_seconds_until_then": by_role,
        "machine": f"{platform.machine()}, {cores()} cores, Python {platform.python_version()}",
        "command": "python -m benchmarks.startup_profile" + " --quick" * given.quick,
    }
    if not given.quick:
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
