"""Files of a study on a provider's server, each known by name from before it is sent until the server has it no more.

    <out>/uploads/tikval-3f09...e1.json    one object per file

What a dead run leaves there is found again by these names: the next run deletes it, and so does `tikval doctor`.
"""

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from tikval.files import delete, list_files, read_bytes, write_bytes
from tikval.store.lock import is_locked
from tikval.store.runs import stage_folders

OURS: Final = "tikval-"  # every name of ours on a server begins so
LIFETIME: Final = timedelta(
    hours=49
)  # the server deletes a file after 48 h by itself; one more for the upload
_NAME: Final = re.compile(rf"files/{OURS}[a-z0-9-]{{1,33}}")  # the API takes 40 characters


def new_name() -> str:
    """A name that nobody has, and that says nothing of the video."""
    return f"files/{OURS}{secrets.token_hex(16)}"


def is_needed(name: str, jobs: Mapping[str, str]) -> bool:
    """Whether one of these batch jobs names something on the server, or is called so."""
    return any(name in text or name.endswith(f"{OURS}{job}") for job, text in jobs.items())


@dataclass(frozen=True)
class Upload:
    """One file that a server has, or may have."""

    name: str  # files/tikval-...
    at: str  # when its name was first sent; ISO 8601, UTC
    size_bytes: int | None = None
    video_id: str | None = None  # what an erasure looks for
    erased: bool = False  # the video was erased since, and its id with it

    @property
    def expires(self) -> datetime:
        return datetime.fromisoformat(self.at) + LIFETIME


class Uploads:
    def __init__(self, out: str) -> None:
        """`out`: the folder of the study, local or an object-store URI."""
        self.out = out.rstrip("/")
        self.uri = f"{self.out}/uploads"

    def note(self, name: str, *, size_bytes: int | None = None, video_id: str | None = None) -> None:
        """Write down a name that is about to be sent; durable on return."""
        self._write(Upload(name, datetime.now(UTC).isoformat(timespec="seconds"), size_bytes, video_id))

    def forget(self, name: str) -> None:
        """Take a file off the list: the server says that it has it no more."""
        delete(self._place(name))

    def left(self) -> list[str]:
        """Names of the files that the server may still have."""
        return [upload.name for upload in self.records()]

    def records(self) -> list[Upload]:
        """The files that the server may still have, by name; those that have expired are forgotten."""
        found = [each for file in list_files(self.uri, ".json") if (each := self._read(file)) is not None]
        now = datetime.now(UTC)
        for upload in found:
            if upload.expires <= now:
                self.forget(upload.name)
        return [upload for upload in found if upload.expires > now]

    def erase(self, video_ids: Iterable[str]) -> list[Upload]:
        """Take these videos' ids out of the list; returns all files whose video was erased, now or before."""
        ids = frozenset(video_ids)
        for upload in self.records():
            if upload.video_id in ids:
                self._write(replace(upload, video_id=None, erased=True))
        return [upload for upload in self.records() if upload.erased]

    def batch_jobs(self) -> dict[str, str]:
        """The jobs that go on without a run, <out>/batches/*.json: id and text, which names all that they need."""
        folder = f"{self.out}/batches"
        found = {file: read_bytes(f"{folder}/{file}") for file in list_files(folder, ".json")}
        return {
            file.removesuffix(".json"): data.decode("utf-8", "replace")
            for file, data in found.items()
            if data
        }

    def abandoned(self, held: str | None = None) -> list[str]:
        """Names of the files that nobody needs any more: their run has ended or died, and no batch job has them.

        While a run works on any folder of this study but `held`, the caller's own, they may be its files, and there
        are none. The names are read first, so that a run that starts meanwhile cannot have one of them.
        """
        names = self.left()
        if not names or any(is_locked(uri) for uri in stage_folders(self.out) if uri != held):
            return []
        jobs = self.batch_jobs()
        return [name for name in names if not is_needed(name, jobs)]

    def _write(self, upload: Upload) -> None:
        write_bytes(self._place(upload.name), json.dumps(asdict(upload)).encode())

    def _read(self, file: str) -> Upload | None:
        """The upload of one object; None for an object that is not ours, or has gone meanwhile."""
        name = f"files/{file.removesuffix('.json')}"
        data = read_bytes(f"{self.uri}/{file}") if _NAME.fullmatch(name) else None
        if data is None:
            return None
        try:
            upload = Upload(**{**json.loads(data), "name": name})
            _ = upload.expires <= datetime.now(UTC)
        except (ValueError, TypeError):  # cut short or changed: its name is all that is needed
            return Upload(name, datetime.now(UTC).isoformat(timespec="seconds"))
        return upload

    def _place(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r}: not a name of ours")
        return f"{self.uri}/{name.removeprefix('files/')}.json"
