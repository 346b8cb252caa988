"""Videos drawn in batches, each by probabilities that the labels before it have moved, and what their labels estimate.

A batch draws among the videos that have no label yet. Half or a fifth of it, `uniform`, is spread evenly; the rest
goes where a label is in doubt, by sqrt(p (1 - p)) of the recalibrated score p (Neyman 1934). What is estimated is the
mean of φ_i = p_i + w_i (Y_i - p_i): right on average whatever the scores are worth (Robins, Rotnitzky and Zhao 1994;
Zrnic and Candès 2024, arXiv:2403.03208), as long as p_i has not seen the label Y_i.

Shape letters: N videos, n of them labelled, B batches, K labels, G groups.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from tikval.stats.arrays import Bools, Floats, Ints

UNIFORM_AT_FIRST: Final = 0.5
UNIFORM_LATER: Final = 0.2
RECALIBRATED: Final = 200  # labels, from which the scores are taken as recalibrated
FOLDS: Final = 5
_SLOPE: Final = 4.0  # prior standard deviations, in logits: of the slope of scores of deviation 1
_OFFSETS: Final = 1.0  # of a group's offset
_CLIP: Final = 1e-5
_TINY: Final = 1e-9


class BatchDesign(NamedTuple):
    """How one batch was drawn, as it stood before."""

    probability: Floats  # [N] 0 where a video could not be drawn; not looked at where its label was known
    even: Floats  # [N] what a uniform draw of the same size from the same group would have given
    known: Bools  # [N] labelled before


class DrawWeights(NamedTuple):
    """What all batches come to."""

    weight: Floats  # [N] w_i, 0 without a label: 1 on average over all draws
    factor: Floats  # [N] of the squared residual of a labelled video, in the variance of a sum
    spread: Floats  # [N] of the expected squared residual of each video, likewise
    precision: Floats  # [N] of all batches together: 0 where none could draw the video


def uniform_share(labelled: int) -> float:
    """How much of the next batch is spread evenly."""
    if labelled == 0:
        return 1.0
    return UNIFORM_AT_FIRST if labelled < RECALIBRATED else UNIFORM_LATER


def doubt(p_NK: Floats) -> Floats:
    """[N] how far the labels of a video are in doubt: of several labels, each counts by its own variance."""
    variance_NK = p_NK * (1 - p_NK)
    if p_NK.shape[1] == 1:
        return np.sqrt(variance_NK[:, 0])
    rate_K = p_NK.mean(0)
    own_K = np.maximum(rate_K * (1 - rate_K), _TINY)
    return np.asarray(np.sqrt((variance_NK / own_K).mean(1)))


def drawing_probabilities(doubt_N: Floats, n: int, uniform: float) -> Floats:
    """[N] that sum to `n`: (1 - uniform) n u / Σu + uniform n / N, none above 1.

    What a cap at 1 takes is spread over the others by the same rule, so none falls below uniform n / N.
    """
    size = len(doubt_N)
    if n >= size:
        return np.ones(size)
    even = uniform * n / size
    if not doubt_N.any():
        return np.full(size, n / size)
    room, left = 1 - even, (1 - uniform) * n
    share_N = np.zeros(size)
    free_N = np.ones(size, bool)
    while left > 0:
        total = doubt_N[free_N].sum()
        if total <= 0:  # only videos without doubt are left
            share_N[free_N] = left / free_N.sum()
            break
        share_N[free_N] = left * doubt_N[free_N] / total
        over_N = free_N & (share_N > room)
        if not over_N.any():
            break
        share_N[over_N] = room
        left -= room * over_N.sum()
        free_N &= ~over_N
    return share_N + even


def draw_by_probability(probability_N: Floats, number_N: Floats, start: float) -> Bools:
    """[N] which are drawn: as many as the probabilities sum to, each exactly with its own (systematic: Madow 1949).

    `number_N` puts the videos in random order, and `start`, from 0 up to 1, is the random number that draws.
    """
    order = np.argsort(number_N, kind="stable")
    ends = np.round(np.cumsum(probability_N[order]), 9) - start
    drawn_N = np.zeros(len(order), bool)
    drawn_N[order] = np.diff(np.floor(ends), prepend=np.floor(-start)) > 0
    return drawn_N


def draw_weights(designs: Sequence[BatchDesign], batch_N: Ints, labelled_N: Bools) -> DrawWeights:
    """The weight of each video's label over B batches; `batch_N` is the batch that drew it, -1 where none did.

    In each batch a label that was known counts once, one that is drawn 1 / probability times, others not at all: 1 on
    average, whatever the labels before have moved. So a label that no batch drew counts as well, once it was known.
    The mean over the batches weighs each by the precision, e / (1 - e), of an even draw of its size from the video's
    group, which was known before, too, so nothing is bent by it.
    """
    there_BN = np.array([np.where(one.known, labelled_N, one.probability > 0) for one in designs])
    even_BN = np.minimum(there_BN * np.array([one.even for one in designs]), 1 - _TINY)
    odds_BN = even_BN / (1 - even_BN)
    precision_N = odds_BN.sum(0)
    share_BN = np.divide(odds_BN, precision_N, out=np.zeros_like(odds_BN), where=precision_N > 0)
    weight_N, factor_N, spread_N = np.zeros((3, len(batch_N)))
    for b, (one, share_N) in enumerate(zip(designs, share_BN, strict=True)):
        probability_N = np.where(one.probability > 0, one.probability, 1.0)
        drawn_N = (batch_N == b) & labelled_N
        weight_N += share_N * np.where(drawn_N, 1 / probability_N, one.known & labelled_N)
        variance_N = np.where(one.known, 0.0, share_N**2 * (1 - probability_N) / probability_N)
        spread_N += variance_N
        factor_N += np.where(drawn_N, variance_N / probability_N, 0.0)
    return DrawWeights(weight_N, factor_N, spread_N, precision_N)


def recalibrated(score_N: Floats, group_N: Ints, fold_N: Ints, at_n: Ints, truth_n: Bools) -> Floats:
    """[N] the probability that each video has a label, from its score and its group.

    A logistic curve (Platt 1999) with an offset for each group, fitted to the labels of the other folds: no video's
    probability knows its own label. Slope and offsets are held near 0, so that few labels do not make anyone sure.
    Scores that say nothing get a slope near 0, which leaves the labels alone.
    """
    score_N, n_groups = _logits(score_N), int(group_N.max()) + 1
    score_n, offsets_nG = score_N[at_n, None], np.eye(n_groups)[group_N[at_n]]
    design_nP = np.concatenate([np.ones((len(at_n), 1)), score_n, offsets_nG], axis=1)
    p_N = np.empty(len(score_N))
    for fold in range(int(fold_N.max()) + 1):
        inside_N, used_n = fold_N == fold, fold_N[at_n] != fold
        some_nP, truth = design_nP[used_n], truth_n[used_n]
        found_P = _fitted(some_nP, truth)
        if found_P[1] < 0:  # nobody follows a system backwards
            found_P = _fitted(some_nP * (np.arange(some_nP.shape[1]) != 1), truth)
        p_N[inside_N] = _expit(found_P[0] + found_P[1] * score_N[inside_N] + found_P[2:][group_N[inside_N]])
    return p_N


def _logits(score_N: Floats) -> Floats:
    """Scores with mean 0 and deviation 1, as logits where they are shares."""
    if score_N.min() >= 0 and score_N.max() <= 1:
        share_N = np.clip(score_N, _CLIP, 1 - _CLIP)
        score_N = np.log(share_N / (1 - share_N))
    deviation = score_N.std()
    return np.asarray((score_N - score_N.mean()) / (deviation if deviation > 0 else 1.0))


def _expit(x: Floats) -> Floats:
    out: Floats = 1 / (1 + np.exp(-np.clip(x, -30, 30)))
    return out


def _fitted(design_nP: Floats, truth_n: Bools) -> Floats:
    """Logistic coefficients [P] by Newton's steps; the first is the intercept, the last are the groups' offsets.

    All videos together get one more label, as the mean one of n + 1 is with half a label more: so no rate is 0.
    """
    n, width = design_nP.shape
    rate = (truth_n.sum() + 0.5) / (n + 1)
    truth = (truth_n * n + rate) / (n + 1) if n else np.zeros(0)
    prior_P = np.full(width, 1 / _OFFSETS**2)
    prior_P[:2] = 1e-6, 1 / _SLOPE**2
    coefficient_P = np.zeros(width)
    coefficient_P[0] = np.log(rate / (1 - rate))
    for _ in range(50):
        p = _expit(design_nP @ coefficient_P)
        hessian = design_nP.T @ (design_nP * np.maximum(p * (1 - p), _TINY)[:, None]) + np.diag(prior_P)
        gradient = design_nP.T @ (truth - p) - prior_P * coefficient_P
        gradient[0] += 1e-6 * np.log(rate / (1 - rate))
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, 3 / max(np.abs(step).max(), _TINY))
        coefficient_P += step
        if np.abs(step).max() < 1e-8:
            break
    return coefficient_P
