"""Replies that are nested without end: a bad reply, whatever the server calls it, and never an exception."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tikval.config import Api, Endpoint, Gemini, UserError
from tikval.llm.client import Fault, Question, Reply
from tikval.llm.endpoint import EndpointClient
from tikval.llm.faults import is_deep
from tikval.llm.gemini import GeminiClient
from tikval.rows import Reason

KEY = "AIzaSy-not-a-key-0123456789"
DEPTHS = (400, 950, 100_000)
PLACES = {
    "the whole": "NESTED",
    "a list without end": "OPEN",
    "the text": '{"choices": [{"message": {"content": NESTED}, "finish_reason": "stop"}]}',
    "the finish": '{"choices": [{"message": {"content": "x"}, "finish_reason": NESTED}]}',
    "the model": '{"model": NESTED, "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}',
    "an error": '{"error": NESTED}',
    "its message": '{"error": {"message": NESTED}}',
    "its details": '{"error": {"code": 400, "message": "x", "details": [NESTED]}}',
    "a candidate": '{"candidates": [{"content": {"parts": [{"text": NESTED}]}, "finishReason": "STOP"}]}',
    "a part": '{"candidates": [{"content": {"parts": NESTED}, "finishReason": "STOP"}]}',
    "something else": '{"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP", "y": NESTED}]}',
}


@contextmanager
def serving(status: int, body: bytes) -> Iterator[str]:
    """The address of a server that has one reply for all."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def outcome_of(kind: str, url: str) -> Reply | Fault | UserError:
    async def run() -> Reply | Fault | UserError:
        client: Any
        if kind == "endpoint":
            client = EndpointClient(Endpoint(model="m"), Api(base_url=f"{url}/v1"), KEY, None)
        else:
            client = GeminiClient(Gemini(model="m"), Api(base_url=url), KEY, None)
        try:
            reply: Reply = await client.ask(Question("What happens here?"))
        except (Fault, UserError) as err:
            return err
        else:
            return reply
        finally:
            await client.close()

    return asyncio.run(run())


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("kind", ["endpoint", "gemini"])
def test_a_nested_reply_is_a_fault(kind: str, place: str, status: int) -> None:
    for depth in DEPTHS:
        body = place.replace("NESTED", "[" * depth + "]" * depth).replace("OPEN", '{"a":[' * depth)
        with serving(status, body.encode()) as url:
            outcome = outcome_of(kind, url)
        if isinstance(outcome, Reply):
            assert (kind, status) == ("gemini", 200)
            assert outcome.text == "x" or outcome.empty, "something that nobody reads"
        elif status == 200:
            assert getattr(outcome, "reason", None) is Reason.BAD_REPLY


def test_depth_is_told_without_a_stack() -> None:
    nested: Any = 1
    for _ in range(100_000):
        nested = {"a": nested}
    assert is_deep(nested)
    assert is_deep([1, {"x": nested}])
    assert not is_deep({"a": [{"b": [1, "x", None]}]})
