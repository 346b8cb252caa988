"""Whether one system is better than another: paired differences, their intervals and their p-values.

Both are scored on the videos for which both have a result, over the labels that both model. Runs (partitions and
seeds) are paired in turn, so that a system that ran once is compared with each run of another; the folds of a run are
pooled. The interval and its p are of one t (tikval.stats.intervals), so that they never disagree.

Beside them stands another question's p: whether the two are exchangeable within every account. Then swapping all that
they predicted for an account's videos, for each account with probability 1/2, gives a difference as likely as the one
that was found (approximate randomisation; Noreen, 1989). Of G accounts it cannot be below 2 / 2^G.

P swaps, G groups, L labels. Of a pair's counts a group has 5 L: hits and predicted of either, support.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from tikval.evaluate.answer_counts import account_sizes
from tikval.evaluate.answers import Answers, Truth
from tikval.rows import ComparisonRow
from tikval.stats.arrays import Bytes, Floats
from tikval.stats.intervals import (
    TINY,
    AccountCounts,
    Estimate,
    Interval,
    account_counts,
    average,
    mean_f1,
    mean_f1_estimate,
)

METRICS: Final = {"macro_f1": "macro", "weighted_f1": "weighted"}
_CHUNK: Final = 128  # swaps that are 32-bit floats at a time


def draw_swaps(n_groups: int, permutations: int, seed: int = 0) -> Bytes:
    """[P, G] 1 where a group is swapped; the same swaps for every pair. All that there are, where they are few."""
    if n_groups < 31 and 2**n_groups <= permutations:
        every: Bytes = (np.arange(2**n_groups)[:, None] >> np.arange(n_groups) & 1).astype(np.uint8)
        return every
    return np.random.default_rng(seed).integers(0, 2, (permutations, n_groups), dtype=np.uint8)


class Difference(NamedTuple):
    """a - b in one metric; None where there is no video or no label."""

    value: float | None
    interval: Interval  # with the p of its t
    p_exchangeable: float | None  # of the swaps; None of one account only


class SystemComparison(NamedTuple):
    n_videos: int
    n_groups: int
    n_labels: int
    by_metric: dict[str, Difference]


def compare_pair(a: Answers, b: Answers, truth: Truth, swaps: Bytes) -> SystemComparison:
    """One pair, from `swaps` as draw_swaps makes them."""
    use_L = a.modelled & b.modelled & (truth.enough if a.trained or b.trained else truth.frequent)
    n_pairs = math.lcm(len(a.runs), len(b.runs))
    here: dict[str, list[Estimate]] = {metric: [] for metric in METRICS}
    swapped: dict[str, list[Floats]] = {metric: [] for metric in METRICS}
    both_N = np.zeros(len(truth.ids), dtype=bool)
    pairs = itertools.islice(zip(itertools.cycle(a.runs), itertools.cycle(b.runs), strict=False), n_pairs)
    for one, other in pairs:
        at_N = one.known & other.known
        both_N |= at_N
        group_n, sizes_G, true = truth.group[at_N], account_sizes(at_N, truth), one.true[at_N][:, use_L]
        of_a, of_b = (
            account_counts(true, run.predicted[at_N][:, use_L], group_n, truth.n_groups)
            for run in (one, other)
        )
        swapped_a, swapped_b = _swapped(of_a, of_b, swaps)
        for metric, how in METRICS.items():
            ours, theirs = (mean_f1_estimate(counts, sizes_G, how) for counts in (of_a, of_b))
            if math.isnan(ours.value) or math.isnan(theirs.value):
                continue
            here[metric].append(ours.minus(theirs))
            swapped[metric].append(mean_f1(*swapped_a, how) - mean_f1(*swapped_b, how))
    sizes_G = account_sizes(both_N, truth)
    n_groups, found = int((sizes_G > 0).sum()), {}
    for metric in METRICS:
        mean = average(here[metric], sizes_G)
        value = None if math.isnan(mean.value) else mean.value
        p = None if value is None or n_groups < 2 else _p_of_swaps(value, swapped[metric], truth.n_groups)
        found[metric] = Difference(value, mean.of_difference(), p)
    return SystemComparison(int(both_N.sum()), n_groups, int(use_L.sum()), found)


def _swapped(of_a: AccountCounts, of_b: AccountCounts, swaps: Bytes) -> list[tuple[Floats, Floats, Floats]]:
    """The counts [P, L] of either, where what the two predicted for the swapped groups has changed places."""
    moved = [_weighted_sums(swaps, theirs - ours) for ours, theirs in zip(of_a[:2], of_b[:2], strict=True)]
    return [
        (of.hits.sum(0) + sign * moved[0], of.predicted.sum(0) + sign * moved[1], support_PL)
        for of, sign in ((of_a, 1), (of_b, -1))
        for support_PL in (np.tile(of.support.sum(0), (len(swaps), 1)),)
    ]


def _weighted_sums(swaps_PG: Bytes, counts_GL: Floats) -> Floats:
    """[P, L]; sums are exact up to 16 million, as 32-bit floats are."""
    some_G = counts_GL.any(1)
    kept_GL = np.ascontiguousarray(counts_GL[some_G], dtype=np.float32)
    out = np.empty((len(swaps_PG), counts_GL.shape[1]))
    for start in range(0, len(out), _CHUNK):
        rows = swaps_PG[start : start + _CHUNK]
        out[start : start + _CHUNK] = rows[:, some_G].astype(np.float32) @ kept_GL
    return out


def _p_of_swaps(value: float, swapped: Sequence[Floats], n_groups: int) -> float:
    """The share of swaps that give a difference at least as large, either way; where drawn, (1 + these) / (1 + P)."""
    differences_P = np.nan_to_num(np.mean(swapped, axis=0))
    as_large = int((np.abs(differences_P) >= abs(value) - TINY).sum())
    drawn = int(len(differences_P) != 2**n_groups)
    return (drawn + as_large) / (drawn + len(differences_P))


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
    use_L, values = answers.averaged(truth), []
    for run in answers.runs:
        true, predicted = run.true[run.known][:, use_L], run.predicted[run.known][:, use_L]
        hits_L, predicted_L, support_L = (
            x.sum(0).astype(np.float64) for x in (true & predicted, predicted, true)
        )
        values.append(float(mean_f1(hits_L, predicted_L, support_L, how)))
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def all_comparisons(
    systems: Sequence[Answers], baselines: Sequence[Answers], truth: Truth, swaps: Bytes
) -> list[ComparisonRow]:
    """Every pair of systems, and each system against the baseline that is best in the metric.

    A baseline that knows accounts of the videos it is tested on is compared only with systems that know them too.
    p-values are corrected over all of these comparisons, in both metrics: all that the table shows.
    """
    if not truth.ids:
        return []
    pairs = [(a, b, list(METRICS)) for a, b in itertools.combinations(systems, 2)]
    pairs += _with_best_baselines(systems, baselines, truth)
    rows: list[ComparisonRow] = []
    for a, b, metrics in pairs:
        made = compare_pair(a, b, truth, swaps)
        rows += [_comparison_row(a, b, metric, made) for metric in metrics]
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
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
        "why_none": found.interval.why_none,
        "p": found.interval.p,
        "p_holm": None,
        "p_exchangeable": found.p_exchangeable,
        "n_videos": made.n_videos,
        "n_groups": made.n_groups,
        "n_labels": made.n_labels,
    }
