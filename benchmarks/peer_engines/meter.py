"""What a command and all processes below it cost: CPU seconds and peak memory; and their end, all at once. Linux.

This process adopts what a killed driver leaves behind (PR_SET_CHILD_SUBREAPER), so that daemons are counted and killed
too. CPU time is looked at ten times a second, and once more of stopped processes before a kill: what is missing is at
most the last tenth of a second of each process that ends by itself.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_SUBREAPER: Final = 36
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS, _MEMORY_LOOKS = 0.1, 5  # memory at every fifth look: it costs more


class Metered:
    """One started command."""

    def __init__(self, command: list[str], log: str, environment: dict[str, str]) -> None:
        ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)
        self.peak_mb = 0.0
        self._cpu: dict[tuple[int, str], float] = {}  # seconds of each process, by its pid and start
        self._stop = threading.Event()
        with Path(log).open("ab") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, env=environment, start_new_session=True
            )
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def cpu_seconds(self) -> float:
        return sum(self._cpu.values())

    def wait(self, done: Callable[[], bool], seconds: float) -> str:
        """Wait until it "ended" or `done`, or else it is "late"; what is left of it afterwards is killed."""
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                if self.process.poll() is not None:
                    return "ended"
                if done():
                    return "done"
                time.sleep(0.1)
            return "late"
        finally:
            self._kill()

    def _watch(self) -> None:
        looks = 0
        while not self._stop.wait(_LOOK_SECONDS):
            below = self._look()
            if looks % _MEMORY_LOOKS == 0:
                self.peak_mb = max(self.peak_mb, sum(map(_proportional_mb, below)))
            looks += 1

    def _look(self) -> list[int]:
        """Note the CPU time of every process below this one, and return their pids."""
        found = _processes()
        below, todo = list[int](), [os.getpid()]
        children: dict[int, list[int]] = {}
        for pid, (parent, *_) in found.items():
            children.setdefault(parent, []).append(pid)
        while todo:
            more = children.get(todo.pop(), [])
            below += more
            todo += more
        for pid in below:
            _, began, seconds, _ = found[pid]
            self._cpu[pid, began] = seconds
        return below

    def _kill(self) -> None:
        self._stop.set()
        self._thread.join()
        stopped: set[int] = set()
        while more := {pid for pid in self._look() if pid not in stopped}:
            for pid in more:
                _signal(pid, signal.SIGSTOP)
            stopped |= more
        for pid in stopped:
            _signal(pid, signal.SIGKILL)
        self.process.wait()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:  # those that were adopted
            try:
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    time.sleep(0.02)
            except ChildProcessError:
                return


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _processes() -> dict[int, tuple[int, str, float, str]]:
    """pid -> parent, start, CPU seconds, state, of all processes."""
    found: dict[int, tuple[int, str, float, str]] = {}
    with os.scandir("/proc") as entries:
        names = [entry.name for entry in entries]
    for name in names:
        if name.isdigit():
            with contextlib.suppress(OSError):
                fields = _text(f"/proc/{name}/stat").rpartition(")")[2].split()
                seconds = (int(fields[11]) + int(fields[12])) / _TICKS
                found[int(name)] = int(fields[1]), fields[19], seconds, fields[0]
    return found


def _proportional_mb(pid: int) -> float:
    """Its resident memory, of what it shares with others its part."""
    with contextlib.suppress(OSError):
        for line in _text(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1e3
    return 0.0


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")


def figures(runs: list[Metered]) -> dict[str, Any]:
    """Of all starts of one command together."""
    return {
        "cpu_seconds": round(sum(run.cpu_seconds for run in runs), 1),
        "peak_mb": round(max(run.peak_mb for run in runs)),
    }
