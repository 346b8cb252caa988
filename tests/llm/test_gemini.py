"""GeminiClient through google-genai's own client and real HTTP."""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import pytest

from tests.fixtures.llm_server import VIDEO_TOKENS, LlmServer, Rule, Trouble, serving
from tikval.codebook import load_codebook
from tikval.config import Api, Gemini, UserError
from tikval.llm.client import Fault, Question, Reply
from tikval.llm.gemini import GeminiClient
from tikval.prompt_text import render_prompt, reply_schema
from tikval.rows import Reason

KEY = "AIzaSy-not-a-key-0123456789"
MODEL = "gemini-3.8-flash"
ROOT = Path(__file__).parents[2]
SCHEMA = reply_schema(load_codebook(ROOT / "prompts/codebook.yaml"))

T = TypeVar("T")


def with_client(
    fake: LlmServer,
    use: Callable[[GeminiClient], Awaitable[T]],
    *,
    schema: dict[str, Any] | None = None,
    system: str | None = None,
    timeout_seconds: float = 20,
    inline_mb: float = 20,
    **changes: Any,
) -> T:
    """Serve, ask, close."""

    async def run() -> T:
        api = Api(base_url=fake.url, timeout_seconds=timeout_seconds, inline_mb=inline_mb)
        client = GeminiClient(Gemini(**{"model": MODEL, **changes}), api, KEY, schema, system=system)
        try:
            return await use(client)
        finally:
            await client.close()

    with serving(fake):
        return asyncio.run(run())


def ask(fake: LlmServer, question: Question, **settings: Any) -> Reply:
    return with_client(fake, lambda client: client.ask(question), **settings)


def fault(fake: LlmServer, question: Question, **settings: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        ask(fake, question, **settings)
    assert KEY not in str(caught.value)
    return caught.value


def always(name: str, seconds: float = 0.0, **where: Any) -> LlmServer:
    return LlmServer(rules=[Rule(Trouble(name, seconds), **where)])


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "jane_doe.mov"
    path.write_bytes(b"\0\1\2moving pictures" * 1000)
    return path


def test_a_reply_comes_with_its_model_and_its_tokens(video: Path) -> None:
    fake = LlmServer()
    reply = ask(fake, Question("What happens?", str(video)))
    assert reply.text.startswith("Genre: ")
    assert "hm" not in reply.text  # what the model thought
    assert (reply.model_served, reply.reason) == (MODEL, None)
    [call] = fake.of("generate")
    assert call.tokens_in == reply.usage.tokens_in == 4 + VIDEO_TOKENS
    assert call.tokens_sound == reply.usage.tokens_sound == 32
    assert call.tokens_out == reply.usage.tokens_out > 7
    assert call.billed_usd == fake.billed_usd() > 0
    assert call.content_sha == hashlib.sha256(video.read_bytes()).hexdigest()


def test_cached_tokens_are_counted() -> None:
    fake = LlmServer(cached_from=100)

    async def twice(client: GeminiClient) -> list[int]:
        return [(await client.ask(Question("x" * 4000 + end))).usage.tokens_cached for end in "ab"]

    assert with_client(fake, twice) == [0, 1000]


def test_the_prompt_stands_before_the_video_so_that_it_can_be_cached(video: Path) -> None:
    fake = LlmServer()
    ask(fake, Question("What happens?", str(video)))
    [body] = fake.bodies
    [turn] = body["contents"]
    assert turn["role"] == "user"
    assert [next(iter(part)) for part in turn["parts"]] == ["text", "inlineData"]
    assert turn["parts"][1]["inlineData"]["mimeType"] == "video/quicktime"


def test_the_system_instruction_is_the_same_in_each_call_and_counts_as_prompt(video: Path) -> None:
    fake = LlmServer(cached_from=100)
    system = "Judge by this codebook.\n" * 100

    async def twice(client: GeminiClient) -> list[Reply]:
        return [await client.ask(Question(f"The post: {name}", str(video))) for name in "ab"]

    replies = with_client(fake, twice, system=system)
    assert [body["systemInstruction"]["parts"] for body in fake.bodies] == [[{"text": system}]] * 2
    assert [body["contents"][0]["parts"][0]["text"] for body in fake.bodies] == ["The post: a", "The post: b"]
    assert [reply.usage.tokens_cached >= len(system) // 4 for reply in replies] == [False, True]

    ask(plain := LlmServer(), Question("Q"))
    assert "systemInstruction" not in plain.bodies[0]


def test_parameters_travel_and_those_left_out_do_not() -> None:
    fake = LlmServer()
    ask(
        fake,
        Question("Q"),
        model="gemini-3.5-flash",
        temperature=0,
        max_tokens=99,
        thinking_level="low",
        media_resolution="low",
        seed=7,
    )
    sent = fake.bodies[-1]["generationConfig"]
    assert sent == {
        "temperature": 0.0,
        "seed": 7,
        "maxOutputTokens": 99,
        "thinkingConfig": {"thinkingLevel": "LOW"},
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
    }
    assert {setting["threshold"] for setting in fake.bodies[-1]["safetySettings"]} == {"OFF"}
    assert len(fake.bodies[-1]["safetySettings"]) == 4

    fake = LlmServer()
    ask(fake, Question("Q"), temperature=None, seed=None, thinking_tokens=0, block_none=False)
    assert fake.bodies[-1]["generationConfig"] == {
        "maxOutputTokens": 16_384,
        "thinkingConfig": {"thinkingBudget": 0},
    }
    assert "safetySettings" not in fake.bodies[-1]
    with pytest.raises(ValueError, match="not both"):
        Gemini(model=MODEL, thinking_tokens=0, thinking_level="low")


def test_the_schema_travels_whole_and_a_reply_fits_it() -> None:
    fake = LlmServer()
    reply = ask(fake, Question("Judge."), schema=SCHEMA)
    sent = fake.bodies[-1]["generationConfig"]
    assert sent["responseJsonSchema"] == SCHEMA
    assert sent["responseMimeType"] == "application/json"
    jsonschema.validate(json.loads(reply.text), SCHEMA)


def test_the_paper_format_is_answered_too() -> None:
    template = (ROOT / "prompts/extract.txt").read_text()
    book = load_codebook(ROOT / "prompts/codebook.yaml")
    prompt = render_prompt(book, template, "video", examples_per_value=0, answer="figure6")
    payload = json.loads(ask(LlmServer(), Question(prompt)).text)
    assert len(payload) == 19 + 2
    assert {value for key, value in payload.items() if key.endswith("_values")} == {
        "present",
        "conflict",
        None,
    }


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("blocked_prompt", Reason.BLOCKED, "prompt: PROHIBITED_CONTENT"),
        ("safety", Reason.BLOCKED, "reply: SAFETY"),
        ("max_tokens", Reason.TRUNCATED, "MAX_TOKENS"),
        ("other_finish", Reason.BAD_REPLY, "MALFORMED_RESPONSE"),
    ],
)
def test_a_paid_reply_of_no_use_says_why(name: str, reason: Reason, detail: str) -> None:
    fake = always(name)
    reply = ask(fake, Question("Q"))
    assert reply.reason is reason
    assert detail in str(reply.detail)
    assert reply.usage.tokens_in > 0
    assert len(fake.calls) == 1


@pytest.mark.parametrize(("name", "known"), [("empty", False), ("empty_candidates", True), ("no_text", True)])
def test_what_was_served_is_a_reply_also_where_there_is_nothing_in_it(name: str, known: bool) -> None:
    fake = always(name)
    reply = ask(fake, Question("Q"))
    assert (reply.empty, reply.usage.known) == (True, known)
    assert len(fake.calls) == 1


def test_another_model_is_named() -> None:
    assert ask(always("wrong_model"), Question("Q")).model_served == "gemini-other"


@pytest.mark.parametrize(
    ("name", "reason", "retryable", "billed", "after_seconds"),
    [
        ("rate_limited", Reason.RATE_LIMITED, True, "no", None),
        ("rate_limited_info", Reason.RATE_LIMITED, True, "no", 12.5),
        ("rate_limited_header", Reason.RATE_LIMITED, True, "no", 12.5),
        ("rate_limited_day", Reason.RATE_LIMITED, True, "no", 12.5),
        ("server_error", Reason.SERVER_ERROR, True, "unknown", None),
        ("bad_gateway", Reason.SERVER_ERROR, True, "unknown", None),
        ("unavailable", Reason.SERVER_ERROR, True, "no", None),
        ("deadline", Reason.SERVER_ERROR, True, "unknown", None),
        ("reset", Reason.SERVER_ERROR, True, "unknown", None),
        ("half_json", Reason.BAD_REPLY, True, "unknown", None),
        ("html", Reason.BAD_REPLY, True, "unknown", None),
        ("odd_json", Reason.BAD_REPLY, True, "unknown", None),
        ("rejected", Reason.REJECTED, False, "no", None),
        ("too_long", Reason.TOO_MANY_TOKENS, False, "no", None),
        ("echo", Reason.REJECTED, False, "no", None),
    ],
)
def test_every_fault_is_told_apart_and_asked_for_once(
    name: str, reason: Reason, retryable: bool, billed: str, after_seconds: float | None
) -> None:
    fake = always(name, 12.5)
    found = fault(fake, Question("Q"))
    assert (found.reason, found.retryable, found.billed) == (reason, retryable, billed)
    assert found.after_seconds == after_seconds
    assert [call.outcome for call in fake.calls] == [name]  # no retry that nobody sees


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bad_key", "GEMINI_API_KEY"),
        ("unauthorized", "GEMINI_API_KEY"),
        ("forbidden", "GEMINI_API_KEY"),
        ("no_model", f"no model '{MODEL}'"),
        ("redirect", "api.base_url"),
    ],
)
def test_what_no_row_can_succeed_with_is_the_users(name: str, message: str) -> None:
    fake = always(name)
    with pytest.raises(UserError, match=message) as caught:
        ask(fake, Question("Q"))
    assert KEY not in str(caught.value)
    assert len(fake.calls) == 1


def test_a_slow_reply_times_out_once() -> None:
    fake = always("slow", 1.5)
    began = time.monotonic()
    found = fault(fake, Question("Q"), timeout_seconds=0.4)
    assert (found.reason, found.retryable, found.billed) == (Reason.TIMEOUT, True, "unknown")
    assert time.monotonic() - began < 1.4
    time.sleep(1.5)
    assert len(fake.calls) == 1


def test_a_server_that_is_not_there_was_not_paid() -> None:
    fake = LlmServer()
    with serving(fake):
        pass
    client = GeminiClient(Gemini(model=MODEL), Api(base_url=fake.url), KEY, None)
    with pytest.raises(Fault) as caught:
        asyncio.run(client.ask(Question("Q")))
    assert (caught.value.reason, caught.value.billed) == (Reason.SERVER_ERROR, "no")
    wrong = GeminiClient(Gemini(model=MODEL), Api(base_url="ftp://nowhere"), KEY, None)
    with pytest.raises(UserError, match="base_url"):
        asyncio.run(wrong.ask(Question("Q")))


def test_a_large_video_goes_by_the_files_api_and_is_deleted(video: Path) -> None:
    fake = LlmServer(processing=2)
    reply = ask(fake, Question("What happens?", str(video)), inline_mb=0.01)
    assert reply.reason is None
    assert [call.kind for call in fake.calls] == ["upload", "file", "file", "file", "generate", "delete"]
    sha = hashlib.sha256(video.read_bytes()).hexdigest()
    assert {call.content_sha for call in fake.of("upload") + fake.of("generate")} == {sha}
    assert not fake.files
    assert not any("jane_doe" in json.dumps(headers) for headers in fake.headers)

    fake = LlmServer()
    ask(fake, Question("What happens?", str(video)))
    assert [call.kind for call in fake.calls] == ["generate"]


@pytest.mark.parametrize("name", ["safety", "server_error", "reset", "half_json", "rejected", "no_model"])
def test_a_file_is_deleted_whatever_becomes_of_the_call(video: Path, name: str) -> None:
    fake = always(name)
    try:
        ask(fake, Question("Q", str(video)), inline_mb=0)
    except (Fault, UserError):
        assert name != "safety"
    assert [call.kind for call in fake.calls] == ["upload", "generate", "delete"]
    assert not fake.files


def test_a_file_is_deleted_when_the_call_is_cancelled(video: Path) -> None:
    fake = LlmServer(latency=0.6)

    async def cancelled(client: GeminiClient) -> None:
        task = asyncio.create_task(client.ask(Question("Q", str(video))))
        while not fake.at_once and not task.done():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with_client(fake, cancelled, inline_mb=0)
    assert not fake.files


def test_a_file_that_stays_in_processing_times_out(video: Path) -> None:
    fake = always("stuck_file", kind="upload")
    found = fault(fake, Question("Q", str(video)), inline_mb=0, timeout_seconds=0.6)
    assert (found.reason, found.retryable, found.billed) == (Reason.TIMEOUT, True, "no")
    assert "PROCESSING" in found.detail
    assert not fake.of("generate")
    assert not fake.files


def test_a_file_that_the_server_cannot_read_is_rejected(video: Path) -> None:
    found = fault(always("failed_file", kind="upload"), Question("Q", str(video)), inline_mb=0)
    assert (found.reason, found.retryable, found.billed) == (Reason.REJECTED, False, "no")
    assert "The video is broken." in found.detail


def test_a_file_that_expired_is_uploaded_once_more(video: Path) -> None:
    fake = always("expired_file", first=1)
    assert ask(fake, Question("Q", str(video)), inline_mb=0).reason is None
    assert sorted(call.kind for call in fake.calls) == [
        "delete",
        "delete",
        "generate",
        "generate",
        "upload",
        "upload",
    ]

    fake = always("expired_file")
    found = fault(fake, Question("Q", str(video)), inline_mb=0)
    assert (found.reason, found.retryable, found.billed) == (Reason.SERVER_ERROR, True, "no")
    assert len(fake.of("generate")) == 2


def test_a_video_that_is_gone_is_named(tmp_path: Path) -> None:
    fake = LlmServer()
    found = fault(fake, Question("Q", str(tmp_path / "gone.mp4")))
    assert (found.reason, found.billed) == (Reason.MISSING_FILE, "no")
    assert not fake.calls


def test_many_are_under_way_at_once(caplog: pytest.LogCaptureFixture) -> None:
    fake = LlmServer(latency=2.0)

    async def many(client: GeminiClient) -> None:
        await asyncio.gather(*(client.ask(Question(f"question {n}")) for n in range(128)))

    with caplog.at_level(logging.DEBUG):
        with_client(fake, many)
    assert fake.most_at_once > 100  # the HTTP library's own limit
    assert len(fake.calls) == 128
    assert KEY not in caplog.text
    assert "question 7" not in "".join(r.getMessage() for r in caplog.records if r.levelno >= logging.INFO)
