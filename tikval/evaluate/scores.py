"""Predictions against annotations: the ScoreRows of one system, bounds for its failures, and the baseline.

A failure is never a stance, so three readings are given. `left_out` scores only the videos with a result.
`wrong` takes every label of a failed video as said wrongly (true ones missed, all others false alarms): no
outcome of a second try can have a lower F1. `right` takes the truth as said: none can have a higher one. The
tables of the paper are `left_out`; where coverage is low the other two are far apart, and the difference
between two systems may be nothing but failures.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tikval.evaluate.metrics import Bools, Mean, macro, movie, prf, weighted
from tikval.rows import EmbeddingRow, LabelRow, PredictionRow, ScoreRow, ScriptRow, VideoRow
from tikval.values import CONFRONTED, ENDORSED, binary

ALL: Final = "all"
STANCES: Final = (ENDORSED, CONFRONTED, ALL)
LEFT_OUT, WRONG, RIGHT = FAILURES = ("left_out", "wrong", "right")
BASELINE: Final = "predict_everything"
MISSING: Final = "missing"  # annotated or expected, but no stage said anything of it


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


def score_system(
    predictions: Sequence[PredictionRow],
    truth: Sequence[LabelRow],
    labels: Sequence[str],
    min_share: float,
    system: str,
    annotator: str | None = None,
) -> list[ScoreRow]:
    """Scores of one system under each reading of failures: every label it models, then the aggregates.

    Only annotated videos count; those without a prediction failed as "missing". Aggregates use the frequent
    labels (true for at least `min_share` of the annotated videos, section 4: 0.05) that the system models. A
    label for which every result has None is not modelled: it has no row. If nothing has a result, all labels
    are taken as modelled. `support` counts true labels, for `movie` the videos with at least one.

    Raises ValueError, naming them, for a video with two predictions (seeds and samples are scored one at a
    time) or two annotations, for several annotators where `annotator` picks none, and for a label that is
    modelled for some videos only.
    """
    ids, truth_nl = _truth(truth, labels, annotator)
    if not ids:
        return []
    _refuse_twice((row["video_id"] for row in predictions), "predictions")
    results = {row["video_id"]: _decisions(row, labels) for row in predictions if row["error"] is None}
    has_result = np.array([video in results for video in ids])

    said_nl = np.zeros_like(truth_nl)
    modelled = np.ones(len(labels), dtype=bool)
    if has_result.any():
        decided = np.array([results[video] for video in ids if video in results], dtype=float)
        known = ~np.isnan(decided)  # None becomes nan
        modelled = known.any(0)
        if partly := [
            name for name, some, every in zip(labels, modelled, known.all(0), strict=True) if some != every
        ]:
            raise ValueError(f"{system}: modelled for some videos only: {', '.join(partly)}")
        said_nl[has_result] = decided == 1

    rows = []
    for failures in FAILURES:
        if failures == LEFT_OUT:
            pair = truth_nl[has_result], said_nl[has_result]
        else:
            guess = ~truth_nl if failures == WRONG else truth_nl
            pair = truth_nl, np.where(has_result[:, None], said_nl, guess)
        rows += _rows(
            *pair,
            labels=labels,
            modelled=modelled,
            frequent=_frequent(truth_nl, min_share),
            base=_base(system, truth[0]["label_set"], failures, len(ids), int(has_result.sum())),
        )
    return rows


def score_trained(
    predictions: Sequence[PredictionRow],
    truth: Sequence[LabelRow],
    labels: Sequence[str],
    min_share: float,
    system: str,
    annotator: str | None = None,
    *,
    by_fold: bool,
) -> list[ScoreRow]:
    """Scores of a system trained several times: those of each partition and seed, averaged.

    `by_fold`: each fold is scored by itself and the folds are averaged, as the paper does (section 4); else the
    folds of one partition and seed are pooled, so that every video counts once. A video that failed before has no
    fold: these are dealt out to the folds by id, so that each counts once too. Raises ValueError as `score_system`
    does.
    """
    runs: dict[tuple[str | None, int | None], list[PredictionRow]] = {}
    for row in predictions:
        runs.setdefault((row["split"], row["seed"]), []).append(row)
    parts = [part for rows in runs.values() for part in (_folds(rows) if by_fold else [rows])]
    ids, truth_nl = _truth(truth, labels, annotator)
    often = dict(zip(labels, (_frequent(truth_nl, min_share) if ids else []), strict=False))
    scored: dict[tuple[str, str, str], list[ScoreRow]] = {}
    for part in parts:
        here = {row["video_id"] for row in part}
        known = [row for row in truth if row["video_id"] in here] if by_fold else truth
        # what was trained was frequent when it was frozen: here every label of the system counts
        for line in score_system(part, known, labels, 0.0, system, annotator):
            scored.setdefault((line["failures"], line["stance"], line["label"]), []).append(line)
    return [_averaged(lines, often.get(lines[0]["label"]), len(runs)) for lines in scored.values()]


def _folds(rows: Sequence[PredictionRow]) -> list[list[PredictionRow]]:
    """Rows of one run by fold; those without a fold in turn."""
    folds = sorted({row["fold"] for row in rows if row["fold"] is not None}) or [0]
    parts: dict[int, list[PredictionRow]] = {fold: [] for fold in folds}
    turn = itertools.cycle(folds)
    for row in sorted(rows, key=lambda row: row["video_id"]):
        parts[next(turn) if row["fold"] is None else row["fold"]].append(row)
    return list(parts.values())


def _averaged(lines: Sequence[ScoreRow], frequent: bool | None, runs: int) -> ScoreRow:
    """Numbers averaged; counts per run, in which each video is in one fold."""

    def mean(name: str) -> float | None:
        said = [line[name] for line in lines if line[name] is not None]  # type: ignore[literal-required]
        return float(np.mean(said)) if said else None

    def count(name: str) -> int:
        return int(sum(line[name] for line in lines)) // runs  # type: ignore[literal-required]

    return {
        **lines[0],
        "frequent": None if lines[0]["frequent"] is None else bool(frequent),
        "precision": mean("precision"),
        "recall": mean("recall"),
        "f1": mean("f1"),
        "support": count("support"),
        "n_videos": count("n_videos"),
        "n_scored": count("n_scored"),
    }


def predict_everything(
    truth: Sequence[LabelRow], labels: Sequence[str], min_share: float, annotator: str | None = None
) -> list[ScoreRow]:
    """The baseline that says every label of every video. It never fails: its three readings are the same.

    On the published labels of the paper with min_share=0.05 (19 labels) its macro F1 over all is 0.273, its
    weighted F1 0.325. The paper itself leaves power_dominance- out (45 of 888 videos, starred in Table 6), as
    min_share=0.051 does: over those 18 labels they are 0.283 and 0.329.
    """
    ids, truth_nl = _truth(truth, labels, annotator)
    frequent = _frequent(truth_nl, min_share) if ids else np.zeros(len(labels), dtype=bool)
    rows = []
    for failures in FAILURES if ids else ():
        base = _base(BASELINE, truth[0]["label_set"], failures, len(ids), len(ids))
        every = np.ones(len(labels), dtype=bool)
        rows += _rows(truth_nl, np.ones_like(truth_nl), labels, every, frequent, base)
    return rows


def _truth(rows: Sequence[LabelRow], labels: Sequence[str], annotator: str | None) -> tuple[list[str], Bools]:
    """Annotated ids and [N, L] binary labels of one annotator."""
    annotators = sorted({row["annotator"] for row in rows})
    if annotator is not None:
        if annotator not in annotators:
            raise ValueError(f"no annotator {annotator!r}; there are: {', '.join(annotators)}")
        rows = [row for row in rows if row["annotator"] == annotator]
    elif len(annotators) > 1:
        raise ValueError(f"several annotators, pick one: {', '.join(annotators)}")
    if len(sets := sorted({row["label_set"] for row in rows})) > 1:
        raise ValueError(f"annotations over several label sets: {', '.join(sets)}")
    _refuse_twice((row["video_id"] for row in rows), "annotations")
    if odd := [row["video_id"] for row in rows if 2 * len(row["stances"]) != len(labels)]:
        raise ValueError(f"annotations that do not have {len(labels) // 2} stances: {_some(odd)}")
    ids = [row["video_id"] for row in rows]
    return ids, np.array([binary(row["stances"]) for row in rows], dtype=bool).reshape(len(ids), len(labels))


def _decisions(row: PredictionRow, labels: Sequence[str]) -> list[bool | None]:
    decisions = row["decisions"]
    if decisions is None or len(decisions) != len(labels):
        raise ValueError(f"prediction of {row['video_id']}: no error, and not {len(labels)} decisions either")
    return decisions


def _refuse_twice(ids: Iterable[str], what: str) -> None:
    if twice := sorted(video for video, n in Counter(ids).items() if n > 1):
        raise ValueError(f"videos with more than one row of {what}: {_some(twice)}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _frequent(truth: Bools, min_share: float) -> Bools:
    """[L] labels that at least `min_share` of the annotated videos have. Divides, so that 3 of 60 is 0.05."""
    share: Bools = truth.sum(0) / len(truth) >= min_share
    return share


def _base(system: str, label_set: str, failures: str, n_videos: int, n_scored: int) -> ScoreRow:
    return ScoreRow(
        system=system,
        label_set=label_set,
        failures=failures,
        stance=ALL,
        label="",
        frequent=None,
        support=0,
        precision=None,
        recall=None,
        f1=None,
        n_videos=n_videos,
        n_scored=n_scored,
    )


def _rows(
    truth: Bools, said: Bools, labels: Sequence[str], modelled: Bools, frequent: Bools, base: ScoreRow
) -> list[ScoreRow]:
    """The rows of one reading: modelled labels, then macro, weighted and movie of each stance."""
    scores = prf(truth, said)
    confronted = np.arange(len(labels)) >= len(labels) // 2
    rows: list[ScoreRow] = []

    def add(stance: str, label: str, often: bool | None, support: int, mean: Mean) -> None:
        precision, recall, f1 = (None if np.isnan(x) else float(x) for x in mean)
        rows.append(
            {
                **base,
                "stance": stance,
                "label": label,
                "frequent": often,
                "support": support,
                "precision": precision,
                "recall": recall,
                "f1": f1,
            }
        )

    for i in np.flatnonzero(modelled).tolist():
        stance = CONFRONTED if confronted[i] else ENDORSED
        mean = Mean(scores.precision[i], scores.recall[i], scores.f1[i])
        add(stance, labels[i], bool(frequent[i]), int(scores.support[i]), mean)
    for stance, mask in zip(STANCES, (~confronted, confronted, confronted | True), strict=True):
        use = modelled & frequent & mask
        some = prf(truth[:, use], said[:, use])
        support = int(some.support.sum())
        add(stance, "macro", None, support, macro(some))
        add(stance, "weighted", None, support, weighted(some))
        with_label = int(truth[:, use].any(1).sum())
        add(stance, "movie", None, with_label, movie(truth[:, use], said[:, use]))
    return rows
