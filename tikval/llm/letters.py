"""Many calls of an actor in one message: a message of Ray takes longer than most of what is asked.

A letter is answered once something is done that its sender asked for, or when the sender's next one comes: a call that
waits for money, or for its minute, holds up no other.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple

_LINGER_SECONDS: Final = 0.002  # of a letter and its answer, for what else comes in the same moment
Asked = tuple[int, str, tuple[Any, ...]]  # number, method, arguments
Answered = tuple[int, Any]  # number, result


class Raised(NamedTuple):
    """In place of a result."""

    err: Exception


class _Box:
    """What is there for one sender."""

    def __init__(self) -> None:
        self.running = set[asyncio.Task[None]]()
        self.done: list[Answered] = []
        self.wake = asyncio.Event()


class Answering:
    """An actor with asynchronous methods that takes letters."""

    async def letter(self, sender: str, asked: list[Asked]) -> list[Answered]:
        """Number and result of what is done by now of all that `sender` asked for."""
        boxes: dict[str, _Box] = self.__dict__.setdefault("_boxes", {})
        box = boxes.setdefault(sender, _Box())
        for number, name, values in asked:
            task = asyncio.create_task(self._do(box, number, name, values))
            box.running.add(task)
            task.add_done_callback(box.running.discard)
        box.wake.set()
        box.wake = wake = asyncio.Event()
        if not box.done:
            await wake.wait()
        await asyncio.sleep(_LINGER_SECONDS)
        done, box.done = box.done, []
        return done

    async def _do(self, box: _Box, number: int, name: str, values: tuple[Any, ...]) -> None:
        try:
            result = await getattr(self, name)(*values)
        except Exception as err:
            result = Raised(err)
        box.done.append((number, result))
        box.wake.set()


class Letters:
    """Calls of such an actor, for one event loop."""

    def __init__(self, send: Callable[[str, list[Asked]], Awaitable[list[Answered]]]) -> None:
        """`send`: sends a letter, and returns its answer."""
        self.send, self.me, self.numbers = send, secrets.token_hex(8), count()
        self.unsent: list[Asked] = []
        self.awaited: dict[int, asyncio.Future[Any]] = {}
        self.next: asyncio.Task[None] | None = None  # the letter that calls are added to
        self.out = set[asyncio.Task[None]]()

    async def ask(self, name: str, *values: Any) -> Any:
        """The result of one method. Raises what it raises, and what `send` raises where the actor is gone."""
        number = next(self.numbers)
        future = self.awaited[number] = asyncio.get_running_loop().create_future()
        self.unsent.append((number, name, values))
        self._begin()
        return await future

    def _begin(self) -> None:
        if self.next is None:
            self.next = asyncio.create_task(self._send())
            self.out.add(self.next)
            self.next.add_done_callback(self._back)

    async def _send(self) -> None:
        await asyncio.sleep(_LINGER_SECONDS)
        letter, self.unsent, self.next = self.unsent, [], None
        for number, result in await self.send(self.me, letter):
            future = self.awaited.pop(number)
            if future.done():  # whoever asked waits no more
                continue
            if isinstance(result, Raised):
                future.set_exception(result.err)
            else:
                future.set_result(result)

    def _back(self, letter: "asyncio.Task[None]") -> None:
        self.out.discard(letter)
        if letter.cancelled() or (err := letter.exception()) is None:
            if self.awaited and not self.out:
                self._begin()  # an empty one, which brings what is done next
            return
        lost, self.awaited = self.awaited, {}
        for future in lost.values():
            if not future.done():
                future.set_exception(err)


class ByLetters:
    """The methods of such an actor, to be awaited on one event loop."""

    def __init__(self, send: Callable[[str, list[Asked]], Awaitable[list[Answered]]]) -> None:
        """`send`: as Letters takes it."""
        self.letters = Letters(send)

    def __getattr__(self, method: str) -> Any:
        return partial(self.letters.ask, method)
