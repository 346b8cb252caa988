"""What sampled videos show of a cut: recall and precision of each stance, and their bounds.

n videos, L labels, G groups.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.cascade import ERROR, Pair, Reached
from tikval.stats.cascade_bounds import RightShare, right_share, unknown_effect
from tikval.stats.intervals import by_group


class StanceCounts(NamedTuple):
    """What the answers to each group's videos come to, of one stance: [n] labels."""

    positives: Floats  # the strong system's
    given: Floats
    missed: Floats
    false: Floats
    group: Ints

    def reached(self, up_n: Floats) -> tuple[RightShare, RightShare]:
        """Recall and precision where each video goes up with such a probability."""
        stays_n = 1 - up_n
        given_n = up_n * self.positives + stays_n * self.given
        of_cut = (stays_n * self.missed, self.positives, stays_n * self.false, given_n)
        of_none_up = (self.missed, self.positives, self.false, self.given)
        sums_GK = by_group(
            np.stack(of_cut + of_none_up, axis=1), self.group, int(self.group.max(initial=-1)) + 1
        )
        missed, positives, false, given, *none_up = sums_GK.T
        return (
            right_share(missed, positives, unknown_effect(*none_up[:2])),
            right_share(false, given, unknown_effect(*none_up[2:])),
        )


class CascadeTrial(NamedTuple):
    """Videos that both systems answered, as far as they can test a cut."""

    stances: tuple[StanceCounts | None, StanceCounts | None]  # if all stay; None: no label of this stance
    doubt_n: Floats

    def reached(self, up_n: Floats) -> list[tuple[RightShare, RightShare] | None]:
        return [one and one.reached(up_n) for one in self.stances]

    def at(self, cut: float) -> list[tuple[RightShare, RightShare] | None]:
        return self.reached((self.doubt_n > cut).astype(np.float64))

    def shows(self, cut: float, targets: Sequence[Pair | None]) -> bool:
        """Whether each recall and precision is above its target: at most ERROR of samples show one that is not."""
        return all(
            right.p(least) <= ERROR
            for pair, target in zip(self.at(cut), targets, strict=True)
            if pair and target
            for right, least in zip(pair, target, strict=True)
        )


def trial_of(
    answers_nL: Bools, strong_nL: Bools, group_n: Ints, stance_L: Ints, doubt_n: Floats
) -> CascadeTrial:
    group_n = np.unique(group_n, return_inverse=True)[1]
    counted = (strong_nL, answers_nL, strong_nL & ~answers_nL, answers_nL & ~strong_nL)

    def of_stance(of_L: Bools) -> StanceCounts | None:
        positives, given, missed, false = (
            labels_nL[:, of_L].sum(1).astype(np.float64) for labels_nL in counted
        )
        return StanceCounts(positives, given, missed, false, group_n) if of_L.any() else None

    return CascadeTrial((of_stance(stance_L == 0), of_stance(stance_L == 1)), doubt_n)


def bounded(
    pairs: Iterable[tuple[RightShare, RightShare] | None], p: float
) -> tuple[Reached | None, Reached | None]:
    """Each number with its lower bound at 1 - `p`."""
    endorsed, confronted = (
        pair and Reached(pair[0].value, pair[0].lower(p), pair[1].value, pair[1].lower(p)) for pair in pairs
    )
    return endorsed, confronted
