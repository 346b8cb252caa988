"""One seed, in a namespace of its own: nodes, servers, the command, its faults, and the command again until it is done.

    python -m tests.chaos.inside SEED FOLDER SECONDS    (tests.chaos.__main__ makes the namespace)

FOLDER has the videos and, after seed 0, calm.json: the undisturbed tables. SECONDS: of a SIGSTOP, of a full disk and of
a store in trouble. The last line of the output is the outcome as JSON.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import psutil
import pyarrow.fs as pafs

from tests.chaos.cluster import Cluster
from tests.chaos.outcome import LATENCY, Met, Outcome, bound_of
from tests.chaos.plan import LATE, STORE, Fault, Plan, draw
from tests.chaos.study import ROWS, Results, differences, write_config
from tests.fixtures.namespace import HEAD

DISK_MB: Final = 64
MODEL_PORT, TRUE_PORT, FAULTY_PORT = 7001, 7002, 7003
MOST_STARTS: Final = 6  # of the command
TRACEBACK: Final = "Traceback (most recent call last)"
HELD: Final = re.compile(r"if that run is dead, this command works in (\d+) s")


class Run:
    def __init__(self, plan: Plan, folder: Path, seconds: float) -> None:
        self.plan, self.folder, self.fault_seconds = plan, folder, seconds
        self.chance = random.Random(f"victims {plan.seed}")
        self.cluster = Cluster(self.chance)
        self.own = folder / f"seed-{plan.seed}"
        self.own.mkdir()
        self.outcome = Outcome(plan.seed, plan.place)
        self.undo: list[tuple[float, Callable[[], None]]] = []  # when, and what ends a fault
        self.log = self.own / "driver.log"

    def start_servers(self) -> None:
        """The server that bills, and the disk or the store for the results."""
        words = ["--port", str(MODEL_PORT), "--journal", str(self.own / "journal.jsonl")]
        words += ["--latency", str(LATENCY), "--model", "gemini-3.8-flash"]
        _begin("tests.fixtures.llm_server", *words)
        out, environment = f"{self.own}/out", {"GEMINI_API_KEY": "a-key", "RAY_ADDRESS": HEAD}
        if self.plan.place == "disk":
            Path(out).mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", out], check=True)
            self.results = Results(pafs.LocalFileSystem(), out)
        else:
            _begin("tests.chaos.store", str(TRUE_PORT), str(FAULTY_PORT))
            _wait_for(f"http://127.0.0.1:{FAULTY_PORT}/faults")
            true = f"http://127.0.0.1:{TRUE_PORT}"
            keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
            keys |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
            os.environ |= keys  # workers are started by the nodes, which are started from here
            store = pafs.S3FileSystem(endpoint_override=true, allow_bucket_creation=True)
            store.create_dir("chaos")
            environment["AWS_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL"] = (
                f"http://127.0.0.1:{FAULTY_PORT}"
            )
            out, self.results = "s3://chaos/out", Results(store, "chaos/out")
        os.environ |= environment
        write_config(self.own / "report.yaml", self.folder, out, f"http://127.0.0.1:{MODEL_PORT}")

    def command(self) -> psutil.Popen:
        """The command that a user types, once more."""
        self.outcome.starts += 1
        self.log_begins = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            words = [sys.executable, "-m", "tikval.cli", "run", str(self.own / "report.yaml")]
            return psutil.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def until_done(self) -> None:
        """The command, its faults when their rows are there, and the command again after each end but a good one."""
        left = list(self.plan.faults)
        self.cluster.start([1, 2] if any(fault.kind == LATE for fault in left) else [1, 2, 3])
        begin = time.monotonic()
        driver = self.command()
        while True:
            for when, end in [each for each in self.undo if each[0] <= time.monotonic()]:
                self.undo.remove((when, end))
                end()
            if left and self._came(left[0], driver):
                left.pop(0)
            code = driver.poll()
            if code == 0:
                break
            if code is not None:
                self._ended(code)
                driver = self.command()
            time.sleep(0.05)
        self.outcome.exits.append(0)
        self.outcome.missed += [str(fault) for fault in left]
        self.outcome.seconds = round(time.monotonic() - begin, 1)

    def _came(self, fault: Fault, driver: psutil.Popen) -> bool:
        """Let a fault happen where its rows are there and others are left; whether it is over and done with."""
        done = self.results.rows(fault.stage)
        if self.results.finished(fault.stage):
            self.outcome.missed.append(str(fault))
            return True
        if not max(1, fault.share * ROWS) <= done < ROWS:
            return False
        met = Met(str(fault), done, time.time())
        try:
            self._do(fault.kind, driver, met)
        except (LookupError, StopIteration, psutil.NoSuchProcess):  # nobody there to be hit yet
            return False
        self.outcome.faults.append(met)
        return True

    def _do(self, kind: str, driver: psutil.Popen, met: Met) -> None:
        if kind == LATE:
            self.cluster.start([3])
            met.end = time.time()
        elif kind == "disk_full":
            self._until_later(_fill(Path(self.results.path)), met)
        elif kind in STORE:
            _ask_faulty(kind)
            self._until_later(lambda: _ask_faulty(""), met)
        else:
            victims, sent = self.cluster.victims(kind, driver)
            for process in victims:
                process.send_signal(sent)
            if sent == signal.SIGSTOP:
                self._until_later(lambda: _continue(victims), met)
            else:
                met.end = time.time()

    def _until_later(self, end: Callable[[], None], met: Met) -> None:
        def over() -> None:
            end()
            met.end = time.time()

        self.undo.append((time.monotonic() + self.fault_seconds, over))

    def _ended(self, code: int) -> None:
        """The command is over before the study is: what it said, and what a user then does."""
        self.outcome.exits.append(code)
        message = self.log.read_text(errors="replace")[self.log_begins :]
        if code != -signal.SIGKILL:
            lines = [line for line in message.splitlines() if line.startswith("tikval: ")]
            self.outcome.messages += lines[-1:]
            if TRACEBACK in message or not lines:
                self.outcome.unclear.append(" / ".join(message.splitlines()[-3:])[-600:])
        if self.outcome.starts >= MOST_STARTS:
            raise TimeoutError(f"not done after {MOST_STARTS} starts: {message[-800:]}")
        if found := HELD.search(message):  # by a driver that is dead: the message says how long
            time.sleep(int(found[1]))
        for _, end in self.undo:  # the user mends what is broken
            end()
        self.undo.clear()
        if not any(each.info["name"] == "gcs_server" for each in psutil.process_iter(["name"])):
            self.cluster.restart()

    def judge(self) -> None:
        """Compare tables and count the bill."""
        got = self.results.tables()
        calm = self.folder / "calm.json"
        if self.plan.seed == 0:
            calm.write_text(json.dumps(got))
        self.outcome.different = differences(got, json.loads(calm.read_text()))[:8]
        lines = map(json.loads, (self.own / "journal.jsonl").read_text().splitlines())
        paid = [line["time"] for line in lines if line["kind"] == "generate" and line["billed_usd"] > 0]
        self.outcome.paid = len(paid)
        self.outcome.bound = bound_of(ROWS, self.outcome.faults, paid)


def _begin(module: str, *words: str) -> None:
    subprocess.Popen(
        [sys.executable, "-m", module, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _wait_for(url: str) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(urllib.request.Request(url, data=b"", method="POST")).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


def _ask_faulty(kind: str) -> None:
    url = f"http://127.0.0.1:{FAULTY_PORT}/faults"
    urllib.request.urlopen(urllib.request.Request(url, data=kind.encode(), method="POST")).close()


def _fill(folder: Path) -> Callable[[], None]:
    """Take all that is left of a disk; what is returned gives it back."""
    full = folder / ".taken"
    with full.open("wb", buffering=0) as file:
        size = 2**20
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
    return full.unlink


def _continue(victims: list[psutil.Process]) -> None:
    for process in victims:
        if process.is_running():
            process.send_signal(signal.SIGCONT)


def main() -> None:
    seed, folder, seconds = int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    run = Run(draw(seed), folder, seconds)
    try:
        run.start_servers()
        run.until_done()
        run.judge()
    except Exception as err:
        run.outcome.error = f"{type(err).__name__}: {err}"
    outcome: dict[str, Any] = {**asdict(run.outcome), "holds": run.outcome.holds}
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
