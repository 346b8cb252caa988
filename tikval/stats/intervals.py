"""How far a score could have come out otherwise: a bootstrap that draws whole accounts.

The videos of one account are alike, so it is accounts, not videos, that are drawn with replacement (Cameron, Gelbach
and Miller, 2008). A score needs three counts of each label: hits, videos for which it was predicted, and videos for
which it is true (the support). Summed by group once, a draw is a weighted sum of groups, and all draws are one
product of matrices: [draws, groups] @ [groups, counts].

D draws, G groups, L labels, K = 3 L counts: hits, predicted, support. Results are nan where nothing can be averaged.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tikval.stats.arrays import Bools, Bytes, Floats, Floats32, Ints
from tikval.stats.metrics import label_f1

LEVEL: Final = 0.95
TINY: Final = 1e-12  # scores and differences that are equal but for rounding
_CHUNK: Final = 128  # draws whose weights are 32-bit floats at a time


class Interval(NamedTuple):
    lower: float | None  # None: fewer than two groups, or no draw in which there was a score
    upper: float | None


class AccountDraws:
    """How often each draw has each group; the same draws for every system, so that differences are paired."""

    def __init__(self, n_groups: int, draws: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.weights: Bytes = np.empty((draws if n_groups > 1 else 0, n_groups), dtype=np.uint8)
        for weights_G in self.weights:
            drawn = np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups)
            weights_G[:] = np.minimum(drawn, 255)  # a group comes up once on average, 255 times never

    def sums(self, counts_GK: Floats32) -> Floats:
        """[D, K] the counts of each draw."""
        return weighted_sums(self.weights, counts_GK)


def weighted_sums(weights_DG: Bytes, counts_GK: Floats32) -> Floats:
    """[D, K]; sums are exact up to 16 million, as 32-bit floats are."""
    some_G = counts_GK.any(1)
    kept_GK = np.ascontiguousarray(counts_GK[some_G])
    out = np.empty((len(weights_DG), counts_GK.shape[1]))
    for start in range(0, len(out), _CHUNK):
        rows = weights_DG[start : start + _CHUNK]
        out[start : start + _CHUNK] = rows[:, some_G].astype(np.float32) @ kept_GK
    return out


def by_group(values_NK: NDArray[np.generic], group_N: Ints, n_groups: int) -> Floats32:
    """[G, K] sums over the videos of each group."""
    out = np.zeros((n_groups, values_NK.shape[1]), dtype=np.float32)
    if len(group_N):
        order = np.argsort(group_N, kind="stable")
        groups, first = np.unique(group_N[order], return_index=True)
        out[groups] = np.add.reduceat(values_NK[order].astype(np.float32), first, axis=0)
    return out


class CountSums(NamedTuple):
    """Counts of one part of a system's answers, as they are and in each draw."""

    here: Floats  # [K]
    drawn: Floats  # [D, K]

    def minus(self, other: "CountSums") -> "CountSums":
        return CountSums(self.here - other.here, self.drawn - other.drawn)


class Spread(NamedTuple):
    """A score of all parts, averaged: as it is, and in each draw."""

    here: Floats  # [] or [L]
    drawn: Floats  # [D] or [D, L]

    def minus(self, other: "Spread") -> "Spread":
        return Spread(self.here - other.here, self.drawn - other.drawn)

    def interval(self) -> Interval:
        """The interval of a score that has no axis of labels."""
        return bias_corrected(float(self.here), self.drawn)


def of_labels(parts: Sequence[CountSums]) -> Spread:
    """F1 of each label."""
    return Spread(
        nan_mean([label_f1(*_thirds(part.here)) for part in parts]),
        nan_mean([label_f1(*_thirds(part.drawn)) for part in parts]),
    )


def of_mean(parts: Sequence[CountSums], use_L: Bools, how: str) -> Spread:
    """`macro` or `weighted` F1 over the labels `use_L`."""
    return Spread(
        nan_mean([mean_f1(*_thirds(part.here), use_L, how) for part in parts]),
        nan_mean([mean_f1(*_thirds(part.drawn), use_L, how) for part in parts]),
    )


def _thirds(counts: Floats) -> tuple[Floats, Floats, Floats]:
    hits, predicted, support = np.split(counts, 3, axis=-1)
    return hits, predicted, support


def mean_f1(hits: Floats, predicted: Floats, support: Floats, use_L: Bools, how: str) -> Floats:
    """[...] as metrics.macro and metrics.weighted, over the labels `use_L` of counts [..., L]."""
    support = support[..., use_L]
    f1 = label_f1(hits[..., use_L], predicted[..., use_L], support)
    weight = (~np.isnan(f1)).astype(np.float64) if how == "macro" else support
    total = weight.sum(-1)
    out = np.full(total.shape, np.nan)
    np.divide((np.nan_to_num(f1) * weight).sum(-1), total, out=out, where=total > 0)
    return out


def nan_mean(values: Sequence[Floats]) -> Floats:
    """Mean over the parts that have a number; nan where none has."""
    stacked = np.stack(values)
    known = ~np.isnan(stacked)
    number = known.sum(0)
    out = np.full(number.shape, np.nan)
    np.divide(np.where(known, stacked, 0).sum(0), number, out=out, where=number > 0)
    return out


def bias_corrected(here: float, drawn_D: Floats, level: float = LEVEL) -> Interval:
    """Bias-corrected percentiles (Efron, 1981) of the draws that have a score.

    A draw leaves out more than a third of the accounts, so rare labels score lower in it than they did: of a macro F1
    more than half of the draws lie below. z0 tells how many; the percentiles are taken that much further up.
    """
    known = drawn_D[~np.isnan(drawn_D)]
    if not len(known) or math.isnan(here):
        return Interval(None, None)
    near = np.abs(known - here) <= TINY
    share = float(((known < here) & ~near).mean() + near.mean() / 2)
    normal, edge = NormalDist(), 1 / (2 * len(known))
    z0, z = normal.inv_cdf(min(max(share, edge), 1 - edge)), normal.inv_cdf((1 + level) / 2)
    low, high = np.quantile(known, [normal.cdf(2 * z0 - z), normal.cdf(2 * z0 + z)])
    return Interval(float(low), float(high))
