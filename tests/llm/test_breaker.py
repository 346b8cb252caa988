"""What one call meets slows every call to its model."""

import asyncio
import math
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tikval.llm.breaker import SPENDING, Breaker, Met, Pace, Stop
from tikval.llm.limiter import Limiter

PACE = Pace(
    per_minute=1000, tokens_per_minute=10**9, call_seconds=300, longest_wait_seconds=300, outage_seconds=1800
)
OK, BUSY, DOWN = Met(), Met("busy", None, "429"), Met("down", None, "500")


class Model:
    """A breaker and its clock."""

    def __init__(self) -> None:
        self.breaker, self.now, self.n = Breaker(), 1_000_000.0, 0

    def go(self, most: int = 1000) -> list[str]:
        """The calls that may go now, `most` of them."""
        went = list[str]()
        while len(went) < most and self.breaker.wait_seconds(self.now) <= 0:
            self.n += 1
            went.append(f"row{self.n}.1")
            self.breaker.let_go(self.now, went[-1], PACE)
        return went

    def end(self, calls: list[str], met: Met) -> list[bool]:
        self.now += 0.01
        return [self.breaker.ended(self.now, call, met, PACE) for call in calls]


def test_one_429_holds_everybody_back_until_its_delay_is_over() -> None:
    model = Model()
    out = model.go(32)
    model.end(out[:1], BUSY._replace(after_seconds=20))
    assert model.go() == []
    model.end(out[1:], OK)
    model.now += 19.9
    assert model.go() == []
    model.now += 0.2
    assert 16 <= len(model.go()) <= 32


def test_calls_in_flight_halve_once_a_round_and_rise_by_one_a_round() -> None:
    model = Model()
    model.end(model.go(32), BUSY)  # one round: all of it is one sign
    model.now += 60
    out = model.go()
    assert len(out) == 16
    for most in (17, 18, 19):
        model.end(out, OK)
        out = model.go()
        assert len(out) == pytest.approx(most, abs=1)
    model.end(out, BUSY)
    model.now += 60
    assert len(model.go()) == len(out) // 2


def test_an_outage_is_probed_by_one_call_at_growing_intervals() -> None:
    model = Model()
    faults = model.end(model.go(32), DOWN)
    assert faults == [False, False] + [True] * 30, "rows are not to blame for what meets all of them"
    pauses = []
    for _ in range(9):
        assert model.go() == []
        begin, at = model.now, model.breaker.resume_at
        model.now = at
        probe = model.go()
        assert len(probe) == 1
        pauses.append(round(at - begin))
        assert model.end(probe, DOWN) == [True]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    model.now += 60
    model.end(model.go(), OK)
    assert len(model.go()) >= 15, "back at once to half of what there was"


def test_an_outage_that_is_too_long_stops_the_run() -> None:
    model = Model()
    model.end(model.go(5), DOWN)
    for _ in range(40):
        model.now += 60
        model.end(model.go(), DOWN)
    assert model.breaker.stopped
    assert "no reply for 30 min (500)" in str(model.breaker.stopped)


def test_a_row_that_fails_among_others_is_its_own_fault() -> None:
    model = Model()
    for _ in range(10):
        out = model.go(4)
        model.end(out[1:], OK)
        assert model.end(out[:1], DOWN) == [False]
    assert not model.breaker.probing
    assert model.breaker.allowed == math.inf


@pytest.mark.parametrize("trouble", ["busy", "down"])
def test_a_delay_longer_than_allowed_stops_the_run_and_says_when(trouble: str) -> None:
    model = Model()
    out = model.go(3)
    model.end(out[:1], Met(trouble, 36_000.0, "429 quota"))  # type: ignore[arg-type]
    until = datetime.fromtimestamp(model.now + 36_000, UTC)
    assert str(model.breaker.stopped) == (
        "the server asks to wait 10.0 h, longer than api.longest_wait_seconds allows (300): 429 quota; "
        f"come again after {until:%Y-%m-%d %H:%M} UTC"
    )


def test_a_quota_of_the_day_begins_anew_at_midnight_in_california() -> None:
    for hour, day in ((3, 28), (7, 28), (9, 29), (23, 29)):
        model = Model()
        model.now = datetime(2026, 11, 28, hour, 30, tzinfo=UTC).timestamp()
        model.end(model.go(1), Met("spent", 40.0, "the day's quota is used up: 429"))
        assert f"come again after 2026-11-{day} 08:00 UTC" in str(model.breaker.stopped)


def test_nobody_knows_when_money_comes_again() -> None:
    model = Model()
    model.end(model.go(1), Met("spent", None, f"{SPENDING}: 429"))
    assert model.breaker.stopped == Stop(f"{SPENDING}: 429")
    assert "same command" in str(model.breaker.stopped)


def test_a_call_whose_actor_died_frees_its_place() -> None:
    model = Model()
    model.end(model.go(2), BUSY)
    model.now += 10
    assert len(model.go()) == 1
    assert model.go() == []
    model.now += 2 * PACE.call_seconds
    assert len(model.go()) == 1


@given(st.integers(1, 40), st.lists(st.sampled_from([OK, OK, OK, BUSY, DOWN]), max_size=300), st.randoms())
def test_in_any_order_no_pause_is_broken_and_a_server_that_is_back_gets_everything(
    most: int, ends: list[Met], dice: random.Random
) -> None:
    model, out = Model(), list[str]()
    for met in ends:
        went = model.go(most - len(out))
        if went:
            assert model.now >= model.breaker.resume_at
            assert len(out) + len(went) <= (1 if model.breaker.probing else model.breaker.allowed + 1)
        out += went
        if not out:
            model.now += dice.choice([0.5, 5, 60])
            continue
        model.end([out.pop(dice.randrange(len(out)))], met)
    for _ in range(3000):  # and now all is well
        model.end(out, OK)
        model.now = max(model.now, model.breaker.resume_at)
        out = model.go(most)
        if len(out) == most:
            return
    raise AssertionError("it never came back")


def test_who_waits_is_told_that_no_call_goes_any_more() -> None:
    async def main() -> list[object]:
        limiter = Limiter()
        assert isinstance(await limiter.acquire("a.1", 1, PACE), float)
        await limiter.ended("a.1", BUSY._replace(after_seconds=100), 0, PACE)
        waiting = [asyncio.create_task(limiter.acquire(f"{n}.1", 1, PACE)) for n in range(3)]
        await asyncio.sleep(0)
        await limiter.ended("b.1", Met("spent", None, "the day's quota is used up"), 0, PACE)
        stops: list[object] = list(await asyncio.wait_for(asyncio.gather(*waiting), 5))
        await limiter.begin([])  # a new run knows better: its first call probes
        limiter.breaker.resume_at = 0
        assert isinstance(await limiter.acquire("c.1", 1, PACE), float)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(limiter.acquire("d.1", 1, PACE), 0.05)
        return stops

    assert all(isinstance(stop, Stop) for stop in asyncio.run(main()))
