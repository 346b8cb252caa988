"""Several systems' scores and answers as one: averaged, or a regularised regression of each label; then calibrated
and decided by what the other folds' rows chose.

Features are a system's scores (as log-odds) and a language model's stances. Where a row lacks one, the training
rows' mean stands for it, so that a failure pulls a row neither way.

A trained system's scores may only be features of rows that did not train it: its out-of-fold scores, of one
partition at a time. These come from models that saw the other folds' labels; to be strict, fit on a fold's
validation rows with the scores of exactly that fold's model (`fit`, `Combination.apply`).

Shape letters: N rows, n test rows and m other rows of a fold, V values, L = 2V labels, F features of a label.
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.folds import Fold
from tikval.stats.partitions import place, renumbered
from tikval.stats.thresholds import best_threshold, fit_platt, logistic, logit, sigmoid

STRENGTHS: Final = (0.1, 1.0, 10.0, 100.0, 1000.0)  # of the L2 penalty, beside log losses summed over rows
INNER_FOLDS: Final = 5
_FREE: Final = 1e-4  # penalty of the constant: next to none, but a label without positives stays finite


class Combination(NamedTuple):
    mean: Floats  # [L, F]
    scale: Floats  # [L, F]
    weight: Floats  # [L, F] of standardised features
    constant: Floats  # [L]

    def apply(self, features_NLF: Floats) -> Floats:
        """[N, L] probabilities."""
        standard_NLF = np.nan_to_num((features_NLF - self.mean) / self.scale)
        return sigmoid(np.einsum("nlf,lf->nl", standard_NLF, self.weight) + self.constant)


def features(scores: Sequence[ArrayLike] = (), stances: Sequence[ArrayLike] = ()) -> Floats:
    """[N, L, F] features from systems' [N, L] probabilities and [N, V] stances (-1 to 2); nan: this row has none.

    A stance is 1 for the label it names, -1 for the value's other label and 0 for both where the value is absent.
    """
    columns = [logit(score) for score in scores]
    for predicted in stances:
        sign_NV = np.sign(np.asarray(predicted, dtype=np.float64))
        columns.append(np.concatenate([sign_NV, -sign_NV], axis=1))
    if not columns or len({column.shape for column in columns}) > 1:
        raise ValueError(f"scores [N, L] and stances [N, V] of one shape: {[c.shape for c in columns]}")
    return np.stack(columns, axis=-1)


def fit(features_NLF: Floats, labels_NL: Bools, strength: float) -> Combination:
    """L2-regularised logistic regression of each label on its own F features, standardised over the rows."""
    known_LF = np.isfinite(features_NLF).sum(0)
    mean_LF = np.nansum(features_NLF, axis=0) / np.maximum(known_LF, 1)
    apart_NLF = np.nan_to_num(features_NLF - mean_LF)
    scale_LF = np.sqrt((apart_NLF**2).sum(0) / np.maximum(known_LF, 1))
    scale_LF[scale_LF < 1e-9] = 1.0  # a feature that never changes
    n_rows, n_labels, n_features = features_NLF.shape
    x_NLF = np.concatenate([apart_NLF / scale_LF, np.ones((n_rows, n_labels, 1))], axis=2)
    penalty = np.append(np.full(n_features, strength), _FREE)
    fitted_LF = np.array(
        [logistic(x_NLF[:, i], labels_NL[:, i], penalty, np.zeros(n_features + 1)) for i in range(n_labels)]
    )
    return Combination(mean_LF, scale_LF, fitted_LF[:, :-1], fitted_LF[:, -1])


def choose_strength(
    features_NLF: Floats, labels_NL: Bools, groups_N: Ints, strengths: Sequence[float] = STRENGTHS
) -> tuple[float, Floats]:
    """The strength with the lowest log loss over all labels of rows held out in whole groups; the stronger of equals.

    With it, the [N, L] probabilities of the rows so held out. Up to five inner folds, fewer where there are fewer
    groups. One strength for all labels: a label alone has too few positives to choose by. Raises ValueError for rows
    of one group.
    """
    groups_N = renumbered(groups_N.tolist())
    n_folds = min(INNER_FOLDS, int(groups_N.max()) + 1)
    if n_folds < 2:
        raise ValueError("rows of one group cannot choose how strongly to regularise")
    fold_N = place(groups_N, labels_NL, np.full(n_folds, 1 / n_folds), seed=0)
    tried = []
    for strength in sorted(strengths, reverse=True):
        p_NL = np.empty(labels_NL.shape)
        for fold in range(n_folds):
            held = fold_N == fold
            p_NL[held] = fit(features_NLF[~held], labels_NL[~held], strength).apply(features_NLF[held])
        loss = -float(np.log(np.where(labels_NL, p_NL, 1 - p_NL).clip(1e-12)).sum())
        tried.append((round(loss, 9), strength, p_NL))
    _, strength, p_NL = min(tried, key=lambda each: each[0])  # the first of equals
    return strength, p_NL


class ScoredFold(NamedTuple):
    """One fold's test rows, and the rows that may choose for them: no score of these was fitted on the test rows."""

    fold: Fold
    test: Ints  # [n] places among the N rows
    scores: Floats  # [n, L]
    others: Ints  # [m]
    other_scores: Floats  # [m, L]
    strength: float | None = None  # of a regression


def averaged(scores_NL: Floats, ids: Sequence[str], folds: Sequence[Fold]) -> list[ScoredFold]:
    """Fold by fold, the mean scores (`ensemble`) of one partition's rows; ids that no row has are left out."""
    parts = [(fold, *_places(fold, ids)) for fold in _of_one_partition(folds)]
    return [
        ScoredFold(fold, test, scores_NL[test], others, scores_NL[others]) for fold, test, others in parts
    ]


def out_of_fold(
    features_NLF: Floats,
    labels_NL: Bools,
    groups_N: Ints,
    ids: Sequence[str],
    folds: Sequence[Fold],
    strengths: Sequence[float] = STRENGTHS,
) -> list[ScoredFold]:
    """A regression for each fold of one partition, fitted on the rows that it does not test.

    The other rows' scores come from those rows alone, held out in whole groups: a regression that scored them by the
    folds would have seen this fold's labels, and so would a threshold chosen on them. Raises ValueError for folds of
    several partitions, and as `choose_strength`.
    """
    scored = []
    for fold in _of_one_partition(folds):
        test, others = _places(fold, ids)
        x_mLF, y_mL = features_NLF[others], labels_NL[others]
        strength, other_scores = choose_strength(x_mLF, y_mL, groups_N[others], strengths)
        scores = fit(x_mLF, y_mL, strength).apply(features_NLF[test])
        scored.append(ScoredFold(fold, test, scores, others, other_scores, strength))
    return scored


def _of_one_partition(folds: Sequence[Fold]) -> Sequence[Fold]:
    if len({fold.partition for fold in folds}) > 1:
        raise ValueError("combine the folds of one partition at a time")
    return folds


def _places(fold: Fold, ids: Sequence[str]) -> tuple[Ints, Ints]:
    """The places of a fold's test rows, and of its others."""
    row_of = {name: i for i, name in enumerate(ids)}
    parts = (fold.test, fold.train + fold.validation)
    test, others = (
        np.array([row_of[name] for name in part if name in row_of], dtype=np.int64) for part in parts
    )
    return test, others


class Decided(NamedTuple):
    """Scores and decisions of a fold's test rows."""

    scores: Floats  # [n, L] calibrated where that was asked for
    thresholds: Floats  # [L]
    decisions: Bools  # [n, L]


def decide_fold(
    scored: ScoredFold, labels_NL: Bools, threshold: float | Literal["global", "per_label"], calibrate: bool
) -> Decided:
    """Calibrate and decide a fold's test rows by the truth of the other rows, never by their own.

    A threshold that is a number stands as it is. Raises ValueError where something is to be chosen and there are no
    other rows, or no positive among them.
    """
    scores_nL, other_mL, truth_mL = scored.scores, scored.other_scores, labels_NL[scored.others]
    if calibrate:
        platt = fit_platt(other_mL, truth_mL)
        scores_nL, other_mL = platt.apply(scores_nL), platt.apply(other_mL)
    if isinstance(threshold, str):
        thresholds_L = best_threshold(other_mL, truth_mL, threshold)
    else:
        thresholds_L = np.full(labels_NL.shape[1], float(threshold))
    return Decided(scores_nL, thresholds_L, scores_nL >= thresholds_L)


def ensemble(scores: Sequence[ArrayLike]) -> Floats:
    """[N, L] mean probability of several models' [N, L], to be taken before a threshold is chosen.

    It is the mean of probabilities and not of log-odds: there one seed that is wrongly sure (0.999999) would outvote
    four at 0.1. Raises ValueError where shapes differ, a score is not finite or there is none.
    """
    shapes = {np.shape(score) for score in scores}
    if len(shapes) != 1:
        raise ValueError(f"scores of one shape, of one model or more: {sorted(shapes)}")
    mean_NL: Floats = np.mean(np.asarray(scores, dtype=np.float64), axis=0)
    if not np.isfinite(mean_NL).all():
        raise ValueError("scores that are not finite have no mean")
    return mean_NL
