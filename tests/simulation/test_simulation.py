"""Histories from seeds: all properties hold, bugs planted on purpose are found, and a seed is the same each time.

All of it: make simulate SEEDS=3000
"""

import hashlib
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.simulation.driver import history_of
from tests.simulation.history import PROPERTIES, Event, violations
from tests.simulation.mutants import MUTANTS, Mutant

_CHUNK = 25
# each was a fault of the product when it was found, or of a mend of one
FOUND = [7, 15, 30, 35, 36, 49, 55, 67, 68, 87, 89, 97, 105, 131, 320, 2525, 2676, 2928, 3748]


def check(seed: int) -> None:
    found = violations(history_of(seed))
    assert not found, f"replay it with: python -m tests.simulation {seed}\n{found}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(1000, 1100, _CHUNK))
def test_all_properties_hold(first: int) -> None:
    for seed in range(first, first + _CHUNK):
        check(seed)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", FOUND)
def test_seeds_that_found_faults(seed: int) -> None:
    check(seed)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_found_by_the_property_that_it_violates(mutant: Mutant) -> None:
    seeds = dict.fromkeys([mutant.seed, *range(mutant.within)])
    with mutant.planted():
        assert any(mutant.violates in violations(history_of(seed)) for seed in seeds)
    check(mutant.seed)


def test_every_property_has_a_bug_that_violates_it() -> None:
    assert {mutant.violates for mutant in MUTANTS} == PROPERTIES.keys()


def digest(seed: int) -> str:
    text = "\n".join(map(str, history_of(seed)))
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.timeout(120)
def test_a_seed_is_the_same_history_in_another_process() -> None:
    code = "from tests.simulation.test_simulation import digest; print(digest(8), digest(15))"
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(ROOT)}
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, check=True, capture_output=True, text=True
    ).stdout
    assert printed.split() == [digest(8), digest(15)]


# --- the checker, on histories written by hand


def happens(at: float, what: str, **facts: object) -> Event:
    return Event(at, what, facts)


def bill(name: str, owner: str, **more: object) -> dict[str, object]:
    return {"bill": name, "key": "k", "owner": owner, **more}


def test_a_second_bill_is_excused_by_a_lost_reply_and_by_a_death_only() -> None:
    paid_twice = PROPERTIES["nothing_is_paid_twice"]
    first, second = (
        happens(1, "billed", **bill("a", "life0/actor1")),
        happens(9, "billed", **bill("b", "life0/actor2")),
    )
    assert paid_twice([first, second])
    assert paid_twice([first, happens(2, "died", owner="life0/actor11"), second])
    assert not paid_twice([first, happens(2, "died", owner="life0/actor1"), second])
    assert not paid_twice([first, happens(2, "lost", bill="a", key="k"), second])
    assert paid_twice([first, happens(2, "lost", bill="c", key="k"), second])
    stored = happens(2, "stored", key="k")
    assert paid_twice([first, stored, happens(3, "died", owner="life0/actor1"), second])


def test_the_minute_of_the_server_is_one_that_rolls() -> None:
    def sent(*times: float) -> list[Event]:
        limits = {"per_minute": 2, "tokens_per_minute": 10}
        return [happens(at, "sent", tokens=5, **limits) for at in times]

    holds = PROPERTIES["no_limit_is_passed"]
    assert not holds(sent(0, 1, 60, 61))
    assert len(holds(sent(0, 1, 59.9))) == 2, "one request and five tokens too many"
