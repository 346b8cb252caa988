"""One trial of a sweep: settings tried on the training rows of one fold, judged on its validation rows.

The rows that test the fold are cut off before a trial is given anything: a row tests in one fold and trains in another,
so settings chosen over all folds at once would have seen every test row.

Shape letters: N rows, L trained labels.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from tikval.config.train import Fit, changed
from tikval.finetune.examples import Examples
from tikval.finetune.loop import Epoch, State
from tikval.finetune.training import Training, train_model

ReportEpoch = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Given:
    """All that the trials of one fold learn from."""

    examples: Examples  # N: the fold's training and validation rows
    training: Training  # with the configuration's own settings; its test rows are its validation rows
    threshold: float | Literal["global", "per_label"]


@dataclass(frozen=True)
class Trial:
    """One row of a sweep's table."""

    fold: str
    number: int  # within the fold, from 0
    settings: dict[str, Any]  # by key: fit.learning_rate, model.dropout
    score: float | None  # of its best epoch, on the validation rows; None: it failed
    history: tuple[dict[str, Any], ...]  # Epochs
    seconds: float
    stopped_early: bool  # for others did better
    error: str | None = None
    detail: str | None = None

    def results(self, best_by: str) -> list[dict[str, Any]]:
        """What `attempt` reported after each epoch; [] of several models."""
        if any(epoch["head"] for epoch in self.history):
            return []
        key, best = ("loss", min) if best_by == "loss" else ("score", max)
        values = [epoch[key] for epoch in self.history]
        return [{"epoch": n, "score": best(values[:n]), "over": False} for n in range(1, len(values) + 1)]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Trial":
        plain = json.loads(text)
        return cls(**{**plain, "history": tuple(plain["history"])})


def inner(examples: Examples, training: Training, threshold: float | Literal["global", "per_label"]) -> Given:
    """What a fold's trials are given: no test row of it. Raises ValueError where no validation rows are set aside."""
    fold = training.fold
    if not fold.validation:
        raise ValueError(f"{fold.name}: has no validation rows to judge settings on")
    known = set(fold.train) | set(fold.validation)
    at = [n for n, video_id in enumerate(examples.ids) if video_id in known]

    def of(column: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(column[n] for n in at)

    cut = replace(
        examples,
        ids=of(examples.ids),
        row_keys=of(examples.row_keys),
        texts=None if examples.texts is None else of(examples.texts),
        vectors=None if examples.vectors is None else examples.vectors[at],
        truth=examples.truth[at],
        targets=None if examples.targets is None else examples.targets[at],
        accounts=of(examples.accounts),
        near_duplicates=of(examples.near_duplicates),
        split=None if examples.split is None else of(examples.split),
        failed={},
    )
    return Given(cut, replace(training, fold=replace(fold, test=fold.validation)), threshold)


def attempt(given: Given, settings: Mapping[str, Any], report: ReportEpoch, device: str = "cpu") -> None:
    """Train with some settings; `report` after each epoch the best score so far, and whether it was the last.

    Several models (one for each label, or several that are averaged) have epochs of their own, so that nothing can be
    compared before the end: then all is reported at once. Raises ValueError for settings that do not go together,
    FloatingPointError where a loss or score is no number, and whatever the model raises.
    """
    training = given.training
    model, fit = changed(training.model, training.fit, dict(settings))
    place = {video_id: n for n, video_id in enumerate(given.examples.ids)}
    positives_L = given.examples.truth[[place[video_id] for video_id in training.fold.validation]].sum(0)

    def send(history: Sequence[Epoch], new: Sequence[Epoch], over: bool) -> None:
        score = score_of(history, fit.best_by, positives_L)
        epoch = len(history) if fit.is_one_model else fit.epochs
        report({"epoch": epoch, "score": score, "over": over, "new": [asdict(each) for each in new]})

    def on_epoch(epoch: Epoch, now: State) -> None:
        if fit.is_one_model:
            send(now.history, [epoch], _was_last(now.history, fit))

    learnt = train_model(
        given.examples,
        replace(training, model=model, fit=fit),
        given.threshold,
        on_epoch=on_epoch,
        device=device,
    )
    if not fit.is_one_model:
        send(learnt.history, learnt.history, True)


def _was_last(history: Sequence[Epoch], fit: Fit) -> bool:
    waited = len(history) - max((epoch.epoch for epoch in history if epoch.best), default=0)
    return len(history) == fit.epochs or waited >= fit.patience


def score_of(history: Iterable[Epoch], best_by: str, positives_L: np.ndarray) -> float:
    """The score of the best epoch; over several models their mean, by positives for weighted_f1.

    Raises FloatingPointError where it is no number.
    """
    by_head: dict[int, list[float]] = {}
    for epoch in history:
        by_head.setdefault(epoch.head, []).append(epoch.loss if best_by == "loss" else epoch.score)
    best = [min(each) if best_by == "loss" else max(each) for each in by_head.values()]
    weights = positives_L[list(by_head)] if best_by == "weighted_f1" and len(best) > 1 else None
    score = float(np.average(best, weights=weights))
    if not np.isfinite(score):
        raise FloatingPointError(f"{best_by} on the validation rows is {score}")
    return score


def ranked_trials(trials: Iterable[Trial], best_by: str) -> list[Trial]:
    """The trials of one fold that came to a score, best first; of equals the earlier."""
    scored = [trial for trial in trials if trial.score is not None]
    sign = 1 if best_by == "loss" else -1
    return sorted(scored, key=lambda trial: (sign * (trial.score or 0.0), trial.number))
