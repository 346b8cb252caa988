"""Tests of statements about accounts: means over accounts of the share of their videos that have a label.

A video's value is φ = p + w (Y - p): p is what its score lets expect, Y its label where it has one, and w how many
videos the label stands for, 1 on average over all draws and 0 without a label. φ is right on average whatever the
scores are worth (Robins, Rotnitzky and Zhao 1994; Zrnic and Candès 2024, arXiv:2403.03208). What differs between
accounts is seen between accounts, so every test is one over accounts, however many labels there are.

Shape letters: N videos, G accounts that have any of them.
"""

import math
from typing import Final, Literal, NamedTuple

import numpy as np

from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.student import t_critical, t_two_sided

Direction = Literal["more", "less", "differ"]
_TINY: Final = 1e-24  # a variance that is 0 but for rounding


class AccountMeans(NamedTuple):
    """Each account's mean over its videos in one group."""

    account: Ints  # [G] its number
    mean: Floats  # [G]
    videos: Ints  # [G]
    label_variance: float  # of the mean over accounts: what comes from labelling only some videos


class MeanTest(NamedTuple):
    """An estimate with its test; nan where nothing varies."""

    estimate: float
    error: float
    degrees: float
    p: float  # one-sided for a direction
    lower: float  # of the two-sided 95 % interval
    upper: float


def account_means(
    value_N: Floats,
    account_N: Ints,
    inside_N: Bools,
    draw_variance_N: Floats | None = None,
    weight_N: Floats | None = None,
) -> AccountMeans:
    """The means of the accounts that have videos inside a group.

    `draw_variance_N`: of each video's value, over draws of labels; None: labels are not drawn. `weight_N`: of each
    video in its account's mean; None: one each.
    """
    numbers, at_n = np.unique(account_N[inside_N], return_inverse=True)
    n, weight_n = len(numbers), None if weight_N is None else weight_N[inside_N]
    value_n = value_N[inside_N] if weight_n is None else value_N[inside_N] * weight_n
    total_G = np.bincount(at_n, weight_n, n)
    mean_G = np.bincount(at_n, value_n, n) / total_G
    variance = 0.0
    if draw_variance_N is not None and n:
        variance = float((np.bincount(at_n, draw_variance_N[inside_N], n) / total_G**2).sum()) / n**2
    return AccountMeans(numbers, mean_G, np.bincount(at_n, minlength=n), variance)


def contrast_test(a_G: Floats, b_G: Floats, direction: Direction) -> MeanTest:
    """Accounts of one group against those of another, none in both: Welch's t, for unlike spread and numbers."""
    va, vb = (x.var(ddof=1) / len(x) if len(x) > 1 else math.nan for x in (a_G, b_G))
    degrees = (va + vb) ** 2 / (va**2 / (len(a_G) - 1) + vb**2 / (len(b_G) - 1)) if va + vb > _TINY else 0.0
    return _test(float(a_G.mean() - b_G.mean()), float(va + vb), degrees, direction)


def mean_test(x_G: Floats, number: float, direction: Direction) -> MeanTest:
    """Accounts, or differences within accounts, against a number: Student's t."""
    variance = x_G.var(ddof=1) / len(x_G) if len(x_G) > 1 else math.nan
    return _test(float(x_G.mean() - number), float(variance), len(x_G) - 1, direction)


def _test(estimate: float, variance: float, degrees: float, direction: Direction) -> MeanTest:
    if not variance > _TINY:
        return MeanTest(estimate, 0.0, degrees, math.nan, math.nan, math.nan)
    error = math.sqrt(variance)
    two_sided = t_two_sided(abs(estimate) / error, degrees)
    p = two_sided
    if direction != "differ":
        points_there = estimate > 0 if direction == "more" else estimate < 0
        p = two_sided / 2 if points_there else 1 - two_sided / 2
    half = t_critical(degrees) * error
    return MeanTest(estimate, error, degrees, p, max(estimate - half, -1.0), min(estimate + half, 1.0))


def labels_for_error(
    variance: float, label_variance: float, wanted: float, labelled: int, videos: int
) -> int | None:
    """How many more labels bring a variance down to `wanted`, about; None: labels of all `videos` would not.

    What labels add falls as 1/n - 1/N, whoever is labelled; what lies between accounts stays.
    """
    between = max(variance - label_variance, 0.0)
    if between >= wanted or labelled >= videos or not labelled:
        return None
    share = (wanted - between) / label_variance if label_variance > 0 else 1.0
    if share >= 1:
        return 0
    needed = 1 / (share * (1 / labelled - 1 / videos) + 1 / videos)
    return math.ceil(needed - labelled)
