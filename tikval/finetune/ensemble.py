"""What a trained system is worth on rows that it was not trained on, and where its average's thresholds lie.

Scores are those of the trainings' own decisions. The thresholds of all trainings' average are chosen on each row's
mean held-out score: no score comes from a model that was trained on its row.

Shape letters: N rows, n test rows of one training, L trained labels, G groups, D draws, P parts that are averaged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tikval.config import Protocol
from tikval.finetune.model_files import EnsembleFacts, Measured, Scores
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.metrics import label_f1
from tikval.stats.thresholds import best_threshold, brier, ece

DRAWS: Final = 1_000
_SHARE: Final = (2.5, 97.5)  # percentiles: 95 % of the draws lie between
_SEED: Final = 0


@dataclass(frozen=True)
class HeldOut:
    """What one training predicted for its test rows."""

    name: str
    run: tuple[int, int]  # partition and seed
    rows: Ints  # [n] among the N
    scores: NDArray[np.float32]  # [n, L]
    predicted: Bools  # [n, L]
    thresholds: Floats  # [L] its own


def mean_scores(held: Sequence[HeldOut], shape: tuple[int, int]) -> Floats:
    """[N, L] mean over the trainings that did not see a row; nan where there is none."""
    total_NL, count_N = np.zeros(shape), np.zeros(shape[0])
    for each in held:
        total_NL[each.rows] += each.scores
        count_N[each.rows] += 1
    means_NL: Floats = np.where(count_N[:, None] > 0, total_NL / np.maximum(count_N, 1)[:, None], np.nan)
    return means_NL


def thresholds_of(means_NL: Floats, truth_NL: Bools, held: Sequence[HeldOut], protocol: Protocol) -> Floats:
    """The average's thresholds [L]. A given split's test rows choose nothing: there, the mean of the trainings' own."""
    if not isinstance(protocol.threshold, str):
        return np.full(truth_NL.shape[1], float(protocol.threshold))
    if protocol.name == "given":
        own_L: Floats = np.mean([each.thresholds for each in held], axis=0)
        return own_L
    known_N = np.isfinite(means_NL).all(1)
    return best_threshold(means_NL[known_N], truth_NL[known_N], protocol.threshold)


class EnsembleDraws:
    """Groups drawn with replacement, as often as there are groups: how far a score hangs on who was in the sample."""

    def __init__(self, groups_N: Ints, truth_NL: Bools) -> None:
        self.truth_NL = truth_NL
        _, self.group_N = np.unique(groups_N, return_inverse=True)
        self.n_groups = int(self.group_N.max()) + 1
        random = np.random.default_rng(_SEED)
        picked = random.integers(self.n_groups, size=(DRAWS, self.n_groups))
        # how often each group was drawn; in the first line all are once: the sample itself
        self.times_DG = np.stack(
            [np.ones(self.n_groups), *(np.bincount(draw, minlength=self.n_groups) for draw in picked)]
        )

    def f1(self, parts: Sequence[tuple[Ints, Bools]]) -> tuple[Floats, Floats]:
        """F1 of labels predicted for some rows, and the labels' support, [D, P, L]; nan: neither true nor predicted."""
        f1s, supports = [], []
        for rows, predicted_nL in parts:
            truth_nL = self.truth_NL[rows]
            hits_DL, true_DL, predicted_DL = (
                self.times_DG @ self._per_group(rows, column_nL)
                for column_nL in (truth_nL & predicted_nL, truth_nL, predicted_nL)
            )
            f1s.append(label_f1(hits_DL, predicted_DL, true_DL))
            supports.append(true_DL)
        return np.stack(f1s, 1), np.stack(supports, 1)

    def _per_group(self, rows: Ints, column_nL: Bools) -> Floats:
        counts_GL = np.zeros((self.n_groups, column_nL.shape[1]))
        np.add.at(counts_GL, self.group_N[rows], column_nL)
        return counts_GL

    def measured(self, values_D: Floats) -> Measured:
        """The interval of a number in each draw, the sample's first."""
        known_D = values_D[1:][np.isfinite(values_D[1:])]
        value = float(values_D[0]) if np.isfinite(values_D[0]) else None
        if value is None or self.n_groups < 2 or not len(known_D):
            return Measured(value=value)
        low, high = np.percentile(known_D, _SHARE)
        return Measured(value=value, low=float(low), high=float(high))

    def scores(self, parts: Sequence[tuple[Ints, Bools]]) -> Scores:
        """F1s of the labels predicted for some rows in each part; the parts averaged."""
        macro_D, weighted_D = _averages(*self.f1(parts))
        every = [(rows, np.ones_like(predicted_nL)) for rows, predicted_nL in parts]
        base_macro_D, base_weighted_D = _averages(*self.f1(every))
        return Scores(
            macro_f1=self.measured(macro_D),
            weighted_f1=self.measured(weighted_D),
            baseline_macro_f1=self.measured(base_macro_D),
            baseline_weighted_f1=self.measured(base_weighted_D),
            gain=self.measured(macro_D - base_macro_D),
        )


def _averages(f1_DPL: Floats, support_DPL: Floats) -> tuple[Floats, Floats]:
    """[D] macro and support-weighted F1, averaged over the parts that have any."""
    macro_DP = _mean(f1_DPL, np.ones_like(f1_DPL))
    weighted_DP = _mean(f1_DPL, support_DPL)
    return _mean(macro_DP, np.ones_like(macro_DP)), _mean(weighted_DP, np.ones_like(weighted_DP))


def _mean(values: Floats, weights: Floats) -> Floats:
    """The mean over the last axis, without what is nan; nan where nothing is left."""
    weights = np.where(np.isfinite(values), weights, 0)
    total = weights.sum(-1)
    means = np.full(total.shape, np.nan)
    np.divide((np.nan_to_num(values) * weights).sum(-1), total, out=means, where=total > 0)
    return means


def parts_of(held: Sequence[HeldOut], by_fold: bool) -> Iterator[tuple[Ints, Bools]]:
    """Rows and what was predicted for them: by each training, or by the folds of one partition and seed together."""
    together: dict[object, list[HeldOut]] = {}
    for each in held:
        together.setdefault(each.name if by_fold else each.run, []).append(each)
    for some in together.values():
        yield np.concatenate([each.rows for each in some]), np.concatenate([each.predicted for each in some])


def ensemble_facts(
    held: Sequence[HeldOut],
    truth_NL: Bools,
    groups_N: Ints,
    protocol: Protocol,
    *,
    members: Mapping[str, Mapping[str, str | int]],
    **names: object,
) -> EnsembleFacts:
    """What models/ensemble.json has. `members`: the fields of MemberFacts, without scores, of each training; `names`:
    the fields of EnsembleFacts that describe the study.

    Raises ValueError where a threshold is to be chosen and no label has a positive.
    """
    means_NL = mean_scores(held, truth_NL.shape)
    known_N = np.isfinite(means_NL).all(1)
    draws = EnsembleDraws(groups_N, truth_NL)
    parts = list(parts_of(held, by_fold=protocol.name == "paper"))
    f1_DPL, _ = draws.f1(parts)
    f1_DL = _mean(np.moveaxis(f1_DPL, 1, 2), np.ones(1))
    own = "validation rows" if protocol.name == "given" else "held-out scores"
    return EnsembleFacts.model_validate(
        {
            **names,
            "protocol": protocol,
            "thresholds": tuple(thresholds_of(means_NL, truth_NL, held, protocol).tolist()),
            "thresholds_from": own if isinstance(protocol.threshold, str) else "none",
            "members": {
                each.name: {**members[each.name], "scores": draws.scores([(each.rows, each.predicted)])}
                for each in held
            },
            "rows": int(known_N.sum()),
            "groups": len(np.unique(groups_N[known_N])),
            "support": tuple(truth_NL[known_N].sum(0).tolist()),
            "scores": draws.scores(parts),
            "label_f1": tuple(draws.measured(column_D) for column_D in f1_DL.T),
            "brier": brier(means_NL[known_N], truth_NL[known_N]),
            "ece": ece(means_NL[known_N], truth_NL[known_N]),
        }
    )
