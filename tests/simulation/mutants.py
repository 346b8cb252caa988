"""Bugs planted in the real code, each with the property that it violates; and the faults that the simulation found.

A mutant is what the code would be, or was, without one line. `seed`: of a history that tells it from the real code.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final
from unittest.mock import patch

import numpy as np

from tikval.ask import batch, batch_results
from tikval.ask.batch import SubmitBatch
from tikval.ask.batch_jobs import drop_job
from tikval.ask.paid import PaidCalls
from tikval.llm import gate
from tikval.llm.batch_gate import BatchFolderGate
from tikval.llm.batch_jobs import JobFiles
from tikval.llm.breaker import Breaker
from tikval.llm.gate import FolderGate
from tikval.llm.limiter import Limiter, Window
from tikval.store.folder import Folder
from tikval.store.row_keys import KeyIndex, SeenKeys

Change = tuple[Any, str, Any]


@dataclass(frozen=True)
class Mutant:
    name: str
    violates: str  # a property of tests.simulation.history
    changes: Callable[[], list[Change]]
    seed: int
    within: int = 100  # seeds, of which one at least finds it

    @contextmanager
    def planted(self) -> Iterator[None]:
        with ExitStack() as held:
            for owner, name, what in self.changes():
                held.enter_context(patch.object(owner, name, what))
            yield


def _not_written_first() -> list[Change]:
    async def let_go(self: Any, call: str, when: float, tokens: int) -> None:
        self.open[call] = self.waiting.pop(call)
        self.went_at[call] = when
        self.window.take(when, tokens)
        self.spent.calls += 1
        self._write_soon()

    return [(FolderGate, "_let_go", let_go)]


def _reserves_do_not_count() -> list[Change]:
    return [(FolderGate, "_fits", FolderGate._fits_if_returned)]


def _limiter_off_by_one() -> list[Change]:
    real = Window._fits

    def fits(requests: int, held: int, tokens: int, per_minute: int, tokens_per_minute: int) -> bool:
        return real(requests, held, tokens, per_minute + 1, tokens_per_minute)

    return [(Window, "_fits", staticmethod(fits))]


def _minute_forgotten() -> list[Change]:
    async def begin(self: Limiter, *taken: Any) -> None:
        self.breaker.try_again()

    return [(Limiter, "begin", begin)]


def _out_counts_from_its_admission() -> list[Change]:
    real = Limiter.begin

    async def begin(self: Limiter, taken: Any, unsure: Any) -> None:
        await real(self, [*taken, *unsure])

    return [(Limiter, "begin", begin)]


def _unknown_is_free() -> list[Change]:
    real = FolderGate.settle

    async def settle(self: Any, call: str, usd: float | None, *more: Any, **named: Any) -> bool:
        return await real(self, call, usd or 0, *more, **named)

    return [(FolderGate, "settle", settle)]


def _booked_twice() -> list[Change]:
    real = FolderGate.settle

    async def settle(self: Any, call: str, usd: float | None, *more: Any, **named: Any) -> bool:
        self._count(usd or 0, known=True)
        return await real(self, call, usd, *more, **named)

    return [(FolderGate, "settle", settle)]


def _one_more_in_flight() -> list[Change]:
    real = PaidCalls.__init__

    def init(self: Any, *given: Any, **named: Any) -> None:
        real(self, *given, **named)
        self.at_once = asyncio.Semaphore(self.api.in_flight + 1)

    return [(PaidCalls, "__init__", init)]


def _ledger_not_asked() -> list[Change]:
    async def asked_once(self: Any, row: Any, key: str) -> Any:
        return await self._pay(row, key)

    return [(PaidCalls, "_asked_once", asked_once)]


def _cut_reply_counts() -> list[Change]:
    def checked(self: Any, reply: Any) -> Any:
        return replace(reply, reason=None, detail=None)

    return [(PaidCalls, "_checked", checked)]


def _breaker_stays_open() -> list[Change]:
    return [(Breaker, "try_again", lambda self: None)]


def _job_not_written_first() -> list[Change]:
    real = JobFiles.put

    def put(self: Any, job: Any) -> None:
        if job.state == "created":
            real(self, job)

    return [(JobFiles, "put", put)]


def _adoption_does_not_look() -> list[Change]:
    async def find_or_drop(tools: Any, job: Any, poll_seconds: float) -> None:
        await drop_job(tools, job)

    return [(module, "find_or_drop", find_or_drop) for module in (batch, batch_results)]


def _failed_rows_are_done() -> list[Change]:
    real = Folder.seen

    def seen(self: Folder) -> SeenKeys:
        found = real(self)
        return SeenKeys(
            np.sort(np.concatenate([found.done, found.retry])), found.retry[:0], found.attempts[:0]
        )

    return [(Folder, "seen", seen)]


def _rows_of_two_attempts_go() -> list[Change]:
    def counts(self: KeyIndex) -> list[np.ndarray]:
        _, where, n = np.unique(self.keys, return_inverse=True, return_counts=True)
        return np.split(n[where] == 1, np.cumsum(self.sizes)[:-1])

    return [(KeyIndex, "the_one_that_counts", counts)]


def _all_attempts_stay() -> list[Change]:
    def counts(self: KeyIndex) -> list[np.ndarray]:
        return np.split(np.ones(len(self.keys), bool), np.cumsum(self.sizes)[:-1])

    return [(KeyIndex, "the_one_that_counts", counts)]


# --- as it was, until the simulation found it


def _twins_do_not_wait() -> list[Change]:
    return [
        (FolderGate, "_has_twin", lambda self, call: False),
        (FolderGate, "_remember", lambda self, call: None),
    ]


def _handed_in_again() -> list[Change]:
    real = SubmitBatch._all

    async def all_rows(self: SubmitBatch, rows: list[Any]) -> Any:
        try:
            return await real(self, rows)
        except Exception:
            self.known = set()
            raise

    return [(SubmitBatch, "_all", all_rows)]


def _sent_late() -> list[Change]:
    return [(gate, "_ON_TIME_SECONDS", math.inf)]


def _closed_with_reserves() -> list[Change]:
    async def close(self: Any) -> None:
        await self._write()

    return [(FolderGate, "close", close)]


def _the_dead_keep_their_reserves() -> list[Change]:
    real = BatchFolderGate.__init__

    def init(self: Any, *given: Any, **named: Any) -> None:
        real(self, *given, **named)
        self.call_seconds = math.inf

    return [(BatchFolderGate, "__init__", init)]


MUTANTS: Final = [
    Mutant("sent before it is written down", "no_call_goes_before_it_is_written_down", _not_written_first, 0),
    Mutant("reserves do not count", "no_budget_is_passed", _reserves_do_not_count, 138, 150),
    Mutant("limiter off by one", "no_limit_is_passed", _limiter_off_by_one, 22),
    Mutant("the minute is forgotten with its process", "no_limit_is_passed", _minute_forgotten, 32),
    Mutant(
        "a call that was out counts from its admission",
        "no_limit_is_passed",
        _out_counts_from_its_admission,
        105,
    ),
    Mutant("a billed timeout is free", "all_money_is_booked", _unknown_is_free, 7),
    Mutant("settled twice", "no_money_is_made_up", _booked_twice, 1),
    Mutant("one more in flight", "no_more_are_in_flight_than_allowed", _one_more_in_flight, 3),
    Mutant("the ledger is not asked", "nothing_is_paid_twice", _ledger_not_asked, 2),
    Mutant("a reply cut short counts", "nothing_is_invented", _cut_reply_counts, 5),
    Mutant("the breaker never closes", "every_row_is_answered_in_the_end", _breaker_stays_open, 186, 200),
    Mutant("a job is written down too late", "no_batch_job_is_forgotten", _job_not_written_first, 5),
    Mutant("adoption does not look", "nothing_is_paid_twice", _adoption_does_not_look, 23),
    Mutant("failed rows are done", "every_row_is_answered_in_the_end", _failed_rows_are_done, 5),
    Mutant("rows of two attempts go", "no_row_is_lost", _rows_of_two_attempts_go, 0),
    Mutant("all attempts stay", "no_row_comes_out_twice", _all_attempts_stay, 0),
    Mutant("two rows of one content pay in two actors", "nothing_is_paid_twice", _twins_do_not_wait, 32),
    Mutant("a job that raised is handed in again", "nothing_is_paid_twice", _handed_in_again, 17),
    Mutant("a slow disk sends two minutes in one", "no_limit_is_passed", _sent_late, 49),
    Mutant("a run ends with reserves", "no_money_is_made_up", _closed_with_reserves, 36),
    Mutant("the dead keep their reserves", "every_run_ends", _the_dead_keep_their_reserves, 78, 300),
]
