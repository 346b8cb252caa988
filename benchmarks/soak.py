"""Half an hour of small studies, one after another: what grows with each of them, and by how much at most.

    python -m benchmarks.soak            30 minutes; writes benchmarks/results/soak.json
    python -m benchmarks.soak --quick    3 minutes
    python -m benchmarks.soak --plain    10 minutes of Ray Data without tikval, beside which the above is to be read

A round is three studies of four videos, one for each way in which a user starts one: `tikval run` with a Ray of its
own, the same submitted to a Ray head that lives all the time, and the same by a process that lives all the time and has
joined that head. Each has a local stage and a paid one (against the tests' server) and a folder of its own. After each
round, when nothing works, memory, threads, open files, processes, sockets and temporary files are counted.

The slope is that of least squares over the rounds after a warm-up (a quarter of them, at least two), its interval by
Newey and West's standard error, since what a round leaves the next one finds, with Student's t, and so wide that all of
the measures hold together with 95 % (Bonferroni). Target: an interval that holds zero, or ends below a stated figure.
What Ray keeps of each job on purpose (its table of jobs, its logs) is shown, and not held to it. So is what
grows in Ray's processes, and in a process that is its driver, no faster than with as many jobs of Ray Data alone: by an
interval that reaches below the upper end of that one's (`--plain`).
"""

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import psutil

from tests.chaos.study import write_config, write_videos
from tests.fixtures.namespace import DASHBOARD, HEAD, ROOT, Namespace, address_of, start_node
from tikval.machine import cores
from tikval.stats.arrays import Floats
from tikval.stats.student import t_critical

RESULT: Final = Path(__file__).parent / "results" / "soak.json"
MINUTES, QUICK_MINUTES, PLAIN_MINUTES, FEWEST = 30.0, 3.0, 10.0, 5  # the last: rounds
VIDEOS, PORT = 4, 7001
SETTLE_SECONDS: Final = 3.0
CONFIDENCE: Final = 0.95
MOST_A_ROUND: Final = {  # where an interval does not hold zero: that its upper end stays below
    "mb": 0.5,
    "threads": 0.1,
    "files": 0.1,
    "processes": 0.05,
    "sockets": 0.1,
    "entries": 0.1,
    "kb": 5.0,
}
ROLES: Final = {  # part of a command line -> who that is
    "gcs_server": "gcs",
    "raylet/raylet": "raylet",
    "dashboard/dashboard.py": "dashboard",
    "ray-dashboard-": "dashboard",  # its modules, processes of their own
    "ray::DashboardAgent": "agent",
    "benchmarks.soak --resident": "resident",
}
BY_DESIGN: Final = {
    "gcs mb": "the head's table of jobs, actors and tasks: the last 10,000 of each",
    "dashboard mb": "what the head's page shows of each job",
    "ray_files entries": "Ray's log files of each job, actor and worker",
    "ray_files kb": "Ray's log files of each job, actor and worker",
}
OF_RAY: Final = (*("gcs", "raylet", "dashboard", "agent"), "resident")  # the last has Ray's driver in it
_END: Final = "the end of the rounds"


class Slope(NamedTuple):
    """Growth a round, with its interval."""

    value: float
    lower: float
    upper: float


def slope_of(values: Floats, confidence: float) -> Slope:
    """Least squares over 0, 1, 2 ..., [T]; standard error of Newey and West (1987), Bartlett's weights.

    The number of lags is 4 (T/100)^(2/9) rounded down, and at least 1; the variance is scaled by T/(T-2).
    """
    n = len(values)
    x = np.arange(n) - (n - 1) / 2
    slope = float(x @ values / (x @ x))
    score = x * (values - values.mean() - slope * x)
    variance = float(score @ score)
    lags = max(1, int(4 * (n / 100) ** (2 / 9)))
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * float(score[lag:] @ score[:-lag])
    error = math.sqrt(max(variance, 0.0) * n / (n - 2)) / float(x @ x)
    half = t_critical(n - 2, 1 - confidence) * error
    return Slope(slope, slope - half, slope + half)


def judge(samples: list[dict[str, float]]) -> dict[str, Any]:
    """The slope of each measure after the warm-up, and whether it holds."""
    warm_up = max(2, len(samples) // 4)
    after = samples[warm_up:]
    confidence = 1 - (1 - CONFIDENCE) / len(samples[0])
    measures = {}
    for name in samples[0]:
        values = np.array([sample[name] for sample in after], float)
        slope, most = slope_of(values, confidence), MOST_A_ROUND[name.rpartition(" ")[2]]
        measures[name] = {
            "first": round(values[0], 2),
            "last": round(values[-1], 2),
            **{key: round(value, 4) for key, value in slope._asdict().items()},
            "holds_zero": slope.lower <= 0 <= slope.upper,
            "most": most,
            "by_design": BY_DESIGN.get(name),
            "met": name in BY_DESIGN or slope.lower <= 0 <= slope.upper or slope.upper < most,
        }
    return {
        "rounds": len(samples),
        "warm_up": warm_up,
        "confidence_each": round(confidence, 5),
        "measures": measures,
    }


def sample(places: dict[str, Path]) -> dict[str, float]:
    """What there is now in this namespace of processes; memory is what a process shares with no file or other one."""
    roles = dict.fromkeys(ROLES.values())
    found = {f"{role} {name}": 0.0 for role in roles for name in ("mb", "threads", "files")}
    count = 0
    for process in psutil.process_iter():
        try:
            line, memory = " ".join(process.cmdline()), process.memory_info()
            count += 1
            role = next((role for part, role in ROLES.items() if part in line), None)
            if role:
                for name, value in (
                    ("mb", (memory.rss - memory.shared) / 2**20),
                    ("threads", process.num_threads()),
                    ("files", process.num_fds()),
                ):
                    found[f"{role} {name}"] += value
        except psutil.NoSuchProcess:
            continue
    found["all processes"] = count
    found["all sockets"] = len(psutil.net_connections("all"))
    for name, place in places.items():
        inner = [other for other in places.values() if place in other.parents]  # counted by itself
        entries = [
            one
            for one in place.rglob("*")
            if not any(one == other or other in one.parents for other in inner)
        ]
        found[f"{name} entries"] = len(entries)
        sizes = (entry.lstat().st_size for entry in entries if entry.is_file() and not entry.is_symlink())
        found[f"{name} kb"] = sum(sizes) / 1024
    return found


class Soak:
    def __init__(self, work: Path, *, plain: bool) -> None:
        self.work, self.n, self.plain = work, 0, plain
        self.own = Path(tempfile.gettempdir())  # TMPDIR, which is nobody else's
        self.environment = {"GEMINI_API_KEY": "a-key"}  # workers have it from the head

    def config(self) -> str:
        """A new study's configuration."""
        self.n += 1
        file = self.work / f"study-{self.n}.yaml"
        write_config(file, self.work, f"{self.work}/out-{self.n}", f"http://127.0.0.1:{PORT}")
        return str(file)

    def start(self) -> None:
        """The server that bills, the head, and the process that lives all the time."""
        words = ["-m", "tests.fixtures.llm_server", "--port", str(PORT), "--model", "gemini-3.8-flash"]
        subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
        os.environ |= self.environment
        start_node(address_of(1), 4, dashboard=True)
        self.resident = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.soak", "--resident", *(["--plain"] if self.plain else [])],
            env={**os.environ, "RAY_ADDRESS": HEAD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.work / "resident.log").open("w"),
            text=True,
        )

    def round(self) -> None:
        """Three studies, each of which must end well; or two jobs of Ray Data, as many as a round has on the head."""
        submit = ["ray", "job", "submit", "--address", DASHBOARD, "--", sys.executable, "-m"]
        if self.plain:
            self._run([*submit, "benchmarks.soak", "--once"])
        else:
            self._run([sys.executable, "-m", "tikval.cli", "run", self.config()])
            self._run([*submit, "tikval.cli", "run", self.config()])
        assert self.resident.stdin is not None
        assert self.resident.stdout is not None
        self.resident.stdin.write(self.config() + "\n")
        self.resident.stdin.flush()
        answer = self.resident.stdout.readline()
        assert answer == "0\n", (answer, (self.work / "resident.log").read_text()[-2000:])
        for out in self.work.glob("out-*"):
            shutil.rmtree(out)

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def inside(work: Path, minutes: float, *, plain: bool) -> None:
    """Run in a namespace: rounds until the time is over, and a sample as a line of JSON after each."""
    write_videos(work, VIDEOS)
    soak = Soak(work, plain=plain)
    soak.start()
    places = {"temporary": soak.own, "ray_files": soak.own / "ray", "shared": Path("/dev/shm")}
    end, rounds = time.monotonic() + 60 * minutes, 0
    while time.monotonic() < end or rounds < FEWEST:
        begin = time.monotonic()
        soak.round()
        time.sleep(SETTLE_SECONDS)
        rounds += 1
        print(json.dumps(sample(places)), flush=True)
        print(f"round {rounds}: {time.monotonic() - begin:.0f} s", flush=True)
    print(_END, flush=True)


class _Stage:
    def __call__(self, batch: Any) -> Any:
        return batch


class _Waiting:
    def ping(self) -> int:
        return 0


def ray_data_alone() -> int:
    """Two stages of two actors each, as many rows and as many actors beside them as a study has."""
    import ray
    import ray.data

    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    waiting: list[Any] = [ray.remote(num_cpus=0)(_Waiting).remote() for _ in range(2)]
    for _ in range(2):
        rows = ray.data.from_items([{"id": n} for n in range(VIDEOS)], override_num_blocks=VIDEOS)
        pool = ray.data.ActorPoolStrategy(size=2)
        staged = rows.map_batches(_Stage, compute=pool, num_cpus=0.5, batch_size=1)
        staged.map_batches(lambda batch: batch).materialize()
    ray.get([one.ping.remote() for one in waiting])
    return 0


def resident_alone() -> None:
    """Live all the time, as `resident` does, without tikval."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for _ in sys.stdin:
        print(ray_data_alone(), file=answers, flush=True)


def resident() -> None:
    """Live all the time: run the study of each line, and answer with its exit code."""
    from tikval.cli.analyze import run_study
    from tikval.config import ReportConfig
    from tikval.store.recipes import load_job

    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(run_study(load_job(ReportConfig, line.strip(), []), None, None), file=answers, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--plain", action="store_true", help="jobs of Ray Data without tikval")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--resident", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    minutes = QUICK_MINUTES if args.quick else PLAIN_MINUTES if args.plain else MINUTES
    if args.once:
        return ray_data_alone()
    if args.resident:
        resident_alone() if args.plain else resident()
        return 0
    if args.inside:
        inside(args.inside, minutes, plain=args.plain)
        return 0
    words = [word for word, given in (("--quick", args.quick), ("--plain", args.plain)) if given]
    samples = run_inside(words)
    judged = judge(samples)
    known = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    figures: dict[str, Any] = {
        "machine": f"{cores()} cores, {platform.machine()}, no GPU, other work beside it",
        "command": " ".join(["python -m benchmarks.soak", *words]),
        "minutes": minutes,
    }
    measures = judged["measures"]
    if args.plain:
        kept = [name for name in measures if name.partition(" ")[0] in OF_RAY]
        figures["rounds"] = judged["rounds"]
        figures["slopes"] = {name: {each: measures[name][each] for each in Slope._fields} for name in kept}
        known["plain"] = figures
    else:
        figures |= {"studies": 3 * judged["rounds"], **judged, "plain": known.get("plain")}
        known = figures
    if "measures" in known and known.get("plain"):
        for name, plain in known["plain"]["slopes"].items():
            measure = known["measures"][name]
            measure["as_ray_data_alone"] = measure["lower"] <= plain["upper"]
            measure["met"] = measure["met"] or measure["as_ray_data_alone"]
        known["met"] = all(measure["met"] for measure in known["measures"].values())
    if not args.quick:
        RESULT.write_text(json.dumps(known, indent=2) + "\n")
    print(json.dumps(figures))
    return 0 if figures.get("met", True) else 1


def run_inside(words: Sequence[str]) -> list[dict[str, float]]:
    """The samples of a run in a namespace of its own."""
    command = [sys.executable, "-m", "benchmarks.soak", *words, "--inside"]
    with (
        tempfile.TemporaryDirectory(prefix="tikval-") as work,
        tempfile.TemporaryDirectory(prefix="s", dir="/tmp") as own,  # short: sockets lie in it
        Namespace() as namespace,
    ):
        namespace.check(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"])
        process = namespace.start([*command, work], env={"TMPDIR": own})
        samples, tail = list[dict[str, float]](), list[str]()
        for line in process.stdout or ():
            tail = [*tail[-30:], line]
            if line.strip() == _END:  # of the rounds; the head goes on, and has this output, too
                break
            if line.startswith("{"):
                samples.append(json.loads(line))
            elif line.startswith("round "):
                print(line, end="", file=sys.stderr, flush=True)
        assert process.wait() == 0, "".join(tail)
    return samples


if __name__ == "__main__":
    sys.exit(main())
