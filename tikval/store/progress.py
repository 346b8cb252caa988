"""What is seen of long work: rows done and failed, rows per second, time left; in the terminal and status.json."""

import sys
import time
from collections import Counter
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from tikval.store.status import FINISHED, RUNNING, STOPPED, Status, StatusWriter, driver_name, now
from tikval.terminal import Terminal, drawn

QUIET_SECONDS = 10.0  # between two lines where there is no terminal


class StageProgress:
    """One stage's progress: a bar on a terminal, a line every few seconds elsewhere, and its folder's status.json."""

    def __init__(self, stage: str, total: int, before: int, folder_uri: str) -> None:
        self.stage, self.total, self.before, self.done = stage, total, before, 0
        self.folder_uri, self.started_at = folder_uri, now()
        self.failed: Counter[str] = Counter()
        self.console = Terminal(stderr=True)
        self.start = self.printed_at = time.monotonic()
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task(f"{stage:<12}", total=total, note="starting")
        if not self.console.is_terminal:
            again = f", {before} done before" if before else ""
            print(f"{stage}: {total} to do{again}", file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        self.writer = StatusWriter(self.folder_uri, self.status)
        self.screen = drawn(self.bar)
        self.screen.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.screen.__exit__(kind, err, trace)
        self.writer.finish(FINISHED if kind is None else STOPPED)
        if not self.console.is_terminal and kind is None:
            print(f"{self.stage}: {self.done} of {self.total}{self._note()}", file=sys.stderr, flush=True)

    def advance(self, rows: int, failed: dict[str, int]) -> None:
        self.done += rows
        self.failed.update(failed)
        self.bar.update(self.task, completed=self.done, note=self._note().lstrip(", "))
        since = time.monotonic()
        if self.done and not self.console.is_terminal and since - self.printed_at > QUIET_SECONDS:
            self.printed_at = since
            status = self.status(RUNNING)
            left = "" if status.seconds_left is None else f", {status.seconds_left:.0f} s left"
            print(
                f"{self.stage}: {self.done} of {self.total}{self._note()}, {status.rows_per_second:.2g} rows/s{left}",
                file=sys.stderr,
                flush=True,
            )

    def status(self, state: str) -> Status:
        seconds = time.monotonic() - self.start
        rate = self.done / seconds if seconds > 0 else 0.0
        return Status(
            stage=self.stage,
            state=state,
            total=self.total,
            done=self.done,
            before=self.before,
            failed=dict(self.failed),
            rows_per_second=round(rate, 3),
            seconds_left=round((self.total - self.done) / rate, 1) if rate else None,
            started_at=self.started_at,
            updated_at=now(),
            driver=driver_name(),
        )

    def _note(self) -> str:
        return f", {self.failed.total()} failed" if self.failed else ""
