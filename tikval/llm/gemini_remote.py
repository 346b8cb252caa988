"""What lies on Gemini's server under names of ours: deleted once nobody needs it, listed for `tikval doctor`.

All of this waits for each answer in turn: it runs beside the work, or in place of it.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from tikval.config import Api, UserError
from tikval.llm.faults import scrub
from tikval.llm.keys import GEMINI_KEY, read_key
from tikval.llm.uploads import OURS, Uploads

if TYPE_CHECKING:
    from google import genai

GEMINI_URL: Final = "https://generativelanguage.googleapis.com/"
DELETE_SECONDS: Final = 30.0  # what a run waits at its end for what is left to be deleted
DELETE_PAUSES: Final = (1.0, 3.0, 9.0)  # seconds between tries of one file
_ANSWER_SECONDS: Final = 20.0  # of one request
_LONGEST: Final = 200  # characters of a message
_PAGE: Final = 100  # objects; the most that the API gives
_OVER: Final = {"FAILED", "CANCELLED", "EXPIRED"}  # of a batch job: without a result

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RemoteObject:
    """One thing on the server."""

    kind: Literal["file", "cache", "batch"]
    name: str  # the server's: files/..., cachedContents/..., batches/...
    label: str  # ours: begins with tikval-
    made: datetime | None
    amount: str  # human-readable
    state: str
    result: str | None = None  # of a batch job: the file with its replies

    @property
    def may_have_results(self) -> bool:
        """Whether it is a batch job that runs, or whose replies, which are paid for, may not have been read yet."""
        return self.kind == "batch" and self.state not in _OVER


def is_file_gone(err: BaseException) -> bool:
    """Whether a request is refused for a file that is not there, by 403 as by 404, and for nothing else."""
    message = str(getattr(err, "message", ""))
    return getattr(err, "code", None) in (403, 404) and bool(re.search(r"\bfile\b", message, re.IGNORECASE))


def is_gone(err: BaseException) -> bool:
    """Whether the one object that was asked for is not there: it expired, was deleted, or its upload never ended."""
    code, message = getattr(err, "code", None), str(getattr(err, "message", ""))
    return code == 404 or is_file_gone(err) or (code == 403 and "not found" in message)  # of a cache


def is_hopeless(err: BaseException) -> bool:
    """Whether the server would refuse the same request again."""
    code = getattr(err, "code", None)
    return isinstance(code, int) and 400 <= code < 500 and code not in (408, 429)


def connect(api: Api) -> "genai.Client":
    """A client for housekeeping. Raises UserError without a key or the package."""
    key = read_key(GEMINI_KEY)
    if not key:
        raise UserError(
            f"{GEMINI_KEY} is not set: what lies on the server can be seen and deleted with it alone"
        )
    try:
        from google import genai
        from google.genai import types
    except ImportError as err:
        raise UserError("Gemini needs its package: pip install 'tikval[gemini]'") from err
    return genai.Client(
        api_key=key,
        enterprise=False,
        http_options=types.HttpOptions(
            base_url=api.base_url or GEMINI_URL,
            api_version="v1beta",
            timeout=round(_ANSWER_SECONDS * 1000),
            retry_options=types.HttpRetryOptions(attempts=1),
        ),
    )


def delete_abandoned(
    uploads: Uploads, api: Api, *, held: str | None = None, names: Sequence[str] | None = None
) -> None:
    """Delete what no run needs any more, within 30 s. Never raises: what is left waits for the next run.

    `held`: the folder that the caller has locked itself; `names`: what was found to be abandoned before.
    """
    try:
        _delete_files(uploads, api, uploads.abandoned(held) if names is None else names)
    except Exception as err:  # a run's result does not hang on this
        log.warning("uploaded files may be left on the server: %s", _told(err))


def start_deleting_abandoned(uploads: Uploads, api: Api) -> None:
    """Do the same in the background, before the caller's own run begins to upload: its files are not among them."""
    try:
        names = uploads.abandoned()
    except Exception as err:
        log.warning("uploaded files may be left on the server: %s", _told(err))
        return
    if names:
        work = partial(delete_abandoned, uploads, api, names=names)
        threading.Thread(target=work, name="tikval-deletes").start()


def _delete_files(uploads: Uploads, api: Api, names: Sequence[str]) -> None:
    if not names:
        return
    client, until = connect(api), time.monotonic() + DELETE_SECONDS
    left = list(names)
    try:
        while left and time.monotonic() < until:
            delete_object(partial(client.files.delete, name=left[-1]), until)
            uploads.forget(left.pop())
    finally:
        client.close()
        if left:
            log.warning(
                "%d uploaded files are left on the server, and expire in 48 h; the next run deletes them, and so does "
                "tikval doctor --remote %s --delete",
                len(left),
                uploads.out,
            )


def delete_object(delete: Callable[[], Any], until: float) -> None:
    """Delete one thing; it is tried a few times, until `until` on the monotonic clock. Raises what the SDK raises."""
    for pause in (*DELETE_PAUSES, None):
        try:
            delete()
            return
        except Exception as err:
            if is_gone(err):
                return
            if pause is None or is_hopeless(err) or time.monotonic() + pause > until:
                raise
        time.sleep(pause)


def list_ours(client: "genai.Client") -> Iterator[RemoteObject]:
    """Everything on the server whose name begins with ours. Raises UserError where it refuses to say."""
    listings = {"files": _files, "caches": _caches, "batch jobs": _batches}
    for what, listing in listings.items():
        try:
            yield from listing(client)
        except UserError:
            raise
        except Exception as err:
            raise UserError(f"Gemini's {what} cannot be listed: {_told(err)}") from None


def _files(client: "genai.Client") -> Iterator[RemoteObject]:
    for file in client.files.list(config={"page_size": _PAGE}):
        label = (file.name or "").removeprefix("files/")
        if label.startswith(OURS):
            state = file.state.value if file.state else ""
            yield RemoteObject(
                "file", f"files/{label}", label, file.create_time, _size(file.size_bytes), state
            )


def _caches(client: "genai.Client") -> Iterator[RemoteObject]:
    for cache in client.caches.list(config={"page_size": _PAGE}):
        if (cache.display_name or "").startswith(OURS):
            tokens = cache.usage_metadata.total_token_count if cache.usage_metadata else None
            amount = f"{tokens:,} tokens" if tokens else ""
            yield RemoteObject(
                "cache", cache.name or "", cache.display_name or "", cache.create_time, amount, "ACTIVE"
            )


def _batches(client: "genai.Client") -> Iterator[RemoteObject]:
    for job in client.batches.list(config={"page_size": _PAGE}):
        if (job.display_name or "").startswith(OURS):
            state = job.state.value.removeprefix("JOB_STATE_") if job.state else ""
            result = job.dest.file_name if job.dest else None
            yield RemoteObject(
                "batch", job.name or "", job.display_name or "", job.create_time, "", state, result
            )


def delete_remote(client: "genai.Client", found: RemoteObject) -> str | None:
    """Delete one thing, a batch job with its file of replies; returns why it could not be done, None where it was.

    A batch job that runs is cancelled first.
    """
    until = time.monotonic() + DELETE_SECONDS
    calls: list[Callable[[], Any]] = []
    if found.kind == "batch":
        if found.may_have_results and "SUCCEEDED" not in found.state:
            calls.append(partial(client.batches.cancel, name=found.name))
        if found.result:
            calls.append(partial(client.files.delete, name=found.result))
        calls.append(partial(client.batches.delete, name=found.name))
    elif found.kind == "cache":
        calls.append(partial(client.caches.delete, name=found.name))
    else:
        calls.append(partial(client.files.delete, name=found.name))
    try:
        for call in calls:
            delete_object(call, until)
    except Exception as err:
        return _told(err)
    return None


def _size(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f"{size_bytes / 2**20:,.1f} MB"


def _told(err: BaseException) -> str:
    """An error of the SDK's or of ours on one line, without the key."""
    if isinstance(err, UserError):
        return str(err)
    key, code = read_key(GEMINI_KEY), getattr(err, "code", None)
    what = str(getattr(err, "message", "")) if isinstance(code, int) else str(err)
    return scrub(f"{code if isinstance(code, int) else type(err).__name__} {what}".strip(), key)[:_LONGEST]
