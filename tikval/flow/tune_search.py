"""What Ray Tune is told to try next in a sweep, and to stop: of each fold by itself, whichever is at work.

A later start is told of what is finished; Ray Tune's own resuming is not used, since it does not bring Optuna's
studies back.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from tikval.config import Axis, SweepConfig
from tikval.finetune.trial import Trial


def space_of(axes: Mapping[str, Axis]) -> dict[str, BaseDistribution]:
    """The space as Optuna draws from it; values are JSON texts, since it knows neither lists nor null."""
    space: dict[str, BaseDistribution] = {}
    for key, axis in axes.items():
        if axis.values is not None:
            space[key] = CategoricalDistribution([json.dumps(value) for value in axis.values])
        elif axis.whole:
            space[key] = IntDistribution(int(axis.low or 0), int(axis.high or 0), log=axis.log)
        else:
            space[key] = FloatDistribution(axis.low or 0, axis.high or 0, log=axis.log)
    return space


def _encoded(axes: Mapping[str, Axis], settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: settings[key] if axis.values is None else json.dumps(settings[key]) for key, axis in axes.items()
    }


def _decoded(axes: Mapping[str, Axis], point: Mapping[str, Any]) -> dict[str, Any]:
    return {key: point[key] if axis.values is None else json.loads(point[key]) for key, axis in axes.items()}


def _mode(config: SweepConfig) -> str:
    return "min" if config.finetune.fit.best_by == "loss" else "max"


class Searches(Searcher):
    """A search for each fold; the fold with most trials left to start is next."""

    def __init__(
        self, config: SweepConfig, folds: Sequence[str], own: Mapping[str, Any] | None, done: Sequence[Trial]
    ) -> None:
        super().__init__(metric="score", mode=_mode(config))
        self.axes = config.space
        self.searches: dict[str, OptunaSearch] = {}
        self.left: dict[str, int] = {}
        self.numbers: dict[str, list[int]] = {}  # that are free, from the last to the first
        self.started: dict[str, tuple[str, int, dict[str, Any]]] = {}  # fold, number, settings
        for fold in folds:
            mine = [trial for trial in done if trial.fold == fold]
            self.left[fold] = max(0, config.trials - len(mine))
            taken = {trial.number for trial in mine}
            self.numbers[fold] = [n for n in reversed(range(config.trials)) if n not in taken]
            first = [] if own is None or 0 in taken else [_encoded(self.axes, own)]
            # other draws after a restart, or a search would suggest again what it suggested before
            seed = int(
                np.random.SeedSequence((config.seed, zlib.crc32(fold.encode()), len(mine))).generate_state(1)[
                    0
                ]
            )
            sampler = (
                optuna.samplers.TPESampler if config.search == "optuna" else optuna.samplers.RandomSampler
            )
            self.searches[fold] = OptunaSearch(
                space=space_of(self.axes),
                metric="score",
                mode=_mode(config),
                points_to_evaluate=first or None,
                sampler=sampler(seed=seed),
            )
            for trial in mine:
                point, failed = _encoded(self.axes, trial.settings), trial.score is None
                self.searches[fold].add_evaluated_point(point, trial.score or 0.0, error=failed)

    def set_search_properties(self, *args: Any, **kwargs: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        fold = max(self.left, key=lambda name: self.left[name])
        if not self.left[fold]:
            return Searcher.FINISHED
        self.left[fold] -= 1
        point = self.searches[fold].suggest(trial_id)
        assert point is not None, "Optuna always has something to suggest"
        settings = _decoded(self.axes, point)
        self.started[trial_id] = (fold, self.numbers[fold].pop(), settings)
        return {"fold": fold, "settings": settings}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        fold = self.started[trial_id][0]
        failed = error or not result or "score" not in result
        self.searches[fold].on_trial_complete(trial_id, None if failed else result, error=failed)

    def on_trial_result(self, trial_id: str, result: Any) -> None:
        """The scheduler stops trials; a search learns from their ends."""

    def save(self, checkpoint_path: str) -> None:
        """The folder's own files are what a later start reads."""

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError


class Schedulers(FIFOScheduler):
    """ASHA for each fold; what earlier runs finished counts among what a trial is compared with."""

    def __init__(
        self, config: SweepConfig, folds: Sequence[str], done: Sequence[Trial], stopped: set[str]
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stopped = stopped
        self.asha: dict[str, Any] = {
            fold: ASHAScheduler(
                time_attr="epoch",
                metric="score",
                mode=_mode(config),
                max_t=config.most_epochs,
                grace_period=config.grace_epochs,
                reduction_factor=config.reduction,
            )
            for fold in folds
        }
        for trial in done:
            asha, before = self.asha[trial.fold], SimpleNamespace(trial_id=f"before-{trial.number}")
            asha.on_trial_add(None, before)
            for result in trial.results(config.finetune.fit.best_by):
                asha.on_trial_result(None, before, result)
            asha.on_trial_remove(None, before)

    def _of(self, trial: Any) -> Any:
        return self.asha[trial.config["fold"]]

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: Any) -> str:
        action: str = self._of(trial).on_trial_result(tune_controller, trial, result)
        if action == TrialScheduler.STOP and not result["over"]:
            self.stopped.add(trial.trial_id)
        return action

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: Any) -> None:
        self._of(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._of(trial).on_trial_remove(tune_controller, trial)
