"""What is seen of an export that takes its time: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tikval.store.progress import QUIET_SECONDS
from tikval.terminal import Terminal, drawn


class ExportProgress:
    def __init__(self, file: str, total: int) -> None:
        self.total, self.done, self.printed_at = total, 0, time.monotonic()
        console = Terminal(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self.bar = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self.task = self.bar.add_task(f"writing {file}", total=total)

    def __enter__(self) -> Self:
        self.screen = drawn(self.bar)
        self.screen.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.screen.__exit__(kind, err, trace)

    def advance(self, lines: int) -> None:
        self.done += lines
        self.bar.update(self.task, completed=self.done)
        if self.bar.disable and time.monotonic() - self.printed_at > QUIET_SECONDS:
            self.printed_at = time.monotonic()
            print(f"export: {self.done} of {self.total} lines", file=sys.stderr, flush=True)
