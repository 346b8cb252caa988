"""Google's Gemini as a Client: one call is one request, with the video inline or by way of the Files API."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from tikval.config import Api, Gemini, UserError
from tikval.llm.client import EMPTY, Admit, Fault, Question, Reply, Usage, at_will
from tikval.llm.faults import AskedServer, fault_of, scrub
from tikval.llm.gemini_caches import is_about_cache
from tikval.llm.gemini_remote import (
    DELETE_PAUSES,
    DELETE_SECONDS,
    GEMINI_URL,
    is_file_gone,
    is_gone,
    is_hopeless,
)
from tikval.llm.inline_video import InlineVideo, put_video
from tikval.llm.thinking import model_limits
from tikval.llm.uploads import Uploads, new_name
from tikval.rows import Reason

if TYPE_CHECKING:
    import httpx2
    from google.genai import errors, types

_MIME_TYPES: Final = {
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".avi": "video/x-msvideo",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
    ".mkv": "video/x-matroska",
    ".wmv": "video/x-ms-wmv",
    ".flv": "video/x-flv",
    ".3gp": "video/3gpp",
}
_HARMS: Final = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")  # the adjustable ones
_CALLS_OF_A_CLIENT: Final = 16
_BLOCKED: Final = {
    *("SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "LANGUAGE", "ESCALATION"),
    *("MODEL_ARMOR", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
}
_CUT_SHORT: Final = {"MAX_TOKENS", "CONTINUATION"}

log = logging.getLogger(__name__)


class FileUnusable(Exception):  # noqa: N818
    """A file that the server had taken is gone, or could not be processed: to be uploaded once more."""

    def __init__(self, fault: Fault) -> None:
        """`fault`: what it is if the same happens again."""
        super().__init__(str(fault))
        self.fault = fault


class _CacheRefused(Exception):  # noqa: N818
    """The explicit cache that a request names is gone, or not to be used; nothing was served."""


class GeminiClient:
    """The Client of one actor, for one event loop. It does not pickle: made where it is used."""

    def __init__(
        self,
        config: Gemini,
        api: Api,
        key: str,
        schema: dict[str, Any] | None,
        *,
        uploads: Uploads | None = None,
        system: str | None = None,
        transport: "httpx2.AsyncBaseTransport | None" = None,
    ) -> None:
        """`schema`: the JSON schema that a reply must follow; None: any text. `uploads`: where the names of uploaded
        files are written down, so that whoever comes after this process can delete them. `system`: the system
        instruction. `transport`: in place of the network.

        Raises UserError where the package is missing.
        """
        try:
            import httpx2
            from google import genai
            from google.genai import types
        except ImportError as err:
            raise UserError("Gemini needs its package: pip install 'tikval[gemini]'") from err
        self._config, self._api, self._uploads = config, api, uploads
        self._asked = AskedServer("Gemini", config.model, key, "GEMINI_API_KEY")
        # The SDK would take aiohttp wherever Ray's extras bring it and httpx2 elsewhere. This is httpx2 everywhere, as
        # it (1) keeps the status of an error whose body is no JSON, (2) follows no redirect with the key in a header,
        # (3) lets a hook see a request. Its limit of 100 connections is lifted: `in_flight` is the limit.
        # For each request it looks at all its connections, so that there are several of it for many calls.
        trusted = httpx2.create_ssl_context()
        self._https = [
            httpx2.AsyncClient(
                transport=transport,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
                event_hooks={"request": [_nameless, put_video], "response": [_sent_once]},
                verify=trusted,
            )
            for _ in range(-(-api.in_flight // _CALLS_OF_A_CLIENT))
        ]
        self._clients = [
            genai.Client(
                api_key=key,
                enterprise=False,  # whatever the environment has: the key is for this API
                http_options=types.HttpOptions(
                    base_url=api.base_url or GEMINI_URL,
                    api_version="v1beta",
                    timeout=max(1, round(api.timeout_seconds * 1000)),
                    retry_options=types.HttpRetryOptions(attempts=1),  # its own may be paid for unseen
                    httpx_async_client=http,
                ),
            )
            for http in self._https
        ]
        self._http, self._client, self._turn = self._https[0], self._clients[0], cycle(self._clients)
        self._request = _request(config, schema, system)
        self._deleting: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        if self._deleting:
            await asyncio.wait(self._deleting, timeout=DELETE_SECONDS)
        for client, http in zip(self._clients, self._https, strict=True):
            await client.aio.aclose()
            await http.aclose()
            client.close()

    async def ask(self, question: Question, admit: Admit = at_will) -> Reply:
        """One request; a second one only where an uploaded file is gone before it could be looked at.

        Such a video, and one that the server failed to process, is uploaded once more: neither is paid for.
        """
        parts: list[Any] = [{"text": question.prompt}]
        parts += [_inline(picture, "image/jpeg") for picture in question.pictures]
        parts += [_inline(question.sound, "audio/flac")] if question.sound else []
        if question.video is None:
            return await self._generate(parts, question, admit)
        video = Path(question.video)
        mime = mime_of(video)
        # The prompt stands before the video although Google advises the other order for a single video: the server's
        # prefix cache then holds the codebook, most of the text of every call.
        with _readable():
            small = (await asyncio.to_thread(video.stat)).st_size <= self._api.inline_mb * 2**20
            file = await asyncio.to_thread(video.open, "rb") if small else None
        if file is not None:
            with file, (inline := InlineVideo(file)).sent():
                return await self._generate([*parts, _inline(inline.mark, mime)], question, admit)
        met = set[Reason]()
        while True:
            try:
                return await self._by_upload(question, parts, mime, admit)
            except FileUnusable as err:
                if err.fault.reason in met:
                    raise err.fault from None
                met.add(err.fault.reason)
                log.info("uploaded once more (%s): %s", err.fault.reason, err.fault.detail)

    async def _by_upload(self, question: Question, parts: list[Any], mime: str, admit: Admit) -> Reply:
        # A name of our own choosing, written down before it is sent: the file is known, whatever becomes of us.
        name, video, whole = new_name(), Path(str(question.video)), False
        with _readable():
            size = (await asyncio.to_thread(video.stat)).st_size
        if self._uploads:
            note = self._uploads.note
            await asyncio.to_thread(note, name, size_bytes=size, video_id=question.video_id)
        try:
            uri = await self._upload(name, video, mime)
            whole = True
            part = {"file_data": {"file_uri": uri, "mime_type": mime}}
            return await self._generate([*parts, part], question, admit, uploaded=True)
        finally:
            # In the background: a reply that was paid for waits for nothing, and a cancelled call still deletes.
            task = asyncio.create_task(self._delete(name, whole=whole))
            self._deleting.add(task)
            task.add_done_callback(self._deleting.discard)

    async def _upload(self, name: str, video: Path, mime: str) -> str:
        """Address of a file that is ready to be looked at. Nothing of this is paid for."""
        files, state, pause = self._client.aio.files, "uploading", 0.25
        try:
            async with self._faults(billed="no", uploaded=True), asyncio.timeout(self._api.timeout_seconds):
                with _readable():
                    file = await files.upload(file=video, config={"name": name, "mime_type": mime})
                while (state := file.state.value if file.state else "") == "PROCESSING":
                    await asyncio.sleep(pause)
                    pause = min(5.0, pause * 1.5)
                    file = await self._looked_at(name)
        except Fault as fault:
            if fault.reason is not Reason.TIMEOUT:
                raise
            message = f"the video was still {state} after {self._api.timeout_seconds:.0f} s"
            raise Fault(Reason.TIMEOUT, message, retryable=True, billed="no") from None
        if state == "FAILED":
            message = scrub((file.error and file.error.message) or "no reason given", self._asked.key)
            detail = f"video not processed: {message}"
            raise FileUnusable(Fault(Reason.REJECTED, detail, retryable=False, billed="no"))
        assert file.uri is not None
        return file.uri

    async def _looked_at(self, name: str) -> "types.File":
        from google.genai import errors

        try:
            return await self._client.aio.files.get(name=name)
        except errors.APIError as err:
            if is_gone(err):
                raise _gone(err) from None
            raise

    async def _delete(self, name: str, *, whole: bool) -> None:
        """Delete a file, and take it off the list once the server has it no more.

        `whole`: it had arrived; else it may still arrive after the server has said that it is not there.
        """
        try:
            async with asyncio.timeout(DELETE_SECONDS):
                there = await self._deleted(name)
                if self._uploads and (there or whole):
                    await asyncio.to_thread(self._uploads.forget, name)
        except Exception as err:  # the call itself is over: whatever this is, it must not become its outcome
            left = "the next run deletes it" if self._uploads else "it expires in 48 h"
            log.warning("an uploaded video was not deleted (%s); %s", type(err).__name__, left)

    async def _deleted(self, name: str) -> bool:
        """Whether there was a file to delete; tried again a few times. Raises what the SDK raises."""
        for pause in DELETE_PAUSES:
            try:
                await self._client.aio.files.delete(name=name)
                return True
            except Exception as err:
                if is_gone(err):
                    return False
                if is_hopeless(err):
                    raise
            await asyncio.sleep(pause)
        await self._client.aio.files.delete(name=name)
        return True

    async def _generate(
        self, parts: list[Any], question: Question, admit: Admit, *, uploaded: bool = False
    ) -> Reply:
        turn: Any = {"role": "user", "parts": parts}
        request, seconds = self._request, self._api.timeout_seconds
        if question.seed is not None:
            request = request.model_copy(update={"seed": question.seed})

        async def send(cache: str | None) -> "types.GenerateContentResponse":
            # a cache holds the system instruction, and no request may give both
            held = {"system_instruction": None, "cached_content": cache} if cache else {}
            async with (
                self._faults(billed="unknown", uploaded=uploaded, cache=cache),
                asyncio.timeout(seconds),
            ):
                return await next(self._turn).aio.models.generate_content(
                    model=self._config.model, contents=turn, config=request.model_copy(update=held)
                )

        cache = await admit()
        try:
            response = await send(cache)
        except _CacheRefused as err:
            log.info("asked again without the cache: %s", err)
            await admit(gone=cache)
            response = await send(None)
        return _read(response)

    @asynccontextmanager
    async def _faults(
        self, billed: Literal["no", "unknown"], *, uploaded: bool, cache: str | None = None
    ) -> AsyncIterator[None]:
        """Turn what the SDK raises into a Fault or UserError, without the cause: it may quote what must not be seen."""
        import httpx2
        from google.genai import errors

        def fault(reason: Reason, detail: str, billed: Literal["no", "unknown"] = billed) -> Fault:
            text = scrub(detail, self._asked.key)
            return Fault(reason, text, retryable=True, billed=billed, trouble="down")

        try:
            yield
        except errors.APIError as err:
            if cache and is_about_cache(err):
                raise _CacheRefused(scrub(f"{err.code} {err.message}", self._asked.key)) from None
            if uploaded and is_file_gone(err):
                raise _gone(err) from None
            raise self._refusal(err, billed) from None
        except (httpx2.ConnectTimeout, httpx2.PoolTimeout):
            raise fault(Reason.TIMEOUT, "no connection in time", "no") from None
        except (TimeoutError, httpx2.TimeoutException):
            raise fault(Reason.TIMEOUT, f"no reply within {self._api.timeout_seconds:.0f} s") from None
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
            raise UserError("api.base_url: not an http address") from None
        except (httpx2.ConnectError, httpx2.ProxyError) as err:
            raise fault(Reason.SERVER_ERROR, f"no connection: {err}", "no") from None
        except httpx2.RequestError as err:
            raise fault(Reason.SERVER_ERROR, f"connection lost: {str(err) or type(err).__name__}") from None
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
        ) as err:  # the SDK on JSON that is none of its own
            raise fault(Reason.BAD_REPLY, f"not a reply of the API ({type(err).__name__})") from None

    def _refusal(self, err: "errors.APIError", billed: Literal["no", "unknown"]) -> Exception:
        headers = dict(getattr(err.response, "headers", None) or {})
        if err.code == 404 and billed == "no":  # at an upload, which names no model
            sent = getattr(err.response, "request", None)
            if sent is not None and "X-Goog-Upload-Offset" in sent.headers:
                return Fault(
                    Reason.SERVER_ERROR, "the server lost the upload: 404", retryable=True, billed="no"
                )
            return UserError("Gemini takes no uploads at this address: check api.base_url (404)")
        found = fault_of(self._asked, err.code, headers, err.details)
        if isinstance(found, Fault) and billed == "no":
            found.billed = "no"
        return found


def mime_of(video: Path) -> str:
    """The type of a video by its name."""
    return _MIME_TYPES.get(video.suffix.lower(), "video/mp4")


def _gone(err: "errors.APIError") -> FileUnusable:
    detail = f"the uploaded video was gone: {err.code}"
    return FileUnusable(Fault(Reason.SERVER_ERROR, detail, retryable=True, billed="no"))


@contextmanager
def _readable() -> Iterator[None]:
    """A video that is gone or shut as a Fault."""
    try:
        yield
    except FileNotFoundError:
        raise Fault(Reason.MISSING_FILE, "gone since it was listed", retryable=False, billed="no") from None
    except PermissionError:
        raise Fault(Reason.PERMISSION_DENIED, "not readable", retryable=False, billed="no") from None


async def _nameless(request: Any) -> None:
    """The SDK sends a file's name along, which often is that of a person's account."""
    request.headers.pop("X-Goog-Upload-File-Name", None)


async def _sent_once(response: Any) -> None:
    """The SDK sends a piece of a file up to three times where the server does not say how the upload stands.

    A word of ours in that place ends this: one try of ours sends each piece once.
    """
    if "X-Goog-Upload-Offset" in response.request.headers:
        response.headers.setdefault("X-Goog-Upload-Status", "unknown")


def _inline(data: bytes, mime: str) -> dict[str, Any]:
    return {"inline_data": {"data": data, "mime_type": mime}}


def _request(
    config: Gemini, schema: dict[str, Any] | None, system: str | None
) -> "types.GenerateContentConfig":
    """What is the same in every call."""
    from google.genai import types

    thinking = {"thinking_budget": config.thinking_tokens, "thinking_level": config.thinking_level}
    given = {name: value for name, value in thinking.items() if value is not None}
    off = [{"category": f"HARM_CATEGORY_{harm}", "threshold": "OFF"} for harm in _HARMS]
    limits = model_limits(config.model)
    samples = limits is None or limits.samples
    resolution = config.media_resolution and f"MEDIA_RESOLUTION_{config.media_resolution.upper()}"

    class Fixed(types.GenerateContentConfig):
        def __contains__(self, field: object) -> bool:
            return False  # the SDK asks a hundred times a call, then takes attributes; pydantic would walk all fields

    return Fixed.model_validate(
        {
            "system_instruction": system,
            "temperature": config.temperature if samples else None,
            "seed": config.seed,
            "max_output_tokens": config.max_tokens,
            "thinking_config": given or None,
            "media_resolution": resolution,
            "safety_settings": off if config.block_none else None,
            "response_mime_type": "application/json" if schema else None,
            "response_json_schema": schema,
            "automatic_function_calling": {"disable": True},
            "automatic_continuation": False,  # another request, and another bill
        }
    )


def _read(response: "types.GenerateContentResponse") -> Reply:
    """Whatever was served, for that may be billed: also what was blocked, cut or left empty."""
    served = response.model_version
    feedback = response.prompt_feedback
    candidate = response.candidates[0] if response.candidates else None
    parts = (candidate.content and candidate.content.parts) or () if candidate else ()
    text = "".join(part.text for part in parts if part.text and not part.thought)
    usage = _usage(response.usage_metadata, bool(text))
    if feedback and feedback.block_reason:
        return Reply("", served, usage, Reason.BLOCKED, f"prompt: {feedback.block_reason.value}")
    finish = candidate.finish_reason.value if candidate and candidate.finish_reason else None
    if finish == "PUP_LIMITED_DISABLED":
        why = "Gemini has limited this account for breaches of its policy"
        return Reply(text, served, usage, Reason.BAD_REPLY, why)
    if finish in _BLOCKED:
        return Reply(text, served, usage, Reason.BLOCKED, f"reply: {finish}")
    if finish in _CUT_SHORT:
        return Reply(text, served, usage, Reason.TRUNCATED, f"{usage.tokens_out} tokens: {finish}")
    if candidate is None or (finish == "STOP" and not text):
        return Reply("", served, usage, Reason.BAD_REPLY, EMPTY)
    if finish != "STOP":
        return Reply(text, served, usage, Reason.BAD_REPLY, f"ended with {finish or 'no reason'}")
    return Reply(text, served, usage)


def _usage(usage: "types.GenerateContentResponseUsageMetadata | None", has_text: bool) -> Usage:
    """Counts as they came; not known where there are none, or none of a text that is there."""
    if usage is None or not usage.prompt_token_count or (has_text and not usage.candidates_token_count):
        return Usage(known=False)
    sound = sum(
        part.token_count or 0
        for part in usage.prompt_tokens_details or ()
        if part.modality and part.modality.value == "AUDIO"
    )
    return Usage(
        tokens_in=usage.prompt_token_count,
        tokens_cached=usage.cached_content_token_count or 0,
        tokens_sound=sound,
        tokens_out=(usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
    )
