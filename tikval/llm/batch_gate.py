"""A gate that batch jobs pass too: one reserve for all rows of a job, which outlives the driver that handed it in."""

from collections.abc import Sequence
from typing import Any, Protocol

from tikval.llm.gate import FolderGate


class BatchGate(Protocol):
    """What those who hand batch jobs in and read them see of it."""

    async def admit_some(self, call: str, usd: Sequence[float]) -> int:
        """Reserve the most that a job's first rows can cost, as many of them as the budget allows; how many these are.

        Durable on return.
        """
        ...

    async def settle_job(self, call: str, usd: float, unknown_usd: float) -> None:
        """What a job has cost, and what it may have cost besides. Durable on return; a second time does nothing."""
        ...

    async def open_jobs(self) -> list[str]:
        """Jobs with a reserve."""
        ...

    async def claim(self, keys: Sequence[str], rows: Sequence[str]) -> list[bool]:
        """Which rows may ask for their ledger key: the first of each, also when it comes again."""
        ...


class BatchFolderGate(FolderGate):
    """The BatchGate of a folder, and the Gate of its calls."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.claimed: dict[str, str] = {}  # ledger key -> row

    async def admit_some(self, call: str, usd: Sequence[float]) -> int:
        async with self.changed:
            n, most = 0, 0.0
            while n < len(usd) and not self.stop and self._fits(more := most + usd[n] * self.dearest):
                n, most = n + 1, more
            if n:
                self.jobs[call] = most
                self.spent.calls += n
        if n:
            await self._write()
        return n

    async def settle_job(self, call: str, usd: float, unknown_usd: float) -> None:
        async with self.changed:
            if self.jobs.pop(call, None) is not None:
                self._count(usd, known=True)
                self._count(unknown_usd, known=False)
            self.changed.notify_all()
        await self._write()

    async def open_jobs(self) -> list[str]:
        return list(self.jobs)

    async def claim(self, keys: Sequence[str], rows: Sequence[str]) -> list[bool]:
        return [self.claimed.setdefault(key, row) == row for key, row in zip(keys, rows, strict=True)]
