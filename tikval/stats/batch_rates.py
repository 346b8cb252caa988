"""Rates out of labels that batches drew, their 95 % intervals, and how many more labels a width takes.

Shape letters: N videos, n of them labelled, K labels.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from tikval.stats.adaptive import DrawWeights, doubt, drawing_probabilities
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.limits import effective_groups, why_no_interval
from tikval.stats.prevalence import FEWEST, RateInterval, ratio, symmetric, wilson
from tikval.stats.student import t_critical

FEWEST_LABELLED: Final = (
    10  # labelled videos that have a label, and lack it, below which there is no interval
)
TOO_FEW_LABELLED: Final = (
    f"fewer than {FEWEST_LABELLED} labelled videos have it, or lack it: too few for an interval"
)
_LEAST: Final = 1e-12


@dataclass(frozen=True)
class BatchSample:
    """Videos of which some are labelled, and what the draws come to."""

    p: Floats  # [N, K] recalibrated scores, none of which knows its own label
    labelled: Ints  # [n] places in N
    truth: Bools  # [n, K]
    draws: DrawWeights
    cluster: Ints  # [N] accounts, numbered from 0

    def inside(self, inside_N: Bools) -> "BatchSample":
        """Those of some videos."""
        used_n = inside_N[self.labelled]
        return BatchSample(
            self.p[inside_N],
            (np.cumsum(inside_N) - 1)[self.labelled[used_n]],
            self.truth[used_n],
            DrawWeights(*(column[inside_N] for column in self.draws)),
            np.unique(self.cluster[inside_N], return_inverse=True)[1],
        )

    @property
    def residual(self) -> Floats:
        """[n, K]"""
        rest: Floats = self.truth - self.p[self.labelled]
        return rest

    @property
    def phi(self) -> Floats:
        """[N, K] whose means are the rates."""
        out = self.p.copy()
        out[self.labelled] += self.draws.weight[self.labelled, None] * self.residual
        return out

    @property
    def having(self) -> Ints:
        """[K] labelled videos that have the label or, where those are fewer, that lack it."""
        positives = self.truth.sum(0)
        return np.asarray(np.minimum(positives, len(self.truth) - positives))

    @property
    def unlabelled(self) -> Ints:
        return np.setdiff1d(np.arange(len(self.p)), self.labelled)

    def draw_variance(self) -> Floats:
        """[K] of the rates over draws from these videos: by the residuals or, where it is more, as p lets expect.

        Few residuals of a rare label are seen, and one of a video that was thought safe stands for many.
        """
        return np.asarray(np.maximum(*self._seen_and_expected())) / len(self.p) ** 2

    def excess(self) -> Floats:
        """[K] how much larger the residuals are than p lets expect: at least 1."""
        seen, expected = self._seen_and_expected()
        return np.maximum(1, seen / np.maximum(expected, _LEAST))

    def _seen_and_expected(self) -> tuple[Floats, Floats]:
        seen = self.draws.factor[self.labelled] @ self.residual**2
        return seen, self.draws.spread @ (self.p * (1 - self.p))

    def account_variance(self) -> Floats:
        """[K] of the rates over accounts like these, by the jackknife; not below that over draws."""
        return np.asarray(np.maximum(self.draw_variance(), self._between(self.phi)))

    def between_accounts(self) -> Floats:
        """[K] of that, what would stay if every video were labelled, about; at least what p shows."""
        return np.asarray(np.maximum(self._between(self.phi) - self.draw_variance(), self._between(self.p)))

    def _between(self, values_NK: Floats) -> Floats:
        sizes = np.bincount(self.cluster).astype(np.float64)
        columns = [np.bincount(self.cluster, column).astype(np.float64) for column in values_NK.T]
        return np.asarray(ratio(np.stack(columns, axis=1), sizes)[1] ** 2)

    @property
    def draw_degrees(self) -> float:
        factor = self.draws.factor[self.labelled]
        return effective_groups(np.sqrt(factor[factor > 0])) - 1

    @property
    def account_degrees(self) -> float:
        return effective_groups(np.bincount(self.cluster).astype(np.float64)) - 1

    def interval(self, variance_K: Floats, degrees: float) -> RateInterval:
        """Wilson's, of rates whose estimates have this variance."""
        estimate, middle = np.clip(self.phi.mean(0), 0, 1), np.clip(self.p.mean(0), _LEAST, 1 - _LEAST)
        if degrees <= 0:
            return RateInterval(estimate, *np.full((2, len(estimate)), np.nan))
        worth = middle * (1 - middle) / np.maximum(variance_K, _LEAST)
        return wilson(estimate, worth, t_critical(degrees))

    def reach(self, variance_K: Floats, degrees: float) -> Floats:
        """[K] how far the farther end of the interval is from the estimate."""
        estimate, low, high = self.interval(variance_K, degrees)
        return np.maximum(high - estimate, estimate - low)

    def why_none(self) -> str | None:
        """Why there is no interval at all, in words; None where there may be."""
        return why_no_interval(np.bincount(self.cluster[self.labelled]).astype(np.float64))

    def rates(self, *, of_accounts: bool = False) -> RateInterval:
        """Rates of this corpus, or of accounts like these.

        Nothing below FEWEST; no ends below FEWEST_LABELLED, for labels of too few accounts, and where all are labelled.
        """
        if of_accounts:
            found = self.interval(self.account_variance(), self.account_degrees)
        else:
            found = self.interval(self.draw_variance(), self.draw_degrees)
        enough = (
            (self.having >= FEWEST_LABELLED) & (self.draw_variance() > _LEAST) & (self.why_none() is None)
        )
        estimate = np.where(self.having >= FEWEST, found.estimate, np.nan)
        return RateInterval(estimate, *(np.where(enough, end, np.nan) for end in found[1:]))

    def measures(self, weights_KM: Floats, reach: Floats, *, of_accounts: bool = False) -> RateInterval:
        """Weighted sums of the K rates, between -reach and reach."""
        phi, rest = self.phi @ weights_KM, self.residual @ weights_KM
        variance = self.draws.factor[self.labelled] @ rest**2 / len(self.p) ** 2
        degrees = self.draw_degrees
        if of_accounts:
            variance, degrees = np.maximum(variance, self._between(phi)), self.account_degrees
        if self.why_none() is not None:
            return RateInterval(phi.mean(0), *np.full((2, len(reach)), np.nan))
        return symmetric(phi.mean(0), t_critical(degrees) * np.sqrt(variance), reach)


class NextBatch(NamedTuple):
    """What a further batch from these videos would bring; nothing of it is certain."""

    variance: Floats  # [K] of the rates, over draws
    having: Floats  # [K] labelled videos that will have the label or, where those are fewer, lack it


def after(sample: BatchSample, n: int, uniform: float) -> NextBatch:
    """What is to be expected once `n` more videos are labelled, a share of them drawn evenly."""
    rest = sample.unlabelled
    p_RK = sample.p[rest]
    positives = sample.truth.sum(0).astype(np.float64)
    if not n or not len(rest):
        return NextBatch(sample.draw_variance(), sample.having.astype(np.float64))
    pi = drawing_probabilities(doubt(p_RK), n, uniform)
    own = sample.excess() * (((1 - pi) / pi) @ (p_RK * (1 - p_RK))) / len(sample.p) ** 2
    even = min(n / len(rest), 1 - _LEAST)
    new = even / (1 - even)
    old = float(sample.draws.precision.mean())
    variance = (old / (old + new)) ** 2 * sample.draw_variance() + (new / (old + new)) ** 2 * own
    positives += pi @ p_RK
    return NextBatch(variance, np.minimum(positives, len(sample.truth) + n - positives))


def saving(sample: BatchSample, n: int, uniform: float) -> float:
    """The share of the labels that choosing saves, about, against an even draw as precise."""
    p_RK = sample.p[sample.unlabelled]
    variance_RK = p_RK * (1 - p_RK)
    chosen, even = (
        ((1 / drawing_probabilities(doubt(p_RK), n, share) - 1) @ variance_RK) for share in (uniform, 1.0)
    )
    return float(1 - np.mean(chosen / np.maximum(even, _LEAST)))


def needed(
    sample: BatchSample, width: float, uniform: float, between_K: Floats | None = None
) -> list[int | None]:
    """[K] how many more labels bring the ends within `width` of the estimate, about; None: all of them do not.

    `between_K`: variance that no label takes away, such as that between accounts.
    """
    every = len(sample.unlabelled)

    def is_enough(n: int) -> Bools:
        found = after(sample, n, uniform)
        if between_K is None:
            reach = sample.reach(found.variance, sample.draw_degrees + n)
            return ((found.having >= FEWEST_LABELLED) & (reach <= width)) | (n == every)
        reach = sample.reach(found.variance + between_K, sample.account_degrees)
        return np.asarray((found.having >= FEWEST_LABELLED) & (reach <= width))

    last, out = is_enough(every), list[int | None]()
    for k in range(sample.p.shape[1]):
        low, high = 0, every
        while low < high and last[k]:
            middle = (low + high) // 2
            low, high = (low, middle) if is_enough(middle)[k] else (middle + 1, high)
        out.append(low if last[k] else None)
    return out
