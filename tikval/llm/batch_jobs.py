"""Batch jobs that are handed in and not read yet: one object each, so that whoever comes after a death goes on.

    <out>/batches/5f0c...json    uploading -> creating -> created -> read, and then gone

An object is written before what it speaks of happens, so that nothing on the server is unknown here. It holds keys,
ids and names of files on the server: no prompt, no caption and no reply.
"""

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Final, Literal

from tikval.files import delete, list_files, parse_json, read_bytes, write_bytes
from tikval.llm.uploads import OURS

_SUFFIX: Final = ".json"


def _now() -> float:
    return time.time()


@dataclass(frozen=True)
class BatchRow:
    """One request of a job."""

    key: str  # of the ledger
    video_id: str | None  # None: erased since; its reply is not kept
    usd: float  # that it can cost at most, at the price of a batch
    file: str | None  # its video on the server


@dataclass(frozen=True)
class BatchJob:
    id: str
    folder: str  # the name of the folder whose driver handed it in, and reads it
    model: str
    rows: tuple[BatchRow, ...]
    state: Literal["uploading", "creating", "created"] = "uploading"
    name: str | None = None  # on the server, once created
    at: float = field(default_factory=_now)  # of its making, seconds since the epoch

    @property
    def call(self) -> str:
        """Its name at the gate."""
        return f"batch-{self.id}"

    @property
    def display_name(self) -> str:
        """The name that it is found by on the server, where the answer to its creation was lost."""
        return f"{OURS}{self.id}"

    @property
    def input(self) -> str:
        """The file of its requests on the server."""
        return f"files/{OURS}{self.id}"

    @property
    def files(self) -> list[str]:
        """All that it has uploaded; its requests first, without which it cannot run."""
        return [self.input, *(row.file for row in self.rows if row.file)]

    def without(self, video_ids: set[str]) -> "BatchJob":
        """The job with the rows of erased videos marked as such."""
        rows = (replace(row, video_id=None) if row.video_id in video_ids else row for row in self.rows)
        return replace(self, rows=tuple(rows))


def new_job_id() -> str:
    return secrets.token_hex(8)


class JobFiles:
    """The jobs of a study that are not read yet, whoever handed them in."""

    def __init__(self, out: str) -> None:
        """`out`: the folder of the study, local or an object-store URI."""
        self.uri = f"{out.rstrip('/')}/batches"

    def put(self, job: BatchJob) -> None:
        """Durable on return."""
        write_bytes(self._place(job.id), json.dumps(asdict(job)).encode())

    def drop(self, job: BatchJob) -> None:
        delete(self._place(job.id))

    def get(self, job_id: str) -> BatchJob | None:
        place = self._place(job_id)
        data = read_bytes(place)
        if data is None:
            return None
        payload = parse_json(data, place)
        rows = tuple(BatchRow(**row) for row in payload.pop("rows"))
        return BatchJob(**payload, rows=rows)

    def all(self) -> Iterator[BatchJob]:
        """Each job that is there; one that goes meanwhile is left out."""
        for name in list_files(self.uri, _SUFFIX):
            if (job := self.get(name.removesuffix(_SUFFIX))) is not None:
                yield job

    def of(self, folder: str) -> list[BatchJob]:
        return [job for job in self.all() if job.folder == folder]

    def keys(self) -> set[str]:
        """The ledger keys of all their rows: whoever asks one of these online may pay for it twice."""
        return {row.key for job in self.all() for row in job.rows}

    def _place(self, job_id: str) -> str:
        return f"{self.uri}/{job_id}{_SUFFIX}"
