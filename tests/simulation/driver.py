"""The driver of a run and its actors, as tikval.flow starts them with Ray: gate, limiter, batch route, paid calls.

What flow/ does with Ray is done here with tasks: an actor that dies is made anew and asked for the same rows; rows of
a call that raised are tried one by one; each group of rows is written as a part; what a folder holds is not done again.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa

from tests.fixtures.batch_run import ASKED, as_it_is, rows_of
from tests.fixtures.rows import script
from tests.simulation.client import CALL, SimulatedClient
from tests.simulation.history import Event
from tests.simulation.loop import OUTSIDE, Killed, Remote, Stuck
from tests.simulation.scenario import LLM
from tests.simulation.world import World, new_world
from tikval.ask.batch_jobs import BatchTools, make_tools
from tikval.ask.batch_route import BatchRoute
from tikval.ask.call_costs import CallCosts
from tikval.ask.paid import PaidCalls
from tikval.config import UserError
from tikval.llm.batch_gate import BatchFolderGate
from tikval.llm.batch_jobs import JobFiles
from tikval.llm.ledger import Ledger
from tikval.llm.limiter import Limiter, LocalLimiter
from tikval.llm.prices import load_prices
from tikval.rows import Reason, ScriptRow, arrow_schema
from tikval.store.folder import Folder
from tikval.store.row_keys import KeyIndex

_GROUP: Final = 3  # rows of one call of the stage
_CALM_LIVES: Final = 8
_CALM_SECONDS: Final = 7200.0  # between these: every batch job has ended
_BETWEEN: Final = (0.0, 4.0)  # powers of ten: seconds until somebody starts it again
_PRICES: Final = load_prices()
_SCHEMA: Final = arrow_schema(ScriptRow)


class _Gate(Remote):
    """The gate as an actor reaches it."""

    async def admit(self, call: str, *given: Any) -> Any:
        admission = await self.__getattr__("admit")(call, *given)
        CALL.set(call)  # for the wire, which has no other way to know it
        return admission


class Driver:
    """One life of it."""

    def __init__(self, world: World, limiter: Limiter, limiter_owner: str) -> None:
        self.world, self.loop, self.me = world, world.loop, f"life{world.life}"
        self.api, self.ledger = world.scenario.api(), Ledger(world.out)
        self.limiter = Remote(self.loop, limiter_owner, limiter)
        paced = Remote(self.loop, limiter_owner, LocalLimiter(limiter, self.api))
        self.gate = BatchFolderGate(
            world.folder, self.ledger, world.budget_usd, paced, call_seconds=self.api.timeout_seconds
        )
        self.folder = Folder(world.folder)
        self.n_actors = 0
        self.actors: dict[int, tuple[PaidCalls, str, asyncio.Future[None]]] = {}

    def tools(self) -> BatchTools:
        client = partial(SimulatedClient, self.api, self.world.provider)
        return make_tools(self.world.out, client, self.reach)

    def reach(self) -> Any:
        return _Gate(self.loop, f"{self.me}/gate", self.gate)

    def run(self, rows: list[Any]) -> None:
        """All that is still to do. Raises what ends a driver."""
        self.world.run(self._opened())
        todo = self._to_do(rows)
        try:
            route = BatchRoute(
                LLM, self.api, ASKED, self.world.folder, self.tools, self.ledger, _PRICES, as_it_is
            )
            if todo:
                route.run(lambda: self._handed_in(route, todo))
            self.world.run(self._asked(route.hold_late()(todo)))
        except (UserError, OSError):
            self.world.run(self.gate.close())
            raise
        self.world.run(self.gate.close())  # a process that is killed closes nothing

    async def _opened(self) -> None:
        await self.limiter.begin(*self.gate.earlier)
        await self.gate.expect(None)

    def _to_do(self, rows: list[Any]) -> list[Any]:
        """The rows without a result, each at the attempt that now begins."""
        seen = self.folder.seen()
        done = {key.hex() for key in _padded(seen.done)}
        tried = {key.hex(): int(n) for key, n in zip(_padded(seen.retry), seen.attempts, strict=True)}
        return [
            {**row, "attempt": 1 + tried.get(row["row_key"], 0)} for row in rows if row["row_key"] not in done
        ]

    def _handed_in(self, route: BatchRoute, rows: list[Any]) -> list[Any]:
        submit, n = route.submit(), self.api.batch.rows
        submit.dice = random.Random(self.world.rng.random())

        async def groups() -> list[Any]:
            at_once = [
                _one_by_one(submit._all, submit.failure, rows[at : at + n]) for at in range(0, len(rows), n)
            ]
            return [row for group in await asyncio.gather(*at_once) for row in group]

        found: list[Any] = self.loop.run_as(f"{self.me}/submit", groups())
        return found

    async def _asked(self, rows: list[Any]) -> None:
        groups = [rows[at : at + _GROUP] for at in range(0, len(rows), _GROUP)]
        for number in range(self.world.scenario.actors):
            self._make_actor(number)
        if not self.world.provider.calm:
            for at in self.world.scenario.actor_deaths:
                self.loop.start(self.me, self._death(at))

        async def work(number: int) -> None:
            while groups:
                answers = await self._answered(number, groups.pop(0))
                await asyncio.to_thread(self._write, answers)

        workers = [work(n) for n in range(self.world.scenario.actors) for _ in range(2)]
        await asyncio.gather(*workers)

    def _make_actor(self, number: int) -> None:
        self.n_actors += 1
        owner = f"{self.me}/actor{self.n_actors}"
        client = SimulatedClient(self.api, self.world.provider)
        calls = PaidCalls(LLM, self.api, ASKED, client, self.reach(), self.ledger, _PRICES, as_it_is)
        calls.dice = random.Random(self.world.rng.random())
        self.actors[number] = calls, owner, self.loop.create_future()

    async def _death(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        number = self.world.rng.randrange(self.world.scenario.actors)
        _, owner, died = self.actors[number]
        self.loop.kill(owner)
        self.world.note("died", owner=owner)
        self._make_actor(number)
        died.set_result(None)

    async def _answered(self, number: int, rows: list[Any]) -> list[Any]:
        """The answers of an actor; of the one that comes after it where it dies."""
        while True:
            calls, owner, died = self.actors[number]
            work = self.loop.start(owner, _one_by_one(partial(_all_of, calls), calls.failure, rows))
            both: list[asyncio.Future[Any]] = [work, died]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()

    def _write(self, answers: list[Any]) -> None:
        rows = [
            script(
                answer["video_id"],
                row_key=answer["row_key"],
                attempt=answer["attempt"],
                script=answer["reply"],
                error=answer["error"],
                detail=answer["detail"],
            )
            for answer in answers
        ]
        self.folder.write_part(pa.Table.from_pylist(rows, schema=_SCHEMA))


async def _all_of(calls: PaidCalls, rows: list[Any]) -> list[Any]:
    return list(await asyncio.gather(*map(calls.answer, rows)))


async def _one_by_one(stage: Callable[[list[Any]], Any], failure: Any, rows: list[Any]) -> list[Any]:
    """What flow's actor does with a stage that raises."""
    try:
        return list(await stage(rows))
    except UserError:
        raise
    except Exception:
        done = []
        for row in rows:
            try:
                done += await stage([row])
            except UserError:
                raise
            except Exception as err:
                done.append(failure(row, Reason.INTERNAL_ERROR, str(err)))
        return done


def _padded(keys: np.ndarray) -> list[bytes]:
    return [bytes(key).ljust(16, b"\0") for key in keys]


def _rows(world: World) -> list[Any]:
    """The rows of the run; some ask the very same."""
    rows = rows_of(world.scenario.rows)
    same = world.scenario.contents
    return [
        {**row, **{name: rows[i % same][name] for name in ("prompt", "input_sha")}}
        for i, row in enumerate(rows)
    ]


def _live(world: World, rows: list[Any], kill_at: int | None, limiter: Limiter, limiter_owner: str) -> str:
    """How one life ended."""
    owner = f"life{world.life}"
    world.note("begins", life=world.life, kill_at=kill_at)
    world.loop.kill_at = kill_at and world.loop.steps + kill_at
    try:
        Driver(world, limiter, limiter_owner).run(rows)
        how = "ended"
    except Killed:
        how = "killed"
    except Stuck as err:
        world.note("stuck", why=str(err))
        how = "stuck"
    except (UserError, OSError) as err:
        how = f"raised {err}"
    world.loop.kill_at = None
    world.loop.kill(owner)
    world.note("died", owner=owner, how=how)
    if how == "ended":
        _read(world, rows)
    return how


def _read(world: World, rows: list[Any]) -> None:
    """What lies in the folder once a run has ended."""
    spent, out, jobs = world.account()
    known = spent.settled_usd - spent.unknown_usd
    world.note("account", booked=world.booked(), known=known, open=[*out])
    folder = Folder(world.folder)
    names = folder.parts()
    kept = KeyIndex(folder._keys(names)).the_one_that_counts()
    found = [
        (row["row_key"], row["script"], row["error"])
        for name, keep in zip(names, kept, strict=True)
        for row in folder.table(name, ["row_key", "script", "error"]).filter(pa.array(keep)).to_pylist()
    ]
    costs = CallCosts(LLM, world.scenario.api(), _PRICES)
    left = None if world.budget_usd is None else world.budget_usd - spent.settled_usd - sum(jobs.values())
    world.note(
        "table",
        life=world.life,
        wanted=[row["row_key"] for row in rows],
        contents={row["row_key"]: row["prompt"] for row in rows},
        rows=found,
        final=[reason.value for reason in Reason if reason.terminal],
        too_dear=[row["row_key"] for row in rows if left is not None and costs.most_usd(row) > left],
        jobs=[job.id for job in JobFiles(world.out).all()],
    )


def _is_over(table: Event) -> bool:
    """Whether another run would find nothing to do."""
    return not table["jobs"] and all(error in (None, *table["final"]) for _, _, error in table["rows"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what tikval logs, of which there is much; the tests after it read it again."""
    log = logging.getLogger("tikval")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def history_of(seed: int) -> list[Event]:
    """All that happens under a seed; the same events each time."""
    with _quiet(), new_world(seed) as world:
        rows = _rows(world)
        costs = CallCosts(LLM, world.scenario.api(), _PRICES)
        if world.scenario.budget_share is not None:
            world.budget_usd = world.scenario.budget_share * sum(map(costs.most_usd, rows))
        limiter = Limiter()
        kills: list[int | None] = [*world.scenario.kills, None, *[None] * _CALM_LIVES]
        for number, kill_at in enumerate(kills):
            world.life = number
            world.provider.calm = number > len(world.scenario.kills)
            survives = world.scenario.limiter_survives
            if not survives:
                limiter = Limiter()
            how = _live(world, rows, kill_at, limiter, "cluster" if survives else f"life{number}/limiter")
            if how == "stuck" or (world.provider.calm and how == "ended" and _is_over(world.history[-1])):
                break
            pause = _CALM_SECONDS if world.provider.calm else 10 ** world.rng.uniform(*_BETWEEN)
            world.loop.run_as(OUTSIDE, asyncio.sleep(pause))
        return list(world.history)
