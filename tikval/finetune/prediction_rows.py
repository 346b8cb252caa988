"""PredictionRows of the systems that are combined -> arrays over the same rows, and back.

Shape letters: N rows, A labels of the set, V values.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from tikval.finetune.combine import ensemble
from tikval.rows import PredictionRow
from tikval.stats.arrays import Bools, Floats


class UntrainedAnswers(NamedTuple):
    """What a system that was not trained here answered."""

    kind: Literal["stances", "scores"]
    answers: Floats  # [N, V] stances, or [N, A] scores; nan where it failed or was not asked


def prediction_columns(n_all: int, at: Sequence[int], scores_L: Floats, decisions_L: Bools) -> dict[str, Any]:
    """Fields of a PredictionRow: scores and decisions over the label set, None for labels that are not modelled.

    `at`: places of the L modelled labels among the set's `n_all`.
    """
    decisions: list[bool | None] = [None] * n_all
    scores: list[float | None] = [None] * n_all
    for place, score, decision in zip(at, scores_L, decisions_L, strict=True):
        scores[place], decisions[place] = float(score), bool(decision)
    return {"decisions": decisions, "scores": scores, "abstained": False}


def mean_of_seeds(
    rows: Sequence[PredictionRow], ids: Sequence[str], seeds: int, at: Sequence[int], label_set: str
) -> Floats:
    """[N, A] mean probability of a trained system's seeds in one partition; nan for labels it does not model.

    `at`: places of those that it must model. Raises ValueError for a row without one of the seeds, and for other
    labels.
    """
    of = {(row["seed"], row["video_id"]): row for row in rows if row["error"] is None}
    every = []
    for seed in range(seeds):
        if lacking := [video_id for video_id in ids if (seed, video_id) not in of]:
            raise ValueError(
                f"no prediction for {lacking[0]} with seed {seed} (rows changed since); run jobs.finetune again"
            )
        predicted = [of[seed, video_id] for video_id in ids]
        _check_labels(predicted, label_set)
        scores_NA = np.array([row["scores"] for row in predicted], dtype=np.float64)
        known_A = np.isfinite(scores_NA).all(0)
        if np.flatnonzero(known_A).tolist() != list(at):
            raise ValueError(
                f"models {known_A.sum()} labels, not the same {len(at)}; give all the same `labels`"
            )
        every.append(scores_NA[:, at])
    mean_NA = np.full(scores_NA.shape, np.nan)
    mean_NA[:, at] = ensemble(every)
    return mean_NA


def answers_of(rows: Sequence[PredictionRow], ids: Sequence[str], label_set: str) -> UntrainedAnswers:
    """A language model's stances, or the scores of a system that gives no stances.

    Raises ValueError where it has no answer for any of the rows.
    """
    of = {row["video_id"]: row for row in rows if row["error"] is None}
    predicted = [of[video_id] for video_id in ids if video_id in of]
    if not predicted:
        raise ValueError(f"no answer for any of the {len(ids)} rows that are combined")
    _check_labels(predicted, label_set)
    kind: Literal["stances", "scores"] = "scores" if predicted[0]["stances"] is None else "stances"
    if predicted[0][kind] is None:
        raise ValueError("gives neither stances nor scores")
    known = np.array([row[kind] for row in predicted], dtype=np.float64)
    answers = np.full((len(ids), known.shape[1]), np.nan)
    answers[[video_id in of for video_id in ids]] = known
    return UntrainedAnswers(kind, answers)


def _check_labels(rows: Sequence[PredictionRow], label_set: str) -> None:
    if others := sorted({row["label_set"] for row in rows} - {label_set}):
        raise ValueError(f"speaks of other labels ({', '.join(others)}) than the annotations ({label_set})")
