"""Who codes what: every item has its coders, loads and pairs are even, nothing that was assigned moves."""

from collections import Counter
from collections.abc import Iterable
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tikval.annotate.assignment import assign_coders, coding_order, hand_over
from tikval.config import UserError

NAMES = [f"coder{n}" for n in range(9)]
ITEMS = [f"v{n}" for n in range(400)]


def spread(counts: Iterable[int]) -> int:
    found = list(counts)
    return max(found) - min(found)


def loads(plan: dict[str, tuple[str, ...]], coders: list[str]) -> list[int]:
    return [sum(coder in who for who in plan.values()) for coder in coders]


def meetings(plan: dict[str, tuple[str, ...]], coders: list[str]) -> list[int]:
    return [sum({a, b} <= set(who) for who in plan.values()) for a, b in combinations(coders, 2)]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 70), st.integers(1, 9), st.integers(1, 4), st.integers(0, 8), st.integers(0, 10**6))
def test_loads_and_pairs_are_even(n: int, n_coders: int, per_item: int, by_all: int, seed: int) -> None:
    coders, items = NAMES[:n_coders], ITEMS[:n]
    if n_coders < per_item:
        with pytest.raises(UserError, match="too few"):
            assign_coders(items, coders, per_item)
        return
    plan = assign_coders(items, coders, per_item, by_all=by_all, seed=seed)
    assert plan.keys() == set(items)
    assert all(len(who) == len(set(who)) for who in plan.values())
    sizes = Counter(len(who) for who in plan.values())
    assert set(sizes) <= {per_item, n_coders}
    if n_coders > per_item:
        assert sizes[n_coders] == min(by_all, n)
    assert spread(loads(plan, coders)) <= 1
    if per_item == 2:
        assert spread(meetings(plan, coders)) <= 2
    elif n_coders > 1:
        assert spread(meetings(plan, coders)) <= per_item


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 40), st.integers(1, 60), st.integers(2, 5), st.integers(0, 2), st.integers(0, 99))
def test_a_later_list_evens_out_what_was_before(n: int, more: int, then: int, joined: int, seed: int) -> None:
    coders = NAMES[: then + joined]
    first = assign_coders(ITEMS[:n], coders[:then], 2, seed=seed)
    second = assign_coders(ITEMS[n : n + more], coders, 2, seed=seed, before=first.values())
    assert second.keys() == set(ITEMS[n : n + more])
    total = loads(first | second, coders)
    if not joined:
        assert spread(total) <= 1
        assert spread(meetings(first | second, coders)) <= 2
    else:  # who is still behind has had every new item
        new = loads(second, coders)
        assert all(load == more or max(total) - mine <= 1 for load, mine in zip(new, total, strict=True))


def test_the_same_list_in_any_order_gives_the_same_plan() -> None:
    plan = assign_coders(ITEMS[:50], NAMES[:4], 2, by_all=3, seed=5)
    assert assign_coders(ITEMS[:50][::-1], NAMES[:4], 2, by_all=3, seed=5) == plan
    assert assign_coders(ITEMS[:50], NAMES[:4], 2, by_all=3, seed=6) != plan


def test_a_large_plan_is_even_and_quick() -> None:
    plan = assign_coders([f"v{n}" for n in range(888)], NAMES[:7], 2)
    assert spread(loads(plan, NAMES[:7])) <= 1
    assert spread(meetings(plan, NAMES[:7])) <= 2


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 60), st.integers(0, 9), st.integers(1, 30), st.integers(0, 99))
def test_second_times_come_late_enough(n: int, again: int, gap: int, seed: int) -> None:
    order = coding_order(ITEMS[:n], "ann", seed=seed, again=again, gap=gap)
    first = [item for item, round_ in order if round_ == "main"]
    second = [item for item, round_ in order if round_ == "again"]
    assert sorted(first) == sorted(ITEMS[:n])
    assert len(second) == len(set(second)) == min(again, max(0, n - gap + 1))
    for item in second:
        assert order.index((item, "again")) - order.index((item, "main")) >= gap


def test_every_coder_has_an_order_of_their_own() -> None:
    orders = [coding_order(ITEMS[:30], coder, seed=1) for coder in ("ann", "bob", "ann")]
    assert orders[0] == orders[2] != orders[1]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 60), st.integers(1, 5), st.integers(0, 99))
def test_nobody_takes_over_what_they_have(n: int, n_receivers: int, seed: int) -> None:
    receivers = NAMES[:n_receivers]
    plan = assign_coders(ITEMS[:n], [*receivers, "bob"], 2, seed=seed)
    items = {item: who for item, who in plan.items() if "bob" in who}
    load = Counter(coder for who in plan.values() for coder in who)
    taken = hand_over(items, receivers, load, seed=seed)
    assert all(taken[item] not in who for item, who in items.items() if item in taken)
    assert taken.keys() == {item for item, who in items.items() if set(receivers) - set(who)}
    after = load + Counter(taken.values())
    for item, holder in taken.items():  # no single item would even it out further
        assert all(after[holder] - after[one] <= 1 for one in receivers if one not in items[item])


def test_a_new_coder_takes_most() -> None:
    taken = hand_over(
        dict.fromkeys(ITEMS[:10], ("ann", "bob")), ["ann", "cem", "dora"], {"ann": 10, "cem": 6}
    )
    assert Counter(taken.values()) == {"cem": 2, "dora": 8}
