"""In which order videos go up, and from which probability a label is given to one that stays.

Both follow from calibrated probabilities alone: the thresholds of the two stances, and how much an error of one counts
against one of the other, are those with which the smallest share of the corpus has to go up for the recall and
precision that are aimed at. They are chosen once, so that the videos of a smaller share are among those of a larger.

N videos, L labels, T thresholds.
"""

from itertools import product
from typing import Final, NamedTuple

import numpy as np

from tikval.stats.arrays import Floats, Ints

THRESHOLDS: Final = (0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
WEIGHTS: Final = (0.5, 1.0, 2.0)  # of a confronted label's error against an endorsed one's
MOST_VIDEOS: Final = 1000  # that the choice is made on
_FEWEST: Final = 1e-3  # expected positives of a stance in a video, at least


def doubts(p_NL: Floats, threshold_L: Floats, cost_L: Floats, scores_NL: Floats) -> Floats:
    """[N] the expected cost of the wrong answers if a video stays; infinite where it has no score at all."""
    wrong_N = np.where(p_NL >= threshold_L, 1 - p_NL, p_NL) @ cost_L
    return np.where(np.isnan(scores_NL).all(1), np.inf, wrong_N)


class _Expected(NamedTuple):
    """What a stance's labels come to in each video, at each threshold."""

    positives: Floats  # [N]
    given: Floats  # [T, N]
    missed: Floats  # [T, N]
    false: Floats  # [T, N]


def order_of(p_NL: Floats, stance_L: Ints, recall: float, precision: float) -> tuple[Floats, Floats]:
    """[L] thresholds, and the cost of one wrong answer: a share of its stance's expected positives."""
    some_NL = p_NL[:: -(-len(p_NL) // MOST_VIDEOS)]
    stances = [int(stance) for stance in np.unique(stance_L)]
    expected = [_expected(some_NL[:, stance_L == stance]) for stance in stances]
    aims = ((1 + recall) / 2, (1 + precision) / 2)  # halfway to the strong system's own: a bound has a width
    weights = WEIGHTS if len(stances) > 1 else (1.0,)

    def needed(choice: tuple[float, ...]) -> int:
        return _up(expected, [int(t) for t in choice[:-1]], choice[-1], aims)

    *places, weight = min(product(*[range(len(THRESHOLDS))] * len(stances), weights), key=needed)
    threshold_L, cost_L = np.zeros((2, len(stance_L)))
    for stance, place, one, factor in zip(stances, places, expected, (1.0, weight), strict=False):
        threshold_L[stance_L == stance] = THRESHOLDS[int(place)]
        cost_L[stance_L == stance] = factor / max(float(one.positives.mean()), _FEWEST)
    return threshold_L, cost_L


def _expected(p_NL: Floats) -> _Expected:
    given = [p_NL >= threshold for threshold in THRESHOLDS]
    return _Expected(
        p_NL.sum(1),
        np.array([yes.sum(1) for yes in given], float),
        np.array([np.where(yes, 0, p_NL).sum(1) for yes in given]),
        np.array([np.where(yes, 1 - p_NL, 0).sum(1) for yes in given]),
    )


def _up(expected: list[_Expected], places: list[int], weight: float, aims: tuple[float, float]) -> int:
    """How many videos have to go up."""
    doubt_N = np.zeros(len(expected[0].positives))
    for one, t, factor in zip(expected, places, (1.0, weight), strict=False):
        wrong_N = one.missed[t] + one.false[t]
        doubt_N += factor * wrong_N / max(float(one.positives.mean()), _FEWEST)
    rising = np.argsort(doubt_N)
    enough = np.ones(len(rising) + 1, bool)  # by how many stay
    for one, t in zip(expected, places, strict=True):
        missed, false, given, positives = (
            np.concatenate([[0.0], np.cumsum(of_N[rising])])
            for of_N in (one.missed[t], one.false[t], one.given[t], one.positives)
        )
        total = positives[-1]
        enough &= (missed <= (1 - aims[0]) * total) & (false <= (1 - aims[1]) * (total - positives + given))
    return len(rising) - int(np.flatnonzero(enough).max())
