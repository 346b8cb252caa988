"""What those who hand batch jobs in and those who read them do alike: find a job again, or undo it."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final, NamedTuple

from tikval.llm.batch_gate import BatchGate
from tikval.llm.batch_jobs import BatchJob, JobFiles
from tikval.llm.gemini_batch import GeminiBatches
from tikval.llm.uploads import OURS, Uploads

_LOOKS: Final = 3  # for a job, before it is taken for not made
_DELETES: Final = 8  # at a time
_TRIES: Final = 3  # of each

log = logging.getLogger("tikval")


class BatchTools(NamedTuple):
    """What is needed for jobs, made where it is used."""

    client: GeminiBatches
    gate: BatchGate
    jobs: JobFiles
    uploads: Uploads

    def note(self, name: str, size_bytes: int, video_id: str | None) -> None:
        self.uploads.note(name, size_bytes=size_bytes, video_id=video_id)


def make_tools(out: str, make_client: Callable[[], Any], make_gate: Callable[[], BatchGate]) -> BatchTools:
    """Make them for the study in `out`, where they are used: a client does not travel."""
    return BatchTools(make_client(), make_gate(), JobFiles(out), Uploads(out))


async def find_or_drop(tools: BatchTools, job: BatchJob, poll_seconds: float) -> str | None:
    """The name of a job whose creation had no answer; None where there is none, nor will be: it is dropped then.

    Its requests are deleted before the last look: a job that comes to be after that finds nothing to run.
    Raises Fault where the server does not say.
    """
    remote = None
    for n in range(_LOOKS + 1):
        if n == _LOOKS:
            await tools.client.delete_file(job.input)
        elif n:
            await asyncio.sleep(n * poll_seconds / 10)
        if remote := await tools.client.find(job.display_name):
            await asyncio.to_thread(tools.jobs.put, replace(job, state="created", name=remote.name))
            return remote.name
    await drop_job(tools, job)
    return None


async def drop_job(tools: BatchTools, job: BatchJob) -> None:
    """Undo a job that was never made: it costs nothing, and its files go."""
    await delete_files(tools, job.files)
    await tools.gate.settle_job(job.call, 0, 0)
    await asyncio.to_thread(tools.jobs.drop, job)


async def delete_files(tools: BatchTools, names: Iterable[str]) -> None:
    """Delete uploaded files as far as the server lets us; the others stay on the list, for the next run."""
    at_once = asyncio.Semaphore(_DELETES)

    async def one(name: str) -> bool:
        async with at_once:
            for n in range(_TRIES):
                try:
                    await tools.client.delete_file(name)
                    break
                except Exception as err:  # the job itself is over
                    log.debug("%s was not deleted: %s", name, type(err).__name__)
                await asyncio.sleep(n)
            else:
                return False
            if name.startswith(f"files/{OURS}"):  # else a file of replies, named by the server
                await asyncio.to_thread(tools.uploads.forget, name)
            return True

    if left := (deleted := await asyncio.gather(*map(one, names))).count(False):
        log.warning("%d of %d uploaded files were not deleted; they expire in 48 h", left, len(deleted))
