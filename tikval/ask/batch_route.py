"""A job by way of batch jobs: hand in, wait, read, and again while that leads on."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from tikval.ask.batch import SubmitBatch
from tikval.ask.batch_jobs import BatchTools
from tikval.ask.batch_results import BatchReader
from tikval.ask.call_costs import CallCosts
from tikval.ask.pending import LateRows
from tikval.ask.samples import Samples
from tikval.config import Api, Gemini
from tikval.llm.batch_jobs import JobFiles
from tikval.llm.ledger import Ledger
from tikval.llm.prices import Prices
from tikval.media.fetch import OpenVideo
from tikval.rows import Reason

_PASSING: Final = {Reason.RATE_LIMITED, Reason.SERVER_ERROR, Reason.TIMEOUT}
_PASSES: Final = 3  # in a row that lead to nothing


class BatchRoute:
    """One folder's way through batch jobs, on its driver; afterwards it knows which rows must not be asked online."""

    def __init__(
        self,
        llm: Gemini,
        api: Api,
        asked: dict[str, Any],
        folder: str,
        make_tools: Callable[[], BatchTools],
        ledger: Ledger,
        prices: Prices | None,
        open_video: OpenVideo,
        samples: Samples | None = None,
        system: str | None = None,
    ) -> None:
        """The arguments are those of PaidAnswers; `folder`: that of the rows."""
        self.llm, self.api, self.asked, self.samples = llm, api, asked, samples
        out, _, self.folder = folder.rpartition("/")
        self.jobs, self.make_tools, self.ledger = JobFiles(out), make_tools, ledger
        self.costs = CallCosts(llm, api, prices, system, batch=True)
        self.open_video = open_video
        self.why: dict[str, tuple[str, str]] = {}  # ledger key -> why there is no reply
        self.in_no_job: dict[str, tuple[str, str]] = {}  # likewise, of calls that came into no job
        self.in_jobs: set[str] = set()

    def submit(self) -> SubmitBatch:
        """The stage that hands in."""
        given = self.make_tools, self.ledger, self.costs, self.open_video, self.samples
        return SubmitBatch(self.llm, self.api, self.asked, self.folder, *given)

    def waits(self) -> bool:
        """Whether there are jobs that an earlier run handed in."""
        return bool(self.jobs.of(self.folder))

    def run(self, hand_in: Callable[[], Iterable[Any]]) -> None:
        """`hand_in`: a pass of SubmitBatch over all rows to do. Raises UserError."""
        batch, idle = self.api.route == "batch", 0
        if batch or self.waits():
            asyncio.run(self._with_reader(BatchReader.adopt))
        while batch or self.waits():
            turned_away = self._handed_in(hand_in()) if batch else set[str]()
            reader = asyncio.run(self._with_reader(BatchReader.read_all))
            self.why |= reader.refused
            n_paid, n_left = reader.n_paid, len(reader.left)
            idle = 0 if n_paid else idle + 1
            # more may fit once others are read; what was busy may be so no longer
            again = turned_away & (_PASSING | ({Reason.OVER_BUDGET, Reason.NOT_ASKED} if n_paid else set()))
            if not again or n_left or idle == _PASSES:
                break
        self.in_jobs = self.jobs.keys()

    def hold_late(self) -> LateRows:
        """The stage in front of those that pay."""
        stay = self.api.route == "batch" and self.api.batch.late == "stay"
        return LateRows(
            self.asked,
            self.ledger,
            self.samples,
            in_jobs=self.in_jobs,
            in_no_job=self.in_no_job,
            stay=stay,
            why=self.why,
        )

    def _handed_in(self, rows: Iterable[Any]) -> set[str]:
        """Why rows came into no job."""
        _tell("batch: what has no reply yet is uploaded and handed in")
        reasons = set()
        self.in_no_job.clear()  # all rows to do are handed in once more
        for row in rows:
            if row["error"] is not None:
                reasons.add(row["error"])
                if row["ledger_key"] is not None:
                    self.in_no_job[row["ledger_key"]] = row["error"], row["detail"]
        return reasons

    async def _with_reader(self, work: Callable[[BatchReader], Awaitable[None]]) -> BatchReader:
        tools = self.make_tools()
        try:
            reader = BatchReader(tools, self.ledger, self.costs, self.api, self.folder, _tell)
            await work(reader)
        finally:
            await tools.client.close()
        return reader


def _tell(line: str) -> None:
    print(f"tikval: {line}", file=sys.stderr, flush=True)
