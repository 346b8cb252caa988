"""Answers against the truth as counts of accounts, which every score and its interval are made of."""

import numpy as np

from tikval.evaluate.answers import Answers, Truth
from tikval.stats.arrays import Bools
from tikval.stats.intervals import AccountDraws, CountSums, by_group


def count_sums(
    answers: Answers, truth: Truth, draws: AccountDraws, where_N: Bools | None = None
) -> list[CountSums]:
    """The counts of each part, over the videos with a result (`where_N`: among these)."""
    made = []
    for run, part_N in answers.parts():
        at_N = part_N & run.known if where_N is None else part_N & run.known & where_N
        true_NL, predicted_NL = run.true[at_N], run.predicted[at_N]
        counts_GK = by_group(
            np.hstack([true_NL & predicted_NL, predicted_NL, true_NL]), truth.group[at_N], truth.n_groups
        )
        made.append(CountSums(counts_GK.sum(0, dtype=np.float64), draws.sums(counts_GK)))
    return made
