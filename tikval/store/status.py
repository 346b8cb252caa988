"""`status.json`: how far a stage is, for `tikval status` and for anything else that watches a run's folder."""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

from tikval.config import UserError
from tikval.files import is_local, parse_json, read_bytes, write_bytes

RUNNING, FINISHED, STOPPED = "running", "finished", "stopped"
_SECONDS: Final = {True: 1.0, False: 10.0}  # between two writes, on a local disk and on a store
_AGAIN_SECONDS: Final = (0.5, 2.0)  # between tries of the last write
SILENT_SECONDS: Final = 60.0  # a running driver that says nothing for so long is dead


@dataclass(frozen=True)
class Status:
    stage: str
    state: str  # running, finished or stopped (by an error or by the user)
    total: int  # rows to do in this run
    done: int
    before: int  # rows that were done before it
    failed: dict[str, int]  # by reason, of `done`
    rows_per_second: float
    seconds_left: float | None
    started_at: str
    updated_at: str
    driver: str  # process and host

    @property
    def silent(self) -> bool:
        """Whether the driver must have died: it says it runs, but has not said so lately."""
        age = datetime.now(UTC) - datetime.fromisoformat(self.updated_at)
        return self.state == RUNNING and age.total_seconds() > SILENT_SECONDS


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def driver_name() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def read_status(folder_uri: str) -> Status | None:
    """How far a stage is; None where it has not begun. Raises UserError for a file that tikval did not write."""
    data = read_bytes(f"{folder_uri}/status.json")
    if data is None:
        return None
    try:
        return Status(**parse_json(data, f"{folder_uri}/status.json"))
    except TypeError as err:
        raise UserError(f"{folder_uri}/status.json: not what tikval wrote there ({err})") from err


class StatusWriter:
    """Writes what `current(RUNNING)` says every second (ten on a store) from a thread, so that silence means death.

    A status that a disk or store does not take is written the next time, and never ends the work that it speaks of.
    """

    def __init__(self, folder_uri: str, current: Callable[[str], Status]) -> None:
        self.uri = f"{folder_uri}/status.json"
        self.current = current
        self.every = _SECONDS[is_local(folder_uri)]
        self.stop, self.told = threading.Event(), False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            self._write(RUNNING)
            if self.stop.wait(self.every):
                return

    def finish(self, state: str) -> None:
        self.stop.set()
        self.thread.join()
        for wait in (
            *_AGAIN_SECONDS,
            None,
        ):  # the last word: without it a run that has ended would be taken for dead
            if self._write(state) or wait is None:
                return
            time.sleep(wait)

    def _write(self, state: str) -> bool:
        """Whether it was written; a fault is told once."""
        try:
            write_bytes(self.uri, json.dumps(asdict(self.current(state)), indent=2).encode())
        except Exception as err:
            if not self.told:
                print(
                    f"tikval: warning: {self.uri}: cannot be written ({err}); the run goes on",
                    file=sys.stderr,
                )
            self.told = True
            return False
        return True
