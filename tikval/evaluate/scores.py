"""Predictions against annotations: the ScoreRows of one system, bounds for its failures, and the baseline.

A failure is never a stance, so three readings are given. `left_out` scores only the videos with a result.
`wrong` takes every label of a failed video as predicted wrongly (true ones missed, all others false alarms): no
outcome of a second try can have a lower F1. `right` takes the truth as predicted: none can have a higher one. The
tables of the paper are `left_out`; where coverage is low the other two are far apart, and the difference
between two systems may be nothing but failures. Intervals, and what is computed from scores, are of `left_out`.

N annotated videos, L labels.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

import numpy as np

from tikval.evaluate.answers import Answers, SystemRun, Truth, answers_from_decisions
from tikval.rows import EmbeddingRow, PredictionRow, ScoreRow, ScriptRow, VideoRow
from tikval.stats.arrays import Bools, Floats
from tikval.stats.metrics import LabelScores, Mean, macro, micro, movie, prf, weighted
from tikval.stats.ranking import mean_rank, ranking_of_labels
from tikval.values import CONFRONTED, ENDORSED

ALL: Final = "all"
STANCES: Final = (ENDORSED, CONFRONTED, ALL)
MEANS: Final = ("macro", "weighted")
LEFT_OUT, WRONG, RIGHT = FAILURES = ("left_out", "wrong", "right")
BASELINE: Final = "predict_everything"
MISSING: Final = "missing"  # annotated or expected, but no stage has a row of it


@dataclass(frozen=True, slots=True)
class Coverage:
    """What became of the rows of one stage; `rows` = `results` + the failures. Abstentions are results."""

    rows: int
    results: int
    abstained: int
    failures: dict[str, int]  # by reason, most frequent first


def coverage(
    rows: Iterable[VideoRow | ScriptRow | EmbeddingRow | PredictionRow], expected: Iterable[str] = ()
) -> Coverage:
    """Counts by reason; an `expected` video id without a row counts as a failure, "missing"."""
    reasons: Counter[str] = Counter()
    seen = set()
    n_rows = n_results = n_abstained = 0
    for row in rows:
        n_rows += 1
        seen.add(row["video_id"])
        if row["error"] is not None:
            reasons[row["error"]] += 1
        else:
            n_results += 1
            n_abstained += bool(row.get("abstained"))
    if missing := len(set(expected) - seen):
        reasons[MISSING] = missing
    return Coverage(n_rows + missing, n_results, n_abstained, dict(reasons.most_common()))


def score(answers: Answers, truth: Truth) -> list[ScoreRow]:
    """Scores of one system under each reading of failures: every label it models, then the aggregates.

    Only annotated videos count; those without a prediction failed as "missing". Aggregates run over the frequent
    labels that the system models, of a trained one over all with positives enough that it models. `support` counts
    true labels, for `movie` the videos with at least one. Of several parts (Answers.parts: runs, or each fold by itself
    as in section 4 of the paper) numbers are averaged; counts are those of one run. Intervals are in
    `score_with_intervals`.
    """
    if not truth.ids:
        return []
    lines: dict[tuple[str, str, str], list[ScoreRow]] = {}
    for run, part_N in answers.parts():
        for row in _part(run, part_N, truth, answers):
            lines.setdefault((row["failures"], row["stance"], row["label"]), []).append(row)
    return [_averaged(same, len(answers.runs)) for same in lines.values()]


def predict_everything(truth: Truth) -> Answers:
    """The predict-all baseline: every label of every video. It never fails: its three readings are the same.

    On the published labels of the paper with a min_share of 0.05 (19 labels) its macro F1 over all is 0.273, its
    weighted F1 0.325. The paper itself leaves power_dominance- out (45 of 888 videos, starred in Table 6), as 0.051
    does: over those 18 labels they are 0.283 and 0.329.
    """
    return answers_from_decisions(BASELINE, truth, [np.ones_like(truth.true)])


def _part(run: SystemRun, part_N: Bools, truth: Truth, answers: Answers) -> list[ScoreRow]:
    use_L, modelled_L = answers.averaged(truth), answers.modelled
    true_NL, predicted_NL, known_N = run.true[part_N], run.predicted[part_N], run.known[part_N]
    rows = []
    for failures in FAILURES:
        base = base_row(answers.system, truth, failures, len(known_N), int(known_N.sum()))
        scores_NL = None
        if failures == LEFT_OUT:
            pair = true_NL[known_N], predicted_NL[known_N]
            scores_NL = run.scores[part_N & run.known]
        else:
            guess = ~true_NL if failures == WRONG else true_NL
            pair = true_NL, np.where(known_N[:, None], predicted_NL, guess)
        movies = []
        for mask_L in truth.masks:
            true, predicted = (each[:, use_L & mask_L] for each in pair)
            movies.append(OfVideos(movie(true, predicted), micro(true, predicted), int(true.any(1).sum())))
        rows += lines(prf(*pair), movies, truth, modelled_L, use_L, base, scores_NL, pair[0])
    return rows


class OfVideos(NamedTuple):
    """Scores per video of one stance."""

    macro: Mean  # over videos
    micro: Mean  # over all pairs of a video and a label
    with_label: int  # videos


def lines(
    scores: LabelScores,
    movies: Sequence[OfVideos],
    truth: Truth,
    modelled_L: Bools,
    use_L: Bools,
    base: ScoreRow,
    scores_NL: Floats | None = None,
    true_NL: Bools | None = None,
) -> list[ScoreRow]:
    """The rows of one reading: modelled labels, then macro, weighted, movie and movie_micro of each of STANCES."""
    ranks_L3 = np.full((len(truth.labels), 3), np.nan)
    if scores_NL is not None and true_NL is not None:
        ranks_L3 = ranking_of_labels(scores_NL, true_NL)
    rows: list[ScoreRow] = []

    def add(
        stance: str, label: str, support: int, mean: Mean, ranks: Floats, about: Mapping[str, Any]
    ) -> None:
        precision, recall, f1, ap, brier, ece = (None if np.isnan(x) else float(x) for x in (*mean, *ranks))
        row = {**base, "stance": stance, "label": label, "support": support, **about}
        row |= {"precision": precision, "recall": recall, "f1": f1}
        rows.append(cast(ScoreRow, row | {"average_precision": ap, "brier": brier, "ece": ece}))

    for i in np.flatnonzero(modelled_L).tolist():
        stance = ENDORSED if truth.endorsed[i] else CONFRONTED
        mean = Mean(scores.precision[i], scores.recall[i], scores.f1[i])
        often = {"frequent": bool(use_L[i])}
        add(stance, truth.labels[i], int(scores.support[i]), mean, ranks_L3[i], often)
    for stance, mask_L, of_videos in zip(STANCES, truth.masks, movies, strict=True):
        use = use_L & mask_L
        some = LabelScores(scores.precision[use], scores.recall[use], scores.f1[use], scores.support[use])
        support, over = int(some.support.sum()), {"n_labels": int(use.sum())}
        plain, weights = np.ones(int(use.sum())), some.support.astype(np.float64)
        add(stance, "macro", support, macro(some), mean_rank(ranks_L3[use], plain), over)
        add(stance, "weighted", support, weighted(some), mean_rank(ranks_L3[use], weights), over)
        for label, mean in (("movie", of_videos.macro), ("movie_micro", of_videos.micro)):
            add(stance, label, of_videos.with_label, mean, np.full(3, np.nan), over)
    return rows


def base_row(system: str, truth: Truth, failures: str, n_videos: int, n_scored: int) -> ScoreRow:
    return ScoreRow(
        system=system,
        label_set=truth.label_set,
        failures=failures,
        stance=ALL,
        label="",
        frequent=None,
        n_labels=None,
        support=0,
        precision=None,
        recall=None,
        f1=None,
        lower=None,
        upper=None,
        precision_lower=None,
        precision_upper=None,
        recall_lower=None,
        recall_upper=None,
        why_none=None,
        average_precision=None,
        brier=None,
        ece=None,
        n_videos=n_videos,
        n_scored=n_scored,
        n_groups=None,
    )


def _averaged(rows: Sequence[ScoreRow], runs: int) -> ScoreRow:
    """Numbers averaged; counts per run, in which each video is in one part."""

    def mean(name: str) -> float | None:
        predicted = [row[name] for row in rows if row[name] is not None]  # type: ignore[literal-required]
        return float(np.mean(predicted)) if predicted else None

    def count(name: str) -> int:
        return int(sum(row[name] for row in rows)) // runs  # type: ignore[literal-required]

    averaged: dict[str, float | None] = {name: mean(name) for name in _NUMBERS}
    counted = {name: count(name) for name in ("support", "n_videos", "n_scored")}
    return {**rows[0], **averaged, **counted}  # type: ignore[typeddict-item]


_NUMBERS: Final = ("precision", "recall", "f1", "average_precision", "brier", "ece")
