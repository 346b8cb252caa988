"""Whether annotated videos look as if they had been drawn at random: what shows that they were not.

Passing proves nothing: videos may have been chosen by what neither a system predicts nor a genre tells.

Shape letters: C clusters, K labels, G genres.
"""

from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np

from tikval.stats.arrays import Floats
from tikval.stats.limits import effective_groups
from tikval.stats.prevalence import RateSums, columns_at_once, leave_one_out, sums_by_cluster
from tikval.stats.student import t_two_sided

SURE: Final = 0.01  # probability that videos drawn at random look this unlike the others
_FEWEST_EXPECTED: Final = 5  # of a cell, for the distribution of chi-square


class SelectionGap(NamedTuple):
    """How much more often labels are predicted of the annotated videos than of the others."""

    annotated: Floats  # [K] share of them, weighted where they are
    others: Floats  # [K]
    p: Floats  # [K] two-sided; nan where nothing can be told


def selection_gaps(sums: RateSums) -> SelectionGap:
    """Compare what is predicted of annotated videos and of all, by leaving out each cluster once.

    Against all, because weighted annotated videos stand for all of them; for others alone t is the same, but for what
    the share of annotated videos differs between clusters. The error is at least that of drawing videos one by one, for
    among few videos the variance of a rare label is not seen; one of which fewer than five are expected, and fewer than
    15 found, tells nothing.
    """
    (cluster, predicted, _, _), weight = sums.sample, sums.sample.weight
    clusters, n, m = len(sums.videos), sums.videos.sum(), len(cluster)
    none = np.full(predicted.shape[1], np.nan)
    if m in (0, n) or len(np.unique(cluster)) < 2:
        return SelectionGap(none, none, none)
    weights_C: Floats = np.bincount(cluster, weight, clusters).astype(np.float64)
    annotated, everywhere, variance = np.empty((3, predicted.shape[1]))
    step = columns_at_once(clusters)
    for k in range(0, predicted.shape[1], step):
        some = slice(k, k + step)
        weighted = sums_by_cluster(predicted[:, some] * weight[:, None], cluster, clusters)
        annotated[some], annotated_C = leave_one_out(weighted, weights_C)
        everywhere[some], all_C = leave_one_out(sums.predicted[:, some], sums.videos)
        variance[some] = (clusters - 1) / clusters * ((annotated_C - all_C) ** 2).sum(0)
    one_by_one = everywhere * (1 - everywhere) * ((weight / weight.sum()) ** 2).sum() * (1 - m / n)
    error = np.sqrt(np.maximum(variance, one_by_one))
    expected, found = m * np.minimum(everywhere, 1 - everywhere), predicted.sum(0)
    told = (np.maximum(expected, np.minimum(found, m - found) / 3) >= _FEWEST_EXPECTED) & (error > 0)
    t = np.divide(np.abs(annotated - everywhere), error, out=np.full_like(error, np.nan), where=told)
    degrees = effective_groups(weights_C) - 1
    p = np.array(
        [t_two_sided(float(each), degrees) if each == each and degrees > 0 else np.nan for each in t]
    )
    return SelectionGap(annotated, (sums.predicted.sum(0) - predicted.sum(0)) / (n - m), p)


def chosen_by_group(chosen_G: Floats, all_G: Floats) -> float | None:
    """p of chi-square, that of groups' members some were chosen at random; None for too few of them.

    Groups of which fewer than five are expected to be chosen, or not to be, count as one. The quantile is that of
    Wilson and Hilferty (1931, PNAS 17: 684), right to a tenth at p = 0.01.
    """
    n, share = all_G.sum(), chosen_G.sum() / max(all_G.sum(), 1)
    small = np.minimum(all_G * share, all_G * (1 - share)) < _FEWEST_EXPECTED
    counts = np.array([np.append(each[~small], each[small].sum()) for each in (chosen_G, all_G)])
    counts = counts[:, np.minimum(counts[1] * share, counts[1] * (1 - share)) >= _FEWEST_EXPECTED]
    degrees = counts.shape[1] - 1
    if degrees < 1 or not 0 < share < 1 or not n:
        return None
    share = counts[0].sum() / counts[1].sum()
    expected = counts[1] * share
    square = float(((counts[0] - expected) ** 2 / (expected * (1 - share))).sum())
    z = ((square / degrees) ** (1 / 3) - (1 - 2 / (9 * degrees))) / (2 / (9 * degrees)) ** 0.5
    return 1 - NormalDist().cdf(z)
