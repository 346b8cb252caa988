"""What a person sees of long work: rows done and failed, rows per second, time left."""

import sys
import time
from collections import Counter
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

QUIET_SECONDS = 10.0  # between two lines where there is no terminal


class StageProgress:
    """One stage's progress: a bar on a terminal, a line every few seconds elsewhere."""

    def __init__(self, stage: str, total: int, before: int) -> None:
        self.stage, self.total, self.done = stage, total, 0
        self.failed: Counter[str] = Counter()
        self.console = Console(stderr=True)
        self.start = self.said = time.monotonic()
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
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()
        if not self.console.is_terminal and kind is None:
            print(f"{self.stage}: {self.done} of {self.total}{self._note()}", file=sys.stderr, flush=True)

    def advance(self, rows: int, failed: dict[str, int]) -> None:
        self.done += rows
        self.failed.update(failed)
        self.bar.update(self.task, completed=self.done, note=self._note().lstrip(", "))
        now = time.monotonic()
        if not self.console.is_terminal and self.done and now - self.said > QUIET_SECONDS:
            self.said = now
            rate = self.done / (now - self.start)
            left = (self.total - self.done) / rate
            print(
                f"{self.stage}: {self.done} of {self.total}{self._note()}, {rate:.2g} rows/s, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    def _note(self) -> str:
        return f", {self.failed.total()} failed" if self.failed else ""
