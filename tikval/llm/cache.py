"""An explicit cache of the system instruction: one per model and run, where it pays, renewed, and deleted at the end.

auto       calls go without one; once 20 replies show that the server's implicit cache does not hold the prompt, and
           the calls to come save more than a cache costs, it is made while they go on
explicit   it is made before the first call
gone       the call that meets that is asked again without it, and it is made anew where it still pays

What it costs is counted when it is made and each time it is renewed, up to the end of its time to live; what was not
used of that comes back when it is deleted. A run that is killed leaves its label in `cache.json`, by which the next
one finds and deletes it.
"""

import asyncio
import json
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal, NamedTuple, Protocol

from tikval.config import Api, UserError
from tikval.files import delete, parse_json, read_bytes, write_bytes
from tikval.llm.client import Usage
from tikval.llm.gemini_caches import CacheFault, GeminiCaches, MadeCache
from tikval.llm.prices import Price, Prices
from tikval.llm.uploads import OURS

ENOUGH: Final = 0.9  # of the prompt from the implicit cache: an explicit one is left out
_REPLIES: Final = 20  # that tell it
_REMADE_SECONDS: Final = 300.0  # at least between two creations
_EARLY_SECONDS: Final = 300.0  # before it expires it is renewed
_CLOSE_SECONDS: Final = 20.0  # that the end of a run waits for a deletion
_BYTES_PER_TOKEN: Final = 4
_LEAST_BYTES_PER_TOKEN: Final = 2

log = logging.getLogger("tikval")


class CacheServer(Protocol):
    """Whoever keeps the caches. Every method waits for the answer, and raises CacheFault where it is a refusal."""

    def make(self, label: str, seconds: float) -> MadeCache: ...
    def find(self, label: str) -> MadeCache | None: ...
    def renew(self, name: str, seconds: float) -> None: ...
    def delete(self, name: str) -> None: ...


class CacheAccount(Protocol):
    """Where the money of a cache is counted."""

    async def book_cache(
        self, making_usd: float, keeping_usd: float, *, known: bool = True, if_it_fits: bool = False
    ) -> bool:
        """Count so much more, or less where it is below 0. `known` False: it may have been billed or not.

        `if_it_fits`: returns False and counts nothing where it is more than the budget leaves.
        """
        ...


MakeCache = Callable[[CacheAccount], "PromptCache"]


class CachePlan(NamedTuple):
    """What is known of a run before its first call."""

    mode: Literal["auto", "explicit"]
    model: str
    system: str
    live_seconds: float
    calls: int  # to come
    calls_per_minute: int


def worth_usd(price: Price, tokens: int, calls: int, calls_per_minute: int) -> float:
    """USD that a cache saves in so many calls, less what it costs to make and to keep while they go at this pace."""
    filled = price.cost(Usage(tokens_in=tokens))
    saved = calls * (filled - price.cost(Usage(tokens_in=tokens, tokens_cached=tokens)))
    return saved - filled - price.storage_usd(tokens, calls / calls_per_minute / 60)


def is_served_anyway(cached: Sequence[int], tokens: int) -> bool:
    """Whether the implicit cache holds a prompt of `tokens`, by what each of some replies had from it."""
    return sum(min(had, tokens) for had in cached) >= ENOUGH * tokens * len(cached)


def make_cache_of(
    model: str, api: Api, system: str | None, calls: int, folder: str, prices: Prices | None
) -> MakeCache | None:
    """Make what makes the cache of a run in `folder`, where its gate lives; None where none is wanted.

    `prices`: None of a model that is no Gemini. Calls by Batch use none.
    """
    if system is None or prices is None or api.cache == "off" or api.route == "batch":
        return None
    plan = CachePlan(api.cache, model, system, 60 * api.cache_minutes, calls, api.requests_per_minute)
    return partial(PromptCache, plan, folder, GeminiCaches(model, system, api), prices)


@dataclass
class _Held:
    """A cache in use. Times are seconds since the epoch, and no later than the server's."""

    name: str
    label: str
    tokens: int
    price: Price
    until: float
    counted_until: float  # its storage
    hits: int = 0
    hits_when_renewed: int = 0
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    dropped: asyncio.Event = field(default_factory=asyncio.Event)


class PromptCache:
    """The cache of one run. All methods belong to one event loop."""

    def __init__(
        self, plan: CachePlan, folder: str, server: CacheServer, prices: Prices, account: CacheAccount
    ) -> None:
        """`folder`: where the label is written down before it is sent."""
        self.plan, self.server, self.prices, self.account = plan, server, prices, account
        self.place, self.tokens = f"{folder}/cache.json", len(plan.system.encode()) // _BYTES_PER_TOKEN
        self.left = self._left_before()  # label -> when that cache expires
        self.held: _Held | None = None
        self.off = False
        self.made_at: float | None = None
        self.replies = 0
        self.went: dict[
            str, str | None
        ] = {}  # call -> the cache that it named; before the first reply only these
        self.implicit: deque[int] = deque(
            maxlen=_REPLIES
        )  # tokens that replies without one had from another call's
        self.making: asyncio.Task[None] | None = None
        self.tidying: asyncio.Task[None] | None = None
        self.working: set[asyncio.Task[None]] = set()
        if not prices.can_cache(plan.model, self.tokens):
            self._leave_out(f"{self.tokens:,} tokens are fewer than a cache takes")

    async def ready(self) -> None:
        """Before each call: begin, and wait where no call is to go without a cache."""
        if self.tidying is None:
            self.tidying = self._begin(self._tidy(dict(self.left)))
        self._make_if_wanted()
        if self.plan.mode == "explicit" and self.making is not None and not self.replies:
            await asyncio.wait([self.making])

    def name_for(self, call: str) -> str | None:
        """The name of the cache for a call that goes now; None: there is none."""
        if self.held and time.time() >= self.held.until - min(10.0, self.plan.live_seconds / 10):
            self._drop()
        name = self.held.name if self.held else None
        if name or self.replies:  # the first calls of all find nothing in any cache, and tell nothing
            self.went[call] = name
        return name

    def lost(self, name: str) -> None:
        """A call met that the server has it no more, or does not take it in this way."""
        if self.held and self.held.name == name:
            if not self.held.hits:
                self._leave_out("the server takes none of it")
            self._drop()

    def ended(self, call: str, tokens_cached: int | None) -> None:
        """A call is over; `tokens_cached`: of its reply, None: it has none that counts."""
        told = call in self.went
        name = self.went.pop(call, None)
        if tokens_cached is None:
            return
        self.replies += 1
        if told and name is None:
            self.implicit.append(tokens_cached)
        elif self.held and name == self.held.name and tokens_cached:
            self.held.hits += 1
        self._make_if_wanted()

    async def close(self) -> None:
        """Delete it; within 20 s, for it expires by itself."""
        self.off = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                if self.making:
                    await asyncio.wait([self.making])
                self._drop()
                if self.working:
                    await asyncio.wait(self.working)
                await self._tidy(dict(self.left))  # what was not deleted, or nobody knows whether it is there

    def _make_if_wanted(self) -> None:
        """One at a time, and no sooner than some minutes after the last."""
        now = time.time()
        busy = self.held or (self.making and not self.making.done())
        if self.off or busy or (self.made_at is not None and now - self.made_at < _REMADE_SECONDS):
            return
        if self.plan.mode == "auto" and not self._is_needed():
            return
        first = self.plan.mode == "explicit" and self.made_at is None
        if not first and self._worth_usd() <= 0:
            return
        self.made_at = now
        self.making = asyncio.create_task(self._make(now))

    def _is_needed(self) -> bool:
        full = len(self.implicit) == _REPLIES
        return full and not is_served_anyway(self.implicit, self.tokens)

    def _worth_usd(self) -> float:
        price, left = self._price(), max(0, self.plan.calls - self.replies)
        return worth_usd(price, self.tokens, left, self.plan.calls_per_minute) if price else 0.0

    def _price(self) -> Price | None:
        try:
            return self.prices.of(self.plan.model, datetime.now(UTC).date())
        except UserError as err:
            self._leave_out(str(err))
            return None

    async def _make(self, now: float) -> None:
        """Count the most it can cost, write its label down, make it."""
        price = self._price()
        if price is None:
            return
        seconds, label = self.plan.live_seconds, f"{OURS}{secrets.token_hex(8)}"
        most = len(self.plan.system.encode()) // _LEAST_BYTES_PER_TOKEN
        making, keeping = price.cost(Usage(tokens_in=most)), price.storage_usd(most, seconds / 3600)
        if not await self.account.book_cache(making, keeping, if_it_fits=True):
            log.warning("no explicit cache of the prompt: it might cost more than is left of the budget")
            return
        try:
            await self._note(label, now + seconds)
            made = await asyncio.to_thread(self.server.make, label, seconds)
        except CacheFault as fault:
            await self.account.book_cache(-making, -keeping)
            if fault.billed == "no":
                await self._forget(label)
            else:
                await self.account.book_cache(making, keeping, known=False)
            self.off = self.off or fault.lasting
            log.warning("no explicit cache of the prompt: %s; calls go on without it", fault)
            return
        except OSError as err:  # of the folder: it was not asked for
            await self.account.book_cache(-making, -keeping)
            log.warning("no explicit cache of the prompt: %s is not written (%s)", self.place, err)
            return
        tokens, until = made.tokens or most, now + seconds
        counted = price.cost(Usage(tokens_in=tokens)), price.storage_usd(tokens, seconds / 3600)
        await self.account.book_cache(counted[0] - making, counted[1] - keeping)
        self.held = _Held(made.name, label, tokens, price, until, until)
        self._begin(self._keep(self.held))
        log.info("an explicit cache of the prompt: %d tokens", tokens)

    async def _keep(self, held: _Held) -> None:
        """Renew it before it expires, as long as calls use it."""
        early = min(_EARLY_SECONDS, self.plan.live_seconds / 3)
        while early > 0.1:
            with suppress(TimeoutError):
                await asyncio.wait_for(held.dropped.wait(), max(0.0, held.until - early - time.time()))
                return
            if held.hits == held.hits_when_renewed:  # nobody does at present: look once more
                early /= 2
            elif await self._renewed(held):
                early = min(_EARLY_SECONDS, self.plan.live_seconds / 3)
            else:
                early /= 2

    async def _renewed(self, held: _Held) -> bool:
        async with held.changing:
            now, seconds = time.time(), self.plan.live_seconds
            more = held.price.storage_usd(held.tokens, (now + seconds - held.counted_until) / 3600)
            if held.dropped.is_set() or not await self.account.book_cache(0, more, if_it_fits=True):
                return False
            before, held.counted_until = held.counted_until, now + seconds
            try:
                await self._note(held.label, now + seconds)
                await asyncio.to_thread(self.server.renew, held.name, seconds)
            except (CacheFault, OSError) as err:
                log.info("the prompt's cache was not renewed: %s", err)
                if isinstance(err, CacheFault) and err.billed == "no":
                    held.counted_until = before
                    await self.account.book_cache(0, -more)
                if isinstance(err, CacheFault) and err.gone:
                    self.lost(held.name)
                return False
            held.until, held.hits_when_renewed = now + seconds, held.hits
            return True

    def _drop(self) -> None:
        held, self.held = self.held, None
        if held is not None:
            held.dropped.set()
            self._begin(self._delete(held))

    async def _delete(self, held: _Held) -> None:
        """Delete it, and take back what was counted for the time that it is not kept."""
        async with held.changing:
            try:
                await asyncio.to_thread(self.server.delete, held.name)
            except CacheFault as fault:
                log.warning("a cache of the prompt was not deleted: %s; it expires by itself", fault)
                return
            unused = (held.counted_until - time.time()) / 3600
            if unused > 0:
                await self.account.book_cache(0, -held.price.storage_usd(held.tokens, unused))
            await self._forget(held.label)

    async def _tidy(self, left: dict[str, float]) -> None:
        """Delete what a run that was killed has left."""
        for label, until in left.items():
            try:
                if until > time.time() and (made := await asyncio.to_thread(self.server.find, label)):
                    await asyncio.to_thread(self.server.delete, made.name)
            except CacheFault as fault:
                log.warning("a cache of an earlier run was not deleted: %s; it expires by itself", fault)
            else:
                await self._forget(label)

    def _left_before(self) -> dict[str, float]:
        try:
            data = read_bytes(self.place)
            return {str(k): float(v) for k, v in parse_json(data, self.place).items()} if data else {}
        except (OSError, UserError, ValueError, TypeError, AttributeError):
            return {}  # they expire by themselves

    async def _note(self, label: str, until: float) -> None:
        self.left[label] = max(until, self.left.get(label, 0))
        await asyncio.to_thread(write_bytes, self.place, json.dumps(self.left).encode())

    async def _forget(self, label: str) -> None:
        self.left.pop(label, None)
        write = partial(write_bytes, self.place, json.dumps(self.left).encode())
        with suppress(OSError):  # the next run finds no such cache
            await asyncio.to_thread(write if self.left else partial(delete, self.place))

    def _leave_out(self, why: str) -> None:
        if not self.off:
            wanted = self.plan.mode == "explicit"
            log.log(logging.WARNING if wanted else logging.INFO, "no explicit cache of the prompt: %s", why)
        self.off = True

    def _begin(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self.working.add(task)
        task.add_done_callback(self.working.discard)
        return task
