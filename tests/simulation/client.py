"""The real clients over a wire that is simulated: what is replaced is the request itself, and no decision about it."""

import json
from collections.abc import AsyncIterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, Literal

from tests.simulation.scenario import LLM
from tests.simulation.server import Lost, Provider
from tikval.config import Api, Endpoint
from tikval.llm.client import Admit, Fault, Question, Reply, at_will
from tikval.llm.endpoint import EndpointClient, _read
from tikval.llm.faults import AskedServer, fault_of
from tikval.llm.gemini_batch import GeminiBatches
from tikval.rows import Reason

CALL: Final = ContextVar("call", default="")  # that the gate admitted last, in the task that asks
_ASKED: Final = AskedServer("the simulation", LLM.model, None, "NO_KEY")


class _Online(EndpointClient):
    def __init__(self, api: Api, provider: Provider) -> None:
        super().__init__(Endpoint(model=LLM.model, max_tokens=LLM.max_tokens), api, None, None)
        self.provider = provider

    async def _post(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        prompt = json.loads(body)["messages"][-1]["content"][0]["text"]
        try:
            answer = await self.provider.ask(prompt, CALL.get(), self._seconds)
        except (Lost, TimeoutError) as err:
            reason = Reason.TIMEOUT if isinstance(err, TimeoutError) else Reason.SERVER_ERROR
            raise Fault(reason, "lost", retryable=True, billed="unknown", trouble="down") from None
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        return answer.status, answer.headers, data


class SimulatedClient(GeminiBatches):
    """Online calls through EndpointClient; batch jobs through all of GeminiBatches that decides something."""

    def __init__(self, api: Api, provider: Provider) -> None:
        self.online, self.provider = _Online(api, provider), provider
        self._api, self._config = api, LLM

    async def close(self) -> None:
        """Nothing is open."""

    async def ask(self, question: Question, admit: Admit = at_will) -> Reply:
        return await self.online.ask(question, admit)

    async def request_line(
        self, key: str, question: Question, uri: str | None = None, mime: str = ""
    ) -> bytes:
        return json.dumps({"key": key, "request": {"prompt": question.prompt}}).encode() + b"\n"

    async def reply_of(self, response: dict[str, Any]) -> Reply:
        return _read(response)

    async def upload(self, name: str, path: Path, mime: str | None = None) -> tuple[str, str]:
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        await self._rest("GET", "uploaded", may_be_gone=True)  # its faults
        self.provider.upload(name, lines)
        return name, mime or ""

    async def result_lines(self, file: str) -> AsyncIterator[bytes]:
        await self._rest("GET", "download", may_be_gone=True)
        for line in list(self.provider.results.get(file, ())):
            yield line
            await self._rest("GET", "download", may_be_gone=True) if len(line) % 7 == 0 else None

    async def _rest(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        billed: Literal["no", "unknown"] = "no",
        may_be_gone: bool = False,
    ) -> Any:
        try:
            answer = await self.provider.rest(method, path, body, self._api.timeout_seconds)
        except Lost:
            raise Fault(Reason.SERVER_ERROR, "lost", retryable=True, billed=billed, trouble="down") from None
        if answer.status == 404 and may_be_gone:
            return None
        if answer.status != 200:
            raise fault_of(_ASKED, answer.status, answer.headers, answer.body)
        return answer.body
