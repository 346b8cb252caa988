"""The minute, the money and the ledger, without Ray and without a server."""

import asyncio
import dataclasses
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.fakes import NoLimits
from tikval.config import Api
from tikval.files import read_bytes
from tikval.llm.breaker import Met, Pace, Stop
from tikval.llm.client import Reply, Usage
from tikval.llm.gate import Admission, FolderGate, Spent, read_spent
from tikval.llm.ledger import Entry, Ledger, ledger_key
from tikval.llm.limiter import SECONDS, Limiter, Taken, Window, pace_of
from tikval.rows import Reason


def key(n: int) -> str:
    return ledger_key({"n": n})


def entry(usd: float | None = 0.01, text: str = "ok") -> Entry:
    return Entry("v", Reply(text, "m", Usage(tokens_in=3)), usd, "2026-11-22T00:00:00+00:00")


MET = Met()
PACE = Pace(9, 99, 300, 300, 1800)


class Local:
    """A limiter that is no actor."""

    def __init__(self, limiter: Limiter, pace: Pace = PACE) -> None:
        self.limiter, self.pace = limiter, pace

    async def acquire(self, call: str, tokens: int) -> float | Stop:
        return await self.limiter.acquire(call, tokens, self.pace)

    async def late(self, when: float, seconds: float, tokens: int) -> None:
        await self.limiter.late(when, seconds, tokens)

    async def ended(self, call: str, met: Met, more_tokens: int) -> bool:
        return await self.limiter.ended(call, met, more_tokens, self.pace)


def gate_of(folder: Path, budget_usd: float | None) -> FolderGate:
    return FolderGate(str(folder), Ledger(str(folder)), budget_usd, NoLimits())


# --- the minute


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=80),
    st.integers(1, 9),
    st.integers(10, 60),
    st.randoms(),
)
def test_no_rolling_minute_holds_more_than_it_may(
    sizes: list[int], per_minute: int, tokens_per_minute: int, dice: random.Random
) -> None:
    window, now, let_go = Window(), 1000.0, list[tuple[float, int]]()
    for tokens in sizes:
        now += dice.random() * 20
        wait = window.wait_seconds(now, tokens, per_minute, tokens_per_minute)
        if wait > 0:
            if wait > 0.001:  # the least that is returned, even where a rounding error is all that is left
                assert window.wait_seconds(now + wait * 0.99, tokens, per_minute, tokens_per_minute) > 0
            now += wait + 1e-6  # no later than needed
            assert window.wait_seconds(now, tokens, per_minute, tokens_per_minute) == 0
        window.take(now, tokens)
        let_go.append((now, tokens))
    for when, _ in let_go:
        inside = [tokens for at, tokens in let_go if when <= at < when + 60]
        assert len(inside) <= per_minute
        assert sum(inside) <= tokens_per_minute or sum(tokens > 0 for tokens in inside) == 1


def test_a_request_larger_than_a_minute_goes_alone() -> None:
    window = Window()
    assert window.wait_seconds(0, 500, 10, 100) == 0
    window.take(0, 500)
    assert window.wait_seconds(1, 1, 10, 100) == pytest.approx(SECONDS - 1)


def test_a_later_process_goes_on_with_the_minute() -> None:
    first, second = Window(), Window()
    first.take(10.0, 5)
    first.take(20.0, 7)
    second.take(30.0, 1)
    second.seed(first.recent(30.0))
    second.seed(first.recent(30.0))  # once more changes nothing
    assert (len(second.taken), second.tokens) == (3, 13)
    assert second.wait_seconds(31.0, 1, 3, 100) == pytest.approx(10 + SECONDS - 31)


def test_the_limiter_serves_who_came_first() -> None:
    async def main() -> list[Any]:
        limiter = Limiter()
        pace = Pace(100, 1000, 300, 300, 1800)
        return await asyncio.gather(*(limiter.acquire(f"{n}", 1, pace) for n in range(20)))

    let_go = asyncio.run(main())
    assert let_go == sorted(let_go)


# --- the ledger


def test_what_is_put_is_got(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    assert ledger.get(key(1)) is None
    assert ledger.keys() == set()
    blocked = Entry("v\ud800", Reply("", None, Usage(), Reason.BLOCKED, "SAFETY"), None, "now")
    ledger.put(key(1), entry())
    ledger.put(key(2), blocked)
    assert ledger.get(key(1)) == entry()
    assert ledger.get(key(2)) == blocked
    assert ledger.keys() == {key(1), key(2)}
    ledger.forget(key(1))
    assert ledger.keys() == {key(2)}


@pytest.mark.parametrize("name", ["../../x", "", "A" * 32, "0" * 31, "0" * 31 + "/"])
def test_a_key_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="32 hexadecimal"):
        Ledger(str(tmp_path)).get(name)


def test_every_part_of_a_call_is_in_its_key() -> None:
    call = {
        "llm": {"model": "m", "temperature": 0},
        "prompt": "p",
        "schema": None,
        "sample": None,
        "input": "i",
    }
    keys = {ledger_key(call | {"attempt": 1}), ledger_key(call | {"attempt": 2})}
    for name in ("prompt", "schema", "sample", "input"):
        keys.add(ledger_key(call | {"attempt": 1, name: "other"}))
    keys.add(ledger_key(call | {"attempt": 1, "llm": {"model": "m", "temperature": 1}}))
    assert len(keys) == 7


# --- the money


def test_a_call_is_written_down_before_it_goes(tmp_path: Path) -> None:
    async def main() -> None:
        gate = gate_of(tmp_path, 1.0)
        assert (await gate.admit(f"{key(1)}.1", 0.25, 10)).go
        state = json.loads(read_bytes(f"{tmp_path}/calls.json") or b"")
        assert state["open"] == {f"{key(1)}.1": 0.25}
        await gate.settle(f"{key(1)}.1", 0.1, MET)
        await gate.close()

    asyncio.run(main())
    spent = read_spent(str(tmp_path))
    assert spent is not None
    assert (spent.settled_usd, spent.unknown_usd, spent.calls) == (0.1, 0, 1)


def test_no_more_is_reserved_than_there_is(tmp_path: Path) -> None:
    """Forty calls of at most 0.1, which cost 0.06: the budget of 1 is used to within one reserve, never beyond."""

    async def main() -> tuple[int, float, float]:
        gate = gate_of(tmp_path, 1.0)
        worst = 0.0

        async def call(n: int) -> bool:
            nonlocal worst
            if not (await gate.admit(f"{key(n)}.1", 0.1, 1)).go:
                return False
            worst = max(worst, gate.spent.settled_usd + sum(gate.open.values()))
            await asyncio.sleep(0.001)
            await gate.settle(f"{key(n)}.1", 0.06, MET)
            return True

        went = sum(await asyncio.gather(*(call(n) for n in range(40))))
        return went, gate.spent.settled_usd, worst

    went, spent, worst = asyncio.run(main())
    assert went == 16  # 15 x 0.06 leave room for one more of at most 0.1
    assert spent == pytest.approx(0.96)
    assert worst <= 1.0 + 1e-9


def test_after_a_crash_calls_in_the_air_count_as_spent_unless_the_ledger_knows(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))

    async def crash() -> None:
        gate = gate_of(tmp_path, 1.0)
        assert (await gate.admit(f"{key(0)}.1", 0.2, 1)).go
        await gate.settle(f"{key(0)}.1", None, MET)  # its connection was reset
        for n in (1, 2):
            assert (await gate.admit(f"{key(n)}.1", 0.2, 1)).go
        ledger.put(key(1), entry(0.05))  # and the driver is gone

    asyncio.run(crash())
    gate = gate_of(tmp_path, 1.0)
    assert gate.spent.settled_usd == pytest.approx(0.2 + 0.05 + 0.2)
    assert gate.spent.unknown_usd == pytest.approx(0.4)
    assert gate.open == {}


def test_the_minute_outlives_a_crash(tmp_path: Path) -> None:
    async def main() -> None:
        limiter = Limiter()
        gate = FolderGate(str(tmp_path), Ledger(str(tmp_path)), None, Local(limiter))
        assert (await gate.admit(f"{key(1)}.1", 0, 7)).go
        await gate.settle(f"{key(1)}.1", 0, MET, more_tokens=5)  # the prompt was longer than it seemed
        await gate.close()
        assert (limiter.window.requests, limiter.window.tokens) == (1, 12)

    asyncio.run(main())
    recent = gate_of(tmp_path, None).recent()
    assert (sum(n for _, n, _ in recent), sum(tokens for _, _, tokens in recent)) == (1, 12)


def test_a_busy_minute_is_written_down_in_few_words(tmp_path: Path) -> None:
    async def main() -> None:
        limiter = Local(Limiter(), PACE._replace(per_minute=10**6, tokens_per_minute=10**9))
        gate = FolderGate(str(tmp_path), Ledger(str(tmp_path)), None, limiter)
        await asyncio.gather(*(gate.admit(f"{key(n)}.1", 0, 7) for n in range(1000)))
        await gate.close()

    asyncio.run(main())
    written = json.loads((tmp_path / "calls.json").read_bytes())["window"]
    assert len(written) < 20
    assert sum(requests for _, requests, _ in written) == 1000
    assert sum(tokens for _, _, tokens in written) == 7000


def test_a_limiter_counts_what_it_admitted_once() -> None:
    """A run that begins tells of the last minute: of what went by way of another limiter, and of this one."""

    async def main() -> int:
        earlier = [(time.time() - 5, 3, 0)]
        limiter = Limiter()
        await limiter.begin(earlier)
        await limiter.acquire("a.1", 1, pace_of(Api()))
        now = (time.time(), 1, 1)  # as a gate wrote it down
        await limiter.begin([*earlier, now])
        return limiter.window.requests

    assert asyncio.run(main()) == 4


def test_a_call_that_was_out_may_have_been_sent_until_now(tmp_path: Path) -> None:
    """A slow disk sends a call later than it was admitted, and who was killed then has not written how much later."""
    before = time.time() - 50
    state = {
        "spent": vars(Spent()),
        "open": {f"{key(1)}.1": 0.1},
        "window": [(before - 5, 2, 6), (before, 1, 7)],
    }
    (tmp_path / "calls.json").write_text(json.dumps(state))

    async def main() -> tuple[list[Taken], list[Taken]]:
        limiter = Limiter()
        gate = FolderGate(str(tmp_path), Ledger(str(tmp_path)), None, Local(limiter))
        await limiter.begin(*gate.earlier)
        return list(limiter.window.taken), gate.recent()

    for taken in asyncio.run(main()):
        assert [entry[1:] for entry in taken] == [(2, 6), (1, 7)]
        assert taken[0][0] == before - 5
        assert taken[1][0] > before + 49


def test_a_raised_budget_goes_on(tmp_path: Path) -> None:
    async def main(budget: float) -> bool:
        gate = gate_of(tmp_path, budget)
        admitted = (await gate.admit(f"{key(1)}.1", 0.5, 1)).go
        if admitted:
            await gate.settle(f"{key(1)}.1", 0.5, MET)
        await gate.close()
        return admitted

    assert not asyncio.run(main(0.4))
    assert asyncio.run(main(0.6))
    assert not asyncio.run(main(0.6))


def test_a_dead_actors_reserve_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Its row comes back by way of another actor; were it alive after all, what it paid would be counted once."""

    async def main() -> list[float]:
        gate = gate_of(tmp_path, 1.0)
        assert (await gate.admit(f"{key(1)}.1.dead", 0.6, 1)).go
        assert not (await asyncio.wait_for(gate.admit(f"{key(1)}.1.alive", 0.6, 1), 5)).go
        assert gate.spent.unknown_usd == pytest.approx(0.6)
        assert (await asyncio.wait_for(gate.admit(f"{key(2)}.1.alive", 0.4, 1), 5)).go
        await gate.settle(f"{key(2)}.1.alive", 0.1, MET)
        await gate.settle(f"{key(1)}.1.dead", 0.2, MET)
        return [gate.spent.settled_usd, gate.spent.unknown_usd]

    assert asyncio.run(main()) == pytest.approx([0.3, 0])


class GateInMemory(FolderGate):
    """Writes nothing down, so that whoever is not done waits for money."""

    async def _write(self) -> None:
        self.spent = self.spent


async def until_all_wait() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


CENTS = st.integers(1, 60)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), st.integers(0, 5), st.integers(0, 2), CENTS),
        st.tuples(st.just("settle"), st.integers(0, 5), st.integers(0, 2), CENTS | st.none()),
        st.tuples(st.just("cancel"), st.integers(0, 5), st.integers(0, 2), st.none()),
        st.tuples(st.just("close"), st.just(0), st.just(0), st.none()),
    ),
    max_size=40,
)


@given(STEPS, st.lists(st.booleans(), min_size=40, max_size=40))
def test_in_any_order_nothing_is_lost_and_nobody_waits_for_money_that_is_there(
    steps: list[tuple[str, int, int, int | None]], pauses: list[bool]
) -> None:
    """Calls are asked by several actors, settled twice, late, or never; costs are at most what was reserved."""

    async def main() -> None:
        gate = GateInMemory("/nowhere", Ledger("/nowhere"), 1.0, NoLimits())
        reserved, bill = dict[str, float](), dict[str, float]()
        asking: list[tuple[str, float, asyncio.Task[Any]]] = []
        for (what, n, actor, cents), pause in zip(steps, pauses, strict=False):
            call = f"{key(n)}.1.{actor}"
            if what == "admit" and call not in {name for name, _, task in asking if not task.done()}:
                usd = reserved.setdefault(call, (cents or 0) / 100)  # the same each time that it is sent
                asking.append((call, usd, asyncio.create_task(gate.admit(call, usd, 1))))
            elif what == "settle":
                held = gate.open.get(call, gate.given_up.get(call))
                cost = None if cents is None else min(cents / 100, reserved.get(call, 0))
                before = bill.get(call, 0)
                await gate.settle(call, cost, MET)
                if held is not None:
                    bill[call] = before + (held if cost is None else cost)
            elif what == "cancel":
                for name, _, task in asking:
                    if name == call and not task.done():
                        task.cancel()
            elif what == "close":
                await gate.close()
            if pause:
                await until_all_wait()
                for _, usd, task in asking:
                    assert task.done() or not gate._fits(usd), "waits for money that is there"
            assert 0 <= gate.spent.unknown_usd <= gate.spent.settled_usd + 1e-9
            assert gate.spent.settled_usd + sum(gate.open.values()) <= 1 + 1e-6
        await until_all_wait()
        for _, _, task in asking:
            task.cancel()
        results = await asyncio.gather(*(task for _, _, task in asking), return_exceptions=True)
        assert all(isinstance(result, Admission | asyncio.CancelledError) for result in results)
        owed = sum(bill.values()) + sum(gate.given_up.values())
        assert gate.spent.settled_usd == pytest.approx(owed, abs=1e-6)

    asyncio.run(main())


def test_a_settled_call_is_settled_once(tmp_path: Path) -> None:
    async def main() -> list[float]:
        gate = gate_of(tmp_path, 1.0)
        await gate.settle(f"{key(9)}.1", 0.3, MET)  # nobody admitted it
        assert (await gate.admit(f"{key(1)}.1.a", 0.6, 1)).go
        assert not (await gate.admit(f"{key(1)}.1.b", 0.6, 1)).go  # which gives the first one up
        await gate.settle(f"{key(1)}.1.a", None, MET)  # alive, and its connection was reset
        await gate.settle(f"{key(1)}.1.a", 0.1, MET)
        assert gate.given_up == {}
        assert (await gate.admit(f"{key(2)}.1.a", 0.4, 1)).go
        await gate.settle(f"{key(2)}.1.a", 0.2, MET)
        await gate.settle(f"{key(2)}.1.a", 0.2, MET)
        return [gate.spent.settled_usd, gate.spent.unknown_usd]

    assert asyncio.run(main()) == pytest.approx([0.8, 0.6])


def test_a_call_that_was_given_up_may_be_sent_again(tmp_path: Path) -> None:
    async def main() -> list[float]:
        gate = gate_of(tmp_path, 1.0)
        assert (await gate.admit(f"{key(1)}.1.a", 0.6, 1)).go
        assert not (await gate.admit(f"{key(1)}.1.b", 0.6, 1)).go
        assert (await asyncio.wait_for(gate.admit(f"{key(1)}.1.a", 0.6, 1), 5)).go  # by upload, the same call
        await gate.settle(f"{key(1)}.1.a", 0.1, MET)
        return [gate.spent.settled_usd, gate.spent.unknown_usd, *gate.open.values(), *gate.given_up.values()]

    assert asyncio.run(main()) == pytest.approx([0.1, 0])


def test_what_was_in_the_air_at_a_crash_may_still_be_settled(tmp_path: Path) -> None:
    async def crash() -> None:
        assert await gate_of(tmp_path, 1.0).admit(f"{key(1)}.1.a", 0.6, 1)

    async def main() -> float:
        gate = gate_of(tmp_path, 1.0)
        await gate.settle(f"{key(1)}.1.a", 0.2, MET)
        return gate.spent.settled_usd

    asyncio.run(crash())
    assert asyncio.run(main()) == pytest.approx(0.2)


def test_a_call_that_could_not_be_sent_gives_its_money_back(tmp_path: Path) -> None:
    class Gone(NoLimits):
        async def acquire(self, call: str, tokens: int) -> float | Stop:
            raise OSError("the limiter's node is gone")

    async def main() -> float:
        gate = FolderGate(str(tmp_path), Ledger(str(tmp_path)), 1.0, Gone())
        with pytest.raises(OSError, match="gone"):
            await gate.admit(f"{key(1)}.1.a", 0.6, 1)
        assert gate.open == {}
        return gate.spent.settled_usd

    assert asyncio.run(main()) == 0


def test_a_reply_in_the_ledger_frees_the_reserve_of_an_actor_that_died_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row is read out of the ledger by another actor, which asks the gate for nothing."""
    monkeypatch.setattr("tikval.llm.gate._RECOUNT_SECONDS", 0.05)

    async def main() -> float:
        gate = gate_of(tmp_path, 1.0)
        assert (await gate.admit(f"{key(1)}.1.dead", 0.6, 1)).go
        Ledger(str(tmp_path)).put(key(1), entry(0.2))
        assert (await asyncio.wait_for(gate.admit(f"{key(2)}.1.alive", 0.7, 1), 10)).go
        return gate.spent.settled_usd

    assert asyncio.run(main()) == pytest.approx(0.2)


# --- what the simulation found (docs/simulation.md)


def test_a_row_of_the_same_content_waits_and_looks_again(tmp_path: Path) -> None:
    """Two actors, two rows, one reply: the second is told to look into the ledger, and is not counted."""

    async def main() -> None:
        gate = gate_of(tmp_path, 1.0)
        one, other = f"{key(1)}.1.a.row1", f"{key(1)}.1.b.row2"
        assert (await gate.admit(one, 0.25, 10)).go
        waits = asyncio.create_task(gate.admit(other, 0.25, 10))
        await asyncio.sleep(0.02)
        assert not waits.done()
        await gate.settle(one, 0.1, MET)
        admission = await waits
        assert (admission.go, admission.stop, admission.again) == (False, None, True)
        assert (await gate.admit(other, 0.25, 10)).go, "there was no reply after all"
        await gate.settle(other, 0.1, MET)
        late = await gate.admit(f"{key(1)}.1.a.row3", 0.25, 10)
        assert late.again, "it may have looked before the reply was there"
        assert gate.spent.settled_usd == pytest.approx(0.2)
        await gate.close()

    asyncio.run(main())


def test_a_gate_that_closes_settles_the_calls_of_the_dead(tmp_path: Path) -> None:
    """A stored reply costs what it states, where it is the reply to that call; another's says nothing."""
    replied, lost = f"{key(1)}.1.a.row1", f"{key(2)}.1.a.row2"

    async def main() -> None:
        ledger = Ledger(str(tmp_path))
        gate = FolderGate(str(tmp_path), ledger, 1.0, NoLimits())
        for call in (replied, lost):
            assert (await gate.admit(call, 0.25, 10)).go
        ledger.put(key(1), dataclasses.replace(entry(0.1), call=replied))
        ledger.put(key(2), dataclasses.replace(entry(0.1), call=f"{key(2)}.2.b.row2"))
        await gate.close()

    asyncio.run(main())
    spent = read_spent(str(tmp_path))
    assert spent is not None
    assert spent.settled_usd == pytest.approx(0.35)
    assert spent.unknown_usd == pytest.approx(0.25)
    assert json.loads((tmp_path / "calls.json").read_bytes())["open"] == {}


def test_a_request_that_is_late_counts_from_when_it_is_sent() -> None:
    window = Window()
    window.take(0.0, 5)
    window.take(10.0, 7)
    window.move(0.0, 30.0, 5)
    assert (window.requests, window.tokens) == (2, 12)
    assert window.wait_seconds(62.0, 1, 2, 100) > 0, "two in the last minute, the first of them sent at 30"
    assert window.wait_seconds(72.0, 1, 2, 100) == 0
