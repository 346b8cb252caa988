"""What scores are worth before any threshold: how well they rank videos, and how well calibrated they are.

N videos, L labels.
"""

import numpy as np

from tikval.stats.arrays import Bools, Floats
from tikval.stats.thresholds import brier, ece


def average_precision(scores_N: Floats, true_N: Bools) -> float:
    """Sum over distinct scores, from the highest, of the recall gained there times the precision down to there.

    Videos of equal score come in together, so that their order is nothing (as scikit-learn has it). The expected
    value of random scores is the label's share. nan where no video has the label.
    """
    if not true_N.any():
        return float("nan")
    order = np.argsort(-scores_N, kind="stable")
    falling, hits = scores_N[order], true_N[order].cumsum()
    last = np.append(falling[1:] < falling[:-1], True)  # of the videos with an equal score
    n_predicted, hits = np.flatnonzero(last) + 1, hits[last]
    gained = np.diff(hits, prepend=0) / true_N.sum()
    return float(gained @ (hits / n_predicted))


def ranking_of_labels(scores_NL: Floats, true_NL: Bools) -> Floats:
    """[L, 3] average precision, Brier score and expected calibration error of each label.

    nan for a label that some video has no score for; the last two also where a score is no probability.
    """
    out = np.full((scores_NL.shape[1], 3), np.nan)
    if not len(scores_NL):
        return out
    for i in np.flatnonzero(np.isfinite(scores_NL).all(0)):
        scores, true = scores_NL[:, i], true_NL[:, i]
        out[i, 0] = average_precision(scores, true)
        if scores.min() >= 0 and scores.max() <= 1:
            out[i, 1:] = brier(scores, true), ece(scores, true)
    return out


def mean_rank(ranks_L3: Floats, weights_L: Floats) -> Floats:
    """[3] weighted means over the labels that have a number."""
    known = ~np.isnan(ranks_L3)
    total = (known * weights_L[:, None]).sum(0)
    out = np.full(3, np.nan)
    np.divide((np.nan_to_num(ranks_L3) * weights_L[:, None]).sum(0), total, out=out, where=total > 0)
    return out
