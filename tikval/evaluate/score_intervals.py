"""The intervals of one system's scores, or why there are none: for every row of its table.

N videos, L labels, G accounts. Runs and folds are averaged by account before anything is squared: the interval tells
what other accounts would have changed, not what another training would.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from tikval.evaluate.answer_counts import account_sizes, count_answers, known_parts, videos_with_result
from tikval.evaluate.answers import Answers, Truth
from tikval.evaluate.scores import LEFT_OUT, MEANS, STANCES, score
from tikval.rows import ScoreRow
from tikval.stats.arrays import Bools, Floats
from tikval.stats.intervals import (
    AccountCounts,
    Estimate,
    Interval,
    average,
    by_group,
    label_intervals,
    mean_f1_estimate,
    ratio_estimate,
)
from tikval.stats.limits import NO_LABELS, OF_LEFT_OUT
from tikval.values import CONFRONTED, ENDORSED

_ENDS: Final = {
    "f1": ("lower", "upper"),
    "precision": ("precision_lower", "precision_upper"),
    "recall": ("recall_lower", "recall_upper"),
}


def score_with_intervals(answers: Answers, truth: Truth) -> list[ScoreRow]:
    """The rows of `score`, with the 95 % intervals of `left_out`, or with why there is none."""
    rows = score(answers, truth)
    if not rows:
        return []
    sizes_G = account_sizes(videos_with_result(answers), truth)
    parts = [count_answers(run, at_N, truth) for run, at_N in known_parts(answers)]
    own = {(row["stance"], row["label"]): row for row in rows if row["failures"] == LEFT_OUT}
    of_labels = _of_labels(own, parts, len(answers.runs), truth, sizes_G)
    for place, row in own.items():
        if place in of_labels:
            _put(row, {"f1": of_labels[place]})
        elif not row["n_labels"]:
            row["why_none"] = NO_LABELS
        else:
            use_L = answers.averaged(truth) & truth.masks[STANCES.index(row["stance"])]
            over = [part.over(use_L) for part in parts]
            if row["label"] in MEANS:
                mean = average([mean_f1_estimate(part, sizes_G, row["label"]) for part in over], sizes_G)
                _put(row, {"f1": mean.of_score()})
            elif row["label"] == "movie":
                _put(row, _of_videos(answers, truth, use_L, sizes_G))
            else:
                _put(row, _of_pairs(over, sizes_G))
    for row in rows:
        row["n_groups"] = int((sizes_G > 0).sum())
        if row["failures"] != LEFT_OUT:
            row["why_none"] = OF_LEFT_OUT
    return rows


def _put(row: ScoreRow, found: dict[str, Interval]) -> None:
    for what, interval in found.items():
        for end, value in zip(_ENDS[what], interval[:2], strict=True):
            row[end] = value  # type: ignore[literal-required]
    reasons = {what: interval.why_none for what, interval in found.items() if interval.why_none}
    if len(set(reasons.values())) == 1 and len(reasons) == len(found):
        row["why_none"] = next(iter(reasons.values()))
    elif reasons:
        row["why_none"] = "; ".join(f"{what}: {reason}" for what, reason in reasons.items())


def _of_labels(
    own: dict[tuple[str, str], ScoreRow],
    parts: list[AccountCounts],
    runs: int,
    truth: Truth,
    sizes_G: Floats,
) -> dict[tuple[str, str], Interval]:
    """The intervals of labels, by stance and label; the counts are those of one run."""
    places = [
        (ENDORSED if endorsed else CONFRONTED, label)
        for label, endorsed in zip(truth.labels, truth.endorsed, strict=True)
    ]
    f1s = [own[place]["f1"] if place in own else None for place in places]
    f1_L = np.array([np.nan if f1 is None else f1 for f1 in f1s])
    counts = AccountCounts(*(sum(columns) / runs for columns in zip(*parts, strict=True)))
    intervals = label_intervals(f1_L, counts, sizes_G)
    return {place: found for place, found in zip(places, intervals, strict=True) if place in own}


def _of_videos(answers: Answers, truth: Truth, use_L: Bools, sizes_G: Floats) -> dict[str, Interval]:
    """Recall and precision per video, averaged over videos: ratios of sums over videos."""
    found: dict[str, list[Estimate]] = {"recall": [], "precision": []}
    for run, at_N in known_parts(answers):
        true, predicted = run.true[at_N][:, use_L], run.predicted[at_N][:, use_L]
        hits_n = (true & predicted).sum(1)
        for what, asked in (("recall", true), ("precision", predicted)):
            of_n = asked.sum(1)
            columns = np.stack([hits_n / np.maximum(of_n, 1), of_n > 0], axis=1)
            top_G, bottom_G = by_group(columns, truth.group[at_N], truth.n_groups).T
            found[what].append(ratio_estimate(top_G, bottom_G, sizes_G))
    return {what: average(parts, sizes_G).of_score() for what, parts in found.items()}


def _of_pairs(over: list[AccountCounts], sizes_G: Floats) -> dict[str, Interval]:
    """Scores over all pairs of a video and a label."""
    bottoms: dict[str, Callable[[AccountCounts], Floats]] = {
        "f1": lambda counts: (counts.predicted + counts.support) / 2,
        "precision": lambda counts: counts.predicted,
        "recall": lambda counts: counts.support,
    }

    def of(bottom: Callable[[AccountCounts], Floats]) -> Interval:
        ratios = [ratio_estimate(c.hits.sum(1), bottom(c).sum(1), sizes_G) for c in over]
        return average(ratios, sizes_G).of_score()

    return {what: of(bottom) for what, bottom in bottoms.items()}
