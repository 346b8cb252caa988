"""Whole groups into parts that keep every label in proportion.

Groups are placed one after another, heavy ones and those with rare labels first, each where it brings the counts of
all parts closest to their shares; many orders are tried and the best outcome is kept. Draws come from RandomState,
whose streams NumPy keeps as they are.

Shape letters: N rows, L labels, G groups, K parts (folds, or training and validation), R orders tried,
C = L + 1 counts of a group (positives of each label, then rows).
"""

from collections.abc import Iterable
from typing import Final

import numpy as np

from tikval.stats.arrays import Bools, Floats, Ints

FREQUENT: Final = 0.05  # a label in fewer rows (section 4) weighs as if it were in so many
_ORDERS: Final = 200  # tried for one partition
_STEPS: Final = 100_000  # placements at most, with many groups: fewer orders are tried then
_SPREAD: Final = 0.5  # of the logarithm of a group's weight, from order to order
_DRAWS: Final = 20  # sets of orders before a further partition counts as not to be found


def place(
    groups_N: Ints, labels_NL: Bools, shares_K: Floats, seed: int, seen: set[bytes] | None = None
) -> Ints:
    """[N] the part of each row: the best partition tried that is not among those `seen`; it is added there.

    `groups_N` counts groups from 0 in the order of their first rows, `shares_K` sums to 1, no part stays empty.
    Raises ValueError for fewer groups than parts, and where no further partition is found.
    """
    n_groups, n_parts = int(groups_N.max(initial=-1)) + 1, len(shares_K)
    if n_groups < n_parts:
        raise ValueError(f"{n_groups} groups (accounts, near-duplicates) are too few for {n_parts} folds")
    counts_GC = np.zeros((n_groups, labels_NL.shape[1] + 1))
    np.add.at(counts_GC, groups_N, np.column_stack([labels_NL, np.ones(len(groups_N))]))
    seen = set() if seen is None else seen
    for draw in range(_DRAWS):
        for part_G in _tried(counts_GC, shares_K, np.random.RandomState([seed, draw])):
            # folds are interchangeable: the same sets in another order are no other partition
            if (name := renumbered(part_G.tolist()).tobytes()) not in seen:
                seen.add(name)
                part_N: Ints = part_G[groups_N]
                return part_N
    raise ValueError(f"of {n_groups} groups, {len(seen)} partitions into {n_parts} folds were found, no more")


def _tried(counts_GC: Floats, shares_K: Floats, random: np.random.RandomState) -> Ints:
    """[R, G] the part of each group, best first."""
    n_groups, n_counts = counts_GC.shape
    n_orders = min(_ORDERS, max(1, _STEPS // n_groups))
    total_C = counts_GC.sum(0)
    # a deviation counts relative to the fair share; of rare labels, one group makes any deviation large
    scale_C = np.maximum(total_C, FREQUENT * total_C[-1])
    target_KC = np.outer(shares_K, total_C)

    heavy_G = np.log((counts_GC / scale_C).sum(1))
    noise_RG = _SPREAD * random.standard_normal((n_orders, n_groups))
    order_RG = np.argsort(-(heavy_G + noise_RG), axis=1, kind="stable")
    have_RKC = np.zeros((n_orders, len(shares_K), n_counts))
    part_RG = np.zeros((n_orders, n_groups), dtype=np.int64)
    every = np.arange(n_orders)
    for step in range(n_groups):
        group_R = order_RG[:, step]
        x_RC = counts_GC[group_R]
        weighed_RC = x_RC / scale_C**2
        # the growth of sum((have - target)^2 / share) if the group came here, over both scales
        growth_RK = np.einsum("rkc,rc->rk", 2 * (have_RKC - target_KC) + x_RC[:, None], weighed_RC) / shares_K
        empty_RK = have_RKC[:, :, -1] == 0
        must_R = empty_RK.sum(1) >= n_groups - step  # the last groups fill what is still empty
        growth_RK[must_R[:, None] & ~empty_RK] = np.inf
        part_R = np.round(growth_RK, 9).argmin(1)  # rounded: a tie is a tie on every machine
        have_RKC[every, part_R] += x_RC
        part_RG[every, group_R] = part_R

    lacking_RC = np.einsum("rkc,k->rc", (have_RKC == 0) & (total_C > 0), shares_K)
    worst_R = (np.abs(have_RKC - target_KC) / np.outer(shares_K, scale_C)).max((1, 2))
    # first, few labels that a part lacks; squared, because a label that one part has alone cannot be tested
    best = np.lexsort((np.round(worst_R, 9), np.round((lacking_RC**2).sum(1), 9)))
    tried: Ints = part_RG[best]
    return tried


def renumbered(names: Iterable[int]) -> Ints:
    """0, 1, 2, ... in order of first appearance."""
    number: dict[int, int] = {}
    return np.array([number.setdefault(name, len(number)) for name in names], dtype=np.int64)
