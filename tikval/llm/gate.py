"""One gate for all calls of one output folder: money is reserved and the minute's share taken before a call is sent.

    admit(call)  ->  reserve its most | wait for the limiter | write it down | go
    settle(call) ->  the reserve becomes what was paid, or stays where nobody can know

`calls.json` in the folder is written before any call goes: after a crash the next gate knows which calls were in the
air. Those whose reply lies in the ledger cost what it states; the others count as spent.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tikval.files import parse_json, read_bytes, write_bytes
from tikval.llm.ledger import Ledger
from tikval.llm.limiter import Taken, Window

_LOOK_SECONDS: Final = 1.0  # at the clock, while waiting: it may be set meanwhile
_RECOUNT_SECONDS: Final = 60.0  # that a call waits for money before the ledger is asked who has been paid
_ROUNDING: Final = 1e-9  # USD
Acquire = Callable[[int], Awaitable[float]]  # tokens -> when the request was admitted


class Gate(Protocol):
    """What a stage sees of it."""

    async def admit(self, call: str, usd: float, tokens: int) -> bool:
        """Wait until `call` may go; False where it might cost more than is left. `usd` is the most it can cost."""
        ...

    async def settle(self, call: str, usd: float | None, more_tokens: int = 0) -> None:
        """What the call cost; None: it may have been paid for or not, and counts as paid.

        `more_tokens`: of input than were taken from the minute when it was admitted.
        """
        ...


class Limiter:
    """The minute of one model, for all who ask for it."""

    def __init__(self) -> None:
        self.window = Window()
        self.turn = asyncio.Lock()

    async def acquire(self, tokens: int, per_minute: int, tokens_per_minute: int) -> float:
        """Wait for one request of `tokens`, first come, first served. Returns when it was admitted."""
        async with self.turn:
            while (wait := self.window.wait_seconds(time.time(), tokens, per_minute, tokens_per_minute)) > 0:
                await asyncio.sleep(min(wait, _LOOK_SECONDS))
            now = time.time()
            self.window.take(now, tokens)
            return now

    async def correct(self, more_tokens: int) -> None:
        self.window.take(time.time(), more_tokens, requests=0)

    async def seed(self, taken: list[Taken]) -> None:
        """Go on with the minute of a process that is gone."""
        self.window.seed(taken)


@dataclass
class Spent:
    """The account in calls.json."""

    settled_usd: float = 0  # paid, or counted as paid
    unknown_usd: float = 0  # of it, for calls whose outcome nobody knows
    calls: int = 0  # admitted
    estimate_usd: float | None = None  # before the first of them


def _key_of(call: str) -> str:
    """The ledger key that a call's name begins with."""
    return call.partition(".")[0]


def read_spent(folder: str) -> Spent | None:
    """The account of a folder; None where it never made a call."""
    data = read_bytes(f"{folder}/calls.json")
    return Spent(**parse_json(data, f"{folder}/calls.json")["spent"]) if data is not None else None


class FolderGate:
    """The Gate of a folder; one per folder at a time."""

    def __init__(
        self,
        folder: str,
        ledger: Ledger,
        budget_usd: float | None,
        acquire: Acquire,
        correct: Callable[[int], Awaitable[None]],
    ) -> None:
        """`acquire` and `correct` are the limiter's."""
        self.place, self.budget_usd, self.ledger = f"{folder}/calls.json", budget_usd, ledger
        self.acquire, self.correct = acquire, correct
        self.open: dict[str, float] = {}  # call -> the most it can cost
        self.given_up: dict[str, float] = {}  # calls of an actor that is taken for dead, likewise
        self.window = Window()
        self.spent = Spent()
        data = read_bytes(self.place)
        if data is not None:
            payload = parse_json(data, self.place)
            self.spent = Spent(**payload["spent"])
            self.window.seed(payload["window"])
            for call, usd in payload["open"].items():
                entry = ledger.get(_key_of(call))
                self._count(usd if entry is None else entry.cost_usd or 0, known=entry is not None)
                if entry is None:
                    self.given_up[call] = usd
        self.changed = asyncio.Condition()
        self.writing = asyncio.Lock()
        self.version = self.written = 0
        self.recounted_at = -_RECOUNT_SECONDS

    def recent(self) -> list[Taken]:
        """What was admitted in the last minute, also by gates of earlier processes."""
        return self.window.recent(time.time())

    async def expect(self, usd: float | None) -> None:
        """Keep the first estimate, to be read next to the bill."""
        if self.spent.estimate_usd is None:
            self.spent.estimate_usd = usd
            await self._write()

    async def admit(self, call: str, usd: float, tokens: int) -> bool:
        await self._give_up_others(call)
        first = call not in self.open  # a call may have to be sent twice
        if not await self._reserve(call, usd):
            return False
        try:
            when = await self.acquire(tokens)
            self.window.take(when, tokens)
            self.spent.calls += 1
            await self._write()
        except BaseException:  # it is not sent, and nobody would ever settle it
            if first:
                await self.settle(call, 0)
            raise
        return True

    async def _reserve(self, call: str, usd: float) -> bool:
        """Take the most that it can cost as soon as that fits; False where it cannot fit any more."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_RECOUNT_SECONDS), self.changed:
                    if call not in self.open:
                        # what others reserved may come back: wait for them before refusing
                        await self.changed.wait_for(
                            lambda: not self._fits_if_returned(usd) or self._fits(usd)
                        )
                    held = self.open.get(call, 0)
                    if usd > held and not self._fits(usd - held):
                        return False
                    self.open[call] = max(usd, held)
                    return True
            await self._settle_what_the_ledger_knows()

    async def settle(self, call: str, usd: float | None, more_tokens: int = 0) -> None:
        async with self.changed:
            self._take_back(call)
            reserved = self.open.pop(call, None)
            if reserved is not None:  # else it was settled before
                self._count(reserved if usd is None else usd, known=usd is not None)
            self.changed.notify_all()
        if more_tokens > 0:
            self.window.take(time.time(), more_tokens, requests=0)
            await self.correct(more_tokens)

    def _take_back(self, call: str) -> None:
        """Its actor is alive after all: what was counted as spent is a reserve again."""
        if call in self.given_up:
            self.open[call] = self.given_up.pop(call)
            self._count(-self.open[call], known=False)

    async def _give_up_others(self, call: str) -> None:
        """The same row asked by another actor: the first one died, and others must not wait for its reserve."""
        key = _key_of(call)
        async with self.changed:
            self._take_back(call)
            dead = [other for other in self.open if other != call and _key_of(other) == key]
            for other in dead:
                self.given_up[other] = self.open.pop(other)
                self._count(self.given_up[other], known=False)
            if dead:
                self.changed.notify_all()

    async def _settle_what_the_ledger_knows(self) -> None:
        """An actor may die after its reply was stored and before it said so; nobody asks for that row again."""
        if time.monotonic() - self.recounted_at < _RECOUNT_SECONDS:
            return  # one of those who wait is enough
        self.recounted_at = time.monotonic()
        for call in list(self.open):
            with suppress(OSError):  # of the store: whoever waits looks again
                entry = await asyncio.to_thread(self.ledger.get, _key_of(call))
                if entry is not None:
                    await self.settle(call, entry.cost_usd or 0)

    async def close(self) -> None:
        await self._write()

    def _count(self, usd: float, known: bool) -> None:
        # at least 0: what is taken off again may differ by a rounding from what was added
        self.spent.settled_usd = max(0.0, self.spent.settled_usd + usd)
        self.spent.unknown_usd = max(0.0, self.spent.unknown_usd + (0 if known else usd))

    def _fits_if_returned(self, usd: float) -> bool:
        return self.budget_usd is None or self.spent.settled_usd + usd <= self.budget_usd + _ROUNDING

    def _fits(self, usd: float) -> bool:
        return self.budget_usd is None or (
            self.spent.settled_usd + sum(self.open.values()) + usd <= self.budget_usd + _ROUNDING
        )

    async def _write(self) -> None:
        """Durable on return. Those who wait at the same time are written down together."""
        self.version += 1
        mine = self.version
        async with self.writing:
            if self.written >= mine:
                return
            version = self.version
            state: dict[str, Any] = {"spent": vars(self.spent), "open": self.open, "window": self.recent()}
            await asyncio.to_thread(write_bytes, self.place, json.dumps(state).encode())
            self.written = version
