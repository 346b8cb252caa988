"""A video inside a request's JSON, read from its file as the request goes out: its bytes are never held as a whole.

The SDK would hold them three times: as they are, in base64, and in the request. It is given a mark in their place.
"""

import asyncio
import base64
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import IO, Any, Final

_CHUNK: Final = 3 * 2**17  # bytes; a multiple of 3, as base64 takes them
_SENT: ContextVar["InlineVideo | None"] = ContextVar("tikval_inline_video", default=None)


class InlineVideo:
    """An open file, and the bytes that the SDK takes for it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.mark = file, secrets.token_bytes(24)

    @contextmanager
    def sent(self) -> Iterator[None]:
        """The request that this task makes meanwhile carries the file."""
        token = _SENT.set(self)
        try:
            yield
        finally:
            _SENT.reset(token)


async def put_video(request: Any) -> None:
    """The hook of an httpx2 client: puts the file where the mark is."""
    import httpx2

    video = _SENT.get()
    if video is None:
        return
    before, found, after = request.content.partition(base64.urlsafe_b64encode(video.mark))
    if not found:
        return

    file = video.file

    class Body(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield before
            file.seek(0)
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield base64.urlsafe_b64encode(chunk)
            yield after

    size = os.fstat(file.fileno()).st_size
    request.headers["Content-Length"] = str(len(before) + 4 * -(-size // 3) + len(after))
    request.stream = Body()
