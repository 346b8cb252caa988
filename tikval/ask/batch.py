"""AskRow -> HandedInRow: requests that nobody has asked yet go to Gemini as batch jobs; their replies fill the ledger.

    a file of requests, its videos uploaded  ->  written down as "creating"  ->  created  ->  its name written down

Whatever dies in between, what was begun is written down: a job whose creation had no answer is looked for on the
server by its name, and nothing is handed in again before it is certain that it is not there.
"""

import asyncio
import json
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple, TypedDict

from tikval.ask.batch_jobs import BatchTools, drop_job, find_or_drop
from tikval.ask.call_costs import CallCosts
from tikval.ask.pending import pending_calls
from tikval.ask.questions import question_of, to_send_of
from tikval.ask.samples import Samples, seed_of
from tikval.config import Api, Gemini
from tikval.llm.batch_jobs import BatchJob, BatchRow, new_job_id
from tikval.llm.client import Fault, Question
from tikval.llm.faults import backoff_seconds
from tikval.llm.ledger import Ledger
from tikval.llm.uploads import OURS
from tikval.machine import ScratchFolder
from tikval.media.fetch import OpenVideo
from tikval.media.reading import MAX_PICTURES_BYTES, ClipError, StrippedPost
from tikval.rows import AskRow, Reason

_OPENING: Final = 4  # videos at a time
_PICTURE_BYTES: Final = 400_000  # of a photo post's picture, as it is drawn anew
_SOUND_BYTES: Final = 20_000  # of a second of its sound
_LOOK_UPS: Final = 32  # in the ledger, at a time
_ADDRESS: Final = "x" * 200  # longer than that of any uploaded file
REFUSED: Final = {Reason.RATE_LIMITED, Reason.REJECTED, Reason.TOO_MANY_TOKENS}  # then there is no job

log = logging.getLogger("tikval")


class HandedInRow(TypedDict):
    """What became of one row on its way into a job."""

    row_key: str
    ledger_key: str | None  # of a call that came into no job
    error: str | None  # why that is so
    detail: str | None


class Request(NamedTuple):
    """One call on its way into a job."""

    row: Any  # with its sample
    key: str
    usd: float  # at most
    n_bytes: int  # of its line


def split_requests(requests: Sequence[Request], most_rows: int, most_bytes: float) -> Iterator[list[Request]]:
    """Cut requests into jobs within both limits; one that is larger than a file may be goes alone."""
    part: list[Request] = []
    size = 0
    for request in requests:
        if part and (len(part) == most_rows or size + request.n_bytes > most_bytes):
            yield part
            part, size = [], 0
        part.append(request)
        size += request.n_bytes
    if part:
        yield part


class SubmitBatch:
    """The stage that hands in. Each of its calls makes as many jobs as its rows need, one after another."""

    def __init__(
        self,
        llm: Gemini,
        api: Api,
        asked: dict[str, Any],
        folder: str,
        make_tools: Callable[[], BatchTools],
        ledger: Ledger,
        costs: CallCosts,
        open_video: OpenVideo,
        samples: Samples | None = None,
    ) -> None:
        """`asked`: what determines every reply, the row apart. `folder`: the name of the one that the rows are for."""
        self.llm, self.api, self.asked, self.folder = llm, api, asked, folder
        self.make_tools, self.ledger, self.costs, self.open_video = make_tools, ledger, costs, open_video
        self.samples = samples
        self.opening = ThreadPoolExecutor(_OPENING, "tikval-videos")
        self.dice = random.Random()  # noqa: S311  (jitter)
        self.known: set[str] | None = None  # keys in jobs that were there before

    def __call__(self, rows: list[Any]) -> list[HandedInRow]:
        return asyncio.run(self._all(rows))

    def failure(self, row: Any, reason: Reason, detail: str | None) -> HandedInRow:
        return {**_handed_in(row), "error": reason.value, "detail": detail}

    async def _all(self, rows: list[AskRow]) -> list[HandedInRow]:
        tools = self.make_tools()
        try:
            if self.known is None:
                self.known = await asyncio.to_thread(tools.jobs.keys)
            done = {row["row_key"]: _handed_in(row) for row in rows}
            requests = await self._requests(tools, rows, done)
            limits = self.api.batch
            for part in split_requests(requests, limits.rows, limits.mb * 2**20):
                await self._hand_in(tools, part, done)
            return list(done.values())
        except Exception:
            self.known = None  # its rows may be tried again, and some of them are in a job by now
            raise
        finally:
            await tools.client.close()

    async def _requests(
        self, tools: BatchTools, rows: list[AskRow], done: dict[str, HandedInRow]
    ) -> list[Request]:
        """Those of the rows that have no reply, are in no job, and are the first of their content."""
        assert self.known is not None
        asked = [row for row in rows if row["error"] is None and row["prompt"] is not None]
        at_once = asyncio.Semaphore(_LOOK_UPS)

        async def look(row: AskRow) -> list[tuple[str, Any]]:
            async with at_once:
                return await asyncio.to_thread(pending_calls, self.ledger, self.asked, row, self.samples)

        calls = [call for found in await asyncio.gather(*map(look, asked)) for call in found]
        calls = [(key, row) for key, row in calls if key not in self.known]
        first = await tools.gate.claim([key for key, _ in calls], [row["row_key"] for _, row in calls])
        frame = len(await tools.client.request_line("0" * 32, Question(""), _ADDRESS, "video/quicktime"))
        return [
            Request(
                row,
                key,
                self.costs.most_usd(row),
                frame + len(json.dumps(row["prompt"])) + _inline_bytes(row),
            )
            for (key, row), mine in zip(calls, first, strict=True)
            if mine
        ]

    async def _hand_in(self, tools: BatchTools, part: list[Request], done: dict[str, HandedInRow]) -> None:
        """Make one job of some requests; what becomes of each is put down in `done`.

        A job that ends in an exception stays written down, for the driver to look for it and to undo it.
        """
        job_id = new_job_id()
        n = await tools.gate.admit_some(f"batch-{job_id}", [request.usd for request in part])
        for request in part[n:]:
            message = f"might cost {request.usd:.4f} USD, more than is left; raise budget_usd and run the same command"
            _turn_away(done, request, Reason.OVER_BUDGET, message)
        part = part[:n]
        if not part:
            return
        rows = tuple(
            BatchRow(
                request.key,
                request.row["video_id"],
                request.usd,
                f"files/{OURS}{job_id}-{k}" if request.row["video"] else None,
            )
            for k, request in enumerate(part)
        )
        job = BatchJob(job_id, self.folder, self.llm.model, rows)
        await asyncio.to_thread(tools.jobs.put, job)
        try:
            left, job = await self._uploaded(tools, job, part, done)
            if not left:
                await drop_job(tools, job)
            elif await self._created(tools, job) is None:
                for request in left:
                    _turn_away(done, request, Reason.SERVER_ERROR, "the batch job was not made")
        except Fault as fault:
            log.warning("a batch job of %d rows was not made: %s", len(part), fault.detail)
            # what is wrong with a job is final for no row of it, and a quota that is used up is not tried again soon
            passes = not fault.reason.terminal and fault.trouble != "spent"
            for request in part:
                _turn_away(done, request, fault.reason if passes else Reason.NOT_ASKED, fault.detail)

    async def _created(self, tools: BatchTools, job: BatchJob) -> str | None:
        """The job's name on the server; None where it is certain that there is none, and it is dropped.

        Raises Fault: where the server refused it, it is dropped; else nobody knows, and it stays written down.
        """
        for n in range(1, self.api.tries + 1):
            try:
                name = (await tools.client.create(job.input, job.display_name)).name
            except Fault as fault:
                if fault.reason not in REFUSED:
                    return await find_or_drop(tools, job, self.api.batch.poll_seconds)
                wait = fault.after_seconds or 0
                again = fault.trouble == "busy" and wait <= self.api.longest_wait_seconds
                if not again or n == self.api.tries:
                    await drop_job(tools, job)
                    raise
                await asyncio.sleep(wait + backoff_seconds(n, self.dice))
            else:
                await asyncio.to_thread(tools.jobs.put, replace(job, state="created", name=name))
                return name
        raise AssertionError

    async def _uploaded(
        self, tools: BatchTools, job: BatchJob, part: list[Request], done: dict[str, HandedInRow]
    ) -> tuple[list[Request], BatchJob]:
        """Upload the videos, then the requests; rows whose video cannot be sent are left out."""
        at_once = asyncio.Semaphore(self.api.in_flight)

        async def sent(request: Request, row: BatchRow) -> bytes | None:
            async with at_once:
                try:
                    return await self._line(tools, request, row)
                except Fault as fault:
                    _turn_away(done, request, fault.reason, fault.detail)
                    return None

        lines = await asyncio.gather(*map(sent, part, job.rows))
        left = [
            (request, row, line) for request, row, line in zip(part, job.rows, lines, strict=True) if line
        ]
        if not left:
            return [], job
        job = replace(job, rows=tuple(row for _, row, _ in left))
        with ScratchFolder() as scratch:
            place = Path(scratch.path) / "requests.jsonl"
            place.write_bytes(b"".join(line for _, _, line in left))
            await self._sent(tools, job.input, place, "jsonl", None)
        job = replace(job, state="creating")
        await asyncio.to_thread(tools.jobs.put, job)
        return [request for request, _, _ in left], job

    async def _line(self, tools: BatchTools, request: Request, row: BatchRow) -> bytes:
        """The line of a request, once its video is ready on the server. Raises Fault."""
        seed = seed_of(self.asked, request.row)
        video = to_send_of(request.row)
        if video is None:
            return await tools.client.request_line(row.key, question_of(request.row, None, seed))
        with ExitStack() as held:
            content_sha = json.loads(request.row["carried"]).get("content_sha")
            to_send = self.open_video(video, content_sha)
            loop = asyncio.get_running_loop()
            try:
                sent = await loop.run_in_executor(self.opening, held.enter_context, to_send)
            except ClipError as err:
                raise Fault(err.reason, err.detail, retryable=False, billed="no") from err
            if isinstance(sent, StrippedPost):  # inside its line
                return await tools.client.request_line(row.key, question_of(request.row, sent, seed))
            uri, mime = await self._sent(tools, str(row.file), Path(sent), None, row.video_id)
        return await tools.client.request_line(row.key, question_of(request.row, None, seed), uri, mime)

    async def _sent(
        self, tools: BatchTools, name: str, place: Path, mime: str | None, video_id: str | None
    ) -> tuple[str, str]:
        """Address and type of an uploaded file. Raises Fault once no try is left."""
        await asyncio.to_thread(tools.note, name, place.stat().st_size, video_id)
        for n in range(1, self.api.tries + 1):
            try:
                return await tools.client.upload(name, place, mime)
            except Fault as fault:
                if not fault.retryable or n == self.api.tries:
                    raise
                log.info("upload %d failed (%s): %s", n, fault.reason, fault.detail)
                await asyncio.sleep(backoff_seconds(n, self.dice))
                with suppress(Fault):  # its name may be taken by what had arrived of it
                    await tools.client.delete_file(name)
        raise AssertionError


def _inline_bytes(row: Any) -> int:
    """About how many bytes of a line a photo post makes, in base64; of how many a line has room for, a tenth."""
    if not row["files"]:
        return 0
    n_pictures, n_sound = len(row["files"]), _SOUND_BYTES * int(row["seconds"] or 0)
    return 4 * (min(MAX_PICTURES_BYTES, _PICTURE_BYTES * n_pictures) + n_sound) // 3


def _handed_in(row: Any) -> HandedInRow:
    return {"row_key": row["row_key"], "ledger_key": None, "error": None, "detail": None}


def _turn_away(done: dict[str, HandedInRow], request: Request, reason: Reason, detail: str) -> None:
    done[request.row["row_key"]] |= {"ledger_key": request.key, "error": reason.value, "detail": detail}
