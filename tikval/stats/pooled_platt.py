"""A score turned into the probability that another system says yes, learnt from some hundred of its answers.

Of one stance, log-odds = a + b (x - c) + d c + what is the label's own, where x is the logit of the score and c its
mean over all videos: with b = d it is Platt's scaling of scores that are right up to their sureness, with d = 0 of
scores that tell only which videos have more of a label. A label's own offset and slope are drawn towards 0, so a label
with few positives has what the labels of its stance have together.

N videos, n of them answered, L labels, F features.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.intervals import by_group
from tikval.stats.thresholds import logistic, logit, sigmoid

# prior means and standard deviations, in log-odds, where x has deviation 1: of a, b, d, and of what is a label's own
_PRIOR: Final = ((-3.0, 3.0), (1.0, 2.0), (0.0, 2.0))
_OWN_OFFSET, _OWN_SLOPE = 1.0, 0.3
_TINY: Final = 1e-9


@dataclass(frozen=True)
class PooledPlatt:
    """The probability of label l is expit(offset_l + slope_l (x - centre_l)); without a score, as at the centre."""

    centre: tuple[float, ...]  # [L]
    offset: tuple[float, ...]  # [L]
    slope: tuple[float, ...]  # [L]

    def probability(self, scores_NL: Floats) -> Floats:
        """[N, L]"""
        x_NL = logit(scores_NL) - np.array(self.centre)
        return sigmoid(np.array(self.offset) + np.array(self.slope) * np.where(np.isnan(x_NL), 0.0, x_NL))

    def residuals(self, scores_NL: Floats, strong_NL: Bools, stance_L: Ints) -> Floats:
        """[N, 4] of each stance the sums over labels of y - p, and of (y - p) x: 0 on average where p is right."""
        apart_NL = strong_NL - self.probability(scores_NL)
        x_NL = np.nan_to_num(logit(scores_NL) - np.array(self.centre))
        return np.stack(
            [
                (apart_NL * by)[:, stance_L == stance].sum(1)
                for stance in (0, 1)
                for by in (np.ones_like(x_NL), x_NL)
            ],
            axis=1,
        )


def fit_pooled_platt(scores_NL: Floats, at_n: Ints, strong_nL: Bools, stance_L: Ints) -> PooledPlatt:
    """Fitted on the videos `at_n`; the scores of all N videos say where each label's are centred. nan: no score."""
    x_NL = logit(scores_NL)
    known_NL = ~np.isnan(x_NL)
    centre_L = np.where(known_NL, x_NL, 0).sum(0) / np.maximum(known_NL.sum(0), 1)
    offset_L, slope_L = np.zeros((2, len(stance_L)))
    for stance in np.unique(stance_L):
        of = np.flatnonzero(stance_L == stance)
        scored = of[known_NL[:, of].any(0)]
        centre_L[np.setdiff1d(of, scored)] = centre_L[scored].mean() if len(scored) else 0.0
        apart_NL = np.where(known_NL[:, of], x_NL[:, of] - centre_L[of], 0.0)
        scale = max(float(np.sqrt((apart_NL**2).mean())), _TINY)
        middle_L = (centre_L[of] - centre_L[of].mean()) / scale
        offset_L[of], slope_L[of] = _of_stance(apart_NL[at_n] / scale, middle_L, strong_nL[:, of])
        slope_L[of] /= scale
    return PooledPlatt(*(tuple(float(v) for v in of_L) for of_L in (centre_L, offset_L, slope_L)))


def residual_moments(residuals_nF: Floats, group_n: Ints) -> tuple[Floats, Floats]:
    """[F] the mean, and [F, F] its covariance if groups are drawn."""
    n = len(residuals_nF)
    mean_F = residuals_nF.mean(0)
    groups, number = np.unique(group_n, return_inverse=True)
    apart_GF = by_group(residuals_nF - mean_F, number, len(groups)) / n
    covariance_FF: Floats = apart_GF.T @ apart_GF * len(groups) / max(1, len(groups) - 1)
    return mean_F, covariance_FF


def _of_stance(x_nL: Floats, middle_L: Floats, strong_nL: Bools) -> tuple[Floats, Floats]:
    """[L] offset and slope of each label."""
    n, width = x_nL.shape
    own = np.tile(np.eye(width), (n, 1))  # row by row: the labels of one video after another
    x = x_nL.ravel()[:, None]
    design = np.hstack([np.ones_like(x), x, np.tile(middle_L, n)[:, None], own, own * x])
    mean, deviation = np.array(_PRIOR).T
    penalty = np.concatenate([deviation, np.full(width, _OWN_OFFSET), np.full(width, _OWN_SLOPE)]) ** -2
    prior = np.concatenate([mean, np.zeros(2 * width)])
    w = logistic(design, strong_nL.ravel(), penalty, prior)
    offset_L = w[0] + w[2] * middle_L + w[3 : 3 + width]
    return offset_L, w[1] + w[3 + width :]
