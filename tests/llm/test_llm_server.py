"""The server that the tests of paid models ask, by raw HTTP alone: it does what its switches say."""

import base64
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.fixtures.llm_server import RATES, VIDEO_TOKENS, LlmServer, Rule, Trouble, serving

MODEL = "gemini-3.5-flash-lite"
RATE = RATES[MODEL]
ROOT = Path(__file__).parents[2]


class Got(NamedTuple):
    """A reply as it came; status 0: the connection broke."""

    status: int
    headers: dict[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


def send(url: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Got:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    try:
        connection.request(method, path, data, headers or {})
        reply = connection.getresponse()
        return Got(reply.status, dict(reply.headers), reply.read())
    except OSError:
        return Got(0, {}, b"")
    finally:
        connection.close()


def request(text: str, **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def generate(url: str, text: str = "What happens here?", *, model: str = MODEL, **more: Any) -> Got:
    return send(url, "POST", f"/v1beta/models/{model}:generateContent", request(text, **more))


def always(name: str, seconds: float = 0.0, **where: Any) -> LlmServer:
    return LlmServer(rules=[Rule(Trouble(name, seconds), **where)])


@contextmanager
def alone(*words: str) -> Iterator[str]:
    """The server in a process that has the standard library alone, and in which tikval cannot be imported."""
    absent = "import runpy, sys; sys.modules['tikval'] = None; "
    code = absent + "runpy.run_module('tests.fixtures.llm_server', None, '__main__')"
    command = [sys.executable, "-S", "-c", code, *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def test_it_runs_without_tikval_and_bills_in_its_journal_before_it_replies(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    with alone("--journal", str(journal)) as url:
        text = "wörds of four bytes each"
        reply = generate(url, text)
        [line] = [json.loads(line) for line in journal.read_text().splitlines()]
    usage = reply.json["usageMetadata"]
    assert usage["promptTokenCount"] == line["tokens_in"] == -(-len(text.encode()) // 4)
    out = usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
    assert line["tokens_out"] == out
    assert line["billed_usd"] == pytest.approx((line["tokens_in"] * 0.30 + out * 2.50) / 1e6)
    assert (line["kind"], line["model"], line["outcome"], line["route"]) == (
        "generate",
        MODEL,
        "ok",
        "online",
    )


def test_media_are_billed_from_their_bytes() -> None:
    inline = {"inlineData": {"mimeType": "video/mp4", "data": base64.b64encode(b"moving pictures").decode()}}
    body = {"systemInstruction": {"parts": [{"text": "sixteen letters."}]}, "contents": [{"parts": [inline]}]}
    with serving(LlmServer()) as fake:
        send(fake.url, "POST", f"/v1beta/models/{MODEL}:generateContent", body)
        fake.video_tokens = len
        send(fake.url, "POST", f"/v1beta/models/{MODEL}:generateContent", body)
    assert [call.tokens_in for call in fake.calls] == [4 + VIDEO_TOKENS, 4 + len(b"moving pictures")]
    assert fake.calls[0].billed_usd == pytest.approx(
        ((4 + VIDEO_TOKENS) * RATE.input + fake.calls[0].tokens_out * RATE.output) / 1e6
    )


def test_another_models_rates_may_bill_and_a_model_without_rates_is_free() -> None:
    with serving(LlmServer()) as fake:
        generate(fake.url, model="my-own")
        fake.model = MODEL
        generate(fake.url, model="my-own")
    assert fake.calls[0].billed_usd == 0 < fake.calls[1].billed_usd
