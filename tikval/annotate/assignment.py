"""Who codes which items, in which order: at random, with loads and pairs of coders as even as can be.

Everything follows from a seed and the items' names, so the same list gives the same plan. What was assigned before is
given and counted, and never moves.
"""

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Final

from tikval.annotate.coding import Round
from tikval.config import UserError
from tikval.evaluate.faithfulness_sample import in_random_order

_TRIES: Final = 20  # of which the plan with the most even pairs is taken

Pairs = Counter[frozenset[str]]  # how many items two coders share


def assign_coders(
    items: Collection[str],
    coders: Sequence[str],
    per_item: int,
    *,
    by_all: int = 0,
    seed: int = 0,
    before: Iterable[Collection[str]] = (),
) -> dict[str, tuple[str, ...]]:
    """The coders of each item, `per_item` of them; the first `by_all` items of a random order have all coders.

    `before` has the coders of each item that was assigned earlier. Loads, those of before included, differ by 1 at most
    unless they differed by more than the new items can make up for; how often two coders meet differs little (of two
    per item by 2 at most). Raises UserError for fewer coders than an item needs.
    """
    if len(coders) < per_item:
        raise UserError(
            f"coders_per_video {per_item}: {len(coders)} coders are too few; name more with --coder"
        )
    order = sorted(items, key=lambda item: in_random_order(f"{seed}/items", item))
    n_all = by_all if len(coders) > per_item else 0
    sets = [tuple(coders)] * len(order[:n_all])
    load, pairs = _counted([*before, *sets], coders)
    rest = len(order) - len(sets)
    tries = (_even_sets(rest, coders, per_item, load, pairs, f"{seed}/{n}") for n in range(_TRIES))
    best, least = [], float("inf")
    for made, spread, squares in tries:
        if (cost := squares if spread > 1 else 0) < least:
            best, least = made, cost
        if not least:
            break
    return dict(zip(order, [*sets, *best], strict=True))


def _counted(sets: Iterable[Collection[str]], coders: Sequence[str]) -> tuple[Counter[str], Pairs]:
    load, pairs = (
        Counter(dict.fromkeys(coders, 0)),
        Pairs({frozenset(two): 0 for two in combinations(coders, 2)}),
    )
    for one in sets:
        there = [coder for coder in coders if coder in one]
        load.update(there)
        pairs.update(map(frozenset, combinations(there, 2)))
    return load, pairs


def _even_sets(
    n: int, coders: Sequence[str], per_item: int, load: Mapping[str, int], before: Pairs, seed: str
) -> tuple[list[tuple[str, ...]], int, int]:
    """`n` sets of coders that even out the loads, and of the pairs' counts the spread and the sum of squares."""
    chance, pairs = random.Random(seed), before.copy()  # noqa: S311  (a plan that can be made again)
    due = _due(n, coders, per_item, load, chance)
    made = []
    for left in range(n, 0, -1):
        chosen: list[str] = []
        while len(chosen) < per_item:
            can = [coder for coder in coders if due[coder] and coder not in chosen]
            best = min(
                can,
                key=lambda coder: (
                    due[coder] < left,  # else it has each item that is left
                    sum(pairs[frozenset((coder, other))] for other in chosen),
                    -due[coder],
                    chance.random(),
                ),
            )
            chosen.append(best)
        due.subtract(chosen)
        pairs.update(map(frozenset, combinations(chosen, 2)))
        made.append(tuple(coder for coder in coders if coder in chosen))
    counts = list(pairs.values()) or [0]
    return made, max(counts) - min(counts), sum(count * count for count in counts)


def _due(
    n: int, coders: Sequence[str], per_item: int, load: Mapping[str, int], chance: random.Random
) -> Counter[str]:
    """How many of `n` new items each coder gets: the least loaded first, and nobody an item twice."""
    rank = {coder: chance.random() for coder in coders}
    due = Counter(dict.fromkeys(coders, 0))
    for _ in range(n * per_item):
        due[min((c for c in coders if due[c] < n), key=lambda c: (load[c] + due[c], rank[c]))] += 1
    return due


def coding_order(
    items: Collection[str], coder: str, *, seed: int = 0, again: int = 0, gap: int = 1
) -> list[tuple[str, Round]]:
    """A coder's own random order, with up to `again` of the items a second time, `gap` places later at least.

    There are fewer second times where the list is too short for the gap.
    """
    order = sorted(items, key=lambda item: in_random_order(f"{seed}/{coder}", item))
    early = order[: max(0, len(order) - gap + 1)]
    twice = sorted(early, key=lambda item: in_random_order(f"{seed}/{coder}/again", item))[:again]
    chance = random.Random(f"{seed}/{coder}")  # noqa: S311  (a plan that can be made again)
    after: dict[int, list[str]] = {}  # second times by the number of first ones before them
    for item in twice:
        after.setdefault(chance.randint(order.index(item) + gap, len(order)), []).append(item)
    out: list[tuple[str, Round]] = []
    for n, item in enumerate(order):
        out += [*((second, "again") for second in after.get(n, ())), (item, "main")]
    return [*out, *((second, "again") for second in after.get(len(order), ()))]


def hand_over(
    items: Mapping[str, Collection[str]], receivers: Sequence[str], load: Mapping[str, int], *, seed: int = 0
) -> dict[str, str]:
    """Who takes over each item, as even in load as can be; `items` has who codes it already, and never gets it twice.

    An item that every receiver has is not in the answer.
    """
    can = {item: [one for one in receivers if one not in there] for item, there in items.items()}
    order = sorted(can, key=lambda item: (len(can[item]), in_random_order(f"{seed}/hand over", item)))
    now = Counter({one: load.get(one, 0) for one in receivers})
    taken: dict[str, str] = {}
    for item in order:
        if can[item]:
            taken[item] = min(can[item], key=lambda one: (now[one], in_random_order(f"{seed}/{item}", one)))
            now[taken[item]] += 1
    while move := next(
        ((item, one) for item, holder in taken.items() for one in can[item] if now[one] + 1 < now[holder]),
        None,
    ):
        item, one = move
        now.subtract([taken[item]])
        now.update([one])
        taken[item] = one
    return taken
