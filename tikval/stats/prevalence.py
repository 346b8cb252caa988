"""How often something is predicted in a corpus: shares with intervals clustered by account, raw and corrected.

Clusters are accounts, because the videos of one account are alike; an interval speaks of accounts like these, not of
these alone, unless it says that it is of this corpus. All a raw share needs of a video are sums over its cluster, so a
corpus of any size is C rows of K numbers; where each video is a cluster, some columns of them at a time.

Shape letters: N videos, n of them annotated, C clusters, K quantities (labels, or axes made of them).
"""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tikval.stats.arrays import Floats, Ints
from tikval.stats.decisions import Decisions
from tikval.stats.limits import FEWEST_ACCOUNTS, effective_groups, why_no_interval
from tikval.stats.student import t_critical

FEWEST: Final = 2  # annotated videos with a label, and as many without it, below which nothing is corrected
_AT_ONCE: Final = 4_000_000  # numbers of a temporary array
_MOST_NUMBERS: Final = 10_000_000  # of the sums over clusters that stand in memory at once
_NONE: Final = 1e-24  # a sum of squares that is 0 but for rounding

Target = Literal["corpus", "accounts"]  # what a corrected rate is of: these videos, or accounts like these


@dataclass(frozen=True, slots=True)
class RateLine:
    """One label (or higher-order group, or axis) in one group of videos; None where there is too little."""

    group: str
    what: str
    videos: int  # with a result
    clusters: int  # accounts, a video without one counting as one; of an account its videos
    annotated: int
    rate: float
    low: float | None
    high: float | None
    corrected: float | None
    corrected_low: float | None
    corrected_high: float | None
    why_none: str | None = None  # why the rate has no interval, in words; None: it has one
    why_none_corrected: str | None = None  # the same of the corrected rate, where there is one


class RateInterval(NamedTuple):
    """Estimates and the ends of their 95 % intervals; nan where there is too little for one."""

    estimate: Floats  # [K]
    low: Floats  # [K]
    high: Floats  # [K]


class RateSample(NamedTuple):
    """The annotated videos, in the order of their clusters."""

    cluster: Ints  # [n]
    predicted: Floats  # [n, K] by the system
    true: Floats  # [n, K] by the annotator
    probability: Floats | None  # [n] that each was drawn; None: the same for all

    @property
    def weight(self) -> Floats:
        """[n] how many videos each stands for."""
        return np.ones(len(self.cluster)) if self.probability is None else 1 / self.probability


@dataclass(frozen=True, slots=True)
class ClusterSums:
    """[C, K] sums over the rows of each of very many clusters: columns are made when they are asked for."""

    values: NDArray[Any] | Decisions  # [N, L]
    cluster: Ints  # [N]
    clusters: int
    weight: Floats | None  # [N]
    mix: Floats  # [L, K] how each quantity is made of the values' columns

    @property
    def shape(self) -> tuple[int, int]:
        return self.clusters, self.mix.shape[1]

    def __getitem__(self, at: tuple[slice, slice]) -> Floats:
        """[C, some of K] of all clusters."""
        columns = [self._sums(k) for k in range(self.mix.shape[1])[at[1]]]
        return np.stack(columns, axis=1) if columns else np.empty((self.clusters, 0))

    def times(self, weights_KM: Floats) -> "ClusterSums":
        return replace(self, mix=self.mix @ weights_KM)

    def sum(self, axis: int = 0) -> Floats:
        """[K] over all clusters."""
        return np.array([self._column(k).sum() for k in range(self.mix.shape[1])])

    def _sums(self, k: int) -> Floats:
        sums: Floats = np.bincount(self.cluster, self._column(k), self.clusters).astype(
            np.float64, copy=False
        )
        return sums

    def _column(self, k: int) -> Floats:
        """[N] what each row has of a quantity."""
        found = np.zeros(len(self.cluster))
        for of in np.flatnonzero(self.mix[:, k]).tolist():
            found += self.mix[of, k] * self.values[:, of]
        return found if self.weight is None else found * self.weight


class RateSums(NamedTuple):
    """What is known of each cluster, and of the annotated videos."""

    videos: Floats  # [C]
    predicted: Floats | ClusterSums  # [C, K] by the system, over all videos
    sample: RateSample

    def only(self, quantities: slice | Ints) -> "RateSums":
        cluster, predicted, true, probability = self.sample
        sample = RateSample(cluster, predicted[:, quantities], true[:, quantities], probability)
        if isinstance(quantities, slice) or not isinstance(self.predicted, ClusterSums):
            return RateSums(self.videos, self.predicted[:, quantities], sample)  # type: ignore[index]
        some = np.eye(self.predicted.shape[1])[:, quantities]
        return RateSums(self.videos, self.predicted.times(some), sample)

    def times(self, weights_KM: Floats) -> "RateSums":
        """The sums of M weighted sums of the K quantities."""
        cluster, predicted, true, probability = self.sample
        sample = RateSample(cluster, predicted @ weights_KM, true @ weights_KM, probability)
        if isinstance(self.predicted, ClusterSums):
            return RateSums(self.videos, self.predicted.times(weights_KM), sample)
        return RateSums(self.videos, self.predicted @ weights_KM, sample)

    @property
    def labelled(self) -> Floats:
        """[C] annotated videos."""
        return np.bincount(self.sample.cluster, minlength=len(self.videos)).astype(np.float64)


def rate_sums(
    predicted: NDArray[Any] | Decisions,
    cluster_N: Ints,
    labelled_n: Ints,
    true: NDArray[Any],
    probability_n: Floats | None = None,
    weight_N: Floats | None = None,
) -> RateSums:
    """Sums over clusters numbered from 0; `labelled_n` are the rows of `predicted` [N, K] that `true` [n, K] speaks of.

    `weight_N`: how much each video counts in the raw rates, as worth makes it; None: each is one.
    """
    if len(predicted) != len(cluster_N) or len(true) != len(labelled_n):
        raise ValueError(
            f"{len(predicted)} videos in {len(cluster_N)} clusters, {len(labelled_n)} annotated with {len(true)}"
        )
    n_clusters = int(cluster_N.max()) + 1 if len(cluster_N) else 0
    order = np.argsort(cluster_N[labelled_n], kind="stable")
    rows = labelled_n[order]
    sample = RateSample(
        cluster_N[rows],
        predicted[rows].astype(np.float64),
        true[order].astype(np.float64),
        None if probability_n is None else probability_n[order],
    )
    videos = np.bincount(cluster_N, weight_N, n_clusters).astype(np.float64)
    width = predicted.shape[1]
    if n_clusters * width > _MOST_NUMBERS:
        return RateSums(
            videos, ClusterSums(predicted, cluster_N, n_clusters, weight_N, np.eye(width)), sample
        )
    return RateSums(videos, sums_by_cluster(predicted, cluster_N, n_clusters, weight_N), sample)


def worth_by_group(weight_N: Floats, group_N: Ints) -> Floats:
    """Weights [N] whose sum in each group is the number of equal videos that the group is worth (Kish 1965)."""
    sums, squares = (np.bincount(group_N, weight_N**power) for power in (1, 2))
    scale = np.divide(sums, squares, out=np.zeros_like(sums), where=squares > 0)
    worth: Floats = weight_N * scale[group_N]
    return worth


def sums_by_cluster(
    values: NDArray[Any] | Decisions, cluster_N: Ints, n_clusters: int, weight_N: Floats | None = None
) -> Floats:
    """[C, K] sums over the rows of each cluster, column by column: of millions of rows one is large."""
    out = np.empty((n_clusters, values.shape[1]))
    for k in range(values.shape[1]):
        column = values[:, k]
        out[:, k] = np.bincount(cluster_N, column if weight_N is None else column * weight_N, n_clusters)
    return out


def raw_rates(sums: RateSums, reach: Floats | None = None) -> RateInterval:
    """What the system predicted, over all videos: not corrected for model error. No ends for too few clusters.

    The K quantities are shares of one table; with a `reach` [K] they are means between -reach and reach. The variance
    is that of the delete-one-cluster jackknife of a ratio. For shares the interval is Wilson's with the number of
    independent videos that this variance is worth (Franco et al. 2019, "Comparative study of confidence intervals for
    proportions in complex sample surveys"). One share's design effect is its own or, where that is larger, the one that
    all shares of the table have in common (a generalised variance function: Wolter 2007, chapter 7): the variance of
    a rare label, or of one that no video has, is hardly seen. For other means it is the estimate and t standard errors.
    """
    estimate, error = ratio(sums.predicted, sums.videos)
    if why_no_interval(sums.videos) is not None:
        return without_ends(estimate)
    n, worth = float(sums.videos.sum()), effective_groups(sums.videos)
    t = t_critical(worth - 1)
    if reach is not None:
        return symmetric(estimate, t * error, reach)
    spread, variance = np.maximum(estimate * (1 - estimate), 0), n * error**2
    own = np.divide(variance, spread, out=np.zeros_like(spread), where=spread > 0)
    pooled = variance.sum() / spread.sum() if spread.sum() > 0 else n / worth
    return wilson(estimate, n / np.maximum(own, np.clip(pooled, 1, n / worth)), t)


def corrected_rates(sums: RateSums, target: Target = "accounts", reach: Floats | None = None) -> RateInterval:
    """What the annotator would have coded in all videos: prediction-powered inference of a mean.

    estimate = mean(truth, annotated) + power · (mean(predicted, all) - mean(predicted, annotated)). With a power of 1
    it is that of Angelopoulos et al. (2023, Science 382: 669): what is predicted, less the error where there is truth.
    The power with the smallest variance, between 0 and 1, is that of PPI++ (Angelopoulos, Duchi and Zrnic 2023,
    arXiv:2311.01453); a useless system gets 0, which leaves the annotated videos alone. Means over annotated videos
    weigh each by how many it stands for (Hájek).

    For accounts like these, variance and power are those of the delete-one-cluster jackknife. For this corpus, of
    which the annotated videos are a random part, they are those of drawing videos from a finite population
    (Cochran 1977).

    Holds where the annotated videos were drawn by chance, and the system was not trained on them. Nothing is
    estimated (nan) for a share that fewer than FEWEST annotated videos have, or lack; nor for other means where fewer
    than FEWEST_ACCOUNTS clusters have annotated videos. No ends for too few clusters.
    """
    width = sums.predicted.shape[1]
    step = columns_at_once(max(len(sums.videos), len(sums.sample.cluster)))
    parts = [
        _corrected(sums.only(slice(k, k + step)), target, None if reach is None else reach[k : k + step])
        for k in range(0, width, step)
    ]
    return RateInterval(*np.concatenate([np.empty((3, 0)), *parts], axis=1))


class _Mended(NamedTuple):
    estimate: Floats  # [K]
    error: Floats  # [K]
    truth: Floats  # [K] mean over the annotated videos
    degrees: float


def _corrected(sums: RateSums, target: Target, reach: Floats | None) -> RateInterval:
    true, labelled = sums.sample.true, sums.labelled
    n_accounts = int((labelled > 0).sum())
    if reach is None:
        having = true.sum(0)
        enough = np.minimum(having, len(true) - having) >= FEWEST
    else:
        enough = np.full(len(reach), n_accounts >= FEWEST_ACCOUNTS)
    if not enough.any() or n_accounts < 2:
        return without_ends(np.full(true.shape[1], np.nan))
    mended = _of_accounts(sums) if target == "accounts" else _of_corpus(sums)
    estimate = np.where(enough, mended.estimate, np.nan)
    if reach is None:
        estimate = np.clip(estimate, 0, 1)
    if why_no_interval(labelled) is not None:
        return without_ends(estimate)
    t = t_critical(mended.degrees)
    if reach is not None:
        return symmetric(estimate, t * mended.error, reach)
    # the rate among the annotated tells the scale of the variance: the estimate itself may be 0 or below
    spread, variance = mended.truth * (1 - mended.truth), mended.error**2
    seen = enough & (variance > _NONE) & (spread > 0)
    return wilson(estimate, np.divide(spread, variance, out=np.full_like(spread, np.nan), where=seen), t)


def _of_accounts(sums: RateSums) -> _Mended:
    """Variance and power by leaving out each account once."""
    clusters, (cluster, predicted, true, _), weight = len(sums.videos), sums.sample, sums.sample.weight
    m: Floats = np.bincount(cluster, weight, clusters).astype(np.float64)
    truth, human_C = leave_one_out(sums_by_cluster(true * weight[:, None], cluster, clusters), m)
    claimed, claimed_C = leave_one_out(sums_by_cluster(predicted * weight[:, None], cluster, clusters), m)
    everywhere, all_C = leave_one_out(sums.predicted[:, :], sums.videos)
    gap_C = all_C - claimed_C  # [C, K]
    power = _power(-(human_C * gap_C).sum(0), (gap_C**2).sum(0))
    variance = (clusters - 1) / clusters * ((human_C + power * gap_C) ** 2).sum(0)
    if np.ptp(weight):
        variance = np.maximum(variance, _least(true - power * predicted, (weight / weight.sum()) ** 2))
    error = np.sqrt(variance)
    return _Mended(truth + power * (everywhere - claimed), error, truth, effective_groups(m) - 1)


def _of_corpus(sums: RateSums) -> _Mended:
    """Variance and power of drawing these videos from this corpus: what all are predicted to be is known, not drawn."""
    _, predicted, true, probability = sums.sample
    weight, n, everything = sums.sample.weight, len(true), sums.videos.sum()
    truth, claimed = (weight @ column / weight.sum() for column in (true, predicted))
    drawn = np.full(n, n / everything) if probability is None else probability
    share = (1 - drawn) * (weight / weight.sum()) ** 2  # [n] of the variance of the weighted mean
    power = _power(share @ ((true - truth) * (predicted - claimed)), share @ (predicted - claimed) ** 2)
    rest = true - truth - power * (predicted - claimed)
    variance = n / (n - 1) * (share @ rest**2)
    if np.ptp(weight):
        variance = np.maximum(variance, _least(rest, share))
    degrees = effective_groups(weight) - 1
    return _Mended(
        truth + power * (sums.predicted.sum(0) / everything - claimed), np.sqrt(variance), truth, degrees
    )


def _least(rest_nK: Floats, share_n: Floats) -> Floats:
    """The variance of weighted means if all videos varied alike: of the few that stand for many it is hardly seen."""
    least: Floats = share_n.sum() * rest_nK.var(0, ddof=1)
    return least


def _power(together: Floats, alone: Floats) -> Floats:
    """How far the predictions are followed: 0 where they do not vary."""
    power = np.divide(together, alone, out=np.zeros_like(alone), where=alone > _NONE)
    clipped: Floats = np.clip(power, 0, 1)
    return clipped


def without_ends(estimate: Floats) -> RateInterval:
    """The estimates alone."""
    none = np.full(len(estimate), np.nan)
    return RateInterval(estimate, none, none)


def symmetric(mean: Floats, half: Floats, reach: Floats) -> RateInterval:
    """Ends as far on both sides, within -reach and reach. Where no variance is seen there are none: nobody is sure."""
    half = np.where(half**2 > _NONE, half, np.nan)
    return RateInterval(mean, np.maximum(mean - half, -reach), np.minimum(mean + half, reach))


def wilson(share: Floats, worth: Floats, t: float) -> RateInterval:
    """Wilson's interval of shares that are worth so many independent videos; nan where that is nan."""
    a = t**2 / worth
    centre, half = (share + a / 2) / (1 + a), np.sqrt(a * (share * (1 - share) + a / 4)) / (1 + a)
    low, high = np.minimum(share, centre - half), np.maximum(share, centre + half)  # rounding at 0 and 1
    return RateInterval(share, np.maximum(low, 0), np.minimum(high, 1))


def ratio(sum_CK: Floats | ClusterSums, size_C: Floats) -> tuple[Floats, Floats]:
    """Sum over sum, [K], and its standard error by the jackknife: nan for fewer than two clusters."""
    total, clusters = size_C.sum(), int((size_C > 0).sum())
    width = sum_CK.shape[1]
    estimate = sum_CK.sum(0) / total if total > 0 else np.full(width, np.nan)
    error = np.full(width, np.nan)
    step = columns_at_once(len(size_C))
    for k in range(0, width if clusters > 1 else 0, step):
        _, change_Ck = leave_one_out(sum_CK[:, k : k + step], size_C)
        error[k : k + step] = np.sqrt((clusters - 1) / clusters * (change_Ck**2).sum(0))
    return estimate, error


def columns_at_once(clusters: int) -> int:
    """How many quantities of so many clusters are worked on at once."""
    return max(1, _AT_ONCE // max(1, clusters))


def leave_one_out(sum_CK: Floats, size_C: Floats) -> tuple[Floats, Floats]:
    """The ratio [K], and by how much leaving each cluster out changes it [C, K]. At least two clusters have a size."""
    total = size_C.sum()
    estimate: Floats = sum_CK.sum(0) / total
    change: Floats = (size_C[:, None] * estimate - sum_CK) / (total - size_C)[:, None]
    return estimate, change
