"""Annotations of videos and what systems predicted for them, as matrices that every number is made of.

N annotated videos, L labels, G groups: accounts, as the videos of one account are alike. A video without an account
is a group of its own.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tikval.rows import LabelRow, PredictionRow
from tikval.stats.arrays import Bools, Floats, Ints
from tikval.stats.intervals import by_group
from tikval.stats.limits import FEWEST_ACCOUNTS_OF_LABEL
from tikval.values import binary

NO_FOLD: Final = -1


@dataclass(frozen=True, eq=False)
class Truth:
    """The labels of one annotator."""

    ids: tuple[str, ...]  # [N]
    labels: tuple[str, ...]  # [L]
    label_set: str
    true: Bools  # [N, L]
    accounts: tuple[str | None, ...]  # [N]
    group: Ints  # [N] number of each video's account
    frequent: Bools  # [L] that means over labels are over
    enough: Bools  # [L] positives: of what a trained system was trained on, these are in its means
    not_annotated: tuple[str, ...] = ()  # labels that nobody looked for: `true` tells nothing of them

    @property
    def annotated(self) -> Bools:
        """[L]"""
        mask: Bools = ~np.isin(np.array(self.labels), np.array(self.not_annotated, dtype=str))
        return mask

    @property
    def n_groups(self) -> int:
        return int(self.group.max(initial=-1)) + 1

    @property
    def endorsed(self) -> Bools:
        first: Bools = np.arange(len(self.labels)) < len(self.labels) // 2
        return first

    @property
    def masks(self) -> tuple[Bools, Bools, Bools]:
        """[L] labels that are endorsed, confronted, all."""
        return self.endorsed, ~self.endorsed, np.ones(len(self.labels), dtype=bool)


@dataclass(frozen=True, eq=False)
class SystemRun:
    """What a system predicted for the videos once: one partition and seed of a trained system, else all there is."""

    true: Bools  # [N, L]
    known: Bools  # [N] has a result
    predicted: Bools  # [N, L] False where there is none
    scores: Floats  # [N, L] nan where there is none
    modelled: Bools  # [L]
    fold: Ints  # [N] that a video was tested in; NO_FOLD: it was not among the rows at all


@dataclass(frozen=True, eq=False)
class Answers:
    system: str
    runs: tuple[SystemRun, ...]  # their scores are averaged
    by_fold: bool = False  # each fold is scored by itself
    trained: bool = False  # what was trained was frequent when it was frozen, whatever its share is here
    knows_accounts: bool = False  # accounts of the videos it was tested on were among those it was trained on

    def parts(self) -> Iterator[tuple[SystemRun, Bools]]:
        """What is scored by itself: runs, or the folds of each, with the [N] videos that belong to them."""
        for run in self.runs:
            folds = sorted(set(run.fold.tolist()) - {NO_FOLD}) if self.by_fold else []
            for fold in folds:
                yield run, run.fold == fold
            if not folds:
                yield run, np.ones(len(run.known), dtype=bool)

    @property
    def modelled(self) -> Bools:
        """[L]; of a run without any result nobody knows."""
        with_results = [run.modelled for run in self.runs if run.known.any()]
        every: Bools = np.logical_or.reduce(with_results or [run.modelled for run in self.runs])
        return every

    def averaged(self, truth: Truth) -> Bools:
        """[L] labels that the means over labels run over."""
        use: Bools = self.modelled & (truth.enough if self.trained else truth.frequent)
        return use


def read_truth(
    rows: Sequence[LabelRow],
    labels: Sequence[str],
    min_share: float,
    annotator: str | None = None,
    *,
    min_positives: int = 0,
    averaged: Sequence[str] | None = None,
) -> Truth:
    """Binary labels of one annotator, and which of them means over labels are over: `averaged`, or by a rule.

    By the rule they are those that at least `min_share` of the videos have, and `min_positives` of them, in two
    accounts at least (one positive has one account). Raises ValueError, naming them, for videos annotated twice, for
    several annotators where `annotator` picks none, for several label sets, for annotations that are not over these
    labels, and for averaged labels that are none of them. A value that these annotations do not have is in no mean, and
    systems are not scored on it.
    """
    annotators = sorted({row["annotator"] for row in rows})
    if annotator is not None:
        if annotator not in annotators:
            raise ValueError(f"no annotator {annotator!r}; there are: {', '.join(annotators)}")
        rows = [row for row in rows if row["annotator"] == annotator]
    elif len(annotators) > 1:
        raise ValueError(f"several annotators, pick one: {', '.join(annotators)}")
    if len(sets := sorted({row["label_set"] for row in rows})) > 1:
        raise ValueError(f"annotations over several label sets: {', '.join(sets)}")
    refuse_twice((row["video_id"] for row in rows), "annotations")
    ids = tuple(row["video_id"] for row in rows)
    true_NL, annotated_L = matrix(rows, labels), annotated_labels(rows, len(labels))
    named = tuple(row["account"] for row in rows)
    numbers: dict[tuple[bool, str], int] = {}
    for video, account in zip(ids, named, strict=True):
        numbers.setdefault((account is None, account or video), len(numbers))
    groups = [numbers[account is None, account or video] for video, account in zip(ids, named, strict=True)]
    group_N = np.array(groups, dtype=np.int64)
    if averaged is None:
        accounts_L = (by_group(true_NL, group_N, len(numbers)) > 0).sum(0)
        fewest = min(FEWEST_ACCOUNTS_OF_LABEL, min_positives)
        enough_L = annotated_L & (true_NL.sum(0) >= min_positives) & (accounts_L >= fewest)
        # divides, so that 3 of 60 is 0.05
        frequent_L = enough_L & (true_NL.sum(0) / max(len(ids), 1) >= min_share)
    else:
        if unknown := [name for name in averaged if name not in labels]:
            raise ValueError(f"labels: not of the codebook: {some(unknown)}")
        enough_L = frequent_L = annotated_L & np.array([label in averaged for label in labels], dtype=bool)
    return Truth(
        ids=ids,
        labels=tuple(labels),
        label_set=rows[0]["label_set"] if rows else "",
        true=true_NL,
        accounts=named,
        group=group_N,
        frequent=frequent_L,
        enough=enough_L,
        not_annotated=tuple(label for label, known in zip(labels, annotated_L, strict=True) if not known),
    )


def matrix(rows: Sequence[LabelRow], labels: Sequence[str]) -> Bools:
    """[N, L] binary labels, False where nobody looked. Raises ValueError for rows over another number of values."""
    if odd := [row["video_id"] for row in rows if 2 * len(row["stances"]) != len(labels)]:
        raise ValueError(f"annotations that do not have {len(labels) // 2} stances: {some(odd)}")
    return np.array([binary(row["stances"]) for row in rows], dtype=bool).reshape(len(rows), len(labels))


def annotated_labels(rows: Sequence[LabelRow], n_labels: int) -> Bools:
    """[L] labels of the values that these annotations have. Raises ValueError for one that only some of them have."""
    known = [[code is not None for code in row["stances"]] * 2 for row in rows]
    known_NL = np.array(known, dtype=bool).reshape(len(rows), n_labels)
    every: Bools = np.asarray(known_NL.all(0))
    if (partly := np.asarray(known_NL.any(0)) & ~every).any():
        n = int((~known_NL[:, partly]).any(1).sum())
        raise ValueError(
            f"{int(partly.sum()) // 2} values are annotated for some videos and not for {n} others; where coders were "
            "not sure, tikval annotate merge asks a third"
        )
    return every


def read_answers(predictions: Sequence[PredictionRow], truth: Truth, system: str) -> Answers:
    """Read the answers of a system that judged each video once. A label that is None in every result is not modelled.

    If nothing has a result, all labels are taken as modelled. Raises ValueError, naming them, for a video with two
    predictions (samples are scored one at a time), and for a label that is modelled for some videos only.
    """
    return Answers(system, (_run(predictions, truth, system, {}),))


def read_trained(
    predictions: Sequence[PredictionRow], truth: Truth, system: str, *, by_fold: bool
) -> Answers:
    """Read the answers of a system that was trained several times: a SystemRun for each partition and seed.

    A video that failed before has no fold: these are dealt out to the folds by id, so that each counts once.
    """
    runs: dict[tuple[str, int], list[PredictionRow]] = {}
    for row in predictions:
        runs.setdefault((row["split"] or "", row["seed"] or 0), []).append(row)
    made = tuple(_run(rows, truth, system, _folds(rows)) for _, rows in sorted(runs.items()))
    made = made or (_run([], truth, system, {}),)
    return Answers(system, made, by_fold=by_fold, trained=True, knows_accounts=by_fold)


def answers_from_decisions(
    system: str, truth: Truth, predicted: Iterable[Bools], modelled_L: Bools | None = None
) -> Answers:
    """Answers made of [N, L] decisions without scores or failures; all labels are modelled if none are named."""
    n_videos = len(truth.ids)
    runs = [
        SystemRun(
            true=truth.true,
            known=np.ones(n_videos, dtype=bool),
            predicted=predicted_NL,
            scores=np.full(predicted_NL.shape, np.nan),
            modelled=truth.annotated if modelled_L is None else modelled_L & truth.annotated,
            fold=np.zeros(n_videos, dtype=np.int64),
        )
        for predicted_NL in predicted
    ]
    return Answers(system, tuple(runs))


def _folds(rows: Sequence[PredictionRow]) -> dict[str, int]:
    """Fold by video of one run; videos without one get them in turn."""
    folds = sorted({row["fold"] for row in rows if row["fold"] is not None}) or [0]
    turn = itertools.cycle(folds)
    by_id = sorted(rows, key=lambda row: row["video_id"])
    return {row["video_id"]: next(turn) if row["fold"] is None else row["fold"] for row in by_id}


def _run(
    predictions: Sequence[PredictionRow], truth: Truth, system: str, folds: Mapping[str, int]
) -> SystemRun:
    refuse_twice((row["video_id"] for row in predictions), "predictions")
    results = {row["video_id"]: row for row in predictions if row["error"] is None}
    n_labels = len(truth.labels)
    nothing: list[float | None] = [None] * n_labels
    decided = [_decisions(results[v], truth.labels) if v in results else nothing for v in truth.ids]
    decided_NL = np.array(decided, dtype=float).reshape(len(truth.ids), n_labels)  # None becomes nan
    given = [(results[v]["scores"] if v in results else None) or nothing for v in truth.ids]
    if odd := [video for video, scores in zip(truth.ids, given, strict=True) if len(scores) != n_labels]:
        raise ValueError(f"{system}: not {n_labels} scores: {some(odd)}")
    known_N = np.array([video in results for video in truth.ids], dtype=bool)
    has_NL = ~np.isnan(decided_NL[known_N])
    modelled_L = has_NL.any(0) if known_N.any() else np.ones(n_labels, dtype=bool)
    if (partly_L := modelled_L & ~has_NL.all(0)).any():
        partly = ", ".join(truth.labels[i] for i in np.flatnonzero(partly_L))
        raise ValueError(f"{system}: modelled for some videos only: {partly}")
    return SystemRun(
        true=truth.true,
        known=known_N,
        predicted=decided_NL == 1,
        scores=np.array(given, dtype=float).reshape(len(truth.ids), n_labels),
        modelled=modelled_L & truth.annotated,
        fold=np.array([folds.get(video, NO_FOLD) for video in truth.ids], dtype=np.int64),
    )


def _decisions(row: PredictionRow, labels: Sequence[str]) -> Sequence[float | None]:
    decisions = row["decisions"]
    if decisions is None or len(decisions) != len(labels):
        raise ValueError(f"prediction of {row['video_id']}: no error, and not {len(labels)} decisions either")
    return decisions


def refuse_twice(ids: Iterable[str], what: str) -> None:
    if twice := sorted(video for video, n in Counter(ids).items() if n > 1):
        raise ValueError(f"videos with more than one row of {what}: {some(twice)}")


def some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
