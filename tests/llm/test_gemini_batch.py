"""The client of batch jobs over real HTTP: what it finds, what it reads, and what each fault becomes."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.batch_run import KEY, LLM, api_of
from tests.fixtures.llm_server import LlmServer, Rule, Trouble, serving
from tests.fixtures.llm_server.batches import finish
from tikval.config import UserError
from tikval.llm.client import Fault, Question
from tikval.llm.gemini_batch import GeminiBatches, RemoteJob, ResultLine, parse_result, remote_job_of
from tikval.rows import Reason

T = TypeVar("T")


def use(fake: LlmServer, work: Callable[[GeminiBatches], Awaitable[T]], **settings: Any) -> T:
    async def run() -> T:
        client = GeminiBatches(LLM, api_of(fake.url, **settings), KEY, None)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(run())


async def made(client: GeminiBatches, place: Path, n: int = 2, label: str = "tikval-1") -> RemoteJob:
    """A job of some questions."""
    lines = [await client.request_line(f"{i:032x}", Question(f"Question {i}")) for i in range(n)]
    place.write_bytes(b"".join(lines))
    name = f"files/tikval-{len(label)}-{label[-3:].strip('-')}"
    await client.upload(name, place, "jsonl")
    return await client.create(name, label)


async def lines_of(client: GeminiBatches, file: str) -> list[bytes]:
    return [line async for line in client.result_lines(file)]


def test_a_job_is_made_found_read_and_deleted(tmp_path: Path) -> None:
    async def work(client: GeminiBatches) -> None:
        job = await made(client, tmp_path / "requests")
        assert (job.display_name, job.state, job.ended) == ("tikval-1", "PENDING", False)
        assert await client.find("tikval-1") == job
        assert await client.find("tikval-2") is None
        finish(fake, fake.jobs[job.name])
        done = await client.look(job.name)
        assert done is not None
        assert done.results is not None
        assert (done.state, done.ended, done.succeeded, done.error) == ("SUCCEEDED", True, 2, None)
        lines = await lines_of(client, done.results)
        found = [parse_result(line) for line in lines]
        assert [result.key if result else None for result in found] == [f"{i:032x}" for i in range(2)]
        assert found[0] is not None
        assert found[0].response is not None
        reply = await client.reply_of(found[0].response)
        assert reply.text.startswith("Genre: ")
        assert (reply.model_served, reply.usage.known, reply.reason) == (LLM.model, True, None)
        await client.delete_job(job.name)
        assert await client.look(job.name) is None
        await client.delete_file(done.results)
        await client.delete_file(done.results)
        assert await lines_of(client, done.results) == []

    with serving(LlmServer(batch_seconds=None)) as fake:
        use(fake, work)


def test_a_job_is_found_on_a_later_page(tmp_path: Path) -> None:
    async def work(client: GeminiBatches) -> None:
        first = await made(client, tmp_path / "requests")
        job = fake.jobs[first.name]
        for i in range(230):
            fake.jobs[f"batches/{i}"] = type(job)(f"batches/{i}", job.model, f"other-{i}", [], False, {}, 0.0)
        assert await client.find("tikval-1") == first

    with serving(LlmServer(batch_seconds=None)) as fake:
        use(fake, work)


@pytest.mark.parametrize(
    ("name", "reason", "billed"),
    [
        ("rejected", Reason.REJECTED, "no"),
        ("rate_limited", Reason.RATE_LIMITED, "no"),
        ("spending_cap", Reason.RATE_LIMITED, "no"),
        ("unavailable", Reason.SERVER_ERROR, "no"),
        ("server_error", Reason.SERVER_ERROR, "unknown"),
        ("deadline", Reason.SERVER_ERROR, "unknown"),
        ("reset", Reason.SERVER_ERROR, "unknown"),
        ("reset_before", Reason.SERVER_ERROR, "unknown"),
        ("echo", Reason.REJECTED, "no"),
    ],
)
def test_a_job_that_is_not_made_is_a_fault(name: str, reason: Reason, billed: str, tmp_path: Path) -> None:
    with (
        serving(LlmServer(rules=[Rule(Trouble(name), kind="batch")])) as fake,
        pytest.raises(Fault) as caught,
    ):
        use(fake, lambda client: made(client, tmp_path / "requests"))
    assert (caught.value.reason, caught.value.billed) == (reason, billed)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "kind", ["batches", "batch_get", "batch_cancel", "batch_delete", "delete", "download"]
)
@pytest.mark.parametrize("name", ["unavailable", "reset_before", "unauthorized"])
def test_what_the_server_does_not_answer_is_no_answer(kind: str, name: str) -> None:
    work: dict[str, Callable[[GeminiBatches], Awaitable[Any]]] = {
        "batches": lambda client: client.find("tikval-1"),
        "batch_get": lambda client: client.look("batches/1"),
        "batch_cancel": lambda client: client.cancel("batches/1"),
        "batch_delete": lambda client: client.delete_job("batches/1"),
        "delete": lambda client: client.delete_file("files/tikval-1"),
        "download": lambda client: lines_of(client, "files/1"),
    }
    expected = UserError if name == "unauthorized" else Fault
    with (
        serving(LlmServer(rules=[Rule(Trouble(name), kind=kind)])) as fake,
        pytest.raises(expected) as caught,
    ):
        use(fake, work[kind])
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"key": "a", "response": {"candidates": []}}', ResultLine("a", {"candidates": []}, None)),
        (
            b'{"key": "a", "error": {"code": 13, "message": "Internal"}}',
            ResultLine("a", None, (Reason.SERVER_ERROR, "by batch: 13 Internal")),
        ),
        (
            b'{"key": "a", "error": {"code": 8, "message": ""}}',
            ResultLine("a", None, (Reason.RATE_LIMITED, "by batch: 8")),
        ),
        (
            b'{"key": "a", "error": {"code": 3}}',
            ResultLine("a", None, (Reason.REJECTED, "by batch: 3")),
        ),
        (b'{"key": "a", "response": {"candi', None),
        (b'{"key": 5, "response": {"a": 1}}', None),
        (b'{"key": "a", "response": null}', None),
        (b'{"key": "a", "response": {}}', None),
        (b'{"key": "a"}', None),
        (b'["a"]', None),
        (b"\xff\xfe", None),
        (b'{"key": "a", "response": ' + b"[" * 100_000, None),
    ],
)
def test_a_line_of_replies(line: bytes, expected: ResultLine | None) -> None:
    assert parse_result(line) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)
NAMES = [
    "name",
    "metadata",
    "state",
    "output",
    "response",
    "responsesFile",
    "error",
    "code",
    "batchStats",
    "done",
]
COUNTS = ["requestCount", "successfulRequestCount", "failedRequestCount", "pendingRequestCount"]


LINES = st.dictionaries(st.sampled_from(["key", "response", "error"]), JSON)


@given(st.binary(max_size=60) | LINES.map(lambda line: json.dumps(line).encode()))
def test_no_line_of_replies_breaks_the_reader(line: bytes) -> None:
    found = parse_result(line)
    assert found is None or (found.response is None) is not (found.error is None)


PARTS = st.dictionaries(st.sampled_from([*NAMES, *COUNTS]), JSON)


@given(st.dictionaries(st.sampled_from([*NAMES, *COUNTS]), JSON | PARTS))
def test_no_description_of_a_job_breaks_the_reader(payload: dict[str, Any]) -> None:
    job = remote_job_of(payload)
    assert job.succeeded is None or job.succeeded >= 0


@pytest.mark.parametrize(
    ("stats", "succeeded"),
    [
        ({}, None),
        ({"requestCount": "9"}, 9),
        ({"requestCount": "9", "successfulRequestCount": "4"}, 4),
        ({"requestCount": "9", "failedRequestCount": "9"}, 0),
        ({"requestCount": "9", "pendingRequestCount": "7", "failedRequestCount": "1"}, 1),
    ],
)
def test_counts_that_are_left_out_are_none(stats: dict[str, str], succeeded: int | None) -> None:
    assert remote_job_of({"metadata": {"batchStats": stats}}).succeeded == succeeded
