"""How often a 95 % interval holds the truth, and how long the intervals of a large study take.

    python benchmarks/intervals.py            # a minute on one core; --quick: a few seconds, fewer studies

`coverage`: studies of G accounts with about 9 videos each are drawn from one world, in which accounts differ in how
often they have each of 18 labels (in 5.5 to 30 % of all videos) and in how well a system does on them. The truth is the
score over 40,000 further accounts. Beside the intervals that are reported, plain percentiles of the same draws.
`seconds`: CPU time of all scores, intervals, comparisons and genres of 5 systems over 10,000 videos x 38 labels with
1,000 draws and 2,000 permutations, with 1,000 accounts and with one for each video. The last line is one JSON object.

G accounts, N videos, L labels.
"""

import argparse
import json
import time
from typing import Final

import numpy as np

from tikval.evaluate.answers import Answers, SystemRun, Truth
from tikval.evaluate.evaluation import evaluate_systems
from tikval.stats.arrays import Bools, Floats
from tikval.stats.intervals import AccountDraws, bias_corrected, by_group, mean_f1
from tikval.stats.metrics import label_f1
from tikval.values import LABELS

RATES_L: Final = np.linspace(0.055, 0.3, 18)
SPREAD: Final = 2.0  # of Beta(SPREAD * rate, SPREAD * (1 - rate)): how alike the videos of one account are
HITS, CORRECT_REJECTIONS = 0.5, 0.85  # of the average account


def world(rng: np.random.Generator, n_groups: int) -> tuple[np.ndarray, Bools, Bools]:
    """[N] account, [N, L] true and predicted."""
    group_N = np.repeat(np.arange(n_groups), np.maximum(1, rng.poisson(9, n_groups)))
    rate_GL = rng.beta(SPREAD * RATES_L, SPREAD * (1 - RATES_L), (n_groups, len(RATES_L)))
    true_NL = rng.random((len(group_N), len(RATES_L))) < rate_GL[group_N]
    skill_NL = rng.normal(0, 0.5, rate_GL.shape)[group_N]
    odds = [np.log(p / (1 - p)) for p in (HITS, 1 - CORRECT_REJECTIONS)]
    predicted_NL = rng.random(true_NL.shape) < 1 / (1 + np.exp(-np.where(true_NL, *odds) - skill_NL))
    return group_N, true_NL, predicted_NL


def f1s(counts: Floats) -> dict[str, Floats]:
    hits, predicted, support = np.split(counts, 3, axis=-1)
    every = np.ones(len(RATES_L), dtype=bool)
    means = {how: mean_f1(hits, predicted, support, every, how) for how in ("macro", "weighted")}
    return {**means, "label": label_f1(hits, predicted, support)}


def coverage(n_groups: int, studies: int, draws: int = 500) -> dict[str, dict[str, float]]:
    """Share of intervals with the truth in them, of each kind of score."""
    rng = np.random.default_rng(n_groups)
    _, true_NL, predicted_NL = world(rng, 40_000)
    whole = np.hstack([true_NL & predicted_NL, predicted_NL, true_NL]).sum(0, dtype=np.float64)
    truth = f1s(whole)
    held: dict[str, dict[str, list[bool]]] = {
        kind: {how: [] for how in truth} for kind in ("reported", "plain")
    }
    for number in range(studies):
        group_N, true_NL, predicted_NL = world(rng, n_groups)
        counts_GK = by_group(np.hstack([true_NL & predicted_NL, predicted_NL, true_NL]), group_N, n_groups)
        here = f1s(counts_GK.sum(0, dtype=np.float64))
        drawn = f1s(AccountDraws(n_groups, draws, number).sums(counts_GK))
        for how, right in truth.items():
            columns = drawn[how].reshape(draws, -1).T
            for score, column, expected in zip(here[how].ravel(), columns, right.ravel(), strict=True):
                low, high = bias_corrected(float(score), column)
                if low is not None and high is not None:
                    held["reported"][how].append(bool(low <= expected <= high))
                    low, high = np.nanpercentile(column, [2.5, 97.5])
                    held["plain"][how].append(bool(low <= expected <= high))
    return {kind: {how: round(float(np.mean(x)), 3) for how, x in by.items()} for kind, by in held.items()}


def seconds(n_groups: int, n_videos: int = 10_000) -> float:
    rng, n_labels = np.random.default_rng(0), len(LABELS)
    true_NL = rng.random((n_videos, n_labels)) < rng.uniform(0.02, 0.3, n_labels)
    group_N = np.arange(n_videos) % n_groups
    truth = Truth(
        ids=tuple(f"v{i}" for i in range(n_videos)),
        labels=LABELS,
        label_set="",
        true=true_NL,
        accounts=tuple(f"a{g}" for g in group_N),
        group=group_N,
        frequent=true_NL.mean(0) >= 0.05,
    )
    every, no_fold = np.ones(n_labels, dtype=bool), np.zeros(n_videos, dtype=np.int64)
    systems = [
        Answers(
            f"s{k}",
            (
                SystemRun(
                    true_NL,
                    rng.random(n_videos) < 0.97,
                    true_NL ^ (rng.random(true_NL.shape) < 0.1 + 0.02 * k),
                    rng.random(true_NL.shape),
                    every,
                    no_fold,
                ),
            ),
        )
        for k in range(5)
    ]
    genres = {f"v{i}": f"genre {g % 8}" for i, g in enumerate(group_N)}
    start = time.process_time()
    evaluate_systems(systems, truth, [], genres=genres)
    return round(time.process_time() - start, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer studies")
    studies = 40 if parser.parse_args().quick else 800
    print(
        json.dumps(
            {
                "studies": studies,
                "coverage": {n_groups: coverage(n_groups, studies) for n_groups in (91, 30, 15)},
                "seconds": {n_groups: seconds(n_groups) for n_groups in (1_000, 10_000)},
            }
        )
    )


if __name__ == "__main__":
    main()
