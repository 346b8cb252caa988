"""Whether one system is better than another: paired differences, their intervals and their p-values.

Both are scored on the videos for which both have a result, over the labels that both model. Runs (partitions and
seeds) are paired in turn, so that a system that ran once is compared with each run of another; the folds of a run are
pooled. The null hypothesis is that the two are exchangeable within every account: then swapping all that they
predicted for an account's videos, for each account with probability 1/2, gives a difference as likely as the one that
was found (approximate randomisation; Noreen, 1989).

D draws, P permutations, G groups, L labels. Of a pair's counts a group has 5 L: hits and predicted of either, support.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from tikval.evaluate.answers import Answers, Truth
from tikval.rows import ComparisonRow
from tikval.stats.arrays import Bools, Bytes, Floats, Floats32
from tikval.stats.intervals import (
    TINY,
    AccountDraws,
    Interval,
    bias_corrected,
    by_group,
    mean_f1,
    nan_mean,
    weighted_sums,
)

METRICS: Final = {"macro_f1": "macro", "weighted_f1": "weighted"}


def draw_swaps(n_groups: int, permutations: int, seed: int = 0) -> Bytes:
    """[P, G] 1 where a group is swapped; the same swaps for every pair."""
    return np.random.default_rng(seed).integers(0, 2, (permutations, n_groups), dtype=np.uint8)


class Difference(NamedTuple):
    """a - b in one metric; None where there is no video, no label or one account only."""

    value: float | None
    interval: Interval
    p: float | None  # two-sided


class SystemComparison(NamedTuple):
    n_videos: int
    n_groups: int
    n_labels: int
    by_metric: dict[str, Difference]


def compare_pair(a: Answers, b: Answers, truth: Truth, draws: AccountDraws, swaps: Bytes) -> SystemComparison:
    """One pair. p = (1 + swaps that give a difference at least as large, either way) / (1 + P)."""
    use_L = a.modelled & b.modelled & (truth.frequent | a.trained | b.trained)
    use_L5 = np.ones(int(use_L.sum()), dtype=bool)
    n_pairs = math.lcm(len(a.runs), len(b.runs))
    here: dict[str, list[Floats]] = {metric: [] for metric in METRICS}
    drawn: dict[str, list[Floats]] = {metric: [] for metric in METRICS}
    swapped: dict[str, list[Floats]] = {metric: [] for metric in METRICS}
    both_N = np.zeros(len(truth.ids), dtype=bool)
    pairs = itertools.islice(zip(itertools.cycle(a.runs), itertools.cycle(b.runs), strict=False), n_pairs)
    for one, other in pairs:
        at_N = one.known & other.known
        both_N |= at_N
        true, predicted_a, predicted_b = (
            m[np.ix_(at_N, use_L)] for m in (one.true, one.predicted, other.predicted)
        )
        counted = np.hstack([true & predicted_a, predicted_a, true & predicted_b, predicted_b, true])
        counts_GK = by_group(counted, truth.group[at_N], truth.n_groups)
        total_K, drawn_DK = counts_GK.sum(0, dtype=np.float64), draws.sums(counts_GK)
        swapped_PK = _swapped(counts_GK, total_K, swaps)
        for metric, how in METRICS.items():
            here[metric].append(_difference(total_K, use_L5, how))
            drawn[metric].append(_difference(drawn_DK, use_L5, how))
            swapped[metric].append(_difference(swapped_PK, use_L5, how))
    n_groups = len(np.unique(truth.group[both_N]))
    found = {}
    for metric in METRICS:
        value = float(nan_mean(here[metric]))
        p = None
        if n_groups > 1 and not math.isnan(value):
            as_large = np.abs(nan_mean(swapped[metric])) >= abs(value) - TINY
            p = float((1 + as_large.sum()) / (1 + len(swaps)))
        interval = bias_corrected(value, nan_mean(drawn[metric])) if n_groups > 1 else Interval(None, None)
        found[metric] = Difference(None if math.isnan(value) else value, interval, p)
    return SystemComparison(int(both_N.sum()), n_groups, len(use_L5), found)


def _swapped(counts_GK: Floats32, total_K: Floats, swaps: Bytes) -> Floats:
    """[P, K] the pair's counts where what the two predicted for the swapped groups has changed places."""
    n = 2 * len(total_K) // 5
    of_a, of_b = slice(0, n), slice(n, 2 * n)
    moved_PK = weighted_sums(swaps, counts_GK[:, of_b] - counts_GK[:, of_a])
    out = np.tile(total_K, (len(swaps), 1))
    out[:, of_a] += moved_PK
    out[:, of_b] -= moved_PK
    return out


def _difference(counts: Floats, use_L: Bools, how: str) -> Floats:
    """[...] mean F1 of a - that of b, from counts [..., 5 L]."""
    hits_a, predicted_a, hits_b, predicted_b, support = np.split(counts, 5, axis=-1)
    return mean_f1(hits_a, predicted_a, support, use_L, how) - mean_f1(
        hits_b, predicted_b, support, use_L, how
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (1979) over those that are there: the k-th smallest of m counts m - k + 1 times."""
    known = [(p, i) for i, p in enumerate(p_values) if p is not None]
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(sorted(known)):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        corrected[i] = largest
    return corrected


def mean_of(answers: Answers, truth: Truth, how: str) -> float:
    """Mean F1 over the labels that are averaged, folds pooled; nan where there is none."""
    values = []
    for run in answers.runs:
        true, predicted = run.true[run.known], run.predicted[run.known]
        hits_L, predicted_L, support_L = (
            x.sum(0).astype(np.float64) for x in (true & predicted, predicted, true)
        )
        values.append(mean_f1(hits_L, predicted_L, support_L, answers.averaged(truth), how))
    return float(nan_mean(values))


def all_comparisons(
    systems: Sequence[Answers],
    baselines: Sequence[Answers],
    truth: Truth,
    draws: AccountDraws,
    permutations: int,
    seed: int = 0,
) -> list[ComparisonRow]:
    """Every pair of systems, and each system against the baseline that is best in the metric.

    A baseline that knows accounts of the videos it is tested on is compared only with systems that know them too.
    p-values are corrected over all pairs of a metric.
    """
    if not truth.ids:
        return []
    swaps = draw_swaps(truth.n_groups, permutations, seed)
    pairs = [(a, b, list(METRICS)) for a, b in itertools.combinations(systems, 2)]
    pairs += _with_best_baselines(systems, baselines, truth)
    rows: list[ComparisonRow] = []
    for a, b, metrics in pairs:
        made = compare_pair(a, b, truth, draws, swaps)
        rows += [_comparison_row(a, b, metric, made) for metric in metrics]
    for metric in METRICS:
        same = [row for row in rows if row["metric"] == metric]
        for row, p in zip(same, holm([row["p"] for row in same]), strict=True):
            row["p_holm"] = p
    return sorted(rows, key=lambda row: row["metric"])


def _with_best_baselines(
    systems: Sequence[Answers], baselines: Sequence[Answers], truth: Truth
) -> Iterator[tuple[Answers, Answers, list[str]]]:
    """Each system with every baseline that is the best one in some metric, and these metrics."""
    worth = {(b.system, metric): mean_of(b, truth, how) for b in baselines for metric, how in METRICS.items()}
    for system in systems:
        rivals = [b for b in baselines if system.knows_accounts or not b.knows_accounts]
        best: dict[str, list[str]] = {}
        for metric in METRICS:
            known = [b for b in rivals if not math.isnan(worth[b.system, metric])]
            if known:
                best.setdefault(max(known, key=lambda b: worth[b.system, metric]).system, []).append(metric)
        yield from ((system, b, best[b.system]) for b in rivals if b.system in best)


def _comparison_row(a: Answers, b: Answers, metric: str, made: SystemComparison) -> ComparisonRow:
    found = made.by_metric[metric]
    return {
        "system_a": a.system,
        "system_b": b.system,
        "metric": metric,
        "difference": found.value,
        "lower": found.interval.lower,
        "upper": found.interval.upper,
        "p": found.p,
        "p_holm": None,
        "n_videos": made.n_videos,
        "n_groups": made.n_groups,
        "n_labels": made.n_labels,
    }
