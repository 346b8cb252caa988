"""Heads on frozen sentence vectors, learnt from a few hundred labelled texts, that fall back on the zero-shot answer.

    score of a label = sigmoid(slope * logit(zero-shot score) + offset + vector @ weights)

Slope and offset are Platt scaling, drawn towards a slope and a share of all labels. The weights have a ridge penalty
towards zero, one for all labels and chosen on held-out rows; no weights at all is among the choices, and a label with
few positives has none. Of the labelled rows, scores come from heads of the other folds, and penalty and thresholds are
those that the other folds chose.

A threshold is half of the best F1 that can be expected if the scores are true probabilities (Lipton, Elkan and
Naryanaswamy 2014, "Optimal thresholding of classifiers to maximize F1 measure"). It takes no further
labels. benchmarks/tuning.py measures the whole on development arguments, where it was chosen.

Shape letters: N rows, L labels, D width of a vector, R rank, P penalties.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.partitions import place, renumbered
from tikval.stats.thresholds import logit, sigmoid

FEWEST_POSITIVES: Final = 3  # of a label, and as many negatives, for weights of its own
FEWEST_ROWS: Final = 20
PENALTIES: Final = (np.inf, 30.0, 10.0, 3.0, 1.5, 0.7)  # inf: no weights
_PRIOR_ROWS: Final = 10.0  # with the share of all labels, that a label's own rows have to outweigh
_SLOPE_PENALTY: Final = 10.0  # of a label's slope towards that of all
_STEPS: Final = 60
_NEWTON_STEPS: Final = 30


@dataclass(frozen=True, eq=False)
class HeadModel:
    """What was learnt; penalty inf: no weights, but zero-shot scores on another scale and other thresholds."""

    slope: Floats  # [L] of the logit of the zero-shot score
    offset: Floats  # [L]
    centre: Floats  # [D] taken off each vector
    weights: Floats  # [D, L] of the rest; zeros where a label has no head
    thresholds: Floats  # [L]
    positives: Floats  # [L] sum of the known targets
    penalty: float

    def scores(self, vectors_ND: Floats, base_NL: Floats) -> Floats:
        """[N, L] probabilities, of sentence vectors and zero-shot scores in [0, 1]."""
        of_vectors_NL = (np.asarray(vectors_ND, np.float64) - self.centre) @ self.weights
        return sigmoid(self.slope * logit(base_NL) + self.offset + of_vectors_NL)

    @property
    def has_head(self) -> Bools:
        """[L]"""
        return np.asarray(self.weights.any(axis=0))


@dataclass(frozen=True, eq=False)
class FittedHeads:
    """The heads of all labelled rows, and what heads of the other folds make of each."""

    heads: HeadModel
    scores_NL: Floats  # noqa: N815  (out of fold)
    decisions_NL: Bools  # noqa: N815  (out of fold, by a penalty and thresholds of the other folds)
    fold_N: Ints  # noqa: N815
    # the mean of the folds' heads, as log-odds: as good on average as the answers out of fold, so that a rate of its
    # scores can be corrected by these (Zrnic and Candès 2024, PNAS 121: e2322083121); `heads` are better than those
    averaged: HeadModel


def fit_heads(
    vectors_ND: Floats,
    base_NL: Floats,
    targets_NL: Floats,
    groups_N: Ints,
    *,
    folds: int,
    seed: int,
    base_threshold: float | None = None,
) -> FittedHeads:
    """Heads from labelled rows. The same rows give the same heads.

    `base_NL`: zero-shot scores in [0, 1]; `targets_NL`: in [0, 1], soft ones too, nan: not known; `groups_N`: rows of
    one number are never in two folds. `base_threshold`: by which the zero-shot scores decide; a label with fewer than
    three positives keeps its scores and decisions (None: its threshold is as that of the others). Raises ValueError
    for fewer than 20 rows or two groups, shapes that differ, and numbers out of their range.
    """
    x_ND, base_NL, y_NL = (np.asarray(each, np.float64) for each in (vectors_ND, base_NL, targets_NL))
    _check(x_ND, base_NL, y_NL, groups_N)
    groups_N = renumbered(np.asarray(groups_N).tolist())
    n_folds = min(folds, int(groups_N.max()) + 1)
    fold_N = place(groups_N, y_NL >= 0.5, np.full(n_folds, 1 / n_folds), seed)
    scores_PNL, alone_NL = np.empty((len(PENALTIES), *y_NL.shape)), np.zeros(y_NL.shape, bool)
    of_fold: list[list[HeadModel]] = []
    for fold in range(n_folds):
        out = fold_N == fold
        models = _models(x_ND[~out], base_NL[~out], y_NL[~out])
        of_fold.append(models)
        scores_PNL[:, out] = [model.scores(x_ND[out], base_NL[out]) for model in models]
        if base_threshold is not None:
            alone_NL[out] = _few(models[0].positives)
    loss_PN = np.array([_log_loss(scores_NL, y_NL).sum(axis=1) for scores_NL in scores_PNL])

    scores_NL, decisions_NL = np.empty(y_NL.shape), np.empty(y_NL.shape, bool)
    members = []
    for fold in range(n_folds):
        out = fold_N == fold
        best = int(loss_PN[:, ~out].sum(axis=1).argmin())
        best_NL = scores_PNL[best]
        members.append(of_fold[fold][best])
        scores_NL[out] = best_NL[out]
        decisions_NL[out] = best_NL[out] >= f1_thresholds(best_NL[~out])
    if base_threshold is not None:
        scores_NL = np.where(alone_NL, base_NL, scores_NL)
        decisions_NL = np.where(alone_NL, base_NL >= base_threshold, decisions_NL)

    chosen = int(loss_PN.sum(axis=1).argmin())
    model = _models(x_ND, base_NL, y_NL)[chosen]
    heads = replace(model, thresholds=f1_thresholds(scores_PNL[chosen]))
    averaged = _averaged(heads, members)
    if base_threshold is not None:
        heads, averaged = (_with_zero_shot(each, base_threshold) for each in (heads, averaged))
    return FittedHeads(heads, scores_NL, decisions_NL, fold_N, averaged)


def _with_zero_shot(heads: HeadModel, base_threshold: float) -> HeadModel:
    """Heads that leave labels with few positives their zero-shot scores.

    Not on another scale: where these say nothing their slope is 0, and all would reach one threshold.
    """
    few_L = _few(heads.positives)
    return replace(
        heads,
        slope=np.where(few_L, 1.0, heads.slope),
        offset=np.where(few_L, 0.0, heads.offset),
        weights=np.where(few_L, 0.0, heads.weights),
        thresholds=np.where(few_L, base_threshold, heads.thresholds),
    )


def _averaged(heads: HeadModel, members: Sequence[HeadModel]) -> HeadModel:
    """Heads whose log-odds are the mean of those of the members; the rest is as in `heads`."""
    offset_L = np.mean([one.offset - one.centre @ one.weights for one in members], axis=0)
    return replace(
        heads,
        slope=np.mean([one.slope for one in members], axis=0),
        offset=offset_L,
        centre=np.zeros_like(heads.centre),
        weights=np.mean([one.weights for one in members], axis=0),
    )


def f1_thresholds(probabilities_NL: Floats) -> Floats:
    """[L] half of each label's best expected F1, the most likely rows being predicted."""
    falling_NL = -np.sort(-probabilities_NL, axis=0)
    n_predicted = np.arange(1, len(falling_NL) + 1)[:, None]
    expected_NL = 2 * falling_NL.cumsum(axis=0) / (n_predicted + falling_NL.sum(axis=0))
    thresholds_L: Floats = expected_NL.max(axis=0) / 2
    return thresholds_L


def _few(positives_L: Floats) -> Bools:
    few: Bools = positives_L < FEWEST_POSITIVES
    return few


def _models(x_ND: Floats, base_NL: Floats, y_NL: Floats) -> list[HeadModel]:
    """A model of each penalty, in their order; thresholds are still missing."""
    known_NL = ~np.isnan(y_NL)
    y_NL = np.where(known_NL, y_NL, 0.0)
    logit_NL = logit(base_NL)
    slope_L, offset_L = _platt(logit_NL, y_NL, known_NL)
    centre_D = x_ND.mean(axis=0)
    u_NR, s_R, v_RD = np.linalg.svd(x_ND - centre_D, full_matrices=False)
    u_NR, s_R, v_RD = (part[..., : int((s_R > 1e-9).sum())] for part in (u_NR, s_R, v_RD.T))
    positives_L = y_NL.sum(axis=0)
    enough_L = ~_few(np.minimum(positives_L, (known_NL - y_NL).sum(axis=0)))
    weights_RL, models = np.zeros((len(s_R), len(slope_L))), []
    for penalty in PENALTIES:
        if np.isfinite(penalty):
            start_NL = slope_L * logit_NL + offset_L
            weights_RL = _ridge(u_NR, s_R, y_NL, known_NL & enough_L, start_NL, penalty, weights_RL)
        weights_DL = v_RD @ weights_RL
        none_L = np.full(len(slope_L), np.nan)
        models.append(HeadModel(slope_L, offset_L, centre_D, weights_DL, none_L, positives_L, penalty))
    return models


def _ridge(
    u_NR: Floats,
    s_R: Floats,
    y_NL: Floats,
    known_NL: Bools,
    start_NL: Floats,
    penalty: float,
    weights_RL: Floats,
) -> Floats:
    """[R, L] weights with the least ridge-penalised log loss beside fixed log-odds, from those of a larger penalty.

    Accelerated gradient steps (Nesterov), scaled by a bound of the curvature, a quarter of x'x (Boehning and Lindsay
    1988). It is diagonal here, since the columns of x = u * s are orthogonal: all labels at once, nothing is solved.
    """
    x_NR, step_R1 = u_NR * s_R, 1 / (s_R**2 / 4 + penalty)[:, None]
    ahead_RL, t = weights_RL, 1.0
    for _ in range(_STEPS):
        error_NL = known_NL * (sigmoid(start_NL + x_NR @ ahead_RL) - y_NL)
        new_RL = ahead_RL - step_R1 * (x_NR.T @ error_NL + penalty * ahead_RL)
        change_RL, weights_RL = new_RL - weights_RL, new_RL
        if np.abs(change_RL).max(initial=0) < 1e-5:
            break
        t, before = (1 + np.sqrt(1 + 4 * t * t)) / 2, t
        ahead_RL = weights_RL + (before - 1) / t * change_RL
    return weights_RL


def _platt(logit_NL: Floats, y_NL: Floats, known_NL: Bools) -> tuple[Floats, Floats]:
    """Slopes and offsets [L] of the zero-shot logits: first one slope for all labels, then each one's own near it."""
    share = float((y_NL.sum() + 1) / (known_NL.sum() + 2))
    centre_L = (logit_NL * known_NL).sum(axis=0) / np.maximum(known_NL.sum(axis=0), 1)
    z_NL = logit_NL - centre_L
    prior, prior_curve = float(logit(share)), _PRIOR_ROWS * share * (1 - share)
    offset_L, slope_L = np.full(z_NL.shape[1], prior), np.ones(z_NL.shape[1])

    def newton(offset_L: Floats, slope_L: Floats) -> tuple[Floats, Floats, Floats]:
        p_NL = sigmoid(slope_L * z_NL + offset_L)
        error_NL, curve_NL = known_NL * (p_NL - y_NL), known_NL * p_NL * (1 - p_NL)
        down_L = error_NL.sum(axis=0) + prior_curve * (offset_L - prior)
        offset_L = offset_L - down_L / (curve_NL.sum(axis=0) + prior_curve)
        p_NL = sigmoid(slope_L * z_NL + offset_L)
        error_NL, curve_NL = known_NL * (p_NL - y_NL), known_NL * p_NL * (1 - p_NL)
        return offset_L, (error_NL * z_NL).sum(axis=0), (curve_NL * z_NL**2).sum(axis=0)

    for _ in range(_NEWTON_STEPS):
        offset_L, down_L, curve_L = newton(offset_L, slope_L)
        slope_L = slope_L - (down_L.sum() + slope_L - 1) / (curve_L.sum() + 1)
    common_L = np.maximum(slope_L, 0.0)  # zero-shot scores that speak against their label say nothing
    slope_L = common_L
    for _ in range(_NEWTON_STEPS):
        offset_L, down_L, curve_L = newton(offset_L, slope_L)
        change_L = (down_L + _SLOPE_PENALTY * (slope_L - common_L)) / (curve_L + _SLOPE_PENALTY)
        slope_L = np.maximum(slope_L - change_L, 0.0)
    return slope_L, offset_L - slope_L * centre_L


def _log_loss(scores_NL: Floats, y_NL: Floats) -> Floats:
    p_NL = np.clip(scores_NL, 1e-9, 1 - 1e-9)
    return np.nan_to_num(-(y_NL * np.log(p_NL) + (1 - y_NL) * np.log1p(-p_NL)))


def _check(x_ND: Floats, base_NL: Floats, y_NL: Floats, groups_N: Ints) -> None:
    if not len(x_ND) == len(base_NL) == len(y_NL) == len(groups_N) or base_NL.shape != y_NL.shape:
        shapes = f"{x_ND.shape}, {base_NL.shape}, {y_NL.shape}, {np.shape(groups_N)}"
        raise ValueError(f"vectors, zero-shot scores, targets and groups do not fit each other: {shapes}")
    if len(x_ND) < FEWEST_ROWS:
        raise ValueError(f"{len(x_ND)} labelled rows are too few to learn from; it takes {FEWEST_ROWS}")
    if len(np.unique(groups_N)) < 2:
        raise ValueError("all labelled rows are of one group (account): nothing is left to test on")
    if not (np.isfinite(x_ND).all() and ((base_NL >= 0) & (base_NL <= 1)).all()):
        raise ValueError("vectors must be finite, and zero-shot scores in [0, 1]")
    if ((y_NL < 0) | (y_NL > 1)).any():
        raise ValueError("targets must be in [0, 1], or nan where nothing is known")
