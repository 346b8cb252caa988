"""When the next call of a model may go: its minute, and what other calls have met.

How many requests and tokens a server takes in any minute is a window that rolls, not a bucket that refills: a bucket of
n that refills at n a minute lets 2n through in the first minute; servers count what they took in the last 60 seconds.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from tikval.config import Api
from tikval.llm.breaker import Breaker, Met, Pace, Stop

Taken = tuple[float, int, int]  # when, requests, tokens
SECONDS: Final = 61.0  # one more than a minute: a request reaches the server a little after it was admitted
_LOOK_SECONDS: Final = 1.0  # at the clock, while waiting: it may be set meanwhile


@dataclass
class Window:
    """What was admitted in the last minute. Times are seconds since the epoch, so that a later process can go on.

    `grain`: what was admitted in the same so many seconds is one entry, as of the last of it; 0: each is its own.
    """

    grain: float = 0.0
    taken: deque[Taken] = field(default_factory=deque)  # oldest first
    requests: int = 0
    tokens: int = 0

    def wait_seconds(self, now: float, tokens: int, per_minute: int, tokens_per_minute: int) -> float:
        """How long until one more request of `tokens` may go; 0: now.

        A request larger than a minute's tokens goes alone.
        """
        self._forget(now)
        requests, sum_tokens = self.requests, self.tokens
        if self._fits(requests, sum_tokens, tokens, per_minute, tokens_per_minute):
            return 0.0
        for when, freed, freed_tokens in self.taken:
            requests, sum_tokens = requests - freed, sum_tokens - freed_tokens
            if self._fits(requests, sum_tokens, tokens, per_minute, tokens_per_minute):
                return max(when + SECONDS - now, 0.001)
        raise AssertionError("an empty window takes any request")

    @staticmethod
    def _fits(requests: int, held: int, tokens: int, per_minute: int, tokens_per_minute: int) -> bool:
        return requests < per_minute and (held + tokens <= tokens_per_minute or held == 0)

    def take(self, now: float, tokens: int, requests: int = 1) -> None:
        """Add tokens; `requests` 0: of a request that was admitted before, and turned out to be longer."""
        self.requests += requests
        self.tokens += tokens
        if self.grain and self.taken and now // self.grain == self.taken[-1][0] // self.grain:
            last, more, more_tokens = self.taken.pop()
            now, requests, tokens = max(now, last), requests + more, tokens + more_tokens
        self.taken.append((now, requests, tokens))

    def move(self, taken: float, to: float, tokens: int) -> None:
        """A request that was admitted at `taken` is sent later than it should: it counts from then on."""
        for place in reversed(range(len(self.taken))):
            when, requests, held = self.taken[place]
            same = when // self.grain == taken // self.grain if self.grain else when == taken
            if same and requests and held >= tokens:
                self.taken[place] = when, requests - 1, held - tokens
                if not requests - 1 and held == tokens:
                    del self.taken[place]
                self.requests, self.tokens = self.requests - 1, self.tokens - tokens
                break
        self.take(to, tokens)

    def seed(self, taken: Iterable[Sequence[float]]) -> None:
        """Add what another process admitted, as far as it is not known here."""
        known = set(self.taken)
        for when, requests, tokens in taken:
            if (when, requests, tokens) not in known:
                self.take(when, int(tokens), int(requests))
        self.taken = deque(sorted(self.taken))

    def recent(self, now: float) -> list[Taken]:
        self._forget(now)
        return list(self.taken)

    def _forget(self, now: float) -> None:
        while self.taken and self.taken[0][0] <= now - SECONDS:
            _, requests, tokens = self.taken.popleft()
            self.requests -= requests
            self.tokens -= tokens


def unsure_of(taken: Sequence[Taken], calls: int) -> tuple[Sequence[Taken], Sequence[Taken]]:
    """What was admitted, oldest first, without and with the newest of `calls` that were out when this was written.

    A call is sent once it is written down, which a slow disk makes later than it was admitted, and nobody may have
    lived to write how much later.
    """
    place = len(taken)
    while place and calls > 0:
        place -= 1
        calls -= taken[place][1]
    return taken[:place], taken[place:]


def pace_of(api: Api) -> Pace:
    """The pace that a configuration allows."""
    return Pace(
        api.requests_per_minute,
        api.tokens_per_minute,
        api.timeout_seconds,
        api.longest_wait_seconds,
        60 * api.outage_minutes,
    )


class ModelLimiter(Protocol):
    """What a gate sees of the limiter of its model."""

    async def acquire(self, call: str, tokens: int) -> float | Stop:
        """Wait until `call` may go. Returns when it was admitted, or why no call is any more."""
        ...

    async def late(self, when: float, seconds: float, tokens: int) -> None:
        """A call that was admitted at `when` is sent so many seconds later, and counts from then on."""
        ...

    async def ended(self, call: str, met: Met, more_tokens: int) -> bool:
        """A call came back; `more_tokens`: of input than were taken from the minute when it was admitted.

        True where what it met is the model's fault and not the row's.
        """
        ...


class Limiter:
    """The minute and the breaker of one model, for all who ask for it."""

    def __init__(self) -> None:
        self.window, self.breaker, self.since = Window(), Breaker(), time.time()
        self.turn, self.came_back = asyncio.Lock(), asyncio.Event()

    async def acquire(self, call: str, tokens: int, pace: Pace) -> float | Stop:
        """Wait for one request of `tokens`, first come, first served. Returns when it was admitted, or why not."""
        async with self.turn:
            while True:
                self.came_back.clear()
                now = time.time()
                if self.breaker.stopped:
                    return self.breaker.stopped
                wait = self.window.wait_seconds(now, tokens, pace.per_minute, pace.tokens_per_minute)
                if (wait := max(wait, self.breaker.wait_seconds(now))) <= 0:
                    break
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.came_back.wait(), min(wait, _LOOK_SECONDS))
            self.window.take(now, tokens)
            self.breaker.let_go(now, call, pace)
            return now

    async def late(self, when: float, seconds: float, tokens: int) -> None:
        """What ModelLimiter.late does."""
        self.window.move(when, when + seconds, tokens)

    async def ended(self, call: str, met: Met, more_tokens: int, pace: Pace) -> bool:
        """A call came back; returns what ModelLimiter.ended does."""
        if more_tokens > 0:
            self.window.take(time.time(), more_tokens, requests=0)
        models_fault = self.breaker.ended(time.time(), call, met, pace)
        self.came_back.set()
        return models_fault

    async def begin(self, taken: Sequence[Taken], unsure: Sequence[Taken] = ()) -> None:
        """A run begins: go on with the minute of a process that is gone, and forget what stopped an earlier run.

        `unsure`: what that process may have sent at any time until now.
        """
        # later ones it admitted itself
        self.window.seed(entry for entry in taken if entry[0] < self.since)
        for when, requests, tokens in unsure:
            if when < self.since:
                self.window.take(time.time(), tokens, requests)
        self.breaker.try_again()


class LocalLimiter:
    """The limiter of a model that only one process asks: a ModelLimiter without an actor."""

    def __init__(self, limiter: Limiter, api: Api) -> None:
        self.limiter, self.pace = limiter, pace_of(api)

    async def acquire(self, call: str, tokens: int) -> float | Stop:
        return await self.limiter.acquire(call, tokens, self.pace)

    async def late(self, when: float, seconds: float, tokens: int) -> None:
        await self.limiter.late(when, seconds, tokens)

    async def ended(self, call: str, met: Met, more_tokens: int) -> bool:
        return await self.limiter.ended(call, met, more_tokens, self.pace)
