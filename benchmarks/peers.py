"""The same work by tikval, Daft, Ray Data with its checkpoint, and a multiprocessing script: what each costs and loses.

    python benchmarks/peers.py --quick    24 clips, four engines, one kill; two minutes if idle; writes nothing
    python benchmarks/peers.py            300 clips, two kills, a crash and a hang; writes results/peers.json
                                          and the table of docs/peers.md
    python benchmarks/peers.py --only daft tikval    these engines, whose lines in results/peers.json it writes anew

The work (peer_engines/work.py): list the clips, of each decode 16 small pictures, 3 at full size and the sound, by
tikval's reader as a library, put them through a light model loaded once in each worker, write Parquet. Two workers
each. Every engine runs it undisturbed; then in a folder of its own again, where all its processes are killed when 30 %
and 70 % of the rows have been worked out, and the same command is given again until it is done. Then rows are counted:
lost, there twice, worked out again. Last, a small corpus with a file that kills its reader, and one with a file over
which it never ends.

tikval reads in a sandboxed child process, as it does for its users; the others read in their workers, as their users
would; `tikval, in process` is tikval's engine without the child, so that the price of the child can be seen.

Daft is no dependency: `pip install --target` puts one wheel of it into the cache folder (TIKVAL_CACHE), over the same
versions of Ray, PyArrow and PyAV. The exit code is 1 where tikval loses a row, has one twice, or does not get past the
crash or the hang. It is a comparison of engines: Daft's and Ray's strengths in joins, shuffles and SQL play no part.
"""

import argparse
import importlib
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.media_clips import Spec, cached
from benchmarks.peer_engines.meter import Metered, figures
from benchmarks.peer_engines.result import save, table, targets
from benchmarks.peer_engines.trouble import CRASHES, HANGS
from benchmarks.peer_engines.work import WORKERS, Job, Work, clips_of, written
from tikval.machine import cores

ROOT: Final = Path(__file__).parent.parent
DAFT: Final = "0.7.26"
ENGINES: Final = {  # name -> module and function
    "tikval": "tikval_stage:run",
    "tikval, in process": "tikval_stage:run_in_process",
    "daft": "daft_frame:run_native",
    "daft on ray, checkpoint": "daft_frame:run_on_ray",
    "ray data, checkpoint": "ray_data:run",
    "multiprocessing": "processes:run",
}
ALONE: Final = "alone"  # no engine: the work in one loop
QUICK: Final = ("tikval", "daft", "ray data, checkpoint", "multiprocessing")
RUN_SECONDS: Final = 900  # of one start; an engine that needs more is late
TROUBLE_SECONDS: Final = 90
MAX_STARTS: Final = 3  # of a command that fails by itself
MAX_RAY_STARTS: Final = 6  # of a Ray that gives up before it has begun, as it does on a busy machine


class Corpus(NamedTuple):
    folder: Path
    n: int
    broken: int  # files that have no result


def make_clips(folder: Path, n: int, *, trouble: bytes | None = None) -> Corpus:
    """`n` files: clips of 3 to 10 s, every twentieth broken, their order shuffled; of 3 s alone for a `trouble`."""
    folder.mkdir(parents=True)
    lengths = [3] if trouble else range(3, 11)
    clips = [cached(Spec(360, 640, seconds)).read_bytes() for seconds in lengths]
    broken = [b"", b"<!doctype html><title>Not found</title>", clips[0][: len(clips[0]) // 3]]
    contents = [
        broken[i // 20 % 3] if i % 20 == 19 and not trouble else clips[i % len(clips)] for i in range(n)
    ]
    random.Random(3).shuffle(contents)
    if trouble:
        contents[n // 2] = trouble
    for i, content in enumerate(contents):
        (folder / f"clip{i:05}.mp4").write_bytes(content)
    return Corpus(folder, n, 1 if trouble else n // 20)


def environment() -> dict[str, str]:
    """What each engine's processes are told, and the loop alone."""
    paths = [str(ROOT), str(daft_folder()), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",  # a second thread of NumPy's waits busily, which counts as work
        "OPENBLAS_NUM_THREADS": "1",
        "DAFT_ANALYTICS_ENABLED": "0",
        "DAFT_PROGRESS_BAR": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "300",  # a busy machine is no fault of Ray's
    }


class Engine:
    """One engine in a folder of its own."""

    def __init__(self, name: str, clips: Corpus, work: Path) -> None:
        work.mkdir(parents=True)
        self.name, self.work = name, work
        self.job = Job(str(clips.folder), str(work / "out"), str(work / "ledger"))
        self.n, self.broken = clips.n, clips.broken
        self.runs: list[Metered] = []
        self.first_row_seconds: float | None = None

    def start(self, until: float = 2, seconds: float = RUN_SECONDS) -> str:
        """Run it until it ends, or `until` that share of the rows has been worked out; how it came to an end.

        A start whose Ray did not come up is no start: its raylet gives its agents 15 seconds, whoever starts it.
        """
        for _ in range(MAX_RAY_STARTS):
            log, before = self.work / "log", len(self.ledger())
            length = log.stat().st_size if log.exists() else 0
            state = self._start(until, seconds)
            news = log.read_text(errors="replace")[length:]
            if state != "failed" or len(self.ledger()) > before or not _is_without_ray(news):
                break
            self.runs.pop()
        return state

    def _start(self, until: float, seconds: float) -> str:
        command = [sys.executable, __file__, "--engine", self.name, "--job", json.dumps(self.job)]
        begin, first = time.monotonic(), not self.runs
        self.runs.append(Metered(command, str(self.work / "log"), environment()))

        def reached() -> bool:
            if first and self.first_row_seconds is None and self.rows():
                self.first_row_seconds = time.monotonic() - begin
            return len(set(self.ledger())) >= until * self.n

        state = self.runs[-1].wait(reached, seconds)
        if first and self.first_row_seconds is None and self.rows():
            self.first_row_seconds = time.monotonic() - begin
        code = self.runs[-1].process.returncode
        return "failed" if state == "ended" and code else state

    def until_done(self, seconds: float = RUN_SECONDS) -> str:
        """As often as it fails by itself, the same command again."""
        states = []
        for _ in range(MAX_STARTS):
            states.append(self.start(seconds=seconds))
            if states[-1] != "failed":
                break
        return states[-1]

    def ledger(self) -> list[str]:
        return Path(self.job.ledger).read_text().split() if Path(self.job.ledger).exists() else []

    def rows(self) -> list[tuple[str, str | None]]:
        """Id and error of those on disk."""
        if not self.name.startswith("tikval"):
            return written(self.job.out)
        found = [written(str(folder), "video_id") for folder in Path(self.job.out).glob("embeddings-*")]
        return [row for rows in found for row in rows]

    def counted(self) -> dict[str, Any]:
        found, worked = self.rows(), self.ledger()
        rows = [name for name, _ in found]
        return {
            "broken": self.broken,
            "failed": len({name for name, error in found if error}),
            "rows": len(rows),
            "lost": self.n - len(set(rows)),
            "doubled": len(rows) - len(set(rows)),
            "worked_out_again": len(worked) - len(set(worked)),
        }


def _is_without_ray(log: str) -> bool:
    return "timed out during startup" in log or "Ray did not start" in log


def undisturbed(name: str, clips: Corpus, work: Path) -> dict[str, Any]:
    engine = Engine(name, clips, work)
    begin = time.monotonic()
    state = engine.until_done()
    cost = figures(engine.runs)
    return {
        "end": state,
        **cost,
        "rows_per_cpu_second": round(engine.n / cost["cpu_seconds"], 2),
        "seconds": round(time.monotonic() - begin, 1),
        "first_row_seconds": engine.first_row_seconds and round(engine.first_row_seconds, 1),
        **engine.counted(),
    }


def killed(name: str, clips: Corpus, work: Path, shares: list[float]) -> dict[str, Any]:
    engine = Engine(name, clips, work)
    kills = []
    for share in shares:
        state = engine.start(share)
        kills.append({"at": share, "state": state, "on_disk": len({name for name, _ in engine.rows()})})
    state = engine.until_done()
    cost = figures(engine.runs)
    return {
        "end": state,
        "kills": kills,
        **cost,
        "rows_per_cpu_second": round(engine.n / cost["cpu_seconds"], 2),
        **engine.counted(),
    }


def troubled(name: str, clips: Corpus, work: Path) -> dict[str, Any]:
    engine = Engine(name, clips, work)
    state = engine.until_done(TROUBLE_SECONDS)
    return {"end": state, "starts": len(engine.runs), **engine.counted()}


def floor(job: Job, n: int = 40) -> None:
    """Print the rows per CPU second of the work alone, in one loop of this process."""
    todo = clips_of(job.clips)[:n]
    one = Work(job.ledger)
    one(todo[0])
    begin = time.process_time()
    for path in todo:
        one(path)
    print(round(len(todo) / (time.process_time() - begin), 2))


def measured_floor(clips: Corpus, work: Path) -> float:
    """What `floor` prints in a process like those of the engines."""
    job = Job(str(clips.folder), str(work / "out"), str(work / "floor"))
    command = [sys.executable, __file__, "--engine", ALONE, "--job", json.dumps(job)]
    return float(subprocess.run(command, env=environment(), check=True, capture_output=True).stdout)


def daft_folder() -> Path:
    """Where Daft's wheel lies, fetched where it is not there yet."""
    cache = Path(os.environ.get("TIKVAL_CACHE", Path(tempfile.gettempdir()) / "tikval-cache"))
    folder = cache / f"daft-{DAFT}"
    if not folder.exists():
        part = folder.with_suffix(".part")
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "--target", str(part), f"daft=={DAFT}"], check=True)
        part.replace(folder)
    return folder


def measure(names: list[str], quick: bool, work: Path) -> Iterator[dict[str, Any]]:
    """The result so far, after each engine."""
    n, shares = (24, [0.5]) if quick else (300, [0.3, 0.7])
    clips = make_clips(work / "clips", n)
    heads = {} if quick else {"crash": CRASHES, "hang": HANGS}
    troubles = {what: make_clips(work / what, 24, trouble=head) for what, head in heads.items()}
    result: dict[str, Any] = {
        "clips": n,
        "kills_at": shares,
        "alone": measured_floor(clips, work),
        "engines": {},
    }
    for name in names:
        place = work / name.replace(" ", "-").replace(",", "")
        parts: dict[str, Any] = {"load": round(os.getloadavg()[0], 1)}  # of the machine, as it began
        if not quick:
            parts["undisturbed"] = undisturbed(name, clips, place / "undisturbed")
        parts["killed"] = killed(name, clips, place / "killed", shares)
        parts |= {what: troubled(name, some, place / what) for what, some in troubles.items()}
        result["engines"][name] = parts
        print(name, json.dumps(parts), file=sys.stderr, flush=True)
        yield result


def circumstances(quick: bool) -> dict[str, Any]:
    packages = ("ray", "pyarrow", "av", "numpy")
    return {
        "versions": {"daft": DAFT, **{name: version(name) for name in packages}},
        "machine": f"{cores()} cores, {platform.machine()}, no GPU; {WORKERS} workers each",
        "command": "python benchmarks/peers.py" + " --quick" * quick,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=ENGINES)
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        job = Job(*json.loads(options.job))
        if options.engine == ALONE:
            floor(job)
            return 0
        module, _, function = ENGINES[options.engine].partition(":")
        getattr(importlib.import_module(f"benchmarks.peer_engines.{module}"), function)(job)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends, too
    daft_folder()
    work = Path(tempfile.mkdtemp(prefix="tikval-peers-"))
    names, facts = options.only or list(QUICK if options.quick else ENGINES), circumstances(options.quick)
    result: dict[str, Any] = {}
    try:
        for so_far in measure(names, options.quick, work):
            result = so_far | facts
            result = (
                result | {"targets": targets(result["engines"])}
                if options.quick
                else save(result, list(ENGINES))
            )
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(table(result))
    print(json.dumps(result))
    return 0 if all(target["met"] for target in result["targets"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
