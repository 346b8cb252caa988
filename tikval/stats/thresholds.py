"""Thresholds, calibration and weights of positives, from the scores of rows that did not train the model.

Scores are probabilities; a label is predicted where its score reaches its threshold. Nothing here may see test rows.

Shape letters: N rows, L labels, F features.
"""

from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tikval.stats.arrays import Bools, Floats
from tikval.stats.metrics import label_f1, prf, weighted

HALFWAY: Final = 20  # positives with which a label's own threshold counts as much as the global one
_EDGE: Final = 1e-6  # scores nearer to 0 or 1 have the logit of this
_NEWTON_STEPS: Final = 100


def best_threshold(scores_NL: ArrayLike, labels_NL: ArrayLike, how: Literal["global", "per_label"]) -> Floats:
    """[L] thresholds. global: one for all, with the best macro F1 over the labels that have positives.

    per_label: that of the label's own best F1, drawn towards the global one: w * own + (1 - w) * global with
    w = positives / (positives + 20), so that few positives cannot move it far and a label without any keeps the
    global one. Of equally good thresholds the largest is taken, which predicts least, and it stands midway between
    the lowest score that reaches it and the next below.

    Raises ValueError for shapes that differ, for scores that are not finite and where no label has a positive.
    """
    scores, truth = _checked(scores_NL, labels_NL)
    support_L = truth.sum(0)
    if not support_L.any():
        raise ValueError("no threshold can be chosen: no label has a positive among the rows that choose")
    every = _best_of(scores[:, support_L > 0], truth[:, support_L > 0])
    thresholds_L = np.full(truth.shape[1], every)
    if how == "per_label":
        for label in np.flatnonzero(support_L):
            weight = support_L[label] / (support_L[label] + HALFWAY)
            own = _best_of(scores[:, [label]], truth[:, [label]])
            thresholds_L[label] = weight * own + (1 - weight) * every
    return thresholds_L


def _best_of(scores_NL: Floats, truth_NL: Bools) -> float:
    """The threshold with the best sum of F1s. Every label needs a positive.

    From the highest score down, each further pair of row and label changes one label's F1; their running sum is
    the sum of F1s at that score, once all pairs of an equal score are in.
    """
    order_NL = np.argsort(-scores_NL, axis=0, kind="stable")
    hits_NL = np.take_along_axis(truth_NL, order_NL, axis=0).cumsum(0)
    n_predicted = np.arange(1, len(scores_NL) + 1)[:, None]
    change_NL = np.diff(label_f1(hits_NL, n_predicted, truth_NL.sum(0)), axis=0, prepend=0)

    sorted_NL = np.take_along_axis(scores_NL, order_NL, axis=0)
    falling = np.argsort(-sorted_NL.ravel(), kind="stable")
    score = sorted_NL.ravel()[falling]
    sums = change_NL.ravel()[falling].cumsum()
    last = np.append(score[1:] < score[:-1], True)  # of pairs with an equal score
    score, sums = score[last], sums[last]
    best = int(np.round(sums, 9).argmax())  # the first of equals: the largest threshold
    if best + 1 == len(score):
        return float(score[best])  # all is predicted
    middle = float((score[best] + score[best + 1]) / 2)
    return middle if middle > score[best + 1] else float(score[best])


def f1_macro(labels_NL: Bools, predicted_NL: Bools) -> float:
    """Plain mean of the labels' F1; labels neither true nor predicted are left out, nan where that leaves none."""
    f1_L = prf(labels_NL, predicted_NL).f1
    known_L = ~np.isnan(f1_L)
    return float(f1_L[known_L].mean()) if known_L.any() else float("nan")


def f1_weighted(labels_NL: Bools, predicted_NL: Bools) -> float:
    """Mean of the labels' F1 weighted by support; nan where nothing is true."""
    return weighted(prf(labels_NL, predicted_NL)).f1


def positive_weights(labels_NL: Bools, cap: float) -> Floats:
    """[L] weight of a label's positives in the loss: negatives / positives, from 1 to `cap`; 1 without a positive."""
    positives_L = labels_NL.sum(0)
    ratio_L = (len(labels_NL) - positives_L) / np.maximum(positives_L, 1)
    weights_L: Floats = np.where(positives_L > 0, np.clip(ratio_L, 1, cap), 1.0)
    return weights_L


class Platt(NamedTuple):
    """Calibrated probability = sigmoid(slope * logit(score) + offset) of each label."""

    slope: Floats  # [L]
    offset: Floats  # [L]

    def apply(self, scores_NL: ArrayLike) -> Floats:
        """[N, L] calibrated probabilities; where a slope is positive, their order is that of the scores."""
        return sigmoid(self.slope * logit(scores_NL) + self.offset)


def fit_platt(scores_NL: ArrayLike, labels_NL: ArrayLike, strength: float = 1.0) -> Platt:
    """Platt scaling of each label, drawn towards changing nothing.

    Minimises the log loss summed over rows + strength / 2 * ((slope - 1)^2 + offset^2): with no positives, or few
    rows, little changes. Raises ValueError as `best_threshold`.
    """
    scores, truth = _checked(scores_NL, labels_NL)
    penalty, identity = np.full(2, strength), np.array([1.0, 0.0])
    fitted_L2 = [
        logistic(np.column_stack([logit(column), np.ones(len(column))]), true, penalty, identity)
        for column, true in zip(scores.T, truth.T, strict=True)
    ]
    slope_L, offset_L = np.array(fitted_L2).reshape(-1, 2).T
    return Platt(slope_L, offset_L)


def brier(scores: ArrayLike, labels: ArrayLike) -> float:
    """Mean squared difference of score and label, over all of them; any one shape."""
    score, truth = _checked(scores, labels)
    return float(np.mean((score - truth) ** 2))


def ece(scores: ArrayLike, labels: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error: mean |score - share of positives| over `bins` of equally many scores.

    Over all scores, of any one shape. Equal scores share their positives evenly, so that their order is nothing.
    """
    score, truth = _checked(scores, labels)
    unique, which, count = np.unique(score.ravel(), return_inverse=True, return_counts=True)
    share = np.bincount(which, weights=truth.ravel()) / count
    gap = np.repeat(unique - share, count)  # by rising score
    return float(sum(abs(part.sum()) for part in np.array_split(gap, min(bins, len(gap)))) / len(gap))


def logit(scores: ArrayLike) -> Floats:
    """Log-odds of probabilities; those beyond 1e-6 and 1 - 1e-6 count as these."""
    p = np.clip(np.asarray(scores, dtype=np.float64), _EDGE, 1 - _EDGE)
    odds: Floats = np.log(p) - np.log1p(-p)
    return odds


def sigmoid(x: Floats) -> Floats:
    p: Floats = np.exp(-np.logaddexp(0, -x))
    return p


def logistic(x_NF: Floats, truth_N: Bools, penalty_F: Floats, prior_F: Floats) -> Floats:
    """[F] weights w that minimise sum log loss(sigmoid(x @ w)) + sum penalty / 2 * (w - prior)^2. Penalties > 0.

    Newton's method; a step that does not lower the loss is halved. The loss is strictly convex, so this ends at its
    one minimum.
    """

    def loss(w: Floats) -> float:
        z = x_NF @ w
        return float(np.logaddexp(0, z).sum() - z[truth_N].sum() + penalty_F @ (w - prior_F) ** 2 / 2)

    w, here = prior_F.astype(np.float64), loss(prior_F)
    for _ in range(_NEWTON_STEPS):
        p_N = sigmoid(x_NF @ w)
        slope_F = x_NF.T @ (p_N - truth_N) + penalty_F * (w - prior_F)
        curve_FF = (x_NF.T * (p_N * (1 - p_N))) @ x_NF + np.diag(penalty_F)
        step_F = np.linalg.solve(curve_FF, slope_F)
        if slope_F @ step_F <= 1e-12 * (1 + here):  # twice what a full step could still win
            break
        size = 1.0
        while (there := loss(w - size * step_F)) >= here and size > 1e-6:
            size /= 2
        w, here = w - size * step_F, there
    return w


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Bools]:
    score, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    if score.shape != truth.shape or not score.size:
        raise ValueError(
            f"scores are {score.shape}, labels {truth.shape}: both must be of one shape, not empty"
        )
    if not np.isfinite(score).all():
        raise ValueError(f"{int((~np.isfinite(score)).sum())} scores are not finite")
    return score, truth
