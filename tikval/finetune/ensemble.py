"""What a trained system is worth on rows that it was not trained on, and where its average's thresholds lie.

Scores are those of the trainings' own decisions. The thresholds of all trainings' average are chosen on each row's
mean held-out score: no score comes from a model that was trained on its row. Intervals are those of every score
(tikval.stats.intervals): a card and a report have one number's ends alike.

Shape letters: N rows, n test rows of one training, L trained labels, G accounts, P parts that are averaged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tikval.config import Protocol
from tikval.finetune.model_files import EnsembleFacts, Measured, Scores
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.intervals import (
    AccountCounts,
    Interval,
    account_counts,
    average,
    label_intervals,
    mean_f1_estimate,
)
from tikval.stats.metrics import label_f1
from tikval.stats.thresholds import best_threshold, brier, ece


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


class HeldOutScores:
    """F1s with their 95 % intervals over accounts. A part: rows, and what was predicted for them, [n] and [n, L]."""

    def __init__(self, accounts_N: Ints, truth_NL: Bools) -> None:
        """`accounts_N` count from 0."""
        self.accounts_N, self.truth_NL = accounts_N, truth_NL
        self.n_accounts = int(accounts_N.max(initial=-1)) + 1

    def _counts(self, parts: Sequence[tuple[Ints, Bools]]) -> list[AccountCounts]:
        return [
            account_counts(self.truth_NL[rows], predicted_nL, self.accounts_N[rows], self.n_accounts)
            for rows, predicted_nL in parts
        ]

    def _sizes(self, parts: Sequence[tuple[Ints, Bools]]) -> Floats:
        """[G] rows of any part."""
        rows = np.unique(np.concatenate([rows for rows, _ in parts]))
        return np.bincount(self.accounts_N[rows], minlength=self.n_accounts).astype(np.float64)

    def scores(self, parts: Sequence[tuple[Ints, Bools]]) -> Scores:
        """F1s of the labels predicted for some rows in each part; the parts averaged."""
        sizes_G, counts = self._sizes(parts), self._counts(parts)
        every = self._counts([(rows, np.ones_like(predicted_nL)) for rows, predicted_nL in parts])
        macro, weighted, base_macro, base_weighted = (
            average([mean_f1_estimate(part, sizes_G, how) for part in some], sizes_G)
            for some in (counts, every)
            for how in ("macro", "weighted")
        )
        gain = macro.minus(base_macro)
        return Scores(
            macro_f1=_measured(macro.value, macro.of_score()),
            weighted_f1=_measured(weighted.value, weighted.of_score()),
            baseline_macro_f1=_measured(base_macro.value, base_macro.of_score()),
            baseline_weighted_f1=_measured(base_weighted.value, base_weighted.of_score()),
            gain=_measured(gain.value, gain.of_difference()),
        )

    def label_f1(self, parts: Sequence[tuple[Ints, Bools]], runs: int) -> tuple[Measured, ...]:
        """[L] F1 of each label, the parts averaged; `runs`: how often each row was judged."""
        counts = self._counts(parts)
        f1_L = _nan_mean([label_f1(*(column.sum(0) for column in part)) for part in counts])
        of_one_run = AccountCounts(*(sum(columns) / runs for columns in zip(*counts, strict=True)))
        intervals = label_intervals(f1_L, of_one_run, self._sizes(parts))
        return tuple(_measured(float(f1), found) for f1, found in zip(f1_L, intervals, strict=True))


def _measured(value: float, found: Interval) -> Measured:
    if not np.isfinite(value):
        return Measured(value=None)
    return Measured(value=value, low=found.lower, high=found.upper, why_none=found.why_none)


def _nan_mean(values: Sequence[Floats]) -> Floats:
    """[L] mean over the parts that have a number; nan where none has."""
    stacked = np.stack(values)
    known = np.isfinite(stacked)
    number = known.sum(0)
    mean: Floats = np.full(number.shape, np.nan)
    np.divide(np.where(known, stacked, 0).sum(0), number, out=mean, where=number > 0)
    return mean


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
    accounts_N: Ints,
    protocol: Protocol,
    *,
    members: Mapping[str, Mapping[str, str | int]],
    **names: object,
) -> EnsembleFacts:
    """What models/ensemble.json has. `groups_N` are what no fold divides, `accounts_N` count from 0.

    `members`: the fields of MemberFacts, without scores, of each training; `names`: the fields of EnsembleFacts that
    describe the study.

    Raises ValueError where a threshold is to be chosen and no label has a positive.
    """
    means_NL = mean_scores(held, truth_NL.shape)
    known_N = np.isfinite(means_NL).all(1)
    scored = HeldOutScores(accounts_N, truth_NL)
    parts = list(parts_of(held, by_fold=protocol.name == "paper"))
    own = "validation rows" if protocol.name == "given" else "held-out scores"
    return EnsembleFacts.model_validate(
        {
            **names,
            "protocol": protocol,
            "thresholds": tuple(thresholds_of(means_NL, truth_NL, held, protocol).tolist()),
            "thresholds_from": own if isinstance(protocol.threshold, str) else "none",
            "members": {
                each.name: {**members[each.name], "scores": scored.scores([(each.rows, each.predicted)])}
                for each in held
            },
            "rows": int(known_N.sum()),
            "groups": len(np.unique(groups_N[known_N])),
            "accounts": len(np.unique(accounts_N[known_N])),
            "support": tuple(truth_NL[known_N].sum(0).tolist()),
            "intervals": "jackknife",
            "scores": scored.scores(parts),
            "label_f1": scored.label_f1(parts, runs=len({each.run for each in held})),
            "brier": brier(means_NL[known_N], truth_NL[known_N]),
            "ece": ece(means_NL[known_N], truth_NL[known_N]),
        }
    )
