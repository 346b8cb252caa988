"""Gemini's Batch over its REST interface: a file of requests goes in, a file of replies comes out, at half the price.

The SDK's own batch objects leave out what counts here: how many requests succeeded, why a job failed, and that a job
which succeeded in part has ended. A request is the very one that the online client would send, and a reply is read as
the online client reads it: both pass through one whose server is a recorder.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from tikval.config import Api, Gemini
from tikval.llm.client import Fault, Question, Reply
from tikval.llm.faults import is_deep, scrub
from tikval.llm.gemini import FileUnusable, GeminiClient, mime_of
from tikval.llm.gemini_remote import GEMINI_URL
from tikval.rows import Reason

if TYPE_CHECKING:
    import httpx2

_ENDED: Final = {"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"}
_LONGEST_LINE: Final = 2**26  # bytes of a line of replies; a longer one is none of ours
_LONGEST_DETAIL: Final = 200  # characters
_PAGE: Final = 100  # jobs of a list
_BUSY_CODES: Final = {8, 429}  # of gRPC and of HTTP
_WRONG_CODES: Final = {3, 5, 9, 11, 400, 404}  # likewise, for what was sent


class RemoteJob(NamedTuple):
    """A job as the server describes it."""

    name: str
    display_name: str
    state: str  # SUCCEEDED, RUNNING ...
    ended: bool
    results: str | None  # the file of replies
    succeeded: int | None  # requests that have a reply; None: the server does not say
    refused: bool  # it failed before any request was looked at
    error: str | None

    @property
    def readable(self) -> bool:
        """Whether all is there that will be: a success may be told before its file of replies is named."""
        return self.results is not None or "SUCCEEDED" not in self.state


@dataclass(frozen=True)
class ResultLine:
    """One line of the replies: exactly one of `response` and `error` is there."""

    key: str
    response: dict[str, Any] | None
    error: tuple[Reason, str] | None  # not billed


class GeminiBatches(GeminiClient):
    """The online client and its batches, for one event loop."""

    def __init__(
        self, config: Gemini, api: Api, key: str, schema: dict[str, Any] | None, **given: Any
    ) -> None:
        """`given`: what else the online client takes."""
        super().__init__(config, api, key, schema, **given)
        self._make_recorded = partial(GeminiClient, config, api, key, schema, **given)
        self._recorded: GeminiClient | None = None
        self._recording = asyncio.Lock()
        self._sent: dict[str, Any] = {}
        self._answer: dict[str, Any] = {}

    async def close(self) -> None:
        if self._recorded is not None:
            await self._recorded.close()
        await super().close()

    async def _through_recorder(
        self, question: Question, answer: dict[str, Any]
    ) -> tuple[dict[str, Any], Reply]:
        """What the online client sends for a question, and what it makes of this answer. Raises Fault."""
        import httpx2

        def record(request: httpx2.Request) -> httpx2.Response:
            self._sent = json.loads(request.content)
            return httpx2.Response(200, json=self._answer)

        if self._recorded is None:
            self._recorded = self._make_recorded(transport=httpx2.MockTransport(record))
        async with self._recording:
            self._answer = answer
            reply = await self._recorded.ask(question)
            return self._sent, reply

    async def request_line(
        self, key: str, question: Question, uri: str | None = None, mime: str = ""
    ) -> bytes:
        """A line of a file of requests, with its end. `uri`: of a video that is uploaded, in place of a local one."""
        assert question.video is None
        request, _ = await self._through_recorder(question, {})
        if uri is not None:
            part = {"fileData": {"fileUri": uri, "mimeType": mime}}
            request["contents"][-1]["parts"].append(part)
        return json.dumps({"key": key, "request": request}).encode() + b"\n"

    async def reply_of(self, response: dict[str, Any]) -> Reply:
        """The reply of a line. Raises Fault where it is none of the API's."""
        return (await self._through_recorder(Question(""), response))[1]

    async def upload(self, name: str, path: Path, mime: str | None = None) -> tuple[str, str]:
        """Address and type of a file that is ready to be used; `mime`: None for a video. Raises Fault."""
        mime = mime or mime_of(path)
        try:
            return await self._upload(name, path, mime), mime
        except FileUnusable as err:
            raise err.fault from None

    async def create(self, requests: str, display_name: str) -> RemoteJob:
        """Make a job of a file of requests. Raises Fault; where that says `billed="unknown"` there may be a job."""
        batch = {"displayName": display_name, "inputConfig": {"fileName": requests}}
        path = f"models/{self._config.model.removeprefix('models/')}:batchGenerateContent"
        made = await self._rest("POST", path, {"batch": batch}, billed="unknown")
        job = remote_job_of(made)
        if not job.name.startswith("batches/"):
            raise Fault(Reason.BAD_REPLY, "a job without a name", retryable=True, billed="unknown")
        return job

    async def find(self, display_name: str) -> RemoteJob | None:
        """The job of this name; the first where there are several. Raises Fault."""
        token = ""
        while True:
            query = f"pageSize={_PAGE}" + (f"&pageToken={token}" if token else "")
            page = await self._rest("GET", f"batches?{query}")
            for payload in page.get("operations") or page.get("batches") or ():
                if isinstance(payload, dict) and (job := remote_job_of(payload)).display_name == display_name:
                    return job
            token = page.get("nextPageToken") or ""
            if not token:
                return None

    async def look(self, name: str) -> RemoteJob | None:
        """The job as it is now; None where the server has none of this name any more. Raises Fault."""
        payload = await self._rest("GET", name, may_be_gone=True)
        return None if payload is None else remote_job_of(payload)

    async def cancel(self, name: str) -> None:
        await self._rest("POST", f"{name}:cancel", {}, may_be_gone=True)

    async def delete_job(self, name: str) -> None:
        await self._rest("DELETE", name, may_be_gone=True)

    async def delete_file(self, name: str) -> None:
        """Return once the server has no such file. Raises Fault."""
        await self._rest("DELETE", name, may_be_gone=True)

    async def result_lines(self, file: str) -> AsyncIterator[bytes]:
        """The lines of a file of replies, as they arrive; none of a file that is gone. Raises Fault."""
        from google.genai import errors

        # the time limit is one of silence: a long file may take long
        async with self._faults(billed="no", uploaded=False):
            url, rest, too_long = self._url(f"{file}:download?alt=media"), b"", False
            async with self._http.stream("GET", url, **self._sent_with()) as response:
                if response.status_code != 200:
                    await response.aread()
                    if _is_gone(response):
                        return
                await errors.APIError.raise_for_async_response(response)
                async for chunk in response.aiter_bytes():
                    first, *others = chunk.split(b"\n")
                    rest += first
                    for line in others:
                        if not too_long:
                            yield rest
                        rest, too_long = line, False
                    if len(rest) > _LONGEST_LINE:
                        rest, too_long = b"", True
            if rest and not too_long:
                yield rest

    async def _rest(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        billed: Literal["no", "unknown"] = "no",
        may_be_gone: bool = False,
    ) -> Any:
        """The JSON object of an answer; None where there is no such thing, and that is no error."""
        from google.genai import errors

        async with self._faults(billed=billed, uploaded=False):
            response = await self._http.request(method, self._url(path), json=body, **self._sent_with())
            if may_be_gone and _is_gone(response):
                return None
            await errors.APIError.raise_for_async_response(response)
            payload = response.json()
            if not isinstance(payload, dict) or is_deep(payload):
                raise ValueError("not an object")
            return payload

    def _url(self, path: str) -> str:
        return f"{(self._api.base_url or GEMINI_URL).rstrip('/')}/v1beta/{path}"

    def _sent_with(self) -> dict[str, Any]:
        return {"headers": {"x-goog-api-key": self._asked.key}, "timeout": self._api.timeout_seconds}


def parse_result(line: bytes) -> ResultLine | None:
    """What a line of replies says; None for half a line, and for what is neither a reply nor an error."""
    try:
        payload = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(payload, dict) or is_deep(payload) or not isinstance(payload.get("key"), str):
        return None
    response, error = payload.get("response"), payload.get("error")
    if isinstance(response, dict) and response:
        return ResultLine(payload["key"], response, None)
    return ResultLine(payload["key"], None, _refusal_of(error)) if isinstance(error, dict) and error else None


def _refusal_of(error: Mapping[str, Any]) -> tuple[Reason, str]:
    """Why a request of a job has no reply, by a code of gRPC's or HTTP's."""
    code = _count(error.get("code"))
    detail = f"by batch: {code} {scrub(str(error.get('message') or ''), None)}"[:_LONGEST_DETAIL].rstrip()
    if code in _BUSY_CODES:
        return Reason.RATE_LIMITED, detail
    return (Reason.REJECTED if code in _WRONG_CODES else Reason.SERVER_ERROR), detail


def remote_job_of(payload: Mapping[str, Any]) -> RemoteJob:
    """A job out of the operation that the server sends; every part of it may be missing."""
    meta = _object(payload.get("metadata")) or payload
    state = str(meta.get("state") or "").rpartition("STATE_")[2]
    output = _object(meta.get("output")) or _object(payload.get("response"))
    results = output.get("responsesFile")
    error = _object(payload.get("error")) or _object(meta.get("error"))
    results = results if isinstance(results, str) and results.startswith("files/") else None
    refused = state == "FAILED" and results is None and _count(error.get("code")) in _WRONG_CODES
    asked, succeeded, failed, pending = (
        _count(_object(meta.get("batchStats")).get(f"{name}RequestCount" if name else "requestCount"))
        for name in ("", "successful", "failed", "pending")
    )
    if succeeded is None and asked is not None:  # counts that are 0 are left out
        succeeded = max(0, asked - (failed or 0) - (pending or 0))
    return RemoteJob(
        name=str(payload.get("name") or ""),
        display_name=str(meta.get("displayName") or ""),
        state=state,
        ended=state in _ENDED or payload.get("done") is True,
        results=results,
        succeeded=succeeded,
        refused=refused and not succeeded,
        error=scrub(f"{error.get('code')} {error.get('message')}", None)[:_LONGEST_DETAIL] if error else None,
    )


def _is_gone(response: "httpx2.Response") -> bool:
    """Whether what was asked for is not there; of a file, 403 says so too."""
    return response.status_code == 404 or (
        response.status_code == 403 and re.search(r"\bfile\b", response.text, re.IGNORECASE) is not None
    )


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    """A count as JSON writes 64 bits: in quotes."""
    return int(value) if isinstance(value, int | str) and str(value).isdecimal() else None
