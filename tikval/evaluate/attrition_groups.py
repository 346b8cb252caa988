"""The posts of each genre, account or minor flag: how many reach each step, and why the others do not.

Shape letters: G groups, L losses of all groups.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tikval.evaluate.attrition_steps import NO_FILE, REACHABLE, STEPS, WHY
from tikval.rows import Outcome
from tikval.stats.arrays import Ints

_NOT_KNOWN: Final = (Outcome.NO_FILE, Outcome.FAILED, *NO_FILE)
_RANK: Final = np.argsort(np.argsort(WHY))  # of each reason, by name


class Loss(NamedTuple):
    step: int  # place in STEPS of the first that is not reached
    reason: str  # an Outcome, a Reason, NOT_OPENED, NO_ROW, NO_SYSTEM or NO_LABEL
    posts: int

    @property
    def known(self) -> bool:
        """Whether anything tells what became of these posts; else nobody knows whether they could be reached."""
        return self.step != REACHABLE or self.reason not in _NOT_KNOWN


class AttritionGroup(NamedTuple):
    name: str | None  # None: not known, and of the total
    reached: tuple[int, ...]  # posts at each of STEPS
    losses: tuple[Loss, ...]  # by step, the most frequent first

    @property
    def not_known(self) -> int:
        """Listed posts of which nothing tells whether they could be reached."""
        return sum(loss.posts for loss in self.losses if not loss.known)


class AttritionGroups(Sequence[AttritionGroup]):
    """Groups as arrays, of which one is an object while it is looked at: there may be as many as there are accounts."""

    def __init__(self, names: pa.StringArray, reached: Ints, losses: Ints, starts: Ints) -> None:
        """`names` [G], `reached` [G, steps]; `losses` [L, 3]: step, reason, posts, those of a group from its start.

        `starts`: [G + 1].
        """
        self._names = names
        self._reached, self._losses, self._starts = reached, losses, starts

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, at: int) -> AttritionGroup: ...
    @overload
    def __getitem__(self, at: slice) -> list[AttritionGroup]: ...
    def __getitem__(self, at: int | slice) -> AttritionGroup | list[AttritionGroup]:
        if isinstance(at, slice):
            return [self[each] for each in range(len(self))[at]]
        at = range(len(self))[at]  # raises IndexError
        some = self._losses[self._starts[at] : self._starts[at + 1]].tolist()
        losses = tuple(Loss(step, WHY[why], posts) for step, why, posts in some)
        return AttritionGroup(self._names[at].as_py(), tuple(self._reached[at].tolist()), losses)

    def __iter__(self) -> Iterator[AttritionGroup]:
        return map(self.__getitem__, range(len(self)))


def grouped(cells: pa.Table, by: str) -> AttritionGroups:
    """The groups by the column `by` of `cells`, the one with the most posts first; those of which it is not known last.

    A cell has the `level` of its posts, the place in STEPS of the last step that they reach, `why` they reach no more,
    as a code (-1: they reach all), and how many they are (`count_all`).
    """
    found = cells.group_by([by, "level", "why"]).aggregate([("count_all", "sum")])
    codes = found[by].combine_chunks().dictionary_encode(null_encoding="encode")
    group_C = codes.indices.to_numpy()
    level_C, why_C, posts_C = (found[name].to_numpy() for name in ("level", "why", "count_all_sum"))
    names = codes.dictionary
    ends_GL = np.zeros((len(names), len(STEPS)), np.int64)
    np.add.at(ends_GL, (group_C, level_C), posts_C)
    reached = ends_GL[:, ::-1].cumsum(axis=1)[:, ::-1]
    order_by = {"none": names.is_null(), "posts": reached[:, 0], "name": names}
    keys = [("none", "ascending"), ("posts", "descending"), ("name", "ascending")]
    order = pc.sort_indices(pa.table(order_by), sort_keys=keys)
    rank_G = np.empty(len(names), np.int64)
    rank_G[order.to_numpy()] = np.arange(len(names))

    lost = why_C >= 0
    group, step, why, posts = rank_G[group_C[lost]], level_C[lost].astype(int) + 1, why_C[lost], posts_C[lost]
    sorted_L = np.lexsort((_RANK[why], -posts, step, group))
    losses = np.stack([step, why, posts], axis=1)[sorted_L]
    starts = np.searchsorted(group[sorted_L], np.arange(len(names) + 1))
    return AttritionGroups(names.take(order), reached[order.to_numpy()], losses, starts)


def all_together(cells: pa.Table) -> AttritionGroup:
    """All posts as one group."""
    found = grouped(cells.append_column("all", pa.nulls(cells.num_rows, pa.string())), "all")
    return found[0] if found else AttritionGroup(None, (0,) * len(STEPS), ())
