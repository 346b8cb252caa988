"""How far a score could have come out otherwise with other accounts: linearised, by the jackknife, with Student's t.

The videos of one account are alike, so it is accounts that vary. All that a score needs of an account are sums over
its videos; what the account adds to the score is its share of the score's linearisation, divided by the share of the
total that the others hold. For a ratio of sums, as one label's F1 is, that is what leaving the account out would take
away (CR3: Bell and McCaffrey, 2002; MacKinnon, Nielsen and Webb, 2023, arXiv:2301.04527). The standard error is that
of the jackknife; t has the degrees of the number of accounts of one size that these are worth, less one. Nothing is
drawn: the same counts always have the same interval. `limits` says when there is none.

G groups (accounts), L labels, K quantities. Values are nan where nothing can be averaged.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.limits import (
    NO_NUMBER,
    NO_VARIANCE,
    effective_groups,
    why_no_interval,
    why_no_interval_of_label,
)
from tikval.stats.metrics import label_f1
from tikval.stats.student import t_critical, t_two_sided

TINY: Final = 1e-12  # scores and differences that are equal but for rounding
_MOST: Final = 0.5  # of a total: an account that holds more is taken to hold this
_FEWEST_DEGREES: Final = 2  # of one label: t is at most 4.30


class Interval(NamedTuple):
    lower: float | None
    upper: float | None
    why_none: str | None = None  # in words; None: there is one
    p: float | None = None  # of a difference: two-sided, that it is 0


class AccountCounts(NamedTuple):
    """Videos of each account: hits, those for which a label was predicted, and those for which it is true."""

    hits: Floats  # [G, L]
    predicted: Floats  # [G, L]
    support: Floats  # [G, L]

    def over(self, use_L: Bools) -> "AccountCounts":
        return AccountCounts(*(column[:, use_L] for column in self))


class Estimate(NamedTuple):
    """A score, or the difference of two, and what each account adds to it."""

    value: float  # nan: nothing to average
    added: Floats  # [G]
    sizes: Floats  # [G] videos

    def minus(self, other: "Estimate") -> "Estimate":
        """The difference of two scores of the same videos."""
        return Estimate(self.value - other.value, self.added - other.added, self.sizes)

    @property
    def error(self) -> float:
        """The standard error."""
        n = int((self.sizes > 0).sum())
        return math.sqrt((n - 1) / n * float((self.added**2).sum())) if n else math.nan

    @property
    def degrees(self) -> float:
        return effective_groups(self.sizes) - 1

    def of_score(self) -> Interval:
        """The interval of a score between 0 and 1, symmetric on the logit scale: it stays between them."""
        if none := self._why_none():
            return Interval(None, None, none)
        slope = self.value * (1 - self.value)
        if slope <= TINY:
            return Interval(None, None, NO_VARIANCE)
        return logit_interval(self.value, t_critical(self.degrees) * self.error / slope)

    def of_difference(self) -> Interval:
        """The interval of a difference and its p, of the same t: 0 is outside where p is below 0.05."""
        if none := self._why_none():
            return Interval(None, None, none)
        return t_interval(self.value, self.error, self.degrees)

    def _why_none(self) -> str | None:
        if math.isnan(self.value):
            return NO_NUMBER
        return why_no_interval(self.sizes) or (NO_VARIANCE if self.error <= TINY else None)


def logit_interval(value: float, half: float) -> Interval:
    """`half` on the logit scale."""
    centre = math.log(value / (1 - value))
    low, high = (float(1 / (1 + np.exp(-np.clip(x, -700, 700)))) for x in (centre - half, centre + half))
    return Interval(low, high)


def t_interval(value: float, error: float, degrees: float) -> Interval:
    """The interval of a difference of shares, which is never beyond -1 and 1."""
    half = t_critical(degrees) * error
    return Interval(max(value - half, -1.0), min(value + half, 1.0), p=t_two_sided(value / error, degrees))


def difference_of_parts(one: Estimate, other: Estimate) -> Interval:
    """The interval of one - other, scores of two parts of the videos; an account may have videos in both.

    The degrees are those of either part, weighted by its variance (Satterthwaite, 1946).
    """
    if none := one._why_none() or other._why_none():
        return Interval(None, None, none)
    both = Estimate(one.value - other.value, one.added - other.added, one.sizes + other.sizes)
    if both.error <= TINY:
        return Interval(None, None, NO_VARIANCE)
    a, b = one.error**2, other.error**2
    return t_interval(both.value, both.error, (a + b) ** 2 / (a**2 / one.degrees + b**2 / other.degrees))


def by_group(values_NK: NDArray[np.generic], group_N: Ints, n_groups: int) -> Floats:
    """[G, K] sums over the videos of each group."""
    out = np.zeros((n_groups, values_NK.shape[1]))
    if len(group_N):
        order = np.argsort(group_N, kind="stable")
        groups, first = np.unique(group_N[order], return_index=True)
        out[groups] = np.add.reduceat(values_NK[order].astype(np.float64), first, axis=0)
    return out


def account_counts(true_NL: Bools, predicted_NL: Bools, group_N: Ints, n_groups: int) -> AccountCounts:
    counts = by_group(np.hstack([true_NL & predicted_NL, predicted_NL, true_NL]), group_N, n_groups)
    return AccountCounts(*np.split(counts, 3, axis=1))


def ratio_added(top_GK: Floats, bottom_GK: Floats) -> Floats:
    """[G, K] what each account adds to sum over sum; 0 where nothing is below the line.

    Divided by 1 - the account's share of the bottom, it is the exact change when the account is left out.
    """
    top_K, bottom_K = top_GK.sum(0), bottom_GK.sum(0)
    ratio_K = np.divide(top_K, bottom_K, out=np.zeros_like(top_K), where=bottom_K > 0)
    below_K = np.where(bottom_K > 0, bottom_K, 1)
    others_GK = 1 - np.minimum(_MOST, bottom_GK / below_K)
    added_GK: Floats = (top_GK - ratio_K * bottom_GK) / below_K / others_GK
    return added_GK


def ratio_estimate(top_G: Floats, bottom_G: Floats, sizes_G: Floats) -> Estimate:
    total = float(bottom_G.sum())
    value = float(top_G.sum()) / total if total > 0 else math.nan
    return Estimate(value, ratio_added(top_G[:, None], bottom_G[:, None])[:, 0], sizes_G)


def mean_f1_estimate(counts: AccountCounts, sizes_G: Floats, how: str) -> Estimate:
    """`macro` or `weighted` F1 as metrics.macro and metrics.weighted have it: over the labels true or predicted."""
    hits_L, predicted_L, support_L = (column.sum(0) for column in counts)
    value = float(mean_f1(hits_L, predicted_L, support_L, how))
    if math.isnan(value):
        return Estimate(value, np.zeros(len(sizes_G)), sizes_G)
    f1_L = np.nan_to_num(label_f1(hits_L, predicted_L, support_L))
    added_GL = ratio_added(2 * counts.hits, counts.predicted + counts.support)
    if how == "macro":
        return Estimate(value, added_GL.sum(1) / int(((predicted_L + support_L) > 0).sum()), sizes_G)
    weights_G = counts.support @ (f1_L - value)  # the labels' weights vary with the accounts too
    return Estimate(value, (added_GL @ support_L + weights_G) / support_L.sum(), sizes_G)


def mean_f1(hits: Floats, predicted: Floats, support: Floats, how: str) -> Floats:
    """[...] `macro` or `weighted` F1 from counts [..., L], as metrics.macro and metrics.weighted."""
    f1 = label_f1(hits, predicted, support)
    weight = (~np.isnan(f1)).astype(np.float64) if how == "macro" else support
    total = weight.sum(-1)
    out = np.full(total.shape, np.nan)
    np.divide((np.nan_to_num(f1) * weight).sum(-1), total, out=out, where=total > 0)
    return out


def average(parts: Sequence[Estimate], sizes_G: Floats) -> Estimate:
    """The mean over runs or folds, of those that have a number: what an account adds is averaged before it is squared.

    `sizes_G` are the videos that any part has.
    """
    known = [part for part in parts if not math.isnan(part.value)]
    if not known:
        return Estimate(math.nan, np.zeros(len(sizes_G)), sizes_G)
    value = float(np.mean([part.value for part in known]))
    return Estimate(value, np.mean([part.added for part in known], axis=0), sizes_G)


def common_f1_estimate(
    counts: AccountCounts, videos_G: Floats, prevalence_L: Floats, sizes_G: Floats
) -> Estimate:
    """Macro F1 as it would be if every label were as frequent as `prevalence_L` (above 0) says: slices are comparable.

    With T hits of the videos that have a label and A false alarms of those that lack it, F1 at prevalence π is
    2πT / (π (1 + T) + (1 - π) A). nan where some label is true of no video, or of all.
    """
    negatives = videos_G[:, None] - counts.support
    bottoms = (counts.support, negatives)
    if not counts.hits.shape[1] or any((bottom.sum(0) <= 0).any() for bottom in bottoms):
        return Estimate(math.nan, np.zeros(len(sizes_G)), sizes_G)
    alarms = counts.predicted - counts.hits
    hit_L, alarm_L = counts.hits.sum(0) / counts.support.sum(0), alarms.sum(0) / negatives.sum(0)
    below_L = prevalence_L * (1 + hit_L) + (1 - prevalence_L) * alarm_L
    f1_L = 2 * prevalence_L * hit_L / below_L
    of_hits_L = (2 - f1_L) * prevalence_L / below_L  # slopes
    of_alarms_L = -f1_L * (1 - prevalence_L) / below_L
    added_G = ratio_added(counts.hits, counts.support) @ of_hits_L
    added_G = (added_G + ratio_added(alarms, negatives) @ of_alarms_L) / len(f1_L)
    return Estimate(float(f1_L.mean()), added_G, sizes_G)


def label_intervals(f1_L: Floats, counts: AccountCounts, sizes_G: Floats) -> list[Interval]:
    """Intervals of labels' F1s, `f1_L`: Wilson's for the Jaccard index J = hits / union, as F1 = 2J / (1 + J).

    The design effect is that of a ratio over accounts, and 1 at least. It holds also where J is 0 or 1: there, no
    account differs from another, and it is half of what videos that are all alike within an account would give.
    """
    none = why_no_interval(sizes_G)
    union_GL = counts.predicted + counts.support - counts.hits
    made = []
    for f1, hits_G, union_G, support_G in zip(f1_L, counts.hits.T, union_GL.T, counts.support.T, strict=True):
        why = NO_NUMBER if math.isnan(f1) else none
        why = why or why_no_interval_of_label(float(support_G.sum()), int((support_G > 0).sum()))
        made.append(Interval(None, None, why) if why else jaccard_interval(float(f1), hits_G, union_G))
    return made


def jaccard_interval(f1: float, hits_G: Floats, union_G: Floats) -> Interval:
    total, k = float(union_G.sum()), int((union_G > 0).sum())
    pooled = float(hits_G.sum()) / total
    if TINY < pooled < 1 - TINY:
        spread = float(((hits_G - pooled * union_G) ** 2).sum())
        effect = k / max(1, k - 1) * spread / (total * pooled * (1 - pooled))
    else:
        effect = float((union_G**2).sum()) / total / 2
    a = t_critical(max(_FEWEST_DEGREES, effective_groups(union_G) - 1)) ** 2 * max(1.0, effect) / total
    jaccard = f1 / (2 - f1)
    half = math.sqrt(a * (jaccard * (1 - jaccard) + a / 4))
    low, high = (max(0.0, (jaccard + a / 2 + sign * half) / (1 + a)) for sign in (-1, 1))
    return Interval(min(f1, 2 * low / (1 + low)), min(1.0, max(f1, 2 * high / (1 + high))))
