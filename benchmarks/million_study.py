"""A study from list to report by the command that a user types, killed three times: every id comes out once.

    python benchmarks/million_study.py                  1,000,000 scripts; writes results/million_study.json
    python benchmarks/million_study.py --rows 100000    so many; the same file unless --to names another
    python benchmarks/million_study.py --quick          3,000 scripts; writes nothing

The list gives scripts in the place of videos, and 1,000 of them are annotated. `tikval analyze LIST --out OUT
--annotations LABELS --annotated-by random` runs in a process of its own. SIGKILL reaches its driver, and no other
process, while the catalog is written, at a third of the scripts, and at two thirds of the predictions; then the same
command goes on to its end, and once more where nothing is left to do. A million
take hours on two cores, as each script is embedded. Checked: every id of the list stands once in the
catalog, the scripts and the predictions; parts were compacted; and a killed run left rows and work.
Memory: the driver's most (VmHWM), and the most that driver and Ray's processes had together (resident, sampled each
second, so that pages of the object store count in each process that maps them).
Targets: each id once, driver below 1 GB, no part left, the command on a finished study below 60 s.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from benchmarks.million_rows import config_of, write_list
from tikval.machine import cores
from tikval.store.folder import Folder
from tikval.store.row_keys import keys_of

RESULT: Final = Path(__file__).parent / "results" / "million_study.json"
MOST_MB, AGAIN_SECONDS = 1_000, 60


@dataclass
class Watched:
    """One run of the command: what it took, and whether it was killed."""

    process: subprocess.Popen[bytes]
    log: Path
    begun: float = field(default_factory=time.monotonic)
    driver_mb: float = 0
    all_mb: float = 0
    killed: bool = False
    helpers: dict[int, psutil.Process] = field(default_factory=dict)

    def look(self) -> None:
        """Take a sample of memory; processes that are about to end have none."""
        with contextlib.suppress(OSError, StopIteration, psutil.NoSuchProcess):
            lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
            most = next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))
            self.driver_mb = max(self.driver_mb, most)
            driver = psutil.Process(self.process.pid)
            self.helpers |= {child.pid: child for child in driver.children(recursive=True)}
            resident = driver.memory_info().rss
            for child in self.helpers.values():
                with contextlib.suppress(psutil.NoSuchProcess):
                    resident += child.memory_info().rss
            self.all_mb = max(self.all_mb, resident / 1e6)

    def until(self, reached: Callable[[], bool] | None) -> None:
        """Wait for its end, or kill the driver once something is reached. Raises RuntimeError where it fails."""
        while self.process.poll() is None:
            self.look()
            if reached and reached():
                self.process.send_signal(signal.SIGKILL)
                self.killed = True
                break
            time.sleep(0.05 if reached else 1)
        code = self.process.wait()
        if not self.killed and code:
            raise RuntimeError(f"tikval analyze ended with {code}: {self.log.read_text()[-2000:]}")
        if self.killed:  # Ray's processes end by themselves when their driver is gone
            psutil.wait_procs(list(self.helpers.values()), timeout=60)

    def facts(self) -> dict[str, Any]:
        return {
            "killed": self.killed,
            "seconds": round(time.monotonic() - self.begun, 1),
            "driver_mb": round(self.driver_mb),
            "all_processes_mb": round(self.all_mb),
        }


def command_of(place: Path) -> list[str]:
    words = [f"{place}/list.csv", "--out", f"{place}/out", "--annotations", f"{place}/labels.csv"]
    words += ["--annotated-by", "random"]
    return ["tikval", "analyze", *words]


def start(place: Path) -> Watched:
    log = place / "log.txt"
    words = [sys.executable, "-m", "tikval.cli", *command_of(place)[1:]]
    with log.open("ab") as out:
        return Watched(subprocess.Popen(words, stdout=out, stderr=out, start_new_session=True), log)


def rows_in(folder: Folder) -> int:
    """Rows of all parts on disk, as they are now."""
    import pyarrow.parquet as pq

    found = 0
    for path in Path(folder.uri).glob("*.parquet"):
        with contextlib.suppress(OSError):  # sealed meanwhile
            found += 0 if path.name.startswith("_") else pq.read_metadata(path).num_rows
    return found


def study(place: Path, n: int) -> dict[str, Any]:
    """Run, kill, run again, and count."""
    write_list(place, n)
    stages = stages_of(place)
    catalog, scripts, values = stages.values()
    kills: list[tuple[str, Callable[[], bool]]] = [
        ("catalog", lambda: Path(catalog.uri).is_dir() and not Path(catalog.uri, "run.json").exists()),
        ("scripts", lambda: rows_in(scripts) >= n // 3),
        ("predictions", lambda: rows_in(values) >= 2 * n // 3),
    ]
    runs = []
    for stage, reached in kills:
        one = start(place)
        one.until(reached)
        there = {name: rows_in(folder) for name, folder in stages.items()}
        runs.append({"until": stage, **one.facts(), "rows_on_disk": there})
        print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    for name in ("to the end", "once more"):
        one = start(place)
        one.until(None)
        runs.append({"until": name, **one.facts()})
        print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    return {
        "rows": n,
        "runs": runs,
        "each_id_once": {name: each_id_once(folder, catalog, n) for name, folder in stages.items()},
        "parts_left": {
            name: sum(file.startswith("part-") for file in folder.parts()) for name, folder in stages.items()
        },
        "files": {name: len(folder.parts()) for name, folder in stages.items()},
        "disk_mb": round(sum(e.stat().st_size for e in (place / "out").rglob("*") if e.is_file()) / 1e6, 1),
        "list_mb": round((place / "list.csv").stat().st_size / 1e6, 1),
        "peak": {key: max(run[key] for run in runs) for key in ("driver_mb", "all_processes_mb")},
        "seconds": round(sum(run["seconds"] for run in runs), 1),
    }


def stages_of(place: Path) -> dict[str, Folder]:
    from tikval.config import ExtractConfig

    config = config_of(f"{place}/out")
    system = config.scores.predictions[0]
    assert isinstance(system, ExtractConfig)
    assert system.scripts is not None
    recipes = {"catalog": config.scores.catalog, "scripts": system.scripts, "predictions": system}
    return {name: Folder(recipe.folder) for name, recipe in recipes.items()}


def each_id_once(folder: Folder, catalog: Folder, n: int) -> bool:
    """Whether a table has each id of the list once, under the keys of the catalog."""
    keys = [keys_of(table["row_key"]) for table in folder.tables(["row_key"])]
    every, listed = np.sort(np.concatenate(keys)), np.sort(catalog.keys())
    ids = {name for table in folder.tables(["video_id"]) for name in table["video_id"].to_pylist()}
    return len(every) == len(ids) == n and bool((every == listed).all()) and len(np.unique(listed)) == n


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--to", type=Path, help="Another file for the result.")
    given = parser.parse_args()
    n = given.rows or (3_000 if given.quick else 1_000_000)
    place = Path(tempfile.mkdtemp(prefix="tikval-bench-"))
    try:
        result = study(place, n)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    last = result["runs"][-1]
    killed = [run for run in result["runs"] if run["killed"]]
    figures = {
        "killed three times": len(killed) == 3,
        "rows before the second and third kill, and work after": all(
            0 < run["rows_on_disk"][run["until"]] < n for run in killed[1:]
        ),
        "every id once": all(result["each_id_once"].values()),
        "no part left": not any(result["parts_left"].values()),
        "driver below 1 GB": result["peak"]["driver_mb"] < MOST_MB,
        "finished study again": last["seconds"] < AGAIN_SECONDS,
    }
    result["targets"] = figures
    result["machine"] = f"{cores()} cores, no GPU, other work beside it (load {os.getloadavg()[0]:.1f})"
    result["command"] = " ".join(["python", "benchmarks/million_study.py", *sys.argv[1:]])
    if given.to or not given.quick:
        (given.to or RESULT).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))
    return 0 if all(figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
