"""Precision, recall and F1 of binary labels, and the paper's ways of averaging them: numbers in, numbers out.

N videos, L labels. `truth` and `predicted` are boolean [N, L].

Convention for empty denominators, in a label's own scores: precision is nan where nothing was predicted,
recall is nan where nothing is true, F1 is 0 where something is true or predicted but nothing was hit, and nan where
neither. Aggregates leave out a label whose F1 is nan (it is neither true nor predicted); of every other label a nan
precision or recall counts as 0, as scikit-learn's `zero_division=0` has it. So a frequent label that a system never
predicts pulls its macro F1 down.
"""

from typing import NamedTuple

import numpy as np

from tikval.stats.arrays import Bools, Floats, Ints


class LabelScores(NamedTuple):
    """Scores of each label; `support` counts the videos for which the label is true."""

    precision: Floats  # [L]
    recall: Floats  # [L]
    f1: Floats  # [L]
    support: Ints  # [L]


class Mean(NamedTuple):
    """One line of an aggregate; nan where there was nothing to average."""

    precision: float
    recall: float
    f1: float


def prf(truth: Bools, predicted: Bools) -> LabelScores:
    """Scores of each label over N videos; empty denominators as in the module's convention."""
    if truth.shape != predicted.shape:
        raise ValueError(
            f"truth is {truth.shape}, predicted is {predicted.shape}: both must be [videos, labels]"
        )
    hits, n_predicted, support = (truth & predicted).sum(0), predicted.sum(0), truth.sum(0)
    f1 = label_f1(hits, n_predicted, support)
    return LabelScores(_divide(hits, n_predicted), _divide(hits, support), f1, support)


def label_f1(hits: Ints | Floats, n_predicted: Ints | Floats, support: Ints | Floats) -> Floats:
    """[..., L] F1 from counts of videos, or weighted sums of them: the one place where F1 is computed.

    `support` counts the videos for which a label is true. nan where a label is neither predicted nor true.
    """
    return _divide(2 * hits, n_predicted + support)


def macro(scores: LabelScores) -> Mean:
    """Plain mean over the labels (the paper's M, Table 3). The F1 is the mean of F1s, not F1 of the means."""
    return _average(scores, np.ones(len(scores.f1)))


def weighted(scores: LabelScores) -> Mean:
    """Mean weighted by support (the paper's W, Table 3)."""
    return _average(scores, scores.support.astype(np.float64))


def movie(truth: Bools, predicted: Bools) -> Mean:
    """Scores of each video, averaged over videos (the paper's Recall/BLEU, section 5 and Table 4).

    Recall: the mean, over the videos for which a label is true, of the share of their labels that was predicted.
    Precision, which the paper does not give: the mean, over the videos for which a label was predicted, of the share
    of these that is true; recall alone is perfect for the predict-all baseline. There is no F1, as the two
    means run over different videos. To get the paper's "All Values", average the two stances; over the labels
    of both stances together this function pools them instead, so that a video counts once.
    """
    hits = (truth & predicted).sum(1)
    return Mean(_mean(_divide(hits, predicted.sum(1))), _mean(_divide(hits, truth.sum(1))), float("nan"))


def micro(truth: Bools, predicted: Bools) -> Mean:
    """Scores over all pairs of a video and a label: videos with many labels weigh more than in `movie`."""
    hits, n_predicted, support = (truth & predicted).sum(), predicted.sum(), truth.sum()
    f1 = label_f1(hits, n_predicted, support)
    return Mean(float(_divide(hits, n_predicted)), float(_divide(hits, support)), float(f1))


def _average(scores: LabelScores, weights: Floats) -> Mean:
    asked = ~np.isnan(scores.f1)
    total = float(weights[asked].sum())
    if total == 0:
        return Mean(float("nan"), float("nan"), float("nan"))
    precision, recall, f1 = (
        float(np.nan_to_num(column[asked]) @ weights[asked]) / total
        for column in (scores.precision, scores.recall, scores.f1)
    )
    return Mean(precision, recall, f1)


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _divide(a: Ints | Floats, b: Ints | Floats) -> Floats:
    """Element-wise a / b, nan where b is 0."""
    out = np.full(a.shape, np.nan)
    np.divide(a, b, out=out, where=b > 0)
    return out
