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
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from tikval.ask.call_costs import CallCosts
from tikval.ask.questions import question_of, to_send_of
from tikval.ask.samples import Samples, ask_samples, of_sample, seed_of
from tikval.config import Api, Endpoint, Gemini, UserError
from tikval.llm.breaker import Met
from tikval.llm.client import Client, Fault, Question, Reply
from tikval.llm.faults import backoff_seconds
from tikval.llm.gate import Gate, Served
from tikval.llm.ledger import Entry, Ledger, ledger_key
from tikval.llm.prices import Prices
from tikval.media.fetch import OpenVideo
from tikval.media.reading import ClipError
from tikval.rows import AnswerRow, Reason, sha256

T = TypeVar("T")
log = logging.getLogger("tikval")
_OPENING: Final = 4  # videos at a time
_LEDGER_THREADS: Final = (
    32  # an object store takes a tenth of a second; asyncio's own are as few as the cores
)
_PUTS: Final = 4  # tries of the ledger's store
_REFUSALS: Final = 20  # in a row: then the run stops


class PaidCalls:
    """What pays, as coroutines of one event loop; PaidAnswers is the stage around it."""

    def __init__(
        self,
        llm: Gemini | Endpoint,
        api: Api,
        asked: dict[str, Any],
        client: Client,
        gate: Gate,
        ledger: Ledger,
        prices: Prices | None,
        open_video: OpenVideo,
        samples: Samples | None = None,
        system: str | None = None,
    ) -> None:
        """`asked`: what determines every reply, the row apart: prompt, parameters, schema, sample.

        `open_video`: a video and its SHA-256 to what is sent in its place. `samples`: None asks once.
        `system`: what the client sends with every row, which counts as its prompt does.
        """
        self.llm, self.api, self.asked, self.samples = llm, api, asked, samples
        self.client, self.gate, self.ledger, self.open_video = client, gate, ledger, open_video
        self.costs = CallCosts(llm, api, prices, system)
        self.refused_in_a_row = 0
        self.stopped: str | None = None  # why no call is made any more
        self.asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.me = secrets.token_hex(4)  # other actors may ask the same at the same time
        # threads apart from those of the ledger: a reply waits for no video to be written
        self.opening = ThreadPoolExecutor(_OPENING, "tikval-videos")
        self.at_once = asyncio.Semaphore(api.in_flight)
        self.dice = random.Random()  # noqa: S311  (jitter)

    def failure(self, row: Any, reason: Reason, detail: str | None) -> AnswerRow:
        return _answer(row, error=reason.value, detail=detail)

    async def answer(self, row: Any) -> AnswerRow:
        """The answer to one row. Raises UserError for what no row can succeed with; OSError of the ledger's store."""
        try:
            return await self._answer(row)
        except UserError as err:
            self.stopped = str(err)
            await self.gate.halt(self.stopped)  # others that are out come back: what they cost is known then
            raise

    async def _answer(self, row: Any) -> AnswerRow:
        if self.samples is None or row["error"] is not None or row["prompt"] is None:
            return await self._one(row)
        return await ask_samples(row, self.samples, self._one, self._is_held)

    async def _is_held(self, row: Any) -> bool:
        return await self._in_ledger(self.ledger.get, ledger_key(self._identity(row))) is not None

    async def _in_ledger(self, work: Callable[..., T], *given: Any) -> T:
        """Look something up in the ledger, or store it there. Raises UserError where that fails, which ends the run.

        A row's failure it must not be: the row would be asked again, under the same number or the next, and paid again.
        A store that fails for a moment must not cost a reply that was paid for: it is tried a few times.
        """
        for n in range(1, _PUTS):
            try:
                return await asyncio.to_thread(work, *given)
            except OSError as err:
                log.info("the ledger fails, and is tried once more: %s", err)
                await asyncio.sleep(backoff_seconds(n, self.dice))
        try:
            return await asyncio.to_thread(work, *given)
        except OSError as err:
            what = " ".join(str(err).split())[:300]
            raise UserError(
                f"{self.ledger.uri}: {what}; nothing is paid for without it. Once that is mended the same command "
                "goes on"
            ) from err

    def _identity(self, row: Any) -> dict[str, Any]:
        return {**of_sample(self.asked, row), "input": row["input_sha"], "attempt": row["attempt"]}

    async def _one(self, row: Any) -> AnswerRow:
        if row["error"] is not None:
            return self.failure(row, Reason(row["error"]), row["detail"])
        if row["prompt"] is None:  # there is nothing to ask
            return _answer(row)
        identity = self._identity(row)
        turn = self.asking.setdefault(ledger_key(identity), asyncio.Lock())
        async with turn:  # one file of two names is paid once
            try:
                key, entry, cost = await self._entry(row, identity)
            except Fault as fault:
                return self.failure(row, fault.reason, fault.detail)
        reply = self._checked(entry.reply)
        usage = reply.usage
        return _answer(
            row,
            reply=reply.text if reply.reason is None else None,
            tokens_in=usage.tokens_in if usage.known else None,  # not known is not none
            tokens_cached=usage.tokens_cached if usage.known else None,
            tokens_out=usage.tokens_out if usage.known else None,
            cost_usd=cost,
            ledger_key=key,
            model_served=reply.model_served,
            error=reply.reason,
            detail=reply.detail,
        )

    async def _entry(self, row: Any, identity: dict[str, Any]) -> tuple[str, Entry, float | None]:
        """Key and entry of the reply that counts, and what the row cost. An empty reply is asked for once more.

        Raises Fault where there is no reply.
        """
        key = ledger_key(identity)
        entry = await self._asked_once(row, key)
        if not entry.reply.empty:
            return key, entry, entry.cost_usd
        again = ledger_key({**identity, "again": 1})
        try:
            second = await self._asked_once(row, again)
        except Fault as fault:
            log.info("an empty reply stays: %s", fault)
            return key, entry, entry.cost_usd
        costs = [cost for cost in (entry.cost_usd, second.cost_usd) if cost is not None]
        return again, second, sum(costs) if costs else None

    async def _asked_once(self, row: Any, key: str) -> Entry:
        """The entry of a key: the ledger's, or of a reply that is now paid for. Raises Fault."""
        while (entry := await self._in_ledger(self.ledger.get, key)) is None:
            try:
                entry = await self._pay(row, key)
            except _AskedElsewhere:
                continue
            except Fault as fault:
                self._count_refusal(fault)
                raise
            self.refused_in_a_row = 0
            break
        return entry

    def _count_refusal(self, fault: Fault) -> None:
        """Count a rejected request; raises UserError where a setting, and not one video, is what the server refuses."""
        self.refused_in_a_row += fault.reason is Reason.REJECTED
        if self.refused_in_a_row >= _REFUSALS:
            raise UserError(f"{self.llm.model} refused {_REFUSALS} requests in a row: {fault.detail}")

    async def _pay(self, row: Any, key: str) -> Entry:
        """The entry of a reply that is now paid for. Raises Fault once no try is left, or none can help."""
        self._check_going()
        with ExitStack() as held:
            sent = None
            if video := to_send_of(row):
                to_send = self.open_video(video, json.loads(row["carried"]).get("content_sha"))
                try:
                    loop = asyncio.get_running_loop()
                    sent = await loop.run_in_executor(self.opening, held.enter_context, to_send)
                except ClipError as err:
                    raise Fault(err.reason, err.detail, retryable=False, billed="no") from err
            question = question_of(row, sent, seed_of(self.asked, row))
            call = Call(key, row["row_key"], self.costs.most_usd(row), self.costs.tokens_in(row))
            async with self.at_once:  # until the reply is here: the next call waits for no disk
                name, reply = await self._reply(question, call)
        return await self._kept(row, name, call, reply)

    def _check_going(self) -> None:
        if self.stopped:
            raise Fault(Reason.NOT_ASKED, self.stopped, retryable=False, billed="no")

    async def _reply(self, question: Question, call: "Call") -> tuple[str, Reply]:
        """The name of the call that was replied to, and the reply. Raises Fault likewise."""
        self._check_going()
        tried = 0
        for n in count(1):
            name = f"{call.key}.{n}.{self.me}.{call.row_key}"
            try:
                return name, await self._try(question, name, call)
            except _Failed as failed:
                fault = failed.fault
                tried += not failed.models_fault
                if not fault.retryable or tried == self.api.tries:
                    raise fault from None
                log.info("call %d failed (%s): %s", n, fault.reason, fault.detail)
                if not failed.models_fault:  # else the gate lets it wait
                    await asyncio.sleep(backoff_seconds(tried, self.dice))
        raise AssertionError

    async def _kept(self, row: Any, name: str, call: "Call", reply: Reply) -> Entry:
        """The entry of a reply, in the ledger; its reserve comes back also where it cannot be written."""
        paid: float | None = None
        try:
            cost = self.costs.cost_usd(reply, call.most_usd)
            paid = cost or 0 if self.costs.is_known(reply) else None
            entry = Entry(row["video_id"], reply, cost, datetime.now(UTC).isoformat(), name)
            await self._in_ledger(self.ledger.put, call.key, entry)
        finally:
            usage = reply.usage
            served = Served(usage.tokens_in, usage.tokens_cached, self.costs.saved_usd(reply))
            more_tokens = usage.tokens_in - call.tokens if usage.known else 0
            await self.gate.settle(name, paid, Met(), more_tokens, served if usage.known else None)
        return entry

    async def _try(self, question: Question, name: str, call: "Call") -> Reply:
        """One call. Raises _Failed in place of a Fault."""
        admitted = False

        async def admit(gone: str | None = None) -> str | None:
            nonlocal admitted
            admission = await self.gate.admit(name, call.most_usd, call.tokens, gone)
            if admission.stop:
                self.stopped = str(admission.stop)
                raise Fault(Reason.NOT_ASKED, self.stopped, retryable=False, billed="no")
            if admission.again:
                raise _AskedElsewhere
            if not admission.go:
                message = (
                    f"might cost {call.most_usd:.4f} USD, more than is left; raise budget_usd and run the same "
                    "command"
                )
                raise Fault(Reason.OVER_BUDGET, message, retryable=False, billed="no")
            admitted = True
            return admission.cache

        try:
            return await self.client.ask(question, admit)
        except Fault as fault:
            unpaid, met, models_fault = fault.billed == "no", _met(fault), False
            if admitted:
                models_fault = await self.gate.settle(name, 0 if unpaid else None, met)
            raise _Failed(fault, models_fault) from fault
        except BaseException as err:
            if admitted:  # a UserError says that it was not served
                await self.gate.settle(name, 0 if isinstance(err, UserError) else None, Met("unknown"))
            raise

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


class PaidAnswers(PaidCalls):
    """The stage that pays. Any number of threads may call it; all calls share one client on one event loop."""

    def __init__(
        self,
        llm: Gemini | Endpoint,
        api: Api,
        asked: dict[str, Any],
        make_client: Callable[[], Client],
        make_gate: Callable[[], Gate],
        *given: Any,
        **named: Any,
    ) -> None:
        """`given` and `named`: what else PaidCalls takes."""
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(ThreadPoolExecutor(_LEDGER_THREADS, "tikval-ledger"))
        threading.Thread(target=self.loop.run_forever, name="tikval-calls", daemon=True).start()
        gate = make_gate()
        super().__init__(llm, api, asked, self._run(self._made(make_client)), gate, *given, **named)
        # rows whose pictures are in memory: a few more than are asked, so that none of those waits for a thread
        self.room = threading.Semaphore(api.in_flight + api.in_flight // 4 + 1)

    def __call__(self, rows: Iterable[Any]) -> list[AnswerRow]:
        """Rows are taken, and so read, one by one by the thread that calls, and asked as soon as they are there."""
        asked = []
        for row in rows:
            self.room.acquire()
            asked.append(asyncio.run_coroutine_threadsafe(self.answer(row), self.loop))
            asked[-1].add_done_callback(lambda _: self.room.release())
        for answer in wait(asked, return_when=FIRST_EXCEPTION).done:
            answer.result()
        return [answer.result() for answer in asked]

    async def _made(self, make_client: Callable[[], Client]) -> Client:
        return make_client()  # on the loop that it will be used on

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


class Call(NamedTuple):
    """What one call is reserved with."""

    key: str
    row_key: str
    most_usd: float
    tokens: int  # of input, as far as they can be told


class _AskedElsewhere(Exception):  # noqa: N818
    """Another actor has just asked for the same reply, for a row of the same content."""


class _Failed(Exception):  # noqa: N818
    def __init__(self, fault: Fault, models_fault: bool) -> None:
        super().__init__(str(fault))
        self.fault, self.models_fault = fault, models_fault


def _met(fault: Fault) -> Met:
    """What a fault says of its model; a request that was refused for itself is as good as a reply."""
    return Met(fault.trouble, fault.after_seconds, fault.detail) if fault.trouble else Met()


def is_same_model(asked: str, served: str, also: tuple[str, ...]) -> bool:
    """Whether a served name is one asked for, a version's number apart: gemini-x answers as gemini-x-001."""
    names = {name.removeprefix("models/") for name in (asked, *also)}
    served = served.removeprefix("models/")
    base, dash, version = served.rpartition("-")
    return served in names or (bool(dash) and version.isdigit() and len(version) == 3 and base in names)


def asked_of(
    llm: Gemini | Endpoint,
    prompt: str,
    schema: dict[str, Any] | None,
    sample: int | None,
    *,
    as_system: bool = False,
) -> dict[str, Any]:
    """What determines a reply, the row apart, as a ledger's key takes it; `as_system`: the prompt is the system's."""
    return {
        "llm": llm.model_dump(mode="json"),
        "prompt": sha256(prompt),
        "schema": sha256(json.dumps(schema, sort_keys=True)) if schema else None,
        "sample": sample,
        **({"instruction": "system"} if as_system else {}),  # left out otherwise: keys of before stay
    }


def _answer(row: Any, **result: Any) -> AnswerRow:
    answer: AnswerRow = dict.fromkeys(AnswerRow.__annotations__) | {  # type: ignore[assignment]
        **{name: row[name] for name in ("video_id", "row_key", "attempt", "carried")},
        **result,
    }
    return answer
