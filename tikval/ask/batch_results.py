"""What the driver does with batch jobs: wait for them, read their replies into the ledger, and settle them.

Each step may be killed and done again: a reply that is in the ledger is not written twice, a job is settled once, and
what is written down of it goes last.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from tikval.ask.batch_jobs import BatchTools, delete_files, drop_job, find_or_drop
from tikval.ask.call_costs import CallCosts
from tikval.config import Api
from tikval.llm.batch_jobs import BatchJob, BatchRow
from tikval.llm.client import Fault
from tikval.llm.gemini_batch import RemoteJob, ResultLine, parse_result
from tikval.llm.ledger import Entry, Ledger
from tikval.rows import Reason

_READS: Final = 3  # of a file of replies that is shorter than the server says
_AT_ONCE: Final = 32  # replies on their way into the ledger
_PATIENCE: Final = 10  # looks at a cancelled job before it is left to the next run

log = logging.getLogger("tikval")


@dataclass
class Results:
    """What the files of one job said."""

    paid: dict[str, float] = field(default_factory=dict)  # ledger key -> USD
    refused: dict[str, tuple[Reason, str]] = field(default_factory=dict)  # requests that came to an error
    strange: int = 0  # lines of nobody, and half lines


class BatchReader:
    """The jobs of one folder, from a driver that has its lock."""

    def __init__(
        self,
        tools: BatchTools,
        ledger: Ledger,
        costs: CallCosts,
        api: Api,
        folder: str,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`tell`: takes a line on how far they are."""
        self.tools, self.ledger, self.costs, self.api = tools, ledger, costs, api
        self.folder, self.tell = folder, tell
        self.begin = time.time()
        self.left: set[str] = set()  # jobs that are late, and wait for the next run
        self.cancelled: set[str] = set()
        self.refused: dict[str, tuple[str, str]] = {}  # ledger key -> reason and detail
        self.n_read = self.n_paid = 0  # rows, and those of them that have a reply
        self.told = ""

    async def read_all(self) -> None:
        """Return once every job has been read, or is late and left to the next run.

        Raises UserError for what no job can succeed with, such as a wrong key.
        """
        while jobs := [job for job in self.tools.jobs.of(self.folder) if job.id not in self.left]:
            self._tell(jobs)
            for job in jobs:
                try:
                    await self._advance(job)
                except Fault as fault:
                    log.info("batch job %s: %s", job.id, fault)
                    self._leave_if_late(job)
            if any(job.id not in self.left for job in self.tools.jobs.of(self.folder)):
                await asyncio.sleep(self.api.batch.poll_seconds)

    async def adopt(self) -> None:
        """Find or undo what a dead run was about to make, so that its rows can be handed in again."""
        await self._release_unmade()
        for job in self.tools.jobs.of(self.folder):
            try:
                await self._named(job)
            except Fault as fault:
                log.info("batch job %s: %s", job.id, fault)

    async def _release_unmade(self) -> None:
        """Reserves of jobs that died before they were written down, and so were never made."""
        known = {job.call for job in self.tools.jobs.of(self.folder)}
        for call in await self.tools.gate.open_jobs():
            if call not in known:
                await self.tools.gate.settle_job(call, 0, 0)

    async def _advance(self, job: BatchJob) -> None:
        """One step with one job. Raises Fault where the server does not answer."""
        job = await self._without_erased(job)
        name = await self._named(job)
        if name is None:
            return None
        job = replace(job, state="created", name=name)
        remote = await self.tools.client.look(name)
        if remote is None or (remote.ended and (remote.readable or self._late(job))):
            return await self._finish(job, remote)
        if self._late(job) and self._goes_online() and job.id not in self.cancelled:
            self.cancelled.add(job.id)
            await self.tools.client.cancel(name)
        return self._leave_if_late(job)

    async def _named(self, job: BatchJob) -> str | None:
        """The job's name on the server; None where it was never made, and is undone. Raises Fault."""
        if job.name is None and job.state == "uploading":
            await drop_job(self.tools, job)
        elif job.name is None:
            return await find_or_drop(self.tools, job, self.api.batch.poll_seconds)
        return job.name

    async def _without_erased(self, job: BatchJob) -> BatchJob:
        """Delete the uploads of videos that were erased since."""
        erased = [row.file for row in job.rows if row.video_id is None and row.file]
        if not erased:
            return job
        await delete_files(self.tools, erased)
        rows = tuple(replace(row, file=None) if row.video_id is None else row for row in job.rows)
        job = replace(job, rows=rows)
        await asyncio.to_thread(self.tools.jobs.put, job)
        return job

    def _goes_online(self) -> bool:
        return self.api.route == "online" or self.api.batch.late == "online"

    def _late(self, job: BatchJob) -> bool:
        return time.time() >= self._deadline(job)

    def _deadline(self, job: BatchJob) -> float:
        """When a job is late; at once where its rows shall go online now."""
        return self.begin if self.api.route == "online" else job.at + 3600 * self.api.batch.deadline_hours

    def _leave_if_late(self, job: BatchJob) -> None:
        """Leave a late job to the next run; one that is cancelled so that its rows can go online has a while to end."""
        patience = _PATIENCE * self.api.batch.poll_seconds if self._goes_online() else 0.0
        if time.time() >= max(self.begin, self._deadline(job)) + patience:
            self.left.add(job.id)

    async def _finish(self, job: BatchJob, remote: RemoteJob | None) -> None:
        """Read, settle and forget a job that has ended; `remote` None: the server has forgotten it already."""
        results = await self._read(job, remote)
        unread = [row for row in job.rows if row.key not in results.paid and row.key not in results.refused]
        # one that died here before may have read them, and deleted the file of replies
        missing = [row for row in unread if await asyncio.to_thread(self.ledger.get, row.key) is None]
        unknown = 0.0 if remote and remote.refused else unknown_usd(missing, remote, len(results.paid))
        if missing:
            ending = f"{remote.state} {remote.error or ''}".strip() if remote else "gone"
            log.warning("batch job %s (%s): no reply for %d rows", job.id, ending, len(missing))
            detail = f"its batch job ended without a reply for it: {ending}"
            results.refused |= {row.key: (Reason.SERVER_ERROR, detail) for row in missing}
        self.refused |= {key: (reason.value, detail) for key, (reason, detail) in results.refused.items()}
        self.n_read += len(job.rows)
        self.n_paid += len(results.paid)
        await self.tools.gate.settle_job(job.call, sum(results.paid.values()), unknown)
        served = [remote.results] if remote and remote.results else []
        await delete_files(self.tools, [*job.files, *served])
        await asyncio.to_thread(self.tools.jobs.drop, job)

    async def _read(self, job: BatchJob, remote: RemoteJob | None) -> Results:
        """Read the file of replies; again where it has fewer than the server counts. Raises Fault."""
        results, rows = Results(), {row.key: row for row in job.rows}
        if remote is None or remote.results is None:
            return results
        for n in range(_READS):
            if n:
                await asyncio.sleep(n * self.api.batch.poll_seconds / 10)
            results.strange = 0
            await self._read_once(remote.results, rows, results)
            if len(results.paid) >= (remote.succeeded or 0):
                break
        if results.strange:
            log.warning("batch job %s: %d lines of its results are of no row of its", job.id, results.strange)
        return results

    async def _read_once(self, file: str, rows: dict[str, BatchRow], results: Results) -> None:
        """Add the lines of a file: of several of one key the first reply counts, and an error only without a reply."""
        waiting: dict[str, ResultLine] = {}
        async for line in self.tools.client.result_lines(file):
            result = parse_result(line)
            if result is None or result.key not in rows:
                results.strange += bool(line.strip())
            elif result.error is not None:
                if result.key not in results.paid and result.key not in waiting:
                    results.refused.setdefault(result.key, result.error)
            elif result.key not in results.paid and result.key not in waiting:
                waiting[result.key] = result
                if len(waiting) == _AT_ONCE:
                    await self._keep(waiting, rows, results)
        await self._keep(waiting, rows, results)

    async def _keep(
        self, waiting: dict[str, ResultLine], rows: dict[str, BatchRow], results: Results
    ) -> None:
        """Write replies into the ledger, and put down what they cost."""
        costs = await asyncio.gather(*(self._kept(rows[key], line) for key, line in waiting.items()))
        for key, cost in zip(waiting, costs, strict=True):
            if cost is not None:
                results.paid[key] = cost
                results.refused.pop(key, None)
        waiting.clear()

    async def _kept(self, row: BatchRow, line: ResultLine) -> float | None:
        """What a row's reply cost; None where it cannot be read. An erased video's is not kept."""
        assert line.response is not None
        entry = await asyncio.to_thread(self.ledger.get, row.key)
        if entry is None:
            try:
                reply = await self.tools.client.reply_of(line.response)
            except Fault as fault:
                log.info("a result that is no reply: %s", fault)
                return None
            entry = Entry(row.video_id or "", reply, self.costs.cost_usd(reply, row.usd), _now(), row.key)
            if row.video_id is not None:
                await asyncio.to_thread(self.ledger.put, row.key, entry)
        return entry.cost_usd or 0.0

    def _tell(self, jobs: list[BatchJob]) -> None:
        n = sum(len(job.rows) for job in jobs)
        since, until = min(job.at for job in jobs), max(map(self._deadline, jobs))
        line = (
            f"batch: {self.n_read} rows read, {n} wait in {len(jobs)} jobs since {_clock(since)}; late after "
            f"{_clock(until)}"
        )
        if line != self.told:
            self.told = line
            self.tell(line)


def unknown_usd(missing: list[BatchRow], remote: RemoteJob | None, n_read: int) -> float:
    """What rows without a reply may have cost: of as many as the server says have succeeded, the dearest ones."""
    n = len(missing)
    if remote is not None and remote.succeeded is not None:
        n = min(n, max(0, remote.succeeded - n_read))
    return sum(sorted((row.usd for row in missing), reverse=True)[:n])


def _clock(when: float) -> str:
    return datetime.fromtimestamp(when).astimezone().strftime("%d %b %H:%M")


def _now() -> str:
    return datetime.now(UTC).isoformat()
