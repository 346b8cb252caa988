"""How often something is predicted in a corpus: shares with intervals clustered by account, raw and corrected.

Clusters are accounts, because the videos of one account are alike; an interval speaks of accounts like these, not of
these alone. All a share needs of a video are sums over its cluster, so a corpus of any size is C rows of K numbers.

Shape letters: N videos, C clusters, K quantities (labels, or axes made of them).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tikval.stats.arrays import Floats, Ints

LEVEL: Final = 0.95
FEWEST: Final = 5  # annotated videos with a label, and as many without it, below which nothing is corrected
_AT_ONCE: Final = 4_000_000  # numbers of a temporary array


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


class RateInterval(NamedTuple):
    """Estimates and the ends of their 95 % intervals; nan where there is too little for one."""

    estimate: Floats  # [K]
    low: Floats  # [K]
    high: Floats  # [K]


class RateSums(NamedTuple):
    """What is known of each cluster. The last three are of its annotated videos."""

    videos: Floats  # [C]
    predicted: Floats  # [C, K] by the system, over all videos
    labelled: Floats  # [C] annotated videos
    predicted_labelled: Floats  # [C, K]
    true_labelled: Floats  # [C, K] by the annotator

    def part(self, clusters: slice) -> "RateSums":
        return RateSums(*(column[clusters] for column in self))

    def only(self, quantities: slice | Ints) -> "RateSums":
        n, predicted, m, predicted_m, true_m = self
        return RateSums(n, predicted[:, quantities], m, predicted_m[:, quantities], true_m[:, quantities])

    def times(self, weights_KM: Floats) -> "RateSums":
        """The sums of M weighted sums of the K quantities."""
        n, predicted, m, predicted_m, true_m = self
        return RateSums(n, predicted @ weights_KM, m, predicted_m @ weights_KM, true_m @ weights_KM)


def rate_sums(predicted_NK: ArrayLike, cluster_N: Ints, labelled_n: Ints, true_nK: ArrayLike) -> RateSums:
    """Sums over clusters numbered from 0; `labelled_n` are the rows of `predicted_NK` that `true_nK` speaks of."""
    predicted, true = np.asarray(predicted_NK), np.asarray(true_nK)
    if len(predicted) != len(cluster_N) or len(true) != len(labelled_n):
        raise ValueError(
            f"{len(predicted)} videos in {len(cluster_N)} clusters, {len(labelled_n)} annotated with {len(true)}"
        )
    n_clusters = int(cluster_N.max()) + 1 if len(cluster_N) else 0
    within = cluster_N[labelled_n]

    def add(values: NDArray[np.generic], cluster: Ints) -> Floats:
        out = np.empty((n_clusters, predicted.shape[1]))
        for k in range(predicted.shape[1]):
            out[:, k] = np.bincount(cluster, values[:, k], n_clusters)
        return out

    return RateSums(
        np.bincount(cluster_N, minlength=n_clusters).astype(np.float64),
        add(predicted, cluster_N),
        np.bincount(within, minlength=n_clusters).astype(np.float64),
        add(predicted[labelled_n], within),
        add(true, within),
    )


def raw_rates(sums: RateSums, *, shares: bool = True) -> RateInterval:
    """What the system predicted, over all videos: not corrected for model error.

    The variance is that of the delete-one-cluster jackknife of a ratio. For shares the interval is Wilson's with the
    number of independent videos that this variance is worth (Franco et al. 2019, "Comparative study of confidence
    intervals for proportions in complex sample surveys"): near 0 and 1 it keeps its coverage and stays inside. For
    other means it is the estimate and t standard errors.
    """
    estimate, error = ratio(sums.predicted, sums.videos)
    t = t_quantile(independent(sums.videos) - 1)
    if not shares:
        return _symmetric(estimate, t * error)
    n = float(sums.videos.sum())
    worth = np.divide(estimate * (1 - estimate), error**2, out=np.full_like(error, n), where=error > 0)
    # where all or none have it no variance is seen: each cluster then counts as one video
    worth = np.where((estimate <= 0) | (estimate >= 1), independent(sums.videos), np.minimum(worth, n))
    return _wilson(estimate, worth, t, ~np.isnan(error))


def corrected_rates(sums: RateSums, *, shares: bool = True) -> RateInterval:
    """What the annotator would have coded in all videos: prediction-powered inference of a mean, clustered.

    estimate = mean(truth, annotated) + power · (mean(predicted, all) - mean(predicted, annotated)). With a power of 1
    it is that of Angelopoulos et al. (2023, Science 382: 669): what is predicted, less the error where there is truth.
    The power with the smallest variance, between 0 and 1, is that of PPI++ (Angelopoulos, Duchi and Zrnic 2023,
    arXiv:2311.01453); a useless system gets 0, which leaves the annotated videos alone. Variance and power are those
    of the delete-one-cluster jackknife, for their papers take videos as independent.

    Holds where the annotated videos are a random part of all, and the system was not trained on them. Nothing is
    estimated (nan) for a share that fewer than FEWEST annotated videos have, or lack; nor where one cluster holds all
    annotated videos, nor for other means where fewer than FEWEST clusters do.
    """
    width = sums.predicted.shape[1]
    step = _step(len(sums.videos))
    parts = [_corrected(sums.only(slice(k, k + step)), shares) for k in range(0, width, step)]
    return RateInterval(*np.concatenate([np.empty((3, 0)), *parts], axis=1))


def _corrected(sums: RateSums, shares: bool) -> RateInterval:
    m, n = sums.labelled, sums.videos
    total = m.sum()
    nothing = np.full(sums.predicted.shape[1], np.nan)
    if (m > 0).sum() < (2 if shares else FEWEST):
        return RateInterval(nothing, nothing, nothing)
    truth, human_C = _leave_one_out(sums.true_labelled, m)
    all_predicted, all_C = _leave_one_out(sums.predicted, n)
    predicted, predicted_C = _leave_one_out(sums.predicted_labelled, m)
    gap_C = all_C - predicted_C  # [C, K]
    spread = (gap_C**2).sum(0)
    power = np.divide(-(human_C * gap_C).sum(0), spread, out=np.zeros_like(spread), where=spread > 1e-24)
    power = np.clip(power, 0, 1)
    estimate = truth + power * (all_predicted - predicted)
    clusters = len(n)
    error = np.sqrt((clusters - 1) / clusters * ((human_C + power * gap_C) ** 2).sum(0))
    t = t_quantile(independent(m) - 1)
    if not shares:
        return _symmetric(estimate, t * error)
    having = sums.true_labelled.sum(0)
    enough = np.minimum(having, total - having) >= FEWEST
    # the rate among the annotated tells the scale of the variance: the estimate itself may be 0 or below
    worth = np.divide(truth * (1 - truth), error**2, out=np.full_like(error, total), where=error > 0)
    estimate = np.where(enough, np.clip(estimate, 0, 1), np.nan)
    return _wilson(estimate, worth, t, enough)


def _symmetric(mean: Floats, half: Floats) -> RateInterval:
    """Where no variance is seen there is no interval: nobody is that sure."""
    half = np.where(half > 0, half, np.nan)
    return RateInterval(mean, mean - half, mean + half)


def _wilson(share: Floats, worth: Floats, t: float, given: NDArray[np.bool_]) -> RateInterval:
    """Wilson's interval of shares that are worth this many independent videos; nan where not `given`."""
    a = t**2 / worth
    centre, half = (share + a / 2) / (1 + a), np.sqrt(a * (share * (1 - share) + a / 4)) / (1 + a)
    low, high = np.minimum(share, centre - half), np.maximum(share, centre + half)  # rounding at 0 and 1
    return RateInterval(share, np.where(given, low, np.nan), np.where(given, high, np.nan))


def ratio(sum_CK: Floats, size_C: Floats) -> tuple[Floats, Floats]:
    """Sum over sum, [K], and its standard error by the jackknife: nan for fewer than two clusters."""
    total, clusters = size_C.sum(), int((size_C > 0).sum())
    width = sum_CK.shape[1]
    estimate = sum_CK.sum(0) / total if total > 0 else np.full(width, np.nan)
    error = np.full(width, np.nan)
    step = _step(len(size_C))
    for k in range(0, width if clusters > 1 else 0, step):
        _, change_Ck = _leave_one_out(sum_CK[:, k : k + step], size_C)
        error[k : k + step] = np.sqrt((clusters - 1) / clusters * (change_Ck**2).sum(0))
    return estimate, error


def _step(clusters: int) -> int:
    """How many quantities of so many clusters are worked on at once."""
    return max(1, _AT_ONCE // max(1, clusters))


def _leave_one_out(sum_CK: Floats, size_C: Floats) -> tuple[Floats, Floats]:
    """The ratio [K], and by how much leaving each cluster out changes it [C, K]. At least two clusters have a size."""
    total = size_C.sum()
    estimate: Floats = sum_CK.sum(0) / total
    change: Floats = (size_C[:, None] * estimate - sum_CK) / (total - size_C)[:, None]
    return estimate, change


def independent(size_C: Floats) -> float:
    """Clusters of one size that these are worth (Kish): C where all are alike, less where few hold most."""
    squares = float((size_C**2).sum())
    return float(size_C.sum()) ** 2 / squares if squares else 0.0


def t_quantile(degrees: float) -> float:
    """97.5 % quantile of Student's t; whole degrees of freedom, one at least (Abramowitz and Stegun 26.7.5)."""
    p, nu = (1 + LEVEL) / 2, max(1, math.floor(degrees + 1e-9))
    if nu == 1:
        return math.tan(math.pi * (p - 0.5))
    if nu == 2:
        return (2 * p - 1) / math.sqrt(2 * p * (1 - p))
    z = NormalDist().inv_cdf(p)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / nu + g2 / nu**2 + g3 / nu**3 + g4 / nu**4
