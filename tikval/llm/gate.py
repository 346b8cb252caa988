"""One gate for all calls of one output folder: money is reserved and the minute's share taken before a call is sent.

    admit(call)  ->  reserve its most | wait for the limiter | write it down | go
    settle(call) ->  the reserve becomes what was paid, or stays where nobody can know

`calls.json` in the folder is written before any call goes: after a crash the next gate knows which calls were in the
air. Those whose reply lies in the ledger cost what it states; the others count as spent.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Protocol

from tikval.files import parse_json, read_bytes, write_bytes
from tikval.llm.breaker import Met, Stop
from tikval.llm.cache import MakeCache
from tikval.llm.ledger import Entry, Ledger
from tikval.llm.limiter import SECONDS, ModelLimiter, Taken, Window, unsure_of
from tikval.store.shards import merged_usd

_RECOUNT_SECONDS: Final = 60.0  # that a call waits for money before the ledger is asked who has been paid
_HALT_SECONDS: Final = 30.0  # that calls which are out have to come back
_GRAIN_SECONDS: Final = (
    1.0  # of the minute as it is written down: thousands of calls would be thousands of lines
)
_SETTLED_SECONDS: Final = (
    0.25  # that the account of what came back may be behind: only new calls are waited for
)
_ON_TIME_SECONDS: Final = SECONDS - 60  # from its admission until a call is sent
_REMEMBERED: Final = 100_000  # calls that came back: some row may have looked into the ledger before
_ROUNDING: Final = 1e-9  # USD
_UNKNOWN: Final = Met("unknown")


class Admission(NamedTuple):
    """Whether a call may go."""

    go: bool
    stop: Stop | None = None  # why no call is made any more; None where this one alone might cost too much
    cache: str | None = None  # the server's name of a cache that holds the system instruction
    again: bool = (
        False  # another row's call for the same reply has just come back: look into the ledger first
    )


class Served(NamedTuple):
    """What a reply says of its prompt."""

    tokens_in: int
    tokens_cached: int  # of them
    saved_usd: float  # by what was cached


class Gate(Protocol):
    """What a stage sees of it."""

    async def admit(self, call: str, usd: float, tokens: int, gone: str | None = None) -> Admission:
        """Wait until `call` may go, or tell why it may not. `usd` is the most it can cost.

        `gone`: a cache of an earlier admission of it that the server has no more; it goes without one.
        """
        ...

    async def settle(
        self, call: str, usd: float | None, met: Met, more_tokens: int = 0, served: Served | None = None
    ) -> bool:
        """What the call cost and met; `usd` None: it may have been paid for or not, and counts as paid.

        `more_tokens`: of input than were taken from the minute when it was admitted. `served`: of a reply that states
        it. True where what it met is the model's fault, and the row has used up none of its tries.
        """
        ...

    async def halt(self, why: str) -> None:
        """Let no call go any more, for `why`; returns once those that are out have come back, or a while later."""
        ...


@dataclass
class Spent:
    """The account in calls.json."""

    settled_usd: float = 0  # paid, or counted as paid
    unknown_usd: float = 0  # of it, for calls whose outcome nobody knows
    calls: int = 0  # admitted
    tokens_in: int = 0  # of replies, without those of batch jobs
    tokens_cached: int = 0  # of them
    saved_usd: float = 0  # by what was cached, before what explicit caches cost
    cache_usd: float = 0  # of settled_usd: explicit caches, to make them
    storage_usd: float = 0  # of settled_usd: to keep them
    estimate_usd: float | None = None  # before the first of them


def _key_of(call: str) -> str:
    """The ledger key that a call's name begins with."""
    return call.partition(".")[0]


def _entry_of(call: str, ledger: Ledger) -> Entry | None:
    """The reply to this very call; that to another one of the same key says nothing of what this one cost."""
    entry = ledger.get(_key_of(call))
    return entry if entry is not None and entry.call in (None, call) else None


def _row_of(call: str) -> str:
    """The row that a call is made for, by its name: key, number, actor, row."""
    return call.rpartition(".")[2] if call.count(".") > 2 else ""


def _served(entry: Entry | None) -> Served | None:
    """What a stored reply states; what its cached tokens saved is not in it."""
    usage = entry.reply.usage if entry else None
    return Served(usage.tokens_in, usage.tokens_cached, 0) if usage and usage.known else None


def read_spent(folder: str) -> Spent | None:
    """The account of a folder, and what shards paid for rows that were merged into it; None: there was no call."""
    data, by_shards = read_bytes(f"{folder}/calls.json"), merged_usd(folder)
    if data is None:
        return Spent(settled_usd=by_shards) if by_shards else None
    spent = Spent(**parse_json(data, f"{folder}/calls.json")["spent"])
    return replace(spent, settled_usd=spent.settled_usd + by_shards)


class FolderGate:
    """The Gate of a folder; one per folder at a time."""

    def __init__(
        self,
        folder: str,
        ledger: Ledger,
        budget_usd: float | None,
        limiter: ModelLimiter,
        make_cache: MakeCache | None = None,
        *,
        call_seconds: float = 300.0,
    ) -> None:
        """`call_seconds`: that a call can take at most; who is silent for twice as long is taken for dead."""
        self.call_seconds = call_seconds
        self.place, self.budget_usd, self.ledger = f"{folder}/calls.json", budget_usd, ledger
        self.limiter, self.cache = limiter, make_cache(self) if make_cache else None
        self.stop: Stop | None = None
        # what a call cost over what it could cost at most: above 1 where prices or tokens are off
        self.dearest = 1.0
        self.taken_at: dict[str, float] = {}  # call -> `dearest` when its reserve was taken
        self.waiting: dict[str, float] = {}  # call -> what is reserved for it, before it may go
        self.open: dict[str, float] = {}  # call that went -> the most it can cost
        self.went_at: dict[str, float] = {}  # likewise -> when, on the monotonic clock
        self.calls_of: dict[str, set[str]] = {}  # ledger key -> those of its calls that wait or are open
        # ledger key -> the row it was asked for, of the last calls, and the rows of actors that were told so
        self.came_back: dict[str, tuple[str, set[str]]] = {}
        self.given_up: dict[str, float] = {}  # calls of an actor that is taken for dead, likewise
        self.jobs: dict[str, float] = {}  # batch jobs that are not read yet: these outlive a driver
        self.window = Window(_GRAIN_SECONDS)
        # what gates of earlier processes admitted in the last minute, as Limiter.begin takes it
        self.earlier: tuple[Sequence[Taken], Sequence[Taken]] = (), ()
        self.spent = Spent()
        data = read_bytes(self.place)
        if data is not None:
            payload = parse_json(data, self.place)
            self.spent = Spent(**payload["spent"])
            window = [(when, int(requests), int(tokens)) for when, requests, tokens in payload["window"]]
            self.earlier = unsure_of(sorted(window), len(payload["open"]))
            self.window.seed(self.earlier[0])
            for _, requests, tokens in self.earlier[1]:
                self.window.take(time.time(), tokens, requests)
            self.jobs = payload.get("jobs", {})
            for call, usd in payload["open"].items():
                entry = _entry_of(call, ledger)
                known = entry is not None and entry.reply.usage.known
                self._count(usd if entry is None else entry.cost_usd or 0, known=known)
                self._count_tokens(_served(entry))
                if entry is None:
                    self.given_up[call] = usd
        self.changed = asyncio.Condition()
        self.flushing: asyncio.Task[None] | None = None
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

    async def admit(self, call: str, usd: float, tokens: int, gone: str | None = None) -> Admission:
        await self._give_up_others(call)
        if self.cache:
            if gone:
                self.cache.lost(gone)
            await self.cache.ready()
        reserved = await self._reserve(call, usd)
        if reserved is not True:
            return Admission(False, self.stop, again=reserved is None and self.stop is None)
        try:
            when = await self.limiter.acquire(call, tokens)
        except BaseException:
            await self._release(call)
            raise
        if isinstance(when, Stop):
            self.stop = self.stop or when
        elif self.stop or call not in self.waiting:  # stopped, or given up, while it waited
            await self.limiter.ended(call, _UNKNOWN, 0)
        else:
            began = time.monotonic()
            await self._let_go(call, when, tokens)
            if (seconds := time.monotonic() - began) > _ON_TIME_SECONDS:
                # a slow disk: the server will count it in a minute that begins later
                await self.limiter.late(when, seconds, tokens)
                self.window.move(when, when + seconds, tokens)
            if self.stop:  # it is not sent after all
                await self.settle(call, 0, _UNKNOWN)
                return Admission(False, self.stop)
            self.went_at[call] = time.monotonic()
            return Admission(True, cache=self.cache.name_for(call) if self.cache and not gone else None)
        await self._release(call)
        return Admission(False, self.stop)

    async def _let_go(self, call: str, when: float, tokens: int) -> None:
        """It is written down before it is sent."""
        first = call not in self.open  # a call may have to be sent twice
        self.open[call] = self.open.get(call, 0) + self.waiting.pop(call)
        self.window.take(when, tokens)
        self.spent.calls += 1
        try:
            await self._write()
        except BaseException:  # it is not sent, and nobody would ever settle it
            if first:
                await self.settle(call, 0, _UNKNOWN)
            raise

    def _has_twin(self, call: str) -> bool:
        """Whether another row, that has the same content, is asking for the same reply now."""
        row = _row_of(call)
        return any(
            _row_of(other) != row and (other in self.open or other in self.waiting)
            for other in self.calls_of.get(_key_of(call), ())
        )

    def _out(self, call: str) -> None:
        self.calls_of.setdefault(_key_of(call), set()).add(call)

    def _in(self, call: str) -> None:
        calls = self.calls_of.get(_key_of(call), set())
        calls.discard(call)
        if not calls:
            self.calls_of.pop(_key_of(call), None)

    async def _reserve(self, call: str, usd: float) -> bool | None:
        """Take the most that it can cost as soon as that fits; False where it cannot fit any more.

        None, with nothing taken, once another row that asked for the same reply has come back.
        """
        self.taken_at[call] = self.dearest
        usd *= self.dearest
        twin = self._must_look_again(call)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_RECOUNT_SECONDS), self.changed:
                    while self._has_twin(call) and not self.stop:
                        twin = True
                        await self.changed.wait()
                    if twin:
                        self._must_look_again(call)
                        return None
                    more = max(0.0, usd - self.open.get(call, 0))
                    # what others reserved may come back: wait for them before refusing
                    await self.changed.wait_for(
                        lambda more=more: (  # type: ignore[misc]
                            self.stop or not self._fits_if_returned(more) or self._fits(more)
                        )
                    )
                    if self._has_twin(call) and not self.stop:
                        continue
                    if self._must_look_again(call) and not self.stop:  # one came and went meanwhile
                        return None
                    if self.stop or not self._fits(more):
                        return False
                    self.waiting[call] = more
                    self._out(call)
                    return True
            await self._settle_what_the_ledger_knows()

    async def _release(self, call: str) -> None:
        async with self.changed:
            self.waiting.pop(call, None)
            if call not in self.open:
                self._in(call)
            self.changed.notify_all()

    async def halt(self, why: str) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_HALT_SECONDS), self.changed:
                self.stop = self.stop or Stop(why)
                self.changed.notify_all()
                await self.changed.wait_for(lambda: not self.open)

    def why_stopped(self) -> Stop | None:
        """Why no call is made any more; None where calls are made."""
        return self.stop

    async def settle(
        self, call: str, usd: float | None, met: Met, more_tokens: int = 0, served: Served | None = None
    ) -> bool:
        async with self.changed:
            self._take_back(call)
            reserved = self.open.pop(call, None)
            self.went_at.pop(call, None)
            self._in(call)
            self._remember(call)
            if reserved is not None:  # else it was settled before
                self._count(reserved if usd is None else usd, known=usd is not None)
                if usd and reserved:
                    self.dearest = max(self.dearest, usd / reserved * self.taken_at.get(call, 1.0))
                self.taken_at.pop(call, None)
                self._count_tokens(served)
            self.changed.notify_all()
        if self.cache:
            self.cache.ended(call, served.tokens_cached if served else None)
        self._write_soon()
        if more_tokens > 0:
            self.window.take(time.time(), more_tokens, requests=0)
        return await self.limiter.ended(call, met, more_tokens)

    def _must_look_again(self, call: str) -> bool:
        """Whether another row's call came back, and the row's own actor was not told so yet; it is now."""
        row, told = self.came_back.get(_key_of(call), ("", {""}))
        who = call.split(".", 2)[-1]  # by this actor: one that died has told nobody
        if row == _row_of(call) or not row or who in told:
            return False
        told.add(who)
        return True

    def _remember(self, call: str) -> None:
        self.came_back[_key_of(call)] = _row_of(call), set()
        if len(self.came_back) > _REMEMBERED:
            del self.came_back[next(iter(self.came_back))]

    def _take_back(self, call: str) -> None:
        """Its actor is alive after all: what was counted as spent is a reserve again."""
        if call in self.given_up:
            self.open[call] = self.given_up.pop(call)
            self._out(call)
            self._count(-self.open[call], known=False)

    async def _give_up_others(self, call: str) -> None:
        """The same row asked by another actor: the first one died, and others must not wait for its reserve."""
        key, row = _key_of(call), _row_of(call)

        def is_dead(other: str) -> bool:
            return _key_of(other) == key and _row_of(other) == row

        async with self.changed:
            self._take_back(call)
            for other in [other for other in self.waiting if other != call and is_dead(other)]:
                del self.waiting[other]
                self._in(other)
            for other in [other for other in self.open if other != call and is_dead(other)]:
                self._give_up(other)
            self.changed.notify_all()

    def _give_up(self, call: str) -> None:
        """Its actor is dead, as far as can be told: what it can cost at most counts as spent."""
        self.given_up[call] = self.open.pop(call)
        self._in(call)
        self.went_at.pop(call, None)
        self._count(self.given_up[call], known=False)

    async def _settle_what_the_ledger_knows(self) -> None:
        """An actor may die after its reply was stored and before it said so; nobody asks for that row again."""
        if time.monotonic() - self.recounted_at < _RECOUNT_SECONDS:
            return  # one of those who wait is enough
        self.recounted_at = time.monotonic()
        await self._settle_the_stored()
        async with self.changed:  # whoever died may have had rows that nobody can ask before these come back
            for call in [
                call for call, at in self.went_at.items() if self.recounted_at - at > 2 * self.call_seconds
            ]:
                self._give_up(call)
            self.changed.notify_all()

    async def _settle_the_stored(self) -> None:
        for call in list(self.open):
            with suppress(OSError):  # of the store: whoever waits looks again
                entry = await asyncio.to_thread(_entry_of, call, self.ledger)
                if entry is not None:
                    usd = entry.cost_usd or 0 if entry.reply.usage.known else None
                    await self.settle(call, usd, _UNKNOWN, served=_served(entry))

    async def book_cache(
        self, making_usd: float, keeping_usd: float, *, known: bool = True, if_it_fits: bool = False
    ) -> bool:
        async with self.changed:
            if if_it_fits and not self._fits(making_usd + keeping_usd):
                return False
            self._count(making_usd + keeping_usd, known)
            self.spent.cache_usd = max(0.0, self.spent.cache_usd + making_usd)
            self.spent.storage_usd = max(0.0, self.spent.storage_usd + keeping_usd)
            self.changed.notify_all()
        await self._write()
        return True

    async def close(self) -> None:
        """Nobody asks any more: calls that are out were those of actors that died."""
        if self.cache:
            await self.cache.close()
        await self._settle_the_stored()
        async with self.changed:
            for call in list(self.open):
                self._give_up(call)
        await self._write()

    def _count(self, usd: float, known: bool) -> None:
        # at least 0: what is taken off again may differ by a rounding from what was added
        self.spent.settled_usd = max(0.0, self.spent.settled_usd + usd)
        self.spent.unknown_usd = max(0.0, self.spent.unknown_usd + (0 if known else usd))

    def _count_tokens(self, served: Served | None) -> None:
        if served:
            self.spent.tokens_in += served.tokens_in
            self.spent.tokens_cached += served.tokens_cached
            self.spent.saved_usd += served.saved_usd

    def _fits_if_returned(self, usd: float) -> bool:
        return self.budget_usd is None or self._firm() + usd <= self.budget_usd + _ROUNDING

    def _fits(self, usd: float) -> bool:
        return self.budget_usd is None or (
            self._firm() + sum(self.open.values()) + sum(self.waiting.values()) + usd
            <= self.budget_usd + _ROUNDING
        )

    def _firm(self) -> float:
        """USD that do not come back while a call waits for them."""
        return self.spent.settled_usd + sum(self.jobs.values())

    def _write_soon(self) -> None:
        """Without anybody waiting: a crash before it counts a call as unknown whose outcome was known."""
        if self.flushing is None or self.flushing.done():
            self.flushing = asyncio.create_task(self._write_later())

    async def _write_later(self) -> None:
        await asyncio.sleep(_SETTLED_SECONDS)
        await self._write()

    async def _write(self) -> None:
        """Durable on return. Those who wait at the same time are written down together."""
        self.version += 1
        mine = self.version
        async with self.writing:
            if self.written >= mine:
                return
            version = self.version
            state: dict[str, Any] = {
                "spent": vars(self.spent),
                "open": self.open,
                "window": self.recent(),
                "jobs": self.jobs,
            }
            await asyncio.to_thread(write_bytes, self.place, json.dumps(state).encode())
            self.written = version
