"""EndpointClient over real HTTP."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import pytest

from tests.fixtures.llm_server import LlmServer, Rule, Trouble, serving
from tikval.codebook import load_codebook
from tikval.config import Api, Endpoint, UserError
from tikval.llm.client import Fault, Question, Reply
from tikval.llm.endpoint import EndpointClient
from tikval.prompt_text import reply_schema
from tikval.rows import Reason

KEY = "sk-not-a-key-0123456789abcdef"
SCHEMA = reply_schema(load_codebook(Path(__file__).parents[2] / "prompts/codebook.yaml"))

T = TypeVar("T")


def with_client(
    fake: LlmServer,
    use: Callable[[EndpointClient], Awaitable[T]],
    *,
    key: str | None = KEY,
    schema: dict[str, Any] | None = None,
    system: str | None = None,
    timeout_seconds: float = 20,
    **changes: Any,
) -> T:
    """Serve, ask, close."""

    async def run() -> T:
        api = Api(base_url=f"{fake.url}/v1/", timeout_seconds=timeout_seconds)
        client = EndpointClient(Endpoint(model="qwen", **changes), api, key, schema, system=system)
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


def always(name: str, seconds: float = 0.0) -> LlmServer:
    return LlmServer(rules=[Rule(Trouble(name, seconds), kind="chat")])


def test_a_reply_comes_with_its_model_and_its_tokens() -> None:
    fake = LlmServer(cached_from=1)
    question = Question("What happens here?", pictures=(b"one", b"two"))

    async def twice(client: EndpointClient) -> Reply:
        await client.ask(question)
        return await client.ask(question)

    reply = with_client(fake, twice)
    call = fake.calls[-1]
    assert (reply.model_served, reply.reason) == ("qwen", None)
    assert reply.usage.tokens_in == call.tokens_in == 5 + 200
    assert reply.usage.tokens_cached == call.tokens_cached == 4
    assert reply.usage.tokens_out == call.tokens_out


def test_text_comes_first_then_the_pictures_in_order() -> None:
    fake = LlmServer()
    ask(fake, Question("Q", pictures=(b"one", b"two")), max_tokens=9, temperature=None, seed=3)
    [body] = fake.bodies
    assert {name: body[name] for name in ("model", "max_tokens", "seed")} == {
        "model": "qwen",
        "max_tokens": 9,
        "seed": 3,
    }
    assert "temperature" not in body
    assert "response_format" not in body
    [turn] = body["messages"]
    assert [part["type"] for part in turn["content"]] == ["text", "image_url", "image_url"]
    assert fake.headers[0]["Authorization"] == f"Bearer {KEY}"

    fake = LlmServer()
    ask(fake, Question("Q"), key=None)
    assert "Authorization" not in fake.headers[0]


def test_the_system_speaks_first_and_in_one_text() -> None:
    fake = LlmServer()
    ask(fake, Question("The post:", pictures=(b"one",)), system="The codebook.")
    first, turn = fake.bodies[0]["messages"]
    assert first == {"role": "system", "content": "The codebook."}
    assert (turn["role"], turn["content"][0]["text"]) == ("user", "The post:")


def test_the_schema_travels_whole_and_a_reply_fits_it() -> None:
    fake = LlmServer()
    reply = ask(fake, Question("Judge."), schema=SCHEMA)
    assert fake.bodies[-1]["response_format"]["json_schema"]["schema"] == SCHEMA
    jsonschema.validate(json.loads(reply.text), SCHEMA)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("safety", Reason.BLOCKED),
        ("max_tokens", Reason.TRUNCATED),
        ("other_finish", Reason.BAD_REPLY),
        ("empty_candidates", Reason.BAD_REPLY),
        ("no_text", Reason.BAD_REPLY),
    ],
)
def test_a_paid_reply_of_no_use_says_why(name: str, reason: Reason) -> None:
    fake = always(name)
    reply = ask(fake, Question("Q"))
    assert reply.reason is reason
    assert reply.usage.tokens_in > 0
    assert len(fake.calls) == 1


@pytest.mark.parametrize(
    ("name", "reason", "retryable", "billed", "after_seconds"),
    [
        ("rate_limited", Reason.RATE_LIMITED, True, "no", None),
        ("rate_limited_header", Reason.RATE_LIMITED, True, "no", 12.5),
        ("server_error", Reason.SERVER_ERROR, True, "unknown", None),
        ("unavailable", Reason.SERVER_ERROR, True, "no", None),
        ("reset", Reason.SERVER_ERROR, True, "unknown", None),
        ("half_json", Reason.BAD_REPLY, True, "unknown", None),
        ("html", Reason.BAD_REPLY, True, "unknown", None),
        ("empty", Reason.BAD_REPLY, True, "unknown", None),
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
    assert [call.outcome for call in fake.calls] == [name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unauthorized", "TIKVAL_ENDPOINT_KEY"),
        ("forbidden", "TIKVAL_ENDPOINT_KEY"),
        ("no_model", "no model 'qwen'"),
        ("redirect", "api.base_url"),  # not followed: the key would go along
    ],
)
def test_what_no_row_can_succeed_with_is_the_users(name: str, message: str) -> None:
    fake = always(name)
    with pytest.raises(UserError, match=message) as caught:
        ask(fake, Question("Q"))
    assert KEY not in str(caught.value)
    assert len(fake.headers) == 1


def test_a_slow_reply_times_out_once() -> None:
    found = fault(always("slow", 1.0), Question("Q"), timeout_seconds=0.3)
    assert (found.reason, found.retryable, found.billed) == (Reason.TIMEOUT, True, "unknown")


def test_a_server_that_is_not_there_was_not_paid() -> None:
    fake = LlmServer()
    with serving(fake):
        pass

    async def refused(address: str | None) -> None:
        client = EndpointClient(Endpoint(model="m"), Api(base_url=address), None, None)
        try:
            await client.ask(Question("Q"))
        finally:
            await client.close()

    with pytest.raises(Fault) as caught:
        asyncio.run(refused(f"{fake.url}/v1"))
    assert (caught.value.reason, caught.value.billed) == (Reason.SERVER_ERROR, "no")
    for address in (None, "nowhere", "ftp://nowhere/v1"):
        with pytest.raises(UserError, match=r"api\.base_url"):
            asyncio.run(refused(address))


def test_a_reply_without_end_is_cut_off() -> None:
    found = fault(LlmServer(answer=lambda ask: "x" * 9 * 2**20), Question("Q"))
    assert (found.reason, found.billed) == (Reason.BAD_REPLY, "unknown")
    assert "more than 8 MB" in found.detail


def test_many_are_under_way_at_once() -> None:
    fake = LlmServer(latency=2.0)

    async def many(client: EndpointClient) -> None:
        await asyncio.gather(*(client.ask(Question(f"question {n}")) for n in range(128)))

    with_client(fake, many)
    assert fake.most_at_once > 100  # the HTTP library's own limit


def test_the_server_of_these_tests_runs_alone(tmp_path: Path) -> None:
    journal = tmp_path / "calls.jsonl"
    command = [
        sys.executable,
        "-m",
        "tests.fixtures.llm_server",
        "--journal",
        str(journal),
        "--faults",
        "1",
        "--seed",
        "3",
    ]
    with subprocess.Popen(
        [*command, "--model", "gemini-3.8-flash"], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()

        async def run() -> list[str]:
            client = EndpointClient(Endpoint(model="m"), Api(base_url=f"{address}/v1"), None, None)
            replies = []
            for n in range(40):
                try:
                    replies.append((await client.ask(Question(f"Q{n % 20}"))).text)
                except Fault as found:
                    replies.append(found.reason)
            await client.close()
            return replies

        replies = asyncio.run(run())
        server.kill()
    calls = [json.loads(line) for line in journal.read_text().splitlines()]
    assert len(calls) == 40
    assert {call["outcome"] for call in calls[20:]} == {
        "ok"
    }  # the first call of each fails, the second does not
    assert "ok" not in {call["outcome"] for call in calls[:20]}
    assert len(set(replies[:20])) >= 3
    assert all(text.startswith("Genre") for text in replies[20:])
    assert all(call["billed_usd"] > 0 for call in calls[20:])
