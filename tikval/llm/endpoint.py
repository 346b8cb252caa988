"""A server that speaks OpenAI's chat protocol (vLLM, llama.cpp, Ollama, a gateway) as a Client."""

import base64
import json
from typing import TYPE_CHECKING, Any, Final, Literal

from tikval.config import Api, Endpoint, UserError
from tikval.llm.client import EMPTY, Admit, Fault, Question, Reply, Usage, at_will
from tikval.llm.faults import AskedServer, fault_of, is_deep, scrub
from tikval.rows import Reason

if TYPE_CHECKING:
    import aiohttp

_LONGEST_REPLY: Final = 8 * 2**20  # bytes


class EndpointClient:
    """The Client of one actor, for one event loop. It does not pickle: made where it is used."""

    def __init__(
        self,
        config: Endpoint,
        api: Api,
        key: str | None,
        schema: dict[str, Any] | None,
        *,
        system: str | None = None,
    ) -> None:
        """`schema`: the JSON schema that a reply must follow; None: any text. `system`: the system's message.

        Raises UserError without an address.
        """
        if not api.base_url:
            raise UserError("api.base_url: an endpoint needs its address, as http://host:8000/v1")
        self._url = f"{api.base_url.rstrip('/')}/chat/completions"
        self._seconds = api.timeout_seconds
        self._asked = AskedServer("the endpoint", config.model, key, "TIKVAL_ENDPOINT_KEY")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        optional = {"temperature": config.temperature, "seed": config.seed}
        self._fixed: dict[str, Any] = {
            "model": config.model,
            "max_tokens": config.max_tokens,
            **{name: value for name, value in optional.items() if value is not None},
        }
        if schema is not None:
            named = {"name": "reply", "schema": schema, "strict": True}
            self._fixed["response_format"] = {"type": "json_schema", "json_schema": named}
        # as a text and not as parts: the chat templates of some models take the system's words only so
        self._first = [{"role": "system", "content": system}] if system else []
        self._session: aiohttp.ClientSession | None = None  # made on the loop that it belongs to

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, question: Question, admit: Admit = at_will) -> Reply:
        """One request. Pictures follow the text, and sounds the pictures, each in order of time."""
        assert question.video is None, "an endpoint takes pictures"
        content: list[dict[str, Any]] = [{"type": "text", "text": question.prompt}]
        for picture in question.pictures:
            address = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
            content.append({"type": "image_url", "image_url": {"url": address}})
        for sound in question.sounds:
            wav = {"data": base64.b64encode(sound).decode(), "format": "wav"}
            content.append({"type": "input_audio", "input_audio": wav})
        body = {**self._fixed, "messages": [*self._first, {"role": "user", "content": content}]}
        if question.seed is not None:
            body["seed"] = question.seed
        await admit()
        status, headers, data = await self._post(json.dumps(body).encode())
        try:
            payload = json.loads(data)
        except (ValueError, RecursionError):
            payload = None
        if is_deep(payload):
            payload = None
        if status != 200:
            raise fault_of(self._asked, status, headers, payload)
        return _read(payload)

    async def _post(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        import aiohttp

        def fault(reason: Reason, detail: str, billed: Literal["no", "unknown"]) -> Fault:
            text = scrub(detail, self._asked.key)
            return Fault(reason, text, retryable=True, billed=billed, trouble="down")

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),  # `in_flight` is the limit
                timeout=aiohttp.ClientTimeout(total=self._seconds),
                trust_env=True,
            )
        headers = {"Content-Type": "application/json", **self._headers}
        try:
            async with self._session.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as response:
                data = bytearray()
                async for chunk in response.content.iter_chunked(2**16):
                    data += chunk
                    if len(data) > _LONGEST_REPLY:
                        message = f"a reply of more than {_LONGEST_REPLY >> 20} MB"
                        raise fault(Reason.BAD_REPLY, message, "unknown")
                return response.status, dict(response.headers), bytes(data)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise UserError("api.base_url: not an http address") from None
        except aiohttp.ConnectionTimeoutError:
            raise fault(Reason.TIMEOUT, "no connection in time", "no") from None
        except TimeoutError:
            raise fault(Reason.TIMEOUT, f"no reply within {self._seconds:.0f} s", "unknown") from None
        except aiohttp.ClientConnectorError as err:
            raise fault(Reason.SERVER_ERROR, f"no connection: {err}", "no") from None
        except aiohttp.ClientError as err:
            text = str(err) or type(err).__name__
            raise fault(Reason.SERVER_ERROR, f"connection lost: {text}", "unknown") from None


def _read(payload: Any) -> Reply:
    """Whatever was served, for that may be billed; a Fault where it is no reply of the protocol."""
    try:
        used = payload.get("usage") or {}
        nothing: Any = {"message": {}, "finish_reason": "stop"}
        choice = payload["choices"][0] if payload["choices"] else nothing
        message, finish = choice["message"], choice.get("finish_reason")
        text = message.get("content") or ""
        refusal, served = message.get("refusal"), payload.get("model")
        prompt, reply = used.get("prompt_tokens_details") or {}, used.get("completion_tokens") or 0
        usage = Usage(
            tokens_in=used.get("prompt_tokens") or 0,
            tokens_cached=prompt.get("cached_tokens") or 0,
            tokens_sound=prompt.get("audio_tokens") or 0,
            tokens_out=reply,
            known=bool(used.get("prompt_tokens")),
        )
    except (LookupError, TypeError, AttributeError, RecursionError):
        raise Fault(
            Reason.BAD_REPLY,
            "not a reply of the chat protocol",
            retryable=True,
            billed="unknown",
            trouble="down",
        ) from None
    if finish == "content_filter" or refusal:
        return Reply(text, served, usage, Reason.BLOCKED, f"reply: {finish if not refusal else 'refused'}")
    if finish == "length":
        return Reply(text, served, usage, Reason.TRUNCATED, f"{usage.tokens_out} tokens")
    if not text:
        return Reply("", served, usage, Reason.BAD_REPLY, EMPTY)
    if finish != "stop":
        return Reply(text, served, usage, Reason.BAD_REPLY, f"ended with {finish or 'no reason'}")
    return Reply(text, served, usage)
