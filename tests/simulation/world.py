"""One history: a folder on a disk, a provider, and the lives of a driver that dies and is started again.

The code under test is the real one. In its modules the clock is the loop's, names are drawn from the seed, and what
is written and read passes a disk that is slow and fails; threads and asyncio.run are the loop's, the wire the client's.
"""

import json
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

from tests.fixtures.batch_run import FOLDER
from tests.simulation.history import Event
from tests.simulation.loop import SimulatedLoop
from tests.simulation.scenario import Scenario, draw
from tests.simulation.server import Provider
from tikval import files
from tikval.llm.gate import Spent

BEGIN: Final = datetime(2026, 10, 5, 9, tzinfo=UTC).timestamp()  # within the price list
_CLOCKS: Final = ("llm.gate", "llm.limiter", "llm.batch_jobs", "ask.batch_results")
_DATES: Final = ("ask.call_costs", "ask.paid", "ask.batch_results", "llm.uploads")
_NAMES: Final = ("ask.paid", "llm.batch_jobs", "store.folder")
_WRITES: Final = ("llm.gate", "llm.ledger", "llm.batch_jobs", "llm.uploads")
_READS: Final = ("llm.ledger",)
_MEMORY: Final = Path("/dev/shm")


class World:
    def __init__(self, seed: int, out: str) -> None:
        self.scenario: Scenario = draw(seed)
        self.rng = random.Random(f"history {seed}")
        self.out, self.folder = out, f"{out}/{FOLDER}"
        self.loop = SimulatedLoop(self.rng, BEGIN)
        self.loop.thread_seconds = self._thread_seconds
        self.history: list[Event] = []
        self.provider = Provider(self.scenario, self.loop, self.rng, self.note)
        self.budget_usd: float | None = None
        self.life = 0

    def note(self, what: str, **facts: Any) -> None:
        """An event, with what the disk says of it at this moment."""
        if what == "asked":
            facts["written"] = facts["call"] in self.account()[1]
        if what == "sent":
            facts |= {
                "per_minute": self.scenario.per_minute,
                "tokens_per_minute": self.scenario.tokens_per_minute,
            }
        if what == "billed":
            facts |= {"booked": self.booked(), "budget": self.budget_usd}
        if what == "job begins":
            name = facts["job"].removeprefix("tikval-")
            facts["written"] = Path(f"{self.out}/batches/{name}.json").exists()
        self.history.append(Event(self.loop.now - self.loop.begin, what, facts))

    def account(self) -> tuple[Spent, dict[str, float], dict[str, float]]:
        """The account on the disk: what is spent, calls that are out, batch jobs."""
        data = files.read_bytes(f"{self.folder}/calls.json")
        if data is None:
            return Spent(), {}, {}
        payload = json.loads(data)
        return Spent(**payload["spent"]), payload["open"], payload["jobs"]

    def booked(self) -> float:
        spent, out, jobs = self.account()
        return float(spent.settled_usd + sum(out.values()) + sum(jobs.values()))

    def _thread_seconds(self) -> float:
        slow = not self.provider.calm and self.rng.random() < self.scenario.slow_disk
        return self.rng.uniform(0.1, 20.0) if slow else self.rng.expovariate(200)

    def _disk_fails(self) -> bool:
        return not self.provider.calm and self.rng.random() < self.scenario.disk_faults

    def write_bytes(self, uri: str, data: Any) -> None:
        """A write as its caller sees it: whole, or not at all; a store's error may come after it has taken it."""
        key = Path(uri).stem if "/ledger/" in uri else None
        fails = self._disk_fails()
        if not fails or self.rng.random() < 0.3:
            files.write_bytes(uri, data)
            if key:
                self.note("stored", key=key)
        if fails:
            if key and not Path(uri).exists():
                self.note("not stored", key=key)
            raise OSError(5, "the disk fails", uri)

    def read_bytes(self, uri: str) -> bytes | None:
        if self._disk_fails():
            raise OSError(5, "the disk fails", uri)
        return files.read_bytes(uri)

    def delete(self, uri: str) -> None:
        if self._disk_fails():
            raise OSError(5, "the disk fails", uri)
        files.delete(uri)

    @contextmanager
    def patched(self) -> Iterator[None]:
        """The clock, the names, the disk and asyncio.run of this history."""
        clock = SimpleNamespace(time=self.loop.time, monotonic=self.loop.time)
        names = SimpleNamespace(token_hex=lambda n: self.rng.randbytes(n).hex())
        date = _date_of(self.loop.time)
        changes: list[tuple[str, Any]] = [
            *((f"{module}.time", clock) for module in _CLOCKS),
            *((f"{module}.datetime", date) for module in _DATES),
            *((f"{module}.secrets", names) for module in _NAMES),
            *((f"{module}.write_bytes", self.write_bytes) for module in _WRITES),
            *((f"{module}.delete", self.delete) for module in _WRITES if module != "llm.gate"),
            *((f"{module}.read_bytes", self.read_bytes) for module in _READS),
        ]
        with ExitStack() as held:
            for place, what in changes:
                held.enter_context(patch(f"tikval.{place}", what))
            held.enter_context(patch("asyncio.run", self.run))
            held.enter_context(patch("tikval.ask.batch_route._tell", lambda line: None))
            held.enter_context(patch("os.fsync", lambda file: None))  # a crash here keeps what the system has
            yield

    def run(self, work: Any) -> Any:
        """asyncio.run of the driver's process."""
        return self.loop.run_as(f"life{self.life}", work)


def _date_of(clock: Callable[[], float]) -> type[datetime]:
    class VirtualDate(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "VirtualDate":
            return cls.fromtimestamp(clock(), tz)

    return VirtualDate


@contextmanager
def new_world(seed: int) -> Iterator[World]:
    """A world with a folder of its own, in memory where the system has such folders."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as out:
        world = World(seed, out)
        try:
            with world.patched():
                yield world
        finally:
            world.loop.forget()
