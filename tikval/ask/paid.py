"""AskRow -> AnswerRow over an API: the ledger first, then the gate, then the call, and the ledger again.

A reply is stored before anything is made of it, and what is stored is never paid again. Only what can succeed is
tried again, and each try passes the gate anew.
"""

import asyncio
import json
import logging
import random
import secrets
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from tikval.config import Api, Endpoint, Gemini, UserError
from tikval.llm.client import Client, Fault, Question, Reply
from tikval.llm.faults import backoff_seconds
from tikval.llm.gate import Gate
from tikval.llm.ledger import Entry, Ledger, ledger_key
from tikval.llm.prices import Prices
from tikval.media.reading import ClipError
from tikval.rows import AnswerRow, Reason, sha256

T = TypeVar("T")
log = logging.getLogger("tikval")
_BYTES_PER_TOKEN: Final = 4  # of English, by Google's own figure
_OPENING: Final = 4  # videos at a time
_REFUSALS: Final = 20  # in a row: then the run stops
_LEAST_BYTES_PER_TOKEN: Final = 2  # of whatever somebody writes


class PaidAnswers:
    """The stage that pays. Any number of threads may call it; all calls share one client on one event loop."""

    def __init__(
        self,
        llm: Gemini | Endpoint,
        api: Api,
        asked: dict[str, Any],
        make_client: Callable[[], Client],
        make_gate: Callable[[], Gate],
        ledger: Ledger,
        prices: Prices | None,
        open_video: Callable[[str, str | None], AbstractContextManager[str]],
    ) -> None:
        """`asked`: what determines every reply, the row apart: prompt, parameters, schema, sample.

        `open_video`: path and SHA-256 of a video to the file to send in its place.
        """
        self.llm, self.api, self.asked = llm, api, asked
        self.gate, self.ledger, self.prices, self.open_video = make_gate(), ledger, prices, open_video
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="tikval-calls", daemon=True).start()
        self.client = self._run(self._made(make_client))
        self.refused_in_a_row = 0
        self.asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.me = secrets.token_hex(4)  # other actors may ask the same at the same time
        # threads apart from those of the ledger: a reply waits for no video to be written
        self.opening = ThreadPoolExecutor(_OPENING, "tikval-videos")
        self.at_once = asyncio.Semaphore(api.in_flight)
        self.dice = random.Random()  # noqa: S311  (jitter)

    def __call__(self, rows: list[Any]) -> list[AnswerRow]:
        return self._run(self._all(rows))

    def failure(self, row: Any, reason: Reason, detail: str | None) -> AnswerRow:
        return _answer(row, error=reason.value, detail=detail)

    async def _made(self, make_client: Callable[[], Client]) -> Client:
        return make_client()  # on the loop that it will be used on

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    async def _all(self, rows: list[Any]) -> list[AnswerRow]:
        return await asyncio.gather(*(self._one(row) for row in rows))

    async def _one(self, row: Any) -> AnswerRow:
        if row["error"] is not None:
            return self.failure(row, Reason(row["error"]), row["detail"])
        key = ledger_key({**self.asked, "input": row["input_sha"], "attempt": row["attempt"]})
        async with self.asking.setdefault(key, asyncio.Lock()):  # the same file under two names is paid once
            entry = await asyncio.to_thread(self.ledger.get, key)
            if entry is None:
                try:
                    async with self.at_once:
                        entry = await self._pay(row, key)
                except Fault as fault:
                    self._count_refusal(fault)
                    return self.failure(row, fault.reason, fault.detail)
                self.refused_in_a_row = 0
        reply = self._checked(entry.reply)
        usage = reply.usage
        return _answer(
            row,
            reply=reply.text if reply.reason is None else None,
            tokens_in=usage.tokens_in if usage.known else None,  # not known is not none
            tokens_cached=usage.tokens_cached if usage.known else None,
            tokens_out=usage.tokens_out if usage.known else None,
            cost_usd=entry.cost_usd,
            ledger_key=key,
            model_served=reply.model_served,
            error=reply.reason,
            detail=reply.detail,
        )

    def _count_refusal(self, fault: Fault) -> None:
        """Count a rejected request; raises UserError where a setting, and not one video, is what the server refuses."""
        self.refused_in_a_row += fault.reason is Reason.REJECTED
        if self.refused_in_a_row >= _REFUSALS:
            raise UserError(f"{self.llm.model} refused {_REFUSALS} requests in a row: {fault.detail}")

    async def _pay(self, row: Any, key: str) -> Entry:
        """The entry of a reply that is now paid for. Raises Fault once no try is left, or none can help."""
        with ExitStack() as held:
            path = None
            if row["video"]:
                to_send = self.open_video(row["video"], json.loads(row["carried"]).get("content_sha"))
                try:
                    path = await self.loop.run_in_executor(self.opening, held.enter_context, to_send)
                except ClipError as err:
                    raise Fault(err.reason, err.detail, retryable=False, billed="no") from err
            question = Question(row["prompt"], path, tuple(row["pictures"] or ()))
            tokens, most_usd = self._most(row)
            for n in range(1, self.api.tries + 1):
                call = f"{key}.{n}.{self.me}"
                try:
                    reply = await self._try(question, call, most_usd, tokens)
                except Fault as fault:
                    if not fault.retryable or n == self.api.tries:
                        raise
                    log.info("try %d failed (%s): %s", n, fault.reason, fault.detail)
                    await asyncio.sleep(backoff_seconds(n, fault.after_seconds, self.dice))
                else:
                    return await self._kept(row, key, call, reply, most_usd, tokens)
        raise AssertionError

    async def _kept(self, row: Any, key: str, call: str, reply: Reply, most_usd: float, tokens: int) -> Entry:
        """The entry of a reply, in the ledger; its reserve comes back also where it cannot be written."""
        paid: float | None = None
        try:
            cost = self._cost(reply)
            if cost is not None and not reply.usage.known:
                cost = most_usd  # what nobody can know counts as the most that it can be
            paid = cost or 0
            entry = Entry(row["video_id"], reply, cost, datetime.now(UTC).isoformat())
            await asyncio.to_thread(self.ledger.put, key, entry)
        finally:
            more_tokens = reply.usage.tokens_in - tokens if reply.usage.known else 0
            await self.gate.settle(call, paid, more_tokens)
        return entry

    async def _try(self, question: Question, call: str, most_usd: float, tokens: int) -> Reply:
        admitted = False

        async def admit() -> None:
            nonlocal admitted
            if not await self.gate.admit(call, most_usd, tokens):
                message = f"might cost {most_usd:.4f} USD, more than is left; raise budget_usd and run the same command"
                raise Fault(Reason.OVER_BUDGET, message, retryable=False, billed="no")
            admitted = True

        try:
            return await self.client.ask(question, admit)
        except BaseException as err:
            if admitted:
                free = isinstance(err, Fault) and err.billed == "no"
                await self.gate.settle(call, 0 if free else None)
            raise

    def _most(self, row: Any) -> tuple[int, float]:
        """Tokens of input as far as they can be told, and USD that a call can cost at most."""
        size, shown, sound = len(row["prompt"].encode()), 0, 0
        if self.prices is None or not isinstance(self.llm, Gemini):
            return size // _BYTES_PER_TOKEN, 0
        if row["video"]:
            seconds = row["seconds"] or 0
            sound = self.prices.sound_tokens(self.llm.model, seconds)
            shown = self.prices.video_tokens(self.llm.model, seconds, self.llm.media_resolution) + sound
        price = self.prices.of(self.llm.model, datetime.now(UTC).date())
        most = price.most(size // _LEAST_BYTES_PER_TOKEN + shown, sound, self.llm.max_tokens)
        return size // _BYTES_PER_TOKEN + shown, most

    def _cost(self, reply: Reply) -> float | None:
        """The cost by the price of the model that answered, for that is what is billed."""
        if self.prices is None:
            return None
        today = datetime.now(UTC).date()
        try:
            price = self.prices.of(reply.model_served or self.llm.model, today)
        except UserError:
            price = self.prices.of(self.llm.model, today)
        return price.cost(reply.usage)

    def _checked(self, reply: Reply) -> Reply:
        """The reply, or why it does not count: another model's words are not those that were asked for.

        Raises UserError where such a reply shall stop the run.
        """
        if reply.model_served is None or is_same_model(
            self.llm.model, reply.model_served, self.api.served_as
        ):
            return reply
        message = f"{reply.model_served} answered in place of {self.llm.model}"
        if self.api.wrong_model == "stop":
            raise UserError(
                f"{message}: ask for it by its name, name it in api.served_as, or set such rows aside "
                "(api.wrong_model=set_aside)"
            )
        return Reply("", reply.model_served, reply.usage, Reason.WRONG_MODEL, message)


def is_same_model(asked: str, served: str, also: tuple[str, ...]) -> bool:
    """Whether a served name is one asked for, a version's number apart: gemini-x answers as gemini-x-001."""
    names = {name.removeprefix("models/") for name in (asked, *also)}
    served = served.removeprefix("models/")
    base, dash, version = served.rpartition("-")
    return served in names or (bool(dash) and version.isdigit() and len(version) == 3 and base in names)


def asked_of(
    llm: Gemini | Endpoint, prompt: str, schema: dict[str, Any] | None, sample: int | None
) -> dict[str, Any]:
    """What determines a reply, the row apart, as a ledger's key takes it."""
    return {
        "llm": llm.model_dump(mode="json"),
        "prompt": sha256(prompt),
        "schema": sha256(json.dumps(schema, sort_keys=True)) if schema else None,
        "sample": sample,
    }


def _answer(row: Any, **result: Any) -> AnswerRow:
    answer: AnswerRow = dict.fromkeys(AnswerRow.__annotations__) | {  # type: ignore[assignment]
        **{name: row[name] for name in ("video_id", "row_key", "attempt", "carried")},
        **result,
    }
    return answer
