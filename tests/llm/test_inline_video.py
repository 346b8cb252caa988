"""A video inside a request: the same bytes as the SDK would send, and never more than a piece of them in memory."""

import asyncio
import base64
import hashlib
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.fixtures.llm_server import LlmServer, serving
from tests.fixtures.llm_server.asks import sha_of
from tikval.config import Api, Gemini
from tikval.llm.client import Question
from tikval.llm.gemini import GeminiClient
from tikval.llm.inline_video import InlineVideo, put_video

CHUNK = 3 * 2**17


def request_of(data: bytes) -> httpx2.Request:
    """A request as the SDK makes it."""
    encoded = base64.urlsafe_b64encode(data).decode()
    parts = [{"text": "What happens?"}, {"inlineData": {"data": encoded, "mimeType": "video/mp4"}}]
    return httpx2.Request("POST", "http://localhost/", json={"contents": [{"parts": parts}]})


@pytest.mark.parametrize("size", [0, 1, 2, 3, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 7])
def test_the_bytes_are_those_of_the_file_and_come_piece_by_piece(size: int, tmp_path: Path) -> None:
    data = bytes(index * 7 % 251 for index in range(size))
    path = tmp_path / "video.mp4"
    path.write_bytes(data)

    async def main() -> None:
        with path.open("rb") as file, (video := InlineVideo(file)).sent():
            request = request_of(video.mark)
            await put_video(request)
            stream: Any = request.stream
            pieces = [piece async for piece in stream]
        assert b"".join(pieces) == request_of(data).content
        assert request.headers["Content-Length"] == str(sum(map(len, pieces)))
        assert max(map(len, pieces)) <= CHUNK * 4 // 3

    asyncio.run(main())


def test_a_request_of_another_task_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"moving pictures")

    async def main() -> None:
        other = request_of(b"a picture")
        stream = other.stream
        await put_video(other)
        with path.open("rb") as file, InlineVideo(file).sent():
            await put_video(other)  # as that of a deletion that begins meanwhile
        assert other.stream is stream

    asyncio.run(main())


def test_each_of_many_calls_sends_its_own_video(tmp_path: Path) -> None:
    """More of them than one pool of connections has."""
    files = [tmp_path / f"{n}.mp4" for n in range(40)]
    for n, file in enumerate(files):
        file.write_bytes(bytes([n]) * (100_000 + n))
    fake = LlmServer()

    async def main() -> None:
        client = GeminiClient(Gemini(model="gemini-3.8-flash", seed=0), Api(base_url=fake.url), "a-key", None)
        await asyncio.gather(*(client.ask(Question(f"Q{n}", str(file))) for n, file in enumerate(files)))
        await client.close()

    with serving(fake):
        asyncio.run(main())
    contents = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    asked = {sha_of(f"Q{n}".encode(), sha.encode(), b"0")[:16] for n, sha in enumerate(contents)}
    assert {call.key for call in fake.of("generate")} == asked, "each prompt with its own video"
