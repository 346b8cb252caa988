"""What a score has to be better than: predicting all labels, guessing by frequency, knowing whose video it is.

And what it may hope for: how well annotators agree. `scores.predict_everything` is the first of these.

N videos, L labels, A accounts.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from tikval.config import Protocol
from tikval.evaluate.answers import (
    NO_FOLD,
    Answers,
    SystemRun,
    Truth,
    answers_from_decisions,
    matrix,
    read_truth,
)
from tikval.evaluate.scores import BASELINE, FAILURES, OfVideos, base_row, lines
from tikval.rows import LabelRow, ScoreRow
from tikval.stats.arrays import Bools, Floats
from tikval.stats.folds import Fold, groups_of, make_folds
from tikval.stats.limits import EXPECTED
from tikval.stats.metrics import LabelScores, Mean, label_f1
from tikval.stats.thresholds import best_threshold

PRIOR: Final = "frequency_prior"
ACCOUNT_SHARED: Final = "account_name_paper"  # accounts stand on both sides of its folds
ACCOUNT_APART: Final = "account_name_honest"
HUMAN: Final = "human_agreement"
BASELINES: Final = (BASELINE, PRIOR, ACCOUNT_SHARED, ACCOUNT_APART, HUMAN)


def frequency_prior(truth: Truth) -> list[ScoreRow]:
    """Expected scores of predicting each label of each video at random, with the label's share as probability.

    The shares are those of the scored videos themselves: no guess without a look at the video can have a better one.
    Expectations are exact, nothing is drawn. With n of N videos true, the number S of videos for which the label is
    predicted is binomial, S n / N of these are hits on average: F1 = E[2 S n / N / (S + n)], recall = n / N, precision
    = n / N P(S > 0).
    """
    if not truth.ids:
        return []
    n_videos, support_L = len(truth.ids), truth.true.sum(0)
    share_L = support_L / n_videos
    f1_L, some_L = np.array([_expected_f1(int(n), n_videos) for n in support_L]).T
    scores = LabelScores(
        np.where(support_L > 0, share_L * some_L, np.nan),
        np.where(support_L > 0, share_L, np.nan),
        f1_L,
        support_L,
    )
    every_L = truth.annotated
    movies = []
    for mask_L in truth.masks:
        use_L = mask_L & truth.frequent
        with_label = int(truth.true[:, use_L].any(1).sum())
        # hits over predicted, and over true, both come to this
        pooled = float((share_L[use_L] ** 2).sum() / share_L[use_L].sum()) if with_label else float("nan")
        expected = _expected_movie(truth.true[:, use_L], share_L[use_L])
        movies.append(OfVideos(expected, Mean(pooled, pooled, pooled), with_label))
    rows = []
    for failures in FAILURES:
        base = base_row(PRIOR, truth, failures, n_videos, n_videos)
        base |= {"why_none": EXPECTED, "n_groups": truth.n_groups}
        rows += lines(scores, movies, truth, every_L, truth.frequent, base)
    return rows


def _expected_f1(support: int, n_videos: int) -> tuple[float, float]:
    """The F1 of one label, and the probability that it is predicted at all; nan, 0 where no video has it."""
    if support == 0:
        return float("nan"), 0.0
    share, predicted = support / n_videos, np.arange(n_videos + 1)
    with np.errstate(divide="ignore"):
        # from one number of videos to the next, in logarithms: no factor is ever too large for a float
        steps = np.log(np.arange(n_videos, 0, -1)) - np.log(predicted[1:]) + np.log(share) - np.log1p(-share)
    if share == 1:
        p = np.where(predicted == n_videos, 1.0, 0.0)
    else:
        log_p = np.concatenate([[0.0], steps.cumsum()]) + n_videos * np.log1p(-share)
        p = np.exp(log_p)
    hits = (predicted * share).astype(np.float64)
    return float(p @ label_f1(hits, predicted, np.array(support))), float(1 - p[0])


def _expected_movie(true_NL: Bools, share_L: Floats) -> Mean:
    """Expected recall and precision per video, as metrics.movie: of its labels, and of what is predicted."""
    n_true_N = true_NL.sum(1)
    if not n_true_N.any():
        return Mean(float("nan"), float("nan"), float("nan"))
    recall = float(((true_NL @ share_L)[n_true_N > 0] / n_true_N[n_true_N > 0]).mean())
    # that label l is predicted, divided by how many are: 1 + those of the others (a sum of unlike coins)
    worth_L = np.zeros(len(share_L))
    for i, share in enumerate(share_L):
        others = np.ones(1)
        for other in np.delete(share_L, i):
            others = np.convolve(others, [1 - other, other])
        worth_L[i] = share * (others @ (1 / np.arange(1, len(others) + 1)))
    some = 1 - float(np.prod(1 - share_L))
    return Mean(float((true_NL @ worth_L).mean()) / some, recall, float("nan"))


def account_name_baselines(truth: Truth) -> list[Answers]:
    """What the account's name alone is worth where accounts stand on both sides of a fold, and where none does.

    A classifier that sees no video gives each frequent label the rate of the account's training videos, drawn
    towards the rate of all training videos by one video; of an account that is not among them it knows that rate
    only. One threshold has the best macro F1: on the training videos in `account_name_paper` (shuffled folds), on the
    validation videos in `account_name_honest` (whole accounts in a fold). None where fewer than two accounts have two
    videos. Raises ValueError where no such folds can be made.
    """
    videos = Counter(account for account in truth.accounts if account is not None)
    if sum(n > 1 for n in videos.values()) < 2 or not truth.frequent.any():
        return []
    names = [account or f"\0{video}" for video, account in zip(truth.ids, truth.accounts, strict=True)]
    true_NL = truth.true[:, truth.frequent]
    groups_N = groups_of(truth.accounts, [None] * len(truth.ids), truth.ids)
    made = []
    for system, protocol in (
        (ACCOUNT_SHARED, Protocol(name="paper", partitions=1, threshold=0.5)),
        (ACCOUNT_APART, Protocol()),
    ):
        named = [label for label, often in zip(truth.labels, truth.frequent, strict=True) if often]
        folds = make_folds(truth.ids, groups_N, true_NL, protocol, names=named)
        predicted = []
        for partition in range(protocol.partitions):
            predicted_NL = np.zeros_like(truth.true)
            parts = [fold for fold in folds if fold.partition == partition]
            predicted_NL[:, truth.frequent] = account_only(parts, truth.ids, names, true_NL)
            predicted.append(predicted_NL)
        answers = answers_from_decisions(system, truth, predicted, truth.frequent)
        made.append(Answers(system, answers.runs, knows_accounts=system == ACCOUNT_SHARED))
    return made


def account_only(folds: Sequence[Fold], ids: Sequence[str], accounts: Sequence[str], true_NL: Bools) -> Bools:
    """[N, L] what the classifier predicts for the test rows of one partition's folds.

    The threshold is the best for the validation rows; where a fold has none, for the training rows.
    """
    row_of = {name: i for i, name in enumerate(ids)}
    names, account_N = np.unique(np.asarray(accounts), return_inverse=True)
    predicted_NL = np.zeros_like(true_NL)
    for fold in folds:
        train, test = (np.array([row_of[name] for name in part]) for part in (fold.train, fold.test))
        chooses = np.array([row_of[name] for name in fold.validation]) if fold.validation else train
        rate_L = true_NL[train].mean(0)
        positives_AL = np.zeros((len(names), true_NL.shape[1]))
        np.add.at(positives_AL, account_N[train], true_NL[train])
        rows_A = np.bincount(account_N[train], minlength=len(names))
        rate_AL = (positives_AL + rate_L) / (rows_A + 1)[:, None]
        threshold_L = best_threshold(rate_AL[account_N[chooses]], true_NL[chooses], "global")
        predicted_NL[test] = rate_AL[account_N[test]] >= threshold_L
    return predicted_NL


def human_agreement(rows: Sequence[LabelRow], truth: Truth, annotator: str | None) -> Answers | None:
    """Every annotator against every other, as if one were the system and the other the truth; the mean of both ways.

    Of annotators other than the one whose labels are the truth where there are two, else of these two. A pair is
    scored on the videos that both annotated, among those of the truth, and on the values that all of them looked for.
    None where there is nobody to compare.
    """
    others = sorted({row["annotator"] for row in rows} - {annotator})
    who = others if len(others) > 1 else [*others, annotator] if others and annotator else []
    place, n_videos = {video: i for i, video in enumerate(truth.ids)}, len(truth.ids)
    has: dict[str, Bools] = {}
    predicted: dict[str, Bools] = {}
    annotated_L = truth.annotated
    for name in who:
        own = [row for row in rows if row["annotator"] == name and row["video_id"] in place]
        # refuses a video that one person annotated twice
        annotated_L = annotated_L & read_truth(own, truth.labels, 0).annotated
        at = [place[row["video_id"]] for row in own]
        has[name], predicted[name] = np.zeros(n_videos, dtype=bool), np.zeros_like(truth.true)
        has[name][at], predicted[name][at] = True, matrix(own, truth.labels)
    runs = [
        SystemRun(
            true=predicted[one],
            known=has[one] & has[other],
            predicted=predicted[other],
            scores=np.full(truth.true.shape, np.nan),
            modelled=annotated_L,
            fold=np.where(has[one] & has[other], 0, NO_FOLD),
        )
        for one, other in itertools.permutations(who, 2)
        if (has[one] & has[other]).any()
    ]
    # the only fold is that of the videos which both annotated
    return Answers(HUMAN, tuple(runs), by_fold=True) if runs else None
