"""An event loop in virtual time whose only source of chance is a seed; and processes in it that can die at any step.

Callbacks run in the order that asyncio promises. What the seed decides is when anything from outside arrives: the end
of a thread's work, a server's reply, an actor's answer. A process is a name in the context that its tasks inherit: once
it is dead, none of its callbacks runs any more, no `finally` and no `except`, as after a kill -9.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, TypeVar

T = TypeVar("T")
OUTSIDE: Final = "outside"  # the servers, which no crash of ours stops
OWNER: Final = ContextVar("owner", default=OUTSIDE)
_LONGEST: Final = 14 * 86_400.0  # virtual seconds of a whole history
_MOST_STEPS: Final = 400_000


class Killed(Exception):  # noqa: N818
    """The driver's process is gone."""


class Stuck(Exception):  # noqa: N818
    """Nothing will ever happen any more, or it goes on for ever."""


class SimulatedLoop(asyncio.BaseEventLoop):
    def __init__(self, rng: random.Random, begin: float) -> None:
        """`begin`: seconds since the epoch at which the virtual time starts."""
        super().__init__()
        self.rng, self.begin, self.now, self.steps = rng, begin, begin, 0
        self.dead: set[str] = set()
        self.kill_at: int | None = None  # the step before which the driver dies
        self.thread_seconds: Callable[[], float] = lambda: 0.001
        self.tasks: list[Any] = []  # held, so that no dead one is collected, which would run its `finally`
        self.set_task_factory(self._made)
        self.set_exception_handler(lambda loop, context: None)  # of tasks whose caller is dead

    def time(self) -> float:
        return self.now

    def is_dead(self, owner: str) -> bool:
        return owner in self.dead or owner.partition("/")[0] in self.dead

    def kill(self, owner: str) -> None:
        """Nothing of this process, nor of those that it started, runs any more."""
        self.dead.add(owner)

    def outside(self, seconds: float, work: Callable[[], object]) -> None:
        """Do something in `seconds` that no crash stops."""
        context = Context()
        self.call_later(seconds, work, context=context)

    def start(self, owner: str, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """A task of a process."""
        context = copy_context()
        context.run(OWNER.set, owner)
        return self.create_task(work, context=context)

    def run_as(self, owner: str, work: Coroutine[Any, Any, T]) -> T:
        """What asyncio.run does, in a process of this loop. Raises Killed and Stuck."""
        task = self.start(owner, work)
        asyncio._set_running_loop(self)
        try:
            while not task.done():
                self._run_once()
        finally:
            asyncio._set_running_loop(None)
        return task.result()

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """A thread's work: it takes place at one moment between now and when its end is noticed."""
        future: asyncio.Future[T] = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except Exception as err:
                self.call_later(self.thread_seconds(), _end, future.set_exception, err, future)
            else:
                self.call_later(self.thread_seconds(), _end, future.set_result, result, future)

        self.call_later(self.thread_seconds(), work)
        return future

    def _made(self, loop: Any, work: Any, context: Context | None = None) -> Any:
        task = asyncio.Task(work, loop=self, context=context)
        self.tasks.append(task)
        return task

    def _write_to_self(self) -> None:
        """Nobody sleeps in a select."""

    def _run_once(self) -> None:
        """One callback; time passes only where none is ready."""
        ready: Any = self._ready  # type: ignore[attr-defined]
        timers: Any = self._scheduled  # type: ignore[attr-defined]
        while not ready:
            if not timers:
                raise Stuck("nobody waits for anything that will come")
            timer = heapq.heappop(timers)
            if not timer.cancelled() and not self.is_dead(timer._context.get(OWNER, OUTSIDE)):
                self.now = max(self.now, timer.when())
                ready.append(timer)
        handle = ready.popleft()
        owner = handle._context.get(OWNER, OUTSIDE)
        if handle.cancelled() or self.is_dead(owner):
            return
        self.steps += 1
        if self.kill_at is not None and self.steps >= self.kill_at:
            self.kill_at = None
            ready.appendleft(handle)  # it may be somebody else's
            raise Killed
        if self.steps > _MOST_STEPS or self.now - self.begin > _LONGEST:
            raise Stuck("it never ends")
        handle._run()

    def forget(self) -> None:
        """The end: coroutines that never ended are thrown away."""
        for task in self.tasks:
            task._log_destroy_pending = False
            if not task.done():
                with suppress(BaseException):
                    task.get_coro().close()
        self.tasks.clear()
        self._ready.clear()  # type: ignore[attr-defined]
        self._scheduled.clear()  # type: ignore[attr-defined]
        self.close()


class Remote:
    """An actor's handle: a call of a method travels, and runs over there also when whoever asked has died since."""

    def __init__(self, loop: SimulatedLoop, owner: str, target: Any) -> None:
        self._loop, self._owner, self._target = loop, owner, target

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **named: Any) -> Any:
            await asyncio.sleep(self._loop.rng.uniform(0, 0.01))
            work = self._loop.start(self._owner, getattr(self._target, name)(*args, **named))
            result = await asyncio.shield(work)
            await asyncio.sleep(self._loop.rng.uniform(0, 0.01))
            return result

        return call


def _end(how: Callable[[Any], None], what: Any, future: "asyncio.Future[Any]") -> None:
    if not future.done():
        how(what)
