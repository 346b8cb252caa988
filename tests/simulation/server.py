"""The provider: it answers late, wrong, not at all, or twice; what it has run it bills, whoever is there to read it.

What it does happens outside of every process of ours. `note` takes what it saw and billed into the history.
"""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, NamedTuple

from tests.simulation.loop import OWNER, SimulatedLoop
from tests.simulation.scenario import LLM, Scenario
from tikval.llm.client import Usage
from tikval.llm.prices import load_prices

_PRICE: Final = load_prices().of(LLM.model, date(2026, 10, 5))
_CALL_SECONDS: Final = (0.2, 8.0)
_WIRE_SECONDS: Final = (0.005, 0.1)
_FAULTS: Final = ("429", "429 wait", "503", "500", "reset", "timeout", "truncated", "empty", "garbage", "400")
Note = Callable[..., None]


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any  # JSON, or bytes that are none


class Lost(Exception):  # noqa: N818
    """The connection is gone; nobody knows what became of the request."""


@dataclass
class _Job:
    name: str
    display_name: str
    input: str
    ends_at: float
    state: str = "RUNNING"
    results: str | None = None
    n: dict[str, int] = field(default_factory=lambda: {"asked": 0, "ok": 0, "failed": 0})


class Provider:
    def __init__(self, scenario: Scenario, loop: SimulatedLoop, rng: random.Random, note: Note) -> None:
        self.scenario, self.loop, self.rng, self.note = scenario, loop, rng, note
        self.calm = False  # nothing goes wrong any more
        self.n_bills = 0
        self.files: dict[str, list[dict[str, Any]]] = {}
        self.results: dict[str, list[bytes]] = {}
        self.jobs: dict[str, _Job] = {}

    # --- online

    async def ask(self, prompt: str, call: str, seconds: float) -> Answer:
        """One request, as its client sees it. Raises Lost and TimeoutError."""
        answer: asyncio.Future[Answer | None] = self.loop.create_future()
        owner, bill = OWNER.get(), self._new_bill()
        self.note("asked", bill=bill, call=call, owner=owner, in_flight=self.scenario.in_flight)
        self.loop.outside(self._wire(), lambda: self._arrived(prompt, call, owner, bill, answer))
        try:
            async with asyncio.timeout(seconds):
                got = await answer
        finally:
            self.note("came back", bill=bill, owner=owner)
        if got is None:
            raise Lost
        return got

    def _arrived(self, prompt: str, call: str, owner: str, bill: str, answer: "asyncio.Future[Any]") -> None:
        tokens = len(prompt.encode()) // 4
        self.note("sent", call=call, tokens=tokens)
        fault = self._fault()

        def reply(what: Answer | None) -> None:
            self.loop.outside(self._wire(), lambda: None if answer.done() else answer.set_result(what))

        if fault in ("429", "429 wait", "503", "400", "spent"):
            waits = {"Retry-After": str(self.rng.randint(1, 40))} if fault == "429 wait" else {}
            text = "quota per day" if fault == "spent" else "no"
            status = 429 if fault == "spent" else int(fault[:3])
            reply(Answer(status, waits, {"error": {"message": text}}))
            return
        if fault in ("reset", "500", "timeout") and self.rng.random() >= self.scenario.billed:
            if fault != "timeout":
                reply(None if fault == "reset" else Answer(500, {}, {"error": {"message": "no"}}))
            return

        def served() -> None:
            usage, text = self._bill(prompt, call, owner, bill, fault)
            if fault in ("reset", "500", "timeout", "garbage"):
                self.note("lost", bill=bill, key=call.partition(".")[0])
            if fault == "reset":
                reply(None)
            elif fault == "500":
                reply(Answer(500, {}, {"error": {"message": "after it ran"}}))
            elif fault == "garbage":
                reply(Answer(200, {}, b"<html>"))
            elif fault != "timeout":
                reply(Answer(200, {}, payload_of(text, usage, "length" if fault == "truncated" else "stop")))

        self.loop.outside(self.rng.uniform(*_CALL_SECONDS), served)

    def _bill(self, prompt: str, call: str, owner: str, bill: str, fault: str | None) -> tuple[Usage, str]:
        tokens_in = max(1, len(prompt.encode()) // 4 - self.rng.randint(0, 2))
        usage = Usage(tokens_in=tokens_in, tokens_out=self.rng.randint(1, LLM.max_tokens))
        text = "" if fault == "empty" else f"answer {bill} to {prompt}"
        whole, usd = fault not in ("truncated", "empty"), _PRICE.cost(usage, batch=not owner)
        key = call.partition(".")[0]
        self.note("billed", bill=bill, key=key, owner=owner, usd=usd, content=prompt, text=text, whole=whole)
        return usage, text

    # --- batch jobs, as their REST interface has them

    async def rest(self, method: str, path: str, body: Any, seconds: float) -> Answer:
        """One request. Raises Lost, where it may have been acted upon or not."""
        await asyncio.sleep(self._wire())
        fault = self._fault()
        if fault in ("429", "429 wait"):
            return Answer(429, {}, {"error": {"message": "no"}})
        if fault in ("503", "400", "truncated", "empty"):
            return Answer(503, {}, {"error": {"message": "no"}})
        if fault is None:
            answer = self._act(method, path, body)
            await asyncio.sleep(self._wire())
            return answer
        if self.rng.random() < self.scenario.billed:  # it arrives, perhaps late
            late = self.rng.choice([0.0, 0.0, 5.0, 200.0])
            self.loop.outside(late, lambda: self._act(method, path, body))
        await asyncio.sleep(seconds if fault == "timeout" else self._wire())
        raise Lost

    def upload(self, name: str, lines: list[dict[str, Any]]) -> None:
        self.files[name] = lines

    def _act(self, method: str, path: str, body: Any) -> Answer:
        gone = Answer(404, {}, {"error": {"message": "no such thing"}})
        if path.endswith(":batchGenerateContent"):
            return self._create(body["batch"])
        if path.startswith("batches?"):
            return Answer(200, {}, {"operations": [self._told(job) for job in self.jobs.values()]})
        if path.endswith(":cancel"):
            running = self.jobs.get(path.removesuffix(":cancel"))
            if running is None:
                return gone
            self.loop.outside(self.rng.uniform(0, 30), lambda: self._end(running, "CANCELLED"))
            return Answer(200, {}, {})
        if method == "DELETE":
            known = path in self.files or path in self.results
            self.files.pop(path, None)
            self.results.pop(path, None)
            return Answer(200, {}, {}) if known else gone
        job = self.jobs.get(path)
        return Answer(200, {}, self._told(job)) if job else gone

    def _create(self, batch: dict[str, Any]) -> Answer:
        name = f"batches/{len(self.jobs) + 1}"
        ends_at = self.loop.now + self.rng.uniform(0.5, 1.5) * (
            10 if self.calm else self.scenario.job_seconds
        )
        job = _Job(name, batch["displayName"], batch["inputConfig"]["fileName"], ends_at)
        self.jobs[name] = job
        if job.input not in self.files:
            job.state = "FAILED"
        else:
            self.note("job begins", job=job.display_name)
            state = (
                "SUCCEEDED" if self._fault() is None else self.rng.choice(["SUCCEEDED", "EXPIRED", "FAILED"])
            )
            self.loop.outside(ends_at - self.loop.now, lambda: self._end(job, state))
        return Answer(200, {}, self._told(job))

    def _end(self, job: _Job, state: str) -> None:
        if job.state != "RUNNING":
            return
        job.state = state
        lines = self.files.get(job.input)
        if lines is None or (state == "FAILED" and self.rng.random() < 0.5):
            job.state = "FAILED"
            return
        out, share = [], 1.0 if state == "SUCCEEDED" else self.rng.random()
        for line in lines:
            job.n["asked"] += 1
            if self.rng.random() > share:
                continue
            if self._fault() is not None and self.rng.random() < 0.5:
                job.n["failed"] += 1
                out.append(json.dumps({"key": line["key"], "error": {"code": 13, "message": "no"}}).encode())
                continue
            job.n["ok"] += 1
            bill, fault = self._new_bill(), "truncated" if self._fault() == "truncated" else None
            usage, text = self._bill(line["request"]["prompt"], line["key"], "", bill, fault)
            payload = payload_of(text, usage, "length" if fault else "stop")
            if self._fault() == "reset":  # the reply is in no file
                self.note("lost", bill=bill, key=line["key"])
            else:
                out.append(json.dumps({"key": line["key"], "response": payload}).encode())
        self.rng.shuffle(out)
        job.results = f"files/results-{job.name.partition('/')[2]}"
        self.results[job.results] = out

    def _told(self, job: _Job) -> dict[str, Any]:
        stats = {
            "requestCount": str(job.n["asked"]),
            "successfulRequestCount": str(job.n["ok"]),
            "failedRequestCount": str(job.n["failed"]),
            "pendingRequestCount": str(job.n["asked"] - job.n["ok"] - job.n["failed"]),
        }
        meta: dict[str, Any] = {"state": f"BATCH_STATE_{job.state}", "displayName": job.display_name}
        if job.n["asked"]:
            meta["batchStats"] = stats
        if job.results:
            meta["output"] = {"responsesFile": job.results}
        return {"name": job.name, "metadata": meta}

    # --- chance

    def _fault(self) -> str | None:
        if self.calm:
            return None
        if self.scenario.outage is not None:
            since, seconds = self.scenario.outage
            if since <= self.loop.now - self.loop.begin < since + seconds:
                return self.rng.choice(["503", "reset", "500"])
        if self.rng.random() >= self.scenario.faults:
            return None
        return "spent" if self.rng.random() < 0.01 else self.rng.choice(_FAULTS)

    def _wire(self) -> float:
        return self.rng.uniform(*_WIRE_SECONDS)

    def _new_bill(self) -> str:
        self.n_bills += 1
        return f"bill-{self.n_bills}"


def payload_of(text: str, usage: Usage, finish: str) -> dict[str, Any]:
    """A reply of the chat protocol."""
    counts = {"prompt_tokens": usage.tokens_in, "completion_tokens": usage.tokens_out}
    choice = {"message": {"content": text}, "finish_reason": finish}
    return {"choices": [choice], "model": LLM.model, "usage": counts}
